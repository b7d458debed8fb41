# SPDX-License-Identifier: Apache-2.0
"""GET_CSR, SET_CERTIFICATE and slots 1 to 7 of the native DSM.

Requests are checked by `cryptography`; chains are issued here, as another authority would.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests import native_dsm as native
from tests.native_client import Client, sha384, verify
from tests.native_device import (
    INVALID,
    OPERATION_FAILED,
    UNSPECIFIED,
    VERSIONS,
    error,
    started,
)

CURVE = ec.SECP384R1()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("native")) as client:
        yield client


@pytest.fixture
def client(device: Client) -> Client:
    device.dsm.model(native.MODEL_RESET)
    return device


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def ask_csr(client: Client, info: bytes = b"", opaque: bytes = b"", *, param1: int = 0,
            param2: int = 0) -> bytes:
    return client.spdm(0xED, param1, param2,
                       struct.pack("<HH", len(info), len(opaque)) + info + opaque)


def csr_of(answer: bytes) -> x509.CertificateSigningRequest:
    assert answer[1:4] == b"\x6d\0\0", answer[:8].hex()
    size, reserved = struct.unpack_from("<HH", answer, 4)
    assert reserved == 0
    assert 0 <= len(answer) - 8 - size <= 3
    return x509.load_der_x509_csr(answer[8:8 + size])


def structure(*certificates: bytes) -> bytes:
    body = sha384(certificates[0]) + b"".join(certificates)
    return struct.pack("<I", 4 + len(body)) + body


def chain_for(public_key: ec.EllipticCurvePublicKey, *, intermediates: int = 0,
              padding: int = 0) -> bytes:
    """A slot structure with a fresh root, `intermediates`, and a leaf for `public_key`."""
    start = datetime.now(UTC) - timedelta(days=1)
    issuer_key = ec.generate_private_key(CURVE)
    issuer = name("another authority")
    ders: list[bytes] = []
    subjects = [issuer, *(name(f"intermediate {i}") for i in range(intermediates)),
                name("leaf" + "x" * min(padding, 50))]
    for i, subject in enumerate(subjects):
        own_key = ec.generate_private_key(CURVE) if i else issuer_key
        is_leaf = i == len(subjects) - 1
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                   .public_key(public_key if is_leaf else own_key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(start).not_valid_after(start + timedelta(days=30)))
        if is_leaf and padding:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.412.274.6"),
                                           bytes(padding)), critical=False)
        ders.append(builder.sign(issuer_key, hashes.SHA384()).public_bytes(Encoding.DER))
        issuer_key, issuer = own_key, subject
    return structure(*ders)


def set_certificate(client: Client, slot: int, chain: bytes, *, param2: int = 0) -> bytes:
    return client.spdm(0xEE, slot, param2, chain)


def done(version: int, slot: int) -> bytes:
    return bytes([version, 0x6E, slot, 0])


# GET_CSR -------------------------------------------------------------------------------------


@VERSIONS
def test_csr_is_for_the_identity_key(client: Client, version: int) -> None:
    """Subject of slot 0's leaf, its key, no attributes; the signature verifies."""
    client.connect(version)
    for opaque in (b"", os.urandom(5), os.urandom(1024)):
        csr = csr_of(ask_csr(client, opaque=opaque))
        assert csr.is_signature_valid
        assert csr.public_key() == client.leaf_key
        assert isinstance(csr.signature_hash_algorithm, hashes.SHA384)
        assert csr.subject == name("native DSM")
        assert len(csr.extensions) == 0


def test_every_csr_is_der_however_long_the_numbers_are(client: Client) -> None:
    """Forty signatures: integers with and without a leading zero, all minimal."""
    client.connect()
    sizes = set()
    for _ in range(40):
        csr = csr_of(ask_csr(client))
        assert csr.is_signature_valid
        assert csr.public_bytes(Encoding.DER)
        sizes.add(len(csr.signature))
    assert len(sizes) > 1


@pytest.mark.parametrize("common_name", ["a", "a host's name for it", "x" * 64])
@VERSIONS
def test_csr_takes_subject_and_attributes_of_the_requester(client: Client, version: int,
                                                           common_name: str) -> None:
    client.connect(version)
    theirs = (x509.CertificateSigningRequestBuilder().subject_name(name(common_name))
              .add_extension(x509.SubjectAlternativeName([x509.DNSName("device.example")]), False)
              .sign(ec.generate_private_key(CURVE), hashes.SHA384()))
    csr = csr_of(ask_csr(client, theirs.tbs_certrequest_bytes))
    assert csr.is_signature_valid
    assert csr.public_key() == client.leaf_key
    assert csr.subject == theirs.subject
    assert csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == (
        x509.SubjectAlternativeName([x509.DNSName("device.example")]))


