# SPDX-License-Identifier: Apache-2.0
"""IDE and TDISP on the link: TLPs that are changed, lost, replayed or forged on their way.

These cases need a target that carries TLPs and lets the suite stand between host and device. The
IDE prefix is bytes 0 to 3: 92h, PR_Sent_Counter, Stream ID, then [7:4] sub-stream, P, M, K, T; the
header follows. Reads and writes go to the first range of the interface report that is trusted and
has no attribute; a write carries what was read there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, Level, SkipCase
from teeio.conformance.suites.tdisp_messages import whole_report
from teeio.conformance.suites.tdisp_parts import check_state
from teeio.core import ide_km
from teeio.core.ops import (
    PortKey,
    PortSecure,
    Steps,
    cfg_read,
    cfg_write,
    mem_read,
    mem_write,
    wait,
)
from teeio.core.port_steps import CompletionStatus
from teeio.core.secret import Secret
from teeio.errors import TransportError
from teeio.wire.ide_km import KeyDirection, SubStream
from teeio.wire.tdisp import TdiState

U, L, R, E = TdiState
PREFIX: Final = 0x92
MRD: Final = (0x00, 0x20)
MWR: Final = (0x40, 0x60)
IDE_CHECK_FAILED: Final = 1 << 28
AER: Final = 0x0001
SETTLE: Final = 48_000
UR: Final = 1
_NEEDS: Final = ("doe", "config", "mmio", "ide")
Attack = Callable[[bytes], list[bytes]]


class Once:
    """Hands the first `count` trusted TLPs of some kinds to an attack, all others on.

    Attributes:
        hits: how many were taken.
    """

    def __init__(self, kinds: tuple[int, ...], attack: Attack, count: int = 1) -> None:
        self.hits = 0
        self._kinds, self._attack, self._count = kinds, attack, count

    def __call__(self, tlp: bytes) -> list[bytes]:
        """TLPs that are sent in the place of `tlp`."""
        if tlp[0] != PREFIX or tlp[4] not in self._kinds or self.hits == self._count:
            return [tlp]
        self.hits += 1
        return self._attack(tlp)


def flip(at: int, mask: int = 1) -> Attack:
    """One bit of byte `at`, which may count from the end."""
    def attack(tlp: bytes) -> list[bytes]:
        out = bytearray(tlp)
        out[at] ^= mask
        return [bytes(out)]
    return attack


def replay(tlp: bytes) -> list[bytes]:
    """The same TLP twice."""
    return [tlp, tlp]


def drop(tlp: bytes) -> list[bytes]:
    """Nothing."""
    return []


class Reorder:
    """Holds the first TLP back until after the second."""

    def __init__(self) -> None:
        self._held: bytes | None = None

    def __call__(self, tlp: bytes) -> list[bytes]:
        """Nothing first, then both in the other order."""
        if self._held is None:
            self._held = tlp
            return []
        return [tlp, self._held]


def misrouted(tlp: bytes) -> list[bytes]:
    """A copy with a Stream ID that nobody has, then the TLP itself."""
    return [tlp[:2] + bytes([tlp[2] ^ 0x5A]) + tlp[3:], tlp]


def _trusted_page(bench: Bench) -> Steps[int]:
    """Address of the first plain trusted range of BAR 0."""
    report = yield from whole_report(bench)
    count, = struct.unpack_from("<I", report, 12)
    ranges = [struct.unpack_from("<QIHH", report, 16 + 16 * i) for i in range(count)]
    plain: list[int] = [page << 12 for page, _, attributes, bar in ranges
                        if attributes == 0 and bar == 0]
    if not plain:
        raise SkipCase("no range is trusted and without attributes")
    return plain[0]


def _running(bench: Bench) -> Steps[int]:
    """A TDI in RUN, and an address of it; a trusted read works."""
    bench.lose_stream()
    yield from bench.tdi_in(R)
    address = yield from _trusted_page(bench)
    yield from mem_read(address, 4, tee=True)
    return address


def _quiet(steps: Steps[object]) -> Steps[bool]:
    """Performs accesses that may fail: did they succeed?"""
    try:
        yield from steps
    except TransportError:
        return False
    return True


def _read(address: int) -> Steps[object]:
    return (yield from mem_read(address, 4, tee=True))


def _write_back(address: int, value: bytes, times: int) -> Steps[object]:
    for _ in range(times):
        yield from mem_write(address, value, tee=True)
    return (yield from mem_read(address, 4, tee=True))


def attacked(make: Callable[[], Attack], kinds: tuple[int, ...], *, writes: int = 0, count: int = 1
             ) -> CaseSteps:
    """The attack makes the stream Insecure, the TDI goes to ERROR, a new set-up works."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        address = yield from _running(bench)
        value = yield from mem_read(address, 4, tee=True)
        first = bench.functions[0]
        aer = first.ecaps.get(AER)
        tamper = Once(kinds, make(), count)
        with bench.tampering(tamper):
            yield from _quiet(_write_back(address, value, writes) if writes else _read(address))
        check(1, tamper.hits, count)
        for _ in range(20):
            yield from wait(SETTLE)
            if (yield from bench.stream_state()) == 0:
                break
        check(2, (yield from bench.stream_state()), 0)
        yield from check_state(bench, check, 3, E)
        check.that(4, not (yield from _quiet(_read(address))), "answered", "no answer")
        logged = (yield from cfg_read(first.bdf, aer + 4)) if aer is not None else 0
        check.that(5, aer is None or bool(logged & IDE_CHECK_FAILED), f"{logged:#010x}",
                   "bit 28, IDE Check Failed")
        if aer is not None:
            yield from cfg_write(first.bdf, aer + 4, logged)
        yield from _running(bench)
        check.that(6, True, "answered", "a trusted read is answered")
        bench.lose_stream()
    return steps


