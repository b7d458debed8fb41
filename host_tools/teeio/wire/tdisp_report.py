# SPDX-License-Identifier: Apache-2.0
"""The device interface report of TDISP, and the MMIO range it is made of.

Addresses are in units of 4 KiB: first page = (host address + MMIO_REPORTING_OFFSET) >> 12.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from teeio.wire.reader import Reader, Writer

PAGE_BYTES: Final = 4096
MAX_RANGES: Final = 4096


class RangeAttribute(enum.IntFlag):
    MSIX_TABLE = 1 << 0
    MSIX_PBA = 1 << 1
    IS_NON_TEE_MEM = 1 << 2
    IS_MEM_ATTR_UPDATABLE = 1 << 3


class InterfaceInfo(enum.IntFlag):
    NO_FW_UPDATE = 1 << 0
    DMA_WITHOUT_PASID = 1 << 1
    DMA_WITH_PASID = 1 << 2
    ATS = 1 << 3
    PRS = 1 << 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MmioRange:
    """One range. `range_id` is the BAR number."""

    first_page: int
    pages: int
    attributes: int
    range_id: int

    @property
    def is_tee(self) -> bool:
        return not self.attributes & RangeAttribute.IS_NON_TEE_MEM

    def write(self, w: Writer) -> None:
        w.u64(self.first_page, "first page").u32(self.pages, "page count")
        w.u16(self.attributes, "attributes").u16(self.range_id, "range id")

    @classmethod
    def read(cls, r: Reader) -> MmioRange:
        return cls(
            first_page=r.u64("first page"),
            pages=r.u32("page count"),
            attributes=r.expect_zero_bits(r.u16("attributes"), 0xFFF0, "attributes 15:4"),
            range_id=r.u16("range id"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceReport:
    """DEVICE_INTERFACE_REPORT, put together from its portions."""

    interface_info: int
    msix_message_control: int = 0
    lnr_control: int = 0
    tph_control: int = 0
    ranges: tuple[MmioRange, ...] = ()
    device_specific: bytes = b""
    reserved: int = 0

    def encode(self) -> bytes:
        w = Writer().u16(self.interface_info, "INTERFACE_INFO").u16(self.reserved, "reserved")
        w.u16(self.msix_message_control, "MSI-X message control")
        w.u16(self.lnr_control, "LNR control").u32(self.tph_control, "TPH control")
        w.u32(len(self.ranges), "MMIO_RANGE_COUNT")
        for item in self.ranges:
            item.write(w)
        w.u32(len(self.device_specific), "DEVICE_SPECIFIC_INFO_LEN")
        return w.raw(self.device_specific).done()

    @classmethod
    def decode(cls, r: Reader) -> InterfaceReport:
        info = r.expect_zero_bits(r.u16("INTERFACE_INFO"), 0xFFE0, "INTERFACE_INFO 15:5")
        reserved = r.reserved(2)
        msix_message_control = r.u16("MSI-X message control")
        lnr_control = r.u16("LNR control")
        tph_control = r.u32("TPH control")
        count = r.u32("MMIO_RANGE_COUNT")
        if count > MAX_RANGES:
            r.fail(f"{count} MMIO ranges", offset=r.offset - 4)
        ranges = tuple(MmioRange.read(r) for _ in range(count))
        return cls(
            interface_info=info,
            reserved=reserved,
            msix_message_control=msix_message_control,
            lnr_control=lnr_control,
            tph_control=tph_control,
            ranges=ranges,
            device_specific=r.take(r.u32("DEVICE_SPECIFIC_INFO_LEN"), "device specific info"),
        )
