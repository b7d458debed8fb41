# SPDX-License-Identifier: Apache-2.0
"""TLPs as bytes: a generator of legal ones, named ways to break them, and a judge.

All byte positions are those of the wire (Non-Flit Mode). `judge` is the reference for tlp_ingress
and knows nothing of beats.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

# Byte 0 of every TLP that is not a message.
MEMORY = {0x00, 0x20, 0x01, 0x21, 0x40, 0x60, 0x5B, 0x7B}
CFG_IO = {0x02, 0x42, 0x04, 0x44, 0x05, 0x45}
COMPLETIONS = {0x0A, 0x4A, 0x0B, 0x4B}
FETCH_SWAP = {0x4C, 0x6C, 0x4D, 0x6D}
CAS = {0x4E, 0x6E}
MESSAGES = {0x30 + r for r in range(8)} | {0x70 + r for r in range(8)}
DEFINED = MEMORY | CFG_IO | COMPLETIONS | FETCH_SWAP | CAS | MESSAGES

# Message code -> routing, for the messages whose TC and routing have to be checked.
CHECKED_ROUTE = {0x00: 3, 0x14: 4, 0x18: 0, 0x19: 3, 0x1B: 5, 0x30: 0, 0x31: 0, 0x33: 0, 0x50: 4,
                 **dict.fromkeys(range(0x20, 0x28), 4)}

END_END_PREFIXES = (0x90, 0x91, 0x9E, 0x9F)
LOCAL_PREFIXES = (0x80, 0x8E, 0x8F)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A TLP taken apart. payload and mac are only meaningful if it is not malformed."""

    malformed: bool
    prefix: bytes | None
    header: bytes
    payload: bytes
    mac: bytes | None


def field(header: bytes, name: str) -> int:
    """Header field by name, from its byte position."""
    match name:
        case "tc":
            return header[1] >> 4 & 7
        case "attr":
            return (header[1] >> 2 & 1) << 2 | header[2] >> 4 & 3
        case "td":
            return header[2] >> 7
        case "at":
            return header[2] >> 2 & 3
        case "length":
            return ((header[2] & 3) << 8 | header[3]) or 1024
        case "last_be":
            return header[7] >> 4
        case "first_be":
            return header[7] & 15
    raise KeyError(name)


def header_is_bad(header: bytes, ide: bool, max_payload_dw: int) -> bool:
    """Structural rules that the header alone decides."""
    kind = header[0]
    if kind not in DEFINED:
        return True
    length = field(header, "length")
    if kind & 0x40 and length > min(max_payload_dw, 64):
        return True
    if ide and field(header, "td"):
        return True
    if kind in MESSAGES and header[7] in CHECKED_ROUTE and (
            field(header, "tc") != 0 or kind & 7 != CHECKED_ROUTE[header[7]]):
        return True
    if kind in FETCH_SWAP and length not in (1, 2):
        return True
    if kind in CAS and length not in (2, 4, 8):
        return True
    if kind in MEMORY:
        address = int.from_bytes(header[8:16] if kind & 0x20 else header[8:12], "big") & ~3
        if address % 4096 + 4 * length > 4096:
            return True
        if length == 1 and field(header, "last_be"):
            return True
        if length > 1 and not (field(header, "last_be") and field(header, "first_be")):
            return True
    if kind in CFG_IO:
        if length != 1:
            return True
        if any(field(header, f) for f in ("last_be", "tc", "attr", "at")):
            return True
    return False


def judge(tlp: bytes, max_payload_dw: int = 64) -> Parsed:
    """Take a TLP (multiple of 4 bytes) apart and say whether it is Malformed."""
    prefix = None
    rest = tlp
    if tlp[0] >> 5 == 4:
        prefix, rest = tlp[:4], tlp[4:]
    size = 16 if rest and rest[0] & 0x20 else 12
    header, body = rest[:size], rest[size:]
    bad = Parsed(True, prefix, header, b"", None)
    if len(header) < size or (prefix and not prefix[0] & 0x10):
        return bad
    ide = prefix is not None and prefix[0] == 0x92
    if header_is_bad(header, ide, max_payload_dw):
        return bad
    want = 4 * field(header, "length") if header[0] & 0x40 else 0
    trailer = len(body) - want
    if ide:
        p, m = prefix[3] >> 3 & 1, prefix[3] >> 2 & 1
        if not (trailer == 12 if m and not p else 0 <= trailer <= 16):
            return bad
        return Parsed(False, prefix, header, body[:want], tlp[-12:])
    if trailer != 4 * field(header, "td"):
        return bad
    return Parsed(False, prefix, header, body[:want], None)


