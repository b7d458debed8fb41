# SPDX-License-Identifier: Apache-2.0
"""p384_alu: products, sums, canonical form and windows against Python integers; erasure; time."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import reset

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = int("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF"
        "581A0DB248B0A77AECEC196ACCC52973", 16)
R_INV = {P: pow(2, -400, P), N: pow(2, -400, N)}
TOP = 2**384 - 1

MUL, ADD, SUB, MOVE, RIP, LOAD, STORE, WIN, COMB = range(9)
KEPT = 63

# Values at which carries, signs and the reduction behave differently.
EDGES = [
    0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x10000, P - 1, P, P + 1, N - 1, N, N + 1, TOP, TOP - 1,
    int("8000" * 24, 16), int("7fff" * 24, 16), int("ffff0000" * 12, 16),
    2**383, 2**383 - 1, (P + 1) // 2, (N + 1) // 2, P - N, 2**200, 2**128, 2**96, 2**32,
]


def test_p384_alu() -> None:
    simulate("p384_alu", __name__, sources=[f"crypto/p384_{m}.sv" for m in ("bank", "lane", "alu")])


class Alu:
    """Drives the command and word ports; counts the cycles of each command."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        Clock(dut.clk_i, 10, unit="ns").start()
        for name in ("cmd_valid_i", "in_valid_i", "wipe_i", "keep_i", "cmd_mod_order_i",
                     "cmd_window_i", "cmd_rd_i", "cmd_ra_i", "cmd_rb_i", "cmd_op_i", "in_word_i"):
            getattr(dut, name).value = 0

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        await self.wipe(keep=False)

    async def wipe(self, keep: bool) -> int:
        """Erase; returns the cycles from wipe_i to idle."""
        await FallingEdge(self.dut.clk_i)
        self.dut.wipe_i.value = 1
        self.dut.keep_i.value = int(keep)
        await FallingEdge(self.dut.clk_i)
        self.dut.wipe_i.value = 0
        cycles = 1
        while int(self.dut.wiping_o.value):
            await FallingEdge(self.dut.clk_i)
            cycles += 1
        return cycles

    async def run(self, op: int, rd: int = 0, ra: int = 0, rb: int = 0, *, order: bool = False,
                  window: int = 0, words: Iterable[int] = ()) -> tuple[int, list[int]]:
        """Run one command; returns its cycles and the words it stored."""
        dut = self.dut
        feed = list(words)
        out: list[int] = []
        dut.cmd_op_i.value = op
        dut.cmd_rd_i.value = rd
        dut.cmd_ra_i.value = ra
        dut.cmd_rb_i.value = rb
        dut.cmd_mod_order_i.value = int(order)
        dut.cmd_window_i.value = window
        dut.cmd_valid_i.value = 1
        assert int(dut.cmd_ready_o.value) == 1
        cycles = 0
        while True:
            dut.in_valid_i.value = int(bool(feed))
            dut.in_word_i.value = feed[0] if feed else 0
            await RisingEdge(dut.clk_i)
            if feed and int(dut.in_ready_o.value):
                feed.pop(0)
            if int(dut.out_valid_o.value):
                assert int(dut.out_idx_o.value) == len(out)
                out.append(int(dut.out_word_o.value))
            await FallingEdge(dut.clk_i)
            dut.cmd_valid_i.value = 0
            cycles += 1
            if int(dut.cmd_ready_o.value):
                assert not feed
                return cycles, out

    async def load(self, rd: int, value: int) -> int:
        cycles, _ = await self.run(LOAD, rd,
                                   words=[value >> 32 * i & 0xFFFFFFFF for i in range(12)])
        return cycles

    async def canonical(self, reg: int) -> tuple[bool, bool]:
        """Canonical form in place; returns (negative, zero)."""
        await self.run(RIP, reg, reg)
        return bool(int(self.dut.negative_o.value)), bool(int(self.dut.zero_o.value))

    async def store(self, reg: int) -> int:
        _, out = await self.run(STORE, ra=reg)
        assert len(out) == 12
        return sum(w << 32 * i for i, w in enumerate(out))

    async def signed(self, reg: int, scratch: int, offset: int) -> int:
        """Value of reg in (-v, 2^384), where v is the value of register `offset`."""
        await self.run(RIP, scratch, reg)
        if not int(self.dut.negative_o.value):
            return await self.store(scratch)
        v = await self.store(offset)
        await self.run(ADD, scratch, reg, offset)
        negative, _ = await self.canonical(scratch)
        assert not negative
        return await self.store(scratch) - v

    def digits(self, reg: int) -> list[int]:
        """The 25 stored digits of a register, unsigned 17 bit."""
        out = []
        for k in range(13):
            bank = self.dut.gen_bank[k]
            ram = bank.gen_pair.u_bank.ram_q if k < 12 else bank.gen_single.u_bank.ram_q
            word = int(ram[reg].value)
            out += [word & 0x1FFFF, word >> 17] if k < 12 else [word]
        return out


