# SPDX-License-Identifier: Apache-2.0
"""dsm_aead by its registers alone, as firmware with a fault would use it, with a look inside.

Expected values come from `cryptography`. SEC: RECORD.VERIFY_FIRST
"""

from __future__ import annotations

import random
import struct
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import pack, reset
from sim import toolchain

REG_REQ = (("addr", 14), ("we", 1), ("wdata", 32))
KEY_LOAD, KEY_ERASE, START, PUSH, STATUS, FINISH, ABORT = range(0, 0x1C, 4)
KEY, IV, IN, OUT, TAG = 0x20, 0x40, 0x50, 0x60, 0x70
DECRYPT, PUSH_AAD, PUSH_LAST = 1 << 8, 1 << 8, 1 << 9
RECORD_BLOCKS = 289  # length field and a message of 1200h bytes
STALL_CYCLES = 1200  # the erasure of all key slots after reset is the longest wait


def test_dsm_aead() -> None:
    crypto = ["aes_sbox", "aes_round", "aes_key_expand", "aes_engine", "ghash_mult",
              "gcm_key_store", "gcm_core"]
    listed = {p.stem for p in toolchain.rtl_sources()}
    assert set(crypto) <= listed
    simulate("dsm_aead", __name__,
             sources=[*(f"crypto/{m}.sv" for m in crypto), "dsm/dsm_open_buffer.sv",
                      "dsm/dsm_aead.sv"])


