# SPDX-License-Identifier: Apache-2.0
"""Scenarios of hosts that lie, replay, force or leave, of devices that fail: A10 to A15, A17."""

from __future__ import annotations

import os
from collections.abc import Callable

from teeio.core.secret import Secret
from teeio.platforms.common import ghc
from teeio.platforms.common.guest import GuestReason
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.common.scenario import Kind, expect, refuses, scenario
from teeio.platforms.sev import abi, messages
from teeio.platforms.sev.abi import Cmd, Fence, Ret
from teeio.platforms.sev.env import SevEnv
from teeio.platforms.sev.ghc import SevCalls
from teeio.platforms.sev.ghcb import TABLE_ENTRY, TIO_OP, Ghcb
from teeio.platforms.sev.guest import TioGuest
from teeio.platforms.sev.messages import Status, Type
from teeio.platforms.sev.rules import GuestStop, SdtReason
from teeio.platforms.sev.scenarios_life import FRESH
from teeio.platforms.sev.scenarios_memory import SIZE, dma, read
from teeio.platforms.sev.sdte import Sdte, guest_entry
from teeio.wire.tdisp import TdiState


@scenario("sev-tio", "A10", Kind.ATTACK, "the host alters objects, their table, their bounds")
def altered(env: SevEnv) -> str:
    """Digest, or bounds: the guest never asks for RUN."""
    tio, mine = env.tio(), env.interface()
    env.do(tio.lock(mine), "lock")

    def flip(entry: int, at: int) -> Callable[[bytes], bytes]:
        def alter(data: bytes) -> bytes:
            head = entry * TABLE_ENTRY
            where = head + at if at < TABLE_ENTRY else int.from_bytes(
                data[head + 16:head + 20], "little") + at
            return data[:where] + bytes((data[where] ^ 0x80,)) + data[where + 1:]
        return alter

    for what, alter, reason in (
            ("certificates", flip(0, 40), GuestReason.DIGEST),
            ("measurements", flip(1, 40), GuestReason.DIGEST),
            ("report", flip(2, 30), GuestReason.DIGEST),
            ("GUID", flip(2, 3), GuestStop.BLOBS),
            ("offset", flip(1, 19), GuestStop.BLOBS),
            ("length", flip(0, 22), GuestStop.BLOBS)):
        env.kvm.alter_data = alter
        with refuses(f"altered {what}", reason):
            env.do(tio.read_evidence(mine), "evidence")
    env.kvm.alter_data = lambda data: data
    expect("START sent", env.machine.context.log.first("START_INTERFACE_REQUEST"), None)
    env.do(tio.read_evidence(mine), "evidence")
    return "three objects, a GUID, an offset, a length: six refusals; unaltered it is accepted"


@scenario("sev-tio", "A11", Kind.ATTACK, "the host lies about RUN, about the id, about LOCKED")
def lies(env: SevEnv) -> str:
    """TDI_INFO is the firmware's word; the guest opens nothing."""
    tio, other = env.tio(), env.tio(2)
    mine = env.locked(tio)
    env.kvm.honest_run = False
    with refuses("RUN that was not", GuestStop.NOT_RUNNING):
        env.do(tio.accept(mine), "accept")
    env.kvm.honest_run = True
    theirs = env.locked(other, 1)

    def swap(ghcb: Ghcb, ret: int) -> None:
        if ghcb.code == TIO_OP:
            ghcb.rcx = theirs.tdi_id

    env.unbind()
    env.kvm.alter_result = swap
    with refuses("the id of another guest's interface", GuestStop.INFO):
        env.do(tio.lock(env.interface()), "lock")
    env.kvm.alter_result = lambda ghcb, ret: None
    expect("force-run", env.do(env.host.bind_again(env.tsm, 0, run=True)), Ret.SUCCESS)
    early = env.interface()
    early.tdi_id = env.asp.commands.devices[env.host.devices[0].page].tdis[
        env.host.devices[0].tdis[0].page].tdi_id
    with refuses("evidence of an interface that runs already", GuestStop.NOT_LOCKED):
        env.do(tio.read_evidence(early), "evidence")
    expect("SDTE", {rid: entry for rid, entry in env.iommu.sdt.items() if entry["v"]}, {})
    return "NOT_RUNNING, INFO, NOT_LOCKED; no entry was ever valid"


