# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the guest's side: L3, L9, L10, L14."""

from __future__ import annotations

import os
from enum import Enum

from teeio.core.device import Descriptor
from teeio.platforms.common import ghc
from teeio.platforms.common.iommu import IommuReason
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.common.ports import PortReason
from teeio.platforms.common.scenario import (
    Kind,
    ScenarioFailed,
    expect,
    refuses,
    scenario,
)
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.linux.env import LinuxEnv
from teeio.platforms.linux.errno import Errno
from teeio.platforms.linux.ghc import LinuxCalls
from teeio.platforms.linux.guest import GuestDevice, LinuxGuest
from teeio.wire.tdisp import TdiState

SIZE = 64


@scenario("linux", "L3", Kind.NEGATIVE, "lock, accept and unlock in the wrong moment")
def wrong_moments(env: LinuxEnv) -> str:
    """-EBUSY with a driver, -EINVAL for a wrong value or state, -ENXIO for a link TSM."""
    guest, mine = env.guest(env.boot())
    lock, accept, unlock = (f"{guest.path(mine)}/tsm/{name}"
                            for name in ("lock", "accept", "unlock"))
    write = guest.sysfs.write
    mine.driver = True
    expect("lock with a driver", write(lock, "tsm0"), -Errno.EBUSY)
    mine.driver = False
    expect("lock by a link TSM", write(lock, "tsm1"), -Errno.ENXIO)
    expect("accept, not locked", write(accept, "1"), -Errno.EINVAL)
    expect("unlock, not locked", write(unlock, "tsm0"), -Errno.EINVAL)
    expect("locks sent", env.machine.context.log.first("LOCK_INTERFACE_REQUEST"), None)
    env.lock(guest, mine)
    expect("lock twice", write(lock, "tsm0"), -Errno.EBUSY)
    expect("accept 0", write(accept, "0"), -Errno.EINVAL)
    mine.driver = True
    expect("accept with a driver", write(accept, "1"), -Errno.EBUSY)
    expect("unlock with a driver", write(unlock, "tsm0"), -Errno.EBUSY)
    mine.driver = False
    expect("unlock by another name", write(unlock, "tsm1"), -Errno.EINVAL)
    expect("starts sent", env.machine.context.log.first("START_INTERFACE_REQUEST"), None)
    expect("unlock", write(unlock, "tsm0"), 0)
    return "nine refusals; START was never sent"


@scenario("linux", "L9", Kind.ATTACK, "evidence of an earlier lock, altered evidence")
def stale_evidence(env: LinuxEnv) -> str:
    """Evidence is bound to its lock: by VALIDATE in the guest, by the TSM at RUN."""
    kernel = env.boot()
    guest, mine = env.guest(kernel)
    accept = f"{guest.path(mine)}/tsm/accept"
    env.lock(guest, mine)
    old = mine.evidence["report"].generation
    expect("unlock", guest.sysfs.write(f"{guest.path(mine)}/tsm/unlock", "tsm0"), 0)
    env.lock(guest, mine)
    expect("validate the old generation", guest.validate(mine, old), -Errno.ESTALE)
    # The host locks anew behind the guest's back, between evidence and accept.
    env.machine.do(env.device, "unbind", env.device.tsm.unbind(0))
    env.machine.do(env.device, "bind", env.device.tsm.bind(0, guest.guest.name))
    expect("accept after a hidden relock", guest.sysfs.write(accept, "1"), -Errno.ESTALE)
    state = env.machine.do(env.device, "state", env.device.tsm.core.tdi_state(0))
    expect("TDI state", state, TdiState.CONFIG_LOCKED)
    report = bytearray(mine.evidence["report"].data)
    report[-1] ^= 1
    guest.alter["report"] = bytes(report)
    expect("evidence with one bit changed by the host", guest.read_evidence(mine), -Errno.EINVAL)
    expect("evidence kept", mine.evidence, {})
    return "old generation, hidden relock and altered report refused; the TDI stayed LOCKED"