class Bench:
    """The register bus, and what is stored inside."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.key, self.iv, self.aad = (self.rng.randbytes(n) for n in (32, 12, 14))
        Clock(dut.clk_i, 10, unit="ns").start()
        dut.zeroize_i.value = dut.reg_valid_i.value = dut.reg_req_i.value = 0

    async def start(self) -> None:
        await reset(self.dut.clk_i, self.dut.rst_i)
        await self.write(KEY, self.key)
        await self.write(KEY_LOAD, 3)

    async def access(self, we: int, addr: int, wdata: int = 0) -> int:
        """One access; every stall is bounded."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.reg_req_i.value = pack(REG_REQ, addr=addr >> 2, we=we, wdata=wdata)
        dut.reg_valid_i.value = 1
        for _ in range(STALL_CYCLES):
            await ReadOnly()
            ready, value = int(dut.reg_ready_o.value), int(dut.reg_rdata_o.value)
            await FallingEdge(dut.clk_i)
            if ready:
                dut.reg_valid_i.value = 0
                return value
        raise AssertionError(f"register {addr:02x} stalls for ever")

    async def write(self, addr: int, value: int | bytes) -> None:
        words: tuple[int, ...] = (value,) if isinstance(value, int) else struct.unpack(
            f"<{len(value) // 4}I", value)
        for i, word in enumerate(words):
            await self.access(1, addr + 4 * i, word)

    async def read(self, addr: int, words: int = 1) -> bytes:
        return struct.pack(f"<{words}I", *[await self.access(0, addr + 4 * i)
                                           for i in range(words)])

    async def open(self, sealed: bytes) -> None:
        """Everything of a decryption up to FINISH, looking for plaintext on the way."""
        await self.write(TAG, sealed[-16:])
        await self.write(IV, self.iv)
        await self.write(START, 3 | DECRYPT)
        data = sealed[:-16]
        await self.write(IN, self.aad.ljust(16, b"\0"))
        await self.write(PUSH, len(self.aad) | PUSH_AAD | (0 if data else PUSH_LAST))
        for at in range(0, len(data), 16):
            part = data[at:at + 16]
            await self.write(IN, part.ljust(16, b"\0"))
            await self.write(PUSH, len(part) | (PUSH_LAST if at + 16 >= len(data) else 0))
            if at % 160 == 0:
                assert await self.read(OUT, 4) == bytes(16), "plaintext before the verdict"

    async def finish(self) -> int:
        assert await self.read(OUT, 4) == bytes(16), "plaintext before the verdict"
        return await self.access(0, FINISH)

    async def plaintext(self, length: int) -> bytes:
        out = b""
        for _ in range(-(-length // 16)):
            out += await self.read(OUT, 4)
        return out[:length]

    def left(self) -> list[str]:
        """What of a message is still stored: registers and rows that are not zero."""
        dut = self.dut
        memory = dut.u_open.mem_q
        found = [f"row {i}" for i in range(RECORD_BLOCKS) if int(memory[i].value)]
        return found + [name for name in ("iv_q", "in_q", "expected_q", "tag_q", "key_q")
                        if int(getattr(dut, name).value)]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def good_record_is_opened_and_leaves_nothing(dut: Any) -> None:
    """Lengths up to the longest record: no word before FINISH, all of it after, nothing at last."""
    b = Bench(dut)
    await b.start()
    for length in (0, 1, 16, 17, 255, 16 * RECORD_BLOCKS):
        data = b.rng.randbytes(length)
        await b.open(AESGCM(b.key).encrypt(b.iv, data, b.aad))
        assert await b.finish() == 1
        assert await b.plaintext(length) == data
        assert b.left() == []
        assert await b.read(OUT, 4) == bytes(16) and await b.access(0, FINISH) == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def refused_record_is_never_seen(dut: Any) -> None:
    """A wrong bit anywhere, or one block too many: 0 before and after FINISH, and nothing stays."""
    b = Bench(dut)
    await b.start()
    for length in (1, 40, 640, 16 * RECORD_BLOCKS, 16 * RECORD_BLOCKS + 1):
        sealed = bytearray(AESGCM(b.key).encrypt(b.iv, b.rng.randbytes(length), b.aad))
        if length <= 16 * RECORD_BLOCKS:
            sealed[b.rng.randrange(len(sealed))] ^= 1 << b.rng.randrange(8)
        await b.open(bytes(sealed))
        assert await b.finish() == 0
        assert await b.plaintext(length) == bytes(length)
        assert b.left() == []
    data = b.rng.randbytes(100)
    await b.open(AESGCM(b.key).encrypt(b.iv, data, b.aad))
    assert await b.finish() == 1 and await b.plaintext(100) == data


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(end=["abort", "erase", "start", "key_load", "zeroize", "reset"],
                    when=["before", "after"])
async def given_up_record_leaves_nothing(dut: Any, end: str, when: str) -> None:
    """A message given up before or after its FINISH: nothing to be read, nothing stored, and the
    engine works on."""
    b = Bench(dut)
    await b.start()
    data = b.rng.randbytes(1000)
    sealed = AESGCM(b.key).encrypt(b.iv, data, b.aad)
    await b.open(sealed)
    if when == "after":
        assert await b.finish() == 1
        assert await b.read(OUT, 4) == data[:16]
    if end in ("zeroize", "reset"):
        signal = dut.zeroize_i if end == "zeroize" else dut.rst_i
        await FallingEdge(dut.clk_i)
        signal.value = 1
        await FallingEdge(dut.clk_i)
        signal.value = 0
    elif end == "key_load":
        await b.write(KEY, b.key)
        await b.write(KEY_LOAD, 3)
    else:
        await b.write({"abort": ABORT, "erase": KEY_ERASE, "start": START}[end], 5)
    assert await b.read(OUT, 4) == bytes(16) and await b.access(0, FINISH) == 0
    assert await b.plaintext(1000) == bytes(1000)
    # START (of a slot without key) alone keeps what the next message needs.
    assert [x for x in b.left() if not (end in ("start", "key_load") and x == "expected_q")] == []
    if end in ("zeroize", "reset"):
        assert await b.access(0, STATUS) == 0
        await b.write(KEY, b.key)
        await b.write(KEY_LOAD, 3)
    await b.open(sealed)
    assert await b.finish() == 1 and await b.plaintext(1000) == data
    assert b.left() == []


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def sealing_gives_ciphertext_and_forgets_the_nonce(dut: Any) -> None:
    """The other direction still streams, and its IV is gone once the message has begun."""
    b = Bench(dut)
    await b.start()
    data = b.rng.randbytes(75)
    await b.write(IV, b.iv)
    await b.write(START, 3)
    await b.write(IN, b.aad.ljust(16, b"\0"))
    await b.write(PUSH, len(b.aad) | PUSH_AAD)
    out = b""
    for at in range(0, 75, 16):
        part = data[at:at + 16]
        await b.write(IN, part.ljust(16, b"\0"))
        await b.write(PUSH, len(part) | (PUSH_LAST if at + 16 >= 75 else 0))
        out += await b.read(OUT, 4)
    assert await b.access(0, FINISH) == 1
    assert out[:75] + await b.read(TAG, 4) == AESGCM(b.key).encrypt(b.iv, data, b.aad)
    assert b.left() == ["tag_q"]
    await b.write(KEY_ERASE, 3)
    assert b.left() == []
