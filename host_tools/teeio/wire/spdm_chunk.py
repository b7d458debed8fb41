# SPDX-License-Identifier: Apache-2.0
"""CHUNK_SEND, CHUNK_GET and their answers: a large SPDM message in parts (DSP0274)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_base import Code, Layout, SpdmMessage, read_header, write_header

CHUNK_HEADER_BYTES: Final = 12
LARGE_SIZE_BYTES: Final = 4
"""LargeMessageSize, in chunk 0 only."""

LAST_CHUNK: Final = 0x01
"""Param1 of CHUNK_SEND and CHUNK_RESPONSE."""
EARLY_ERROR: Final = 0x01
"""Param1 of CHUNK_SEND_ACK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChunkFields(SpdmMessage):
    """A chunk: `chunk` is part number `sequence` of a message of `large_size` bytes.

    `large_size` is present with sequence 0 only, and 0 otherwise.
    """

    version: int
    attributes: int = 0
    handle: int
    sequence: int
    chunk: bytes
    large_size: int = 0
    reserved: int = 0

    @property
    def is_last(self) -> bool:
        return bool(self.attributes & LAST_CHUNK)

    def encode(self) -> bytes:
        w: Writer = write_header(self.version, self.CODE, self.attributes, self.handle)
        w.u16(self.sequence, "ChunkSeqNo").u16(self.reserved, "reserved")
        w.u32(len(self.chunk), "ChunkSize")
        if self.sequence == 0:
            w.u32(self.large_size, "LargeMessageSize")
        return w.raw(self.chunk).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, attributes, handle = read_header(r, cls.CODE)
        r.expect_zero_bits(attributes, 0xFF & ~LAST_CHUNK, f"{cls.CODE.name} param1")
        sequence = r.u16("ChunkSeqNo")
        reserved = r.reserved(2)
        size = r.u32("ChunkSize")
        large_size = r.u32("LargeMessageSize") if sequence == 0 else 0
        return cls(
            version=version,
            attributes=attributes,
            handle=handle,
            sequence=sequence,
            reserved=reserved,
            chunk=r.take(size, "chunk"),
            large_size=large_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSend(_ChunkFields):
    """CHUNK_SEND: part of a large request."""

    CODE: ClassVar[Code] = Code.CHUNK_SEND


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResponse(_ChunkFields):
    """CHUNK_RESPONSE: part of a large answer."""

    CODE: ClassVar[Code] = Code.CHUNK_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSendAck(SpdmMessage):
    """CHUNK_SEND_ACK. `response`: what answers the large request, or an ERROR; or empty."""

    CODE: ClassVar[Code] = Code.CHUNK_SEND_ACK
    version: int
    attributes: int = 0
    handle: int
    sequence: int
    response: bytes = b""

    @property
    def is_early_error(self) -> bool:
        return bool(self.attributes & EARLY_ERROR)

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.attributes, self.handle)
        return w.u16(self.sequence, "ChunkSeqNo").raw(self.response).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, attributes, handle = read_header(r, cls.CODE)
        r.expect_zero_bits(attributes, 0xFF & ~EARLY_ERROR, "CHUNK_SEND_ACK param1")
        return cls(
            version=version,
            attributes=attributes,
            handle=handle,
            sequence=r.u16("ChunkSeqNo"),
            response=r.rest(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkGet(SpdmMessage):
    """CHUNK_GET: asks for part `sequence` of the answer behind `handle`."""

    CODE: ClassVar[Code] = Code.CHUNK_GET
    version: int
    handle: int
    sequence: int
    param1: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.handle)
        return w.u16(self.sequence, "ChunkSeqNo").done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, handle = read_header(r, cls.CODE)
        r.expect_zero_bits(param1, 0xFF, "CHUNK_GET param1")
        return cls(version=version, param1=param1, handle=handle, sequence=r.u16("ChunkSeqNo"))
