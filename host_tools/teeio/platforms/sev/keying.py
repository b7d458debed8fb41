# SPDX-License-Identifier: Apache-2.0
"""The protocol core of the firmware: `teeio.core.tsm.Tsm` without access to the device's registers.

The host's driver owns the device's IDE capability and tells what it enumerated; the firmware has
SPDM only, and the key registers of the root port.
"""

from __future__ import annotations

from teeio.core import ide_km
from teeio.core.certificates import PcieIdentity
from teeio.core.ops import PortStream, Steps
from teeio.core.tsm import Tsm
from teeio.errors import LocalError, PeerError, TransportError


class SevCore(Tsm):
    """Session, stream and interfaces of one device.

    Attributes:
        identity: identity registers as the host enumerated them; the certificate must agree.
    """

    does_discovery = False
    identity: PcieIdentity | None = None
    _has_stream = False

    def read_identity(self) -> Steps[None]:
        """The host enumerates: `identity` is what the registers say."""
        self.identity = yield from super()._identity()

    def _identity(self) -> Steps[PcieIdentity]:
        yield from ()
        if self.identity is None:
            raise LocalError("the device was not enumerated: enumerate it first")
        return self.identity

    def _key_stream(self) -> Steps[None]:
        session, first = self._session(), self.functions[0]
        answer = yield from ide_km.query(session, self.policy.port_index)
        if answer.bus << 8 | answer.dev_func != first.bdf:
            raise PeerError("QUERY_RESP names another function than the device's first",
                            clause="PCIe Base 6.33.3")
        self._has_stream = True
        yield from self._port_stream(enable=True)
        yield from self._program_keys()
        self._observe("IDE_KM", f"stream {self.policy.stream_id}: keys run at both ends")

    def unbind(self, tdi: int) -> Steps[None]:
        """STOP_INTERFACE.

        Raises:
            TransportError: the session died with it; only our end of the stream is gone.
        """
        yield from super().unbind(tdi)
        if self.is_dead:
            raise TransportError(f"TDI {tdi} was not seen to stop: disconnect the device")

    def disconnect(self) -> Steps[None]:
        """Interfaces, stream, session.

        Raises:
            TsmError: the device did not follow; nothing is forgotten yet.
        """
        session = self._session()
        for tdi in list(self.tdis):
            yield from self.unbind(tdi)
        if self._has_stream:
            yield from ide_km.stop_stream(session, self.policy.stream_id, 0,
                                          port_index=self.policy.port_index)
            yield from self._drop_stream()
        yield from session.end()
        self._forget()
        self._observe("disconnect", "keys stopped, session ended")

    def _drop_stream(self) -> Steps[None]:
        """Our end of the stream and its keys go; the device's register is the host's."""
        self.block = None
        if self._has_stream:
            self._has_stream = False
            yield PortStream(self.policy.stream_id, self.functions[0].bdf, False)
