# SPDX-License-Identifier: Apache-2.0
"""SPDM: versions, codes, flags, algorithm bits, and the base of every message (DSP0274).

A message's layout depends on its own version byte and on sizes that were negotiated; the latter
are a `Layout`, which decoders take as an argument.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader, Writer

VERSION_10: Final = 0x10
VERSION_12: Final = 0x12
VERSION_13: Final = 0x13
KNOWN_VERSIONS: Final = (VERSION_12, VERSION_13)
"""Versions whose layouts this package knows."""

NONCE_BYTES: Final = 32
CONTEXT_BYTES: Final = 8
MAX_OPAQUE_BYTES: Final = 1024
MIN_TRANSFER_BYTES: Final = 42
MAX_UNSECURED_PAD: Final = 3
"""A type 1 DOE object has no length of its own below a DW: this many pad bytes may follow."""


class Code(enum.IntEnum):
    """Request and response codes."""

    DIGESTS = 0x01
    CERTIFICATE = 0x02
    CHALLENGE_AUTH = 0x03
    VERSION = 0x04
    CHUNK_SEND_ACK = 0x05
    CHUNK_RESPONSE = 0x06
    MEASUREMENTS = 0x60
    CAPABILITIES = 0x61
    ALGORITHMS = 0x63
    KEY_EXCHANGE_RSP = 0x64
    FINISH_RSP = 0x65
    PSK_EXCHANGE_RSP = 0x66
    PSK_FINISH_RSP = 0x67
    HEARTBEAT_ACK = 0x68
    KEY_UPDATE_ACK = 0x69
    END_SESSION_ACK = 0x6C
    CSR = 0x6D
    SET_CERTIFICATE_RSP = 0x6E
    VENDOR_DEFINED_RESPONSE = 0x7E
    ERROR = 0x7F
    GET_DIGESTS = 0x81
    GET_CERTIFICATE = 0x82
    CHALLENGE = 0x83
    GET_VERSION = 0x84
    CHUNK_SEND = 0x85
    CHUNK_GET = 0x86
    GET_MEASUREMENTS = 0xE0
    GET_CAPABILITIES = 0xE1
    NEGOTIATE_ALGORITHMS = 0xE3
    KEY_EXCHANGE = 0xE4
    FINISH = 0xE5
    PSK_EXCHANGE = 0xE6
    PSK_FINISH = 0xE7
    HEARTBEAT = 0xE8
    KEY_UPDATE = 0xE9
    END_SESSION = 0xEC
    GET_CSR = 0xED
    SET_CERTIFICATE = 0xEE
    VENDOR_DEFINED_REQUEST = 0xFE
    RESPOND_IF_READY = 0xFF


class ErrorCode(enum.IntEnum):
    """Param1 of ERROR."""

    INVALID_REQUEST = 0x01
    BUSY = 0x03
    UNEXPECTED_REQUEST = 0x04
    UNSPECIFIED = 0x05
    DECRYPT_ERROR = 0x06
    UNSUPPORTED_REQUEST = 0x07
    REQUEST_IN_FLIGHT = 0x08
    INVALID_RESPONSE_CODE = 0x09
    SESSION_LIMIT_EXCEEDED = 0x0A
    SESSION_REQUIRED = 0x0B
    RESET_REQUIRED = 0x0C
    RESPONSE_TOO_LARGE = 0x0D
    REQUEST_TOO_LARGE = 0x0E
    LARGE_RESPONSE = 0x0F
    MESSAGE_LOST = 0x10
    INVALID_POLICY = 0x11
    DATA_TOO_LARGE = 0x12
    VERSION_MISMATCH = 0x41
    RESPONSE_NOT_READY = 0x42
    REQUEST_RESYNCH = 0x43
    OPERATION_FAILED = 0x44
    NO_PENDING_REQUESTS = 0x45
    REQUEST_SESSION_TERMINATED = 0x46
    INVALID_STATE = 0x47
    VENDOR_DEFINED = 0xFF


class Cap(enum.IntFlag):
    """Flags of GET_CAPABILITIES and CAPABILITIES. Two-bit fields have a name per bit."""

    CACHE = 1 << 0
    CERT = 1 << 1
    CHAL = 1 << 2
    MEAS_UNSIGNED = 1 << 3
    MEAS_SIGNED = 1 << 4
    MEAS_FRESH = 1 << 5
    ENCRYPT = 1 << 6
    MAC = 1 << 7
    MUT_AUTH = 1 << 8
    KEY_EX = 1 << 9
    PSK = 1 << 10
    PSK_WITH_CONTEXT = 1 << 11
    ENCAP = 1 << 12
    HBEAT = 1 << 13
    KEY_UPD = 1 << 14
    HANDSHAKE_IN_THE_CLEAR = 1 << 15
    PUB_KEY_ID = 1 << 16
    CHUNK = 1 << 17
    ALIAS_CERT = 1 << 18
    SET_CERT = 1 << 19
    CSR = 1 << 20
    CERT_INSTALL_RESET = 1 << 21
    EP_INFO_UNSIGNED = 1 << 22
    EP_INFO_SIGNED = 1 << 23
    MEL = 1 << 24
    EVENT = 1 << 25
    MULTI_KEY_ALWAYS = 1 << 26
    MULTI_KEY_NEGOTIABLE = 1 << 27
    GET_KEY_PAIR_INFO = 1 << 28
    SET_KEY_PAIR_INFO = 1 << 29
    SET_KEY_PAIR_RESET = 1 << 30
    LARGE_RESP = 1 << 31


class BaseAsym(enum.IntFlag):
    """BaseAsymAlgo."""

    RSASSA_2048 = 1 << 0
    RSAPSS_2048 = 1 << 1
    RSASSA_3072 = 1 << 2
    RSAPSS_3072 = 1 << 3
    ECDSA_P256 = 1 << 4
    RSASSA_4096 = 1 << 5
    RSAPSS_4096 = 1 << 6
    ECDSA_P384 = 1 << 7
    ECDSA_P521 = 1 << 8
    SM2_P256 = 1 << 9
    ED25519 = 1 << 10
    ED448 = 1 << 11


class BaseHash(enum.IntFlag):
    """BaseHashAlgo."""

    SHA_256 = 1 << 0
    SHA_384 = 1 << 1
    SHA_512 = 1 << 2
    SHA3_256 = 1 << 3
    SHA3_384 = 1 << 4
    SHA3_512 = 1 << 5
    SM3_256 = 1 << 6


class MeasurementHash(enum.IntFlag):
    """MeasurementHashAlgo: BaseHash moved up by one bit."""

    RAW_ONLY = 1 << 0
    SHA_256 = 1 << 1
    SHA_384 = 1 << 2
    SHA_512 = 1 << 3
    SHA3_256 = 1 << 4
    SHA3_384 = 1 << 5
    SHA3_512 = 1 << 6
    SM3_256 = 1 << 7


class Dhe(enum.IntFlag):
    """DHE groups."""

    FFDHE2048 = 1 << 0
    FFDHE3072 = 1 << 1
    FFDHE4096 = 1 << 2
    SECP256R1 = 1 << 3
    SECP384R1 = 1 << 4
    SECP521R1 = 1 << 5
    SM2_P256 = 1 << 6


class Aead(enum.IntFlag):
    """AEAD cipher suites."""

    AES_128_GCM = 1 << 0
    AES_256_GCM = 1 << 1
    CHACHA20_POLY1305 = 1 << 2
    SM4_GCM = 1 << 3


class AlgType(enum.IntEnum):
    """AlgType of an algorithm structure table."""

    DHE = 2
    AEAD = 3
    REQ_BASE_ASYM = 4
    KEY_SCHEDULE = 5


class OpaqueFormat(enum.IntFlag):
    """OtherParams bits; 3:0 are opaque data formats."""

    FORMAT_0 = 1 << 0
    FORMAT_1 = 1 << 1
    MULTI_KEY_CONNECTION = 1 << 4


KEY_SCHEDULE_SPDM: Final = 0x01
MEASUREMENT_SPEC_DMTF: Final = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a decoder must know besides the bytes.

    Attributes:
        hash_size: size of the base hash in bytes.
        signature_size: size of a responder signature in bytes.
        exchange_size: size of the key-exchange data in bytes.
        has_summary: the request asked for a measurement summary hash.
        has_verify_data: KEY_EXCHANGE_RSP carries ResponderVerifyData (handshake not in the clear).
        is_signed: the MEASUREMENTS request asked for a signature.
        multi_key: MULTI_KEY is in force on this connection (1.3).
    """

    hash_size: int = 48
    signature_size: int = 96
    exchange_size: int = 96
    has_summary: bool = False
    has_verify_data: bool = True
    is_signed: bool = False
    multi_key: bool = False


