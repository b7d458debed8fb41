# SPDX-License-Identifier: Apache-2.0
"""Seeded mutations of valid objects against the native DSM, built with sanitizers.

Whatever comes in, the process answers with a well-formed object or drops the request, and goes on
answering GET_VERSION. The seed stands in the test id: a failure repeats.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import (
    CAP_CHUNK,
    CAPS_TEE_IO,
    GET_VERSION,
    IDE_KM,
    OPAQUE_11_12,
    TABLES,
    TDISP,
    TYPE_SECURED,
    TYPE_SPDM,
    Client,
    Session,
    all_infos,
    chunk_sends,
    doe_object,
    get_capabilities,
    key_go,
    key_prog,
    key_stop,
    negotiate_algorithms,
    split_object,
    tdisp,
)

ITERATIONS = int(os.environ.get("TEEIO_FUZZ_ITERATIONS", "2000"))
RESPONSES = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x60, 0x61, 0x63, 0x64, 0x65, 0x68, 0x69, 0x6C,
             0x6D, 0x6E, 0x7E, 0x7F}
ERRORS = {0x01, 0x04, 0x05, 0x06, 0x07, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x41, 0x43, 0x44}
CSR_INFO = bytes.fromhex("3018 020100 300c310a300806035504030c0178 3003020100 a000")
INTERESTING = (0x00, 0x01, 0x02, 0x03, 0x0F, 0x10, 0x12, 0x13, 0x40, 0x7F, 0x80, 0xE4, 0xFE, 0xFF)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    with native.running(tmp_path_factory.mktemp("native"), sanitize=True) as (dsm, identity):
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        yield Client(dsm, key, identity.slot0.read_bytes())


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to four changes: bits, bytes, cuts, insertions, doubled and removed pieces."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out)) if out else 0
        match rng.randrange(7):
            case 0 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[at] = rng.choice(INTERESTING)
            case 2 if len(out) > 1:
                struct.pack_into("<H", out, rng.randrange(len(out) - 1),
                                 rng.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF, len(out))))
            case 3:
                del out[at:]
            case 4:
                out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 64, 0x1000)))
            case 5:
                end = min(len(out), at + rng.randint(1, 64))
                out[at:at] = out[at:end]
            case _:
                del out[at:at + rng.randint(1, 8)]
    return bytes(out)


def point() -> bytes:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    return numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")


def clear_requests(client: Client, version: int, share: bytes) -> list[bytes]:
    """A valid request of every kind."""
    client.version = version
    return [
        GET_VERSION, get_capabilities(version), negotiate_algorithms(version),
        negotiate_algorithms(version, tables=TABLES + TABLES, extended=(1, 1)),
        bytes([version, 0x81, 0, 0]), bytes([version, 0x82, 0, 0]) + struct.pack("<HH", 0, 0xFFFF),
        bytes([version, 0x83, 0, 0xFF]) + bytes(40 if version > 0x12 else 32),
        bytes([version, 0xE0, 0, 0xFF]) + bytes(8 if version > 0x12 else 0),
        bytes([version, 0xE0, 1, 0xFF]) + bytes(41 if version > 0x12 else 33),
        client.key_exchange_message(share, summary=0xFF),
        client.key_exchange_message(share, opaque=OPAQUE_11_12 + OPAQUE_11_12[4:]),
        bytes([version, 0xE5, 0, 0]) + bytes(48), bytes([version, 0xE8, 0, 0]),
        bytes([version, 0xED, 0, 0]) + struct.pack("<HH", len(CSR_INFO), 3) + CSR_INFO + bytes(3),
        bytes([version, 0xEE, 1, 0]) + client.chain,
        *chunk_sends(version, bytes([version, 0x83, 0, 0]) + bytes(92), 64),
        bytes([version, 0x86, 0, 0, 0, 0]),
        bytes([version, 0xE9, 1, 0]), bytes([version, 0xEC, 0, 0]), bytes([version, 0xFF, 0x83, 0]),
        bytes([version, 0xFE, 0, 0]) + struct.pack("<HBHHB", 3, 2, 1, 1, 7),
    ]


def check_message(message: bytes) -> None:
    """A response that exists, in a version that exists."""
    assert message[0] in (0x10, 0x12, 0x13)
    assert message[1] in RESPONSES
    if message[1] == 0x7F:
        assert message[2] in ERRORS


def assert_alive(client: Client) -> None:
    assert client.dsm.is_running
    client.start()


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_objects_in_clear(device: Client, seed: int) -> None:
    rng = random.Random(seed)
    share = point()
    answered = dropped = 0
    for number in range(ITERATIONS):
        version = rng.choice((0x12, 0x13))
        if number % 20 == 0:
            device.connect(version, flags=CAPS_TEE_IO | CAP_CHUNK)
        message = rng.choice(clear_requests(device, version, share))
        what = rng.randrange(10)
        if what < 7:
            data = doe_object(TYPE_SPDM, mutate(rng, message))
        elif what < 9:
            data = mutate(rng, doe_object(rng.choice((TYPE_SPDM, TYPE_SECURED)), message))
        else:
            data = doe_object(TYPE_SPDM, message)  # valid, so that the state moves
        if len(data) > 0x1208:
            data = data[:0x1208]
        answer = device.dsm.exchange(data)
        if not answer:
            dropped += 1
            continue
        answered += 1
        object_type, payload = split_object(answer)
        assert object_type == data[2]
        if object_type == TYPE_SPDM:
            check_message(payload)
        if number % 100 == 0:
            assert_alive(device)
    assert_alive(device)
    device.connect().session()
    assert answered > ITERATIONS // 4
    assert dropped > ITERATIONS // 50


def session_requests(version: int) -> list[bytes]:
    """A valid request of every kind that a session carries."""
    tail = bytes(8 if version > 0x12 else 0)
    plain = [
        bytes([version, 0x81, 0, 0]), bytes([version, 0x82, 0, 0]) + struct.pack("<HH", 0, 0xFFFF),
        bytes([version, 0xE0, 0, 0xFF]) + tail, bytes([version, 0xE8, 0, 0]),
        bytes([version, 0xE0, 1, 0]) + bytes(33) + tail,
    ]
    payloads = [(IDE_KM, bytes(3))]
    for info in all_infos(0) + all_infos(1):
        payloads += [(IDE_KM, key_prog(0, info)), (IDE_KM, key_go(0, info))]
    payloads += [(IDE_KM, key_stop(0, 0)), (TDISP, tdisp(0x81)),
                 (TDISP, tdisp(0x82, body=bytes(4))),
                 (TDISP, tdisp(0x83, body=struct.pack("<HBxQQ", 5, 0, 0, 0))),
                 (TDISP, tdisp(0x84, body=struct.pack("<HH", 0, 0xFFFF))), (TDISP, tdisp(0x85)),
                 (TDISP, tdisp(0x86, body=bytes(32))), (TDISP, tdisp(0x87)),
                 (TDISP, tdisp(0x8B, body=bytes(5))),
                 (TDISP, tdisp(0x8B, body=bytes.fromhex("0002341201")))]
    return plain + [bytes([version, 0xFE, 0, 0])
                    + struct.pack("<HBHHB", 3, 2, 1, 1 + len(payload), protocol) + payload
                    for protocol, payload in payloads]


def revive(client: Client, rng: random.Random) -> Session:
    return client.connect(rng.choice((0x12, 0x13))).session()


@pytest.mark.parametrize("seed", [3, 4])
def test_mutated_messages_inside_of_a_session(device: Client, seed: int) -> None:
    """Good records with bad contents: none of them may end the session."""
    rng = random.Random(seed)
    session = revive(device, rng)
    for number in range(ITERATIONS):
        message = rng.choice(session_requests(session.version))
        if rng.randrange(4):
            message = mutate(rng, message)[:0x1200 - 24]
        # Key update and end of session change the keys: those two are left to their own tests.
        if message[1:2] in (b"\xe9", b"\xec"):
            continue
        answer = session.send(message)
        if answer is not None:
            check_message(answer)
            assert answer[0] == session.version
            assert not (answer[1] == 0x7F and answer[2] == 0x06)
        if number % 200 == 0:
            assert session.spdm(0xE8) == bytes([session.version, 0x68, 0, 0])
    assert session.spdm(0xE8) == bytes([session.version, 0x68, 0, 0])
    assert_alive(device)


@pytest.mark.parametrize("seed", [5])
def test_mutated_records(device: Client, seed: int) -> None:
    """A record that is changed anywhere either names another session or ends this one."""
    rng = random.Random(seed)
    session = revive(device, rng)
    for _ in range(ITERATIONS // 10):
        message = rng.choice(session_requests(session.version))
        good = session.tx.seal(session.session_id, struct.pack("<H", len(message)) + message)
        bad = mutate(rng, good)[:0x1200]
        padded = bad + bytes(-len(bad) % 4)
        if padded[:len(good)] == good and len(padded) - len(good) <= 3:
            continue  # still the same record
        answer = device.carry(TYPE_SECURED, bad)
        if padded[:4] != good[:4]:  # a cut id may be made whole by padding
            assert answer is None
            session.tx.sequence -= 1
            continue
        if answer is None:
            assert len(bad) < 4
            session.tx.sequence -= 1
            continue
        try:
            plaintext = session.rx.open(answer)
        except InvalidTag:
            pytest.fail("an answer under a wrong key or number")
        assert plaintext[2:] == bytes([session.version, 0x7F, 0x06, 0])
        session = revive(device, rng)
    assert_alive(device)


@pytest.mark.parametrize("seed", [6])
def test_mutated_finish(device: Client, seed: int) -> None:
    """Any change to FINISH is refused and ends the handshake; other requests leave it open."""
    rng = random.Random(seed)
    for _ in range(ITERATIONS // 20):
        session = device.connect().key_exchange()
        good = session.finish_message()
        bad = mutate(rng, good)[:0x1000]
        if bad == good:
            continue
        answer = session.send(bad)
        assert answer is not None
        assert answer[:2] == b"\x12\x7f"
        assert answer[2] in ERRORS
        if len(bad) >= 4 and bad[1] == 0xE5:
            assert session.send(good) is None
        else:
            session.finish()
    assert_alive(device)


def test_garbage_frames_and_objects(device: Client) -> None:
    """Objects of random bytes and random length."""
    rng = random.Random(7)
    for _ in range(ITERATIONS // 4):
        data = rng.randbytes(4 * rng.randrange(0, 40))
        answer = device.dsm.exchange(data)
        if answer:
            split_object(answer)
    for _ in range(20):
        device.dsm.send_raw(b"\xff" + rng.randbytes(rng.randrange(11, 200)))
        device.dsm.reconnect()
    assert_alive(device)
