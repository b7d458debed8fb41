# SPDX-License-Identifier: Apache-2.0
"""tlp_completer: reads, writes, configuration against a reference memory; permission that ends."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
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
FUNC_CFG: Fields = (("mse", 1), ("bme", 1), ("d3hot", 1), ("msix_enable", 1),
                    ("msix_func_mask", 1), ("mps", 3), ("mrrs", 3), ("bar0", 64))
NP_REQ: Fields = (("verdict", 2), ("func", 3), ("data", 32), ("header", 128), *META)
UNLOCKED, LOCKED, RUN, ERROR = range(4)
V_UR, V_CA, V_READ, V_CONFIG = range(4)
SC, UR, CA = 0, 1, 4
BUS_DEV = (0x31 << 5) | 1
BASE = [0x9000_0000, 0x5_4321_0000, 0xA000_0000, 0xFFFF_0000_0001_0000]
TRUSTED = {"ide": 1, "t_bit": 1, "block": 2, "stream_id": 0x44}
VALID_BE = [1, 2, 4, 8, 3, 6, 12, 7, 14, 15, 5, 9, 10, 11, 13]


def test_tlp_completer() -> None:
    simulate("tlp_completer", __name__,
             sources=["tdisp/tdi_filter.sv", "tlp/completer_write.sv", "tlp/completer_read.sv",
                      "tlp/tlp_completer.sv"])


class Bench:
    """The completer with a reference memory on its local bus and a register file behind acc_*."""

    def __init__(self, dut, seed: int = 1, idle: float = 0.0, stall: float = 0.0) -> None:
        self.dut, self.rng = dut, random.Random(seed)
        Clock(dut.clk_i, 10, unit="ns").start()

        def pause(n: int, probability: float) -> Iterator[bool] | None:
            return random_pauses(seed + n, probability) if probability else None

        self.wr = StreamDriver(dut.clk_i, dut.wr_valid_i, dut.wr_ready_o,
                               {"wr_i": dut.wr_i, "wr_func_i": dut.wr_func_i}, pause(1, idle))
        self.np = StreamDriver(dut.clk_i, dut.np_valid_i, dut.np_ready_o, dut.np_i,
                               pause(2, idle))
        self.cpl = StreamMonitor(dut.clk_i, dut.cpl_valid_o, dut.cpl_ready_i, dut.cpl_o,
                                 pause(3, stall))
        # Host-written bytes of each function, and a copy that the local bus really works on.
        self.bus = [bytearray(self.rng.randbytes(65536)) for _ in range(NUM_TDI + 1)]
        self.expected = [bytearray(m) for m in self.bus]
        self.config = {(f, a): self.rng.randrange(1 << 32)
                       for f in range(NUM_TDI + 1) for a in range(0, 4096, 4)}
        self.expected_config = dict(self.config)
        self.captured: list[int] = []
        self.bus_reads = self.config_sent = 0
        self.mps = [0, 1, 1, 0]
        self.views = [{"state": UNLOCKED, "block": 2} for _ in range(NUM_TDI)]
        self.on_read = None
        cocotb.start_soon(self._local_bus())
        cocotb.start_soon(self._config_port())

    def apply(self) -> None:
        width = sum(w for _, w in FUNC_CFG)
        self.dut.func_cfg_i.value = sum(pack(FUNC_CFG, mse=1, mps=m, bar0=BASE[i]) << i * width
                                        for i, m in enumerate(self.mps))
        width = sum(w for _, w in VIEW)
        self.dut.tdi_view_i.value = sum(pack(VIEW, **v) << i * width
                                        for i, v in enumerate(self.views))
        self.dut.bus_dev_i.value = BUS_DEV

    async def start(self) -> None:
        self.apply()
        self.dut.acc_ready_i.value = 0
        self.dut.acc_rvalid_i.value = 0
        await reset(self.dut.clk_i, self.dut.rst_i)
        while not self.cpl.queue.empty():
            self.cpl.queue.get_nowait()

    async def _local_bus(self) -> None:
        d = self.dut
        while True:
            await RisingEdge(d.clk_i)
            read = None
            if int(d.lb_valid_o.value) and not int(d.rst_i.value):
                mem = self.bus[int(d.lb_func_o.value)]
                at = int(d.lb_addr_o.value) * 4
                if int(d.lb_we_o.value):
                    data, be = int(d.lb_wdata_o.value), int(d.lb_be_o.value)
                    assert be, "a write of no byte is no bus cycle"
                    for i in range(4):
                        if be >> i & 1:
                            mem[at + i] = data >> 8 * i & 0xFF
                else:
                    read = int.from_bytes(mem[at:at + 4], "little")
                    self.bus_reads += 1
                    if self.on_read is not None:
                        self.on_read()
            await FallingEdge(d.clk_i)
            # Read data is valid for exactly one cycle.
            d.lb_rdata_i.value = self.rng.randrange(1 << 32) if read is None else read

    async def _config_port(self) -> None:
        d = self.dut
        while True:
            await RisingEdge(d.clk_i)
            self.config_sent += int(d.cpl_sent_o.value)
            taken = int(d.acc_valid_o.value) and int(d.acc_ready_i.value)
            if taken:
                key = (int(d.acc_func_o.value), int(d.acc_addr_o.value) * 4)
                read = None
                if int(d.acc_we_o.value):
                    data, be = int(d.acc_wdata_o.value), int(d.acc_be_o.value)
                    mask = sum(0xFF << 8 * i for i in range(4) if be >> i & 1)
                    self.config[key] = self.config[key] & ~mask | data & mask
                    self.captured.append(int(d.acc_bus_dev_o.value))
                else:
                    read = self.config[key]
            await FallingEdge(d.clk_i)
            d.acc_rvalid_i.value = int(bool(taken) and read is not None)
            d.acc_rdata_i.value = (read if taken and read is not None
                                   else self.rng.randrange(1 << 32))
            d.acc_ready_i.value = 0 if taken else self.rng.randrange(2)

    def write(self, func: int, offset: int, payload: bytes, first_be: int = 15,
              last_be: int | None = None, **meta: int) -> None:
        """Send a memory write and apply it to the expected memory."""
        length = len(payload) // 4
        last_be = (15 if length > 1 else 0) if last_be is None else last_be
        head = tlp.memory(BASE[func] + offset, length, write=True, first_be=first_be,
                          last_be=last_be)
        for beat in tlp_to_beats(head, payload, **meta):
            self.wr.put({"wr_i": beat, "wr_func_i": func})
        for i, byte in enumerate(payload):
            be = first_be if i < 4 else last_be if i >= len(payload) - 4 else 15
            if be >> i % 4 & 1:
                self.expected[func][offset + i] = byte

    def request(self, verdict: int, func: int, header: bytes, data: bytes = b"",
                **meta: int) -> None:
        self.np.put(pack(NP_REQ, verdict=verdict, func=func,
                         data=int.from_bytes(data.ljust(4, b"\0"), "big"),
                         header=int.from_bytes(header.ljust(16, b"\0"), "big"), **meta))

    async def completion(self) -> tuple[tlp.Completion, dict[str, int]]:
        beats = await self.cpl.get_packet(lambda b: unpack(TLP_BEAT, b)["eop"] == 1)
        header, payload, first = beats_to_tlp(beats)
        return tlp.parse_completion(header, payload), first

    async def cycles(self, n: int) -> None:
        for _ in range(n):
            await RisingEdge(self.dut.clk_i)

    def buffer_is_zero(self) -> bool:
        rows = self.dut.u_read.rows_q
        return all(int(rows[i].value) == 0 for i in range(16))

    async def check_read(self, func: int, offset: int, length: int, first_be: int, last_be: int,
                         until: int | None = None, **meta: int) -> None:
        """Collect the completions of one read and hold them against every rule of splitting.

        until: number of DWs after which UR is expected instead of the rest (None: all is read).
        """
        address = BASE[func] + offset
        mps = 128 << self.mps[func]
        owed = tlp.read_byte_count(length, first_be, last_be)
        lower = (address & 0x7C) + tlp.first_byte(first_be)
        at, end = offset, offset + 4 * length
        while at < end:
            cpl, first = await self.completion()
            assert (cpl.completer, cpl.requester) == (BUS_DEV << 3 | func, self.requester)
            assert (cpl.tag, cpl.tc, cpl.attr, cpl.bcm, cpl.ep) == (self.tag, 5, 5, 0, 0)
            assert cpl.byte_count == owed, f"byte count {cpl.byte_count}, owed {owed}"
            assert cpl.lower == lower
            assert first["associate"] == 0 and first["prefix_valid"] == 0
            for key in ("ide", "t_bit", "block", "stream_id"):
                assert first[key] == meta.get(key, 0)
            if until is not None and at >= offset + 4 * until:
                assert cpl.status == UR and not cpl.has_data
                return
            assert cpl.status == SC and cpl.has_data
            assert cpl.length * 4 <= mps
            size = cpl.length * 4
            if at + size < end:
                assert (BASE[func] + at + size) % 128 == 0, "only the last may end inside 128 B"
            elif at == offset and (address % 128) + size <= 128:
                assert size == 4 * length, "a request inside one block is one completion"
            if first_be or length > 1:
                got, want = bytearray(cpl.payload), self.expected[func][at:at + size]
                for i in range(size):
                    position = at + i - offset
                    be = (first_be if position < 4
                          else last_be if position >= 4 * length - 4 else 15)
                    assert not be >> position % 4 & 1 or got[i] == want[i], f"byte {position}"
            owed -= size - (tlp.first_byte(first_be) if at == offset else 0)
            at += size
            lower = 0
        assert until is None

    requester, tag = 0x1234, 0x2C7

    def read(self, func: int, offset: int, length: int, first_be: int = 15,
             last_be: int | None = None, **meta: int) -> None:
        head = tlp.memory(BASE[func] + offset, length, write=False, first_be=first_be,
                          last_be=last_be, requester=self.requester, tag=self.tag, tc=5, attr=5)
        self.request(V_READ, func, head, **meta)


@cocotb.test(timeout_time=8, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def random_reads_and_writes_match_a_memory(dut, idle: float, stall: float) -> None:
    """Every size from 1 DW to MPS (reads to 4 KiB), all byte enables, four functions, both address
    widths: read data and the whole memory agree with the reference at the end."""
    b = Bench(dut, 21, idle, stall)
    await b.start()
    rng = b.rng
    for n in range(160):
        func = rng.randrange(NUM_TDI + 1)
        length = n % 64 + 1 if rng.random() < 0.7 else rng.randrange(1, 5)
        if n % 3 == 0:
            length = rng.choice([1, 2, 31, 32, 33, 63, 64, 65, 127, 256, 700, 1024])
        page = rng.randrange(1 if func == 0 else 16) * 4096
        offset = page + rng.randrange(0, 4096 - 4 * length + 1, 4)
        first_be, last_be = rng.choice(VALID_BE), rng.choice(VALID_BE)
        if length == 1:
            last_be = 0
        if n % 3:
            if length <= 64:
                b.write(func, offset, rng.randbytes(4 * length), first_be, last_be)
                await b.wr.drain()
        else:
            b.read(func, offset, length, first_be, last_be)
            await b.check_read(func, offset, length, first_be, last_be)
    await b.wr.drain()
    await b.cycles(80)
    assert b.bus == b.expected, "memory and reference differ"
    assert b.buffer_is_zero()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def all_byte_enables_of_short_reads(dut) -> None:
    """1 DW with all 16 First BE (0 = flush, no bus cycle), 2 DW with all pairs: Byte Count and
    Lower Address by the table."""
    b = Bench(dut, 3)
    await b.start()
    for first_be in range(16):
        reads = b.bus_reads
        b.read(1, 0x7C, 1, first_be, 0)
        await b.check_read(1, 0x7C, 1, first_be, 0)
        assert b.bus_reads - reads == int(first_be != 0)
    for first_be in VALID_BE:
        for last_be in VALID_BE:
            b.read(2, 0xFC, 2, first_be, last_be)
            await b.check_read(2, 0xFC, 2, first_be, last_be)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def writes_of_every_size_touch_nothing_else(dut) -> None:
    """1..64 DW, each start inside a beat, back to back; one DW a cycle on the bus."""
    b = Bench(dut, 4)
    await b.start()
    begin = cocotb.simtime.get_sim_time("ns")
    dws = 0
    for length in range(1, 65):
        b.write(3, 0x8000 + 4 * (length % 4) + 512 * (length % 7), b.rng.randbytes(4 * length),
                b.rng.choice(VALID_BE), b.rng.choice(VALID_BE) if length > 1 else 0)
        dws += length
    # Nothing is written without a byte enable.
    b.write(3, 0x4000, b"none", 0, 0)
    await b.wr.drain()
    spent = (cocotb.simtime.get_sim_time("ns") - begin) / 10
    await b.cycles(10)
    assert b.bus == b.expected
    assert spent <= dws + 10, f"{dws} DWs took {spent} cycles"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def configuration_requests_use_the_access_port(dut) -> None:
    """CfgRd0 gives CplD, CfgWr0 gives Cpl, Byte Count 4, Lower Address 0; cpl_sent once each."""
    b = Bench(dut, 5, 0.2, 0.3)
    await b.start()
    rng = b.rng
    sent = 0
    for _ in range(60):
        func, register, be = rng.randrange(4), rng.randrange(0, 4096, 4), rng.randrange(16)
        write, tag, bus_dev = rng.random() < 0.5, rng.randrange(1024), rng.randrange(1 << 13)
        data = rng.randbytes(4) if write else b""
        meta = TRUSTED if rng.random() < 0.3 else {}
        head = tlp.config(bus_dev << 3 | func, register, write=write, be=be, requester=7, tag=tag)
        b.request(V_CONFIG, func, head, data, **meta)
        cpl, first = await b.completion()
        key = (func, register)
        if write:
            mask = sum(0xFF << 8 * i for i in range(4) if be >> i & 1)
            b.expected_config[key] = (b.expected_config[key] & ~mask
                                      | int.from_bytes(data, "little") & mask)
            assert not cpl.has_data and b.captured[-1] == bus_dev
        else:
            assert cpl.payload == b.expected_config[key].to_bytes(4, "little")
        assert (cpl.status, cpl.byte_count, cpl.lower, cpl.tag) == (SC, 4, 0, tag)
        assert (cpl.requester, cpl.completer) == (7, BUS_DEV << 3 | func)
        assert first["ide"] == meta.get("ide", 0)
        sent += 1
        await b.cycles(2)
        assert b.config_sent == sent and b.config == b.expected_config
    assert b.bus_reads == 0
    # Memory traffic does not pulse cpl_sent.
    b.read(1, 0, 4)
    await b.check_read(1, 0, 4, 15, 15)
    await b.cycles(2)
    assert b.config_sent == sent
    assert b.buffer_is_zero()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def refused_requests_get_a_completion_without_data(dut) -> None:
    """UR and CA verdicts of every kind of non-posted request; then a good read."""
    b = Bench(dut, 6)
    await b.start()
    for verdict, status in ((V_UR, UR), (V_CA, CA)):
        for byte0, length, count, lower, locked in (
            (0x00, 40, 160, 0x44, False), (0x01, 2, 8, 0x44, True), (0x02, 1, 4, 0, False),
            (0x42, 1, 4, 0, False), (0x4E, 8, 4, 0, False), (0x5B, 16, 4, 0, False),
        ):
            head = tlp.memory(BASE[2] + 0x44, length, write=False, byte0=byte0, tag=0x155, tc=3,
                              attr=2, requester=0x99)
            b.request(verdict, 2, head, **TRUSTED)
            cpl, first = await b.completion()
            assert (cpl.status, cpl.has_data, cpl.locked) == (status, False, locked)
            assert (cpl.byte_count, cpl.lower) == (count, lower)
            assert (cpl.tag, cpl.tc, cpl.attr, cpl.requester) == (0x155, 3, 2, 0x99)
            assert cpl.completer == BUS_DEV << 3 | 2
            assert (first["ide"], first["t_bit"], first["block"]) == (1, 1, 2)
        for register_byte in (0x05, 0x45):
            head = bytearray(tlp.config(0x0101, 0x40, write=register_byte == 0x45, tag=3))
            head[0] = register_byte
            b.request(verdict, 0, bytes(head))
            cpl, _ = await b.completion()
            assert (cpl.status, cpl.has_data, cpl.byte_count, cpl.lower) == (status, False, 4, 0)
    assert b.bus_reads == 0 and b.bus == b.expected
    b.read(2, 0x44, 3)
    await b.check_read(2, 0x44, 3, 15, 15)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def posted_writes_pass_a_stuck_completion(dut) -> None:
    """With the completion stream blocked for ever, 100 writes still reach the memory."""
    b = Bench(dut, 7, stall=1.0)
    await b.start()
    b.read(1, 0x1000, 64)
    await b.cycles(100)
    assert int(dut.cpl_valid_o.value) == 1
    for i in range(100):
        b.write(2, 64 * i, b.rng.randbytes(64))
    await b.wr.drain()
    await b.cycles(8)
    assert b.bus == b.expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_see_the_writes_before_them(dut) -> None:
    """A read and a flush behind a 64 DW write are executed only after its last DW."""
    b = Bench(dut, 8)
    await b.start()
    for flush in (False, True):
        data = b.rng.randbytes(256)
        b.write(1, 0x8000, data)
        while b.wr.sent % 16 != 15:
            await RisingEdge(dut.clk_i)
        # The last beat of the write is offered now, as the router would pass it before the read.
        await b.wr.drain()
        if flush:
            b.read(1, 0x80FC, 1, 0, 0)
            await b.check_read(1, 0x80FC, 1, 0, 0)
        else:
            b.read(1, 0x80FC, 1, 15, 0)
            await b.check_read(1, 0x80FC, 1, 15, 0)
        assert b.bus == b.expected
        await b.cycles(3)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_read_ends_with_its_permission(dut) -> None:
    """RUN is left at every bus cycle of a 96 DW read in turn: data that was committed before is
    delivered, the rest is answered UR with the bytes still owed, and the buffer is zero."""
    b = Bench(dut, 9)
    b.mps = [0, 0, 0, 0]
    b.views[0] = {"state": RUN, "block": 2}
    await b.start()
    for stop_at in (1, 2, 31, 32, 33, 40, 64, 65, 96):
        count = 0

        def on_read(stop_at: int = stop_at) -> None:
            nonlocal count
            count += 1
            if count == stop_at:
                cocotb.start_soon(leave())

        async def leave() -> None:
            await FallingEdge(dut.clk_i)
            b.views[0]["state"] = ERROR
            b.apply()

        b.on_read = on_read
        b.read(1, 0x9000, 96, **TRUSTED)
        # 128 B completions: the one being collected when the state changes is lost.
        await b.check_read(1, 0x9000, 96, 15, 15, until=(stop_at - 1) // 32 * 32, **TRUSTED)
        b.on_read = None
        assert count == stop_at, "the bus was read after RUN was left"
        await b.cycles(20)
        assert b.buffer_is_zero()
        b.views[0]["state"] = RUN
        b.apply()
        await b.cycles(2)
        b.read(1, 0x9000, 8, **TRUSTED)
        await b.check_read(1, 0x9000, 8, 15, 15, **TRUSTED)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_waiting_completion_turns_into_a_refusal(dut) -> None:
    """A completion that the host does not drain: when RUN ends before its first beat was taken, it
    becomes UR in that cycle without valid falling; later states cannot bring the data back."""
    b = Bench(dut, 10, stall=1.0)
    b.views[0] = {"state": RUN, "block": 2}
    await b.start()
    b.read(1, 0x8000, 16, **TRUSTED)
    await b.cycles(60)
    assert not b.buffer_is_zero()
    secret = bytes(b.bus[1][0x8000:0x8010])
    assert unpack(TLP_BEAT, int(dut.cpl_o.value))["data"].to_bytes(16, "big") == secret
    for state in (ERROR, UNLOCKED, LOCKED, RUN):
        await FallingEdge(dut.clk_i)
        b.views[0]["state"] = state
        b.apply()
        await RisingEdge(dut.clk_i)
        beat = unpack(TLP_BEAT, int(dut.cpl_o.value))
        assert int(dut.cpl_valid_o.value) == 1
        assert (beat["sop"], beat["eop"], beat["dw_valid"], beat["data"]) == (1, 1, 0, 0)
    b.cpl.pauses = iter(lambda: False, None)
    cpl, first = await b.completion()
    assert (cpl.status, cpl.byte_count, cpl.has_data) == (UR, 64, False)
    assert (first["ide"], first["t_bit"]) == (1, 1)
    await b.cycles(20)
    assert b.buffer_is_zero()
    b.read(1, 0x8000, 16, **TRUSTED)
    await b.check_read(1, 0x8000, 16, 15, 15, **TRUSTED)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_started_completion_is_finished(dut) -> None:
    """Once its first beat was taken in RUN, a completion is neither cut nor altered."""
    b = Bench(dut, 12)
    b.views[0] = {"state": RUN, "block": 2}
    await b.start()
    b.read(1, 0x8000, 64, **TRUSTED)
    await RisingEdge(dut.cpl_valid_o)
    await RisingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    b.views[0]["state"] = ERROR
    b.apply()
    await b.check_read(1, 0x8000, 64, 15, 15, **TRUSTED)
    await b.cycles(20)
    assert b.buffer_is_zero()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_write_ends_with_its_permission(dut) -> None:
    """LOCKED begins in the middle of a T=0 write to work memory: no DW after that."""
    b = Bench(dut, 13)
    await b.start()
    before = bytes(b.bus[1])
    b.write(1, 0x8000, b"\xAA" * 256)
    while int(dut.lb_valid_o.value) == 0 or int(dut.lb_addr_o.value) != (0x8000 >> 2) + 20:
        await FallingEdge(dut.clk_i)
    b.views[0]["state"] = LOCKED
    b.apply()
    await b.cycles(80)
    assert bytes(b.bus[1][0x8000:0x8050]) == b"\xAA" * 80
    assert bytes(b.bus[1][0x8050:]) == before[0x8050:]
    # The write was taken completely, so the next one is not disturbed.
    b.write(2, 0x8000, b"\xBB" * 64)
    await b.wr.drain()
    await b.cycles(6)
    assert bytes(b.bus[2]) == bytes(b.expected[2])
