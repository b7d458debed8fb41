# SPDX-License-Identifier: Apache-2.0
"""The guest's calls under Linux: lock, evidence, accept and unlock of the guest's kernel.

Accept is one step there: it asks for RUN and opens DMA and MMIO.
"""

from __future__ import annotations

from enum import Enum

from teeio.platforms.common import ghc
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.tsm import Evidence
from teeio.platforms.linux.errno import Errno, KernelError
from teeio.platforms.linux.guest import GuestDevice, LinuxGuest
from teeio.platforms.linux.host import LinuxHost


class LinuxCalls:
    """As `ghc.GuestHostOps`; refusals are `KernelError` with the attribute's errno."""

    def __init__(self, machine: AnyMachine, device: AnyDevice, guest: Guest) -> None:
        host = LinuxHost(machine)
        if device.hardware.is_secure(device.tsm.stream_id):
            host.adopt(device)
        self._guest = LinuxGuest(host, guest)
        self._device = device
        self._mine: dict[int, GuestDevice] = {}

    def bind(self, tdi: int) -> None:
        if tdi not in self._mine:
            self._mine[tdi] = self._guest.assign(self._device, tdi)
        self._write(tdi, "lock", "tsm0")

    def evidence(self, kind: str, tdi: int) -> Evidence:
        self._check("evidence", self._guest.read_evidence(self._of(tdi)))
        return self._of(tdi).evidence[kind]

    def run(self, tdi: int, generation: int) -> None:
        self._check("validate", self._guest.validate(self._of(tdi), generation))
        self._write(tdi, "accept", "1")

    def dma_enable(self, tdi: int) -> None:
        self._accepted(tdi)

    def mmio_enable(self, tdi: int) -> Enum | None:
        self._accepted(tdi)
        return None

    def stop(self, tdi: int) -> None:
        self._write(tdi, "unlock", "tsm0")

    def unbind(self, tdi: int) -> None:
        self._write(tdi, "unlock", "tsm0")

    def _of(self, tdi: int) -> GuestDevice:
        if tdi not in self._mine:
            raise KernelError(Errno.ENODEV, f"TDI {tdi} is not in the guest: bind it first")
        return self._mine[tdi]

    def _accepted(self, tdi: int) -> None:
        if not self._of(tdi).accepted:
            raise KernelError(Errno.EINVAL, f"TDI {tdi} is not accepted: run it first")

    def _write(self, tdi: int, name: str, value: str) -> None:
        path = f"{self._guest.path(self._of(tdi))}/tsm/{name}"
        self._check(name, self._guest.sysfs.write(path, value))

    @staticmethod
    def _check(what: str, result: int) -> None:
        if result:
            raise KernelError(Errno(-result), f"{what} was refused")


ghc.register("linux", LinuxCalls)
