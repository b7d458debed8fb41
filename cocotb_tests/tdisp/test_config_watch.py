# SPDX-License-Identifier: Apache-2.0
"""config_watch: every register and bit against the table of registers that TDISP locks."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.layouts import TDI_VIEW_BITS
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import pack
from cocotb_tests.tlp.cfg_model import BLOCK_CFG, WRITE_EVENT, byte_mask

NUM_TDI = 3
NUM_BLOCKS = 3
UNLOCKED, LOCKED, RUN, ERROR = range(4)


def test_config_watch() -> None:
    simulate("config_watch", __name__, sources=["tdisp/config_watch.sv"])


@dataclass(slots=True)
class Rule:
    """What a row of the table does to the TDI whose function is written."""

    always: int = 0    # any write that touches one of these bits
    change: int = 0    # a change of one of these bits
    cleared: int = 0   # 1 -> 0 of one of these bits
    set_one: int = 0   # writing 1 to one of these bits
    msix: bool = False  # only with the MSI-X table locked


# Typed from the table. Not listed = allowed: Status, cache line, latency, interrupt line, power
# state (No_Soft_Reset = 1: nothing is lost), Link Control, AER, ACS, DOE.
ANY = 0xFFFFFFFF
RULES = {
    0x004: Rule(cleared=0x0006),               # Memory Space Enable, Bus Master Enable
    0x00C: Rule(always=0xFF000000),            # BIST
    **{offset: Rule(always=ANY) for offset in range(0x010, 0x028, 4)},  # BARs
    0x030: Rule(always=ANY),                   # Expansion ROM
    0x078: Rule(change=0x0B00, set_one=0x8000),  # ext. tag, phantom, no snoop; Initiate FLR
    0x098: Rule(change=0x1000),                # 10-bit tag requester
    **{offset: Rule(always=ANY, msix=True) for offset in (0x0B0, 0x0B4, 0x0B8)},
}

# IDE capability at 190h: link block at +0Ch, selective blocks behind it, 20h each.
CONTROL = {0x1A8: 0, 0x1C8: 1, 0x19C: 2}
ASSOCIATION = {base + off: block for block, base in ((0, 0x1A4), (1, 0x1C4))
               for off in (0x0C, 0x10, 0x14, 0x18, 0x1C)}


@dataclass(slots=True)
class Situation:
    func: int
    offset: int
    be: int
    old: int
    new: int
    wdata: int
    views: list[tuple[int, int, int]]  # state, msix_locked, block
    enabled: int                       # blocks enabled after the write

    def touches(self, bits: int) -> bool:
        return bool(byte_mask(self.be) & bits)

    def expected(self) -> tuple[int, int, int]:
        """(violation, reconfig, disable) bit vectors."""
        violation = reconfig = disable = 0
        if not self.be:
            return 0, 0, 0
        rule = RULES.get(self.offset)
        if rule and 1 <= self.func <= NUM_TDI:
            hit = (self.touches(rule.always)
                   or bool((self.old ^ self.new) & rule.change)
                   or bool(self.old & ~self.new & rule.cleared)
                   or bool(self.wdata & byte_mask(self.be) & rule.set_one))
            if rule.msix and not self.views[self.func - 1][1]:
                hit = False
            violation |= hit << (self.func - 1)
        if self.func == 0:
            block = CONTROL.get(self.offset, ASSOCIATION.get(self.offset))
            if block is not None:
                for i, (state, _, bound) in enumerate(self.views):
                    if state != UNLOCKED and bound == block:
                        violation |= 1 << i
                if self.offset in CONTROL:
                    reconfig |= (self.old & 1) << block
                    disable |= (~self.new & 1) << block
                else:
                    reconfig |= (self.enabled >> block & 1) << block
        return violation, reconfig, disable


async def apply(dut: Any, s: Situation, valid: int = 1) -> tuple[int, int, int]:
    dut.write_event_i.value = pack(
        WRITE_EVENT, valid=valid, func=s.func, addr=s.offset >> 2, be=s.be, old=s.old, new=s.new,
        wdata=s.wdata)
    views = blocks = 0
    for i, (state, locked, block) in enumerate(s.views):
        views |= pack(VIEW, state=state, msix_locked=locked, block=block) << (TDI_VIEW_BITS * i)
    width = sum(w for _, w in BLOCK_CFG)
    for b in range(NUM_BLOCKS):
        blocks |= pack(BLOCK_CFG, enable=s.enabled >> b & 1) << (width * b)
    dut.view_i.value = views
    dut.block_cfg_i.value = blocks
    await Timer(1, unit="ns")
    return int(dut.violation_o.value), int(dut.reconfig_o.value), int(dut.disable_o.value)


def quiet(dut: Any) -> None:
    dut.bus_dev_change_i.value = 0
    dut.flr_i.value = 0


def situation(func: int, offset: int, old: int = 0, new: int = 0, be: int = 0xF,
              wdata: int | None = None, state: int = RUN, msix: int = 0, block: int = 0,
              enabled: int = 0b111) -> Situation:
    return Situation(func, offset, be, old, new, new if wdata is None else wdata,
                     [(state, msix, block)] * NUM_TDI, enabled)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_register_and_bit_follows_the_table(dut: Any) -> None:
    """Each DW of each function, each single bit going up and down, byte by byte, locked or not."""
    quiet(dut)
    hits = 0
    for func in range(NUM_TDI + 2):
        for offset in range(0, 0x200, 4):
            interesting = offset in RULES or offset in CONTROL or offset in ASSOCIATION
            bits = range(32) if interesting else (0, 1, 8, 31)
            for bit in bits:
                for old in (0, ANY):
                    be = 1 << bit // 8
                    new = old ^ 1 << bit
                    s = situation(func, offset, old, new, be=be, msix=bit & 1, block=bit % 3)
                    want = s.expected()
                    assert await apply(dut, s) == want, s
                    hits += want != (0, 0, 0)
    assert hits > 500


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def random_situations_follow_the_table(dut: Any) -> None:
    """6000 writes with mixed states, bindings, byte enables and values."""
    quiet(dut)
    rng = random.Random(cocotb.RANDOM_SEED)
    offsets = [*RULES, *CONTROL, *ASSOCIATION, 0x044, 0x080, 0x108, 0x198, 0x1A0, 0x1A4, 0x1AC,
               0x1E4, 0x034, 0x0BC, 0x02C, 0x178]
    for _ in range(6000):
        old = rng.getrandbits(32)
        new = old ^ rng.choice((0, 1 << rng.randrange(32), rng.getrandbits(32)))
        s = Situation(
            rng.randrange(8), rng.choice(offsets), rng.choice((0xF, rng.randrange(16))), old, new,
            rng.choice((new, rng.getrandbits(32))),
            [(rng.randrange(4), rng.randrange(2), rng.randrange(3)) for _ in range(NUM_TDI)],
            rng.randrange(8))
        assert await apply(dut, s) == s.expected(), s
        assert await apply(dut, s, valid=0) == (0, 0, 0), s


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def named_rows(dut: Any) -> None:
    """The rows a reader looks for, each with its harmless neighbour."""
    quiet(dut)
    f2, none = 0b010, 0
    rows: list[tuple[str, Situation, int]] = [
        ("MSE cleared", situation(2, 0x04, 0x6, 0x4, be=3), f2),
        ("BME cleared", situation(2, 0x04, 0x6, 0x2, be=3), f2),
        ("MSE set again", situation(2, 0x04, 0x4, 0x6, be=3), none),
        ("Command rewritten unchanged", situation(2, 0x04, 0x6, 0x6), none),
        ("SERR# and parity", situation(2, 0x04, 0x6, 0x146), none),
        ("Status cleared", situation(2, 0x04, 0xF9100006, 0x00100006), none),
        ("cache line", situation(2, 0x0C, 0, 0x10, be=1), none),
        ("BIST", situation(2, 0x0C, 0, 0, be=8), f2),
        ("BAR rewritten unchanged", situation(2, 0x10, 0x8000000C, 0x8000000C), f2),
        ("upper half of the BAR", situation(2, 0x14, 0, 0), f2),
        ("expansion ROM", situation(2, 0x30, 0, 0), f2),
        ("interrupt line", situation(2, 0x3C, 0, 5, be=1), none),
        ("D3hot keeps state", situation(2, 0x44, 8, 0xB, be=1), none),
        ("extended tag", situation(2, 0x78, 0x2810, 0x2910, be=3), f2),
        ("no snoop", situation(2, 0x78, 0x2810, 0x2010, be=3), f2),
        ("Device Control rewritten", situation(2, 0x78, 0x2810, 0x2810, be=3), none),
        ("payload size", situation(2, 0x78, 0x2810, 0x2830, be=3), none),
        ("Initiate FLR", situation(2, 0x78, 0x2810, 0x2810, be=3, wdata=0xA810), f2),
        ("Initiate FLR without its byte", situation(2, 0x78, 0x2810, 0x2810, be=1, wdata=0xA810),
         none),
        ("Device Status", situation(2, 0x78, 0xF2810, 0x2810, be=0xC), none),
        ("MSI-X unlocked", situation(2, 0xB0, 0, 1 << 31, be=8), none),
        ("MSI-X locked", situation(2, 0xB0, 0, 1 << 31, be=8, msix=1), f2),
        ("AER mask", situation(2, 0x108, 0, ANY), none),
        ("a write without byte enables", situation(2, 0x10, be=0), none),
        ("function 0 is no TDI", situation(0, 0x10), none),
        ("a function that does not exist", situation(4, 0x10), none),
    ]
    for name, s, want in rows:
        assert await apply(dut, s) == (want, 0, 0), name
        assert s.expected() == (want, 0, 0), f"table and row disagree: {name}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ide_rows_reach_the_bound_tdis_and_the_stream(dut: Any) -> None:
    """Control and association of a block: TDIs bound to it, and reconfig only if it was enabled."""
    quiet(dut)
    views = [(RUN, 0, 0), (LOCKED, 0, 1), (UNLOCKED, 0, 0)]

    async def go(offset: int, old: int, new: int, enabled: int) -> tuple[int, int, int]:
        return await apply(dut, Situation(0, offset, 0xF, old, new, new, views, enabled))

    assert await go(0x1A8, 0x01000000, 0x01000001, 0b001) == (0b001, 0, 0), "the first Enable"
    assert await go(0x1A8, 0x01000001, 0x01000001, 0b001) == (0b001, 0b001, 0), "rewritten"
    assert await go(0x1A8, 0x01000001, 0, 0b000) == (0b001, 0b001, 0b001), "disabled"
    assert await go(0x1A8, 0, 0x02000000, 0b000) == (0b001, 0, 0b001), "still disabled"
    assert await go(0x1C8, 1, 1, 0b010) == (0b010, 0b010, 0)
    assert await go(0x19C, 1, 1, 0b100) == (0, 0b100, 0), "link block, nobody bound"
    assert await go(0x1B0, 0, 0, 0b001) == (0b001, 0b001, 0), "RID association"
    assert await go(0x1B0, 0, 0, 0b110) == (0b001, 0, 0), "the same while disabled"
    assert await go(0x1E0, 0, 0, 0b010) == (0b010, 0b010, 0), "last DW of block 1"
    assert await go(0x1AC, 0x80000002, 2, 0b111) == (0, 0, 0), "Status"
    assert await go(0x1A4, 1, 1, 0b111) == (0, 0, 0), "Capability"
    assert await go(0x198, 0, 0, 0b111) == (0, 0, 0), "IDE Control"
    assert await go(0x1E4, 0, 0, 0b111) == (0, 0, 0), "behind the capability"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def resets_and_bus_numbers(dut: Any) -> None:
    """FLR of a TDI hits it alone, FLR of F0 and a new bus number hit all."""
    s = situation(2, 0x3C)
    for flr, change, want in ((0b0000, 0, 0), (0b0010, 0, 0b001), (0b0100, 0, 0b010),
                              (0b1000, 0, 0b100), (0b0001, 0, 0b111), (0b0000, 1, 0b111)):
        dut.flr_i.value = flr
        dut.bus_dev_change_i.value = change
        for valid in (0, 1):
            assert await apply(dut, s, valid=valid) == (want, 0, 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_of_a_bound_peer_stream_are_watched(dut: Any) -> None:
    """Control and association registers of a P2P block end the TDI that bound it, no other."""
    quiet(dut)
    registers = {offset: block for offset, block in (CONTROL | ASSOCIATION).items() if block < 2}
    for offset, block in registers.items():
        for p2p in range(4):
            s = situation(0, offset, 1, 1, block=2)      # no TDI has a selective default stream
            await apply(dut, s)
            dut.view_i.value = sum(
                pack(VIEW, state=RUN, block=2, p2p=p2p if tdi == 1 else 0) << TDI_VIEW_BITS * tdi
                for tdi in range(NUM_TDI))
            await Timer(1, unit="ns")
            want = 0b010 if p2p >> block & 1 else 0
            assert int(dut.violation_o.value) == want, f"register {offset:#x} p2p {p2p:02b}"
