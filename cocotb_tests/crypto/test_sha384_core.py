# SPDX-License-Identifier: Apache-2.0
"""sha384_core against NIST's vectors and hashlib; states saved, restored and wiped."""

from __future__ import annotations

import hashlib
import os
import random
from typing import Any

import cocotb
import cryptography_vectors
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, ValueChange
from cocotb.utils import get_sim_time

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import reset

LONG = "TEEIO_LONG" in os.environ
BLOCK = 128
CYCLES = 83
PERIOD_NS = 10


def test_sha384_core() -> None:
    simulate("sha384_core", __name__, sources=["crypto/sha384_core.sv"])


@pytest.mark.long
def test_sha384_core_all_vectors() -> None:
    simulate("sha384_core", __name__, sources=["crypto/sha384_core.sv"],
             testcase="every_nist_vector", extra_env={"TEEIO_LONG": "1"})


def pad(message: bytes) -> bytes:
    """FIPS 180-4, 5.1.2."""
    zeros = -(len(message) + 17) % BLOCK
    return message + b"\x80" + bytes(zeros) + (8 * len(message)).to_bytes(16, "big")


def vectors(filename: str) -> list[tuple[bytes, bytes]]:
    """(message, digest) of a CAVP byte-oriented file."""
    out = []
    length = 0
    message = b""
    with cryptography_vectors.open_vector_file(f"hashes/SHA2/{filename}", "r") as file:
        for raw in file:
            name, _, value = (part.strip() for part in raw.partition("="))
            if name == "Len":
                length = int(value) // 8
            elif name == "Msg":
                message = bytes.fromhex(value)[:length]
            elif name == "MD":
                out.append((message, bytes.fromhex(value)))
    return out


