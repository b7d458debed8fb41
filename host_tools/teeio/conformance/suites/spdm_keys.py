# SPDX-License-Identifier: Apache-2.0
"""SPDM: KEY_EXCHANGE and FINISH."""

from __future__ import annotations

import struct
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, Checks
from teeio.conformance.suites.spdm_parts import (
    DECRYPT,
    INVALID,
    LIMIT,
    MISMATCH,
    REFUSED,
    SESSION_REQUIRED,
    UNEXPECTED,
    UNSPECIFIED,
    VersionSteps,
    case,
    check_error,
    handshake,
    head,
    per_version,
    plain_error,
    vendor_query,
)
from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.core.spdm_context import SpdmPhase
from teeio.core.spdm_requester import SpdmRequester
from teeio.errors import PeerRefused
from teeio.wire.spdm_session import FinishRsp, KeyExchangeRsp

AFTER_CAPABILITIES, NEGOTIATED = SpdmPhase.AFTER_CAPABILITIES, SpdmPhase.NEGOTIATED
_KEX: Final = "10.16 KEY_EXCHANGE"
_FIN: Final = "10.17 FINISH"
OPAQUE: Final = bytes.fromhex("01000000" "00000700" "0101020011001200")
"""Secured versions 1.1 and 1.2, with one byte of padding."""


def _kex(requester: SpdmRequester, slot: int) -> bytearray:
    """A legal KEY_EXCHANGE, to be spoilt."""
    return bytearray(requester.key_exchange(slot))


def key_exchange_good(summary: int) -> VersionSteps:
    """KEY_EXCHANGE_RSP: signature and HMAC verify; FINISH opens the session."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        requester, slot = yield from bench.authenticated(version)
        wire = requester.key_exchange(slot, summary_type=summary)
        answer = yield from spdm_flow.exchange(requester, wire, KeyExchangeRsp)
        check.that(1, True, "verified", "signature and ResponderVerifyData verify")
        check(2, answer.mut_auth_requested, 0)
        check(3, answer.slot_id_param, 0)
        check.that(4, bool(answer.summary) == bool(summary), answer.summary, "as asked for")
        spdm = requester.take_session()
        yield from spdm_flow.exchange(spdm, spdm.finish(), FinishRsp)
        reply = yield from bench.vendor(bytes(4), spdm)
        check.that(5, reply.payload is not None, reply, "an answer in the session")
    return steps


def key_exchange_bad(at: int, value: bytes, *codes: int) -> VersionSteps:
    """One field of a legal KEY_EXCHANGE replaced; the next legal one is answered."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        requester, slot = yield from bench.authenticated(version)
        message = _kex(requester, slot)
        where = at if at >= 0 else 40 + requester.suite.exchange_size - at - 1
        message[where:where + len(value)] = value
        check_error(check, (yield from bench.plain(bytes(message))), version, *codes)
        session = yield from bench.new_session(version)
        check.that(6, session.spdm.phase is SpdmPhase.APPLICATION, session.spdm.phase.value,
                   "a session")
    return steps


