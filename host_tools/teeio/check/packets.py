# SPDX-License-Identifier: Apache-2.0
"""A TLP trace as packets and transactions: enough of PCIe Base 2.2 and 6.33.4 to judge a record.

A line is ``> hex`` (to the device), ``< hex`` (from it) or ``= step`` (a heading).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from teeio.check.verdict import require

IDE_PREFIX = 0x92
MAC = 12
IDE_SYNC, IDE_FAIL = 0x54, 0x55


@dataclass(frozen=True, slots=True)
class Packet:
    """One TLP. `number` is its place in the trace; `prefix` is empty without IDE."""

    number: int
    step: str
    from_device: bool
    prefix: bytes
    header: bytes
    payload: bytes

    @property
    def kind(self) -> int:
        """Fmt and Type."""
        return self.header[0]

    @property
    def is_ide(self) -> bool:
        """Protected by IDE."""
        return bool(self.prefix)

    @property
    def stream(self) -> int | None:
        """Stream ID, None without IDE."""
        return self.prefix[2] if self.prefix else None

    @property
    def sub_stream(self) -> int:
        """0 posted, 1 non-posted, 2 completion."""
        return self.prefix[3] >> 4 & 7

    @property
    def trusted(self) -> bool:
        """IDE with T=1."""
        return bool(self.prefix) and bool(self.prefix[3] & 1)

    @property
    def is_completion(self) -> bool:
        """Cpl or CplD."""
        return self.kind in (0x0A, 0x4A)

    @property
    def is_message(self) -> bool:
        """Any message."""
        return self.kind & 0x18 == 0x10

    @property
    def is_write(self) -> bool:
        """Memory write."""
        return self.kind in (0x40, 0x60)

    @property
    def is_read(self) -> bool:
        """Memory read."""
        return self.kind in (0x00, 0x20)

    @property
    def is_config(self) -> bool:
        """Type 0 configuration request."""
        return self.kind in (0x04, 0x44)

    @property
    def code(self) -> int:
        """Message code."""
        return self.header[7]

    @property
    def requester(self) -> int:
        """Who asked: of a completion, the function it goes to."""
        at = 8 if self.is_completion else 4
        return int.from_bytes(self.header[at:at + 2], "big")

    @property
    def tag(self) -> int:
        """10-bit tag."""
        low = self.header[10] if self.is_completion else self.header[6]
        return (self.header[1] & 0x80) << 2 | (self.header[1] & 0x08) << 5 | low

    @property
    def address(self) -> int:
        """Address of a memory request."""
        return int.from_bytes(self.header[8:], "big") & ~3

    @property
    def size(self) -> int:
        """Bytes asked for or carried."""
        return 4 * (((self.header[2] & 3) << 8 | self.header[3]) or 1024)

    @property
    def status(self) -> int:
        """Completion status: 0 Successful, 1 Unsupported Request, 4 Completer Abort."""
        return self.header[6] >> 5


@dataclass(slots=True)
class Transaction:
    """A non-posted request and its completions."""

    request: Packet
    completions: list[Packet] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """All completions are there."""
        if not self.completions:
            return False
        if self.completions[-1].status or not self.request.is_read:
            return True
        return len(self.data) >= self.request.size

    @property
    def succeeded(self) -> bool:
        """Every completion is Successful."""
        return self.done and all(c.status == 0 for c in self.completions)

    @property
    def data(self) -> bytes:
        """Payload of the completions in order."""
        return b"".join(c.payload for c in self.completions)

    @property
    def function(self) -> int:
        """Target of a configuration request."""
        return int.from_bytes(self.request.header[8:10], "big")

    @property
    def offset(self) -> int:
        """Register of a configuration request."""
        return int.from_bytes(self.request.header[10:12], "big") & 0xFFC

    @property
    def value(self) -> int:
        """Register value written or read."""
        data = self.request.payload or self.data
        return int.from_bytes(data, "little")

    @property
    def is_config_write(self) -> bool:
        """Configuration write."""
        return self.request.kind == 0x44


@dataclass(slots=True)
class Trace:
    """A parsed trace.

    Attributes:
        steps: headings in order.
        packets: all TLPs in order.
        transactions: non-posted requests, in the order of the requests.
    """

    steps: list[str] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)

    def config(self, step: str | None = None) -> list[Transaction]:
        """Completed configuration accesses of a step (or of all)."""
        return [x for x in self.transactions if x.request.is_config and x.succeeded
                and step in (None, x.request.step)]

    def reads(self, step: str, *, from_device: bool) -> list[Transaction]:
        """Memory reads of a step, answered or not."""
        return [x for x in self.transactions if x.request.is_read and x.request.step == step
                and x.request.from_device == from_device]

    def of(self, step: str, *, from_device: bool) -> list[Packet]:
        """TLPs of a step in one direction."""
        return [p for p in self.packets if p.step == step and p.from_device == from_device]


def parse(text: str) -> Trace:
    """Read a trace; every TLP must be as long as its header says."""
    trace = Trace()
    pending: dict[tuple[bool, int, int], Transaction] = {}
    step = ""
    for number, line in enumerate(text.splitlines()):
        mark, _, rest = line.partition(" ")
        if mark == "=":
            step = rest
            trace.steps.append(step)
            continue
        require(mark in ("<", ">"), f"line {number + 1} is neither TLP nor heading")
        packet = _packet(number, step, mark == "<", bytes.fromhex(rest))
        trace.packets.append(packet)
        if packet.is_completion:
            key = (not packet.from_device, packet.requester, packet.tag)
            transaction = pending.get(key)
            if transaction is not None:
                transaction.completions.append(packet)
                if transaction.done:
                    del pending[key]
        elif not packet.is_message and not packet.is_write:
            transaction = Transaction(packet)
            trace.transactions.append(transaction)
            pending[packet.from_device, packet.requester, packet.tag] = transaction
    return trace


def _packet(number: int, step: str, from_device: bool, data: bytes) -> Packet:
    require(len(data) >= 12, f"line {number + 1}: {len(data)} bytes are no TLP")
    prefix = b""
    if data[0] == IDE_PREFIX:
        prefix, data = data[:4], data[4:-MAC]
    size = 16 if data[:1] and data[0] & 0x20 else 12
    packet = Packet(number, step, from_device, prefix, data[:size], data[size:])
    require(len(data) >= size, f"line {number + 1}: a cut header")
    due = packet.size if packet.kind & 0x40 else 0
    require(len(packet.payload) == due,
            f"line {number + 1}: {len(packet.payload)} payload bytes, {due} by its header")
    return packet
