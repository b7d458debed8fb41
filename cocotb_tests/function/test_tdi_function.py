# SPDX-License-Identifier: Apache-2.0
"""tdi_function: registers, DMA against a host that splits and fails at random, MSI-X, erasure."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import AER_EVENT, StreamMonitor, reset, unpack
from cocotb_tests.function import tlp
from cocotb_tests.function.bench import (
    CA,
    CRS,
    ERROR,
    LOCKED,
    RUN,
    UNLOCKED,
    UR,
    HostMemory,
    LocalBus,
    cfg,
    find,
    view,
)

TDI = 1
TIMEOUT = 1500
MEMORY = 16384
REQUESTER = 0x2A << 8 | TDI + 1
WORK = 0x8000
CONTROL, STATUS, IRQ = 0x1010, 0x1014, 0x1018
ON_BLOCK_1 = {"ide": 1, "t_bit": 1, "block": 1, "stream_id": 9}
POISONED, TIMED_OUT, UNEXPECTED = 12, 14, 16

SOURCES = ["prim/stream_fifo.sv", "function/work_bank.sv", "function/work_memory.sv",
           "function/msix.sv", "function/dma_reads.sv", "function/dma_engine.sv",
           "function/tdi_regs.sv", "function/tdi_function.sv"]


def test_tdi_function() -> None:
    simulate("tdi_function", __name__, sources=SOURCES,
             parameters={"TdiIdx": TDI, "CplTimeoutCycles": TIMEOUT, "WorkMemBytes": MEMORY})


class Bench:
    """One TDI between a local bus master and a host."""

    def __init__(self, dut: Any, seed: int = 1, idle: float = 0.0, stall: float = 0.0) -> None:
        self.dut, self.rng = dut, random.Random(seed)
        Clock(dut.clk_i, 10, unit="ns").start()
        for name in ("flr_i", "quiesce_i", "erase_i", "cycle_i"):
            getattr(dut, name).value = 0
        dut.requester_id_i.value = REQUESTER
        self.bus = LocalBus(dut)
        self.host = HostMemory(dut, seed, idle=idle, stall=stall)
        self.host.requester = REQUESTER
        self.aer = StreamMonitor(dut.clk_i, dut.aer_valid_o, dut.aer_ready_i, dut.aer_o)
        self.pulses = {"dma_error_o": 0, "cpl_ur_o": 0, "cpl_ca_o": 0}
        self.state = {"state": UNLOCKED, "block": 1, "msix_locked": 0}
        self.config: dict[str, int] = {"mps": 0, "mrrs": 2}
        self.apply()
        cocotb.start_soon(self._count())

    async def _count(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            for name in self.pulses:
                self.pulses[name] += int(getattr(self.dut, name).value)

    def apply(self, **changes: int) -> None:
        """Change fields of the view or the configuration."""
        for key, value in changes.items():
            (self.state if key in self.state else self.config)[key] = value
        self.dut.view_i.value = view(**self.state)
        self.dut.cfg_i.value = cfg(**self.config)
        self.host.mps = 128 << self.config["mps"]
        self.host.mrrs = 128 << self.config["mrrs"]
        self.host.answer_meta = ON_BLOCK_1 if self.state["state"] == RUN else {}

    async def start(self, **changes: int) -> None:
        self.apply(**changes)
        await reset(self.dut.clk_i, self.dut.rst_i)
        while not self.aer.queue.empty():
            self.aer.queue.get_nowait()
        await self.erased()
        self.host.log.clear()
        self.pulses = dict.fromkeys(self.pulses, 0)

    async def erased(self) -> int:
        """Wait for the end of an erasure; cycles it took."""
        for n in range(3000):
            await FallingEdge(self.dut.clk_i)
            if int(self.dut.erased_o.value):
                return n + 1
        raise AssertionError("the erasure does not end")

    async def pulse(self, name: str) -> None:
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = 0

    async def cycles(self, n: int) -> None:
        for _ in range(n):
            await RisingEdge(self.dut.clk_i)

    async def describe(self, index: int, host: int, offset: int, length: int, *, write: int = 0,
                       irq: int = 0, vector: int = 0) -> None:
        at = 0x1100 + 0x20 * index
        flags = write | irq << 1 | vector << 2
        for i, word in enumerate((host & 0xFFFF_FFFF, host >> 32, offset, length, flags)):
            await self.bus.write(at + 4 * i, word)

    async def go(self, first: int = 0, count: int = 1) -> None:
        await self.bus.write(CONTROL, 1 | first << 4 | count << 8)

    async def finish(self, limit: int = 20000) -> dict[str, int]:
        """Wait until DMA is idle; fields of DMA_STATUS."""
        for _ in range(limit // 16):
            status = await self.bus.read(STATUS)
            if not status & 1:
                return {"done": status >> 1 & 1, "error": status >> 2 & 1,
                        "current": status >> 4 & 7, "reason": status >> 8 & 7}
            await self.cycles(16)
        raise AssertionError("DMA does not end")

    def events(self) -> list[tuple[int, int]]:
        """(AER bit, advisory) of everything reported since the last call."""
        out = []
        while not self.aer.queue.empty():
            event = unpack(AER_EVENT, self.aer.queue.get_nowait())
            assert (event["func"], event["all_funcs"]) == (TDI + 1, 0)
            out.append((event["error"], event["advisory"]))
        return out

    async def good_run(self) -> None:
        """DMA in both directions works: 200 B in, 200 B out."""
        data = self.rng.randbytes(200)
        self.host.poke(0x10_0000, data)
        await self.describe(6, 0x10_0000, 0x3000, 200)
        await self.describe(7, 0x20_0000, 0x3000, 200, write=1)
        await self.go(6, 2)
        assert await self.finish() == {"done": 1, "error": 0, "current": 7, "reason": 0}
        assert self.host.peek(0x20_0000, 200) == data


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def registers_read_as_documented(dut) -> None:
    """Identity page, scratch by bytes, latch of the cycle counter, unbacked pages."""
    b = Bench(dut)
    await b.start()
    bus = b.bus
    assert await bus.read(0x0000) == 0x4F494554
    assert await bus.read(0x0008) == TDI
    assert await bus.read(0x0018) == MEMORY
    for state in (LOCKED, RUN, ERROR, UNLOCKED):
        b.apply(state=state)
        assert await bus.read(0x000C) == state
    dut.cycle_i.value = 0x1111_2222_3333_4444
    assert await bus.read(0x0010) == 0x3333_4444
    dut.cycle_i.value = 0x5555_6666_7777_8888
    assert await bus.read(0x0014) == 0x1111_2222, "the high half belongs to the low half read"
    assert await bus.read(0x0010) == 0x7777_8888
    assert await bus.read(0x0014) == 0x5555_6666
    shadow = {}
    for _ in range(60):
        at = b.rng.choice([0x1000, 0x1004, 0x1008, 0x100C]
                          + [0x1100 + 0x20 * i + 4 * w for i in range(8) for w in range(5)])
        value, be = b.rng.randrange(1 << 32), b.rng.randrange(16)
        mask = sum(0xFF << 8 * i for i in range(4) if be >> i & 1)
        await bus.write(at, value, be)
        shadow[at] = shadow.get(at, 0) & ~mask | value & mask
    for at, value in shadow.items():
        assert await bus.read(at) == value, hex(at)
    for at in (0x0FFC, 0x1020, 0x1114, 0x111C, 0x1200, 0x4000, 0x5000, 0x7FFC, 0xC000, 0xFFFC,
               0x2040, 0x3004, 0x0000 + 0x1C):
        await bus.write(at, 0xFFFF_FFFF)
        assert await bus.read(at) == 0, hex(at)
    assert await bus.read(0x0000) == 0x4F494554
    # Write-only registers read zero.
    assert await bus.read(CONTROL) == 0 and await bus.read(IRQ) == 0
    assert b.host.log == []


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def work_memory_keeps_every_byte(dut) -> None:
    """Random byte writes over the whole memory agree with a reference; neighbours untouched."""
    b = Bench(dut)
    await b.start()
    model = bytearray(MEMORY)
    for at in (0, MEMORY - 4, *range(0, MEMORY, 508)):
        at &= ~3
        value, be = b.rng.randrange(1 << 32), b.rng.randrange(1, 16)
        await b.bus.write(WORK + at, value, be)
        for i in range(4):
            if be >> i & 1:
                model[at + i] = value >> 8 * i & 0xFF
    assert await b.bus.read_bytes(WORK, MEMORY) == bytes(model)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize((("idle", "stall"), [(0.0, 0.0), (0.3, 0.4)]))
async def dma_moves_16_kib_each_way(dut, idle: float, stall: float) -> None:
    """The whole memory in and out over 4 KiB borders and across 4 GiB, for payload sizes and
    read sizes of the host, in CONFIG_UNLOCKED and in RUN; nothing around it changes."""
    b = Bench(dut, 31, idle, stall)
    await b.start()
    for n, (mps, mrrs, state) in enumerate(((0, 0, UNLOCKED), (1, 2, RUN),
                                             (0, 3 if idle else 5, UNLOCKED))):
        b.apply(mps=mps, mrrs=mrrs, state=state)
        source, target = 0xFFFF_E000 + 4 * b.rng.randrange(1024), 0x8_0000_0000 + 4 * 1000 * n
        data = b.rng.randbytes(MEMORY)
        b.host.poke(source, data)
        b.host.poke(target - 4, b"left")
        b.host.poke(target + MEMORY, b"side")
        await b.describe(0, source, 0, MEMORY)
        await b.describe(1, target, 0, MEMORY, write=1)
        begin = get_sim_time("ns")
        await b.go(0)
        assert await b.finish(200000) == {"done": 1, "error": 0, "current": 0, "reason": 0}
        middle = get_sim_time("ns")
        await b.go(1)
        assert await b.finish(200000) == {"done": 1, "error": 0, "current": 1, "reason": 0}
        end = get_sim_time("ns")
        dut._log.info(f"MPS {128 << mps} MRRS {128 << mrrs} idle {idle} stall {stall}: "
                      f"in {(middle - begin) / 10:.0f}, out {(end - middle) / 10:.0f} cycles")
        assert b.host.peek(target - 4, MEMORY + 8) == b"left" + data + b"side"
    assert b.pulses == {"dma_error_o": 0, "cpl_ur_o": 0, "cpl_ca_o": 0} and b.events() == []
    assert not int(dut.transactions_pending_o.value) and int(dut.drained_o.value)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4])
async def chains_of_random_descriptors_match_a_model(dut, idle: float) -> None:
    """Chains of 1..8 random descriptors, any alignment, any length from 4 B, splits at RCB 64 and
    128: host memory and work memory equal a Python model after each chain."""
    b = Bench(dut, 41, idle, idle)
    await b.start()
    rng, model = b.rng, bytearray(MEMORY)
    host_size = 3 * 4096
    base = 0x1_0000_0000 - 4096
    image = bytearray(rng.randbytes(host_size))
    b.host.poke(base, bytes(image))
    for _ in range(12):
        b.host.rcb = rng.choice([64, 128])
        b.apply(mps=rng.randrange(2), mrrs=rng.randrange(6), state=rng.choice([RUN, UNLOCKED]))
        count = rng.randint(1, 8)
        first = rng.randint(0, 8 - count)
        for index in range(first, first + count):
            length = 4 * rng.choice([1, 2, 3, 4, 5, rng.randint(6, 300), rng.randint(300, 800)])
            offset = rng.randrange(0, MEMORY - length + 1, 4)
            at = rng.randrange(0, host_size - length + 1, 4)
            write = rng.randrange(2)
            await b.describe(index, base + at, offset, length, write=write)
            if write:
                image[at:at + length] = model[offset:offset + length]
            else:
                model[offset:offset + length] = image[at:at + length]
        await b.go(first, count)
        assert await b.finish(60000) == {"done": 1, "error": 0, "current": first + count - 1,
                                         "reason": 0}
        assert b.host.peek(base, host_size) == bytes(image)
    for bank in range(4):
        words = dut.u_memory.gen_bank[bank].u_bank.mem_q
        for row in range(0, MEMORY // 16, 7):
            at = 16 * row + 4 * bank
            assert int(words[row].value) == int.from_bytes(model[at:at + 4], "little")
    assert b.events() == []


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def interrupts_follow_the_last_write(dut) -> None:
    """MSI-X of a descriptor comes behind all its writes; read descriptors interrupt after their
    data; a descriptor without the flag does not interrupt."""
    b = Bench(dut, 51, 0.2, 0.3)
    await b.start()
    for k in range(4):
        for i, word in enumerate((0xFEE0_0000 + 16 * k, k and 0x12, 0x4000 + k, 0)):
            await b.bus.write(0x2000 + 16 * k + 4 * i, word)
    await b.describe(0, 0x5000, 0, 600, write=1, irq=1, vector=2)
    await b.describe(1, 0x9000, 0, 600, write=0, irq=1, vector=0)
    await b.describe(2, 0xA000, 0, 64, write=1)
    await b.describe(3, 0xB000, 0, 64, write=1, irq=1, vector=3)
    await b.go(0, 4)
    assert (await b.finish())["done"] == 1
    await b.cycles(40)
    kinds = [(kind, address) for kind, address, _, _ in b.host.log]
    messages = [item for item in kinds if item[0] == "MSI"]
    assert messages == [("MSI", 0x12_FEE0_0020), ("MSI", 0xFEE0_0000), ("MSI", 0x12_FEE0_0030)]
    writes = [i for i, (kind, at) in enumerate(kinds) if kind == "MWr" and 0x5000 <= at < 0x6000]
    assert kinds.index(messages[0]) == max(writes) + 1
    reads = [i for i, (kind, _) in enumerate(kinds) if kind == "MRd"]
    assert kinds.index(messages[1]) > max(reads)
    last = [i for i, (kind, at) in enumerate(kinds) if kind == "MWr" and at >= 0xB000]
    assert kinds.index(messages[2]) == max(last) + 1
    assert b.host.peek(0x12_FEE0_0020, 4) == (0x4002).to_bytes(4, "little")
    # A message is a write of one DW with the table's data, whatever the vector.
    assert {n for kind, _, n, _ in b.host.log if kind == "MSI"} == {1}
    for vector in range(4):
        await b.bus.write(IRQ, vector)
    await b.cycles(60)
    assert [a for kind, a, _, _ in b.host.log if kind == "MSI"][3:] == [
        0xFEE0_0000, 0x12_FEE0_0010, 0x12_FEE0_0020, 0x12_FEE0_0030]


def faults(b: Bench) -> dict[str, tuple[Any, int, list[tuple[int, int]], int]]:
    """Name -> (answer, reason in DMA_STATUS, AER events, pulses of dma_error)."""
    requester = b.host.requester
    meta = b.host.answer_meta

    def status(code: int) -> Any:
        return lambda a, n, t: [(tlp.completion(requester, t, length=0, byte_count=4 * n,
                                                status=code), b"", meta)]

    def second_half(code: int) -> Any:
        return lambda a, n, t: [b.host.good(a, n, 16, t), (tlp.completion(
            requester, t, length=0, byte_count=4 * n - 64, status=code), b"", meta)]

    def changed(**fields: int) -> Any:
        return lambda a, n, t: [b.host.good(a, n, fields.get("length", min(n, 32)), t,
                                            **{k: v for k, v in fields.items() if k != "length"})]

    timeout = [(UNEXPECTED, 1), (TIMED_OUT, 0)]
    return {
        "UR": (status(UR), 1, [], 1),
        "CA": (status(CA), 2, [], 1),
        "CRS": (status(CRS), 1, [], 1),
        "reserved status": (status(7), 1, [], 1),
        "UR after data": (second_half(UR), 1, [], 1),
        "no answer": (lambda a, n, t: [], 3, [(TIMED_OUT, 0)], 1),
        "half an answer": (lambda a, n, t: [b.host.good(a, n, 16, t)], 3, [(TIMED_OUT, 0)], 1),
        "poisoned": (changed(ep=1), 4, [(POISONED, 0)], 1),
        "byte count too large": (changed(byte_count=132), 3, timeout, 1),
        "byte count too small": (changed(byte_count=64), 3, timeout, 1),
        "wrong lower address": (changed(lower=0x44), 3, timeout, 1),
        "longer than asked": (changed(length=40), 3, timeout, 1),
        "success without data": (status(0), 3, timeout, 1),
        "locked completion": (changed(locked=1), 3, timeout, 1),
        "other tag": (lambda a, n, t: [b.host.good(a, n, 32, t ^ 4)], 3, timeout, 1),
        "tag above 31": (lambda a, n, t: [b.host.good(a, n, 32, t | 0x20)], 3, timeout, 1),
        "tag above 255": (lambda a, n, t: [b.host.good(a, n, 32, t | 0x100)], 3, timeout, 1),
    }


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(state=[UNLOCKED, RUN])
async def a_failed_read_ends_the_run_and_the_next_is_good(dut, state: int) -> None:
    """Each fault of a completion: reason, AER event, dma_error pulse; data that must not be kept is
    not in memory; a good transfer follows."""
    b = Bench(dut, 61)
    await b.start(state=state)
    for name, (answer, reason, aer, pulses) in faults(b).items():
        before = dict(b.pulses)
        marker = b.rng.randbytes(128)
        await b.bus.write_bytes(WORK + 0x100, marker)
        b.host.poke(0x7000, bytes(range(128, 256)))
        await b.describe(0, 0x7000, 0x100, 128, irq=1)
        await b.describe(1, 0x7000, 0x400, 128, write=1)
        b.host.fault = answer
        b.host.log.clear()
        await b.go(0, 2)
        result = await b.finish()
        assert result == {"done": 0, "error": 1, "current": 0, "reason": reason}, f"{name} {result}"
        assert await b.bus.read(0x000C) == 0x8 | state, name
        b.host.fault = None
        while int(dut.transactions_pending_o.value):
            await RisingEdge(dut.clk_i)
        await b.cycles(4)
        assert b.events() == aer, name
        assert b.pulses["dma_error_o"] - before["dma_error_o"] == pulses, name
        assert b.pulses["cpl_ca_o"] - before["cpl_ca_o"] == int(name == "CA"), name
        assert b.pulses["cpl_ur_o"] - before["cpl_ur_o"] == int(name.startswith("UR")), name
        kept = 64 if name in ("UR after data", "half an answer") else 0
        want = bytes(range(128, 128 + kept)) + marker[kept:]
        assert await b.bus.read_bytes(WORK + 0x100, 128) == want, name
        assert [kind for kind, *_ in b.host.log] == ["MRd"], f"{name}: the chain went on"
        await b.good_run()
        assert b.events() == [], name


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def trusted_reads_take_only_protected_completions(dut) -> None:
    """In RUN a completion must come by IDE on the bound block, its T does not matter; else the data
    is discarded and the run fails. In CONFIG_UNLOCKED it does not matter."""
    b = Bench(dut, 62)
    await b.start(state=RUN)
    cases = [({}, False), ({"ide": 1, "t_bit": 1, "block": 2}, False),
             ({"ide": 0, "t_bit": 1, "block": 1}, False),
             ({"ide": 1, "t_bit": 0, "block": 1}, True), ({"ide": 1, "t_bit": 1, "block": 1}, True)]
    for state in (RUN, UNLOCKED):
        for meta, good in cases:
            b.apply(state=state)
            b.host.answer_meta = meta
            await b.bus.write_bytes(WORK, bytes(64))
            b.host.poke(0x7000, b"\x5A" * 64)
            await b.describe(0, 0x7000, 0, 64)
            before = b.pulses["dma_error_o"]
            await b.go()
            result = await b.finish()
            ok = good or state == UNLOCKED
            assert (result["done"], result["reason"]) == ((1, 0) if ok else (0, 4)), (state, meta)
            assert await b.bus.read_bytes(WORK, 64) == (b"\x5A" if ok else b"\0") * 64
            assert b.pulses["dma_error_o"] - before == int(not ok)
            while int(dut.transactions_pending_o.value):
                await RisingEdge(dut.clk_i)
            await b.cycles(4)
            assert b.events() == ([] if ok else [(UNEXPECTED, 1), (TIMED_OUT, 0)])
            b.apply(state=state)
            await b.good_run()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def bad_descriptors_move_nothing(dut) -> None:
    """Alignment, length, end of work memory, end of the address space, number of descriptors."""
    b = Bench(dut, 63)
    await b.start()
    bad = [(0x1001, 0, 4), (0x1002, 0, 4), (0x1000, 2, 4), (0x1000, 0, 0), (0x1000, 0, 6),
           (0x1000, 4, MEMORY), (0x1000, MEMORY, 4), (0x1000, 0, MEMORY + 4),
           (0x1000, 0xFFFF_FFFC, 8), (0x1000, 0, 0xFFFF_FFFC), (2**64 - 4, 0, 8)]
    for write in (0, 1):
        for host, offset, length in bad:
            await b.describe(3, host, offset, length, write=write, irq=1)
            await b.go(3)
            assert await b.finish() == {"done": 0, "error": 1, "current": 3, "reason": 5}, (
                hex(host), hex(offset), length)
    for first, count in ((0, 0), (1, 8), (7, 2), (0, 9), (7, 15)):
        await b.go(first, count)
        assert (await b.finish())["reason"] == 5
    assert b.host.log == [] and b.pulses["dma_error_o"] == 0
    # The very last words of both are fine.
    b.host.poke(2**64 - 8, b"lastword")
    await b.describe(3, 2**64 - 8, MEMORY - 8, 8)
    await b.go(3)
    assert (await b.finish())["done"] == 1
    assert await b.bus.read_bytes(WORK + MEMORY - 8, 8) == b"lastword"
    await b.good_run()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def an_ended_run_neither_asks_nor_stores(dut) -> None:
    """Abort, quiesce, bus master off, D3hot, loss of RUN with reads in flight: no further TLP, late
    completions change nothing, their tags rest until then, and DMA works afterwards."""
    b = Bench(dut, 71)
    endings: dict[str, tuple[Any, Any, int, int]] = {
        "abort": (None, None, 7, RUN),
        "quiesce": ({"quiesce": 1}, {"quiesce": 0}, 7, UNLOCKED),
        "bus master off": ({"bme": 0}, {"bme": 1}, 6, UNLOCKED),
        "D3hot": ({"d3hot": 1}, {"d3hot": 0}, 6, UNLOCKED),
        "RUN to ERROR": ({"state": ERROR}, {"state": RUN}, 6, RUN),
        "RUN to UNLOCKED": ({"state": UNLOCKED}, {"state": RUN}, 6, RUN),
        "UNLOCKED to LOCKED": ({"state": LOCKED}, {"state": UNLOCKED}, 6, UNLOCKED),
    }

    def change(fields: dict[str, int]) -> None:
        fields = dict(fields)
        if "quiesce" in fields:
            dut.quiesce_i.value = fields.pop("quiesce")
        b.apply(**fields)

    await b.start()
    for late in (True, False):
        for name, (leave, back, reason, state) in endings.items():
            b.apply(state=state, mrrs=0)
            b.host.hold = True
            b.host.log.clear()
            b.host.poke(0x7000, b"\xEE" * 2048)
            await b.bus.write_bytes(WORK, bytes(512))
            await b.describe(0, 0x7000, 0, 2048)
            await b.go()
            await b.cycles(40)
            assert len(b.host.log) == 4, "four reads in flight"
            await FallingEdge(dut.clk_i)
            if leave is None:
                await b.bus.write(CONTROL, 2)
            else:
                change(leave)
            await b.cycles(10)
            assert int(dut.busy_o.value) == 0 and int(dut.transactions_pending_o.value) == 1
            assert int(dut.drained_o.value) == 0, "tags in quarantine"
            if back is not None:
                await FallingEdge(dut.clk_i)
                change(back)
            result = await b.finish()
            assert (result["done"], result["reason"]) == (0, reason), name
            begin = get_sim_time("ns")
            if late:
                b.host.hold = False
            else:
                b.host.reads.clear()
            while int(dut.transactions_pending_o.value):
                await RisingEdge(dut.clk_i)
            spent = (get_sim_time("ns") - begin) / 10
            assert spent < (400 if late else TIMEOUT + 10), name
            assert len(b.host.log) == 4 and b.host.reads == []
            assert await b.bus.read_bytes(WORK, 512) == bytes(512), f"{name}: stored late data"
            await b.cycles(10)
            # Late completions are expected ones; those that never come time out, as few as the
            # report queue holds at a time.
            events = b.events()
            assert events == ([] if late else [(TIMED_OUT, 0)] * len(events)), name
            assert b.pulses["dma_error_o"] == 0, name
            b.host.hold = False
            await b.good_run()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_new_run_is_not_fed_by_the_old_one(dut) -> None:
    """A run is aborted with two reads in flight and the next one started at once: the old answers
    arrive while it waits for its own, and leave no trace."""
    b = Bench(dut, 76)
    await b.start(state=RUN, mrrs=0)
    for _ in range(4):
        b.host.hold = True
        b.host.log.clear()
        b.host.poke(0x7000, b"\x01" * 256)
        b.host.poke(0x9000, b"\x02" * 256)
        await b.bus.write_bytes(WORK, bytes(1024))
        await b.describe(0, 0x7000, 0, 256)
        await b.describe(1, 0x9000, 512, 256)
        await b.go(0)
        await b.cycles(30)
        await b.bus.write(CONTROL, 2)
        await b.cycles(4)
        await b.go(1)
        await b.cycles(30)
        assert [at for _, at, _, _ in b.host.log] == [0x7000, 0x7080, 0x9000, 0x9080]
        old, new = b.host.reads[:2], b.host.reads[2:]
        b.host.reads[:] = old
        b.host.hold = False
        await b.cycles(60)
        assert b.host.reads == [] and int(dut.busy_o.value) == 1
        b.host.reads[:] = new
        assert (await b.finish())["done"] == 1
        assert await b.bus.read_bytes(WORK, 1024) == bytes(512) + b"\x02" * 256 + bytes(256)
        assert b.events() == []


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def completions_after_their_timeout_are_unexpected(dut) -> None:
    """A read answered after its timeout: Unexpected Completion, even while a new read uses the
    same slot; the new data is right."""
    b = Bench(dut, 72)
    await b.start(state=RUN)
    stale: list[Any] = []

    def keep(address: int, length: int, tag: int) -> list[Any]:
        stale.append((b.host.good(address, length, length, tag)[0], b"\xBD" * 4 * length,
                      dict(b.host.answer_meta)))
        return []

    for round_ in range(9):
        b.host.fault = keep
        await b.describe(0, 0x7000, 0, 64)
        await b.go()
        assert (await b.finish())["reason"] == 3
        b.host.fault = None
        assert b.events() == [(TIMED_OUT, 0)]
        # The next read is in flight when the old answer arrives.
        b.host.hold = True
        b.host.poke(0x7000, bytes([round_]) * 64)
        await b.go()
        await b.cycles(40)
        assert len(b.host.reads) == 1 and b.host.reads[0][2] != stale[-1][0][10]
        b.host.queue.append(stale[-1])
        await b.cycles(20)
        b.host.hold = False
        assert (await b.finish())["done"] == 1
        assert b.events() == [(UNEXPECTED, 1)]
        assert await b.bus.read_bytes(WORK, 64) == bytes([round_]) * 64


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def refused_starts_say_why(dut) -> None:
    """No run begins in LOCKED or ERROR, without bus master, under quiesce; busy ignores a start."""
    b = Bench(dut, 73)
    await b.start()
    await b.describe(0, 0x7000, 0, 64)
    for state in (LOCKED, ERROR):
        b.apply(state=state)
        await b.go()
        assert (await b.finish())["reason"] == 6
    b.apply(state=UNLOCKED, bme=0)
    await b.go()
    assert (await b.finish())["reason"] == 6
    b.apply(bme=1)
    dut.quiesce_i.value = 1
    await b.go()
    assert (await b.finish())["reason"] == 7
    dut.quiesce_i.value = 0
    assert b.host.log == []
    b.host.hold = True
    await b.go()
    await b.cycles(20)
    await b.go(3, 4)
    b.host.hold = False
    assert await b.finish() == {"done": 1, "error": 0, "current": 0, "reason": 0}


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_tlp_that_the_gate_swallows_ends_the_run(dut) -> None:
    """Reads and writes refused at the gate: reason 6, no tag is left waiting for an answer."""
    b = Bench(dut, 74)
    await b.start(state=RUN)
    for write in (0, 1):
        b.host.log.clear()
        sent = iter([False, False, True, True, True])
        b.host.drop = lambda sent=sent: next(sent)
        b.host.dropped = 0
        b.host.hold = True
        await b.describe(0, 0x7000, 0, 2048, write=write)
        b.apply(mrrs=0)
        await b.go()
        assert (await b.finish())["reason"] == 6
        assert b.host.dropped == 1 and len(b.host.log) == 2
        b.host.drop = lambda: False
        b.host.hold = False
        await b.cycles(200)
        assert not int(dut.transactions_pending_o.value)
        assert b.events() == []
        await b.good_run()


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def a_started_write_is_finished_whole(dut) -> None:
    """Quiesce in the middle of a write TLP: the TLP ends with its true data, and nothing follows;
    drained only rises behind it."""
    b = Bench(dut, 75)
    await b.start()
    data = b.rng.randbytes(1024)
    await b.bus.write_bytes(WORK, data)
    await b.describe(0, 0x7000, 0, 1024, write=1)
    await b.go()
    while not int(dut.tx_valid_o.value):
        await FallingEdge(dut.clk_i)
    await b.cycles(2)
    b.host.stall = 1.0
    await FallingEdge(dut.clk_i)
    dut.quiesce_i.value = 1
    await b.cycles(50)
    assert int(dut.drained_o.value) == 0 and int(dut.tx_valid_o.value) == 1
    b.host.stall = 0.0
    await b.cycles(50)
    assert int(dut.drained_o.value) == 1
    assert [(kind, at) for kind, at, _, _ in b.host.log] == [("MWr", 0x7000)]
    assert b.host.peek(0x7000, 128) == data[:128]
    dut.quiesce_i.value = 0
    await b.good_run()


@cocotb.test(timeout_time=30, timeout_unit="ms")
@cocotb.parametrize(cause=["erase_i", "flr_i", "rst_i"])
async def erasure_leaves_no_byte_of_the_owner(dut, cause: str) -> None:
    """Secrets in every place an owner can reach (whole work memory, scratch, descriptors, table,
    payload under way in both directions) are found by a dump of all registers and memories before
    the erasure and nowhere after it. Page 1 and work memory read zero meanwhile."""
    b = Bench(dut, 81)
    await b.start(state=RUN, msix_locked=1, mrrs=0)
    rng = random.Random(82)
    secrets = [rng.getrandbits(32) | 0x8000_0001 for _ in range(64)]
    words = set(secrets)
    # Work memory, through the design (its RAM is written by the bus, every bank and row).
    image = b"".join(w.to_bytes(4, "little") for w in (secrets * 64)[:MEMORY // 4])
    b.host.poke(0x4_0000, image)
    await b.describe(0, 0x4_0000, 0, MEMORY)
    await b.go()
    assert (await b.finish(200000))["done"] == 1
    await b.bus.read(WORK + 8)
    for i in range(4):
        await b.bus.write(0x1000 + 4 * i, secrets[i])
        await b.bus.write(0x2000 + 16 * i, secrets[i] & ~3)
        await b.bus.write(0x2004 + 16 * i, secrets[i + 4])
        await b.bus.write(0x2008 + 16 * i, secrets[i + 8])
    table_words = {s & ~3 for s in secrets[:4]}
    for i in range(8):
        await b.describe(i, secrets[i] << 32 | secrets[8 + i] & ~3, 0, 512, write=1)
    # A write to the host gets stuck in its middle.
    await b.go(7)
    while not int(dut.tx_valid_o.value):
        await FallingEdge(dut.clk_i)
    await b.cycles(3)
    b.host.stall = 1.0
    await b.cycles(10)
    taken = len(b.host.beats)
    assert 0 < taken < 5
    found = find(dut, words | table_words)
    for place in ("mem_q", "desc_q", "scratch_q", "table_q", "pay0_q", "pay1_q", "header_q",
                  "b_rdata_q", "a_rdata_q"):
        assert any(place in path for path in found), f"dump does not see {place}"
    banks = {path.split(".mem_q")[0] for path in found if ".mem_q" in path}
    assert sum(".mem_q" in path for path in found) == MEMORY // 4 and len(banks) == 4

    await FallingEdge(dut.clk_i)
    b.apply(state=ERROR)
    getattr(dut, cause).value = 1
    begin = get_sim_time("ns")
    await FallingEdge(dut.clk_i)
    assert int(dut.erased_o.value) == 0
    getattr(dut, cause).value = 0
    # While it runs the owner's pages are closed.
    for at in (WORK, WORK + MEMORY - 4, 0x1000, 0x1100, 0x1104):
        assert await b.bus.read(at) == 0, hex(at)
        await b.bus.write(at, secrets[0])
    await b.go(0)
    assert await b.bus.read(0x000C) & 0x10
    if cause != "rst_i":
        assert int(dut.tx_valid_o.value) == 1, "the offered beat stays offered"
        assert int(dut.u_dma.pay1_q.value) == 0, "the beat behind it is erased at once"
    b.host.stall = 0.0
    await b.erased()
    cycles = (get_sim_time("ns") - begin) / 10
    dut._log.info(f"erasure after {cause}: {cycles:.0f} cycles")
    assert MEMORY // 16 < cycles <= MEMORY // 16 + 4
    assert find(dut, words | table_words) == set(), "left over"
    for bank in range(4):
        mem = dut.u_memory.gen_bank[bank].u_bank.mem_q
        assert all(int(mem[row].value) == 0 for row in range(MEMORY // 16))
    assert all(int(dut.u_regs.desc_q[i].value) == 0 for i in range(64))
    if cause != "rst_i":
        # What left after the erasure began was the beat already offered, and zeros.
        sent = b.host.peek(secrets[7] << 32 | secrets[15] & ~3, 128)
        assert sent == image[:16 * taken + 16] + bytes(112 - 16 * taken)
    b.host.log.clear()
    b.apply(state=UNLOCKED, msix_locked=0)
    assert await b.bus.read(0x2000) == 0 and await b.bus.read(0x200C) == 1
    while int(dut.transactions_pending_o.value):
        await RisingEdge(dut.clk_i)
    await b.good_run()


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def erasure_on_lock_keeps_the_unlocked_table(dut) -> None:
    """The MSI-X table of a TDI that was not locked belongs to the host: LOCK does not erase it.
    A second erasure request restarts the first."""
    b = Bench(dut, 83)
    await b.start()
    await b.bus.write(0x2000, 0xFEE0_1000)
    await b.bus.write(0x2008, 0x77)
    await b.bus.write(WORK + 0x2000, 0xDEAD_BEEF)
    await b.pulse("erase_i")
    await b.cycles(500)
    await b.pulse("erase_i")
    assert await b.erased() > MEMORY // 16 - 10
    assert await b.bus.read(WORK + 0x2000) == 0
    assert await b.bus.read(0x2000) == 0xFEE0_1000 and await b.bus.read(0x2008) == 0x77
    # Locked, but the table was not: the same.
    b.apply(state=RUN)
    await b.pulse("erase_i")
    await b.erased()
    assert await b.bus.read(0x2000) == 0xFEE0_1000
    # Locked with the table: gone, also if the state left first.
    b.apply(msix_locked=1)
    await b.cycles(3)
    await FallingEdge(dut.clk_i)
    b.apply(state=UNLOCKED, msix_locked=0)
    dut.erase_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.erase_i.value = 0
    await b.erased()
    assert await b.bus.read(0x2000) == 0 and await b.bus.read(0x200C) == 1
    # And once he is gone, the table is the host's again.
    await b.bus.write(0x2000, 0xFEE0_2000)
    await b.pulse("erase_i")
    await b.erased()
    assert await b.bus.read(0x2000) == 0xFEE0_2000


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def completions_without_a_request_are_unexpected(dut) -> None:
    """Data that nobody asked for is reported with its header and stored nowhere."""
    b = Bench(dut, 84)
    await b.start()
    for n in range(20):
        head = tlp.completion(REQUESTER, n, length=16, byte_count=64)
        b.host.queue.append((head, b"\x77" * 64, {}))
    await b.cycles(150)
    assert b.events() == [(UNEXPECTED, 1)] * 20
    assert await b.bus.read_bytes(WORK, 64) == bytes(64)
    assert b.pulses["dma_error_o"] == 0
    assert find(dut, {0x7777_7777}) == set()
    # The stuck report queue loses reports, not function.
    dut.aer_ready_i.value = 0
    for n in range(5):
        b.host.queue.append((tlp.completion(REQUESTER, n, length=0, byte_count=4), b"", {}))
    await b.cycles(30)
    dut.aer_ready_i.value = 1
    await b.cycles(6)
    assert len(b.events()) == 2
    await b.good_run()