@scenario("sev-tio", "A12", Kind.ATTACK, "the host unbinds and binds between evidence and RUN")
def relocked(env: SevEnv) -> str:
    """Version 2: the id is not the same; version 1: the report counter is not."""
    for version, reason in ((2, GuestStop.INFO), (1, GuestStop.CHANGED)):
        tio = env.tio(version=version)
        mine = env.locked(tio)
        env.unbind()
        expect("bind again", env.do(env.host.bind(env.tsm, tio.guest.name, 0)), Ret.SUCCESS)
        with refuses(f"accept, version {version}", reason):
            env.do(tio.accept(mine), "accept")
        expect("entry", env.iommu.sdt[mine.rid], Sdte())
        env.unbind()
    return "refused by id, refused by counter"


@scenario("sev-tio", "A13", Kind.ATTACK, "guest messages replayed, forged, made with another key")
def replayed(env: SevEnv) -> str:
    """Authentication fails, nothing changes; answers that are replayed are not believed."""
    tio, other = env.tio(), env.tio(2)
    mine = env.locked(tio)
    env.do(tio.start(mine), "accept")
    kept: list[bytes] = []

    def keep(data: bytes) -> bytes:
        kept.append(data)
        return data

    env.kvm.alter_message = keep
    expect("open", env.do(tio.open_dma(mine)), Status.OK)
    env.kvm.alter_message = lambda data: data
    expect("close", env.do(tio.close_dma(mine)), Status.OK)
    body = messages.sdte_write(mine.tdi_id, guest_entry().encode(), 2)
    forged = messages.seal(Secret(os.urandom(32)), tio.sequence, Type.SDTE_WRITE_REQ, body)
    theirs = messages.seal(env.launched[1].key, tio.sequence, Type.SDTE_WRITE_REQ, body)
    flipped = tio.sealed(Type.SDTE_WRITE_REQ, body)
    for what, message, guest in (
            ("replayed", kept[0], tio.guest.name), ("forged", forged, tio.guest.name),
            ("another guest's key", theirs, tio.guest.name),
            ("one bit", flipped[:0x70] + bytes((flipped[0x70] ^ 1,)) + flipped[0x71:],
             tio.guest.name),
            ("as another guest's", flipped, other.guest.name)):
        expect(what, _submit(env, message, guest), Ret.BAD_MEASUREMENT)
        expect(f"{what}: entry", env.iommu.sdt[mine.rid], Sdte())
    answers: list[bytes] = []
    env.do(tio.info(mine), "look")
    _spy(env, tio, answers)
    with refuses("an older answer", GuestStop.ANSWER):
        env.do(tio.info(mine), "look")
    return "five messages refused, an older answer not believed; the entry stays zero"


def _submit(env: SevEnv, message: bytes, guest: str) -> Ret:
    memory = env.machine.memory
    ask, answer = memory.new_page(message), memory.new_page()
    return env.do(env.kvm.guest_request(guest, 0, ask, answer), "forge")


def _spy(env: SevEnv, tio: TioGuest, answers: list[bytes]) -> None:
    """From now on the guest finds the answer that stands in its page now."""
    page = env.rmp.walk(tio.guest.name, tio.answer_page) or 0
    answers.append(env.machine.memory.peek(page * PAGE, PAGE))
    env.kvm.alter_result = lambda ghcb, ret: env.machine.memory.poke(page * PAGE, answers[0])


@scenario("sev-tio", "A14", Kind.ATTACK, "the device goes to ERROR during DMA")
def broken(env: SevEnv) -> str:
    """Fence; DMA of the whole ASID stops; FORCE; the fence is cleared before the ASID's next."""
    tio, host, tsm, guest = env.tio(), env.host, env.tsm, env.guest()
    env.accepted(tio)
    env.accepted(tio, 1)
    sink = guest.new_ram()
    expect("DMA of the other interface", dma(env, tio, sink, 1), None)
    expect("DMA from nowhere", dma(env, tio, 0x7FFF_0000, to_host=False), PageReason.UNMAPPED)
    expect("TDI_STATUS", env.do(host.tdi_status(tsm, 0)), int(TdiState.ERROR))
    expect("fence", host.fences(tsm, guest.name), abi.fence_status(Fence.ERROR, Fence.NONE))
    expect("clear beneath an entry", host.clear_fence(tsm, guest.name), Ret.IN_USE)
    expect("DMA of the other interface", dma(env, tio, sink, 1), SdtReason.FENCED)
    for tdi in (0, 1):
        ret = env.do(host.run(Cmd.TDI_UNBIND, host.spdm(), **host.ctxs(tsm, tdi), flags=abi.FORCE),
                     "unbind")
        expect("FORCE", ret, Ret.SUCCESS)
        expect("TDI", env.state(tdi), TdiState.CONFIG_UNLOCKED)
        host.devices[0].tdis[tdi].ran = False
        expect("reclaim", host.after_unbind(tsm, tdi), Ret.SUCCESS)
        env.machine.hide_bar(env.device, tdi, guest)
    expect("fence", host.fences(tsm, guest.name), abi.fence_status(Fence.DEFAULT, Fence.DEFAULT))
    env.accepted(tio)
    expect("fenced still", dma(env, tio, sink), SdtReason.FENCED)
    env.unbind()
    env.machine.hide_bar(env.device, 0, guest)
    expect("cleared", host.fences(tsm, guest.name), 0)
    env.accepted(tio)
    expect("after it was cleared", dma(env, tio, sink), None)
    return "error fence, default fence, cleared only without an active entry"


