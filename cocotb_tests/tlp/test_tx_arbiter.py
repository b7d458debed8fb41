# SPDX-License-Identifier: Apache-2.0
"""tx_arbiter: whole TLPs, order per source, priority, fairness, credits, withdrawal."""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import TLP_BEAT, beats_to_tlp, reset, tlp_to_beats, unpack

NUM_IN = 4
BEAT_BITS = sum(width for _, width in TLP_BEAT)

# First byte of a header -> ordering class (posted, non-posted, completion), from the TLP table.
CLASS = {0x40: 0, 0x60: 0, 0x30: 0, 0x74: 0, 0x00: 1, 0x20: 1, 0x44: 1, 0x7B: 1, 0x0A: 2, 0x4A: 2}
POSTED, NON_POSTED, COMPLETION = range(3)


def test_tx_arbiter() -> None:
    simulate("tx_arbiter", __name__, parameters={"NumIn": NUM_IN},
             sources=["tlp/tx_arbiter.sv"])


def make_tlp(source: int, number: int, kind: int, dws: int) -> list[int]:
    """Beats of a TLP that names its source and number in bytes 4..7."""
    header = bytes([kind, 0, 0, dws, source]) + number.to_bytes(3, "big") + bytes(8)
    header = header[:16 if kind & 0x20 else 12]
    payload = bytes([source, number & 0xFF] * (2 * dws)) if kind & 0x40 else b""
    return tlp_to_beats(header, payload)


