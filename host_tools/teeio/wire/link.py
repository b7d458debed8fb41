# SPDX-License-Identifier: Apache-2.0
"""Bench link: framing, sequence numbers, retransmission and credits, without any I/O.

A frame is ``FLAG body FLAG`` with byte stuffing (7Eh flag, 7Dh escape, XOR 20h). The body is
``kind, seq, ack, grant[posted], grant[non-posted], grant[completion], payload, CRC-32``.
Kinds 1xh (a TLP of class x) and 20h (control) are sequenced and repeated go-back-N until they are
acknowledged; grants are running totals modulo 256, so a lost or repeated frame cannot falsify them.
The device's side of the same protocol is ``rtl/link``.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from teeio.wire.tlp import TlpClass, classify

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_XOR = 0x20
HEADER_BYTES = 6
MAX_TLP_BYTES = 4 + 16 + 256 + 12
MAX_BODY_BYTES = HEADER_BYTES + MAX_TLP_BYTES + 4
WINDOW = 8
IDENT_MAGIC = b"TEIO"


class Kind(IntEnum):
    """Frame kinds; TLP kinds are ``TLP + class``."""

    ACK = 0x00
    SYNC = 0x01
    SYNC_ACK = 0x02
    NAK = 0x03
    TLP = 0x10
    CONTROL = 0x20


class ControlOp(IntEnum):
    """Control operations of the device's link block."""

    IDENT = 0x00
    RESET = 0x01
    CYCLES = 0x02
    DELAY = 0x03
    SCRATCH = 0x04
    COUNTERS = 0x05


@dataclass(frozen=True, slots=True)
class TlpReceived:
    """A TLP arrived, in order, exactly once."""

    tlp: bytes


@dataclass(frozen=True, slots=True)
class ControlReceived:
    """The answer to a control request: op code, status (0 = ok), three 32-bit arguments."""

    op: int
    status: int
    args: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Synced:
    """The device took our SYNC: both sides start from sequence number 0."""


LinkEvent = TlpReceived | ControlReceived | Synced


@dataclass(slots=True)
class LinkCounters:
    """What happened on the wire, for reports."""

    frames_sent: int = 0
    frames_received: int = 0
    bad_frames: int = 0
    repeated: int = 0
    out_of_order: int = 0


def stuff(body: bytes) -> bytes:
    """Return the framed, escaped body."""
    escaped = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    return b"\x7e" + escaped + b"\x7e"


def seal(
    kind: int, seq: int, ack: int, grants: tuple[int, int, int], payload: bytes = b""
) -> bytes:
    """Build one complete frame."""
    body = bytes((kind, seq & 0xFF, ack & 0xFF, *(g & 0xFF for g in grants))) + payload
    return stuff(body + struct.pack("<I", zlib.crc32(body)))


class Deframer:
    """Splits bytes into frame bodies with a good CRC; anything else is counted and dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._escape = False
        self._bad = False
        self.bad_frames = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies (without CRC) completed by `data`."""
        out = []
        for byte in data:
            if byte == FLAG:
                body = self._finish()
                if body is not None:
                    out.append(body)
            elif byte == ESCAPE:
                self._escape = True
            else:
                if len(self._buffer) < MAX_BODY_BYTES:
                    self._buffer.append(byte ^ ESCAPE_XOR if self._escape else byte)
                else:
                    self._bad = True
                self._escape = False
        return out

    def _finish(self) -> bytes | None:
        body, bad = bytes(self._buffer), self._bad or self._escape
        self._buffer.clear()
        self._escape = self._bad = False
        if not body:
            return None
        if bad or len(body) < HEADER_BYTES + 4 or zlib.crc32(body) != 0x2144DF1C:
            self.bad_frames += 1
            return None
        return body[:-4]


@dataclass(slots=True)
class _Waiting:
    seq: int
    kind: int
    payload: bytes


