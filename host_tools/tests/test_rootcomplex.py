# SPDX-License-Identifier: Apache-2.0
"""Several root ports in front of one memory: what one device cannot do to another."""

from __future__ import annotations

import struct

import pytest

from teeio.core.drive import run
from teeio.core.enumerate import enumerate_device
from teeio.core.ops import CfgRead, CfgWrite, MemRead, MemWrite, Op, OpResult
from teeio.core.rootcomplex import RootComplex
from teeio.core.rootport import EventKind
from teeio.errors import LocalError
from teeio.wire import tlp as t
from teeio.wire.tlp import MessageCode

A, B = 0x0101, 0x0201  # function 1 of the device behind port 0 and port 1


def two_ports() -> RootComplex:
    complex_ = RootComplex(2)
    complex_.memory.allocate(64, owner=A, private=False, contents=b"a" * 64)
    complex_.memory.allocate(64, owner=B, private=False, contents=b"b" * 64)
    return complex_


def status(answer: bytes) -> int:
    """Completion Status of wire bytes (PCIe Base 2.2.9)."""
    field, = struct.unpack_from(">H", answer, 6)
    return int(field) >> 13


def test_ports_have_their_own_bus_window_and_id() -> None:
    """Buses from 1, windows of 256 MiB that do not touch, ports as devices of bus 0."""
    ports = RootComplex(3).ports
    assert [p.requester_id for p in ports] == [0x0008, 0x0010, 0x0018]
    places = [p.behind for p in ports if p.behind is not None]
    assert [p.bus for p in places] == [1, 2, 3]
    assert [p.window for p in places] == [0x80_0000_0000, 0x80_1000_0000, 0x80_2000_0000]
    assert all(p.window_bytes == 0x1000_0000 for p in places)
    assert len({id(p.streams) for p in ports}) == 3 and len({id(p.memory) for p in ports}) == 1


@pytest.mark.parametrize(("port", "requester", "reason"), [
    (0, A, "belongs to another function"),   # its own name, somebody else's buffer
    (0, B, "is not behind this port"),       # the owner's name
    (0, 0x0000, "is not behind this port"),  # no name yet
    (1, A, "is not behind this port"),
])  # fmt: skip
def test_a_buffer_is_out_of_reach_of_the_other_device(port: int, requester: int,
                                                      reason: str) -> None:
    """Reads get Unsupported Request and no data, writes change nothing; both are events."""
    complex_ = two_ports()
    owner, other = (B, complex_.ports[port]) if port == 0 else (A, complex_.ports[port])
    [address] = [b.address for b in complex_.memory._buffers if b.owner == owner]
    [answer] = other.receive(t.mem_read(address, 4, requester, 7).encode())
    assert status(answer) == 1 and len(answer) == 12 and answer[10] == 7
    assert other.receive(t.mem_write(address, bytes(16), requester).encode()) == []
    assert [(e.kind, e.requester_id) for e in other.events] == [
        (EventKind.REFUSED, requester)] * 2
    assert all(reason in e.detail for e in other.events)
    assert [(r.address, r.length, r.is_write) for r in complex_.memory.refusals] == [
        (address, 16, False), (address, 16, True)]
    want = b"b" if owner == B else b"a"
    assert complex_.memory.read(owner, address, 64, False) == want * 64
    # The port goes on.
    mine = next(b.address for b in complex_.memory._buffers if b.owner != owner)
    [good] = other.receive(t.mem_read(mine, 4, A if port == 0 else B, 8).encode())
    assert status(good) == 0


def test_an_interrupt_or_message_under_a_foreign_name_is_refused() -> None:
    """It would be taken for the other device's."""
    port = RootComplex(2).ports[0]
    port.receive(t.mem_write(0xFEE0_0000, b"\x10\x41\0\0", B).encode())
    port.receive(t.message(MessageCode.ERR_FATAL, 0, B).encode())
    assert [e.kind for e in port.events] == [EventKind.REFUSED] * 2
    port.receive(t.mem_write(0xFEE0_0000, b"\x10\x41\0\0", A).encode())
    assert port.events[-1].kind is EventKind.INTERRUPT


@pytest.mark.parametrize("op", [
    CfgRead(0x0200, 0), CfgWrite(0x0200, 4, 0), CfgRead(0x0000, 0),
    MemRead(0x80_1000_0000, 4, False), MemWrite(0x80_1000_0000, bytes(4), False),
    MemRead(0x80_0FFF_FF00, 512, False), MemRead(0x7F_FFFF_FFFC, 8, False),
])  # fmt: skip
def test_a_port_sends_nothing_that_is_not_behind_it(op: CfgRead | CfgWrite | MemRead | MemWrite
                                                    ) -> None:
    """Other buses, other windows, and accesses that cross a border."""
    port = RootComplex(2).ports[0]
    with pytest.raises(LocalError, match=r"not (behind|in the window of) this port"):
        port.begin(op)
    assert port.free_tags() == 32


def test_a_device_that_does_not_fit_its_window_is_not_placed_outside_of_it() -> None:
    """A BAR of 2 GiB behind a window of 1 MiB: an error that names the function, no BAR written."""
    registers = {0x00: 0x7EE0_1234, 0x10: 0x0000_0004}
    written: list[CfgWrite] = []

    def device(op: Op) -> OpResult:
        if isinstance(op, CfgRead):
            return registers.get(op.offset, 0) if op.bdf == 0x0300 else 0xFFFF_FFFF
        assert isinstance(op, CfgWrite)
        written.append(op)
        if op.offset == 0x10:
            registers[0x10] = op.value & 0x8000_0000 | 4
        elif op.offset == 0x14:
            registers[0x14] = op.value
        return None

    with pytest.raises(LocalError, match=r"03:00\.0.*does not fit"):
        run(enumerate_device(3, window=0x80_2000_0000, window_bytes=1 << 20), device)
    assert {w.value for w in written if w.offset == 0x10} == {0xFFFF_FFFF}


@pytest.mark.parametrize("arguments", [
    {"ports": 0}, {"ports": 32}, {"ports": 1, "window_bytes": 3 << 20},
    {"ports": 1, "window_bytes": 4096}, {"ports": 1, "window": 0x80_0000_1000},
])  # fmt: skip
def test_root_complexes_that_cannot_be(arguments: dict[str, int]) -> None:
    """Number of ports and shape of windows are checked."""
    with pytest.raises(LocalError):
        RootComplex(**arguments)


def test_low_addresses_are_not_given_twice() -> None:
    """A buffer below 4 GiB that was released leaves no address to its successor or neighbour."""
    memory = RootComplex(1).memory
    first = memory.allocate(8192, owner=A, private=False, below_4g=True)
    second = memory.allocate(64, owner=B, private=False, below_4g=True)
    memory.release(first)
    third = memory.allocate(64, owner=A, private=False, below_4g=True)
    assert len({first.address, second.address, third.address}) == 3
    assert max(second.address, third.address) < 1 << 32
    assert abs(third.address - second.address) >= 4096
    with pytest.raises(LocalError, match="4 GiB"):
        memory.allocate(1 << 31, owner=A, private=False, below_4g=True)
