# SPDX-License-Identifier: Apache-2.0
"""CHUNK_SEND, CHUNK_GET and ResponseNotReady of the native DSM, rule by rule (DSP0274)."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator

import pytest

from tests import native_dsm as native
from tests.native_client import (
    CAPS_TEE_IO,
    IDE_KM,
    TYPE_SPDM,
    Client,
    all_infos,
    chunk_sends,
    get_capabilities,
    key_prog,
    sha384,
    verify,
)
from tests.native_device import (
    BUSY,
    INVALID,
    LARGE_RESPONSE,
    NOT_READY,
    REQUEST_TOO_LARGE,
    UNEXPECTED,
    UNSUPPORTED,
    VERSIONS,
    error,
    started,
)

LARGEST = 0x11E8


@pytest.fixture(scope="module", params=[None, 42, 96], ids=["whole", "42-bytes", "96-bytes"])
def device(request: pytest.FixtureRequest,
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Builds that take a whole message, 42 or 96 bytes at a time."""
    defines = [] if request.param is None else [f"SPDM_DATA_TRANSFER_BYTES={request.param}u"]
    with started(tmp_path_factory.mktemp("native"), defines=defines) as client:
        yield client


@pytest.fixture(scope="module")
def small_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("native"),
                 defines=["SPDM_DATA_TRANSFER_BYTES=64u"]) as client:
        yield client


@pytest.fixture
def small(small_device: Client) -> Client:
    small_device.dsm.model(native.MODEL_RESET)
    return small_device.connect(size=64, largest=LARGEST)


def echo(version: int) -> bytes:
    return os.urandom(8) if version >= 0x13 else b""


@pytest.mark.parametrize("own", [42, 64, 200, LARGEST])
@VERSIONS
def test_whole_conversation_in_chunks(device: Client, version: int, own: int) -> None:
    """Signatures, transcripts and digests are those of the whole messages."""
    device.dsm.model(native.MODEL_RESET)
    client = device.connect(version, size=own, largest=LARGEST)
    digests = client.spdm(0x81)[:52]
    assert digests[4:] == sha384(client.chain)
    request = bytes([version, 0x82, 0, 0]) + struct.pack("<HH", 0, 0xFFFF)
    chain = client.plain(request)
    chain = chain[:8 + struct.unpack_from("<H", chain, 4)[0]]
    assert chain[8:] == client.chain
    log = bytes([version, 0x81, 0, 0]) + digests + request + chain
    context = echo(version)
    request = bytes([version, 0x83, 0, 0xFF]) + os.urandom(32) + context
    answer = client.plain(request)[:4 + 48 + 32 + 48 + 2 + len(context) + 96]
    verify(client.leaf_key, version, "responder-challenge_auth signing",
           client.vca + log + request + answer[:-96], answer[-96:])
    session = client.key_exchange(summary=1).finish()
    request = (bytes([version, 0xE0, 1, 0xFF]) + os.urandom(32) + b"\0" + echo(version))
    measured = session.send(request)
    assert measured is not None
    verify(client.leaf_key, version, "responder-measurements signing",
           client.vca + request + measured[:-96], measured[-96:])
    assert session.spdm(0xE9, 1, 7) is not None
    session.tx = session.tx.updated()
    assert session.spdm(0xE9, 3, 8) is not None
    answer_to_key = session.vendor(IDE_KM, key_prog(0, all_infos(0)[0], key=os.urandom(32)))
    assert answer_to_key == struct.pack("<BxxBBBB", 3, 0, 0, 0, 0)
    registers = session.vendor(IDE_KM, bytes(3))
    assert registers is not None
    assert len(registers) == 7 + 4 * 20
    assert session.spdm(0xEC) is not None


# CHUNK_SEND ----------------------------------------------------------------------------------


LONG = bytes([0x12, 0x83, 0, 0]) + bytes(32) + bytes(60)  # wrong size: InvalidRequest when whole


def early(code: int, sequence: int, *, handle: int = 0x5A) -> bytes:
    return struct.pack("<BBBBH", 0x12, 0x05, 1, handle, sequence) + error(code)


