# SPDX-License-Identifier: Apache-2.0
"""tlp_egress: contiguous packing of every shape of TLP, at one wire beat per cycle."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
    WIRE_BEAT,
    StreamDriver,
    StreamMonitor,
    random_pauses,
    reset,
    tlp_to_beats,
    unpack,
    wire_to_bytes,
)
from cocotb_tests.tlp.tlp_model import make_header


def test_tlp_egress() -> None:
    simulate("tlp_egress", __name__, sources=["tlp/tlp_egress.sv"])


class Bench:
    def __init__(self, dut: Any, idle: float = 0.0, stall: float = 0.0) -> None:
        Clock(dut.clk_i, 10, unit="ns").start()
        self.dut = dut
        self.drv = StreamDriver(
            dut.clk_i, dut.eg_valid_i, dut.eg_ready_o,
            {"beat": dut.eg_i, "mac": dut.eg_mac_i, "mac_valid": dut.eg_mac_valid_i},
            random_pauses(1, idle) if idle else None)
        self.mon = StreamMonitor(dut.clk_i, dut.wire_valid_o, dut.wire_ready_i, dut.wire_o,
                                 random_pauses(2, stall) if stall else None)

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)

    def send(self, header: bytes, payload: bytes, prefix: bytes | None, mac: bytes | None,
             rng: random.Random) -> bytes:
        """Queue a TLP; mac input is noise except at a protected eop. Returns the wire bytes."""
        beats = tlp_to_beats(header, payload, prefix=prefix)
        for i, beat in enumerate(beats):
            at_end = i == len(beats) - 1
            value = mac if mac is not None and at_end else rng.randbytes(12)
            self.drv.put({"beat": beat, "mac": int.from_bytes(value, "big"),
                          "mac_valid": int(mac is not None and at_end)})
        return (prefix or b"") + header + payload + (mac or b"")

    async def receive(self) -> bytes:
        return wire_to_bytes(
            await self.mon.get_packet(lambda b: bool(unpack(WIRE_BEAT, b)["last"])))


def shapes() -> list[tuple[int, bool, bool, int]]:
    """(first byte, prefix, mac, payload DWs): every alignment of every section."""
    return [(0x20 * four | 0x40 * (dws > 0), prefix, mac, dws)
            for four in (0, 1)
            for prefix, mac in ((False, False), (True, False), (True, True))
            for dws in (0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64)]


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def every_shape_is_packed_without_gaps(dut: Any, idle: float, stall: float) -> None:
    """3/4-DW header x prefix x MAC x payload length, in random order, equal the joined bytes."""
    bench = Bench(dut, idle, stall)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    todo = shapes() * 2
    rng.shuffle(todo)
    want = []
    for kind, prefix, mac, dws in todo:
        header = bytes(make_header(kind, length=dws or 1, rng=rng))
        want.append(bench.send(header, rng.randbytes(4 * dws),
                               rng.randbytes(4) if prefix else None,
                               rng.randbytes(12) if mac else None, rng))
    for tlp in want:
        assert await bench.receive() == tlp
    await ClockCycles(dut.clk_i, 10)
    assert bench.mon.queue.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def gives_one_wire_beat_per_cycle(dut: Any) -> None:
    """All shapes back to back take exactly the sum of ceil(DWs/4) cycles once the first is out."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    beats = 0
    for kind, prefix, mac, dws in shapes():
        header = bytes(make_header(kind, length=dws or 1, rng=rng))
        tlp = bench.send(header, bytes(4 * dws), bytes(4) if prefix else None,
                         bytes(12) if mac else None, rng)
        beats += -(-len(tlp) // 16)
    while bench.mon.queue.empty():
        await RisingEdge(dut.clk_i)
    cycles = 1
    while bench.mon.queue.qsize() < beats:
        await RisingEdge(dut.clk_i)
        cycles += 1
    dut._log.info("%d wire beats in %d cycles", beats, cycles)
    assert cycles <= beats + 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_the_middle_forgets_the_tlp(dut: Any) -> None:
    """A TLP cut by reset leaves no byte behind in the next one."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    header = bytes(make_header(0x60, length=5, rng=rng))
    for stop_after in range(4):
        bench.send(header, rng.randbytes(20), rng.randbytes(4), rng.randbytes(12), rng)
        await ClockCycles(dut.clk_i, 1 + stop_after)
        while not bench.drv.queue.empty():
            bench.drv.queue.get_nowait()
        await bench.drv.drain()
        await reset(dut.clk_i, dut.rst_i)
        while not bench.mon.queue.empty():
            bench.mon.queue.get_nowait()
        want = bench.send(header, rng.randbytes(20), None, None, rng)
        assert await bench.receive() == want
