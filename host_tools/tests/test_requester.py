# SPDX-License-Identifier: Apache-2.0
"""The requester against an independent responder: the main road, and every way off it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from teeio.core import ide_km, tdisp
from teeio.core.certificates import ChainPolicy
from teeio.core.drive import run, run_async
from teeio.core.ops import DoeExchange, Op, OpResult, WaitCycles
from teeio.core.secret import Secret
from teeio.core.spdm_context import MAX_NOT_READY, SpdmPhase
from teeio.core.spdm_flow import (
    MAX_BUSY,
    Session,
    authenticate,
    challenge,
    connect,
    connect_session,
    discover,
    exchange,
    open_session,
    reconnect,
)
from teeio.core.spdm_requester import RequesterConfig, SpdmRequester
from teeio.errors import LocalError, PeerError, PeerRefused, TransportError
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream
from teeio.wire.spdm_base import Cap, ErrorCode
from teeio.wire.spdm_identity import Digests
from teeio.wire.spdm_measurements import Measurements
from teeio.wire.spdm_session import SUMMARY_ALL, SUMMARY_NONE, SUMMARY_TCB, FinishRsp, KeyUpdateOp
from teeio.wire.tdisp import InterfaceId, TdispErrorCode, TdiState
from tests import pki
from tests.responder import DEFAULT_BLOCKS, FULL_REPORT, Responder

AT = datetime(2026, 6, 1, tzinfo=UTC)
WHO = InterfaceId.of(0x0101)
REFERENCES = {index: (kind & 0x7F, value) for index, kind, value in DEFAULT_BLOCKS}


class Bench:
    """A responder, a trust policy that suits it, and a driver."""

    def __init__(self, key: pki.Key | None = None, **choice: Any) -> None:
        leaf_key = key or ec.generate_private_key(ec.SECP384R1())
        ders = pki.Chain.standard(leaf_key).ders()
        hash_name = choice.get("hash_name", "sha384")
        structure = pki.structure(ders, ders[0], hash_name)
        self.device = Responder(key=leaf_key, structure=structure, **choice)
        self.policy = ChainPolicy(roots=(ders[0],), at=AT)
        self.rng = random.Random(1).randbytes
        self.config = RequesterConfig()
        self.waited = 0
        self.fail_next = False

    def perform(self, op: Op) -> OpResult:
        if isinstance(op, WaitCycles):
            self.waited += op.cycles
            return None
        assert isinstance(op, DoeExchange)
        if self.fail_next:
            raise TransportError("cable pulled")
        return self.device.handle(op.request)

    def run(self, steps: Any) -> Any:
        return run(steps, self.perform)

    def session(self, **options: Any) -> Session:
        session = self.run(connect_session(self.config, self.policy, self.rng, **options))
        assert isinstance(session, Session)
        return session

    def connected(self) -> SpdmRequester:
        requester = self.run(connect(self.config, self.rng))
        assert isinstance(requester, SpdmRequester)
        return requester

    def change(self, stage: str, edit: Callable[[bytes], bytes], times: int = 1 << 30) -> None:
        """Edits what the device sends at `stage`, the next `times` times."""
        left = [times]

        def hook(at: str, data: bytes) -> bytes:
            if at == stage and left[0] > 0:
                left[0] -= 1
                return edit(data)
            return data

        self.device.hook = hook

    def answer_with(self, code: int, error: bytes, times: int = 1) -> None:
        """Answers request `code` with an ERROR (code, data, extended) the next `times` times."""
        left = [times]

        def hook(at: str, data: bytes) -> bytes:
            if at == "fault" and data[0] == code and left[0] > 0:
                left[0] -= 1
                return error
            return data

        self.device.hook = hook


def flip(at: int, mask: int = 1) -> Callable[[bytes], bytes]:
    """Edit that flips bits of the byte at `at` (negative: from the end)."""

    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= mask
        return bytes(changed)

    return edit


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


# --- The main road -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "versions", [(0x1200,), (0x1200, 0x1300), (0x1100, 0x1200, 0x1300, 0x1400)]
)
@pytest.mark.parametrize("summary", [SUMMARY_NONE, SUMMARY_TCB, SUMMARY_ALL])
def test_whole_road(versions: tuple[int, ...], summary: int) -> None:
    """Connect, attest, key, lock, report, start, stop, update keys, end; in 1.2 and 1.3."""
    bench = Bench(versions=versions)
    session = bench.session(summary_type=summary)
    assert session.requester.version == (0x13 if 0x1300 in versions else 0x12)
    attestation = bench.run(session.measure(REFERENCES))
    assert attestation.is_good and len(attestation.verdicts) == len(DEFAULT_BLOCKS)

    answer = bench.run(ide_km.query(session))
    assert answer.requester_id == 0x0100 and answer.registers.has_ide_km
    keys = {
        (d, s): Secret(hashlib.sha256(bytes([d, s])).digest())
        for d in KeyDirection
        for s in SubStream
    }
    bench.run(ide_km.program_stream(session, 1, 0, keys))
    assert bench.device.keys == {
        KeyInfo(key_set=0, direction=d, sub_stream=s).byte: key.reveal()
        for (d, s), key in keys.items()
    }
    bench.run(ide_km.go_direction(session, 1, 0, KeyDirection.RX))
    bench.run(ide_km.go_direction(session, 1, 0, KeyDirection.TX))
    assert len(bench.device.running) == 6

    bench.run(tdisp.version(session, WHO))
    capabilities = bench.run(tdisp.capabilities(session, WHO))
    assert capabilities.address_width == 52
    nonce = bench.run(tdisp.lock(session, WHO, stream_id=1, flags=capabilities.lock_flags))
    assert bench.run(tdisp.state(session, WHO)) is TdiState.CONFIG_LOCKED
    for portion in (7, 64, 0xFFFF):
        report = bench.run(tdisp.report(session, WHO, portion_bytes=portion))
        assert report.encode() == FULL_REPORT
    bench.run(tdisp.start(session, WHO, nonce))
    assert bench.run(tdisp.state(session, WHO)) is TdiState.RUN
    bench.run(session.heartbeat())
    for operation in (KeyUpdateOp.UPDATE_KEY, KeyUpdateOp.UPDATE_ALL_KEYS):
        bench.run(session.update_keys(operation))
        assert bench.run(tdisp.state(session, WHO)) is TdiState.RUN
    bench.run(tdisp.stop(session, WHO))
    bench.run(ide_km.stop_stream(session, 1, 0))
    assert not bench.device.running
    bench.run(session.end())
    assert session.spdm.phase is SpdmPhase.CLOSED and bench.device.live is None
    assert session.requester.notes == [] and session.spdm.notes == []


def test_strict_requester_takes_the_same_road() -> None:
    """A conforming device gives a strict requester nothing to refuse."""
    bench = Bench()
    bench.config = RequesterConfig(strict=True)
    session = bench.session()
    assert bench.run(session.measure(REFERENCES)).is_good
    bench.run(session.end())


def test_p256_with_sha256() -> None:
    """The second suite: ECDSA P-256, SHA-256, secp256r1."""
    key = ec.generate_private_key(ec.SECP256R1())
    digest = hashlib.sha256(b"rom").digest()
    blocks = ((1, 0x00, digest),)
    bench = Bench(key, hash_name="sha256", asym=0x10, dhe=0x08, blocks=blocks)
    session = bench.session()
    assert bench.run(session.measure({1: (0, digest)})).is_good


def test_rsassa_3072(rsa_key: rsa.RSAPrivateKey) -> None:
    """RSA leaf: the signature is the plain 384-byte number."""
    bench = Bench(rsa_key, asym=0x04)
    session = bench.session()
    assert bench.run(session.measure(REFERENCES)).is_good


def test_run_async_drives_the_same_generators() -> None:
    """An awaiting driver gives the same session; an error inside reaches the generator."""
    bench = Bench()

    async def perform(op: Op) -> OpResult:
        await asyncio.sleep(0)
        return bench.perform(op)

    async def road() -> TdiState:
        session = await run_async(connect_session(bench.config, bench.policy, bench.rng), perform)
        return await run_async(tdisp.state(session, WHO), perform)

    assert asyncio.run(road()) is TdiState.CONFIG_UNLOCKED
    bench.fail_next = True
    with pytest.raises(TransportError):
        asyncio.run(run_async(connect(bench.config, bench.rng), perform))


@pytest.mark.parametrize("summary", [SUMMARY_NONE, SUMMARY_ALL])
@pytest.mark.parametrize("versions", [(0x1200,), (0x1300,)])
def test_challenge(versions: tuple[int, ...], summary: int) -> None:
    """CHALLENGE covers VCA, digests and certificates; the second one covers no identity."""
    bench = Bench(versions=versions)
    requester = bench.connected()
    slot, _chain = bench.run(authenticate(requester, bench.policy))
    bench.run(challenge(requester, slot, summary))
    bench.run(challenge(requester, slot, summary))
    assert bool(requester.summary) == (summary != SUMMARY_NONE)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (flip(2), "slot 1"),
        (flip(4), "CertChainHash"),
        (flip(-1), "RequesterContext"),
    ],
)
def test_challenge_fields_are_checked(edit: Callable[[bytes], bytes], reason: str) -> None:
    """The device signs the changed field here, so only its own check can catch it."""
    bench = Bench()
    requester = bench.connected()
    slot, _chain = bench.run(authenticate(requester, bench.policy))
    bench.change("challenge", edit)
    with pytest.raises(PeerError, match=reason):
        bench.run(challenge(requester, slot))


def test_challenge_signature_is_checked() -> None:
    """The last byte of CHALLENGE_AUTH is the signature's."""
    bench = Bench()
    requester = bench.connected()
    slot, _chain = bench.run(authenticate(requester, bench.policy))
    bench.change("plain", flip(-1))
    with pytest.raises(PeerError, match="signature does not verify"):
        bench.run(challenge(requester, slot))


