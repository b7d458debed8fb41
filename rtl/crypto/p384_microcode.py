# SPDX-License-Identifier: Apache-2.0
"""Assembler and program of the P-384 engine.

Writes rtl/crypto/p384_microcode.sv and rtl/crypto/p384_constants.sv, which are committed; a test
says so when they are not what this file makes:

    python rtl/crypto/p384_microcode.py

The program is one straight text per operation, with loops of fixed length. Nothing branches on a
secret: the conditional branches test public values (peer point, signature) or end an attempt whose
secret is thrown away (a random number out of range).

Points are homogeneous (X : Y : Z), infinity is (0 : 1 : 0), and addition and doubling follow the
complete formulas of Renes, Costello and Batina (EUROCRYPT 2016, a = -3), which have no exceptional
case on a curve of prime order: no input, infinity and equal points included, needs a special path.

Before anything is written, `check_bounds` walks through the point formulas with the magnitude of
every value in units of p and shows that they stay small without any reduction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

# ---- Curve (SP 800-186 section 3.2.1.4) ---------------------------------------------------------
P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = int("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16)
B = int("B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE814112"
        "0314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF", 16)
GX = int("AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B98"
         "59F741E082542A385502F25DBF55296C3A545E3872760AB7", 16)
GY = int("3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147C"
         "E9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F", 16)
R = 2**400
WORDS = 12

Affine = tuple[int, int]


def affine_add(a: Affine | None, b: Affine | None) -> Affine | None:
    """Add two affine points; None is infinity. Used for the table of the base point only."""
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def comb_points() -> list[Affine]:
    """Points sum(bit b of j * 2^(96 b)) * G for j = 1..15."""
    power: Affine | None = (GX, GY)
    powers = []
    for _ in range(4):
        powers.append(power)
        for _ in range(96):
            power = affine_add(power, power)
    table = []
    for j in range(1, 16):
        point: Affine | None = None
        for b in range(4):
            if j >> b & 1:
                point = affine_add(point, powers[b])
        assert point is not None
        table.append(point)
    return table


def constants() -> dict[str, int]:
    """Constants by name, in the order in which they stand in the ROM."""
    out = {
        "P": P,
        "N": N,
        "P_MINUS_2": P - 2,
        "N_MINUS_2": N - 2,
        "ONE": 1,
        "R_MOD_P": R % P,
        "R_MOD_N": R % N,
        "R2_MOD_P": R * R % P,
        "R2_MOD_N": R * R % N,
        "B": B * R % P,
    }
    for j, (x, y) in enumerate(comb_points(), start=1):
        out[f"G{j}_X"] = x * R % P
        out[f"G{j}_Y"] = y * R % P
    return out


# ---- Operand registers --------------------------------------------------------------------------
# Never written, hence zero: the operand memory is erased before each operation.
ZERO = 0
REGISTERS = """
ZERO P N ONE RP RN R2P R2N B EXP
X1 Y1 Z1 X2 Y2 Z2 X3 Y3 Z3 SX SY SZ
T0 T1 T2 T3 T4 U0 U1 U2
QX QY AX AY K ID E SIG_R SIG_S
BASE UNIT POW W U_G U_Q RD
""".split()
REG = {name: i for i, name in enumerate(REGISTERS)}
REG["D"] = 63  # RegKept of p384_pkg
assert len(REGISTERS) <= 63


def table(entry: int, part: int) -> int:
    """Address of part 0..2 of table entry 0..15."""
    return 64 + 4 * entry + part


RESULTS = ("ResOk", "ResBadPoint", "ResNoEntropy", "ResNoKey", "ResInvalid")
INPUTS = {"X": 0, "Y": 1, "E": 2, "R": 3, "S": 4}


@dataclass
class Instruction:
    """One microcode word; `target` is a label that becomes {ra, rb}."""

    op: str
    rd: int = 0
    ra: int = 0
    rb: int = 0
    target: str | None = None
    text: str = ""


@dataclass
class Program:
    """Instruction list under construction."""

    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    const_index: dict[str, int] = field(default_factory=lambda: {
        name: i for i, name in enumerate(constants())})

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self.labels:
            raise ValueError(f"label {name} twice")
        self.labels[name] = len(self.code)

    def _emit(self, op: str, rd: int = 0, ra: int = 0, rb: int = 0,
              target: str | None = None, text: str = "") -> None:
        self.code.append(Instruction(op, rd, ra, rb, target, text))

    # arithmetic
    def _three(self, op: str, sign: str, rd: str, ra: str, rb: str) -> None:
        self._emit(op, REG[rd], REG[ra], REG[rb], text=f"{rd} = {ra} {sign} {rb}")

    def mul(self, rd: str, ra: str, rb: str) -> None:
        """rd = ra * rb / R."""
        self._three("MopMul", "*", rd, ra, rb)

    def add(self, rd: str, ra: str, rb: str) -> None:
        """rd = ra + rb."""
        self._three("MopAdd", "+", rd, ra, rb)

    def sub(self, rd: str, ra: str, rb: str) -> None:
        """rd = ra - rb."""
        self._three("MopSub", "-", rd, ra, rb)

    def move(self, rd: str | int, ra: str) -> None:
        """rd = ra, digit by digit."""
        self._emit("MopMove", rd if isinstance(rd, int) else REG[rd], REG[ra],
                   text=f"{rd} = {ra}")

    def rip(self, rd: str, ra: str) -> None:
        """rd = ra in canonical digits; sets the flags."""
        self._emit("MopRip", REG[rd], REG[ra], text=f"{rd} = canonical {ra}, flags")

    def sel(self, rd: str, ra: str, rb: str) -> None:
        """rd = rb if negative, else ra."""
        self._emit("MopSel", REG[rd], REG[ra], REG[rb], text=f"{rd} = negative ? {rb} : {ra}")

    # words
    def _load(self, rd: str | int, source: int, address: int, text: str) -> None:
        imm = source << 10 | address
        self._emit("MopLoad", rd if isinstance(rd, int) else REG[rd], imm >> 7, imm & 127,
                   text=f"{rd} = {text}")

    def const(self, rd: str | int, name: str) -> None:
        """rd = constant."""
        self._load(rd, 0, self.const_index[name] * WORDS, f"constant {name}")

    def input(self, rd: str, name: str) -> None:
        """rd = input register."""
        self._load(rd, 1, INPUTS[name] * 16, f"input {name}")

    def key(self, rd: str) -> None:
        """rd = identity key."""
        self._load(rd, 2, 0, "identity key")

    def random(self, rd: str, which: str) -> None:
        """rd = 384 random bits (test hooks: input register HookD or HookK)."""
        self._load(rd, {"D": 3, "K": 4}[which], {"D": 80, "K": 96}[which], f"random {which}")

    def store(self, out: int, ra: str) -> None:
        """Output register 0 or 1 = ra."""
        self._emit("MopStore", out, REG[ra], text=f"output {out} = {ra}")

    # table and windows
    def window(self, ra: str) -> None:
        """nibble = window idx of ra."""
        self._emit("MopWin", 0, REG[ra], text=f"nibble = window idx of {ra}")

    def comb(self, ra: str) -> None:
        """nibble = comb column idx of ra."""
        self._emit("MopComb", 0, REG[ra], text=f"nibble = column idx of {ra}")

    def get(self, rd: str, part: int) -> None:
        """rd = table[nibble] part."""
        self._emit("MopGet", REG[rd], part, text=f"{rd} = table[nibble].{part}")

    def put(self, part: int, ra: str) -> None:
        """table[15 - idx] part = ra."""
        self._emit("MopPut", part, REG[ra], text=f"table[15 - idx].{part} = {ra}")

    # control
    def _jump(self, op: str, target: str, cond: int = 0, text: str = "") -> None:
        self._emit(op, cond, target=target, text=f"{text} {target}".strip())

    def goto(self, target: str) -> None:
        """Jump."""
        self._jump("MopBr", target, 0, "goto")

    def if_neg(self, target: str) -> None:
        """Jump if the last canonical form was negative."""
        self._jump("MopBr", target, 1, "if negative goto")

    def if_not_neg(self, target: str) -> None:
        """Jump if the last canonical form was not negative."""
        self._jump("MopBr", target, 2, "if not negative goto")

    def if_zero(self, target: str) -> None:
        """Jump if the last canonical form was zero."""
        self._jump("MopBr", target, 3, "if zero goto")

    def if_not_zero(self, target: str) -> None:
        """Jump if the last canonical form was not zero."""
        self._jump("MopBr", target, 4, "if not zero goto")

    def if_no_key(self, target: str) -> None:
        """Jump if there is no ephemeral key."""
        self._jump("MopBr", target, 5, "if no ephemeral key goto")

    def call(self, target: str) -> None:
        """Call a subroutine (nesting up to four)."""
        self._jump("MopCall", target, 0, "call")

    def ret(self) -> None:
        """Return."""
        self._emit("MopRet", text="return")

    def idx(self, value: int) -> None:
        """Set the loop and window counter."""
        self._emit("MopIdx", rb=value, text=f"idx = {value}")

    def loop(self, target: str) -> None:
        """Count idx down to zero."""
        self._jump("MopLoop", target, 0, "idx--, until it was 0 goto")

    def tries(self, value: int) -> None:
        """Set the number of further attempts."""
        self._emit("MopTry", rb=value, text=f"tries = {value}")

    def again(self, target: str) -> None:
        """Another attempt while any is left."""
        self._jump("MopAgain", target, 0, "if tries--: goto")

    def mod_order(self, on: int) -> None:
        """Choose the modulus of products."""
        self._emit("MopMod", rb=on, text="mod order" if on else "mod p")

    def hold(self, on: int) -> None:
        """Say whether D is a key to keep."""
        self._emit("MopHold", rb=on, text="keep D" if on else "D is no key")

    def end(self, result: str) -> None:
        """End with a result code."""
        self._emit("MopEnd", rb=RESULTS.index(result), text=result)


# ---- Pieces of text -----------------------------------------------------------------------------
def canonical(a: Program, reg: str, modulus: str) -> None:
    """Bring reg from (-m, m) to [0, m)."""
    a.add("T1", reg, modulus)
    a.rip("T1", "T1")
    a.rip("T0", reg)
    a.sel(reg, "T0", "T1")


def unless_in_order(a: Program, reg: str, target: str) -> None:
    """Go to target unless canonical reg is in [1, n-1]."""
    a.sub("T0", reg, "N")
    a.rip("T0", "T0")
    a.if_not_neg(target)
    a.rip("T0", reg)
    a.if_zero(target)


def add_body(a: Program) -> None:
    """(X1, Y1, Z1) += (X2, Y2, Z2); the second point is preserved."""
    a.mul("T0", "X1", "X2")
    a.mul("T1", "Y1", "Y2")
    a.mul("T2", "Z1", "Z2")
    # cross products: T3 = X1 Y2 + X2 Y1, T4 = Y1 Z2 + Y2 Z1, U0 = X1 Z2 + X2 Z1
    for out, (v1, v2), (w1, w2), (p1, p2) in (
        ("T3", ("X1", "X2"), ("Y1", "Y2"), ("T0", "T1")),
        ("T4", ("Y1", "Y2"), ("Z1", "Z2"), ("T1", "T2")),
        ("U0", ("X1", "X2"), ("Z1", "Z2"), ("T0", "T2")),
    ):
        a.add("U1", v1, w1)
        a.add("U2", v2, w2)
        a.mul(out, "U1", "U2")
        a.add("U1", p1, p2)
        a.sub(out, out, "U1")
    # U1 = 3 (U0 - b Z1 Z2): the two factors T1 -+ U1
    a.mul("U1", "B", "T2")
    a.sub("U1", "U0", "U1")
    a.add("U2", "U1", "U1")
    a.add("U1", "U1", "U2")
    a.sub("Z3", "T1", "U1")
    a.add("X3", "T1", "U1")
    # T2 = 3 Z1 Z2, Y3 = 3 (b U0 - 3 Z1 Z2 - X1 X2), T0 = 3 X1 X2 - 3 Z1 Z2
    a.mul("Y3", "B", "U0")
    a.add("U1", "T2", "T2")
    a.add("T2", "U1", "T2")
    a.sub("Y3", "Y3", "T2")
    a.sub("Y3", "Y3", "T0")
    a.add("U1", "Y3", "Y3")
    a.add("Y3", "U1", "Y3")
    a.add("U1", "T0", "T0")
    a.add("T0", "U1", "T0")
    a.sub("T0", "T0", "T2")
    # the result
    a.mul("U0", "T4", "Y3")
    a.mul("U1", "T0", "Y3")
    a.mul("U2", "X3", "Z3")
    a.add("Y1", "U2", "U1")
    a.mul("X3", "T3", "X3")
    a.sub("X1", "X3", "U0")
    a.mul("Z3", "T4", "Z3")
    a.mul("U1", "T3", "T0")
    a.add("Z1", "Z3", "U1")


def double_body(a: Program) -> None:
    """(X1, Y1, Z1) += itself."""
    a.mul("T0", "X1", "X1")
    a.mul("T1", "Y1", "Y1")
    a.mul("T2", "Z1", "Z1")
    a.mul("T3", "X1", "Y1")
    a.add("T3", "T3", "T3")
    a.mul("U0", "X1", "Z1")
    a.add("U0", "U0", "U0")
    a.mul("U2", "Y1", "Z1")
    a.add("U2", "U2", "U2")
    # U1 = 3 (b Z^2 - 2 X Z): Y^2 -+ U1
    a.mul("U1", "B", "T2")
    a.sub("U1", "U1", "U0")
    a.add("T4", "U1", "U1")
    a.add("U1", "U1", "T4")
    a.sub("X3", "T1", "U1")
    a.add("Y3", "T1", "U1")
    a.mul("Y3", "X3", "Y3")
    a.mul("X3", "X3", "T3")
    # T2 = 3 Z^2, Z3 = 3 (2 b X Z - 3 Z^2 - X^2), T0 = 3 X^2 - 3 Z^2
    a.add("T3", "T2", "T2")
    a.add("T2", "T2", "T3")
    a.mul("Z3", "B", "U0")
    a.sub("Z3", "Z3", "T2")
    a.sub("Z3", "Z3", "T0")
    a.add("T3", "Z3", "Z3")
    a.add("Z3", "Z3", "T3")
    a.add("T3", "T0", "T0")
    a.add("T0", "T3", "T0")
    a.sub("T0", "T0", "T2")
    # the result
    a.mul("T0", "T0", "Z3")
    a.add("Y1", "Y3", "T0")
    a.mul("Z3", "U2", "Z3")
    a.sub("X1", "X3", "Z3")
    a.mul("Z3", "U2", "T1")
    a.add("Z3", "Z3", "Z3")
    a.add("Z1", "Z3", "Z3")


def subroutines(a: Program) -> None:
    """Everything that is called."""
    a.label("constants")
    for reg, name in (("P", "P"), ("N", "N"), ("ONE", "ONE"), ("RP", "R_MOD_P"), ("RN", "R_MOD_N"),
                      ("R2P", "R2_MOD_P"), ("R2N", "R2_MOD_N"), ("B", "B")):
        a.const(reg, name)
    a.ret()

    a.label("point_add")
    add_body(a)
    a.ret()

    a.label("point_double")
    double_body(a)
    a.ret()

    a.label("set_infinity")
    a.move("X1", "ZERO")
    a.move("Y1", "RP")
    a.move("Z1", "ZERO")
    a.ret()

    # Point 1 = K * G. Comb of four teeth: column i holds bits i, i+96, i+192, i+288 of K.
    a.label("mul_base")
    a.move(table(0, 1), "RP")
    a.move(table(0, 0), "ZERO")
    a.move(table(0, 2), "ZERO")
    for j in range(1, 16):
        a.const(table(j, 0), f"G{j}_X")
        a.const(table(j, 1), f"G{j}_Y")
        a.move(table(j, 2), "RP")
    a.call("set_infinity")
    a.idx(95)
    a.label("mul_base_column")
    a.call("point_double")
    a.comb("K")
    for part, reg in enumerate(("X2", "Y2", "Z2")):
        a.get(reg, part)
    a.call("point_add")
    a.loop("mul_base_column")
    a.ret()

    # Point 1 = K * (QX, QY), windows of four bits.
    a.label("mul_point")
    a.move(table(0, 0), "ZERO")
    a.move(table(0, 1), "RP")
    a.move(table(0, 2), "ZERO")
    for part, (one, two, src) in enumerate((("X1", "X2", "QX"), ("Y1", "Y2", "QY"),
                                            ("Z1", "Z2", "RP"))):
        a.move(table(1, part), src)
        a.move(one, src)
        a.move(two, src)
    a.idx(13)
    a.label("mul_point_table")
    a.call("point_add")
    for part, reg in enumerate(("X1", "Y1", "Z1")):
        a.put(part, reg)
    a.loop("mul_point_table")
    a.call("set_infinity")
    a.idx(95)
    a.label("mul_point_window")
    for _ in range(4):
        a.call("point_double")
    a.window("K")
    for part, reg in enumerate(("X2", "Y2", "Z2")):
        a.get(reg, part)
    a.call("point_add")
    a.loop("mul_point_window")
    a.ret()

    # POW = BASE^EXP with UNIT = 1, Montgomery form, current modulus; EXP is a public constant.
    a.label("power")
    a.move(table(0, 0), "UNIT")
    a.move(table(1, 0), "BASE")
    a.move("POW", "BASE")
    a.idx(13)
    a.label("power_table")
    a.mul("POW", "POW", "BASE")
    a.put(0, "POW")
    a.loop("power_table")
    a.move("POW", "UNIT")
    a.idx(95)
    a.label("power_window")
    for _ in range(4):
        a.mul("POW", "POW", "POW")
    a.window("EXP")
    a.get("T0", 0)
    a.mul("POW", "POW", "T0")
    a.loop("power_window")
    a.ret()

    # Flag zero: (AX, AY), Montgomery form, is on the curve.
    a.label("on_curve")
    a.mul("T0", "AX", "AX")
    a.mul("T0", "T0", "AX")
    a.add("T1", "AX", "AX")
    a.add("T1", "T1", "AX")
    a.sub("T0", "T0", "T1")
    a.add("T0", "T0", "B")
    a.mul("T1", "AY", "AY")
    a.sub("T0", "T0", "T1")
    a.mul("T0", "T0", "ONE")
    a.rip("T0", "T0")
    a.ret()

    # (AX, AY) = point 1, plain and canonical. Infinity, or a point that is not on the curve
    # (a fault in the computation), ends the operation.
    a.label("affine")
    a.mul("T0", "Z1", "ONE")
    a.rip("T0", "T0")
    a.if_zero("invalid")
    a.move("BASE", "Z1")
    a.move("UNIT", "RP")
    a.const("EXP", "P_MINUS_2")
    a.call("power")
    a.mul("AX", "X1", "POW")
    a.mul("AY", "Y1", "POW")
    a.call("on_curve")
    a.if_not_zero("invalid")
    for reg in ("AX", "AY"):
        a.mul(reg, reg, "ONE")
        canonical(a, reg, "P")
    a.ret()

    # (QX, QY) = input point in Montgomery form, if it is one.
    a.label("take_point")
    for reg, name in (("QX", "X"), ("QY", "Y")):
        a.input(reg, name)
        a.sub("T0", reg, "P")
        a.rip("T0", "T0")
        a.if_not_neg("bad_point")
    for reg, copy in (("QX", "AX"), ("QY", "AY")):
        a.mul(reg, reg, "R2P")
        a.move(copy, reg)
    a.call("on_curve")
    a.if_not_zero("bad_point")
    a.ret()

    # W = AX mod n: p is below 2n.
    a.label("x_mod_order")
    a.sub("T1", "AX", "N")
    a.rip("T1", "T1")
    a.sel("W", "T1", "AX")
    a.ret()

    # POW = BASE^-1 mod n, Montgomery form.
    a.label("invert_mod_order")
    a.move("UNIT", "RN")
    a.const("EXP", "N_MINUS_2")
    a.call("power")
    a.ret()

    a.label("invalid")
    a.end("ResInvalid")
    a.label("bad_point")
    a.end("ResBadPoint")
    a.label("no_key")
    a.end("ResNoKey")


def operations(a: Program) -> None:
    """Entry points: op code i starts at address i."""
    for name in ("keygen", "ecdh", "sign", "public", "verify", "invalid", "invalid", "invalid"):
        a.goto(name)

    a.label("keygen")
    a.hold(0)
    a.call("constants")
    a.tries(3)
    a.label("keygen_draw")
    a.random("D", "D")
    unless_in_order(a, "D", "keygen_bad")
    a.move("K", "D")
    a.call("mul_base")
    a.call("affine")
    a.store(0, "AX")
    a.store(1, "AY")
    a.hold(1)
    a.end("ResOk")
    a.label("keygen_bad")
    a.again("keygen_draw")
    a.end("ResNoEntropy")

    a.label("ecdh")
    a.if_no_key("no_key")
    a.hold(0)
    a.call("constants")
    a.call("take_point")
    a.move("K", "D")
    a.call("mul_point")
    a.call("affine")
    a.store(0, "AX")
    a.end("ResOk")

    a.label("sign")
    a.call("constants")
    a.key("ID")
    unless_in_order(a, "ID", "no_key")
    a.input("E", "E")
    a.tries(3)
    a.label("sign_draw")
    a.mod_order(0)
    a.random("K", "K")
    unless_in_order(a, "K", "sign_bad_draw")
    a.call("mul_base")
    a.call("affine")
    a.call("x_mod_order")
    a.move("SIG_R", "W")
    a.rip("T0", "SIG_R")
    a.if_zero("sign_zero")
    a.mod_order(1)
    a.mul("BASE", "K", "R2N")
    a.call("invert_mod_order")
    a.mul("RD", "ID", "R2N")
    a.mul("RD", "RD", "SIG_R")
    a.add("RD", "RD", "E")
    a.mul("SIG_S", "RD", "POW")
    canonical(a, "SIG_S", "N")
    a.rip("T0", "SIG_S")
    a.if_zero("sign_zero")
    a.store(0, "SIG_R")
    a.store(1, "SIG_S")
    a.end("ResOk")
    a.label("sign_bad_draw")
    a.again("sign_draw")
    a.end("ResNoEntropy")
    a.label("sign_zero")
    a.again("sign_draw")
    a.end("ResInvalid")

    a.label("public")
    a.call("constants")
    a.key("K")
    unless_in_order(a, "K", "no_key")
    a.call("mul_base")
    a.call("affine")
    a.store(0, "AX")
    a.store(1, "AY")
    a.end("ResOk")

    a.label("verify")
    a.call("constants")
    a.call("take_point")
    a.input("E", "E")
    for reg, name in (("SIG_R", "R"), ("SIG_S", "S")):
        a.input(reg, name)
        unless_in_order(a, reg, "invalid")
    a.mod_order(1)
    a.mul("BASE", "SIG_S", "R2N")
    a.call("invert_mod_order")
    a.mul("U_G", "E", "POW")
    canonical(a, "U_G", "N")
    a.mul("U_Q", "SIG_R", "POW")
    canonical(a, "U_Q", "N")
    a.mod_order(0)
    a.move("K", "U_G")
    a.call("mul_base")
    for saved, reg in (("SX", "X1"), ("SY", "Y1"), ("SZ", "Z1")):
        a.move(saved, reg)
    a.move("K", "U_Q")
    a.call("mul_point")
    for reg, saved in (("X2", "SX"), ("Y2", "SY"), ("Z2", "SZ")):
        a.move(reg, saved)
    a.call("point_add")
    a.call("affine")
    a.call("x_mod_order")
    a.sub("T0", "W", "SIG_R")
    a.rip("T0", "T0")
    a.if_not_zero("invalid")
    a.end("ResOk")


# ---- Bounds -------------------------------------------------------------------------------------
def check_bounds() -> dict[str, Fraction]:
    """Largest magnitude in the point formulas, in units of p.

    Entered with coordinates below 4 p, the formulas must leave them below 4 p (so that the
    promise holds for every number of steps) and form no product above 2^8 p^2.

    Raises:
        AssertionError: a bound does not hold.
    """
    entry = Fraction(4)
    worst = Fraction(0)
    for body in (add_body, double_body):
        a = Program()
        body(a)
        size: dict[int, Fraction] = {REG[r]: entry for r in ("X1", "Y1", "Z1", "X2", "Y2", "Z2")}
        size[REG["B"]] = Fraction(1)
        for i in a.code:
            if i.op == "MopMul":
                product = size[i.ra] * size[i.rb]
                assert product <= 2**8, f"{body.__name__}: {i.text}: {float(product)} p^2"
                # |A B| / R + p/2 * (R - 1) * 2^16 / (R * (2^16 - 1)), and p < 2^-16 R
                size[i.rd] = product / 2**16 + Fraction(2**15, 2**16 - 1)
            else:
                size[i.rd] = size[i.ra] + size[i.rb]
            worst = max(worst, size[i.rd])
        for r in ("X1", "Y1", "Z1"):
            assert size[REG[r]] <= entry, f"{body.__name__}: {r} {float(size[REG[r]])} p"
    # The top digit has weight 2^384: it must fit 17 bits with a carry.
    assert worst < 2**15
    return {"worst": worst}


# ---- Output -------------------------------------------------------------------------------------
def assemble() -> Program:
    """The whole program with its labels resolved."""
    a = Program()
    operations(a)
    subroutines(a)
    assert len(a.code) <= 512, len(a.code)
    for i in a.code:
        if i.target is not None:
            at = a.labels[i.target]
            i.ra, i.rb = at >> 7, at & 127
    return a


HEADER = """// SPDX-License-Identifier: Apache-2.0
// {purpose}
//
// Written by rtl/crypto/p384_microcode.py: change that file, not this one.
//
// Contract: a ROM with one cycle of latency; {contract}
"""


def microcode_sv() -> str:
    """Text of p384_microcode.sv."""
    a = assemble()
    names: dict[int, list[str]] = {}
    for name, at in a.labels.items():
        names.setdefault(at, []).append(name)
    out = [HEADER.format(
        purpose="Program of the P-384 engine.",
        contract="addresses behind the end give MopEnd ResInvalid.")]
    out.append("""module p384_microcode
  import p384_pkg::*;
