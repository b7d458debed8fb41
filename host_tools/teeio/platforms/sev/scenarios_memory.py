# SPDX-License-Identifier: Apache-2.0
"""Scenarios about whose memory it is, on the CPU's and on the device's side: A3 to A8."""

from __future__ import annotations

import os
from enum import Enum

from teeio.core.device import CONTROL_PAGE, WORK_MEMORY, Descriptor
from teeio.core.ide import IdeStream
from teeio.core.ops import MemRead, MemWrite
from teeio.core.port_steps import CompletionStatus
from teeio.core.rootport import EventKind
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.common.ports import PortReason
from teeio.platforms.common.scenario import Kind, expect, raises, refuses, scenario
from teeio.platforms.sev.abi import Fence
from teeio.platforms.sev.env import SevEnv
from teeio.platforms.sev.guest import SHARED_BASE_PAGE, TioGuest
from teeio.platforms.sev.messages import MmioStatus
from teeio.platforms.sev.rules import SdtReason
from teeio.platforms.sev.scenarios_calls import WORK, status
from teeio.platforms.sev.sdt import PortPath
from teeio.platforms.sev.sdte import Sdte, guest_entry
from teeio.wire import tlp as t
from teeio.wire.tdisp import TdiState

OTHER_STREAM = 9
SIZE = 64
VTOM_PAGE = SHARED_BASE_PAGE


def read(env: SevEnv, tio: TioGuest, offset: int, tdi: int = 0) -> bytes:
    """Private MMIO read of a guest."""
    return tio.guest.run(env.device, env.driver(tio, tdi).read(offset, 16))


@scenario("sev-tio", "A3", Kind.ATTACK, "after validation the host updates or swaps BAR pages")
def updated(env: SevEnv) -> str:
    """The page is no longer validated; the guest faults, and reaches no other page."""
    tio, rmp, guest = env.tio(), env.rmp, env.guest()
    mine = env.accepted(tio)
    first = env.tsm.core.tdi_function(0).bar0 // PAGE
    page, at = first + WORK, mine.gpa_page + WORK
    read(env, tio, 0)
    for what, reason in (("another address", PageReason.GPA), ("another guest", PageReason.OWNER),
                         ("shared", PageReason.NOT_PRIVATE), ("the same", PageReason.NOT_VALID)):
        match reason:
            case PageReason.GPA:
                rmp.update(page, guest.name, at + 1)
            case PageReason.OWNER:
                rmp.update(page, env.guest(2).name, at)
            case PageReason.NOT_PRIVATE:
                rmp.release(page)
            case _:
                rmp.update(page, guest.name, at)
        with refuses(f"RMPUPDATE: {what}", reason):
            read(env, tio, 0)
    # Two pages change places in the nested map only, then in both tables.
    rmp.map(guest.name, at + 1, page + 2)
    rmp.map(guest.name, at + 2, page + 1)
    with refuses("swapped in the nested map", PageReason.GPA):
        read(env, tio, PAGE)
    rmp.update(page + 2, guest.name, at + 1)
    rmp.update(page + 1, guest.name, at + 2)
    with refuses("swapped in both", PageReason.NOT_VALID):
        read(env, tio, PAGE)
    expect("validate", status(env, tio, mine, 1, WORK + 1), MmioStatus.NOT_REPORTED)
    return "four updates and two swaps: six faults; a swapped page is not validated again"


@scenario("sev-tio", "A4", Kind.ATTACK, "the guest's BAR address leads to RAM, or to another BAR")
def elsewhere(env: SevEnv) -> str:
    """MMIO_VALIDATE: not I/O, not in the report."""
    tio, vmm, guest = env.tio(), env.machine.vmm, env.guest()
    mine = env.locked(tio)
    env.do(tio.start(mine), "accept")
    at = mine.gpa_page + WORK
    vmm.give_ram(guest.name, at)
    expect("RAM", status(env, tio, mine), MmioStatus.NOT_IO)
    vmm.take_back(guest.name, at)
    other = env.tsm.core.tdi_function(1).bar0 // PAGE + WORK
    vmm.place(guest.name, at, other)
    expect("another interface's BAR", status(env, tio, mine), MmioStatus.NOT_REPORTED)
    with refuses("access", PageReason.NOT_VALID):
        read(env, tio, 0)
    return "statuses 4 and 8; nothing was validated"


