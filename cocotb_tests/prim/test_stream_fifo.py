# SPDX-License-Identifier: Apache-2.0
"""stream_fifo: order, capacity, no loss under any mix of pauses."""

from __future__ import annotations

import cocotb
from cocotb.clock import Clock

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamDriver, StreamMonitor, random_pauses, reset


def test_stream_fifo() -> None:
    simulate("stream_fifo", __name__, sources=["prim/stream_fifo.sv"],
             parameters={"Width": 16, "Depth": 3})


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.6])
async def fifo_keeps_order_and_loses_nothing(dut, idle: float, stall: float) -> None:
    """500 words arrive in order whatever the pauses on either side."""
    Clock(dut.clk_i, 10, unit="ns").start()
    drv = StreamDriver(dut.clk_i, dut.in_valid_i, dut.in_ready_o, dut.in_data_i,
                       random_pauses(1, idle) if idle else None)
    mon = StreamMonitor(dut.clk_i, dut.out_valid_o, dut.out_ready_i, dut.out_data_o,
                        random_pauses(2, stall) if stall else None)
    await reset(dut.clk_i, dut.rst_i)
    words = [(i * 40503) & 0xFFFF for i in range(500)]
    drv.put_all(words)
    assert [await mon.get() for _ in words] == words
