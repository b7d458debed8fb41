# SPDX-License-Identifier: Apache-2.0
"""Scenarios of hosts, devices and interposers that reach for what is not theirs: C4 to C11."""

from __future__ import annotations

import os
from collections.abc import Generator
from enum import Enum

from teeio.core.device import CONTROL_PAGE, WORK_MEMORY, Descriptor
from teeio.core.enumerate import COMMAND_BME
from teeio.core.ide import IdeFault, IdeStream
from teeio.core.ops import MemRead, MemWrite, cfg_read, cfg_write
from teeio.core.port_steps import CompletionStatus, LinkEffect, LinkResult, LinkSend
from teeio.core.rootport import EventKind
from teeio.errors import TsmError
from teeio.platforms.common.attacks import Between, secured_only
from teeio.platforms.common.iommu import IommuReason
from teeio.platforms.common.pages import PAGE, AccessFault, PageReason
from teeio.platforms.common.ports import PortReason
from teeio.platforms.common.scenario import (
    Kind,
    ScenarioFailed,
    ScenarioSkipped,
    expect,
    raises,
    refuses,
    scenario,
)
from teeio.platforms.common.target import HostTarget
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.cove.env import CoveEnv
from teeio.platforms.cove.rules import CoveReason, TvmReason
from teeio.platforms.cove.sbi import Covg, Covh, KeyStatus, SbiError, SbiRet
from teeio.platforms.cove.scenarios_life import covh, failed, guest_fails, key_states, tapped
from teeio.wire import tlp as t
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import Tlp, TlpType

OTHER_STREAM = 9
SIZE = 64


def refused_reason(env: CoveEnv, check: str) -> str:
    """Reason of the last refusal of a check in this run, empty if there was none."""
    found = [item.reason for item in env.machine.context.checks.taken
             if item.check == check and item.outcome.name == "REFUSED"]
    return found[-1] if found else ""


def add(env: CoveEnv, tdi: int, base: int, pages: int, tvm: int = 1) -> None:
    """Add a region; must succeed."""
    expect("add region", covh(env, Covh.ADD_TVM_INTERFACE_REGION, tvm, env.interface_id(tdi),
                              base, pages * PAGE), SbiRet())


def accept_fails(env: CoveEnv, what: str, reason: Enum, size: int | None = None) -> None:
    """The guest must refuse TDI 0 for this reason, and never start it."""
    gpa, whole = env.bar()
    with refuses(what, reason):
        env.do(env.tdm().accept(env.interface_id(), gpa, whole if size is None else size),
               verb="accept")
    expect("starts sent", env.machine.context.log.first("START_INTERFACE_REQUEST"), None)


@scenario("cove", "C4", Kind.ATTACK, "T002: the region of an interface is another one's memory")
def remapped(env: CoveEnv) -> str:
    """The guest confirms what the device reports, and the TSM knows only what was added."""
    bar = env.tsm.core.tdi_function(1).bar0
    add(env, 0, bar, 16)
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, env.interface_id()), SbiRet())
    accept_fails(env, "a remapped BAR", TvmReason.CONFIRMED)
    expect("TSM", refused_reason(env, "cove.map_region"), CoveReason.MAP_REGION.name)
    expect("TDI", env.state(), TdiState.CONFIG_LOCKED)
    return "the TSM does not confirm, the guest does not start"


@scenario("cove", "C5", Kind.ATTACK, "ranges in another order, a BAR of another size")
def reordered(env: CoveEnv) -> str:
    """Check 6 of the guest, three ways."""
    mine, bar = env.interface_id(), env.tsm.core.tdi_function(0).bar0
    add(env, 0, bar + 8 * PAGE, 8)
    add(env, 0, bar, 2)
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiRet())
    accept_fails(env, "swapped regions", TvmReason.CONFIRMED)
    expect("TSM", refused_reason(env, "cove.map_order"), CoveReason.MAP_ORDER.name)
    expect("unbind", covh(env, Covh.UNBIND_INTERFACE, 1, mine), SbiRet())
    for base, pages in ((bar + 8 * PAGE, 8), (bar, 2)):
        expect("reclaim", covh(env, Covh.RECLAIM_TVM_INTERFACE_REGION, 1, mine, base,
                               pages * PAGE), SbiRet())
    add(env, 0, bar, 2)
    add(env, 0, bar + 8 * PAGE, 1)
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiRet())
    accept_fails(env, "a region that is too short", TvmReason.CONFIRMED)
    accept_fails(env, "a BAR that is too short", TvmReason.RANGES, 8 * PAGE)
    return "swapped, too short in the table, too short in the BAR: three refusals"


