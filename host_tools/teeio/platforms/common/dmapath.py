# SPDX-License-Identifier: Apache-2.0
"""The way of a device request: root port, IOMMU, page table. Installed as `RootPort.checker`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from teeio.core.rootport import DeviceAccess
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.ports import RootPortHardware


class DmaPath:
    """Checks of one root port, in order; the first that refuses is the reason.

    Attributes:
        on_refusal: called with (access, reason) for a refusal; a platform sets its fences here.
    """

    def __init__(self, context: Context, hardware: RootPortHardware, iommu: Iommu) -> None:
        self.on_refusal: Callable[[DeviceAccess, Enum], None] | None = None
        self._context = context
        self._hardware = hardware
        self._iommu = iommu

    def check(self, access: DeviceAccess) -> Enum | None:
        """As `teeio.core.rootport.AccessChecker`."""
        reason = self._hardware.check(access) or self._iommu.check(access)
        if reason is not None:
            kind = "write" if access.is_write else "read"
            self._context.log.add(
                "device", f"DMA {kind} refused: {reason.name}", to="memory",
                detail=f"{access.requester_id:#06x} {access.address:#x} T={int(access.t_bit)}"
                       f" stream {access.stream_id}")
            if self.on_refusal is not None:
                self.on_refusal(access, reason)
        return reason
