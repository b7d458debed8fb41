# SPDX-License-Identifier: Apache-2.0
"""msix: the event table of MSI-X, message format, and random events against a model."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamMonitor, beats_to_tlp, random_pauses, reset
from cocotb_tests.function.bench import cfg

REQUESTER = 0x2A03


def test_msix() -> None:
    simulate("msix", __name__, sources=["function/msix.sv"], parameters={"TdiIdx": 2})


class Bench:
    def __init__(self, dut: Any, stall: float = 0.0) -> None:
        self.dut = dut
        Clock(dut.clk_i, 10, unit="ns").start()
        for name in ("clear_i", "trigger_i", "table_we_i"):
            getattr(dut, name).value = 0
        dut.requester_id_i.value = REQUESTER
        self.enabled: dict[str, int] = {}
        self.configure()
        self.tx = StreamMonitor(dut.clk_i, dut.tx_valid_o, dut.tx_ready_i, dut.tx_o,
                                random_pauses(4, stall) if stall else None)
        self.table = [[0, 0, 0, 1] for _ in range(4)]

    def configure(self, **fields: int) -> None:
        self.enabled |= fields
        self.dut.cfg_i.value = cfg(**self.enabled)

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        while not self.tx.queue.empty():
            self.tx.queue.get_nowait()

    async def write(self, entry: int, word: int, value: int, be: int = 15) -> None:
        d = self.dut
        await FallingEdge(d.clk_i)
        d.table_we_i.value, d.lb_addr_i.value = 1, entry << 2 | word
        d.lb_be_i.value, d.lb_wdata_i.value = be, value
        await FallingEdge(d.clk_i)
        d.table_we_i.value = 0

    async def read(self, entry: int, word: int) -> int:
        await FallingEdge(self.dut.clk_i)
        self.dut.lb_addr_i.value = entry << 2 | word
        await RisingEdge(self.dut.clk_i)
        return int(self.dut.table_rdata_o.value)

    async def program(self, entry: int, address: int, data: int, mask: int = 0) -> None:
        for word, value in enumerate((address & 0xFFFF_FFFF, address >> 32, data, mask)):
            await self.write(entry, word, value)

    async def trigger(self, vectors: int) -> None:
        await FallingEdge(self.dut.clk_i)
        self.dut.trigger_i.value = vectors
        await FallingEdge(self.dut.clk_i)
        self.dut.trigger_i.value = 0

    async def messages(self, cycles: int = 12) -> list[tuple[int, int]]:
        """(address, data) of every message since the last call; the header is checked."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk_i)
        out = []
        while not self.tx.queue.empty():
            header, payload, first = beats_to_tlp([self.tx.queue.get_nowait()])
            address = int.from_bytes(header[8:], "big")
            wide = address >= 1 << 32
            assert header[:8] == bytes([0x60 if wide else 0x40, 0, 0, 1, REQUESTER >> 8,
                                        REQUESTER & 0xFF, 0, 0x0F])
            assert len(header) == (16 if wide else 12) and len(payload) == 4
            assert first["tdi_idx"] == 2 and first["ide"] == first["t_bit"] == 0
            out.append((address, int.from_bytes(payload, "little")))
        return out

    async def pending(self) -> int:
        await FallingEdge(self.dut.clk_i)
        return int(self.dut.pba_rdata_o.value)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_table_is_masked_and_bytes_are_writable(dut) -> None:
    """Reset: all zero, mask bits 1. Address bits 1:0 and the reserved mask bits stay 0."""
    b = Bench(dut)
    await b.start()
    for entry in range(4):
        assert [await b.read(entry, w) for w in range(4)] == [0, 0, 0, 1]
        for word, want in enumerate((0xFFFF_FFFC, 0xFFFF_FFFF, 0xFFFF_FFFF, 1)):
            await b.write(entry, word, 0xFFFF_FFFF)
            assert await b.read(entry, word) == want
            await b.write(entry, word, 0x1122_3300, 0b0110)
            assert await b.read(entry, word) == want & 0xFF00_00FF | (0x22_3300 if word < 3 else 0)
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    assert [await b.read(e, w) for e in range(4) for w in range(4)] == [0, 0, 0, 1] * 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_row_of_the_event_table(dut) -> None:
    """Unmasked: sent, not pending. Masked by entry, function, enable, BME or D3hot: pending, one
    message when the mask goes, however many requests; the entry is read when it is sent."""
    b = Bench(dut)
    await b.start()
    await b.program(1, 0x1_FEE0_0004, 0xABCD)
    await b.trigger(2)
    assert await b.messages() == [(0x1_FEE0_0004, 0xABCD)] and await b.pending() == 0
    for close, opening in (({"msix_func_mask": 1}, {"msix_func_mask": 0}),
                           ({"msix_enable": 0}, {"msix_enable": 1}), ({"bme": 0}, {"bme": 1}),
                           ({"d3hot": 1}, {"d3hot": 0}), (None, None)):
        if close is None:
            await b.write(1, 3, 1)
        else:
            b.configure(**close)
        for _ in range(3):
            await b.trigger(2)
        assert await b.messages() == [] and await b.pending() == 2
        await b.program(1, 0xFEE0_0008, 0x55, mask=int(close is None))
        if close is None:
            await b.write(1, 3, 0)
        else:
            b.configure(**opening)
        assert await b.messages() == [(0xFEE0_0008, 0x55)] and await b.pending() == 0
    # Forgotten by a reset of the function.
    await b.write(1, 3, 1)
    await b.trigger(0xF)
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    assert await b.pending() == 0
    await b.program(0, 0xFEE0_0000, 1)
    assert await b.messages() == []


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def simultaneous_requests_go_in_vector_order(dut) -> None:
    """All four at once leave as four messages, lowest first, also under backpressure; a message
    that is offered does not change when its entry does."""
    b = Bench(dut, 0.7)
    await b.start()
    for k in range(4):
        await b.program(k, 0x1000 * k + 0x8_0000, k)
    await b.trigger(0xF)
    assert await b.messages(80) == [(0x1000 * k + 0x8_0000, k) for k in range(4)]
    b.tx.pauses = iter(lambda: True, None)
    await b.messages(2)
    await b.trigger(4)
    await b.messages(4)
    assert int(dut.tx_valid_o.value) == 1 and int(dut.idle_o.value) == 0
    await b.program(2, 0xDEAD_0000, 9, mask=1)
    b.tx.pauses = iter(lambda: False, None)
    assert await b.messages() == [(0x8_2000, 2)]
    assert int(dut.idle_o.value) == 1


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_events_lose_and_double_nothing(dut) -> None:
    """600 random steps: what is masked is remembered once, what is open is sent."""
    b = Bench(dut, 0.3)
    await b.start()
    rng, waiting, masks = random.Random(3), set(), [1] * 4
    for k in range(4):
        await b.program(k, 0x100 * k + 0x40, k, mask=1)
    enable = 1
    for _ in range(600):
        k = rng.randrange(4)
        action = rng.choice(["trigger", "trigger", "mask", "enable"])
        if action == "trigger":
            await b.trigger(1 << k)
            waiting.add(k)
        elif action == "mask":
            masks[k] = rng.randrange(2)
            await b.write(k, 3, masks[k])
        else:
            enable = rng.randrange(2)
            b.configure(msix_func_mask=1 - enable)
        sent = [data for _, data in await b.messages(16)]
        want = sorted(k for k in waiting if enable and not masks[k])
        assert sent == want
        waiting -= set(sent)
        assert await b.pending() == sum(1 << k for k in waiting)
