# SPDX-License-Identifier: Apache-2.0
"""Every wire type: decode(encode(x)) == x, and any bytes give a value or DecodeError.

For whatever decodes, encoding must give the consumed bytes back: decoders lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from teeio.errors import DecodeError, LocalError
from teeio.wire import ide_km, tdisp
from teeio.wire import spdm_chunk as chunk
from teeio.wire import spdm_connection as connection
from teeio.wire import spdm_identity as identity
from teeio.wire import spdm_measurements as measurements
from teeio.wire import spdm_provision as provision
from teeio.wire import spdm_session as session
from teeio.wire.doe import DiscoveryRequest, DiscoveryResponse, DoeObject
from teeio.wire.ide_registers import (
    AddressAssociation,
    IdeRegisters,
    LinkBlock,
    SelectiveBlock,
    from_dwords,
)
from teeio.wire.opaque import (
    OpaqueData,
    OpaqueElement,
    read_supported_versions,
    read_version_selection,
    supported_versions,
    version_selection,
)
from teeio.wire.pcap import PcapFile, PcapRecord
from teeio.wire.reader import Reader, decode_whole
from teeio.wire.secured import SecuredRecord, unwrap_application, wrap_application
from teeio.wire.spdm import MESSAGES, decode_message
from teeio.wire.spdm_base import Code, Layout, SpdmMessage
from teeio.wire.spdm_error import NotReady, RespondIfReady, SpdmError
from teeio.wire.spdm_vendor import VendorDefinedRequest, VendorDefinedResponse
from teeio.wire.tdisp_report import InterfaceReport, MmioRange

u1, u2, u4 = st.integers(0, 1), st.integers(0, 3), st.integers(0, 15)
u8, u16, u24 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFF_FFFF)
u32, u64 = st.integers(0, 0xFFFF_FFFF), st.integers(0, (1 << 64) - 1)
version = st.sampled_from([0x12, 0x13])
params = {"param1": u8, "param2": u8}


class Codec(Protocol):
    def encode(self) -> bytes: ...


def fixed(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def short(limit: int = 40) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=limit)


digest, signature, point, nonce = fixed(48), fixed(96), fixed(96), fixed(32)


def with_context(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Gives a 1.3 message its RequesterContext."""
    return strategy.flatmap(
        lambda m: fixed(8).map(lambda c: replace(m, context=c if m.version >= 0x13 else b""))
    )


# --- SPDM ----------------------------------------------------------------------------------

alg_structs = st.lists(
    st.builds(
        connection.AlgStruct,
        alg_type=u8,
        mask=u16,
        external=st.lists(u32, max_size=3).map(tuple),
    ),
    max_size=4,
    unique_by=lambda item: item.alg_type,
).map(lambda items: tuple(sorted(items, key=lambda item: item.alg_type)))
capability_fields = {
    "version": version,
    "ct_exponent": u8,
    "flags": u32,
    "data_transfer_size": u32,
    "max_message_size": u32,
    "reserved_4": u8,
    "reserved_6": u16,
    **params,
}
algorithm_fields = {
    "version": version,
    "measurement_specification": u8,
    "other_params": u8,
    "base_asym": u32,
    "base_hash": u32,
    "structs": alg_structs,
    "external_asym": st.lists(u32, max_size=2).map(tuple),
    "external_hash": st.lists(u32, max_size=2).map(tuple),
    "mel_specification": u8,
    "param2": u8,
}
block = st.builds(
    measurements.MeasurementBlock,
    index=st.integers(1, 0xFE),
    value_type=st.integers(0, 0x7F),
    is_raw=st.booleans(),
    value=short(),
)


@st.composite
def digests(draw: st.DrawFn) -> identity.Digests:
    mask = draw(u8)
    return identity.Digests(
        version=draw(version),
        supported_slots=draw(u8),
        provisioned_slots=mask,
        digests=tuple(draw(digest) for _ in range(mask.bit_count())),
    )


@st.composite
def get_measurements(draw: st.DrawFn) -> measurements.GetMeasurements:
    attributes = draw(u8)
    signed = bool(attributes & 1)
    number = draw(version)
    return measurements.GetMeasurements(
        version=number,
        attributes=attributes,
        operation=draw(u8),
        nonce=draw(nonce) if signed else b"",
        slot=draw(u8) if signed else 0,
        context=draw(fixed(8)) if number >= 0x13 else b"",
    )


