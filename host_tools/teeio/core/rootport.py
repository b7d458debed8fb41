# SPDX-License-Identifier: Apache-2.0
"""Root port: turns accesses into TLPs, TLPs into accesses, and holds the host's half of IDE.

Sans-I/O. `begin` starts an operation and returns the wire bytes to send; `receive` digests the wire
bytes of one arriving TLP and returns what must be sent in answer. Interrupts, error messages and
everything the device should not have done are recorded in `events`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from teeio.core.ide import IdeCheckFailed, IdeFault, IdeStream, fail_stream_id, make_fail
from teeio.core.memory import MSI_BASE, MSI_LIMIT, HostMemory
from teeio.core.ops import CfgRead, CfgWrite, MemRead, MemWrite
from teeio.errors import DecodeError, LocalError
from teeio.wire import tlp as t
from teeio.wire.tlp import CplStatus, MessageCode, Tlp, TlpClass

READ_CHUNK = 256
NUM_TAGS = 32


class EventKind(Enum):
    """What a `PortEvent` tells."""

    INTERRUPT = "interrupt"
    ERROR_MESSAGE = "error message"
    IDE_CHECK_FAILED = "IDE check failed at the root port"
    IDE_FAIL_RECEIVED = "IDE Fail message received"
    REFUSED = "device request refused"
    UNEXPECTED = "unexpected TLP"


@dataclass(frozen=True, slots=True)
class PortEvent:
    """Something the device did on its own.

    Attributes:
        kind: what.
        requester_id: function that sent it (0 if unknown).
        detail: one line for a person.
        value: interrupt data, message code, or Stream ID.
        t_bit: T of the TLP.
        protected: it came as an IDE TLP.
        reason: what the access checker said, if it refused.
    """

    kind: EventKind
    requester_id: int
    detail: str
    value: int = 0
    t_bit: bool = False
    protected: bool = False
    reason: Enum | None = None


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """One memory request of a device, as it stands in the TLP.

    Attributes:
        requester_id: Requester ID.
        address: first byte, DW aligned.
        length: bytes, whole DWs.
        is_write: MWr rather than MRd.
        t_bit: T of the IDE prefix; False without one.
        stream_id: the stream it came on and passed the checks of; None without IDE.
    """

    requester_id: int
    address: int
    length: int
    is_write: bool
    t_bit: bool
    stream_id: int | None


class AccessChecker(Protocol):
    """Stands between a root port and memory: root-port rules, IOMMU, page tables of a platform."""

    def check(self, access: DeviceAccess) -> Enum | None:
        """None lets the request through to memory, anything else is why it was refused."""


@dataclass(slots=True)
class Ticket:
    """An operation in flight.

    Attributes:
        done: every completion has arrived.
        status: worst completion status (`CplStatus`).
        data: bytes read, in address order.
        fault: why a completion was not taken, if so.
    """

    outstanding: int = 0
    done: bool = False
    status: int = CplStatus.SC
    fault: str = ""
    parts: dict[int, bytearray] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """Bytes read, in address order."""
        return b"".join(bytes(self.parts[k]) for k in sorted(self.parts))


@dataclass(slots=True)
class _Pending:
    ticket: Ticket
    order: int
    left: int
    stream_id: int | None


PortOp = CfgRead | CfgWrite | MemRead | MemWrite


@dataclass(frozen=True, slots=True)
class Downstream:
    """What lies behind a root port that is one of several.

    Attributes:
        bus: the bus of its device; every Requester ID from there has this bus number.
        window: first address of its memory window.
        window_bytes: size of the window.
    """

    bus: int
    window: int
    window_bytes: int


class RootPort:
    """The host's end of the link.

    Args:
        memory: DMA buffers.
        requester_id: Requester ID of this port.
        read_boundary: completions to the device are cut at this many bytes (64 or 128).
        behind: bus and window behind this port; requests for others and requests that come with a
            foreign Requester ID are refused (ACS Source Validation, PCIe Base 6.12). None: the
            port is alone, everything is behind it.

    `checker`, if set, sees every memory request but interrupts before memory does.
    """

    def __init__(self, memory: HostMemory, requester_id: int = 0, read_boundary: int = 64,
                 behind: Downstream | None = None) -> None:
        self.memory = memory
        self.behind = behind
        self.requester_id = requester_id
        self.read_boundary = read_boundary
        self.streams: dict[int, IdeStream] = {}
        self.trusted_stream: int | None = None
        self.max_payload = 128
        self.checker: AccessChecker | None = None
        self.events: list[PortEvent] = []
        self._pending: dict[int, _Pending] = {}
        self._abandoned: set[int] = set()
        self._next_tag = 0

    # ---- requests --------------------------------------------------------------------------------
    def free_tags(self) -> int:
        """How many non-posted requests may still be started."""
        return NUM_TAGS - len(self._pending) - len(self._abandoned)

    def begin(self, op: PortOp) -> tuple[Ticket, list[bytes]]:
        """Start an operation.

        Raises:
            LocalError: misaligned access, no free tag, a trusted access without a Secure stream, or
                something that is not behind this port.
        """
        self._check_route(op)
        ticket = Ticket()
        out: list[bytes] = []
        match op:
            case CfgRead(bdf, offset):
                tag = self._take(ticket, 4, None)
                out.append(t.config_read(bdf, offset, self.requester_id, tag).encode())
            case CfgWrite(bdf, offset, value):
                tag = self._take(ticket, 0, None)
                out.append(t.config_write(bdf, offset, value, self.requester_id, tag).encode())
            case MemRead(address, length, tee):
                if address % 4 or length % 4 or length <= 0:
                    raise LocalError("memory reads are whole DWs")
                stream = self._stream() if tee else None
                at = address
                while at < address + length:
                    n = min(READ_CHUNK - at % READ_CHUNK, address + length - at)
                    tag = self._take(ticket, n, stream)
                    out += self._protect(t.mem_read(at, n // 4, self.requester_id, tag), stream)
                    at += n
            case MemWrite(address, data, tee):
                if address % 4 or len(data) % 4 or not data:
                    raise LocalError("memory writes are whole DWs")
                stream = self._stream() if tee else None
                at = 0
                while at < len(data):
                    n = min(self.max_payload - (address + at) % self.max_payload, len(data) - at)
                    out += self._protect(
                        t.mem_write(address + at, data[at:at + n], self.requester_id), stream)
                    at += n
        ticket.done = ticket.outstanding == 0
        return ticket, out

    def _check_route(self, op: PortOp) -> None:
        if self.behind is None:
            return
        match op:
            case CfgRead(bdf=bdf) | CfgWrite(bdf=bdf):
                if bdf >> 8 != self.behind.bus:
                    raise LocalError(f"bus {bdf >> 8} is not behind this port, bus"
                                     f" {self.behind.bus} is: use the host of that device")
            case MemRead(address=address) | MemWrite(address=address):
                length = op.length if isinstance(op, MemRead) else len(op.data)
                offset = address - self.behind.window
                if offset < 0 or offset + length > self.behind.window_bytes:
                    raise LocalError(f"{address:#x} is not in the window of this port: use the"
                                     " host of that device")

    def abandon(self, ticket: Ticket) -> None:
        """Give up on a ticket; late completions for it are recognised and dropped."""
        for tag, pending in list(self._pending.items()):
            if pending.ticket is ticket:
                del self._pending[tag]
                self._abandoned.add(tag)
                if len(self._abandoned) > NUM_TAGS // 2:
                    self._abandoned.pop()

    def reset(self) -> None:
        """The device was reset: nothing outstanding will be answered; streams are torn down."""
        self._pending.clear()
        self._abandoned.clear()
        for stream in self.streams.values():
            stream.clear()
            stream.enabled = False

    def _stream(self) -> int:
        if self.trusted_stream is None or self.trusted_stream not in self.streams:
            raise LocalError("a trusted access needs a stream: run `teeio connect` first")
        return self.trusted_stream

    def _protect(self, tlp: Tlp, stream_id: int | None, t_bit: bool = True) -> list[bytes]:
        if stream_id is None:
            return [tlp.encode()]
        return self.streams[stream_id].protect(tlp, t_bit)

    def _take(self, ticket: Ticket, length: int, stream_id: int | None) -> int:
        for _ in range(NUM_TAGS):
            tag = self._next_tag
            self._next_tag = (tag + 1) % NUM_TAGS
            if tag not in self._pending and tag not in self._abandoned:
                self._pending[tag] = _Pending(ticket, ticket.outstanding, length, stream_id)
                ticket.parts[ticket.outstanding] = bytearray()
                ticket.outstanding += 1
                return tag
        raise LocalError("all tags are in flight")

    # ---- arriving TLPs ---------------------------------------------------------------------------
    def receive(self, wire: bytes) -> list[bytes]:
        """Digest one TLP; return the wire bytes of what must be sent in answer."""
        stream_id: int | None = None
        t_bit = False
        if wire[0] == t.IDE_PREFIX:
            stream_id = wire[2]
            stream = self.streams.get(stream_id)
            try:
                if stream is None or not stream.enabled:
                    raise IdeCheckFailed(IdeFault.MISROUTED)
                tlp, t_bit = stream.unprotect(wire)
            except IdeCheckFailed as error:
                self.events.append(PortEvent(EventKind.IDE_CHECK_FAILED, 0, error.fault.value,
                                             stream_id, protected=True))
                if stream is None or error.fault in (IdeFault.MISROUTED, IdeFault.INSECURE):
                    return []
                return [make_fail(stream.is_link, stream.requester_id, stream.partner_id,
                                  stream_id).encode()]
            if tlp is None:
                return []
        else:
            try:
                tlp = t.decode(wire)
            except DecodeError as error:
                self.events.append(PortEvent(EventKind.UNEXPECTED, 0, str(error)))
                return []
        if tlp.is_completion:
            self._completion(tlp, stream_id)
            return []
        if self.behind is not None and tlp.requester_id >> 8 != self.behind.bus:
            return self._foreign(tlp, stream_id, t_bit)
        if tlp.is_message:
            self._message(tlp)
            return []
        if tlp.is_mem_write:
            self._write(tlp, stream_id, t_bit)
            return []
        if tlp.is_mem_read:
            return self._read(tlp, stream_id, t_bit)
        self.events.append(PortEvent(EventKind.UNEXPECTED, tlp.requester_id,
                                     f"TLP type {tlp.type_byte:02x}h"))
        refusal = t.completion(tlp, self.requester_id, CplStatus.UR)
        return self._protect(refusal, stream_id, t_bit)

    def _foreign(self, tlp: Tlp, stream_id: int | None, t_bit: bool) -> list[bytes]:
        """A request under a Requester ID that is not behind this port does nothing (6.12)."""
        reason = "the Requester ID is not behind this port"
        if tlp.is_mem_write or tlp.is_mem_read:
            self.memory.refuse(tlp.requester_id, tlp.address, 4 * tlp.length_dw, tlp.is_mem_write,
                               reason)
        self.events.append(PortEvent(EventKind.REFUSED, tlp.requester_id, reason, 0, t_bit,
                                     stream_id is not None))
        if tlp.tlp_class is not TlpClass.NON_POSTED:
            return []
        refusal = t.completion(tlp, self.requester_id, CplStatus.UR, byte_count=4 * tlp.length_dw)
        return self._protect(refusal, stream_id, t_bit)

    def _completion(self, tlp: Tlp, stream_id: int | None) -> None:
        pending = self._pending.get(tlp.tag)
        if pending is None or tlp.requester_id != self.requester_id:
            late = tlp.tag in self._abandoned
            self._abandoned.discard(tlp.tag)
            self.events.append(PortEvent(EventKind.UNEXPECTED, tlp.completer_id,
                                         f"{'late' if late else 'unexpected'} completion,"
                                         f" tag {tlp.tag}"))
            return
        ticket = pending.ticket
        if pending.stream_id != stream_id:
            # 6.33.8: a completion must come on the stream of its request.
            ticket.fault = "the completion did not come on the stream of its request"
            self.events.append(PortEvent(EventKind.UNEXPECTED, tlp.completer_id, ticket.fault))
        elif tlp.cpl_status != CplStatus.SC or tlp.poisoned:
            ticket.status = max(ticket.status, tlp.cpl_status)
            if tlp.poisoned:
                ticket.fault = "poisoned completion"
        else:
            skip = tlp.cpl_lower_address & 3
            part = ticket.parts[pending.order]
            if pending.left and tlp.cpl_byte_count != pending.left:
                ticket.fault = (f"Byte Count {tlp.cpl_byte_count}, {pending.left} bytes are"
                                " outstanding")
            take = tlp.payload[skip:][:pending.left]
            part += take
            pending.left -= len(take)
            if pending.left > 0 and take and not ticket.fault:
                return
        del self._pending[tlp.tag]
        ticket.outstanding -= 1
        if ticket.outstanding == 0:
            ticket.done = True

    def _message(self, tlp: Tlp) -> None:
        code = tlp.message_code
        if code == MessageCode.IDE_FAIL:
            stream = self.streams.get(fail_stream_id(tlp))
            if stream is not None:
                stream.fail_received = True
            self.events.append(PortEvent(
                EventKind.IDE_FAIL_RECEIVED, tlp.requester_id,
                f"the device reports that stream {fail_stream_id(tlp)} failed",
                fail_stream_id(tlp)))
        elif code in (MessageCode.ERR_COR, MessageCode.ERR_NONFATAL, MessageCode.ERR_FATAL):
            self.events.append(PortEvent(EventKind.ERROR_MESSAGE, tlp.requester_id,
                                         MessageCode(code).name, code))
        else:
            self.events.append(PortEvent(EventKind.UNEXPECTED, tlp.requester_id,
                                         f"message {code:02x}h", code))

    def _write(self, tlp: Tlp, stream_id: int | None, t_bit: bool) -> None:
        protected = stream_id is not None
        if tlp.poisoned:
            self.events.append(PortEvent(EventKind.REFUSED, tlp.requester_id, "poisoned write"))
            return
        if MSI_BASE <= tlp.address <= MSI_LIMIT and len(tlp.payload) == 4:
            self.events.append(PortEvent(
                EventKind.INTERRUPT, tlp.requester_id, f"address {tlp.address:#x}",
                int.from_bytes(tlp.payload, "little"), t_bit, protected))
            return
        if self._stopped(tlp, stream_id, t_bit):
            return
        n = len(tlp.payload)
        enables = [True] * n
        for i in range(4):
            enables[i] = bool(tlp.first_be >> i & 1)
            if n > 4:
                enables[n - 4 + i] = bool(tlp.last_be >> i & 1)
        if not self.memory.write(tlp.requester_id, tlp.address, tlp.payload, enables, t_bit):
            self._refused(tlp, t_bit, protected)

    def _read(self, tlp: Tlp, stream_id: int | None, t_bit: bool) -> list[bytes]:
        total = 4 * tlp.length_dw
        data = None
        if not self._stopped(tlp, stream_id, t_bit):
            data = self.memory.read(tlp.requester_id, tlp.address, total, t_bit)
            if data is None:
                self._refused(tlp, t_bit, stream_id is not None)
        if data is None:
            return self._protect(t.completion(tlp, self.requester_id, CplStatus.UR,
                                              byte_count=total), stream_id, t_bit)
        # Bytes are counted from the first to the last enabled one (2.3.1.1).
        lead = 0 if tlp.first_be == 0 else (tlp.first_be & -tlp.first_be).bit_length() - 1
        last = tlp.last_be if tlp.length_dw > 1 else tlp.first_be
        trail = 0 if last == 0 else 4 - last.bit_length()
        # A read with no byte enabled (a flush) counts as one byte.
        left = total - lead - trail if last or tlp.length_dw > 1 else 1
        out: list[bytes] = []
        at = 0
        while at < total:
            address = tlp.address + at
            n = min(self.max_payload, total - at)
            if at + n < total:
                n -= (address + n) % self.read_boundary
            lower = (address + (lead if at == 0 else 0)) & 0x7F
            cpl = t.completion(tlp, self.requester_id, CplStatus.SC, data[at:at + n], left & 0xFFF,
                               lower)
            out += self._protect(cpl, stream_id, t_bit)
            left -= n - (lead if at == 0 else 0)
            at += n
        return out

    def _stopped(self, tlp: Tlp, stream_id: int | None, t_bit: bool) -> bool:
        if self.checker is None:
            return False
        reason = self.checker.check(DeviceAccess(
            tlp.requester_id, tlp.address, 4 * tlp.length_dw, tlp.is_mem_write, t_bit, stream_id))
        if reason is None:
            return False
        self.memory.refuse(tlp.requester_id, tlp.address, 4 * tlp.length_dw, tlp.is_mem_write,
                           str(reason.value))
        self.events.append(PortEvent(EventKind.REFUSED, tlp.requester_id, str(reason.value), 0,
                                     t_bit, stream_id is not None, reason))
        return True

    def _refused(self, tlp: Tlp, t_bit: bool, protected: bool) -> None:
        self.events.append(PortEvent(EventKind.REFUSED, tlp.requester_id,
                                     self.memory.refusals[-1].reason, 0, t_bit, protected))
