# SPDX-License-Identifier: Apache-2.0
"""Bench of dsm_soc: host side of the DOE mailbox and the neighbours of the narrow buses.

Nothing here runs per clock cycle: every part waits for the signal it serves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer, ValueChange

from cocotb_tests.env.layouts import TDI_CMD, TDI_RES
from cocotb_tests.env.streams import Fields, pack, unpack

CYCLE_NS = 10
CONTROL, STATUS, WRITE_DATA, READ_DATA = 2, 3, 4, 5
ABORT, INT_ENABLE, GO = 1 << 0, 1 << 1, 1 << 31
BUSY, INT_STATUS, ERROR, READY = 1 << 0, 1 << 1, 1 << 2, 1 << 31

KEY_CMD: Fields = (("op", 3), ("block", 2), ("is_tx", 1), ("sub_stream", 2), ("key_set", 1),
                   ("dw_idx", 3), ("data", 32), ("session_tag", 16))


@dataclass
class Neighbours:
    """What the other rooms answer, and what they were asked."""

    key_answer: Callable[[dict[str, int]], int] = lambda cmd: 0
    tdi_answer: Callable[[dict[str, int]], tuple[int, int]] = lambda cmd: (0, 0)
    config_answer: Callable[[int, int], int] = lambda function, offset: 0
    keys: list[dict[str, int]] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    commands: list[dict[str, int]] = field(default_factory=list)


class SocBench:
    """One SoC with a host at its mailbox."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.clk = dut.clk_o
        self.world = Neighbours()

    async def start(self) -> None:
        """Reset the SoC and start the neighbours."""
        await self.reset()
        for service in (self._keys, self._kills, self._tdis, self._config):
            cocotb.start_soon(service())

    async def reset(self) -> None:
        """Conventional reset; all inputs at rest."""
        dut = self.dut
        for name in ("doe_write_i", "doe_addr_i", "doe_wdata_i", "key_ready_i",
                     "key_status_valid_i", "key_status_i", "cmd_ready_i", "res_valid_i", "res_i",
                     "tdi_view_i", "snap_ready_i", "snap_rvalid_i", "snap_rdata_i", "bus_dev_i",
                     "flr0_i", "insecure_event_i", "tdi_error_event_i", "seed_deterministic_i",
                     "cycle_base_i"):
            getattr(dut, name).value = 0
        dut.rnd_enable_i.value = 1
        dut.rst_i.value = 1
        await Timer(10 * CYCLE_NS, "ns")
        await FallingEdge(self.clk)
        dut.rst_i.value = 0

    # ---- neighbours

    async def _keys(self) -> None:
        dut = self.dut
        while True:
            if not int(dut.key_valid_o.value):
                await RisingEdge(dut.key_valid_o)
            await FallingEdge(self.clk)
            command = unpack(KEY_CMD, int(dut.key_o.value))
            self.world.keys.append(command)
            dut.key_ready_i.value = 1
            await FallingEdge(self.clk)
            dut.key_ready_i.value = 0
            await Timer(3 * CYCLE_NS, "ns")
            await FallingEdge(self.clk)
            dut.key_status_i.value = self.world.key_answer(command)
            dut.key_status_valid_i.value = 1
            await FallingEdge(self.clk)
            dut.key_status_valid_i.value = 0

    async def _kills(self) -> None:
        while True:
            await RisingEdge(self.dut.kill_tag_valid_o)
            self.world.killed.append(int(self.dut.kill_tag_o.value))

    async def _tdis(self) -> None:
        dut = self.dut
        while True:
            if not int(dut.cmd_valid_o.value):
                await RisingEdge(dut.cmd_valid_o)
            await FallingEdge(self.clk)
            command = unpack(TDI_CMD, int(dut.cmd_o.value))
            self.world.commands.append(command)
            dut.cmd_ready_i.value = 1
            await FallingEdge(self.clk)
            dut.cmd_ready_i.value = 0
            await Timer(20 * CYCLE_NS, "ns")
            await FallingEdge(self.clk)
            code, nonce = self.world.tdi_answer(command)
            dut.res_i.value = pack(TDI_RES, code=code, nonce=nonce)
            dut.res_valid_i.value = 1
            await FallingEdge(self.clk)
            dut.res_valid_i.value = 0

    async def _config(self) -> None:
        dut = self.dut
        while True:
            if not int(dut.snap_valid_o.value):
                await RisingEdge(dut.snap_valid_o)
            await Timer(2 * CYCLE_NS, "ns")
            await FallingEdge(self.clk)
            value = self.world.config_answer(int(dut.snap_func_o.value),
                                             int(dut.snap_addr_o.value) << 2)
            dut.snap_ready_i.value = 1
            await FallingEdge(self.clk)
            dut.snap_ready_i.value = 0
            dut.snap_rdata_i.value = value
            dut.snap_rvalid_i.value = 1
            await FallingEdge(self.clk)
            dut.snap_rvalid_i.value = 0
            dut.snap_rdata_i.value = 0xDEAD_DEAD

    # ---- host side of the mailbox

    async def pulse(self, name: str, value: int = 1) -> None:
        await FallingEdge(self.clk)
        getattr(self.dut, name).value = value
        await FallingEdge(self.clk)
        getattr(self.dut, name).value = 0

    async def write(self, register: int, value: int) -> None:
        self.dut.doe_addr_i.value = register
        self.dut.doe_wdata_i.value = value
        await self.pulse("doe_write_i")

    def status(self) -> int:
        return int(self.dut.doe_status_o.value)

    async def wait_status(self, mask: int, value: int, cycles: int = 3_000_000) -> bool:
        """Wait until status & mask == value; False if it does not come within `cycles`."""
        deadline = Timer(cycles * CYCLE_NS, "ns")
        while self.status() & mask != value:
            fired = await First(ValueChange(self.dut.doe_status_o), deadline)
            if fired is deadline:
                return False
        await FallingEdge(self.clk)
        return True

    async def send(self, dws: list[int]) -> None:
        assert await self.wait_status(BUSY, 0), "mailbox stays busy"
        for dw in dws:
            await self.write(WRITE_DATA, dw)
        await self.write(CONTROL, GO)

    async def receive(self) -> list[int]:
        """The response object; empty if the mailbox fell idle without one."""
        assert await self.wait_status(BUSY | READY, BUSY | READY), (
            f"no response, status {self.status():08x}, fatal {int(self.dut.fatal_o.value)}")
        out = []
        while self.status() & READY:
            out.append(int(self.dut.doe_read_data_o.value))
            await self.write(READ_DATA, 0)
            await Timer(2 * CYCLE_NS, "ns")
        return out

    async def call(self, op: int, *args: int | bytes) -> list[int]:
        """One remote call of the test image; byte strings are passed as little-endian DWs."""
        words: list[int] = []
        for arg in args:
            if isinstance(arg, bytes):
                padded = arg + bytes(-len(arg) % 4)
                words += struct.unpack(f"<{len(padded) // 4}I", padded)
            else:
                words.append(arg)
        await self.send([0x00EE_0001, 3 + len(words), op, *words])
        answer = await self.receive()
        assert answer[0] == 0x00EE_0001 and answer[1] == len(answer)
        return answer[2:]


def as_bytes(words: list[int], length: int | None = None) -> bytes:
    """Bytes of little-endian DWs, cut to `length`."""
    return struct.pack(f"<{len(words)}I", *words)[:length]
