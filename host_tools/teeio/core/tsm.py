# SPDX-License-Identifier: Apache-2.0
"""TEE security manager: connect, bind, start, unbind, disconnect, info.

Every verb is a generator of operations: an untrusted carrier performs them, in a simulation, on a
virtual board or on hardware, and the verb decides from the answers alone. A verb that fails leaves
the manager in the state it was in before, or closed; it never half trusts a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from teeio.core import ide_km, spdm_flow, tdisp
from teeio.core.capabilities import BOARD, Capabilities
from teeio.core.certificates import ChainPolicy, PcieIdentity, VerifiedChain
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.enumerate import (
    BAR_WINDOW,
    ECAP_DOE,
    ECAP_IDE,
    ECAP_SERIAL,
    Function,
    bdf_name,
    enumerate_device,
)
from teeio.core.measurements import References
from teeio.core.ops import PortKey, PortSecure, PortStream, Steps, cfg_read, cfg_write
from teeio.core.secret import Secret
from teeio.core.spdm_context import Exchanged, SpdmPhase
from teeio.core.spdm_crypto import Rng
from teeio.core.spdm_flow import Attestation, Session
from teeio.core.spdm_requester import RequesterConfig
from teeio.core.stream_block import (
    CONTROL_ENABLE,
    STATE_SECURE,
    StreamBlock,
    find_block,
    set_up_block,
)
from teeio.errors import LocalError, PeerError, TransportError, TsmError
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream
from teeio.wire.tdisp import InterfaceId, LockFlag, TdiState
from teeio.wire.tdisp_report import InterfaceReport, RangeAttribute

Observer = Callable[[str, str], None]

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TsmPolicy:
    """What this TSM trusts and asks for.

    Attributes:
        roots: trusted root certificates, DER.
        at: time at which certificates must be valid (timezone-aware).
        references: measurement reference values, index -> (value type, value).
        stream_id: Stream ID to use.
        require_pcie_identity: the leaf must name exactly the function that answers.
        require_leaf_roles: the leaf must carry the responder EKU and the hardware identity.
        allow_unreferenced: let measurements pass for which there is no reference value.
        port_index: port that IDE_KM messages name.
    """

    roots: tuple[bytes, ...]
    at: datetime
    references: References
    stream_id: int = 1
    require_pcie_identity: bool = True
    require_leaf_roles: bool = True
    allow_unreferenced: bool = False
    port_index: int = 0
    requester: RequesterConfig = field(default_factory=RequesterConfig)


@dataclass(slots=True)
class BoundTdi:
    """One interface that is locked, running or in error.

    Attributes:
        function: the function it is.
        interface: its INTERFACE_ID.
        report: the verified interface report.
        lock_msix: the MSI-X table was locked.
    """

    function: Function
    interface: InterfaceId
    report: InterfaceReport
    lock_msix: bool
    nonce: Secret | None = field(repr=False, default=None)


class Tsm:
    """One TSM that serves one device.

    Args:
        policy: what it trusts.
        rng: source of random bytes.
        observe: called with (step, detail) as a verb goes on, for people.
        carries: what the way to the device carries; what it does not is skipped, and said so.
        on_message: given to the session (`spdm_flow.Session.on_message`).
    """

    does_discovery = True
    """DOE Discovery before SPDM; False where the owner of the mailbox has done it."""

    def __init__(self, policy: TsmPolicy, rng: Rng, observe: Observer | None = None,
                 carries: Capabilities = BOARD,
                 on_message: Callable[[bool, bytes], None] | None = None) -> None:
        self.policy = policy
        self.carries = carries
        self.functions: list[Function] = []
        self.mailbox: DoeMailbox | None = None
        self.session: Session | None = None
        self.chain: VerifiedChain | None = None
        self.slot = 0
        self.attestation: Attestation | None = None
        self.block: StreamBlock | None = None
        self.tdis: dict[int, BoundTdi] = {}
        self._rng = rng
        self.on_exchange: Exchanged | None = None
        self._on_message = on_message
        self._observe = observe or (lambda step, detail: None)

    # ---- discovery -------------------------------------------------------------------------------
    def discover(self, bus: int = 1, window: int = BAR_WINDOW,
                 window_bytes: int | None = None) -> Steps[list[Function]]:
        """Enumerate the device on `bus`, place its BARs in the window, find the mailbox.

        Raises:
            LocalError: the window is too small.
            PeerError: no DOE or IDE capability in function 0, or no TEE-IO function.
        """
        self.functions = yield from enumerate_device(bus, window=window,
                                                     window_bytes=window_bytes)
        first = self.functions[0]
        for identity, name in ((ECAP_DOE, "DOE"), (ECAP_IDE, "IDE")):
            if identity not in first.ecaps:
                raise PeerError(f"function 0 has no {name} capability",
                                clause="PCIe Base 6.30, 6.33")
        self.mailbox = DoeMailbox(bdf=first.bdf, offset=first.ecaps[ECAP_DOE])
        # A host that died may have left part of an object there, which no status bit shows.
        yield from self.mailbox.abort()
        for function in self.functions:
            self._observe("function", f"{bdf_name(function.bdf)} {function.vendor:04x}:"
                          f"{function.device:04x} BAR0 {function.bar0:#x} size"
                          f" {function.bar0_size:#x}{' TEE-IO' if function.tee_io else ''}")
        return self.functions

    def tdi_function(self, tdi: int) -> Function:
        """The function of TDI number `tdi` (TDI 0 is function 1).

        Raises:
            LocalError: there is none.
        """
        for function in self.functions:
            if function.number == tdi + 1 and function.tee_io:
                return function
        raise LocalError(f"the device has no TDI {tdi}")

    def tdi_numbers(self) -> list[int]:
        """Numbers of the TDIs that there are."""
        return [f.number - 1 for f in self.functions if f.tee_io and f.number > 0]

    # ---- connect ---------------------------------------------------------------------------------
    def connect(self) -> Steps[None]:
        """Attest the device, open a session, key the stream until both ends are Secure.

        Raises:
            LocalError: already connected, or not discovered.
            PeerError: the device failed a check; nothing of it is trusted afterwards.
        """
        if self.session is not None:
            self._session()  # says so if it is dead
            raise LocalError("already connected: run `teeio disconnect` first")
        if not self.functions:
            raise LocalError("discover the device first")
        try:
            yield from self._attest()
            yield from self._key_stream()
        except TsmError:
            yield from self._close_quietly()
            raise

    def _attest(self) -> Steps[None]:
        identity = (yield from self._identity()) if self.carries.config else None
        requester = yield from spdm_flow.connect(self.policy.requester, self._rng,
                                                 discovery=self.does_discovery,
                                                 on_exchange=self.on_exchange)
        suite = requester.suite
        self._observe("SPDM", f"version {suite.version >> 4}.{suite.version & 15},"
                      f" {suite.base_asym.name}, {suite.base_hash.name}, {suite.dhe.name}")
        policy = ChainPolicy(
            roots=self.policy.roots, at=self.policy.at,
            require_responder_eku=self.policy.require_leaf_roles,
            require_hardware_identity=self.policy.require_leaf_roles,
            expected_pcie=identity if self.policy.require_pcie_identity else None)
        self.slot, self.chain = yield from spdm_flow.authenticate(requester, policy)
        self._observe("identity", f"slot {self.slot}: {self.chain.dmtf_name}")
        self.session = yield from spdm_flow.open_session(requester, self.slot)
        self.session = replace(self.session, on_message=self._on_message)
        self._observe("session", f"{self.session.spdm.session_id:#010x} established")
        attestation = yield from self.session.measure(
            self.policy.references, allow_unreferenced=self.policy.allow_unreferenced)
        for verdict in attestation.verdicts:
            good = "as expected" if verdict.index in self.policy.references else (
                "signed, no reference to compare with")
            self._observe("measurement", f"block {verdict.index}:"
                          f" {good if verdict.is_match else verdict.reason}")
        if not attestation.is_good:
            bad = [f"block {v.index}: {v.reason}" for v in attestation.verdicts if not v.is_match]
            raise PeerError("measurements differ from the reference values: "
                            + ("; ".join(bad) or "no reference values were given"),
                            clause="DSP0274 10.11")
        self.attestation = attestation

    def _identity(self) -> Steps[PcieIdentity]:
        first = self.functions[0]
        subsystem = yield from cfg_read(first.bdf, 0x2C)
        serial = 0
        if ECAP_SERIAL in first.ecaps:
            at = first.ecaps[ECAP_SERIAL]
            low = yield from cfg_read(first.bdf, at + 4)
            high = yield from cfg_read(first.bdf, at + 8)
            serial = high << 32 | low
        return PcieIdentity(
            vendor_id=first.vendor, device_id=first.device, class_code=first.class_code,
            revision=first.revision, subsystem_vendor_id=subsystem & 0xFFFF,
            subsystem_id=subsystem >> 16, serial_number=serial)

    def _key_stream(self) -> Steps[None]:
        session, first = self._session(), self.functions[0]
        stream_id = self.policy.stream_id
        self.block = yield from find_block(first.bdf, first.ecaps[ECAP_IDE])
        control = yield from set_up_block(first.bdf, self.block, stream_id)
        answer = yield from ide_km.query(session, self.policy.port_index)
        if answer.bus << 8 | answer.dev_func != first.bdf:
            raise PeerError(f"QUERY_RESP names {bdf_name(answer.bus << 8 | answer.dev_func)},"
                            f" the device is {bdf_name(first.bdf)}", clause="PCIe Base 6.33.3")
        yield from self._port_stream(enable=True)
        yield from self._program_keys()
        yield from cfg_write(first.bdf, self.block.control, control | CONTROL_ENABLE)
        state = yield from self.stream_state()
        if state != STATE_SECURE or not (yield from self._port_secure()):
            raise PeerError(f"stream {stream_id} is in state {state} after Enable, not Secure",
                            clause="PCIe Base 6.33.2")
        self._observe("IDE", f"stream {stream_id} Secure at"
                      f" {'both ends' if self.carries.ide else 'the device'}")

    def _program_keys(self) -> Steps[None]:
        """Six fresh keys at both ends, and K_SET_GO."""
        session, stream_id = self._session(), self.policy.stream_id
        port_index = self.policy.port_index
        keys = {(direction, sub): Secret(self._rng(KEY_BYTES))
                for direction in KeyDirection for sub in SubStream}
        try:
            self._log_keys(keys)
            yield from ide_km.program_stream(session, stream_id, 0, keys, port_index=port_index)
            self._observe("IDE_KM", f"stream {stream_id}: six keys programmed")
            # Receivers first, on both ports; the device's Rx is our Tx.
            yield from self._port_keys(keys, is_tx=False)
            yield from ide_km.go_direction(session, stream_id, 0, KeyDirection.RX,
                                           port_index=port_index)
            yield from self._port_keys(keys, is_tx=True)
            yield from ide_km.go_direction(session, stream_id, 0, KeyDirection.TX,
                                           port_index=port_index)
        finally:
            for key in keys.values():
                key.wipe()

    def _log_keys(self, keys: Mapping[tuple[KeyDirection, SubStream], Secret]) -> None:
        log = self.policy.requester.lab_log
        if log is not None:
            for (direction, sub), key in keys.items():
                info = KeyInfo(key_set=0, direction=direction, sub_stream=sub)
                log.ide_key(self.policy.stream_id, info, key)

    def _port_stream(self, *, enable: bool) -> Steps[None]:
        """The root port's end of the stream, where there is one."""
        if self.carries.ide:
            yield PortStream(self.policy.stream_id, self.functions[0].bdf, enable)
        elif enable:
            self._observe("skipped", "the host's end of the stream: no TLPs go this way")

    def _port_secure(self) -> Steps[bool]:
        if not self.carries.ide:
            return True
        return bool((yield PortSecure(self.policy.stream_id)))

    def _port_keys(self, keys: Mapping[tuple[KeyDirection, SubStream], Secret], *,
                   is_tx: bool) -> Steps[None]:
        if not self.carries.ide:
            return
        device = KeyDirection.RX if is_tx else KeyDirection.TX
        for sub in SubStream:
            yield PortKey(self.policy.stream_id, is_tx, int(sub), 0, keys[device, sub].reveal(),
                          True)

    def stream_state(self) -> Steps[int]:
        """State field of the device's stream status: 0 Insecure, 2 Secure."""
        if self.block is None:
            raise LocalError("no stream is set up: connect first")
        status = yield from cfg_read(self.functions[0].bdf, self.block.status)
        return status & 0xF

    # ---- bind, start, unbind ---------------------------------------------------------------------
    def bind(self, tdi: int, *, lock_msix: bool = False) -> Steps[BoundTdi]:
        """Lock a TDI and verify its interface report; ends in CONFIG_LOCKED.

        Raises:
            LocalError: not connected, or already bound.
            PeerError: the device failed a check; the TDI is stopped again.
        """
        session, function = self._session(), self.tdi_function(tdi)
        if tdi in self.tdis:
            raise LocalError(f"TDI {tdi} is bound already: unbind it first")
        interface = InterfaceId(function_id=function.bdf)
        yield from tdisp.version(session, interface)
        capabilities = yield from tdisp.capabilities(session, interface)
        state = yield from tdisp.state(session, interface)
        if state is not TdiState.CONFIG_UNLOCKED:
            raise PeerError(f"TDI {tdi} is in {state.name}, not CONFIG_UNLOCKED: unbind it first",
                            clause="PCIe Base 11.2")
        flags = LockFlag.NO_FW_UPDATE | (LockFlag.LOCK_MSIX if lock_msix else LockFlag(0))
        nonce = yield from tdisp.lock(session, interface, stream_id=self.policy.stream_id,
                                      flags=flags & capabilities.lock_flags)
        try:
            report = yield from tdisp.report(session, interface)
            self._check_report(function, report, lock_msix)
            yield from self._expect_state(interface, TdiState.CONFIG_LOCKED)
        except TsmError:
            nonce.wipe()
            yield from self._stop_quietly(interface)
            raise
        bound = BoundTdi(function, interface, report, lock_msix, nonce)
        self.tdis[tdi] = bound
        self._observe("bind", f"TDI {tdi} CONFIG_LOCKED, {len(report.ranges)} ranges reported")
        return bound

    def _check_report(self, function: Function, report: InterfaceReport, lock_msix: bool) -> None:
        clause = "PCIe Base 11.3.11"
        first, last = function.bar0 >> 12, function.bar0 + function.bar0_size >> 12
        seen: set[int] = set()
        for item in report.ranges:
            pages = range(item.first_page, item.first_page + item.pages)
            if item.range_id != 0 or not (first <= pages.start and pages.stop <= last):
                raise PeerError(f"range {item.first_page:#x}+{item.pages} is outside BAR0",
                                clause=clause, data=report.encode())
            if seen & set(pages):
                raise PeerError(f"range {item.first_page:#x} overlaps another", clause=clause,
                                data=report.encode())
            seen |= set(pages)
        if first not in seen:
            raise PeerError("the first page of BAR0 is not reported", clause=clause,
                            data=report.encode())
        reported = any(r.attributes & RangeAttribute.MSIX_TABLE for r in report.ranges)
        if lock_msix and not reported:
            raise PeerError("LOCK_MSIX was asked for, but no MSI-X table is reported",
                            clause=clause, data=report.encode())

    def start(self, tdi: int) -> Steps[None]:
        """START_INTERFACE: CONFIG_LOCKED to RUN.

        Raises:
            LocalError: the TDI is not bound, or was started already.
        """
        session, bound = self._session(), self._bound(tdi)
        if bound.nonce is None:
            raise LocalError(f"TDI {tdi} was started already: unbind it first")
        try:
            yield from tdisp.start(session, bound.interface, bound.nonce)
        finally:
            bound.nonce.wipe()
            bound.nonce = None
        yield from self._expect_state(bound.interface, TdiState.RUN)
        self._observe("start", f"TDI {tdi} RUN")

    def unbind(self, tdi: int) -> Steps[None]:
        """STOP_INTERFACE: whatever state, to CONFIG_UNLOCKED; work memory is erased by hardware.

        With a dead session nothing can be asked of the device. The stream is disabled instead,
        which sends every TDI on it to ERROR and erases it, and the TDI is forgotten here.

        Raises:
            LocalError: not connected, or there is no such TDI.
            PeerError: the device did not stop the TDI, in a session that lives on.
            TransportError: the stream could not be disabled after the session had died.
        """
        interface = InterfaceId(function_id=self.tdi_function(tdi).bdf)
        if self.session is None:
            self._session()
        if not self.is_dead:
            try:
                yield from tdisp.stop(self._session(), interface)
                yield from self._expect_state(interface, TdiState.CONFIG_UNLOCKED)
            except TsmError as error:
                if not self.is_dead:
                    raise
                self._observe("warning", f"the session died: {error}")
        if self.is_dead:
            yield from self._drop_stream()
            self._observe("warning", f"TDI {tdi} could not be stopped in a dead session; its stream"
                          " was disabled. Run `teeio disconnect`, connect again, then unbind it")
        bound = self.tdis.pop(tdi, None)
        if bound is not None and bound.nonce is not None:
            bound.nonce.wipe()
        if not self.is_dead:
            self._observe("unbind", f"TDI {tdi} CONFIG_UNLOCKED")

    def tdi_state(self, tdi: int) -> Steps[TdiState]:
        """GET_DEVICE_INTERFACE_STATE of a TDI."""
        interface = InterfaceId(function_id=self.tdi_function(tdi).bdf)
        return (yield from tdisp.state(self._session(), interface))

    # ---- disconnect ------------------------------------------------------------------------------
    def disconnect(self) -> Steps[None]:
        """Unbind every TDI, stop and disable the stream at both ends, end the session.

        Afterwards nothing is left on the host, whatever the device does: if the session is dead,
        or dies on the way, a warning says so and the stream is disabled without asking.

        Raises:
            LocalError: not connected.
        """
        if self.session is None:
            self._session()
        if self.is_dead:
            self._observe("warning", "the session is dead: only the host's side is taken down")
            yield from self._close_quietly()
            return
        try:
            for tdi in list(self.tdis):
                yield from self.unbind(tdi)
            yield from self._stop_stream()
            yield from self._session().end()
        except TsmError as error:
            self._observe("warning", f"the device did not follow: {error}")
            yield from self._close_quietly()
            return
        self._forget()
        self._observe("disconnect", "stream disabled, session ended")

    def _stop_stream(self) -> Steps[None]:
        """K_SET_STOP and teardown of a stream that is set up."""
        if self.block is not None:
            yield from ide_km.stop_stream(self._session(), self.policy.stream_id, 0,
                                          port_index=self.policy.port_index)
            yield from self._drop_stream()

    def abandon(self) -> Steps[None]:
        """Take everything down, with the device or without it; never raises for its silence."""
        yield from self._close_quietly()

    def _drop_stream(self) -> Steps[None]:
        # The host's end first: it cannot fail, and keys are gone whatever the device does.
        yield from self._port_stream(enable=False)
        if self.block is not None:
            yield from cfg_write(self.functions[0].bdf, self.block.control, 0)

    def _close_quietly(self) -> Steps[None]:
        """After a failure: take down what was set up, whatever still answers."""
        for interface in [bound.interface for bound in self.tdis.values()]:
            yield from self._stop_quietly(interface)
        try:
            yield from self._drop_stream()
            if self.session is not None and not self.is_dead:
                yield from self.session.end()
        except TsmError as error:
            self._observe("warning", f"{error}; reset the device before using it")
        self._forget()

    def _stop_quietly(self, interface: InterfaceId) -> Steps[None]:
        if self.session is None or self.is_dead:
            return
        try:
            yield from tdisp.stop(self.session, interface)
        except (PeerError, TransportError, LocalError):
            self._observe("warning", "STOP_INTERFACE failed; reset the device before using it")

    def _forget(self) -> None:
        if self.session is not None:
            self.session.requester.close()
        for bound in self.tdis.values():
            if bound.nonce is not None:
                bound.nonce.wipe()
        self.tdis.clear()
        self.session = self.chain = self.attestation = self.block = None

    def _expect_state(self, interface: InterfaceId, expected: TdiState) -> Steps[None]:
        state = yield from tdisp.state(self._session(), interface)
        if state is not expected:
            raise PeerError(f"the TDI is in {state.name}, not {expected.name}",
                            clause="PCIe Base 11.2")

    @property
    def is_dead(self) -> bool:
        """There is a session, but it can carry nothing any more; `disconnect` clears it away."""
        return self.session is not None and self.session.spdm.phase in (
            SpdmPhase.DEAD, SpdmPhase.CLOSED)

    def _session(self) -> Session:
        if self.session is None:
            raise LocalError("not connected: run `teeio connect` first")
        if self.is_dead:
            raise LocalError("the session is dead: run `teeio disconnect`, then connect again")
        return self.session

    def _bound(self, tdi: int) -> BoundTdi:
        if tdi not in self.tdis:
            raise LocalError(f"TDI {tdi} is not bound: run `teeio bind` first")
        return self.tdis[tdi]