@st.composite
def chunks(draw: st.DrawFn, kind: Any) -> SpdmMessage:
    """LargeMessageSize is there in chunk 0 alone."""
    sequence = draw(u16)
    return kind(
        version=draw(version), attributes=draw(u8), handle=draw(u8), sequence=sequence,
        chunk=draw(short()), large_size=0 if sequence else draw(u32), reserved=draw(u16),
    )


@st.composite
def spdm_errors(draw: st.DrawFn) -> SpdmError:
    error = draw(u8)
    size = {0x42: 4, 0x0D: 4, 0x12: 4, 0x0F: 1}.get(error, 0)
    extended = draw(short(32)) if error == 0xFF else draw(fixed(size))
    number = draw(st.sampled_from([0x10, 0x12, 0x13]))
    return SpdmError(version=number, error=error, data=draw(u8), extended=extended)


PLAIN = Layout()
SUMMARY = Layout(has_summary=True)
SIGNED = Layout(is_signed=True)
CLEAR = Layout(has_verify_data=False)

SPDM: list[tuple[type[SpdmMessage], st.SearchStrategy[Any], Layout]] = [
    (connection.GetVersion, st.builds(connection.GetVersion, **params), PLAIN),
    (
        connection.Version,
        st.builds(
            connection.Version, entries=st.lists(u16, max_size=5).map(tuple), reserved=u8, **params
        ),
        PLAIN,
    ),
    (connection.GetCapabilities, st.builds(connection.GetCapabilities, **capability_fields), PLAIN),
    (connection.Capabilities, st.builds(connection.Capabilities, **capability_fields), PLAIN),
    (
        connection.NegotiateAlgorithms,
        st.builds(
            connection.NegotiateAlgorithms,
            reserved_16=st.integers(0, (1 << 96) - 1),
            reserved_30=u8,
            **algorithm_fields,
        ),
        PLAIN,
    ),
    (
        connection.Algorithms,
        st.builds(
            connection.Algorithms,
            measurement_hash=u32,
            reserved_20=st.integers(0, (1 << 88) - 1),
            reserved_34=u16,
            **algorithm_fields,
        ),
        PLAIN,
    ),
    (identity.GetDigests, st.builds(identity.GetDigests, version=version, **params), PLAIN),
    (identity.Digests, digests(), PLAIN),
    (
        identity.GetCertificate,
        st.builds(
            identity.GetCertificate,
            version=version,
            slot=u8,
            offset=u16,
            length=u16,
            param2=u8,
        ),
        PLAIN,
    ),
    (
        identity.Certificate,
        st.builds(
            identity.Certificate,
            version=version,
            slot=u8,
            portion=short(),
            remainder=u16,
            certificate_info=u8,
        ),
        PLAIN,
    ),
    (
        identity.Challenge,
        with_context(
            st.builds(identity.Challenge, version=version, slot=u8, summary_type=u8, nonce=nonce)
        ),
        PLAIN,
    ),
    (
        identity.ChallengeAuth,
        with_context(
            st.builds(
                identity.ChallengeAuth,
                version=version,
                slot=u8,
                slot_mask=u8,
                chain_hash=digest,
                nonce=nonce,
                summary=digest,
                opaque=short(),
                context=st.just(b""),
                signature=signature,
            )
        ),
        SUMMARY,
    ),
    (measurements.GetMeasurements, get_measurements(), PLAIN),
    (
        measurements.Measurements,
        with_context(
            st.builds(
                measurements.Measurements,
                version=version,
                index_count=u8,
                param2=u8,
                block_count=u8,
                record=short(),
                nonce=nonce,
                opaque=short(),
                context=st.just(b""),
                signature=signature,
            )
        ),
        SIGNED,
    ),
    (
        session.KeyExchange,
        st.builds(
            session.KeyExchange,
            version=version,
            summary_type=u8,
            slot=u8,
            req_session_id=u16,
            session_policy=u8,
            random=nonce,
            exchange_data=point,
            opaque=short(),
            reserved=u8,
        ),
        PLAIN,
    ),
    (
        session.KeyExchangeRsp,
        st.builds(
            session.KeyExchangeRsp,
            version=version,
            heartbeat_period=u8,
            rsp_session_id=u16,
            mut_auth_requested=u8,
            slot_id_param=u8,
            random=nonce,
            exchange_data=point,
            summary=digest,
            opaque=short(),
            signature=signature,
            verify_data=digest,
            param2=u8,
        ),
        SUMMARY,
    ),
    (
        session.KeyExchangeRsp,
        st.builds(
            session.KeyExchangeRsp,
            version=version,
            heartbeat_period=u8,
            rsp_session_id=u16,
            mut_auth_requested=u8,
            slot_id_param=u8,
            random=nonce,
            exchange_data=point,
            summary=st.just(b""),
            opaque=short(),
            signature=signature,
            verify_data=st.just(b""),
            param2=u8,
        ),
        CLEAR,
    ),
    (
        session.Finish,
        st.builds(
            session.Finish,
            version=version,
            param1=st.just(1),
            slot=u8,
            signature=signature,
            verify_data=digest,
        ),
        PLAIN,
    ),
    (
        session.Finish,
        st.builds(
            session.Finish,
            version=version,
            param1=st.just(0),
            slot=u8,
            signature=st.just(b""),
            verify_data=digest,
        ),
        PLAIN,
    ),
    (session.FinishRsp, st.builds(session.FinishRsp, version=version, **params), PLAIN),
    (
        session.FinishRsp,
        st.builds(session.FinishRsp, version=version, verify_data=digest, **params),
        CLEAR,
    ),
    (session.Heartbeat, st.builds(session.Heartbeat, version=version, **params), PLAIN),
    (session.HeartbeatAck, st.builds(session.HeartbeatAck, version=version, **params), PLAIN),
    (session.KeyUpdate, st.builds(session.KeyUpdate, version=version, operation=u8, tag=u8), PLAIN),
    (
        session.KeyUpdateAck,
        st.builds(session.KeyUpdateAck, version=version, operation=u8, tag=u8),
        PLAIN,
    ),
    (
        session.EndSession,
        st.builds(session.EndSession, version=version, attributes=u8, param2=u8),
        PLAIN,
    ),
    (session.EndSessionAck, st.builds(session.EndSessionAck, version=version, **params), PLAIN),
    (
        VendorDefinedRequest,
        st.builds(
            VendorDefinedRequest,
            version=version,
            payload=short(),
            standard_id=u16,
            vendor_id=short(8),
            **params,
        ),
        PLAIN,
    ),
    (
        VendorDefinedResponse,
        st.builds(
            VendorDefinedResponse,
            version=version,
            payload=short(),
            standard_id=u16,
            vendor_id=short(8),
            **params,
        ),
        PLAIN,
    ),
    (SpdmError, spdm_errors(), PLAIN),
    (RespondIfReady, st.builds(RespondIfReady, version=version, request_code=u8, token=u8), PLAIN),
    (
        provision.GetCsr,
        st.builds(
            provision.GetCsr, version=version, requester_info=short(), opaque=short(), **params
        ),
        PLAIN,
    ),
    (
        provision.Csr,
        st.builds(provision.Csr, version=version, csr=short(), reserved=u16, **params),
        PLAIN,
    ),
    (
        provision.SetCertificate,
        st.builds(
            provision.SetCertificate, version=version, structure=short(), **params
        ),
        PLAIN,
    ),
    (
        provision.SetCertificateRsp,
        st.builds(provision.SetCertificateRsp, version=version, slot=u8, param2=u8),
        PLAIN,
    ),
    (chunk.ChunkSend, chunks(chunk.ChunkSend), PLAIN),
    (chunk.ChunkResponse, chunks(chunk.ChunkResponse), PLAIN),
    (
        chunk.ChunkSendAck,
        st.builds(
            chunk.ChunkSendAck, version=version, attributes=u8, handle=u8, sequence=u16,
            response=short(),
        ),
        PLAIN,
    ),
    (
        chunk.ChunkGet,
        st.builds(chunk.ChunkGet, version=version, param1=u8, handle=u8, sequence=u16),
        PLAIN,
    ),
]


