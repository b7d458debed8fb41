# SPDX-License-Identifier: Apache-2.0
"""What the cases of a run share: the device found, the connection, the session, one TDI.

Sans-I/O: every method is a generator of operations. A session that lives is used again; a case
that breaks it says so by `forget`, or it is noticed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from teeio.conformance.ladder import Ladder
from teeio.conformance.model import SkipCase
from teeio.core import ide_km, spdm_flow, tdisp
from teeio.core.capabilities import Capabilities
from teeio.core.certificates import ChainPolicy
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.enumerate import (
    COMMAND_BME,
    COMMAND_MSE,
    ECAP_DOE,
    ECAP_IDE,
    Function,
    enumerate_device,
)
from teeio.core.ops import DoeExchange, PortKey, PortStream, Steps, cfg_read, cfg_write
from teeio.core.secret import Secret
from teeio.core.spdm_context import SpdmPhase
from teeio.core.spdm_crypto import Suite
from teeio.core.spdm_flow import Session
from teeio.core.spdm_requester import RequesterConfig, SpdmRequester
from teeio.core.spdm_session import SpdmSession
from teeio.core.stream_block import CONTROL_ENABLE, StreamBlock, find_block, set_up_block
from teeio.errors import LocalError, PeerError, PeerRefused, TransportError, TsmError
from teeio.wire.doe import PCI_SIG_VENDOR_ID, DoeObject, DoeType
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream
from teeio.wire.spdm_base import ErrorCode, Layout
from teeio.wire.spdm_connection import Algorithms, Version
from teeio.wire.spdm_connection import Capabilities as DeviceCapabilities
from teeio.wire.spdm_vendor import VendorDefinedRequest
from teeio.wire.tdisp import InterfaceId, TdiState

Tamper = Callable[[bytes], list[bytes]]
KEY_BYTES: Final = 32
ALL_KEYS: Final = tuple((direction, sub) for direction in KeyDirection for sub in SubStream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a run trusts and assumes of the device.

    Attributes:
        roots: trusted root certificates, DER.
        at: time at which certificates must be valid (timezone-aware).
        require_leaf_roles: the leaf must carry the responder EKU and the hardware identity.
        stream_id: Stream ID to configure (or that stands in the device, without config).
        tdi: number of the TDI under test; TDI 0 is function 1.
        interface: FUNCTION_ID of it where there is no configuration space.
        port_index: of IDE_KM.
        bus: bus number of the device.
        is_validator: where the public record disagrees, accept only what tee-io-validator does.
    """

    roots: tuple[bytes, ...]
    at: datetime
    require_leaf_roles: bool = True
    stream_id: int = 1
    tdi: int = 0
    interface: int = 0x0101
    port_index: int = 0
    bus: int = 1
    is_validator: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An SPDM message as it came, or silence."""

    message: bytes | None

    @property
    def code(self) -> int | None:
        """Request/response code, None for silence."""
        return self.message[1] if self.message and len(self.message) >= 4 else None

    @property
    def error(self) -> int | None:
        """Param1 of ERROR; None for anything else."""
        return self.message[2] if self.message and self.code == 0x7F else None

    @property
    def payload(self) -> bytes | None:
        """Payload of a PCI-SIG VENDOR_DEFINED_RESPONSE whose length agrees; else None."""
        data = self.message or b""
        if len(data) < 11 or data[1] != 0x7E:
            return None
        standard, vendor_length, vendor, length = struct.unpack_from("<HBHH", data, 4)
        if (standard, vendor_length, vendor, length) != (3, 2, 1, len(data) - 11):
            return None
        return data[11:]

    def __str__(self) -> str:
        if self.message is None:
            return "no answer"
        if self.error is not None:
            known = tuple(ErrorCode)
            name = ErrorCode(self.error).name if self.error in known else f"{self.error:#04x}"
            return f"ERROR {name}, data {self.message[3]:#04x}"
        return self.message[:64].hex()


@dataclass(slots=True)
class Bench:
    """See the module.

    Attributes:
        rng: source of random bytes; the runner replaces it for each case.
        ladder: of the case that runs.
        functions: found by `prepare`, empty without a configuration space.
        nonce: start nonce of the TDI while it is CONFIG_LOCKED.
        reset_target: resets the target; it performs no operation of its own program.
        set_tamper: sets or ends an attack on TLPs, where the target allows it.
    """

    profile: Profile
    carries: Capabilities
    rng: Callable[[int], bytes]
    ladder: Ladder = field(default_factory=Ladder)
    functions: list[Function] = field(default_factory=list)
    mailbox: DoeMailbox | None = None
    nonce: bytes = field(default=b"", repr=False)
    reset_target: Callable[[], None] | None = None
    set_tamper: Callable[[Tamper | None], None] | None = None
    _session: Session | None = None
    _block: StreamBlock | None = None
    _is_keyed: bool = False
    _touched_tdi: bool = False

    # ---- the device ------------------------------------------------------------------------------
    def prepare(self) -> Steps[None]:
        """Enumerates, where there is a configuration space."""
        if not self.carries.config:
            return
        self.functions = yield from enumerate_device(self.profile.bus)
        first = self.functions[0]
        if ECAP_DOE not in first.ecaps:
            raise PeerError("function 0 has no DOE capability", clause="PCIe Base 6.30")
        self.mailbox = DoeMailbox(bdf=first.bdf, offset=first.ecaps[ECAP_DOE])
        if self.carries.mmio:
            yield from self.mailbox.abort()

    @property
    def function(self) -> Function:
        """The function of the TDI under test.

        Raises:
            SkipCase: there is none.
        """
        for function in self.functions:
            if function.number == self.profile.tdi + 1 and function.tee_io:
                return function
        raise SkipCase(f"no function {self.profile.tdi + 1} with TEE-IO Supported was found")

    @property
    def interface(self) -> InterfaceId:
        """INTERFACE_ID of the TDI under test."""
        return InterfaceId(function_id=self.function.bdf if self.functions
                           else self.profile.interface)

    def new_case(self, rng: Callable[[int], bytes]) -> Ladder:
        """Starts a new ladder with new randomness."""
        self.rng, self.ladder = rng, Ladder()
        if self._session is not None:
            self.ladder.layout = _layout(self._session.spdm.start.suite)
        return self.ladder

    # ---- DOE and plain SPDM ----------------------------------------------------------------------
    def doe(self, request: bytes) -> Steps[bytes | None]:
        """A whole data object and the whole answer; None if none comes."""
        try:
            answer = yield DoeExchange(request)
        except TransportError:
            return None
        if not isinstance(answer, bytes):
            raise LocalError("the driver gave no bytes for a DOE exchange")
        return answer

    def _object(self, object_type: int, message: bytes) -> Steps[bytes | None]:
        answer = yield from self.doe(DoeObject.wrap(object_type, message).encode())
        if answer is None:
            return None
        header, length = struct.unpack_from("<II", answer.ljust(8, b"\0"))
        if header != PCI_SIG_VENDOR_ID | object_type << 16 or 4 * length != len(answer):
            raise PeerError(f"answer object {header:#010x} of {length} DWs",
                            clause="PCIe Base 6.30.1", data=answer)
        return answer[8:]

    def object_ignored(self, object_type: int, message: bytes) -> Steps[None]:
        """Sends an object; whatever comes back, if anything, does not matter."""
        self.ladder.remark(f"an object of type {object_type}, {len(message)} bytes")
        yield from self.doe(DoeObject.wrap(object_type, message).encode())

    def doe_secured(self, record: bytes) -> Steps[bytes | None]:
        """A secured record that was sealed before; None for silence, else what came, unopened."""
        self.ladder.remark(f"a secured record of {len(record)} bytes")
        answer = yield from self._object(DoeType.SECURED_SPDM, record)
        self.ladder.remark("no answer" if answer is None else f"an answer of {len(answer)} bytes")
        return answer

    def plain(self, message: bytes) -> Steps[Reply]:
        """Any bytes as an SPDM message outside of a session; up to 3 pad bytes may follow."""
        self.ladder.message(True, "SPDM", message)
        answer = yield from self._object(DoeType.SPDM, message)
        self.ladder.message(False, "SPDM", answer)
        return Reply(answer)

    def secured(self, message: bytes, spdm: SpdmSession | None = None) -> Steps[Reply]:
        """Any bytes as a message inside of a session (the shared one, or `spdm`)."""
        if spdm is None:
            spdm = (yield from self.session()).spdm
        self.ladder.message(True, "secured SPDM", message)
        answer = yield from self._object(DoeType.SECURED_SPDM, spdm.seal_raw(message))
        plain = None if answer is None else spdm.open_raw(answer)
        self.ladder.message(False, "secured SPDM", plain)
        return Reply(plain)

    def vendor(self, payload: bytes, spdm: SpdmSession | None = None) -> Steps[Reply]:
        """A PCI-SIG VENDOR_DEFINED request with any payload, in a session."""
        if spdm is None:
            spdm = (yield from self.session()).spdm
        request = VendorDefinedRequest(version=spdm.version, payload=payload)
        return (yield from self.secured(request.encode(), spdm))

    # ---- connection and session ------------------------------------------------------------------
    def connection(self, version: int | None = None,
                   phase: SpdmPhase = SpdmPhase.NEGOTIATED) -> Steps[SpdmRequester]:
        """GET_VERSION and what follows up to `phase`. Every session dies.

        Raises:
            SkipCase: the device does not speak `version`.
        """
        yield from self.settle()
        self.forget()
        versions = (0x13, 0x12) if version is None else (version,)
        requester = SpdmRequester(RequesterConfig(versions=versions), self.rng)
        requester.on_exchange = self._on_exchange
        if phase is SpdmPhase.NOT_STARTED:
            return requester
        try:
            yield from spdm_flow.exchange(requester, requester.get_version(), Version)
        except PeerError as error:
            if version is not None and "no common SPDM version" in error.reason:
                raise SkipCase(f"the device does not speak SPDM {version >> 4}.{version & 15}"
                               ) from None
            raise
        if phase is SpdmPhase.AFTER_VERSION:
            return requester
        yield from spdm_flow.exchange(requester, requester.get_capabilities(), DeviceCapabilities)
        if phase is SpdmPhase.AFTER_CAPABILITIES:
            return requester
        yield from spdm_flow.exchange(requester, requester.negotiate_algorithms(), Algorithms)
        self.ladder.layout = _layout(requester.suite)
        return requester

    def authenticated(self, version: int | None = None) -> Steps[tuple[SpdmRequester, int]]:
        """A connection whose chain was verified, and the slot of the chain."""
        requester = yield from self.connection(version)
        slot, _ = yield from spdm_flow.authenticate(requester, self.chain_policy)
        return requester, slot

    @property
    def chain_policy(self) -> ChainPolicy:
        """What a certificate chain must satisfy."""
        p = self.profile
        return ChainPolicy(roots=p.roots, at=p.at, require_responder_eku=p.require_leaf_roles,
                           require_hardware_identity=p.require_leaf_roles)

    def session(self) -> Steps[Session]:
        """The shared session in its application phase; a new one if it is gone."""
        if self._session is None or self._session.spdm.phase is not SpdmPhase.APPLICATION:
            self._session = yield from self.new_session()
        return self._session

    def new_session(self, version: int | None = None) -> Steps[Session]:
        """A new connection and a new session on it, which becomes the shared one."""
        requester, slot = yield from self.authenticated(version)
        self._session = yield from spdm_flow.open_session(requester, slot)
        return self._session

    def second_session(self) -> Steps[Session]:
        """One more session on the connection of the shared one.

        Raises:
            SkipCase: the device holds one session only.
        """
        first = yield from self.session()
        try:
            return (yield from spdm_flow.open_session(first.requester, first.spdm.start.slot))
        except PeerRefused as refused:
            if refused.wire_code == ErrorCode.SESSION_LIMIT_EXCEEDED:
                raise SkipCase("the device holds one session only") from None
            raise

    def forget(self) -> None:
        """Gives up the shared session on this side; the device is not asked."""
        if self._session is not None:
            self._session.requester.close()
        self._session = None
        self._is_keyed = False
        self.nonce = b""

    def _on_exchange(self, request: bytes, response: bytes) -> None:
        self.ladder.message(True, "SPDM", request)
        self.ladder.message(False, "SPDM", response)

    # ---- stream ----------------------------------------------------------------------------------
    def block(self) -> Steps[StreamBlock]:
        """The selective stream block under test."""
        if self._block is None:
            first = self.functions[0]
            if ECAP_IDE not in first.ecaps:
                raise SkipCase("function 0 has no IDE capability")
            self._block = yield from find_block(first.bdf, first.ecaps[ECAP_IDE])
        return self._block

    def idle_stream(self) -> Steps[None]:
        """TDI stopped, every key stopped, the stream's registers written with Enable clear."""
        session = yield from self.session()
        yield from self.stop_tdi()
        self._is_keyed = False
        for key_set in (0, 1):
            yield from ide_km.stop_stream(session, self.profile.stream_id, key_set,
                                          port_index=self.profile.port_index)
        if self.carries.ide:
            yield PortStream(self.profile.stream_id, self.functions[0].bdf, False)
        if self.functions:
            block = yield from self.block()
            yield from set_up_block(self.functions[0].bdf, block, self.profile.stream_id)

    def keyed_stream(self) -> Steps[None]:
        """The stream Secure with key set 0, its keys from the shared session."""
        session = yield from self.session()
        if self._is_keyed:
            return
        yield from self.idle_stream()
        p = self.profile
        keys = {item: Secret(self.rng(KEY_BYTES)) for item in ALL_KEYS}
        if self.carries.ide:
            yield PortStream(p.stream_id, self.functions[0].bdf, True)
        yield from ide_km.program_stream(session, p.stream_id, 0, keys, port_index=p.port_index)
        for direction in (KeyDirection.RX, KeyDirection.TX):
            if self.carries.ide:  # receivers first: the port's Rx is the device's Tx
                is_tx = direction is KeyDirection.TX
                device = KeyDirection.RX if is_tx else KeyDirection.TX
                for sub in SubStream:
                    yield PortKey(p.stream_id, is_tx, int(sub), 0, keys[device, sub].reveal(), True)
            yield from ide_km.go_direction(session, p.stream_id, 0, direction,
                                           port_index=p.port_index)
        if self.functions:
            yield from self.enable_stream()
        self._is_keyed = True

    def enable_stream(self) -> Steps[None]:
        """Sets Enable of the stream block."""
        block = yield from self.block()
        control = yield from cfg_read(self.functions[0].bdf, block.control)
        yield from cfg_write(self.functions[0].bdf, block.control, control | CONTROL_ENABLE)

    def stream_state(self) -> Steps[int]:
        """State field of the stream status register: 0 Insecure, 2 Secure."""
        block = yield from self.block()
        return (yield from cfg_read(self.functions[0].bdf, block.status)) & 0xF

    def lose_stream(self) -> None:
        """Says that the case has left the stream as it should not stay."""
        self._is_keyed = False

    # ---- TDI -------------------------------------------------------------------------------------
    def stop_tdi(self) -> Steps[None]:
        """STOP_INTERFACE from whatever state; some devices refuse it where nothing is to stop."""
        session = yield from self.session()
        try:
            yield from tdisp.stop(session, self.interface)
        except PeerRefused:
            if (yield from tdisp.state(session, self.interface)) is not TdiState.CONFIG_UNLOCKED:
                raise
        self.nonce, self._touched_tdi = b"", False

    def tdi_in(self, state: TdiState, *, flags: int = 0, offset: int = 0) -> Steps[None]:
        """The TDI in `state`, locked by the shared session on a Secure stream."""
        yield from self.stop_tdi()
        if state is TdiState.CONFIG_UNLOCKED:
            return
        yield from self.keyed_stream()
        session = yield from self.session()
        self._touched_tdi = True
        nonce = yield from tdisp.lock(session, self.interface, stream_id=self.profile.stream_id,
                                      flags=flags, mmio_reporting_offset=offset)
        self.nonce = nonce.reveal()
        if state is TdiState.RUN:
            yield from tdisp.start(session, self.interface, nonce)
        elif state is TdiState.ERROR:
            yield from self.break_tdi()

    def touch(self) -> None:
        """Says that the case may leave the TDI locked."""
        self._touched_tdi = True

    def break_tdi(self) -> Steps[None]:
        """Moves a locked TDI to ERROR: Bus Master Enable, or without registers a stopped key."""
        if self.functions:
            yield from cfg_write(self.function.bdf, 4, COMMAND_MSE)
            yield from cfg_write(self.function.bdf, 4, COMMAND_MSE | COMMAND_BME)
            return
        yield from self.stop_one_key()

    def stop_one_key(self) -> Steps[None]:
        """K_SET_STOP of Rx PR, key set 0: the stream is Insecure afterwards."""
        session = yield from self.session()
        info = KeyInfo(key_set=0, direction=0, sub_stream=0)
        yield from ide_km.key_set_stop(session, self.profile.stream_id, info,
                                       port_index=self.profile.port_index)
        self._is_keyed = False

    @contextmanager
    def tampering(self, attack: Tamper) -> Iterator[None]:
        """Hands every TLP to the device to `attack`, which gives what is sent instead.

        Raises:
            SkipCase: the target does not let the suite stand on the link.
        """
        if self.set_tamper is None:
            raise SkipCase("the target does not let the suite change TLPs")
        self.set_tamper(attack)
        try:
            yield
        finally:
            self.set_tamper(None)

    def restore(self) -> Steps[None]:
        """Enumerates again: BARs and Command as they were, whatever a case wrote."""
        yield from self.prepare()

    def reset(self) -> Steps[None]:
        """Conventional reset, then enumeration; sessions and keys are gone."""
        if self.reset_target is None:
            raise SkipCase("the runner gave no way to reset the target")
        self.ladder.remark("conventional reset")
        self.reset_target()
        self.forget()
        self._touched_tdi = False
        yield from self.prepare()

    def settle(self) -> Steps[None]:
        """After a case: stops the TDI if it was locked; gives the session up if that fails."""
        session = self._session
        if session is None or session.spdm.phase is not SpdmPhase.APPLICATION:
            self._session, self._is_keyed = None, False
            return
        if self._touched_tdi:
            try:
                yield from self.stop_tdi()
            except TsmError as error:
                self.ladder.remark(f"STOP after the case: {error}")
                self.forget()


def _layout(suite: Suite) -> Layout:
    return Layout(hash_size=suite.hash_size, signature_size=suite.signature_size,
                  exchange_size=suite.exchange_size)
