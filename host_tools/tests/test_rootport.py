# SPDX-License-Identifier: Apache-2.0
"""Root port and host memory without a device: splits of completions, refusals, stray TLPs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teeio.core.memory import MSI_BASE, HostMemory
from teeio.core.ops import CfgRead, MemRead, MemWrite
from teeio.core.rootport import EventKind, RootPort
from teeio.errors import LocalError
from teeio.wire import tlp as t

DEVICE = 0x0101
BASE = 0x1_0000_0000


def port_with(contents: bytes, *, private: bool = False) -> RootPort:
    memory = HostMemory(BASE)
    memory.allocate(len(contents), owner=DEVICE, private=private, contents=contents)
    return RootPort(memory)


def fields(wire: bytes) -> tuple[int, int, int, bytes]:
    """Status, Byte Count, Lower Address, payload, from the wire layout (PCIe Base 2.2.9)."""
    count, = struct.unpack_from(">H", wire, 6)
    return count >> 13, count & 0xFFF, wire[11] & 0x7F, wire[12:]


@given(st.integers(0, 63), st.integers(1, 128), st.sampled_from([64, 128]),
       st.sampled_from([128, 256]))
def test_completions_are_split_by_the_rules(first: int, length: int, boundary: int,
                                            payload: int) -> None:
    """Pieces end at the boundary, Byte Count counts down, Lower Address fits (2.3.1.1)."""
    contents = bytes(i * 7 & 0xFF for i in range(4096))
    port = port_with(contents)
    port.read_boundary, port.max_payload = boundary, payload
    answers = port.receive(t.mem_read(BASE + 4 * first, length, DEVICE, 5).encode())
    address, left, data = 4 * first, 4 * length, b""
    for i, answer in enumerate(answers):
        status, count, lower, part = fields(answer)
        assert status == 0 and count == left & 0xFFF and lower == address & 0x7F
        assert 0 < len(part) <= payload and answer[10] == 5
        if i < len(answers) - 1:
            assert (address + len(part)) % boundary == 0
        data += part
        address += len(part)
        left -= len(part)
    assert left == 0 and data == contents[4 * first:4 * (first + length)]


@pytest.mark.parametrize(("first_be", "last_be", "dws", "count", "lower"), [
    (0xF, 0x0, 1, 4, 0), (0x8, 0x0, 1, 1, 3), (0x6, 0x0, 1, 2, 1), (0x0, 0x0, 1, 1, 0),
    (0xC, 0x3, 2, 4, 2), (0x8, 0x1, 3, 6, 3), (0x1, 0x1, 1, 1, 0),
])  # fmt: skip
def test_byte_count_of_partial_reads(first_be: int, last_be: int, dws: int, count: int,
                                     lower: int) -> None:
    """Table 2-37 and 2-38 of the base specification: Byte Count and Lower Address."""
    port = port_with(bytes(range(64)))
    if dws == 1:
        last_be = 0
    [answer] = port.receive(t.mem_read(BASE, dws, DEVICE, 1, first_be, last_be).encode())
    assert fields(answer)[1:3] == (count, lower)


def test_writes_follow_their_byte_enables() -> None:
    """Only enabled bytes change."""
    port = port_with(bytes(16))
    port.receive(t.mem_write(BASE + 4, b"\x11" * 8, DEVICE, 0xC, 0x1).encode())
    [answer] = port.receive(t.mem_read(BASE, 4, DEVICE, 1).encode())
    assert fields(answer)[3] == bytes(6) + b"\x11\x11\x11" + bytes(7)


@pytest.mark.parametrize(("requester", "offset", "private", "reason"), [
    (DEVICE + 1, 0, False, "another function"),
    (DEVICE, 60, False, "no buffer"),
    (DEVICE, 1 << 20, False, "no buffer"),
    (DEVICE, 0, True, "private memory"),
])  # fmt: skip
def test_what_the_iommu_refuses(requester: int, offset: int, private: bool, reason: str) -> None:
    """Reads get Unsupported Request without data, writes change nothing; both are recorded."""
    port = port_with(bytes(range(64)), private=private)
    [answer] = port.receive(t.mem_read(BASE + offset, 2, requester, 1).encode())
    assert fields(answer)[0] == 1 and fields(answer)[3] == b""
    assert port.receive(t.mem_write(BASE + offset, b"\xff" * 8, requester).encode()) == []
    assert [e.kind for e in port.events] == [EventKind.REFUSED] * 2
    assert all(reason in r.reason for r in port.memory.refusals)
    assert port.memory.read(DEVICE, BASE, 64, True) == bytes(range(64))


def test_released_memory_is_out_of_reach_and_empty() -> None:
    """After release the device finds nothing, and the buffer holds nothing."""
    memory = HostMemory(BASE)
    kept = memory.allocate(64, owner=DEVICE, private=False, contents=b"k" * 64)
    gone = memory.allocate(64, owner=DEVICE, private=False, contents=b"g" * 64)
    assert gone.address >= kept.address + 4096
    memory.release(gone)
    assert gone.data == bytes(64)
    assert memory.read(DEVICE, gone.address, 4, True) is None
    assert memory.read(DEVICE, kept.address, 4, False) == b"kkkk"
    with pytest.raises(LocalError):
        memory.allocate(4, owner=DEVICE, private=False, contents=b"12345")


def test_interrupts_and_poison_are_events() -> None:
    """A 4-byte write into the MSI window is an interrupt; a poisoned write is not stored."""
    port = port_with(bytes(16))
    port.receive(t.mem_write(MSI_BASE, b"\x10\x41\0\0", DEVICE).encode())
    port.receive(t.mem_write(BASE, b"\xff" * 4, DEVICE).poison().encode())
    assert [(e.kind, e.value) for e in port.events] == [
        (EventKind.INTERRUPT, 0x4110), (EventKind.REFUSED, 0)]
    assert port.memory.read(DEVICE, BASE, 4, False) == bytes(4)


def test_reads_are_put_together_from_their_completions() -> None:
    """Two requests of 256 bytes, answered out of order between them and in pieces."""
    port = RootPort(HostMemory())
    ticket, sent = port.begin(MemRead(0x8000_0000, 512, False))
    requests = [t.decode(wire) for wire in sent]
    assert [r.length_dw for r in requests] == [64, 64]
    data = bytes(i * 3 & 0xFF for i in range(512))
    for index in (1, 0):
        left = 256
        for at in range(0, 256, 64):
            start = 256 * index + at
            port.receive(t.completion(requests[index], DEVICE, 0, data[start:start + 64], left,
                                      start & 0x7F).encode())
            left -= 64
    assert ticket.done and ticket.data == data and not ticket.fault


def test_stray_completions_and_malformed_tlps_are_recorded() -> None:
    """None of them ends a request or raises."""
    port = RootPort(HostMemory())
    ticket, [wire] = port.begin(CfgRead(0x100, 0))
    request = t.decode(wire)
    other = t.config_read(0x100, 0, 0, request.tag + 1)
    assert port.receive(t.completion(other, DEVICE, 0, b"abcd").encode()) == []
    foreign = t.config_read(0x100, 0, 0x0700, request.tag)
    assert port.receive(t.completion(foreign, DEVICE, 0, b"abcd").encode()) == []
    assert port.receive(bytes.fromhex("4a000002") + bytes(12)) == []
    assert not ticket.done
    assert [e.kind for e in port.events] == [EventKind.UNEXPECTED] * 3
    port.abandon(ticket)
    assert port.receive(t.completion(request, DEVICE, 0, b"abcd").encode()) == []
    assert "late" in port.events[-1].detail and not ticket.done


@given(st.binary(min_size=12, max_size=300))
def test_any_tlp_is_digested(data: bytes) -> None:
    """Whatever the device sends is an answer or an event, never an exception."""
    port = port_with(bytes(64))
    port.receive(data[:len(data) // 4 * 4])


@pytest.mark.parametrize("op", [
    MemRead(2, 4, False), MemRead(0, 3, False), MemRead(0, 0, False), MemWrite(1, bytes(4), False),
    MemWrite(0, b"", False), MemWrite(0, bytes(3), False), MemRead(0, 4, True),
    MemWrite(0, bytes(4), True),
])  # fmt: skip
def test_accesses_that_make_no_sense(op: MemRead | MemWrite) -> None:
    """Misaligned, empty, or trusted without a stream: refused before anything is sent."""
    port = RootPort(HostMemory())
    with pytest.raises(LocalError):
        port.begin(op)
    assert port.free_tags() == 32


def test_tags_run_out_and_come_back() -> None:
    """32 requests; the 33rd is refused, and reset frees them all."""
    port = RootPort(HostMemory())
    for _ in range(32):
        port.begin(CfgRead(0x100, 0))
    with pytest.raises(LocalError, match="tags"):
        port.begin(CfgRead(0x100, 0))
    port.reset()
    assert port.free_tags() == 32