@settings(max_examples=300)
@given(st.integers(0, len(SPDM) - 1), st.data())
def test_spdm_messages_round_trip(which: int, data: st.DataObject) -> None:
    """Each message through its own decoder and through the one that goes by code."""
    kind, strategy, layout = SPDM[which]
    message = data.draw(strategy)
    assert isinstance(message, kind)
    if isinstance(message, connection.NegotiateAlgorithms):
        assume(len(message.encode()) <= 128)
    encoded = message.encode()
    assert encoded[1] == message.CODE
    assert decode_message(encoded, layout) == message


def test_every_spdm_message_has_a_strategy() -> None:
    """The list above covers the registry."""
    assert {kind.CODE for kind, _strategy, _layout in SPDM} == set(MESSAGES)


@settings(max_examples=500)
@given(
    st.sampled_from(sorted(MESSAGES)),
    st.sampled_from([0x10, 0x12, 0x13, 0x14]),
    st.binary(max_size=400),
    st.sampled_from([PLAIN, SUMMARY, SIGNED, CLEAR, Layout(multi_key=True)]),
    st.booleans(),
)
def test_spdm_decoders_survive_any_bytes(
    code: int, number: int, body: bytes, layout: Layout, strict: bool
) -> None:
    """A value or DecodeError; and what decodes, encodes to the same bytes."""
    data = bytes([number, code]) + body
    try:
        message = decode_message(data, layout, strict=strict)
    except DecodeError:
        return
    assert message.encode() == data


