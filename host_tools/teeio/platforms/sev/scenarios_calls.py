# SPDX-License-Identifier: Apache-2.0
"""Scenarios of messages and commands that are refused: A2, A9, A16, A18; MMIO_CONFIG: A19."""

from __future__ import annotations

import os

from teeio.core.port_steps import CompletionStatus
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.scenario import (
    Kind,
    ScenarioFailed,
    expect,
    raises,
    refuses,
    scenario,
)
from teeio.platforms.sev import abi, messages
from teeio.platforms.sev.abi import Cmd, Ret, Sla
from teeio.platforms.sev.asp import Asp
from teeio.platforms.sev.env import SevEnv
from teeio.platforms.sev.guest import TioDevice, TioGuest
from teeio.platforms.sev.messages import (
    VALIDATED,
    ConfigStatus,
    MmioConfig,
    MmioStatus,
    MmioValidate,
    Status,
)
from teeio.platforms.sev.rules import RmpReason
from teeio.platforms.sev.sdte import FIELDS, GUEST_FIELDS, Sdte, guest_entry
from teeio.wire.tdisp import LockFlag
from teeio.wire.tdisp_report import RangeAttribute

WORK = 8
"""First page of work memory in a BAR."""
RESERVED_BITS = (1, 54, 63, 96, 128, 180, 246, 200, 384, 511)


def status(env: SevEnv, tio: TioGuest, mine: TioDevice, pages: int = 1, offset: int = WORK,
           flags: int = VALIDATED, range_id: int = 0) -> MmioStatus:
    """Status of MMIO_VALIDATE for pages of a BAR."""
    request = MmioValidate((mine.gpa_page + offset) * PAGE, pages, offset, flags, range_id)
    return MmioStatus(env.do(tio.validate(mine, request), "validate")[0])


@scenario("sev-tio", "A2", Kind.NEGATIVE, "MMIO_VALIDATE of what is not so")
def not_so(env: SevEnv) -> str:
    """Every status once, by its reason."""
    tio, rmp, guest = env.tio(), env.rmp, env.guest()
    mine = env.interface()
    env.do(tio.lock(mine), "lock")
    at, bar = mine.gpa_page + WORK, env.tsm.core.tdi_function(0).bar0 // PAGE + WORK
    expect("locked", status(env, tio, mine), MmioStatus.UNBOUND)
    env.do(tio.start(mine), "accept")
    expect("nothing mapped", status(env, tio, mine), MmioStatus.NOT_MAPPED)
    rmp.map(guest.name, at, bar)
    expect("before RMPUPDATE", status(env, tio, mine), MmioStatus.NOT_ASSIGNED)
    rmp.update(bar, guest.name, at + 1)
    expect("another address", status(env, tio, mine), MmioStatus.NOT_MAPPED)
    rmp.update(bar, env.guest(2).name, at)
    expect("another guest's", status(env, tio, mine), MmioStatus.NOT_ASSIGNED)
    rmp.update(bar, guest.name, at, is_2m=True)
    expect("2 MiB", status(env, tio, mine), MmioStatus.NOT_4K)
    rmp.update(bar, guest.name, at, immutable=False)
    expect("not immutable", status(env, tio, mine), MmioStatus.NOT_IMMUTABLE)
    env.show()
    expect("another range", status(env, tio, mine, range_id=1), MmioStatus.NOT_REPORTED)
    env.machine.vmm.place(guest.name, mine.gpa_page, bar - WORK)
    expect("a NON_TEE page", status(env, tio, mine, offset=0), MmioStatus.NOT_REPORTED)
    expect("beyond the range", status(env, tio, mine, 2, 0x10), MmioStatus.OUT_OF_RANGE)
    expect("no page", status(env, tio, mine, 0), MmioStatus.OUT_OF_RANGE)
    expect("first page", status(env, tio, mine), MmioStatus.OK)
    expect("mixed", status(env, tio, mine, 2), MmioStatus.NOT_UNIFORM)
    expect("mixed, forced", status(env, tio, mine, 2, flags=VALIDATED | messages.FORCED),
           MmioStatus.OK)
    expect("unbind", env.do(env.host.unbind_only(env.tsm, 0)), Ret.SUCCESS)
    expect("unbound", status(env, tio, mine), MmioStatus.UNBOUND)
    return "statuses 1 to 10 but for 1 and 4 (A4, A9), each for its own reason"


