# SPDX-License-Identifier: Apache-2.0
"""Resumable verbs, the gate before a device, and what a carrier can do to data objects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from teeio.core.ops import DoeExchange, Op, OpResult, PortSecure, Steps, WaitCycles, doe_exchange
from teeio.errors import LocalError, TransportError
from teeio.platforms.common import attacks
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.verbs import Verb, VerbGate, VerbReason
from teeio.platforms.common.vmm import Attacker, HostGone
from tests.platforms.model import EchoTarget, answer, request


def hardware(op: Op) -> OpResult:
    assert isinstance(op, PortSecure)
    if op.stream_id == 9:
        raise LocalError("no such stream")
    return op.stream_id + 10


def two_objects() -> Steps[list[OpResult]]:
    """Two objects with a look at the key registers in between."""
    first = yield from doe_exchange(request(1))
    secure = yield PortSecure(3)
    second = yield from doe_exchange(request(2))
    return [first, secure, second]


def test_a_verb_stops_at_each_operation_of_its_carrier_only() -> None:
    verb = Verb("v", two_objects(), hardware)
    verb.start()
    assert verb.op == DoeExchange(request(1))
    verb.resume(b"a")
    assert verb.op == DoeExchange(request(2)), "the key register was shown to the carrier"
    with pytest.raises(LocalError, match="not ended"):
        verb.result()
    verb.resume(b"b")
    assert verb.done and verb.result() == [b"a", 13, b"b"]
    with pytest.raises(LocalError, match="ended already"):
        verb.resume(b"c")


def test_a_failure_reaches_the_verb_and_its_clean_up_goes_on() -> None:
    seen: list[str] = []

    def steps() -> Steps[None]:
        try:
            yield DoeExchange(request(1))
        except TransportError:
            seen.append("failed")
            yield PortSecure(1)
            seen.append("cleaned")
            raise

    verb = Verb("v", steps(), hardware)
    verb.start()
    verb.fail(TransportError("lost"))
    assert verb.done and seen == ["failed", "cleaned"]
    with pytest.raises(TransportError, match="lost"):
        verb.result()


def test_a_verb_that_is_given_up_ends_even_if_it_asks_for_ever() -> None:
    def stubborn() -> Steps[None]:
        while True:
            try:
                yield DoeExchange(request(1))
            except TransportError:
                continue

    verb = Verb("v", stubborn(), hardware)
    verb.start()
    verb.abort()
    assert verb.done and verb.op is None
    with pytest.raises(TransportError, match="does not end"):
        verb.result()
    unborn = Verb("v", two_objects(), hardware)
    unborn.abort()
    assert unborn.done and isinstance(unborn.error, TransportError)


def test_an_error_of_the_key_registers_is_thrown_into_the_verb() -> None:
    def steps() -> Steps[str]:
        try:
            yield PortSecure(9)
        except LocalError as error:
            return str(error)
        return "not thrown"

    verb = Verb("v", steps(), hardware)
    verb.start()
    assert verb.result() == "no such stream"


def test_one_verb_at_a_time_is_in_flight() -> None:
    context = Context()
    gate = VerbGate(context, hardware, "device 1")
    first = gate.open("a", two_objects())
    first.start()
    with pytest.raises(Refused) as refused:
        gate.open("b", two_objects())
    assert refused.value.reason is VerbReason.BUSY
    first.abort()
    gate.open("b", two_objects())
    context.begin({"verb.single"})
    gate.open("c", two_objects())


# ---- attacks -------------------------------------------------------------------------------------
def carried(*armed: attacks.Attack, marks: tuple[int, ...] = (1, 2, 3)) -> tuple[
        list[bytes | str], EchoTarget]:
    """Carry one object a mark: answers (or names of errors), and the target."""
    target, vmm = EchoTarget(), Attacker(Context())
    vmm.attacks = list(armed)
    device: Any = SimpleNamespace(name="device 1", target=target,
                                  tsm=SimpleNamespace(core=SimpleNamespace(mailbox=None)))
    out: list[bytes | str] = []
    for mark in marks:
        try:
            result = vmm.perform(device, DoeExchange(request(mark)))
            assert isinstance(result, bytes)
            out.append(result)
        except TransportError as error:
            out.append(type(error).__name__)
    assert all(attack.done for attack in armed)
    return out, target


def objects(target: EchoTarget) -> list[int]:
    return [op.request[-1] for op in target.got if isinstance(op, DoeExchange)]


def test_without_an_attack_answers_come_back_as_they_are() -> None:
    assert carried()[0] == [answer(1, 1), answer(2, 2), answer(3, 3)]


def test_drop_and_drop_answer() -> None:
    out, target = carried(attacks.Drop(1))
    assert out == [answer(1, 1), "TransportError", answer(2, 3)] and objects(target) == [1, 3]
    out, target = carried(attacks.DropAnswer(1))
    assert out == [answer(1, 1), "TransportError", answer(3, 3)] and objects(target) == [1, 2, 3]


def test_delay_duplicate_reorder_replay() -> None:
    out, target = carried(attacks.Delay(0), marks=(1,))
    assert out == [answer(1, 1)] and target.got[0] == WaitCycles(attacks.Delay.cycles)
    out, target = carried(attacks.Duplicate(0), marks=(1,))
    assert out == [answer(2, 1)] and objects(target) == [1, 1]
    out, target = carried(attacks.Reorder(1), marks=(1, 2))
    assert out[1] == answer(1, 1) and objects(target) == [1, 2]
    out, target = carried(attacks.Replay(1), marks=(1, 2))
    assert out[1] == answer(1, 1) and objects(target) == [1]
    with pytest.raises(LocalError, match="later object"):
        carried(attacks.Replay(0))


def test_flip_and_truncate_change_what_they_say() -> None:
    (got,), _ = carried(attacks.FlipBit(0, bit=56), marks=(1,))
    want = bytearray(answer(1, 1))
    want[8 + 7] ^= 1
    assert got == bytes(want)
    _, target = carried(attacks.FlipBit(0, bit=56, in_answer=False), marks=(2,))
    assert objects(target) == [3]
    (got,), _ = carried(attacks.Truncate(0), marks=(1,))
    assert got == bytes((1, 0, 2, 0, 3, 0, 0, 0)) + answer(1, 1)[8:-4]


def test_between_unplug_and_never_return() -> None:
    done: list[int] = []
    out, _ = carried(attacks.Between(lambda: done.append(1), 0), marks=(1,))
    assert out == [answer(1, 1)] and done == [1]
    out, target = carried(attacks.Unplug(1))
    assert out == [answer(1, 1), "TransportError", "TransportError"] and objects(target) == [1]
    with pytest.raises(HostGone):
        carried(attacks.NeverReturn(0))


def test_an_attack_counts_only_what_it_matches() -> None:
    target, vmm = EchoTarget(), Attacker(Context())
    drop = attacks.Drop(0, attacks.secured_only)
    vmm.attacks.append(drop)
    device: Any = SimpleNamespace(name="device 1", target=target,
                                  tsm=SimpleNamespace(core=SimpleNamespace(mailbox=None)))
    vmm.perform(device, DoeExchange(request(1, kind=1)))
    assert not drop.done
    with pytest.raises(TransportError):
        vmm.perform(device, DoeExchange(request(1, kind=2)))
