# SPDX-License-Identifier: Apache-2.0
"""SPDM session messages: KEY_EXCHANGE, FINISH, HEARTBEAT, KEY_UPDATE, END_SESSION."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader
from teeio.wire.spdm_base import (
    NONCE_BYTES,
    Code,
    Layout,
    SpdmMessage,
    read_header,
    read_opaque,
    read_reserved_header,
    write_header,
    write_opaque,
)

SUMMARY_NONE: Final = 0x00
SUMMARY_TCB: Final = 0x01
SUMMARY_ALL: Final = 0xFF


class KeyUpdateOp(enum.IntEnum):
    """Param1 of KEY_UPDATE."""

    UPDATE_KEY = 1
    UPDATE_ALL_KEYS = 2
    VERIFY_NEW_KEY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExchange(SpdmMessage):
    """KEY_EXCHANGE. `exchange_data` is X || Y, both big endian and of fixed width."""

    CODE: ClassVar[Code] = Code.KEY_EXCHANGE
    version: int
    summary_type: int
    slot: int
    req_session_id: int
    session_policy: int
    random: bytes
    exchange_data: bytes
    opaque: bytes
    reserved: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.summary_type, self.slot)
        w.u16(self.req_session_id, "ReqSessionID").u8(self.session_policy, "SessionPolicy")
        w.u8(self.reserved, "reserved").raw(self.random, NONCE_BYTES, "random")
        return write_opaque(w.raw(self.exchange_data), self.opaque).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, summary_type, slot = read_header(r, cls.CODE)
        return cls(
            version=version,
            summary_type=summary_type,
            slot=slot,
            req_session_id=r.u16("ReqSessionID"),
            session_policy=r.u8("SessionPolicy"),
            reserved=r.reserved(1),
            random=r.take(NONCE_BYTES, "random"),
            exchange_data=r.take(layout.exchange_size, "exchange data"),
            opaque=read_opaque(r),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExchangeRsp(SpdmMessage):
    """KEY_EXCHANGE_RSP.

    Attributes:
        heartbeat_period: seconds, 0 = no heartbeat.
        summary: measurement summary hash, empty if none was asked for.
        verify_data: empty if the handshake is in the clear.
    """

    CODE: ClassVar[Code] = Code.KEY_EXCHANGE_RSP
    version: int
    heartbeat_period: int
    rsp_session_id: int
    mut_auth_requested: int
    slot_id_param: int
    random: bytes
    exchange_data: bytes
    summary: bytes = b""
    opaque: bytes
    signature: bytes
    verify_data: bytes
    param2: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.heartbeat_period, self.param2)
        w.u16(self.rsp_session_id, "RspSessionID").u8(self.mut_auth_requested, "MutAuth")
        w.u8(self.slot_id_param, "SlotIDParam").raw(self.random, NONCE_BYTES, "random")
        w.raw(self.exchange_data).raw(self.summary)
        return write_opaque(w, self.opaque).raw(self.signature).raw(self.verify_data).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, heartbeat_period, param2 = read_header(r, cls.CODE)
        r.expect_zero_bits(param2, 0xFF, "KEY_EXCHANGE_RSP param2")
        return cls(
            version=version,
            heartbeat_period=heartbeat_period,
            param2=param2,
            rsp_session_id=r.u16("RspSessionID"),
            mut_auth_requested=r.u8("MutAuthRequested"),
            slot_id_param=r.u8("SlotIDParam"),
            random=r.take(NONCE_BYTES, "random"),
            exchange_data=r.take(layout.exchange_size, "exchange data"),
            summary=r.take(layout.hash_size if layout.has_summary else 0, "summary"),
            opaque=read_opaque(r),
            signature=r.take(layout.signature_size, "signature"),
            verify_data=r.take(layout.hash_size if layout.has_verify_data else 0, "verify data"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish(SpdmMessage):
    """FINISH (1.2, 1.3). `signature` is present iff bit 0 of param1 is set (mutual auth)."""

    CODE: ClassVar[Code] = Code.FINISH
    version: int
    param1: int = 0
    slot: int = 0
    signature: bytes = b""
    verify_data: bytes

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.slot)
        return w.raw(self.signature).raw(self.verify_data).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, slot = read_header(r, cls.CODE)
        return cls(
            version=version,
            param1=param1,
            slot=slot,
            signature=r.take(layout.signature_size if param1 & 1 else 0, "signature"),
            verify_data=r.take(layout.hash_size, "verify data"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishRsp(SpdmMessage):
    """FINISH_RSP (1.2, 1.3). `verify_data` is present only if the handshake is in the clear."""

    CODE: ClassVar[Code] = Code.FINISH_RSP
    version: int
    param1: int = 0
    param2: int = 0
    verify_data: bytes = b""

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        return w.raw(self.verify_data).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE)
        size = 0 if layout.has_verify_data else layout.hash_size
        return cls(
            version=version,
            param1=param1,
            param2=param2,
            verify_data=r.take(size, "verify data"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FourBytes(SpdmMessage):
    """A message that is its header, both parameters reserved."""

    version: int
    param1: int = 0
    param2: int = 0

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.param1, self.param2).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE)
        return cls(version=version, param1=param1, param2=param2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(_FourBytes):
    CODE: ClassVar[Code] = Code.HEARTBEAT


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAck(_FourBytes):
    CODE: ClassVar[Code] = Code.HEARTBEAT_ACK


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSessionAck(_FourBytes):
    CODE: ClassVar[Code] = Code.END_SESSION_ACK


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession(SpdmMessage):
    """END_SESSION. Bit 0 of `attributes`: also drop the cached negotiated state."""

    CODE: ClassVar[Code] = Code.END_SESSION
    version: int
    attributes: int = 0
    param2: int = 0

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.attributes, self.param2).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, attributes, param2 = read_header(r, cls.CODE)
        r.expect_zero_bits(attributes, 0xFE, "END_SESSION attributes")
        r.expect_zero_bits(param2, 0xFF, "param2")
        return cls(version=version, attributes=attributes, param2=param2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyUpdateFields(SpdmMessage):
    version: int
    operation: int
    tag: int

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.operation, self.tag).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, operation, tag = read_header(r, cls.CODE)
        return cls(version=version, operation=operation, tag=tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUpdate(_KeyUpdateFields):
    CODE: ClassVar[Code] = Code.KEY_UPDATE


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUpdateAck(_KeyUpdateFields):
    CODE: ClassVar[Code] = Code.KEY_UPDATE_ACK
