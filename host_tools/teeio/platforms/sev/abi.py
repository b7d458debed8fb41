# SPDX-License-Identifier: Apache-2.0
"""ASP commands of SEV-TIO: numbers, return codes, command buffers, scatter lists, data buffers.

Little endian throughout. Source: Linux drivers/crypto/ccp/sev-dev-tio.h, include/uapi/linux/
psp-sev.h; where a kernel does not show a field the choice is in docs/decisions/0210.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from teeio.errors import DecodeError


class Cmd(IntEnum):
    """Commands."""

    TIO_STATUS = 0xD0
    TIO_INIT = 0xD1
    DEV_CREATE = 0xD2
    DEV_RECLAIM = 0xD3
    DEV_CONNECT = 0xD4
    DEV_DISCONNECT = 0xD5
    DEV_STATUS = 0xD6
    DEV_MEASUREMENTS = 0xD7
    DEV_CERTIFICATES = 0xD8
    TDI_CREATE = 0xDA
    TDI_RECLAIM = 0xDB
    TDI_BIND = 0xDC
    TDI_UNBIND = 0xDD
    TDI_REPORT = 0xDE
    TDI_STATUS = 0xDF
    GUEST_REQUEST = 0xE0
    ASID_FENCE_CLEAR = 0xE1
    ASID_FENCE_STATUS = 0xE2
    TDI_INFO = 0xE3
    ROLL_KEY = 0xE4


class Ret(IntEnum):
    """Return codes: those of SEV-TIO, and the older ones that it uses."""

    SUCCESS = 0x00
    INVALID_PLATFORM_STATE = 0x01
    INVALID_ADDRESS = 0x09
    BAD_MEASUREMENT = 0x0B
    INVALID_ASID = 0x0D
    INVALID_GUEST = 0x10
    INVALID_COMMAND = 0x11
    UNSUPPORTED = 0x15
    INVALID_PARAM = 0x16
    INVALID_PAGE_STATE = 0x1A
    INVALID_PAGE_OWNER = 0x1C
    BAD_LENGTH = 0x30
    EXPAND_BUFFER = 0x31
    SPDM_REQUEST = 0x32
    SPDM_ERROR = 0x33
    DEVICE_CONNECTION = 0x35
    BAD_DEV_CTX = 0x36
    BAD_TDI_CTX = 0x37
    BAD_TDI = 0x38
    RECLAIM_REQUIRED = 0x39
    IN_USE = 0x3A
    BAD_DEV_STATE = 0x3B
    BAD_TDI_STATE = 0x3C
    CERTIFICATE_CHANGED = 0x3D
    RESYNC = 0x3E
    RESPONSE_TOO_LARGE = 0x3F


SPDM_CTRL = {"request": (0x08, "Q"), "response": (0x10, "Q"), "scratch": (0x18, "Q"),
             "output": (0x20, "Q")}
_DEV, _TDI, _GUEST = {"dev": (0x28, "Q")}, {"tdi": (0x30, "Q")}, {"guest": (0x38, "Q")}
_FLAGS = {"flags": (0x04, "I")}
Fields = Mapping[str, tuple[int, str]]
LAYOUT: Mapping[Cmd, tuple[int, Fields]] = {
    Cmd.TIO_STATUS: (0x10, {"status": (0x08, "Q")}),
    Cmd.TIO_INIT: (0x10, {}),
    Cmd.DEV_CREATE: (0x20, {"dev": (0x08, "Q"), "rid": (0x10, "H"), "rp_id": (0x12, "H"),
                            "segment": (0x14, "B")}),
    Cmd.DEV_RECLAIM: (0x10, {"dev": (0x08, "Q")}),
    Cmd.DEV_CONNECT: (0x50, {**SPDM_CTRL, "dev": (0x30, "Q"), "tc_mask": (0x38, "B"),
                             "slot": (0x39, "B"), "streams": (0x40, "8s")}),
    Cmd.DEV_DISCONNECT: (0x30, {**_FLAGS, **SPDM_CTRL, **_DEV}),
    Cmd.DEV_STATUS: (0x18, {"dev": (0x08, "Q"), "status": (0x10, "Q")}),
    Cmd.DEV_MEASUREMENTS: (0x50, {**_FLAGS, **SPDM_CTRL, **_DEV, "nonce": (0x30, "32s")}),
    Cmd.DEV_CERTIFICATES: (0x30, {**SPDM_CTRL, **_DEV}),
    Cmd.TDI_CREATE: (0x30, {"dev": (0x08, "Q"), "tdi": (0x10, "Q"), "interface": (0x18, "12s")}),
    Cmd.TDI_RECLAIM: (0x18, {"dev": (0x08, "Q"), "tdi": (0x10, "Q")}),
    Cmd.TDI_BIND: (0x50, {**SPDM_CTRL, **_DEV, **_TDI, **_GUEST, "device_id": (0x40, "H"),
                          "lock": (0x42, "H"), "run": (0x44, "H")}),
    Cmd.TDI_UNBIND: (0x40, {**_FLAGS, **SPDM_CTRL, **_DEV, **_TDI, **_GUEST}),
    Cmd.TDI_REPORT: (0x40, {**SPDM_CTRL, **_DEV, **_TDI, **_GUEST}),
    Cmd.TDI_STATUS: (0x40, {**SPDM_CTRL, **_DEV, **_TDI, "status": (0x38, "Q")}),
    Cmd.GUEST_REQUEST: (0x50, {**SPDM_CTRL, **_DEV, **_TDI, **_GUEST, "ask": (0x40, "Q"),
                               "answer": (0x48, "Q")}),
    Cmd.ASID_FENCE_CLEAR: (0x18, {"dev": (0x08, "Q"), "asid": (0x10, "I")}),
    Cmd.ASID_FENCE_STATUS: (0x20, {"dev": (0x08, "Q"), "asid": (0x10, "I"), "status": (0x18, "Q")}),
    Cmd.TDI_INFO: (0x20, {"dev": (0x08, "Q"), "tdi": (0x10, "Q"), "status": (0x18, "Q")}),
    Cmd.ROLL_KEY: (0x30, {**SPDM_CTRL, **_DEV}),
}
FORCE = RAW_BIT_STREAM = FORCE_RUN = 1 << 0
"""Flag of DEV_DISCONNECT and TDI_UNBIND; of DEV_MEASUREMENTS; run flag of TDI_BIND."""
NO_STREAM = 0xFF


def encode_command(cmd: Cmd, **values: int | bytes) -> bytes:
    """A command buffer; fields that are not given are zero."""
    size, fields = LAYOUT[cmd]
    out = bytearray(size)
    struct.pack_into("<I", out, 0, size)
    for name, value in values.items():
        offset, kind = fields[name]
        struct.pack_into(f"<{kind}", out, offset, value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Command:
    """A decoded command buffer."""

    cmd: Cmd
    ints: Mapping[str, int]
    raws: Mapping[str, bytes]


def decode_command(cmd: Cmd, data: bytes) -> Command:
    """Fields of a command buffer.

    Raises:
        DecodeError: its length field is not the size of this command.
    """
    size, fields = LAYOUT[cmd]
    if len(data) != size or int.from_bytes(data[:4], "little") != size:
        raise DecodeError(f"{cmd.name}: a command buffer of {size:#x} bytes is wanted")
    ints: dict[str, int] = {}
    raws: dict[str, bytes] = {}
    for name, (offset, kind) in fields.items():
        value = struct.unpack_from(f"<{kind}", data, offset)[0]
        if isinstance(value, bytes):
            raws[name] = value
        else:
            ints[name] = value
    return Command(cmd, ints, raws)


# ---- scatter lists -------------------------------------------------------------------------------
SLA_END = (1 << 40) - 1
SLA_LIST, SLA_2M = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class Sla:
    """Scatter list address.

    Attributes:
        page: physical page number; all ones end a list.
        is_list: the page holds a list of such addresses.
        is_2m: the page is 2 MiB large.
    """

    page: int
    is_list: bool = False
    is_2m: bool = False

    def encode(self) -> int:
        """As u64: bit 0 type, bit 1 size, 51:12 page."""
        return self.page << 12 | self.is_2m << 1 | self.is_list

    @classmethod
    def decode(cls, value: int) -> Sla:
        """From u64.

        Raises:
            DecodeError: reserved bits are set.
        """
        if value & 0xFFF0_0000_0000_0FFC:
            raise DecodeError(f"scatter list address {value:#x} has reserved bits")
        return cls(value >> 12, bool(value & SLA_LIST), bool(value & SLA_2M))


# ---- data buffers --------------------------------------------------------------------------------
BUFFER_HEADER = 0x40
OBJECT_HEADER = 0x20
ALIGN = 32
ENCRYPTED = 1 << 0
OBJECT_VERSION = (0, 1)


class ObjectId(IntEnum):
    """What a data object is; the last three are this model's (decision 0210)."""

    REQUEST = 1
    RESPONSE = 2
    MEASUREMENTS = 3
    CERTIFICATES = 4
    REPORT = 5


