# SPDX-License-Identifier: Apache-2.0
"""IDE key management objects (PCIe Base 6.x, 6.33.3).

Every object starts with the protocol byte 00h, which is byte 0 of the vendor-defined payload.

Key order on the wire: KEY_PROG carries little-endian DWs, most significant key DW first, so the
32 bytes of the AES key appear with the bytes of each DW reversed; the IFV likewise, as an 8-byte
big-endian number. `KeyProg.key` is in AES order, `KeyProg.ifv` is the number.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from teeio.errors import LocalError
from teeio.wire.ide_registers import IdeRegisters
from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_vendor import PciProtocol

KEY_BYTES: Final = 32
IFV_INITIAL: Final = 1
"""The only IFV a responder takes."""


class IdeKmObject(enum.IntEnum):
    QUERY = 0x00
    QUERY_RESP = 0x01
    KEY_PROG = 0x02
    KP_ACK = 0x03
    K_SET_GO = 0x04
    K_SET_STOP = 0x05
    K_GOSTOP_ACK = 0x06


class KpAckStatus(enum.IntEnum):
    SUCCESS = 0x00
    INCORRECT_LENGTH = 0x01
    UNSUPPORTED_PORT_INDEX = 0x02
    UNSUPPORTED_VALUE = 0x03
    UNSPECIFIED_FAILURE = 0x04


class SubStream(enum.IntEnum):
    """Sub-stream numbers; they are also the TLP ordering classes."""

    PR = 0
    NPR = 1
    CPL = 2


class KeyDirection(enum.IntEnum):
    """RxTxB, as seen by the port that is programmed."""

    RX = 0
    TX = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """The KeyInfo byte: [0] key set, [1] RxTxB, [3:2] reserved, [7:4] sub-stream."""

    key_set: int
    direction: int
    sub_stream: int
    reserved: int = 0

    def __post_init__(self) -> None:
        if not (self.key_set in (0, 1) and self.direction in (0, 1)):
            raise LocalError("key set and direction are one bit each")
        if not (0 <= self.sub_stream < 16 and 0 <= self.reserved < 4):
            raise LocalError("sub-stream is four bits, the reserved field two")

    @property
    def byte(self) -> int:
        return self.key_set | self.direction << 1 | self.reserved << 2 | self.sub_stream << 4

    @classmethod
    def from_byte(cls, value: int) -> KeyInfo:
        return cls(
            key_set=value & 1,
            direction=value >> 1 & 1,
            reserved=value >> 2 & 3,
            sub_stream=value >> 4 & 0xF,
        )

    def __str__(self) -> str:
        direction = "Tx" if self.direction else "Rx"
        name = SubStream(self.sub_stream).name if self.sub_stream < 3 else str(self.sub_stream)
        return f"K{self.key_set} {direction} {name}"


def swap_dwords(data: bytes) -> bytes:
    """Reverses the bytes within each 4-byte group."""
    return b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))


def _start(kind: IdeKmObject) -> Writer:
    return Writer().u8(PciProtocol.IDE_KM).u8(kind)


def _open(r: Reader, kind: IdeKmObject) -> None:
    protocol = r.u8("protocol id")
    if protocol != PciProtocol.IDE_KM:
        r.fail(f"protocol id {protocol:#04x} is not IDE_KM", offset=r.offset - 1)
    got = r.u8("object id")
    if got != kind:
        r.fail(f"object id {got:#04x} is not {kind.name}", offset=r.offset - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    KIND: ClassVar[IdeKmObject] = IdeKmObject.QUERY
    port_index: int
    reserved: int = 0

    def encode(self) -> bytes:
        return _start(self.KIND).u8(self.reserved).u8(self.port_index, "PortIndex").done()

    @classmethod
    def decode(cls, r: Reader) -> Query:
        _open(r, cls.KIND)
        return cls(reserved=r.reserved(1), port_index=r.u8("PortIndex"))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResp:
    """QUERY_RESP. `registers` is the IDE capability of that port.

    `extra` are DWs beyond the blocks that the capability register announces. They should not be
    there, but the sample responder of the reference emulator sends them.
    """

    KIND: ClassVar[IdeKmObject] = IdeKmObject.QUERY_RESP
    port_index: int
    dev_func: int
    bus: int
    segment: int
    max_port_index: int
    registers: IdeRegisters
    extra: bytes = b""
    reserved: int = 0

    @property
    def requester_id(self) -> int:
        return self.bus << 8 | self.dev_func

    def encode(self) -> bytes:
        w = _start(self.KIND).u8(self.reserved).u8(self.port_index, "PortIndex")
        w.u8(self.dev_func, "DevFunc").u8(self.bus, "Bus").u8(self.segment, "Segment")
        w.u8(self.max_port_index, "MaxPortIndex").raw(self.registers.encode())
        return w.raw(self.extra).done()

    @classmethod
    def decode(cls, r: Reader) -> QueryResp:
        _open(r, cls.KIND)
        return cls(
            reserved=r.reserved(1),
            port_index=r.u8("PortIndex"),
            dev_func=r.u8("DevFunc"),
            bus=r.u8("Bus"),
            segment=r.u8("Segment"),
            max_port_index=r.u8("MaxPortIndex"),
            registers=IdeRegisters.decode(r),
            extra=_read_extra(r),
        )


def _read_extra(r: Reader) -> bytes:
    if r.remaining % 4:
        r.fail("the IDE registers are not whole DWs")
    if r.remaining and r.strict:
        r.fail(f"{r.remaining} bytes beyond the blocks that the capability announces")
    return r.rest()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProg:
    """KEY_PROG. `key` is the AES key, its first byte first; it never shows in repr."""

    KIND: ClassVar[IdeKmObject] = IdeKmObject.KEY_PROG
    stream_id: int
    key_info: KeyInfo
    port_index: int
    key: bytes = field(repr=False)
    ifv: int = IFV_INITIAL
    reserved_2: int = 0
    reserved_5: int = 0

    def encode(self) -> bytes:
        w = _start(self.KIND).u16(self.reserved_2).u8(self.stream_id, "StreamID")
        w.u8(self.reserved_5).u8(self.key_info.byte).u8(self.port_index, "PortIndex")
        if len(self.key) != KEY_BYTES:
            raise LocalError(f"an IDE key has {KEY_BYTES} bytes, not {len(self.key)}")
        if not 0 <= self.ifv < 1 << 64:
            raise LocalError("the IFV has 64 bits")
        return w.raw(swap_dwords(self.key)).raw(swap_dwords(self.ifv.to_bytes(8, "big"))).done()

    @classmethod
    def decode(cls, r: Reader) -> KeyProg:
        _open(r, cls.KIND)
        return cls(
            reserved_2=r.reserved(2),
            stream_id=r.u8("StreamID"),
            reserved_5=r.reserved(1),
            key_info=KeyInfo.from_byte(r.u8("KeyInfo")),
            port_index=r.u8("PortIndex"),
            key=swap_dwords(r.take(KEY_BYTES, "key")),
            ifv=int.from_bytes(swap_dwords(r.take(8, "IFV")), "big"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KpAck:
    KIND: ClassVar[IdeKmObject] = IdeKmObject.KP_ACK
    stream_id: int
    status: int
    key_info: KeyInfo
    port_index: int
    reserved: int = 0

    def encode(self) -> bytes:
        w = _start(self.KIND).u16(self.reserved).u8(self.stream_id, "StreamID")
        w.u8(self.status, "Status").u8(self.key_info.byte).u8(self.port_index, "PortIndex")
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> KpAck:
        _open(r, cls.KIND)
        return cls(
            reserved=r.reserved(2),
            stream_id=r.u8("StreamID"),
            status=r.u8("Status"),
            key_info=KeyInfo.from_byte(r.u8("KeyInfo")),
            port_index=r.u8("PortIndex"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeySetFields:
    KIND: ClassVar[IdeKmObject]
    stream_id: int
    key_info: KeyInfo
    port_index: int
    reserved_2: int = 0
    reserved_5: int = 0

    def encode(self) -> bytes:
        w = _start(self.KIND).u16(self.reserved_2).u8(self.stream_id, "StreamID")
        w.u8(self.reserved_5).u8(self.key_info.byte).u8(self.port_index, "PortIndex")
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> Self:
        _open(r, cls.KIND)
        return cls(
            reserved_2=r.reserved(2),
            stream_id=r.u8("StreamID"),
            reserved_5=r.reserved(1),
            key_info=KeyInfo.from_byte(r.u8("KeyInfo")),
            port_index=r.u8("PortIndex"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KSetGo(_KeySetFields):
    KIND: ClassVar[IdeKmObject] = IdeKmObject.K_SET_GO


@dataclass(frozen=True, slots=True, kw_only=True)
class KSetStop(_KeySetFields):
    KIND: ClassVar[IdeKmObject] = IdeKmObject.K_SET_STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class KGoStopAck(_KeySetFields):
    """K_GOSTOP_ACK: an echo; there is no status field."""

    KIND: ClassVar[IdeKmObject] = IdeKmObject.K_GOSTOP_ACK


IdeKmMessage = Query | QueryResp | KeyProg | KpAck | KSetGo | KSetStop | KGoStopAck

_KINDS: Final[dict[int, type[IdeKmMessage]]] = {
    kind.KIND: kind for kind in (Query, QueryResp, KeyProg, KpAck, KSetGo, KSetStop, KGoStopAck)
}


def decode_message(payload: bytes, *, strict: bool = False) -> IdeKmMessage:
    """Decodes any IDE_KM object, which must fill `payload`.

    Raises:
        DecodeError: if the object id is unknown or the object is malformed.
    """
    reader = Reader(payload, strict=strict)
    if len(payload) < 2:
        reader.fail("shorter than an IDE_KM header")
    kind = _KINDS.get(payload[1])
    if kind is None:
        reader.fail(f"unknown IDE_KM object {payload[1]:#04x}", offset=1)
    message = kind.decode(reader)
    reader.expect_end()
    return message
