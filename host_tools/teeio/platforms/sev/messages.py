# SPDX-License-Identifier: Apache-2.0
"""Guest messages of SEV-TIO, and how they are sealed.

Header of 0x60 bytes as in the SEV-SNP firmware ABI: tag, sequence number, and what is
authenticated from byte 0x30 on. AES-256-GCM with the sequence number as IV. Version 2 messages
name a TDI by a 64-bit id that the firmware made at bind, version 1 by the 16-bit guest device id.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from teeio.core.secret import Secret
from teeio.errors import DecodeError, PeerError

HEADER = 0x60
AAD_FROM = 0x30
TAG_BYTES = 16
KEY_BYTES = 32
PAYLOAD_LIMIT = 4000
ALGORITHM_AES_256_GCM = 1
HEADER_VERSION = 1


class Type(IntEnum):
    """Message types, version 2."""

    TDI_INFO_REQ = 19
    TDI_INFO_RSP = 20
    MMIO_VALIDATE_REQ = 21
    MMIO_VALIDATE_RSP = 22
    MMIO_CONFIG_REQ = 23
    MMIO_CONFIG_RSP = 24
    SDTE_WRITE_REQ = 25
    SDTE_WRITE_RSP = 26


V1_TYPES = {Type.TDI_INFO_REQ: 0x81, Type.TDI_INFO_RSP: 0x01, Type.MMIO_VALIDATE_REQ: 0x82,
            Type.MMIO_VALIDATE_RSP: 0x02, Type.MMIO_CONFIG_REQ: 0x83, Type.MMIO_CONFIG_RSP: 0x03,
            Type.SDTE_WRITE_REQ: 0x84, Type.SDTE_WRITE_RSP: 0x04}
_FROM_V1 = {number: kind for kind, number in V1_TYPES.items()}


class Status(IntEnum):
    """Status of TDI_INFO and SDTE_WRITE; the first three of MMIO_VALIDATE too."""

    OK = 0
    INVALID_TDI = 1
    NOT_BOUND = 2
    RESERVED = 3


class MmioStatus(IntEnum):
    """Status of MMIO_VALIDATE, version 2."""

    OK = 0
    INVALID_TDI = 1
    UNBOUND = 2
    NOT_ASSIGNED = 3
    NOT_IO = 4
    NOT_UNIFORM = 5
    NOT_IMMUTABLE = 6
    NOT_MAPPED = 7
    NOT_REPORTED = 8
    OUT_OF_RANGE = 9
    NOT_4K = 10


class ConfigStatus(IntEnum):
    """Status of MMIO_CONFIG."""

    OK = 0
    INVALID_TDI = 1
    UNBOUND = 2
    NOT_REPORTED = 3
    NOT_CHANGED = 4


_V1_MMIO = {MmioStatus.OK: 0, MmioStatus.INVALID_TDI: 1, MmioStatus.UNBOUND: 2,
            MmioStatus.NOT_ASSIGNED: 3, MmioStatus.NOT_IO: 3, MmioStatus.NOT_UNIFORM: 4,
            MmioStatus.NOT_IMMUTABLE: 5, MmioStatus.NOT_MAPPED: 6, MmioStatus.NOT_REPORTED: 7,
            MmioStatus.OUT_OF_RANGE: 8, MmioStatus.NOT_4K: 4}


def mmio_code(status: MmioStatus, version: int) -> int:
    """The number a status has in a message version; version 1 knows neither 'not I/O' (it says
    'not assigned') nor 'not 4K' ('not uniform')."""
    return int(status) if version == 2 else _V1_MMIO[status]


@dataclass(frozen=True, slots=True)
class Message:
    """An opened message."""

    type: Type
    version: int
    sequence: int
    body: bytes


def seal(key: Secret, sequence: int, kind: Type, body: bytes, version: int = 2,
         vmpck: int = 0) -> bytes:
    """A message: header and ciphertext."""
    number = int(kind) if version == 2 else V1_TYPES[kind]
    tail = struct.pack("<BBHBBHIB", ALGORITHM_AES_256_GCM, HEADER_VERSION, HEADER, number, version,
                       len(body), 0, vmpck).ljust(HEADER - AAD_FROM, b"\0")
    sealed = AESGCM(key.reveal()).encrypt(_iv(sequence), body, tail)
    head = sealed[-TAG_BYTES:].ljust(32, b"\0") + sequence.to_bytes(8, "little") + bytes(8)
    return head + tail + sealed[:-TAG_BYTES]


def unseal(key: Secret, sequence: int, data: bytes) -> Message:
    """Open a message that must have this sequence number.

    Raises:
        PeerError: not authentic, or another number.
        DecodeError: not a message.
    """
    if len(data) < HEADER:
        raise DecodeError(f"a guest message has at least {HEADER:#x} bytes")
    tail = data[AAD_FROM:HEADER]
    algorithm, header_version, size, number, version, length = struct.unpack_from("<BBHBBH", tail)
    if (algorithm, header_version, size) != (ALGORITHM_AES_256_GCM, HEADER_VERSION, HEADER) or (
            length > min(PAYLOAD_LIMIT, len(data) - HEADER)):
        raise DecodeError("guest message header")
    if int.from_bytes(data[32:40], "little") != sequence:
        raise PeerError("a guest message out of order", clause="SEV-SNP firmware ABI")
    try:
        body = AESGCM(key.reveal()).decrypt(
            _iv(sequence), data[HEADER:HEADER + length] + data[:TAG_BYTES], tail)
    except InvalidTag:
        raise PeerError("a guest message that is not authentic", clause="SEV-SNP firmware ABI"
                        ) from None
    return Message(_kind(number, version), version, sequence, body)


def _iv(sequence: int) -> bytes:
    return sequence.to_bytes(12, "little")


def _kind(number: int, version: int) -> Type:
    kinds = _FROM_V1 if version == 1 else {int(kind): kind for kind in Type}
    if version not in (1, 2) or number not in kinds:
        raise DecodeError(f"guest message {number} of version {version}")
    return kinds[number]


# ---- bodies --------------------------------------------------------------------------------------
def identity(tdi_id: int, version: int) -> bytes:
    """The first 8 bytes: u64, or u16 and padding."""
    return tdi_id.to_bytes(8 if version == 2 else 2, "little").ljust(8, b"\0")


def identity_of(body: bytes, version: int) -> int:
    """Id that a body begins with.

    Raises:
        DecodeError: too short.
    """
    if len(body) < 0x10:
        raise DecodeError("a guest message body has at least 0x10 bytes")
    return int.from_bytes(body[:8 if version == 2 else 2], "little")


def head(tdi_id: int, status: int, version: int) -> bytes:
    """First 0x10 bytes of an answer: status at 08 (version 2) or 02 (version 1)."""
    if version == 2:
        return struct.pack("<QH6x", tdi_id, status)
    return struct.pack("<HH12x", tdi_id, status)


def status_of(body: bytes, version: int) -> int:
    """Status of an answer."""
    at = 8 if version == 2 else 2
    return int.from_bytes(body[at:at + 2], "little")


MEASURED, FRESH = 1 << 0, 1 << 1
UNBOUND, LOCKED, RUNNING = 0, 1, 2
INFO_BYTES = 0xC0


@dataclass(frozen=True, slots=True)
class TdiInfo:
    """Answer to TDI_INFO.

    Attributes:
        state: UNBOUND, LOCKED or RUNNING.
        measured, fresh: there are measurements; they were taken since connect.
        lock_flags: of LOCK_INTERFACE.
        certificates, measurements, report: SHA-384, 48 bytes each.
        counter: counts the locks of the interface.
    """

    state: int
    measured: bool
    fresh: bool
    lock_flags: int
    certificates: bytes
    measurements: bytes
    report: bytes
    counter: int

    def encode(self, tdi_id: int, status: int, version: int) -> bytes:
        """0xC0 bytes."""
        flags = self.measured | self.fresh << 1 | self.state << 2
        return head(tdi_id, status, version) + struct.pack(
            "<IIQ48s48s48sQ8x", flags, self.lock_flags, 0, self.certificates, self.measurements,
            self.report, self.counter)

    @classmethod
    def decode(cls, body: bytes) -> TdiInfo:
        """From an answer.

        Raises:
            DecodeError: not 0xC0 bytes.
        """
        if len(body) != INFO_BYTES:
            raise DecodeError(f"TDI_INFO has {INFO_BYTES:#x} bytes")
        flags, lock, _, certs, measured, report, counter = struct.unpack_from(
            "<IIQ48s48s48sQ", body, 0x10)
        return cls(flags >> 2 & 3, bool(flags & MEASURED), bool(flags & FRESH), lock, certs,
                   measured, report, counter)


NOTHING = TdiInfo(UNBOUND, False, False, 0, bytes(48), bytes(48), bytes(48), 0)
VALIDATED, FORCED = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class MmioValidate:
    """MMIO_VALIDATE.

    Attributes:
        base: guest address of the first page.
        pages: how many.
        offset: of the first page, in pages, from the first page of the range.
        flags: VALIDATED (or the pages become invalid), FORCED (they need not be uniform).
        range_id: BAR number, as in the report.
    """

    base: int
    pages: int
    offset: int
    flags: int
    range_id: int

    def encode(self, tdi_id: int, version: int) -> bytes:
        """0x30 bytes."""
        return identity(tdi_id, version).ljust(0x10, b"\0") + struct.pack(
            "<QIIHH12x", self.base, self.pages, self.offset, self.flags, self.range_id)

    @classmethod
    def decode(cls, body: bytes) -> MmioValidate:
        """From a request.

        Raises:
            DecodeError: not 0x30 bytes.
        """
        if len(body) != 0x30:
            raise DecodeError("MMIO_VALIDATE has 0x30 bytes")
        return cls(*struct.unpack_from("<QIIHH", body, 0x10))


CONFIG_WRITE = 1 << 0
NON_TEE = 1 << 2


@dataclass(frozen=True, slots=True)
class MmioConfig:
    """MMIO_CONFIG (layout of the body: decision 0210).

    Attributes:
        flags: CONFIG_WRITE; without it the attributes are read.
        attributes: as in the report; NON_TEE is the one that can change.
        pages, offset: of the range, as in `MmioValidate`.
        range_id: BAR number.
    """

    flags: int
    attributes: int
    pages: int
    offset: int
    range_id: int

    def encode(self, tdi_id: int, version: int) -> bytes:
        """0x30 bytes."""
        return identity(tdi_id, version).ljust(0x10, b"\0") + struct.pack(
            "<HH4xIIxxH12x", self.flags, self.attributes, self.pages, self.offset, self.range_id)

    @classmethod
    def decode(cls, body: bytes) -> MmioConfig:
        """From a request.

        Raises:
            DecodeError: not 0x30 bytes.
        """
        if len(body) != 0x30:
            raise DecodeError("MMIO_CONFIG has 0x30 bytes")
        return cls(*struct.unpack_from("<HH4xIIxxH", body, 0x10))


def sdte_write(tdi_id: int, entry: bytes, version: int) -> bytes:
    """SDTE_WRITE, 0x50 bytes."""
    return identity(tdi_id, version).ljust(0x10, b"\0") + entry
