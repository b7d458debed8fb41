# SPDX-License-Identifier: Apache-2.0
"""The platform around one machine: firmware, host, launched guests.

`SevEnv` makes it with the machine; code that is given a device only finds it by `platform_of`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from teeio.errors import LocalError
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyMachine
from teeio.platforms.common.tsm import PlatformTsm
from teeio.platforms.sev.asp import Asp
from teeio.platforms.sev.ghcb import Kvm
from teeio.platforms.sev.guest import TioGuest
from teeio.platforms.sev.host import SevHost
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.sdt import SevIommu
from teeio.platforms.sev.tsm import GuestCtx, SevTsm


@dataclass(eq=False)
class SevPlatform:
    """Firmware, host and guests of one machine; `tsms` are what the firmware keeps of devices."""

    machine: AnyMachine
    tsms: list[SevTsm]
    asp: Asp
    host: SevHost
    rmp: Rmp
    guests: dict[str, GuestCtx]

    def kvm(self, index: int = 0) -> Kvm:
        """KVM, for interfaces of one device."""
        tsm = next(one for one in self.tsms if one.index == index)
        return Kvm(self.host, tsm, self.machine.memory, self.rmp)

    def tio(self, guest: Guest, index: int = 0, kvm: Kvm | None = None, version: int = 2) -> (
            TioGuest):
        """TIO driver of a guest, freshly loaded."""
        mine = self.guests[guest.name]
        return TioGuest(self.machine.context, guest, mine.key, mine.next, kvm or self.kvm(index),
                        self.machine.memory, self.rmp, version)


def make_platform(machine: AnyMachine, tsms: list[SevTsm]) -> SevPlatform:
    """Boot the firmware of a machine, whose tables are those of SEV-TIO, and launch its guests."""
    rmp, iommu, memory = machine.pages, machine.iommu, machine.memory
    assert isinstance(rmp, Rmp) and isinstance(iommu, SevIommu)
    rmp.is_io = lambda page: page not in memory.ram
    asp = Asp(machine.context, tsms, rmp, iommu, memory, os.urandom)
    host = SevHost(machine.context, asp, memory, rmp)
    guests = {}
    for asid, guest in enumerate(machine.guests, 1):
        page = host.firmware_page()
        guests[guest.name] = asp.launch(guest.name, asid, page)
        host.guest_pages[guest.name] = page
    platform = SevPlatform(machine, tsms, asp, host, rmp, guests)
    for tsm in tsms:
        tsm.platform = platform
    return platform


def platform_of(tsm: PlatformTsm) -> SevPlatform:
    """The platform that a device belongs to.

    Raises:
        LocalError: it is another platform's device.
    """
    if not isinstance(tsm, SevTsm) or tsm.platform is None:
        raise LocalError("this device has no SEV-TIO firmware: make the machine with SevEnv")
    return tsm.platform
