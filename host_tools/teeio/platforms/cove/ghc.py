# SPDX-License-Identifier: Apache-2.0
"""The guest's calls on CoVE-IO, for scenarios that run on every platform.

`start_interface` opens IOMMU and G-stage in one call; the separate enables only look. Evidence is
what COVG gives: elements of the transcript, measurements with the guest's nonce, the report.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from teeio.core.drive import run
from teeio.core.ops import Steps
from teeio.errors import LocalError
from teeio.platforms.common import ghc
from teeio.platforms.common.guest import PAGES_PER_BAR, Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.tsm import (
    DMA_RUN,
    FRESH_EVIDENCE,
    MMIO_RUN,
    Evidence,
    PlatformTsm,
    TsmReason,
)
from teeio.platforms.cove.host import CoveHost
from teeio.platforms.cove.interface import CoveInterface
from teeio.platforms.cove.rules import TvmReason
from teeio.platforms.cove.sbi import Covg, SbiRet
from teeio.platforms.cove.transcript import Element, parse
from teeio.platforms.cove.tsm import CoveTsm
from teeio.platforms.cove.tvm import CallFailed, Tdm, TvmPolicy
from teeio.platforms.cove.wire import ConnectionTranscript
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_session import KeyExchange
from teeio.wire.tdisp_report import InterfaceReport

T = TypeVar("T")


def cove_tsm(tsm: PlatformTsm) -> CoveTsm:
    """The TSM of a device of this platform.

    Raises:
        LocalError: the device belongs to another platform's TSM.
    """
    if not isinstance(tsm, CoveTsm):
        raise LocalError("this device has no CoVE-IO TSM: make the machine with one")
    return tsm


class CoveCalls:
    """As `ghc.GuestHostOps`, over COVG; the VMM does its part."""

    def __init__(self, machine: AnyMachine, device: AnyDevice, guest: Guest,
                 rng: Callable[[int], bytes] = os.urandom) -> None:
        self._machine, self._device, self._guest, self._rng = machine, device, guest, rng
        self._tsm = cove_tsm(device.tsm)
        self._host = CoveHost(machine.context, CoveInterface(machine.context, [self._tsm]))
        if self._tsm.cove.transcript:
            # The VMM that connected the device has kept what connect gave it.
            self._host.transcripts[self._tsm.core.functions[0].bdf] = ConnectionTranscript(
                body=self._tsm.cove.transcript).encode()
        policy = self._tsm.core.policy
        self._tdm = Tdm(machine.context, guest.name,
                        TvmPolicy(policy.roots, policy.at, policy.references), self._host, rng)

    def bind(self, tdi: int) -> None:
        self._must("bind", self._do(self._host.bind(self._tsm, self._guest.name, tdi)))

    def evidence(self, kind: str, tdi: int) -> Evidence:
        generation = self._tsm.binding(tdi, self._guest.name).generation
        mine = self._id(tdi)
        if kind == "report":
            data = self._do(self._tdm.call(Covg.GET_INTERFACE_REPORT, mine)).data
        elif kind == "measurements":
            data = self._do(self._tdm.call(Covg.GET_DEVICE_MEASUREMENTS, mine,
                                           self._rng(32), 0)).data
        elif kind == "certificates":
            whole = parse(self._do(self._tdm.call(
                Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, mine, Element.FULL, 0)).data)
            exchange = whole.one(KeyExchange)
            assert isinstance(exchange, KeyExchange)
            data = whole.chain(exchange.slot)
        else:
            raise LocalError(f"no evidence object is called {kind}")
        return Evidence(kind, data, hashlib.sha384(data).digest(),
                        generation if kind == "report" else 0)

    def run(self, tdi: int, generation: int) -> None:
        now = self._tsm.binding(tdi, self._guest.name).generation
        self._machine.context.checks.require(FRESH_EVIDENCE, now == generation, TsmReason.STALE,
                                             f"{generation}, now {now}")
        report = decode_whole(InterfaceReport.decode, self.evidence("report", tdi).data)
        self._do(self._tdm.check_ranges(self._id(tdi), report, self._gpa(tdi),
                                        PAGES_PER_BAR * PAGE))
        self._do(self._tdm.start(self._id(tdi)))

    def dma_enable(self, tdi: int) -> None:
        self._machine.context.checks.require(
            DMA_RUN, self._running(tdi), TsmReason.NOT_RUNNING, f"TDI {tdi}")

    def mmio_enable(self, tdi: int) -> Enum | None:
        return self._machine.context.checks.take(
            MMIO_RUN, self._running(tdi), TvmReason.RUNNING, f"TDI {tdi}")

    def stop(self, tdi: int) -> None:
        self._do(self._tdm.call(Covg.STOP_INTERFACE, self._id(tdi)))
        self._must("reclaim", self._do(self._host.reclaim(self._tsm, self._guest.name, tdi)))

    def unbind(self, tdi: int) -> None:
        self.stop(tdi)

    def _running(self, tdi: int) -> bool:
        return self._tsm.binding(tdi, self._guest.name).running

    def _id(self, tdi: int) -> int:
        return self._tsm.core.tdi_function(tdi).bdf

    def _gpa(self, tdi: int) -> int:
        return self._guest.mmio_page(self._device, tdi) * PAGE

    def _do(self, steps: Steps[T]) -> T:
        return run(steps, lambda op: self._machine.vmm.perform(self._device, op))

    @staticmethod
    def _must(what: str, ret: SbiRet) -> None:
        if not ret.ok:
            raise CallFailed(what, ret)


ghc.register("cove", CoveCalls)

__all__ = ["CoveCalls", "cove_tsm"]