@scenario("sev-tio", "A15", Kind.ATTACK, "the device is silent at DEV_DISCONNECT", FRESH)
def silent(env: SevEnv) -> str:
    """FORCE ends, the stream is gone, the context is reclaimed; a host that left is no obstacle."""
    host, tsm = env.host, env.tsm
    env.establish()
    expect("bind", env.do(host.bind(tsm, env.guest().name, 0)), Ret.SUCCESS)
    spdm = host.spdm()
    buffer = abi.encode_command(Cmd.TDI_STATUS, **spdm.fields(), dev=host.dev(tsm),
                                tdi=host.ctxs(tsm, 0)["tdi"],
                                status=abi.Sla(host.firmware_page()).encode())
    expect("a command that nobody ends", host.submit(Cmd.TDI_STATUS, buffer), Ret.SPDM_REQUEST)
    expect("unbind meanwhile", env.do(host.unbind(tsm, 0)), Ret.SUCCESS)
    with env.machine.attacked() as attacker:
        attacker.unplugged.add(env.device.name)
        host.rets.clear()
        expect("disconnect", env.do(host.disconnect(tsm), "disconnect"), Ret.SUCCESS)
    ends = [ret for cmd, ret in host.rets if cmd is Cmd.DEV_DISCONNECT
            and ret is not Ret.SPDM_REQUEST]
    expect("without and with FORCE", ends, [Ret.SPDM_ERROR, Ret.SUCCESS])
    expect("streams at the root port", env.device.hardware.streams, [])
    expect("contexts", (tsm.ctx, tsm.core.session, tsm.bindings), (None, None, {}))
    env.start_over()
    return "SPDM_ERROR, then FORCE; no stream, no session, context reclaimed"


@scenario("sev-tio", "A17", Kind.ATTACK, "the host forces RUN without the guest")
def forced(env: SevEnv) -> str:
    """The device runs, and nobody has private MMIO or private DMA."""
    tio, host, tsm = env.tio(), env.host, env.tsm
    expect("bind", env.do(host.bind(tsm, tio.guest.name, 0)), Ret.SUCCESS)
    expect("force-run", env.do(host.bind_again(tsm, 0, run=True)), Ret.SUCCESS)
    expect("TDI", env.state(), TdiState.RUN)
    env.show()
    with refuses("private MMIO", PageReason.NOT_VALID):
        read(env, tio, 0)
    with refuses("private DMA cannot be asked for", PageReason.NOT_VALID):
        dma(env, tio, tio.guest.new_ram())
    # The guest opens MMIO alone: the device sends T=1 requests, and there is no entry.
    env.unbind()
    env.machine.hide_bar(env.device, 0, tio.guest)
    mine = env.locked(tio)
    env.do(tio.start(mine), "accept")
    expect("MMIO_VALIDATE", env.do(tio.validate_all(mine)), 0)
    sink = tio.guest.new_ram()
    expect("DMA without SDTE_WRITE", dma(env, tio, sink), SdtReason.SDT_MISS)
    expect("memory", tio.guest.read_ram(sink, SIZE), bytes(SIZE))
    return "RUN, but no validated page and no entry: NOT_VALID, NOT_VALID, SDT_MISS"


@scenario("sev-tio", "G1", Kind.CONFORMANCE, "the guest's calls, the same as on every platform")
def guest_calls(env: SevEnv) -> str:
    """Bind, evidence, run, DMA and MMIO, stop, through GHCB."""
    guest = env.guest(2)
    calls = SevCalls(env.machine, env.device, guest)
    ghc.guest_life(env.machine, env.device, guest, calls)
    return "one interface used and stopped through the common calls"
