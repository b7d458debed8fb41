# SPDX-License-Identifier: Apache-2.0
"""tdi_dma_gate: what a TDI may emit in which state, and with which T; TLPs are never cut."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
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

BLOCK_CFG: Fields = (("other", 49), ("addr_valid", 1), ("addr_base", 44), ("addr_limit", 44))
UNLOCKED, LOCKED, RUN, ERROR = range(4)

# TDISP rules as requester: (is MSI-X, state, table locked) -> T of what leaves; None: nothing may.
RULES: dict[tuple[int, int, int], int | None] = {
    (0, UNLOCKED, 0): 0, (0, UNLOCKED, 1): 0,
    (0, LOCKED, 0): None, (0, LOCKED, 1): None,
    (0, RUN, 0): 1, (0, RUN, 1): 1,
    (0, ERROR, 0): None, (0, ERROR, 1): None,
    (1, UNLOCKED, 0): 0, (1, UNLOCKED, 1): 0,
    (1, LOCKED, 0): 0, (1, LOCKED, 1): 0,
    (1, RUN, 0): 0, (1, RUN, 1): 1,
    (1, ERROR, 0): 0, (1, ERROR, 1): 0,
}


def test_tdi_dma_gate() -> None:
    simulate("tdi_dma_gate", __name__, sources=["tdisp/tdi_dma_gate.sv"])


def memory_write(tag: int, payload: bytes) -> list[int]:
    """A 3-DW MWr whose meta tries to claim protection of its own."""
    header = bytes([0x40, 0, 0, len(payload) // 4, 1, 1, tag, 0xFF]) + bytes(4)
    return tlp_to_beats(header, payload, ide=1, t_bit=1, block=3, stream_id=0x77, tdi_idx=1)


async def start(dut) -> None:
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.view_i.value = dut.p2p_mask_i.value = dut.block_cfg_i.value = 0
    dut.in_valid_i.value = 0
    dut.in_is_msix_i.value = 0
    dut.out_ready_i.value = 0
    await reset(dut.clk_i, dut.rst_i)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def every_rule_of_the_requester_table(dut) -> None:
    """16 rows: dropped, or forwarded unchanged with ide/T/block/associate as the row says."""
    await start(dut)
    for (msix, state, locked), want in RULES.items():
        for block in range(3):
            await FallingEdge(dut.clk_i)
            beat = memory_write(5, b"\x01\x02\x03\x04")[0]
            dut.view_i.value = pack(VIEW, state=state, msix_locked=locked, block=block)
            dut.in_is_msix_i.value = msix
            dut.in_i.value, dut.in_valid_i.value, dut.out_ready_i.value = beat, 1, 0
            await Timer(1, "ns")
            case = f"msix {msix} state {state} locked {locked}"
            assert int(dut.out_valid_o.value) == int(want is not None), case
            assert int(dut.dropped_o.value) == int(want is None), case
            # Refused TLPs are swallowed, permitted ones wait for the link.
            assert int(dut.in_ready_o.value) == int(want is None), case
            if want is not None:
                got, sent = unpack(TLP_BEAT, int(dut.out_o.value)), unpack(TLP_BEAT, beat)
                meta = {"ide": want, "t_bit": want, "associate": 1 - want,
                        "block": block if want else 0, "stream_id": 0}
                assert got == sent | meta, case
            dut.out_ready_i.value = 1
            await RisingEdge(dut.clk_i)
            await FallingEdge(dut.clk_i)
            dut.in_valid_i.value = 0


@cocotb.test(timeout_time=100, timeout_unit="us")
async def peer_to_peer_writes_take_the_stream_of_their_address(dut) -> None:
    """Bound, association valid, masked address in its range (1 MiB steps): P2P; else default."""
    await start(dut)
    base, limit = 0x20_0000, 0x20_0003          # address[63:20]
    for p2p, valid, mask, address, want in (
            (0b010, 1, 0, base << 20, 1),
            (0b010, 1, 0, (limit << 20) + 0xFFFFC, 1),
            (0b010, 1, 0, (limit + 1) << 20, 0),
            (0b010, 1, 0, (base << 20) - 4, 0),
            (0b000, 1, 0, base << 20, 0),       # not bound
            (0b010, 0, 0, base << 20, 0),       # no association
            (0b100, 1, 0, base << 20, 0),       # the link block is none
            (0b010, 1, 0, 1 << 60 | base << 20, 0),
            (0b010, 1, 1 << 40, 1 << 60 | base << 20, 1)):
        await FallingEdge(dut.clk_i)
        width = sum(w for _, w in BLOCK_CFG)
        dut.block_cfg_i.value = pack(BLOCK_CFG, addr_valid=valid, addr_base=base,
                                     addr_limit=limit) << width
        dut.p2p_mask_i.value = mask
        dut.view_i.value = pack(VIEW, state=RUN, p2p=p2p)
        header = bytes([0x60, 0, 0, 1, 1, 1, 5, 0x0F]) + address.to_bytes(8, "big")
        dut.in_i.value, dut.in_valid_i.value = tlp_to_beats(header, b"\1\2\3\4")[0], 1
        for msix in (0, 1):
            dut.in_is_msix_i.value = msix
            await Timer(1, "ns")
            got = unpack(TLP_BEAT, int(dut.out_o.value))
            assert got["block"] == (0 if msix else want), f"{p2p:b} {valid} {mask:#x} {address:#x}"
            assert got["t_bit"] == 1 - msix


@cocotb.test(timeout_time=100, timeout_unit="us")
async def waiting_tlp_is_dropped_in_the_cycle_run_ends(dut) -> None:
    """A sop beat that was permitted but not yet taken does not leave once the state is ERROR."""
    await start(dut)
    await FallingEdge(dut.clk_i)
    dut.view_i.value = pack(VIEW, state=RUN, block=1)
    for state, level in ((RUN, 1), (ERROR, 0)):
        dut.view_i.value = pack(VIEW, state=state, block=1)
        dut.in_i.value = memory_write(1, bytes(64))[0]
        dut.in_valid_i.value = 1
        await Timer(1, "ns")
        assert int(dut.out_valid_o.value) == level
    dut.in_valid_i.value = 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def changing_state_never_cuts_a_tlp(dut, idle: float, stall: float) -> None:
    """300 TLPs under a randomly moving state: each leaves whole or not at all, and only if the
    state of the cycle in which its first beat was taken permits it."""
    await start(dut)
    rng = random.Random(7)
    mon = StreamMonitor(dut.clk_i, dut.out_valid_o, dut.out_ready_i, dut.out_o,
                        random_pauses(3, stall) if stall else None)
    verdicts: dict[int, int | None] = {}

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk_i)
            if int(dut.in_valid_i.value) and int(dut.in_ready_o.value):
                beat = unpack(TLP_BEAT, int(dut.in_i.value))
                if beat["sop"]:
                    view = unpack(VIEW, int(dut.view_i.value))
                    row = (int(dut.in_is_msix_i.value), view["state"], view["msix_locked"])
                    verdicts[beat["header"] >> 72 & 0xFF | beat["data"] >> 120 << 8] = RULES[row]

    async def move() -> None:
        while True:
            await FallingEdge(dut.clk_i)
            if rng.random() < 0.1:
                dut.view_i.value = pack(VIEW, state=rng.randrange(4), msix_locked=rng.randrange(2),
                                        block=rng.randrange(3))

    drops = 0

    async def count_drops() -> None:
        nonlocal drops
        while True:
            await RisingEdge(dut.clk_i)
            drops += int(dut.dropped_o.value)

    for task in (watch(), move(), count_drops()):
        cocotb.start_soon(task)
    drv = StreamDriver(dut.clk_i, dut.in_valid_i, dut.in_ready_o,
                       {"in_i": dut.in_i, "in_is_msix_i": dut.in_is_msix_i},
                       random_pauses(4, idle) if idle else None)
    # `data` of the StreamDriver in dict form: signal name -> handle, items name -> value.
    sent: dict[int, bytes] = {}
    for n in range(300):
        payload = bytes([n >> 8]) + rng.randbytes(4 * rng.randrange(1, 20) - 1)
        msix = int(rng.random() < 0.2)
        sent[n] = payload
        for beat in memory_write(n & 0xFF, payload):
            drv.put({"in_i": beat, "in_is_msix_i": msix})
    await drv.drain()
    for _ in range(5):
        await RisingEdge(dut.clk_i)
    await ReadOnly()
    permitted = [n for n in sent if verdicts[n] is not None]
    for n in permitted:
        beats = await mon.get_packet(lambda b: unpack(TLP_BEAT, b)["eop"] == 1)
        header, payload, first = beats_to_tlp(beats)
        assert (header[6], payload) == (n & 0xFF, sent[n])
        assert (first["ide"], first["t_bit"]) == (verdicts[n], verdicts[n])
    assert mon.queue.empty()
    assert drops == len(sent) - len(permitted)
    assert 0 < drops < len(sent)
