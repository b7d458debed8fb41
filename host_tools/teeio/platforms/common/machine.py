# SPDX-License-Identifier: Apache-2.0
"""A machine: devices below their root ports, one IOMMU, one page table, guests, a host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from teeio.core.ops import Steps
from teeio.core.rootport import PortEvent, RootPort
from teeio.core.tsm import TsmPolicy
from teeio.platforms.common.context import Context, Quirks
from teeio.platforms.common.dmapath import DmaPath
from teeio.platforms.common.guest import PAGES_PER_BAR, Guest
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PAGE, AccessFault, PageTableChecker, PhysicalMemory
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.common.target import HostTarget, Target
from teeio.platforms.common.tsm import PlatformTsm
from teeio.platforms.common.verbs import Verb, VerbGate
from teeio.platforms.common.vmm import Attacker, HostVmm
from teeio.wire.tdisp_report import RangeAttribute
from teeio.wire.tlp import Tlp

T = TypeVar("T")
M_co = TypeVar("M_co", bound=PlatformTsm, covariant=True)

TsmFactory = Callable[
    [Context, TsmPolicy, Callable[[int], bytes], RootPortHardware, Iommu, PageTableChecker, int],
    M_co]


@dataclass(frozen=True, slots=True)
class Device(Generic[M_co]):
    """One device and what stands before it.

    Attributes:
        index: position in the machine; its bus is index + 1.
        name: for logs.
        tsm: the TSM that serves it.
        gate: lets one verb at a time into it.
    """

    index: int
    name: str
    target: Target
    tsm: M_co
    gate: VerbGate
    hardware: RootPortHardware
    path: DmaPath


def _stream_keys(port: RootPort) -> list[bytes]:
    return [key for stream in list(port.streams.values()) for key in stream.secrets()]


AnyDevice: TypeAlias = Device[PlatformTsm]


class Machine(Generic[M_co]):
    """All actors around one or more targets.

    Args:
        targets: the devices; several stand below the ports of one `RootComplex`.
        policy: what their TSMs trust.
        make_tsm: class of the TSM.
        quirks: choices of the platform.
        make_pages, make_iommu, make_guest: classes of the other actors, if a platform has its own.
        rng: source of random bytes; a seeded one makes a run repeatable.

    Attributes:
        vmm: the host; `attacked` puts an attacking one in its place for a while.
        guests: two, "guest 1" and "guest 2".
    """

    def __init__(self, targets: Sequence[Target], policy: TsmPolicy, make_tsm: TsmFactory[M_co], *,
                 quirks: Quirks | None = None,
                 make_pages: type[PageTableChecker] = PageTableChecker,
                 make_iommu: type[Iommu] = Iommu, make_guest: type[Guest] = Guest,
                 rng: Callable[[int], bytes] = os.urandom) -> None:
        self.context = Context(quirks=quirks or Quirks())
        self.context.begin()
        self.pages = make_pages(self.context)
        self.iommu = make_iommu(self.context, self.pages)
        self.memory = PhysicalMemory()
        self.memory.translate = self.iommu.translate
        self.vmm: HostVmm = HostVmm(self.context)
        self.vmm.machine = self
        self.guests = [make_guest(self.context, self, f"guest {n}") for n in (1, 2)]
        self.devices: list[Device[M_co]] = []
        for index, target in enumerate(targets):
            target.port.memory = self.memory
            hardware = RootPortHardware(self.context, target.port)
            path = DmaPath(self.context, hardware, self.iommu)
            target.port.checker = path
            if isinstance(target, HostTarget):
                target.tap(lambda tlp: self.context.scan.crossed("TLPs", tlp))
            self.context.sources.append(partial(_stream_keys, target.port))
            name = f"device {index + 1}"
            self.devices.append(Device(
                index, name, target,
                make_tsm(self.context, policy, rng, hardware, self.iommu, self.pages, index),
                VerbGate(self.context, hardware.perform, name), hardware, path))

    # ---- verbs -----------------------------------------------------------------------------------
    def open(self, device: AnyDevice, name: str, steps: Steps[T]) -> Verb[T]:
        """Begin a verb on a device; a `HostVmm` carries it.

        Raises:
            Refused: another one is in flight.
        """
        return device.gate.open(name, steps)

    def do(self, device: AnyDevice, name: str, steps: Steps[T]) -> T:
        """Begin a verb and have the host carry it to its end."""
        return self.vmm.carry(device, self.open(device, name, steps))

    def probe(self) -> None:
        """Enumerate all devices."""
        for device in self.devices:
            self.do(device, "probe", device.tsm.probe())

    # ---- the host --------------------------------------------------------------------------------
    @contextmanager
    def attacked(self) -> Iterator[Attacker]:
        """An attacking host for a while."""
        honest, attacker = self.vmm, Attacker(self.context)
        attacker.machine = self
        self.vmm = attacker
        try:
            yield attacker
        finally:
            self.vmm = honest

    def host_fault(self, address: int) -> None:
        """Stop an access of the host's CPU that page tables forbid.

        Raises:
            AccessFault: the page is private.
        """
        reason = self.pages.host_access(address)
        if reason is not None:
            raise AccessFault(reason, "host", address)

    def show_bar(self, device: AnyDevice, tdi: int, guest: Guest) -> None:
        """The honest host: put the BAR of an interface where the guest expects it.

        Pages that the device reports as TEE become private to the guest, the others stay shared.
        """
        function = device.tsm.core.tdi_function(tdi)
        private: set[int] = set()
        binding = device.tsm.bindings.get(tdi)
        if binding is not None:
            for item in binding.report.ranges:
                if not item.attributes & RangeAttribute.IS_NON_TEE_MEM:
                    private |= set(range(item.first_page, item.first_page + item.pages))
        base = guest.mmio_page(device, tdi)
        for offset in range(min(PAGES_PER_BAR, function.bar0_size // PAGE)):
            page = function.bar0 // PAGE + offset
            if page in private:
                self.vmm.place(guest.name, base + offset, page)
            else:
                self.pages.map(guest.name, base + offset, page)

    def hide_bar(self, device: AnyDevice, tdi: int, guest: Guest) -> None:
        """Undo `show_bar`: the pages are the host's again."""
        base = guest.mmio_page(device, tdi)
        for offset in range(PAGES_PER_BAR):
            self.vmm.take_back(guest.name, base + offset)

    # ---- the wire --------------------------------------------------------------------------------
    def inject(self, device: AnyDevice, tlp: Tlp) -> list[PortEvent]:
        """Have a TLP without IDE arrive at a root port, as another function or a switch could send
        it: the events it caused."""
        device.target.take_events()
        device.target.port.receive(tlp.encode())
        return device.target.take_events()

    def close(self) -> None:
        """Let go of all devices."""
        for device in self.devices:
            device.target.close()


AnyMachine: TypeAlias = Machine[PlatformTsm]