def ack(sequence: int, *, handle: int = 0x5A) -> bytes:
    return struct.pack("<BBBBH", 0x12, 0x05, 0, handle, sequence)


def tell(client: Client, message: bytes) -> bytes:
    """One object there and back, without the padding of an ERROR or ACK."""
    answer = client.plain_one(message)
    assert answer is not None
    return answer


def unpadded(answer: bytes, size: int) -> bytes:
    assert not any(answer[size:])
    assert len(answer) - size <= 3
    return answer[:size]


def test_error_about_the_large_request_comes_in_the_last_ack(small: Client) -> None:
    parts = chunk_sends(0x12, LONG, 64)
    assert len(parts) == 2
    assert unpadded(tell(small, parts[0]), 6) == ack(0)
    assert unpadded(tell(small, parts[1]), 10) == ack(1) + error(INVALID)
    assert small.spdm(0x81)[1] == 0x01


def broken_first(field: str) -> bytes:
    good = bytearray(chunk_sends(0x12, LONG, 64)[0])
    if field == "sequence":
        struct.pack_into("<H", good, 4, 1)
    elif field == "chunk-size-0":
        return bytes(good[:8]) + bytes(4) + bytes(good[12:16])
    elif field == "chunk-size+":
        struct.pack_into("<I", good, 8, 49)
    elif field == "chunk-size-huge":
        struct.pack_into("<I", good, 8, 0xFFFF_FFFF)
    elif field == "small-message":
        struct.pack_into("<I", good, 12, 42)
    elif field == "last":
        good[2] = 1
    elif field == "chunk-of-all":
        struct.pack_into("<I", good, 12, 48)
        good[2] = 1
    elif field == "header-only":
        return bytes(good[:4])
    elif field == "cut":
        return bytes(good[:15])
    return bytes(good)


@pytest.mark.parametrize("field", ["sequence", "chunk-size-0", "chunk-size+", "chunk-size-huge",
                                   "small-message", "last", "chunk-of-all", "header-only", "cut"])
def test_bad_first_chunk_is_an_early_error(small: Client, field: str) -> None:
    message = broken_first(field)
    sequence = 1 if field == "sequence" else 0
    assert unpadded(tell(small, message), 10) == early(INVALID, sequence)
    assert small.spdm(0x81)[1] == 0x01  # no transfer is left


@pytest.mark.parametrize("size", [LARGEST + 1, 0x1200, 0xFFFF_FFFF])
def test_large_request_has_a_limit(small: Client, size: int) -> None:
    first = bytearray(chunk_sends(0x12, LONG, 64)[0])
    struct.pack_into("<I", first, 12, size)
    assert unpadded(tell(small, bytes(first)), 10) == early(REQUEST_TOO_LARGE, 0)
    assert small.spdm(0x81)[1] == 0x01


@pytest.mark.parametrize("field", ["handle", "sequence", "sequence-again", "too-much",
                                   "last-missing", "last-early", "first-again"])
def test_bad_later_chunk_is_an_early_error(small: Client, field: str) -> None:
    message = LONG + bytes(40)
    parts = [bytearray(part) for part in chunk_sends(0x12, message, 64)]
    assert tell(small, bytes(parts[0]))[:6] == ack(0)
    bad = parts[1]
    handle, sequence = 0x5A, 1
    if field == "handle":
        bad[3] = handle = 0x5B
    elif field.startswith("sequence"):
        sequence = 2 if field == "sequence" else 0
        struct.pack_into("<H", bad, 4, sequence)
    elif field == "last-early":
        bad[2] = 1
    elif field == "first-again":
        bad, sequence = parts[0], 0
    else:
        assert tell(small, bytes(bad))[:6] == ack(1)
        bad, sequence = parts[2], 2
        if field == "last-missing":
            bad[2] = 0
        else:
            struct.pack_into("<I", bad, 8, struct.unpack_from("<I", bad, 8)[0] + 1)
            bad += bytes(1)
    assert unpadded(tell(small, bytes(bad)), 10) == early(INVALID, sequence, handle=handle)
    assert tell(small, bytes(parts[1]))[2] == 1  # the transfer is gone
    assert small.spdm(0x81)[1] == 0x01