def test_measurements_one_by_one_then_signed() -> None:
    """Unsigned reads enter L1/L2 of the signed one; another request in between resets it."""
    bench = Bench()
    requester = bench.connected()
    bench.run(authenticate(requester, bench.policy))
    bench.run(exchange(requester, requester.get_measurements(0, signed=False), Measurements))
    assert requester.measurement_count == len(DEFAULT_BLOCKS)
    bench.run(exchange(requester, requester.get_measurements(1, signed=False), Measurements))
    bench.run(exchange(requester, requester.get_measurements(2), Measurements))
    assert requester.measurements is not None
    assert [item.index for item in requester.measurements.blocks] == [2]
    assert requester.measurements.evidence.count(hashlib.sha384(b"rom").digest()) == 1
    bench.run(exchange(requester, requester.get_measurements(1, signed=False), Measurements))
    bench.run(exchange(requester, requester.get_digests(), Digests))
    bench.run(exchange(requester, requester.get_measurements(2), Measurements))
    assert hashlib.sha384(b"rom").digest() not in requester.measurements.evidence


def test_challenge_covers_the_last_identity_exchange_only() -> None:
    """GET_DIGESTS restarts the identity part of M1/M2; measurements and KEY_EXCHANGE empty it."""
    bench = Bench()
    requester = bench.connected()
    bench.run(authenticate(requester, bench.policy))
    slot, _chain = bench.run(authenticate(requester, bench.policy))
    bench.run(challenge(requester, slot))
    bench.run(authenticate(requester, bench.policy))
    bench.run(exchange(requester, requester.get_measurements(), Measurements))
    bench.run(challenge(requester, slot))
    bench.run(authenticate(requester, bench.policy))
    bench.run(open_session(requester, slot))
    bench.run(challenge(requester, slot))