def test_short_subject_gives_a_short_header(client: Client) -> None:
    """An empty name makes a request of less than 256 bytes: one length octet less."""
    client.connect()
    theirs = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
              .sign(ec.generate_private_key(CURVE), hashes.SHA384()))
    answer = ask_csr(client, theirs.tbs_certrequest_bytes)
    assert csr_of(answer).is_signature_valid
    assert answer[9] == 0x81


@VERSIONS
def test_bad_csr_requests_are_refused(client: Client, version: int) -> None:
    client.connect(version)
    bad = error(INVALID, version=version)
    good = (x509.CertificateSigningRequestBuilder().subject_name(name("x"))
            .sign(ec.generate_private_key(CURVE), hashes.SHA384()).tbs_certrequest_bytes)
    for info in (b"\0", b"\x30", b"\x30\x80", b"\x30\x00", good[:-1], good + b"\0", good[1:],
                 b"\x30\x81\x05" + bytes(5), b"\x30\x82\x00\x80" + bytes(128),
                 b"\x30\x84\xff\xff\xff\xff", good[:3] + b"\x01" + good[4:],
                 good[:3] + b"\x02\x01\x01" + good[6:]):
        assert ask_csr(client, info) == bad, info.hex()
    assert ask_csr(client, opaque=bytes(1025)) == bad
    for body in (b"", struct.pack("<HH", 5, 0), struct.pack("<HH", 0xFFFF, 0xFFFF),
                 bytes(8)):
        assert client.spdm(0xED, 0, 0, body) == bad
    for params in ((1, 0), (0, 1), (0, 8), (0x80, 0)):  # one key, no reset: nothing to choose
        answer = ask_csr(client, param1=params[0], param2=params[1])
        assert (answer == bad) == (version >= 0x13)
    assert csr_of(ask_csr(client)).is_signature_valid


def test_csr_needs_room(client: Client) -> None:
    client.connect(size=128)
    assert ask_csr(client)[:3] == error(0x0D)[:3]


# SET_CERTIFICATE -----------------------------------------------------------------------------


@pytest.mark.parametrize("slot", range(1, 8))
@VERSIONS
def test_slot_is_set_read_and_used(client: Client, version: int, slot: int) -> None:
    """Digest, portions, CHALLENGE, MEASUREMENTS and KEY_EXCHANGE speak for the new chain."""
    client.connect(version)
    chain = chain_for(csr_of(ask_csr(client)).public_key())  # type: ignore[arg-type]
    assert set_certificate(client, slot, chain) == done(version, slot)
    digests = client.spdm(0x81)
    assert digests[:4] == bytes([version, 1, 0xFF if version >= 0x13 else 0, 1 | 1 << slot])
    assert digests[4:] == sha384(client.chain) + sha384(chain)
    answer = client.spdm(0x82, slot, 0, struct.pack("<HH", 0, 0xFFFF))
    assert answer[:8] == struct.pack("<BBBBHH", version, 2, slot, 0, len(chain), 0)
    assert answer[8:8 + len(chain)] == chain
    echo = os.urandom(8) if version >= 0x13 else b""
    client.spdm(0xE0, 0, 0, echo)  # empties the challenge log
    request = bytes([version, 0x83, slot, 0]) + os.urandom(32) + echo
    answer = client.plain(request)[:4 + 48 + 32 + 2 + len(echo) + 96]
    assert answer[2:52] == bytes([slot, 1 | 1 << slot]) + sha384(chain)
    verify(client.leaf_key, version, "responder-challenge_auth signing",
           client.vca + request + answer[:-96], answer[-96:])
    signed = client.spdm(0xE0, 1, 0, os.urandom(32) + bytes([slot]) + echo)
    assert signed[1] == 0x60
    assert signed[3] & 0xF == slot
    own, client.chain = client.chain, chain
    session = client.key_exchange(slot=slot).finish()
    client.chain = own
    assert session.spdm(0x81) == digests


@VERSIONS
def test_two_chains_fit_and_a_third_does_not(client: Client, version: int) -> None:
    client.connect(version)
    full = error(OPERATION_FAILED if version >= 0x13 else UNSPECIFIED, version=version)
    first, second, third = (chain_for(client.leaf_key) for _ in range(3))
    assert set_certificate(client, 7, first) == done(version, 7)
    assert set_certificate(client, 2, second) == done(version, 2)
    assert set_certificate(client, 5, third) == full
    assert set_certificate(client, 7, third) == done(version, 7)  # what is there is replaced
    assert client.spdm(0x81)[3:] == bytes([0x85]) + b"".join(
        map(sha384, (client.chain, second, third)))
    if version >= 0x13:
        assert client.spdm(0xEE, 0x80 | 2) == done(version, 2)
        assert client.spdm(0x82, 2, 0, struct.pack("<HH", 0, 64)) == error(INVALID, version=version)
        assert client.spdm(0xEE, 0x80 | 2) == done(version, 2)
        assert set_certificate(client, 5, first) == done(version, 5)
    client.dsm.model(native.MODEL_RESET)  # volatile
    client.connect(version)
    assert client.spdm(0x81)[3] == 1


