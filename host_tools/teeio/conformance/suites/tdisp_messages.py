# SPDX-License-Identifier: Apache-2.0
"""TDISP: the 22 cases of the public device validator, in own words."""

from __future__ import annotations

import struct
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks
from teeio.conformance.suites.tdisp_parts import (
    COMMON,
    INVALID_INTERFACE_STATE,
    INVALID_NONCE,
    INVALID_REQUEST,
    REFUSED,
    ask,
    check_common,
    check_refused,
    check_state,
    lock_request,
)
from teeio.core.ops import Steps
from teeio.errors import PeerError
from teeio.wire.tdisp import (
    GetDeviceInterfaceReport,
    GetDeviceInterfaceState,
    GetTdispCapabilities,
    GetTdispVersion,
    StartInterfaceRequest,
    StopInterfaceRequest,
    TdispMessage,
    TdiState,
)

_11_3: Final = "PCIe Base 6.x 11.3"
U, L, R, E = TdiState
_PORTION: Final = ("the portion is not empty and not longer than asked for",
                   "portions and remainders add up to one length")


def version(bench: Bench, check: Checks) -> Steps[None]:
    request = GetTdispVersion(interface=bench.interface)
    answer = yield from ask(bench, request)
    check_common(check, answer, request.encode(), 0x01, 18)
    check(5, answer.body[:1], b"\x01")
    check(6, answer.body[1:], b"\x10")


def capabilities(bench: Bench, check: Checks) -> Steps[None]:
    request = GetTdispCapabilities(interface=bench.interface)
    answer = yield from ask(bench, request)
    if not check_common(check, answer, request.encode(), 0x02, 44):
        return
    dsm, = struct.unpack_from("<I", answer.body)
    requests = int.from_bytes(answer.body[4:20], "little")
    flags, = struct.unpack_from("<H", answer.body, 20)
    width, this, every = answer.body[25:28]
    check(5, dsm, 0)
    optional = 0 if bench.profile.is_validator else 0x0F00
    check.that(6, requests & ~optional == 0xFE, f"{requests:#x}",
               "FEh" + ("" if not optional else ", bits 8 to 11 as supported"))
    check(7, flags & 0xFFE0, 0)
    check.that(8, width >= 52, width, "52 or more")
    check.that(9, this > 0, this, "not 0")
    check.that(10, every > 0, every, "not 0")


