# SPDX-License-Identifier: Apache-2.0
"""SPDM: HEARTBEAT, KEY_UPDATE, END_SESSION, VENDOR_DEFINED, records and unknown codes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, Checks, SkipCase
from teeio.conformance.suites.spdm_parts import (
    INVALID,
    MISMATCH,
    REFUSED,
    SESSION_REQUIRED,
    UNEXPECTED,
    UNSUPPORTED,
    VersionSteps,
    check_error,
    handshake,
    head,
    per_version,
    plain_error,
    vendor_query,
)
from teeio.core.ops import Steps
from teeio.core.spdm_context import SpdmPhase
from teeio.core.spdm_flow import Session
from teeio.wire.spdm_base import Cap
from teeio.wire.spdm_session import KeyUpdateOp

NEGOTIATED: Final = SpdmPhase.NEGOTIATED
_HB, _KU, _END = "10.18 HEARTBEAT", "10.19 KEY_UPDATE", "10.23 END_SESSION"
_VDM, _CODES, _RECORD = "10.20 VENDOR_DEFINED", "10.2 request codes", "DSP0277 secured messages"
_GOES_ON: Final = "the session goes on"


def _flags(session: Session) -> int:
    capabilities = session.requester.capabilities
    return capabilities.flags if capabilities else 0


def _goes_on(bench: Bench, check: Checks, number: int, session: Session) -> Steps[None]:
    """Assertion `number`: a QUERY is answered in the session."""
    reply = yield from bench.vendor(bytes(4), session.spdm)
    check.that(number, reply.payload is not None, reply, "an answer to QUERY")


def heartbeat(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    reply = yield from bench.secured(head(version, 0xE8), session.spdm)
    if session.spdm.start.heartbeat_period:
        check(1, reply.message, head(version, 0x68))
    else:
        check.that(1, reply.error in (UNEXPECTED, UNSUPPORTED), reply,
                   "UnexpectedRequest or UnsupportedRequest: no period was agreed")
    yield from _goes_on(bench, check, 2, session)


def in_session(message: bytes, *codes: int, need: Cap | None = None, data: int | None = 0
               ) -> VersionSteps:
    """`message` (its version is filled in) in the application phase is refused."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        session = yield from bench.new_session(version)
        if need is not None and not _flags(session) & need:
            raise SkipCase(f"{need.name}_CAP is not set")
        first = message[:1] if message[0] else bytes([version])
        reply = yield from bench.secured(first + message[1:], session.spdm)
        check_error(check, reply, None if message[0] else version, *codes, data=data)
        yield from _goes_on(bench, check, 6, session)
    return steps


def in_handshake(code: int) -> VersionSteps:
    """A request of the application phase before FINISH."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        spdm = yield from handshake(bench, version)
        message = head(version, code, 1 if code == 0xE9 else 0)
        check_error(check, (yield from bench.secured(message, spdm)), version, UNEXPECTED)
    return steps


def key_update(operation: KeyUpdateOp) -> VersionSteps:
    """KEY_UPDATE and VerifyNewKey; messages under the new keys."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        session = yield from bench.new_session(version)
        if not _flags(session) & Cap.KEY_UPD:
            raise SkipCase("KEY_UPD_CAP is not set")
        for number in (1, 2):
            yield from session.update_keys(operation)
            check.that(number, True, "acknowledged", "echo of operation and tag")
        yield from _goes_on(bench, check, 3, session)
    return steps


