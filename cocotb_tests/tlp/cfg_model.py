# SPDX-License-Identifier: Apache-2.0
"""Configuration space as tables: reset value, writable bits, write-1-to-clear bits per DW.

Typed from the register facts, not from the RTL. Offsets in bytes, values as registers
(little-endian). Unlisted DWs read 0 and ignore writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cocotb_tests.env.streams import Fields

NUM_FUNCTIONS = 4

WRITE_EVENT: Fields = (
    ("valid", 1), ("func", 3), ("addr", 10), ("be", 4), ("old", 32), ("new", 32), ("wdata", 32),
)
FUNC_CFG: Fields = (
    ("mse", 1), ("bme", 1), ("d3hot", 1), ("msix_enable", 1), ("msix_func_mask", 1), ("mps", 3),
    ("mrrs", 3), ("bar0", 64),
)
BLOCK_CFG: Fields = (
    ("enable", 1), ("is_link", 1), ("stream_id", 8), ("tc", 3), ("default_stream", 1),
    ("tee_limited", 1), ("cfg_enable", 1), ("rid_limit", 16), ("rid_valid", 1), ("rid_base", 16),
    ("addr_valid", 1), ("addr_base", 44), ("addr_limit", 44),
)

UE_BITS = 0x3057F010
CE_BITS = 0x0000E000


@dataclass(frozen=True, slots=True)
class Reg:
    """One DW: value after reset, bits that keep what is written, bits that a written 1 clears."""

    reset: int
    rw: int = 0
    w1c: int = 0


def function_table(func: int) -> dict[int, Reg]:
    """All DWs of one function that are not constantly zero."""
    f0 = func == 0
    table = {
        0x000: Reg(0x7EE01234),
        0x004: Reg(0x00100000, 0x00000546, 0xF9000000),
        0x008: Reg(0x12000001),
        0x00C: Reg(0x00800000, 0x000000FF),
        0x010: Reg(0x0000000C, 0xFFFFF000 if f0 else 0xFFFF0000),
        0x014: Reg(0x00000000, 0xFFFFFFFF),
        0x02C: Reg(0x00011234),
        0x034: Reg(0x00000040),
        0x03C: Reg(0x00000000, 0x000000FF),
        0x040: Reg(0x00037001),
        0x044: Reg(0x00000008, 0x00000003),  # takes 0 and 3 only
        0x070: Reg(0x0002B010),
        0x074: Reg(0x50008FE1),
        0x078: Reg(0x00002810, 0x000079FF, 0x000F0000),
        0x07C: Reg(0x00400011),
        0x080: Reg(0x10110000, 0x000000CB),
        0x094: Reg(0x00710012),
        0x098: Reg(0x00000000, 0x0000031F),
        0x09C: Reg(0x00000002),
        0x0A0: Reg(0x00000001, 0x0000000F) if f0 else Reg(0),
        0x0B0: Reg(0x00030011, 0xC0000000),
        0x0B4: Reg(0x00000800 if f0 else 0x00002000),
        0x0B8: Reg(0x00000C00 if f0 else 0x00003000),
        0x100: Reg(0x15020001),
        0x104: Reg(0x00000000, 0, UE_BITS),
        0x108: Reg(0x00400000, UE_BITS),
        0x10C: Reg(0x10462030, UE_BITS),
        0x110: Reg(0x00000000, 0, CE_BITS),
        0x114: Reg(0x0000E000, CE_BITS),
        0x150: Reg(0x16010003),
        0x154: Reg(0xFF000001),
        0x158: Reg(0x020000FF),
        0x160: Reg(0x1701000D if f0 else 0x0001000D),
    }
    if f0:
        table |= {
            0x170: Reg(0x1901002E),
            0x174: Reg(0x00000001),  # interrupt supported, message 0
            0x190: Reg(0x00010030),
            0x194: Reg(0x00010043),  # link, selective, IDE_KM; 1 TC; 2 selective streams
            0x19C: Reg(0x00000000, 0xFF3FC001),
            0x1A0: Reg(0x00000000, 0, 0x80000000),
        }
        for base in (0x1A4, 0x1C4):
            table |= {
                base + 0x00: Reg(0x00000001),
                base + 0x04: Reg(0x00000000, 0xFF7FC001),
                base + 0x08: Reg(0x00000000, 0, 0x80000000),
                base + 0x0C: Reg(0x00000000, 0x00FFFF00),
                base + 0x10: Reg(0x00000000, 0x00FFFF01),
                base + 0x14: Reg(0x00000000, 0xFFFFFF01),
                base + 0x18: Reg(0x00000000, 0xFFFFFFFF),
                base + 0x1C: Reg(0x00000000, 0xFFFFFFFF),
            }
    return table


def byte_mask(be: int) -> int:
    """32-bit mask of the bytes that byte enables select."""
    return sum(0xFF << 8 * i for i in range(4) if be >> i & 1)


@dataclass(slots=True)
class ConfigModel:
    """All functions, written by byte-enabled DW writes; no hardware events."""

    values: list[dict[int, int]] = field(default_factory=list)
    tables: list[Mapping[int, Reg]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables = [function_table(f) for f in range(NUM_FUNCTIONS)]
        self.values = [{o: r.reset for o, r in t.items()} for t in self.tables]

    def read(self, func: int, offset: int) -> int:
        return self.values[func].get(offset, 0) if func < NUM_FUNCTIONS else 0

    def write(self, func: int, offset: int, be: int, data: int) -> None:
        if func >= NUM_FUNCTIONS or offset not in self.tables[func]:
            return
        reg = self.tables[func][offset]
        mask = byte_mask(be)
        if offset == 0x044 and be & 1 and data & 3 in (1, 2):
            return  # D1, D2 are not supported: the write completes and changes nothing
        value = self.values[func][offset]
        value = (value & ~(reg.rw & mask)) | (data & reg.rw & mask)
        self.values[func][offset] = value & ~(data & mask & reg.w1c)

    def flr(self, func: int) -> None:
        """What a Function Level Reset leaves: AER, MPS, four Link Control bits, Link Control 2."""
        for offset, reg in self.tables[func].items():
            if offset in (0x080, 0x0A0) or 0x100 <= offset < 0x148:
                continue
            keep = 0x00E0 if offset == 0x078 else 0
            self.values[func][offset] = (reg.reset & ~keep) | (self.values[func][offset] & keep)
