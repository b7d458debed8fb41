# SPDX-License-Identifier: Apache-2.0
"""SPDM messages that open a connection: VERSION, CAPABILITIES, ALGORITHMS (DSP0274, 10.3-10.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_base import (
    VERSION_10,
    VERSION_13,
    Code,
    Layout,
    SpdmMessage,
    read_header,
    read_reserved_header,
    write_header,
)

MAX_NEGOTIATE_BYTES: Final = 128
MAX_EXT_ALGORITHMS: Final = 20
FIXED_ALG_BYTES: Final = 2
_EXT_ALG_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GetVersion(SpdmMessage):
    """GET_VERSION; its version byte is always 0x10."""

    CODE: ClassVar[Code] = Code.GET_VERSION
    version: int = VERSION_10
    param1: int = 0
    param2: int = 0

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.param1, self.param2).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE, (VERSION_10,))
        return cls(version=version, param1=param1, param2=param2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(SpdmMessage):
    """VERSION. An entry is [15:12] major, [11:8] minor, [7:4] update, [3:0] alpha."""

    CODE: ClassVar[Code] = Code.VERSION
    version: int = VERSION_10
    entries: tuple[int, ...]
    param1: int = 0
    param2: int = 0
    reserved: int = 0

    @property
    def version_bytes(self) -> tuple[int, ...]:
        """Major and minor of each released entry, as in a message header (0x12 = 1.2)."""
        return tuple(entry >> 8 for entry in self.entries if entry & 0xF == 0)

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        w.u8(self.reserved, "reserved").u8(len(self.entries), "entry count")
        for entry in self.entries:
            w.u16(entry, "version entry")
        return w.done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE, (VERSION_10,))
        reserved = r.reserved(1, "VERSION reserved")
        entries = tuple(r.u16("version entry") for _ in range(r.u8("entry count")))
        return cls(
            version=version, entries=entries, param1=param1, param2=param2, reserved=reserved
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CapabilityFields(SpdmMessage):
    """The 20 bytes that GET_CAPABILITIES and CAPABILITIES share from version 1.2 on.

    Attributes:
        param1: 1.3: bit 0 = Supported Algorithms block wanted or present (never asked for here).
        ct_exponent: cryptographic operations take at most 2**ct_exponent microseconds.
        flags: `Cap` bits.
        data_transfer_size: largest message this end receives in one transfer, bytes.
        max_message_size: largest message this end receives in chunks, bytes.
    """

    version: int
    ct_exponent: int
    flags: int
    data_transfer_size: int
    max_message_size: int
    param1: int = 0
    param2: int = 0
    reserved_4: int = 0
    reserved_6: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.param1, self.param2)
        w.u8(self.reserved_4, "reserved").u8(self.ct_exponent, "CTExponent")
        w.u16(self.reserved_6, "reserved").u32(self.flags, "flags")
        w.u32(self.data_transfer_size, "DataTransferSize")
        return w.u32(self.max_message_size, "MaxSPDMmsgSize").done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_header(r, cls.CODE)
        r.expect_zero_bits(param1, 0xFE if version >= VERSION_13 else 0xFF, "param1")
        r.expect_zero_bits(param2, 0xFF, "param2")
        return cls(
            version=version,
            param1=param1,
            param2=param2,
            reserved_4=r.reserved(1),
            ct_exponent=r.u8("CTExponent"),
            reserved_6=r.reserved(2),
            flags=r.u32("flags"),
            data_transfer_size=r.u32("DataTransferSize"),
            max_message_size=r.u32("MaxSPDMmsgSize"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCapabilities(_CapabilityFields):
    CODE: ClassVar[Code] = Code.GET_CAPABILITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities(_CapabilityFields):
    CODE: ClassVar[Code] = Code.CAPABILITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgStruct:
    """One algorithm structure table: a 16-bit mask, and 4-byte external algorithms."""

    alg_type: int
    mask: int
    external: tuple[int, ...] = ()
    fixed_bytes: int = FIXED_ALG_BYTES

    def write(self, w: Writer) -> None:
        w.u8(self.alg_type, "AlgType")
        w.u8(self.fixed_bytes << 4 | len(self.external), "AlgCount")
        w.u16(self.mask, "AlgSupported")
        for item in self.external:
            w.u32(item, "external algorithm")

    @classmethod
    def read(cls, r: Reader) -> AlgStruct:
        alg_type = r.u8("AlgType")
        count = r.u8("AlgCount")
        if count >> 4 != FIXED_ALG_BYTES:
            r.fail(f"AlgCount {count:#04x}: fixed part is not 2 bytes", offset=r.offset - 1)
        mask = r.u16("AlgSupported")
        external = tuple(r.u32("external algorithm") for _ in range(count & 0xF))
        return cls(alg_type=alg_type, mask=mask, external=external)


def _read_structs(r: Reader, count: int) -> tuple[AlgStruct, ...]:
    structs: list[AlgStruct] = []
    for _ in range(count):
        item = AlgStruct.read(r)
        if structs and item.alg_type <= structs[-1].alg_type:
            r.fail("algorithm structures are not in ascending order of AlgType")
        structs.append(item)
    return tuple(structs)


def _read_external(r: Reader, count_asym: int, count_hash: int) -> tuple[tuple[int, ...], ...]:
    if count_asym + count_hash > MAX_EXT_ALGORITHMS:
        r.fail("more than 20 external algorithms")
    return (
        tuple(r.u32("external asymmetric") for _ in range(count_asym)),
        tuple(r.u32("external hash") for _ in range(count_hash)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiateAlgorithms(SpdmMessage):
    """NEGOTIATE_ALGORITHMS. Length and counts are computed."""

    CODE: ClassVar[Code] = Code.NEGOTIATE_ALGORITHMS
    version: int
    measurement_specification: int
    other_params: int
    base_asym: int
    base_hash: int
    structs: tuple[AlgStruct, ...]
    external_asym: tuple[int, ...] = ()
    external_hash: tuple[int, ...] = ()
    mel_specification: int = 0
    param2: int = 0
    reserved_16: int = 0
    reserved_30: int = 0

    def encode(self) -> bytes:
        tail = Writer()
        for item in (*self.external_asym, *self.external_hash):
            tail.u32(item, "external algorithm")
        for struct in self.structs:
            struct.write(tail)
        w = write_header(self.version, self.CODE, len(self.structs), self.param2)
        w.u16(32 + len(tail), "Length").u8(self.measurement_specification, "MeasurementSpec")
        w.u8(self.other_params, "OtherParams").u32(self.base_asym).u32(self.base_hash)
        w.uint(self.reserved_16, 12, "reserved").u8(len(self.external_asym))
        w.u8(len(self.external_hash)).u8(self.reserved_30, "reserved")
        return w.u8(self.mel_specification, "MELspecification").raw(tail.done()).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        start = r.offset
        version, struct_count, param2 = read_header(r, cls.CODE)
        r.expect_zero_bits(param2, 0xFF, "param2")
        length = r.u16("Length")
        measurement_specification = r.u8("MeasurementSpecification")
        other_params = r.u8("OtherParams")
        base_asym = r.u32("BaseAsymAlgo")
        base_hash = r.u32("BaseHashAlgo")
        reserved_16 = r.reserved(12)
        counts = r.u8("ExtAsymCount"), r.u8("ExtHashCount")
        reserved_30 = r.reserved(1)
        mel = r.u8("MELspecification")
        external_asym, external_hash = _read_external(r, *counts)
        structs = _read_structs(r, struct_count)
        if r.offset - start != length or length > MAX_NEGOTIATE_BYTES:
            r.fail(f"Length {length}, but the tables end at {r.offset - start} (limit 128)")
        return cls(
            version=version,
            measurement_specification=measurement_specification,
            other_params=other_params,
            base_asym=base_asym,
            base_hash=base_hash,
            structs=structs,
            external_asym=external_asym,
            external_hash=external_hash,
            mel_specification=mel,
            param2=param2,
            reserved_16=reserved_16,
            reserved_30=reserved_30,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithms(SpdmMessage):
    """ALGORITHMS: the responder's choice, at most one bit of each kind."""

    CODE: ClassVar[Code] = Code.ALGORITHMS
    version: int
    measurement_specification: int
    other_params: int
    measurement_hash: int
    base_asym: int
    base_hash: int
    structs: tuple[AlgStruct, ...]
    external_asym: tuple[int, ...] = ()
    external_hash: tuple[int, ...] = ()
    mel_specification: int = 0
    param2: int = 0
    reserved_20: int = 0
    reserved_34: int = 0

    def selected(self, alg_type: int) -> int:
        """Mask of the table `alg_type`, 0 if there is none."""
        return next((item.mask for item in self.structs if item.alg_type == alg_type), 0)

    def encode(self) -> bytes:
        tail = Writer()
        for item in (*self.external_asym, *self.external_hash):
            tail.u32(item, "external algorithm")
        for struct in self.structs:
            struct.write(tail)
        w = write_header(self.version, self.CODE, len(self.structs), self.param2)
        w.u16(36 + len(tail), "Length").u8(self.measurement_specification, "MeasurementSpec")
        w.u8(self.other_params, "OtherParams").u32(self.measurement_hash)
        w.u32(self.base_asym).u32(self.base_hash).uint(self.reserved_20, 11, "reserved")
        w.u8(self.mel_specification, "MELspecification").u8(len(self.external_asym))
        w.u8(len(self.external_hash)).u16(self.reserved_34, "reserved")
        return w.raw(tail.done()).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        start = r.offset
        version, struct_count, param2 = read_header(r, cls.CODE)
        r.expect_zero_bits(param2, 0xFF, "param2")
        length = r.u16("Length")
        measurement_specification = r.u8("MeasurementSpecificationSel")
        other_params = r.u8("OtherParamsSelection")
        measurement_hash = r.u32("MeasurementHashAlgo")
        base_asym = r.u32("BaseAsymSel")
        base_hash = r.u32("BaseHashSel")
        reserved_20 = r.reserved(11)
        mel = r.u8("MELspecificationSel")
        counts = r.u8("ExtAsymSelCount"), r.u8("ExtHashSelCount")
        reserved_34 = r.reserved(2)
        external_asym, external_hash = _read_external(r, *counts)
        structs = _read_structs(r, struct_count)
        if r.offset - start != length:
            r.fail(f"Length {length}, but the tables end at {r.offset - start}")
        return cls(
            version=version,
            measurement_specification=measurement_specification,
            other_params=other_params,
            measurement_hash=measurement_hash,
            base_asym=base_asym,
            base_hash=base_hash,
            structs=structs,
            external_asym=external_asym,
            external_hash=external_hash,
            mel_specification=mel,
            param2=param2,
            reserved_20=reserved_20,
            reserved_34=reserved_34,
        )
