# SPDX-License-Identifier: Apache-2.0
"""IOMMU: which guest a Requester ID works for, on which stream, and whether its DMA is on.

Trusted contexts are written by the TSM and used for T=1 requests only; T=0 requests use the host's
own table and reach shared pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from teeio.core.rootport import DeviceAccess
from teeio.platforms.common.checks import define
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, PageReason, PageTableChecker


class IommuReason(Enum):
    """Why the IOMMU refused a request."""

    CONTEXT_MISS = "the Requester ID has no trusted context"
    DISABLED = "the trusted context is not enabled"
    STREAM = "the request came on another stream than the context's"


CONTEXT = define("iommu.context", "a T=1 request belongs to a Requester ID that the TSM has given"
                 " to a guest", "PCIe Base 11.5; CoVE-IO, IOMMU device context")
ENABLED = define("iommu.enabled", "a trusted context works only between accept and unbind",
                 "CoVE-IO, start_interface and unbind_interface")
STREAM = define("iommu.stream", "a T=1 request came on the IDE stream its TDI is bound to",
                "PCIe Base 11.2; SEV-TIO, IDE stream of the secure device table")


@dataclass(slots=True)
class DeviceContext:
    """One trusted context.

    Attributes:
        guest: for whom the device works.
        stream_id: the stream its requests must come on.
        enabled: translation is on.
    """

    guest: str
    stream_id: int
    enabled: bool = False


class Iommu:
    """Contexts of all devices of a machine."""

    def __init__(self, context: Context, pages: PageTableChecker) -> None:
        self.contexts: dict[int, DeviceContext] = {}
        self.shared: dict[int, dict[int, int]] = {}
        self._context = context
        self._pages = pages

    # ---- the TSM's side --------------------------------------------------------------------------
    def prepare(self, requester_id: int, guest: str, stream_id: int) -> None:
        """Set up a context, off."""
        self.contexts[requester_id] = DeviceContext(guest, stream_id)
        self._context.log.add("TSM", "IOMMU context off", to="IOMMU",
                              detail=f"{requester_id:#06x} {guest}")

    def enable(self, requester_id: int) -> None:
        """Turn a context on; KeyError if there is none."""
        self.contexts[requester_id].enabled = True
        self._context.log.add("TSM", "IOMMU on", to="IOMMU", detail=f"{requester_id:#06x}")

    def remove(self, requester_id: int) -> None:
        """Turn a context off and forget it."""
        if self.contexts.pop(requester_id, None) is not None:
            self._context.log.add("TSM", "IOMMU off", to="IOMMU", detail=f"{requester_id:#06x}")

    # ---- the host's side -------------------------------------------------------------------------
    def map_shared(self, requester_id: int, address_page: int, page: int | None) -> None:
        """The host maps (or unmaps) a page for T=0 requests of a device; it may try any page."""
        table = self.shared.setdefault(requester_id, {})
        if page is None:
            table.pop(address_page, None)
        else:
            table[address_page] = page

    # ---- requests of devices ---------------------------------------------------------------------
    def check(self, access: DeviceAccess) -> Enum | None:
        """Take all checks of IOMMU and page table on one request."""
        if access.address % PAGE + access.length > PAGE:
            return PageReason.UNMAPPED
        if not access.t_bit:
            physical = self.translate(access.requester_id, access.address, False)
            return (PageReason.UNMAPPED if physical is None
                    else self._pages.host_access(physical))
        checks, subject = self._context.checks, f"{access.requester_id:#06x}"
        context = self.contexts.get(access.requester_id)
        reason = checks.take(CONTEXT, context is not None, IommuReason.CONTEXT_MISS, subject)
        if reason is not None:
            return reason
        if context is not None:
            reason = (checks.take(ENABLED, context.enabled, IommuReason.DISABLED, subject)
                      or checks.take(STREAM, access.stream_id == context.stream_id,
                                     IommuReason.STREAM, subject))
            if reason is not None:
                return reason
            found = self._pages.guest_access(context.guest, access.address)
            return found if isinstance(found, Enum) else None
        return None

    def translate(self, requester_id: int, address: int, t_bit: bool) -> int | None:
        """Where a request leads, without checks: physical address or None."""
        page: int | None = None
        if not t_bit:
            page = self.shared.get(requester_id, {}).get(address // PAGE)
        elif requester_id in self.contexts:
            guest = self.contexts[requester_id].guest
            page = self._pages.maps.get(guest, {}).get(address // PAGE)
        else:
            # Only reached with the context check off: an IOMMU without contexts knows one space.
            for table in self._pages.maps.values():
                page = table.get(address // PAGE, page)
        return None if page is None else page * PAGE + address % PAGE
