# SPDX-License-Identifier: Apache-2.0
"""Testbench parts around a device function: local bus master, host memory, dump of its state."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import cocotb
from cocotb.handle import (
    ArrayObject,
    HierarchyArrayObject,
    HierarchyObject,
    LogicArrayObject,
    PackedObject,
)
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.streams import (
    TLP_BEAT,
    Fields,
    beats_to_tlp,
    pack,
    tlp_to_beats,
    unpack,
)
from cocotb_tests.function import tlp

FUNC_CFG: Fields = (("mse", 1), ("bme", 1), ("d3hot", 1), ("msix_enable", 1),
                    ("msix_func_mask", 1), ("mps", 3), ("mrrs", 3), ("bar0", 64))
UNLOCKED, LOCKED, RUN, ERROR = range(4)
SC, UR, CRS, CA = 0, 1, 2, 4


class LocalBus:
    """Master of the local bus: no wait states, read data in the cycle after."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("sel", "we", "addr", "be", "wdata"):
            getattr(dut, f"lb_{name}_i").value = 0

    async def write(self, address: int, value: int, be: int = 15) -> None:
        """Write a DW; address: byte offset in the BAR, multiple of 4."""
        d = self.dut
        await FallingEdge(d.clk_i)
        d.lb_sel_i.value, d.lb_we_i.value, d.lb_addr_i.value = 1, 1, address >> 2
        d.lb_be_i.value, d.lb_wdata_i.value = be, value
        await FallingEdge(d.clk_i)
        d.lb_sel_i.value, d.lb_we_i.value, d.lb_wdata_i.value = 0, 0, 0

    async def read(self, address: int, be: int = 15) -> int:
        """Read a DW, and check that read data is zero in the cycle after that."""
        d = self.dut
        await FallingEdge(d.clk_i)
        d.lb_sel_i.value, d.lb_we_i.value, d.lb_addr_i.value = 1, 0, address >> 2
        d.lb_be_i.value = be
        await FallingEdge(d.clk_i)
        d.lb_sel_i.value = 0
        value = int(d.lb_rdata_o.value)
        await FallingEdge(d.clk_i)
        assert int(d.lb_rdata_o.value) == 0, "read data must last one cycle"
        return value

    async def write_bytes(self, address: int, data: bytes) -> None:
        for i in range(0, len(data), 4):
            await self.write(address + i, int.from_bytes(data[i:i + 4], "little"))

    async def read_bytes(self, address: int, length: int) -> bytes:
        out = b""
        for i in range(0, length, 4):
            out += (await self.read(address + i)).to_bytes(4, "little")
        return out