class Bench:
    """All sources, a credit counter per class, and the output, one coroutine per clock edge."""

    def __init__(self, dut: Any, *, seed: int = 1, idle: float = 0.0, stall: float = 0.0) -> None:
        Clock(dut.clk_i, 10, unit="ns").start()
        self.dut, self.idle, self.stall = dut, idle, stall
        self.rng = random.Random(seed)
        self.queues: list[deque[list[int]]] = [deque() for _ in range(NUM_IN)]
        self.current: list[list[int]] = [[] for _ in range(NUM_IN)]
        self.credits = [10**9] * 3
        self.consumed = Counter[int]()
        self.out: list[tuple[int, int, int]] = []  # (source, number, class) in order of eop
        self.cycles_out: list[int] = []            # cycle of each transfer
        self.cycle = 0
        self._beats: list[int] = []
        self.valid = 0
        for sig in (dut.in_valid_i, dut.in_i, dut.out_ready_i, dut.credit_ok_i):
            sig.value = 0

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        cocotb.start_soon(self._drive())
        cocotb.start_soon(self._sample())

    def put(self, source: int, number: int, kind: int = 0x40, dws: int = 1) -> None:
        self.queues[source].append(make_tlp(source, number, kind, dws))

    def withdraw(self, source: int) -> None:
        """Take back a TLP whose first beat was not accepted."""
        self.current[source] = []
        self.valid &= ~(1 << source)

    async def _drive(self) -> None:
        while True:
            await FallingEdge(self.dut.clk_i)
            packed = 0
            for i in range(NUM_IN):
                if not self.current[i] and self.queues[i]:
                    self.current[i] = list(self.queues[i].popleft())
                held = self.valid >> i & 1
                if self.current[i] and not held and self.rng.random() >= self.idle:
                    self.valid |= 1 << i
                packed |= (self.current[i][0] if self.current[i] else 0) << (i * BEAT_BITS)
            self.dut.in_i.value = packed
            self.dut.in_valid_i.value = self.valid
            self.dut.out_ready_i.value = int(self.rng.random() >= self.stall)
            self.dut.credit_ok_i.value = sum((c > 0) << k for k, c in enumerate(self.credits))

    async def _sample(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk_i)
            self.cycle += 1
            consume = int(dut.consume_o.value)
            for k in range(3):
                if consume >> k & 1:
                    self.credits[k] -= 1
                    self.consumed[k] += 1
                    assert self.credits[k] >= 0, "a TLP was let go without credit"
            taken = int(dut.in_ready_o.value) & self.valid
            if int(dut.out_valid_o.value) and int(dut.out_ready_i.value):
                self._beats.append(int(dut.out_o.value))
                self.cycles_out.append(self.cycle)
                source = taken.bit_length() - 1
                assert taken == 1 << source, "not exactly one source taken"
                assert self.current[source].pop(0) == self._beats[-1]
                self.valid &= ~taken
                if unpack(TLP_BEAT, self._beats[-1])["eop"]:
                    header, payload, _ = beats_to_tlp(self._beats)
                    want = bytes([header[4], header[7]]) * (len(payload) // 2)
                    assert payload == want, "a TLP mixed from two sources"
                    self.out.append((header[4], int.from_bytes(header[5:8], "big"),
                                     CLASS[header[0]]))
                    self._beats = []
            else:
                assert taken == 0

    async def wait_for(self, count: int) -> None:
        while len(self.out) < count:
            await RisingEdge(self.dut.clk_i)


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def tlps_stay_whole_and_in_order_per_source(dut: Any, idle: float, stall: float) -> None:
    """400 TLPs of all classes and sizes from four sources, credits trickling in."""
    bench = Bench(dut, seed=cocotb.RANDOM_SEED, idle=idle, stall=stall)
    rng = random.Random(cocotb.RANDOM_SEED)
    want = Counter[int]()
    for n in range(400):
        kind = rng.choice(sorted(CLASS))
        want[CLASS[kind]] += 1
        bench.put(rng.randrange(NUM_IN), n, kind, rng.choice((1, 2, 5, 16)))
    bench.credits = [0, 0, 0]
    await bench.start()
    while len(bench.out) < 400:
        await ClockCycles(dut.clk_i, 3)
        k = rng.randrange(3)
        bench.credits[k] += rng.randrange(4)
    for source in range(NUM_IN):
        numbers = [n for s, n, _ in bench.out if s == source]
        assert numbers == sorted(numbers)
    assert sorted(n for _, n, _ in bench.out) == list(range(400))
    assert bench.consumed == want


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def round_robin_is_fair_and_source_0_goes_first(dut: Any) -> None:
    """Saturated: 1,2,3 in turn; with source 0 saturated too it gets every second turn."""
    bench = Bench(dut)
    for n in range(30):
        for source in (1, 2, 3):
            bench.put(source, n, 0x40, 5)
    await bench.start()
    await bench.wait_for(90)
    assert [s for s, _, _ in bench.out] == [1, 2, 3] * 30
    bench.out.clear()
    for n in range(60):
        bench.put(0, n, 0x4A, 1)
        bench.put(1 + n % 3, n, 0x40, 5)
    await bench.wait_for(120)
    got = [s for s, _, _ in bench.out]
    # The offers of all sources appear together, so source 0 is first of every pair.
    assert got[0::2] == [0] * 60
    assert got[1::2] == [1, 2, 3] * 20


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def no_idle_cycle_while_two_sources_have_tlps(dut: Any) -> None:
    """60 TLPs of two sources leave in exactly as many cycles as they have beats."""
    bench = Bench(dut)
    for n in range(30):
        bench.put(1, n, 0x40, 9)
        bench.put(2, n, 0x00, 1)
    await bench.start()
    await bench.wait_for(60)
    span = bench.cycles_out[-1] - bench.cycles_out[0] + 1
    assert span == len(bench.cycles_out)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_lone_source_pays_one_idle_cycle_per_tlp(dut: Any) -> None:
    """20 one-beat TLPs of one source: every second cycle (the contract's worst case)."""
    bench = Bench(dut)
    for n in range(20):
        bench.put(2, n, 0x00, 1)
    await bench.start()
    await bench.wait_for(20)
    assert bench.cycles_out[-1] - bench.cycles_out[0] + 1 <= 39


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(blocked=[POSTED, NON_POSTED, COMPLETION])
async def a_class_without_credit_blocks_nobody_else(dut: Any, blocked: int) -> None:
    """Credit 0 for one class: the two others finish, then the class runs with its credits."""
    bench = Bench(dut)
    kinds = {POSTED: 0x60, NON_POSTED: 0x20, COMPLETION: 0x4A}
    sources = {POSTED: 1, NON_POSTED: 2, COMPLETION: 0}
    for n in range(10):
        for klass, kind in kinds.items():
            bench.put(sources[klass], n, kind, 4)
    bench.credits[blocked] = 0
    await bench.start()
    await bench.wait_for(20)
    await ClockCycles(dut.clk_i, 50)
    assert len(bench.out) == 20
    assert blocked not in {k for _, _, k in bench.out}
    bench.credits[blocked] = 3
    await bench.wait_for(23)
    await ClockCycles(dut.clk_i, 50)
    assert len(bench.out) == 23
    bench.credits[blocked] = 7
    await bench.wait_for(30)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def one_credit_is_not_given_twice(dut: Any) -> None:
    """Two sources with one-beat TLPs of one class and a single credit: exactly one leaves."""
    bench = Bench(dut)
    for source in (0, 1, 2, 3):
        for n in range(3):
            bench.put(source, n, 0x00, 1)
    bench.credits[NON_POSTED] = 0
    await bench.start()
    for done in range(12):
        await ClockCycles(dut.clk_i, 12)
        assert len(bench.out) == done
        bench.credits[NON_POSTED] += 1
    await bench.wait_for(12)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_withdrawn_tlp_frees_the_output_and_costs_no_credit(dut: Any) -> None:
    """The chosen source takes its TLP back before the first beat: the others go on."""
    bench = Bench(dut, stall=1.0)
    bench.put(2, 0, 0x40, 4)
    await bench.start()
    await ClockCycles(dut.clk_i, 5)
    assert int(dut.out_valid_o.value) == 1
    bench.withdraw(2)
    bench.put(1, 1, 0x40, 4)
    await ClockCycles(dut.clk_i, 5)
    bench.stall = 0.0
    bench.put(2, 2, 0x00, 1)
    await bench.wait_for(2)
    await ClockCycles(dut.clk_i, 10)
    assert bench.out == [(1, 1, POSTED), (2, 2, NON_POSTED)]
    assert bench.consumed == {POSTED: 1, NON_POSTED: 1}