@scenario("sev-tio", "A5", Kind.ATTACK, "the host's CPU writes assigned MMIO pages")
def host_writes(env: SevEnv) -> str:
    """The table faults; a forged T=0 TLP is rejected by the device."""
    tio, device, vmm = env.tio(), env.device, env.machine.vmm
    env.accepted(tio)
    bar, pattern = env.tsm.core.tdi_function(0).bar0, os.urandom(SIZE)
    tio.guest.run(device, env.driver(tio).write(0, pattern))
    for offset in (CONTROL_PAGE, WORK_MEMORY):
        with refuses(f"write at {offset:#x}", PageReason.PRIVATE):
            vmm.mmio_write(device, bar + offset, bytes(SIZE))
        with raises(f"T=0 read at {offset:#x}", CompletionStatus, "UR"):
            device.target.perform(MemRead(bar + offset, 4, False))
    device.target.perform(MemWrite(bar + WORK_MEMORY, bytes(SIZE), False))
    expect("work memory", tio.guest.run(device, env.driver(tio).read(0, SIZE)), pattern)
    expect("TDI", env.state(), TdiState.RUN)
    return "two faults, three TLPs rejected by the device"


# ---- DMA -----------------------------------------------------------------------------------------
def dma(env: SevEnv, tio: TioGuest, address: int, tdi: int = 0, *, to_host: bool = True) -> (
        Enum | None):
    """DMA that the device really does: None, or why it was refused."""
    return tio.guest.dma(env.device, tdi, [Descriptor(address, 0, SIZE, to_host)])


def fresh(env: SevEnv, tio: TioGuest, tdi: int = 0, entry: Sdte | None = None) -> None:
    """The interface in RUN again, after an error: unbound, fence cleared, accepted."""
    mine = env.host.devices[0].tdis
    if tdi in mine:
        env.unbind(tdi)
        env.machine.hide_bar(env.device, tdi, tio.guest)
    env.accepted(tio, tdi, entry)


@scenario("sev-tio", "A6", Kind.ATTACK, "DMA without entry, of another guest's device, on another"
          " stream or port, with T=0")