def test_certificates_are_read_in_portions_and_the_right_slot_is_taken() -> None:
    """Slot 0 holds a stranger's chain: slot 1 is taken, and its key signs the session."""
    bench = Bench()
    stranger = pki.Chain.standard().ders()
    bench.device.slots = {0: pki.structure(stranger, stranger[0]), 1: bench.device.structure}
    bench.config = RequesterConfig(transfer_bytes=600)
    session = bench.session()
    assert session.spdm.start.slot == 1
    assert bench.device.requests.count(0x82) >= 4
    with pytest.raises(PeerError, match="slot 0: RootHash names no trusted root"):
        bench.session(slot=0)
    with pytest.raises(PeerError, match="slot 5 is empty"):
        bench.session(slot=5)


# --- Refusals of the device --------------------------------------------------------------------


def test_busy_is_repeated_and_bounded() -> None:
    """Busy: the same request again after a wait, a bounded number of times."""
    bench = Bench()
    bench.answer_with(0xE4, bytes([ErrorCode.BUSY, 0]), times=3)
    session = bench.session()
    assert bench.device.requests.count(0xE4) == 4 and bench.waited > 0
    bench.answer_with(0xFE, bytes([ErrorCode.BUSY, 0]), times=2)
    assert bench.run(tdisp.state(session, WHO)) is TdiState.CONFIG_UNLOCKED
    bench.answer_with(0xFE, bytes([ErrorCode.BUSY, 0]), times=1000)
    with pytest.raises(PeerRefused) as refused:
        bench.run(tdisp.state(session, WHO))
    assert refused.value.wire_code == ErrorCode.BUSY
    assert bench.device.requests.count(0xFE) == 3 + MAX_BUSY + 1


def test_busy_in_finish_and_key_update_is_repeated() -> None:
    """The handshake and a key update of both directions survive Busy."""
    bench = Bench()
    bench.answer_with(0xE5, bytes([ErrorCode.BUSY, 0]))
    session = bench.session()
    bench.answer_with(0xE9, bytes([ErrorCode.BUSY, 0]))
    bench.run(session.update_keys(KeyUpdateOp.UPDATE_ALL_KEYS))
    assert bench.run(tdisp.state(session, WHO)) is TdiState.CONFIG_UNLOCKED


def test_response_not_ready_is_waited_for() -> None:
    """RESPOND_IF_READY after 2**RDTExponent us; the transcript keeps the original request only."""
    bench = Bench()
    original = bench.device.key_exchange
    stalled: list[int] = []

    def slow(request: bytes) -> bytes:
        if not stalled:
            stalled.append(1)
            raise bench.device.stall(request, exponent=12)
        return original(request)

    bench.device.key_exchange = slow  # type: ignore[method-assign]
    session = bench.session()
    assert bench.waited == 48 * (1 << 12)
    assert bench.device.requests.count(0xFF) == 1 and bench.device.requests.count(0xE4) == 1
    assert bench.run(session.measure(REFERENCES)).is_good