def test_another_request_is_unexpected_and_the_transfer_goes_on(small: Client) -> None:
    parts = chunk_sends(0x12, LONG, 64)
    session = small.session()
    tell(small, parts[0])
    for code in (0x81, 0x82, 0x86, 0xE0, 0xFF):
        assert tell(small, bytes([0x12, code, 0, 0])) == error(UNEXPECTED)
    for code in (0xE8, 0x84, 0x85):
        assert session.send_one(bytes([0x12, code, 0, 0])) == error(UNEXPECTED)
    assert unpadded(tell(small, parts[1]), 10) == ack(1) + error(INVALID)
    assert session.spdm(0xE8) is not None


def test_get_version_ends_a_transfer(small: Client) -> None:
    parts = chunk_sends(0x12, LONG, 64)
    tell(small, parts[0])
    small.connect(size=64, largest=LARGEST)
    assert unpadded(tell(small, parts[1]), 10) == early(INVALID, 1)


def test_end_of_a_session_ends_its_transfer(small: Client) -> None:
    session = small.session()
    assert session.send_one(chunk_sends(0x12, LONG, 64)[0]) == ack(0)
    assert small.spdm(0x81) == error(UNEXPECTED)
    bad = session.tx.seal(session.session_id, bytes(6))
    assert session.record(bad[:-1] + bytes([bad[-1] ^ 1])) == error(0x06)
    assert small.spdm(0x81)[1] == 0x01


@pytest.mark.parametrize("code", [0x84, 0xE1, 0x85, 0x86, 0xFF])
def test_what_may_not_be_chunked(small: Client, code: int) -> None:
    parts = chunk_sends(0x12, bytes([0x12, code]) + bytes(60), 64)
    tell(small, parts[0])
    assert unpadded(tell(small, parts[1]), 10) == early(UNEXPECTED, 1)
    assert small.spdm(0x81)[1] == 0x01


def test_clear_ide_km_gets_no_answer_in_chunks_either(small: Client) -> None:
    message = struct.pack("<BBBBHBHHB", 0x12, 0xFE, 0, 0, 3, 2, 1, 60, IDE_KM) + bytes(59)
    first, last = chunk_sends(0x12, message, 64)
    tell(small, first)
    assert small.carry(TYPE_SPDM, last) is None
    assert small.spdm(0x81)[1] == 0x01


def test_requester_without_chunks_gets_none(small_device: Client) -> None:
    client = small_device
    client.start()
    client.plain(get_capabilities(0x12, size=64, largest=64))
    client.version = 0x12
    for code in (0x85, 0x86):
        assert client.spdm(code, body=bytes(12)) == error(UNSUPPORTED, code)
    assert client.plain(bytes([0x12, 0xE3, 0, 0]) + bytes(64)) == error(REQUEST_TOO_LARGE)


# CHUNK_GET -----------------------------------------------------------------------------------


def large_answer(client: Client) -> int:
    """Leaves a large answer in the device; its handle."""
    answer = tell(client, bytes([0x12, 0x82, 0, 0]) + struct.pack("<HH", 0, 200))
    assert unpadded(answer, 5)[:4] == error(LARGE_RESPONSE)
    return answer[4]


def chunk_get(handle: int, sequence: int) -> bytes:
    return struct.pack("<BBBBH", 0x12, 0x86, 0, handle, sequence)


def test_chunks_of_an_answer_come_in_order_and_once(small: Client) -> None:
    handle = large_answer(small)
    for bad in (chunk_get(handle ^ 1, 0), chunk_get(handle, 1), chunk_get(handle, 0xFFFF),
                chunk_get(handle, 0)[:4], chunk_get(handle, 0) + bytes(6)):
        assert tell(small, bad) == error(INVALID)
    for code in (0x81, 0x85, 0xFF):
        assert tell(small, bytes([0x12, code, 0, 0])) == error(UNEXPECTED)
    whole = b""
    for sequence, size in enumerate((48, 52, 52, 52, 4)):
        part = tell(small, chunk_get(handle, sequence))
        start = 16 if sequence == 0 else 12
        assert part[2] == (1 if sequence == 4 else 0)
        whole += part[start:start + size]
    assert whole == struct.pack("<BBBBHH", 0x12, 2, 0, 0, 200, len(small.chain) - 200) + (
        small.chain[:200])
    assert tell(small, chunk_get(handle, 5)) == error(UNEXPECTED)
    assert large_answer(small) == (handle + 1) & 0xFF  # the next one has another handle
    small.connect(size=64, largest=LARGEST)
    assert tell(small, chunk_get(handle + 1, 0)) == error(UNEXPECTED)


