# SPDX-License-Identifier: Apache-2.0
"""A host that keeps no rule of the wire, on the whole endpoint; and checks that would notice.

TLPs are written byte by byte here: no host code stands between this file and the wire.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from cocotb_tests.env.endpoint import CYCLE_NS, EndpointBench
from cocotb_tests.system.simulation import simulate_system
from teeio.board import prepare_images

BUS = 1
IDS = 0x7EE01234
AER_STATUS, DEVICE_CONTROL, COMMAND, BAR0 = 0x104, 0x78, 0x04, 0x10
OVERFLOW = 1 << 17
ERR_FATAL = 0x33
F1_BAR = 0x9000_0000
ERASURE_CYCLES = 2_000  # after a reset; writes that come earlier leave no trace


def test_hostile_host() -> None:
    """What no host may do, in one simulation."""
    simulate_system(__name__, prepare_images(), test_filter="hostile_")


def test_broken_handshake_ends_the_simulation(capfd: pytest.CaptureFixture[str]) -> None:
    """A beat that changes while it waits at the endpoint's door: the bound properties see it."""
    with pytest.raises(RuntimeError):
        simulate_system(__name__, prepare_images(), test_filter="planted_")
    assert "u_wire_rx.Assert_data_holds" in "".join(capfd.readouterr())


class RudeBench(EndpointBench):
    """Sends without credit."""

    async def _credit(self, kind: int) -> None:
        return


def config(register: int, tag: int, *, func: int = 0, value: int | None = None) -> bytes:
    """Configuration read, or write of a whole register."""
    head = bytes([0x04 if value is None else 0x44, 0, 0, 1, 0, 0, tag, 0x0F, BUS, func])
    data = b"" if value is None else struct.pack("<I", value)
    return head + struct.pack(">H", register) + data


def write(address: int, payload: bytes, *, length_dw: int | None = None) -> bytes:
    """Memory write, 32-bit address."""
    count = len(payload) // 4 if length_dw is None else length_dw
    enables = 0xFF if count > 1 else 0x0F
    return struct.pack(">BBHHBBI", 0x40, 0, count, 0, 0, enables, address) + payload


def read(address: int, tag: int) -> bytes:
    """Memory read of one DW, 32-bit address."""
    return bytes([0, 0, 0, 1, 0, 0, tag, 0x0F]) + struct.pack(">I", address)


async def ask(bench: EndpointBench, tlp: bytes) -> tuple[int, int]:
    """Send one request; status and data of its completion. Other TLPs are dropped."""
    await bench.send(tlp)
    for _ in range(50):
        for got in await bench.receive(20_000):
            if got[0] in (0x0A, 0x4A) and got[10] == tlp[6]:
                return got[6] >> 5, int.from_bytes(got[12:16], "little")
    raise AssertionError("no completion")


async def quiet(bench: EndpointBench) -> list[bytes]:
    """Everything that still comes."""
    out: list[bytes] = []
    while got := await bench.receive(20_000):
        out += got
    return out


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def hostile_requests_beyond_the_credits(dut: Any) -> None:
    """100 configuration reads without a completion fetched: what exceeds the queue is logged as
    Receiver Overflow (fatal) and dropped; what is answered is right, and the device works on."""
    bench = RudeBench(dut)
    await bench.power_on()
    assert await ask(bench, config(0, 1)) == (0, IDS)
    assert await ask(bench, config(AER_STATUS, 2)) == (0, 0)
    await ask(bench, config(DEVICE_CONTROL, 3, value=0x2814))  # fatal errors are told
    before = bench.counts()["released"][1]
    for tag in range(100, 200):
        await bench.send(config(0, tag))
    got = await quiet(bench)
    answered = [tlp for tlp in got if tlp[0] == 0x4A]
    tags = [tlp[10] for tlp in answered]
    assert all(tlp[12:] == struct.pack("<I", IDS) and tlp[6] >> 5 == 0 for tlp in answered)
    assert tags == sorted(set(tags)) and tags[:8] == list(range(100, 108))
    assert len(tags) < 100, "nothing overflowed: the test shows nothing"
    assert bench.counts()["released"][1] - before == len(tags)
    fatal = [tlp for tlp in got if tlp[0] & 0xF8 == 0x30 and tlp[7] == ERR_FATAL]
    assert len(fatal) == 1, "told once until the queue has run empty"
    assert len(fatal) + len(answered) == len(got)
    status, value = await ask(bench, config(AER_STATUS, 4))
    assert status == 0 and value == OVERFLOW
    await ask(bench, config(AER_STATUS, 5, value=OVERFLOW))
    assert await ask(bench, config(AER_STATUS, 6)) == (0, 0)
    assert await ask(bench, config(0, 7, func=3)) == (0, IDS)