def test_response_not_ready_for_ever_is_refused() -> None:
    """A bounded number of promises, and no absurd delay."""
    bench = Bench()
    promise = bytes([0x42, 0, 1, 0xE4, 9, 4])
    bench.device.hook = lambda at, data: (
        promise if at == "fault" and data[0] in (0xE4, 0xFF) else data
    )
    with pytest.raises(PeerError, match="in a row"):
        bench.session()
    assert bench.device.requests.count(0xFF) == MAX_NOT_READY
    bench.answer_with(0xE4, bytes([0x42, 0, 31, 0xE4, 9, 4]))
    with pytest.raises(PeerError, match="wait of"):
        bench.session()
    bench.answer_with(0xE4, bytes([0x42, 0, 1, 0xE0, 9, 4]))
    with pytest.raises(PeerError, match="another request"):
        bench.session()


def test_error_in_session_leaves_it_alive_unless_it_is_decrypt_error() -> None:
    """InvalidRequest lives on; DecryptError wipes."""
    bench = Bench()
    session = bench.session()
    bench.answer_with(0xFE, bytes([ErrorCode.INVALID_REQUEST, 0]))
    with pytest.raises(PeerRefused):
        bench.run(tdisp.state(session, WHO))
    assert bench.run(tdisp.state(session, WHO)) is TdiState.CONFIG_UNLOCKED
    bench.answer_with(0xFE, bytes([ErrorCode.DECRYPT_ERROR, 0]))
    with pytest.raises(PeerRefused):
        bench.run(tdisp.state(session, WHO))
    with pytest.raises(LocalError, match="dead"):
        session.spdm.get_digests()


def test_refused_key_update_keeps_the_old_keys() -> None:
    """An ERROR to UpdateAllKeys comes under the old response key, and nothing changes."""
    bench = Bench()
    session = bench.session()
    bench.answer_with(0xE9, bytes([ErrorCode.INVALID_REQUEST, 0]))
    with pytest.raises(PeerRefused):
        bench.run(session.update_keys())
    assert bench.run(tdisp.state(session, WHO)) is TdiState.CONFIG_UNLOCKED
    bench.run(session.update_keys())


def test_request_resynch_asks_for_a_new_start() -> None:
    """After RequestResynch only GET_VERSION is possible."""
    bench = Bench()
    requester = bench.connected()
    bench.answer_with(0x81, bytes([ErrorCode.REQUEST_RESYNCH, 0]))
    with pytest.raises(PeerRefused) as refused:
        bench.run(authenticate(requester, bench.policy))
    assert refused.value.wire_code == ErrorCode.REQUEST_RESYNCH
    with pytest.raises(LocalError):
        requester.get_digests()
    bench.run(reconnect(requester))
    bench.run(authenticate(requester, bench.policy))


# --- A device that breaks the protocol ----------------------------------------------------------

CONNECT_FAULTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("version", lambda _d: b"\x10\x04\x00\x00\x00\x01\x00\x14", "no common SPDM version"),
    ("version", lambda _d: b"\x10\x04\x00\x00\x00\x02\x00\x12", "needs 2 bytes"),
    ("version", flip(0, 0x02), "not known here"),
    ("version", lambda d: d + bytes(4), "too many"),
    ("capabilities", flip(8, 0x02), "CERT"),
    ("capabilities", flip(8, 0x08), "MEAS_CAP"),
    ("capabilities", flip(13, 0x12), "DataTransferSize"),
    ("capabilities", lambda d: d[:5] + b"\x20" + d[6:], "CTExponent"),
    ("capabilities", flip(0, 0x01), "answer in version"),
    ("algorithms", flip(12, 0x10), "signature selection"),
    ("algorithms", lambda d: d[:12] + b"\x00" + d[13:], "signature selection 0x0"),
    ("algorithms", flip(16, 0x05), "hash selection 0x7"),
    ("algorithms", flip(7, 0x03), "opaque data format"),
    ("algorithms", flip(38, 0x18 ^ 0x10 ^ 0x20), "DHE selection"),
    ("algorithms", flip(42, 0x03), "AEAD selection"),
    ("algorithms", flip(4), "Length"),
    ("digests", lambda d: d[:3] + b"\x00", "no slot holds a chain"),
    ("digests", flip(-1), "another chain"),
    ("certificate", flip(2, 0x01), "certificate of slot"),
    ("certificate", flip(-1), "not issued by the certificate before it"),
    ("certificate", lambda d: d[:6] + b"\xff\xff" + d[8:], "to follow"),
    ("certificate", lambda d: d[:4] + b"\x00\x00" + d[6:8], "portion of 0"),
    ("plain", flip(1, 0x40), "code"),
    ("object", flip(2, 0x03), "answer of type"),
    ("object", lambda d: d[:-4], "DOE payload needs 4 bytes"),
    ("kex.signature", flip(-1), "signature does not verify"),
    ("kex.signature", lambda d: bytes(len(d)), "signature does not verify"),
    ("kex.verify", flip(0), "HMAC does not verify"),
    ("kex", flip(6), "mutual authentication"),
    ("kex", flip(40), "no point of the curve"),
    ("kex", flip(-1, 0x02), "was not offered"),
    ("kex", flip(-3, 0x01), "version selections"),
    ("record", flip(-1), "does not authenticate"),
    ("record", flip(0), "record of session"),
    ("record", flip(4, 0x80), "ciphertext needs"),
]


