# SPDX-License-Identifier: Apache-2.0
"""Secure device table entry: 512 bits, of which a guest sets a few and the firmware the others.

Source: the SDTE writes of the SEV-TIO guest driver and of the ccp driver; bit 0 is the lowest bit
of byte 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from teeio.errors import DecodeError, LocalError

BYTES = 64
FIELDS: Mapping[str, tuple[int, int]] = {
    "v": (0, 0), "ir": (61, 61), "iw": (62, 62), "domain_id": (64, 79), "asid": (192, 203),
    "guest_device_id": (208, 223), "vmpl": (241, 242), "vtom_en": (320, 320), "vtom": (321, 351),
    "rp_id": (352, 356), **{f"stream{k}": (256 + 8 * k, 263 + 8 * k) for k in range(8)},
}
GUEST_FIELDS = ("v", "ir", "iw", "vmpl", "vtom_en", "vtom")
VTOM_SHIFT = 21


def _mask(name: str) -> int:
    low, high = FIELDS[name]
    return (1 << high - low + 1) - 1 << low


GUEST_MASK = sum(_mask(name) for name in GUEST_FIELDS if name != "vmpl")
"""What a guest may set; its VMPL must be 0 (decision 0212)."""


@dataclass(frozen=True, slots=True)
class Sdte:
    """One entry, as a 512-bit number."""

    bits: int = 0

    @classmethod
    def make(cls, **values: int) -> Sdte:
        """From fields; the others are zero.

        Raises:
            LocalError: a value is too large.
        """
        return cls().with_fields(**values)

    def with_fields(self, **values: int) -> Sdte:
        """A copy with other fields."""
        bits = self.bits
        for name, value in values.items():
            low, mask = FIELDS[name][0], _mask(name)
            if value << low & ~mask or value < 0:
                raise LocalError(f"{name} = {value:#x} does not fit into its field")
            bits = bits & ~mask | value << low
        return Sdte(bits)

    def __getitem__(self, name: str) -> int:
        return (self.bits & _mask(name)) >> FIELDS[name][0]

    @property
    def vtom_address(self) -> int:
        """First shared address."""
        return self["vtom"] << VTOM_SHIFT

    @property
    def guest_part(self) -> int:
        """Bits that a guest may set."""
        return self.bits & GUEST_MASK

    @property
    def foreign(self) -> int:
        """Bits that a guest must leave zero."""
        return self.bits & ~GUEST_MASK

    def encode(self) -> bytes:
        """64 bytes."""
        return self.bits.to_bytes(BYTES, "little")

    @classmethod
    def decode(cls, data: bytes) -> Sdte:
        """From 64 bytes.

        Raises:
            DecodeError: not 64 bytes.
        """
        if len(data) != BYTES:
            raise DecodeError(f"an SDTE has {BYTES} bytes, not {len(data)}")
        return cls(int.from_bytes(data, "little"))


def guest_entry(*, ir: bool = True, iw: bool = True, vtom: int | None = None) -> Sdte:
    """What a guest writes to open DMA.

    Args:
        vtom: first shared address, a multiple of 2 MiB; None: everything is private.
    """
    entry = Sdte.make(v=1, ir=ir, iw=iw)
    if vtom is not None:
        if vtom % (1 << VTOM_SHIFT):
            raise LocalError(f"vTOM {vtom:#x} is not a multiple of 2 MiB")
        entry = entry.with_fields(vtom_en=1, vtom=vtom >> VTOM_SHIFT)
    return entry
