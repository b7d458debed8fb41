# SPDX-License-Identifier: Apache-2.0
"""work_memory: both ports against a byte array, every alignment, and its erasure."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.function.bench import everything

BYTES = 1024


def test_work_memory() -> None:
    simulate("work_memory", __name__, sources=["function/work_bank.sv", "function/work_memory.sv"],
             parameters={"Bytes": BYTES})


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def both_ports_agree_with_a_byte_array(dut) -> None:
    """5000 cycles with random accesses on both ports at once; one DW written by both: DMA wins."""
    Clock(dut.clk_i, 10, unit="ns").start()
    rng, model = random.Random(1), bytearray(BYTES)
    dut.clear_i.value = dut.flush_i.value = 0
    for row in range(BYTES // 16):
        await FallingEdge(dut.clk_i)
        dut.clear_i.value, dut.clear_row_i.value = 1, row
    lb_want = dma_want = None
    for _ in range(5000):
        await FallingEdge(dut.clk_i)
        dut.clear_i.value = 0
        if lb_want is not None:
            assert int(dut.lb_rdata_o.value) == int.from_bytes(lb_want, "little")
        if dma_want is not None:
            assert int(dut.dma_rdata_o.value).to_bytes(16, "big")[:len(dma_want)] == dma_want
        lb_want = dma_want = None
        before = bytes(model)
        lb, dma = rng.random() < 0.7, rng.random() < 0.7
        lb_we, word, be = rng.randrange(2), rng.randrange(BYTES // 4), rng.randrange(16)
        dws = rng.randint(1, 4)
        start = rng.randrange(BYTES // 4 - dws + 1) if rng.random() < 0.6 else word & ~3
        dma_we = (0xF << (4 - dws)) & 0xF if rng.randrange(2) else 0
        dut.lb_en_i.value, dut.lb_we_i.value, dut.lb_word_i.value = int(lb), lb_we, word
        dut.lb_be_i.value = be
        value = rng.randbytes(4)
        dut.lb_wdata_i.value = int.from_bytes(value, "little")
        dut.dma_en_i.value, dut.dma_we_i.value, dut.dma_word_i.value = int(dma), dma_we, start
        payload = rng.randbytes(16)
        dut.dma_wdata_i.value = int.from_bytes(payload, "big")
        if not dma:
            dut.dma_we_i.value = dma_we = 0
        if lb and lb_we:
            for i in range(4):
                if be >> i & 1:
                    model[4 * word + i] = value[i]
        elif lb:
            lb_want = before[4 * word:4 * word + 4]
        if dma_we:
            model[4 * start:4 * start + 4 * dws] = payload[:4 * dws]
        elif dma:
            dma_want = before[4 * start:4 * start + 16]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def erasure_empties_memory_and_read_registers(dut) -> None:
    """Clear all rows while both ports are hammered, then flush: every bit of every bank is zero."""
    Clock(dut.clk_i, 10, unit="ns").start()
    rng = random.Random(2)
    dut.clear_i.value = dut.flush_i.value = dut.dma_en_i.value = 0
    dut.lb_be_i.value = 15
    for word in range(BYTES // 4):
        await FallingEdge(dut.clk_i)
        dut.lb_en_i.value, dut.lb_we_i.value, dut.lb_word_i.value = 1, 1, word
        dut.lb_wdata_i.value = rng.randrange(1 << 32) | 1
    for word in range(8):
        await FallingEdge(dut.clk_i)
        dut.lb_we_i.value, dut.lb_word_i.value = 0, word
        dut.dma_en_i.value, dut.dma_we_i.value, dut.dma_word_i.value = 1, 0, 4 * word
    state = [(p, v) for p, v in everything(dut) if "mem_q" in p or "rdata_q" in p]
    assert len(state) == BYTES // 4 + 8 and all("1" in v for _, v in state)
    for row in range(BYTES // 16):
        await FallingEdge(dut.clk_i)
        dut.clear_i.value, dut.clear_row_i.value = 1, row
        dut.lb_we_i.value, dut.lb_word_i.value = rng.randrange(2), rng.randrange(4 * row + 1)
        dut.lb_wdata_i.value, dut.dma_wdata_i.value = 0xFFFF_FFFF, (1 << 128) - 1
        dut.dma_we_i.value, dut.dma_word_i.value = rng.choice([0, 15]), rng.randrange(4 * row + 1)
    await FallingEdge(dut.clk_i)
    dut.clear_i.value, dut.flush_i.value = 0, 1
    await FallingEdge(dut.clk_i)
    dut.flush_i.value = dut.lb_en_i.value = dut.dma_en_i.value = 0
    await FallingEdge(dut.clk_i)
    left = [p for p, v in everything(dut) if ("mem_q" in p or "rdata_q" in p) and "1" in v]
    assert left == []
