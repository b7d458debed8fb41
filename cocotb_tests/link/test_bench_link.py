# SPDX-License-Identifier: Apache-2.0
"""bench_link against the host's link code: nothing lost, doubled or stuck on any wire."""

from __future__ import annotations

import random
import struct

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
    WIRE_BEAT,
    StreamDriver,
    StreamMonitor,
    bytes_to_wire,
    random_pauses,
    reset,
    unpack,
    wire_to_bytes,
)
from teeio.wire.link import (
    BenchLink,
    ControlOp,
    ControlReceived,
    Synced,
    TlpReceived,
)
from teeio.wire.tlp import TlpClass

SOURCES = ["link/link_rx.sv", "link/link_tx.sv", "link/link_control.sv", "link/bench_link.sv"]


def test_bench_link() -> None:
    simulate("bench_link", __name__, sources=SOURCES, parameters={"RetransmitCycles": 3000})


def classify(tlp: bytes) -> TlpClass:
    """Class of a TLP, from the first header byte after an IDE prefix."""
    first = tlp[4] if tlp[0] == 0x92 else tlp[0]
    if first & 0x1F in (0x0A, 0x0B):
        return TlpClass.COMPLETION
    if first & 0x18 == 0x10 or first in (0x40, 0x60):
        return TlpClass.POSTED
    return TlpClass.NON_POSTED


def make_tlp(rng: random.Random, number: int) -> bytes:
    """A TLP-shaped byte string of any class and length whose content is unique."""
    first = rng.choice([0x40, 0x60, 0x00, 0x20, 0x4A, 0x0A, 0x34])
    header = bytes([first, 0, 0, 0]) + struct.pack(">I", number)
    header += rng.randbytes(8 if first & 0x20 else 4)
    payload = rng.randbytes(4 * rng.randint(1, 64)) if first & 0x40 else b""
    return (b"\x92\x00\x01\x05" if rng.random() < 0.5 else b"") + header + payload