@cocotb.test(timeout_time=80, timeout_unit="ms")
async def hostile_mix_loses_no_credit(dut: Any) -> None:
    """250 TLPs of every class, most of them bad (malformed, foreign prefix, unknown stream, address
    of nobody, unexpected), back to back within the credits: each gives its credit back, no memory
    changes but by the good writes, and every good read is answered."""
    bench = EndpointBench(dut)
    await bench.power_on()
    await bench.delay(ERASURE_CYCLES)
    for register, value in ((BAR0, F1_BAR), (BAR0 + 4, 0), (COMMAND, 6)):
        await ask(bench, config(register, 1, func=1, value=value))
    rng = random.Random(cocotb.RANDOM_SEED)
    scratch = F1_BAR + 0x1000
    written = [0]
    asked: dict[int, int] = {}

    def answered(got: bytes) -> None:
        # A later write may pass a waiting read, an earlier one has to be seen.
        if got[0] == 0x4A:
            assert int.from_bytes(got[12:16], "little") in written[asked.pop(got[10]):]

    mwr = lambda: write(0x5000_0000, rng.randbytes(4 * rng.randint(1, 32)))  # noqa: E731
    cpl = bytes([0x4A, 0, 0, 1, 0, 0, 0, 4, BUS, 1, 9, 0]) + bytes(4)
    for number in range(250):
        tag = number
        prefix = bytes([rng.choice([0x90, 0x91, 0x9E]), 0, 0, rng.randrange(256)])
        kind = rng.randrange(11)
        if kind == 0:
            written.append(rng.getrandbits(32))
            tlp = write(scratch, struct.pack("<I", written[-1]))
        elif kind == 1:
            tlp = read(scratch, tag)
            asked[tag] = len(written) - 1
        else:
            tlp = [mwr(), mwr() + bytes(4), write(scratch, bytes(4), length_dw=2),
                   prefix + write(scratch, bytes(4)), prefix + read(scratch, tag),
                   bytes([0x92, 0, 0x77, 5]) + write(scratch, bytes(4)) + bytes(12),
                   bytes([0x92, 0, 0x77, 0x15]) + read(scratch, tag) + bytes(12),
                   cpl, prefix + cpl][kind - 2]
        await bench.send(tlp)
        if rng.random() < 0.2:
            for got in await bench.receive(0):
                answered(got)
    for got in await quiet(bench):
        answered(got)
    assert not asked
    assert await ask(bench, read(scratch, 0)) == (0, written[-1])
    await quiet(bench)
    bench.check_credits()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def planted_change_of_a_waiting_beat(dut: Any) -> None:
    """Writes follow each other until the wire stalls, then the waiting beat changes."""
    bench = RudeBench(dut)
    await bench.power_on()

    async def flood() -> None:
        while True:
            await bench.send(write(0x5000_0000, bytes(128)))

    cocotb.start_soon(flood())
    for _ in range(5000):
        await Timer(CYCLE_NS, "ns")
        # Between two clock edges: altered in every cycle of a stall, from its first one on.
        if int(dut.sending_q.value) and not int(dut.rx_ready.value):
            dut.shift_q.value = int(dut.shift_q.value) ^ 1 << 2303
    raise AssertionError("the wire never stalled, or nobody noticed")