@given(st.binary(max_size=64))
def test_spdm_registry_survives_any_bytes(data: bytes) -> None:
    try:
        message = decode_message(data, PLAIN)
    except DecodeError:
        return
    assert message.encode() == data


def test_unsecured_padding_is_tolerated_up_to_three_bytes() -> None:
    """A type 1 object pads to DWs; a fourth byte, or a nonzero one in strict mode, is refused."""
    message = connection.Version(entries=(0x1200, 0x1300, 0x1100))
    data = message.encode()
    for pad in range(4):
        assert decode_message(data + bytes(pad), PLAIN, pad=3) == message
    with pytest.raises(DecodeError):
        decode_message(data + bytes(4), PLAIN, pad=3)
    assert decode_message(data + b"\x01", PLAIN, pad=3) == message
    with pytest.raises(DecodeError):
        decode_message(data + b"\x01", PLAIN, pad=3, strict=True)


def test_reserved_fields_are_kept_and_judged_by_policy() -> None:
    """Lenient: recorded as a note. Strict: refused."""
    odd = session.HeartbeatAck(version=0x12, param1=7).encode()
    reader = Reader(odd)
    message = session.HeartbeatAck.decode(reader, PLAIN)
    assert message.param1 == 7 and [note.field for note in reader.notes] == ["HEARTBEAT_ACK param1"]
    with pytest.raises(DecodeError, match="param1"):
        session.HeartbeatAck.decode(Reader(odd, strict=True), PLAIN)


def test_algorithm_tables_must_ascend() -> None:
    """Duplicates and wrong order of AlgType are malformed."""
    good = connection.AlgStruct(alg_type=2, mask=0x10)
    message = connection.Algorithms(
        version=0x12, measurement_specification=1, other_params=2, measurement_hash=4,
        base_asym=0x80, base_hash=2, structs=(good, good),
    )  # fmt: skip
    with pytest.raises(DecodeError, match="ascending"):
        decode_message(message.encode(), PLAIN)


def test_values_that_do_not_fit_are_local_errors() -> None:
    """Encoders never truncate."""
    for bad in (
        session.KeyUpdate(version=0x12, operation=256, tag=0),
        session.KeyExchange(
            version=0x12, summary_type=0, slot=0, req_session_id=0, session_policy=0,
            random=b"short", exchange_data=b"", opaque=b"",
        ),
        identity.Challenge(version=0x12, slot=0, summary_type=0, nonce=bytes(32), context=b"x"),
    ):  # fmt: skip
        with pytest.raises(LocalError):
            bad.encode()


# --- The other codecs ------------------------------------------------------------------------

address = st.builds(AddressAssociation, register_1=u32, register_2=u32, register_3=u32)


@st.composite
def selective_blocks(draw: st.DrawFn) -> SelectiveBlock:
    addresses = tuple(draw(st.lists(address, max_size=3)))
    return SelectiveBlock(
        capability=draw(u32) & ~0xF | len(addresses),
        control=draw(u32),
        status=draw(u32),
        rid_association_1=draw(u32),
        rid_association_2=draw(u32),
        addresses=addresses,
    )


