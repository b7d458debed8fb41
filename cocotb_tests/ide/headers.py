# SPDX-License-Identifier: Apache-2.0
"""TLP headers in wire order, built from the field layout of the base specification."""

from __future__ import annotations


def _dw0(fmt_type: int, length_dw: int, tc: int = 0) -> bytes:
    return bytes([fmt_type, tc << 4, length_dw >> 8 & 3, length_dw & 0xFF])


def mwr32(address: int, length_dw: int, *, requester: int = 0x0100, tag: int = 0,
          tc: int = 0) -> bytes:
    """Memory write, 32-bit address."""
    be = 0x0F if length_dw == 1 else 0xFF
    return (_dw0(0x40, length_dw, tc) + requester.to_bytes(2, "big") + bytes([tag, be])
            + address.to_bytes(4, "big"))


def mwr64(address: int, length_dw: int, *, requester: int = 0x0100, tag: int = 0,
          tc: int = 0) -> bytes:
    """Memory write, 64-bit address."""
    be = 0x0F if length_dw == 1 else 0xFF
    return (_dw0(0x60, length_dw, tc) + requester.to_bytes(2, "big") + bytes([tag, be])
            + address.to_bytes(8, "big"))


def mrd32(address: int, length_dw: int, *, requester: int = 0x0100, tag: int = 0) -> bytes:
    """Memory read, 32-bit address."""
    be = 0x0F if length_dw == 1 else 0xFF
    return (_dw0(0x00, length_dw) + requester.to_bytes(2, "big") + bytes([tag, be])
            + address.to_bytes(4, "big"))


def mrd64(address: int, length_dw: int, *, requester: int = 0x0100, tag: int = 0) -> bytes:
    """Memory read, 64-bit address."""
    be = 0x0F if length_dw == 1 else 0xFF
    return (_dw0(0x20, length_dw) + requester.to_bytes(2, "big") + bytes([tag, be])
            + address.to_bytes(8, "big"))


def cpl(*, completer: int = 0x0100, requester: int = 0x0501, tag: int = 0, length_dw: int = 0,
        byte_count: int | None = None, status: int = 0, lower: int = 0) -> bytes:
    """Completion: without data if length_dw is 0."""
    count = 4 * length_dw if byte_count is None else byte_count
    return (_dw0(0x4A if length_dw else 0x0A, length_dw) + completer.to_bytes(2, "big")
            + bytes([status << 5 | count >> 8 & 0xF, count & 0xFF])
            + requester.to_bytes(2, "big") + bytes([tag, lower]))


def config(fmt_type: int, *, target: int = 0x0500, register: int = 0) -> bytes:
    """Configuration request: 04h/44h type 0 read/write, 05h/45h type 1."""
    return (_dw0(fmt_type, 1) + bytes([0x01, 0x00, 0, 0x0F]) + target.to_bytes(2, "big")
            + bytes([register >> 8 & 0xF, register & 0xFC]))


def io(fmt_type: int, address: int = 0x1000) -> bytes:
    """I/O read (02h) or write (42h)."""
    return _dw0(fmt_type, 1) + bytes([0x01, 0x00, 0, 0x0F]) + address.to_bytes(4, "big")


def msg(code: int, routing: int = 0, *, requester: int = 0x0100, rest: bytes = bytes(8),
        length_dw: int = 0) -> bytes:
    """Message, with data if length_dw is not 0. rest: bytes 8 to 15."""
    return (_dw0((0x70 if length_dw else 0x30) | routing, length_dw)
            + requester.to_bytes(2, "big") + bytes([0, code]) + rest)