@scenario("cove", "C6", Kind.ATTACK, "T001: the host writes private device memory in RUN")
def host_mmio(env: CoveEnv) -> str:
    """No host mapping; a forged T=0 TLP is rejected by the device."""
    device, guest, vmm = env.device, env.guest(), env.machine.vmm
    driver, bar = env.start(), env.tsm.core.tdi_function(0).bar0
    pattern = os.urandom(SIZE)
    guest.run(device, driver.write(0, pattern))
    for offset in (CONTROL_PAGE, WORK_MEMORY):
        with refuses(f"host write at {offset:#x}", PageReason.PRIVATE):
            vmm.mmio_write(device, bar + offset, bytes(SIZE))
        with refuses(f"host read at {offset:#x}", PageReason.PRIVATE):
            vmm.mmio_read(device, bar + offset)
        with raises(f"T=0 read at {offset:#x}", CompletionStatus, "UR"):
            device.target.perform(MemRead(bar + offset, 4, False))
    device.target.perform(MemWrite(bar + WORK_MEMORY, bytes(SIZE), False))
    expect("work memory", guest.run(device, driver.read(0, SIZE)), pattern)
    expect("TDI", env.state(), TdiState.RUN)
    return "four accesses stopped by the page table, three TLPs by the device"


@scenario("cove", "C7", Kind.ATTACK, "T003, T006: an interposer redirects, replays, forges TLPs")
def interposer(env: CoveEnv) -> str:
    """Both ends notice; keys are Cleared, nothing is accepted or bound, the TDI is in ERROR."""
    device, tsm, guest = env.device, env.tsm, env.guest()
    target = device.target
    if not isinstance(target, HostTarget):
        raise ScenarioSkipped("needs a link that can be tampered with")
    driver = env.start()
    env.bind(1)
    with tapped(env) as seen:
        sink = guest.new_ram()
        expect("DMA", guest.dma(device, 0, [Descriptor(sink, 0, SIZE, True)]), None)
    # The driver's own writes come first, the device's write is the last.
    written = [tlp for tlp in seen if tlp[4] == TlpType.MWR64][-1]
    target.take_events()
    # Redirected: the TLP comes out at a port that has no such stream.
    target.port.receive(written[:2] + bytes((OTHER_STREAM,)) + written[3:])
    expect("redirected", [e.detail for e in target.take_events()], [IdeFault.MISROUTED.value])
    expect("link after it", tsm.link(), 3)
    # Replayed: the same TLP once more. The IDE Fail message is held back.
    answer = target.port.receive(written)
    expect("replayed", [e.detail for e in target.take_events()], [IdeFault.MAC.value])
    expect("keys", set(key_states(env)), {KeyStatus.CLEARED})
    with refuses("acceptance over a link without IDE", TvmReason.LINK):
        env.do(env.tdm().accept(env.interface_id(1), *env.bar(1)), verb="accept")
    failed("bind without IDE", env.do(env.host.bind(tsm, guest.name, 2)), SbiError.FAILED,
           CoveReason.NO_IDE)
    # Forged: what the interposer makes up itself reaches the device.
    target.host.transport.run(_send(*answer, written[:4] + t.mem_write(
        tsm.core.tdi_function(0).bar0 + WORK_MEMORY, bytes(4), 0).encode() + bytes(12)))
    for _ in range(20):
        target.serve(20_000)
        if env.state() is TdiState.ERROR:
            break
    expect("TDI", env.state(), TdiState.ERROR)
    expect("device's stream", env.do(tsm.core.stream_state()), 0)
    with raises("MMIO over a failed stream", TsmError):
        guest.run(device, driver.read(0, 16))
    return "redirected, replayed, forged: stream Insecure at both ends, keys Cleared, TDI in ERROR"


def _send(*tlps: bytes) -> Generator[LinkEffect, LinkResult, None]:
    yield LinkSend(tlps)