def key_update_twice(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    if not _flags(session) & Cap.KEY_UPD:
        raise SkipCase("KEY_UPD_CAP is not set")
    spdm = session.spdm
    reply = yield from bench.secured(head(version, 0xE9, 1, 0x55), spdm)
    check(1, reply.message, head(version, 0x69, 1, 0x55))
    reply = yield from bench.secured(head(version, 0xE9, 3, 0x56), spdm)
    check.that(2, reply.code != 0x69, reply, "no acknowledgement under the old key")
    bench.forget()


def end_session(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    reply = yield from bench.secured(head(version, 0xEC), session.spdm)
    check(1, reply.message, head(version, 0x6C))
    record = session.spdm.seal_raw(vendor_query(version))
    check.that(2, (yield from bench.doe_secured(record)) is None, "an answer", "no answer")
    bench.forget()
    yield from bench.new_session(version)
    check.that(3, True, "opened", "a new session")


# VENDOR_DEFINED -----------------------------------------------------------------------------------

def vendor_bad(standard: int, length: int, vendor: int, payload: int) -> VersionSteps:
    """A wrapper that is not that of PCI-SIG, or does not hold together."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        session = yield from bench.new_session(version)
        message = head(version, 0xFE) + struct.pack("<HBHH", standard, length, vendor, payload)
        reply = yield from bench.secured(message + bytes(4), session.spdm)
        check_error(check, reply, version, INVALID, UNSUPPORTED, UNEXPECTED, data=None)
        yield from _goes_on(bench, check, 6, session)
    return steps


def vendor_outside(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    reply = yield from bench.plain(vendor_query(version))
    check.that(1, reply.message is None or reply.code == 0x7F, reply, "no answer, or an ERROR")


# Records ------------------------------------------------------------------------------------------

def _is_refusal(session: Session, answer: bytes | None) -> bool:
    """No answer, or an ERROR inside or outside of the session; never a real answer."""
    if answer is None or answer[1:2] == b"\x7f":
        return True
    return session.spdm.open_raw(answer)[1] == 0x7F


def record_spoilt(change: Callable[[bytes], bytes]) -> VersionSteps:
    """A record that does not open: no answer but a refusal, and the session is over."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        session = yield from bench.new_session(version)
        record = change(session.spdm.seal_raw(vendor_query(version)))
        answer = yield from bench.doe_secured(record)
        check.that(1, _is_refusal(session, answer), answer, "no answer, or an ERROR")
        answer = yield from bench.doe_secured(session.spdm.seal_raw(vendor_query(version)))
        check.that(2, _is_refusal(session, answer), answer, "no answer, or an ERROR")
        bench.forget()
        yield from bench.new_session(version)
        check.that(3, True, "opened", "a new session")
    return steps


def record_replayed(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    record = session.spdm.seal_raw(vendor_query(version))
    first = yield from bench.doe_secured(record)
    check.that(1, first is not None and session.spdm.open_raw(first)[1] == 0x7E, first,
               "an answer")
    again = yield from bench.doe_secured(record)
    check.that(2, _is_refusal(session, again), again, "no answer, or an ERROR")
    bench.forget()


def record_skipped(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    session.spdm.seal_raw(vendor_query(version))
    answer = yield from bench.doe_secured(session.spdm.seal_raw(vendor_query(version)))
    check.that(1, _is_refusal(session, answer), answer, "no answer, or an ERROR")
    bench.forget()


def record_unknown_session(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    record = session.spdm.seal_raw(vendor_query(version))
    other = bytes(b ^ 0xA5 for b in record[:4]) + record[4:]
    check.that(1, (yield from bench.doe_secured(other)) is None, "an answer", "no answer")
    answer = yield from bench.doe_secured(record)
    check.that(2, answer is not None and session.spdm.open_raw(answer)[1] == 0x7E, answer,
               "an answer to the untouched record")


def _flip(at: int) -> Callable[[bytes], bytes]:
    """Flips a bit of byte `at`, which may count from the end."""
    def change(record: bytes) -> bytes:
        out = bytearray(record)
        out[at] ^= 1
        return bytes(out)
    return change


_REC: Final = ("no answer, or an ERROR", "the session is over", "a new session can be opened")
_QUIET: Final = ("no answer, or an ERROR",)

CASES: Final[tuple[Case, ...]] = (
    *per_version("heartbeat.valid", "HEARTBEAT as agreed", _HB, heartbeat,
                 ("HEARTBEAT_ACK, or a refusal without a period", _GOES_ON), group=12),
    *plain_error("heartbeat.outside", "HEARTBEAT outside of a session", _HB, NEGOTIATED,
                 head(0, 0xE8), SESSION_REQUIRED, group=12),
    *per_version("heartbeat.in-handshake", "HEARTBEAT before FINISH", _HB, in_handshake(0xE8),
                 REFUSED, group=12),
    *per_version("heartbeat.version", "HEARTBEAT in another version", _HB,
                 in_session(head(0x20, 0xE8), MISMATCH, need=Cap.HBEAT), (*REFUSED, _GOES_ON),
                 group=12),
    *(one for name, operation in (("one", KeyUpdateOp.UPDATE_KEY),
                                  ("all", KeyUpdateOp.UPDATE_ALL_KEYS))
      for one in per_version(f"key-update.{name}", f"KEY_UPDATE {operation.name}", _KU,
                             key_update(operation), ("acknowledged", "again", _GOES_ON), group=13)),
    *per_version("key-update.verify-alone", "VerifyNewKey with nothing to verify", _KU,
                 in_session(head(0, 0xE9, 3), INVALID, need=Cap.KEY_UPD), (*REFUSED, _GOES_ON),
                 group=13),
    *(one for number in (0, 4, 0xFF) for one in per_version(
        f"key-update.operation-{number:02x}", f"KEY_UPDATE operation {number:#x}", _KU,
        in_session(head(0, 0xE9, number), INVALID, need=Cap.KEY_UPD), (*REFUSED, _GOES_ON),
        group=13)),
    *per_version("key-update.old-key", "VerifyNewKey under the old key", _KU, key_update_twice,
                 ("UpdateKey is acknowledged", "no acknowledgement under the old key"), group=13),
    *plain_error("key-update.outside", "KEY_UPDATE outside of a session", _KU, NEGOTIATED,
                 head(0, 0xE9, 1), SESSION_REQUIRED, group=13),
    *per_version("key-update.in-handshake", "KEY_UPDATE before FINISH", _KU, in_handshake(0xE9),
                 REFUSED, group=13),
    *per_version("end-session.valid", "END_SESSION", _END, end_session,
                 ("END_SESSION_ACK", "the session is over", "a new session can be opened"),
                 group=16),
    *plain_error("end-session.outside", "END_SESSION outside of a session", _END, NEGOTIATED,
                 head(0, 0xEC), SESSION_REQUIRED, group=16),
    *per_version("end-session.in-handshake", "END_SESSION before FINISH", _END, in_handshake(0xEC),
                 REFUSED, group=16),
    *per_version("end-session.version", "END_SESSION in another version", _END,
                 in_session(head(0x20, 0xEC), MISMATCH), (*REFUSED, _GOES_ON), group=16),
    *(one for name, wrapper in (
        ("standard", (7, 2, 1, 4)), ("vendor-length", (3, 1, 1, 4)), ("vendor", (3, 2, 2, 4)),
        ("length-long", (3, 2, 1, 0xFFFF)), ("length-0", (3, 2, 1, 0)))
      for one in per_version(f"vendor.{name}", f"VENDOR_DEFINED with a wrong {name}", _VDM,
                             vendor_bad(*wrapper), (*REFUSED, _GOES_ON),
                             note="Public responders answer InvalidRequest, UnsupportedRequest or"
                             " UnexpectedRequest.")),
    *per_version("vendor.outside", "IDE_KM outside of a session", _VDM, vendor_outside, _QUIET),
    *(one for code in (0x80, 0x8F, 0xF7) for one in plain_error(
        f"code.{code:02x}", f"request code {code:02X}h, which is none", _CODES, NEGOTIATED,
        head(0, code), UNSUPPORTED, data=code)),
    *(one for code in (0x80, 0xF7) for one in per_version(
        f"code.{code:02x}-in-session", f"request code {code:02X}h in a session", _CODES,
        in_session(head(0, code), UNSUPPORTED, data=code), (*REFUSED, _GOES_ON))),
    *plain_error("respond-if-ready", "RESPOND_IF_READY with nothing promised", "10.10", NEGOTIATED,
                 head(0, 0xFF, 0x81, 1), UNEXPECTED, INVALID),
    *(one for name, at in (("tag", -1), ("ciphertext", 8)) for one in per_version(
        f"record.{name}", f"one bit of the {name} of a record flipped", _RECORD,
        record_spoilt(_flip(at)), _REC)),
    *per_version("record.replay", "the same record twice", _RECORD, record_replayed,
                 ("answered once", *_QUIET)),
    *per_version("record.skip", "a record whose predecessor was lost", _RECORD, record_skipped,
                 _QUIET),
    *per_version("record.session", "a record of a session that is not there", _RECORD,
                 record_unknown_session, ("no answer", "the real session goes on")),
)