class Bench:
    """Drives sha384_core at falling edges."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut

    async def start(self) -> None:
        dut = self.dut
        Clock(dut.clk_i, PERIOD_NS, unit="ns").start()
        for name in ("clear_i", "init_i", "load_state_i", "state_i", "block_valid_i", "block_i"):
            getattr(dut, name).value = 0
        await reset(dut.clk_i, dut.rst_i)
        await FallingEdge(dut.clk_i)

    async def pulse(self, name: str) -> None:
        signal = getattr(self.dut, name)
        signal.value = 1
        await FallingEdge(self.dut.clk_i)
        signal.value = 0

    async def block(self, data: bytes) -> int:
        """Fold one block; returns the cycles from acceptance until the state is ready."""
        dut = self.dut
        dut.block_i.value = int.from_bytes(data, "big")
        dut.block_valid_i.value = 1
        await RisingEdge(dut.clk_i)
        assert int(dut.block_ready_o.value) == 1
        await FallingEdge(dut.clk_i)
        start = get_sim_time("ns")
        dut.block_valid_i.value = 0
        dut.block_i.value = 0
        assert int(dut.busy_o.value) == 1 and int(dut.block_ready_o.value) == 0
        # Woken by the signal, not by each clock edge: the long test folds thousands of blocks.
        await ValueChange(dut.busy_o)
        await FallingEdge(dut.clk_i)
        assert int(dut.busy_o.value) == 0
        return 1 + int(get_sim_time("ns") - start) // PERIOD_NS

    async def update(self, padded: bytes) -> None:
        for i in range(0, len(padded), BLOCK):
            assert await self.block(padded[i:i + BLOCK]) == CYCLES

    async def restore(self, state: int) -> None:
        self.dut.state_i.value = state
        await self.pulse("load_state_i")
        self.dut.state_i.value = 0

    def digest(self) -> bytes:
        return (int(self.dut.state_o.value) >> 128).to_bytes(48, "big")

    async def hash(self, message: bytes) -> bytes:
        await self.pulse("init_i")
        await self.update(pad(message))
        return self.digest()

    def working_registers(self) -> dict[str, int]:
        dut = self.dut
        regs = {f"w{i}": int(dut.w_q[i].value) for i in range(16)}
        return regs | {"a..h": int(dut.v_q.value), "hkw": int(dut.hkw_q.value)}


async def check(bench: Bench, cases: list[tuple[bytes, bytes]]) -> None:
    for message, expected in cases:
        assert await bench.hash(message) == expected, f"message of {len(message)} bytes"


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def sample_of_nist_vectors(dut: Any) -> None:
    """FIPS 180-4, CAVP: every fourth short message and some long ones."""
    bench = Bench(dut)
    await bench.start()
    await check(bench, vectors("SHA384ShortMsg.rsp")[::4] + vectors("SHA384LongMsg.rsp")[:30:6])


@cocotb.test(skip=not LONG, timeout_time=50, timeout_unit="ms")
async def every_nist_vector(dut: Any) -> None:
    """FIPS 180-4, CAVP: all short and long messages."""
    cases = vectors("SHA384ShortMsg.rsp") + vectors("SHA384LongMsg.rsp")
    assert len(cases) > 200
    bench = Bench(dut)
    await bench.start()
    await check(bench, cases)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def messages_around_block_limits_match_hashlib(dut: Any) -> None:
    """Lengths where padding fits, just fits, and needs one more block."""
    rng = random.Random(1)
    bench = Bench(dut)
    await bench.start()
    for length in (0, 1, 110, 111, 112, 113, 127, 128, 129, 239, 240, 255, 256, 1000):
        message = rng.randbytes(length)
        assert await bench.hash(message) == hashlib.sha384(message).digest(), f"{length} bytes"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def interleaved_transcripts_survive_save_and_restore(dut: Any) -> None:
    """Three messages, one block of each in turn, each state kept outside meanwhile."""
    rng = random.Random(2)
    bench = Bench(dut)
    await bench.start()
    messages = [rng.randbytes(n) for n in (300, 700, 511)]
    queues = [pad(m) for m in messages]
    await bench.pulse("init_i")
    states = [int(dut.state_o.value)] * 3
    while any(queues):
        for i, rest in enumerate(queues):
            if rest:
                await bench.restore(states[i])
                assert await bench.block(rest[:BLOCK]) == CYCLES
                states[i] = int(dut.state_o.value)
                queues[i] = rest[BLOCK:]
    for state, message in zip(states, messages, strict=True):
        assert (state >> 128).to_bytes(48, "big") == hashlib.sha384(message).digest()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def commands_during_a_block_are_ignored(dut: Any) -> None:
    """init_i and load_state_i in each phase of a block do not disturb it."""
    rng = random.Random(3)
    bench = Bench(dut)
    await bench.start()
    message = rng.randbytes(100)
    for delay in (0, 1, 40, 79, 80):
        await bench.pulse("init_i")
        before = int(dut.state_o.value)
        dut.block_i.value = int.from_bytes(pad(message), "big")
        await bench.pulse("block_valid_i")
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
            assert int(dut.block_ready_o.value) == 0
        assert int(dut.state_o.value) == before, "state changed in the middle of a block"
        await bench.pulse("init_i")
        await bench.restore(12345)
        while int(dut.busy_o.value):
            await FallingEdge(dut.clk_i)
        assert bench.digest() == hashlib.sha384(message).digest()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def clear_wipes_state_and_schedule_at_any_time(dut: Any) -> None:
    """State, a..h and all of W are zero one cycle after clear_i; the engine works afterwards."""
    rng = random.Random(4)
    bench = Bench(dut)
    await bench.start()
    for delay in (0, 1, 2, 17, 50, 80, 81, 82, 90):
        await bench.pulse("init_i")
        dut.block_i.value = int.from_bytes(rng.randbytes(BLOCK), "big")
        await bench.pulse("block_valid_i")
        dut.block_i.value = 0
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        registers = bench.working_registers()
        if 1 < delay < 80:
            assert all(registers.values()), "the schedule should be in use here"
        elif delay > 82:
            assert not any(registers.values()), "residue between blocks"
            assert int(dut.state_o.value) != 0
        await bench.pulse("clear_i")
        assert int(dut.state_o.value) == 0 and int(dut.busy_o.value) == 0
        assert not any(bench.working_registers().values())
        assert await bench.hash(b"abc") == hashlib.sha384(b"abc").digest()
