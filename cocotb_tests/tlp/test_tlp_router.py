# SPDX-License-Identifier: Apache-2.0
"""tlp_router: every kind of TLP against a decision model written from the rules of the endpoint."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
    AER_EVENT,
    META,
    TLP_BEAT,
    Fields,
    StreamDriver,
    StreamMonitor,
    beats_to_tlp,
    pack,
    random_pauses,
    reset,
    tlp_to_beats,
    unpack,
)
from cocotb_tests.function import tlp

NUM_TDI = 3
NP_DEPTH = 8
FUNC_CFG: Fields = (("mse", 1), ("bme", 1), ("d3hot", 1), ("msix_enable", 1),
                    ("msix_func_mask", 1), ("mps", 3), ("mrrs", 3), ("bar0", 64))
NP_REQ: Fields = (("verdict", 2), ("func", 3), ("data", 32), ("header", 128), *META)
UNLOCKED, LOCKED, RUN, ERROR = range(4)
V_UR, V_CA, V_READ, V_CONFIG = range(4)
POISONED, UNEXPECTED, OVERFLOW, UNSUPPORTED = 12, 16, 17, 20

# 32-bit and 64-bit BARs; the addresses of F2 and F3 differ in one high bit only.
BARS = [0x8000_1000, 0xC003_0000, 0x8000_0000_0004_0000, 0x8000_0001_0004_0000]
BUS_DEV = (0x2A << 5) | 3


def test_tlp_router() -> None:
    simulate("tlp_router", __name__,
             sources=["prim/stream_fifo.sv", "tdisp/tdi_filter.sv", "tlp/np_queue.sv",
                      "tlp/tlp_router.sv"])


def rid(func: int) -> int:
    return BUS_DEV << 3 | func


@dataclasses.dataclass
class Expect:
    """What must happen to one TLP: where it goes, and the error it reports.

    error: (AER bit, function or None for all functions, advisory).
    """

    target: str  # "wr", "np", "cpl", "none"
    func: int = 0
    verdict: int = V_UR
    error: tuple[int, int | None, int] | None = None


class Bench:
    """Connects drivers and monitors to the router."""

    def __init__(self, dut, seed: int = 1, idle: float = 0.0, stall: float = 0.0,
                 np_stall: float | None = None) -> None:
        self.dut = dut
        Clock(dut.clk_i, 10, unit="ns").start()

        def pause(n: int, probability: float) -> Iterator[bool] | None:
            return random_pauses(seed + n, probability) if probability else None

        self.rx = StreamDriver(dut.clk_i, dut.rx_valid_i, dut.rx_ready_o, dut.rx_i, pause(1, idle))
        self.wr = StreamMonitor(dut.clk_i, dut.wr_valid_o, dut.wr_ready_i,
                                {"beat": dut.wr_o, "func": dut.wr_func_o}, pause(2, stall))
        self.np = StreamMonitor(dut.clk_i, dut.np_valid_o, dut.np_ready_i, dut.np_o,
                                pause(3, stall if np_stall is None else np_stall))
        self.cpl = StreamMonitor(dut.clk_i, dut.cpl_valid_o, None,
                                 {"beat": dut.cpl_o, "func": dut.cpl_func_o})
        self.aer = StreamMonitor(dut.clk_i, dut.aer_valid_o, dut.aer_ready_i, dut.aer_o)
        self.msg = StreamMonitor(dut.clk_i, dut.msg_valid_o, dut.msg_ready_i, dut.msg_o)
        self.cfg = [{"mse": 1, "bme": 1, "mps": 1, "bar0": bar} for bar in BARS]
        self.views = [{"state": UNLOCKED, "block": i} for i in range(NUM_TDI)]
        self.released = {"p": 0, "np": 0, "cpl": 0}
        self.slot_power: list[int] = []
        cocotb.start_soon(self._count())

    async def _count(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            for name in self.released:
                self.released[name] += int(getattr(self.dut, f"{name}_release_o").value)
            if int(self.dut.slot_power_valid_o.value):
                self.slot_power.append(int(self.dut.slot_power_o.value))

    def apply(self) -> None:
        """Put self.cfg and self.views on the ports (function 0 in the least significant bits)."""
        width = sum(w for _, w in FUNC_CFG)
        self.dut.func_cfg_i.value = sum(pack(FUNC_CFG, **c) << i * width
                                        for i, c in enumerate(self.cfg))
        width = sum(w for _, w in VIEW)
        self.dut.tdi_view_i.value = sum(pack(VIEW, **v) << i * width
                                        for i, v in enumerate(self.views))
        self.dut.bus_dev_i.value = BUS_DEV

    async def start(self) -> None:
        self.apply()
        await reset(self.dut.clk_i, self.dut.rst_i)
        # What an earlier test left in the design came out before the reset.
        for monitor in (self.wr, self.np, self.cpl, self.aer, self.msg):
            while not monitor.queue.empty():
                monitor.queue.get_nowait()
        self.released = dict.fromkeys(self.released, 0)

    async def settle(self, cycles: int = 60) -> None:
        await self.rx.drain()
        for _ in range(cycles):
            await RisingEdge(self.dut.clk_i)

    def send(self, header: bytes, payload: bytes = b"", prefix: bytes | None = None,
             **meta: int) -> None:
        self.rx.put_all(tlp_to_beats(header, payload, prefix=prefix, **meta))

    async def check(self, header: bytes, payload: bytes, want: Expect,
                    prefix: bytes | None = None, **meta: int) -> None:
        """Send one TLP and compare everything that comes out with the expectation."""
        before = dict(self.released)
        self.send(header, payload, prefix, **meta)
        await self.settle(24)
        what = f"{header.hex()} {meta} {want}"
        for name, queue in (("wr", self.wr.queue), ("cpl", self.cpl.queue)):
            if want.target == name:
                items = [queue.get_nowait() for _ in range(max(1, (len(payload) + 15) // 16))]
                got_header, got_payload, first = beats_to_tlp([i["beat"] for i in items])
                assert {i["func"] for i in items} == {want.func}, what
                assert (got_header, got_payload) == (header, payload), what
                assert first["tdi_idx"] == (want.func - 1) & 0xFF, what
                assert all(first[k] == v for k, v in meta.items()), what
            assert queue.empty(), what
        if want.target == "np":
            item = unpack(NP_REQ, self.np.queue.get_nowait())
            assert item["verdict"] == want.verdict, what
            assert item["header"].to_bytes(16, "big") == header.ljust(16, b"\0"), what
            assert item["func"] == want.func, what
            data = payload[:4] if want.verdict == V_CONFIG else b""
            assert item["data"] == int.from_bytes(data.ljust(4, b"\0"), "big"), what
            assert all(item[k] == v for k, v in meta.items()), what
        assert self.np.queue.empty(), what
        if want.error is not None:
            event = unpack(AER_EVENT, self.aer.queue.get_nowait())
            bit, func, advisory = want.error
            assert (event["error"], event["advisory"]) == (bit, advisory), f"{what}: {event}"
            assert event["all_funcs"] == int(func is None), what
            assert event["func"] == (func or 0), what
            assert event["log_header"] == 1, what
            assert event["prefix_valid"] == int(prefix is not None), what
            assert event["prefix"] == int.from_bytes(prefix or b"", "big"), what
            assert event["header"].to_bytes(16, "big") == header.ljust(16, b"\0"), what
        assert self.aer.queue.empty(), what
        kind = ("p" if header[0] & 0x18 == 0x10 or header[0] in (0x40, 0x60)
                else "cpl" if header[0] & 0x1E == 0x0A else "np")
        after = {name: count - before[name] for name, count in self.released.items()}
        assert after == {"p": 0, "np": 0, "cpl": 0} | {kind: 1}, f"{what}: released {after}"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def bars_decode_all_address_bits(dut) -> None:
    """Each BAR answers from its first to its last DW; one bit beside it is Unsupported Request."""
    b = Bench(dut)
    await b.start()
    sizes = [4096, 65536, 65536, 65536]
    for func, (bar, size) in enumerate(zip(BARS, sizes, strict=True)):
        for offset in (0, 4, size // 2, size - 4):
            head = tlp.memory(bar + offset, 1, write=True, requester=0x10, tag=7)
            await b.check(head, b"abcd", Expect("wr", func))
            head = tlp.memory(bar + offset, 1, write=False, requester=0x10, tag=7)
            await b.check(head, b"", Expect("np", func, V_READ))
        # Every address bit above the BAR size counts: flip one at a time.
        for bit in range(size.bit_length() - 1, 64):
            address = bar ^ 1 << bit
            if any(x <= address < x + s for x, s in zip(BARS, sizes, strict=True)):
                continue
            await b.check(tlp.memory(address, 1, write=True), bytes(4),
                          Expect("none", error=(UNSUPPORTED, None, 0)))
        await b.check(tlp.memory(bar + size - 4 - 16 * 4, 17, write=True), bytes(68),
                      Expect("wr", func))
        # One DW over the end: the function that claims the start reports it.
        await b.check(tlp.memory(bar + size - 16, 5, write=True), bytes(20),
                      Expect("none", error=(UNSUPPORTED, func, 0)))
        await b.check(tlp.memory(bar + size - 16, 5, write=False), b"",
                      Expect("np", func, V_UR, (UNSUPPORTED, func, 1)))
        await b.check(tlp.memory(bar + size - 2048, 1024, write=False), b"",
                      Expect("np", func, V_UR, (UNSUPPORTED, func, 1)))
    # A request may not leave its page: page 0 would lend its permission to page 1.
    await b.check(tlp.memory(BARS[1] + 0xFF8, 4, write=False), b"",
                  Expect("np", 1, V_UR, (UNSUPPORTED, 1, 1)))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def disabled_or_overlapping_bars_claim_nothing(dut) -> None:
    """MSE=0, D3hot, and two BARs at one address: UR; configuration goes on working."""
    b = Bench(dut)
    await b.start()
    for func in range(NUM_TDI + 1):
        for change in ({"mse": 0}, {"d3hot": 1}, {"bar0": BARS[1]}, {}):
            b.cfg[func] = {"mse": 1, "bar0": BARS[func]} | change
            b.apply()
            wr = tlp.memory(BARS[func], 1, write=True)
            rd = tlp.memory(BARS[func], 1, write=False)
            if "bar0" in change and func in (0, 1):
                # F0 inside F1's window: both are lost. For F1 itself nothing changed.
                victim = tlp.memory(BARS[1], 1, write=True)
                want = (Expect("none", error=(UNSUPPORTED, None, 0)) if func == 0
                        else Expect("wr", 1))
                await b.check(victim, bytes(4), want)
            elif change:
                await b.check(wr, bytes(4), Expect("none", error=(UNSUPPORTED, None, 0)))
                await b.check(rd, b"", Expect("np", 0, V_UR, (UNSUPPORTED, None, 1)))
            else:
                await b.check(wr, bytes(4), Expect("wr", func))
                await b.check(rd, b"", Expect("np", func, V_READ))
            await b.check(tlp.config(rid(func), 0x10, write=False), b"",
                          Expect("np", func, V_CONFIG))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def unsupported_requests_are_answered_or_dropped(dut) -> None:
    """The UR list: I/O, locked reads, AtomicOps, deferrable writes, Cfg1, absent functions, AT."""
    b = Bench(dut)
    await b.start()
    nobody, f1 = (UNSUPPORTED, None, 1), (UNSUPPORTED, 1, 1)
    bar = BARS[1]
    for byte0, payload, error in (
        (0x02, b"", nobody), (0x42, bytes(4), nobody),                        # I/O
        (0x01, b"", f1),                                                      # MRdLk
        (0x4C, bytes(4), f1), (0x4D, bytes(8), f1), (0x4E, bytes(32), f1),    # AtomicOps
        (0x5B, bytes(128), f1),                                               # DMWr
    ):
        length = max(1, len(payload) // 4)
        head = tlp.memory(bar, length, write=False, byte0=byte0, tag=0x3A5, tc=2)
        func = 0 if error is nobody else 1
        await b.check(head, payload, Expect("np", func, V_UR, error))
    for at in (1, 2, 3):
        await b.check(tlp.memory(bar, 1, write=False, at=at), b"", Expect("np", 1, V_UR, f1))
        await b.check(tlp.memory(bar, 1, write=True, at=at), bytes(4),
                      Expect("none", error=(UNSUPPORTED, 1, 0)))
    for write, payload in ((False, b""), (True, b"\1\2\3\4")):
        head = tlp.config(rid(1), 4, write=write, type1=True)
        await b.check(head, payload, Expect("np", 0, V_UR, nobody))
        for func in range(8):
            head = tlp.config(rid(func), 0x104, write=write, tag=0x2FF)
            want = (Expect("np", func, V_CONFIG) if func <= NUM_TDI
                    else Expect("np", 0, V_UR, nobody))
            await b.check(head, payload, want)
        # The device number is not looked at: only this link's device is addressed by type 0.
        await b.check(tlp.config(0x55 << 8 | 9 << 3 | 2, 0, write=write), payload,
                      Expect("np", 2, V_CONFIG))
    await b.check(tlp.memory(bar, 1, write=True), bytes(4), Expect("wr", 1))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def poisoned_writes_change_nothing(dut) -> None:
    """EP=1: write dropped, configuration write answered UR, both logged as Poisoned; UR goes first;
    a poisoned completion reaches its function with EP."""
    b = Bench(dut)
    await b.start()
    for func, bar in enumerate(BARS):
        await b.check(tlp.memory(bar, 20, write=True, ep=1), bytes(80),
                      Expect("none", error=(POISONED, func, 0)))
        await b.check(tlp.config(rid(func), 4, write=True, ep=1), bytes(4),
                      Expect("np", func, V_UR, (POISONED, func, 0)))
        await b.check(tlp.memory(bar, 1, write=True), bytes(4), Expect("wr", func))
    await b.check(tlp.memory(0x1000, 1, write=True, ep=1), bytes(4),
                  Expect("none", error=(UNSUPPORTED, None, 0)))
    await b.check(tlp.config(rid(5), 4, write=True, ep=1), bytes(4),
                  Expect("np", 0, V_UR, (UNSUPPORTED, None, 1)))
    await b.check(tlp.completion(rid(2), 3, length=4, byte_count=16, ep=1), bytes(16),
                  Expect("cpl", 2))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def completions_go_to_the_requester(dut) -> None:
    """Matched by bus, device and function; F0, absent functions and strangers are Unexpected."""
    b = Bench(dut)
    await b.start()
    for func in range(8):
        head = tlp.completion(rid(func), 0x11, length=20, byte_count=80)
        if func == 0:
            want = Expect("none", error=(UNEXPECTED, 0, 1))
        elif func <= NUM_TDI:
            want = Expect("cpl", func)
        else:
            want = Expect("none", error=(UNEXPECTED, None, 1))
        await b.check(head, bytes(range(80)), want, ide=1, t_bit=1, block=2, stream_id=9)
    for bit in range(3, 16):
        await b.check(tlp.completion(rid(1) ^ 1 << bit, 0, length=0, byte_count=4, status=1), b"",
                      Expect("none", error=(UNEXPECTED, None, 1)))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def messages_end_here(dut) -> None:
    """Table of messages at an endpoint: ignored, acted upon, or Unsupported Request."""
    b = Bench(dut)
    await b.start()
    quiet = {0x00: 3, 0x14: 4, 0x40: 4, 0x41: 4, 0x43: 4, 0x44: 4, 0x45: 4, 0x47: 4, 0x48: 4,
             0x7F: 0, 0x54: 2, 0x55: 2}
    for code in range(256):
        if code in (0x19, 0x50):
            continue
        error = None if code in quiet else (UNSUPPORTED, None, 0)
        await b.check(tlp.message(code, quiet.get(code, 0)), b"", Expect("none", error=error))
    assert b.msg.queue.empty() and not b.slot_power
    # Set_Slot_Power_Limit: value 7:0, scale 9:8, little-endian in the first DW of payload.
    await b.check(tlp.message(0x50, 4, length=1), bytes([0x5A, 0x02, 0xFF, 0xFF]), Expect("none"))
    assert b.slot_power == [0x25A]
    await b.check(tlp.message(0x50, 4, length=1, ep=1), bytes([1, 1, 0, 0]),
                  Expect("none", error=(POISONED, None, 0)))
    await b.check(tlp.message(0x50, 4), b"", Expect("none", error=(UNSUPPORTED, None, 0)))
    assert b.slot_power == [0x25A]
    await b.check(tlp.message(0x7E, 3, length=4), bytes(16),
                  Expect("none", error=(UNSUPPORTED, None, 0)))
    # PME_Turn_Off: one PME_TO_Ack (35h, code 1Bh) from F0.
    await b.check(tlp.message(0x19, 3), b"", Expect("none"))
    header, payload, first = beats_to_tlp([b.msg.queue.get_nowait()])
    assert header == tlp.message(0x1B, 5, requester=rid(0)) and payload == b""
    assert (first["ide"], first["t_bit"]) == (0, 0)
    assert b.msg.queue.empty()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def tdisp_refusals_are_unsupported_requests(dut) -> None:
    """Reads and writes of the three classes of pages in every state, plain and protected."""
    b = Bench(dut)
    await b.start()
    for state in (UNLOCKED, LOCKED, RUN, ERROR):
        for msix_locked in (0, 1):
            b.views[1] = {"state": state, "block": 1, "msix_locked": msix_locked}
            b.apply()
            for page in (0, 1, 2, 3, 8):
                tee = page in (1, 8) or (page in (2, 3) and msix_locked == 1)
                for ide, t_bit, block in ((0, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 2)):
                    if state == UNLOCKED:
                        ok = t_bit == 0
                    elif not tee:
                        ok = True
                    else:
                        ok = state == RUN and (ide, t_bit, block) == (1, 1, 1)
                    meta = {"ide": ide, "t_bit": t_bit, "block": block, "stream_id": 0x33}
                    address = BARS[2] + page * 4096 + 0x40
                    write = (Expect("wr", 2) if ok
                             else Expect("none", error=(UNSUPPORTED, 2, 0)))
                    await b.check(tlp.memory(address, 2, write=True), bytes(8), write, **meta)
                    read = (Expect("np", 2, V_READ) if ok
                            else Expect("np", 2, V_UR, (UNSUPPORTED, 2, 1)))
                    await b.check(tlp.memory(address, 2, write=False), b"", read, **meta)
    # Configuration is admitted whatever T says; F0's BAR takes no T=1.
    await b.check(tlp.config(rid(2), 0, write=False), b"", Expect("np", 2, V_CONFIG),
                  ide=1, t_bit=1, block=2)
    await b.check(tlp.memory(BARS[0], 1, write=True), bytes(4),
                  Expect("none", error=(UNSUPPORTED, 0, 0)), ide=1, t_bit=1, block=0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def foreign_end_end_prefixes_are_refused(dut) -> None:
    """A prefix other than IDE (TPH, PASID, vendor, reserved): requests are UR, completions are
    Unexpected, all with the prefix in the log; the same TLPs without it or with IDE are good."""
    b = Bench(dut)
    await b.start()
    ide = {"ide": 1, "t_bit": 0, "block": 1, "stream_id": 7}
    for first in (None, 0x92, 0x90, 0x91, 0x93, 0x9E, 0x9F):
        prefix = bytes([first, 1, 7, 2]) if first else None
        bad = first not in (None, 0x92)
        cases: list[tuple[bytes, bytes, Expect, Expect]] = []
        for func, bar in enumerate(BARS):
            dropped = Expect("none", error=(UNSUPPORTED, func, 0))
            answered = Expect("np", func, V_UR, (UNSUPPORTED, func, 1))
            cases += [
                (tlp.memory(bar, 5, write=True), bytes(20), Expect("wr", func), dropped),
                (tlp.memory(bar, 5, write=False), b"", Expect("np", func, V_READ), answered),
                # UR goes before Poisoned.
                (tlp.memory(bar, 1, write=True, ep=1), bytes(4),
                 Expect("none", error=(POISONED, func, 0)), dropped),
                (tlp.config(rid(func), 4, write=True, ep=1), bytes(4),
                 Expect("np", func, V_UR, (POISONED, func, 0)), answered),
                (tlp.config(rid(func), 4, write=False), b"", Expect("np", func, V_CONFIG),
                 answered),
            ]
        cases.append((tlp.completion(rid(2), 3, length=4, byte_count=16), bytes(16),
                      Expect("cpl", 2), Expect("none", error=(UNEXPECTED, 2, 1))))
        cases += [(tlp.message(code, routing), b"", Expect("none"),
                   Expect("none", error=(UNSUPPORTED, None, 0)))
                  for code, routing in ((0x14, 4), (0x19, 3), (0x54, 2), (0x55, 2), (0x7F, 0))]
        for head, payload, good, refused in cases:
            await b.check(head, payload, refused if bad else good, prefix,
                          **(ide if first == 0x92 else {}))
        # PME_TO_Ack answers what was accepted, and nothing else.
        assert b.msg.queue.qsize() == int(not bad)
        while not b.msg.queue.empty():
            b.msg.queue.get_nowait()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def waiting_reads_lose_their_permission_for_good(dut) -> None:
    """Reads queued under one owner turn to UR when the state moves on, even if the next owner runs
    on the same stream; reads of a non-TEE page and configuration requests stay good."""
    b = Bench(dut, np_stall=1.0)
    b.views[0] = {"state": RUN, "block": 1}
    b.views[1] = {"state": UNLOCKED}
    await b.start()
    trusted = {"ide": 1, "t_bit": 1, "block": 1}
    b.send(tlp.memory(BARS[1] + 0x8000, 4, write=False, tag=1), **trusted)
    b.send(tlp.memory(BARS[1] + 0x0000, 4, write=False, tag=2))
    b.send(tlp.memory(BARS[2] + 0x8000, 4, write=False, tag=3))
    b.send(tlp.config(rid(1), 0, write=False, tag=4))
    b.send(tlp.memory(BARS[0], 1, write=False, tag=5))
    await b.settle()
    # F1: ERROR, then RUN again for somebody else. F2: locked, then RUN.
    for states in ((ERROR, LOCKED), (UNLOCKED, RUN), (LOCKED, RUN), (RUN, RUN)):
        await FallingEdge(dut.clk_i)
        b.views[0]["state"], b.views[1]["state"] = states
        b.apply()
    await b.settle(4)
    b.np.pauses = iter(lambda: False, None)
    await b.settle(40)
    got = {}
    while not b.np.queue.empty():
        item = unpack(NP_REQ, b.np.queue.get_nowait())
        got[item["header"] >> 72 & 0xFF] = item["verdict"]
    assert got == {1: V_UR, 2: V_READ, 3: V_UR, 4: V_CONFIG, 5: V_READ}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_do_not_block_writes_or_completions(dut) -> None:
    """With the non-posted queue full and stuck, writes and completions still pass; one more read
    exceeds the credits and is a Receiver Overflow without completion."""
    b = Bench(dut, np_stall=1.0)
    await b.start()
    for tag in range(NP_DEPTH):
        b.send(tlp.memory(BARS[1], 1, write=False, tag=tag))
    b.send(tlp.memory(BARS[1], 1, write=False, tag=0x77))
    for i in range(20):
        b.send(tlp.memory(BARS[3] + 64 * i, 16, write=True), bytes([i]) * 64)
        b.send(tlp.completion(rid(1), 0, length=3, byte_count=12), bytes([i]) * 12)
    await b.settle()
    assert b.wr.queue.qsize() == 80 and b.cpl.queue.qsize() == 20 and b.np.queue.empty()
    assert b.released == {"p": 20, "np": 0, "cpl": 20}
    event = unpack(AER_EVENT, b.aer.queue.get_nowait())
    assert (event["error"], event["all_funcs"], event["log_header"]) == (OVERFLOW, 1, 0)
    assert b.aer.queue.empty()


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def mixed_traffic_keeps_order_in_each_class(dut, idle: float, stall: float) -> None:
    """400 random TLPs: each class comes out complete, unchanged and in order."""
    b = Bench(dut, 11, idle, stall)
    await b.start()
    rng = random.Random(5)
    want: dict[str, list[tuple[bytes, bytes]]] = {"wr": [], "cpl": [], "np": []}
    for n in range(400):
        func = rng.randrange(NUM_TDI + 1)
        length = rng.randint(1, 64)
        payload = rng.randbytes(4 * length)
        offset = rng.randrange(0, 4096 - 4 * length + 1, 4)
        kind = rng.choice(["wr", "cpl", "np", "cfg"])
        if kind == "wr":
            head = tlp.memory(BARS[func] + offset, length, write=True, tag=n & 0xFF)
        elif kind == "cpl":
            func = rng.randrange(1, NUM_TDI + 1)
            head = tlp.completion(rid(func), n & 0x3FF, length=length, byte_count=4 * length)
        elif kind == "np":
            head, payload = tlp.memory(BARS[func] + offset, length, write=False, tag=n & 0x3FF), b""
        else:
            head, payload = tlp.config(rid(func), offset, write=True, tag=n & 0xFF), payload[:4]
        want["np" if kind == "cfg" else kind].append((head, payload))
        b.send(head, payload)
        if kind in ("np", "cfg"):
            # As with credits: no more requests than the queue holds.
            while len(want["np"]) - b.released["np"] >= NP_DEPTH:
                await RisingEdge(dut.clk_i)
    await b.settle(200)
    for name, queue in (("wr", b.wr.queue), ("cpl", b.cpl.queue)):
        for head, payload in want[name]:
            beats = [queue.get_nowait()["beat"]]
            while not unpack(TLP_BEAT, beats[-1])["eop"]:
                beats.append(queue.get_nowait()["beat"])
            got_head, got_payload, _ = beats_to_tlp(beats)
            assert (got_head, got_payload) == (head, payload)
        assert queue.empty()
    for head, _ in want["np"]:
        item = unpack(NP_REQ, b.np.queue.get_nowait())
        assert item["header"].to_bytes(16, "big") == head.ljust(16, b"\0")
    assert b.np.queue.empty() and b.aer.queue.empty()
