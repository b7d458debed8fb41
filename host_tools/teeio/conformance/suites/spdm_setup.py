# SPDX-License-Identifier: Apache-2.0
"""SPDM: VERSION, CAPABILITIES, ALGORITHMS."""

from __future__ import annotations

import struct
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, Checks
from teeio.conformance.suites.spdm_parts import (
    INVALID,
    MISMATCH,
    REFUSED,
    STANDING,
    UNEXPECTED,
    case,
    check_error,
    check_head,
    head,
    padded,
    per_version,
    plain_error,
)
from teeio.core.ops import Steps
from teeio.core.spdm_context import SpdmPhase

NOT_STARTED, AFTER_VERSION = SpdmPhase.NOT_STARTED, SpdmPhase.AFTER_VERSION
AFTER_CAPABILITIES, NEGOTIATED = SpdmPhase.AFTER_CAPABILITIES, SpdmPhase.NEGOTIATED
GOOD_FLAGS: Final = 0x000002C2
"""CERT, ENCRYPT, MAC, KEY_EX of a requester."""
GET_VERSION: Final = bytes.fromhex("10840000")


def capabilities(flags: int = GOOD_FLAGS, *, transfer: int = 0x1200, message: int = 0x1200
                 ) -> bytes:
    """GET_CAPABILITIES; byte 0 is filled in later."""
    return head(0, 0xE1) + struct.pack("<BBHIII", 0, 20, 0, flags, transfer, message)


def algorithms(tables: tuple[tuple[int, int, int], ...] = (
        (2, 0x20, 0x18), (3, 0x20, 0x02), (4, 0x20, 0x90), (5, 0x20, 0x01)), *,
        length: int | None = None, other: int = 0x02) -> bytes:
    """NEGOTIATE_ALGORITHMS; tables are (AlgType, AlgCount, mask)."""
    size = 32 + 4 * len(tables) if length is None else length
    fixed = struct.pack("<HBBII12xBBBB", size, 1, other, 0x94, 0x03, 0, 0, 0, 0)
    return head(0, 0xE3, len(tables)) + fixed + b"".join(
        struct.pack("<BBH", *table) for table in tables)


# VERSION ------------------------------------------------------------------------------------------

