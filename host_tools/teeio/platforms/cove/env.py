# SPDX-License-Identifier: Apache-2.0
"""The environment of the CoVE-IO scenarios: one machine, one VMM, a device manager per TVM."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TypeVar

from teeio.core.device import FunctionDriver
from teeio.core.drive import run
from teeio.core.ops import Steps
from teeio.core.tsm import TsmPolicy
from teeio.errors import TransportError, TsmError
from teeio.platforms.common.context import Context
from teeio.platforms.common.env import STATE_SECURE, MachineEnv
from teeio.platforms.common.guest import PAGES_PER_BAR, Guest
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.machine import Device, Machine
from teeio.platforms.common.pages import PAGE, PageTableChecker
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.common.scenario import Platform, ScenarioFailed, expect, register_platform
from teeio.platforms.common.target import Target
from teeio.platforms.cove.host import CoveHost
from teeio.platforms.cove.interface import CoveInterface
from teeio.platforms.cove.manifest import Manifest, manifest_for
from teeio.platforms.cove.rules import CoveQuirks
from teeio.platforms.cove.sbi import SbiError, SbiRet
from teeio.platforms.cove.tsm import CoveTsm
from teeio.platforms.cove.tvm import Tdm, TvmPolicy
from teeio.wire.tdisp import TdiState

T = TypeVar("T")
OWNER_OF_REGISTERS = "machine mode and TSM"
CoveDevice = Device[CoveTsm]


class CoveEnv(MachineEnv[CoveTsm]):
    """A machine with a CoVE-IO TSM, and its VMM.

    Attributes:
        policy: what the TSM trusts; guests begin with the same anchors.
        manifest: what the root of trust says of the platform.
        host: the VMM.
    """

    def __init__(self, machine: Machine[CoveTsm], policy: TsmPolicy, manifest: Manifest) -> None:
        super().__init__(machine)
        self.policy, self.manifest = policy, manifest
        self.host = CoveHost(machine.context, CoveInterface(
            machine.context, [device.tsm for device in machine.devices]))

    # ---- what scenarios use ----------------------------------------------------------------------
    @property
    def device(self) -> CoveDevice:
        """The first device."""
        return self.machine.devices[0]

    @property
    def tsm(self) -> CoveTsm:
        """Its TSM."""
        return self.device.tsm

    def do(self, steps: Steps[T], device: CoveDevice | None = None, verb: str = "") -> T:
        """Run steps of the VMM: every operation is performed by the machine's host."""
        self.machine.context.log.verb = verb
        where = device or self.device
        return run(steps, lambda op: self.machine.vmm.perform(where, op))

    def interface_id(self, tdi: int = 0) -> int:
        """Interface id of a TDI of the first device."""
        return self.tsm.core.tdi_function(tdi).bdf

    def guest(self, number: int = 1) -> Guest:
        """A TVM, from 1."""
        return self.machine.guests[number - 1]

    def tdm(self, number: int = 1, policy: TvmPolicy | None = None) -> Tdm:
        """Its device manager."""
        mine = policy or TvmPolicy(self.policy.roots, self.policy.at, self.policy.references)
        return Tdm(self.machine.context, self.guest(number).name, mine, self.host, os.urandom)

    def bar(self, tdi: int = 0, number: int = 1) -> tuple[int, int]:
        """Guest address and size of the BAR of a TDI, as an honest VMM shows it."""
        return (self.guest(number).mmio_page(self.device, tdi) * PAGE, PAGES_PER_BAR * PAGE)

    def bind(self, tdi: int = 0, number: int = 1) -> None:
        """Regions and bind_interface; must succeed."""
        expect("bind", self.do(self.host.bind(self.tsm, self.guest(number).name, tdi),
                               verb="bind"), SbiRet())

    def accept(self, tdi: int = 0, number: int = 1) -> None:
        """The six checks of a TVM; must succeed."""
        self.do(self.tdm(number).accept(self.interface_id(tdi), *self.bar(tdi, number)),
                verb="accept")

    def start(self, tdi: int = 0, number: int = 1) -> FunctionDriver:
        """Bind, accept, start: a driver of the running interface."""
        self.bind(tdi, number)
        self.accept(tdi, number)
        self.do(self.tdm(number).start(self.interface_id(tdi)), verb="start")
        return self.guest(number).driver(self.device, tdi)

    def state(self, tdi: int = 0) -> TdiState:
        """What the device says of a TDI."""
        return self.do(self.tsm.core.tdi_state(tdi), verb="look")

    # ---- life of the environment -----------------------------------------------------------------
    def establish(self, devices: int = 1) -> None:
        """Connect the first so many devices, if they are not connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        for device in self.machine.devices[:devices]:
            if device.tsm.core.session is None:
                ret = self.do(self.host.connect(device.tsm), device, "connect")
                if ret.error is not SbiError.SUCCESS:
                    raise TransportError(f"{device.name} does not connect: {ret.error.name}")
        self.clear_tables()

    def settle(self) -> None:
        """Nothing in flight, bound or recorded; sessions live with their limits restored."""
        self.host.interface.abandon()
        self.host.unbinds = True
        for device in self.machine.devices:
            tsm = device.tsm
            for tdi in reversed(list(tsm.bindings)):
                if not self.do(tsm.unbind(tdi), device, "settle"):
                    raise TransportError(f"{device.name}: TDI {tdi} does not stop; reset it")
            tsm.forget_regions()
            if tsm.suspect:
                raise TransportError(f"{device.name}: an interface is suspect; reset it")
            if tsm.core.session is not None:
                self._settle_stream(device)
            device.target.take_events()
        self.clear_tables()

    def _settle_stream(self, device: CoveDevice) -> None:
        tsm = device.tsm
        state = self.do(tsm.core.tdi_state(0), device, "settle")
        if state is not TdiState.CONFIG_UNLOCKED:
            raise ScenarioFailed(f"{device.name}: TDI 0 in {state.name}")
        stream = self.do(tsm.core.stream_state(), device, "settle")
        if stream != STATE_SECURE or not tsm.rdsm.secure(tsm.stream_id):
            # The session lives: it ends in order, and the next scenario connects anew.
            ret = self.do(self.host.disconnect(tsm), device, "settle")
            if not ret.ok:
                raise ScenarioFailed(f"{device.name}: disconnect gave {ret.error.name}")

    def clear_tables(self) -> None:
        """Empty tables; register pages of root ports and IOMMUs stay out of the host's reach."""
        super().clear_tables()
        for page in self.manifest.register_pages:
            self.machine.pages.assign(page, OWNER_OF_REGISTERS, page)

    def tear_down(self) -> None:
        """Disconnect every device that is connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        try:
            for device in self.machine.devices:
                if device.tsm.core.session is not None:
                    ret = self.do(self.host.disconnect(device.tsm), device, "disconnect")
                    if not ret.ok:
                        raise TransportError(f"disconnect: {ret.error.name}; reset the device")
        except TsmError:
            self.start_over()
        self.clear_tables()

    def start_over(self) -> None:
        """Forget everything, reset the devices, enumerate them."""
        self.host.interface.abandon()
        super().start_over()
        for device in self.machine.devices:
            device.tsm.forget_regions()
            device.tsm.records = 0


def make(targets: list[Target], policy: TsmPolicy) -> CoveEnv:
    """Environment around targets; the manifest's anchors are the policy's roots."""
    manifest = manifest_for(policy.roots, len(targets))

    def make_tsm(context: Context, trust: TsmPolicy, rng: object, hardware: RootPortHardware,
                 iommu: Iommu, pages: PageTableChecker, index: int) -> CoveTsm:
        assert callable(rng)
        return CoveTsm(context, replace(trust, roots=manifest.anchors), rng, hardware, iommu,
                       pages, index, manifest)

    return CoveEnv(Machine(targets, policy, make_tsm, quirks=CoveQuirks()), policy, manifest)


register_platform(Platform("cove", "RISC-V CoVE-IO: COVH, COVG, COVT", make))