@scenario("sev-tio", "A9", Kind.NEGATIVE, "SDTE_WRITE with bits of the firmware, too early, of"
          " another interface")
def foreign_bits(env: SevEnv) -> str:
    """Statuses 3, 2, 1; the table stays empty."""
    tio, other = env.tio(), env.tio(2)
    mine = env.locked(tio)
    expect("locked", env.do(tio.open_dma(mine)), Status.NOT_BOUND)
    env.do(tio.start(mine), "accept")
    bits = {*RESERVED_BITS, *(span[0] for name, span in FIELDS.items()
                              if name not in GUEST_FIELDS or name == "vmpl")}
    for bit in sorted(bits):
        entry = Sdte(guest_entry().bits | 1 << bit)
        expect(f"bit {bit}", env.do(tio.open_dma(mine, entry)), Status.RESERVED)
    wrong = TioDevice(mine.rid, mine.gpa_page, mine.tdi_id ^ 2)
    expect("another id", env.do(tio.open_dma(wrong)), Status.INVALID_TDI)
    expect("another id, MMIO", status(env, tio, wrong), MmioStatus.INVALID_TDI)
    thief = TioDevice(mine.rid, mine.gpa_page, mine.tdi_id)
    expect("another guest", env.do(other.open_dma(thief)), Status.INVALID_TDI)
    entry = env.iommu.sdt[mine.rid]
    expect("entry", entry, Sdte())
    expect("good bits", env.do(tio.open_dma(mine)), Status.OK)
    filled = env.iommu.sdt[mine.rid]
    expect("filled by the firmware", (filled["asid"], filled["stream0"], filled["rp_id"]),
           (1, env.tsm.stream_id, 1))
    return f"{len(bits)} bits refused, then too early, another id, another guest"


@scenario("sev-tio", "A16", Kind.NEGATIVE, "the resubmission protocol: buffers that are too small,"
          " another command meanwhile")
def resubmission(env: SevEnv) -> str:
    """31, 3F, 3A, 3E; the command that was pending ends well after all of them."""
    host, tsm = env.host, env.tsm
    host.output_pages = 0
    spdm = host.spdm()
    host.output_pages = 5
    ret = env.do(host.run(Cmd.DEV_CERTIFICATES, spdm, dev=host.dev(tsm)))
    expect("no room for the output", ret, Ret.EXPAND_BUFFER)
    spdm = host.spdm()
    buffer = abi.encode_command(Cmd.DEV_MEASUREMENTS, **spdm.fields(), dev=host.dev(tsm),
                                nonce=os.urandom(32))
    expect("pending", host.submit(Cmd.DEV_MEASUREMENTS, buffer), Ret.SPDM_REQUEST)
    seen = abi.parse_dev_status(host.status(Cmd.DEV_STATUS, dev=host.dev(tsm)))
    expect("DEV_STATUS", seen, (2, tsm.core.functions[0].bdf, int(Cmd.DEV_MEASUREMENTS)))
    expect("another command", env.do(host.run(
        Cmd.DEV_CERTIFICATES, host.spdm(), dev=host.dev(tsm))), Ret.IN_USE)
    changed = abi.encode_command(Cmd.DEV_MEASUREMENTS, **spdm.fields(), dev=host.dev(tsm),
                                 nonce=os.urandom(32))
    expect("the same command, changed", host.submit(Cmd.DEV_MEASUREMENTS, changed), Ret.IN_USE)
    env.do(host.carry(spdm))
    good = host.read(spdm.response)
    host.write(spdm.response, good[:4] + (len(good) + 32).to_bytes(4, "little") + good[8:])
    expect("a response that is too large", host.submit(Cmd.DEV_MEASUREMENTS, buffer),
           Ret.RESPONSE_TOO_LARGE)
    host.write(spdm.response, good)
    with refuses("RMPUPDATE of the scratch page", RmpReason.FIRMWARE):
        env.rmp.release(Sla.decode(spdm.scratch).page)
    scratch = host.read(spdm.scratch)
    # What only somebody at the memory bus can do.
    host.write(spdm.scratch, scratch[:0x50] + bytes((scratch[0x50] ^ 1,)) + scratch[0x51:])
    expect("a scratch buffer that was changed", host.submit(Cmd.DEV_MEASUREMENTS, buffer),
           Ret.RESYNC)
    host.write(spdm.scratch, scratch)
    ret = host.submit(Cmd.DEV_MEASUREMENTS, buffer)
    while ret is Ret.SPDM_REQUEST:
        env.do(host.carry(spdm))
        ret = host.submit(Cmd.DEV_MEASUREMENTS, buffer)
    expect("in the end", ret, Ret.SUCCESS)
    expect("output", host.output(spdm), tsm.measured)
    return "31, 3A, 3A, 3F, 3E, and then the measurements"