@scenario("cove", "C8", Kind.ATTACK, "T007: another device uses the Requester ID of the TDI")
def spoofed(env: CoveEnv) -> str:
    """Without IDE, outside of its association, without context, too early, on its own stream."""
    device, guest, machine = env.device, env.guest(), env.machine
    rid = env.tsm.core.tdi_function(0).bdf
    private = guest.new_ram(os.urandom(PAGE))
    before = guest.read_ram(private, PAGE)
    page = machine.pages.maps[guest.name][private // PAGE]
    write = t.mem_write(private, bytes(SIZE), rid)
    _stopped(env, "without IDE, nothing mapped", write.encode(), PageReason.UNMAPPED)
    machine.iommu.map_shared(rid, private // PAGE, page)
    _stopped(env, "without IDE, the host maps the page", write.encode(), PageReason.PRIVATE)
    port, other = device.target.port, IdeStream(OTHER_STREAM, 0x0200, 0)
    ours = port.streams[OTHER_STREAM] = IdeStream(OTHER_STREAM, 0, 0x0200)
    try:
        _key(ours, other)
        env.bind()
        device.hardware.associate(OTHER_STREAM, 0x0200, 0x0207)
        _stopped(env, "outside of the association", _seal(other, write),
                 PortReason.RID_ASSOCIATION)
        mine = t.mem_write(private, bytes(SIZE), 0x0201)
        _stopped(env, "without a context", _seal(other, mine), IommuReason.CONTEXT_MISS)
        # A root port without the association: the IOMMU is there.
        device.hardware.associate(OTHER_STREAM, rid, rid)
        _stopped(env, "before RUN", _seal(other, write), IommuReason.DISABLED)
        env.accept()
        env.do(env.tdm().start(env.interface_id()), verb="start")
        _stopped(env, "on another stream", _seal(other, write), IommuReason.STREAM)
    finally:
        del port.streams[OTHER_STREAM]
        device.hardware.associate(OTHER_STREAM, 1, 0)
    expect("memory", guest.read_ram(private, PAGE), before)
    return "six refusals, each for its own reason; the page never changed"


def _key(ours: IdeStream, other: IdeStream) -> None:
    keys = [os.urandom(32) for _ in range(6)]
    for stream in (ours, other):
        stream.enabled = True
        for is_tx in (False, True):
            for sub in range(3):
                stream.program_key(is_tx, sub, 0, keys[sub + 3 * (is_tx == (stream is ours))])
                stream.go(is_tx, sub, 0)


def _seal(stream: IdeStream, tlp: Tlp) -> bytes:
    return stream.protect(tlp, True)[-1]


def _stopped(env: CoveEnv, what: str, wire: bytes, reason: Enum) -> None:
    env.device.target.take_events()
    env.device.target.port.receive(wire)
    events = [e for e in env.device.target.take_events() if e.kind is EventKind.REFUSED]
    expect(what, [e.reason for e in events], [reason])


@scenario("cove", "C9", Kind.ATTACK, "T008 to T010: DMA to addresses of another TVM")
def foreign_address(env: CoveEnv) -> str:
    """The TDI's own G-stage decides; entries that the host forces in are stopped by page."""
    machine, device, guest, theirs = env.machine, env.device, env.guest(1), env.guest(2)
    driver = env.start()
    guest.run(device, driver.write(0, bytes(SIZE)))
    victim = [theirs.new_ram(os.urandom(PAGE)) for _ in range(4)][-1]
    before = theirs.read_ram(victim, PAGE)

    def write_to(address: int) -> Enum | None:
        return guest.dma(device, 0, [Descriptor(address, 0, SIZE, True)])

    own = guest.new_ram()
    expect("to an own page", write_to(own), None)
    expect("to an address of the other TVM", write_to(victim), PageReason.UNMAPPED)
    maps = machine.pages.maps[guest.name]
    maps[0x2000] = machine.pages.maps[theirs.name][victim // PAGE]
    expect("through a forced entry", write_to(0x2000 * PAGE), PageReason.OWNER)
    maps[0x2001] = maps[own // PAGE]
    expect("through an alias", write_to(0x2001 * PAGE), PageReason.GPA)
    expect("to a page not accepted", write_to(guest.new_ram(accept=False)), PageReason.NOT_VALID)
    expect("memory of the other TVM", theirs.read_ram(victim, PAGE), before)
    expect("to an own page again", write_to(own), None)
    return "four refusals, each for its own reason; the other TVM's page never changed"


@scenario("cove", "C10", Kind.ATTACK, "T005: an earlier TVM keeps the address of an interface")
def stale_map(env: CoveEnv) -> str:
    """Nothing answers the earlier TVM; the later one gets the interface after the reclaim."""
    host, tsm, device = env.host, env.tsm, env.device
    first, second, mine = env.guest(1), env.guest(2), env.interface_id()
    driver = env.start()
    page = tsm.core.tdi_function(0).bar0 // PAGE + 8
    gpa_page = first.mmio_page(device, 0) + 8
    first.run(device, driver.write(0, b"secret of TVM 1!" * 4))
    expect("unbind", env.do(host.unbind(tsm, first.name, 0), verb="unbind"), SbiRet())
    with refuses("TVM 1 after unbind", PageReason.NOT_VALID):
        first.run(device, driver.read(0, 16))
    failed("regions for TVM 2 before the reclaim", env.do(host.add_regions(tsm, second.name, 0)),
           SbiError.FAILED, CoveReason.REGION_OWNED)
    failed("bind to TVM 2 before the reclaim", covh(env, Covh.BIND_INTERFACE, 2, mine),
           SbiError.FAILED, CoveReason.BIND_REGIONS)
    expect("reclaim", env.do(host.reclaim(tsm, first.name, 0)), SbiRet())
    with refuses("TVM 1 after the reclaim", PageReason.UNMAPPED):
        first.run(device, driver.read(0, 16))
    later = env.start(0, 2)
    expect("work memory of TVM 2", second.run(device, later.read(0, 64)), bytes(64))
    env.machine.pages.map(first.name, gpa_page, page)
    with refuses("TVM 1 through a stale entry", PageReason.OWNER):
        first.run(device, driver.read(0, 16))
    env.machine.pages.map(second.name, gpa_page + 0x400, page)
    alias = second.driver(device, 0)
    alias.function.bar0 += 0x400 * PAGE
    with refuses("TVM 2 through an alias", PageReason.GPA):
        second.run(device, alias.read(0, 16))
    guest_fails(env, "a report for TVM 1", env.tdm(1).call(Covg.GET_INTERFACE_REPORT, mine),
                SbiError.FAILED, TsmReason.NOT_BOUND)
    return "six refusals; TVM 2 found the memory empty"


@scenario("cove", "C11", Kind.ATTACK, "T009: the host changes IOMMU, root-port, device registers")
def registers(env: CoveEnv) -> str:
    """Registers of IOMMU and root port are out of reach; the device reports what is its own."""
    device, tsm, vmm = env.device, env.tsm, env.machine.vmm
    rid, gpa = tsm.core.tdi_function(0).bdf, env.bar()
    for name, address in (("IOMMU", tsm.port.iommu), ("root port", tsm.port.ecam)):
        with refuses(f"host write to the {name}", PageReason.PRIVATE):
            vmm.mmio_write(device, address, bytes(4))
    command = env.do(cfg_read(rid, 0x04)) & 0xFFFF
    # In CONFIG_LOCKED: the guest sees it before it starts.
    env.bind()
    env.do(cfg_write(rid, 0x04, command & ~COMMAND_BME))
    with refuses("acceptance after bus mastering went off", TvmReason.STATE):
        env.do(env.tdm().accept(env.interface_id(), *gpa), verb="accept")
    expect("TDI", env.state(), TdiState.ERROR)
    # Unbind works from ERROR too.
    expect("unbind", env.do(env.host.unbind(tsm, env.guest().name, 0)), SbiRet())
    env.do(cfg_write(rid, 0x04, command))
    # In RUN, before the guest's last look.
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, env.interface_id()), SbiRet())
    env.accept()
    with env.machine.attacked() as attacker:
        attacker.attacks.append(Between(lambda: env.device.target.perform(
            next(cfg_write(rid, 0x04, command & ~COMMAND_BME))), 2, secured_only))
        with refuses("start while bus mastering goes off", TvmReason.RUNNING):
            env.do(env.tdm().start(env.interface_id()), verb="start")
        expect("the attack took place", attacker.attacks[0].done, True)
    with raises("MMIO in ERROR", CompletionStatus, "UR"):
        env.guest().run(device, env.guest().driver(device, 0).read(0, 16))
    env.do(env.tdm().call(Covg.STOP_INTERFACE, env.interface_id()), verb="stop")
    env.do(cfg_write(rid, 0x04, command))
    _association(env)
    return "two accesses stopped, the guest did not start, did not use, and lost a forced device"


def _association(env: CoveEnv) -> None:
    """The device's own IDE registers are the host's: what it forces there ends the interface."""
    block = env.host.blocks[env.tsm.core.functions[0].bdf]
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, env.interface_id()), SbiRet())
    env.accept()
    env.do(env.tdm().start(env.interface_id()), verb="start")
    driver, first = env.guest().driver(env.device, 0), env.tsm.core.functions[0].bdf
    env.do(cfg_write(first, block.offset + 0x0C, 0x01FF << 8))
    expect("TDI", env.state(), TdiState.ERROR)
    try:
        env.guest().run(env.device, driver.read(0, 16))
    except (CompletionStatus, TsmError) as error:
        if isinstance(error, AccessFault):
            raise ScenarioFailed(f"stopped by the page table: {error}") from error
    else:
        raise ScenarioFailed("MMIO went on after the association was changed")
    env.do(cfg_write(first, block.offset + 0x0C, 0xFFFF << 8))