@VERSIONS
def test_slot_survives_get_version_and_holds_2048_bytes(client: Client, version: int) -> None:
    client.connect(version)
    size = len(chain_for(client.leaf_key, padding=1000))
    exact = chain_for(client.leaf_key, padding=1000 + 2048 - size)
    while len(exact) != 2048:  # signatures vary by a byte or two
        exact = chain_for(client.leaf_key, padding=1000 + 2048 - size)
    large = chain_for(client.leaf_key, padding=1100 + 2048 - size)
    full = error(OPERATION_FAILED if version >= 0x13 else UNSPECIFIED, version=version)
    assert set_certificate(client, 1, large) == full
    assert set_certificate(client, 1, exact) == done(version, 1)
    client.connect(version)
    assert client.spdm(0x81)[3] == 3
    if version >= 0x13:  # size of the slot itself
        answer = client.spdm(0x82, 1, 1, struct.pack("<HH", 0, 0xFFFF))
        assert answer == struct.pack("<BBBBHH", version, 2, 1, 0, 0, 2048)


@VERSIONS
def test_bad_chains_leave_the_slot_as_it_was(client: Client, version: int) -> None:
    client.connect(version)
    bad = error(INVALID, version=version)
    good = chain_for(client.leaf_key, intermediates=1)
    assert set_certificate(client, 3, good) == done(version, 3)
    before = client.spdm(0x81)
    stranger = chain_for(ec.generate_private_key(CURVE).public_key())
    other_curve = chain_for(ec.generate_private_key(ec.SECP256R1()).public_key())
    cases = {
        "empty": b"", "length only": struct.pack("<I", 4), "no certificate": good[:52],
        "other key": stranger, "other curve": other_curve,
        "length+": struct.pack("<I", len(good) + 1) + good[4:],
        "length-": struct.pack("<I", len(good) - 1) + good[4:],
        "upper half": struct.pack("<I", len(good) | 0x10000) + good[4:],
        "cut": struct.pack("<I", len(good) - 4) + good[4:-4],
        "bytes behind": struct.pack("<I", len(good) + 4) + good[4:] + bytes(4),
        "no DER": good[:52] + bytes(len(good) - 52),
        "long form": struct.pack("<I", 60) + bytes(48) + b"\x30\x84\0\0\0\x02\0\0",
    }
    for what, chain in cases.items():
        for slot in (3, 4):
            assert set_certificate(client, slot, chain) == bad, what
    for slot in (0, 8, 9, 0x0F):
        assert set_certificate(client, slot, good) == bad
    model = set_certificate(client, 0x13, good)
    pair = set_certificate(client, 3, good, param2=1)
    if version >= 0x13:
        assert model == pair == bad
        assert client.spdm(0xEE, 0x83, 0, bytes(4)) == bad
        assert client.spdm(0xEE, 0x80) == bad
    assert client.spdm(0x81) == before


def test_empty_slots_are_no_slots(client: Client) -> None:
    client.connect(0x13)
    bad = error(INVALID, version=0x13)
    for slot in (1, 7):
        assert client.spdm(0x82, slot, 0, struct.pack("<HH", 0, 16)) == bad
        assert client.spdm(0x82, slot, 1, struct.pack("<HH", 0, 16)) == bad
        assert client.spdm(0x83, slot, 0, bytes(40)) == bad
        assert client.spdm(0xE0, 1, 1, bytes(32) + bytes([slot]) + bytes(8)) == bad


def test_slots_can_be_set_in_a_session_and_in_chunks(client: Client) -> None:
    chain = chain_for(client.leaf_key, intermediates=1)
    client.connect(0x13, size=64, largest=0x11E8)
    session = client.session()
    assert session.spdm(0xEE, 6, 0, chain) == done(0x13, 6)
    answer = session.spdm(0x82, 6, 0, struct.pack("<HH", 0, 0xFFFF))
    assert answer is not None
    assert answer[8:] == chain
    csr = session.spdm(0xED, 0, 0, bytes(4))
    assert csr is not None
    assert csr_of(csr).is_signature_valid


def test_device_without_a_chain_has_no_subject_for_a_request(tmp_path: Path) -> None:
    """Slot 0 that holds no certificate: nothing can be certified or set."""
    identity = native.make_identity(tmp_path)
    identity.slot0.write_bytes(structure(b"no certificate"))
    with native.NativeDsm(native.build(sanitize=True), identity) as dsm:
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        client = Client(dsm, key, identity.slot0.read_bytes()).connect(0x13)
        assert ask_csr(client) == error(OPERATION_FAILED, version=0x13)
        assert set_certificate(client, 1, chain_for(key)) == error(INVALID, version=0x13)