def values(rng: random.Random, count: int) -> list[int]:
    """Random 384-bit values, a third of them with long runs of equal bits."""
    out = []
    for i in range(count):
        v = rng.getrandbits(384)
        if i % 3 == 0:
            a, b = sorted((rng.randrange(384), rng.randrange(384)))
            mask = (1 << b) - (1 << a)
            v = v | mask if rng.random() < 0.5 else v & ~mask
        out.append(v)
    return out


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(modulus=[P, N])
async def product_equals_montgomery_product(dut, modulus: int) -> None:
    """a * b / 2^400 mod m for edge and random operands, below 0.51 m, in a fixed time."""
    alu = Alu(dut)
    await alu.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    await alu.load(1, modulus)
    pairs = [(a, b) for a in EDGES for b in rng.sample(EDGES, 4)]
    pairs += list(zip(values(rng, 60), values(rng, 60), strict=True))
    times = set()
    for a, b in pairs:
        await alu.load(2, a)
        await alu.load(3, b)
        cycles, _ = await alu.run(MUL, 4, 2, 3, order=modulus == N)
        times.add(cycles)
        got = await alu.signed(4, 5, 1)
        assert got % modulus == a * b * R_INV[modulus] % modulus, f"{a:#x} * {b:#x}"
        assert abs(got) * 100 < modulus * 51
    assert times == {81 if modulus == N else 31}, times


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(modulus=[P, N])
async def product_of_grown_operands(dut, modulus: int) -> None:
    """Operands that are sums of up to 16 terms of both signs, as the point formulas make them."""
    alu = Alu(dut)
    await alu.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    await alu.load(1, modulus)
    for _ in range(40):
        want = []
        for reg in (2, 3):
            terms = [rng.choice([0, TOP, P - 1, 1, rng.getrandbits(384)]) for _ in range(16)]
            total = 0
            await alu.run(SUB, reg, reg, reg)
            for t in terms:
                await alu.load(4, t)
                op = rng.choice([ADD, SUB])
                await alu.run(op, reg, reg, 4)
                total += t if op == ADD else -t
            want.append(total)
        await alu.run(MUL, 4, 2, 3, order=modulus == N)
        got = await alu.signed(4, 5, 1)
        assert got % modulus == want[0] * want[1] * R_INV[modulus] % modulus


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sums_and_canonical_form(dut) -> None:
    """a +- b, the sign and zero flags, and move."""
    alu = Alu(dut)
    await alu.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    pairs = [(a, b) for a in EDGES for b in EDGES if rng.random() < 0.3]
    pairs += [(a, a) for a in EDGES]
    pairs += list(zip(values(rng, 40), values(rng, 40), strict=True))
    times: dict[str, set[int]] = {"load": set(), "add": set(), "sub": set(), "move": set()}
    for a, b in pairs:
        times["load"].add(await alu.load(2, a))
        await alu.load(3, b)
        times["sub"].add((await alu.run(SUB, 4, 2, 3))[0])
        assert await alu.canonical(4) == (a < b, a == b)
        if a >= b:
            assert await alu.store(4) == a - b
        times["add"].add((await alu.run(ADD, 5, 4, 3))[0])
        assert await alu.canonical(5) == (False, a == 0)
        times["move"].add((await alu.run(MOVE, 6, 5))[0])
        assert await alu.store(6) == a
        assert await alu.store(2) == a
        assert await alu.store(3) == b
    assert times == {"load": {27}, "add": {4}, "sub": {4}, "move": {3}}, times


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def windows_and_comb_columns(dut) -> None:
    """Every 4-bit window and every comb column of random scalars."""
    alu = Alu(dut)
    await alu.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    for value in values(rng, 3):
        await alu.load(9, value)
        times = set()
        for i in range(96):
            times.add((await alu.run(WIN, ra=9, window=i))[0])
            assert int(dut.nibble_o.value) == value >> 4 * i & 15
            times.add((await alu.run(COMB, ra=9, window=i))[0])
            want = sum((value >> i + 96 * b & 1) << b for b in range(4))
            assert int(dut.nibble_o.value) == want
        assert times == {27}
        assert await alu.store(9) == value


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(keep=[False, True])
async def wipe_erases_memory_and_flops(dut, keep: bool) -> None:
    """All 128 registers and all lanes are zero after 129 cycles, also from within a product."""
    alu = Alu(dut)
    await alu.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    secret = {reg: rng.getrandbits(384) for reg in range(128)}
    for reg, value in secret.items():
        await alu.load(reg, value)
    for reg in (0, KEPT, 64, 127):
        assert sum(d << 16 * i for i, d in enumerate(alu.digits(reg))) == secret[reg]
    # Start a product and stop it half-way.
    dut.cmd_op_i.value = MUL
    dut.cmd_ra_i.value = 5
    dut.cmd_rb_i.value = 6
    dut.cmd_valid_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.cmd_valid_i.value = 0
    for _ in range(12):
        await FallingEdge(dut.clk_i)
    lanes = [dut.gen_lane[j].u_lane for j in range(25)]
    assert sum(int(lane.prod_q.value) != 0 for lane in lanes) > 20
    assert await alu.wipe(keep) == 129
    for reg in range(128):
        if keep and reg == KEPT:
            assert await alu.store(reg) == secret[reg]
            assert await alu.wipe(keep) == 129
        else:
            assert alu.digits(reg) == [0] * 25, reg
    for lane in lanes:
        for name in ("a_q", "b_q", "prod_q", "acc_q"):
            assert int(getattr(lane, name).value) == 0, name
    assert int(dut.half_q.value) == 0
    for k in range(13):
        bank = dut.gen_bank[k]
        bank = bank.gen_pair.u_bank if k < 12 else bank.gen_single.u_bank
        assert int(bank.rdata_q.value) == 0
    # It still works.
    await alu.load(1, P)
    await alu.load(2, 3)
    await alu.run(MUL, 4, 2, 2)
    assert await alu.signed(4, 5, 1) % P == 9 * R_INV[P] % P
