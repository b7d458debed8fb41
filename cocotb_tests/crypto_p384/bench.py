# SPDX-License-Identifier: Apache-2.0
"""Drives p384_engine and looks into its memories; the reference is the `cryptography` package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cocotb
import cryptography_vectors
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cryptography.hazmat.primitives.asymmetric import ec

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = int("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF"
        "581A0DB248B0A77AECEC196ACCC52973", 16)
SOURCES = [f"crypto/p384_{m}.sv" for m in
           ("bank", "lane", "alu", "constants", "microcode", "words", "sequencer", "engine")]
CLOCK_NS = 10

KEYGEN, ECDH, SIGN, PUBLIC, VERIFY, WIPE = range(6)
OK, BAD_POINT, NO_ENTROPY, NO_KEY, INVALID, ABORTED = range(6)
IN_X, IN_Y, IN_E, IN_R, IN_S, HOOK_D, HOOK_K = range(7)
KEPT = 63

# What the header of p384_engine.sv promises for operations that end with OK.
CYCLES = {
    KEYGEN: 124_530, ECDH: 273_246, SIGN: 168_351, PUBLIC: 124_522, VERIFY: 422_540, WIPE: 130,
}
WIPE_CYCLES = CYCLES[WIPE]


def words(value: int) -> list[int]:
    """12 words of 32 bits, least significant first."""
    return [value >> 32 * i & 0xFFFFFFFF for i in range(12)]


def public_of(d: int) -> tuple[int, int]:
    """Coordinates of d G."""
    n = ec.derive_private_key(d, ec.SECP384R1()).public_key().public_numbers()
    return n.x, n.y


def shared_secret(d: int, peer: tuple[int, int]) -> int:
    """x(d * peer)."""
    key = ec.EllipticCurvePublicNumbers(*peer, ec.SECP384R1()).public_key()
    return int.from_bytes(ec.derive_private_key(d, ec.SECP384R1()).exchange(ec.ECDH(), key), "big")


def sha384(message: bytes) -> int:
    """Hash as the integer of ECDSA."""
    return int.from_bytes(hashlib.sha384(message).digest(), "big")


def vectors(path: str, section: str) -> Iterator[dict[str, str]]:
    """Records (name = value lines between blank lines) of one [section] of a vector file.

    Args:
        path: below cryptography_vectors/asymmetric.
        section: text between the brackets.

    Raises:
        AssertionError: the section is not in the file.
    """
    root = Path(str(cryptography_vectors.__file__)).parent / "asymmetric"
    inside = found = False
    record: dict[str, str] = {}
    for line in [*(root / path).read_text().splitlines(), ""]:
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{section}]" or (inside and line.startswith("[B.4.2"))
            found |= inside
        elif inside and " = " in line:
            name, value = line.split(" = ", 1)
            record[name] = value
        elif record and not line:
            if len(record) > 1:
                yield record
            record = {}
    assert found, f"{path}: no section {section}"


class RandomPort:
    """Feeds queued words, then words of a repeatable stream; can fall silent."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut = dut
        self.queue: list[int] = []
        self.taken: list[int] = []
        self.seed = seed
        self.count = 0
        self.slow = False                 # it has been silent at some time
        dut.rnd_valid_i.value = 1
        self._show()
        cocotb.start_soon(self._run())

    def feed(self, *values: int) -> None:
        """Queue 384-bit values for the next draws."""
        for value in values:
            self.queue += words(value)
        self._show()

    def silence(self, silent: bool) -> None:
        self.slow |= silent
        self.dut.rnd_valid_i.value = int(not silent)

    def last(self) -> int:
        """The 384-bit value drawn last."""
        return sum(w << 32 * i for i, w in enumerate(self.taken[-12:]))

    def _stream(self) -> int:
        data = hashlib.sha256(f"{self.seed}/{self.count}".encode()).digest()
        return int.from_bytes(data[:4], "big")

    def _show(self) -> None:
        self.dut.rnd_i.value = self.queue[0] if self.queue else self._stream()

    async def _run(self) -> None:
        while True:
            # Ready falls after each word, for the second half of it.
            await FallingEdge(self.dut.rnd_ready_o)
            if not int(self.dut.rnd_valid_i.value):
                continue
            if self.queue:
                self.taken.append(self.queue.pop(0))
            else:
                self.taken.append(self._stream())
                self.count += 1
            self._show()


