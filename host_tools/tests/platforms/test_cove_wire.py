# SPDX-License-Identifier: Apache-2.0
"""CoVE-IO: structures byte by byte, numbers of calls, key calls at a real root port, the ecall."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from teeio.core.certificates import PcieIdentity
from teeio.core.enumerate import DEVCAP_TEE_IO, Function
from teeio.core.memory import HostMemory
from teeio.core.rootport import RootPort
from teeio.core.secret import Secret
from teeio.core.tsm import TsmPolicy
from teeio.errors import DecodeError, LocalError
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PageReason, PageTableChecker
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.cove.interface import VMM, CoveInterface
from teeio.platforms.cove.manifest import manifest_for
from teeio.platforms.cove.rdsm import Rdsm
from teeio.platforms.cove.rules import CoveReason
from teeio.platforms.cove.sbi import Covg, Covh, Covt, Eid, KeyStatus, SbiError, SbiRet, TvmExit
from teeio.platforms.cove.transcript import Element, parse
from teeio.platforms.cove.tsm import NOWHERE, CoveTsm
from teeio.platforms.cove.wire import (
    RX,
    TX,
    ConnectionTranscript,
    KeyData,
    KeyDescriptor,
    PendingSpdm,
    StreamDescriptor,
    address_block,
)
from teeio.wire.ide_km import KeyDirection, SubStream
from teeio.wire.reader import decode_whole

KEY = bytes(range(32))
WINDOW = 0x80_0000_0000


def descriptor(stream_id: int = 1) -> StreamDescriptor:
    return StreamDescriptor(stream_id=stream_id, rid_base=0x0100, rid_limit=0x0103,
                            blocks=(address_block(WINDOW, WINDOW + (1 << 28) - 1),))


def test_numbers_of_calls_and_errors() -> None:
    assert [e.to_bytes(4, "big") for e in (Eid.COVH, Eid.COVG, Eid.COVI, Eid.COVT)] == [
        b"COVH", b"COVG", b"COVI", b"COVT"]
    assert sorted(Covh) == [1024, 1025, 1026, 1027, 1028, 1030, 1031, 1032, 1033, 1034]
    assert sorted(Covg) == list(range(1024, 1032))
    assert sorted(Covt) == list(range(1024, 1030))
    assert (Covh.UNBIND_INTERFACE, Covg.START_INTERFACE, Covt.PROGRAM_RP_IDE_STREAM) == (
        1030, 1030, 1029)
    assert (SbiError.ALREADY_STARTED, SbiError.ALREADY_STOPPED, SbiError.INVALID_STATE) == (
        -7, -8, -10)


def test_structures_byte_by_byte() -> None:
    # Stream 5, one block; RIDs 0100h..0103h; 80_0000_0000h..80_0FFF_FFFFh, in whole MiB.
    block = address_block(0x80_0000_0000, 0x80_0FFF_FFFF)
    stream = StreamDescriptor(stream_id=5, rid_base=0x0100, rid_limit=0x0103, blocks=(block,))
    assert stream.encode().hex() == ("05010000" "00030100" "01000100"
                                     "0100f00f" "80000000" "80000000")
    assert decode_whole(StreamDescriptor.decode, stream.encode()) == stream
    assert (block.base, block.limit) == (0x80_0000_0000, 0x80_0FFF_FFFF)
    key = KeyDescriptor(stream_id=5, sub_stream=SubStream.CPL, key_set=1, direction=RX)
    assert key.encode() == bytes((5, 2, 1, 1))
    assert decode_whole(KeyDescriptor.decode, key.encode()) == key
    # DWs in the order and with the byte order of KEY_PROG; then the IV, high DW first, value 1.
    data = KeyData(key=Secret(KEY)).encode()
    assert data.hex() == ("03020100070605040b0a09080f0e0d0c13121110171615141b1a19181f1e1d1c"
                          "0000000001000000")
    assert decode_whole(KeyData.decode, data).key.reveal() == KEY
    assert ConnectionTranscript(body=b"abc").encode() == b"\x01\x03\0\0\0abc"
    pending = PendingSpdm(function_id=1028, device_id=0x0100, payload=b"xyz")
    assert pending.encode() == bytes.fromhex("04040000 00010000 03000000") + b"xyz"


@pytest.mark.parametrize("data", ["05010100" + "00" * 20, "05000000" "00030100" "00000100",
                                  "0500000000030100"])
def test_bad_stream_descriptors(data: str) -> None:
    with pytest.raises(DecodeError):
        decode_whole(StreamDescriptor.decode, bytes.fromhex(data))


def test_directions_are_turned_round() -> None:
    """The device's Rx key is the root port's Tx key, which has number 0 here and 1 in IDE_KM."""
    for device, ours in ((KeyDirection.RX, TX), (KeyDirection.TX, RX)):
        assert KeyDescriptor.partner(1, SubStream.PR, 0, device).direction == ours
    assert (KeyDirection.RX, KeyDirection.TX) == (0, 1)
    with pytest.raises(LocalError):
        address_block(0x1000, 0xF_FFFF)


def rdsm() -> tuple[Rdsm, RootPort]:
    port = RootPort(HostMemory())
    context = Context()
    return Rdsm(context, RootPortHardware(context, port), manifest_for((), 1).ports[0]), port


def test_key_states_at_the_root_port() -> None:
    """Cleared, Programmed, Enabled; IDE comes on with the sixth key; every wrong step is told."""
    machine, port = rdsm()
    ok, state = SbiError.SUCCESS, SbiError.INVALID_STATE
    assert machine.call(Covt.PROGRAM_RP_IDE_STREAM, 0, descriptor().encode()).error is ok
    keys = [KeyDescriptor(stream_id=1, sub_stream=sub, key_set=0, direction=direction).encode()
            for direction in (RX, TX) for sub in SubStream]

    def status(key: bytes) -> int:
        return machine.call(Covt.RP_IDE_KEY_STATUS, 0, key).value

    assert machine.call(Covt.SET_GO_RP_IDE_KEY, 0, keys[0]) == SbiRet(state)
    assert machine.call(Covt.CLEAR_RP_IDE_KEY, 0, b"\1") == SbiRet(state)
    for number, key in enumerate(keys):
        data = KeyData(key=Secret(bytes((number + 1,)) * 32)).encode()
        assert status(key) == KeyStatus.CLEARED
        assert machine.call(Covt.PROGRAM_RP_IDE_KEY, 0, key, data).error is ok
        assert status(key) == KeyStatus.PROGRAMMED
    assert machine.call(Covt.SET_STOP_RP_IDE_KEY, 0, keys[0]) == SbiRet(state)
    for key in keys:
        assert not machine.secure(1)
        assert machine.call(Covt.SET_GO_RP_IDE_KEY, 0, key).error is ok
        assert status(key) == KeyStatus.ENABLED
    assert machine.secure(1) and port.trusted_stream == 1
    again = KeyData(key=Secret(KEY)).encode()
    assert machine.call(Covt.PROGRAM_RP_IDE_KEY, 0, keys[0], again) == SbiRet(state)
    assert machine.call(Covt.CLEAR_RP_IDE_KEY, 0, b"\1") == SbiRet(state)
    # A stream that fails shows its keys as Cleared.
    port.streams[1].fail()
    assert [status(key) for key in keys] == [KeyStatus.CLEARED] * 6


def test_the_root_port_takes_only_what_the_manifest_says() -> None:
    machine, _ = rdsm()
    foreign = StreamDescriptor(stream_id=1, rid_base=0x0200, rid_limit=0x0203)
    far = StreamDescriptor(stream_id=1, rid_base=0x0100, rid_limit=0x0103,
                           blocks=(address_block(WINDOW, WINDOW + (1 << 29) - 1),))
    for bad in (foreign, far):
        ret = machine.call(Covt.PROGRAM_RP_IDE_STREAM, 0, bad.encode())
        assert (ret.error, ret.reason) == (SbiError.INVALID_PARAM, CoveReason.PARAMETER)
    assert machine.call(Covt.PROGRAM_RP_IDE_STREAM, 8, descriptor().encode()).error == -3
    assert machine.call(1030, 0).error is SbiError.NOT_SUPPORTED


def interface() -> tuple[CoveInterface, CoveTsm]:
    context = Context()
    pages = PageTableChecker(context)
    policy = TsmPolicy(roots=(), at=datetime(2026, 1, 1, tzinfo=UTC), references={})
    tsm = CoveTsm(context, policy, lambda n: bytes(n),
                  RootPortHardware(context, RootPort(HostMemory())), Iommu(context, pages), pages)
    tsm.core.functions = [
        Function(0x0100 + k, 0x1234, 0x7EE0, 0, 0, bar0=WINDOW + (k << 16), bar0_size=1 << 16,
                 device_capabilities=DEVCAP_TEE_IO if k else 0) for k in range(3)]
    return CoveInterface(context, [tsm]), tsm


def test_regions_are_prepared_but_lead_nowhere() -> None:
    cove, tsm = interface()
    base = WINDOW + (1 << 16)
    assert cove.ecall(VMM, Eid.COVH, Covh.ADD_TVM_INTERFACE_REGION, 1, 0x0101, base, 0x2000).ok
    entry = tsm.pages.entries[base // 4096]
    assert (entry.guest, entry.gpa_page, entry.valid) == ("guest 1", NOWHERE, False)
    assert tsm.pages.host_access(base) is PageReason.PRIVATE
    assert tsm.pages.guest_access("guest 1", base) is PageReason.UNMAPPED
    again = cove.ecall(VMM, Eid.COVH, Covh.ADD_TVM_INTERFACE_REGION, 1, 0x0102, base, 0x1000)
    assert (again.error, again.reason) == (SbiError.FAILED, CoveReason.REGION_OVERLAP)
    assert cove.ecall(VMM, Eid.COVH, Covh.RECLAIM_TVM_INTERFACE_REGION, 1, 0x0101, base,
                      0x2000).ok
    assert tsm.pages.entries == {} and tsm.pages.host_access(base) is None


def test_calls_of_the_wrong_caller_or_for_nobody() -> None:
    cove, _ = interface()
    for caller, eid, function, args, want in (
            (VMM, Eid.COVH, 1029, (1, 0x0101), (SbiError.NOT_SUPPORTED, CoveReason.NOT_SUPPORTED)),
            (VMM, Eid.COVG, Covg.START_INTERFACE, (0x0101,), (
                SbiError.NOT_SUPPORTED, CoveReason.NOT_SUPPORTED)),
            ("guest 1", Eid.COVH, Covh.BIND_INTERFACE, (1, 0x0101), (
                SbiError.NOT_SUPPORTED, CoveReason.NOT_SUPPORTED)),
            (VMM, Eid.COVH, Covh.BIND_INTERFACE, (1, 0x0109), (
                SbiError.INVALID_PARAM, CoveReason.DEVICE)),
            (VMM, Eid.COVH, Covh.BIND_INTERFACE, (1, 0x0101), (
                SbiError.FAILED, TsmReason.NOT_CONNECTED)),
            ("guest 1", Eid.COVG, Covg.GET_DEVICE_LINK, (0x0101,), (
                SbiError.FAILED, TsmReason.NOT_BOUND))):
        ret = cove.ecall(caller, eid, function, *args)
        assert (ret.error, ret.reason) == want, (caller, function)


def test_connect_is_pending_until_the_answer_comes() -> None:
    """Value 1 with the first request in the buffer; other calls refused; no answer: FAILED, 0."""
    cove, tsm = interface()
    tsm.cove.identity = PcieIdentity(vendor_id=0x1234, device_id=0x7EE0, class_code=0, revision=0,
                                     subsystem_vendor_id=0, subsystem_id=0)

    def connect() -> SbiRet:
        return cove.ecall(VMM, Eid.COVH, Covh.CONNECT_DEVICE, 0x0100, descriptor().encode(),
                          0x1000, 0x8000)

    assert connect() == SbiRet(value=1, exit=TvmExit.SPDM)
    pending = decode_whole(PendingSpdm.decode, cove.buffers[0x0100])
    # A data object of DOE Discovery (type 0), the first thing on a mailbox.
    assert (pending.function_id, pending.device_id, pending.payload[:3]) == (
        1024, 0x0100, b"\x01\x00\x00")
    busy = cove.ecall(VMM, Eid.COVH, Covh.SPDM_HEARTBEAT, 0x0100)
    assert busy.error is SbiError.FAILED and busy.reason is not None
    assert busy.reason.name == "BUSY"
    cove.buffers[0x0100] = PendingSpdm(function_id=1031, device_id=0x0100, payload=b"x").encode()
    assert connect().reason is CoveReason.BUFFER
    cove.buffers[0x0100] = PendingSpdm(function_id=1024, device_id=0x0100, payload=b"").encode()
    assert connect() == SbiRet(SbiError.FAILED)
    assert tsm.core.session is None and tsm.link() == 0


def test_a_transcript_that_is_none() -> None:
    with pytest.raises(DecodeError):
        parse(b"\x13\x7f\0\0")
    # GET_VERSION, and VERSION with one entry (1.2), as they stand on the wire.
    body = bytes.fromhex("10840000" "100400000001" "0012")
    parsed = parse(body)
    assert parsed.element(Element.VCA) == body
    with pytest.raises(DecodeError):
        parsed.element(Element.SESSION)
    with pytest.raises(DecodeError):
        parse(body[:-1])
