# SPDX-License-Identifier: Apache-2.0
"""IDE_KM: the 18 cases of the public device validator and some more, in own words.

Layouts are typed from the public record: QUERY 4 bytes, KEY_PROG 48, the others 8, counted from the
protocol byte; KeyInfo is [0] key set, [1] Rx/Tx, [7:4] sub-stream.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

from teeio.conformance.bench import Bench, Reply
from teeio.conformance.model import Case, CaseSteps, Checks, SkipCase
from teeio.core.ops import Steps, cfg_read, wait
from teeio.core.spdm_session import SpdmSession
from teeio.wire.ide_km import KeyInfo, KeyProg, KSetGo, KSetStop, Query

_CLAUSE: Final = "PCIe Base 6.x 6.33.3"
KEY_BYTES: Final = 32
KP_ACK: Final = 0x03
GOSTOP_ACK: Final = 0x06
SECURE: Final = 2
TEN_MS: Final = 480_000
RX: Final = tuple(0x00 | sub << 4 for sub in range(3))
TX: Final = tuple(0x02 | sub << 4 for sub in range(3))
ALL: Final = (*RX, *TX)
"""KeyInfo of key set 0: Rx PR, NPR, CPL, then Tx."""
ACK: Final = ("the size is exact", "the Object ID is that of the answer", "StreamID is echoed",
              "KeyInfo is echoed", "PortIndex is echoed")
KP: Final = (*ACK, "Status")


def key_prog(bench: Bench, info: int, *, stream: int | None = None, port: int | None = None,
             ifv: int = 1) -> bytes:
    """A KEY_PROG with a random key."""
    return KeyProg(stream_id=bench.profile.stream_id if stream is None else stream,
                   key_info=KeyInfo.from_byte(info), ifv=ifv, key=bench.rng(KEY_BYTES),
                   port_index=bench.profile.port_index if port is None else port).encode()


def check_ack(check: Checks, reply: Reply, request: bytes, object_id: int,
              status: int | None = None) -> None:
    """Assertions 1 to 5 and, with `status`, 6: KP_ACK or K_GOSTOP_ACK."""
    answer = reply.payload or b""
    seen = answer[1:2].hex() if answer[:1] == b"\0" else str(reply)
    check(2, seen, f"{object_id:02x}")
    check(1, len(answer), 8)
    check(3, answer[4:5], request[4:5])
    check(4, answer[6:7], request[6:7])
    check(5, answer[7:8], request[7:8])
    if status is not None:
        check(6, answer[5] if len(answer) == 8 else None, status)


def max_port(bench: Bench) -> Steps[int]:
    """MaxPortIndex of QUERY_RESP for port 0.

    Raises:
        SkipCase: there is no QUERY_RESP.
    """
    reply = yield from bench.vendor(Query(port_index=0).encode())
    answer = reply.payload or b""
    if len(answer) < 8 or answer[1] != 0x01:
        raise SkipCase(f"QUERY is not answered: {reply}")
    return answer[7]


# QUERY --------------------------------------------------------------------------------------------

def _query(bench: Bench, check: Checks, port: int, spdm: SpdmSession | None = None
           ) -> Steps[bytes]:
    reply = yield from bench.vendor(Query(port_index=port).encode(), spdm)
    answer = reply.payload or b""
    check(2, answer[1:2].hex() if answer[:1] == b"\0" else str(reply), "01")
    check.that(1, len(answer) >= 16 and len(answer) % 4 == 0, len(answer), "8 + 4 n, n >= 2")
    check(3, answer[3:4], bytes([port]))
    check.that(4, len(answer) > 7 and answer[7] >= port, answer[7:8].hex(), f"{port} or more")
    return answer


def query(bench: Bench, check: Checks) -> Steps[None]:
    yield from _query(bench, check, 0)


def query_ports(bench: Bench, check: Checks) -> Steps[None]:
    last = yield from max_port(bench)
    if last == 0:
        raise SkipCase("MaxPortIndex is 0")
    for port in range(1, last + 1):
        yield from _query(bench, check, port)


def query_registers(bench: Bench, check: Checks) -> Steps[None]:
    answer = yield from _query(bench, Checks(("",) * 4), 0)
    first = bench.functions[0]
    base = first.ecaps[0x0030]
    check(1, answer[5] << 8 | answer[4] if len(answer) > 5 else None, first.bdf)
    words = struct.unpack(f"<{(len(answer) - 8) // 4}I", answer[8:8 + (len(answer) - 8) // 4 * 4])
    for at, word in enumerate(words[:2]):
        check(2, word, (yield from cfg_read(first.bdf, base + 4 + 4 * at)))
    check.that(3, bool(words) and bool(words[0] & 1 << 6), f"{words[:1]}", "IDE_KM Supported")


# KEY_PROG -----------------------------------------------------------------------------------------

def prog_all(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.idle_stream()
    for key_set in (0, 1):
        for info in ALL:
            request = key_prog(bench, info | key_set)
            check_ack(check, (yield from bench.vendor(request)), request, KP_ACK, 0)


def prog_cut(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.idle_stream()
    for cut in range(4, 28, 4):
        request = key_prog(bench, 0x12)[:-cut]
        check_ack(check, (yield from bench.vendor(request)), request, KP_ACK, 1)


def prog_long(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.idle_stream()
    request = key_prog(bench, 0x12) + bytes(4)
    check_ack(check, (yield from bench.vendor(request)), request, KP_ACK, 1)


def prog_port(bench: Bench, check: Checks) -> Steps[None]:
    last = yield from max_port(bench)
    if last == 0xFF:
        raise SkipCase("MaxPortIndex is FFh: every port exists")
    yield from bench.idle_stream()
    for port in range(last + 1, min(last + 7, 256)):
        request = key_prog(bench, 0x00, port=port)
        check_ack(check, (yield from bench.vendor(request)), request, KP_ACK, 2)


def prog_field(requests: Callable[[Bench], Iterable[bytes]]) -> CaseSteps:
    """KEY_PROGs with an unsupported value: status 3, and the stream takes keys afterwards."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.idle_stream()
        for request in requests(bench):
            check_ack(check, (yield from bench.vendor(request)), request, KP_ACK, 3)
    return steps