@scenario("sev-tio", "A18", Kind.NEGATIVE, "commands with wrong buffers, contexts, order")
def wrong_commands(env: SevEnv) -> str:
    """Each with its return code, and no effect."""
    host, tsm = env.host, env.tsm
    dev, page = host.dev(tsm), host.firmware_page()
    spare, plain = Sla(page).encode(), Sla(env.machine.memory.new_page()).encode()
    streams = bytes((tsm.stream_id,)) + b"\xff" * 7
    count = 0

    def submit(what: str, ret: Ret, cmd: Cmd, **values: int | bytes) -> None:
        nonlocal count
        count += 1
        buffers = host.spdm().fields() if "request" in abi.LAYOUT[cmd][1] else {}
        expect(what, host.submit(cmd, abi.encode_command(cmd, **{**buffers, **values})), ret)

    expect("no such command", env.asp.command(0xD9, bytes(16)), Ret.INVALID_COMMAND)
    expect("length", host.submit(Cmd.DEV_STATUS, bytes((8,)) + bytes(7)), Ret.BAD_LENGTH)
    fresh = Asp(env.machine.context, [tsm], env.rmp, env.iommu, env.machine.memory, os.urandom)
    expect("before TIO_INIT", fresh.command(Cmd.DEV_STATUS, abi.encode_command(
        Cmd.DEV_STATUS, dev=dev, status=spare)), Ret.INVALID_PLATFORM_STATE)
    submit("request in a shared page", Ret.INVALID_PAGE_OWNER, Cmd.DEV_CERTIFICATES, dev=dev,
           request=plain)
    submit("response in a firmware page", Ret.INVALID_PAGE_STATE, Cmd.DEV_CERTIFICATES, dev=dev,
           response=spare)
    submit("a page that is no memory", Ret.INVALID_ADDRESS, Cmd.DEV_STATUS, dev=dev,
           status=Sla(1).encode())
    submit("status into a guest's page", Ret.INVALID_PAGE_OWNER, Cmd.DEV_STATUS, dev=dev,
           status=Sla(env.machine.vmm.give_ram(env.guest().name, 0x7000)).encode())
    submit("not a device context", Ret.BAD_DEV_CTX, Cmd.DEV_CERTIFICATES, dev=spare)
    submit("a second context", Ret.IN_USE, Cmd.DEV_CREATE, dev=spare,
           rid=tsm.core.functions[0].bdf, rp_id=1)
    submit("two traffic classes", Ret.INVALID_PARAM, Cmd.DEV_CONNECT, dev=dev, tc_mask=3,
           streams=streams)
    submit("connected already", Ret.BAD_DEV_STATE, Cmd.DEV_CONNECT, dev=dev, tc_mask=1,
           streams=streams)
    submit("reclaim while connected", Ret.BAD_DEV_STATE, Cmd.DEV_RECLAIM, dev=dev)
    submit("no such interface", Ret.BAD_TDI, Cmd.TDI_CREATE, dev=dev, tdi=spare,
           interface=b"\xff\x7f" + bytes(10))
    rid = tsm.core.tdi_function(0).bdf.to_bytes(2, "little")
    submit("create", Ret.SUCCESS, Cmd.TDI_CREATE, dev=dev, tdi=spare, interface=rid + bytes(10))
    submit("create again", Ret.IN_USE, Cmd.TDI_CREATE, dev=dev,
           tdi=Sla(host.firmware_page()).encode(), interface=rid + bytes(10))
    submit("device with interfaces", Ret.IN_USE, Cmd.DEV_RECLAIM, dev=dev)
    mine = {"dev": dev, "tdi": spare, "guest": Sla(env.launched[0].page).encode()}
    lock = int(LockFlag.ALL_REQUEST_REDIRECT)
    submit("not a TDI context", Ret.BAD_TDI_CTX, Cmd.TDI_BIND, **{**mine, "tdi": dev}, lock=lock)
    submit("not a guest context", Ret.INVALID_GUEST, Cmd.TDI_BIND, **{**mine, "guest": dev},
           lock=lock)
    submit("no redirection", Ret.INVALID_PARAM, Cmd.TDI_BIND, **mine, lock=0)
    submit("a P2P stream", Ret.INVALID_PARAM, Cmd.TDI_BIND, **mine,
           lock=lock | int(LockFlag.BIND_P2P))
    submit("run before bind", Ret.BAD_TDI_STATE, Cmd.TDI_BIND, **mine, lock=lock, run=1)
    submit("unbind before bind", Ret.BAD_TDI_STATE, Cmd.TDI_UNBIND, **mine)
    submit("key refresh", Ret.UNSUPPORTED, Cmd.ROLL_KEY, dev=dev)
    submit("reclaim", Ret.SUCCESS, Cmd.TDI_RECLAIM, dev=dev, tdi=spare)
    expect("bind", env.do(host.bind(tsm, env.guest().name, 0)), Ret.SUCCESS)
    ctxs = host.ctxs(tsm, 0)
    submit("reclaim while bound", Ret.IN_USE, Cmd.TDI_RECLAIM, dev=dev, tdi=ctxs["tdi"])
    submit("run for another guest", Ret.INVALID_GUEST, Cmd.TDI_BIND, run=1, lock=lock, **{
        **ctxs, "guest": Sla(env.launched[1].page).encode()})
    submit("disconnect while bound", Ret.IN_USE, Cmd.DEV_DISCONNECT, dev=dev)
    return f"{count + 3} commands"


