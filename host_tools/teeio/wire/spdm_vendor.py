# SPDX-License-Identifier: Apache-2.0
"""SPDM VENDOR_DEFINED, the carrier of IDE_KM and TDISP (DSP0274 10.20; PCIe Base 6.x, 6.31.3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader
from teeio.wire.spdm_base import Code, Layout, SpdmMessage, read_reserved_header, write_header

STANDARD_PCI_SIG: Final = 3
PCI_SIG_VENDOR: Final = b"\x01\x00"


class PciProtocol(enum.IntEnum):
    """Byte 0 of a PCI-SIG vendor-defined payload."""

    IDE_KM = 0x00
    TDISP = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class _VendorDefinedFields(SpdmMessage):
    """`payload` counts from the protocol byte on."""

    version: int
    payload: bytes
    standard_id: int = STANDARD_PCI_SIG
    vendor_id: bytes = PCI_SIG_VENDOR
    param1: int = 0
    param2: int = 0

    @property
    def is_pci_sig(self) -> bool:
        return self.standard_id == STANDARD_PCI_SIG and self.vendor_id == PCI_SIG_VENDOR

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        w.u16(self.standard_id, "StandardID").u8(len(self.vendor_id), "VendorIDLen")
        w.raw(self.vendor_id).u16(len(self.payload), "payload length")
        return w.raw(self.payload).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE)
        standard_id = r.u16("StandardID")
        vendor_id = r.take(r.u8("VendorIDLen"), "VendorID")
        return cls(
            version=version,
            param1=param1,
            param2=param2,
            standard_id=standard_id,
            vendor_id=vendor_id,
            payload=r.take(r.u16("payload length"), "vendor payload"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDefinedRequest(_VendorDefinedFields):
    CODE: ClassVar[Code] = Code.VENDOR_DEFINED_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDefinedResponse(_VendorDefinedFields):
    CODE: ClassVar[Code] = Code.VENDOR_DEFINED_RESPONSE
