# SPDX-License-Identifier: Apache-2.0
"""Data Object Exchange: the object header and discovery (PCIe Base 6.x, 6.30.1)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from teeio.errors import LocalError
from teeio.wire.reader import Reader, Writer

PCI_SIG_VENDOR_ID: Final = 0x0001
HEADER_BYTES: Final = 8
MAX_LENGTH_DW: Final = 1 << 18
"""Length of the largest object, header included; its length field reads 0."""


class DoeType(enum.IntEnum):
    """Data object types of vendor 0001h."""

    DISCOVERY = 0
    SPDM = 1
    SECURED_SPDM = 2
    SPDM_CONNECTION_ID = 3
    SECURED_SPDM_CONNECTION_ID = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DoeObject:
    """One data object. `payload` is padded: its size is a multiple of 4 bytes."""

    object_type: int
    payload: bytes
    vendor_id: int = PCI_SIG_VENDOR_ID
    reserved_type: int = 0
    reserved_length: int = 0

    def __post_init__(self) -> None:
        if len(self.payload) % 4:
            raise LocalError("a DOE payload is padded to whole DWs: use DoeObject.wrap")
        if self.length_dw > MAX_LENGTH_DW:
            raise LocalError(f"{len(self.payload)} bytes do not fit a DOE object")

    @classmethod
    def wrap(cls, object_type: int, message: bytes) -> DoeObject:
        """Pads `message` with zero bytes and makes it an object of vendor 0001h."""
        return cls(object_type=object_type, payload=message + bytes(-len(message) % 4))

    @property
    def length_dw(self) -> int:
        """Length in DWs including the two header DWs."""
        return (HEADER_BYTES + len(self.payload)) // 4

    def encode(self) -> bytes:
        dw0 = self.vendor_id | self.object_type << 16 | self.reserved_type << 24
        dw1 = self.length_dw % MAX_LENGTH_DW | self.reserved_length << 18
        return Writer().u32(dw0, "header").u32(dw1, "length").raw(self.payload).done()

    @classmethod
    def decode(cls, r: Reader) -> DoeObject:
        dw0 = r.u32("DOE header")
        r.expect_zero_bits(dw0, 0xFF00_0000, "DOE header DW0 [31:24]")
        dw1 = r.u32("DOE length")
        r.expect_zero_bits(dw1, 0xFFFC_0000, "DOE header DW1 [31:18]")
        length_dw = dw1 % MAX_LENGTH_DW or MAX_LENGTH_DW
        if length_dw < 2:
            r.fail("DOE length below two DWs")
        return cls(
            vendor_id=dw0 & 0xFFFF,
            object_type=dw0 >> 16 & 0xFF,
            reserved_type=dw0 >> 24,
            reserved_length=dw1 >> 18,
            payload=r.take(4 * length_dw - HEADER_BYTES, "DOE payload"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryRequest:
    """DOE Discovery request payload. `version` is 0, or 2 for capability version 2."""

    index: int
    version: int = 0
    reserved: int = 0

    def encode(self) -> bytes:
        w = Writer().u8(self.index, "index").u8(self.version, "version")
        return w.u16(self.reserved, "reserved").done()

    @classmethod
    def decode(cls, r: Reader) -> DiscoveryRequest:
        return cls(index=r.u8("index"), version=r.u8("version"), reserved=r.reserved(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryResponse:
    """DOE Discovery response payload. `next_index` 0 ends the list."""

    vendor_id: int
    object_type: int
    next_index: int

    def encode(self) -> bytes:
        w = Writer().u16(self.vendor_id, "vendor id").u8(self.object_type, "type")
        return w.u8(self.next_index, "next index").done()

    @classmethod
    def decode(cls, r: Reader) -> DiscoveryResponse:
        return cls(
            vendor_id=r.u16("vendor id"), object_type=r.u8("type"), next_index=r.u8("next index")
        )
