# SPDX-License-Identifier: Apache-2.0
"""Drives the ports of cfg_space: one access per cycle, everything sampled at falling edges."""

from __future__ import annotations

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from cocotb_tests.env.streams import AER_EVENT, TLP_BEAT, StreamMonitor, pack, unpack
from cocotb_tests.tlp.cfg_model import BLOCK_CFG, FUNC_CFG, NUM_FUNCTIONS, WRITE_EVENT

SOURCES = ["tlp/cfg_aer.sv", "tlp/aer_messages.sv", "tlp/cfg_function.sv",
           "tlp/cfg_ide.sv", "tlp/cfg_space.sv"]

INPUTS = ("rst_sticky_i", "acc_valid_i", "acc_we_i", "acc_func_i", "acc_addr_i", "acc_be_i",
          "acc_wdata_i", "acc_bus_dev_i", "snap_valid_i", "snap_func_i", "snap_addr_i",
          "cpl_sent_i", "block_state_i", "fail_received_i", "transactions_pending_i", "cpl_ur_i",
          "cpl_ca_i", "slot_power_valid_i", "slot_power_i", "doe_control_i", "doe_status_i",
          "doe_read_data_i", "aer_valid_i", "aer_i", "msg_ready_i")


class CfgBench:
    """Access, snapshot, events and messages of one cfg_space."""

    def __init__(self, dut: Any) -> None:
        Clock(dut.clk_i, 10, unit="ns").start()
        self.dut = dut
        for name in INPUTS:
            getattr(dut, name).value = 0
        self.messages = StreamMonitor(dut.clk_i, dut.msg_valid_o, dut.msg_ready_i, dut.msg_o)
        self.bus_dev = 0

    async def start(self) -> None:
        """Power-on reset."""
        self.dut.rst_sticky_i.value = 1
        await self.reset()
        self.dut.rst_sticky_i.value = 0

    async def reset(self) -> None:
        """Conventional reset: rst_i alone."""
        self.dut.rst_i.value = 1
        for _ in range(3):
            await FallingEdge(self.dut.clk_i)
        self.dut.rst_i.value = 0

    async def idle(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            await FallingEdge(self.dut.clk_i)

    async def settle(self) -> None:
        """Let combinational outputs settle without a clock edge."""
        await Timer(1, unit="ns")

    async def _access(self, func: int, offset: int, we: int, be: int, data: int) -> int:
        dut = self.dut
        dut.acc_valid_i.value = 1
        dut.acc_we_i.value = we
        dut.acc_func_i.value = func
        dut.acc_addr_i.value = offset >> 2
        dut.acc_be_i.value = be
        dut.acc_wdata_i.value = data
        dut.acc_bus_dev_i.value = self.bus_dev
        assert int(dut.acc_ready_o.value) == 1
        await FallingEdge(dut.clk_i)
        dut.acc_valid_i.value = 0
        dut.acc_we_i.value = 0
        assert int(dut.acc_rvalid_o.value) == 1, "no answer one cycle after the access"
        return int(dut.acc_rdata_o.value)

    async def read(self, func: int, offset: int) -> int:
        """Read a DW; returns in the cycle of the answer."""
        return await self._access(func, offset, 0, 0xF, 0)

    async def write(self, func: int, offset: int, data: int, be: int = 0xF) -> dict[str, int]:
        """Write a DW; returns the write event of the following cycle."""
        await self._access(func, offset, 1, be, data)
        return unpack(WRITE_EVENT, int(self.dut.write_event_o.value))

    async def snapshot(self, func: int, offset: int) -> int:
        dut = self.dut
        dut.snap_valid_i.value = 1
        dut.snap_func_i.value = func
        dut.snap_addr_i.value = offset >> 2
        await FallingEdge(dut.clk_i)
        dut.snap_valid_i.value = 0
        assert int(dut.snap_rvalid_o.value) == 1
        return int(dut.snap_rdata_o.value)

    async def space(self, func: int) -> bytes:
        """The 4096 bytes of a function."""
        return b"".join([(await self.read(func, o)).to_bytes(4, "little")
                         for o in range(0, 4096, 4)])

    async def aer(self, **event: int) -> None:
        """Report one error; returns when its registers have changed."""
        assert int(self.dut.aer_ready_o.value) == 1
        self.dut.aer_i.value = pack(AER_EVENT, **event)
        self.dut.aer_valid_i.value = 1
        await FallingEdge(self.dut.clk_i)
        self.dut.aer_valid_i.value = 0
        await FallingEdge(self.dut.clk_i)

    async def pulse(self, name: str, value: int = 1) -> None:
        getattr(self.dut, name).value = value
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = 0

    async def take_messages(self) -> list[tuple[int, int]]:
        """(message code, function) of every message waiting or on its way."""
        await self.idle(2 + 2 * 3 * NUM_FUNCTIONS)
        out = []
        while not self.messages.queue.empty():
            beat = unpack(TLP_BEAT, self.messages.queue.get_nowait())
            header = beat["header"].to_bytes(16, "big")
            # Msg routed to the Root Complex: byte 0 = 30h, no length, TC 0, tag 0, bytes 8.. zero.
            assert (beat["sop"], beat["eop"], beat["dw_valid"]) == (1, 1, 0)
            assert (beat["ide"], beat["associate"], beat["t_bit"]) == (0, 1, 0)
            assert header[:4] == bytes([0x30, 0, 0, 0])
            assert header[6] == 0
            assert header[8:] == bytes(8)
            requester = int.from_bytes(header[4:6], "big")
            assert requester >> 3 == int(self.dut.bus_dev_o.value)
            assert beat["tdi_idx"] == ((requester & 7) - 1) & 0xFF
            out.append((header[7], requester & 7))
        return out

    def func_cfg(self, func: int) -> dict[str, int]:
        width = sum(w for _, w in FUNC_CFG)
        value = int(self.dut.func_cfg_o.value) >> (func * width)
        return unpack(FUNC_CFG, value & ((1 << width) - 1))

    def block_cfg(self, block: int) -> dict[str, int]:
        width = sum(w for _, w in BLOCK_CFG)
        value = int(self.dut.block_cfg_o.value) >> (block * width)
        return unpack(BLOCK_CFG, value & ((1 << width) - 1))
