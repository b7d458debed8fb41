# SPDX-License-Identifier: Apache-2.0
"""Scenarios of a VMM that plays with calls: C12 to C15, and the guest's own judgement: C18."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from teeio.core.ops import Steps
from teeio.core.rootport import DeviceAccess
from teeio.platforms.common import ghc
from teeio.platforms.common.attacks import Replay, Unplug, secured_only
from teeio.platforms.common.iommu import IommuReason
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.common.scenario import Kind, ScenarioFailed, expect, refuses, scenario
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.common.verbs import VerbReason
from teeio.platforms.cove.env import CoveEnv
from teeio.platforms.cove.ghc import CoveCalls
from teeio.platforms.cove.interface import VMM
from teeio.platforms.cove.rules import CoveQuirks, CoveReason, TvmReason
from teeio.platforms.cove.sbi import Covg, Covh, Eid, SbiError, SbiRet
from teeio.platforms.cove.scenarios_life import FRESH, covh, failed, guest_fails
from teeio.platforms.cove.transcript import Element, parse
from teeio.platforms.cove.tvm import TvmPolicy
from teeio.platforms.cove.wire import ConnectionTranscript, PendingSpdm
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_session import KeyExchange
from teeio.wire.tdisp import TdiState


@scenario("cove", "C12", Kind.ATTACK, "the transcript comes back altered, cut, or another's")
def transcript(env: CoveEnv) -> str:
    """Digest mismatch: FAILED, and the guest gets nothing."""
    device, mine = env.tsm.core.functions[0].bdf, env.interface_id()
    good = env.host.transcripts[device]
    env.bind()
    ask = (Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, mine, Element.CERTIFICATE, 0)
    altered = bytearray(good)
    altered[len(good) // 2] ^= 1
    body = decode_whole(ConnectionTranscript.decode, good).body
    other = parse(body)
    swapped = ConnectionTranscript(body=other.element(Element.VCA) * 2).encode()
    try:
        for what, data in (("one bit", bytes(altered)), ("cut", good[:-1]), ("none", b""),
                           ("another connection's", swapped)):
            env.host.transcripts[device] = data
            failed(what, covh(env, Covh.GET_DEVICE_CONNECTION_TRANSCRIPT, device, data),
                   SbiError.FAILED, CoveReason.TRANSCRIPT)
            guest_fails(env, f"{what}: the guest's call", env.tdm().call(*ask), SbiError.FAILED,
                        CoveReason.NO_TRANSCRIPT)
    finally:
        env.host.transcripts[device] = good
    expect("the right one", env.do(env.tdm().call(*ask)).data, other.element(Element.CERTIFICATE))
    guest_fails(env, "an element that does not exist", env.tdm().call(
        Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, mine, 6, 0), SbiError.INVALID_PARAM, None)
    return "four transcripts refused, no byte given out"


@scenario("cove", "C13", Kind.ATTACK, "another call, a foreign buffer, an old answer while pending")
def pending(env: CoveEnv) -> str:
    """Refused while one is pending, which still completes; an old answer ends the session."""
    host, tsm, mine = env.host, env.tsm, env.interface_id()
    device, ecall = tsm.core.functions[0].bdf, host.interface.ecall
    expect("regions", env.do(host.add_regions(tsm, env.guest().name, 0)), SbiRet())

    def bind() -> SbiRet:
        return ecall(VMM, Eid.COVH, Covh.BIND_INTERFACE, 1, mine)

    expect("bind", (bind().error, bind_pending(host.interface.buffers[device])),
           (SbiError.SUCCESS, Covh.BIND_INTERFACE))
    base = tsm.core.tdi_function(0).bar0 + 2 * 4096
    for function, args in ((Covh.SPDM_HEARTBEAT, (device,)), (Covh.DISCONNECT_DEVICE, (device,)),
                           (Covh.ADD_TVM_INTERFACE_REGION, (1, mine, base, 4096)),
                           (Covh.BIND_INTERFACE, (2, mine))):
        failed(f"{function.name} while pending", ecall(VMM, Eid.COVH, function, *args),
               SbiError.FAILED, VerbReason.BUSY)
    request = host.interface.buffers[device]
    wrong = replace(decode_whole(PendingSpdm.decode, request), function_id=Covh.SPDM_HEARTBEAT)
    host.interface.buffers[device] = wrong.encode()
    failed("a buffer of another call", bind(), SbiError.FAILED, CoveReason.BUFFER)
    host.interface.buffers[device] = request
    env.do(host.carry(device), verb="bind")
    expect("the pending call completes", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiRet())
    expect("TDI", env.state(), TdiState.CONFIG_LOCKED)
    with env.machine.attacked() as attacker:
        attacker.attacks.append(Replay(1, secured_only))
        guest_fails(env, "the answer to an earlier request",
                    _twice(env), SbiError.FAILED, None)
        expect("the attack took place", attacker.attacks[0].done, True)
    expect("state after a broken session", covh(env, Covh.SPDM_HEARTBEAT, device).error,
           SbiError.FAILED)
    return "five calls refused, the pending one completed; an old answer was noticed"


def bind_pending(buffer: bytes) -> int:
    """Function id in a pending SPDM buffer."""
    return decode_whole(PendingSpdm.decode, buffer).function_id


def _twice(env: CoveEnv) -> Steps[SbiRet]:
    yield from env.tdm().call(Covg.GET_INTERFACE_STATE, env.interface_id())
    return (yield from env.tdm().call(Covg.GET_INTERFACE_STATE, env.interface_id()))


@scenario("cove", "C14", Kind.ATTACK, "the device is silent at STOP")
def silent(env: CoveEnv) -> str:
    """Tables off at once, FAILED reported, not bound again until the device is connected anew."""
    guest, mine = env.guest(), env.interface_id()
    driver = env.start()
    with env.machine.attacked() as attacker:
        attacker.attacks.append(Unplug(0, secured_only))
        failed("unbind", covh(env, Covh.UNBIND_INTERFACE, 1, mine), SbiError.FAILED, None)
        expect("the device was silent", attacker.attacks[0].done, True)
    log = env.machine.context.log
    expect("first step out of order", log.in_order(
        "COVH UNBIND_INTERFACE", "IOMMU off", "invalid", "STOP_INTERFACE_REQUEST"), "")
    expect("contexts", dict(env.machine.iommu.contexts), {})
    with refuses("MMIO afterwards", PageReason.NOT_VALID):
        guest.run(env.device, driver.read(0, 16))
    failed("bind again", covh(env, Covh.BIND_INTERFACE, 1, mine), SbiError.FAILED,
           TsmReason.SUSPECT)
    return "tables off before STOP, FAILED, and no bind until the next connect"


@contextmanager
def reading(env: CoveEnv, quirks: CoveQuirks) -> Iterator[None]:
    """Another reading of the draft for a while."""
    context = env.machine.context
    default, context.quirks = context.quirks, quirks
    try:
        yield
    finally:
        context.quirks = default


@scenario("cove", "C15", Kind.ATTACK, "disconnect while a TDI runs; stop without the VMM", FRESH)
def disconnect_running(env: CoveEnv) -> str:
    """FAILED, or interfaces go first; IDE is never off while the IOMMU is on."""
    host, tsm, guest, mine = env.host, env.tsm, env.guest(), env.interface_id()
    device, context = tsm.core.functions[0].bdf, env.machine.context
    with reading(env, CoveQuirks(tx_go_first=True)):
        expect("connect", env.do(host.connect(tsm), verb="connect").error, SbiError.SUCCESS)
    expect("first step out of order", context.log.in_order(
        "K_SET_GO", "COVT SET_GO_RP_IDE_KEY Tx", "K_SET_GO", "COVT SET_GO_RP_IDE_KEY Rx"), "")
    driver = env.start()
    failed("disconnect", covh(env, Covh.DISCONNECT_DEVICE, device), SbiError.FAILED,
           TsmReason.IN_USE)
    guest.run(env.device, driver.read(0, 16))
    # The guest wants to stop, and the VMM does not unbind.
    host.unbinds = False
    guest_fails(env, "stop without the VMM", env.tdm().call(Covg.STOP_INTERFACE, mine),
                SbiError.FAILED, CoveReason.STOP)
    host.unbinds = True
    with refuses("MMIO after the guest's stop", PageReason.NOT_VALID):
        guest.run(env.device, driver.read(0, 16))
    bar = tsm.core.tdi_function(0).bar0
    env.do(env.tdm().call(Covg.MAP_INTERFACE_MMIO, mine, env.bar()[0] + 8 * PAGE, bar + 8 * PAGE,
                          PAGE))
    with refuses("MMIO mapped after the guest's stop", PageReason.NOT_VALID):
        guest.run(env.device, driver.read(0, 16))
    expect("device", env.state(), TdiState.RUN)
    expect("contexts", dict(env.machine.iommu.contexts), {})
    expect("unbind", covh(env, Covh.UNBIND_INTERFACE, 1, mine), SbiRet())
    expect("reclaim", env.do(host.reclaim(tsm, guest.name, 0)), SbiRet())
    # The other readings of the draft: reclaim unbinds, STOP comes before the tables.
    env.start()
    since = len(context.log.entries)
    with reading(env, CoveQuirks(reclaim_unbinds=True, tables_after_stop=True)):
        expect("reclaim of a running TDI", env.do(host.reclaim(tsm, guest.name, 0)), SbiRet())
    expect("first step out of order", context.log.in_order(
        "STOP_INTERFACE_RESPONSE", "IOMMU off", "invalid", "release", since=since), "")
    # Disconnect stops what runs.
    env.start()
    since = len(context.log.entries)
    with reading(env, CoveQuirks(disconnect_unbinds=True)):
        expect("disconnect", covh(env, Covh.DISCONNECT_DEVICE, device), SbiRet())
    expect("first step out of order", context.log.in_order(
        "IOMMU off", "invalid", "STOP_INTERFACE_REQUEST", "RP IDE off", since=since), "")
    sink = guest.new_ram()
    if env.machine.iommu.contexts:
        raise ScenarioFailed(f"contexts left: {env.machine.iommu.contexts}")
    request = DeviceAccess(mine, sink, 64, True, True, tsm.stream_id)
    expect("a request afterwards", env.machine.iommu.check(request), IommuReason.CONTEXT_MISS)
    return "refused by default; by quirk IOMMU and G-stage go off before IDE does"


@scenario("cove", "C18", Kind.NEGATIVE, "a guest with other anchors, values or wishes")
def judgement(env: CoveEnv) -> str:
    """Checks 2, 4 and 5 of the guest: policy, chain, nonce, signature, values."""
    env.bind()
    mine, bar = env.interface_id(), env.bar()
    honest = env.tdm().policy
    index, (kind, value) = next(iter(honest.references.items()))
    others = {**honest.references, index: (kind, bytes(len(value)))}
    for what, policy, reason in (
            ("measurements taken anew are wanted", replace(honest, locked_firmware=False),
             TvmReason.POLICY),
            ("another anchor", replace(honest, anchors=(stranger(honest),)), TvmReason.CHAIN),
            ("other firmware expected", replace(honest, references=others), TvmReason.VALUES)):
        with refuses(what, reason):
            env.do(env.tdm(1, policy).accept(mine, *bar), verb="accept")
    tdm, nonce = env.tdm(), os.urandom(32)
    whole = parse(env.do(tdm.call(Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, mine, Element.FULL,
                                  0)).data)
    exchange = whole.one(KeyExchange)
    assert isinstance(exchange, KeyExchange)
    leaf, suite = tdm.check_chain(whole, exchange.slot)
    signed = env.do(tdm.call(Covg.GET_DEVICE_MEASUREMENTS, mine, nonce, 0)).data
    tdm.check_measurements(signed, nonce, leaf, suite)
    with refuses("measurements for another nonce", TvmReason.NONCE):
        tdm.check_measurements(signed, os.urandom(32), leaf, suite)
    with refuses("a signature with one bit changed", TvmReason.SIGNATURE):
        tdm.check_measurements(signed[:-1] + bytes((signed[-1] ^ 1,)), nonce, leaf, suite)
    expect("starts sent", env.machine.context.log.first("START_INTERFACE_REQUEST"), None)
    return "five refusals, each for its own reason"


@scenario("cove", "G1", Kind.CONFORMANCE, "the guest's calls, the same as on every platform")
def guest_calls(env: CoveEnv) -> str:
    """Bind, evidence, run, DMA and MMIO, stop, through COVG and the VMM."""
    guest = env.machine.guests[1]
    calls = CoveCalls(env.machine, env.device, guest)
    ghc.guest_life(env.machine, env.device, guest, calls)
    calls.bind(1)
    with refuses("DMA before RUN", TsmReason.NOT_RUNNING):
        calls.dma_enable(1)
    expect("MMIO before RUN", calls.mmio_enable(1), TvmReason.RUNNING)
    with refuses("RUN after an earlier lock", TsmReason.STALE):
        calls.run(1, calls.evidence("report", 1).generation - 1)
    calls.unbind(1)
    return "one interface used and stopped through the common calls, three refused on another"


def stranger(policy: TvmPolicy) -> bytes:
    """A root certificate of somebody else, DER."""
    root = x509.load_der_x509_certificate(policy.anchors[0])
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another root")])
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(root.not_valid_before_utc).not_valid_after(root.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA384()).public_bytes(Encoding.DER))
