# SPDX-License-Identifier: Apache-2.0
"""The TSM of a responder that is reached by messages alone: no configuration space, no TLPs.

Attestation, session, IDE_KM and TDISP are those of `Tsm`; what needs registers is left out and
said. Nothing but the responder's word tells whether a stream is Secure or an interface isolated:
this serves to talk to a responder, not to use a device.
"""

from __future__ import annotations

from teeio.core import ide_km
from teeio.core.capabilities import MESSAGES
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.enumerate import BAR_WINDOW, DEVCAP_TEE_IO, Function, bdf_name
from teeio.core.ops import Steps
from teeio.core.spdm_crypto import Rng
from teeio.core.tsm import Observer, Tsm, TsmPolicy
from teeio.errors import LocalError
from teeio.wire.tdisp_report import InterfaceReport


class MessageTsm(Tsm):
    """Serves one responder and one interface, TDI 0.

    Args:
        policy: what it trusts; its identity check against registers cannot apply here.
        rng: source of random bytes.
        observe: called with (step, detail).
        interface: FUNCTION_ID of the interface that TDISP messages name.
    """

    def __init__(self, policy: TsmPolicy, rng: Rng, observe: Observer | None = None,
                 interface: int = 0x0101) -> None:
        super().__init__(policy, rng, observe, MESSAGES)
        self.interface = interface
        self.mailbox: DoeMailbox | None = None
        self._keyed = False

    def discover(self, bus: int = 1, window: int = BAR_WINDOW,
                 window_bytes: int | None = None) -> Steps[list[Function]]:
        """Takes the interface as given: there is no configuration space to look at."""
        self.functions = [Function(self.interface, 0, 0, 0, 0, device_capabilities=DEVCAP_TEE_IO)]
        self._observe("skipped", "enumeration and the certificate's match with it: no"
                      " configuration space here")
        yield from ()
        return self.functions

    def tdi_function(self, tdi: int) -> Function:
        """TDI 0 is the interface; there is no other.

        Raises:
            LocalError: another TDI.
        """
        if tdi != 0 or not self.functions:
            raise LocalError(f"only TDI 0 is known here, interface {bdf_name(self.interface)}")
        return self.functions[0]

    def tdi_numbers(self) -> list[int]:
        """TDI 0 alone."""
        return [0] if self.functions else []

    def _key_stream(self) -> Steps[None]:
        self._keyed = False
        answer = yield from ide_km.query(self._session(), self.policy.port_index)
        self._observe("IDE_KM", f"port {answer.port_index} of {answer.max_port_index} is"
                      f" {bdf_name(answer.requester_id)}")
        yield from self._program_keys()
        self._keyed = True
        self._observe("skipped", "stream registers, the host's end of the stream, and the look at"
                      " whether it is Secure: no TLPs go this way")

    def _stop_stream(self) -> Steps[None]:
        if self._keyed:
            self._keyed = False
            yield from ide_km.stop_stream(self._session(), self.policy.stream_id, 0,
                                          port_index=self.policy.port_index)

    def _drop_stream(self) -> Steps[None]:
        """No end of the stream is ours."""
        yield from ()

    def _check_report(self, function: Function, report: InterfaceReport, lock_msix: bool) -> None:
        self._observe("skipped", "the report's ranges against BARs: no configuration space here")

    def stream_state(self) -> Steps[int]:
        """Not to be had.

        Raises:
            LocalError: always.
        """
        yield from ()
        raise LocalError("the stream's state stands in registers, which this target does not"
                         " carry: use a board")
