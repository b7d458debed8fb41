# SPDX-License-Identifier: Apache-2.0
"""TDISP: nonce, report in pieces, sizes, versions, interfaces, reserved fields, ends of trust."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, Level, SkipCase
from teeio.conformance.suites.tdisp_messages import (
    read_report,
    request_named,
    whole_report,
)
from teeio.conformance.suites.tdisp_parts import (
    COMMON,
    INVALID_DEVICE_CONFIGURATION,
    INVALID_INTERFACE,
    INVALID_NONCE,
    INVALID_REQUEST,
    REFUSED,
    UNSUPPORTED_REQUEST,
    VERSION_MISMATCH,
    ask,
    check_common,
    check_refused,
    check_state,
    lock_request,
    send,
)
from teeio.core.ops import Steps
from teeio.wire.tdisp import (
    GetDeviceInterfaceReport,
    GetDeviceInterfaceState,
    GetTdispCapabilities,
    InterfaceId,
    LockInterfaceRequest,
    StartInterfaceRequest,
    TdispMessage,
    TdiState,
)

U, L, R, E = TdiState
_REQUESTS: Final = ("GET_VERSION", "GET_CAPABILITIES", "LOCK", "GET_REPORT", "GET_STATE", "START",
                    "STOP")
_HAS_BODY: Final = ("GET_CAPABILITIES", "LOCK", "GET_REPORT", "START")
_KEPT: Final = "the state is kept"
_IGNORE: Final = "reserved fields are ignored on receipt"


# Nonce --------------------------------------------------------------------------------------------

def nonce_is_fresh(bench: Bench, check: Checks) -> Steps[None]:
    seen = []
    for _ in range(4):
        yield from bench.tdi_in(L)
        seen.append(bench.nonce)
    check(1, len(set(seen)), len(seen))
    check.that(2, all(len(set(nonce)) > 4 for nonce in seen), "few different bytes",
               "more than 4 different bytes in each")
    check.that(3, all(len(set(column)) > 1 for column in zip(*seen, strict=True)),
               "a byte that never changes", "no byte is constant over four nonces")


def nonce_bit(bit: int) -> CaseSteps:
    """One bit of the nonce flipped; the right one works afterwards."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(L)
        wrong = bytearray(bench.nonce)
        wrong[bit // 8] ^= 1 << bit % 8
        request = StartInterfaceRequest(interface=bench.interface, nonce=bytes(wrong))
        check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_NONCE)
        yield from check_state(bench, check, 7, L)
        answer = yield from ask(bench, request_named(bench, "START"))
        check(8, answer.code, 0x06)
    return steps


def nonce_of_last_lock(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    old = bench.nonce
    yield from bench.tdi_in(L)
    request = StartInterfaceRequest(interface=bench.interface, nonce=old)
    check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_NONCE)
    yield from check_state(bench, check, 7, L)


def nonce_constant(fill: int) -> CaseSteps:
    """A nonce of one byte value is none."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(L)
        request = StartInterfaceRequest(interface=bench.interface, nonce=bytes([fill]) * 32)
        check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_NONCE)
        yield from check_state(bench, check, 7, L)
    return steps


# Report -------------------------------------------------------------------------------------------

def report_in_pieces(length: int) -> CaseSteps:
    """Portions of `length` bytes give the same report as the whole."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(L)
        whole = yield from whole_report(bench)
        pieces = yield from read_report(bench, check, length)
        check(7, pieces, whole)
    return steps


def report_refused(offset: int | None, length: int) -> CaseSteps:
    """A window that starts at the end or beyond; `offset` None stands for the size."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(L)
        at = offset
        if at is None:
            at = len((yield from whole_report(bench)))
        request = GetDeviceInterfaceReport(interface=bench.interface, offset=at, length=length)
        check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_REQUEST)
        yield from check_state(bench, check, 7, L)
    return steps


def report_tail(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    whole = yield from whole_report(bench)
    for at in (1, len(whole) // 2, len(whole) - 1):
        request = GetDeviceInterfaceReport(interface=bench.interface, offset=at, length=0xFFFF)
        answer = yield from ask(bench, request)
        check_common(check, answer, request.encode(), 0x04, 20 + len(whole) - at)
        check(5, answer.body, struct.pack("<HH", len(whole) - at, 0) + whole[at:])


def _ranges(report: bytes) -> list[tuple[int, int, int, int]]:
    """(first page, pages, attributes, range id) of each MMIO_RANGE."""
    if len(report) < 20:
        return []
    count, = struct.unpack_from("<I", report, 12)
    return [struct.unpack_from("<QIHH", report, 16 + 16 * i) for i in range(count)
            if len(report) >= 32 + 16 * i]


def report_offset(offset: int) -> CaseSteps:
    """MMIO_REPORTING_OFFSET is added to every address."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(L)
        base = _ranges((yield from whole_report(bench)))
        yield from bench.tdi_in(L, offset=offset)
        moved = _ranges((yield from whole_report(bench)))
        pages = offset >> 12
        check(1, [(a + pages) % (1 << 52) for a, *_ in base], [a for a, *_ in moved])
        check(2, [rest for _, *rest in base], [rest for _, *rest in moved])
    return steps


