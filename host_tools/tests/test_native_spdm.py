# SPDX-License-Identifier: Apache-2.0
"""The firmware's SPDM responder as a native process: every rule that a request can break.

Expected codes are typed from DSP0274 and the project's notes on it; the requester is
tests/native_client.py, which shares nothing with the firmware or the host tools.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import (
    CAPS_TEE_IO,
    GET_VERSION,
    IDE_KM,
    OPAQUE_11_12,
    TABLES,
    TDISP,
    TYPE_DISCOVERY,
    TYPE_SECURED,
    TYPE_SPDM,
    Client,
    Direction,
    Session,
    doe_object,
    get_capabilities,
    negotiate_algorithms,
    sha384,
    split_object,
    tdisp,
    verify,
)

INVALID, UNEXPECTED, UNSPECIFIED, DECRYPT = 0x01, 0x04, 0x05, 0x06
UNSUPPORTED, LIMIT, SESSION_REQUIRED, TOO_LARGE, MISMATCH = 0x07, 0x0A, 0x0B, 0x0D, 0x41
VERSIONS = pytest.mark.parametrize("version", [0x12, 0x13], ids=["1.2", "1.3"])


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[native.NativeDsm, Client]]:
    """One process for the whole file; every test connects anew."""
    folder = tmp_path_factory.mktemp("native")
    (folder / "rom.bin").write_bytes(b"boot ROM image")
    (folder / "firmware.bin").write_bytes(b"firmware image")
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    options = ["--rom", str(folder / "rom.bin"), "--firmware", str(folder / "firmware.bin"),
               "--svn", "7"]
    with native.running(folder, options=options, sanitize=True) as (dsm, identity):
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        yield dsm, Client(dsm, key, identity.slot0.read_bytes())


@pytest.fixture
def client(device: tuple[native.NativeDsm, Client]) -> Client:
    """The client of a device after a conventional reset."""
    dsm, client = device
    dsm.model(native.MODEL_RESET)
    client.version = 0
    return client


def error(code: int, data: int = 0, *, version: int = 0x12) -> bytes:
    return bytes([version, 0x7F, code, data])


def context(version: int) -> bytes:
    return os.urandom(8) if version >= 0x13 else b""


# DOE ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("discovery_version", [0, 2])
def test_discovery_lists_three_types(client: Client, discovery_version: int) -> None:
    found = []
    index = 0
    while True:
        answer = client.carry(TYPE_DISCOVERY, struct.pack("<BBxx", index, discovery_version))
        assert answer is not None
        vendor, object_type, following = struct.unpack("<HBB", answer)
        found.append((vendor, object_type))
        if following == 0:
            break
        index = following
    assert found == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("index", [3, 4, 0x80, 0xFF])
def test_discovery_beyond_the_end_gives_vendor_ffff(client: Client, index: int) -> None:
    assert client.carry(TYPE_DISCOVERY, bytes([index, 0, 0, 0])) == bytes.fromhex("ffff0000")


@pytest.mark.parametrize("data", [
    b"", bytes(4), struct.pack("<II", 1, 2), struct.pack("<II", 1, 3),
    struct.pack("<III", 1, 4, 0), struct.pack("<IIII", 1, 4, 0, 0),
    struct.pack("<III", 0x00011234, 3, 0x8410), struct.pack("<III", 0x00030001, 3, 0x8410),
    struct.pack("<III", 0x00FF0001, 3, 0x8410), struct.pack("<III", 0x00010001, 0, 0x8410),
    struct.pack("<III", 0x00010001, 1, 0x8410), struct.pack("<II", 0x00010001, 2),
    struct.pack("<II", 0x00020001, 2), struct.pack("<III", 0x00020001, 3, 0),
], ids=lambda data: data.hex() or "empty")
def test_broken_or_foreign_objects_are_discarded(client: Client, data: bytes) -> None:
    assert client.dsm.exchange(data) == native.DISCARD
    client.start()


def test_reserved_bits_of_the_object_header_are_ignored(client: Client) -> None:
    data = struct.pack("<II", 0xA501_0001, 0xFFFC_0003) + GET_VERSION
    assert split_object(client.dsm.exchange(data))[1][:2] == bytes.fromhex("1004")


# VERSION ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("request_hex", "code"), [
    ("11840000", MISMATCH), ("12840000", MISMATCH), ("ff840000", MISMATCH),
    ("1084000000000000", INVALID), ("10840000000000000000000000000000", INVALID)])
def test_bad_get_version_leaves_the_connection_alone(client: Client, request_hex: str,
                                                     code: int) -> None:
    client.start()
    assert client.plain(bytes.fromhex(request_hex)) == error(code, version=0x10)
    assert client.plain(get_capabilities(0x12))[1] == 0x61


def test_error_about_get_version_carries_version_10(client: Client) -> None:
    client.connect(0x13)
    assert client.plain(bytes.fromhex("13840000")) == error(MISMATCH, version=0x10)
    assert client.plain(bytes.fromhex("1084000000000000")) == error(INVALID, version=0x10)
    assert client.spdm(0x81)[1] == 0x01


def test_reserved_parameters_of_get_version_are_ignored(client: Client) -> None:
    assert client.plain(bytes.fromhex("1084aa55"))[:2] == bytes.fromhex("1004")


@pytest.mark.parametrize("code", [0x81, 0x82, 0x83, 0xE0, 0xE1, 0xE3, 0xE4, 0xE5, 0xE8, 0xE9, 0xEC])
def test_nothing_goes_before_get_version(client: Client, code: int) -> None:
    message = bytes([0x12, code, 0, 0]) + bytes(40)
    assert client.plain(message) == error(UNEXPECTED, version=0x10)


@VERSIONS
def test_get_version_ends_sessions_and_forgets_the_negotiation(client: Client,
                                                               version: int) -> None:
    session = client.connect(version).session()
    client.start()
    assert session.spdm(0xE8) is None
    assert client.plain(bytes([version, 0x81, 0, 0])) == error(UNEXPECTED, version=0x10)


# CAPABILITIES -------------------------------------------------------------------------------


@VERSIONS
def test_capabilities_are_those_of_a_tee_io_device(client: Client, version: int) -> None:
    client.start()
    flags = sum(1 << bit for bit in (1, 2, 4, 6, 7, 9, 13, 14, 17, 19, 20))
    assert client.plain(get_capabilities(version)) == struct.pack(
        "<BBBBBBHIII", version, 0x61, 0, 0, 0, 19, 0, flags, 0x11E8, 0x11E8)


@pytest.mark.parametrize("version", [0x00, 0x10, 0x11, 0x14, 0x22, 0xFF])
def test_unknown_version_is_a_mismatch_of_version_10(client: Client, version: int) -> None:
    client.start()
    assert client.plain(get_capabilities(version)) == error(MISMATCH, version=0x10)
    assert client.plain(get_capabilities(0x13))[1] == 0x61


BASE = 1 << 9 | 1 << 6 | 1 << 7
ILLEGAL_FLAGS = {
    "key-ex-without-protection": 1 << 9 | 1 << 1,
    "psk-without-protection": 1 << 10,
    "encrypt-alone": 1 << 6,
    "mac-alone": 1 << 7,
    "heartbeat-alone": 1 << 13,
    "key-update-alone": 1 << 14,
    "handshake-clear-alone": 1 << 15,
    "handshake-clear-with-psk-only": 1 << 15 | 1 << 10 | 1 << 6,
    "cert-and-public-key": BASE | 1 << 1 | 1 << 16,
    "cert-alone": 1 << 1,
    "public-key-alone": 1 << 16,
    "challenge-without-identity": BASE | 1 << 2,
    "mutual-without-identity": BASE | 1 << 8,
    "psk-10": BASE | 2 << 10,
    "psk-11": BASE | 3 << 10,
}
ILLEGAL_FLAGS_13 = {
    "endpoint-info-11": BASE | 1 << 1 | 3 << 22,
    "endpoint-info-signed-without-identity": BASE | 2 << 22,
    "multi-key-11": BASE | 1 << 1 | 3 << 26,
    "multi-key-without-cert": BASE | 1 << 26,
    "event-without-session": 1 << 25,
}


@pytest.mark.parametrize("flags", ILLEGAL_FLAGS.values(), ids=ILLEGAL_FLAGS.keys())
@VERSIONS
def test_illegal_flags_are_refused(client: Client, version: int, flags: int) -> None:
    client.start()
    assert client.plain(get_capabilities(version, flags=flags)) == error(INVALID, version=0x10)
    assert client.plain(get_capabilities(version))[1] == 0x61


@pytest.mark.parametrize("flags", ILLEGAL_FLAGS_13.values(), ids=ILLEGAL_FLAGS_13.keys())
def test_flags_of_13_count_from_13_on(client: Client, flags: int) -> None:
    client.start()
    assert client.plain(get_capabilities(0x13, flags=flags)) == error(INVALID, version=0x10)
    assert client.plain(get_capabilities(0x12, flags=flags))[1] == 0x61


@pytest.mark.parametrize("fields", [
    {"size": 41}, {"size": 0}, {"size": 0x1200, "largest": 0x11FF},
    {"size": 0x1200, "largest": 0x2400}, {"exponent": 32}, {"exponent": 255},
], ids=str)
@VERSIONS
def test_bad_sizes_in_capabilities_are_refused(client: Client, version: int,
                                               fields: dict[str, int]) -> None:
    client.start()
    assert client.plain(get_capabilities(version, **fields)) == error(INVALID, version=0x10)


def test_chunking_requester_may_state_a_larger_message(client: Client) -> None:
    client.start()
    request = get_capabilities(0x12, flags=CAPS_TEE_IO | 1 << 17, largest=0x10000)
    assert client.plain(request)[1] == 0x61


@pytest.mark.parametrize("size", [4, 8, 16, 24, 64])
def test_capabilities_of_another_size_are_refused(client: Client, size: int) -> None:
    client.start()
    message = (get_capabilities(0x12) + bytes(64))[:size]
    assert client.plain(message) == error(INVALID, version=0x10)


def test_algorithms_block_is_asked_for_with_chunking_only(client: Client) -> None:
    client.start()
    assert client.plain(get_capabilities(0x13, param1=1)) == error(INVALID, version=0x10)
    request = get_capabilities(0x13, param1=1, flags=CAPS_TEE_IO | 1 << 17)
    assert client.plain(request)[:4] == bytes.fromhex("13610000")


def test_same_capabilities_again_are_answered_another_one_is_unexpected(client: Client) -> None:
    client.start()
    first = client.plain(get_capabilities(0x12))
    assert client.plain(get_capabilities(0x12)) == first
    assert client.plain(get_capabilities(0x12, exponent=21)) == error(UNEXPECTED)
    assert client.plain(get_capabilities(0x13)) == error(MISMATCH)
    assert client.plain(negotiate_algorithms(0x12))[1] == 0x63
    assert client.plain(get_capabilities(0x12)) == error(UNEXPECTED)


# ALGORITHMS ---------------------------------------------------------------------------------


@VERSIONS
def test_algorithms_select_the_one_suite(client: Client, version: int) -> None:
    client.start()
    client.plain(get_capabilities(version))
    tables = bytes.fromhex("02201b00" "03200700" "04209f00" "05200100")
    request = negotiate_algorithms(version, tables=tables, asym=0xFFF, hashing=0x7F, other=0x13)
    assert client.plain(request) == bytes.fromhex(
        f"{version:02x}630400" "3400" "01" "02" "04000000" "80000000" "02000000"
        + 16 * "00" + "02201000" "03200200" "04200000" "05200100")


def test_requester_without_sessions_gets_no_session_algorithms(client: Client) -> None:
    client.start()
    client.plain(get_capabilities(0x12, flags=0))
    answer = client.plain(negotiate_algorithms(0x12))
    assert answer[36:] == bytes.fromhex("02200000" "03200000" "05200000")
    assert client.plain(negotiate_algorithms(0x12)) == answer


BAD_ALGORITHMS = {
    "falling-types": {"tables": bytes.fromhex("03200200" "02201000" "05200100")},
    "same-type-twice": {"tables": bytes.fromhex("02201000" "02201000" "03200200" "05200100")},
    "type-0": {"tables": bytes.fromhex("00200100") + TABLES},
    "type-1": {"tables": bytes.fromhex("01200100") + TABLES},
    "type-6": {"tables": TABLES + bytes.fromhex("06200100")},
    "count-00": {"tables": bytes.fromhex("02001000" "03200200" "05200100")},
    "count-30": {"tables": bytes.fromhex("02301000" "03200200" "05200100")},
    "external-missing": {"tables": bytes.fromhex("02201000" "03200200" "05210100")},
    "empty-mask": {"tables": bytes.fromhex("02200000" "03200200" "05200100")},
    "too-few-tables": {"count": 2},
    "too-many-tables": {"count": 4},
    "bytes-behind-the-tables": {"tables": TABLES + bytes.fromhex("06200100"), "count": 3},
    "length-short": {"length": 40},
    "length-long": {"length": 48},
    "length-0": {"length": 0},
    "length-over-128": {"tables": TABLES + bytes(88), "count": 3, "length": 132},
    "external-beyond-the-end": {"length": 44, "extended": (4, 0)},
    "external-21": {"extended": (20, 1)},
    "external-21-with-tables": {"extended": (10, 10), "count": 3, "tables": bytes.fromhex(
        "02211000" "aabbccdd" "03200200" "05200100")},
    "no-dmtf": {"spec": 0},
    "no-p384": {"asym": 0x10},
    "no-sha384": {"hashing": 1},
    "no-secp384r1": {"tables": bytes.fromhex("02200800" "03200200" "05200100")},
    "no-aes-256": {"tables": bytes.fromhex("02201000" "03200100" "05200100")},
    "no-key-schedule": {"tables": bytes.fromhex("02201000" "03200200")},
    "no-tables": {"tables": b""},
}


@pytest.mark.parametrize("fields", BAD_ALGORITHMS.values(), ids=BAD_ALGORITHMS.keys())
@VERSIONS
def test_bad_algorithms_are_refused(client: Client, version: int,
                                    fields: dict[str, object]) -> None:
    client.start()
    client.plain(get_capabilities(version))
    request = negotiate_algorithms(version, **fields)  # type: ignore[arg-type]
    assert client.plain(request) == error(INVALID, version=version)
    assert client.plain(negotiate_algorithms(version))[1] == 0x63


def test_external_algorithms_are_passed_over(client: Client) -> None:
    client.start()
    client.plain(get_capabilities(0x12))
    tables = bytes.fromhex("02211000" "aabbccdd" "03200200" "05200100")
    request = negotiate_algorithms(0x12, tables=tables, count=3, extended=(1, 2))
    answer = client.plain(request)
    assert answer[1] == 0x63
    assert answer[32:36] == bytes(4)


def test_second_different_algorithms_are_unexpected(client: Client) -> None:
    client.connect()
    assert client.plain(negotiate_algorithms(0x12, hashing=3)) == error(UNEXPECTED)
    assert client.plain(negotiate_algorithms(0x12))[1] == 0x63


@VERSIONS
def test_wrong_version_after_negotiation_is_a_mismatch(client: Client, version: int) -> None:
    client.connect(version)
    for code in (0x81, 0x82, 0x83, 0xE0, 0xE4, 0xE5, 0xEC, 0xFF, 0x99):
        other = 0x25 - version
        assert client.plain(bytes([other, code, 0, 0])) == error(MISMATCH, version=version)


@pytest.mark.parametrize("code", [0x85, 0x86, 0x87, 0x88, 0xE2, 0xE6, 0xE7, 0xEA, 0xEB,
                                  0xEF, 0xF0, 0xF1, 0xFC, 0xFD, 0x80, 0xA0, 0x01, 0x7F])
@VERSIONS
def test_what_is_not_built_is_unsupported(client: Client, version: int, code: int) -> None:
    client.connect(version)
    assert client.spdm(code) == error(UNSUPPORTED, code, version=version)


@VERSIONS
def test_respond_if_ready_has_nothing_to_wait_for(client: Client, version: int) -> None:
    client.connect(version)
    assert client.spdm(0xFF, 0x83, 1) == error(UNEXPECTED, version=version)


# DIGESTS, CERTIFICATE -------------------------------------------------------------------------


@VERSIONS
def test_digest_covers_the_slot_structure(client: Client, version: int) -> None:
    client.connect(version)
    supported = 0xFF if version >= 0x13 else 0
    assert client.spdm(0x81) == bytes([version, 0x01, supported, 1]) + sha384(client.chain)
    assert client.spdm(0x81, body=bytes(4)) == error(INVALID, version=version)


@pytest.mark.parametrize("portion", [1, 100, 333, 0x400, 0xFFFF])
def test_chain_is_read_in_portions(client: Client, portion: int) -> None:
    client.connect(size=0x200)
    chain = b""
    while len(chain) < len(client.chain):
        answer = client.spdm(0x82, body=struct.pack("<HH", len(chain), portion))
        got, rest = struct.unpack_from("<HH", answer, 4)
        assert got == min(portion, len(client.chain) - len(chain), 0x200 - 8)
        assert got + rest + len(chain) == len(client.chain)
        chain += answer[8:8 + got]
        if portion == 1 and len(chain) > 20:
            break
    assert client.chain.startswith(chain)


@VERSIONS
def test_bad_certificate_requests_are_refused(client: Client, version: int) -> None:
    client.connect(version)
    bad = error(INVALID, version=version)
    for slot in [*range(1, 8), 0x0F]:
        assert client.spdm(0x82, slot, body=struct.pack("<HH", 0, 64)) == bad
    for offset in (len(client.chain), len(client.chain) + 1, 0xFFFF):
        assert client.spdm(0x82, body=struct.pack("<HH", offset, 0xFFFF)) == bad
    assert client.spdm(0x82) == bad
    assert client.spdm(0x82, body=bytes(8)) == bad
    last = client.spdm(0x82, body=struct.pack("<HH", len(client.chain) - 1, 0xFFFF))
    assert struct.unpack_from("<HH", last, 4) == (1, 0)


def test_slot_size_is_told_from_13_on(client: Client) -> None:
    client.connect(0x13)
    answer = client.spdm(0x82, 0, 1, struct.pack("<HH", 0xFFFF, 0xFFFF))
    assert answer == struct.pack("<BBBBHH", 0x13, 0x02, 0, 0, 0, len(client.chain))
    client.connect(0x12)
    assert client.spdm(0x82, 0, 1, struct.pack("<HH", 0xFFFF, 0xFFFF)) == error(INVALID)


# CHALLENGE ----------------------------------------------------------------------------------


def summary(kind: int, raw_blocks: dict[int, bytes]) -> bytes:
    """Measurement summary from blocks typed here."""
    chosen = sorted(raw_blocks) if kind == 0xFF else [1, 2, 3]
    return sha384(b"".join(raw_blocks[index] for index in chosen))


def manifest(*, quirks: int = 0, requests: int = 0x0FFE) -> bytes:
    """Measurement block FDh of the build under test (docs/data_formats.md)."""
    entries = {"spdm": [0x12, 0x13], "secured": [0x1100, 0x1200], "sessions": [2],
               "messages": [0x11E8, 0x11E8], "slots": [2, 2048], "tdisp": [requests, 13],
               "quirks": [quirks]}
    return b"TMF1" + b"".join(
        bytes([len(name)]) + name.encode() + bytes([len(values)])
        + struct.pack(f"<{len(values)}I", *values) for name, values in entries.items())


def expected_blocks(client: Client) -> dict[int, bytes]:
    """Every block of the device under test, from the images that it was started with."""
    hardware = b"HWC1" + struct.pack("<11I", 0x7EE01234, 0x12000001, 3, 4096, 65536, 16384,
                                     0x00010043, 1, 2, 20, 4)
    mode = struct.pack("<4I", 6, 2, 3, 3)

    def block(index: int, kind: int, value: bytes) -> bytes:
        return struct.pack("<BBHBH", index, 1, 3 + len(value), kind, len(value)) + value

    return {
        1: block(1, 0, sha384(b"boot ROM image")),
        2: block(2, 1, sha384(b"firmware image")),
        3: block(3, 2, sha384(hardware)),
        4: block(4, 0x87, struct.pack("<Q", 7)),
        0xFD: block(0xFD, 0x84, manifest()),
        0xFE: block(0xFE, 0x85, mode),
        0x103: block(3, 0x82, hardware),
    }


@pytest.mark.parametrize("kind", [0, 1, 0xFF])
@pytest.mark.parametrize("identity", ["none", "digests", "digests+certificate", "certificate",
                                      "digests-twice"])
@VERSIONS
def test_challenge_signs_what_went_before(client: Client, version: int, identity: str,
                                          kind: int) -> None:
    client.connect(version)
    log = b""

    def ask(code: int, body: bytes = b"") -> bytes:
        request = bytes([version, code, 0, 0]) + body
        answer = client.plain(request)
        size = 52 if code == 0x81 else 8 + struct.unpack_from("<H", answer, 4)[0]
        return request + answer[:size]

    if identity.startswith("digests"):
        log += ask(0x81)
    if identity == "digests-twice":
        log = ask(0x81)
    if identity.endswith("certificate"):
        log += ask(0x82, struct.pack("<HH", 0, 101)) + ask(0x82, struct.pack("<HH", 101, 0x300))
        assert client.spdm(0x82, 3, body=bytes(4)) == error(INVALID, version=version)
    echo = context(version)
    request = bytes([version, 0x83, 0, kind]) + os.urandom(32) + echo
    answer = client.plain(request)
    size = 4 + 48 + 32 + (48 if kind else 0) + 2 + len(echo) + 96
    answer = answer[:size]
    assert answer[:4] == bytes([version, 0x03, 0, 1])
    assert answer[4:52] == sha384(client.chain)
    if kind:
        blocks = expected_blocks(client)
        del blocks[0x103]
        assert answer[84:132] == summary(kind, blocks)
    assert answer[-98 - len(echo):-96] == bytes(2) + echo
    verify(client.leaf_key, version, "responder-challenge_auth signing",
           client.vca + log + request + answer[:-96], answer[-96:])
    # The log is used up: a second challenge covers nothing but itself.
    request = bytes([version, 0x83, 0, 0]) + os.urandom(32) + echo
    answer = client.plain(request)[:4 + 48 + 32 + 2 + len(echo) + 96]
    verify(client.leaf_key, version, "responder-challenge_auth signing",
           client.vca + request + answer[:-96], answer[-96:])


def test_measurements_in_between_drop_the_challenge_log(client: Client) -> None:
    client.connect()
    client.spdm(0x81)
    client.spdm(0xE0, 0, 0)
    request = bytes([0x12, 0x83, 0, 0]) + bytes(32)
    answer = client.plain(request)[:182]
    verify(client.leaf_key, 0x12, "responder-challenge_auth signing",
           client.vca + request + answer[:-96], answer[-96:])


@VERSIONS
def test_bad_challenges_are_refused(client: Client, version: int) -> None:
    client.connect(version)
    body = bytes(32) + context(version)
    bad = error(INVALID, version=version)
    for slot in (1, 7, 8, 0x0F, 0xFF):
        assert client.spdm(0x83, slot, 0, body) == bad
    for kind in (2, 3, 0x80, 0xFE):
        assert client.spdm(0x83, 0, kind, body) == bad
    assert client.spdm(0x83, 0, 0, body[:-4]) == bad
    assert client.spdm(0x83, 0, 0, body + bytes(4)) == bad
    assert client.spdm(0x83, 0, 0, body)[1] == 0x03


# MEASUREMENTS -------------------------------------------------------------------------------


def parse_measurements(answer: bytes, version: int, *, is_signed: bool) -> tuple[bytes, int]:
    """Record and exact size of a MEASUREMENTS message; checks what is fixed in it."""
    count = answer[4]
    size = int.from_bytes(answer[5:8], "little")
    end = 8 + size + 32 + 2 + (8 if version >= 0x13 else 0) + (96 if is_signed else 0)
    assert answer[:2] == bytes([version, 0x60])
    assert answer[3] == 0
    assert answer[8 + size + 32:8 + size + 34] == bytes(2)
    assert 0 <= len(answer) - end <= 3
    assert not any(answer[end:])
    at = found = 0
    record = answer[8:8 + size]
    while at < size:
        at += 4 + struct.unpack_from("<H", record, at + 2)[0]
        found += 1
    assert (at, found) == (size, count)
    return record, end


@pytest.mark.parametrize("in_session", [False, True], ids=["clear", "session"])
@pytest.mark.parametrize("raw", [0, 2], ids=["digest", "raw"])
@VERSIONS
def test_measurements_are_those_of_the_images(client: Client, version: int, raw: int,
                                              in_session: bool) -> None:
    client.connect(version)
    ask = client.session().spdm if in_session else client.spdm
    blocks = expected_blocks(client)
    hardware_raw = blocks.pop(0x103)
    if raw:
        blocks[3] = hardware_raw
    for index, block in blocks.items():
        answer = ask(0xE0, raw, index, context(version))
        assert answer is not None
        assert parse_measurements(answer, version, is_signed=False)[0] == block
        assert answer[2] == 0
    answer = ask(0xE0, raw, 0xFF, context(version))
    assert answer is not None
    assert parse_measurements(answer, version, is_signed=False)[0] == b"".join(blocks.values())
    answer = ask(0xE0, raw, 0, context(version))
    assert answer is not None
    assert parse_measurements(answer, version, is_signed=False)[0] == b""
    assert answer[2] == len(blocks)


@pytest.mark.parametrize("in_session", [False, True], ids=["clear", "session"])
@VERSIONS
def test_signature_covers_the_chain_of_measurements(client: Client, version: int,
                                                    in_session: bool) -> None:
    client.connect(version)
    session = client.session() if in_session else None
    log = b""

    def ask(attributes: int, operation: int) -> bytes:
        nonlocal log
        signed = attributes & 1
        body = (os.urandom(32) + b"\0" if signed else b"") + context(version)
        request = bytes([version, 0xE0, attributes, operation]) + body
        answer = session.send(request) if session else client.plain(request)
        assert answer is not None
        _record, size = parse_measurements(answer, version, is_signed=bool(signed))
        if version >= 0x13:
            end = size - (96 if signed else 0)
            assert answer[end - 8:end] == request[-8:]
        if signed:
            verify(client.leaf_key, version, "responder-measurements signing",
                   client.vca + log + request + answer[:size - 96], answer[size - 96:size])
            log = b""
        else:
            log += request + answer[:size]
        return answer

    ask(1, 0)
    ask(1, 0xFF)
    ask(0, 0)
    ask(0, 1)
    ask(3, 3)
    ask(0, 0xFE)
    assert (session.spdm if session else client.spdm)(0x81) is not None
    log = b""  # any other request starts the chain anew
    ask(1, 4)


@VERSIONS
def test_bad_measurement_requests_are_refused(client: Client, version: int) -> None:
    client.connect(version)
    bad = error(INVALID, version=version)
    tail = context(version)
    for index in (5, 6, 0xFC):
        assert client.spdm(0xE0, 0, index, tail) == bad
    for slot in (1, 7, 0x0F):
        assert client.spdm(0xE0, 1, 0xFF, bytes(32) + bytes([slot]) + tail) == bad
    assert client.spdm(0xE0, 0, 0xFF, tail + bytes(4)) == bad
    assert client.spdm(0xE0, 1, 0xFF, bytes(28) + tail) == bad
    if tail:
        assert client.spdm(0xE0, 0, 0xFF) == bad
    assert client.spdm(0xE0, 0, 0xFF, tail)[1] == 0x60


# KEY_EXCHANGE -------------------------------------------------------------------------------


def fresh_point() -> bytes:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    return numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")


@pytest.mark.parametrize("kind", [0, 1, 0xFF])
@VERSIONS
def test_session_opens_and_closes(client: Client, version: int, kind: int) -> None:
    session = client.connect(version).key_exchange(summary=kind)
    assert session.heartbeat == 60
    session.finish()
    assert session.spdm(0xE8) == bytes([version, 0x68, 0, 0])
    assert session.spdm(0xEC) == bytes([version, 0x6C, 0, 0])
    assert session.spdm(0xE8) is None
    again = client.session()
    assert again.session_id >> 16 == (session.session_id >> 16) + 1


def opaque_case(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


BAD_OPAQUE = {
    "none": b"",
    "no-elements": opaque_case("00000000"),
    "element-missing": opaque_case("01000000"),
    "two-stated-one-there": opaque_case("02000000 00000700 01010200 11001200"),
    "one-stated-two-there": OPAQUE_11_12 + OPAQUE_11_12[4:],
    "list-twice": opaque_case("02000000") + 2 * OPAQUE_11_12[4:],
    "count-0": opaque_case("01000000 00000300 01010000"),
    "count-too-big": opaque_case("01000000 00000500 01010200 11000000"),
    "count-too-small": opaque_case("01000000 00000700 01010100 11001200"),
    "padding-not-zero": OPAQUE_11_12[:-1] + b"\x01",
    "no-common-version": opaque_case("01000000 00000700 01010200 10001300"),
    "not-a-multiple-of-4": OPAQUE_11_12[:-1],
    "data-longer-than-the-rest": opaque_case("01000000 0000ff00 01010200 11001200"),
    "vendor-longer-than-the-rest": opaque_case("01000000 00ff0700 01010200 11001200"),
    "foreign-registry-only": opaque_case("01000000 03000700 01010200 11001200"),
    "vendor-id-in-dmtf": opaque_case("01000000 00020000 07000101 02001100 12000000"),
    "other-data-version": opaque_case("01000000 00000700 02010200 11001200"),
    "too-long": opaque_case("01000000 0000fc03") + bytes(1020),
}


@pytest.mark.parametrize("opaque", BAD_OPAQUE.values(), ids=BAD_OPAQUE.keys())
def test_bad_opaque_data_is_refused(client: Client, opaque: bytes) -> None:
    client.connect()
    assert client.plain(client.key_exchange_message(fresh_point(), opaque=opaque)) == error(INVALID)
    client.session()


@pytest.mark.parametrize(("opaque", "selected"), [
    (OPAQUE_11_12, 0x1200),
    (opaque_case("01000000 00000500 01010100 11000000"), 0x1100),
    (opaque_case("01000000 00000900 01010300 12001100 10000000"), 0x1200),
    (opaque_case("02000000 00000300 01024000 00000500 01010100 12000000"), 0x1200),
    (opaque_case("02000000 03020300 aabb0000 00000000 00000500 01010100 12000000"), None),
    (opaque_case("02000000 03020100 1234 0100 ff000000 00000500 01010100 11000000"), None),
], ids=["both", "only-11", "three", "limit-element-first", "broken", "broken-2"])
def test_highest_common_secured_version_is_selected(client: Client, opaque: bytes,
                                                    selected: int | None) -> None:
    client.connect()
    answer = client.plain(client.key_exchange_message(fresh_point(), opaque=opaque))
    if selected is None:
        assert answer == error(INVALID)
    else:
        assert answer[136:150] == bytes.fromhex("0c00 01000000 00000400 0100".replace(" ", "")) + (
            struct.pack("<H", selected))


@VERSIONS
def test_bad_key_exchanges_are_refused(client: Client, version: int) -> None:
    client.connect(version)
    bad = error(INVALID, version=version)
    point = fresh_point()
    for slot in (1, 7, 8, 0x0F, 0xFF):
        assert client.plain(client.key_exchange_message(point, slot=slot)) == bad
    for kind in (2, 0x80, 0xFE):
        assert client.plain(client.key_exchange_message(point, summary=kind)) == bad
    for length in (0xFFFF, 17, 1024, 0):
        message = client.key_exchange_message(point, opaque_length=length)
        assert client.plain(message) == bad
    message = client.key_exchange_message(point)
    for size in (4, 8, 40, 136, 148):
        assert client.plain(message[:size]) == bad
    assert client.plain(message + bytes(4)) == bad
    policy = client.plain(client.key_exchange_message(point, policy=2))
    assert (policy == bad) == (version >= 0x13)


P384 = 2**384 - 2**128 - 2**96 + 2**32 - 1


def bad_points() -> dict[str, bytes]:
    x, y = fresh_point()[:48], fresh_point()[48:]
    good = fresh_point()
    other = bytes(48) + good[48:]
    return {
        "other-y": x + y,
        "zero": bytes(96),
        "ones": b"\xff" * 96,
        "x-zero": other,
        "x-plus-p": (int.from_bytes(good[:48], "big") + P384).to_bytes(49, "big")[-48:] + good[48:],
        "y-flipped": good[:-1] + bytes([good[-1] ^ 1]),
        "x-equals-p": P384.to_bytes(48, "big") + good[48:],
    }


def test_bad_points_are_refused_and_no_session_is_left(client: Client) -> None:
    client.connect()
    for name, point in bad_points().items():
        answer = client.plain(client.key_exchange_message(point))
        assert answer == error(UNSPECIFIED), name
    client.session()


def test_requester_without_session_capability_cannot_exchange_keys(client: Client) -> None:
    for flags in (0, 1 << 9 | 1 << 7, 1 << 9 | 1 << 6):
        client.connect(flags=flags)
        message = client.key_exchange_message(fresh_point())
        assert client.plain(message) == error(UNSUPPORTED, 0xE4)


def test_key_exchange_needs_the_opaque_format(client: Client) -> None:
    client.start()
    client.plain(get_capabilities(0x12))
    assert client.plain(negotiate_algorithms(0x12, other=0))[7] == 0
    client.version = 0x12
    assert client.plain(client.key_exchange_message(fresh_point())) == error(INVALID)


@pytest.mark.parametrize("established", [False, True])
def test_third_session_exceeds_the_limit(client: Client, established: bool) -> None:
    first = client.connect().key_exchange()
    client.key_exchange(half=0x4321)
    if established:
        first.finish()
    assert client.plain(client.key_exchange_message(fresh_point())) == error(LIMIT)
    if not established:
        first.finish()
    assert first.spdm(0xE8) is not None


def test_session_numbers_are_used_once(tmp_path: Path) -> None:
    """When they are used up there is no session until a conventional reset."""
    with native.running(tmp_path, sanitize=True, last_session=3) as (dsm, who):
        key = who.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        client = Client(dsm, key, who.slot0.read_bytes())
        for number in (1, 2, 3):
            session = client.connect().session()
            assert session.session_id >> 16 == number
            session.spdm(0xEC)
        for _ in range(2):
            client.connect()
            assert client.plain(client.key_exchange_message(fresh_point())) == error(LIMIT)
        dsm.model(native.MODEL_RESET)
        assert client.connect().session().session_id >> 16 == 1


# FINISH -------------------------------------------------------------------------------------


def assert_dead(session: Session) -> None:
    """The device has forgotten the session, and opens another one."""
    assert session.spdm(0xE8) is None
    session.client.session()


@VERSIONS
def test_finish_in_clear_needs_a_session(client: Client, version: int) -> None:
    client.connect(version)
    session = client.key_exchange()
    assert client.plain(session.finish_message()) == error(SESSION_REQUIRED, version=version)
    session.finish()


@pytest.mark.parametrize("fault", ["hmac", "short", "long", "signature", "slot", "empty"])
@VERSIONS
def test_failed_finish_ends_the_handshake(client: Client, version: int, fault: str) -> None:
    session = client.connect(version).key_exchange()
    good = session.finish_message()
    message, code = {
        "hmac": (good[:-1] + bytes([good[-1] ^ 1]), DECRYPT),
        "short": (good[:-1], INVALID),
        "long": (good + b"\0", INVALID),
        "signature": (good[:2] + b"\x01" + good[3:], INVALID),
        "slot": (good[:3] + b"\x08" + good[4:], INVALID),
        "empty": (good[:4], INVALID),
    }[fault]
    assert session.send(message) == error(code, version=version)
    assert session.send(good) is None
    assert_dead(session)


@VERSIONS
def test_second_finish_is_unexpected(client: Client, version: int) -> None:
    session = client.connect(version).session()
    assert session.send(session.finish_message()) == error(UNEXPECTED, version=version)
    assert session.spdm(0xE8) is not None


# Phases -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0x84, 0xE1, 0xE3, 0x81, 0x82, 0x83, 0xE0, 0xE4, 0xE8, 0xE9, 0xEC,
                                  0xFE, 0xFF])
@VERSIONS
def test_handshake_phase_takes_finish_only(client: Client, version: int, code: int) -> None:
    session = client.connect(version).key_exchange()
    assert session.spdm(code, 1) == error(UNEXPECTED, version=version)
    session.finish()


@pytest.mark.parametrize("code", [0x84, 0xE1, 0xE3, 0x83, 0xE4, 0xE5, 0xFF])
@VERSIONS
def test_connection_setup_is_no_session_matter(client: Client, version: int, code: int) -> None:
    session = client.connect(version).session()
    assert session.spdm(code) == error(UNEXPECTED, version=version)
    assert session.spdm(0xE8) is not None


@pytest.mark.parametrize("code", [0xE8, 0xE9, 0xEC])
@VERSIONS
def test_session_requests_in_clear_need_a_session(client: Client, version: int, code: int) -> None:
    client.connect(version)
    assert client.spdm(code, 1) == error(SESSION_REQUIRED, version=version)


@pytest.mark.parametrize("code", [0xE8, 0xE9, 0xEC, 0x81])
@VERSIONS
def test_session_requests_have_four_bytes(client: Client, version: int, code: int) -> None:
    session = client.connect(version).session()
    assert session.spdm(code, 1, 0, b"\0") == error(INVALID, version=version)
    assert session.spdm(0xE8) is not None


def test_short_and_misversioned_messages_in_a_session(client: Client) -> None:
    session = client.connect().session()
    for message in (b"", b"\x12", b"\x12\xe8\x00"):
        assert session.send(message) == error(INVALID)
    assert session.send(bytes.fromhex("13e80000")) == error(MISMATCH)
    assert session.send(bytes.fromhex("12ef0000")) == error(UNSUPPORTED, 0xEF)
    assert session.spdm(0xE8) is not None


def test_identity_can_be_read_in_a_session(client: Client) -> None:
    session = client.connect().session()
    assert session.spdm(0x81) == bytes([0x12, 1, 0, 1]) + sha384(client.chain)
    answer = session.spdm(0x82, body=struct.pack("<HH", 0, 0xFFFF))
    assert answer is not None
    assert answer[8:] == client.chain[:0x1200 - 24 - 8]


# Records ------------------------------------------------------------------------------------


def flip(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]


@pytest.mark.parametrize("phase", ["handshake", "application"])
@pytest.mark.parametrize("fault", ["replay", "tag", "ciphertext", "length+", "length-", "truncated",
                                   "length-17", "pad", "skipped"])
def test_record_that_does_not_open_ends_the_session(client: Client, phase: str,
                                                    fault: str) -> None:
    session = client.connect().key_exchange()
    message = session.finish_message()
    if phase == "application":
        session.finish()
        message = bytes.fromhex("12e80000")
    if fault == "replay" and phase == "application":
        assert session.send(message) is not None
        record = session.last_record
    elif fault == "replay":
        assert session.send(bytes.fromhex("12e80000")) == error(UNEXPECTED)
        record = session.last_record
    else:
        if fault == "skipped":
            session.tx.sequence += 1
        good = session.tx.seal(session.session_id, struct.pack("<H", len(message)) + message)
        length, = struct.unpack_from("<H", good, 4)
        record = {
            "tag": flip(good, -1),
            "ciphertext": flip(good, 7),
            "length+": good[:4] + struct.pack("<H", length + 1) + good[6:] + bytes(1),
            "length-": good[:4] + struct.pack("<H", length - 1) + good[6:],
            "truncated": good[:-4],
            "length-17": good[:4] + struct.pack("<H", 17) + good[6:23],
            "pad": good + bytes(4 + -len(good) % 4),
            "skipped": good,
        }[fault]
    assert session.record(record) == error(DECRYPT)
    assert_dead(session)


def test_records_of_unknown_sessions_are_dropped(client: Client) -> None:
    session = client.connect().session()
    good = session.tx.seal(session.session_id, struct.pack("<H", 4) + bytes.fromhex("12e80000"))
    for other in (0, session.session_id ^ 1, session.session_id ^ 0x10000, 0xFFFFFFFF):
        assert client.carry(TYPE_SECURED, struct.pack("<I", other) + good[4:]) is None
    assert session.record(good) == bytes.fromhex("12680000")


def test_inner_length_must_fit(client: Client) -> None:
    session = client.connect().session()
    for plaintext in (struct.pack("<H", 5) + bytes.fromhex("12e80000"),
                      struct.pack("<H", 3) + bytes.fromhex("12e80000"),
                      struct.pack("<H", 4) + bytes.fromhex("12e80000") + bytes(8),
                      struct.pack("<H", 0xFFFF)):
        assert session.record(session.tx.seal(session.session_id, plaintext)) == error(INVALID)
    assert session.spdm(0xE8) is not None


@pytest.mark.parametrize("extra", [1, 2, 3])
def test_padding_of_a_record_is_not_looked_at(client: Client, extra: int) -> None:
    """The padding is outside of what the tag covers; whatever stands there is ignored."""
    session = client.connect().session()
    size = 12 + (-extra % 4)
    message = bytes.fromhex("12fe0000") + struct.pack("<HBHHB", 3, 2, 1, size - 11, 7)
    message = message.ljust(size, b"\0")
    record = session.tx.seal(session.session_id, struct.pack("<H", size) + message)
    assert -len(record) % 4 == extra
    assert session.record(record + b"\xa5" * extra) == error(UNSUPPORTED, 0xFE)


def test_largest_request_is_taken_apart(client: Client) -> None:
    """A vendor message that fills the request buffer to the last byte."""
    session = client.connect().session()
    room = 0x1200 - 24
    body = struct.pack("<HBHHB", 3, 2, 1, room - 11, 7) + bytes(room - 12)
    assert session.spdm(0xFE, body=body) == error(UNSUPPORTED, 0xFE)
    assert session.spdm(0xE8) is not None


def test_clear_messages_do_not_disturb_a_session(client: Client) -> None:
    session = client.connect().session()
    assert client.spdm(0x81)[1] == 0x01
    assert client.spdm(0xE0, 0, 0)[1] == 0x60
    assert session.spdm(0xE8) is not None


# HEARTBEAT, KEY_UPDATE, END_SESSION ----------------------------------------------------------


def test_heartbeat_without_the_capability_is_unsupported(client: Client) -> None:
    session = client.connect(flags=CAPS_TEE_IO & ~(1 << 13)).key_exchange()
    assert session.heartbeat == 0
    assert session.finish().spdm(0xE8) == error(UNSUPPORTED, 0xE8)


def test_key_update_without_the_capability_is_unsupported(client: Client) -> None:
    session = client.connect(flags=CAPS_TEE_IO & ~(1 << 14)).session()
    assert session.spdm(0xE9, 1) == error(UNSUPPORTED, 0xE9)


def update(session: Session, operation: int, tag: int) -> None:
    """KEY_UPDATE 1 or 2 as a correct requester does it, without the verification."""
    if operation == 2:
        record = session.tx.seal(session.session_id, struct.pack("<H", 4)
                                 + bytes([session.version, 0xE9, 2, tag]))
        session.rx = session.rx.updated()
        answer = session.record(record)
    else:
        answer = session.spdm(0xE9, operation, tag)
    assert answer == bytes([session.version, 0x69, operation, tag])


@pytest.mark.parametrize("operation", [1, 2])
@VERSIONS
def test_keys_are_updated_again_and_again(client: Client, version: int, operation: int) -> None:
    session = client.connect(version).session()
    for tag in range(5):
        update(session, operation, tag)
        session.tx = session.tx.updated()
        assert session.spdm(0xE9, 3, tag + 1) == bytes([version, 0x69, 3, tag + 1])
        assert session.spdm(0xE8) is not None


@pytest.mark.parametrize("operation", [1, 2])
def test_requester_that_keeps_the_old_key_rolls_the_update_back(client: Client,
                                                                operation: int) -> None:
    session = client.connect().session()
    update(session, operation, 9)
    assert session.spdm(0xE8) == bytes.fromhex("12680000")  # under the old request key
    assert session.spdm(0xE9, 3, 9) == error(INVALID)
    update(session, operation, 10)
    session.tx = session.tx.updated()
    assert session.spdm(0xE9, 3, 10) is not None


def test_old_key_is_gone_after_verification(client: Client) -> None:
    session = client.connect().session()
    update(session, 1, 0)
    old = Direction(session.version, session.tx.secret, session.tx.sequence)
    session.tx = session.tx.updated()
    assert session.spdm(0xE9, 3) is not None
    record = old.seal(session.session_id, struct.pack("<H", 4) + bytes.fromhex("12e80000"))
    assert session.record(record) == error(DECRYPT)
    assert_dead(session)


def test_key_update_out_of_order_is_refused(client: Client) -> None:
    session = client.connect().session()
    for operation in (0, 3, 4, 0xFF):
        assert session.spdm(0xE9, operation) == error(INVALID)
    update(session, 1, 0)
    session.tx = session.tx.updated()
    for operation in (1, 2):
        assert session.spdm(0xE9, operation) == error(INVALID)
    assert session.spdm(0xE9, 3) is not None


def test_record_under_no_key_at_all_during_an_update_ends_the_session(client: Client) -> None:
    session = client.connect().session()
    update(session, 2, 0)
    stranger = Direction(session.version, os.urandom(48))
    record = stranger.seal(session.session_id, struct.pack("<H", 4) + bytes.fromhex("12e80000"))
    assert session.record(record) == error(DECRYPT)
    assert_dead(session)


def test_session_without_heartbeat_ends_on_the_devices_clock(tmp_path: Path) -> None:
    """Twice the period of 60 s at a hundred device seconds a second."""
    with native.running(tmp_path, options=["--time-scale", "100"], sanitize=True) as (dsm, who):
        key = who.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        client = Client(dsm, key, who.slot0.read_bytes())
        session = client.connect().session()
        for _ in range(4):
            time.sleep(0.5)
            assert session.spdm(0xE8) is not None  # 200 s in all
        time.sleep(1.5)
        assert session.spdm(0xE8) is None
        client.session()


# Sizes --------------------------------------------------------------------------------------


def test_answers_respect_the_requesters_transfer_size(client: Client) -> None:
    client.start()
    client.plain(get_capabilities(0x12, size=42))
    too_large = error(TOO_LARGE) + struct.pack("<I", 48)
    assert client.plain(negotiate_algorithms(0x12)) == too_large
    client.connect(size=64)
    assert client.spdm(0x81)[1] == 0x01
    answer = client.spdm(0x82, body=struct.pack("<HH", 0, 0xFFFF))
    assert struct.unpack_from("<H", answer, 4)[0] == 56
    assert client.spdm(0x83, body=bytes(32)) == error(TOO_LARGE) + struct.pack("<I", 182)
    assert client.spdm(0xE0, 0, 0xFF)[:3] == error(TOO_LARGE)[:3]
    assert client.spdm(0xE0, 0, 0)[1] == 0x60
    for _ in range(3):  # and no session is left behind
        message = client.key_exchange_message(fresh_point())
        assert client.plain(message) == error(TOO_LARGE) + struct.pack("<I", 294)


@VERSIONS
def test_request_above_the_transfer_size_is_too_large(client: Client, version: int) -> None:
    """11E8h bytes fit (and three of padding); the mailbox would take 1200h."""
    client.connect(version)
    for size, code in ((0x11E8, INVALID), (0x11EC, 0x0E), (0x1200, 0x0E)):
        message = bytes([version, 0x81, 0, 0]).ljust(size, b"\1")
        assert client.plain(message) == error(code, version=version)
    too_large = GET_VERSION.ljust(0x1200, b"\0")
    assert client.plain(too_large) == error(0x0E, version=0x10)
    assert client.spdm(0x81)[1] == 0x01


# VENDOR_DEFINED -----------------------------------------------------------------------------


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("protocol", [IDE_KM, TDISP])
def test_clear_ide_km_and_tdisp_get_no_answer(client: Client, protocol: int,
                                              connected: bool) -> None:
    if connected:
        client.connect()
    payload = bytes(3) if protocol == IDE_KM else tdisp(0x81)
    message = struct.pack("<BBBBHBHHB", 0x12, 0xFE, 0, 0, 3, 2, 1, 1 + len(payload), protocol)
    assert client.carry(TYPE_SPDM, message + payload) is None


BAD_WRAPPERS = {
    "standard": struct.pack("<HBHH", 0, 2, 1, 4) + bytes(4),
    "vendor-length": struct.pack("<HBHH", 3, 4, 1, 4) + bytes(4),
    "vendor": struct.pack("<HBHH", 3, 2, 0x1234, 4) + bytes(4),
    "payload-longer": struct.pack("<HBHH", 3, 2, 1, 5) + bytes(4),
    "payload-shorter": struct.pack("<HBHH", 3, 2, 1, 3) + bytes(4),
    "payload-empty": struct.pack("<HBHH", 3, 2, 1, 0),
    "cut": struct.pack("<HBH", 3, 2, 1),
    "nothing": b"",
}


@pytest.mark.parametrize("body", BAD_WRAPPERS.values(), ids=BAD_WRAPPERS.keys())
def test_bad_vendor_wrappers_are_refused(client: Client, body: bytes) -> None:
    session = client.connect().session()
    assert session.spdm(0xFE, body=body) == error(INVALID)
    assert session.spdm(0xE8) is not None


def test_unknown_vendor_protocol_is_unsupported(client: Client) -> None:
    session = client.connect().session()
    assert session.vendor(2, bytes(3)) == error(UNSUPPORTED, 0xFE)
    assert client.spdm(0xFE, body=struct.pack("<HBHHB", 3, 2, 1, 1, 2)) == error(UNSUPPORTED, 0xFE)


# Life of the device --------------------------------------------------------------------------


def test_function_0_reset_ends_the_connection(client: Client) -> None:
    session = client.connect().session()
    client.dsm.model(native.MODEL_FLR, 0)
    assert session.spdm(0xE8) is None
    assert client.spdm(0x81) == error(UNEXPECTED, version=0x10)


def test_seeded_device_says_so_and_repeats_itself(tmp_path: Path) -> None:
    def once(folder: Path) -> tuple[bytes, bytes]:
        folder.mkdir()
        with native.running(folder, options=["--seed", "1"], sanitize=True) as (dsm, who):
            key = who.leaf.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            client = Client(dsm, key, who.slot0.read_bytes()).connect()
            nonce = client.spdm(0xE0, 0, 0)[8:40]
            return nonce, client.plain(client.key_exchange_message(fresh_point()))[40:136]

    assert once(tmp_path / "a") == once(tmp_path / "b")


def test_identity_key_may_be_hexadecimal_words(tmp_path: Path) -> None:
    """Twelve 32-bit words, most significant first, as the identity ROM is written."""
    identity = native.make_identity(tmp_path)
    private = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    digits = f"{private.private_numbers().private_value:096x}"
    words = tmp_path / "identity.hex"
    words.write_text("".join(digits[i:i + 8] + "\n" for i in range(0, 96, 8)))
    with native.NativeDsm(native.build(sanitize=True),
                          native.Identity(words, identity.slot0, identity.root_der,
                                          identity.leaf)) as dsm:
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        Client(dsm, key, identity.slot0.read_bytes()).connect().session()
    words.write_text(digits[:-1])
    with pytest.raises(RuntimeError, match="holds no P-384 private key"):
        native.NativeDsm(native.build(sanitize=True), native.Identity(
            words, identity.slot0, identity.root_der, identity.leaf))


def test_images_default_to_the_program_itself(tmp_path: Path) -> None:
    with native.running(tmp_path) as (dsm, who):
        key = who.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        client = Client(dsm, key, who.slot0.read_bytes()).connect()
        digest = hashlib.sha384(native.build().read_bytes()).digest()
        assert client.spdm(0xE0, 0, 2)[15:63] == digest


# Socket -------------------------------------------------------------------------------------


def test_hello_continue_and_reconnection(client: Client) -> None:
    assert client.dsm.frame(native.COMMAND_HELLO, b"Client Hello!\0") == b"Server Hello!\0"
    session = client.connect().session()
    assert client.dsm.frame(native.COMMAND_CONTINUE) == b""
    client.dsm.reconnect()
    assert session.spdm(0xE8) is not None


@pytest.mark.parametrize("frame", [
    struct.pack(">III", 1, 1, 4) + bytes(4), struct.pack(">III", 1, 2, 0x120C),
    struct.pack(">III", 1, 2, 0xFFFFFFFF), struct.pack(">III", 2, 2, 0),
    struct.pack(">III", 0x54454501, 2, 12) + bytes(12),
    struct.pack(">III", 0x54454501, 2, 16) + struct.pack("<IIII", 6, 0, 0, 0),
], ids=lambda data: data[:12].hex())
def test_bad_frames_close_the_connection_only(client: Client, frame: bytes) -> None:
    client.dsm.send_raw(frame)
    with pytest.raises(ConnectionError):
        client.dsm._receive(1)
    client.dsm.reconnect()
    client.start()


def test_frame_of_odd_size_is_discarded(client: Client) -> None:
    assert client.dsm.exchange(doe_object(TYPE_SPDM, GET_VERSION)[:-1]) == native.DISCARD


def test_shutdown_ends_the_process(tmp_path: Path) -> None:
    with native.running(tmp_path, sanitize=True) as (dsm, _who):
        assert dsm.frame(native.COMMAND_SHUTDOWN) == b""
        for _ in range(100):
            if not dsm.is_running:
                break
            time.sleep(0.05)
        assert not dsm.is_running
