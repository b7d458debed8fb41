# SPDX-License-Identifier: Apache-2.0
"""GHCB events of SEV-TIO, and how KVM and the VMM serve them. Untrusted, as `host`.

TIO guest request (0x80000020): RAX data address, RBX pages, RCX device id, RDX parameter, info1
request address, info2 response address. TIO operation (0x80000021): info1 = action << 32 | device
id; BIND returns the TDI id in RCX. Feature bit 7 announces them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from teeio.core.ops import Steps
from teeio.platforms.common.pages import PAGE, PhysicalMemory
from teeio.platforms.sev.abi import Cmd, Ret, Sla
from teeio.platforms.sev.host import SevHost
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.tsm import SevTsm

GUEST_REQUEST, TIO_OP = 0x8000_0020, 0x8000_0021
FEATURE = 1 << 7
PARAM_OBJECTS = 1 << 3
"""RDX bit 3: certificates, measurements and report are wanted with it."""
TABLE_ENTRY = 24
GUIDS = {
    "measurements": "5caa80c612ef401ab364ec59a93abe3f",
    "certificates": "078ccb75264449e8afe75686c5cf72f1",
    "report": "70dc5b0e0cc04cd597bbff0ba25bf320",
}


class Action(IntEnum):
    """TIO operation."""

    BIND = 0
    UNBIND = 1
    RUN = 2
    STOP = 3


@dataclass(slots=True)
class Ghcb:
    """Registers of one exit."""

    code: int
    info1: int = 0
    info2: int = 0
    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0


def mmio_parameter(gpa: int, order: int, tee: bool, range_id: int) -> int:
    """RDX of an MMIO request: address 51:12, order 11:4, T bit 3, range id 2:0."""
    return gpa & ((1 << 52) - PAGE) | order << 4 | tee << 3 | range_id


def guid_bytes(name: str) -> bytes:
    """A GUID as it stands in memory: the first three fields little endian."""
    raw = bytes.fromhex(GUIDS[name])
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]


def object_table(objects: dict[str, bytes]) -> bytes:
    """Table of {GUID, offset, length}, ended by zeros, and the objects behind it."""
    at = TABLE_ENTRY * (len(objects) + 1)
    table, data = b"", b""
    for name, value in objects.items():
        table += guid_bytes(name) + struct.pack("<II", at + len(data), len(value))
        data += value
    return table + bytes(TABLE_ENTRY) + data


class Kvm:
    """Serves the exits of guests.

    Attributes:
        alter_message, alter_data: what a lying host does to a request, or to the objects it hands.
        alter_result: what it does to the registers that the guest gets back.
        honest_run: RUN is asked of the firmware at all.
    """

    def __init__(self, host: SevHost, tsm: SevTsm, memory: PhysicalMemory, rmp: Rmp) -> None:
        self.host, self.tsm = host, tsm
        self.alter_message: Callable[[bytes], bytes] = lambda data: data
        self.alter_data: Callable[[bytes], bytes] = lambda data: data
        self.alter_result: Callable[[Ghcb, int], None] = lambda ghcb, ret: None
        self.honest_run = True
        self._memory, self._rmp = memory, rmp

    def exit(self, guest: str, ghcb: Ghcb) -> Steps[int]:
        """One exit: 0, or why not; the guest finds its registers changed."""
        log = self.host.context.log
        name = Action(ghcb.info1 >> 32).name if ghcb.code == TIO_OP else "guest request"
        log.add(guest, f"GHCB {name}", to="VMM")
        if ghcb.code == TIO_OP:
            ret = yield from self._operation(guest, ghcb)
        elif ghcb.code == GUEST_REQUEST:
            ret = yield from self._request(guest, ghcb)
        else:
            ret = int(Ret.INVALID_COMMAND)
        self.alter_result(ghcb, ret)
        log.add("VMM", f"return GHCB {name}", to=guest, detail=f"{ret:#x}")
        return ret

    def _operation(self, guest: str, ghcb: Ghcb) -> Steps[int]:
        tdi = self._tdi(ghcb.info1 & 0xFFFF)
        if tdi is None:
            return int(Ret.BAD_TDI)
        host, tsm = self.host, self.tsm
        match ghcb.info1 >> 32:
            case Action.BIND:
                ret = yield from host.bind(tsm, guest, tdi)
                if ret is Ret.SUCCESS:
                    ghcb.rcx = self._tdi_id(tdi)
            case Action.RUN:
                state = yield from host.tdi_status(tsm, tdi)
                ret = Ret.SUCCESS if state == 1 else Ret.BAD_TDI_STATE
                if ret is Ret.SUCCESS and self.honest_run:
                    ret = yield from host.bind_again(tsm, tdi, run=True)
            case Action.STOP:
                ret = yield from host.unbind_only(tsm, tdi)
            case _:
                ret = host.after_unbind(tsm, tdi)
        return int(ret)

    def _tdi(self, rid: int) -> int | None:
        return next((f.number - 1 for f in self.tsm.core.functions
                     if f.bdf == rid and f.number > 0), None)

    def _tdi_id(self, tdi: int) -> int:
        ctxs = self.host.ctxs(self.tsm, tdi)
        data = self.host.status(Cmd.TDI_INFO, dev=ctxs["dev"], tdi=ctxs["tdi"])
        return int.from_bytes(data[:8], "little")

    def _request(self, guest: str, ghcb: Ghcb) -> Steps[int]:
        tdi = self._tdi(ghcb.rcx & 0xFFFF)
        pages = [self._rmp.walk(guest, address // PAGE) for address in (ghcb.info1, ghcb.info2)]
        if tdi is None or None in pages or tdi not in self.host.devices[self.tsm.index].tdis:
            return int(Ret.BAD_TDI)
        ask, answer = (page for page in pages if page is not None)
        if ghcb.rdx & PARAM_OBJECTS:
            objects = yield from self.host.objects(self.tsm, tdi)
            data = self.alter_data(object_table(objects))
            self.host.context.scan.crossed("evidence", data)
            if len(data) > ghcb.rbx * PAGE:
                ghcb.rbx = -(-len(data) // PAGE)
                return int(Ret.EXPAND_BUFFER)
            for k in range(ghcb.rbx):
                page = self._rmp.walk(guest, ghcb.rax // PAGE + k)
                if page is not None:
                    self._memory.poke(page * PAGE, data[k * PAGE:(k + 1) * PAGE])
        message = self.alter_message(self._memory.peek(ask * PAGE, PAGE))
        self._memory.poke(ask * PAGE, message)
        return int((yield from self.guest_request(guest, tdi, ask, answer)))

    def guest_request(self, guest: str, tdi: int, ask: int, answer: int) -> Steps[Ret]:
        """GUEST_REQUEST, of a guest that need not be the one the interface is bound to."""
        ctxs = {**self.host.ctxs(self.tsm, tdi),
                "guest": Sla(self.host.guest_pages[guest]).encode()}
        return (yield from self.host.run(
            Cmd.GUEST_REQUEST, self.host.spdm(), **ctxs, ask=Sla(ask).encode(),
            answer=Sla(answer).encode()))


__all__ = ["FEATURE", "GUEST_REQUEST", "TIO_OP", "Action", "Ghcb", "Kvm", "guid_bytes",
           "mmio_parameter", "object_table"]
