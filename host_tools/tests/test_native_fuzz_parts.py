# SPDX-License-Identifier: Apache-2.0
"""Seeded mutations where plain ones do not reach: DER inside of right lengths, chunks of any size.

Built with sanitizers. What holds for every input is checked, beyond "it lives".
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import Client, sha384
from tests.native_device import INVALID, OPERATION_FAILED, UNEXPECTED, error, started
from tests.test_native_fuzz import mutate

ITERATIONS = int(os.environ.get("TEEIO_FUZZ_ITERATIONS", "2000")) // 4


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("native")) as client:
        yield client


@pytest.fixture
def client(device: Client) -> Client:
    device.dsm.model(native.MODEL_RESET)
    return device.connect(0x13, largest=0x1200)


def mutate_der(rng: random.Random, der: bytes) -> bytes:
    """Half of the time only tags and lengths of a few elements, else anything."""
    if rng.randrange(2):
        return mutate(rng, der)[:0x1000]
    out = bytearray(der)
    for _ in range(rng.randint(1, 3)):
        tags = [i for i, byte in enumerate(out) if byte in (0x30, 0x02, 0x03, 0xA0)]
        at = rng.choice(tags or [0])
        where = min(len(out) - 1, at + rng.randrange(3))
        out[where] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0xFF,
                                 rng.randrange(256)))
    return bytes(out)


@pytest.mark.parametrize("seed", [7])
def test_mutated_requester_info(client: Client, seed: int) -> None:
    """Refused, or a request whose subject and attributes are the bytes that were sent."""
    rng = random.Random(seed)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "requester")])
    good = (x509.CertificateSigningRequestBuilder().subject_name(name)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), False)
            .sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384())
            .tbs_certrequest_bytes)
    taken = 0
    for _ in range(ITERATIONS):
        info = mutate_der(rng, good)
        answer = client.spdm(0xED, 0, 0, struct.pack("<HH", len(info), 0) + info)
        if answer == error(INVALID, version=0x13):
            continue
        if not info:
            continue
        size, = struct.unpack_from("<H", answer, 4)
        csr = answer[8:8 + size]
        assert answer[1] == 0x6D
        assert csr[:2] in (b"\x30\x81", b"\x30\x82")
        assert info[6:20] in csr
        taken += 1
    assert 0 < taken < ITERATIONS


@pytest.mark.parametrize("seed", [8])
def test_mutated_chains(client: Client, seed: int) -> None:
    """Refused, or stored to the byte: what is read back is what was sent, digest and all."""
    rng = random.Random(seed)
    kept = client.chain
    assert client.spdm(0xEE, 1, 0, kept) == bytes.fromhex("136e0100")
    taken = 0
    for _ in range(ITERATIONS):
        certificates = mutate_der(rng, client.chain[52:])
        chain = struct.pack("<I", 52 + len(certificates)) + client.chain[4:52] + certificates
        answer = client.spdm(0xEE, 1, 0, chain)
        if answer == bytes.fromhex("136e0100"):
            taken += 1
            kept = chain
        else:
            assert answer in (error(INVALID, version=0x13), error(OPERATION_FAILED, version=0x13))
        assert client.spdm(0x81)[52:100] == sha384(kept)
    got = client.spdm(0x82, 1, 0, struct.pack("<HH", 0, 0xFFFF))
    assert got[8:8 + len(kept)] == kept
    assert 0 < taken < ITERATIONS


@pytest.mark.parametrize("seed", [9])
def test_chunks_of_any_size_and_any_fault(client: Client, seed: int) -> None:
    """Good chunks of random sizes give the answer of the whole; one fault ends the transfer."""
    rng = random.Random(seed)
    whole = faulty = 0
    for _ in range(ITERATIONS):
        message = bytes([0x13, 0xEE, 2, 0]) + client.chain
        if rng.randrange(2):
            message = bytes([0x13, rng.choice((0x82, 0x83, 0xE4, 0xE5, 0xFE))]) + rng.randbytes(
                rng.randint(41, 500))
        expected = client.plain_one(message)
        handle, done, number = rng.randrange(256), 0, 0
        fault_at = rng.randrange(12)
        answer: bytes | None = b""
        while done < len(message) and answer is not None:
            size = min(rng.choice((1, 2, 3, 30, 500)) * rng.randint(1, 9), len(message) - done)
            if number == 0:
                size = min(size, len(message) - 1)
            total = struct.pack("<I", len(message)) if number == 0 else b""
            last = int(done + size == len(message))
            part = struct.pack("<BBBBHHI", 0x13, 0x85, last, handle, number, 0, size) + total
            part += message[done:done + size]
            if number == fault_at:
                bad = bytearray(part)
                bad[rng.choice((2, 3, 4, 5, 8, 9, 10, 11))] ^= 1 << rng.randrange(8)
                part = bytes(bad)
            answer = client.plain_one(part)
            assert answer is not None or message[1] == 0xFE
            if answer is not None and answer[1] == 0x05 and answer[2] & 1:
                assert answer[6:8] == b"\x13\x7f"
                assert number >= fault_at  # a handle or a size may be told later
                faulty += 1
                break
            done += size
            number += 1
        else:
            if answer is None or expected is None:
                assert answer is expected
            elif message[1] not in (0x83, 0xE4):  # those carry fresh numbers
                assert answer[6:].rstrip(b"\0") == expected.rstrip(b"\0")
            whole += 1
        assert client.spdm(0x81)[1] == 0x01  # in any case no transfer is left
    assert whole
    assert faulty


def test_reserved_bits_of_chunks_are_ignored(client: Client) -> None:
    """Param1 7:1 and the reserved word; a fault there is none."""
    message = bytes([0x13, 0x82, 0, 0]) + bytes(60)
    first = struct.pack("<BBBBHHI", 0x13, 0x85, 0xFE, 1, 0, 0xFFFF, 40)
    first += struct.pack("<I", len(message)) + message[:40]
    assert client.plain_one(first) == bytes.fromhex("130500010000") + bytes(2)
    last = struct.pack("<BBBBHHI", 0x13, 0x85, 0xFF, 1, 1, 0xFFFF, 24) + message[40:]
    assert client.plain_one(last) == bytes.fromhex("130500010100") + (
        error(INVALID, version=0x13)) + bytes(2)
    assert client.spdm(0x86, body=bytes(2)) == error(UNEXPECTED, version=0x13)
