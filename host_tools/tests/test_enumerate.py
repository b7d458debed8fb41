# SPDX-License-Identifier: Apache-2.0
"""The enumerator against a small model of configuration space, good and broken."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from teeio.core.drive import run
from teeio.core.enumerate import ECAP_DOE, ECAP_IDE, Function, enumerate_device
from teeio.core.ops import CfgRead, CfgWrite, Op, OpResult
from teeio.errors import PeerError, TransportError

IDS = 0x7EE0_1234


@dataclass
class Model:
    """Functions of one device: registers by offset, and the size of each BAR0."""

    functions: dict[int, dict[int, int]]
    bar_bytes: dict[int, int] = field(default_factory=dict)
    writes: list[CfgWrite] = field(default_factory=list)

    def __call__(self, op: Op) -> OpResult:
        if isinstance(op, CfgRead):
            return self.functions.get(op.bdf, {}).get(op.offset, 0) if (
                op.bdf in self.functions) else 0xFFFF_FFFF
        assert isinstance(op, CfgWrite)
        self.writes.append(op)
        registers = self.functions[op.bdf]
        mask = 0xFFFF_FFFF
        if op.offset in (0x10, 0x14):
            size = self.bar_bytes.get(op.bdf, 65536)
            mask = ~(size - 1) >> (32 if op.offset == 0x14 else 0) & 0xFFFF_FFFF
            kind = registers.get(0x10, 4) & 0xF if op.offset == 0x10 else 0
            registers[op.offset] = op.value & mask & ~(0xF if op.offset == 0x10 else 0) | kind
        else:
            registers[op.offset] = op.value
        return None


def registers(**changes: int) -> dict[int, int]:
    """One good function: PCIe capability, DOE and IDE; `rXX=value` replaces a register."""
    out = {0x00: IDS, 0x04: 0x0010_0000, 0x08: 0x1200_0001, 0x10: 4, 0x34: 0x40,
           0x40: 0x0002_0010, 0x44: 1 << 30 | 1, 0x100: 0x1401_002E, 0x140: 0x0001_0030}
    out.update({int(k[1:], 16): v for k, v in changes.items()})
    return out


def enumerated(model: Model) -> list[Function]:
    return run(enumerate_device(1), model)


def test_functions_are_found_and_their_windows_do_not_overlap() -> None:
    """Gaps between function numbers are fine; every BAR is aligned to its size."""
    model = Model({0x100: registers(), 0x102: registers(), 0x107: registers()},
                  {0x100: 4096, 0x102: 1 << 20, 0x107: 65536})
    found = enumerated(model)
    assert [f.number for f in found] == [0, 2, 7]
    assert [f.bar0_size for f in found] == [4096, 1 << 20, 65536]
    end = 0
    for f in found:
        assert f.tee_io and {ECAP_DOE, ECAP_IDE} <= set(f.ecaps)
        assert f.bar0 % f.bar0_size == 0 and f.bar0 >= end
        end = f.bar0 + f.bar0_size
        low, high = (model.functions[f.bdf][at] for at in (0x10, 0x14))
        assert high << 32 | low & ~0xF == f.bar0
        assert model.functions[f.bdf][0x04] & 6 == 6
    # Decoding is off while a BAR is being sized.
    for at, op in enumerate(model.writes):
        if op.offset == 0x10 and op.value == 0xFFFF_FFFF:
            commands = [w.value for w in model.writes[:at] if (w.bdf, w.offset) == (op.bdf, 4)]
            assert commands and commands[-1] & 2 == 0


def test_no_device() -> None:
    """Function 0 reads all ones."""
    with pytest.raises(TransportError, match="function 0"):
        enumerated(Model({}))


@pytest.mark.parametrize("broken", [
    {"r40": 0x0000_4010},  # standard capability that points to itself
    {"r40": 0x0000_4410, "r44": 0x0000_4001},  # two that point to each other
    {"r140": 0x1000_0030, "r100": 0x1401_002E},  # extended list back to its head
    {"r140": 0x1401_0030},  # extended capability that points to itself
])  # fmt: skip
def test_a_capability_loop_is_an_error(broken: dict[str, int]) -> None:
    """The walk is bounded and names the offset where it closes."""
    with pytest.raises(PeerError, match="loops at"):
        enumerated(Model({0x100: registers(**broken)}))


@pytest.mark.parametrize(("bar", "size", "what"), [
    (0x0, 65536, "not a 64-bit"), (0x1, 65536, "not a 64-bit"), (0x4, 2048, "sizes to"),
    (0x4, 16, "sizes to"), (0x4, 0x1800, "sizes to"),
])  # fmt: skip
def test_a_bad_bar_is_an_error(bar: int, size: int, what: str) -> None:
    """32-bit, I/O, below a page, or not a power of two."""
    with pytest.raises(PeerError, match=what):
        enumerated(Model({0x100: registers(r10=bar)}, {0x100: size}))


def test_same_identity_twice_is_kept_once() -> None:
    """The first of two capabilities with one ID counts, and the list still ends."""
    model = Model({0x100: registers(r140=0x1801_002E, r180=0x0001_0030)})
    [found] = enumerated(model)
    assert found.ecaps[ECAP_DOE] == 0x100 and found.ecaps[ECAP_IDE] == 0x180
