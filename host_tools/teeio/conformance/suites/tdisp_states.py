# SPDX-License-Identifier: Apache-2.0
"""TDISP: every request in every state, from the table of chapter 11 as known in public."""

from __future__ import annotations

from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, SkipCase
from teeio.conformance.suites.tdisp_messages import request_named
from teeio.conformance.suites.tdisp_parts import (
    COMMON,
    INVALID_INTERFACE_STATE,
    INVALID_REQUEST,
    REFUSED,
    STATES,
    UNSUPPORTED_REQUEST,
    ask,
    check_common,
    check_refused,
    check_state,
)
from teeio.core.ops import Steps
from teeio.wire.tdisp import (
    BindP2pStreamRequest,
    GetTdispCapabilities,
    SetMmioAttributeRequest,
    TdispMessage,
    TdiState,
    UnbindP2pStreamRequest,
    VdmRequest,
)
from teeio.wire.tdisp_report import MmioRange

U, L, R, E = TdiState
_CLAUSE: Final = "PCIe Base 6.x 11.2, 11.3"
_OPEN_IN_ERROR: Final = ("The text seen names no code for ERROR; INVALID_INTERFACE_STATE follows"
                         " from the other states.")

# request: (answer code, its size or None, {state: state afterwards}); other states refuse.
_LEGAL: Final[dict[str, tuple[int, int | None, dict[TdiState, TdiState]]]] = {
    "GET_VERSION": (0x01, 18, {s: s for s in STATES}),
    "GET_CAPABILITIES": (0x02, 44, {s: s for s in STATES}),
    "LOCK": (0x03, 48, {U: L}),
    "GET_REPORT": (0x04, None, {L: L, R: R}),
    "GET_STATE": (0x05, 17, {s: s for s in STATES}),
    "START": (0x06, 16, {L: R}),
    "STOP": (0x07, 16, {s: U for s in STATES}),
}
_OPTIONAL: Final[dict[str, int]] = {
    "BIND_P2P_STREAM": 0x88, "UNBIND_P2P_STREAM": 0x89, "SET_MMIO_ATTRIBUTE": 0x8A, "VDM": 0x8B}


def _legal(name: str, state: TdiState) -> CaseSteps:
    code, size, after = _LEGAL[name]

    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        if name == "LOCK":
            yield from bench.keyed_stream()
        request = request_named(bench, name)
        bench.touch()
        answer = yield from ask(bench, request)
        expected = size if size is not None else max(answer.size, 21)
        check_common(check, answer, request.encode(), code, expected)
        yield from check_state(bench, check, 5, after[state])
    return steps


def _illegal(name: str, state: TdiState) -> CaseSteps:
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.tdi_in(state)
        request = request_named(bench, name)
        answer = yield from ask(bench, request)
        check_refused(check, answer, request.encode(), INVALID_INTERFACE_STATE)
        yield from check_state(bench, check, 7, state)
    return steps


def _optional_request(bench: Bench, name: str) -> TdispMessage:
    """A request that RUN must refuse too: default stream, not bound, unknown attribute."""
    interface, stream = bench.interface, bench.profile.stream_id
    match name:
        case "BIND_P2P_STREAM":
            return BindP2pStreamRequest(interface=interface, stream_id=stream)
        case "UNBIND_P2P_STREAM":
            return UnbindP2pStreamRequest(interface=interface, stream_id=stream)
        case "VDM":
            return VdmRequest(interface=interface, registry_id=0, vendor_id=b"\x01\x00", data=b"")
    return SetMmioAttributeRequest(interface=interface, mmio_range=MmioRange(
        first_page=0, pages=1, attributes=1 << 3, range_id=0))


def _optional(name: str, state: TdiState) -> CaseSteps:
    code = _OPTIONAL[name]

    def steps(bench: Bench, check: Checks) -> Steps[None]:
        offer = yield from ask(bench, GetTdispCapabilities(interface=bench.interface))
        is_offered = bool(int.from_bytes(offer.body[4:20], "little") >> (code - 0x80) & 1)
        if is_offered and name == "VDM":
            raise SkipCase("VDM_REQUEST is offered; what it means is the vendor's")
        yield from bench.tdi_in(state)
        request = _optional_request(bench, name)
        answer = yield from ask(bench, request)
        if not is_offered:
            check_refused(check, answer, request.encode(), UNSUPPORTED_REQUEST, code)
        else:
            check_refused(check, answer, request.encode(),
                          INVALID_REQUEST if state is R else INVALID_INTERFACE_STATE)
        yield from check_state(bench, check, 7, state)
    return steps


def _matrix() -> list[Case]:
    cases = []
    for name, (_, _, after) in _LEGAL.items():
        for state in STATES:
            legal = state in after
            cases.append(Case(
                id=f"tdisp.matrix.{name.lower().replace('_', '-')}-in-{_short(state)}",
                title=f"{name} in {state.name} is {'answered' if legal else 'refused'}",
                clause=_CLAUSE, steps=_legal(name, state) if legal else _illegal(name, state),
                assertions=(*COMMON, f"the state is {after[state].name}") if legal
                else (*REFUSED, "the state is kept"),
                note=_OPEN_IN_ERROR if state is E and not legal else ""))
    for name in _OPTIONAL:
        for state in STATES:
            cases.append(Case(
                id=f"tdisp.matrix.{name.lower().replace('_', '-')}-in-{_short(state)}",
                title=f"{name} in {state.name}: refused by state, by its fields, or as not offered",
                clause=_CLAUSE, steps=_optional(name, state),
                assertions=(*REFUSED, "the state is kept"),
                note=_OPEN_IN_ERROR if state is E else ""))
    return cases


def _short(state: TdiState) -> str:
    return state.name.lower().replace("config_", "")


CASES: Final[tuple[Case, ...]] = tuple(_matrix())