@pytest.mark.parametrize(
    ("stage", "edit", "reason"),
    CONNECT_FAULTS,
    ids=[f"{s}-{i}" for i, (s, _e, _r) in enumerate(CONNECT_FAULTS)],
)
def test_a_device_that_breaks_the_handshake_is_refused(
    stage: str, edit: Callable[[bytes], bytes], reason: str
) -> None:
    """One fault each: a PeerError that names it, no session, and the next try succeeds."""
    bench = Bench()
    bench.change(stage, edit)
    with pytest.raises(PeerError, match=reason) as broken:
        bench.session()
    assert not isinstance(broken.value, PeerRefused)
    assert broken.value.clause
    bench.device.hook = lambda _stage, data: data
    bench.run(bench.session().end())


def test_wrong_finish_hmac_is_refused_by_the_device() -> None:
    """The responder's own check bites: our HMAC is not a formality."""
    bench = Bench()
    requester = bench.connected()
    slot, _chain = bench.run(authenticate(requester, bench.policy))
    bench.change("kex.verify", lambda d: d)
    request = requester.key_exchange(slot)
    object_ = bytes.fromhex("01000100") + (
        2 + len(request + bytes(-len(request) % 4)) // 4
    ).to_bytes(4, "little")
    answer = bench.device.handle(object_ + request + bytes(-len(request) % 4))
    requester.receive(answer[8:])
    assert bench.device.live is not None
    bench.device.live.finished = (b"other", b"key")
    session = requester.take_session()
    with pytest.raises(PeerRefused) as refused:
        bench.run(exchange(session, session.finish(), FinishRsp))
    assert refused.value.wire_code == ErrorCode.DECRYPT_ERROR
    assert session.phase is SpdmPhase.DEAD


SESSION_FAULTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("record", flip(-1), "does not authenticate"),
    ("record", flip(8), "does not authenticate"),
    ("record", lambda d: d[:-1], "tag needs 16 bytes"),
    ("record", lambda d: bytes(len(d)), "record length 0"),
    ("inner", flip(0), "answer in version"),
    ("inner", flip(1, 0x40), "code"),
    ("inner", lambda d: d + b"\x00", "too many"),
    ("inner", flip(4), "another standard"),
    ("inner", lambda d: d[:9] + b"\xff" + d[10:], "vendor payload"),
    ("vendor", flip(0), "another standard or protocol"),
    ("vendor", flip(1, 0x01), "TDISP version"),
    ("vendor", flip(2, 0x40), "unknown TDISP code"),
    ("vendor", flip(2, 0x02), "1 bytes too many"),
    ("vendor", flip(5), "asked"),
    ("vendor", lambda d: d + b"\x00", "too many"),
    ("vendor", lambda d: d[:-1], "TDI_STATE"),
    ("vendor", flip(17, 0x04), "does not exist"),
]


@pytest.mark.parametrize(
    ("stage", "edit", "reason"),
    SESSION_FAULTS,
    ids=[f"{s}-{i}" for i, (s, _e, _r) in enumerate(SESSION_FAULTS)],
)
def test_a_device_that_breaks_the_session_is_refused(
    stage: str, edit: Callable[[bytes], bytes], reason: str
) -> None:
    """GET_DEVICE_INTERFACE_STATE, one fault in the answer: PeerError with the offending bytes."""
    bench = Bench()
    session = bench.session()
    bench.change(stage, edit)
    with pytest.raises(PeerError, match=reason) as broken:
        bench.run(tdisp.state(session, WHO))
    assert not isinstance(broken.value, PeerRefused)
    assert broken.value.clause and broken.value.data


def test_after_a_peer_error_the_session_is_dead_and_wiped() -> None:
    """No secret survives a tampered record, and nothing can be sent."""
    bench = Bench()
    session = bench.session()
    spdm = session.spdm
    held = [spdm._tx._keys.key, spdm._rx._keys.key, spdm._tx._keys.iv]
    assert spdm._application is not None
    held += [spdm._application.master, spdm._application.request, spdm._application.export_master]
    bench.change("record", flip(-1))
    with pytest.raises(PeerError):
        bench.run(tdisp.state(session, WHO))
    assert spdm.phase is SpdmPhase.DEAD
    for secret in held:
        assert secret.is_wiped and secret._buffer == bytes(len(secret))
    with pytest.raises(LocalError, match="not possible"):
        spdm.vendor_request(b"\x01")