class HostMemory:
    """Host side of a function's tx and cpl ports: memory, legal random splits, faults on request.

    Checks every request against the rules of a requester while it takes it.

    Attributes:
        log: TLPs in order of arrival: ("MWr" | "MRd", address, length in DW, meta).
        fault: called with (address, length in DW, tag) of each read; returns None for a good
            answer or a list of (header, payload, meta) to be sent instead.
        hold: while True, reads are collected and not answered.
        beats: beats taken of a TLP that is not complete yet.
    """

    def __init__(self, dut: Any, seed: int, *, idle: float = 0.0, stall: float = 0.0) -> None:
        self.dut, self.rng = dut, random.Random(seed)
        self.memory: dict[int, int] = {}
        self.fill = random.Random(seed + 1)
        self.idle, self.stall = idle, stall
        self.requester, self.mps, self.mrrs = 0, 128, 512
        self.answer_meta: dict[str, int] = {}
        self.log: list[tuple[str, int, int, dict[str, int]]] = []
        self.reads: list[list[Any]] = []       # [address, dws left, tag]
        self.queue: list[tuple[bytes, bytes, dict[str, int]]] = []
        self.fault: Callable[[int, int, int], list[Any] | None] | None = None
        self.hold = False
        self.rcb = 64
        self.drop: Callable[[], bool] = lambda: False
        self.dropped = 0
        self.beats: list[int] = []
        dut.tx_ready_i.value = 0
        dut.tx_dropped_i.value = 0
        dut.cpl_valid_i.value = 0
        dut.cpl_i.value = 0
        cocotb.start_soon(self._take())
        cocotb.start_soon(self._answer())

    def peek(self, address: int, length: int) -> bytes:
        return bytes(self.memory.get(address + i, 0) for i in range(length))

    def poke(self, address: int, data: bytes) -> None:
        self.memory.update({address + i: byte for i, byte in enumerate(data)})

    async def _take(self) -> None:
        """Take beats under random backpressure; a refused TLP is swallowed as the gate does it."""
        d, dropping = self.dut, False
        while True:
            await FallingEdge(d.clk_i)
            if not int(d.tx_valid_o.value):
                d.tx_ready_i.value = int(self.rng.random() >= self.stall)
                d.tx_dropped_i.value = 0
            else:
                if not self.beats:
                    dropping = self.drop() and not int(d.tx_is_msix_o.value)
                d.tx_dropped_i.value = int(dropping and not self.beats)
                d.tx_ready_i.value = int(dropping or self.rng.random() >= self.stall)
            await RisingEdge(d.clk_i)
            if int(d.rst_i.value):
                self.beats = []
            elif int(d.tx_valid_o.value) and int(d.tx_ready_i.value):
                self.beats.append(int(d.tx_o.value))
                if unpack(TLP_BEAT, self.beats[-1])["eop"]:
                    if dropping:
                        self.dropped += 1
                    else:
                        self._request(self.beats, bool(int(d.tx_is_msix_o.value)))
                    self.beats = []

    def _request(self, beats: list[int], is_msix: bool) -> None:
        header, payload, first = beats_to_tlp(beats)
        wide, write = bool(header[0] & 0x20), bool(header[0] & 0x40)
        assert header[0] & 0x9F == 0, f"not a memory request: {header.hex()}"
        length = (int.from_bytes(header[2:4], "big") & 0x3FF) or 1024
        address = int.from_bytes(header[8:], "big")
        assert header[1] == 0 and header[2] & 0xFC == 0, "TC, attributes, AT, TD, EP are zero"
        assert wide == (address >= 1 << 32), "4 DW header exactly from 4 GiB on"
        assert address % 4 == 0 and address % 4096 + 4 * length <= 4096, "crosses 4 KiB"
        assert header[4:6] == self.requester.to_bytes(2, "big")
        assert header[7] == (0x0F if length == 1 else 0xFF)
        assert first["ide"] == first["t_bit"] == 0, "protection is the gate's word"
        if write:
            assert len(payload) == 4 * length <= self.mps and header[6] == 0
            last = unpack(TLP_BEAT, beats[-1])
            unused = 128 - 32 * last["dw_valid"].bit_count()
            assert last["data"] & ((1 << unused) - 1) == 0, "bytes behind the payload are zero"
            self.poke(address, payload)
            self.log.append(("MSI" if is_msix else "MWr", address, length, first))
        else:
            assert payload == b"" and 4 * length <= self.mrrs and not is_msix
            tag = header[6]
            assert tag < 32 and tag not in [r[2] for r in self.reads], "tag in use"
            self.log.append(("MRd", address, length, first))
            bad = self.fault(address, length, tag) if self.fault else None
            if bad is None:
                self.reads.append([address, length, tag])
            else:
                self.queue.extend(bad)

    def good(self, address: int, dws_left: int, length: int, tag: int, **fields: int
             ) -> tuple[bytes, bytes, dict[str, int]]:
        """One completion for the next `length` DWs of a read."""
        args: dict[str, Any] = {"length": length, "byte_count": 4 * dws_left,
                                "lower": address & 0x7F}
        args.update(fields)
        head = tlp.completion(self.requester, tag, **args)
        return head, self.peek(address, 4 * args["length"]), dict(self.answer_meta)

    def _next(self) -> tuple[bytes, bytes, dict[str, int]] | None:
        """Choose the next completion: any waiting read, any split that the RCB permits."""
        if self.queue:
            return self.queue.pop(0)
        if self.hold or not self.reads:
            return None
        read = self.rng.choice(self.reads)
        address, left, tag = read
        ends = [n for n in range(1, min(left, 64) + 1)
                if n == left or (address + 4 * n) % self.rcb == 0]
        length = self.rng.choice(ends[-4:])
        out = self.good(address, left, length, tag)
        read[0] += 4 * length
        read[1] -= length
        if read[1] == 0:
            self.reads.remove(read)
        return out

    async def _answer(self) -> None:
        d = self.dut
        while True:
            await FallingEdge(d.clk_i)
            item = self._next() if self.rng.random() >= self.idle else None
            if item is None:
                d.cpl_valid_i.value = 0
                continue
            for beat in tlp_to_beats(item[0], item[1], **item[2]):
                while self.rng.random() < self.idle:
                    d.cpl_valid_i.value = 0
                    await FallingEdge(d.clk_i)
                d.cpl_valid_i.value, d.cpl_i.value = 1, beat
                await FallingEdge(d.clk_i)
            d.cpl_valid_i.value, d.cpl_i.value = 0, 0


def everything(obj: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, bits) of every vector, register and memory word below a design object."""
    if isinstance(obj, HierarchyObject | HierarchyArrayObject):
        for child in obj:
            yield from everything(child, f"{path}.{child._name}")
    elif isinstance(obj, LogicArrayObject | PackedObject):
        yield path, str(obj.value)
    elif isinstance(obj, ArrayObject):
        for i in obj.range:
            yield from everything(obj[i], f"{path}[{i}]")


def find(obj: Any, words: set[int]) -> set[str]:
    """Paths of everything below obj that holds one of the 32-bit words, in either byte order and
    at any bit position."""
    wanted = {format(w, "032b") for w in words}
    wanted |= {format(int.from_bytes(w.to_bytes(4, "big"), "little"), "032b") for w in words}
    return {path for path, bits in everything(obj)
            if any(bits[i:i + 32] in wanted for i in range(len(bits) - 31))}


def cfg(**fields: int) -> int:
    """A func_cfg_t with memory and bus master on unless said otherwise."""
    return pack(FUNC_CFG, **{"mse": 1, "bme": 1, "msix_enable": 1} | fields)


def view(**fields: int) -> int:
    """A tdi_view_t."""
    return pack(VIEW, **fields)