class DataType(IntEnum):
    """Which DOE object type carries a data object."""

    SPDM = 1
    SECURED_SPDM = 2


def buffer_header(capacity: int, payload: int, flags: int = 0, iv: bytes = b"",
                  tag: bytes = b"") -> bytes:
    """A buffer header; `payload` is rounded up to a multiple of 32 bytes."""
    size = -(-payload // ALIGN) * ALIGN
    return struct.pack("<III4x16s16s16x", capacity, size, flags, iv, tag)


def parse_buffer(data: bytes) -> tuple[int, int, bytes, bytes]:
    """Payload size, flags, IV, tag.

    Raises:
        DecodeError: too short, not a multiple of 32, or larger than the capacity.
    """
    if len(data) < BUFFER_HEADER:
        raise DecodeError("a data buffer begins with a header of 0x40 bytes")
    capacity, payload, flags, iv, tag = struct.unpack_from("<III4x16s16s16x", data)
    if payload % ALIGN or payload > capacity or capacity + BUFFER_HEADER > len(data):
        raise DecodeError(f"data buffer: payload {payload}, capacity {capacity},"
                          f" {len(data)} bytes of memory")
    return payload, flags, iv, tag


def encode_object(identity: ObjectId, kind: DataType, data: bytes) -> bytes:
    """A data object: header of 32 bytes, contents, padded to a multiple of 32."""
    head = struct.pack("<IIBBB17x", identity, len(data), *OBJECT_VERSION, kind)
    return (head.ljust(OBJECT_HEADER, b"\0") + data).ljust(
        -(-(OBJECT_HEADER + len(data)) // ALIGN) * ALIGN, b"\0")


def decode_object(data: bytes) -> tuple[ObjectId, DataType, bytes]:
    """The first data object of a payload.

    Raises:
        DecodeError: not one.
    """
    if len(data) < OBJECT_HEADER:
        raise DecodeError("no data object in the buffer")
    identity, length, _, _, kind = struct.unpack_from("<IIBBB", data)
    if (OBJECT_HEADER + length > len(data) or identity not in tuple(ObjectId)
            or kind not in tuple(DataType)):
        raise DecodeError(f"data object {identity} of type {kind} with {length} bytes")
    return ObjectId(identity), DataType(kind), data[OBJECT_HEADER:OBJECT_HEADER + length]


# ---- status structures ---------------------------------------------------------------------------
TIO_ENABLED, TIO_INIT_DONE = 1 << 0, 1 << 1
MIN_BUFFER, MAX_BUFFER = 0x1000, 0x10_0000


def tio_status(flags: int) -> bytes:
    """TIO_STATUS, 0x40 bytes: sizes of the four buffers (minimum, maximum), of contexts."""
    return struct.pack("<II8IIIQ8x", 0x40, flags, *(MIN_BUFFER, MAX_BUFFER) * 4, 0x1000, 0x1000, 0)


def dev_status(state: int, slot: int, rid: int, segment: int, tc_mask: int, pending: int,
               interface: bytes, streams: bytes) -> bytes:
    """DEV_STATUS, 0xA0 bytes."""
    head = struct.pack("<IBxBBHBBHxx12s4x8s", 0xA0, state, 0, slot, rid, segment, tc_mask, pending,
                       interface, streams)
    return head.ljust(0xA0, b"\0")


def parse_dev_status(data: bytes) -> tuple[int, int, int]:
    """Context state, Requester ID, pending command."""
    if len(data) < 0xA0:
        raise DecodeError("DEV_STATUS has 0xA0 bytes")
    return data[4], int.from_bytes(data[8:10], "little"), int.from_bytes(data[12:14], "little")


class Fence(IntEnum):
    """State of a fence."""

    NONE = 0
    ERROR = 1
    DEFAULT = 3


def fence_status(dma: Fence, mmio: Fence) -> int:
    """DMA in bits 1:0, MMIO in bits 3:2."""
    return int(dma) | int(mmio) << 2
