# SPDX-License-Identifier: Apache-2.0
"""Scenarios of calls in the right and in the wrong order: C1, C2, C3, C16, C17."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from teeio.core.device import Descriptor
from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.scenario import (
    Kind,
    Needs,
    ScenarioFailed,
    ScenarioSkipped,
    expect,
    scenario,
)
from teeio.platforms.common.target import HostTarget
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.cove.env import CoveEnv
from teeio.platforms.cove.host import TRANSCRIPT_ADDRESS, TRANSCRIPT_BYTES
from teeio.platforms.cove.rules import CoveReason
from teeio.platforms.cove.sbi import Covg, Covh, Covt, Eid, KeyStatus, SbiError, SbiRet
from teeio.platforms.cove.transcript import Element, parse
from teeio.platforms.cove.tvm import CallFailed
from teeio.platforms.cove.wire import (
    MEBIBYTE,
    RX,
    TX,
    ConnectionTranscript,
    KeyData,
    KeyDescriptor,
    address_block,
)
from teeio.wire.ide_km import SubStream
from teeio.wire.reader import decode_whole
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import IDE_PREFIX

FRESH = Needs.TLPS | Needs.FRESH

# CoVE-IO, connect_device and disconnect_device, step by step.
CONNECT_ORDER = (
    "SPDM GET_VERSION", "SPDM GET_CAPABILITIES", "SPDM NEGOTIATE_ALGORITHMS",
    "SPDM GET_CERTIFICATE", "SPDM KEY_EXCHANGE", "secured record", "COVT PROGRAM_RP_IDE_STREAM",
    "RP IDE off", *["KEY_PROG", "KP_ACK"] * 6, *["COVT PROGRAM_RP_IDE_KEY"] * 6,
    *["K_SET_GO"] * 3, *["COVT SET_GO_RP_IDE_KEY Rx"] * 3, *["K_SET_GO"] * 3,
    *["COVT SET_GO_RP_IDE_KEY Tx"] * 3, "stream 1 on", "return COVH CONNECT_DEVICE",
    "device IDE on")
BIND_ORDER = (
    "COVH ADD_TVM_INTERFACE_REGION", "COVH BIND_INTERFACE", "GET_VERSION", "GET_CAPABILITIES",
    "LOCK_INTERFACE_REQUEST", "LOCK_INTERFACE_RESPONSE", "IOMMU context off",
    "return COVH BIND_INTERFACE")
ACCEPT_ORDER = (
    "COVG GET_DEVICE_LINK", "COVG GET_DEVICE_CONNECTION_TRANSCRIPT",
    "COVH GET_DEVICE_CONNECTION_TRANSCRIPT", "return COVG GET_DEVICE_CONNECTION_TRANSCRIPT",
    "COVG GET_INTERFACE_REPORT", "COVG GET_INTERFACE_STATE", "COVG GET_DEVICE_MEASUREMENTS",
    *["COVG MAP_INTERFACE_MMIO"] * 3)
START_ORDER = (
    "COVG START_INTERFACE", "START_INTERFACE_REQUEST", "START_INTERFACE_RESPONSE", "IOMMU on",
    "valid", "return COVG START_INTERFACE", "COVG GET_INTERFACE_STATE")
STOP_ORDER = (
    "COVG STOP_INTERFACE", "IOMMU off", "invalid", "COVH UNBIND_INTERFACE",
    "STOP_INTERFACE_REQUEST", "STOP_INTERFACE_RESPONSE", "return COVH UNBIND_INTERFACE",
    "return COVG STOP_INTERFACE", "COVH RECLAIM_TVM_INTERFACE_REGION", "release")
DISCONNECT_ORDER = (
    "device IDE off", "COVH DISCONNECT_DEVICE", "COVT PROGRAM_RP_IDE_STREAM", "RP IDE off",
    *["K_SET_STOP"] * 3, *["COVT SET_STOP_RP_IDE_KEY Tx"] * 3, *["K_SET_STOP"] * 3,
    *["COVT SET_STOP_RP_IDE_KEY Rx"] * 3, "COVT CLEAR_RP_IDE_KEY",
    "return COVH DISCONNECT_DEVICE")


@scenario("cove", "C1", Kind.POSITIVE, "connect, bind, six checks, start, use, stop, disconnect",
          FRESH)
def whole(env: CoveEnv) -> str:
    """Message order, pending values, transcript elements; nothing secret in sight."""
    host, tsm, guest = env.host, env.tsm, env.guest()
    host.values.clear()
    expect("connect", env.do(host.connect(tsm), verb="connect").error, SbiError.SUCCESS)
    values = [value for function, value in host.values if function == Covh.CONNECT_DEVICE]
    expect("values of connect", (set(values[:-1]), values[-1]), ({1}, 0))
    elements = _elements(host.transcripts[tsm.core.functions[0].bdf])
    driver = env.start()
    pattern = os.urandom(256)
    guest.run(env.device, driver.write(0, pattern))
    expect("MMIO reads back", guest.run(env.device, driver.read(0, 256)), pattern)
    source, sink = guest.new_ram(os.urandom(PAGE)), guest.new_ram()
    expect("DMA", guest.dma(env.device, 0, [Descriptor(source, 0, PAGE, False),
                                            Descriptor(sink, 0, PAGE, True)]), None)
    expect("DMA came back", guest.read_ram(sink, PAGE), guest.read_ram(source, PAGE))
    env.do(env.tdm().call(Covg.STOP_INTERFACE, env.interface_id()), verb="stop")
    expect("reclaim", env.do(host.reclaim(tsm, guest.name, 0), verb="reclaim"), SbiRet())
    expect("disconnect", env.do(host.disconnect(tsm), verb="disconnect"), SbiRet())
    log = env.machine.context.log
    missing = log.in_order(*CONNECT_ORDER, *BIND_ORDER, *ACCEPT_ORDER, *START_ORDER, *STOP_ORDER,
                           *DISCONNECT_ORDER)
    expect("first step out of order", missing, "")
    expect("key states", key_states(env), [KeyStatus.CLEARED] * 12)
    scan = env.machine.context.scan
    if scan.known < 10:
        raise ScenarioFailed(f"the secret scan knows {scan.known} secrets only")
    return (f"{len(log.entries)} steps in the order of the draft, {len(values)} values of connect,"
            f" elements {elements}; {scan.known} secrets, none in {scan.crossed_bytes} bytes")


def _elements(transcript: bytes) -> str:
    parsed = parse(decode_whole(ConnectionTranscript.decode, transcript).body)
    sizes = {}
    for element in Element:
        data = parsed.element(element)
        again = parse(data, parsed.suite).exchanges
        if element is not Element.FULL:
            expect(f"{element.name} parses to itself", {item.element for item in again}, {element})
        sizes[element.name] = len(data)
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def key_states(env: CoveEnv) -> list[KeyStatus]:
    """States of all keys of the root port, both sets."""
    return [env.tsm.rdsm.status(KeyDescriptor(stream_id=env.tsm.stream_id, sub_stream=sub,
                                              key_set=key_set, direction=direction))
            for direction in (TX, RX) for sub in SubStream for key_set in (0, 1)]


@contextmanager
def tapped(env: CoveEnv) -> Iterator[list[bytes]]:
    """IDE TLPs on the link of the first device, both directions, while the block runs.

    Raises:
        ScenarioSkipped: the target has no link that can be listened to.
    """
    target, seen = env.device.target, list[bytes]()
    if not isinstance(target, HostTarget):
        raise ScenarioSkipped("needs a link that can be listened to")
    before = target.host.on_plain_tlp

    def keep(tlp: bytes) -> None:
        if tlp[0] == IDE_PREFIX:
            seen.append(tlp)

    target.tap(keep)
    try:
        yield seen
    finally:
        target.host.on_plain_tlp = before


def covh(env: CoveEnv, function: int, *args: int | bytes) -> SbiRet:
    """A COVH call of the VMM to its end."""
    return env.do(env.host.call(function, *args), verb=f"COVH {function}")


def failed(what: str, ret: SbiRet, error: SbiError, reason: object) -> None:
    """The call must fail with this error for this reason."""
    expect(what, (ret.error, ret.reason), (error, reason))


def guest_fails(env: CoveEnv, what: str, steps: Steps[object], error: SbiError,
                reason: object) -> None:
    """A COVG call must fail with this error for this reason."""
    try:
        env.do(steps)
    except CallFailed as failure:
        failed(what, failure.ret, error, reason)
        return
    raise ScenarioFailed(f"{what}: it succeeded")


@scenario("cove", "C2", Kind.NEGATIVE, "verbs too early, and twice", FRESH)
def wrong_order(env: CoveEnv) -> str:
    """FAILED, ALREADY_STARTED, ALREADY_STOPPED; unassigned functions; calls of others."""
    host, tsm = env.host, env.tsm
    name, mine = env.guest().name, env.interface_id()
    device = tsm.core.functions[0].bdf
    failed("bind before connect", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiError.FAILED,
           TsmReason.NOT_CONNECTED)
    failed("function 1029", covh(env, 1029, 1, mine), SbiError.NOT_SUPPORTED,
           CoveReason.NOT_SUPPORTED)
    failed("a TVM's COVH call", host.interface.ecall(name, Eid.COVH, Covh.BIND_INTERFACE, 1, mine),
           SbiError.NOT_SUPPORTED, CoveReason.NOT_SUPPORTED)
    descriptor = env.do(host.prepare(tsm))
    failed("connect of a device that is not there", covh(
        env, Covh.CONNECT_DEVICE, 0x7F00, descriptor.encode(), TRANSCRIPT_ADDRESS,
        TRANSCRIPT_BYTES), SbiError.INVALID_PARAM, CoveReason.DEVICE)
    failed("connect with an odd address", covh(
        env, Covh.CONNECT_DEVICE, device, descriptor.encode(), TRANSCRIPT_ADDRESS + 4,
        TRANSCRIPT_BYTES), SbiError.INVALID_PARAM, CoveReason.PARAMETER)
    expect("objects so far", env.machine.context.log.first("SPDM GET_VERSION"), None)
    expect("connect", env.do(host.connect(tsm, enable=False), verb="connect").error,
           SbiError.SUCCESS)
    failed("connect twice", covh(
        env, Covh.CONNECT_DEVICE, device, descriptor.encode(), TRANSCRIPT_ADDRESS,
        TRANSCRIPT_BYTES), SbiError.FAILED, TsmReason.CONNECTED)
    expect("bind before the device's IDE is on",
           env.do(host.bind(tsm, name, 0), verb="bind").error, SbiError.FAILED)
    env.do(host.set_enable(tsm, True))
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiRet())
    failed("bind twice", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiError.FAILED, TsmReason.BOUND)
    failed("reclaim while bound", env.do(host.reclaim(tsm, name, 0)), SbiError.FAILED,
           CoveReason.REGION_BOUND)
    failed("unbind from another TVM", covh(env, Covh.UNBIND_INTERFACE, 2, mine), SbiError.FAILED,
           CoveReason.NOT_THIS_TVM)
    env.accept()
    guest_fails(env, "start by another TVM", env.tdm(2).call(Covg.START_INTERFACE, mine),
                SbiError.FAILED, TsmReason.NOT_BOUND)
    env.do(env.tdm().start(mine), verb="start")
    guest_fails(env, "start twice", env.tdm().call(Covg.START_INTERFACE, mine),
                SbiError.ALREADY_STARTED, CoveReason.ALREADY_STARTED)
    env.do(env.tdm().call(Covg.STOP_INTERFACE, mine), verb="stop")
    guest_fails(env, "stop twice", env.tdm().call(Covg.STOP_INTERFACE, mine),
                SbiError.ALREADY_STOPPED, CoveReason.ALREADY_STOPPED)
    return "thirteen refusals, each with its error and reason"


@scenario("cove", "C3", Kind.NEGATIVE, "regions that must not be added, ranges not to be mapped")
def regions(env: CoveEnv) -> str:
    """Not aligned, outside of the root port, overlapping, late, unknown."""
    host, tsm, name = env.host, env.tsm, env.guest().name
    mine, other = env.interface_id(0), env.interface_id(1)
    bar, far = tsm.core.tdi_function(0).bar0, tsm.port.mmio[1] + 1

    def add(interface: int, base: int, length: int) -> SbiRet:
        return covh(env, Covh.ADD_TVM_INTERFACE_REGION, 1, interface, base, length)

    failed("base not aligned", add(mine, bar + 4, PAGE), SbiError.FAILED, CoveReason.REGION_ALIGNED)
    failed("length not aligned", add(mine, bar, 100), SbiError.FAILED, CoveReason.REGION_ALIGNED)
    failed("outside of the root port", add(mine, far, PAGE), SbiError.FAILED,
           CoveReason.REGION_MANIFEST)
    expect("regions of TDI 0", env.do(host.add_regions(tsm, name, 0)), SbiRet())
    failed("page of another TDI", add(other, bar + PAGE, PAGE), SbiError.FAILED,
           CoveReason.REGION_OVERLAP)
    failed("reclaim of what was not added", covh(
        env, Covh.RECLAIM_TVM_INTERFACE_REGION, 1, mine, bar + 9 * PAGE, PAGE), SbiError.FAILED,
        CoveReason.REGION_UNKNOWN)
    expect("bind", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiRet())
    failed("region after bind", add(mine, bar + 2 * PAGE, PAGE), SbiError.FAILED,
           CoveReason.REGION_BOUND)
    tdm, (gpa, _) = env.tdm(), env.bar()
    guest_fails(env, "range not aligned", tdm.call(
        Covg.MAP_INTERFACE_MMIO, mine, gpa + 4, bar + PAGE, PAGE), SbiError.FAILED,
        CoveReason.MAP_ALIGNED)
    # The root port's association is narrowed to the second MiB behind the TSM's back.
    whole_stream = tsm.rdsm.streams[tsm.stream_id]
    try:
        tsm.rdsm.streams[tsm.stream_id] = replace(whole_stream, blocks=(
            address_block(tsm.port.mmio[0] + MEBIBYTE, tsm.port.mmio[1]),))
        guest_fails(env, "range outside of the association", tdm.call(
            Covg.MAP_INTERFACE_MMIO, mine, gpa, bar, PAGE), SbiError.FAILED, CoveReason.MAP_IDE)
    finally:
        tsm.rdsm.streams[tsm.stream_id] = whole_stream
    return "nine refusals, each for its own reason"


@scenario("cove", "C16", Kind.NEGATIVE, "new keys with traffic; the end of the sequence numbers")
def refresh(env: CoveEnv) -> str:
    """No TLP is lost, the other key set carries; KEY_UPDATE_REQUIRED, then success."""
    tsm, device, guest = env.tsm, env.device, env.guest()
    bdf, stream = tsm.core.functions[0].bdf, tsm.stream_id
    driver, sets = env.start(), []
    for _ in range(2):
        pattern = os.urandom(512)
        guest.run(device, driver.write(0, pattern))
        expect("refresh", covh(env, Covh.IDE_KEY_REFRESH, bdf, stream), SbiRet())
        with tapped(env) as seen:
            source, sink = guest.new_ram(pattern), guest.new_ram()
            expect("MMIO after a refresh", guest.run(device, driver.read(0, 512)), pattern)
            expect("DMA after a refresh", guest.dma(device, 0, [
                Descriptor(source, 512, 512, False), Descriptor(sink, 512, 512, True)]), None)
        expect("DMA data", guest.read_ram(sink, 512), pattern)
        used = tsm.cove.key_set
        sets.append(used)
        # K, bit 1 of the last byte of the prefix, of every IDE TLP in both directions.
        expect("K of the TLPs", {tlp[3] >> 1 & 1 for tlp in seen}, {used})
        for key_set, state in ((used, KeyStatus.ENABLED), (1 - used, KeyStatus.CLEARED)):
            expect(f"status of key set {key_set}", {tsm.rdsm.status(KeyDescriptor(
                stream_id=stream, sub_stream=sub, key_set=key_set, direction=direction))
                for sub in SubStream for direction in (TX, RX)}, {state})
    expect("the key set toggles", sets[1], 1 - sets[0])
    failed("refresh of another stream", covh(env, Covh.IDE_KEY_REFRESH, bdf, stream + 1),
           SbiError.INVALID_PARAM, CoveReason.PARAMETER)
    expect("heartbeat", covh(env, Covh.SPDM_HEARTBEAT, bdf), SbiRet())
    limit, tsm.sequence_limit = tsm.sequence_limit, tsm.records
    try:
        failed("heartbeat at the limit", covh(env, Covh.SPDM_HEARTBEAT, bdf),
               SbiError.KEY_UPDATE_REQUIRED, CoveReason.KEY_UPDATE)
        tsm.sequence_limit = tsm.records + 8
        expect("key update", covh(env, Covh.SPDM_KEY_UPDATE, bdf), SbiRet())
        expect("heartbeat after the update", covh(env, Covh.SPDM_HEARTBEAT, bdf), SbiRet())
    finally:
        tsm.sequence_limit = limit
    expect("TDI", env.state(), TdiState.RUN)
    return f"key sets {sets}, no TLP lost; KEY_UPDATE_REQUIRED, then success"


@scenario("cove", "C17", Kind.NEGATIVE, "root-port key calls in the wrong state")
def covt(env: CoveEnv) -> str:
    """INVALID_STATE each, and the stream in use is not disturbed."""
    tsm, port = env.tsm, env.device.target.port
    stream, rp = tsm.stream_id, tsm.port.rp_id
    live, spare = tsm.cove.key_set, 1 - tsm.cove.key_set

    def key(key_set: int) -> bytes:
        return KeyDescriptor(stream_id=stream, sub_stream=SubStream.PR, key_set=key_set,
                             direction=TX).encode()

    def call(function: int, *args: bytes, rp_id: int = rp) -> tuple[SbiError, object]:
        ret = tsm.rdsm.call(function, rp_id, *args)
        return ret.error, ret.reason

    data = KeyData(key=Secret(os.urandom(32))).encode()
    state = SbiError.INVALID_STATE
    expect("program an Enabled key", call(Covt.PROGRAM_RP_IDE_KEY, key(live), data),
           (state, CoveReason.KEY_ENABLED))
    expect("go on Cleared", call(Covt.SET_GO_RP_IDE_KEY, key(spare)),
           (state, CoveReason.KEY_NOT_PROGRAMMED))
    expect("program the other set", call(Covt.PROGRAM_RP_IDE_KEY, key(spare), data),
           (SbiError.SUCCESS, None))
    expect("overwrite what is Programmed", call(Covt.PROGRAM_RP_IDE_KEY, key(spare), data),
           (SbiError.SUCCESS, None))
    expect("stop on Programmed", call(Covt.SET_STOP_RP_IDE_KEY, key(spare)),
           (state, CoveReason.KEY_NOT_ENABLED))
    expect("clear while Enabled", call(Covt.CLEAR_RP_IDE_KEY, bytes((stream,))),
           (state, CoveReason.KEY_NOT_PROGRAMMED))
    wrong = (SbiError.INVALID_PARAM, CoveReason.PARAMETER)
    expect("another root port", call(Covt.RP_IDE_KEY_STATUS, key(live), rp_id=rp + 8), wrong)
    expect("sub-stream 3", call(Covt.RP_IDE_KEY_STATUS, bytes((stream, 3, 0, 0))), wrong)
    expect("short key data", call(Covt.PROGRAM_RP_IDE_KEY, key(spare), data[:-4]), wrong)
    expect("function 1030", call(1030, key(live))[0], SbiError.NOT_SUPPORTED)
    values = [tsm.rdsm.call(Covt.RP_IDE_KEY_STATUS, rp, key(k)).value for k in (live, spare)]
    expect("status", values, [KeyStatus.ENABLED, KeyStatus.PROGRAMMED])
    port.streams[stream].erase_key(True, SubStream.PR, spare)
    driver = env.start()
    env.guest().run(env.device, driver.read(0, 16))
    return "four INVALID_STATE, four other refusals; the stream in use went on"
