# SPDX-License-Identifier: Apache-2.0
"""entropy_health: cutoffs recomputed from SP 800-90B, every test at its exact limit."""

from __future__ import annotations

import math
import random
from decimal import Decimal, getcontext
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import reset

WINDOW = 1024
RUN, PROPORTION, REPEAT = 41, 793, 3


def test_entropy_health() -> None:
    simulate("entropy_health", __name__, sources=["crypto/entropy_health.sv"])


def test_cutoffs_follow_from_the_entropy_claim() -> None:
    """SP 800-90B, 4.4.1 and 4.4.2, for 1/2 bit of min-entropy per bit and alpha = 2^-20."""
    getcontext().prec = 60
    most_likely = Decimal(2) ** Decimal("-0.5")
    below = Decimal(0)
    critical = -1
    while below < 1 - Decimal(2) ** -20:
        critical += 1
        below += (math.comb(WINDOW, critical) * most_likely ** critical
                  * (1 - most_likely) ** (WINDOW - critical))
    assert RUN == 1 + math.ceil(20 / 0.5)
    assert PROPORTION == 1 + critical
    assert REPEAT == 1 + math.ceil(20 / (32 * 0.5))


def bits_to_words(bits: list[int]) -> list[int]:
    assert len(bits) % 32 == 0
    return [int("".join(map(str, bits[i:i + 32])), 2) for i in range(0, len(bits), 32)]


def first_bad_word(words: list[int]) -> int | None:
    """Index of the word that must raise the alarm, by plain counting."""
    bits = [w >> (31 - i) & 1 for w in words for i in range(32)]
    bad = []
    run = 0
    for i, bit in enumerate(bits):
        run = run + 1 if i and bits[i - 1] == bit else 1
        if run >= RUN:
            bad.append(i // 32)
            break
    for start in range(0, len(bits), WINDOW):
        part = bits[start:start + WINDOW]
        for value in (0, 1):
            hits = [i for i, bit in enumerate(part) if bit == value]
            if len(hits) >= PROPORTION:
                bad.append((start + hits[PROPORTION - 1]) // 32)
    for i in range(REPEAT - 1, len(words)):
        if len(set(words[i - REPEAT + 1:i + 1])) == 1:
            bad.append(i)
            break
    return min(bad, default=None)


class Bench:
    """Feeds words one at a time and looks at the alarm after each."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut

    async def start(self) -> None:
        self.dut.word_valid_i.value = 0
        self.dut.word_i.value = 0
        self.dut.clear_i.value = 0
        Clock(self.dut.clk_i, 10, unit="ns").start()
        await self.reset()

    async def reset(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)

    async def word(self, value: int) -> bool:
        """Feed one word; True if the alarm stands when its test is over."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.word_i.value = value
        dut.word_valid_i.value = 1
        await RisingEdge(dut.clk_i)
        assert int(dut.word_ready_o.value) == 1
        await FallingEdge(dut.clk_i)
        dut.word_valid_i.value = 0
        cycles = 0
        while int(dut.busy_o.value):
            await FallingEdge(dut.clk_i)
            cycles += 1
        assert cycles == 32 or int(dut.alarm_o.value)
        return bool(int(dut.alarm_o.value))

    async def expect(self, words: list[int], what: str) -> int | None:
        """Feed words from reset until the alarm and compare with the model."""
        await self.reset()
        expected = first_bad_word(words)
        for i, value in enumerate(words):
            alarm = await self.word(value)
            assert alarm == (i == expected), f"{what}: word {i}, alarm {alarm}, due at {expected}"
            if alarm:
                assert int(self.dut.passed_o.value) == 0
                return i
            assert int(self.dut.passed_o.value) == int(i >= 31), f"{what}: passed at word {i}"
        return None


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def good_source_passes(dut: Any) -> None:
    """Full-entropy words, and words at the claimed bias side, raise no alarm."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(1)
    assert await bench.expect([rng.getrandbits(32) for _ in range(200)], "uniform") is None
    skewed = [int(rng.random() < 0.6) for _ in range(WINDOW * 4)]
    assert await bench.expect(bits_to_words(skewed), "60 percent ones") is None


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def repetition_of_bits_alarms_at_the_cutoff(dut: Any) -> None:
    """40 equal bits pass, 41 alarm, wherever the run lies and whatever its value."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(2)
    for value in (0, 1):
        for start in (0, 5, 31, 32, 40):
            for length in (RUN - 1, RUN):
                bits = [rng.getrandbits(1) for _ in range(160)]
                bits[start:start + length] = [value] * length
                if start:
                    bits[start - 1] = 1 - value
                bits[start + length] = 1 - value
                found = await bench.expect(bits_to_words(bits), f"run of {length} at {start}")
                assert (found is not None) == (length == RUN)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def proportion_alarms_at_the_cutoff(dut: Any) -> None:
    """792 equal bits of a window pass, 793 alarm; the window starts anew after 1024 bits."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(3)
    for value in (0, 1):
        for count in (PROPORTION - 1, PROPORTION):
            while True:
                bits = [value] * count + [1 - value] * (WINDOW - count)
                rng.shuffle(bits)
                lead = [rng.getrandbits(1) for _ in range(WINDOW)]
                words = bits_to_words(lead + bits)
                only = first_bad_word(words)
                # A run of 41 or a threefold word would hide what is tested here.
                if (only is not None) == (count == PROPORTION):
                    break
            found = await bench.expect(words, f"{count} times {value}")
            assert (found is not None) == (count == PROPORTION)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def frozen_word_alarms_at_the_third_repetition(dut: Any) -> None:
    """A balanced word that repeats is seen by the word test alone."""
    bench = Bench(dut)
    await bench.start()
    a, b = 0xA5C3_3C5A, 0x1234_9876
    assert await bench.expect([a, a, b, b, a, a, b], "pairs") is None
    assert await bench.expect([b, a, a, a], "triple") == 3


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def biased_source_alarms_where_the_model_does(dut: Any) -> None:
    """Random words of growing bias, both ways: the alarm comes at exactly the model's word."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(4)
    alarms = 0
    for ones in (0.3, 0.2, 0.1, 0.7, 0.74, 0.77, 0.8, 0.9, 1.0, 0.0):
        words = bits_to_words([int(rng.random() < ones) for _ in range(WINDOW * 3)])
        alarms += await bench.expect(words, f"ones {ones}") is not None
    assert alarms >= 6


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def alarm_stays_until_reset(dut: Any) -> None:
    """Neither good words nor clear_i take the alarm back; clear_i forgets words and counts."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(5)
    assert not await bench.word(0)
    dut.clear_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    assert int(dut.last_word_q.value) == 0
    assert not await bench.word(0), "the run began before clear_i"
    assert await bench.word(0)
    dut.clear_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    for _ in range(40):
        assert await bench.word(rng.getrandbits(32))
    await bench.reset()
    for _ in range(40):
        assert not await bench.word(rng.getrandbits(32))
    assert int(dut.passed_o.value) == 1