@dataclass(slots=True)
class BenchLink:
    """Host side of the bench link.

    Feed received bytes with `receive`, take bytes to send from `take_output`; `send_tlp` and
    `send_control` queue. Time is the caller's: call `on_timeout` when nothing moved for a while.
    """

    counters: LinkCounters = field(default_factory=LinkCounters)
    synced: bool = False
    _deframer: Deframer = field(default_factory=Deframer)
    _out: bytearray = field(default_factory=bytearray)
    _next_seq: int = 0
    _expected: int = 0
    _unacked: deque[_Waiting] = field(default_factory=deque)
    _queues: tuple[deque[tuple[int, bytes]], ...] = field(
        default_factory=lambda: (deque(), deque(), deque()))
    _order: int = 0
    _controls: deque[bytes] = field(default_factory=deque)
    _peer_grants: list[int] = field(default_factory=lambda: [0, 0, 0])
    _sent: list[int] = field(default_factory=lambda: [0, 0, 0])
    _taken: list[int] = field(default_factory=lambda: [0, 0, 0])
    _nak_armed: bool = True
    _ack_owed: bool = False
    _sync_nonce: bytes = b""

    # ---- sending ---------------------------------------------------------------------------------
    def start(self, nonce: bytes) -> None:
        """Restart the link: forget everything, send SYNC with a 4-byte nonce."""
        if len(nonce) != 4:
            raise ValueError("the SYNC nonce has 4 bytes")
        self.synced = False
        self._sync_nonce = nonce
        self._unacked.clear()
        self._controls.clear()
        for queue in self._queues:
            queue.clear()
        self._next_seq = self._expected = 0
        self._peer_grants = [0, 0, 0]
        self._sent = [0, 0, 0]
        self._taken = [0, 0, 0]
        self._nak_armed, self._ack_owed = True, False
        # Two flags first end whatever half frame a former host left behind.
        self._out += b"\x7e\x7e" + seal(Kind.SYNC, 0, 0, self._grants(), nonce)

    def send_tlp(self, tlp: bytes) -> None:
        """Queue one TLP; it goes out when its class has credit."""
        if len(tlp) % 4 or not 12 <= len(tlp) <= MAX_TLP_BYTES:
            raise ValueError(f"a TLP has 12..{MAX_TLP_BYTES} bytes in whole DWs, not {len(tlp)}")
        self._order += 1
        self._queues[classify(tlp)].append((self._order, tlp))

    def send_control(self, op: int, arg: int = 0) -> None:
        """Queue one control request with a 32-bit argument."""
        self._controls.append(struct.pack("<BBHI", op, 0, 0, arg))

    def take_output(self) -> bytes:
        """Return the bytes to write now (credits and window permitting)."""
        self._pump()
        out = bytes(self._out)
        self._out.clear()
        return out

    def _pump(self) -> None:
        if not self.synced:
            return
        while len(self._unacked) < WINDOW and self._controls:
            self._emit(Kind.CONTROL, self._controls.popleft())
        while len(self._unacked) < WINDOW and (cls := self._next_class()) is not None:
            self._sent[cls] += 1
            self._emit(Kind.TLP + cls, self._queues[cls].popleft()[1])
        if self._ack_owed:
            self._out += seal(Kind.ACK, 0, self._expected, self._grants())
            self._ack_owed = False

    def _next_class(self) -> TlpClass | None:
        """Oldest TLP that may go: nothing passes an older posted TLP, posted passes everything."""
        posted = self._queues[TlpClass.POSTED]
        limit = posted[0][0] if posted else self._order + 1
        for cls in (TlpClass.COMPLETION, TlpClass.NON_POSTED):
            queue = self._queues[cls]
            if queue and queue[0][0] < limit and self._has_credit(cls):
                return cls
        return TlpClass.POSTED if posted and self._has_credit(TlpClass.POSTED) else None

    def _has_credit(self, cls: TlpClass) -> bool:
        left = (self._peer_grants[cls] - self._sent[cls]) & 0xFF
        return 0 < left < 128

    def _grants(self) -> tuple[int, int, int]:
        # The host always drains, so it grants far ahead of what has come.
        return (self._taken[0] + 100, self._taken[1] + 100, self._taken[2] + 100)

    def _emit(self, kind: int, payload: bytes) -> None:
        item = _Waiting(self._next_seq, kind, payload)
        self._next_seq = (self._next_seq + 1) & 0xFF
        self._unacked.append(item)
        self._transmit(item)

    def _transmit(self, item: _Waiting) -> None:
        self.counters.frames_sent += 1
        self._ack_owed = False
        self._out += seal(item.kind, item.seq, self._expected, self._grants(), item.payload)

    # ---- receiving -------------------------------------------------------------------------------
    def receive(self, data: bytes) -> list[LinkEvent]:
        """Digest received bytes and return what they brought, in order."""
        events: list[LinkEvent] = []
        for body in self._deframer.feed(data):
            self._frame(body, events)
        if self._deframer.bad_frames:
            self.counters.bad_frames += self._deframer.bad_frames
            self._deframer.bad_frames = 0
            self._owe_nak()
        return events

    def on_timeout(self) -> None:
        """Nothing came for a while: repeat what is unacknowledged and ask for what we miss."""
        if not self.synced:
            if self._sync_nonce:
                self._out += b"\x7e" + seal(Kind.SYNC, 0, 0, self._grants(), self._sync_nonce)
            return
        self._repeat()
        self._out += seal(Kind.NAK, 0, self._expected, self._grants())

    @property
    def busy(self) -> bool:
        """True while anything is queued or unacknowledged."""
        return bool(self._unacked or self._controls or any(self._queues))

    def _owe_nak(self) -> None:
        if self.synced and self._nak_armed:
            self._nak_armed = False
            self._out += seal(Kind.NAK, 0, self._expected, self._grants())

    def _repeat(self) -> None:
        for item in self._unacked:
            self.counters.repeated += 1
            self._transmit(item)

    def _frame(self, body: bytes, events: list[LinkEvent]) -> None:
        kind, seq, ack = body[0], body[1], body[2]
        payload = body[HEADER_BYTES:]
        self.counters.frames_received += 1
        if kind == Kind.SYNC_ACK:
            if payload == self._sync_nonce and not self.synced:
                self.synced = True
                self._peer_grants = list(body[3:6])
                events.append(Synced())
            return
        if not self.synced:
            return
        self._peer_grants = list(body[3:6])
        acked = (ack - (self._unacked[0].seq if self._unacked else self._next_seq)) & 0xFF
        if acked <= len(self._unacked):
            for _ in range(acked):
                self._unacked.popleft()
        if kind == Kind.NAK:
            self._repeat()
            return
        if kind == Kind.ACK:
            self._nak_armed = True
            return
        if seq != self._expected:
            self.counters.out_of_order += 1
            if (self._expected - seq) & 0xFF < 128:
                self._ack_owed = True
            else:
                self._owe_nak()
            return
        if kind == Kind.CONTROL and len(payload) >= 16:
            op, status, _, a, b, c = struct.unpack_from("<BBHIII", payload)
            events.append(ControlReceived(op, status, (a, b, c)))
        elif kind & 0xFC == Kind.TLP and kind & 3 != 3:
            self._taken[kind & 3] += 1
            events.append(TlpReceived(payload))
        else:
            self._owe_nak()
            return
        self._expected = (self._expected + 1) & 0xFF
        self._nak_armed = True
        self._ack_owed = True
