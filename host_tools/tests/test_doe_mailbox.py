# SPDX-License-Identifier: Apache-2.0
"""The mailbox generator against a model of the register rules (PCIe Base 6.x, 6.30.2)."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from teeio.core import tdisp
from teeio.core.certificates import ChainPolicy
from teeio.core.doe_mailbox import DoeMailbox, over_mailbox
from teeio.core.drive import run
from teeio.core.ops import Batch, CfgRead, CfgWrite, DoeExchange, Op, OpResult, Steps, WaitCycles
from teeio.core.spdm_flow import connect_session
from teeio.core.spdm_requester import RequesterConfig
from teeio.errors import LocalError, PeerError, TransportError
from teeio.wire.doe import DoeObject
from teeio.wire.tdisp import InterfaceId, TdiState
from tests import pki
from tests.responder import Responder

BUSY, ERROR, READY = 1, 4, 1 << 31
BDF, BASE = 0x0100, 0x160


def echo(request: bytes) -> bytes | None:
    return request


@dataclass
class Model:
    """A mailbox: registers, buffers, and time that only WaitCycles moves.

    `device(object)` gives the answer, or None for silence. The fields below it are faults.
    """

    device: Callable[[bytes], bytes | None] = echo
    latency: int = 1000
    busy_at_start: bool = False
    error_on_go: bool = False
    abort_takes: int = 0
    drop_ready_on_read: bool = False
    keep_ready: bool = False
    gone: bool = False

    time: int = 0
    incoming: list[int] = field(default_factory=list)
    outgoing: list[int] = field(default_factory=list)
    due: int | None = None
    pending: bytes | None = None
    error: bool = False
    aborting_until: int = -1
    ops: list[Op] = field(default_factory=list)
    aborts: int = 0
    goes: int = 0
    last_control: int = 0

    def status(self) -> int:
        if self.due is not None and self.time >= self.due:
            answer, self.due, self.pending = self.pending, None, None
            assert answer is not None
            self.outgoing = [word[0] for word in struct.iter_unpack("<I", answer)]
        value = 0
        if self.busy_at_start or self.time < self.aborting_until:
            value |= BUSY
        if self.error:
            value |= ERROR
        if self.outgoing or self.keep_ready:
            value |= READY
        return value

    def abort(self) -> None:
        self.aborts += 1
        self.incoming, self.outgoing, self.due, self.pending = [], [], None, None
        self.error = self.busy_at_start = self.keep_ready = False
        self.aborting_until = self.time + self.abort_takes

    def go(self) -> None:
        self.goes += 1
        words, self.incoming = self.incoming, []
        if self.error_on_go:
            self.error = True
            return
        if len(words) < 2 or words[1] & 0x3FFFF != len(words):
            return  # length mismatch: silently discarded
        answer = self.device(struct.pack(f"<{len(words)}I", *words))
        if answer is not None:
            self.pending, self.due = answer, self.time + self.latency

    def perform(self, op: Op) -> OpResult:
        if isinstance(op, Batch):
            return tuple(self.perform(one) for one in op.ops)
        self.ops.append(op)
        match op:
            case WaitCycles(cycles):
                assert cycles > 0
                self.time += cycles
                return None
            case CfgRead(bdf, offset):
                assert bdf == BDF
                if self.gone:
                    return 0xFFFF_FFFF
                return self.read(offset - BASE)
            case CfgWrite(bdf, offset, value):
                assert bdf == BDF and 0 <= value < 1 << 32
                self.write(offset - BASE, value)
                return None
        raise AssertionError(op)

    def read(self, register: int) -> int:
        if register == 0x0C:
            return self.status()
        assert register == 0x14, "only status and read mailbox are read"
        if not self.status() & READY or self.error:
            return 0
        value = self.outgoing[0] if self.outgoing else 0
        if self.drop_ready_on_read and len(self.outgoing) == 1:
            self.outgoing = []
        return value

    def write(self, register: int, value: int) -> None:
        if register == 0x08:
            self.last_control = value
            if value & 1:
                self.abort()
            elif value >> 31:
                self.go()
        elif register == 0x10:
            assert not self.status() & (BUSY | READY), "write while the mailbox is not idle"
            self.incoming.append(value)
        elif register == 0x14:
            if self.outgoing:
                self.outgoing.pop(0)
            else:
                self.error = True  # underflow
        else:
            raise AssertionError(f"write to register {register:#x}")


def mailbox(**options: object) -> DoeMailbox:
    return DoeMailbox(bdf=BDF, offset=BASE, **options)  # type: ignore[arg-type]


OBJECT = DoeObject.wrap(1, b"\x10\x84\x00\x00").encode()


@given(st.binary(max_size=64), st.integers(0, 3_000_000))
def test_objects_come_through(payload: bytes, latency: int) -> None:
    """Any payload, any latency within the deadline; the mailbox is idle afterwards."""
    model = Model(device=lambda r: r[:8] + r[8:][::-1], latency=latency)
    request = DoeObject.wrap(2, payload).encode()
    answer = run(mailbox().exchange(request), model.perform)
    assert answer == request[:8] + request[8:][::-1]
    assert model.status() == 0 and model.aborts == 0 and model.goes == 1
    assert latency <= model.time <= 2 * latency + 1000


def test_register_sequence_of_one_exchange() -> None:
    """Status, DWs, Go, status until Ready, read and advance each DW, Ready checked at the last."""
    model = Model(latency=0)
    run(mailbox().exchange(OBJECT), model.perform)
    short = [
        (type(op).__name__[3:], op.offset - BASE) if isinstance(op, CfgRead | CfgWrite) else op
        for op in model.ops
    ]
    assert short == [
        ("Read", 0x0C),
        ("Write", 0x10),
        ("Write", 0x10),
        ("Write", 0x10),
        ("Write", 0x08),
        ("Read", 0x0C),
        ("Read", 0x14),
        ("Write", 0x14),
        ("Read", 0x14),
        ("Write", 0x14),
        ("Read", 0x14),
        ("Read", 0x0C),
        ("Write", 0x14),
        ("Read", 0x0C),
    ]
    assert model.last_control == 1 << 31


def test_interrupt_enable_is_kept_in_control() -> None:
    model = Model(latency=0)
    run(mailbox(interrupt_enable=True).exchange(OBJECT), model.perform)
    assert model.last_control == 1 << 31 | 1 << 1


@pytest.mark.parametrize("state", ["busy", "error", "stale"])
def test_a_mailbox_that_is_not_idle_is_aborted_first(state: str) -> None:
    """Busy, Error, or an answer that a vanished host left behind."""
    model = Model(abort_takes=5000)
    if state == "busy":
        model.busy_at_start = True
    elif state == "error":
        model.error = True
    else:
        model.outgoing = [1, 2, 3]
    assert run(mailbox().exchange(OBJECT), model.perform) == OBJECT
    assert model.aborts == 1


def test_error_aborts_and_the_object_may_be_sent_again() -> None:
    model = Model(error_on_go=True)
    with pytest.raises(TransportError, match="may be sent again"):
        run(mailbox().exchange(OBJECT), model.perform)
    assert model.aborts == 1 and model.status() == 0
    model.error_on_go = False
    assert run(mailbox().exchange(OBJECT), model.perform) == OBJECT


def test_silence_ends_at_the_deadline() -> None:
    """No answer: abort after one second of device time, not later, and say what to do."""
    model = Model(device=lambda _r: None)
    with pytest.raises(TransportError, match="no answer within"):
        run(mailbox().exchange(OBJECT), model.perform)
    assert 48_000_000 <= model.time < 48_100_000
    assert model.aborts == 1 and len(model.ops) < 5000
    model.device = echo
    assert run(mailbox().exchange(OBJECT), model.perform) == OBJECT


def test_deadline_is_a_parameter() -> None:
    model = Model(device=lambda _r: None)
    with pytest.raises(TransportError):
        run(mailbox(deadline_cycles=100_000).exchange(OBJECT), model.perform)
    assert 100_000 <= model.time < 130_000


def test_an_abort_that_does_not_end_is_bounded() -> None:
    model = Model(busy_at_start=True, abort_takes=1 << 40)
    with pytest.raises(TransportError, match="Reset the function"):
        run(mailbox().exchange(OBJECT), model.perform)
    assert model.goes == 0 and model.time < 48_100_000


def test_all_ones_is_a_lost_device() -> None:
    model = Model(gone=True)
    with pytest.raises(TransportError, match="all ones"):
        run(mailbox().exchange(OBJECT), model.perform)
    assert len(model.ops) == 1


@pytest.mark.parametrize(
    ("length", "reason"), [(1, "answer of 1 DWs"), (0, "answer of 262144"), (0x4001, "answer of")]
)
def test_answers_with_an_absurd_length_are_refused(length: int, reason: str) -> None:
    """Length 1 is illegal, 0 means 2^18; both exceed what we take. The mailbox is aborted."""
    model = Model(device=lambda r: r[:4] + struct.pack("<I", length) + r[8:])
    with pytest.raises(PeerError, match=reason):
        run(mailbox().exchange(OBJECT), model.perform)
    assert model.aborts == 1 and model.status() == 0


def test_ready_that_falls_on_the_last_read_is_refused() -> None:
    """Ready falls with the advance of the last DW, not with its read."""
    model = Model(drop_ready_on_read=True)
    with pytest.raises(PeerError, match="fell before"):
        run(mailbox().exchange(OBJECT), model.perform)
    assert model.aborts == 1


@pytest.mark.parametrize(("words", "reason"), [(-1, "longer or shorter"), (1, "fell before")])
def test_answers_that_differ_from_their_length_are_refused(words: int, reason: str) -> None:
    """The object must end exactly with the last DW that Length announces."""

    def device(request: bytes) -> bytes:
        return request[:4] + struct.pack("<I", len(request) // 4 + words) + request[8:]

    with pytest.raises(PeerError, match=reason):
        run(mailbox().exchange(OBJECT), Model(device=device).perform)


@given(st.binary(max_size=80), st.integers(2, 24))
def test_any_answer_gives_bytes_or_a_named_failure(junk: bytes, length: int) -> None:
    """Whatever the device answers, and whatever length it claims, the mailbox ends up idle."""
    padded = junk + bytes(-len(junk) % 4)
    for answer in (padded, b"\x01\x00\x01\x00" + length.to_bytes(4, "little") + padded):
        model = Model(device=lambda _r, answer=answer: answer or None, latency=0)  # type: ignore[misc]
        try:
            received = run(mailbox(deadline_cycles=100_000).exchange(OBJECT), model.perform)
        except (PeerError, TransportError):
            assert model.aborts == 1
        else:
            assert received == answer
        assert model.status() == 0


def test_two_dw_answer() -> None:
    """The shortest object: header only."""
    model = Model(device=lambda r: r[:4] + struct.pack("<I", 2))
    assert len(run(mailbox().exchange(OBJECT), model.perform)) == 8
    assert model.status() == 0


def test_misuse_is_a_local_error() -> None:
    model = Model()
    for bad in (b"", bytes(4), bytes(9)):
        with pytest.raises(LocalError):
            run(mailbox().exchange(bad), model.perform)
    for options in ({"first_poll_cycles": 0}, {"max_object_dw": 1}, {"deadline_cycles": 10}):
        with pytest.raises(LocalError):
            mailbox(**options)
    with pytest.raises(LocalError):
        DoeMailbox(bdf=0, offset=0x102)


def test_a_whole_session_runs_over_the_mailbox() -> None:
    """SPDM over registers: over_mailbox turns DoeExchange into accesses, waits pass through."""
    key = ec.generate_private_key(ec.SECP384R1())
    ders = pki.Chain.standard(key).ders()
    device = Responder(key=key, structure=pki.structure(ders, ders[0]))
    model = Model(device=device.handle)
    policy = ChainPolicy(roots=(ders[0],), at=datetime(2026, 6, 1, tzinfo=UTC))

    def road() -> Steps[TdiState]:
        rng = random.Random(1).randbytes
        session = yield from connect_session(RequesterConfig(), policy, rng)
        state = yield from tdisp.state(session, InterfaceId.of(0x0101))
        yield from session.end()
        return state

    assert run(over_mailbox(road(), mailbox()), model.perform) is TdiState.CONFIG_UNLOCKED
    assert not any(isinstance(op, DoeExchange) for op in model.ops)


def test_over_mailbox_throws_failures_into_the_inner_generator() -> None:
    """The inner generator may catch a TransportError and go on; its clean-up runs."""
    log: list[str] = []

    def inner() -> Steps[str]:
        try:
            try:
                yield DoeExchange(OBJECT)
            except TransportError:
                log.append("caught")
            result = yield DoeExchange(OBJECT)
            assert isinstance(result, bytes)
            return "done"
        finally:
            log.append("cleaned")

    model = Model(error_on_go=True)

    def perform(op: Op) -> OpResult:
        if model.goes == 1:
            model.error_on_go = False
        return model.perform(op)

    assert run(over_mailbox(inner(), mailbox()), perform) == "done"
    assert log == ["caught", "cleaned"]


def test_run_throws_driver_failures_into_the_generator() -> None:
    """`run`: clean-up of the generator runs, the error comes out unchanged."""
    log: list[str] = []

    def inner() -> Steps[None]:
        try:
            yield WaitCycles(1)
        finally:
            log.append("cleaned")

    def perform(_op: Op) -> OpResult:
        raise TransportError("gone")

    with pytest.raises(TransportError, match="gone"):
        run(inner(), perform)
    assert log == ["cleaned"]


def test_a_driver_that_answers_with_the_wrong_type_is_told() -> None:
    with pytest.raises(LocalError, match="register read"):
        run(mailbox().exchange(OBJECT), lambda _op: None)