@st.composite
def ide_registers(draw: st.DrawFn) -> IdeRegisters:
    links = draw(st.lists(st.builds(LinkBlock, control=u32, status=u32), max_size=3))
    selective = draw(st.lists(selective_blocks(), max_size=3))
    capability = draw(u32) & ~0x00FF_E003
    if links:
        capability |= 1 | (len(links) - 1) << 13
    if selective:
        capability |= 2 | (len(selective) - 1) << 16
    return IdeRegisters(
        capability=capability,
        control=draw(u32),
        link_blocks=tuple(links),
        selective_blocks=tuple(selective),
    )


key_info = st.builds(ide_km.KeyInfo, key_set=u1, direction=u1, sub_stream=u4, reserved=u2)
key_set_fields = {
    "stream_id": u8, "key_info": key_info, "port_index": u8, "reserved_2": u16, "reserved_5": u8,
}  # fmt: skip
IDE_KM: list[st.SearchStrategy[Any]] = [
    st.builds(ide_km.Query, port_index=u8, reserved=u8),
    st.builds(
        ide_km.QueryResp,
        port_index=u8, dev_func=u8, bus=u8, segment=u8, max_port_index=u8,
        registers=ide_registers(), extra=st.binary(max_size=3).map(lambda b: 4 * b), reserved=u8,
    ),
    st.builds(ide_km.KeyProg, key=fixed(32), ifv=u64, **key_set_fields),
    st.builds(
        ide_km.KpAck, stream_id=u8, status=u8, key_info=key_info, port_index=u8, reserved=u16
    ),
    st.builds(ide_km.KSetGo, **key_set_fields),
    st.builds(ide_km.KSetStop, **key_set_fields),
    st.builds(ide_km.KGoStopAck, **key_set_fields),
]  # fmt: skip

interface = st.builds(tdisp.InterfaceId, function_id=u32, reserved=u64)
head = {"interface": interface, "version": u8, "reserved_header": u16}
mmio_range = st.builds(MmioRange, first_page=u64, pages=u32, attributes=u16, range_id=u16)
HEADER_ONLY = (
    tdisp.GetTdispVersion, tdisp.GetDeviceInterfaceState, tdisp.StartInterfaceResponse,
    tdisp.StopInterfaceRequest, tdisp.StopInterfaceResponse, tdisp.BindP2pStreamResponse,
    tdisp.UnbindP2pStreamResponse, tdisp.SetMmioAttributeResponse,
)  # fmt: skip


@st.composite
def tdisp_errors(draw: st.DrawFn) -> tdisp.TdispError:
    extended = draw(short(8))
    base = draw(st.builds(tdisp.TdispError, error=st.just(0xFF), **head))
    if draw(st.booleans()):
        return replace(base, data=len(extended), extended=extended)
    return replace(base, error=draw(st.sampled_from([1, 3, 4, 5, 7, 0x41, 0x101])), data=draw(u32))


TDISP: list[tuple[type[tdisp.TdispMessage], st.SearchStrategy[Any]]] = [
    *((kind, st.builds(kind, **head)) for kind in HEADER_ONLY),
    (
        tdisp.TdispVersion,
        st.builds(tdisp.TdispVersion, entries=st.lists(u8, max_size=4).map(tuple), **head),
    ),
    (tdisp.GetTdispCapabilities, st.builds(tdisp.GetTdispCapabilities, tsm_caps=u32, **head)),
    (
        tdisp.TdispCapabilities,
        st.builds(
            tdisp.TdispCapabilities,
            dsm_caps=u32,
            requests=st.integers(0, (1 << 128) - 1),
            lock_flags=u16,
            address_width=u8,
            num_req_this=u8,
            num_req_all=u8,
            reserved=u24,
            **head,
        ),
    ),
    (
        tdisp.LockInterfaceRequest,
        st.builds(
            tdisp.LockInterfaceRequest,
            flags=u16,
            stream_id=u8,
            mmio_reporting_offset=st.integers(-(1 << 63), (1 << 63) - 1),
            bind_p2p_address_mask=u64,
            reserved=u8,
            **head,
        ),
    ),
    (tdisp.LockInterfaceResponse, st.builds(tdisp.LockInterfaceResponse, nonce=nonce, **head)),
    (tdisp.StartInterfaceRequest, st.builds(tdisp.StartInterfaceRequest, nonce=nonce, **head)),
    (
        tdisp.GetDeviceInterfaceReport,
        st.builds(tdisp.GetDeviceInterfaceReport, offset=u16, length=u16, **head),
    ),
    (
        tdisp.DeviceInterfaceReport,
        st.builds(tdisp.DeviceInterfaceReport, portion=short(), remainder=u16, **head),
    ),
    (tdisp.DeviceInterfaceState, st.builds(tdisp.DeviceInterfaceState, state=u8, **head)),
    (tdisp.BindP2pStreamRequest, st.builds(tdisp.BindP2pStreamRequest, stream_id=u8, **head)),
    (tdisp.UnbindP2pStreamRequest, st.builds(tdisp.UnbindP2pStreamRequest, stream_id=u8, **head)),
    (
        tdisp.SetMmioAttributeRequest,
        st.builds(tdisp.SetMmioAttributeRequest, mmio_range=mmio_range, **head),
    ),
    (
        tdisp.VdmRequest,
        st.builds(tdisp.VdmRequest, registry_id=u8, vendor_id=short(8), data=short(), **head),
    ),
    (
        tdisp.VdmResponse,
        st.builds(tdisp.VdmResponse, registry_id=u8, vendor_id=short(8), data=short(), **head),
    ),
    (tdisp.TdispError, tdisp_errors()),
]


