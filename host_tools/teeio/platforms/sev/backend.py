# SPDX-License-Identifier: Apache-2.0
"""SEV-TIO behind the Linux verbs: operations of the link TSM become ASP commands, guest requests
become GHCB exits and guest messages.

While a device is connected through it, the tables of SEV-TIO stand in the machine, and its protocol
core in the device's TSM object; those that were there before come back at disconnect.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from enum import Enum
from typing import NoReturn, TypeVar

from teeio.core.drive import run
from teeio.core.ops import Op, Steps
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.dmapath import DmaPath
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.tsm import Evidence, TsmReason, reported
from teeio.platforms.linux.backend import register_backend
from teeio.platforms.sev.abi import Ret
from teeio.platforms.sev.ghcb import Action
from teeio.platforms.sev.guest import TioDevice, TioGuest
from teeio.platforms.sev.host import rp_id
from teeio.platforms.sev.messages import VALIDATED, MmioStatus, MmioValidate
from teeio.platforms.sev.platform import SevPlatform, make_platform
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.sdt import PortPath, SevIommu
from teeio.platforms.sev.tsm import SevTsm

T = TypeVar("T")


def _nothing(op: Op) -> NoReturn:
    raise LocalError(f"{type(op).__name__}: this guest message needs no device")


class SevBackend:
    """As `TsmBackend`."""

    def __init__(self, machine: AnyMachine, device: AnyDevice) -> None:
        self._machine, self._device = machine, device
        self._platform: SevPlatform | None = None
        self._undo: Callable[[], None] = lambda: None
        self._mine: dict[int, tuple[TioGuest, TioDevice]] = {}

    # ---- verbs -----------------------------------------------------------------------------------
    def connect(self) -> Steps[None]:
        platform = self._take_over()
        try:
            _must("connect", (yield from platform.host.connect(platform.tsms[0])))
        except BaseException:
            self._give_back()
            raise

    def disconnect(self) -> Steps[None]:
        platform = self._there()
        try:
            _must("disconnect", (yield from platform.host.disconnect(platform.tsms[0])))
        finally:
            self._give_back()

    def bind(self, tdi: int, guest: str) -> Steps[None]:
        platform = self._there()
        vm = next(one for one in self._machine.guests if one.name == guest)
        tio = platform.tio(vm, self._device.index)
        mine = TioDevice(platform.tsms[0].core.tdi_function(tdi).bdf,
                         vm.mmio_page(self._device, tdi))
        yield from tio.operate(mine, Action.BIND)
        # Linux reads evidence without a verb: the objects are fetched here.
        yield from tio.read_evidence(mine)
        self._mine[tdi] = tio, mine

    def unbind(self, tdi: int) -> Steps[None]:
        platform = self._there()
        self._mine.pop(tdi, None)
        if tdi in platform.tsms[0].bindings:
            # Whatever the device answers: Linux's unbind succeeds.
            yield from platform.host.unbind(platform.tsms[0], tdi)

    def run(self, tdi: int, guest: str, generation: int) -> Steps[None]:
        tio, mine = self._of(tdi, guest)
        if mine.info is None or mine.info.counter != generation:
            raise TransportError(f"the evidence is not of lock {generation}: read it again")
        yield from tio.start(mine)

    # ---- calls that need no message to the device ------------------------------------------------
    def dma_enable(self, tdi: int, guest: str) -> None:
        tio, mine = self._of(tdi, guest)
        status = run(tio.open_dma(mine), _nothing)
        if status:
            raise TransportError(f"SDTE_WRITE: status {status}; run the interface first")

    def mmio_accept(self, tdi: int, guest: str, gpa_page: int, index: int, offset: int) -> (
            Enum | None):
        tio, mine = self._of(tdi, guest)
        item = reported(mine.report, index)
        if item is None:
            return TsmReason.NOT_REPORTED
        first = min(one.first_page for one in mine.report.ranges
                    if one.range_id == item.range_id)
        status, _ = run(tio.validate(mine, MmioValidate(
            gpa_page * PAGE, 1, item.first_page - first + offset, VALIDATED, item.range_id)),
            _nothing)
        return None if status == MmioStatus.OK else MmioStatus(status)

    def evidence(self, kind: str, tdi: int) -> Evidence:
        if tdi not in self._mine:
            raise TransportError(f"TDI {tdi} is not bound: bind it first")
        mine = self._mine[tdi][1]
        data = mine.evidence.get(kind, b"")
        counter = mine.info.counter if mine.info is not None and kind == "report" else 0
        return Evidence(kind, data, hashlib.sha384(data).digest(), counter)

    # ---- helpers ---------------------------------------------------------------------------------
    def _of(self, tdi: int, guest: str) -> tuple[TioGuest, TioDevice]:
        if tdi not in self._mine or self._mine[tdi][0].guest.name != guest:
            raise TransportError(f"TDI {tdi} is not bound to {guest}: bind it first")
        return self._mine[tdi]

    def _there(self) -> SevPlatform:
        if self._platform is None:
            raise LocalError("not connected: connect the device first")
        return self._platform

    def _take_over(self) -> SevPlatform:
        machine, device = self._machine, self._device
        old, context, port = device.tsm, machine.context, device.target.port
        rmp = Rmp(context)
        iommu = SevIommu(context, rmp)
        tsm = SevTsm(context, old.core.policy, os.urandom, device.hardware, iommu, rmp,
                     device.index)
        tsm.core.functions, tsm.core.mailbox = old.core.functions, old.core.mailbox
        before = (machine.pages, machine.iommu, machine.memory.translate, port.checker, old.core,
                  old.bindings, old.suspect)
        machine.pages, machine.iommu = rmp, iommu
        machine.memory.translate = iommu.translate
        port.checker = PortPath(DmaPath(context, device.hardware, iommu), iommu,
                                rp_id(device.index))
        old.core, old.bindings, old.suspect = tsm.core, tsm.bindings, tsm.suspect

        def undo() -> None:
            (machine.pages, machine.iommu, machine.memory.translate, port.checker, old.core,
             old.bindings, old.suspect) = before

        self._undo = undo
        self._platform = make_platform(machine, [tsm])
        return self._platform

    def _give_back(self) -> None:
        self._undo()
        self._undo = lambda: None
        self._platform = None
        self._mine.clear()


def _must(what: str, ret: Ret) -> None:
    if ret is not Ret.SUCCESS:
        raise TransportError(f"{what}: {ret.name}; look at the log of the firmware")


register_backend("sev-tio", SevBackend)
