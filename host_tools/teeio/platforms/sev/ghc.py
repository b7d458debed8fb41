# SPDX-License-Identifier: Apache-2.0
"""The guest's calls on SEV-TIO, over GHCB, for scenarios that run on every platform."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TypeVar

from teeio.core.drive import run
from teeio.core.ops import Steps
from teeio.errors import LocalError, TransportError
from teeio.platforms.common import ghc
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.tsm import (
    DMA_RUN,
    FRESH_EVIDENCE,
    MMIO_RUN,
    Evidence,
    TsmReason,
)
from teeio.platforms.sev.ghcb import Action
from teeio.platforms.sev.guest import TioDevice, TioGuest
from teeio.platforms.sev.messages import RUNNING, MmioStatus
from teeio.platforms.sev.platform import platform_of

T = TypeVar("T")


class SevCalls:
    """As `ghc.GuestHostOps`."""

    def __init__(self, machine: AnyMachine, device: AnyDevice, guest: Guest) -> None:
        self._machine, self._device, self._guest = machine, device, guest
        self._tio: TioGuest = platform_of(device.tsm).tio(guest, device.index)
        self._mine: dict[int, TioDevice] = {}

    def bind(self, tdi: int) -> None:
        mine = TioDevice(self._device.tsm.core.tdi_function(tdi).bdf,
                         self._guest.mmio_page(self._device, tdi))
        self._mine[tdi] = mine
        self._do(self._tio.operate(mine, Action.BIND))

    def evidence(self, kind: str, tdi: int) -> Evidence:
        mine = self._of(tdi)
        if mine.info is None:
            self._do(self._tio.read_evidence(mine))
        if kind not in mine.evidence or mine.info is None:
            raise LocalError(f"no evidence object is called {kind}")
        data = mine.evidence[kind]
        return Evidence(kind, data, hashlib.sha384(data).digest(),
                        mine.info.counter if kind == "report" else 0)

    def run(self, tdi: int, generation: int) -> None:
        now = self._do(self._tio.info(self._of(tdi))).counter
        self._machine.context.checks.require(FRESH_EVIDENCE, now == generation, TsmReason.STALE,
                                             f"{generation}, now {now}")
        self._do(self._tio.start(self._of(tdi)))

    def dma_enable(self, tdi: int) -> None:
        running = self._do(self._tio.info(self._of(tdi))).state == RUNNING
        self._machine.context.checks.require(DMA_RUN, running, TsmReason.NOT_RUNNING, f"TDI {tdi}")
        status = self._do(self._tio.open_dma(self._of(tdi)))
        if status:
            raise TransportError(f"SDTE_WRITE: status {status}; run the interface first")

    def mmio_enable(self, tdi: int) -> Enum | None:
        running = self._do(self._tio.info(self._of(tdi))).state == RUNNING
        reason = self._machine.context.checks.take(MMIO_RUN, running, TsmReason.NOT_RUNNING,
                                                   f"TDI {tdi}")
        status = MmioStatus(self._do(self._tio.validate_all(self._of(tdi))))
        return reason or (None if status is MmioStatus.OK else status)

    def stop(self, tdi: int) -> None:
        self._do(self._tio.unlock(self._of(tdi)))
        self._machine.hide_bar(self._device, tdi, self._guest)

    def unbind(self, tdi: int) -> None:
        self._do(self._tio.operate(self._of(tdi), Action.STOP))
        self._do(self._tio.operate(self._of(tdi), Action.UNBIND))

    def _of(self, tdi: int) -> TioDevice:
        if tdi not in self._mine:
            raise LocalError(f"TDI {tdi} is not bound: bind it first")
        return self._mine[tdi]

    def _do(self, steps: Steps[T]) -> T:
        return run(steps, lambda op: self._machine.vmm.perform(self._device, op))


ghc.register("sev-tio", SevCalls)