def lock(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(U)
    yield from bench.keyed_stream()
    request = lock_request(bench)
    bench.touch()
    answer = yield from ask(bench, request)
    check_common(check, answer, request.encode(), 0x03, 48)
    yield from check_state(bench, check, 5, L)


def lock_without_keys(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.idle_stream()
    request = lock_request(bench)
    bench.touch()
    check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_REQUEST)
    yield from check_state(bench, check, 7, U)


def refused_in(state: TdiState, make: str, error: int) -> CaseSteps:
    """A request in a state in which it is illegal; the state stays."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        request = request_named(bench, make)
        check_refused(check, (yield from ask(bench, request)), request.encode(), error)
        yield from check_state(bench, check, 7, state)
    return steps


def request_named(bench: Bench, name: str) -> TdispMessage:
    """A well-formed request for the TDI under test; START with the nonce if there is one."""
    interface = bench.interface
    match name:
        case "LOCK":
            return lock_request(bench)
        case "GET_REPORT":
            return GetDeviceInterfaceReport(interface=interface, offset=0, length=0x400)
        case "START":
            return StartInterfaceRequest(interface=interface, nonce=bench.nonce or bytes(32))
        case "STOP":
            return StopInterfaceRequest(interface=interface)
        case "GET_STATE":
            return GetDeviceInterfaceState(interface=interface)
        case "GET_VERSION":
            return GetTdispVersion(interface=interface)
    return GetTdispCapabilities(interface=interface)


def report_in(state: TdiState) -> CaseSteps:
    """The report in portions of at most 400h bytes, to its end."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        yield from read_report(bench, check, 0x400)
    return steps


def read_report(bench: Bench, check: Checks, length: int) -> Steps[bytes]:
    """Reads to the end; assertions 1 to 6. Empty if a portion was wrong."""
    report, total = b"", None
    while total is None or len(report) < total:
        request = GetDeviceInterfaceReport(interface=bench.interface, offset=len(report),
                                           length=length)
        answer = yield from ask(bench, request)
        if not check_common(check, answer, request.encode(), 0x04, None) or len(answer.body) < 4:
            check.that(1, False, answer.size, "20 or more")
            return b""
        portion, rest = struct.unpack_from("<HH", answer.body)
        good = check(1, answer.size, 20 + portion)
        good = check.that(5, 0 < portion <= length, portion, f"1 to {length}") and good
        report += answer.body[4:]
        total = total if total is not None else len(report) + rest
        if not check.that(6, good and len(report) + rest == total, rest, total - len(report)):
            return b""
    return report


def whole_report(bench: Bench, length: int = 0xFFFF) -> Steps[bytes]:
    """The report, for cases about something else.

    Raises:
        PeerError: it cannot be read to its end.
    """
    inner = Checks((*COMMON, *_PORTION))
    report = yield from read_report(bench, inner, length)
    if inner.problem or len(report) < 20:
        raise PeerError(f"the report cannot be read: {inner.problem or 'below 20 bytes'}",
                        clause=_11_3)
    return report


def report_beyond(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    request = GetDeviceInterfaceReport(interface=bench.interface, offset=0xFFFF, length=1)
    check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_REQUEST)
    yield from check_state(bench, check, 7, L)


def report_structure(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    report = yield from whole_report(bench, 0x400)
    info, _, _, _, _, count = struct.unpack_from("<HHHHII", report)
    end = 16 + 16 * count
    extra = struct.unpack_from("<I", report, end)[0] if len(report) >= end + 4 else -1
    check(1, len(report), end + 4 + extra)
    check(2, info & 0xFFE0, 0)
    attributes = [struct.unpack_from("<H", report, 16 + 16 * i + 12)[0]
                  for i in range(count) if len(report) >= 32 + 16 * i]
    check(3, [a & 0xFFF0 for a in attributes], [0] * count)


def state_is(state: TdiState) -> CaseSteps:
    """GET_DEVICE_INTERFACE_STATE in a state."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        yield from _state_answer(bench, check, state)
    return steps


def state_after_stop(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(R)
    yield from bench.stop_tdi()
    yield from _state_answer(bench, check, U)


def _state_answer(bench: Bench, check: Checks, state: TdiState) -> Steps[None]:
    request = GetDeviceInterfaceState(interface=bench.interface)
    answer = yield from ask(bench, request)
    check_common(check, answer, request.encode(), 0x05, 17)
    check(5, answer.body[:1], bytes([state]))


def start(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    request = request_named(bench, "START")
    answer = yield from ask(bench, request)
    check_common(check, answer, request.encode(), 0x06, 16)
    yield from check_state(bench, check, 5, R)


def start_wrong_nonce(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(L)
    request = StartInterfaceRequest(interface=bench.interface,
                                    nonce=bytes(b ^ 0xFF for b in bench.nonce))
    check_refused(check, (yield from ask(bench, request)), request.encode(), INVALID_NONCE)
    yield from check_state(bench, check, 7, L)


def stop_in(state: TdiState) -> CaseSteps:
    """STOP succeeds in every state."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        request = StopInterfaceRequest(interface=bench.interface)
        answer = yield from ask(bench, request)
        check_common(check, answer, request.encode(), 0x07, 16)
        yield from check_state(bench, check, 5, U)
    return steps


def _case(number: str, name: str, title: str, steps: CaseSteps, *more: str,
          refused: bool = False, base: tuple[str, ...] | None = None, note: str = "") -> Case:
    before = base if base is not None else (REFUSED if refused else COMMON)
    return Case(id=f"tdisp.{name}", title=title, clause=_11_3, steps=steps, note=note,
                assertions=(*before, *more), aliases=(f"Tdisp.{number}",))


_KEPT: Final = "the state is kept"
_STATE_OK: Final = INVALID_INTERFACE_STATE

CASES: Final[tuple[Case, ...]] = (
    _case("1.1", "version", "TDISP_VERSION names 1.0 alone", version, "VERSION_NUM_COUNT is 1",
          "the entry is 10h"),
    _case("2.1", "capabilities", "TDISP_CAPABILITIES", capabilities, "DSM_CAPS is 0",
          "REQ_MSGS_SUPPORTED has the seven mandatory requests",
          "reserved bits of LOCK_INTERFACE_FLAGS_SUPPORTED are 0", "DEV_ADDR_WIDTH is 52 or more",
          "NUM_REQ_THIS is not 0", "NUM_REQ_ALL is not 0",
          note="The validator's document wants 7Fh, its code FEh and no other bit. Bit = code -"
          " 80h is settled, so FEh; bits 8 to 11 are legal and accepted, unless the profile is"
          " that of the validator."),
    _case("3.1", "lock", "LOCK_INTERFACE moves to CONFIG_LOCKED", lock, "the state is LOCKED"),
    _case("3.2", "lock-without-keys", "LOCK_INTERFACE with no keys in the default stream",
          lock_without_keys, _KEPT, refused=True),
    _case("3.3", "lock-in-locked", "LOCK_INTERFACE in CONFIG_LOCKED",
          refused_in(L, "LOCK", _STATE_OK), _KEPT, refused=True),
    _case("3.4", "lock-in-run", "LOCK_INTERFACE in RUN", refused_in(R, "LOCK", _STATE_OK), _KEPT,
          refused=True),
    _case("4.1", "report-in-locked", "report in CONFIG_LOCKED", report_in(L), *_PORTION),
    _case("4.2", "report-in-run", "report in RUN", report_in(R), *_PORTION),
    _case("4.3", "report-beyond-the-end", "report at OFFSET FFFFh, LENGTH 1", report_beyond,
          _KEPT, refused=True),
    _case("4.4", "report-in-unlocked", "report in CONFIG_UNLOCKED",
          refused_in(U, "GET_REPORT", _STATE_OK), _KEPT, refused=True),
    _case("4.5", "report-structure", "the report parses to its last byte", report_structure,
          base=("the length is that of the parse", "reserved bits of INTERFACE_INFO are 0",
                "reserved bits of every range's attributes are 0")),
    *(_case(f"5.{i}", f"state-in-{state.name.lower().replace('config_', '')}",
            f"state in {state.name}", state_is(state), "TDI_STATE")
      for i, state in enumerate((U, L, R), 1)),
    _case("5.4", "state-after-stop", "state after STOP from RUN", state_after_stop, "TDI_STATE"),
    _case("6.1", "start", "START_INTERFACE moves to RUN", start, "the state is RUN"),
    _case("6.2", "start-wrong-nonce", "START_INTERFACE with every bit of the nonce inverted",
          start_wrong_nonce, _KEPT, refused=True),
    _case("6.3", "start-in-unlocked", "START_INTERFACE in CONFIG_UNLOCKED",
          refused_in(U, "START", _STATE_OK), _KEPT, refused=True),
    _case("6.4", "start-in-run", "START_INTERFACE in RUN", refused_in(R, "START", _STATE_OK),
          _KEPT, refused=True),
    _case("7.1", "stop-in-run", "STOP_INTERFACE in RUN", stop_in(R), "the state is UNLOCKED"),
    _case("7.2", "stop-in-locked", "STOP_INTERFACE in CONFIG_LOCKED", stop_in(L),
          "the state is UNLOCKED"),
    _case("7.3", "stop-in-unlocked", "STOP_INTERFACE in CONFIG_UNLOCKED", stop_in(U),
          "the state is UNLOCKED", note="Three public responders refuse this; the validator and"
          " the text want success."),
)