def prog_in_use(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.keyed_stream()
    request = key_prog(bench, 0x00)
    check_ack(check, (yield from bench.vendor(request)), request, KP_ACK)
    check(6, (yield from bench.stream_state()), SECURE)
    bench.lose_stream()


# K_SET_GO and K_SET_STOP --------------------------------------------------------------------------

def _program(bench: Bench, key_set: int) -> Steps[None]:
    for info in ALL:
        yield from bench.vendor(key_prog(bench, info | key_set))


def _each(bench: Bench, check: Checks, kind: type[KSetGo] | type[KSetStop], key_set: int
          ) -> Steps[None]:
    for info in ALL:
        request = kind(stream_id=bench.profile.stream_id,
                       key_info=KeyInfo.from_byte(info | key_set),
                       port_index=bench.profile.port_index).encode()
        check_ack(check, (yield from bench.vendor(request)), request, GOSTOP_ACK)


def go(key_set: int) -> CaseSteps:
    """GO for six keys that were programmed; with registers, Secure with the last and not before."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.idle_stream()
        yield from _program(bench, key_set)
        yield from _each(bench, check, KSetGo, key_set)
    return steps


def go_is_secure(key_set: int) -> CaseSteps:
    """The State field before the first GO, and after the last with Enable."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.idle_stream()
        yield from bench.enable_stream()
        yield from _program(bench, key_set)
        check.that(1, (yield from bench.stream_state()) != SECURE, "Secure", "not Secure")
        yield from _each(bench, Checks(ACK), KSetGo, key_set)
        yield from wait(TEN_MS)
        check(2, (yield from bench.stream_state()), SECURE)
    return steps


def go_without_last(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.idle_stream()
    yield from bench.enable_stream()
    for info in ALL[:-1]:
        yield from bench.vendor(key_prog(bench, info))
    yield from _each(bench, Checks(ACK), KSetGo, 0)
    yield from wait(TEN_MS)
    check.that(1, (yield from bench.stream_state()) != SECURE, "Secure", "not Secure")


def _switch(bench: Bench, check: Checks, start: int) -> Steps[None]:
    """Brings the stream up with one set and moves it to the other."""
    yield from bench.idle_stream()
    yield from _program(bench, start)
    yield from _each(bench, Checks(ACK), KSetGo, start)
    if bench.functions:
        yield from bench.enable_stream()
    yield from _program(bench, 1 - start)
    yield from _each(bench, check, KSetGo, 1 - start)


def go_switch(start: int) -> CaseSteps:
    """Key refresh from one set to the other."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from _switch(bench, check, start)
    return steps


def switch_is_secure(start: int) -> CaseSteps:
    """State stays Secure over a refresh."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from _switch(bench, Checks(ACK), start)
        yield from wait(TEN_MS)
        check(1, (yield from bench.stream_state()), SECURE)
    return steps


def stop(key_set: int, *, after_switch: bool) -> CaseSteps:
    """STOP for the six keys of a set that runs."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        if after_switch:
            yield from _switch(bench, Checks(ACK), 1 - key_set)
        else:
            yield from bench.idle_stream()
            yield from _program(bench, key_set)
            yield from _each(bench, Checks(ACK), KSetGo, key_set)
        yield from _each(bench, check, KSetStop, key_set)
    return steps


def stop_is_insecure(info: int) -> CaseSteps:
    """One stopped key makes the stream Insecure within 10 ms."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        yield from bench.keyed_stream()
        bench.lose_stream()
        check(1, (yield from bench.stream_state()), SECURE)
        request = KSetStop(stream_id=bench.profile.stream_id, key_info=KeyInfo.from_byte(info),
                           port_index=bench.profile.port_index)
        yield from bench.vendor(request.encode())
        yield from wait(TEN_MS)
        check.that(2, (yield from bench.stream_state()) != SECURE, "Secure", "not Secure")
    return steps


# Sessions and framing -----------------------------------------------------------------------------

def second_session(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.keyed_stream()
    other = yield from bench.second_session()
    for number, message in ((1, Query(port_index=0).encode()), (2, key_prog(bench, 0x00))):
        reply = yield from bench.vendor(message, other.spdm)
        check.that(number, reply.message is None or reply.error is not None, reply,
                   "no answer, or an SPDM ERROR")
    yield from other.end()
    reply = yield from bench.vendor(Query(port_index=0).encode())
    check(3, (reply.payload or b"")[:2], b"\0\1")


def session_after_session(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.keyed_stream()
    other = yield from bench.second_session()
    session = yield from bench.session()
    yield from session.end()
    answer = yield from _query(bench, check, 0, other.spdm)
    request = key_prog(bench, 0x00)
    reply = yield from bench.vendor(request, other.spdm)
    check(5, (reply.payload or b"")[:2], b"\0\3")
    check(6, (reply.payload or bytes(8))[5], 0)
    if bench.functions and len(answer) > 5:
        check(7, answer[5] << 8 | answer[4], bench.functions[0].bdf)
    else:
        check(7, 0, 0)
    yield from other.end()


def bad_object(change: Callable[[bytes], bytes]) -> CaseSteps:
    """Neither an acknowledgement nor a dead session: an SPDM ERROR, then QUERY again."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        reply = yield from bench.vendor(change(Query(port_index=0).encode()))
        check.that(1, reply.error in (0x01, 0x07), reply, "ERROR InvalidRequest or"
                   " UnsupportedRequest")
        reply = yield from bench.vendor(Query(port_index=0).encode())
        check(2, (reply.payload or b"")[:2], b"\0\1")
    return steps


def _case(name: str, title: str, steps: CaseSteps, assertions: tuple[str, ...], alias: str = "", *,
          needs: tuple[str, ...] = ("doe",), note: str = "") -> Case:
    return Case(id=f"ide_km.{name}", title=title, clause=_CLAUSE, steps=steps, note=note,
                assertions=assertions, needs=needs, aliases=(f"IdeKm.{alias}",) if alias else ())


def _streams(bench: Bench) -> list[bytes]:
    base = bench.profile.stream_id
    return [key_prog(bench, 0x00, stream=(base + n) % 256) for n in (1, 2, 0x40)]


_QUERY: Final = ("8 bytes and whole DWs", "the Object ID is QUERY_RESP", "PortIndex is echoed",
                 "MaxPortIndex is not below PortIndex")
_CONFIG: Final = ("doe", "config")
_LAYOUT: Final = "the DWs of the IDE capability follow"

CASES: Final[tuple[Case, ...]] = (
    _case("query", "QUERY of port 0", query, _QUERY, "Query.1.1", note=_LAYOUT),
    _case("query-every-port", "QUERY of each further port", query_ports, _QUERY, "Query.1.2"),
    _case("query-registers", "QUERY_RESP names the function and its IDE registers",
          query_registers, ("Bus and DevFunc", "capability and control register",
                            "IDE_KM Supported"), needs=_CONFIG),
    _case("key-prog", "KEY_PROG of all twelve keys", prog_all, KP, "KeyProg.2.1"),
    _case("key-prog-short", "KEY_PROG with a cut key: status 1", prog_cut, KP, "KeyProg.2.2",
          note="The tool's document cuts 8 bytes and more, its code 4 to 24: both are sent."),
    _case("key-prog-long", "KEY_PROG one DW too long: status 1", prog_long, KP),
    _case("key-prog-port", "KEY_PROG of a port that is not there: status 2", prog_port, KP,
          "KeyProg.2.3"),
    _case("key-prog-sub-stream", "KEY_PROG of sub-streams 3 to 15: status 3",
          prog_field(lambda b: [key_prog(b, sub << 4) for sub in range(3, 16) if sub != 8]), KP,
          "KeyProg.2.4", note="8 is that of CXL and left out."),
    _case("key-prog-ifv", "KEY_PROG with an IFV other than 1: status 3",
          prog_field(lambda b: [key_prog(b, 0, ifv=ifv) for ifv in (0, 2, 3, 4, 0xFF, 1 << 32)]),
          KP, "KeyProg.2.5"),
    _case("key-prog-stream", "KEY_PROG of a Stream ID that is not configured: status 3",
          prog_field(_streams), KP, "KeyProg.2.6"),
    *(_case(f"go-k{k}", f"K_SET_GO of set {k}", go(k), ACK, f"KSetGo.3.{k + 1}") for k in (0, 1)),
    *(_case(f"go-k{k}-to-k{1 - k}", f"K_SET_GO moves from set {k} to set {1 - k}", go_switch(k),
            ACK, f"KSetGo.3.{3 + k}") for k in (0, 1)),
    *(_case(f"stop-k{k}", f"K_SET_STOP of set {k}", stop(k, after_switch=False), ACK,
            f"KSetStop.4.{k + 1}") for k in (0, 1)),
    *(_case(f"stop-k{k}-after-switch", f"K_SET_STOP of set {k} after a switch to it",
            stop(k, after_switch=True), ACK, f"KSetStop.4.{4 - k}") for k in (1, 0)),
    _case("second-session", "IDE_KM in a second session while the first lives", second_session,
          ("QUERY has no answer", "KEY_PROG has no answer", "the first session goes on"),
          "SpdmSession.5.1", note="The tool's document wants silence, a host guide a refusal; an"
          " SPDM ERROR is accepted."),
    _case("next-session", "IDE_KM in a second session after the first has ended",
          session_after_session, (*_QUERY, "KP_ACK", "its status is 0", "the function is ours"),
          "SpdmSession.5.2"),
    *(_case(f"secure-k{k}", f"the stream is Secure with the six keys of set {k} and Enable",
            go_is_secure(k), ("not Secure before GO", "Secure after the last"), needs=_CONFIG)
      for k in (0, 1)),
    _case("one-key-missing", "five of six keys leave the stream Insecure", go_without_last,
          ("not Secure",), needs=_CONFIG),
    *(_case(f"refresh-from-k{k}", f"the stream stays Secure over a refresh from set {k}",
            switch_is_secure(k), ("Secure",), needs=_CONFIG) for k in (0, 1)),
    *(_case(f"stop-one-{info:02x}", f"K_SET_STOP of KeyInfo {info:02X}h alone",
            stop_is_insecure(info), ("Secure before", "not Secure after 10 ms"), needs=_CONFIG)
      for info in ALL),
    _case("key-in-use", "KEY_PROG of a key in use does not end the stream", prog_in_use,
          (*KP[:5], "the stream stays Secure"), needs=_CONFIG,
          note="Whether KP_ACK is a success is open; what matters is that traffic goes on."),
    _case("object-unknown", "an unknown Object ID", bad_object(lambda m: m[:1] + b"\x7e" + m[2:]),
          ("an SPDM ERROR", "QUERY works afterwards"),
          note="InvalidRequest in two public responders, UnsupportedRequest in a third."),
    _case("query-long", "QUERY one DW too long", bad_object(lambda m: m + bytes(4)),
          ("an SPDM ERROR", "QUERY works afterwards")),
    _case("query-short", "QUERY without PortIndex", bad_object(lambda m: m[:3]),
          ("an SPDM ERROR", "QUERY works afterwards")),
    _case("protocol-unknown", "a protocol byte that is neither IDE_KM nor TDISP",
          bad_object(lambda m: b"\x02" + m[1:]), ("an SPDM ERROR", "QUERY works afterwards")),
)
