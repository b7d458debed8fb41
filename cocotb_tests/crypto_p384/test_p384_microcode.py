# SPDX-License-Identifier: Apache-2.0
"""The ROMs are what the assembler makes, its bounds hold, and no secret decides a branch."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

RTL = Path(__file__).resolve().parents[2] / "rtl" / "crypto"


@pytest.fixture(scope="module")
def asm() -> ModuleType:
    """The assembler, which lives beside the RTL."""
    spec = importlib.util.spec_from_file_location("p384_microcode", RTL / "p384_microcode.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["p384_microcode"] = module
    spec.loader.exec_module(module)
    return module


def test_committed_roms_are_up_to_date(asm: ModuleType) -> None:
    for name, make in asm.OUTPUTS.items():
        assert (RTL / name).read_text() == make(), f"{name}: run rtl/crypto/p384_microcode.py"


def test_values_stay_small_in_the_point_formulas(asm: ModuleType) -> None:
    assert asm.check_bounds()["worst"] < 2**8


def test_bounds_check_can_fail(asm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula that doubles a coordinate too often is refused."""
    original = asm.double_body

    def growing(a: object) -> None:
        original(a)
        for _ in range(3):
            a.add("X1", "X1", "X1")  # type: ignore[attr-defined]

    monkeypatch.setattr(asm, "double_body", growing)
    with pytest.raises(AssertionError):
        asm.check_bounds()


def test_constants_agree_with_the_reference(asm: ModuleType) -> None:
    """Base point and comb table against `cryptography`; b and n by what must hold."""
    r = 2**400
    table = asm.constants()
    for j in range(1, 16):
        d = sum((j >> b & 1) << 96 * b for b in range(4))
        numbers = ec.derive_private_key(d, ec.SECP384R1()).public_key().public_numbers()
        assert table[f"G{j}_X"] == numbers.x * r % asm.P
        assert table[f"G{j}_Y"] == numbers.y * r % asm.P
    x, y = asm.GX, asm.GY
    assert (y * y - x**3 + 3 * x - asm.B) % asm.P == 0
    negative = ec.derive_private_key(asm.N - 1, ec.SECP384R1()).public_key().public_numbers()
    assert (negative.x, negative.y) == (x, asm.P - y)


def test_branches_are_the_listed_ones(asm: ModuleType) -> None:
    """Every conditional branch, with what it decides on: public values, or a draw thrown away."""
    program = asm.assemble()
    conditional = [i.target for i in program.code if i.op == "MopBr" and i.rd != 0]
    assert sorted(conditional) == sorted([
        *["keygen_bad"] * 2,      # d out of range or zero: drawn again
        *["sign_bad_draw"] * 2,   # k likewise
        *["sign_zero"] * 2,       # r = 0 or s = 0
        *["no_key"] * 5,          # no ephemeral key; identity key out of range (twice two)
        *["bad_point"] * 3,       # peer point
        *["invalid"] * 7,         # signature to verify (5), result at infinity or off the curve
    ])
    counted = {i.op for i in program.code if i.op in ("MopLoop", "MopAgain")}
    assert counted == {"MopLoop", "MopAgain"}
