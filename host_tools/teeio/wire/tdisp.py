# SPDX-License-Identifier: Apache-2.0
"""TDISP 1.0 messages (PCIe Base 6.x, chapter 11).

`encode`/`decode` work on the TDISP message proper (header first). In a vendor-defined payload the
protocol byte 01h stands before it: `to_payload`, `from_payload`.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from teeio.errors import LocalError
from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_vendor import PciProtocol
from teeio.wire.tdisp_report import MmioRange

TDISP_VERSION_10: Final = 0x10
NONCE_BYTES: Final = 32
HEADER_BYTES: Final = 16
MAX_REPORT_BYTES: Final = 0xFFFF


class TdispCode(enum.IntEnum):
    VERSION = 0x01
    CAPABILITIES = 0x02
    LOCK_INTERFACE_RESPONSE = 0x03
    DEVICE_INTERFACE_REPORT = 0x04
    DEVICE_INTERFACE_STATE = 0x05
    START_INTERFACE_RESPONSE = 0x06
    STOP_INTERFACE_RESPONSE = 0x07
    BIND_P2P_STREAM_RESPONSE = 0x08
    UNBIND_P2P_STREAM_RESPONSE = 0x09
    SET_MMIO_ATTRIBUTE_RESPONSE = 0x0A
    VDM_RESPONSE = 0x0B
    ERROR = 0x7F
    GET_VERSION = 0x81
    GET_CAPABILITIES = 0x82
    LOCK_INTERFACE_REQUEST = 0x83
    GET_DEVICE_INTERFACE_REPORT = 0x84
    GET_DEVICE_INTERFACE_STATE = 0x85
    START_INTERFACE_REQUEST = 0x86
    STOP_INTERFACE_REQUEST = 0x87
    BIND_P2P_STREAM_REQUEST = 0x88
    UNBIND_P2P_STREAM_REQUEST = 0x89
    SET_MMIO_ATTRIBUTE_REQUEST = 0x8A
    VDM_REQUEST = 0x8B


MANDATORY_REQUESTS: Final = 0xFE
"""REQ_MSGS_SUPPORTED with the seven mandatory requests: bit = code - 80h."""


class TdispErrorCode(enum.IntEnum):
    INVALID_REQUEST = 0x0001
    BUSY = 0x0003
    INVALID_INTERFACE_STATE = 0x0004
    UNSPECIFIED = 0x0005
    UNSUPPORTED_REQUEST = 0x0007
    VERSION_MISMATCH = 0x0041
    VENDOR_SPECIFIC_ERROR = 0x00FF
    INVALID_INTERFACE = 0x0101
    INVALID_NONCE = 0x0102
    INSUFFICIENT_ENTROPY = 0x0103
    INVALID_DEVICE_CONFIGURATION = 0x0104


class TdiState(enum.IntEnum):
    CONFIG_UNLOCKED = 0
    CONFIG_LOCKED = 1
    RUN = 2
    ERROR = 3


class LockFlag(enum.IntFlag):
    NO_FW_UPDATE = 1 << 0
    SYSTEM_CACHE_LINE_SIZE = 1 << 1
    LOCK_MSIX = 1 << 2
    BIND_P2P = 1 << 3
    ALL_REQUEST_REDIRECT = 1 << 4


def error_name(code: int) -> str:
    """Name of a TDISP error code, or its number."""
    try:
        return TdispErrorCode(code).name
    except ValueError:
        return f"TDISP error {code:#06x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceId:
    """INTERFACE_ID: [15:0] requester ID, [23:16] segment, [24] segment valid, then reserved."""

    function_id: int
    reserved: int = 0

    @classmethod
    def of(cls, requester_id: int, segment: int | None = None) -> InterfaceId:
        """The id of the interface with this requester ID (bus << 8 | device << 3 | function)."""
        if not 0 <= requester_id < 1 << 16:
            raise LocalError(f"requester ID {requester_id:#x} has more than 16 bits")
        if segment is None:
            return cls(function_id=requester_id)
        if not 0 <= segment < 1 << 8:
            raise LocalError(f"segment {segment:#x} has more than 8 bits")
        return cls(function_id=requester_id | segment << 16 | 1 << 24)

    @property
    def requester_id(self) -> int:
        return self.function_id & 0xFFFF

    @property
    def segment(self) -> int | None:
        return self.function_id >> 16 & 0xFF if self.function_id >> 24 & 1 else None

    def __str__(self) -> str:
        rid = self.requester_id
        return f"{rid >> 8:02x}:{rid >> 3 & 0x1F:02x}.{rid & 7}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TdispMessage(abc.ABC):
    """Header of every message. Subclasses add the body."""

    CODE: ClassVar[TdispCode]
    interface: InterfaceId
    version: int = TDISP_VERSION_10
    reserved_header: int = 0

    def _header(self) -> Writer:
        w = Writer().u8(self.version, "TDISPVersion").u8(self.CODE)
        w.u16(self.reserved_header, "reserved")
        w.u32(self.interface.function_id, "function id")
        return w.u64(self.interface.reserved, "interface id reserved")

    @abc.abstractmethod
    def _body(self, w: Writer) -> None:
        """Writes what follows the header."""

    @classmethod
    @abc.abstractmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        """Reads what follows the header."""

    def encode(self) -> bytes:
        w = self._header()
        self._body(w)
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> Self:
        head = TdispHead.read(r)
        if head.code != cls.CODE:
            r.fail(f"TDISP code {head.code:#04x} is not {cls.CODE.name}", offset=1)
        return cls._read(r, head)

    def to_payload(self) -> bytes:
        """The vendor-defined payload: protocol byte, then the message."""
        return bytes([PciProtocol.TDISP]) + self.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TdispHead:
    """The 16 header bytes as read."""

    version: int
    code: int
    interface: InterfaceId
    reserved_header: int

    @classmethod
    def read(cls, r: Reader) -> TdispHead:
        version = r.u8("TDISPVersion")
        code = r.u8("MessageType")
        reserved_header = r.reserved(2, "TDISP header reserved")
        function_id = r.u32("function id")
        r.expect_zero_bits(function_id, 0xFE00_0000, "function id [31:25]")
        interface = InterfaceId(function_id=function_id, reserved=r.reserved(8, "interface id"))
        return cls(version=version, code=code, interface=interface, reserved_header=reserved_header)


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeaderOnly(TdispMessage):
    def _body(self, w: Writer) -> None:
        pass

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetTdispVersion(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.GET_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDeviceInterfaceState(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.GET_DEVICE_INTERFACE_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInterfaceResponse(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.START_INTERFACE_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInterfaceRequest(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.STOP_INTERFACE_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInterfaceResponse(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.STOP_INTERFACE_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class BindP2pStreamResponse(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.BIND_P2P_STREAM_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbindP2pStreamResponse(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.UNBIND_P2P_STREAM_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMmioAttributeResponse(_HeaderOnly):
    CODE: ClassVar[TdispCode] = TdispCode.SET_MMIO_ATTRIBUTE_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class TdispVersion(TdispMessage):
    """TDISP_VERSION: an entry is [7:4] major, [3:0] minor."""

    CODE: ClassVar[TdispCode] = TdispCode.VERSION
    entries: tuple[int, ...]

    def _body(self, w: Writer) -> None:
        w.u8(len(self.entries), "version count")
        for entry in self.entries:
            w.u8(entry, "version entry")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            entries=tuple(r.u8("version entry") for _ in range(r.u8("version count"))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetTdispCapabilities(TdispMessage):
    CODE: ClassVar[TdispCode] = TdispCode.GET_CAPABILITIES
    tsm_caps: int = 0

    def _body(self, w: Writer) -> None:
        w.u32(self.tsm_caps, "TSM_CAPS")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            tsm_caps=r.u32("TSM_CAPS"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TdispCapabilities(TdispMessage):
    """TDISP_CAPABILITIES. `requests` has bit (code - 80h) set for each supported request."""

    CODE: ClassVar[TdispCode] = TdispCode.CAPABILITIES
    dsm_caps: int
    requests: int
    lock_flags: int
    address_width: int
    num_req_this: int
    num_req_all: int
    reserved: int = 0

    def supports(self, request: TdispCode) -> bool:
        return bool(self.requests >> (request - 0x80) & 1)

    def _body(self, w: Writer) -> None:
        w.u32(self.dsm_caps, "DSM_CAPS").uint(self.requests, 16, "REQ_MSGS_SUPPORTED")
        w.u16(self.lock_flags, "LOCK_INTERFACE_FLAGS_SUPPORTED").u24(self.reserved)
        w.u8(self.address_width, "DEV_ADDR_WIDTH").u8(self.num_req_this, "NUM_REQ_THIS")
        w.u8(self.num_req_all, "NUM_REQ_ALL")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            dsm_caps=r.u32("DSM_CAPS"),
            requests=int.from_bytes(r.take(16, "REQ_MSGS_SUPPORTED"), "little"),
            lock_flags=r.expect_zero_bits(r.u16("lock flags"), 0xFFE0, "lock flags 15:5"),
            reserved=r.reserved(3),
            address_width=r.u8("DEV_ADDR_WIDTH"),
            num_req_this=r.u8("NUM_REQ_THIS"),
            num_req_all=r.u8("NUM_REQ_ALL"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInterfaceRequest(TdispMessage):
    """LOCK_INTERFACE_REQUEST. `mmio_reporting_offset` is signed, in bytes."""

    CODE: ClassVar[TdispCode] = TdispCode.LOCK_INTERFACE_REQUEST
    flags: int
    stream_id: int
    mmio_reporting_offset: int = 0
    bind_p2p_address_mask: int = 0
    reserved: int = 0

    def _body(self, w: Writer) -> None:
        w.u16(self.flags, "FLAGS").u8(self.stream_id, "STREAM_ID").u8(self.reserved)
        w.i64(self.mmio_reporting_offset, "MMIO_REPORTING_OFFSET")
        w.u64(self.bind_p2p_address_mask, "BIND_P2P_ADDRESS_MASK")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            flags=r.expect_zero_bits(r.u16("FLAGS"), 0xFFE0, "FLAGS 15:5"),
            stream_id=r.u8("STREAM_ID"),
            reserved=r.reserved(1),
            mmio_reporting_offset=r.i64("MMIO_REPORTING_OFFSET"),
            bind_p2p_address_mask=r.u64("BIND_P2P_ADDRESS_MASK"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithNonce(TdispMessage):
    """The start nonce authorises START: it is kept out of repr."""

    nonce: bytes = field(repr=False)

    def _body(self, w: Writer) -> None:
        w.raw(self.nonce, NONCE_BYTES, "START_INTERFACE_NONCE")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            nonce=r.take(NONCE_BYTES, "START_INTERFACE_NONCE"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInterfaceResponse(_WithNonce):
    CODE: ClassVar[TdispCode] = TdispCode.LOCK_INTERFACE_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInterfaceRequest(_WithNonce):
    CODE: ClassVar[TdispCode] = TdispCode.START_INTERFACE_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDeviceInterfaceReport(TdispMessage):
    CODE: ClassVar[TdispCode] = TdispCode.GET_DEVICE_INTERFACE_REPORT
    offset: int
    length: int

    def _body(self, w: Writer) -> None:
        w.u16(self.offset, "OFFSET").u16(self.length, "LENGTH")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            offset=r.u16("OFFSET"),
            length=r.u16("LENGTH"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInterfaceReport(TdispMessage):
    """DEVICE_INTERFACE_REPORT: a portion and how many bytes remain after it."""

    CODE: ClassVar[TdispCode] = TdispCode.DEVICE_INTERFACE_REPORT
    portion: bytes
    remainder: int

    def _body(self, w: Writer) -> None:
        w.u16(len(self.portion), "PORTION_LENGTH").u16(self.remainder, "REMAINDER_LENGTH")
        w.raw(self.portion)

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        length = r.u16("PORTION_LENGTH")
        remainder = r.u16("REMAINDER_LENGTH")
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            remainder=remainder,
            portion=r.take(length, "REPORT_BYTES"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInterfaceState(TdispMessage):
    CODE: ClassVar[TdispCode] = TdispCode.DEVICE_INTERFACE_STATE
    state: int

    def _body(self, w: Writer) -> None:
        w.u8(self.state, "TDI_STATE")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            state=r.u8("TDI_STATE"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _P2pStream(TdispMessage):
    stream_id: int

    def _body(self, w: Writer) -> None:
        w.u8(self.stream_id, "P2P_STREAM_ID")

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            stream_id=r.u8("P2P_STREAM_ID"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BindP2pStreamRequest(_P2pStream):
    CODE: ClassVar[TdispCode] = TdispCode.BIND_P2P_STREAM_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbindP2pStreamRequest(_P2pStream):
    CODE: ClassVar[TdispCode] = TdispCode.UNBIND_P2P_STREAM_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMmioAttributeRequest(TdispMessage):
    CODE: ClassVar[TdispCode] = TdispCode.SET_MMIO_ATTRIBUTE_REQUEST
    mmio_range: MmioRange

    def _body(self, w: Writer) -> None:
        self.mmio_range.write(w)

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            mmio_range=MmioRange.read(r),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vdm(TdispMessage):
    """Vendor-defined message: registry 0 PCI-SIG, 1 CXL."""

    registry_id: int
    vendor_id: bytes
    data: bytes

    def _body(self, w: Writer) -> None:
        w.u8(self.registry_id, "registry id").u8(len(self.vendor_id), "vendor id length")
        w.raw(self.vendor_id).raw(self.data)

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        registry_id = r.u8("registry id")
        vendor_id = r.take(r.u8("vendor id length"), "vendor id")
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            registry_id=registry_id,
            vendor_id=vendor_id,
            data=r.rest(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VdmRequest(_Vdm):
    CODE: ClassVar[TdispCode] = TdispCode.VDM_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class VdmResponse(_Vdm):
    CODE: ClassVar[TdispCode] = TdispCode.VDM_RESPONSE


@dataclass(frozen=True, slots=True, kw_only=True)
class TdispError(TdispMessage):
    """TDISP_ERROR. `extended` is present only for vendor-specific errors."""

    CODE: ClassVar[TdispCode] = TdispCode.ERROR
    error: int
    data: int = 0
    extended: bytes = b""

    def _body(self, w: Writer) -> None:
        w.u32(self.error, "ERROR_CODE").u32(self.data, "ERROR_DATA").raw(self.extended)

    @classmethod
    def _read(cls, r: Reader, head: TdispHead) -> Self:
        error = r.u32("ERROR_CODE")
        data = r.u32("ERROR_DATA")
        size = data if error == TdispErrorCode.VENDOR_SPECIFIC_ERROR else 0
        return cls(
            interface=head.interface,
            version=head.version,
            reserved_header=head.reserved_header,
            error=error,
            data=data,
            extended=r.take(size, "extended error data"),
        )


_KINDS: Final[dict[int, type[TdispMessage]]] = {
    kind.CODE: kind
    for kind in (
        GetTdispVersion, TdispVersion, GetTdispCapabilities, TdispCapabilities,
        LockInterfaceRequest, LockInterfaceResponse, GetDeviceInterfaceReport,
        DeviceInterfaceReport, GetDeviceInterfaceState, DeviceInterfaceState,
        StartInterfaceRequest, StartInterfaceResponse, StopInterfaceRequest,
        StopInterfaceResponse, BindP2pStreamRequest, BindP2pStreamResponse,
        UnbindP2pStreamRequest, UnbindP2pStreamResponse, SetMmioAttributeRequest,
        SetMmioAttributeResponse, VdmRequest, VdmResponse, TdispError,
    )
}  # fmt: skip


def from_payload(payload: bytes, *, strict: bool = False) -> TdispMessage:
    """Decodes the TDISP message in a vendor-defined payload, which it must fill.

    Raises:
        DecodeError: if the protocol byte is not TDISP, the code is unknown, or the message is
            malformed.
    """
    if not payload or payload[0] != PciProtocol.TDISP:
        Reader(payload).fail("protocol byte is not TDISP")
    return decode_message(payload[1:], strict=strict)


def decode_message(data: bytes, *, strict: bool = False) -> TdispMessage:
    """Decodes any TDISP message, which must fill `data`.

    Raises:
        DecodeError: if the code is unknown or the message is malformed.
    """
    reader = Reader(data, strict=strict)
    if len(data) < HEADER_BYTES:
        reader.fail("shorter than a TDISP header")
    kind = _KINDS.get(data[1])
    if kind is None:
        reader.fail(f"unknown TDISP code {data[1]:#04x}", offset=1)
    message = kind.decode(reader)
    reader.expect_end()
    return message
