# SPDX-License-Identifier: Apache-2.0
"""The environment of the Linux scenarios: kernels are booted anew for each, devices stay."""

from __future__ import annotations

from teeio.core.tsm import TsmPolicy
from teeio.platforms.common.env import MachineEnv
from teeio.platforms.common.machine import AnyDevice, Machine
from teeio.platforms.common.scenario import Platform, expect, register_platform
from teeio.platforms.common.target import Target
from teeio.platforms.common.tsm import PlatformTsm
from teeio.platforms.linux.backend import BackendFactory, DirectBackend
from teeio.platforms.linux.guest import GuestDevice, LinuxGuest
from teeio.platforms.linux.host import LinuxHost


class LinuxEnv(MachineEnv[PlatformTsm]):
    """A machine, and kernels on request."""

    @property
    def device(self) -> AnyDevice:
        """The first device."""
        return self.machine.devices[0]

    def boot(self, factory: BackendFactory = DirectBackend, streams: int = 4) -> LinuxHost:
        """A host kernel; it takes over devices that are connected."""
        kernel = LinuxHost(self.machine, factory, streams)
        for device in self.machine.devices:
            if device.hardware.is_secure(device.tsm.stream_id):
                kernel.adopt(device)
        return kernel

    def guest(self, kernel: LinuxHost, index: int = 0, tdi: int = 0) -> tuple[
            LinuxGuest, GuestDevice]:
        """A guest kernel with one interface of the first device."""
        guest = LinuxGuest(kernel, self.machine.guests[index])
        return guest, guest.assign(self.device, tdi)

    def accept(self, guest: LinuxGuest, mine: GuestDevice) -> None:
        """Lock, read and validate evidence, accept; each must succeed."""
        self.lock(guest, mine)
        expect("accept", guest.sysfs.write(f"{guest.path(mine)}/tsm/accept", "1"), 0)

    def lock(self, guest: LinuxGuest, mine: GuestDevice) -> None:
        """Lock, read and validate evidence; each must succeed."""
        expect("lock", guest.sysfs.write(f"{guest.path(mine)}/tsm/lock", "tsm0"), 0)
        expect("evidence", guest.read_evidence(mine), 0)
        expect("validate", guest.validate(mine, mine.evidence["report"].generation), 0)


def make(targets: list[Target], policy: TsmPolicy) -> LinuxEnv:
    """Environment around targets."""
    return LinuxEnv(Machine(targets, policy, PlatformTsm))


register_platform(Platform("linux", "Linux verbs: connect, bind, lock, accept, evidence", make))
