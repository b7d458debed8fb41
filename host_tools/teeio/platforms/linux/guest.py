# SPDX-License-Identifier: Apache-2.0
"""The guest's kernel: lock, accept, unlock, evidence, and what it calls private MMIO.

Sources of the rules: the staging tree "devsec/tsm" (Documentation/ABI/testing/sysfs-bus-pci for
lock, accept and unlock; generic netlink family device-evidence). Its names still move.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from teeio.errors import TsmError
from teeio.platforms.common.checks import Check, define
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.tsm import Evidence
from teeio.platforms.linux.errno import Errno, KernelError, errno_of
from teeio.platforms.linux.host import LinuxHost, Scope, fail, require
from teeio.platforms.linux.sysfs import SysfsTree
from teeio.wire.reader import decode_whole
from teeio.wire.tdisp_report import InterfaceReport

STAGING = "Linux staging devsec/tsm, Documentation/ABI/testing/sysfs-bus-pci"
NETLINK = "Linux staging device-evidence netlink family"
KINDS = ("certificates", "measurements", "report")


def _rule(name: str, text: str, clause: str = STAGING) -> Check:
    return define(f"linux.{name}", text, clause)


LOCK_DEVSEC = _rule("lock_devsec", "only a devsec TSM locks devices")
LOCK_DRIVER = _rule("lock_driver", "a device with a driver is not locked")
LOCK_ONCE = _rule("lock_once", "a locked device is not locked again")
ACCEPT_VALUE = _rule("accept_value", "accept takes 1 and nothing else")
ACCEPT_LOCKED = _rule("accept_locked", "only a locked device is accepted")
ACCEPT_DRIVER = _rule("accept_driver", "a device with a driver is not accepted")
UNLOCK_NAME = _rule("unlock_name", "unlock takes the name of the TSM that locked the device")
UNLOCK_DRIVER = _rule("unlock_driver", "a device with a driver is not unlocked")
GENERATION = _rule("generation", "evidence is validated for the lock it was read under", NETLINK)


@dataclass(slots=True)
class GuestDevice:
    """One interface in the guest.

    Attributes:
        tsm: name of the TSM that locked it, or empty.
        driver: a driver is bound.
        accepted: it is part of the guest's trusted base.
        generation: of the evidence that was validated; 0: none.
        evidence: objects read under the present lock.
        encrypted: (guest page, pages) of the accepted ranges.
    """

    device: AnyDevice
    tdi: int
    tsm: str = ""
    driver: bool = False
    accepted: bool = False
    generation: int = 0
    evidence: dict[str, Evidence] = field(default_factory=dict)
    encrypted: list[tuple[int, int]] = field(default_factory=list)


class LinuxGuest:
    """The kernel of one guest.

    Args:
        host: the host's kernel, reached by calls to the hypervisor.
        guest: the guest it runs in.

    Attributes:
        alter: what the host does to an evidence object on its way to the guest.
    """

    def __init__(self, host: LinuxHost, guest: Guest) -> None:
        self.guest = guest
        self.sysfs = SysfsTree(host.machine.context)
        self.devices: list[GuestDevice] = []
        self.alter: dict[str, bytes] = {}
        self._host = host
        self._modes = {"tsm0": "devsec", "tsm1": "link"}

    def assign(self, device: AnyDevice, tdi: int) -> GuestDevice:
        """The hypervisor shows an interface to this guest."""
        mine = GuestDevice(device, tdi)
        self.devices.append(mine)
        self._host.machine.show_bar(device, tdi, self.guest)
        base = self.path(mine)

        def here() -> bool:
            return mine in self.devices

        self.sysfs.add(f"{base}/tsm/lock", show=lambda: mine.tsm, visible=here,
                       store=lambda value: self._lock(mine, value))
        self.sysfs.add(f"{base}/tsm/unlock", visible=here,
                       store=lambda value: self._unlock(mine, value))
        self.sysfs.add(f"{base}/tsm/accept", show=lambda: str(int(mine.accepted)), visible=here,
                       store=lambda value: self._accept(mine, value))
        return mine

    def unplug(self, mine: GuestDevice) -> None:
        """The interface is gone; so is everything that the guest knew of it."""
        self.devices.remove(mine)
        self._host.machine.hide_bar(mine.device, mine.tdi, self.guest)

    def path(self, mine: GuestDevice) -> str:
        """Folder of the interface below the guest's attribute tree."""
        return f"0000:{mine.device.index:02x}:{mine.tdi + 1:02x}.0"

    # ---- lock, accept, unlock --------------------------------------------------------------------
    def _lock(self, mine: GuestDevice, value: str) -> None:
        checks = self._host.machine.context.checks
        if value not in self._modes:
            fail(Errno.EINVAL)
        require(checks.take(LOCK_DEVSEC, self._modes[value] == "devsec", Errno.ENXIO, value))
        require(checks.take(LOCK_DRIVER, not mine.driver, Errno.EBUSY))
        require(checks.take(LOCK_ONCE, not mine.tsm, Errno.EBUSY))
        self._called(self._host.bind(mine.device, mine.tdi, self.guest.name))
        mine.tsm, mine.generation = value, 0
        mine.evidence.clear()
        # What the report calls TEE becomes private to the guest.
        self._host.machine.show_bar(mine.device, mine.tdi, self.guest)

    def _accept(self, mine: GuestDevice, value: str) -> None:
        checks, tdi = self._host.machine.context.checks, mine.tdi
        require(checks.take(ACCEPT_VALUE, value == "1", Errno.EINVAL, value))
        require(checks.take(ACCEPT_LOCKED, bool(mine.tsm), Errno.EINVAL))
        require(checks.take(ACCEPT_DRIVER, not mine.driver, Errno.EBUSY))
        backend, name = self._host.backend(mine.device), self.guest.name
        self._called(self._host.guest_request(
            mine.device, tdi, Scope.STATE_CHANGE, backend.run(tdi, name, mine.generation)))
        backend.dma_enable(tdi, name)
        self._accept_mmio(mine)
        mine.accepted = True

    def _accept_mmio(self, mine: GuestDevice) -> None:
        evidence = mine.evidence.get("report")
        if evidence is None:
            fail(Errno.EINVAL)
        report = decode_whole(InterfaceReport.decode, evidence.data)
        backend = self._host.backend(mine.device)
        base = self.guest.mmio_page(mine.device, mine.tdi)
        first = report.ranges[0].first_page
        for index, item in enumerate(report.ranges):
            if not item.is_tee:
                continue
            at = base + item.first_page - first
            for offset in range(item.pages):
                reason: Enum | None = backend.mmio_accept(mine.tdi, self.guest.name, at + offset,
                                                          index, offset)
                if reason is not None:
                    raise KernelError(Errno.EINVAL, f"range {index} page {offset}: {reason.value}")
            mine.encrypted.append((at, item.pages))

    def _unlock(self, mine: GuestDevice, value: str) -> None:
        checks = self._host.machine.context.checks
        require(checks.take(UNLOCK_NAME, bool(mine.tsm) and value == mine.tsm, Errno.EINVAL,
                            value))
        require(checks.take(UNLOCK_DRIVER, not mine.driver, Errno.EBUSY))
        mine.encrypted.clear()
        mine.accepted, mine.tsm, mine.generation = False, "", 0
        mine.evidence.clear()
        self._called(self._host.unbind(mine.device, mine.tdi))
        self._host.machine.hide_bar(mine.device, mine.tdi, self.guest)
        self._host.machine.show_bar(mine.device, mine.tdi, self.guest)

    # ---- evidence --------------------------------------------------------------------------------
    def read_evidence(self, mine: GuestDevice) -> int:
        """READ of all objects, carried by the host: 0 or a negative errno."""
        log = self._host.machine.context.log
        try:
            for kind in KINDS:
                evidence = self._host.backend(mine.device).evidence(kind, mine.tdi)
                data = self.alter.get(kind, evidence.data)
                self._host.machine.context.scan.crossed("evidence", data)
                reason = self.guest.verify(evidence, data)
                log.add("VMM", f"evidence {kind}", to=self.guest.name,
                        detail=f"{len(data)} bytes, generation {evidence.generation}")
                if reason is not None:
                    raise KernelError(Errno.EINVAL, f"{kind}: {reason.value}")
                mine.evidence[kind] = evidence
        except TsmError as error:
            log.add(self.guest.name, "evidence refused", detail=str(error))
            mine.evidence.clear()
            return -errno_of(error)
        return 0

    def validate(self, mine: GuestDevice, generation: int) -> int:
        """VALIDATE: the relying party is content with the evidence of a generation."""
        checks = self._host.machine.context.checks
        report = mine.evidence.get("report")
        now = report.generation if report is not None else 0
        if checks.take(GENERATION, report is not None and now == generation, Errno.ESTALE,
                       f"{generation}, now {now}") is not None:
            return -Errno.ESTALE
        mine.generation = generation
        return 0

    # ---- what the guest's users see --------------------------------------------------------------
    def iomem(self) -> list[str]:
        """Lines as in /proc/iomem: the BAR of each interface, accepted ranges below it."""
        lines = []
        for mine in self.devices:
            function = mine.device.tsm.core.tdi_function(mine.tdi)
            first = self.guest.mmio_page(mine.device, mine.tdi) * PAGE
            lines.append(f"{first:08x}-{first + function.bar0_size - 1:08x} : {self.path(mine)}")
            lines += [f"  {at * PAGE:08x}-{(at + pages) * PAGE - 1:08x} : PCI MMIO Encrypted"
                      for at, pages in mine.encrypted]
        return lines

    @staticmethod
    def _called(result: int) -> None:
        if result:
            raise KernelError(Errno(-result), "the hypervisor's call failed")
