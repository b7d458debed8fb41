# SPDX-License-Identifier: Apache-2.0
"""mgmt_function: identity, cycle counter and the DOE interrupt of F0."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamMonitor, beats_to_tlp, reset
from cocotb_tests.function.bench import LocalBus, cfg


def test_mgmt_function() -> None:
    simulate("mgmt_function", __name__, sources=["function/msix.sv", "function/mgmt_function.sv"])


async def start(dut: Any) -> tuple[LocalBus, StreamMonitor]:
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.flr_i.value = dut.doe_irq_i.value = 0
    dut.requester_id_i.value = 0x2A00
    dut.cycle_i.value = 0xAABB_CCDD_1122_3344
    dut.cfg_i.value = cfg()
    bus = LocalBus(dut)
    tx = StreamMonitor(dut.clk_i, dut.tx_valid_o, dut.tx_ready_i, dut.tx_o)
    await reset(dut.clk_i, dut.rst_i)
    return bus, tx


async def pulse(dut: Any, name: str) -> None:
    await FallingEdge(dut.clk_i)
    getattr(dut, name).value = 1
    await FallingEdge(dut.clk_i)
    getattr(dut, name).value = 0
    for _ in range(6):
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_read_as_documented(dut) -> None:
    """ID, TDI number FFh, latched cycle counter; everything else reads 0 and ignores writes."""
    bus, _ = await start(dut)
    assert await bus.read(0x000) == 0x4F494554
    assert await bus.read(0x008) == 0xFF
    assert await bus.read(0x010) == 0x1122_3344
    dut.cycle_i.value = 0
    assert await bus.read(0x014) == 0xAABB_CCDD
    for at in range(0x018, 0x1000, 4):
        if not 0x800 <= at < 0x840:
            if at % 0x40 == 0x1C:
                await bus.write(at, 0xFFFF_FFFF)
            assert await bus.read(at) == 0, hex(at)
    await bus.write(0x000, 0)
    assert await bus.read(0x000) == 0x4F494554


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def doe_interrupt_is_vector_0_without_t_bit(dut) -> None:
    """Table at 800h, PBA at C00h: pending while masked, one message with T=0 by association, reset
    by FLR."""
    bus, tx = await start(dut)
    for word, value in enumerate((0xFEE0_0000, 0, 0x41, 1)):
        await bus.write(0x800 + 4 * word, value)
    await bus.write(0x83C, 0)
    assert await bus.read(0x83C) == 0
    await pulse(dut, "doe_irq_i")
    await pulse(dut, "doe_irq_i")
    assert tx.queue.empty() and await bus.read(0xC00) == 1
    await bus.write(0xC00, 0)
    await bus.write(0x80C, 0)
    for _ in range(6):
        await RisingEdge(dut.clk_i)
    header, payload, first = beats_to_tlp([tx.queue.get_nowait()])
    assert header == bytes.fromhex("40000001 2a00000f fee00000")
    assert payload == bytes([0x41, 0, 0, 0])
    assert (first["ide"], first["t_bit"], first["associate"]) == (0, 0, 1)
    assert tx.queue.empty() and await bus.read(0xC00) == 0
    await pulse(dut, "flr_i")
    await pulse(dut, "doe_irq_i")
    assert tx.queue.empty()
    assert [await bus.read(0x800 + 4 * w) for w in range(4)] == [0, 0, 0, 1]