@settings(max_examples=200)
@given(st.one_of(*IDE_KM))
def test_ide_km_objects_round_trip(message: Any) -> None:
    assert ide_km.decode_message(message.encode()) == message


@settings(max_examples=200)
@given(st.integers(0, len(TDISP) - 1), st.data())
def test_tdisp_messages_round_trip(which: int, data: st.DataObject) -> None:
    kind, strategy = TDISP[which]
    message = data.draw(strategy)
    assert isinstance(message, kind)
    assert tdisp.from_payload(message.to_payload()) == message
    assert message.encode()[:2] == bytes([message.version, message.CODE])


def test_every_tdisp_code_has_a_strategy() -> None:
    assert {kind.CODE for kind, _strategy in TDISP} == set(tdisp.TdispCode)


@settings(max_examples=300)
@given(st.integers(0, 7), st.binary(max_size=120), st.booleans())
def test_ide_km_decoder_survives_any_bytes(kind: int, body: bytes, strict: bool) -> None:
    data = bytes([0, kind]) + body
    try:
        message = ide_km.decode_message(data, strict=strict)
    except DecodeError:
        return
    assert message.encode() == data


@settings(max_examples=300)
@given(st.sampled_from(sorted(tdisp.TdispCode)), st.binary(max_size=120), st.booleans())
def test_tdisp_decoder_survives_any_bytes(code: int, body: bytes, strict: bool) -> None:
    data = bytes([1, 0x10, code]) + body
    try:
        message = tdisp.from_payload(data, strict=strict)
    except DecodeError:
        return
    assert message.to_payload() == data


OTHERS: list[tuple[st.SearchStrategy[Any], Callable[[Reader], Codec]]] = [
    (
        st.builds(
            DoeObject,
            object_type=u8, payload=st.binary(max_size=12).map(lambda b: 4 * b), vendor_id=u16,
            reserved_type=u8, reserved_length=st.integers(0, (1 << 14) - 1),
        ),
        DoeObject.decode,
    ),
    (st.builds(DiscoveryRequest, index=u8, version=u8, reserved=u16), DiscoveryRequest.decode),
    (
        st.builds(DiscoveryResponse, vendor_id=u16, object_type=u8, next_index=u8),
        DiscoveryResponse.decode,
    ),
    (st.builds(SecuredRecord, session_id=u32, ciphertext=st.binary(min_size=2, max_size=60),
               tag=fixed(16)), SecuredRecord.decode),
    (
        st.builds(
            OpaqueData,
            elements=st.lists(
                st.builds(OpaqueElement, data=short(), registry_id=u8, vendor=short(6)),
                min_size=1, max_size=3,
            ).map(tuple),
            reserved=u24,
        ),
        OpaqueData.decode,
    ),
    (block, measurements.MeasurementBlock.decode),
    (
        st.builds(
            measurements.DeviceMode,
            operational_capabilities=u32, operational_state=u32, device_capabilities=u32,
            device_state=u32,
        ),
        measurements.DeviceMode.decode,
    ),
    (
        st.builds(NotReady, rdt_exponent=u8, request_code=u8, token=u8, rdt_multiplier=u8),
        NotReady.decode,
    ),
    (ide_registers(), IdeRegisters.decode),
    (
        st.builds(
            InterfaceReport,
            interface_info=u16, msix_message_control=u16, lnr_control=u16, tph_control=u32,
            ranges=st.lists(mmio_range, max_size=3).map(tuple), device_specific=short(),
            reserved=u16,
        ),
        InterfaceReport.decode,
    ),
]  # fmt: skip