def test_secrets_do_not_show_in_any_repr() -> None:
    """Neither the objects nor their attributes print a key, an IV or a secret."""
    bench = Bench()
    session = bench.session()
    spdm = session.spdm
    assert spdm._application is not None
    held = [spdm._tx._keys.key, spdm._tx._keys.iv, spdm._application.master]
    held += [spdm._application.request, spdm._application.response]
    shown = repr(session) + repr(spdm) + repr(vars(spdm)) + repr(vars(session.requester))
    shown += repr(spdm._tx._keys) + repr(spdm._application) + repr(spdm.start)
    for secret in held:
        assert secret.reveal().hex() not in shown and repr(secret.reveal())[2:-1] not in shown


def test_end_of_session_wipes_and_closes() -> None:
    bench = Bench()
    session = bench.session()
    key = session.spdm._tx._keys.key
    bench.run(session.end())
    assert key.is_wiped
    with pytest.raises(LocalError):
        session.spdm.heartbeat()


def test_a_transport_error_kills_the_session() -> None:
    """After lost bytes the record counters are unknown."""
    bench = Bench()
    session = bench.session()
    bench.fail_next = True
    with pytest.raises(TransportError):
        bench.run(tdisp.state(session, WHO))
    assert session.spdm.phase is SpdmPhase.DEAD


def test_get_version_kills_all_sessions() -> None:
    """A new VERSION exchange resets the connection; old sessions are abandoned and wiped."""
    bench = Bench()
    session = bench.session()
    bench.run(reconnect(session.requester))
    assert session.spdm.phase is SpdmPhase.DEAD


def test_replayed_answer_is_refused() -> None:
    """The record of an earlier answer does not open again."""
    bench = Bench()
    session = bench.session()
    seen: list[bytes] = []

    def record(data: bytes) -> bytes:
        seen.append(data)
        return seen[0]

    bench.change("record", record)
    bench.run(tdisp.state(session, WHO))
    with pytest.raises(PeerError, match="does not authenticate"):
        bench.run(tdisp.state(session, WHO))


def test_ack_of_update_all_under_the_old_key_is_refused() -> None:
    """UpdateAllKeys must be acknowledged under the new response key."""
    bench = Bench()
    session = bench.session()
    bench.change("update_tx", lambda _d: b"n")
    with pytest.raises(PeerError, match="under the old response key"):
        bench.run(session.update_keys(KeyUpdateOp.UPDATE_ALL_KEYS))


def test_key_update_wipes_what_it_replaces() -> None:
    """The old secrets and record keys of both directions are zeroed, the new ones differ."""
    bench = Bench()
    session = bench.session()
    spdm = session.spdm
    old = [spdm._request_secret, spdm._response_secret, spdm._tx._keys.key, spdm._rx._keys.key]
    values = [secret.reveal() for secret in old if secret is not None]
    assert len(values) == 4
    bench.run(session.update_keys(KeyUpdateOp.UPDATE_ALL_KEYS))
    new = [spdm._request_secret, spdm._response_secret, spdm._tx._keys.key, spdm._rx._keys.key]
    for before, after, value in zip(old, new, values, strict=True):
        assert before is not None and before.is_wiped
        assert after is not None and after.reveal() != value


@pytest.mark.parametrize("at", [2, 3])
def test_key_update_echo(at: int) -> None:
    """Operation and tag come back unchanged."""
    bench = Bench()
    session = bench.session()
    bench.change("key_update", flip(at, 0x01))
    with pytest.raises(PeerError, match="not echoed"):
        bench.run(session.update_keys(KeyUpdateOp.UPDATE_KEY))


# --- Measurements --------------------------------------------------------------------------------


def test_wrong_measurement_is_told_block_by_block() -> None:
    """A changed firmware digest, a missing block, an unknown block: each with its reason."""
    changed = list(DEFAULT_BLOCKS)
    changed[1] = (2, 0x01, hashlib.sha384(b"evil").digest())
    changed[2] = (4, 0x02, changed[2][2])
    bench = Bench(blocks=tuple(changed))
    session = bench.session()
    attestation = bench.run(session.measure(REFERENCES))
    assert not attestation.is_good
    reasons = {item.index: item.reason for item in attestation.verdicts if not item.is_match}
    assert set(reasons) == {2, 3, 4}
    assert reasons[3] == "not reported" and reasons[4] == "no reference value"
    assert hashlib.sha384(b"evil").hexdigest() in reasons[2]


MEASUREMENT_FAULTS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("measurements.signature", flip(5), "signature over the measurements"),
    ("measurements", lambda d: d[:4] + b"\x04" + d[5:], "23 bytes too many"),
    ("measurements", flip(3, 0x02), "signed by slot"),
    ("measurements", flip(8, 0x07), "not strictly ascending"),
    ("measurements", flip(-1), "RequesterContext"),
    ("measurements", flip(9, 0x03), "specification"),
    ("measurements", flip(12, 0x80), "summarised"),
]