def key_exchange_slots(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester, slot = yield from bench.authenticated(version)
    mask = requester.digests.provisioned_slots if requester.digests else 1
    bad = [n for n in range(8) if not mask >> n & 1]
    message = _kex(requester, slot)
    for number in [*bad, *range(8, 16)]:
        message[3] = number
        check_error(check, (yield from bench.plain(bytes(message))), version, INVALID)


def key_exchange_point(point: bytes) -> VersionSteps:
    """A peer point that is not on the curve gives no session."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        requester, slot = yield from bench.authenticated(version)
        message = _kex(requester, slot)
        size = requester.suite.exchange_size
        message[40:40 + size] = point * (size // len(point))
        reply = yield from bench.plain(bytes(message))
        check_error(check, reply, version, INVALID, UNSPECIFIED, DECRYPT)
    return steps


def key_exchange_random(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester, slot = yield from bench.authenticated(version)
    randoms, points = set(), set()
    for _ in range(2):
        answer = yield from spdm_flow.exchange(requester, requester.key_exchange(slot),
                                               KeyExchangeRsp)
        requester.take_session()
        randoms.add(answer.random)
        points.add(answer.exchange_data)
    check(1, len(randoms), 2)
    check(2, len(points), 2)


def key_exchange_in_session(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    message = _kex(session.requester, session.spdm.start.slot)
    check_error(check, (yield from bench.secured(bytes(message), session.spdm)), version,
                UNEXPECTED)


def sessions_run_out(bench: Bench, check: Checks) -> Steps[None]:
    first = yield from bench.new_session()
    requester, slot = first.requester, first.spdm.start.slot
    try:
        for _ in range(64):
            yield from spdm_flow.open_session(requester, slot)
    except PeerRefused as refused:
        check(1, refused.wire_code, LIMIT)
    reply = yield from bench.vendor(bytes(4), first.spdm)
    check.that(2, reply.payload is not None, reply, "an answer")
    bench.forget()


# FINISH -------------------------------------------------------------------------------------------

def finish_wrong_hmac(bench: Bench, check: Checks, version: int) -> Steps[None]:
    spdm = yield from handshake(bench, version)
    message = head(version, 0xE5) + bytes(range(spdm.start.suite.hash_size))
    check_error(check, (yield from bench.secured(message, spdm)), version, DECRYPT)


def finish_wrong_hmac_ends(bench: Bench, check: Checks, version: int) -> Steps[None]:
    spdm = yield from handshake(bench, version)
    yield from bench.secured(head(version, 0xE5) + bytes(spdm.start.suite.hash_size), spdm)
    record = spdm.seal_raw(vendor_query(version))
    answer = yield from bench.doe_secured(record)
    message = spdm.open_raw(answer) if answer is not None else None
    check.that(1, message is None or message[1] == 0x7F, message, "no answer, or an ERROR")


def finish_bad(param1: int, slot: int, cut: int) -> VersionSteps:
    """A field of FINISH that does not suit."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        spdm = yield from handshake(bench, version)
        size = spdm.start.suite.hash_size
        message = head(version, 0xE5, param1, slot) + bytes(size - cut)
        check_error(check, (yield from bench.secured(message, spdm)), version, INVALID,
                    *((DECRYPT,) if slot else ()))
    return steps


def finish_again(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    message = head(version, 0xE5) + bytes(session.spdm.start.suite.hash_size)
    check_error(check, (yield from bench.secured(message, session.spdm)), version, UNEXPECTED)
    reply = yield from bench.vendor(bytes(4), session.spdm)
    check.that(6, reply.payload is not None, reply, "the session goes on")


def vendor_in_handshake(bench: Bench, check: Checks, version: int) -> Steps[None]:
    spdm = yield from handshake(bench, version)
    reply = yield from bench.secured(vendor_query(version), spdm)
    check.that(1, reply.message is None or reply.code == 0x7F, reply, "no answer, or an ERROR")


_LIVES: Final = "a legal KEY_EXCHANGE is answered afterwards"

CASES: Final[tuple[Case, ...]] = (
    *(one for name, kind in (("none", 0), ("tcb", 1), ("all", 0xFF)) for one in per_version(
        f"key-exchange.summary-{name}", f"KEY_EXCHANGE with summary type {kind:#x}, then FINISH",
        _KEX, key_exchange_good(kind),
        ("signature and HMAC verify", "no mutual authentication", "SlotIDParam is 0",
         "the summary", "the session carries messages"), group=8)),
    *per_version("key-exchange.slots", "KEY_EXCHANGE of empty slots and slots 8 to 15", _KEX,
                 key_exchange_slots, REFUSED, group=8, alias="8.6"),
    *(one for name, value in (("2", b"\2"), ("fe", b"\xfe")) for one in per_version(
        f"key-exchange.summary-type-{name}", f"KEY_EXCHANGE with summary type {value.hex()}h",
        _KEX, key_exchange_bad(2, value, INVALID), (*REFUSED, _LIVES), group=8)),
    *per_version("key-exchange.opaque-ffff", "KEY_EXCHANGE with OpaqueLength FFFFh", _KEX,
                 key_exchange_bad(-1, b"\xff\xff", INVALID), (*REFUSED, _LIVES), group=8),
    *per_version("key-exchange.opaque-none", "opaque data with no element", _KEX,
                 key_exchange_bad(-3, b"\0", INVALID), (*REFUSED, _LIVES), group=8),
    *(one for name, point in (("zero", b"\0"), ("ones", b"\xff"), ("off-curve", b"\x5a"))
      for one in per_version(f"key-exchange.point-{name}", f"KEY_EXCHANGE with a bad point: {name}",
                             _KEX, key_exchange_point(point), REFUSED,
                             note="Which code is open; there must be no session.")),
    *per_version("key-exchange.fresh", "each answer has a new random and a new key", _KEX,
                 key_exchange_random, ("RandomData differs", "ExchangeData differs"), group=8),
    *per_version("key-exchange.in-session", "KEY_EXCHANGE in a session", _KEX,
                 key_exchange_in_session, REFUSED, group=8),
    *plain_error("key-exchange.version", "KEY_EXCHANGE in another version", _KEX, NEGOTIATED,
                 head(0x3F, 0xE4) + bytes(36 + 96 + 2), MISMATCH, group=8, versions=(0x12,)),
    *plain_error("key-exchange.early", "KEY_EXCHANGE before ALGORITHMS", _KEX, AFTER_CAPABILITIES,
                 head(0, 0xE4) + bytes(36 + 96) + struct.pack("<H", 16) + OPAQUE, UNEXPECTED,
                 group=8),
    case("key-exchange.limit", "more sessions than there is room for", _KEX, sessions_run_out,
         ("SessionLimitExceeded", "the first session goes on")),
    *per_version("finish.hmac", "FINISH with a wrong RequesterVerifyData", _FIN, finish_wrong_hmac,
                 REFUSED, group=9),
    *per_version("finish.hmac-ends", "after it there is no session", _FIN, finish_wrong_hmac_ends,
                 ("no answer, or an ERROR",), group=9),
    *per_version("finish.signature-bit", "FINISH with the signature bit", _FIN, finish_bad(1, 0, 0),
                 REFUSED, group=9),
    *per_version("finish.slot", "FINISH with a requester slot", _FIN, finish_bad(0, 1, 0), REFUSED,
                 group=9, note="DecryptError is accepted: the slot may not be looked at without"
                 " a signature."),
    *per_version("finish.short", "FINISH without the whole RequesterVerifyData", _FIN,
                 finish_bad(0, 0, 4), REFUSED, group=9),
    *per_version("finish.again", "FINISH in the application phase", _FIN, finish_again,
                 (*REFUSED, "the session goes on"), group=9),
    *plain_error("finish.outside", "FINISH outside of a session", _FIN, NEGOTIATED,
                 head(0, 0xE5) + bytes(48), SESSION_REQUIRED, group=9),
    *per_version("vendor.in-handshake", "IDE_KM before FINISH", "10.20 VENDOR_DEFINED",
                 vendor_in_handshake, ("no answer, or an ERROR",)),
)
