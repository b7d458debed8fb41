# SPDX-License-Identifier: Apache-2.0
"""CTR_DRBG and the conditioning of raw words, written from SP 800-90A and 800-90B.

Only the block cipher comes from a library. Lengths are in bytes, numbers big-endian.
"""

from __future__ import annotations

from cocotb_tests.crypto.aes_model import encrypt_block

SEED_BYTES = 48
CONDITION_KEY = bytes(range(32))


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


class CtrDrbg:
    """CTR_DRBG with AES-256, without derivation function (SP 800-90A, 10.2.1)."""

    def __init__(self, entropy: bytes) -> None:
        self.key = bytes(32)
        self.v = 0
        self.reseed(entropy)

    def _next_block(self) -> bytes:
        self.v = (self.v + 1) % (1 << 128)
        return encrypt_block(self.key, self.v.to_bytes(16, "big"))

    def _update(self, provided: bytes) -> None:
        temp = xor(b"".join(self._next_block() for _ in range(3)), provided)
        self.key, self.v = temp[:32], int.from_bytes(temp[32:], "big")

    def reseed(self, entropy: bytes) -> None:
        """Mix 48 bytes of full entropy in."""
        if len(entropy) != SEED_BYTES:
            raise ValueError("a seed has 48 bytes")
        self._update(entropy)

    def generate(self, length: int) -> bytes:
        """One generate call without additional input."""
        out = b"".join(self._next_block() for _ in range(-(-length // 16)))[:length]
        self._update(bytes(SEED_BYTES))
        return out


def condition(words: list[int], raw_blocks: int = 3) -> bytes:
    """Seed from 12 * raw_blocks raw words: three CBC-MACs under a public key."""
    raw = b"".join(w.to_bytes(4, "big") for w in words)
    size = 16 * raw_blocks
    if len(raw) != 3 * size:
        raise ValueError("wrong number of raw words")
    seed = b""
    for start in range(0, len(raw), size):
        mac = bytes(16)
        for i in range(start, start + size, 16):
            mac = encrypt_block(CONDITION_KEY, xor(mac, raw[i:i + 16]))
        seed += mac
    return seed
