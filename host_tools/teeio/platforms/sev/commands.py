# SPDX-License-Identifier: Apache-2.0
"""What each ASP command does: device and TDI contexts, the verbs behind them, fences."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from teeio.core.ops import Steps
from teeio.core.spdm_crypto import Rng
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.platforms.common.checks import Check, Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE
from teeio.platforms.sev import abi, messages, rules
from teeio.platforms.sev.abi import Cmd, Command, DataType, Fence, ObjectId, Ret, Sla
from teeio.platforms.sev.buffers import Buffers
from teeio.platforms.sev.requests import Requests, info_of
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import SevReason
from teeio.platforms.sev.sdt import SevIommu
from teeio.platforms.sev.tsm import DeviceCtx, DevState, GuestCtx, SevTsm, TdiCtx, TdiCtxState
from teeio.wire.tdisp import LockFlag

T = TypeVar("T")
NO_LOCK = LockFlag.BIND_P2P | LockFlag.SYSTEM_CACHE_LINE_SIZE


class Commands:
    """Contexts of one machine, by the page in which they stand."""

    def __init__(self, context: Context, tsms: list[SevTsm], rmp: Rmp, iommu: SevIommu,
                 buffers: Buffers, requests: Requests, rng: Rng) -> None:
        self.devices: dict[int, DeviceCtx] = {}
        self.guests: dict[int, GuestCtx] = {}
        self.initialised = False
        self.rmp = rmp
        self._context, self._tsms, self._iommu = context, tsms, iommu
        self._buffers, self._requests, self._rng = buffers, requests, rng

    def forget(self) -> None:
        """Platform reset: no device, no TDI."""
        self.devices.clear()
        for tsm in self._tsms:
            tsm.ctx = None

    # ---- contexts --------------------------------------------------------------------------------
    def device(self, command: Command) -> DeviceCtx:
        """The device context that a command names.

        Raises:
            Refused: DEV_CTX.
        """
        return self._found(rules.DEV_CTX, SevReason.DEV_CTX,
                           self.devices.get(Sla.decode(command.ints["dev"]).page))

    def tdi(self, command: Command, dev: DeviceCtx) -> TdiCtx:
        """The TDI context that a command names, of this device.

        Raises:
            Refused: TDI_CTX.
        """
        page = Sla.decode(command.ints["tdi"]).page
        mine, others = dev.tdis.get(page), (d.tdis.get(page) for d in self.devices.values())
        # Without this check a TDI of another device would do.
        found = mine or next((tdi for tdi in others if tdi is not None), None)
        self._context.checks.require(rules.TDI_CTX, mine is not None, SevReason.TDI_CTX)
        return self._found(rules.TDI_CTX, SevReason.TDI_CTX, found)

    def guest(self, command: Command, tdi: TdiCtx) -> GuestCtx:
        """The guest context that a command names; if the TDI is bound, its guest.

        Raises:
            Refused: GUEST_CTX.
        """
        guest = self._found(rules.GUEST_CTX, SevReason.GUEST_CTX,
                            self.guests.get(Sla.decode(command.ints["guest"]).page))
        is_its = tdi.state is TdiCtxState.UNBOUND or tdi.guest is guest
        self._context.checks.require(rules.GUEST_CTX, is_its, SevReason.GUEST_CTX, guest.name)
        return guest

    def _found(self, check: Check, reason: SevReason, item: T | None) -> T:
        self._context.checks.require(check, item is not None, reason)
        if item is None:
            raise LocalError(f"{reason.value}: create it first")
        return item

    def _in(self, check: Check, is_so: bool, reason: SevReason, subject: str) -> None:
        self._context.checks.require(check, is_so, reason, subject)

    # ---- commands without the device -------------------------------------------------------------
    def immediate(self, c: Command, pending: Mapping[int, Cmd]) -> Ret:
        """TIO_*, DEV_CREATE, DEV_STATUS, TDI_INFO, ASID_FENCE_*.

        Args:
            pending: command in flight, by number of the device.
        """
        match c.cmd:
            case Cmd.TIO_STATUS:
                flags = abi.TIO_ENABLED | (abi.TIO_INIT_DONE if self.initialised else 0)
                self._buffers.write(c.ints["status"], abi.tio_status(flags), firmware=True)
            case Cmd.TIO_INIT:
                self.initialised = True
            case Cmd.DEV_CREATE:
                self._create(c)
            case Cmd.DEV_STATUS:
                dev = self.device(c)
                self._buffers.write(c.ints["status"], abi.dev_status(
                    dev.state, dev.slot, dev.tsm.core.functions[0].bdf, dev.segment, dev.tc_mask,
                    pending.get(dev.tsm.index, 0), bytes(12), dev.streams), firmware=True)
            case Cmd.TDI_INFO:
                tdi = self.tdi(c, self.device(c))
                bound = tdi.guest is not None and tdi.state is not TdiCtxState.UNBOUND
                asid = tdi.guest.asid if bound and tdi.guest is not None else 0
                data = info_of(tdi).encode(tdi.tdi_id, 0, 2)
                self._buffers.write(c.ints["status"], data[:0xB8] + struct.pack("<Q", asid),
                                    firmware=True)
            case Cmd.ASID_FENCE_STATUS:
                self.device(c)
                none = (Fence.NONE, Fence.NONE)
                value = abi.fence_status(*self._iommu.fences.get(c.ints["asid"], none))
                self._buffers.write(c.ints["status"], struct.pack("<II", 8, value), firmware=True)
            case _:
                self._clear_fence(c)
        return Ret.SUCCESS

    def _create(self, c: Command) -> None:
        page = self._buffers.page(c.ints["dev"])
        tsm = next((one for one in self._tsms if one.core.functions
                    and one.core.functions[0].bdf == c.ints["rid"]), None)
        self._in(rules.CTX_ONCE, tsm is not None and tsm.ctx is None and page not in self._taken(),
                 SevReason.CTX_IN_USE, f"{c.ints['rid']:#x}")
        if tsm is not None:
            dev = DeviceCtx(page, tsm, c.ints["rp_id"], c.ints["segment"])
            tsm.ctx = self.devices[page] = dev

    def _taken(self) -> set[int]:
        return {*self.devices, *self.guests,
                *(page for dev in self.devices.values() for page in dev.tdis)}

    def _clear_fence(self, c: Command) -> None:
        self.device(c)
        asid = c.ints["asid"]
        active = any(entry["v"] and entry["asid"] == asid for entry in self._iommu.sdt.values())
        self._in(rules.FENCE_CLEAR, not active, SevReason.ASID_ACTIVE, f"ASID {asid}")
        self._iommu.fence(asid, dma=Fence.NONE, mmio=Fence.NONE)

    # ---- commands on a device, one at a time -----------------------------------------------------
    def steps(self, c: Command, dev: DeviceCtx) -> Steps[Ret]:
        """A command as steps.

        Raises:
            Refused: a rule.
            DecodeError: a field.
            TsmError: the device did not follow.
        """
        match c.cmd:
            case Cmd.DEV_CONNECT:
                yield from self._connect(c, dev)
            case Cmd.DEV_DISCONNECT:
                yield from self._disconnect(dev, bool(c.ints["flags"] & abi.FORCE))
            case Cmd.DEV_RECLAIM:
                self._in(rules.RECLAIM, not dev.tdis, SevReason.CTX_IN_USE, "device")
                self._in(rules.DEV_STATE, dev.state is not DevState.CONNECTED, SevReason.DEV_STATE,
                         dev.state.name)
                self._release(dev)
            case Cmd.DEV_MEASUREMENTS:
                self._connected(dev)
                data = yield from dev.tsm.measure(c.raws["nonce"],
                                                  bool(c.ints["flags"] & abi.RAW_BIT_STREAM))
                self._output(c, ObjectId.MEASUREMENTS, data)
            case Cmd.DEV_CERTIFICATES:
                self._connected(dev)
                self._output(c, ObjectId.CERTIFICATES, dev.tsm.evidence("certificates").data)
            case Cmd.TDI_CREATE:
                self._create_tdi(c, dev)
            case Cmd.ROLL_KEY:
                return Ret.UNSUPPORTED
            case _:
                return (yield from self._of_tdi(c, dev, self.tdi(c, dev)))
        return Ret.SUCCESS

    def _of_tdi(self, c: Command, dev: DeviceCtx, tdi: TdiCtx) -> Steps[Ret]:
        match c.cmd:
            case Cmd.TDI_RECLAIM:
                self._in(rules.RECLAIM, tdi.state is TdiCtxState.UNBOUND, SevReason.CTX_IN_USE,
                         f"TDI {tdi.tdi}")
                del dev.tdis[tdi.page]
                self.rmp.give_back(tdi.page)
            case Cmd.TDI_BIND:
                self._connected(dev)
                guest = self.guest(c, tdi)
                if c.ints["run"] & abi.FORCE_RUN:
                    yield from self._run(tdi, guest)
                else:
                    yield from self._bind(c, tdi, guest)
            case Cmd.TDI_UNBIND:
                return (yield from self._unbind(tdi, bool(c.ints["flags"] & abi.FORCE)))
            case Cmd.TDI_REPORT:
                self._in(rules.TDI_STATE, tdi.state is not TdiCtxState.UNBOUND,
                         SevReason.TDI_STATE, tdi.state.name)
                self._output(c, ObjectId.REPORT, dev.tsm.evidence("report", tdi.tdi).data)
            case Cmd.TDI_STATUS:
                self._connected(dev)
                state = yield from dev.tsm.core.tdi_state(tdi.tdi)
                self._buffers.write(c.ints["status"], struct.pack("<IB3x", 8, state), firmware=True)
            case Cmd.GUEST_REQUEST:
                yield from self._guest_request(c, tdi)
        return Ret.SUCCESS

    def _connected(self, dev: DeviceCtx) -> None:
        self._in(rules.DEV_STATE, dev.state is DevState.CONNECTED, SevReason.DEV_STATE,
                 dev.state.name)

    def _output(self, c: Command, identity: ObjectId, data: bytes) -> None:
        self._buffers.put(c.ints["output"], identity, DataType.SPDM, data)

    def _connect(self, c: Command, dev: DeviceCtx) -> Steps[None]:
        streams, none = c.raws["streams"], bytes((abi.NO_STREAM,))
        self._in(rules.TC_MASK, c.ints["tc_mask"] == 1 and streams[:1] != none
                 and streams[1:] == none * 7, SevReason.TC_MASK, f"{c.ints['tc_mask']:#x}")
        self._in(rules.DEV_STATE, dev.state is DevState.CREATED, SevReason.DEV_STATE,
                 dev.state.name)
        dev.tsm.core.policy = replace(dev.tsm.core.policy, stream_id=streams[0])
        yield from dev.tsm.connect()
        dev.state, dev.tc_mask, dev.streams = DevState.CONNECTED, c.ints["tc_mask"], streams
        dev.slot = dev.tsm.core.slot

    def _disconnect(self, dev: DeviceCtx, force: bool) -> Steps[None]:
        self._connected(dev)
        if force:
            for tdi in list(dev.tdis.values()):
                if tdi.state is not TdiCtxState.UNBOUND:
                    yield from self._unbind(tdi, True)
        yield from dev.tsm.disconnect(force=force)
        dev.state = DevState.DISCONNECTED

    def _release(self, dev: DeviceCtx) -> None:
        del self.devices[dev.page]
        dev.tsm.ctx = None
        self.rmp.give_back(dev.page)

    # ---- interfaces ------------------------------------------------------------------------------
    def _create_tdi(self, c: Command, dev: DeviceCtx) -> None:
        page, identity = self._buffers.page(c.ints["tdi"]), c.raws["interface"]
        rid = int.from_bytes(identity[:4], "little")
        item = next((f for f in dev.tsm.core.functions if f.bdf == rid and f.number > 0), None)
        self._in(rules.TDI_EXISTS, item is not None, SevReason.TDI, f"{rid:#x}")
        if item is None:
            raise DecodeError(f"there is no interface {rid:#x}")
        number = item.number - 1
        self._in(rules.CTX_ONCE, page not in self._taken() and all(
            tdi.tdi != number for tdi in dev.tdis.values()), SevReason.CTX_IN_USE, f"TDI {number}")
        dev.tdis[page] = TdiCtx(page, dev, number, identity)

    def _bind(self, c: Command, tdi: TdiCtx, guest: GuestCtx) -> Steps[None]:
        self._in(rules.TDI_STATE, tdi.state is TdiCtxState.UNBOUND, SevReason.TDI_STATE,
                 tdi.state.name)
        lock = LockFlag(c.ints["lock"])
        self._in(rules.LOCK_FLAGS, LockFlag.ALL_REQUEST_REDIRECT in lock and not lock & NO_LOCK,
                 SevReason.LOCK_FLAGS, f"{int(lock):#x}")
        yield from tdi.dev.tsm.bind(tdi.tdi, guest.name)
        tdi.state, tdi.guest, tdi.device_id = TdiCtxState.BIND_LOCKED, guest, c.ints["device_id"]
        tdi.lock_flags, tdi.ran, tdi.ranges = int(lock), False, ()
        tdi.tdi_id = int.from_bytes(self._rng(8), "little") | 1

    def _run(self, tdi: TdiCtx, guest: GuestCtx) -> Steps[None]:
        self._in(rules.TDI_STATE, tdi.state is TdiCtxState.BIND_LOCKED, SevReason.TDI_STATE,
                 tdi.state.name)
        tsm = tdi.dev.tsm
        yield from tsm.run(tdi.tdi, guest.name, tsm.binding(tdi.tdi, guest.name).generation)
        tdi.state, tdi.ran = TdiCtxState.BIND_RUN, True

    def _unbind(self, tdi: TdiCtx, force: bool) -> Steps[Ret]:
        """Tables off first, whatever the device does; without FORCE the context waits for it."""
        self._in(rules.TDI_STATE, tdi.state is not TdiCtxState.UNBOUND, SevReason.TDI_STATE,
                 tdi.state.name)
        tsm, stopped = tdi.dev.tsm, False
        if tdi.tdi in tsm.bindings:
            stopped = yield from tsm.unbind(tdi.tdi)
        if tdi.ran and tdi.guest is not None:
            self._iommu.fence(tdi.guest.asid, dma=Fence.DEFAULT, mmio=Fence.DEFAULT)
        if not stopped and not force:
            raise Refused(rules.TDI_STATE, SevReason.STOP, f"TDI {tdi.tdi}")
        # Guest and id stay known until the next bind: a late message is told "unbound".
        tdi.state, tdi.ran = TdiCtxState.UNBOUND, False
        return Ret.SUCCESS

    # ---- guest requests --------------------------------------------------------------------------
    def _guest_request(self, c: Command, tdi: TdiCtx) -> Steps[None]:
        guest = self._found(rules.GUEST_CTX, SevReason.GUEST_CTX,
                            self.guests.get(Sla.decode(c.ints["guest"]).page))
        data = self._buffers.read(c.ints["ask"], firmware=False)
        self._buffers.pages(c.ints["answer"], firmware=False)
        message = self._open(guest, data)
        answered = messages.Type(message.type + 1)
        guest.next = message.sequence + 2
        body = yield from self._requests.serve(guest, tdi, message)
        self._buffers.write(c.ints["answer"], messages.seal(
            guest.key, message.sequence + 1, answered, body, message.version).ljust(PAGE, b"\0"),
            firmware=False)

    def _open(self, guest: GuestCtx, data: bytes) -> messages.Message:
        checks, sequence = self._context.checks, guest.next
        if checks.is_off(rules.AUTH):
            sequence = int.from_bytes(data[32:40], "little")
        message, why = None, ""
        try:
            message = messages.unseal(guest.key, sequence, data)
        except PeerError as error:
            why = str(error)
        is_request = message is not None and message.type % 2 == 1
        checks.require(rules.AUTH, is_request, SevReason.AUTH, f"{guest.name} {why}".strip())
        if message is None:
            raise DecodeError("a guest message that nobody can read")
        return message
