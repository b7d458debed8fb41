# SPDX-License-Identifier: Apache-2.0
"""CoVE-IO behind the Linux verbs: every operation of the link TSM becomes COVH and COVG calls.

While a device is connected through it, the CoVE-IO core stands in the device's TSM object; the one
that was there before comes back at disconnect.
"""

from __future__ import annotations

import hashlib
import os
from enum import Enum

from teeio.core.ops import Steps
from teeio.core.tsm import Tsm
from teeio.errors import TransportError
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.tsm import Binding, Evidence, TsmReason, reported
from teeio.platforms.cove.host import CoveHost
from teeio.platforms.cove.interface import CoveInterface
from teeio.platforms.cove.rules import CoveReason
from teeio.platforms.cove.sbi import Covg, SbiRet
from teeio.platforms.cove.transcript import parse
from teeio.platforms.cove.tsm import CoveTsm
from teeio.platforms.cove.wire import ConnectionTranscript
from teeio.platforms.linux.backend import register_backend
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_session import KeyExchange

NONCE_BYTES = 32


class CoveBackend:
    """As `TsmBackend`."""

    def __init__(self, machine: AnyMachine, device: AnyDevice) -> None:
        self._device = device
        old = device.tsm
        self._tsm = CoveTsm(machine.context, old.core.policy, os.urandom, device.hardware,
                            old.iommu, old.pages, device.index)
        self._host = CoveHost(machine.context, CoveInterface(machine.context, [self._tsm]))
        self._before: tuple[Tsm, dict[int, Binding], set[int]] | None = None
        self._measured: dict[int, bytes] = {}

    # ---- verbs -----------------------------------------------------------------------------------
    def connect(self) -> Steps[None]:
        tsm, old = self._tsm, self._device.tsm
        tsm.core.functions, tsm.core.mailbox = old.core.functions, old.core.mailbox
        self._before = old.core, old.bindings, old.suspect
        old.core, old.bindings, old.suspect = tsm.core, tsm.bindings, tsm.suspect
        try:
            _must("connect_device", (yield from self._host.connect(tsm)))
        except BaseException:
            self._restore()
            raise

    def disconnect(self) -> Steps[None]:
        try:
            _must("disconnect_device", (yield from self._host.disconnect(self._tsm)))
        finally:
            self._tsm.forget_regions()
            self._restore()

    def bind(self, tdi: int, guest: str) -> Steps[None]:
        _must("bind_interface", (yield from self._host.bind(self._tsm, guest, tdi)))
        # Linux reads evidence without a verb: the measurements are fetched here.
        ret = yield from self._host.enter(guest, Covg.GET_DEVICE_MEASUREMENTS, self._id(tdi),
                                          os.urandom(NONCE_BYTES), 0)
        _must("get_device_measurements", ret)
        self._measured[tdi] = ret.data

    def unbind(self, tdi: int) -> Steps[None]:
        binding = self._tsm.bindings.get(tdi)
        guest = binding.guest if binding is not None else ""
        if binding is not None:
            # Whatever the device answers: Linux's unbind succeeds.
            yield from self._host.unbind(self._tsm, guest, tdi)
            yield from self._host.reclaim(self._tsm, guest, tdi)

    def run(self, tdi: int, guest: str, generation: int) -> Steps[None]:
        binding = self._tsm.binding(tdi, guest)
        if binding.generation != generation:
            raise TransportError(f"the evidence is of lock {generation}: read it again")
        _must("start_interface", (yield from self._host.enter(
            guest, Covg.START_INTERFACE, self._id(tdi))))

    # ---- calls that need no message --------------------------------------------------------------
    def dma_enable(self, tdi: int, guest: str) -> None:
        """start_interface has opened it already."""
        if not self._tsm.binding(tdi, guest).running:
            raise TransportError(f"TDI {tdi} is not started: run it first")

    def mmio_accept(self, tdi: int, guest: str, gpa_page: int, index: int, offset: int) -> (
            Enum | None):
        binding = self._tsm.binding(tdi, guest)
        item = reported(binding.report, index)
        if item is None or not 0 <= offset < item.pages:
            return TsmReason.NOT_REPORTED
        ret = self._host.interface.ecall(
            guest, 0x434F5647, Covg.MAP_INTERFACE_MMIO, self._id(tdi), gpa_page * PAGE,
            (item.first_page + offset) * PAGE, PAGE)
        return None if ret.ok else ret.reason or CoveReason.MAP_REGION

    def evidence(self, kind: str, tdi: int) -> Evidence:
        if kind == "report":
            return self._tsm.evidence(kind, tdi)
        data = self._measured.get(tdi, b"")
        if kind == "certificates":
            device = self._tsm.core.functions[0].bdf
            whole = parse(decode_whole(ConnectionTranscript.decode,
                                       self._host.transcripts[device]).body)
            exchange = whole.one(KeyExchange)
            assert isinstance(exchange, KeyExchange)
            data = whole.chain(exchange.slot)
        return Evidence(kind, data, hashlib.sha384(data).digest(), 0)

    # ---- helpers ---------------------------------------------------------------------------------
    def _restore(self) -> None:
        if self._before is not None:
            old = self._device.tsm
            old.core, old.bindings, old.suspect = self._before
            self._before = None

    def _id(self, tdi: int) -> int:
        return self._tsm.core.tdi_function(tdi).bdf


def _must(what: str, ret: SbiRet) -> None:
    if not ret.ok:
        reason = f" ({ret.reason.value})" if ret.reason is not None else ""
        raise TransportError(f"{what}: {ret.error.name}{reason}")


register_backend("cove", CoveBackend)