def make_header(kind: int, *, length: int, rng: random.Random, **fields: int) -> bytearray:
    """A legal header of the given first byte; random where the rules leave room."""
    size = 16 if kind & 0x20 else 12
    h = bytearray(rng.randbytes(size))
    h[0] = kind
    h[1] = fields.get("tc", rng.randrange(8)) << 4 | rng.choice((0x00, 0x80, 0x08, 0x04, 0x02))
    h[2] = (rng.randrange(2) << 6) | (length >> 8 & 3) | rng.choice((0, 0x10, 0x20))
    h[3] = length & 0xFF
    if kind in MEMORY:
        first, last = rng.randrange(16), 0
        if length > 1:
            first, last = rng.randrange(1, 16), rng.randrange(1, 16)
        h[7] = last << 4 | first
        low = rng.randrange(0, 4096 - 4 * length + 1, 4)
        h[-2:] = bytes([(rng.randrange(16) << 4) | low >> 8, (low & 0xFC) | rng.randrange(4)])
    elif kind in CFG_IO:
        h[1] &= 0x8B  # TC 0, no IDO
        h[2] &= 0x43
        h[7] &= 0x0F
    elif kind in MESSAGES and h[7] in CHECKED_ROUTE:
        h[0] = kind & ~7 | CHECKED_ROUTE[h[7]]
        h[1] &= 0x8F
    return h


def random_tlp(rng: random.Random, *, ide: bool | None = None, max_payload_dw: int = 64,
               digest: bool = True, other_prefix: bool = False) -> bytes:
    """A legal TLP of any kind; with IDE prefix and 12 bytes of MAC if `ide` (random if None)."""
    ide = rng.random() < 0.5 if ide is None else ide
    kind = rng.choice(sorted(DEFINED))
    if kind in CFG_IO:
        length = 1
    elif kind in FETCH_SWAP:
        length = rng.choice((1, 2))
    elif kind in CAS:
        length = rng.choice((2, 4, 8))
    elif kind & 0x40:
        length = rng.choice((1, 2, 3, 4, 5, max_payload_dw, rng.randint(1, max_payload_dw)))
    else:
        length = rng.choice((1, 2, 64, 128, 1024, rng.randint(1, 1024)))
    header = make_header(kind, length=length, rng=rng)
    out = b""
    tail = b""
    if ide:
        out = bytes([0x92, rng.randrange(256), rng.randrange(256),
                     rng.randrange(8) << 4 | 4 | rng.randrange(4)])
        tail = rng.randbytes(12)
    elif other_prefix:
        out = bytes([rng.choice(END_END_PREFIXES)]) + rng.randbytes(3)
    if not ide and digest and rng.random() < 0.2:
        header[2] |= 0x80
        tail = rng.randbytes(4)
    payload = rng.randbytes(4 * length) if kind & 0x40 else b""
    return out + bytes(header) + payload + tail


Breaker = Callable[[random.Random], bytes]


def _write(rng: random.Random, length: int = 8, kind: int = 0x40) -> tuple[bytearray, bytes]:
    return make_header(kind, length=length, rng=rng), rng.randbytes(4 * length)


def _undefined_type(rng: random.Random) -> bytes:
    h, data = _write(rng)
    h[0] = rng.choice(sorted(k for k in set(range(0x80)) - DEFINED if not k & 0x20))
    return bytes(h) + data


def _message_3dw(rng: random.Random) -> bytes:
    h, _ = _write(rng)
    return bytes([rng.choice((0x10, 0x12, 0x14))]) + bytes(h[1:])


def _reserved_fmt(rng: random.Random) -> bytes:
    h, data = _write(rng)
    h[0] = rng.randrange(0xA0, 0x100)
    return bytes(h) + data


def _local_prefix(rng: random.Random) -> bytes:
    return bytes([rng.choice(LOCAL_PREFIXES)]) + rng.randbytes(3) + random_tlp(rng, ide=False)


def _two_prefixes(rng: random.Random) -> bytes:
    return bytes([0x92, 0, 1, 4, rng.choice((*END_END_PREFIXES, 0x92))]) + rng.randbytes(3) \
        + random_tlp(rng, ide=False) + rng.randbytes(12)


def _prefix_before_ide(rng: random.Random) -> bytes:
    return bytes([rng.choice(END_END_PREFIXES)]) + rng.randbytes(3) + random_tlp(rng, ide=True)