@pytest.mark.parametrize(
    ("stage", "edit", "reason"),
    MEASUREMENT_FAULTS,
    ids=[f"{s}-{i}" for i, (s, _e, _r) in enumerate(MEASUREMENT_FAULTS)],
)
def test_measurements_that_break_the_protocol_are_refused(
    stage: str, edit: Callable[[bytes], bytes], reason: str
) -> None:
    """The device signs what it sends here, so only the check named can catch it."""
    bench = Bench()
    session = bench.session()
    bench.change(stage, edit)
    with pytest.raises(PeerError, match=reason):
        bench.run(session.measure(REFERENCES))


def test_measurements_changed_after_signing_are_refused() -> None:
    """A byte of the record changed behind the signature."""
    bench = Bench()
    session = bench.session()
    bench.change("inner", flip(20))
    with pytest.raises(PeerError, match="signature over the measurements"):
        bench.run(session.measure(REFERENCES))


# --- IDE_KM and TDISP ----------------------------------------------------------------------------

INFO = KeyInfo(key_set=0, direction=0, sub_stream=1)
KEY = Secret(bytes(range(32)))


@pytest.mark.parametrize(
    ("verb", "at", "reason"),
    [
        ("prog", 4, "StreamID"),
        ("prog", 6, "KeyInfo"),
        ("prog", 7, "PortIndex"),
        ("prog", 1, "object|KP_ACK"),
        ("go", 4, "StreamID"),
        ("go", 6, "KeyInfo"),
        ("go", 7, "PortIndex"),
        ("stop", 6, "KeyInfo"),
        ("query", 3, "PortIndex"),
    ],
)
def test_wrong_echo_in_ide_km_is_refused(verb: str, at: int, reason: str) -> None:
    """StreamID, KeyInfo and PortIndex come back as sent."""
    bench = Bench()
    session = bench.session()
    bench.run(ide_km.key_prog(session, 3, INFO, KEY))
    verbs = {
        "prog": lambda: ide_km.key_prog(session, 3, INFO, KEY),
        "go": lambda: ide_km.key_set_go(session, 3, INFO),
        "stop": lambda: ide_km.key_set_stop(session, 3, INFO),
        "query": lambda: ide_km.query(session),
    }
    bench.change("vendor", flip(at))
    with pytest.raises(PeerError, match=reason) as broken:
        bench.run(verbs[verb]())
    assert broken.value.data


def test_kp_ack_status_is_a_refusal() -> None:
    """The status of KP_ACK becomes the wire code; the session lives."""
    bench = Bench()
    session = bench.session()
    with pytest.raises(PeerRefused, match="UNSUPPORTED_VALUE") as refused:
        bench.run(ide_km.key_prog(session, 3, INFO, KEY, ifv=2))
    assert refused.value.wire_code == 3
    bench.run(ide_km.key_prog(session, 3, INFO, KEY))


def test_program_stream_wants_six_different_keys() -> None:
    bench = Bench()
    session = bench.session()
    keys = {(d, s): Secret(bytes(32)) for d in KeyDirection for s in SubStream}
    with pytest.raises(LocalError, match="differ"):
        bench.run(ide_km.program_stream(session, 1, 0, keys))
    del keys[KeyDirection.RX, SubStream.PR]
    with pytest.raises(LocalError, match="six keys"):
        bench.run(ide_km.program_stream(session, 1, 0, keys))


def test_tdisp_errors_carry_their_code() -> None:
    """Wrong state, wrong nonce, unsupported request: PeerRefused with the code of the device."""
    bench = Bench()
    session = bench.session()
    with pytest.raises(PeerRefused, match="INVALID_INTERFACE_STATE") as refused:
        bench.run(tdisp.report(session, WHO))
    assert refused.value.wire_code == TdispErrorCode.INVALID_INTERFACE_STATE
    bench.run(tdisp.lock(session, WHO, stream_id=0))
    with pytest.raises(PeerRefused, match="INVALID_NONCE"):
        bench.run(tdisp.start(session, WHO, Secret(bytes(32))))
    with pytest.raises(PeerRefused, match="UNSUPPORTED_REQUEST"):
        bench.run(tdisp.bind_p2p_stream(session, WHO, 1))
    with pytest.raises(LocalError, match="4 KiB"):
        bench.run(tdisp.lock(session, WHO, stream_id=0, mmio_reporting_offset=1))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda d: d[:19] + b"\x01\x00" + d[21:], "to follow"),  # remainder changes
        (lambda d: d[:17] + b"\x00\x00" + d[19:21], "portion of 0"),
        (lambda d: d[:17] + b"\x00\x00\x20\x00", "portion of 0 bytes with 32"),  # for ever
        (lambda d: d[:17] + b"\x21\x00\x00\x00" + bytes(33), "portion of 33 bytes"),
        (lambda d: d[:17] + b"\xff\xff" + d[19:], "REPORT_BYTES"),
    ],
)
def test_report_portions_that_do_not_add_up(edit: Callable[[bytes], bytes], reason: str) -> None:
    """PORTION_LENGTH and REMAINDER_LENGTH must agree over the whole read."""
    bench = Bench()
    session = bench.session()
    bench.run(tdisp.lock(session, WHO, stream_id=0))
    calls = [0]

    def second(data: bytes) -> bytes:
        calls[0] += 1
        return edit(data) if calls[0] == 2 else data

    bench.change("vendor", second)
    with pytest.raises(PeerError, match=reason):
        bench.run(tdisp.report(session, WHO))


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (12, b"\x04", "too many|needs"),  # one range more than there is
        (20, b"\xff\xff\xff\xff\xff\xff\xff\xff", "pages at page|range of"),
        (24, b"\x00\x00\x00\x00", "range of 0 pages"),
        (30, b"\x05", "ascending"),
    ],
)
def test_reports_that_make_no_sense_are_refused(at: int, value: bytes, reason: str) -> None:
    """Counts, empty or wrapping ranges, order of BARs."""
    bad = FULL_REPORT[:at] + value + FULL_REPORT[at + len(value) :]
    with pytest.raises(PeerError, match=reason):
        tdisp.parse_report(bad)


