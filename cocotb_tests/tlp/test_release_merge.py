# SPDX-License-Identifier: Apache-2.0
"""release_merge: as many releases out as in; and a property set that would notice if not."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import reset
from sim import toolchain

MAX_WAITING = 15


def test_release_merge() -> None:
    simulate("release_merge", __name__, sources=["tlp/release_merge.sv"])


def test_a_lost_release_ends_the_simulation(capfd: pytest.CaptureFixture[str]) -> None:
    """A merge that forgets a release, as a plain OR would, is stopped by the bound properties."""
    text = (toolchain.REPO / "rtl/tlp/release_merge.sv").read_text()
    broken = text.replace("waiting_q <= waiting_q + 1'b1;", "waiting_q <= waiting_q;")
    assert broken != text
    # One path for all runs: the cache of builds goes by content.
    mutant = toolchain.BUILD / "mutants" / "release_merge.sv"
    mutant.parent.mkdir(parents=True, exist_ok=True)
    mutant.write_text(broken)
    with pytest.raises(RuntimeError):
        simulate("release_merge", __name__, sources=[mutant])
    assert "Assert_none_lost" in "".join(capfd.readouterr())


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(rate=[0.1, 0.5, 0.9])
async def no_release_is_lost(dut: Any, rate: float) -> None:
    """2000 cycles of random pulses on both inputs, never more than the bound behind; a release
    leaves in the cycle it comes if nothing waits, and in every cycle while something does."""
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.a_i.value = dut.b_i.value = 0
    await reset(dut.clk_i, dut.rst_i)
    rng = random.Random(cocotb.RANDOM_SEED)
    given = taken = most = 0
    for _ in range(2000):
        await FallingEdge(dut.clk_i)
        room = MAX_WAITING - (given - taken)
        a, b = rng.random() < rate, rng.random() < rate and room > 0
        dut.a_i.value, dut.b_i.value = int(a), int(b)
        await ReadOnly()
        given += a + b
        released = int(dut.release_o.value)
        assert released == int(given > taken)
        taken += released
        most = max(most, given - taken)
    await FallingEdge(dut.clk_i)
    dut.a_i.value = dut.b_i.value = 0
    for _ in range(MAX_WAITING + 1):
        await ReadOnly()
        taken += int(dut.release_o.value)
        await FallingEdge(dut.clk_i)
    assert taken == given and most > 0
