# SPDX-License-Identifier: Apache-2.0
"""The IDE Extended Capability as register values (PCIe Base 6.x, 7.9.26).

The image starts at register offset 04h (IDE Capability), the form in which QUERY_RESP carries it:
IDE Capability, IDE Control, link blocks (only if bit 0 says so), selective blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from teeio.errors import DecodeError
from teeio.wire.reader import Reader, Writer

STATE_INSECURE: Final = 0
STATE_SECURE: Final = 2


def _field(value: int, high: int, low: int) -> int:
    return value >> low & ((1 << (high - low + 1)) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamControl:
    """View on a Link or Selective IDE Stream Control register."""

    value: int

    @property
    def is_enabled(self) -> bool:
        return bool(self.value & 1)

    @property
    def has_pcrc(self) -> bool:
        return bool(self.value >> 8 & 1)

    @property
    def has_config_requests(self) -> bool:
        """Selective IDE for Configuration Requests (selective blocks only)."""
        return bool(self.value >> 9 & 1)

    @property
    def partial_header_mode(self) -> int:
        return _field(self.value, 13, 10)

    @property
    def algorithm(self) -> int:
        return _field(self.value, 18, 14)

    @property
    def traffic_class(self) -> int:
        return _field(self.value, 21, 19)

    @property
    def is_default(self) -> bool:
        """Default Stream (selective blocks only)."""
        return bool(self.value >> 22 & 1)

    @property
    def is_tee_limited(self) -> bool:
        """TEE-Limited Stream (selective blocks only)."""
        return bool(self.value >> 23 & 1)

    @property
    def stream_id(self) -> int:
        return _field(self.value, 31, 24)


def stream_state(status: int) -> int:
    """State field of a stream status register: 0 Insecure, 2 Secure."""
    return status & 0xF


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBlock:
    """Link IDE Stream registers."""

    control: int
    status: int

    @property
    def fields(self) -> StreamControl:
        return StreamControl(value=self.control)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAssociation:
    """The three address association registers; addresses in bytes, 1 MiB granularity."""

    register_1: int
    register_2: int
    register_3: int

    @property
    def is_valid(self) -> bool:
        return bool(self.register_1 & 1)

    @property
    def base(self) -> int:
        """First address of the range."""
        return self.register_3 << 32 | _field(self.register_1, 19, 8) << 20

    @property
    def limit(self) -> int:
        """Last address of the range (its low 20 bits are ones)."""
        return self.register_2 << 32 | _field(self.register_1, 31, 20) << 20 | 0xF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveBlock:
    """Selective IDE Stream registers."""

    capability: int
    control: int
    status: int
    rid_association_1: int
    rid_association_2: int
    addresses: tuple[AddressAssociation, ...] = ()

    @property
    def fields(self) -> StreamControl:
        return StreamControl(value=self.control)

    @property
    def rid_is_valid(self) -> bool:
        return bool(self.rid_association_2 & 1)

    @property
    def rid_base(self) -> int:
        return _field(self.rid_association_2, 23, 8)

    @property
    def rid_limit(self) -> int:
        return _field(self.rid_association_1, 23, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdeRegisters:
    """The whole capability from offset 04h on."""

    capability: int
    control: int
    link_blocks: tuple[LinkBlock, ...]
    selective_blocks: tuple[SelectiveBlock, ...]

    @property
    def has_link(self) -> bool:
        return bool(self.capability & 1)

    @property
    def has_selective(self) -> bool:
        return bool(self.capability >> 1 & 1)

    @property
    def has_aggregation(self) -> bool:
        return bool(self.capability >> 4 & 1)

    @property
    def has_ide_km(self) -> bool:
        return bool(self.capability >> 6 & 1)

    @property
    def has_tee_limited(self) -> bool:
        return bool(self.capability >> 24 & 1)

    def encode(self) -> bytes:
        w = Writer().u32(self.capability, "IDE Capability").u32(self.control, "IDE Control")
        for link in self.link_blocks:
            w.u32(link.control, "link control").u32(link.status, "link status")
        for block in self.selective_blocks:
            w.u32(block.capability, "selective capability").u32(block.control, "control")
            w.u32(block.status, "status").u32(block.rid_association_1, "RID association 1")
            w.u32(block.rid_association_2, "RID association 2")
            for item in block.addresses:
                w.u32(item.register_1).u32(item.register_2).u32(item.register_3)
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> IdeRegisters:
        capability = r.u32("IDE Capability")
        control = r.u32("IDE Control")
        link_count = _field(capability, 15, 13) + 1 if capability & 1 else 0
        selective_count = _field(capability, 23, 16) + 1 if capability & 2 else 0
        links = tuple(
            LinkBlock(control=r.u32("link control"), status=r.u32("link status"))
            for _ in range(link_count)
        )
        selective = tuple(_read_selective(r) for _ in range(selective_count))
        return cls(
            capability=capability,
            control=control,
            link_blocks=links,
            selective_blocks=selective,
        )


def _read_selective(r: Reader) -> SelectiveBlock:
    capability = r.u32("selective capability")
    return SelectiveBlock(
        capability=capability,
        control=r.u32("selective control"),
        status=r.u32("selective status"),
        rid_association_1=r.u32("RID association 1"),
        rid_association_2=r.u32("RID association 2"),
        addresses=tuple(
            AddressAssociation(
                register_1=r.u32("address association 1"),
                register_2=r.u32("address association 2"),
                register_3=r.u32("address association 3"),
            )
            for _ in range(capability & 0xF)
        ),
    )


def from_dwords(values: tuple[int, ...]) -> IdeRegisters:
    """Parses register values as read one DW at a time.

    Raises:
        DecodeError: if a value is no DW, or the blocks and the number of values disagree.
    """
    image = bytearray()
    for value in values:
        if not 0 <= value < 1 << 32:
            raise DecodeError(f"{value:#x} is no DW", offset=len(image), data=bytes(image))
        image += value.to_bytes(4, "little")
    reader = Reader(bytes(image))
    registers = IdeRegisters.decode(reader)
    reader.expect_end()
    return registers