@scenario("sev-tio", "A19", Kind.NEGATIVE, "MMIO_CONFIG: NON_TEE on and off, and where it is"
          " refused")
def config(env: SevEnv) -> str:
    """SET_MMIO_ATTRIBUTE of the range that the device lets be changed."""
    tio, device = env.tio(), env.device
    mine = env.locked(tio)
    env.do(tio.start(mine), "accept")
    item = next(r for r in mine.report.ranges
                if r.attributes & RangeAttribute.IS_MEM_ATTR_UPDATABLE)
    first = env.tsm.core.tdi_function(0).bar0 // PAGE
    offset = item.first_page - first

    def set_to(attributes: int, at: int = offset, pages: int = item.pages, flags: int = 1) -> (
            tuple[ConfigStatus, int]):
        result = env.do(tio.configure(mine, MmioConfig(flags, attributes, pages, at, 0)), "config")
        return ConfigStatus(result[0]), result[1]

    expect("read", set_to(0, flags=0), (ConfigStatus.OK, item.attributes))
    expect("not reported", set_to(4, at=0x40)[0], ConfigStatus.NOT_REPORTED)
    expect("not updatable", set_to(4, at=WORK, pages=1)[0], ConfigStatus.NOT_CHANGED)
    expect("validate", status(env, tio, mine, item.pages, offset), MmioStatus.OK)
    expect("validated pages", set_to(4)[0], ConfigStatus.NOT_CHANGED)
    expect("invalidate", status(env, tio, mine, item.pages, offset, 0), MmioStatus.OK)
    address = item.first_page * PAGE
    env.machine.vmm.take_back(env.guest().name, mine.gpa_page + offset)
    with raises("T=0 before", CompletionStatus):
        env.machine.vmm.mmio_read(device, address)
    expect("NON_TEE on", set_to(4), (ConfigStatus.OK, item.attributes | 4))
    if len(env.machine.vmm.mmio_read(device, address)) != 4:
        raise ScenarioFailed("T=0 does not read a NON_TEE page")
    env.show()
    expect("validate a NON_TEE page", status(env, tio, mine, 1, offset), MmioStatus.NOT_REPORTED)
    expect("NON_TEE off", set_to(0), (ConfigStatus.OK, item.attributes))
    expect("validate again", status(env, tio, mine, item.pages, offset), MmioStatus.OK)
    return "read, changed both ways, refused for a range that is validated, fixed or not there"