(
  input  logic               clk_i,
  input  logic [PcWidth-1:0] pc_i,
  output instr_t             instr_o
);

  instr_t instr_d, instr_q;

  assign instr_o = instr_q;

  always_comb begin
    unique case (pc_i)
""")
    for at, i in enumerate(a.code):
        for name in names.get(at, []):
            out.append(f"      // {name}:\n")
        word = f"{{{i.op}, 7'd{i.rd}, 7'd{i.ra}, 7'd{i.rb}}};"
        out.append(f"      9'd{at}: instr_d = {word}".ljust(58) + f"// {i.text}\n")
    invalid = RESULTS.index("ResInvalid")
    out.append(f"""      default: instr_d = {{MopEnd, 7'd0, 7'd0, 7'd{invalid}}};
    endcase
  end

  always_ff @(posedge clk_i) instr_q <= instr_d;

endmodule
""")
    return "".join(out)


def constants_sv() -> str:
    """Text of p384_constants.sv."""
    table_ = constants()
    count = len(table_) * WORDS
    assert count <= 512
    out = [HEADER.format(
        purpose="Constants of the P-384 engine: 12 words each, least significant first.",
        contract="addresses behind the end give zero.")]
    out.append("""module p384_constants (
  input  logic        clk_i,
  input  logic        en_i,
  input  logic [8:0]  addr_i,
  output logic [31:0] word_o
);

  logic [31:0] word_d, word_q;

  assign word_o = word_q;

  always_comb begin
    unique case (addr_i)
""")
    at = 0
    for name, value in table_.items():
        out.append(f"      // {name}\n")
        for w in range(WORDS):
            out.append(f"      9'd{at}: word_d = 32'h{value >> 32 * w & 0xFFFFFFFF:08x};\n")
            at += 1
    out.append("""      default: word_d = '0;
    endcase
  end

  always_ff @(posedge clk_i) if (en_i) word_q <= word_d;

endmodule
""")
    return "".join(out)


OUTPUTS: dict[str, Callable[[], str]] = {
    "p384_microcode.sv": microcode_sv,
    "p384_constants.sv": constants_sv,
}

if __name__ == "__main__":
    check_bounds()
    for file_name, make in OUTPUTS.items():
        (Path(__file__).parent / file_name).write_text(make())
