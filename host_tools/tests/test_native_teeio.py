# SPDX-License-Identifier: Apache-2.0
"""The host's requester against the native DSM: two independent writings of the protocols."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from teeio.core import ide_km, tdisp
from teeio.core.certificates import ChainPolicy
from teeio.core.drive import run
from teeio.core.ops import DoeExchange, Op, OpResult, WaitCycles
from teeio.core.references import endpoint_references
from teeio.core.secret import Secret
from teeio.core.spdm_flow import (
    Session,
    authenticate,
    challenge,
    connect,
    connect_session,
    exchange,
    open_session,
    request_csr,
    set_chain,
)
from teeio.core.spdm_requester import RequesterConfig
from teeio.errors import PeerError, PeerRefused
from teeio.wire.ide_km import KeyDirection, SubStream
from teeio.wire.spdm_base import Cap, ErrorCode
from teeio.wire.spdm_identity import Digests
from teeio.wire.spdm_measurements import Measurements
from teeio.wire.spdm_session import KeyUpdateOp
from teeio.wire.tdisp import InterfaceId, TdispErrorCode, TdiState
from tests import native_dsm as native

CONFIGURATIONS = pytest.mark.parametrize(
    ("spdm", "secured"),
    [(0x12, 0x1100), (0x12, 0x1200), (0x13, 0x1100), (0x13, 0x1200)],
    ids=["1.2/1.1", "1.2/1.2", "1.3/1.1", "1.3/1.2"])
ROM, FIRMWARE = b"boot ROM", b"firmware"
WAIT_SCALE = 10
"""Device seconds per second where a test waits."""
TDI = InterfaceId.of(0x0102)

Device = tuple[native.NativeDsm, native.Identity]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("native")
    (folder / "rom").write_bytes(ROM)
    (folder / "firmware").write_bytes(FIRMWARE)
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    with native.running(folder, sanitize=True, options=[
            "--rom", str(folder / "rom"), "--firmware", str(folder / "firmware"),
            "--svn", "3"]) as pair:
        yield pair


def performer(dsm: native.NativeDsm) -> Callable[[Op], OpResult]:
    """Carries DOE objects and waits; anything else is not what this target can do."""
    def perform(op: Op) -> OpResult:
        if isinstance(op, WaitCycles):
            time.sleep(op.cycles / (48e6 * WAIT_SCALE))
            return None
        assert isinstance(op, DoeExchange)
        return dsm.exchange(op.request)
    return perform


def policy(identity: native.Identity) -> ChainPolicy:
    return ChainPolicy(roots=(identity.root_der,), at=datetime.now(UTC))


def fresh_keys() -> ide_km.StreamKeys:
    return {(direction, sub): Secret(os.urandom(32))
            for direction in KeyDirection for sub in SubStream}


@CONFIGURATIONS
def test_whole_conversation(device: Device, spdm: int, secured: int) -> None:
    """Connect, attest, key, lock, report, run, refresh keys, stop, end: as a TSM does it."""
    dsm, identity = device
    dsm.model(native.MODEL_RESET)
    perform = performer(dsm)
    config = RequesterConfig(versions=(spdm,), secured_versions=(secured,), strict=True)
    session: Session = run(connect_session(config, policy(identity), os.urandom), perform)
    assert session.spdm.start.secured_version == secured

    # seeded and hooks: what a native process says of itself. The type goes without its raw bit.
    references = {index: (kind & 0x7F, value) for index, (kind, value) in endpoint_references(
        ROM, FIRMWARE, svn=3, seeded=True, test_hooks=True).items()}
    attestation = run(session.measure(references), perform)
    assert attestation.is_good, attestation.verdicts

    answer = run(ide_km.query(session), perform)
    assert answer.requester_id == 0x0100
    run(ide_km.program_stream(session, 0, 0, fresh_keys()), perform)
    for direction in KeyDirection:
        run(ide_km.go_direction(session, 0, 0, direction), perform)

    run(tdisp.version(session, TDI), perform)
    supported = run(tdisp.capabilities(session, TDI), perform)
    assert run(tdisp.state(session, TDI), perform) == TdiState.CONFIG_UNLOCKED
    nonce = run(tdisp.lock(session, TDI, stream_id=0, flags=supported.lock_flags,
                           mmio_reporting_offset=0xD000_0000), perform)
    reports = [run(tdisp.report(session, TDI, portion_bytes=n), perform) for n in (0x40, 0x400)]
    assert reports[0] == reports[1]
    assert [(item.pages, item.attributes) for item in reports[0].ranges] == [
        (1, 4), (1, 0), (1, 1), (1, 2), (2, 0), (2, 8)]
    run(tdisp.start(session, TDI, nonce), perform)
    assert run(tdisp.state(session, TDI), perform) == TdiState.RUN

    run(ide_km.program_stream(session, 0, 1, fresh_keys()), perform)
    for direction in KeyDirection:
        run(ide_km.go_direction(session, 0, 1, direction), perform)
    run(session.heartbeat(), perform)
    for operation in (KeyUpdateOp.UPDATE_KEY, KeyUpdateOp.UPDATE_ALL_KEYS):
        run(session.update_keys(operation), perform)
    assert run(tdisp.state(session, TDI), perform) == TdiState.RUN

    run(tdisp.stop(session, TDI), perform)
    run(ide_km.stop_stream(session, 0, 1), perform)
    run(session.end(), perform)


@pytest.mark.parametrize("spdm", [0x12, 0x13], ids=["1.2", "1.3"])
def test_challenge_and_measurements_in_clear(device: Device, spdm: int) -> None:
    dsm, identity = device
    dsm.model(native.MODEL_RESET)
    perform = performer(dsm)
    config = RequesterConfig(versions=(spdm,), strict=True)
    requester = run(connect(config, os.urandom), perform)
    slot, _chain = run(authenticate(requester, policy(identity)), perform)
    for kind in (0, 1, 0xFF):
        run(challenge(requester, slot, kind), perform)
    for request in (lambda: requester.get_measurements(0, signed=False),
                    lambda: requester.get_measurements(2, signed=False),
                    requester.get_measurements):
        run(exchange(requester, request(), Measurements), perform)
    assert requester.measurement_count == 6
    assert requester.measurements is not None
    for kind in (0, 1, 0xFF):
        session = run(open_session(requester, slot, summary_type=kind), perform)
        run(session.measure(), perform)
        run(session.end(), perform)


def attest_and_key(dsm: native.NativeDsm, identity: native.Identity,
                   config: RequesterConfig) -> None:
    """Everything whose messages are large: chain, challenge, session, measurements, IDE_KM."""
    perform = performer(dsm)
    requester = run(connect(config, os.urandom), perform)
    slot, _chain = run(authenticate(requester, policy(identity)), perform)
    run(challenge(requester, slot, 0xFF), perform)
    session = run(open_session(requester, slot), perform)
    run(session.measure(), perform)
    run(session.update_keys(KeyUpdateOp.UPDATE_ALL_KEYS), perform)
    assert run(ide_km.query(session), perform).requester_id == 0x0100
    run(ide_km.program_stream(session, 0, 0, fresh_keys()), perform)
    run(session.end(), perform)


@pytest.mark.parametrize("theirs", [42, 128, None], ids=["device-42", "device-128", "device-all"])
def test_messages_go_in_chunks_both_ways(tmp_path: Path, theirs: int | None) -> None:
    defines = [] if theirs is None else [f"SPDM_DATA_TRANSFER_BYTES={theirs}u"]
    with native.running(tmp_path, sanitize=True, defines=defines) as (dsm, identity):
        for spdm, own in ((0x12, 42), (0x13, 64), (0x13, 0x1200)):
            attest_and_key(dsm, identity, RequesterConfig(
                versions=(spdm,), transfer_bytes=own, strict=True))


def test_without_chunk_cap_a_small_requester_is_told_so(device: Device) -> None:
    dsm, identity = device
    dsm.model(native.MODEL_RESET)
    flags = RequesterConfig().capabilities & ~Cap.CHUNK
    perform = performer(dsm)
    requester = run(connect(RequesterConfig(capabilities=flags, transfer_bytes=64), os.urandom),
                    perform)
    run(authenticate(requester, policy(identity)), perform)
    with pytest.raises(PeerRefused) as refused:
        run(challenge(requester, 0), perform)
    assert refused.value.wire_code == ErrorCode.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("own", [64, 0x1200])
def test_late_answers_are_waited_for(tmp_path: Path, own: int) -> None:
    """Every signature is ready after a second of the device; the host comes back in time."""
    with native.running(tmp_path, sanitize=True, options=[
            "--answer-delay", "1000000", "--time-scale", str(WAIT_SCALE)]) as (dsm, identity):
        attest_and_key(dsm, identity, RequesterConfig(transfer_bytes=own, strict=True))


@pytest.mark.parametrize("spdm", [0x12, 0x13], ids=["1.2", "1.3"])
def test_another_authoritys_chain_is_set_and_used(device: Device, spdm: int) -> None:
    """Request in a session, chain into slot 4, then a session that trusts that root alone."""
    dsm, identity = device
    dsm.model(native.MODEL_RESET)
    perform = performer(dsm)
    config = RequesterConfig(versions=(spdm,), strict=True)
    first = run(connect_session(config, policy(identity), os.urandom), perform)
    csr = x509.load_der_x509_csr(run(request_csr(first.spdm), perform))
    assert csr.is_signature_valid
    structure, root = issue(csr)
    run(set_chain(first.spdm, 4, structure), perform)
    run(first.end(), perform)
    other = ChainPolicy(roots=(root,), at=datetime.now(UTC))
    second = run(connect_session(config, other, os.urandom), perform)
    assert second.spdm.start.slot == 4
    run(second.measure(), perform)
    with pytest.raises(PeerRefused) as refused:
        run(set_chain(second.spdm, 0, structure), perform)
    assert refused.value.wire_code == ErrorCode.INVALID_REQUEST
    if spdm == 0x13:
        run(set_chain(second.spdm, 4, b""), perform)
        run(exchange(second.spdm, second.spdm.get_digests(), Digests), perform)
        assert second.spdm.digests is not None
        assert second.spdm.digests.provisioned_slots == 1


def issue(csr: x509.CertificateSigningRequest) -> tuple[bytes, bytes]:
    """Slot structure of a fresh root and a leaf for the request; the root in DER."""
    key = ec.generate_private_key(ec.SECP384R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another root")])
    begin = datetime.now(UTC) - timedelta(days=1)

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey, *,
                    is_root: bool) -> bytes:
        usage = x509.KeyUsage(
            digital_signature=not is_root, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=is_root, crl_sign=False,
            encipher_only=False, decipher_only=False)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(root_name)
                .public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(begin).not_valid_after(begin + timedelta(days=9))
                .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
                .add_extension(usage, critical=True)
                .sign(key, hashes.SHA384()).public_bytes(Encoding.DER))

    public = csr.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    root = certificate(root_name, key.public_key(), is_root=True)
    body = hashlib.sha384(root).digest() + root + certificate(csr.subject, public, is_root=False)
    return struct.pack("<I", 4 + len(body)) + body, root


def test_refusals_reach_the_host_as_such(device: Device) -> None:
    dsm, identity = device
    dsm.model(native.MODEL_RESET)
    perform = performer(dsm)
    session = run(connect_session(RequesterConfig(), policy(identity), os.urandom), perform)
    with pytest.raises(PeerRefused) as refused:
        run(tdisp.lock(session, TDI, stream_id=0), perform)
    assert refused.value.wire_code == TdispErrorCode.INVALID_REQUEST
    with pytest.raises(PeerRefused) as refused:
        run(tdisp.state(session, InterfaceId.of(0x0100)), perform)
    assert refused.value.wire_code == TdispErrorCode.INVALID_INTERFACE
    run(open_session(session.requester, 0), perform)
    with pytest.raises(PeerRefused) as refused:
        run(open_session(session.requester, 0), perform)
    assert refused.value.wire_code == ErrorCode.SESSION_LIMIT_EXCEEDED


def test_foreign_root_is_not_trusted(device: Device, tmp_path: Path) -> None:
    dsm, _identity = device
    dsm.model(native.MODEL_RESET)
    stranger = native.make_identity(tmp_path)
    with pytest.raises(PeerError, match="no trusted root"):
        run(connect_session(RequesterConfig(), policy(stranger), os.urandom), performer(dsm))
