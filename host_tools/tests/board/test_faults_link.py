# SPDX-License-Identifier: Apache-2.0
"""Attacks on trusted TLPs of a virtual board: every one is noticed, and ends the stream.

The prefix is byte 0..3 of a TLP on the link (2: Stream ID, 3: bit 0 is T), the header follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from teeio.core.device import FunctionDriver
from teeio.core.ops import Op, PortKey
from teeio.core.rootport import EventKind
from teeio.errors import TsmError
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import TlpType
from tests.board.scenes import (
    HostMaker,
    discovered,
    expect_event,
    expect_state,
    running,
    still_answers,
    tee_driver,
)

pytestmark = pytest.mark.long


class Tamper:
    """An attack on trusted TLPs to the device; `kinds` are the Fmt and Type bytes it takes."""

    kinds: tuple[int, ...] = (TlpType.MWR64,)

    def __init__(self) -> None:
        self.hits = 0
        self.held: list[bytes] = []

    def __call__(self, tlp: bytes) -> list[bytes]:
        if tlp[0] != 0x92 or tlp[4] not in self.kinds or self.hits >= self.limit:
            return [tlp]
        self.hits += 1
        return self.attack(tlp)

    limit = 1

    def attack(self, tlp: bytes) -> list[bytes]:
        raise NotImplementedError


class Replay(Tamper):
    """The same TLP twice."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp, tlp]


class Reorder(Tamper):
    """Two writes change places."""

    limit = 2

    def attack(self, tlp: bytes) -> list[bytes]:
        self.held.append(tlp)
        return self.held[::-1] if len(self.held) == 2 else []


class Drop(Tamper):
    """A write never arrives."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return []


class Retag(Tamper):
    """The tag of a read is changed: header bytes are authenticated."""

    kinds = (TlpType.MRD64,)

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:10] + bytes((tlp[10] ^ 1,)) + tlp[11:]]


class Redirect(Tamper):
    """The address of a write is changed."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:19] + bytes((tlp[19] ^ 8,)) + tlp[20:]]


class Untrust(Tamper):
    """T of the prefix is cleared: the prefix is authenticated."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:3] + bytes((tlp[3] & ~1,)) + tlp[4:]]


class Restream(Tamper):
    """The Stream ID of the prefix is changed: the TLP belongs to no stream, its own misses it."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:2] + bytes((tlp[2] ^ 2,)) + tlp[3:]]


class Flip(Tamper):
    """One bit of the payload is changed."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:20] + bytes((tlp[20] ^ 1,)) + tlp[21:]]


class BreakMac(Tamper):
    """One bit of the MAC is changed."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:-1] + bytes((tlp[-1] ^ 0x80,))]


@pytest.mark.parametrize("attack", [Replay, Reorder, Drop, Retag, Redirect, Untrust, Restream,
                                    Flip, BreakMac])
def test_an_attack_on_the_link_ends_the_stream(hosts: HostMaker, attack: type[Tamper]) -> None:
    """IDE Fail comes, the stream is Insecure, the TDI in ERROR and empty; a new session works."""
    host = running(hosts, 0)
    driver = tee_driver(host)
    host.run(driver.write(0, b"kept" * 16))
    tamper = attack()
    host.dispatcher.tamper = tamper
    try:
        host.run(driver.write(0, bytes(64)))
        host.run(driver.write(64, bytes(64)))
        host.run(driver.read(0, 64))
    except TsmError:
        pass  # whatever the host notices first
    finally:
        host.dispatcher.tamper = None
    assert tamper.hits == tamper.limit
    for _ in range(20):
        host.serve(20_000)
        if host.run(host.tsm.stream_state()) == 0:
            break
    assert host.run(host.tsm.stream_state()) == 0
    assert any(e.kind is EventKind.IDE_FAIL_RECEIVED for e in host.take_events())
    expect_state(host, 0, TdiState.ERROR)
    with pytest.raises(TsmError):
        host.run(driver.read(0, 64))
    host.run(host.tsm.unbind(0))
    plain = FunctionDriver(host.tsm.tdi_function(0), tee=False)
    assert host.run(plain.read(0, 128)) == bytes(128)
    host.run(host.tsm.disconnect())
    still_answers(host)


def test_another_key_at_the_root_port(hosts: HostMaker) -> None:
    """Stream Secure at both ends, keys differ in one bit: the first trusted TLP ends it."""
    host = discovered(hosts)
    perform = host.dispatcher.perform

    def wrong(op: Op) -> Iterator[Any]:
        if isinstance(op, PortKey) and op.is_tx and op.sub_stream == 0:
            op = replace(op, key=bytes((op.key[0] ^ 1,)) + op.key[1:])
        return perform(op)

    host.dispatcher = replace_perform(host.dispatcher, wrong)
    host.run(host.tsm.connect())
    host.run(host.tsm.unbind(0))
    host.run(host.tsm.bind(0))
    host.run(host.tsm.start(0))
    host.run(tee_driver(host).write(0, b"lost" * 16))
    expect_event(host, EventKind.IDE_FAIL_RECEIVED)
    assert host.run(host.tsm.stream_state()) == 0
    expect_state(host, 0, TdiState.ERROR)
    host.run(host.tsm.disconnect())
    still_answers(host)


def replace_perform(dispatcher: Any, perform: Callable[[Op], Any]) -> Any:
    """The dispatcher with another `perform` (it has slots, so a subclass carries it)."""
    class Patched(type(dispatcher)):  # type: ignore[misc]
        def perform(self, op: Op) -> Any:
            return perform(op)

    return Patched(dispatcher.port, dispatcher.mailbox, dispatcher.on_object)