def spoofed(env: SevEnv) -> str:
    """Each for its own reason; memory stays, nobody else's ASID is fenced."""
    tio, guest, machine = env.tio(), env.guest(), env.machine
    private = guest.new_ram(os.urandom(PAGE))
    before, page = guest.read_ram(private, PAGE), env.rmp.walk(guest.name, private // PAGE)
    rid, port = env.tsm.core.tdi_function(0).bdf, env.device.target.port
    env.accepted(tio)
    machine.iommu.map_shared(rid, private // PAGE, page)
    write = t.mem_write(private, bytes(SIZE), rid)
    _stopped(env, "T=0", write.encode(), PageReason.PRIVATE)
    ours, other = IdeStream(OTHER_STREAM, 0, 0x0200), IdeStream(OTHER_STREAM, 0x0200, 0)
    port.streams[OTHER_STREAM] = ours
    try:
        _key(ours, other)
        env.device.hardware.associate(OTHER_STREAM, 0x0200, 0x0207)
        _stopped(env, "outside of the association", other.protect(write, True)[-1],
                 PortReason.RID_ASSOCIATION)
        mine = t.mem_write(private, bytes(SIZE), 0x0201)
        _stopped(env, "no entry", other.protect(mine, True)[-1], SdtReason.SDT_MISS)
        env.device.hardware.associate(OTHER_STREAM, rid, rid)
        _stopped(env, "another stream", other.protect(write, True)[-1], SdtReason.STREAM)
    finally:
        del port.streams[OTHER_STREAM]
        env.device.hardware.associate(OTHER_STREAM, 1, 0)
    expect("fences", env.iommu.fences.get(1, (0, 0)), (0, 0))
    second = env.tio(2)
    env.accepted(second, 1)
    env.rmp.map(second.guest.name, private // PAGE, page or 0)
    expect("device of another guest", dma(env, second, private, 1), PageReason.OWNER)
    expect("its fence", env.iommu.fences[2][0], Fence.ERROR)
    honest = port.checker
    port.checker = PortPath(env.device.path, env.iommu, 9)
    try:
        expect("another root port", dma(env, tio, private), SdtReason.RP)
    finally:
        port.checker = honest
    expect("memory", guest.read_ram(private, PAGE), before)
    return "PRIVATE, RID_ASSOCIATION, SDT_MISS, STREAM, OWNER (ASID), RP; the page never changed"


def _key(ours: IdeStream, other: IdeStream) -> None:
    keys = [os.urandom(32) for _ in range(6)]
    for stream in (ours, other):
        stream.enabled = True
        for is_tx in (False, True):
            for sub in range(3):
                stream.program_key(is_tx, sub, 0, keys[sub + 3 * (is_tx == (stream is ours))])
                stream.go(is_tx, sub, 0)


def _stopped(env: SevEnv, what: str, wire: bytes, reason: Enum) -> None:
    env.device.target.take_events()
    env.device.target.port.receive(wire)
    events = [e for e in env.device.target.take_events() if e.kind is EventKind.REFUSED]
    expect(what, [e.reason for e in events], [reason])


@scenario("sev-tio", "A7", Kind.ATTACK, "DMA to RAM that is not validated, another guest's, or"
          " stands elsewhere")
def wrong_ram(env: SevEnv) -> str:
    """Three distinct reasons, and each time the fence."""
    tio, guest, rmp = env.tio(), env.guest(), env.rmp
    good, raw = guest.new_ram(os.urandom(PAGE)), guest.new_ram(accept=False)
    foreign = rmp.walk(env.guest(2).name, env.guest(2).new_ram(os.urandom(PAGE)) // PAGE) or 0
    free = guest.new_ram() // PAGE
    fresh(env, tio)
    expect("good RAM", dma(env, tio, good), None)
    for what, page, reason in (
            ("not validated", rmp.walk(guest.name, raw // PAGE), PageReason.NOT_VALID),
            ("another guest's", foreign, PageReason.OWNER),
            ("stands elsewhere", rmp.walk(guest.name, good // PAGE), PageReason.GPA)):
        at = raw // PAGE if reason is PageReason.NOT_VALID else free
        rmp.map(guest.name, at, page)
        # A read, so that the device gets to know: a write is posted.
        expect(what, dma(env, tio, at * PAGE, to_host=False), reason)
        expect("fence", env.iommu.fences[1][0], Fence.ERROR)
        expect("TDI", env.state(), TdiState.ERROR)
        if reason is not PageReason.GPA:
            fresh(env, tio)
    return "NOT_VALID, OWNER, GPA; after each the ASID is fenced and the TDI is in ERROR"


@scenario("sev-tio", "A8", Kind.NEGATIVE, "vTOM: just below and at it; IR and IW off")
def top_of_memory(env: SevEnv) -> str:
    """Below is private, from there on shared; a read or a write without its bit is refused."""
    tio, guest, rmp, vmm = env.tio(), env.guest(), env.rmp, env.machine.vmm
    vtom = VTOM_PAGE * PAGE
    page = vmm.give_ram(guest.name, VTOM_PAGE - 1)
    rmp.validate(page, guest.name, VTOM_PAGE - 1)
    entry = guest_entry(vtom=vtom)
    fresh(env, tio, entry=entry)
    pattern = os.urandom(SIZE)
    guest.run(env.device, env.driver(tio).write(0, pattern))
    expect("below vTOM", dma(env, tio, vtom - SIZE), None)
    expect("private RAM", guest.read_ram(vtom - SIZE, SIZE), pattern)
    expect("at vTOM", dma(env, tio, vtom), None)
    shared = rmp.walk(guest.name, VTOM_PAGE) or 0
    expect("shared RAM", env.machine.memory.peek(shared * PAGE, SIZE), pattern)
    # A shared page below, a private page above.
    rmp.map(guest.name, VTOM_PAGE - 1, shared)
    expect("shared below vTOM", dma(env, tio, vtom - SIZE), PageReason.NOT_PRIVATE)
    rmp.map(guest.name, VTOM_PAGE - 1, page)
    fresh(env, tio, entry=entry)
    rmp.map(guest.name, VTOM_PAGE + 100, page)
    expect("private above vTOM", dma(env, tio, vtom + 100 * PAGE), SdtReason.SHARED)
    fresh(env, tio, entry=guest_entry(ir=False))
    expect("IR off, write", dma(env, tio, vtom - SIZE), None)
    expect("IR off, read", dma(env, tio, vtom - SIZE, to_host=False), SdtReason.IR)
    fresh(env, tio, entry=guest_entry(iw=False))
    expect("IW off, read", dma(env, tio, vtom - SIZE, to_host=False), None)
    expect("IW off, write", dma(env, tio, vtom - SIZE), SdtReason.IW)
    return "private and shared to the byte; NOT_PRIVATE, SHARED, IR, IW"