def misrouted_is_harmless(bench: Bench, check: Checks) -> Steps[None]:
    address = yield from _running(bench)
    tamper = Once(MRD, misrouted)
    with bench.tampering(tamper):
        check.that(1, (yield from _quiet(_read(address))), "no answer", "an answer")
    check(2, (yield from bench.stream_state()), 2)
    yield from check_state(bench, check, 3, R)


def plain_access(bench: Bench, check: Checks) -> Steps[None]:
    address = yield from _running(bench)
    before = yield from mem_read(address, 4, tee=True)
    try:
        seen: object = yield from mem_read(address, 4, tee=False)
        check.that(1, False, seen, "Unsupported Request")
    except CompletionStatus as refused:
        check(1, refused.status, UR)
    yield from _quiet(_plain_write(address, bytes(b ^ 0xFF for b in before)))
    check(2, (yield from mem_read(address, 4, tee=True)), before)
    check(3, (yield from bench.stream_state()), 2)
    yield from check_state(bench, check, 4, R)


def _plain_write(address: int, data: bytes) -> Steps[object]:
    yield from mem_write(address, data, tee=False)
    return None


def trusted_outside_run(state: TdiState) -> CaseSteps:
    """T=1 is rejected where the TDI is not in RUN; the stream stays Secure."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        bench.lose_stream()
        yield from bench.tdi_in(L)
        address = yield from _trusted_page(bench)
        if state is E:
            yield from bench.break_tdi()
        elif state is U:
            yield from bench.stop_tdi()
        try:
            seen: object = yield from mem_read(address, 4, tee=True)
            check.that(1, False, seen, "Unsupported Request")
        except CompletionStatus as refused:
            check(1, refused.status, UR)
        check(2, (yield from bench.stream_state()), 2)
        yield from check_state(bench, check, 3, state)
    return steps


def refresh_under_traffic(bench: Bench, check: Checks) -> Steps[None]:
    """Both ends change the key set while trusted reads and writes go on.

    Once only: a second refresh needs traffic of the device itself, since a sub-stream that sent
    nothing has not left the old set.
    """
    address = yield from _running(bench)
    value = yield from mem_read(address, 4, tee=True)
    yield from _refresh(bench, check, 1, address)
    check.that(1, (yield from _quiet(_write_back(address, value, 1))), "no answer", "an answer")
    check(2, (yield from bench.stream_state()), 2)
    check(3, (yield PortSecure(bench.profile.stream_id)), 1)
    yield from check_state(bench, check, 4, R)
    bench.lose_stream()


def _refresh(bench: Bench, check: Checks, key_set: int, address: int) -> Steps[None]:
    p, session = bench.profile, (yield from bench.session())
    keys = {(d, s): Secret(bench.rng(32)) for d in KeyDirection for s in SubStream}
    yield from ide_km.program_stream(session, p.stream_id, key_set, keys, port_index=p.port_index)
    for direction in (KeyDirection.RX, KeyDirection.TX):
        is_tx = direction is KeyDirection.TX
        # Receivers first, on both ports: the port's Rx key is the device's Tx key.
        for sub in SubStream:
            device = KeyDirection.RX if is_tx else KeyDirection.TX
            key = keys[device, sub].reveal()
            if not is_tx:
                yield PortKey(p.stream_id, False, int(sub), key_set, key, True)
        yield from ide_km.go_direction(session, p.stream_id, key_set, direction,
                                       port_index=p.port_index)
        for sub in SubStream:
            if is_tx:
                yield PortKey(p.stream_id, True, int(sub), key_set,
                              keys[KeyDirection.RX, sub].reveal(), True)
        check.that(1, (yield from _quiet(_read(address))), "no answer", "an answer")


def _case(name: str, title: str, steps: CaseSteps, assertions: tuple[str, ...], clause: str, *,
          level: Level = Level.MUST, note: str = "") -> Case:
    return Case(id=f"link.{name}", title=title, clause=f"PCIe Base 6.x {clause}", steps=steps,
                assertions=assertions, needs=_NEEDS, level=level, note=note)


_ENDS: Final = ("the attack met a TLP", "the stream is Insecure", "the TDI is in ERROR",
                "nothing trusted is answered", "AER, if there is one, has IDE Check Failed",
                "after a new set-up trusted reads are answered")
_ATTACKS: Final[tuple[tuple[str, str, Callable[[], Attack], tuple[int, ...], int, int], ...]] = (
    ("mac-read", "one bit of the MAC of a read", lambda: flip(-1, 0x80), MRD, 0, 1),
    ("mac-write", "one bit of the MAC of a write", lambda: flip(-12), MWR, 1, 1),
    ("payload", "one bit of the payload of a write", lambda: flip(20), MWR, 1, 1),
    ("address", "one bit of the address of a read", lambda: flip(19, 8), MRD, 0, 1),
    ("tag", "one bit of the tag of a read", lambda: flip(10), MRD, 0, 1),
    ("t-bit", "T of a read is cleared", lambda: flip(3, 0x01), MRD, 0, 1),
    ("k-bit", "K of a read is toggled", lambda: flip(3, 0x02), MRD, 0, 1),
    ("sub-stream", "a read goes as a posted TLP's sub-stream", lambda: flip(3, 0x10), MRD, 0, 1),
    ("sub-stream-reserved", "a reserved sub-stream", lambda: flip(3, 0x60), MRD, 0, 1),
    ("pr-counter", "PR_Sent_Counter of a read", lambda: flip(1, 0x01), MRD, 0, 1),
    ("replay-read", "a read twice", lambda: replay, MRD, 0, 1),
    ("replay-write", "a write twice", lambda: replay, MWR, 1, 1),
    ("drop-write", "a write is lost", lambda: drop, MWR, 1, 1),
    ("reorder", "two writes change places", Reorder, MWR, 2, 2),
)

CASES: Final[tuple[Case, ...]] = (
    *(_case(f"attack.{name}", title, attacked(make, kinds, writes=writes, count=count), _ENDS,
            "6.33.5, 11.2") for name, title, make, kinds, writes, count in _ATTACKS),
    _case("misrouted", "a TLP of a Stream ID that nobody has is dropped", misrouted_is_harmless,
          ("the real TLP is answered", "the stream stays Secure", "the TDI stays in RUN"),
          "6.33.5"),
    _case("plain-access", "plain TLPs to a trusted page in RUN", plain_access,
          ("a read gets UR", "a write changes nothing", "the stream stays Secure",
           "the TDI stays in RUN"), "11.2"),
    *(_case(f"trusted-in-{state.name.lower().replace('config_', '')}",
            f"a trusted read in {state.name}", trusted_outside_run(state),
            ("it gets UR", "the stream stays Secure", "the state is kept"), "11.2")
      for state in (U, L, E)),
    _case("refresh", "key refresh under traffic", refresh_under_traffic,
          ("reads and writes are answered throughout", "Secure at the device",
           "Secure at the port", "the TDI stays in RUN"), "6.33.3"),
)
