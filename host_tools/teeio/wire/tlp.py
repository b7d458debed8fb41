# SPDX-License-Identifier: Apache-2.0
"""Transaction layer packets (non-flit mode): fields, builders, byte-exact encode and decode.

All byte strings are in wire order. Addresses and identifiers are plain integers; a Requester ID is
``bus << 8 | device << 3 | function``. Layouts: PCIe Base 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from teeio.errors import DecodeError

IDE_PREFIX = 0x92
PREFIX_FORMAT = 0b100  # Fmt, bits 7:5 of the first byte
MAC_BYTES = 12


class TlpType(IntEnum):
    """Byte 0 of a header (Fmt and Type); messages carry their route in the low three bits."""

    MRD32 = 0x00
    MRD64 = 0x20
    MRDLK32 = 0x01
    MRDLK64 = 0x21
    MWR32 = 0x40
    MWR64 = 0x60
    IORD = 0x02
    IOWR = 0x42
    CFGRD0 = 0x04
    CFGWR0 = 0x44
    CFGRD1 = 0x05
    CFGWR1 = 0x45
    CPL = 0x0A
    CPLD = 0x4A
    CPLLK = 0x0B
    CPLDLK = 0x4B
    FETCHADD32 = 0x4C
    FETCHADD64 = 0x6C
    SWAP32 = 0x4D
    SWAP64 = 0x6D
    CAS32 = 0x4E
    CAS64 = 0x6E
    DMWR32 = 0x5B
    DMWR64 = 0x7B
    MSG = 0x30
    MSGD = 0x70


class CplStatus(IntEnum):
    """Completion status."""

    SC = 0
    UR = 1
    CRS = 2
    CA = 4


class MessageCode(IntEnum):
    """Message codes used here."""

    ERR_COR = 0x30
    ERR_NONFATAL = 0x31
    ERR_FATAL = 0x33
    SET_SLOT_POWER_LIMIT = 0x50
    IDE_SYNC = 0x54
    IDE_FAIL = 0x55
    VENDOR_0 = 0x7E
    VENDOR_1 = 0x7F


class TlpClass(IntEnum):
    """Ordering class; the numbers are the IDE sub-stream numbers."""

    POSTED = 0
    NON_POSTED = 1
    COMPLETION = 2


@dataclass(frozen=True, slots=True)
class Tlp:
    """One TLP: header of 12 or 16 bytes and payload of whole DWs.

    Attributes:
        header: 12 or 16 bytes.
        payload: 0..1024 DWs.
    """

    header: bytes
    payload: bytes = b""

    @property
    def type_byte(self) -> int:
        """Fmt and Type."""
        return self.header[0]

    @property
    def is_message(self) -> bool:
        """Msg or MsgD, any route."""
        return self.header[0] & 0x18 == 0x10

    @property
    def is_completion(self) -> bool:
        """Cpl, CplD and their locked forms."""
        return self.header[0] & 0x1E == 0x0A

    @property
    def is_mem_read(self) -> bool:
        """MRd with a 32- or 64-bit address."""
        return self.header[0] in (TlpType.MRD32, TlpType.MRD64)

    @property
    def is_mem_write(self) -> bool:
        """MWr with a 32- or 64-bit address."""
        return self.header[0] in (TlpType.MWR32, TlpType.MWR64)

    @property
    def tlp_class(self) -> TlpClass:
        """Ordering class."""
        if self.is_message or self.is_mem_write:
            return TlpClass.POSTED
        return TlpClass.COMPLETION if self.is_completion else TlpClass.NON_POSTED

    @property
    def length_dw(self) -> int:
        """Length field in DW, 1..1024 (0, as in a completion without data, reads as 1024)."""
        return ((self.header[2] & 3) << 8 | self.header[3]) or 1024

    @property
    def poisoned(self) -> bool:
        """EP bit."""
        return bool(self.header[2] & 0x40)

    @property
    def requester_id(self) -> int:
        """Requester ID of a request, or the one a completion is sent to."""
        at = 8 if self.is_completion else 4
        return int.from_bytes(self.header[at:at + 2], "big")

    @property
    def tag(self) -> int:
        """10-bit tag (T9, T8 in byte 1)."""
        low = self.header[10] if self.is_completion else self.header[6]
        return (self.header[1] & 0x80) << 2 | (self.header[1] & 0x08) << 5 | low

    @property
    def address(self) -> int:
        """DW-aligned byte address of a memory request."""
        return int.from_bytes(self.header[8:], "big") & ~3

    @property
    def first_be(self) -> int:
        """First DW byte enables."""
        return self.header[7] & 0xF

    @property
    def last_be(self) -> int:
        """Last DW byte enables."""
        return self.header[7] >> 4

    @property
    def cpl_status(self) -> int:
        """Completion status (`CplStatus`)."""
        return self.header[6] >> 5

    @property
    def cpl_byte_count(self) -> int:
        """Byte Count of a completion, 1..4096."""
        return ((self.header[6] & 0xF) << 8 | self.header[7]) or 4096

    @property
    def cpl_lower_address(self) -> int:
        """Lower Address of a completion."""
        return self.header[11] & 0x7F

    @property
    def completer_id(self) -> int:
        """Completer ID of a completion."""
        return int.from_bytes(self.header[4:6], "big")

    @property
    def message_code(self) -> int:
        """Code of a message."""
        return self.header[7]

    def encode(self) -> bytes:
        """Header and payload, as sent without IDE."""
        return self.header + self.payload

    def poison(self) -> Tlp:
        """The same TLP with EP set."""
        h = bytearray(self.header)
        h[2] |= 0x40
        return replace(self, header=bytes(h))


def header_bytes(first: int) -> int:
    """Length of a header from its byte 0."""
    return 16 if first & 0x20 else 12


def decode(data: bytes) -> Tlp:
    """Decode a TLP without prefix.

    Raises:
        DecodeError: the length does not match the header.
    """
    if len(data) < 12 or data[0] & 0x80:
        raise DecodeError("not the header of a TLP", offset=0, data=data)
    n = header_bytes(data[0])
    tlp = Tlp(bytes(data[:n]), bytes(data[n:]))
    expected = 4 * tlp.length_dw if data[0] & 0x40 else 0
    if len(data) < n or len(tlp.payload) != expected:
        raise DecodeError(
            f"length field says {expected} payload bytes, {len(tlp.payload)} are there",
            offset=2, data=data)
    return tlp


def classify(data: bytes) -> TlpClass:
    """Ordering class of the bytes of a TLP, which may begin with one prefix of any kind."""
    return Tlp(data[4:] if data[0] >> 5 == PREFIX_FORMAT else data).tlp_class


def _dw0(first: int, length_dw: int, tag: int = 0) -> bytes:
    byte1 = (tag >> 2 & 0x80) | (tag >> 5 & 0x08)
    return bytes((first, byte1, length_dw >> 8 & 3, length_dw & 0xFF))


def mem_read(address: int, length_dw: int, requester_id: int, tag: int, first_be: int = 0xF,
             last_be: int | None = None) -> Tlp:
    """Memory read; a 64-bit header is used when the address needs it."""
    last = (0xF if length_dw > 1 else 0) if last_be is None else last_be
    wide = address >> 32 != 0
    head = _dw0(TlpType.MRD64 if wide else TlpType.MRD32, length_dw, tag)
    head += requester_id.to_bytes(2, "big") + bytes((tag & 0xFF, last << 4 | first_be))
    return Tlp(head + (address & ~3).to_bytes(8 if wide else 4, "big"))


def mem_write(address: int, payload: bytes, requester_id: int, first_be: int = 0xF,
              last_be: int | None = None, tag: int = 0) -> Tlp:
    """Memory write of whole DWs."""
    length_dw = len(payload) // 4
    last = (0xF if length_dw > 1 else 0) if last_be is None else last_be
    wide = address >> 32 != 0
    head = _dw0(TlpType.MWR64 if wide else TlpType.MWR32, length_dw, tag)
    head += requester_id.to_bytes(2, "big") + bytes((tag & 0xFF, last << 4 | first_be))
    return Tlp(head + (address & ~3).to_bytes(8 if wide else 4, "big"), payload)


def config_read(bdf: int, offset: int, requester_id: int, tag: int, kind: int = 0) -> Tlp:
    """Configuration read of one DW (type 0 or 1)."""
    head = _dw0(TlpType.CFGRD0 + kind, 1, tag)
    head += requester_id.to_bytes(2, "big") + bytes((tag & 0xFF, 0x0F))
    return Tlp(head + bdf.to_bytes(2, "big") + (offset & 0xFFC).to_bytes(2, "big"))


def config_write(bdf: int, offset: int, value: int, requester_id: int, tag: int,
                 byte_enable: int = 0xF, kind: int = 0) -> Tlp:
    """Configuration write of one DW; `value` has register meaning (little-endian on the wire)."""
    head = _dw0(TlpType.CFGWR0 + kind, 1, tag)
    head += requester_id.to_bytes(2, "big") + bytes((tag & 0xFF, byte_enable))
    return Tlp(head + bdf.to_bytes(2, "big") + (offset & 0xFFC).to_bytes(2, "big"),
               value.to_bytes(4, "little"))


def completion(request: Tlp, completer_id: int, status: int = CplStatus.SC, payload: bytes = b"",
               byte_count: int = 4, lower_address: int = 0) -> Tlp:
    """Completion of a request; tag, TC, Attr and Requester ID are copied from it."""
    first = TlpType.CPLD if payload else TlpType.CPL
    length = len(payload) // 4
    head = bytes((first, request.header[1], request.header[2] & 0x30 | (length >> 8 & 3),
                  length & 0xFF))
    head += completer_id.to_bytes(2, "big")
    head += bytes((status << 5 | (byte_count >> 8 & 0xF), byte_count & 0xFF))
    head += request.header[4:6] + bytes((request.header[6], lower_address & 0x7F))
    return Tlp(head, payload)


def message(code: int, route: int, requester_id: int, body: bytes = bytes(8),
            payload: bytes = b"") -> Tlp:
    """Message; `body` is header bytes 8..15."""
    first = (TlpType.MSGD if payload else TlpType.MSG) | route
    head = _dw0(first, len(payload) // 4) + requester_id.to_bytes(2, "big") + bytes((0, code))
    return Tlp(head + body, payload)
