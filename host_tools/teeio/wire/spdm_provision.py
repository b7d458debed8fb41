# SPDX-License-Identifier: Apache-2.0
"""GET_CSR and SET_CERTIFICATE: another authority's certificate for the device (DSP0274 1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader
from teeio.wire.spdm_base import (
    MAX_OPAQUE_BYTES,
    Code,
    Layout,
    SpdmMessage,
    read_header,
    write_header,
)

ERASE_SLOT: Final = 0x80
"""Bit 7 of Param1 of SET_CERTIFICATE (1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCsr(SpdmMessage):
    """GET_CSR. `requester_info` is a DER CertificationRequestInfo, or empty."""

    CODE: ClassVar[Code] = Code.GET_CSR
    version: int
    param1: int = 0
    param2: int = 0
    requester_info: bytes = b""
    opaque: bytes = b""

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        w.u16(len(self.requester_info), "RequesterInfoLength")
        w.u16(len(self.opaque), "OpaqueDataLength")
        return w.raw(self.requester_info).raw(self.opaque).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_header(r, cls.CODE)
        info_size = r.u16("RequesterInfoLength")
        opaque_size = r.u16("OpaqueDataLength")
        if opaque_size > MAX_OPAQUE_BYTES:
            r.fail(f"opaque length {opaque_size} is above {MAX_OPAQUE_BYTES}")
        return cls(
            version=version,
            param1=param1,
            param2=param2,
            requester_info=r.take(info_size, "RequesterInfo"),
            opaque=r.take(opaque_size, "OpaqueData"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Csr(SpdmMessage):
    """CSR: a PKCS #10 request in DER, signed with the device's key."""

    CODE: ClassVar[Code] = Code.CSR
    version: int
    param1: int = 0
    param2: int = 0
    csr: bytes
    reserved: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        w.u16(len(self.csr), "CSRLength").u16(self.reserved, "reserved")
        return w.raw(self.csr).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_header(r, cls.CODE)
        size = r.u16("CSRLength")
        return cls(
            version=version,
            param1=param1,
            param2=param2,
            reserved=r.reserved(2),
            csr=r.take(size, "CSR"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCertificate(SpdmMessage):
    """SET_CERTIFICATE: the whole slot structure; nothing if `param1` erases the slot.

    Its length is that of the message: where padding may follow, the structure's own length counts.
    """

    CODE: ClassVar[Code] = Code.SET_CERTIFICATE
    version: int
    param1: int
    param2: int = 0
    structure: bytes = b""

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.param1, self.param2).raw(
            self.structure
        ).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_header(r, cls.CODE)
        return cls(version=version, param1=param1, param2=param2, structure=r.rest())


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCertificateRsp(SpdmMessage):
    """SET_CERTIFICATE_RSP: the slot that was set."""

    CODE: ClassVar[Code] = Code.SET_CERTIFICATE_RSP
    version: int
    slot: int
    param2: int = 0

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.slot, self.param2).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, slot, param2 = read_header(r, cls.CODE)
        return cls(version=version, slot=slot, param2=param2)