# --- Misuse --------------------------------------------------------------------------------------


def test_requests_out_of_order_are_local_errors() -> None:
    """Nothing leaves in the wrong phase, and never two requests at once."""
    rng = random.Random(2).randbytes
    requester = SpdmRequester(RequesterConfig(), rng)
    for call in (
        requester.get_capabilities,
        requester.negotiate_algorithms,
        requester.get_digests,
        requester.key_exchange,
        requester.respond_if_ready,
        requester.retry,
        requester.take_session,
        lambda: requester.receive(b""),
    ):
        with pytest.raises(LocalError):
            call()
    requester.get_version()
    with pytest.raises(LocalError, match="outstanding"):
        requester._begin(None, None, None)  # type: ignore[arg-type]


def test_only_a_verified_chain_can_open_a_session() -> None:
    bench = Bench()
    requester = bench.connected()
    with pytest.raises(LocalError, match="not been verified"):
        requester.key_exchange(0)
    with pytest.raises(LocalError, match="not been verified"):
        requester.get_measurements()


def test_leaf_key_must_suit_the_negotiated_algorithm() -> None:
    """A P-256 leaf behind a device that selects ECDSA P-384 is refused before it signs."""
    bench = Bench(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(PeerError, match="the leaf key is not for ECDSA_P384"):
        bench.session()
    assert 0xE4 not in bench.device.requests


def test_missing_capability_is_named() -> None:
    """A device without KEY_EX is no TEE-IO device."""
    bench = Bench(caps=0x2D2 & ~0x200)
    with pytest.raises(PeerError, match="KEY_EX"):
        bench.session()
    bench.config = replace(bench.config, required=Cap.CERT)
    assert bench.connected().phase is SpdmPhase.NEGOTIATED


def test_discovery_lists_three_types_and_refuses_loops() -> None:
    bench = Bench()
    assert [item.object_type for item in bench.run(discover())] == [0, 1, 2]
    bench.change("object", lambda d: d[:11] + b"\x01")
    with pytest.raises(PeerError, match="next index 1 after 1"):
        bench.run(discover())


def test_two_sessions_need_two_key_exchanges() -> None:
    """take_session gives each session once; ids differ between them."""
    bench = Bench()
    session = bench.session()
    with pytest.raises(LocalError):
        session.requester.take_session()
    second = bench.run(open_session(session.requester, 0))
    assert second.spdm.session_id != session.spdm.session_id


def test_requester_survives_any_answer() -> None:
    """Random answers at every step give PeerError, or a device that no longer follows."""
    source = random.Random(3)
    broken = 0
    for _ in range(150):
        bench = Bench.__new__(Bench)
        bench.__dict__.update(SHARED.__dict__)
        victim = source.randrange(1, 12)
        calls = [0]

        def hook(at: str, data: bytes, victim: int = victim, calls: list[int] = calls) -> bytes:
            if at not in ("plain", "inner"):
                return data
            calls[0] += 1
            if calls[0] != victim:
                return data
            if source.random() < 0.5:
                return source.randbytes(source.randrange(0, 200))
            changed = bytearray(data)
            for _ in range(source.randrange(1, 4)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            return bytes(changed)

        bench.device.hook = hook
        try:
            session = bench.session()
            bench.run(session.measure(REFERENCES))
            bench.run(tdisp.capabilities(session, WHO))
        except PeerError:
            broken += 1
        except (InvalidTag, AssertionError) as stopped:
            # A change that the requester may ignore (a reserved field) can enter a transcript:
            # then the two ends have different keys, and the responder here says so.
            assert stopped.__traceback__ is not None
            frames = traceback.extract_tb(stopped.__traceback__)
            assert frames[-1].filename.endswith(("responder.py", "aead.py"))
    assert broken > 75


SHARED = Bench()
