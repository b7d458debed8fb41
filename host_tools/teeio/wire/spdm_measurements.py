# SPDX-License-Identifier: Apache-2.0
"""SPDM measurements: request, response and the blocks of the record (DSP0274, 10.11)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.errors import LocalError
from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_base import (
    MEASUREMENT_SPEC_DMTF,
    NONCE_BYTES,
    Code,
    Layout,
    SpdmMessage,
    read_header,
    read_opaque,
    write_header,
    write_opaque,
)
from teeio.wire.spdm_identity import context_bytes

OPERATION_COUNT: Final = 0x00
OPERATION_ALL: Final = 0xFF
INDEX_MANIFEST: Final = 0xFD
INDEX_DEVICE_MODE: Final = 0xFE


class MeasurementAttribute(enum.IntFlag):
    """Param1 of GET_MEASUREMENTS."""

    SIGNATURE = 1 << 0
    RAW_BIT_STREAM = 1 << 1
    NEW_MEASUREMENT = 1 << 2


class MeasurementType(enum.IntEnum):
    """DMTFSpecMeasurementValueType bits 6:0."""

    IMMUTABLE_ROM = 0
    MUTABLE_FIRMWARE = 1
    HARDWARE_CONFIGURATION = 2
    FIRMWARE_CONFIGURATION = 3
    FREEFORM_MANIFEST = 4
    DEVICE_MODE = 5
    VERSION = 6
    SECURE_VERSION_NUMBER = 7
    HASH_EXTEND = 8
    INFORMATIONAL = 9
    STRUCTURED_MANIFEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementBlock:
    """One block of the DMTF measurement specification.

    Attributes:
        index: 1..0xFE.
        value_type: `MeasurementType` number; bit 7 of the wire byte is `is_raw`.
        is_raw: the value is a raw bit stream, else a digest with the measurement hash.
    """

    index: int
    value_type: int
    is_raw: bool
    value: bytes
    specification: int = MEASUREMENT_SPEC_DMTF

    def encode(self) -> bytes:
        if not 0 <= self.value_type < 0x80:
            raise LocalError(f"measurement value type {self.value_type} does not fit 7 bits")
        w = Writer().u8(self.index, "index").u8(self.specification, "specification")
        w.u16(3 + len(self.value), "MeasurementSize")
        w.u8(self.value_type | (0x80 if self.is_raw else 0), "value type")
        return w.u16(len(self.value), "value size").raw(self.value).done()

    @classmethod
    def decode(cls, r: Reader) -> MeasurementBlock:
        index = r.u8("block index")
        if not 1 <= index <= INDEX_DEVICE_MODE:
            r.fail(f"measurement index {index:#04x} is outside 01h..FEh", offset=r.offset - 1)
        specification = r.u8("specification")
        if specification != MEASUREMENT_SPEC_DMTF:
            r.fail(f"measurement specification {specification:#04x} is not DMTF")
        size = r.u16("MeasurementSize")
        kind = r.u8("value type")
        value_size = r.u16("value size")
        if size != 3 + value_size:
            r.fail(f"MeasurementSize {size} does not hold a value of {value_size} bytes")
        return cls(
            index=index,
            value_type=kind & 0x7F,
            is_raw=bool(kind & 0x80),
            value=r.take(value_size, "measurement value"),
            specification=specification,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMode:
    """Value of the device-mode block (type 5): four 32-bit words."""

    operational_capabilities: int
    operational_state: int
    device_capabilities: int
    device_state: int

    def encode(self) -> bytes:
        w = Writer().u32(self.operational_capabilities).u32(self.operational_state)
        return w.u32(self.device_capabilities).u32(self.device_state).done()

    @classmethod
    def decode(cls, r: Reader) -> DeviceMode:
        return cls(
            operational_capabilities=r.u32("operational capabilities"),
            operational_state=r.u32("operational state"),
            device_capabilities=r.u32("device capabilities"),
            device_state=r.u32("device state"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetMeasurements(SpdmMessage):
    """GET_MEASUREMENTS. `nonce` and `slot` are on the wire only with the SIGNATURE attribute."""

    CODE: ClassVar[Code] = Code.GET_MEASUREMENTS
    version: int
    attributes: int
    operation: int
    nonce: bytes = b""
    slot: int = 0
    context: bytes = b""

    @property
    def is_signed(self) -> bool:
        return bool(self.attributes & MeasurementAttribute.SIGNATURE)

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.attributes, self.operation)
        if self.is_signed:
            w.raw(self.nonce, NONCE_BYTES, "nonce").u8(self.slot, "slot")
        return w.raw(self.context, context_bytes(self.version), "context").done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, attributes, operation = read_header(r, cls.CODE)
        signed = bool(attributes & MeasurementAttribute.SIGNATURE)
        return cls(
            version=version,
            attributes=attributes,
            operation=operation,
            nonce=r.take(NONCE_BYTES, "nonce") if signed else b"",
            slot=r.u8("slot") if signed else 0,
            context=r.take(context_bytes(version), "context"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements(SpdmMessage):
    """MEASUREMENTS. `record` stays bytes (it is signed); `blocks()` parses it.

    Attributes:
        index_count: number of indices, the answer to operation 0.
        param2: bits 3:0 slot, bits 5:4 content change (1 changed, 2 unchanged).
        signature: empty if none was asked for.
    """

    CODE: ClassVar[Code] = Code.MEASUREMENTS
    version: int
    index_count: int = 0
    param2: int = 0
    block_count: int
    record: bytes
    nonce: bytes
    opaque: bytes = b""
    context: bytes = b""
    signature: bytes = b""

    @property
    def slot(self) -> int:
        return self.param2 & 0xF

    @property
    def content_change(self) -> int:
        return self.param2 >> 4 & 3

    def blocks(self) -> tuple[MeasurementBlock, ...]:
        """The blocks of the record.

        Raises:
            DecodeError: if they do not fill the record exactly.
        """
        reader = Reader(self.record)
        blocks = tuple(MeasurementBlock.decode(reader) for _ in range(self.block_count))
        reader.expect_end()
        return blocks

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.index_count, self.param2)
        w.u8(self.block_count, "NumberOfBlocks").u24(len(self.record), "record length")
        w.raw(self.record).raw(self.nonce, NONCE_BYTES, "nonce")
        write_opaque(w, self.opaque).raw(self.context, context_bytes(self.version), "context")
        return w.raw(self.signature).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, index_count, param2 = read_header(r, cls.CODE)
        block_count = r.u8("NumberOfBlocks")
        length = r.u24("record length")
        return cls(
            version=version,
            index_count=index_count,
            param2=param2,
            block_count=block_count,
            record=r.take(length, "measurement record"),
            nonce=r.take(NONCE_BYTES, "nonce"),
            opaque=read_opaque(r),
            context=r.take(context_bytes(version), "context"),
            signature=r.take(layout.signature_size if layout.is_signed else 0, "signature"),
        )
