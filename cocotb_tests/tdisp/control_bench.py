# SPDX-License-Identifier: Apache-2.0
"""Bench of tdi_control: command bus, random words, streams and three function models."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env import layouts, streams

SOURCES = ["tdisp/tdi_lock_check.sv", "tdisp/tdi_p2p_check.sv", "tdisp/tdi_control.sv"]
ENTROPY_TIMEOUT, DRAIN_TIMEOUT = 60, 80
PARAMETERS = {"NumTdi": 3, "EntropyTimeoutCycles": ENTROPY_TIMEOUT,
              "DrainTimeoutCycles": DRAIN_TIMEOUT}

UNLOCKED, LOCKED, RUN, ERROR = range(4)
NAMES = ("UNLOCKED", "LOCKED", "RUN", "ERROR")
LOCK, START, STOP, SET_ATTRIBUTE, BIND_P2P, UNBIND_P2P = range(1, 7)
(OK, BAD_STATE, BAD_REQUEST, BAD_NONCE, NO_ENTROPY, BAD_INDEX, BAD_CONFIG, ABORTED) = range(8)

CMD, RES, VIEW = layouts.TDI_CMD, layouts.TDI_RES, layouts.TDI_VIEW
EMPTY_VIEW = {"state": UNLOCKED, "msix_locked": 0, "block": 0, "p2p": 0, "shared": 0}
BLOCK_CFG: streams.Fields = (
    ("enable", 1), ("is_link", 1), ("stream_id", 8), ("tc", 3), ("default_stream", 1),
    ("tee_limited", 1), ("cfg_enable", 1), ("rid_limit", 16), ("rid_valid", 1), ("rid_base", 16),
    ("addr_valid", 1), ("addr_base", 44), ("addr_limit", 44),
)
FUNC_CFG: streams.Fields = (
    ("mse", 1), ("bme", 1), ("d3hot", 1), ("msix_enable", 1), ("msix_func_mask", 1), ("mps", 3),
    ("mrrs", 3), ("bar0", 64),
)
TAG = 0x1234
STREAM = 7


class Function:
    """A function model: work memory as one flag; drains and erases in a given number of cycles."""

    def __init__(self) -> None:
        self.drain_cycles = 3
        self.erase_cycles = 5
        self.dirty = True
        self.erasures = 0
        self._drain = 0
        self._erase = 0


class Tb:
    """Connects the command bus, random words, streams and three function models."""

    def __init__(self, dut: Any, seed: int = 1) -> None:
        self.dut = dut
        self.rng = random.Random(seed)
        Clock(dut.clk_i, 10, unit="ns").start()
        self.cmd = streams.StreamDriver(dut.clk_i, dut.cmd_valid_i, dut.cmd_ready_o, dut.cmd_i)
        self.res = streams.StreamMonitor(dut.clk_i, dut.res_valid_o, dut.res_ready_i, dut.res_o)
        self.blocks: list[dict[str, int]] = [
            {"enable": 1, "stream_id": STREAM, "default_stream": 1},
            {"enable": 1, "stream_id": 8},
            {"enable": 0, "is_link": 1, "stream_id": 9},
        ]
        self.secure = [1, 1, 0]
        self.tags = [TAG, 0x4321, 0]
        self.funcs: list[dict[str, int]] = [
            {"mse": 1, "bar0": 0x10_0000_0000 + 0x10000 * i} for i in range(4)]
        self.functions = [Function() for _ in range(3)]
        self.rnd_on = True
        self.words: list[int] = []
        self.error_events = [0, 0, 0]
        self.apply()
        for name in ("violation_i", "dma_error_i", "kill_tag_valid_i", "kill_tag_i", "rnd_i"):
            getattr(dut, name).value = 0
        dut.rnd_valid_i.value = 0
        dut.drained_i.value = 0
        dut.erased_i.value = 0b111
        cocotb.start_soon(self._functions())

    def apply(self) -> None:
        """Drive stream and function registers."""
        value = 0
        for block in reversed(self.blocks):
            value = value << 138 | streams.pack(BLOCK_CFG, **block)
        self.dut.block_cfg_i.value = value
        value = 0
        for func in reversed(self.funcs):
            value = value << 75 | streams.pack(FUNC_CFG, **func)
        self.dut.func_cfg_i.value = value
        self.dut.stream_secure_i.value = sum(s << b for b, s in enumerate(self.secure))
        self.dut.stream_tag_i.value = sum(t << 16 * b for b, t in enumerate(self.tags))

    async def _functions(self) -> None:
        """Everything outside, changed at falling edges."""
        while True:
            await RisingEdge(self.dut.clk_i)
            taken = int(self.dut.rnd_valid_i.value) and int(self.dut.rnd_ready_o.value)
            if taken:
                self.words.append(int(self.dut.rnd_i.value))
            events = int(self.dut.error_event_o.value)
            for i in range(3):
                self.error_events[i] += events >> i & 1
            await FallingEdge(self.dut.clk_i)
            erase, quiesce = int(self.dut.erase_o.value), int(self.dut.quiesce_o.value)
            drained = erased = 0
            for i, f in enumerate(self.functions):
                f._drain = f._drain + 1 if quiesce >> i & 1 else 0
                if f._drain == 0:
                    f.dirty = True                    # an owner may work here
                if erase >> i & 1:
                    f._erase = f.erase_cycles
                    f.erasures += 1
                elif f._erase:
                    f._erase -= 1
                    if f._erase == 0:
                        f.dirty = False
                drained |= (f._drain > f.drain_cycles) << i
                erased |= (f._erase == 0) << i
            self.dut.drained_i.value = drained
            self.dut.erased_i.value = erased
            self.dut.rnd_valid_i.value = int(self.rnd_on)
            self.dut.rnd_i.value = self.rng.getrandbits(32)

    async def cycles(self, n: int) -> None:
        """Let n cycles pass; ends at a falling edge."""
        for _ in range(n):
            await FallingEdge(self.dut.clk_i)

    def view(self, tdi: int) -> dict[str, int]:
        """view_o of one TDI."""
        return streams.unpack(VIEW, int(self.dut.view_o.value)
                              >> layouts.TDI_VIEW_BITS * tdi & (1 << layouts.TDI_VIEW_BITS) - 1)

    def state(self, tdi: int) -> int:
        """State of one TDI as the data path sees it."""
        return self.view(tdi)["state"]

    def quiet(self, tdi: int) -> int:
        """quiesce_o of one TDI."""
        return int(self.dut.quiesce_o.value) >> tdi & 1

    def put(self, op: int, tdi: int, **fields: int) -> None:
        """Issue a command without waiting."""
        self.cmd.put(streams.pack(CMD, op=op, tdi_idx=tdi,
                                  **{"stream_id": STREAM, "session_tag": TAG, **fields}))

    async def result(self) -> dict[str, int]:
        """The next result; returns at the falling edge after it was taken."""
        out = streams.unpack(RES, await self.res.get())
        await FallingEdge(self.dut.clk_i)
        return out

    async def do(self, op: int, tdi: int, **fields: int) -> dict[str, int]:
        """A command and its result."""
        self.put(op, tdi, **fields)
        return await self.result()

    async def start(self) -> None:
        await streams.reset(self.dut.clk_i, self.dut.rst_i)
        await self.cycles(2)

    async def to_state(self, tdi: int, state: int) -> int:
        """Bring an UNLOCKED TDI into a state; returns its nonce."""
        if state == UNLOCKED:
            return 0
        res = await self.do(LOCK, tdi, lock_msix=tdi & 1)
        assert res["code"] == OK
        if state == RUN:
            assert (await self.do(START, tdi, nonce=res["nonce"]))["code"] == OK
        if state == ERROR:
            await self.pulse("violation_i", 1 << tdi)
            await self.cycles(8)
        assert self.state(tdi) == state
        self.error_events = [0, 0, 0]
        return res["nonce"]

    async def pulse(self, name: str, value: int) -> None:
        """One cycle of an event input."""
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = value
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = 0

    def nonce_is_stored(self, nonce: int) -> bool:
        """Whether any register of the design still holds this nonce."""
        stored = int(self.dut.nonce_q.value)
        held = [stored >> 256 * i & (1 << 256) - 1 for i in range(3)]
        held += [int(self.dut.draw_q.value), int(self.dut.res_q.value) & (1 << 256) - 1,
                 int(self.dut.cmd_q.value) & (1 << 256) - 1]
        return nonce in held
