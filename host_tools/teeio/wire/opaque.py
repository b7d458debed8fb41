# SPDX-License-Identifier: Apache-2.0
"""Opaque data of SPDM 1.2 and later (OpaqueDataFmt1), and what secured messages put into it.

DSP0274 "general opaque data format"; DSP0277 "secured message opaque element".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from teeio.errors import DecodeError
from teeio.wire.reader import Reader, Writer, decode_whole

REGISTRY_DMTF: Final = 0
SM_DATA_VERSION: Final = 1
SM_VERSION_SELECTION: Final = 0
SM_SUPPORTED_VERSIONS: Final = 1
SECURED_VERSION_10: Final = 0x1000
SECURED_VERSION_11: Final = 0x1100
SECURED_VERSION_12: Final = 0x1200


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueElement:
    """One element; padded with zero bytes to a multiple of 4 on the wire."""

    data: bytes
    registry_id: int = REGISTRY_DMTF
    vendor: bytes = b""

    def write(self, w: Writer) -> None:
        w.u8(self.registry_id, "registry id").u8(len(self.vendor), "vendor length")
        w.raw(self.vendor).u16(len(self.data), "element length").raw(self.data)
        w.raw(bytes(-(4 + len(self.vendor) + len(self.data)) % 4))

    @classmethod
    def read(cls, r: Reader) -> OpaqueElement:
        registry_id = r.u8("registry id")
        vendor = r.take(r.u8("vendor length"), "vendor id")
        data = r.take(r.u16("element length"), "opaque element")
        r.padding(-(4 + len(vendor) + len(data)) % 4, "opaque element padding")
        return cls(registry_id=registry_id, vendor=vendor, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueData:
    """The general opaque data: at least one element."""

    elements: tuple[OpaqueElement, ...]
    reserved: int = 0

    def encode(self) -> bytes:
        w = Writer().u8(len(self.elements), "TotalElements").u24(self.reserved, "reserved")
        for element in self.elements:
            element.write(w)
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> OpaqueData:
        count = r.u8("TotalElements")
        if count == 0:
            r.fail("opaque data without an element", offset=0)
        reserved = r.reserved(3)
        elements = tuple(OpaqueElement.read(r) for _ in range(count))
        return cls(elements=elements, reserved=reserved)


def supported_versions(versions: tuple[int, ...]) -> bytes:
    """Opaque data of KEY_EXCHANGE: the secured-message versions the requester offers."""
    w = Writer().u8(SM_DATA_VERSION).u8(SM_SUPPORTED_VERSIONS).u8(len(versions))
    for version in versions:
        w.u16(version)
    return OpaqueData(elements=(OpaqueElement(data=w.done()),)).encode()


def version_selection(version: int) -> bytes:
    """Opaque data of KEY_EXCHANGE_RSP: the version the responder chose."""
    data = Writer().u8(SM_DATA_VERSION).u8(SM_VERSION_SELECTION).u16(version).done()
    return OpaqueData(elements=(OpaqueElement(data=data),)).encode()


def _secured_message_elements(opaque: bytes, data_id: int) -> list[Reader]:
    """Readers behind the id byte of each secured-message element with this id."""
    found: list[Reader] = []
    for element in decode_whole(OpaqueData.decode, opaque).elements:
        if element.registry_id != REGISTRY_DMTF or element.vendor or len(element.data) < 2:
            continue
        r = Reader(element.data)
        if r.u8() == SM_DATA_VERSION and r.u8() == data_id:
            found.append(r)
    return found


def read_supported_versions(opaque: bytes) -> tuple[int, ...]:
    """Versions offered in KEY_EXCHANGE's opaque data.

    Raises:
        DecodeError: if there is not exactly one such list, or it is empty or malformed.
    """
    found = _secured_message_elements(opaque, SM_SUPPORTED_VERSIONS)
    if len(found) != 1:
        raise DecodeError(f"{len(found)} lists of secured versions", offset=0, data=opaque)
    r = found[0]
    count = r.u8("version count")
    if count == 0:
        r.fail("empty list of secured versions")
    versions = tuple(r.u16("secured version") for _ in range(count))
    r.expect_end()
    return versions


def read_version_selection(opaque: bytes) -> int:
    """The version chosen in KEY_EXCHANGE_RSP's opaque data.

    Raises:
        DecodeError: if there is not exactly one selection, or it is malformed.
    """
    found = _secured_message_elements(opaque, SM_VERSION_SELECTION)
    if len(found) != 1:
        raise DecodeError(f"{len(found)} secured version selections", offset=0, data=opaque)
    version = found[0].u16("secured version")
    found[0].expect_end()
    return version