class Bench:
    """Connects the host's BenchLink to the device's byte ports; may damage bytes on the way."""

    def __init__(self, dut, damage: float = 0.0, seed: int = 1, stall: float = 0.0) -> None:
        self.dut = dut
        self.rng = random.Random(seed)
        self.damage = damage
        self.link = BenchLink()
        self.events: list[object] = []
        self.quiet = 0
        self.held: set[TlpClass] = set()
        Clock(dut.clk_i, 10, unit="ns").start()
        dut.byte_valid_i.value = 0
        dut.byte_ready_i.value = 1
        dut.release_i.value = 0
        dut.consume_i.value = 0
        dut.unconsume_i.value = 0
        dut.sync_consume_i.value = 0
        dut.cycle_i.value = 0x1_2345_6789
        self.to_host = StreamDriver(dut.clk_i, dut.tx_valid_i, dut.tx_ready_o, dut.tx_i)
        self.to_device = StreamMonitor(dut.clk_i, dut.rx_valid_o, dut.rx_ready_i, dut.rx_o,
                                       random_pauses(seed, stall) if stall else None)

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        cocotb.start_soon(self._bytes_in())
        cocotb.start_soon(self._bytes_out())
        cocotb.start_soon(self._release())
        self.link.start(b"\x01\x02\x03\x04")
        await self.until(lambda: any(isinstance(e, Synced) for e in self.events))

    async def until(self, condition) -> None:
        while not condition():
            await RisingEdge(self.dut.clk_i)

    def _maybe_damage(self, byte: int) -> list[int]:
        if self.rng.random() >= self.damage:
            return [byte]
        return self.rng.choice([[], [byte ^ (1 << self.rng.randrange(8))], [byte, 0x7E], [0x7D]])

    async def _bytes_in(self) -> None:
        while True:
            await FallingEdge(self.dut.clk_i)
            self.dut.byte_valid_i.value = 0
            out = self.link.take_output()
            self.quiet += 1
            if not out and self.quiet > 4000 and (self.link.busy or not self.link.synced):
                self.quiet = 0
                self.link.on_timeout()
            for byte in out:
                for sent in self._maybe_damage(byte):
                    self.dut.byte_valid_i.value = 1
                    self.dut.byte_i.value = sent
                    await FallingEdge(self.dut.clk_i)
                self.dut.byte_valid_i.value = 0

    async def _bytes_out(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            if int(self.dut.byte_valid_o.value) and int(self.dut.byte_ready_i.value):
                self.quiet = 0
                data = bytes(self._maybe_damage(int(self.dut.byte_o.value)))
                self.events += self.link.receive(data)

    async def _release(self) -> None:
        """The endpoint hands the buffer of each TLP back when it has taken it."""
        while True:
            beats = await self.to_device.get_packet(lambda b: unpack(WIRE_BEAT, b)["last"] == 1)
            tlp = wire_to_bytes(beats)
            self.events.append(("device", tlp))
            if classify(tlp) in self.held:
                continue
            await FallingEdge(self.dut.clk_i)
            self.dut.release_i.value = 1 << classify(tlp)
            await FallingEdge(self.dut.clk_i)
            self.dut.release_i.value = 0

    def at_device(self) -> list[bytes]:
        return [e[1] for e in self.events if isinstance(e, tuple)]

    def at_host(self) -> list[bytes]:
        return [e.tlp for e in self.events if isinstance(e, TlpReceived)]


async def exchange(bench: Bench, count: int, seed: int) -> None:
    rng = random.Random(seed)
    down = [make_tlp(rng, i) for i in range(count)]
    up = [make_tlp(rng, 0x1000 + i) for i in range(count)]
    for tlp in down:
        bench.link.send_tlp(tlp)
    for tlp in up:
        bench.to_host.put_all(bytes_to_wire(tlp))
    await bench.until(lambda: len(bench.at_device()) >= count and len(bench.at_host()) >= count)
    await bench.until(lambda: not bench.link.busy)
    assert bench.at_host() == up
    got = bench.at_device()
    assert sorted(got) == sorted(down)
    for cls in TlpClass:
        assert [t for t in got if classify(t) == cls] == [t for t in down if classify(t) == cls]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def clean_wire_carries_every_tlp_once_and_in_order(dut) -> None:
    """60 TLPs each way over a clean wire; no retransmission, no bad frame."""
    bench = Bench(dut)
    await bench.start()
    await exchange(bench, 60, seed=2)
    assert bench.link.counters.repeated == 0
    assert bench.link.counters.bad_frames == 0
    bench.link.send_control(ControlOp.COUNTERS)
    await bench.until(lambda: any(isinstance(e, ControlReceived) for e in bench.events))
    answer = next(e for e in bench.events if isinstance(e, ControlReceived))
    assert answer.args[1] == 0


@cocotb.test(timeout_time=60, timeout_unit="ms")
@cocotb.parametrize(seed=[1, 2])
async def damaged_wire_loses_and_doubles_nothing(dut, seed: int) -> None:
    """One byte in 400 dropped, flipped or followed by garbage, both ways: same result as clean."""
    bench = Bench(dut, damage=1 / 400, seed=seed, stall=0.3)
    await bench.start()
    await exchange(bench, 60, seed=seed + 10)
    assert bench.link.counters.repeated > 0, "the damage was not seen: the test shows nothing"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def control_operations_answer(dut) -> None:
    """Identity, cycles, scratch, delay and an unknown operation are answered, in order."""
    bench = Bench(dut)
    await bench.start()
    for op, arg in [(ControlOp.IDENT, 0), (ControlOp.CYCLES, 0), (ControlOp.SCRATCH, 0xCAFE0001),
                    (ControlOp.SCRATCH, 2), (ControlOp.DELAY, 500), (0x77, 0)]:
        bench.link.send_control(op, arg)
    answers = lambda: [e for e in bench.events if isinstance(e, ControlReceived)]  # noqa: E731
    await bench.until(lambda: len(answers()) == 6)
    ident, cycles, scratch1, scratch2, delay, unknown = answers()
    assert struct.pack("<I", ident.args[0]) == b"TEIO"
    assert ident.args[1] & 0xFF == 3 and ident.args[2] == 48_000_000
    assert cycles.args[:2] == (0x23456789, 1)
    assert scratch1.args[0] == 0 and scratch2.args[0] == 0xCAFE0001
    assert delay.status == 0 and unknown.status == 0xFF


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def new_host_takes_over_after_one_that_died_in_mid_frame(dut) -> None:
    """A half frame and unacknowledged TLPs of a former host do not disturb the next one."""
    bench = Bench(dut)
    await bench.start()
    bench.link.send_tlp(make_tlp(random.Random(5), 1))
    await bench.until(lambda: len(bench.at_device()) == 1)
    await bench.until(lambda: not bench.link.busy)
    bench.events.clear()
    bench.link._out += b"\x7e\x10\x05\x05"          # dies here
    bench.link = BenchLink()
    bench.link.start(b"ABCD")
    await bench.until(lambda: any(isinstance(e, Synced) for e in bench.events))
    await exchange(bench, 10, seed=9)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_class_without_credit_does_not_hold_up_the_others(dut) -> None:
    """While the device keeps its 8 non-posted buffers, writes and completions still go through."""
    bench = Bench(dut)
    await bench.start()
    assert int(dut.credit_ok_o.value) == 7
    bench.held = {TlpClass.NON_POSTED}
    for i in range(20):
        bench.link.send_tlp(bytes([0, 0, 0, 1]) + struct.pack(">I", i) + bytes(4))
    for i in range(5):
        bench.link.send_tlp(bytes([0x40, 0, 0, 1]) + struct.pack(">I", 100 + i) + bytes(8))
        bench.link.send_tlp(bytes([0x0A, 0, 0, 0]) + struct.pack(">I", 200 + i) + bytes(4))
    classes = lambda: [classify(t) for t in bench.at_device()]  # noqa: E731
    await bench.until(lambda: len(classes()) == 18)
    for _ in range(3000):
        await RisingEdge(dut.clk_i)
    assert [classes().count(c) for c in TlpClass] == [5, 8, 5]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def conventional_reset_gives_every_buffer_back(dut) -> None:
    """Buffers that the endpoint held, grants that it took and a TLP cut in the middle: all as after
    a restart, and the running totals of both sides still agree."""
    bench = Bench(dut)
    await bench.start()
    for round_number in range(3):
        await exchange(bench, 50, seed=20 + round_number)
        bench.events.clear()
        bench.held = set(TlpClass)
        for i in range(8):
            bench.link.send_tlp(bytes([0, 0, 0, 1]) + struct.pack(">I", i) + bytes(4))
            bench.link.send_tlp(bytes([0x40, 0, 0, 1]) + struct.pack(">I", 100 + i) + bytes(8))
            bench.link.send_tlp(bytes([0x0A, 0, 0, 0]) + struct.pack(">I", 200 + i) + bytes(4))
        await bench.until(lambda: len(bench.at_device()) == 24)
        while int(dut.credit_ok_o.value):          # grants whose TLPs never reach the link
            await FallingEdge(dut.clk_i)
            dut.consume_i.value = int(dut.credit_ok_o.value)
            await FallingEdge(dut.clk_i)
            dut.consume_i.value = 0
        cut = bytes_to_wire(bytes([0x40, 0, 0, 16]) + struct.pack(">I", 999) + bytes(4 + 64))
        bench.to_host.put_all(cut[:2])
        for _ in range(40):
            await RisingEdge(dut.clk_i)
        bench.link.send_control(ControlOp.RESET)
        await bench.until(lambda: any(isinstance(e, ControlReceived) for e in bench.events))
        bench.events.clear()
        bench.held.clear()
        assert int(dut.credit_ok_o.value) == 7
    await exchange(bench, 50, seed=30)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def conventional_reset_drops_what_waits_for_the_endpoint(dut) -> None:
    """TLPs that the endpoint had not taken are gone after the reset, their buffers are free."""
    bench = Bench(dut, stall=0.97)
    await bench.start()
    for i in range(8):
        bench.link.send_tlp(bytes([0x40, 0, 0, 64]) + struct.pack(">I", i) + bytes(4 + 256))
    await bench.until(lambda: not bench.link.busy)
    bench.link.send_control(ControlOp.RESET)
    await bench.until(lambda: any(isinstance(e, ControlReceived) for e in bench.events))
    for _ in range(4000):
        await RisingEdge(dut.clk_i)
    taken = len(bench.at_device())
    assert taken < 8, "nothing waited: the test shows nothing"
    assert not bench.link.busy
    bench.events.clear()
    after = [bytes([0, 0, 0, 1]) + struct.pack(">I", 50 + i) + bytes(4) for i in range(8)]
    for tlp in after:
        bench.link.send_tlp(tlp)
    await bench.until(lambda: len(bench.at_device()) == 8)
    # The monitor knows no reset: what it had of a cut TLP stands before the first one.
    assert bench.at_device()[0].endswith(after[0])
    assert bench.at_device()[1:] == after[1:]


class GreedyLink(BenchLink):
    """A host that ignores the totals of the device."""

    __slots__ = ()

    def _has_credit(self, cls: TlpClass) -> bool:
        return True


def read(number: int) -> bytes:
    """A memory read whose content is unique."""
    return bytes([0, 0, 0, 1]) + struct.pack(">I", number) + bytes(4)


def write(number: int) -> bytes:
    """A memory write whose content is unique."""
    return bytes([0x40, 0, 0, 1]) + struct.pack(">I", number) + bytes(8)


async def settle(dut, cycles: int = 4000) -> None:
    for _ in range(cycles):
        await RisingEdge(dut.clk_i)


async def release(bench: Bench, tlps: list[bytes]) -> None:
    """The endpoint is done with TLPs that it was holding."""
    for tlp in tlps:
        await FallingEdge(bench.dut.clk_i)
        bench.dut.release_i.value = 1 << classify(tlp)
        await FallingEdge(bench.dut.clk_i)
        bench.dut.release_i.value = 0


async def take_over(bench: Bench) -> None:
    """A new host: a fresh link that begins with SYNC."""
    bench.events.clear()
    bench.link = BenchLink()
    bench.link.start(b"ABCD")
    await bench.until(lambda: any(isinstance(e, Synced) for e in bench.events))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def more_tlps_than_credits_wait_outside(dut) -> None:
    """A host that ignores the totals: the endpoint never holds more than eight, control operations
    and the next host work, and what waited comes in as buffers are given back."""
    bench = Bench(dut)
    await bench.start()
    bench.held = {TlpClass.NON_POSTED}
    bench.link.__class__ = GreedyLink
    sent = [read(i) for i in range(14)]
    for tlp in sent:
        bench.link.send_tlp(tlp)
    await settle(dut, 12_000)
    assert bench.at_device() == sent[:8]
    await release(bench, sent[:3])
    await settle(dut, 12_000)
    assert bench.at_device() == sent[:11]
    await take_over(bench)
    bench.held = set()
    await release(bench, sent[3:11])
    await exchange(bench, 30, seed=21)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def new_host_gets_no_buffer_that_is_still_in_use(dut) -> None:
    """Eight reads of a former host are still inside: the next host may send writes at once, reads
    only as those are done with, and in the end has all its eight credits."""
    bench = Bench(dut)
    await bench.start()
    bench.held = {TlpClass.NON_POSTED}
    former = [read(i) for i in range(8)]
    for tlp in former:
        bench.link.send_tlp(tlp)
    await bench.until(lambda: len(bench.at_device()) == 8)
    await take_over(bench)
    for i in range(12):
        bench.link.send_tlp(write(100 + i))
    for i in range(20):
        bench.link.send_tlp(read(200 + i))
    await settle(dut)
    assert [classify(t) for t in bench.at_device()] == [TlpClass.POSTED] * 12
    await release(bench, former[:3])
    await bench.until(lambda: len(bench.at_device()) == 15)
    await settle(dut)
    assert len(bench.at_device()) == 15
    await release(bench, former[3:])
    await bench.until(lambda: len(bench.at_device()) == 20)
    await settle(dut)
    assert len(bench.at_device()) == 20, "more reads than the endpoint has buffers"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def long_delay_does_not_outlive_its_host(dut) -> None:
    """A host asks for a delay of 2^32 cycles and goes: the next one is served at once, and gets no
    answer that was meant for the other."""
    bench = Bench(dut)
    await bench.start()
    bench.link.send_control(ControlOp.DELAY, 0xFFFF_FFFF)
    await bench.until(lambda: not bench.link.busy)
    await take_over(bench)
    bench.link.send_control(ControlOp.IDENT)
    await bench.until(lambda: any(isinstance(e, ControlReceived) for e in bench.events))
    await settle(dut)
    answers = [e for e in bench.events if isinstance(e, ControlReceived)]
    assert [e.op for e in answers] == [ControlOp.IDENT]
    await exchange(bench, 10, seed=41)