class Engine:
    """One operation at a time; waits for done_o and not for clock edges."""

    def __init__(self, dut: Any, seed: int = 1) -> None:
        self.dut = dut
        Clock(dut.clk_i, CLOCK_NS, unit="ns", impl="gpi").start()
        for name in ("zeroize_i", "op_valid_i", "op_i", "wr_en_i", "wr_addr_i", "wr_data_i",
                     "rd_addr_i"):
            getattr(dut, name).value = 0
        self.random = RandomPort(dut, seed)
        self.cycles = 0

    async def start(self) -> None:
        """Reset, and wait for the erasure that follows it."""
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_i.value = 1
        await FallingEdge(self.dut.clk_i)
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_i.value = 0
        await FallingEdge(self.dut.busy_o)
        await FallingEdge(self.dut.clk_i)

    async def write(self, reg: int, value: int) -> None:
        for i, w in enumerate(words(value)):
            await self.write_word(reg << 4 | i, w)

    async def write_word(self, addr: int, word: int) -> None:
        self.dut.wr_en_i.value = 1
        self.dut.wr_addr_i.value = addr
        self.dut.wr_data_i.value = word
        await FallingEdge(self.dut.clk_i)
        self.dut.wr_en_i.value = 0

    async def read_word(self, addr: int) -> int:
        self.dut.rd_addr_i.value = addr
        await FallingEdge(self.dut.clk_i)
        return int(self.dut.rd_data_o.value)

    async def read(self, reg: int) -> int:
        return sum([await self.read_word(reg << 4 | i) << 32 * i for i in range(12)])

    async def outputs(self) -> tuple[int, int]:
        return await self.read(0), await self.read(1)

    async def begin(self, op: int) -> None:
        """Hand over an operation; the engine is idle."""
        assert int(self.dut.op_ready_o.value) == 1
        self.dut.op_i.value = op
        self.dut.op_valid_i.value = 1
        await FallingEdge(self.dut.clk_i)
        self.dut.op_valid_i.value = 0
        self._began = get_sim_time("ns")
        self._op = op
        self._taken = len(self.random.taken)

    async def finish(self) -> int:
        """Wait for done_o; returns the result code."""
        await RisingEdge(self.dut.done_o)
        # From the edge that took the operation (half a cycle before _began) to that of done_o.
        self.cycles = round((get_sim_time("ns") - self._began) / CLOCK_NS + 0.5)
        result = int(self.dut.result_code_o.value)
        one_draw = len(self.random.taken) - self._taken <= 12 and not self.random.slow
        if result == OK and one_draw and self._op in CYCLES:
            assert self.cycles == CYCLES[self._op], (self._op, self.cycles)
        await FallingEdge(self.dut.clk_i)
        await FallingEdge(self.dut.clk_i)
        assert int(self.dut.done_o.value) == 0
        assert int(self.dut.busy_o.value) == 0
        return result

    async def run(self, op: int, **inputs: int) -> int:
        """Write inputs (x, y, e, r, s, d, k), run; returns the result code."""
        regs = {"x": IN_X, "y": IN_Y, "e": IN_E, "r": IN_R, "s": IN_S, "d": HOOK_D, "k": HOOK_K}
        for name, value in inputs.items():
            await self.write(regs[name], value)
        await self.begin(op)
        return await self.finish()

    async def cycles_later(self, count: int) -> None:
        if count:
            await Timer(count * CLOCK_NS, unit="ns")

    # ---- Inside ---------------------------------------------------------------------------------
    def set_identity(self, d: int) -> None:
        """Put a key into the ROM (the tests of the file path do it with a file)."""
        rom = self.dut.u_words.key_rom
        for i, w in enumerate(reversed(words(d))):
            rom[i].value = w

    def banks(self) -> list[Any]:
        alu = self.dut.u_alu
        return [alu.gen_bank[k].gen_pair.u_bank for k in range(12)] + [
            alu.gen_bank[12].gen_single.u_bank]

    def registers(self) -> list[list[int]]:
        """The 25 digits (17-bit patterns) of all 128 operand registers."""
        out: list[list[int]] = [[] for _ in range(128)]
        for k, bank in enumerate(self.banks()):
            for reg in range(128):
                word = int(bank.ram_q[reg].value)
                out[reg] += [word & 0x1FFFF, word >> 17] if k < 12 else [word]
        return out

    def find(self, secret: int) -> list[int]:
        """Operand registers whose value is the secret."""
        found = []
        for reg, digits in enumerate(self.registers()):
            value = sum((d - (d >> 16 << 17)) << 16 * i for i, d in enumerate(digits))
            if value == secret:
                found.append(reg)
        return found

    def assert_erased(self, *, keeps_key: bool, outputs: Sequence[int] = ()) -> None:
        """Every memory and flop that held a digit or a word is zero.

        Args:
            keeps_key: operand register 63 may hold the ephemeral key, and does.
            outputs: allowed content of the output memory; others must be zero.
        """
        for reg, digits in enumerate(self.registers()):
            if reg == KEPT and keeps_key:
                assert any(digits)
            else:
                assert not any(digits), f"operand register {reg}: {digits}"
        assert int(self.dut.u_sequencer.holds_key_q.value) == int(keeps_key)
        alu, mem = self.dut.u_alu, self.dut.u_words
        for j in range(25):
            for name in ("a_q", "b_q", "prod_q", "acc_q"):
                assert int(getattr(alu.gen_lane[j].u_lane, name).value) == 0, (j, name)
        for bank in self.banks():
            assert int(bank.rdata_q.value) == 0
        for name in ("half_q", "ripple_q", "nibble_q"):
            assert int(getattr(alu, name).value) == 0, name
        for name in ("in_word_q", "key_word_q"):
            assert int(getattr(mem, name).value) == 0, name
        for i in range(128):
            assert int(mem.in_ram_q[i].value) == 0, f"input word {i}"
        allowed = [*words(outputs[0]), 0, 0, 0, 0, *words(outputs[1]), 0, 0, 0, 0] \
            if outputs else [0] * 32
        assert [int(mem.out_ram_q[i].value) for i in range(32)] == allowed
