# SPDX-License-Identifier: Apache-2.0
"""UART at pin level: waveform against 8N1 written out by hand, foreign clocks, glitches."""

from __future__ import annotations

import os

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamDriver, reset

CLOCK_NS = 20


@pytest.mark.parametrize("clocks", [4, 16])
def test_uart(clocks: int) -> None:
    simulate("uart_loop", __name__, sources=["link/uart_rx.sv", "link/uart_tx.sv"],
             extra_sources=["cocotb_tests/link/uart_loop.sv"],
             parameters={"ClocksPerBit": clocks}, extra_env={"UART_CLOCKS": str(clocks)})


class Bench:
    def __init__(self, dut) -> None:
        self.dut = dut
        self.bit_ns = CLOCK_NS * int(os.environ["UART_CLOCKS"])
        self.got: list[int] = []
        self.errors = 0
        Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
        dut.rx_i.value = 1
        dut.byte_valid_i.value = 0

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            if int(self.dut.byte_valid_o.value):
                self.got.append(int(self.dut.byte_o.value))
            self.errors += int(self.dut.framing_error_o.value)

    async def send(self, byte: int, stretch: float = 1.0, stop: int = 1) -> None:
        for level in [0, *(byte >> i & 1 for i in range(8)), stop]:
            self.dut.rx_i.value = level
            await Timer(round(self.bit_ns * stretch), unit="ns")
        self.dut.rx_i.value = 1


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(sign=[-1, 0, 1])
async def receiver_takes_every_byte_from_a_foreign_clock(dut, sign: int) -> None:
    """64 values back to back from a sender that is off by 3 % (1 % at four clocks a bit)."""
    bench = Bench(dut)
    await bench.start()
    off = 0.03 if bench.bit_ns > 8 * CLOCK_NS else 0.01
    data = [(i * 37) & 0xFF for i in range(64)]
    for byte in data:
        await bench.send(byte, 1 + sign * off)
    await Timer(2 * bench.bit_ns, unit="ns")
    assert bench.got == data and bench.errors == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def glitch_is_no_byte_and_a_low_stop_bit_is_an_error(dut) -> None:
    """A pulse shorter than half a bit is ignored; a break is counted; the next byte is good."""
    bench = Bench(dut)
    await bench.start()
    dut.rx_i.value = 0
    await Timer(CLOCK_NS, unit="ns")
    dut.rx_i.value = 1
    await Timer(12 * bench.bit_ns, unit="ns")
    assert bench.got == [] and bench.errors == 0
    await bench.send(0x55, stop=0)
    await Timer(4 * bench.bit_ns, unit="ns")
    assert bench.got == [] and bench.errors == 1
    await bench.send(0xA5)
    await Timer(2 * bench.bit_ns, unit="ns")
    assert bench.got == [0xA5]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def transmitter_makes_8n1(dut) -> None:
    """The pin shows start, eight data bits LSB first, stop, each one bit time long."""
    bench = Bench(dut)
    await bench.start()
    driver = StreamDriver(dut.clk_i, dut.byte_valid_i, dut.byte_ready_o, dut.byte_i)
    data = [0x00, 0xFF, 0x7E, 0xA5]
    driver.put_all(data)
    for byte in data:
        while int(dut.tx_o.value):
            await RisingEdge(dut.clk_i)
        await Timer(bench.bit_ns // 2, unit="ns")
        for level in [0, *(byte >> i & 1 for i in range(8))]:
            assert int(dut.tx_o.value) == level
            await Timer(bench.bit_ns, unit="ns")
        assert int(dut.tx_o.value) == 1  # middle of the stop bit
