# SPDX-License-Identifier: Apache-2.0
"""Two captured conversations of the DMTF reference pair, byte for byte and secret for secret."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from teeio.core.certificates import ChainPolicy, ChainStructure, VerifiedChain, verify_chain
from teeio.core.key_schedule import ApplicationSecrets, HandshakeSecrets, KeySchedule
from teeio.core.measurements import summary_input
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import (
    CONTEXT_CHALLENGE_AUTH,
    CONTEXT_KEY_EXCHANGE_RSP,
    CONTEXT_MEASUREMENTS,
    Suite,
)
from teeio.core.spdm_record import RecordChannel
from teeio.core.transcript import ConnectionTranscript, MeasurementTranscript, SessionTranscript
from teeio.wire import ide_km, tdisp
from teeio.wire.doe import DiscoveryRequest, DiscoveryResponse, DoeType
from teeio.wire.opaque import read_supported_versions, read_version_selection
from teeio.wire.reader import Reader, decode_whole
from teeio.wire.secured import SecuredRecord
from teeio.wire.spdm import decode_message
from teeio.wire.spdm_base import BaseAsym, BaseHash, Dhe, Layout, MeasurementHash, SpdmMessage
from teeio.wire.spdm_connection import Algorithms, Capabilities, Version
from teeio.wire.spdm_identity import Certificate, Challenge, ChallengeAuth, Digests, GetDigests
from teeio.wire.spdm_measurements import GetMeasurements, Measurements
from teeio.wire.spdm_session import (
    EndSessionAck,
    Finish,
    FinishRsp,
    KeyExchange,
    KeyExchangeRsp,
    KeyUpdate,
    KeyUpdateAck,
    KeyUpdateOp,
)
from teeio.wire.spdm_vendor import VendorDefinedRequest, VendorDefinedResponse
from teeio.wire.tdisp_report import InterfaceReport
from tests import capture

AT = datetime(2026, 6, 1, tzinfo=UTC)


def decode_exact(data: bytes, layout: Layout, pad: int) -> tuple[SpdmMessage, bytes]:
    """Decodes, checks that encoding gives the same bytes, returns message and its bytes."""
    message = decode_message(data, layout, pad=pad)
    encoded = message.encode()
    assert data[: len(encoded)] == encoded
    assert len(data) - len(encoded) <= pad
    return message, encoded


@dataclass
class Replay:
    """Follows a conversation with the secrets of the JSON file as oracle."""

    sessions: tuple[dict[str, Any], ...]
    layout: Layout = field(default_factory=Layout)
    suite: Suite | None = None
    connection: ConnectionTranscript = field(default_factory=ConnectionTranscript)
    measurement_log: MeasurementTranscript = field(default_factory=MeasurementTranscript)
    structures: dict[int, bytes] = field(default_factory=dict)
    digests: Digests | None = None
    seen: Counter[str] = field(default_factory=Counter)
    finished_sessions: int = 0
    session: ReplaySession | None = None
    report: bytes = b""

    def feed(self, item: capture.Exchange) -> None:
        match item.request.object_type:
            case DoeType.DISCOVERY:
                self.discovery(item)
            case DoeType.SPDM:
                self.plain(item)
            case DoeType.SECURED_SPDM:
                assert self.session is not None
                self.session.exchange(item)
                if self.session.is_over:
                    self.finished_sessions += 1
                    self.session = None

    def discovery(self, item: capture.Exchange) -> None:
        request = decode_whole(DiscoveryRequest.decode, item.request.payload, strict=True)
        response = decode_whole(DiscoveryResponse.decode, item.response.payload, strict=True)
        assert request.encode() == item.request.payload
        assert response.encode() == item.response.payload
        assert (response.vendor_id, response.object_type) == (1, request.index)
        self.seen["discovery"] += 1

    def chain(self, slot: int) -> VerifiedChain:
        structure = self.structures[slot]
        root = ChainStructure.decode(Reader(structure), 48).certificates[0]
        return verify_chain(structure, "sha384", ChainPolicy(roots=(root,), at=AT))

    def plain(self, item: capture.Exchange) -> None:
        request, raw_request = decode_exact(item.request.payload, self.layout, 3)
        layout = self.layout
        if isinstance(request, GetMeasurements):
            layout = replace(layout, is_signed=request.is_signed)
        elif isinstance(request, KeyExchange | Challenge):
            layout = replace(layout, has_summary=request.summary_type != 0)
        response, raw = decode_exact(item.response.payload, layout, 3)
        self.seen[type(response).__name__] += 1
        if isinstance(request, GetDigests):
            self.connection.identity = b""
        match response:
            case Version() | Capabilities() | Algorithms():
                self.connection.vca += raw_request + raw
                if isinstance(response, Algorithms):
                    self.take_algorithms(response)
            case Digests():
                self.digests = response
                self.connection.identity += raw_request + raw
            case Certificate():
                assert response.remainder == 0
                self.structures[response.slot] = response.portion
                self.connection.identity += raw_request + raw
            case ChallengeAuth():
                self.check_challenge(response, raw_request, raw)
            case Measurements():
                self.check_measurements(self.measurement_log, response, raw_request, raw, 0)
            case KeyExchangeRsp():
                assert isinstance(request, KeyExchange)
                self.start_session(request, response, raw_request, raw)

    def take_algorithms(self, response: Algorithms) -> None:
        self.suite = Suite(
            version=response.version,
            base_hash=BaseHash(response.base_hash),
            base_asym=BaseAsym(response.base_asym),
            dhe=Dhe(response.selected(2)),
            measurement_hash=MeasurementHash(response.measurement_hash),
        )
        assert (self.suite.hash_name, self.suite.signature_size) == ("sha384", 96)

    def check_challenge(self, response: ChallengeAuth, request: bytes, raw: bytes) -> None:
        assert self.suite is not None
        transcript = self.connection.challenge(request, raw, 96)
        key = self.chain(response.slot & 0xF).leaf_key
        signature = response.signature
        assert self.suite.verify(key, CONTEXT_CHALLENGE_AUTH, transcript, signature)
        assert not self.suite.verify(key, CONTEXT_CHALLENGE_AUTH, transcript + b"x", signature)
        assert response.chain_hash == self.suite.digest(self.structures[response.slot & 0xF])

    def check_measurements(
        self,
        log: MeasurementTranscript,
        response: Measurements,
        request: bytes,
        raw: bytes,
        slot: int,
    ) -> None:
        assert self.suite is not None
        if not response.signature:
            log.add(request, raw)
            return
        evidence = log.signed(self.connection.vca, request, raw, 96)
        log.reset()
        key = self.chain(slot).leaf_key
        assert self.suite.verify(key, CONTEXT_MEASUREMENTS, evidence, response.signature)
        assert not self.suite.verify(key, CONTEXT_CHALLENGE_AUTH, evidence, response.signature)
        assert b"".join(block.encode() for block in response.blocks()) == response.record
        self.seen["signed measurements"] += 1
        self.last_record = response.blocks()

    def start_session(
        self, request: KeyExchange, response: KeyExchangeRsp, raw_request: bytes, raw: bytes
    ) -> None:
        assert self.suite is not None and self.digests is not None
        oracle = self.sessions[self.finished_sessions]
        structure = self.structures[request.slot]
        assert self.digests.digest_of(request.slot) == self.suite.digest(structure)
        transcript = SessionTranscript(
            base=self.connection.vca,
            chain_hash=self.suite.digest(structure),
            key_exchange=raw_request,
            key_exchange_rsp=raw,
            signature_bytes=96,
            verify_bytes=48,
        )
        signed = transcript.signed()
        assert self.suite.digest(signed).hex() == oracle["key_exchange_rsp_signed_th_hash"]
        key = self.chain(request.slot).leaf_key
        assert self.suite.verify(key, CONTEXT_KEY_EXCHANGE_RSP, signed, response.signature)
        flipped = bytes([response.signature[0] ^ 1]) + response.signature[1:]
        assert not self.suite.verify(key, CONTEXT_KEY_EXCHANGE_RSP, signed, flipped)
        assert read_version_selection(response.opaque) in read_supported_versions(request.opaque)
        assert request.summary_type == 0xFF
        assert response.summary == self.suite.digest(summary_input(self.last_record, 0xFF))
        self.session = ReplaySession(self, oracle, transcript, request, response)
        self.seen["signed key exchange"] += 1


class ReplaySession:
    """One secured session of the capture."""

    def __init__(
        self,
        parent: Replay,
        oracle: dict[str, Any],
        transcript: SessionTranscript,
        request: KeyExchange,
        response: KeyExchangeRsp,
    ) -> None:
        assert parent.suite is not None
        self.parent = parent
        self.suite = parent.suite
        self.oracle = oracle
        self.transcript = transcript
        self.slot = request.slot
        self.session_id = response.rsp_session_id << 16 | request.req_session_id
        self.is_over = False
        self.log = MeasurementTranscript()
        self.schedule = KeySchedule("sha384", 48, self.suite.version)
        th1 = self.suite.digest(transcript.th1())
        assert th1.hex() == oracle["th1_hash"]
        shared = Secret(bytes.fromhex(oracle["dhe_shared_secret"]))
        self.handshake = self.schedule.handshake(shared, th1)
        self.check_handshake(self.handshake)
        verify_data = self.schedule.verify_data(self.handshake.response_finished, th1)
        assert verify_data == response.verify_data
        assert verify_data.hex() == oracle["verify_data_hmacs"][0]
        self.keys_seen = 0
        self.request_secret: Secret | None = None
        self.tx = self.channel(self.handshake.request)
        self.rx = self.channel(self.handshake.response)

    def channel(self, secret: Secret) -> RecordChannel:
        """Record keys in order of derivation, each compared with the oracle's list."""
        keys = self.schedule.record_keys(secret)
        assert keys.key.reveal().hex() == self.oracle["record_keys"][self.keys_seen]
        assert keys.iv.reveal().hex() == self.oracle["record_ivs"][self.keys_seen]
        self.keys_seen += 1
        return RecordChannel(keys)

    def check_handshake(self, secrets: HandshakeSecrets) -> None:
        oracle = self.oracle
        assert secrets.handshake.reveal().hex() == oracle["handshake_secret"]
        assert secrets.request.reveal().hex() == oracle["request_handshake_secret"]
        assert secrets.response.reveal().hex() == oracle["response_handshake_secret"]
        finished = oracle["finished_keys_req_rsp"]
        assert secrets.request_finished.reveal().hex() == finished[0]
        assert secrets.response_finished.reveal().hex() == finished[1]

    def check_application(self, secrets: ApplicationSecrets) -> None:
        oracle = self.oracle
        assert secrets.master.reveal().hex() == oracle["master_secret"]
        assert secrets.request.reveal().hex() == oracle["request_data_secret"]
        assert secrets.response.reveal().hex() == oracle["response_data_secret"]
        assert secrets.export_master.reveal().hex() == oracle["export_master_secret"]

    def open(self, channel: RecordChannel, payload: bytes) -> bytes:
        reader = Reader(payload, strict=True)
        record = SecuredRecord.decode(reader)
        assert record.encode() == payload[: reader.offset]
        reader.expect_end(3)
        assert record.session_id == self.session_id
        self.parent.seen["records"] += 1
        return channel.open(record, strict=True)

    def exchange(self, item: capture.Exchange) -> None:
        layout = Layout()
        request, raw_request = decode_exact(self.open(self.tx, item.request.payload), layout, 0)
        if isinstance(request, GetMeasurements):
            layout = replace(layout, is_signed=request.is_signed)
        response, raw = decode_exact(self.open(self.rx, item.response.payload), layout, 0)
        self.parent.seen[type(response).__name__] += 1
        match response:
            case FinishRsp():
                self.finish(request, raw_request, raw)
            case KeyUpdateAck():
                assert isinstance(request, KeyUpdate)
                assert (response.operation, response.tag) == (request.operation, request.tag)
                if request.operation == KeyUpdateOp.UPDATE_KEY:
                    self.update_request_key()
            case Measurements():
                self.parent.check_measurements(self.log, response, raw_request, raw, self.slot)
            case VendorDefinedResponse():
                assert isinstance(request, VendorDefinedRequest)
                self.vendor(request.payload, response.payload)
            case EndSessionAck():
                assert self.keys_seen == len(self.oracle["record_keys"]) == 5
                self.is_over = True

    def finish(self, request: SpdmMessage, raw_request: bytes, raw: bytes) -> None:
        assert isinstance(request, Finish)
        covered = self.suite.digest(self.transcript.finish_verified(raw_request, 48))
        verify_data = self.schedule.verify_data(self.handshake.request_finished, covered)
        assert verify_data == request.verify_data
        assert verify_data.hex() == self.oracle["verify_data_hmacs"][1]
        th2 = self.suite.digest(self.transcript.th2(raw_request, raw))
        assert th2.hex() == self.oracle["th2_hash"]
        secrets = self.schedule.application(self.handshake.handshake, th2)
        self.check_application(secrets)
        self.request_secret = secrets.request
        self.tx = self.channel(secrets.request)
        self.rx = self.channel(secrets.response)

    def update_request_key(self) -> None:
        assert self.request_secret is not None
        updated = self.schedule.updated(self.request_secret)
        assert updated.reveal().hex() == self.oracle["request_data_secret_updated"]
        self.tx = self.channel(updated)

    def vendor(self, request: bytes, response: bytes) -> None:
        for payload in (request, response):
            if payload[0] == 0:
                # The sample's QUERY_RESP carries more DWs than its capability register announces.
                km = ide_km.decode_message(payload, strict=payload[1] != 1)
                assert km.encode() == payload
                self.parent.seen[type(km).__name__] += 1
                if isinstance(km, ide_km.KeyProg):
                    assert km.ifv == 1
            else:
                td = tdisp.from_payload(payload, strict=True)
                assert td.to_payload() == payload
                self.parent.seen[type(td).__name__] += 1
                if isinstance(td, tdisp.DeviceInterfaceReport):
                    self.parent.report += td.portion
                    if td.remainder == 0:
                        report = decode_whole(InterfaceReport.decode, self.parent.report)
                        assert report.encode() == self.parent.report
                        self.parent.report = b""
                        self.parent.seen["report"] += 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_capture_is_reproduced_to_the_last_secret(version: str) -> None:
    """Every message re-encodes to its bytes, every secret, signature, HMAC and record agrees."""
    conversation = capture.load(version)
    replay = Replay(conversation.sessions)
    for item in conversation.exchanges:
        replay.feed(item)
    seen = replay.seen
    assert replay.finished_sessions == len(conversation.sessions) == 2
    assert seen["signed key exchange"] == 2
    assert seen["ChallengeAuth"] >= 1
    assert seen["signed measurements"] >= 2
    secured = sum(i.request.object_type == DoeType.SECURED_SPDM for i in conversation.exchanges)
    assert seen["records"] == 2 * secured
    assert (seen["KeyProg"], seen["KpAck"], seen["KSetGo"], seen["KSetStop"]) == (12, 12, 12, 12)
    assert (seen["Query"], seen["QueryResp"], seen["report"]) == (2, 2, 2)
    for name in (
        "TdispVersion",
        "TdispCapabilities",
        "LockInterfaceRequest",
        "LockInterfaceResponse",
        "StartInterfaceRequest",
        "StopInterfaceResponse",
        "HeartbeatAck",
    ):
        assert seen[name] == 2, name
    assert seen["DeviceInterfaceState"] == 8


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_changed_record_of_the_capture_does_not_open(version: str) -> None:
    """One flipped ciphertext bit in the first record of a session is refused."""
    conversation = capture.load(version)
    replay = Replay(conversation.sessions)
    for item in conversation.exchanges:
        if item.request.object_type == DoeType.SECURED_SPDM:
            break
        replay.feed(item)
    assert replay.session is not None
    payload = bytearray(item.request.payload)
    payload[8] ^= 1
    with pytest.raises(Exception, match="does not authenticate"):
        replay.session.open(replay.session.tx, bytes(payload))
