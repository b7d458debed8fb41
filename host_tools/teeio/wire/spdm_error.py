# SPDX-License-Identifier: Apache-2.0
"""SPDM ERROR and RESPOND_IF_READY (DSP0274 10.13, 10.14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_base import (
    KNOWN_VERSIONS,
    VERSION_10,
    Code,
    ErrorCode,
    Layout,
    SpdmMessage,
    read_header,
    write_header,
)

MAX_EXTENDED_BYTES: Final = 32
_EXTENDED_BYTES: Final = {
    ErrorCode.RESPONSE_NOT_READY: 4,
    ErrorCode.RESPONSE_TOO_LARGE: 4,
    ErrorCode.DATA_TOO_LARGE: 4,
    ErrorCode.LARGE_RESPONSE: 1,
}


def error_name(code: int) -> str:
    """Name of an error code, or its number."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code:#04x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpdmError(SpdmMessage):
    """ERROR. `extended` has the size its code defines; for VENDOR_DEFINED it is what was sent."""

    CODE: ClassVar[Code] = Code.ERROR
    version: int
    error: int
    data: int = 0
    extended: bytes = b""

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.error, self.data)
        return w.raw(self.extended).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        versions = (VERSION_10, *KNOWN_VERSIONS)
        version, error, data = read_header(r, cls.CODE, versions)
        if error == ErrorCode.VENDOR_DEFINED:
            extended = r.rest()
            if len(extended) > MAX_EXTENDED_BYTES:
                r.fail("extended error data above 32 bytes")
        else:
            size = _EXTENDED_BYTES.get(error, 0)  # type: ignore[call-overload]
            extended = r.take(size, "extended error data")
        return cls(version=version, error=error, data=data, extended=extended)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """Extended data of ResponseNotReady: come back after 2**rdt_exponent microseconds."""

    rdt_exponent: int
    request_code: int
    token: int
    rdt_multiplier: int

    def encode(self) -> bytes:
        w = Writer().u8(self.rdt_exponent, "RDTExponent").u8(self.request_code, "request code")
        return w.u8(self.token, "token").u8(self.rdt_multiplier, "RDTM").done()

    @classmethod
    def decode(cls, r: Reader) -> NotReady:
        return cls(
            rdt_exponent=r.u8("RDTExponent"),
            request_code=r.u8("request code"),
            token=r.u8("token"),
            rdt_multiplier=r.u8("RDTM"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondIfReady(SpdmMessage):
    """RESPOND_IF_READY: asks for the answer that was promised under `token`."""

    CODE: ClassVar[Code] = Code.RESPOND_IF_READY
    version: int
    request_code: int
    token: int

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.request_code, self.token).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, request_code, token = read_header(r, cls.CODE)
        return cls(version=version, request_code=request_code, token=token)