@scenario("linux", "L10", Kind.ATTACK, "DMA before accept, and DMA that leads elsewhere")
def dma(env: LinuxEnv) -> str:
    """Before accept the device reaches shared memory only; afterwards its guest's pages only."""
    machine, device = env.machine, env.device
    kernel = env.boot()
    guest, mine = env.guest(kernel)
    rid = device.tsm.core.tdi_function(0).bdf
    private = guest.guest.new_ram(os.urandom(PAGE))
    before = guest.guest.read_ram(private, PAGE)
    page = machine.pages.maps[guest.guest.name][private // PAGE]
    shared = machine.memory.new_page()
    # A driver before accept: plain DMA, the host's table.
    machine.iommu.map_shared(rid, 0x100, shared)
    machine.iommu.map_shared(rid, 0x101, page)
    plain = guest.guest.driver(device, 0, tee=False)
    guest.guest.run(device, plain.write(0, b"shared bytes 16!" * 4))
    guest.guest.run(device, plain.dma([Descriptor(0x100 * PAGE, 0, SIZE, True)]))
    expect("shared page", machine.memory.peek(shared * PAGE, 16), b"shared bytes 16!")
    device.target.take_events()
    guest.guest.run(device, plain.dma([Descriptor(0x101 * PAGE, 0, SIZE, True)]))
    expect("private page by T=0", _last_reason(env), PageReason.PRIVATE)
    env.lock(guest, mine)
    with refuses("DMA enabled before RUN", TsmReason.NOT_RUNNING):
        device.tsm.dma_enable(0, guest.guest.name)
    expect("MMIO accepted before RUN",
           device.tsm.mmio_accept(0, guest.guest.name, guest.guest.mmio_page(device, 0) + 1, 1, 0),
           TsmReason.NOT_RUNNING)
    expect("accept", guest.sysfs.write(f"{guest.path(mine)}/tsm/accept", "1"), 0)
    _accepted_dma(env, guest, mine, private)
    expect("private page", guest.guest.read_ram(private, PAGE), before)
    return "ten ways of DMA refused, each for its own reason; the page never changed"


def _accepted_dma(env: LinuxEnv, guest: LinuxGuest, mine: GuestDevice, private: int) -> None:
    machine, device, name = env.machine, env.device, guest.guest.name
    rid, stream = device.tsm.core.tdi_function(0).bdf, device.tsm.stream_id
    guest.guest.run(device, guest.guest.driver(device, 0).write(0, bytes(SIZE)))

    def write_to(address: int) -> Enum | None:
        return guest.guest.dma(device, 0, [Descriptor(address, 0, SIZE, True)])

    sink = guest.guest.new_ram()
    expect("DMA to an own page", write_to(sink), None)
    maps = machine.pages.maps[name]
    theirs = machine.guests[1].new_ram(os.urandom(PAGE))
    their_page = machine.pages.maps["guest 2"][theirs // PAGE]
    maps[0x2000] = their_page
    expect("to a page of another guest", write_to(0x2000 * PAGE), PageReason.OWNER)
    maps[0x2001] = maps[private // PAGE]
    expect("to a page that belongs elsewhere", write_to(0x2001 * PAGE), PageReason.GPA)
    maps[0x2002] = machine.memory.new_page()
    expect("to a page of the host", write_to(0x2002 * PAGE), PageReason.NOT_PRIVATE)
    expect("to no page", write_to(0x3000 * PAGE), PageReason.UNMAPPED)
    unaccepted = guest.guest.new_ram(accept=False)
    expect("to a page not accepted", write_to(unaccepted), PageReason.NOT_VALID)
    device.tsm.dma_disable(0, name)
    expect("with DMA off", write_to(sink), IommuReason.DISABLED)
    machine.iommu.prepare(rid, name, stream + 1)
    machine.iommu.enable(rid)
    expect("on another stream", write_to(sink), IommuReason.STREAM)
    machine.iommu.remove(rid)
    expect("without a context", write_to(sink), IommuReason.CONTEXT_MISS)
    machine.iommu.prepare(rid, name, stream)
    machine.iommu.enable(rid)
    first = device.tsm.core.functions[0].bdf
    device.hardware.associate(stream, first, first)
    expect("outside the RID association", write_to(sink), PortReason.RID_ASSOCIATION)
    device.hardware.associate(stream, first, device.tsm.core.functions[-1].bdf)
    expect("DMA to an own page again", write_to(sink), None)


def _last_reason(env: LinuxEnv) -> Enum | None:
    reasons = [event.reason for event in env.device.target.take_events() if event.reason]
    if not reasons:
        raise ScenarioFailed("nothing was refused")
    return reasons[-1]


@scenario("linux", "L14", Kind.NEGATIVE, "ranges shown as encrypted, and only while they are")
def iomem(env: LinuxEnv) -> str:
    """Encrypted between accept and unlock, the NON_TEE range never; pages as in the report."""
    device = env.device
    guest, mine = env.guest(env.boot())
    base = guest.guest.mmio_page(device, 0) * PAGE
    bar = f"{base:08x}-{base + 0xFFFF:08x} : {guest.path(mine)}"
    expect("before lock", guest.iomem(), [bar])
    env.lock(guest, mine)
    expect("locked", guest.iomem(), [bar])
    driver = guest.guest.driver(device, 0)
    with refuses("private MMIO before accept", PageReason.NOT_VALID):
        guest.guest.run(device, driver.read(0, 16))
    expect("accept", guest.sysfs.write(f"{guest.path(mine)}/tsm/accept", "1"), 0)
    # docs/registers.md: control page 1, work memory pages 8, 9 and (updatable) 10, 11; pages 0, 2
    # and 3 are not trusted.
    expect("accepted", guest.iomem(), [
        bar, f"  {base + 0x1000:08x}-{base + 0x1FFF:08x} : PCI MMIO Encrypted",
        f"  {base + 0x8000:08x}-{base + 0x9FFF:08x} : PCI MMIO Encrypted",
        f"  {base + 0xA000:08x}-{base + 0xBFFF:08x} : PCI MMIO Encrypted"])
    report = mine.evidence["report"]
    expect("report generation", report.generation, device.tsm.bindings[0].generation)
    page = base // PAGE
    expect("the NON_TEE page", device.tsm.mmio_accept(0, guest.guest.name, page, 0, 0),
           TsmReason.NON_TEE)
    expect("a page of another range",
           device.tsm.mmio_accept(0, guest.guest.name, page + 8, 1, 0), TsmReason.NOT_REPORTED)
    function = device.tsm.core.tdi_function(0)
    with refuses("the host reads an accepted page", PageReason.PRIVATE):
        env.machine.vmm.mmio_read(device, function.bar0 + 0x8000)
    expect("unlock", guest.sysfs.write(f"{guest.path(mine)}/tsm/unlock", "tsm0"), 0)
    expect("unlocked", guest.iomem(), [bar])
    with refuses("private MMIO after unlock", PageReason.NOT_PRIVATE):
        guest.guest.run(device, driver.read(0, 16))
    return "encrypted exactly between accept and unlock"




@scenario("linux", "G1", Kind.CONFORMANCE, "the guest's calls, the same as on every platform")
def guest_calls(env: LinuxEnv) -> str:
    """Bind, evidence, run, DMA and MMIO, stop, through the attributes of the guest's kernel."""
    guest = env.machine.guests[1]
    ghc.guest_life(env.machine, env.device, guest, LinuxCalls(env.machine, env.device, guest))
    return "one interface used and stopped through the common calls"