class SpdmMessage(abc.ABC):
    """One SPDM message. Subclasses are frozen, keyword-only dataclasses."""

    __slots__ = ()

    CODE: ClassVar[Code]
    version: int

    @abc.abstractmethod
    def encode(self) -> bytes:
        """The bytes of the message.

        Raises:
            LocalError: if a value does not fit its field.
        """

    @classmethod
    @abc.abstractmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        """Reads the message from its first byte.

        Raises:
            DecodeError: if the bytes are no such message.
        """


def write_header(version: int, code: Code, param1: int = 0, param2: int = 0) -> Writer:
    """Starts a message with its four header bytes."""
    return Writer().u8(version, "version").u8(code).u8(param1, "param1").u8(param2, "param2")


def read_header(
    r: Reader, code: Code, versions: tuple[int, ...] = KNOWN_VERSIONS
) -> tuple[int, int, int]:
    """Reads the header of a message that must have `code`: version, param1, param2."""
    version = r.u8("version")
    if version not in versions:
        r.fail(f"SPDM version {version:#04x} is not known here", offset=r.offset - 1)
    got = r.u8("code")
    if got != code:
        r.fail(f"code {got:#04x} is not {code.name}", offset=r.offset - 1)
    return version, r.u8("param1"), r.u8("param2")


def read_reserved_header(
    r: Reader, code: Code, versions: tuple[int, ...] = KNOWN_VERSIONS
) -> tuple[int, int, int]:
    """As `read_header` where both parameters are reserved."""
    version, param1, param2 = read_header(r, code, versions)
    r.expect_zero_bits(param1, 0xFF, f"{code.name} param1")
    r.expect_zero_bits(param2, 0xFF, f"{code.name} param2")
    return version, param1, param2


def write_opaque(w: Writer, opaque: bytes) -> Writer:
    """OpaqueDataLength and OpaqueData."""
    return w.u16(len(opaque), "opaque length").raw(opaque)


def read_opaque(r: Reader) -> bytes:
    """OpaqueDataLength (at most 1024) and OpaqueData."""
    length = r.u16("opaque length")
    if length > MAX_OPAQUE_BYTES:
        r.fail(f"opaque length {length} is above {MAX_OPAQUE_BYTES}", offset=r.offset - 2)
    return r.take(length, "opaque data")