def _too_short(rng: random.Random) -> bytes:
    h, data = _write(rng, rng.randint(2, 64))
    return bytes(h) + data[:4 * rng.randrange(len(data) // 4)]


def _too_long(rng: random.Random) -> bytes:
    h, data = _write(rng, rng.randint(1, 60))
    return bytes(h) + data + rng.randbytes(4 * rng.randint(1, 200))


def _runt(rng: random.Random) -> bytes:
    return random_tlp(rng)[:4 * rng.randint(1, 2)]


def _over_mps(rng: random.Random) -> bytes:
    h, data = _write(rng, rng.randint(65, 512))
    h[-2:] = bytes(2)
    return bytes(h) + data


def _td_without_digest(rng: random.Random) -> bytes:
    h, data = _write(rng)
    h[2] |= 0x80
    return bytes(h) + data


def _digest_without_td(rng: random.Random) -> bytes:
    h, data = _write(rng)
    return bytes(h) + data + bytes(4)


def _td_under_ide(rng: random.Random) -> bytes:
    h, data = _write(rng)
    h[2] |= 0x80
    return bytes([0x92, 0, 1, 4]) + bytes(h) + data + rng.randbytes(rng.choice((12, 16)))


def _mac_missing(rng: random.Random) -> bytes:
    tlp = random_tlp(rng, ide=True)
    return tlp[:-4 * rng.randint(1, 3)]


def _mac_too_long(rng: random.Random) -> bytes:
    return random_tlp(rng, ide=True) + rng.randbytes(4)


def _message_tc(rng: random.Random) -> bytes:
    h = make_header(0x34, length=1, rng=rng)
    h[7] = rng.choice(sorted(CHECKED_ROUTE))
    h[0] = 0x30 | CHECKED_ROUTE[h[7]]
    h[1] = rng.randrange(1, 8) << 4
    return bytes(h)


def _message_route(rng: random.Random) -> bytes:
    h = make_header(0x34, length=1, rng=rng)
    h[7] = rng.choice(sorted(CHECKED_ROUTE))
    h[0] = 0x30 | rng.choice([r for r in range(8) if r != CHECKED_ROUTE[h[7]]])
    h[1] = 0
    return bytes(h)


def _operand_size(rng: random.Random) -> bytes:
    kind = rng.choice(sorted(FETCH_SWAP | CAS))
    length = rng.choice((3, 4, 8) if kind in FETCH_SWAP else (1, 3, 16))
    h = make_header(kind, length=length, rng=rng)
    return bytes(h) + rng.randbytes(4 * length)


def _page_crossing(rng: random.Random) -> bytes:
    kind = rng.choice((0x40, 0x60, 0x00, 0x20))
    h, data = _write(rng, rng.randint(2, 32), kind)
    h[-2:] = bytes([h[-2] | 0x0F, 0xFC])
    return bytes(h) + (data if kind & 0x40 else b"")


def _byte_enables(rng: random.Random) -> bytes:
    length = rng.choice((1, 2, 5))
    kind = rng.choice((0x40, 0x60, 0x00, 0x20))
    h, data = _write(rng, length, kind)
    h[7] = (rng.randrange(1, 16) << 4 | rng.randrange(16)) if length == 1 \
        else rng.choice((rng.randrange(16), rng.randrange(16) << 4))
    return bytes(h) + (data if kind & 0x40 else b"")


def _config_fields(rng: random.Random) -> bytes:
    kind = rng.choice(sorted(CFG_IO))
    h = make_header(kind, length=1, rng=rng)
    i, bit = rng.choice(((1, 0x10), (1, 0x04), (2, 0x10), (2, 0x20), (2, 0x04), (7, 0x80)))
    h[i] |= bit
    return bytes(h) + (bytes(4) if kind & 0x40 else b"")


def _config_length(rng: random.Random) -> bytes:
    kind = rng.choice(sorted(CFG_IO))
    h = make_header(kind, length=2, rng=rng)
    return bytes(h) + (bytes(8) if kind & 0x40 else b"")


BREAKERS: dict[str, Breaker] = {
    f.__name__.strip("_"): f for f in (
        _undefined_type, _message_3dw, _reserved_fmt, _local_prefix, _two_prefixes,
        _prefix_before_ide, _too_short, _too_long, _runt, _over_mps, _td_without_digest,
        _digest_without_td, _td_under_ide, _mac_missing, _mac_too_long, _message_tc,
        _message_route, _operand_size, _page_crossing, _byte_enables, _config_fields,
        _config_length)
}
