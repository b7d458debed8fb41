# SPDX-License-Identifier: Apache-2.0
"""Key schedule and records: typed vectors, and `cryptography` as a second opinion."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from teeio.core.key_schedule import KeySchedule, RecordKeys, bin_concat, hkdf_expand, hkdf_extract
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import (
    CONTEXT_CHALLENGE_AUTH,
    CONTEXT_KEY_EXCHANGE_RSP,
    CONTEXT_MEASUREMENTS,
    signing_prefix,
)
from teeio.core.spdm_record import LAST_SEQUENCE, RecordChannel, record_nonce
from teeio.core.transcript import without_tail
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import decode_whole
from teeio.wire.secured import SecuredRecord

# DHE = 00 01 02 ..., TH1 = Hash("TH1"), TH2 = Hash("TH2"), labels "spdm1.2 ".
VECTORS = {
    "sha384": {
        "handshake_start": "360732e7",
        "handshake_end": "c5c6b9e0be",
        "request handshake key": "ec3db79ca24def99c3fea8030c2de9303322d3ed62f7b61081d8ec846b1a8b0a",
        "request handshake iv": "084eebbfb47f2a7965f758dd",
        "request app key": "848d206a0b0b9ebf2c2db70e5a447cb8c6ceae51db25ae2e59bfc3739b693b2f",
        "request app iv": "159f1e766c1428b698751f0f",
    },
    "sha256": {
        "handshake_start": "46bd320605c5a6b6163ab70bc6345b92a5f908e79fe58979",
        "handshake_end": "c23ebb47d1a5e307",
        "request handshake key": "31520ebc619c2e93f3acfa87503b4401c39698eaab7c9a08ef064fa4d60cee2e",
        "request handshake iv": "5eb555bca802631cd86ce043",
        "request app key": "422419d1ba314a0bafd6ad39d234a2db69bbd045bb4156f11e05af71aa1bb68a",
        "request app iv": "62852224a2bcc5003071a17d",
    },
}
HASHES: dict[str, hashes.HashAlgorithm] = {"sha384": hashes.SHA384(), "sha256": hashes.SHA256()}


@pytest.mark.parametrize("name", ["sha384", "sha256"])
def test_key_schedule_gives_the_typed_vectors(name: str) -> None:
    """DSP0274 key schedule of 1.2 from a fixed shared secret and fixed transcript hashes."""
    want = VECTORS[name]
    size = hashlib.new(name).digest_size
    schedule = KeySchedule(name, size, 0x12)
    th1 = hashlib.new(name, b"TH1").digest()
    th2 = hashlib.new(name, b"TH2").digest()
    handshake = schedule.handshake(Secret(bytes(range(size))), th1)
    digits = handshake.handshake.reveal().hex()
    assert digits.startswith(want["handshake_start"]) and digits.endswith(want["handshake_end"])
    keys = schedule.record_keys(handshake.request)
    assert keys.key.reveal().hex() == want["request handshake key"]
    assert keys.iv.reveal().hex() == want["request handshake iv"]
    application = schedule.application(handshake.handshake, th2)
    keys = schedule.record_keys(application.request)
    assert keys.key.reveal().hex() == want["request app key"]
    assert keys.iv.reveal().hex() == want["request app iv"]


def test_bin_concat_bytes() -> None:
    """The length is that of the output, little endian, and the version is in the label."""
    assert bin_concat(0x12, "key", 32) == b"\x20\x00spdm1.2 key"
    assert bin_concat(0x12, "iv", 12) == b"\x0c\x00spdm1.2 iv"
    assert bin_concat(0x12, "finished", 48) == b"\x30\x00spdm1.2 finished"
    assert bin_concat(0x13, "exp master", 48, b"\xaa") == b"\x30\x00spdm1.3 exp master\xaa"


@given(st.sampled_from(["sha256", "sha384"]), st.binary(), st.binary(), st.integers(1, 200))
def test_hkdf_agrees_with_cryptography(name: str, key: bytes, info: bytes, length: int) -> None:
    """RFC 5869 against another implementation."""
    algorithm = HASHES[name]
    salt = bytes(algorithm.digest_size)
    extracted = hkdf_extract(name, salt, key)
    mac = hmac.HMAC(salt, algorithm)
    mac.update(key)
    assert extracted == mac.finalize()
    assert hkdf_expand(name, extracted, info, length) == HKDFExpand(algorithm, length, info).derive(
        extracted
    )
    assert hkdf_expand(name, extracted, info, length) == HKDF(algorithm, length, salt, info).derive(
        key
    )


@pytest.mark.parametrize(
    ("context", "length", "zeros"),
    [
        (CONTEXT_CHALLENGE_AUTH, 32, 4),
        (CONTEXT_MEASUREMENTS, 30, 6),
        (CONTEXT_KEY_EXCHANGE_RSP, 34, 2),
    ],
)
def test_signing_prefix_has_100_bytes(context: str, length: int, zeros: int) -> None:
    """Four version labels, zeros, then the context at the end."""
    prefix = signing_prefix(0x13, context)
    assert len(prefix) == 100
    assert prefix[:64] == b"dmtf-spdm-v1.3.*" * 4
    assert prefix[64 : 64 + zeros] == bytes(zeros)
    assert prefix[64 + zeros :] == context.encode() and len(context) == length


def test_nonce_is_the_little_endian_xor() -> None:
    """The worked example of the secured-message facts: sequence 1 hits byte 0."""
    assert record_nonce(bytes(range(12)), 1).hex() == "0101020304050607" + "08090a0b"
    assert record_nonce(bytes(12), 0x0102).hex() == "0201" + "00" * 10


def channel(key: int = 1) -> RecordChannel:
    return RecordChannel(RecordKeys(key=Secret(bytes([key]) * 32), iv=Secret(bytes(range(12)))))


@given(st.integers(0, 0xFFFF_FFFF), st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_records_open_in_order_and_as_cryptography_seals(
    session: int, messages: list[bytes]
) -> None:
    """Seal and open are inverse; the bytes are those of AES-GCM with the documented nonce."""
    tx, rx = channel(), channel()
    for number, message in enumerate(messages):
        wire = tx.seal(session, message)
        nonce = record_nonce(bytes(range(12)), number)
        plaintext = len(message).to_bytes(2, "little") + message
        aad = session.to_bytes(4, "little") + (len(plaintext) + 16).to_bytes(2, "little")
        assert wire == aad + AESGCM(b"\x01" * 32).encrypt(nonce, plaintext, aad)
        assert rx.open(decode_whole(SecuredRecord.decode, wire)) == message


def test_replayed_and_reordered_records_are_refused() -> None:
    """Each number opens once, and only in its turn."""
    tx, rx = channel(), channel()
    first = decode_whole(SecuredRecord.decode, tx.seal(1, b"one"))
    second = decode_whole(SecuredRecord.decode, tx.seal(1, b"two"))
    assert rx.open(first) == b"one"
    with pytest.raises(PeerError, match="number 1 does not authenticate"):
        rx.open(first)
    late = channel()
    with pytest.raises(PeerError, match="number 0"):
        late.open(second)


@given(st.integers(0, 8 * (6 + 2 + 10 + 16) - 1))
def test_any_flipped_bit_of_a_record_is_refused(bit: int) -> None:
    """Header, ciphertext and tag are all authenticated (a changed length may not even decode)."""
    wire = bytearray(channel().seal(0x1234, b"0123456789"))
    wire[bit // 8] ^= 1 << bit % 8
    rx = channel()
    with pytest.raises((PeerError, DecodeError)):
        rx.open(decode_whole(SecuredRecord.decode, bytes(wire)))


def test_wiped_channels_and_used_counters_refuse() -> None:
    """No record leaves after wiping, nor under the last sequence number."""
    tx = channel()
    tx.wipe()
    with pytest.raises(LocalError, match="wiped"):
        tx.seal(1, b"x")
    tx = channel()
    tx._sequence = LAST_SEQUENCE
    tx.seal(1, b"x")
    with pytest.raises(LocalError, match="used up"):
        tx.seal(1, b"x")


def test_secrets_do_not_show() -> None:
    """repr hides the bytes, wiping zeroes the buffer, pickling is refused."""
    secret = Secret(b"\xde\xad\xbe\xef")
    assert repr(secret) == "Secret(4 bytes)"
    keys = RecordKeys(key=secret, iv=Secret(b"\xca\xfe"))
    assert "cafe" not in repr(keys)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    secret.wipe()
    assert secret._buffer == bytes(4)
    with pytest.raises(LocalError):
        secret.reveal()


def test_authenticators_are_cut_by_exclusion() -> None:
    """A transcript takes the message minus its tail, never more."""
    assert without_tail(b"abcdef", 2) == b"abcd"
    assert without_tail(b"abcdef", 0) == b"abcdef"
    with pytest.raises(LocalError):
        without_tail(b"ab", 3)