@settings(max_examples=200)
@given(st.integers(0, len(OTHERS) - 1), st.data())
def test_other_types_round_trip(which: int, data: st.DataObject) -> None:
    strategy, decode = OTHERS[which]
    value = data.draw(strategy)
    assert decode_whole(decode, value.encode()) == value


@settings(max_examples=400)
@given(st.integers(0, len(OTHERS) - 1), st.binary(max_size=100), st.booleans())
def test_other_decoders_survive_any_bytes(which: int, data: bytes, strict: bool) -> None:
    try:
        value = decode_whole(OTHERS[which][1], data, strict=strict)
    except DecodeError:
        return
    assert value.encode() == data


@given(st.binary(max_size=60))
def test_application_data_round_trips_and_survives(data: bytes) -> None:
    assert unwrap_application(wrap_application(data), strict=True) == data
    try:
        unwrap_application(data)
    except DecodeError:
        pass


records = st.lists(
    st.builds(PcapRecord, data=short(), time_us=st.integers(0, (1 << 32) * 1_000_000 - 1)),
    max_size=4,
).map(tuple)


@given(records, st.sampled_from([292, 147]))
def test_pcap_files_round_trip(items: tuple[PcapRecord, ...], link: int) -> None:
    file = PcapFile(items, link)
    assert PcapFile.decode(file.encode()) == file


@given(st.binary(max_size=40), st.binary(max_size=60))
def test_pcap_reader_survives_any_bytes(junk: bytes, tail: bytes) -> None:
    for data in (junk, PcapFile((), 292).encode() + tail):
        try:
            PcapFile.decode(data)
        except DecodeError:
            pass


def test_pcap_header_is_what_spdm_dump_reads() -> None:
    """Little-endian magic, version 2.4, snap length 65536, link type 292."""
    want = "d4c3b2a10200040000000000000000000000010024010000"
    assert PcapFile(()).encode().hex() == want


# --- Known bytes -----------------------------------------------------------------------------


def test_opaque_data_has_the_worked_bytes() -> None:
    """The request offers 1.1 and 1.2 in 16 bytes, the answer selects 1.2 in 12."""
    offer = supported_versions((0x1100, 0x1200))
    assert offer.hex(" ", 4) == "01000000 00000700 01010200 11001200"
    selection = version_selection(0x1200)
    assert selection.hex(" ", 4) == "01000000 00000400 01000012"
    assert read_supported_versions(offer) == (0x1100, 0x1200)
    assert read_version_selection(selection) == 0x1200


@pytest.mark.parametrize(
    "bad",
    [
        "",  # nothing
        "00000000",  # no element
        "0100000000000400010000",  # cut
        "01000000000004000100001201",  # bytes behind
        "0100000000000700010102001100120 1".replace(" ", ""),  # padding not zero
        "010000000000030001010000",  # empty list is no selection
    ],
)
def test_broken_version_selections_are_refused(bad: str) -> None:
    with pytest.raises(DecodeError):
        read_version_selection(bytes.fromhex(bad))


def test_key_prog_has_the_worked_key_bytes() -> None:
    """AES key df254152... travels as 524125df..., IFV 1 as 0000000001000000."""
    wire_key = "524125dfe0026e05eb7f8befd9d4399701b84e6af71d2403b4245ecd2027cd9c"
    wire = bytes.fromhex(wire_key)
    key = b"".join(wire[i : i + 4][::-1] for i in range(0, 32, 4))
    assert key.hex().startswith("df254152056e02e0")
    info = ide_km.KeyInfo(key_set=0, direction=1, sub_stream=2)
    message = ide_km.KeyProg(stream_id=7, key_info=info, port_index=3, key=key)
    head = "0002000007002203"
    assert message.encode().hex() == head + wire_key + "0000000001000000"
    assert len(message.encode()) == 48
    assert key.hex() not in repr(message) and repr(key) not in repr(message)