def report_ranges(bench: Bench, check: Checks) -> Steps[None]:
    function = bench.function
    yield from bench.tdi_in(L)
    ranges = _ranges((yield from whole_report(bench)))
    first, last = function.bar0 >> 12, function.bar0 + function.bar0_size >> 12
    ids = [item[3] for item in ranges]
    check(1, ids, sorted(ids))
    bar0 = sorted((a, a + n) for a, n, _, bar in ranges if bar == 0)
    check.that(2, bool(bar0) and all(first <= a < b <= last for a, b in bar0), bar0,
               f"within {first:#x} to {last:#x}")
    check.that(3, all(one[1] <= two[0] for one, two in pairwise(bar0)),
               bar0, "no overlap")
    check.that(4, bool(bar0) and bar0[0][0] == first, bar0[:1], f"{first:#x}")


def report_same_in_run(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    locked = yield from whole_report(bench, 0x400)
    yield from ask(bench, request_named(bench, "START"))
    check(1, (yield from whole_report(bench, 0x400)), locked)


def report_msix(bench: Bench, check: Checks) -> Steps[None]:
    offer = yield from ask(bench, GetTdispCapabilities(interface=bench.interface))
    if not struct.unpack_from("<H", offer.body.ljust(24, b"\0"), 20)[0] & 1 << 2:
        raise SkipCase("LOCK_MSIX is not offered")
    yield from bench.tdi_in(L, flags=1 << 2)
    ranges = _ranges((yield from whole_report(bench)))
    for number, bit in ((1, 0), (2, 1)):
        check.that(number, any(item[2] >> bit & 1 for item in ranges),
                   [f"{item[2]:#x}" for item in ranges], f"a range with attribute bit {bit}")


# Refusals that do not depend on the state ---------------------------------------------------------

def wrong_size(name: str, change: int) -> CaseSteps:
    """One byte too many or too few."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(U)
        message = request_named(bench, name).encode()
        message = message + b"\0" if change > 0 else message[:-1]
        check_refused(check, (yield from send(bench, message)), message, INVALID_REQUEST)
        yield from check_state(bench, check, 7, U)
    return steps


def wrong_version(name: str, version: int) -> CaseSteps:
    """Another TDISPVersion."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(U)
        message = replace(request_named(bench, name), version=version).encode()
        check_refused(check, (yield from send(bench, message)), message, VERSION_MISMATCH)
        yield from check_state(bench, check, 7, U)
    return steps


def unknown_interface(name: str) -> CaseSteps:
    """A function of a bus where this device is not."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(U)
        foreign = InterfaceId(function_id=bench.interface.function_id ^ 0x5A00)
        message = replace(request_named(bench, name), interface=foreign).encode()
        check_refused(check, (yield from send(bench, message)), message, INVALID_INTERFACE)
        yield from check_state(bench, check, 7, U)
    return steps


def unknown_code(code: int) -> CaseSteps:
    """A code that is no request of TDISP 1.0."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        good = GetDeviceInterfaceState(interface=bench.interface).encode()
        message = bytes([good[0], code]) + good[2:]
        check_refused(check, (yield from send(bench, message)), message, UNSUPPORTED_REQUEST, code)
    return steps


def reserved(change: str) -> CaseSteps:
    """Nonzero reserved fields are ignored, and those of INTERFACE_ID echoed."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(U)
        request: TdispMessage = GetDeviceInterfaceState(interface=bench.interface)
        code, size = 0x05, 17
        if change == "header":
            request = replace(request, reserved_header=0xFFFF)
        elif change == "interface":
            marked = replace(bench.interface, reserved=0x0807060504030201)
            request = replace(request, interface=marked)
        else:
            yield from bench.keyed_stream()
            bench.touch()
            code, size = 0x03, 48
            plain = lock_request(bench)
            request = replace(plain, reserved=0xFF) if change == "lock" else replace(
                plain, flags=0xFFE0)
        answer = yield from ask(bench, request)
        check_common(check, answer, request.encode(), code, size)
    return steps


def lock_refused(change: Callable[[LockInterfaceRequest], LockInterfaceRequest],
                 accepted: tuple[int, ...]) -> CaseSteps:
    """LOCK with a field that must be refused, in a stream that is ready."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(U)
        yield from bench.keyed_stream()
        bench.touch()
        request = change(lock_request(bench))
        answer = yield from ask(bench, request)
        error = answer.error[0] if answer.error else accepted[0]
        check_refused(check, answer, request.encode(), error if error in accepted else accepted[0])
        yield from check_state(bench, check, 7, U)
    return steps


def outside_session(bench: Bench, check: Checks) -> Steps[None]:
    requester = yield from bench.connection()
    message = GetDeviceInterfaceState(interface=bench.interface).to_payload()
    head = struct.pack("<BBBBHBHH", requester.version, 0xFE, 0, 0, 3, 2, 1, len(message))
    reply = yield from bench.plain(head + message)
    check.that(1, reply.message is None or reply.code == 0x7F, reply, "silence, or an SPDM ERROR")


# Ends of trust ------------------------------------------------------------------------------------

def session_ends(how: str, state: TdiState) -> CaseSteps:
    """The session that locked the TDI dies: ERROR, seen by the next session."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        session = yield from bench.session()
        if how == "end":
            yield from session.end()
        elif how == "decrypt":
            session.spdm.seal_raw(bytes(4))  # a record that the device never sees
            yield from _lost_record(bench)
        bench.forget()
        yield from check_state(bench, check, 1, E)
        yield from bench.stop_tdi()
        yield from check_state(bench, check, 2, U)
    return steps


def _lost_record(bench: Bench) -> Steps[None]:
    session = yield from bench.session()
    record = session.spdm.seal_raw(bytes([session.spdm.version, 0xE8, 0, 0]))
    yield from bench.object_ignored(2, record)


def key_stopped(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(R)
    yield from bench.stop_one_key()
    yield from check_state(bench, check, 1, E)


def lock_by_another(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(U)
    yield from bench.keyed_stream()
    other = yield from bench.second_session()
    request = lock_request(bench)
    bench.touch()
    reply = yield from bench.vendor(request.to_payload(), other.spdm)
    payload = reply.payload or b""
    check(1, payload[2:3], b"\x7f")
    check(2, payload[17:21], INVALID_REQUEST.to_bytes(4, "little"))
    yield from check_state(bench, check, 3, U)
    yield from other.end()


def _case(name: str, title: str, steps: CaseSteps, assertions: tuple[str, ...], *,
          clause: str = "11.3", level: Level = Level.MUST, note: str = "",
          needs: tuple[str, ...] = ("doe",)) -> Case:
    return Case(id=f"tdisp.{name}", title=title, clause=f"PCIe Base 6.x {clause}", steps=steps,
                assertions=assertions, level=level, note=note, needs=needs)


_REFUSED: Final = (*REFUSED, _KEPT)
_TWO_ENDS: Final = ("the TDI is in ERROR", "STOP by the next session leads to CONFIG_UNLOCKED")

CASES: Final[tuple[Case, ...]] = (
    _case("nonce.fresh", "every LOCK gives a new nonce", nonce_is_fresh,
          ("four nonces differ", "none is a pattern", "no byte of them is constant")),
    *(_case(f"nonce.bit-{bit}", f"bit {bit} of the nonce flipped", nonce_bit(bit),
            (*_REFUSED, "the right nonce still starts")) for bit in (0, 7, 63, 128, 255)),
    _case("nonce.of-the-last-lock", "the nonce of an earlier LOCK", nonce_of_last_lock, _REFUSED),
    *(_case(f"nonce.all-{fill:02x}", f"a nonce of {fill:02x} bytes", nonce_constant(fill), _REFUSED)
      for fill in (0x00, 0xFF)),
    *(_case(f"report.pieces-{n}", f"the report in pieces of {n} bytes", report_in_pieces(n),
            (*COMMON, "no portion is empty or too long", "the length does not change",
             "the bytes are those of the whole")) for n in (1, 7, 16, 64, 255)),
    _case("report.at-the-end", "OFFSET equal to the size", report_refused(None, 1), _REFUSED),
    _case("report.wrap", "OFFSET + LENGTH that overflows 16 bits, beyond the end",
          report_refused(0xFFFF, 0xFFFF), _REFUSED),
    _case("report.length-0", "LENGTH 0", report_refused(0, 0), _REFUSED, level=Level.SHOULD,
          note="Known from one public responder alone."),
    _case("report.tail", "LENGTH FFFFh at other offsets gives exactly the rest", report_tail,
          (*COMMON, "the portion is the rest of the report")),
    *(_case(f"report.offset-{name}", f"MMIO_REPORTING_OFFSET {name}", report_offset(value),
            ("every first page moves by the offset", "nothing else changes"), clause="11.3.8")
      for name, value in (("4k", 0x1000), ("high", 0xD0000000), ("negative", -0x10000000))),
    _case("report.ranges", "ranges lie in the BAR, ascend and do not overlap", report_ranges,
          ("range ids ascend", "ranges of BAR 0 lie in it", "no two overlap",
           "the first page of the BAR is reported"), needs=("doe", "config"), clause="11.3.11",
          note="That the BAR's first page is listed is what a public guest driver relies on."),
    _case("report.same-in-run", "RUN does not change the report", report_same_in_run,
          ("the bytes are those of CONFIG_LOCKED",)),
    _case("report.msix", "LOCK_MSIX puts table and PBA into the report", report_msix,
          ("a range is the MSI-X table", "a range is the PBA"), clause="11.3.8, 11.3.11"),
    *(_case(f"size.{name.lower().replace('_', '-')}-{'long' if change > 0 else 'short'}",
            f"{name} one byte too {'long' if change > 0 else 'short'}", wrong_size(name, change),
            _REFUSED) for name in _REQUESTS for change in (1, -1)
      if change > 0 or name in _HAS_BODY),
    *(_case(f"version.{name.lower().replace('_', '-')}", f"{name} with TDISPVersion 20h",
            wrong_version(name, 0x20), _REFUSED,
            level=Level.SHOULD if name == "GET_VERSION" else Level.MUST) for name in _REQUESTS),
    *(_case(f"version.{v:02x}", f"GET_DEVICE_INTERFACE_STATE with TDISPVersion {v:02X}h",
            wrong_version("GET_STATE", v), _REFUSED) for v in (0x00, 0x0F, 0x11)),
    *(_case(f"interface.{name.lower().replace('_', '-')}",
            f"{name} for a function that is not here", unknown_interface(name), _REFUSED)
      for name in _REQUESTS),
    *(_case(f"code.{code:02x}", f"MessageType {code:02X}h", unknown_code(code), REFUSED)
      for code in (0x00, 0x01, 0x7F, 0x80, 0x8C, 0xFF)),
    *(_case(f"reserved.{what}", f"reserved bits set: {what}", reserved(what), COMMON, clause=clause,
            note=_IGNORE) for what, clause in (("header", "11.3"), ("interface", "11.3"),
                                               ("lock", "11.3.8"), ("flags", "11.3.8"))),
    _case("lock.other-stream", "LOCK with a Stream ID that is not the default stream's",
          lock_refused(lambda r: replace(r, stream_id=r.stream_id ^ 0xFF), (INVALID_REQUEST,)),
          _REFUSED, clause="11.3.8"),
    *(_case(f"lock.offset-{value:x}", f"LOCK with MMIO_REPORTING_OFFSET {value:#x}",
            lock_refused(partial(replace, mmio_reporting_offset=value),
                         (INVALID_REQUEST, INVALID_DEVICE_CONFIGURATION)), _REFUSED,
            clause="11.3.8", level=Level.SHOULD, note="The code is open: INVALID_REQUEST or"
            " INVALID_DEVICE_CONFIGURATION is accepted.") for value in (1, 0x800)),
    _case("outside-session", "TDISP outside of a session is not answered", outside_session,
          ("no TDISP answer",), clause="11.3, 6.31.3", note="The text wants silence; an SPDM ERROR"
          " gives nothing away and is accepted."),
    *(_case(f"trust.{how}-in-{state.name.lower().replace('config_', '')}",
            f"the locking session dies by {title} in {state.name}", session_ends(how, state),
            _TWO_ENDS, clause="11.2, 11.3") for state in (L, R)
      for how, title in (("end", "END_SESSION"), ("version", "GET_VERSION"),
                         ("decrypt", "a record that does not open"))),
    _case("trust.key-stopped", "K_SET_STOP of one key in RUN", key_stopped,
          ("the TDI is in ERROR",), clause="11.2, 6.33.3"),
    _case("trust.lock-by-another-session", "LOCK by a session that did not set the keys",
          lock_by_another, ("TDISP_ERROR", "INVALID_REQUEST", _KEPT), clause="11.3.8"),
)