def version_valid(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.connection(None, NOT_STARTED)
    reply = yield from bench.plain(GET_VERSION)
    message = check_head(check, reply, 0x10, 0x04)
    check(3, message[2:5], bytes(3))
    count = message[5] if len(message) > 5 else 0
    entries = [struct.unpack_from("<H", message, 6 + 2 * i)[0] for i in range(count)
               if len(message) >= 8 + 2 * i]
    check.that(4, count > 0 and padded(message, 6 + 2 * count), len(message), f"6 + 2 * {count}")
    check.that(5, any(entry >> 8 >= 0x12 for entry in entries), [f"{e:#x}" for e in entries],
               "1.2 or later")


def version_mismatch(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.connection(None, NOT_STARTED)
    check_error(check, (yield from bench.plain(head(0x11, 0x84))), 0x10, MISMATCH)


def version_malformed_keeps_state(bench: Bench, check: Checks) -> Steps[None]:
    requester = yield from bench.connection()
    check_error(check, (yield from bench.plain(head(0x20, 0x84))), 0x10, MISMATCH, INVALID)
    reply = yield from bench.plain(head(requester.version, 0x81))
    check(6, reply.code, 0x01)


def version_resets(bench: Bench, check: Checks) -> Steps[None]:
    requester = yield from bench.connection()
    yield from bench.plain(GET_VERSION)
    reply = yield from bench.plain(head(requester.version, 0x81))
    check_error(check, reply, None, UNEXPECTED, MISMATCH)


def version_ends_sessions(bench: Bench, check: Checks) -> Steps[None]:
    session = yield from bench.session()
    record = session.spdm.seal_raw(head(session.spdm.version, 0xE8))
    yield from bench.plain(GET_VERSION)
    check.that(1, (yield from bench.doe_secured(record)) is None, "an answer", "no answer")
    bench.forget()


def version_in_session(bench: Bench, check: Checks) -> Steps[None]:
    session = yield from bench.session()
    reply = yield from bench.secured(GET_VERSION)
    check_error(check, reply, None, UNEXPECTED)
    reply = yield from bench.vendor(bytes(4))
    check.that(6, reply.payload is not None, reply, "an IDE_KM answer")
    del session


# CAPABILITIES -------------------------------------------------------------------------------------

def capabilities_valid(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version, AFTER_VERSION)
    request = capabilities()
    reply = yield from bench.plain(bytes([version]) + request[1:])
    message = check_head(check, reply, version, 0x61)
    check.that(3, padded(message, 20), len(message), 20)
    if len(message) < 20:
        return
    exponent, flags, transfer, largest = message[5], *struct.unpack_from("<III", message, 8)
    check.that(4, exponent <= 23, exponent, "23 or less")
    check(5, flags & 0x2C2, 0x2C2)
    check(6, flags >> 3 & 3, 2)
    check.that(7, transfer >= 42, transfer, "42 or more")
    check.that(8, largest >= transfer and (bool(flags >> 17 & 1) or largest == transfer), largest,
               f"{transfer}, or more with CHUNK")
    check(9, flags >> 16 & 1, 0)
    check.that(10, not flags >> 8 & 1 or bool(flags >> 12 & 1), f"{flags:#x}", "ENCAP")
    reserved_11 = (flags >> 22 & 3) == 3 or (flags >> 26 & 3) == 3
    check.that(11, not reserved_11 and (flags >> 10 & 3) != 3, f"{flags:#x}", "no reserved value")


def capabilities_again(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version, AFTER_CAPABILITIES)
    other = capabilities(transfer=0x1100, message=0x1100)
    reply = yield from bench.plain(bytes([version]) + other[1:])
    check_error(check, reply, version, UNEXPECTED, or_silence=True)


_CAP: Final = "10.4 GET_CAPABILITIES"
_BAD_CAPABILITIES: Final = (
    ("transfer-41", "DataTransferSize 41", capabilities(transfer=41, message=41)),
    ("transfer-above-message", "DataTransferSize above MaxSPDMmsgSize",
     capabilities(transfer=0x1200, message=0x1100)),
    ("no-chunk-sizes-differ", "without CHUNK the two sizes differ",
     capabilities(transfer=0x1100, message=0x1200)),
    ("encrypt-without-key-ex", "ENCRYPT and MAC without KEY_EX or PSK", capabilities(0x0C2)),
    ("key-ex-without-encrypt", "KEY_EX without ENCRYPT or MAC", capabilities(0x202)),
    ("hbeat-without-key-ex", "HBEAT without KEY_EX or PSK", capabilities(0x2000)),
    ("cert-and-pub-key-id", "CERT and PUB_KEY_ID", capabilities(GOOD_FLAGS | 1 << 16)),
    ("psk-reserved", "PSK with a reserved value", capabilities(GOOD_FLAGS | 3 << 10)),
)


# ALGORITHMS ---------------------------------------------------------------------------------------

def algorithms_valid(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version, AFTER_CAPABILITIES)
    reply = yield from bench.plain(bytes([version]) + algorithms()[1:])
    message = check_head(check, reply, version, 0x63)
    if len(message) < 36:
        check.that(3, False, len(message), "36 or more")
        return
    length, spec, other, mhash, asym, base = struct.unpack_from("<HBBIII", message, 4)
    check.that(3, length == 36 + 4 * message[2] and padded(message, length), length,
               36 + 4 * message[2])
    check(4, spec, 1)
    check(5, other & 0x0F, 2)
    check.that(6, mhash in (2, 4), mhash, "SHA-256 or SHA-384")
    check.that(7, asym in (0x04, 0x10, 0x80), f"{asym:#x}", "one of RSASSA 3072, P-256, P-384")
    check.that(8, base in (1, 2), base, "SHA-256 or SHA-384")
    check(9, message[32:36], bytes(4))
    tables = [struct.unpack_from("<BBH", message, 36 + 4 * i) for i in range(message[2])
              if len(message) >= 40 + 4 * i]
    kinds = [table[0] for table in tables]
    check.that(10, kinds == sorted(set(kinds)) and all(t[1] == 0x20 for t in tables), tables,
               "AlgType ascends, AlgCount 20h")
    chosen = {table[0]: table[2] for table in tables}
    check.that(11, chosen.get(2) in (0x08, 0x10), chosen.get(2), "secp256r1 or secp384r1")
    check(12, chosen.get(3), 2)
    check(13, chosen.get(5), 1)


def algorithms_again(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version, NEGOTIATED)
    reply = yield from bench.plain(bytes([version]) + algorithms(other=0x12 if version > 0x12
                                                                 else 0x03)[1:])
    check_error(check, reply, version, UNEXPECTED, or_silence=True)


def algorithms_none(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version, AFTER_CAPABILITIES)
    message = algorithms()
    message = bytes([version]) + message[1:12] + struct.pack("<I", 1 << 6) + message[16:]
    reply = yield from bench.plain(message)
    answer = reply.message or b""
    nothing = reply.code == 0x63 and len(answer) >= 20 and answer[16:20] == bytes(4)
    check.that(1, nothing or reply.error == INVALID, reply, "InvalidRequest or BaseHashSel 0")


_ALG: Final = "10.5 NEGOTIATE_ALGORITHMS"
_DHE, _AEAD, _REQ, _KS = (2, 0x20, 0x18), (3, 0x20, 2), (4, 0x20, 0x90), (5, 0x20, 1)
_BAD_ALGORITHMS: Final = (
    ("twice", "a table twice", algorithms((_DHE, _DHE, _AEAD, _KS))),
    ("order", "tables that do not ascend", algorithms((_AEAD, _DHE, _REQ, _KS))),
    ("count", "AlgCount other than 20h", algorithms((_DHE, (3, 0x30, 2), _REQ, _KS))),
    ("length-long", "Length above the size", algorithms(length=52)),
    ("length-short", "Length below the size", algorithms(length=44)),
)


CASES: Final[tuple[Case, ...]] = (
    case("version.valid", "VERSION", "10.3 GET_VERSION", version_valid,
         ("VERSION", "SPDMVersion is 1.0", "parameters and reserved are 0", "the size is exact",
          "1.2 or later is offered"), group=1, alias="1.1"),
    case("version.mismatch", "GET_VERSION with SPDMVersion 11h", "10.3 GET_VERSION",
         version_mismatch, REFUSED, group=1),
    case("version.malformed", "a malformed GET_VERSION disturbs nothing", "10.3 GET_VERSION",
         version_malformed_keeps_state, (*REFUSED, STANDING)),
    case("version.resets", "GET_VERSION forgets what was negotiated", "10.3 GET_VERSION",
         version_resets, REFUSED),
    case("version.ends-sessions", "GET_VERSION ends every session", "10.3 GET_VERSION",
         version_ends_sessions, ("a record of the old session is not answered",)),
    case("version.in-session", "GET_VERSION in a session", "10.3 GET_VERSION", version_in_session,
         (*REFUSED, STANDING)),
    *per_version("capabilities.valid", "CAPABILITIES of a TEE-IO device", _CAP, capabilities_valid,
                 ("CAPABILITIES", "SPDMVersion", "20 bytes", "CTExponent is 23 or less",
                  "CERT, ENCRYPT, MAC and KEY_EX", "MEAS is 10b", "DataTransferSize is 42 or more",
                  "MaxSPDMmsgSize suits it", "CERT without PUB_KEY_ID", "MUT_AUTH needs ENCAP",
                  "no reserved value"), group=2),
    *plain_error("capabilities.version", "GET_CAPABILITIES in an unknown version", _CAP,
                 AFTER_VERSION, b"\x3f" + capabilities()[1:], MISMATCH, group=2,
                 versions=(0x12,), note="The ERROR carries 1.0 before a version is agreed."),
    *per_version("capabilities.again", "a second, different GET_CAPABILITIES", _CAP,
                 capabilities_again, REFUSED, group=2, note="Silence is allowed too."),
    *(one for name, title, message in _BAD_CAPABILITIES for one in plain_error(
        f"capabilities.{name}", title, _CAP, AFTER_VERSION, message, INVALID, group=2)),
    *plain_error("capabilities.late", "GET_CAPABILITIES after ALGORITHMS", _CAP, NEGOTIATED,
                 capabilities(transfer=0x1100, message=0x1100), UNEXPECTED, group=2,
                 or_silence=True),
    *per_version("algorithms.valid", "ALGORITHMS of a TEE-IO device", _ALG, algorithms_valid,
                 ("ALGORITHMS", "SPDMVersion", "Length is that of the message",
                  "DMTF measurement specification", "OpaqueDataFmt1", "MeasurementHashAlgo",
                  "BaseAsymSel", "BaseHashSel", "no extended algorithm", "tables are well formed",
                  "DHE", "AES-256-GCM", "SPDM key schedule"), group=3),
    *(one for name, title, message in _BAD_ALGORITHMS for one in plain_error(
        f"algorithms.{name}", title, _ALG, AFTER_CAPABILITIES, message, INVALID, group=3)),
    *plain_error("algorithms.early", "NEGOTIATE_ALGORITHMS before CAPABILITIES", _ALG,
                 AFTER_VERSION, algorithms(), UNEXPECTED, MISMATCH, group=3,
                 note="No version is agreed yet, so VersionMismatch is accepted."),
    *plain_error("algorithms.version", "NEGOTIATE_ALGORITHMS in another version", _ALG,
                 AFTER_CAPABILITIES, b"\x3f" + algorithms()[1:], MISMATCH, group=3),
    *per_version("algorithms.again", "a second, different NEGOTIATE_ALGORITHMS", _ALG,
                 algorithms_again, REFUSED, group=3, note="Silence is allowed too."),
    *per_version("algorithms.none-common", "no hash in common", _ALG, algorithms_none,
                 ("InvalidRequest, or nothing selected",), group=3, note="The text wants a"
                 " selection of 0 and a later RequestResynch, a public responder InvalidRequest at"
                 " once; both are accepted."),
)