def test_tdisp_sizes_are_those_of_the_table() -> None:
    """Sizes of tdisp facts, section 3; the nonce does not show."""
    who = tdisp.InterfaceId.of(0x0100)
    sizes = {
        tdisp.GetTdispVersion(interface=who): 16,
        tdisp.TdispVersion(interface=who, entries=(0x10,)): 18,
        tdisp.GetTdispCapabilities(interface=who): 20,
        tdisp.TdispCapabilities(
            interface=who, dsm_caps=0, requests=0xFE, lock_flags=0, address_width=52,
            num_req_this=1, num_req_all=1,
        ): 44,
        tdisp.LockInterfaceRequest(interface=who, flags=0, stream_id=0): 36,
        tdisp.LockInterfaceResponse(interface=who, nonce=b"\xa5" * 32): 48,
        tdisp.GetDeviceInterfaceReport(interface=who, offset=0, length=1): 20,
        tdisp.DeviceInterfaceState(interface=who, state=0): 17,
        tdisp.StartInterfaceRequest(interface=who, nonce=b"\xa5" * 32): 48,
        tdisp.StopInterfaceRequest(interface=who): 16,
        tdisp.BindP2pStreamRequest(interface=who, stream_id=1): 17,
        tdisp.TdispError(interface=who, error=1): 24,
    }  # fmt: skip
    for message, size in sizes.items():
        assert len(message.encode()) == size, message
        assert "a5a5" not in repr(message) and "\\xa5" not in repr(message)
    capabilities = next(m for m in sizes if isinstance(m, tdisp.TdispCapabilities))
    assert capabilities.encode()[20] == 0xFE
    assert capabilities.supports(tdisp.TdispCode.STOP_INTERFACE_REQUEST)
    assert not capabilities.supports(tdisp.TdispCode.VDM_REQUEST)


def test_interface_id_fields() -> None:
    """Requester ID in [15:0], segment in [23:16], valid bit 24."""
    assert tdisp.InterfaceId.of(0xBEEF).function_id == 0xBEEF
    with_segment = tdisp.InterfaceId.of(0x0100, segment=3)
    assert with_segment.function_id == 0x0103_0100 and with_segment.segment == 3
    assert str(tdisp.InterfaceId.of(0x0109)) == "01:01.1"


def test_doe_header_of_a_known_frame() -> None:
    """GET_VERSION as seen from the reference emulators; length 0 means 2^18 DWs; 1 is illegal."""
    wire = bytes.fromhex("010001000300000010840000")
    assert DoeObject.wrap(1, connection.GetVersion().encode()).encode() == wire
    assert decode_whole(DoeObject.decode, wire).payload[1] == Code.GET_VERSION
    with pytest.raises(DecodeError, match="below two"):
        decode_whole(DoeObject.decode, bytes.fromhex("0100010001000000"))
    with pytest.raises(DecodeError, match="1048568 bytes"):
        decode_whole(DoeObject.decode, bytes.fromhex("0100010000000000"))


def test_ide_registers_of_a_worked_capability() -> None:
    """One link block, two selective blocks with one address association each."""
    values = (
        0x0001_0043,  # link + selective, IDE_KM, TC count 0, two selective
        0,
        0x0100_0000, 0,  # link: stream 1, disabled
        1, 0x0540_0001, 2, 0x00FF_FF00, 0x0001_0001, 0xFFF0_0001 | 0x800 << 8, 0x1, 0x1,
        1, 0, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    registers = from_dwords(values)
    assert registers.has_link and registers.has_selective and registers.has_ide_km
    assert len(registers.link_blocks) == 1 and registers.link_blocks[0].fields.stream_id == 1
    first, second = registers.selective_blocks
    assert first.fields.is_enabled and first.fields.is_default and first.fields.stream_id == 5
    assert (first.rid_base, first.rid_limit, first.rid_is_valid) == (0x0100, 0xFFFF, True)
    assert first.addresses[0].is_valid
    assert first.addresses[0].base == 0x1_8000_0000
    assert first.addresses[0].limit == 0x1_FFFF_FFFF
    assert not second.fields.is_enabled
    with pytest.raises(DecodeError):
        from_dwords(values[:-1])
    with pytest.raises(DecodeError):
        from_dwords((*values, 0))


@given(st.integers(0, len(SPDM) - 1), st.data())
def test_messages_are_frozen_and_slotted(which: int, data: st.DataObject) -> None:
    """No attribute can be added to or changed in a message."""
    message = data.draw(SPDM[which][1])
    with pytest.raises(AttributeError):
        message.version = 0
    assert not hasattr(message, "__dict__")
