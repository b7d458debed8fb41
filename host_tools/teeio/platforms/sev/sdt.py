# SPDX-License-Identifier: Apache-2.0
"""IOMMU of SEV-TIO: the secure device table for T=1 requests, and the fences of ASIDs.

T=0 requests use the ordinary device table, that is the host's map, and reach shared pages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from teeio.core.rootport import DeviceAccess
from teeio.platforms.common.context import Context
from teeio.platforms.common.dmapath import DmaPath
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PAGE, PageReason, PageTableChecker
from teeio.platforms.sev import rules
from teeio.platforms.sev.abi import Fence
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import SdtReason
from teeio.platforms.sev.sdte import Sdte


class SevIommu(Iommu):
    """Secure device table of one machine.

    Attributes:
        sdt: entries by Requester ID.
        fences: (DMA, MMIO) by ASID; none if it is not there.
        arrived_at: id of the root port that the present request came through.
    """

    def __init__(self, context: Context, pages: PageTableChecker) -> None:
        super().__init__(context, pages)
        assert isinstance(pages, Rmp)
        self.sdt: dict[int, Sdte] = {}
        self.fences: dict[int, tuple[Fence, Fence]] = {}
        self.arrived_at = 0
        self._rmp = pages

    # ---- the firmware's side ---------------------------------------------------------------------
    def write(self, requester_id: int, entry: Sdte) -> None:
        """Write an entry."""
        self.sdt[requester_id] = entry
        self._context.log.add("ASP", "SDTE on" if entry["v"] else "SDTE off", to="IOMMU",
                              detail=f"{requester_id:#06x} ASID {entry['asid']}")

    def prepare(self, requester_id: int, guest: str, stream_id: int) -> None:
        """All-zero entry: nothing is allowed."""
        self.sdt[requester_id] = Sdte()

    def enable(self, requester_id: int) -> None:
        """Not with this platform: a guest writes the entry (SDTE_WRITE)."""
        raise KeyError(requester_id)

    def remove(self, requester_id: int) -> None:
        if self.sdt.pop(requester_id, None) is not None:
            self._context.log.add("ASP", "SDTE off", to="IOMMU", detail=f"{requester_id:#06x}")

    def fence(self, asid: int, *, dma: Fence | None = None, mmio: Fence | None = None) -> None:
        """Set fences of an ASID."""
        old = self.fences.get(asid, (Fence.NONE, Fence.NONE))
        new = (old[0] if dma is None else dma, old[1] if mmio is None else mmio)
        self.fences[asid] = new
        self._context.log.add("ASP", f"fence ASID {asid}", to="IOMMU",
                              detail=f"DMA {new[0].name}, MMIO {new[1].name}")

    def clear(self) -> None:
        """Empty tables."""
        self.sdt.clear()
        self.fences.clear()
        self.shared.clear()

    # ---- requests of devices ---------------------------------------------------------------------
    def check(self, access: DeviceAccess) -> Enum | None:
        if not access.t_bit:
            return super().check(access)
        if access.address % PAGE + access.length > PAGE:
            return PageReason.UNMAPPED
        take, subject = self._context.checks.take, f"{access.requester_id:#06x}"
        entry = self.sdt.get(access.requester_id, Sdte())
        reason = (
            take(rules.SDT_VALID, bool(entry["v"]), SdtReason.SDT_MISS, subject)
            or take(rules.SDT_RP, entry["rp_id"] == self.arrived_at, SdtReason.RP, subject)
            or take(rules.SDT_STREAM, entry["stream0"] == access.stream_id, SdtReason.STREAM,
                    subject))
        # Only from here on is it certain whose ASID this is: nobody else can have it fenced.
        return reason or self._for_asid(entry, access)

    def _for_asid(self, entry: Sdte, access: DeviceAccess) -> Enum | None:
        take, asid = self._context.checks.take, entry["asid"]
        subject = f"ASID {asid} at {access.address:#x}"
        dma = self.fences.get(asid, (Fence.NONE, Fence.NONE))[0]
        reason = take(rules.SDT_FENCE, dma is Fence.NONE, SdtReason.FENCED, subject)
        if reason is not None:
            return reason
        reason = (take(rules.SDT_IW, bool(entry["iw"]), SdtReason.IW, subject) if access.is_write
                  else take(rules.SDT_IR, bool(entry["ir"]), SdtReason.IR, subject))
        reason = reason or self._memory(entry, access, subject)
        if reason is not None and dma is Fence.NONE:
            self.fence(asid, dma=Fence.ERROR)
        return reason

    def _memory(self, entry: Sdte, access: DeviceAccess, subject: str) -> Enum | None:
        guest = self._rmp.guest_of(entry["asid"])
        if entry["vtom_en"] and access.address >= entry.vtom_address:
            page = self._rmp.walk(guest, access.address // PAGE)
            if page is None:
                return PageReason.UNMAPPED
            return self._context.checks.take(rules.SDT_SHARED, page not in self._rmp.entries,
                                             SdtReason.SHARED, subject)
        found = self._rmp.guest_access(guest, access.address)
        return found if isinstance(found, Enum) else None

    def translate(self, requester_id: int, address: int, t_bit: bool) -> int | None:
        if not t_bit:
            return super().translate(requester_id, address, False)
        entry = self.sdt.get(requester_id)
        # Without a valid entry (its check off) an IOMMU knows one space: the first guest's.
        asid = entry["asid"] if entry is not None and entry["asid"] else 1
        page = self._rmp.walk(self._rmp.guest_of(asid), address // PAGE)
        return None if page is None else page * PAGE + address % PAGE


@dataclass(slots=True)
class PortPath:
    """The way of a request through one root port: tells the IOMMU which port it is."""

    path: DmaPath
    iommu: SevIommu
    rp_id: int

    def check(self, access: DeviceAccess) -> Enum | None:
        """As `teeio.core.rootport.AccessChecker`."""
        self.iommu.arrived_at = self.rp_id
        return self.path.check(access)
