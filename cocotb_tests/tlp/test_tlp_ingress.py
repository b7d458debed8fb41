# SPDX-License-Identifier: Apache-2.0
"""tlp_ingress against the judge of tlp_model: legal TLPs, every malformed class, random damage."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
    AER_EVENT,
    TLP_BEAT,
    WIRE_BEAT,
    StreamDriver,
    StreamMonitor,
    beats_to_tlp,
    bytes_to_wire,
    pack,
    random_pauses,
    reset,
    unpack,
)
from cocotb_tests.tlp.tlp_model import BREAKERS, Parsed, judge, random_tlp

SOURCES = ["tlp/tlp_ingress_check.sv", "tlp/tlp_ingress.sv"]


def test_tlp_ingress() -> None:
    simulate("tlp_ingress", __name__, sources=SOURCES)


class Bench:
    """Drives wire beats, collects TLPs and AER events."""

    def __init__(self, dut: Any, idle: float = 0.0, stall: float = 0.0, seed: int = 1) -> None:
        Clock(dut.clk_i, 10, unit="ns").start()
        self.dut = dut
        dut.max_payload_dw_i.value = 64
        self.drv = StreamDriver(dut.clk_i, dut.wire_valid_i, dut.wire_ready_o, dut.wire_i,
                                random_pauses(seed, idle) if idle else None)
        self.mon = StreamMonitor(
            dut.clk_i, dut.ing_valid_o, dut.ing_ready_i,
            {"beat": dut.ing_o, "mac": dut.ing_mac_o, "malformed": dut.ing_malformed_o},
            random_pauses(seed + 1, stall) if stall else None)
        self.aer = StreamMonitor(dut.clk_i, dut.aer_valid_o, dut.aer_ready_i, dut.aer_o,
                                 random_pauses(seed + 2, stall) if stall else None)

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)

    def send(self, tlp: bytes) -> None:
        self.drv.put_all(bytes_to_wire(tlp))

    async def expect(self, want: Parsed) -> None:
        """Receive one TLP and compare everything that the contract promises of it."""
        items = await self.mon.get_packet(lambda i: bool(unpack(TLP_BEAT, i["beat"])["eop"]))
        header, payload, first = beats_to_tlp([i["beat"] for i in items])
        assert [i["malformed"] for i in items[:-1]] == [0] * (len(items) - 1)
        assert items[-1]["malformed"] == want.malformed, want
        if want.malformed:
            event = unpack(AER_EVENT, await self.aer.get())
            assert (event["error"], event["all_funcs"], event["advisory"]) == (18, 1, 0)
            assert event["log_header"] == 1
            logged = event["header"].to_bytes(16, "big")
            assert logged == want.header.ljust(16, b"\0")
            assert event["prefix_valid"] == (want.prefix is not None)
            assert event["prefix"] == int.from_bytes(want.prefix or b"", "big")
            return
        assert header == want.header
        assert payload == want.payload
        ide = want.prefix is not None and want.prefix[0] == 0x92
        assert first["prefix_valid"] == (want.prefix is not None)
        assert first["prefix"] == int.from_bytes(want.prefix or b"", "big")
        assert first["ide"] == ide
        assert first["t_bit"] == (want.prefix[3] & 1 if ide and want.prefix else 0)
        assert first["stream_id"] == (want.prefix[2] if ide and want.prefix else 0)
        if want.mac is not None:
            assert items[-1]["mac"].to_bytes(12, "big") == want.mac

    def assert_silent(self) -> None:
        assert self.mon.queue.empty(), "a TLP too many"
        assert self.aer.queue.empty(), "an AER event too many"


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def legal_tlps_come_out_as_sent(dut: Any, idle: float, stall: float) -> None:
    """Header, payload, prefix, MAC and meta of 250 random legal TLPs of every kind, no AER."""
    bench = Bench(dut, idle, stall)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    tlps = [random_tlp(rng, other_prefix=rng.random() < 0.1) for _ in range(250)]
    for tlp in tlps:
        bench.send(tlp)
    for tlp in tlps:
        want = judge(tlp)
        assert not want.malformed, tlp.hex()
        await bench.expect(want)
    await ClockCycles(dut.clk_i, 20)
    bench.assert_silent()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(kind=sorted(BREAKERS))
async def malformed_tlp_is_reported_once_and_the_next_one_passes(dut: Any, kind: str) -> None:
    """One beat with eop and malformed, one AER event (18, all functions), neighbours intact."""
    bench = Bench(dut, 0.1, 0.1)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    for _ in range(12):
        bad = BREAKERS[kind](rng)
        assert judge(bad).malformed, f"{kind}: the model calls {bad.hex()} legal"
        good = random_tlp(rng)
        bench.send(bad)
        bench.send(good)
        await bench.expect(judge(bad))
        await bench.expect(judge(good))
    await ClockCycles(dut.clk_i, 10)
    bench.assert_silent()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.4])
async def random_damage_is_judged_like_the_model(dut: Any, stall: float) -> None:
    """600 TLPs with flipped header bits or DWs added or cut: same verdict, same content."""
    bench = Bench(dut, stall / 2, stall)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    verdicts = {True: 0, False: 0}
    for _ in range(600):
        tlp = bytearray(random_tlp(rng, max_payload_dw=rng.choice((4, 16))))
        for _ in range(rng.randrange(3)):
            bit = rng.randrange(8 * min(20, len(tlp)))
            tlp[bit // 8] ^= 1 << bit % 8
        if rng.random() < 0.2:
            tlp += rng.randbytes(4 * rng.randint(1, 5))
        elif rng.random() < 0.2 and len(tlp) > 4:
            del tlp[-4 * rng.randint(1, len(tlp) // 4 - 1):]
        want = judge(bytes(tlp))
        verdicts[want.malformed] += 1
        bench.send(bytes(tlp))
        await bench.expect(want)
    assert min(verdicts.values()) > 100, verdicts
    bench.assert_silent()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def payload_limit_is_taken_at_the_first_beat(dut: Any) -> None:
    """A TLP of 64 DW under a limit of 32 is malformed without payload; a change inside is late."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    header = bytes([0x60, 0, 0, 64, 0, 0, 0, 0xFF]) + bytes(8)
    tlp = header + rng.randbytes(256)
    for limit in (32, 63):
        dut.max_payload_dw_i.value = limit
        bench.send(tlp)
        items = await bench.mon.get_packet(lambda i: bool(unpack(TLP_BEAT, i["beat"])["eop"]))
        assert len(items) == 1, "payload above the limit leaked out"
        assert items[0]["malformed"] == 1
        assert unpack(TLP_BEAT, items[0]["beat"])["dw_valid"] == 0
        await bench.aer.get()
    dut.max_payload_dw_i.value = 64
    bench.send(tlp)
    await bench.mon.get()
    dut.max_payload_dw_i.value = 32
    items = await bench.mon.get_packet(lambda i: bool(unpack(TLP_BEAT, i["beat"])["eop"]))
    assert len(items) == 15
    assert items[-1]["malformed"] == 0
    bench.assert_silent()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ide_tlp_with_wrong_m_or_p_reaches_ide_rx(dut: Any) -> None:
    """M=0 or P=1 is not Malformed whatever the trailer: ide_rx must see it and fail the stream."""
    bench = Bench(dut)
    await bench.start()
    header = bytes([0x40, 0, 0, 5, 0, 0, 0, 0xFF]) + bytes(4)
    for low in (0x00, 0x08, 0x0C):
        for trailer in range(0, 17, 4):
            tlp = bytes([0x92, 0, 7, low]) + header + bytes(range(20)) + bytes(trailer)
            bench.send(tlp)
            want = judge(tlp)
            assert not want.malformed
            await bench.expect(want)
    bench.assert_silent()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def broken_wire_beats_make_the_tlp_malformed(dut: Any) -> None:
    """A gap before the end, or a last beat of 0 or 5 DWs, is Malformed even if the sum is right."""
    bench = Bench(dut)
    await bench.start()
    header = int.from_bytes(bytes([0x60, 0, 0, 4, 0, 0, 0, 0xFF]) + bytes(8), "big")
    cases = [
        [(0, 4, header), (0, 2, 0), (1, 2, 0)],
        [(0, 4, header), (0, 4, 0), (1, 0, 0)],
        [(0, 3, header), (1, 5, 0)],
    ]
    for case in cases:
        bench.drv.put_all([pack(WIRE_BEAT, last=a, dws=b, data=c) for a, b, c in case])
        items = await bench.mon.get_packet(lambda i: bool(unpack(TLP_BEAT, i["beat"])["eop"]))
        assert items[-1]["malformed"] == 1
        await bench.aer.get()
        good = random_tlp(random.Random(cocotb.RANDOM_SEED))
        bench.send(good)
        await bench.expect(judge(good))
    bench.assert_silent()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def takes_one_wire_beat_per_cycle(dut: Any) -> None:
    """40 TLPs of mixed size back to back: as many cycles as wire beats (plus the pipeline)."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    beats = [b for _ in range(40) for b in bytes_to_wire(random_tlp(rng))]
    bench.drv.put_all(beats)
    cycles = 0
    while bench.drv.sent < len(beats):
        await RisingEdge(dut.clk_i)
        cycles += 1
    dut._log.info("%d wire beats in %d cycles", len(beats), cycles)
    assert cycles <= len(beats) + 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_the_middle_forgets_the_tlp(dut: Any) -> None:
    """After a reset inside a TLP the next beat begins a new one, nothing of the old one shows."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    half = bytes_to_wire(bytes([0x60, 0, 0, 32, 0, 0, 0, 0xFF]) + bytes(8 + 128))[:5]
    bench.drv.put_all(half)
    await bench.drv.drain()
    await reset(dut.clk_i, dut.rst_i)
    while not bench.mon.queue.empty():
        await bench.mon.get()
    good = random_tlp(rng)
    bench.send(good)
    await bench.expect(judge(good))
    bench.assert_silent()
