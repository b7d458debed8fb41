# SPDX-License-Identifier: Apache-2.0
"""Headers of TLPs by their byte positions, and the arithmetic of memory reads, for tests only.

Written from the byte tables of the specification, independently of the RTL and of the host tools.
Byte 0 is the first byte on the wire. Identifiers are 16 bits: bus 15:8, device 7:3, function 2:0.
"""

from __future__ import annotations

import dataclasses


def _common(byte0: int, length: int, *, tag: int = 0, tc: int = 0, attr: int = 0, ep: int = 0,
            at: int = 0) -> bytes:
    """First DW. attr: {IDO, RO, NS}; length in DW (1024 is coded 0); tag bits 9, 8 live here."""
    return bytes([
        byte0,
        (tag >> 9 & 1) << 7 | tc << 4 | (tag >> 8 & 1) << 3 | (attr >> 2) << 2,
        ep << 6 | (attr & 3) << 4 | at << 2 | (length >> 8 & 3),
        length & 0xFF,
    ])


def memory(address: int, length: int, *, write: bool, first_be: int = 0xF,
           last_be: int | None = None, requester: int = 0, tag: int = 0, tc: int = 0,
           attr: int = 0, ep: int = 0, at: int = 0, byte0: int | None = None) -> bytes:
    """Memory request: 3 DW below 4 GiB, else 4 DW. address: bytes, multiple of 4; length: DW."""
    wide = address >> 32 != 0
    if last_be is None:
        last_be = 0xF if length > 1 else 0
    if byte0 is None:
        byte0 = 0x40 if write else 0
    head = _common(byte0 | (0x20 if wide else 0), length, tag=tag, tc=tc, attr=attr, ep=ep, at=at)
    head += requester.to_bytes(2, "big") + bytes([tag & 0xFF, last_be << 4 | first_be])
    return head + address.to_bytes(8 if wide else 4, "big")


def config(target: int, register: int, *, write: bool, be: int = 0xF, requester: int = 0,
           tag: int = 0, ep: int = 0, type1: bool = False) -> bytes:
    """Configuration request; register: byte offset, multiple of 4."""
    head = _common((0x44 if write else 0x04) | int(type1), 1, tag=tag, ep=ep)
    return (head + requester.to_bytes(2, "big") + bytes([tag & 0xFF, be])
            + target.to_bytes(2, "big") + bytes([register >> 8, register & 0xFC]))


def completion(requester: int, tag: int, *, length: int, byte_count: int, lower: int = 0,
               status: int = 0, completer: int = 0, tc: int = 0, attr: int = 0, ep: int = 0,
               locked: bool = False) -> bytes:
    """Completion, with data if length (DW) is not 0."""
    head = _common((0x4A if length else 0x0A) | int(locked), length, tag=tag, tc=tc, attr=attr,
                   ep=ep)
    return (head + completer.to_bytes(2, "big")
            + (status << 13 | (byte_count & 0xFFF)).to_bytes(2, "big")
            + requester.to_bytes(2, "big") + bytes([tag & 0xFF, lower]))


def message(code: int, route: int, *, length: int = 0, requester: int = 0, ep: int = 0,
            tail: bytes = bytes(8)) -> bytes:
    """Message of 4 DW; route: 0..5; length: DW of payload."""
    head = _common((0x70 if length else 0x30) | route, length, ep=ep)
    return head + requester.to_bytes(2, "big") + bytes([0, code]) + tail


@dataclasses.dataclass(frozen=True)
class Completion:
    """Fields of a received completion."""

    has_data: bool
    locked: bool
    length: int
    tc: int
    attr: int
    ep: int
    completer: int
    status: int
    bcm: int
    byte_count: int
    requester: int
    tag: int
    lower: int
    payload: bytes


def parse_completion(header: bytes, payload: bytes) -> Completion:
    """Read a completion; fails if it contradicts itself or sets reserved bits."""
    assert len(header) == 12 and header[0] in (0x0A, 0x4A, 0x0B, 0x4B), header.hex()
    has_data = bool(header[0] & 0x40)
    length = (header[2] & 3) << 8 | header[3]
    assert len(payload) == (4 * (length or 1024) if has_data else 0)
    assert has_data or length == 0
    assert header[1] & 0x03 == 0 and header[2] & 0x8C == 0 and header[11] & 0x80 == 0
    status = int.from_bytes(header[6:8], "big")
    return Completion(
        has_data=has_data, locked=bool(header[0] & 1), length=length, tc=header[1] >> 4 & 7,
        attr=(header[1] >> 2 & 1) << 2 | header[2] >> 4 & 3, ep=header[2] >> 6 & 1,
        completer=int.from_bytes(header[4:6], "big"), status=status >> 13, bcm=status >> 12 & 1,
        byte_count=(status & 0xFFF) or 4096, requester=int.from_bytes(header[8:10], "big"),
        tag=(header[1] >> 7) << 9 | (header[1] >> 3 & 1) << 8 | header[10],
        lower=header[11] & 0x7F, payload=payload)


# Byte counts of one-DW reads by First BE, from the table of the specification.
ONE_DW_BYTE_COUNT = {
    0b0000: 1, 0b0001: 1, 0b0010: 1, 0b0100: 1, 0b1000: 1, 0b0011: 2, 0b0110: 2, 0b1100: 2,
    0b0101: 3, 0b0111: 3, 0b1010: 3, 0b1110: 3, 0b1001: 4, 0b1011: 4, 0b1101: 4, 0b1111: 4,
}


def first_byte(be: int) -> int:
    """Offset of the first enabled byte of a DW, 0 if none is."""
    return next((i for i in range(4) if be >> i & 1), 0)


def read_byte_count(length: int, first_be: int, last_be: int) -> int:
    """Bytes that a memory read asks for."""
    if length == 1:
        return ONE_DW_BYTE_COUNT[first_be]
    return 4 * length - first_byte(first_be) - next(i for i in range(4) if last_be >> (3 - i) & 1)
