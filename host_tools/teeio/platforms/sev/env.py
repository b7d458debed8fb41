# SPDX-License-Identifier: Apache-2.0
"""The environment of the SEV-TIO scenarios: one machine, one ASP, one host, a driver per guest."""

from __future__ import annotations

from typing import TypeVar

from teeio.core.device import FunctionDriver
from teeio.core.drive import run
from teeio.core.ops import Steps
from teeio.core.tsm import TsmPolicy
from teeio.errors import TransportError, TsmError
from teeio.platforms.common.env import STATE_SECURE, MachineEnv
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import Device, Machine
from teeio.platforms.common.scenario import Platform, ScenarioFailed, expect, register_platform
from teeio.platforms.common.target import Target
from teeio.platforms.sev.abi import Ret
from teeio.platforms.sev.guest import TioDevice, TioGuest
from teeio.platforms.sev.host import HostTdi, rp_id
from teeio.platforms.sev.platform import make_platform
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.sdt import PortPath, SevIommu
from teeio.platforms.sev.sdte import Sdte
from teeio.platforms.sev.tsm import SevTsm
from teeio.wire.tdisp import TdiState

T = TypeVar("T")
SevDevice = Device[SevTsm]


class SevEnv(MachineEnv[SevTsm]):
    """A machine with SEV-TIO firmware, and its host.

    Attributes:
        asp: the firmware.
        host: the ccp driver; `kvm` serves the guests' exits.
        launched: what the firmware knows of each guest.
    """

    def __init__(self, machine: Machine[SevTsm]) -> None:
        super().__init__(machine)
        assert isinstance(machine.iommu, SevIommu)
        self.platform = make_platform(machine, [device.tsm for device in machine.devices])
        for device in machine.devices:
            device.target.port.checker = PortPath(device.path, machine.iommu, rp_id(device.index))
        self.rmp, self.iommu = self.platform.rmp, machine.iommu
        self.asp, self.host = self.platform.asp, self.platform.host
        self.kvm = self.platform.kvm()
        self.launched = list(self.platform.guests.values())

    # ---- what scenarios use ----------------------------------------------------------------------
    @property
    def device(self) -> SevDevice:
        """The first device."""
        return self.machine.devices[0]

    @property
    def tsm(self) -> SevTsm:
        """Its protocol side."""
        return self.device.tsm

    def do(self, steps: Steps[T], verb: str = "", device: SevDevice | None = None) -> T:
        """Run steps of host or guest: every operation is performed by the machine's host."""
        self.machine.context.log.verb = verb
        where = device or self.device
        return run(steps, lambda op: self.machine.vmm.perform(where, op))

    def guest(self, number: int = 1) -> Guest:
        """A VM, from 1."""
        return self.machine.guests[number - 1]

    def tio(self, number: int = 1, version: int = 2) -> TioGuest:
        """Its TIO driver, freshly loaded."""
        return self.platform.tio(self.guest(number), 0, self.kvm, version)

    def interface(self, tdi: int = 0, number: int = 1) -> TioDevice:
        """An interface as a guest finds it."""
        return TioDevice(self.tsm.core.tdi_function(tdi).bdf,
                         self.guest(number).mmio_page(self.device, tdi))

    def show(self, tdi: int = 0, number: int = 1) -> None:
        """Honest host: BAR into the guest, RMPUPDATE of what the report calls TEE."""
        self.machine.show_bar(self.device, tdi, self.guest(number))

    def locked(self, tio: TioGuest, tdi: int = 0) -> TioDevice:
        """An interface that is locked, evidence read, BAR shown; must succeed."""
        mine = self.interface(tdi, self._number(tio))
        self.do(tio.lock(mine), "lock")
        self.show(tdi, self._number(tio))
        return mine

    def accepted(self, tio: TioGuest, tdi: int = 0, entry: Sdte | None = None, *,
                 mmio: bool = True) -> TioDevice:
        """An interface in RUN with tables open; must succeed."""
        mine = self.locked(tio, tdi)
        self.do(tio.start(mine), "accept")
        expect("SDTE_WRITE", self.do(tio.open_dma(mine, entry), "accept"), 0)
        if mmio:
            expect("MMIO_VALIDATE", self.do(tio.validate_all(mine), "accept"), 0)
        return mine

    def driver(self, tio: TioGuest, tdi: int = 0) -> FunctionDriver:
        """Driver of an interface in a guest."""
        return tio.guest.driver(self.device, tdi)

    def unbind(self, tdi: int = 0) -> None:
        """The host unbinds; must succeed."""
        expect("unbind", self.do(self.host.unbind(self.tsm, tdi), "unbind"), Ret.SUCCESS)

    def state(self, tdi: int = 0) -> TdiState:
        """What the device says of a TDI."""
        return self.do(self.tsm.core.tdi_state(tdi), "look")

    def _number(self, tio: TioGuest) -> int:
        return self.rmp.asids[tio.guest.name]

    # ---- life of the environment -----------------------------------------------------------------
    def establish(self, devices: int = 1) -> None:
        """Connect the first so many devices, if they are not connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        for device in self.machine.devices[:devices]:
            if device.tsm.core.session is None:
                self.drop_context(device)
                ret = self.do(self.host.connect(device.tsm), "connect", device)
                if ret is not Ret.SUCCESS:
                    raise TransportError(f"{device.name} does not connect: {ret.name}")
        self.clear_tables()

    def drop_context(self, device: SevDevice) -> None:
        """Reclaim a device context that is left from a connection that failed or ended."""
        if device.index in self.host.devices:
            ret = self.host.reclaim(device.tsm)
            if ret is not Ret.SUCCESS:
                raise ScenarioFailed(f"{device.name}: DEV_RECLAIM gave {ret.name}")

    def settle(self) -> None:
        """Nothing in flight, bound or recorded; sessions live."""
        self.host.answer = None
        self.kvm = self.platform.kvm()
        for device in self.machine.devices:
            tsm, mine = device.tsm, self.host.devices.get(device.index)
            if self.asp.in_flight(tsm.index):
                raise TransportError(f"{device.name}: a command is in flight; reset it")
            if tsm.ctx is not None and mine is not None:
                if tsm.ctx.page != mine.page:
                    raise TransportError(f"{device.name}: two contexts; reset it")
                # What the firmware has, whoever made it.
                mine.tdis = {tdi.tdi: mine.tdis.get(tdi.tdi) or HostTdi(
                    tdi.page, self.guest().name) for tdi in tsm.ctx.tdis.values()}
            for tdi in list(mine.tdis) if mine is not None else []:
                self._drop_tdi(device, tdi)
            if tsm.suspect:
                raise TransportError(f"{device.name}: an interface is suspect; reset it")
            if tsm.core.session is not None:
                state = self.do(tsm.core.tdi_state(0), "settle", device)
                stream = self.do(tsm.core.stream_state(), "settle", device)
                if state is not TdiState.CONFIG_UNLOCKED or stream != STATE_SECURE:
                    raise ScenarioFailed(f"{device.name}: TDI 0 in {state.name}, stream {stream}")
            device.target.take_events()
        self.clear_tables()

    def _drop_tdi(self, device: SevDevice, tdi: int) -> None:
        if tdi in device.tsm.bindings:
            self.do(self.host.unbind_only(device.tsm, tdi), "settle", device)
        ret = self.host.after_unbind(device.tsm, tdi)
        if ret is not Ret.SUCCESS:
            raise TransportError(f"{device.name}: TDI {tdi} gave {ret.name}; reset it")

    def clear_tables(self) -> None:
        """Empty tables; contexts stay, with the pages they stand in."""
        kept = {*self.host.guest_pages.values(), *(d.page for d in self.host.devices.values())}
        pages = {page: self.machine.memory.ram[page] for page in kept}
        super().clear_tables()
        self.iommu.clear()
        self.machine.memory.ram.update(pages)
        for page in kept:
            self.rmp.take(page)

    def tear_down(self) -> None:
        """Disconnect every device that is connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        try:
            for device in self.machine.devices:
                if device.tsm.core.session is not None:
                    ret = self.do(self.host.disconnect(device.tsm), "disconnect", device)
                    if ret is not Ret.SUCCESS:
                        raise TransportError(f"disconnect: {ret.name}; reset the device")
                self.drop_context(device)
        except TsmError:
            self.start_over()
        self.clear_tables()

    def start_over(self) -> None:
        """Forget everything, reset the devices, enumerate them."""
        self.asp.abandon()
        self.host.devices.clear()
        super().start_over()


def make(targets: list[Target], policy: TsmPolicy) -> SevEnv:
    """Environment around targets."""
    return SevEnv(Machine(targets, policy, SevTsm, make_pages=Rmp, make_iommu=SevIommu))


register_platform(Platform("sev-tio", "AMD SEV-TIO: ASP commands, guest messages, GHCB", make))

__all__ = ["SevEnv", "make"]
