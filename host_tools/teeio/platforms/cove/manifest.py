# SPDX-License-Identifier: Apache-2.0
"""The manifest: what the root of trust tells the TSM about the platform (its format is open)."""

from __future__ import annotations

from dataclasses import dataclass

from teeio.core.enumerate import BAR_WINDOW
from teeio.core.rootcomplex import WINDOW_BYTES

IOMMU_BASE = 0x1_0000_0000 - 0x10_0000
ECAM_BASE = 0x3000_0000
REGISTER_PAGE = 0x1000


@dataclass(frozen=True, slots=True)
class ManifestPort:
    """One root port.

    Attributes:
        rp_id: its number: segment and BDF.
        iommu: base address of the registers of the IOMMU behind it, which names the IOMMU.
        ecam: address of its configuration space, one page of its own.
        mmio: first and last address of the MMIO range routed to it.
        rids: first and last Requester ID below it.
    """

    rp_id: int
    iommu: int
    ecam: int
    mmio: tuple[int, int]
    rids: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the TSM knows for sure.

    Attributes:
        anchors: trust-anchor certificates of devices, DER.
        ports: root ports.
    """

    anchors: tuple[bytes, ...]
    ports: tuple[ManifestPort, ...]

    @property
    def register_pages(self) -> set[int]:
        """Physical pages that belong to machine mode or to the TSM: root ports and IOMMUs."""
        return {base // REGISTER_PAGE for port in self.ports for base in (port.iommu, port.ecam)}


def manifest_for(anchors: tuple[bytes, ...], devices: int) -> Manifest:
    """Manifest of a machine: one IOMMU, and per device a root port with one bus below it."""
    return Manifest(anchors, tuple(
        ManifestPort(rp_id=index << 3, iommu=IOMMU_BASE,
                     ecam=ECAM_BASE + (index << 15),
                     mmio=(BAR_WINDOW + index * WINDOW_BYTES,
                           BAR_WINDOW + (index + 1) * WINDOW_BYTES - 1),
                     rids=(index + 1 << 8, index + 1 << 8 | 0xFF))
        for index in range(devices)))
