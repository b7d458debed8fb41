# SPDX-License-Identifier: Apache-2.0
"""AES-256 key schedule from the definition (FIPS 197), for looking into key memories.

Encryption itself is taken from `cryptography`; this module only supplies what that library does
not show: the S-box and the round keys. `round_keys` is checked against the library by
`test_model_key_schedule_matches_the_library`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def gf_mul(a: int, b: int) -> int:
    """Product in GF(2)[x]/(x^8 + x^4 + x^3 + x + 1)."""
    out = 0
    for bit in range(8):
        if b >> bit & 1:
            out ^= a << bit
    for bit in range(14, 7, -1):
        if out >> bit & 1:
            out ^= 0x11B << (bit - 8)
    return out


def sub_byte(value: int) -> int:
    """S-box: inverse as the 254th power, then the affine transformation."""
    inverse = 1
    for _ in range(254):
        inverse = gf_mul(inverse, value)
    out = 0x63
    for shift in range(5):
        out ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
    return out


SBOX = bytes(sub_byte(x) for x in range(256))


def round_keys(key: bytes) -> list[bytes]:
    """The fifteen round keys of AES-256, 16 bytes each, in order of use."""
    if len(key) != 32:
        raise ValueError("an AES-256 key has 32 bytes")
    words = [key[i:i + 4] for i in range(0, 32, 4)]
    rcon = 1
    while len(words) < 60:
        temp = words[-1]
        if len(words) % 8 == 0:
            temp = bytes(SBOX[b] for b in temp[1:] + temp[:1])
            temp = bytes([temp[0] ^ rcon]) + temp[1:]
            rcon <<= 1
        elif len(words) % 8 == 4:
            temp = bytes(SBOX[b] for b in temp)
        words.append(bytes(a ^ b for a, b in zip(temp, words[-8], strict=True)))
    return [b"".join(words[i:i + 4]) for i in range(0, 60, 4)]


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """AES of one 16-byte block, by the library."""
    # The bare block function is what CTR_DRBG, CBC-MAC and GHASH are defined with.
    enc = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return enc.update(block) + enc.finalize()


def encrypt_block_by_rounds(keys: list[bytes], block: bytes) -> bytes:
    """AES of one block from given round keys, straight from the definition."""
    state = bytes(a ^ b for a, b in zip(block, keys[0], strict=True))
    for number, key in enumerate(keys[1:], 1):
        sub = [SBOX[b] for b in state]
        rows = [sub[4 * ((c + r) % 4) + r] for c in range(4) for r in range(4)]
        if number < len(keys) - 1:
            rows = [gf_mul(2, rows[4 * c + r]) ^ gf_mul(3, rows[4 * c + (r + 1) % 4])
                    ^ rows[4 * c + (r + 2) % 4] ^ rows[4 * c + (r + 3) % 4]
                    for c in range(4) for r in range(4)]
        state = bytes(a ^ b for a, b in zip(rows, key, strict=True))
    return state