def test_answer_of_a_session_is_fetched_in_it_alone(small: Client) -> None:
    one, other = small.session(half=1), small.session(half=2)
    answer = one.send_one(bytes([0x12, 0x82, 0, 0]) + struct.pack("<HH", 0, 200))
    assert answer is not None
    assert answer[:4] == error(LARGE_RESPONSE)
    request = chunk_get(answer[4], 0)
    assert tell(small, request) == error(UNEXPECTED)
    assert other.send_one(request) == error(UNEXPECTED)
    part = one.send_one(request)
    assert part is not None
    assert part[1] == 0x06


# ResponseNotReady ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Signed answers are ready after 0.2 s."""
    with started(tmp_path_factory.mktemp("native"), "--answer-delay", "200000") as client:
        yield client


@pytest.fixture
def slow(slow_device: Client) -> Client:
    slow_device.dsm.model(native.MODEL_RESET)
    return slow_device.connect(size=64, largest=LARGEST)


def promise(client: Client, request: bytes) -> bytes:
    answer = unpadded(tell(client, request), 8)
    assert answer[:4] == error(NOT_READY)
    exponent, code, _token, multiplier = answer[4:]
    assert 2 ** exponent >= 200_000 > 2 ** (exponent - 1)
    assert code == request[1]
    assert multiplier > 1
    return answer[4:]


def test_late_answer_is_fetched_with_its_token(slow: Client) -> None:
    """Too early: the same promise. Wrong code or token: InvalidRequest. Others: Busy."""
    request = bytes([0x12, 0x83, 0, 0]) + os.urandom(32)
    _exponent, code, token, _ = first = promise(slow, request)
    for bad in ((code, token ^ 1), (0xE0, token), (0, 0)):
        assert tell(slow, bytes([0x12, 0xFF, *bad])) == error(INVALID)
    assert tell(slow, bytes([0x12, 0xFF, code, token]) + bytes(4)) == error(INVALID)
    assert slow.spdm(0x81) == error(BUSY)
    assert tell(slow, bytes([0x12, 0xFF, code, token]))[4:8] == first
    time.sleep(0.25)
    answer = slow.spdm(0xFF, code, token)[:182]  # comes in chunks: too large for 64 bytes
    verify(slow.leaf_key, 0x12, "responder-challenge_auth signing",
           slow.vca + request + answer[:-96], answer[-96:])
    assert tell(slow, bytes([0x12, 0xFF, code, token])) == error(UNEXPECTED)
    assert promise(slow, request)[2] != token


def test_late_answer_belongs_to_its_session(slow_device: Client) -> None:
    slow_device.dsm.model(native.MODEL_RESET)
    client = slow_device.connect()
    point = client.key_exchange_message(bytes(96))
    assert client.plain(point) == error(0x05)  # an ERROR is not late
    assert client.spdm(0x81)[1] == 0x01
    request = bytes([0x12, 0xE0, 1, 0xFF]) + bytes(33)
    _, code, token, _ = promise(client, request)
    client.start()  # GET_VERSION always is
    client.connect()
    assert tell(client, bytes([0x12, 0xFF, code, token])) == error(UNEXPECTED)
    assert client.spdm(0xE0, 0, 0xFF)[1] == 0x60  # nothing signed, nothing late


def test_flags_say_that_chunks_are_understood(slow_device: Client) -> None:
    slow_device.start()
    answer = slow_device.plain(get_capabilities(0x12, flags=CAPS_TEE_IO))
    assert struct.unpack_from("<I", answer, 8)[0] >> 17 & 1
