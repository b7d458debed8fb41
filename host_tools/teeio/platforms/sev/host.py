# SPDX-License-Identifier: Apache-2.0
"""The host: the ccp driver, KVM and the VMM above it. Untrusted: all it holds it may have made up.

It owns the device's IDE capability, the mailbox, the nested maps, and the pages of all buffers and
contexts. Everything here is a generator of operations; whoever runs it performs or attacks them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from teeio.core import spdm_flow
from teeio.core.enumerate import ECAP_IDE
from teeio.core.ops import Steps, cfg_write, doe_exchange, wait
from teeio.core.stream_block import (
    CONTROL_DEFAULT_STREAM,
    CONTROL_ENABLE,
    StreamBlock,
    find_block,
    set_up_block,
)
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, PhysicalMemory
from teeio.platforms.sev import abi
from teeio.platforms.sev.abi import Cmd, DataType, ObjectId, Ret, Sla
from teeio.platforms.sev.asp import Asp
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.tsm import SevTsm
from teeio.wire.doe import DoeObject, DoeType
from teeio.wire.tdisp import LockFlag

PATIENCE_CYCLES = 48_000
BUFFER_PAGES = 5
LOCK = LockFlag.ALL_REQUEST_REDIRECT | LockFlag.NO_FW_UPDATE
DOE_HEADER = 8


@dataclass(slots=True)
class Spdm:
    """Buffers of one command: scatter lists of request, response, scratch, output."""

    request: int
    response: int
    scratch: int
    output: int

    def fields(self) -> dict[str, int]:
        """As fields of a command."""
        return {"request": self.request, "response": self.response, "scratch": self.scratch,
                "output": self.output}


@dataclass(slots=True)
class HostTdi:
    """What the driver keeps of an interface: page of its context, guest, its id for the guest."""

    page: int
    guest: str
    ran: bool = False


@dataclass(slots=True)
class HostDevice:
    """What the driver keeps of a device."""

    page: int
    block: StreamBlock
    tdis: dict[int, HostTdi] = field(default_factory=dict)


class SevHost:
    """One host.

    Attributes:
        guest_pages: page of the context of each guest.
        devices: by number.
        rets: (command, return code) of every submission.
        answer: given an answer of the device, what is put into the response buffer instead.
    """

    def __init__(self, context: Context, asp: Asp, memory: PhysicalMemory, rmp: Rmp) -> None:
        self.context, self.asp = context, asp
        self.guest_pages: dict[str, int] = {}
        self.devices: dict[int, HostDevice] = {}
        self.rets: list[tuple[Cmd, Ret]] = []
        self.answer: Callable[[bytes], bytes] | None = None
        self.response_pages = BUFFER_PAGES
        self.output_pages = BUFFER_PAGES
        self._memory, self._rmp = memory, rmp

    # ---- memory ----------------------------------------------------------------------------------
    def firmware_page(self, contents: bytes = b"") -> int:
        """A page, handed to the firmware."""
        page = self._memory.new_page(contents)
        self._rmp.take(page)
        return page

    def buffer(self, pages: int, *, firmware: bool = True) -> int:
        """A scatter list of fresh pages, as an address."""
        new = self.firmware_page if firmware else self._memory.new_page
        items = [new() for _ in range(pages)]
        if pages == 1:
            return Sla(items[0]).encode()
        data = b"".join(Sla(page).encode().to_bytes(8, "little") for page in (
            *items, abi.SLA_END))
        return Sla(new(data), is_list=True).encode()

    def spdm(self) -> Spdm:
        """Fresh buffers for a command; the response is shared, the others are the firmware's."""
        return Spdm(self.buffer(BUFFER_PAGES), self.buffer(self.response_pages, firmware=False),
                    self.buffer(1), self.buffer(self.output_pages))

    def read(self, value: int) -> bytes:
        """The host reads a buffer."""
        return b"".join(self._memory.peek(page * PAGE, PAGE) for page in self._pages(value))

    def write(self, value: int, data: bytes) -> None:
        """The host writes a buffer of its own."""
        for k, page in enumerate(self._pages(value)):
            self._memory.poke(page * PAGE, data[k * PAGE:(k + 1) * PAGE])

    def _pages(self, value: int) -> list[int]:
        sla = Sla.decode(value)
        if not sla.is_list:
            return [sla.page]
        data = self._memory.peek(sla.page * PAGE, PAGE)
        items = [Sla.decode(int.from_bytes(data[at:at + 8], "little")).page
                 for at in range(0, PAGE, 8)]
        return items[:items.index(abi.SLA_END)]

    # ---- commands --------------------------------------------------------------------------------
    def submit(self, cmd: Cmd, buffer: bytes) -> Ret:
        """Submit a command once."""
        ret = self.asp.command(cmd, buffer)
        self.rets.append((cmd, ret))
        return ret

    def run(self, cmd: Cmd, spdm: Spdm, **values: int | bytes) -> Steps[Ret]:
        """Submit a command until it no longer wants its device."""
        buffer = abi.encode_command(cmd, **spdm.fields(), **values)
        while True:
            ret = self.submit(cmd, buffer)
            if ret is not Ret.SPDM_REQUEST:
                return ret
            yield from self.carry(spdm)

    def carry(self, spdm: Spdm) -> Steps[None]:
        """Take the request to the device and its answer into the response buffer."""
        data = self.read(spdm.request)
        size = abi.parse_buffer(data)[0]
        answer = b""
        if size:
            _, kind, message = abi.decode_object(data[abi.BUFFER_HEADER:][:size])
            doe = DoeType.SECURED_SPDM if kind is DataType.SECURED_SPDM else DoeType.SPDM
            try:
                answer = yield from doe_exchange(DoeObject.wrap(doe, message).encode())
            except (TransportError, LocalError) as error:
                self.context.log.add("VMM", "no answer", detail=str(error))
        else:
            yield from wait(PATIENCE_CYCLES)
        self.respond(spdm, answer)

    def respond(self, spdm: Spdm, answer: bytes) -> None:
        """Put a data object of the device into the response buffer; empty: there was none."""
        body = b""
        if answer:
            kind = (DataType.SECURED_SPDM if answer[2] == DoeType.SECURED_SPDM else DataType.SPDM)
            body = abi.encode_object(ObjectId.RESPONSE, kind, answer[DOE_HEADER:])
        capacity = len(self._pages(spdm.response)) * PAGE - abi.BUFFER_HEADER
        data = abi.buffer_header(capacity, len(body)) + body
        self.write(spdm.response, data if self.answer is None else self.answer(data))

    def output(self, spdm: Spdm) -> bytes:
        """Contents of the data object in an output buffer."""
        data = self.read(spdm.output)
        size = abi.parse_buffer(data)[0]
        return abi.decode_object(data[abi.BUFFER_HEADER:][:size])[2] if size else b""

    def status(self, cmd: Cmd, **values: int | bytes) -> bytes:
        """A command that answers in a status page: the page; empty if it was refused."""
        page = self.firmware_page()
        ret = self.submit(cmd, abi.encode_command(cmd, status=Sla(page).encode(), **values))
        return self._memory.peek(page * PAGE, PAGE) if ret is Ret.SUCCESS else b""

    # ---- the device ------------------------------------------------------------------------------
    def create(self, tsm: SevTsm) -> Steps[Ret]:
        """TIO_INIT if needed, DEV_CREATE; program the device's stream block, disabled."""
        first = tsm.core.functions[0]
        flags = int.from_bytes(self.status(Cmd.TIO_STATUS)[4:8], "little")
        if not flags & abi.TIO_INIT_DONE:
            self.submit(Cmd.TIO_INIT, abi.encode_command(Cmd.TIO_INIT))
        spdm_flow.require_types((yield from spdm_flow.discover()))
        yield from tsm.sev.read_identity()
        block = yield from find_block(first.bdf, first.ecaps[ECAP_IDE])
        yield from set_up_block(first.bdf, block, tsm.stream_id)
        page = self.firmware_page()
        ret = self.submit(Cmd.DEV_CREATE, abi.encode_command(
            Cmd.DEV_CREATE, dev=Sla(page).encode(), rid=first.bdf, rp_id=rp_id(tsm.index)))
        if ret is Ret.SUCCESS:
            self.devices[tsm.index] = HostDevice(page, block)
        return ret

    def connect(self, tsm: SevTsm) -> Steps[Ret]:
        """Create, DEV_CONNECT, enable the stream at the device."""
        ret = Ret.SUCCESS
        if tsm.index not in self.devices:
            ret = yield from self.create(tsm)
        if ret is Ret.SUCCESS:
            streams = bytes((tsm.stream_id,)) + bytes((abi.NO_STREAM,)) * 7
            ret = yield from self.run(Cmd.DEV_CONNECT, self.spdm(), dev=self.dev(tsm), tc_mask=1,
                                      streams=streams)
        if ret is Ret.SUCCESS:
            tsm.core.block = self.devices[tsm.index].block
            yield from self.enable(tsm, True)
        return ret

    def disconnect(self, tsm: SevTsm) -> Steps[Ret]:
        """DEV_DISCONNECT, with FORCE if that fails; DEV_RECLAIM; the device's stream off."""
        ret = yield from self.run(Cmd.DEV_DISCONNECT, self.spdm(), dev=self.dev(tsm))
        if ret is not Ret.SUCCESS:
            ret = yield from self.run(Cmd.DEV_DISCONNECT, self.spdm(), dev=self.dev(tsm),
                                      flags=abi.FORCE)
        if ret is Ret.SUCCESS:
            ret = self.reclaim(tsm)
        return ret

    def reclaim(self, tsm: SevTsm) -> Ret:
        """DEV_RECLAIM."""
        ret = self.submit(Cmd.DEV_RECLAIM, abi.encode_command(Cmd.DEV_RECLAIM, dev=self.dev(tsm)))
        if ret is Ret.SUCCESS:
            del self.devices[tsm.index]
        return ret

    def enable(self, tsm: SevTsm, on: bool) -> Steps[None]:
        """IDE on or off in the device's stream control."""
        device, block = tsm.core.functions[0].bdf, self.devices[tsm.index].block
        control = tsm.stream_id << 24 | CONTROL_DEFAULT_STREAM
        self.context.log.add("VMM", f"device IDE {'on' if on else 'off'}", to="device")
        yield from cfg_write(device, block.control, control | (CONTROL_ENABLE if on else 0))

    def dev(self, tsm: SevTsm) -> int:
        """Address of the device context."""
        return Sla(self.devices[tsm.index].page).encode()

    # ---- interfaces ------------------------------------------------------------------------------
    def bind(self, tsm: SevTsm, guest: str, tdi: int) -> Steps[Ret]:
        """TDI_CREATE, TDI_BIND: the interface is locked for a guest."""
        page = self.firmware_page()
        identity = tsm.core.tdi_function(tdi).bdf.to_bytes(4, "little").ljust(12, b"\0")
        ret = self.submit(Cmd.TDI_CREATE, abi.encode_command(
            Cmd.TDI_CREATE, dev=self.dev(tsm), tdi=Sla(page).encode(), interface=identity))
        if ret is Ret.SUCCESS:
            self.devices[tsm.index].tdis[tdi] = HostTdi(page, guest)
            ret = yield from self.bind_again(tsm, tdi)
            if ret is not Ret.SUCCESS:
                self._reclaim_tdi(tsm, tdi)
        return ret

    def bind_again(self, tsm: SevTsm, tdi: int, *, run: bool = False, lock: int = int(LOCK)) -> (
            Steps[Ret]):
        """TDI_BIND of a context that exists; `run`: the force-run flag."""
        item = self.devices[tsm.index].tdis[tdi]
        ret = yield from self.run(
            Cmd.TDI_BIND, self.spdm(), **self.ctxs(tsm, tdi), lock=lock, run=int(run),
            device_id=tsm.core.tdi_function(tdi).bdf)
        item.ran |= run and ret is Ret.SUCCESS
        return ret

    def unbind(self, tsm: SevTsm, tdi: int) -> Steps[Ret]:
        """TDI_UNBIND, with FORCE if that fails; TDI_RECLAIM; fence cleared if it had run."""
        ret = yield from self.unbind_only(tsm, tdi)
        return ret if ret is not Ret.SUCCESS else self.after_unbind(tsm, tdi)

    def unbind_only(self, tsm: SevTsm, tdi: int) -> Steps[Ret]:
        """TDI_UNBIND, with FORCE if that fails."""
        ret = yield from self.run(Cmd.TDI_UNBIND, self.spdm(), **self.ctxs(tsm, tdi))
        if ret is not Ret.SUCCESS:
            ret = yield from self.run(Cmd.TDI_UNBIND, self.spdm(), **self.ctxs(tsm, tdi),
                                      flags=abi.FORCE)
        return ret

    def after_unbind(self, tsm: SevTsm, tdi: int) -> Ret:
        """TDI_RECLAIM, and the fence if it had run."""
        item = self.devices[tsm.index].tdis[tdi]
        ret = self._reclaim_tdi(tsm, tdi)
        if item.ran and ret is Ret.SUCCESS and self.fences(tsm, item.guest):
            self.clear_fence(tsm, item.guest)
        return ret

    def _reclaim_tdi(self, tsm: SevTsm, tdi: int) -> Ret:
        page = self.devices[tsm.index].tdis[tdi].page
        ret = self.submit(Cmd.TDI_RECLAIM, abi.encode_command(
            Cmd.TDI_RECLAIM, dev=self.dev(tsm), tdi=Sla(page).encode()))
        if ret is Ret.SUCCESS:
            del self.devices[tsm.index].tdis[tdi]
        return ret

    def fences(self, tsm: SevTsm, guest: str) -> int:
        """Fences of a guest: DMA in bits 1:0, MMIO in bits 3:2."""
        data = self.status(Cmd.ASID_FENCE_STATUS, dev=self.dev(tsm), asid=self._rmp.asids[guest])
        return int.from_bytes(data[4:8], "little")

    def clear_fence(self, tsm: SevTsm, guest: str) -> Ret:
        """ASID_FENCE_CLEAR."""
        return self.submit(Cmd.ASID_FENCE_CLEAR, abi.encode_command(
            Cmd.ASID_FENCE_CLEAR, dev=self.dev(tsm), asid=self._rmp.asids[guest]))

    def tdi_status(self, tsm: SevTsm, tdi: int) -> Steps[int]:
        """TDI_STATUS: the TDISP state; -1 if it was refused."""
        page = self.firmware_page()
        ctxs = self.ctxs(tsm, tdi)
        ret = yield from self.run(Cmd.TDI_STATUS, self.spdm(), dev=ctxs["dev"], tdi=ctxs["tdi"],
                                  status=Sla(page).encode())
        return self._memory.peek(page * PAGE, 8)[4] if ret is Ret.SUCCESS else -1

    def ctxs(self, tsm: SevTsm, tdi: int) -> dict[str, int]:
        """Addresses of the three contexts of an interface."""
        item = self.devices[tsm.index].tdis[tdi]
        return {"dev": self.dev(tsm), "tdi": Sla(item.page).encode(),
                "guest": Sla(self.guest_pages[item.guest]).encode()}

    def objects(self, tsm: SevTsm, tdi: int) -> Steps[dict[str, bytes]]:
        """Certificates, measurements and report, from the firmware's output buffers."""
        found = {}
        for name, cmd, values in (
                ("certificates", Cmd.DEV_CERTIFICATES, {"dev": self.dev(tsm)}),
                ("measurements", Cmd.DEV_MEASUREMENTS, {"dev": self.dev(tsm),
                                                        "nonce": os.urandom(32)}),
                ("report", Cmd.TDI_REPORT, self.ctxs(tsm, tdi))):
            spdm = self.spdm()
            ret = yield from self.run(cmd, spdm, **values)
            if ret is not Ret.SUCCESS:
                raise TransportError(f"{cmd.name}: {ret.name}; connect the device first")
            found[name] = self.output(spdm)
        return found


def rp_id(index: int) -> int:
    """Port number of the root port of a device, as in its Link Capabilities."""
    return index + 1
