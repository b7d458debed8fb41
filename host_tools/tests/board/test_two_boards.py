# SPDX-License-Identifier: Apache-2.0
"""Two boards behind one root complex: same TSM code, nothing shared but memory with owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from teeio.board import Images, VirtualBoard
from teeio.core.device import CONTROL_PAGE, Descriptor, DmaError, FunctionDriver
from teeio.core.memory import Buffer
from teeio.core.ops import Steps
from teeio.core.rootport import EventKind
from teeio.core.tsm import BoundTdi, TsmPolicy
from teeio.errors import LocalError, TransportError
from teeio.host import Host, Recording
from teeio.machine import Machine
from teeio.wire.tdisp import TdiState

SIZE = 4096


@pytest.fixture(scope="module")
def boards(images: Images) -> Iterator[list[VirtualBoard]]:
    """Two boards with different entropy."""
    with VirtualBoard(images, seed=21) as a, VirtualBoard(images, seed=22) as b:
        yield [a, b]


def each(machine: Machine, program: Callable[[Host], Steps[object]]) -> list[object]:
    return machine.run_together(*(program(host) for host in machine.hosts))


def bound_and_started(host: Host) -> Steps[BoundTdi]:
    bound = yield from host.tsm.bind(0)
    yield from host.tsm.start(0)
    return bound


def buffers(host: Host, fill: bytes) -> tuple[Buffer, Buffer]:
    """A private source with contents and an empty private sink of this board's TDI 0."""
    owner = host.tsm.tdi_function(0).bdf
    return (host.memory.allocate(SIZE, owner=owner, private=True, contents=fill * SIZE),
            host.memory.allocate(SIZE, owner=owner, private=True))


def copy(host: Host, source: Buffer, sink: Buffer) -> Steps[None]:
    driver = FunctionDriver(host.tsm.tdi_function(0), tee=True)
    yield from driver.dma([Descriptor(source.address, 0, SIZE, False),
                           Descriptor(sink.address, 0, SIZE, True)])


def stream_keys(host: Host) -> set[bytes]:
    return set(host.port.streams[1].secrets())


def test_two_boards_side_by_side(boards: list[VirtualBoard], policy: TsmPolicy,
                                 tmp_path: Path) -> None:
    """Enumerated apart, keyed apart; A reaches nothing of B, and B goes on when A is attacked."""
    traces = [tmp_path / "a.txt", tmp_path / "b.txt"]
    with Machine([b.url for b in boards], policy,
                 recordings=[Recording(tlps=path) for path in traces]) as machine:
        a, b = machine.hosts
        machine.discover()
        assert [{f.bdf for f in h.tsm.functions} for h in (a, b)] == [
            {0x100, 0x101, 0x102, 0x103}, {0x200, 0x201, 0x202, 0x203}]
        spans = sorted((f.bar0, f.bar0 + f.bar0_size) for h in (a, b) for f in h.tsm.functions)
        assert len(spans) == 8
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        # What the registers hold is what the table says.
        for host in (a, b):
            for f in host.tsm.functions[1:]:
                driver = FunctionDriver(f, tee=False)
                assert host.run(driver.identify()) == 16384
                assert host.run(driver.register(0x08)) == f.number - 1

        each(machine, lambda host: host.tsm.connect())
        sessions = [h.tsm.session.spdm for h in (a, b) if h.tsm.session is not None]
        assert len(sessions) == 2 and sessions[0] is not sessions[1]
        assert len(stream_keys(a)) == len(stream_keys(b)) == 6
        assert not stream_keys(a) & stream_keys(b)
        bound = each(machine, bound_and_started)
        assert [x.interface.function_id for x in bound if isinstance(x, BoundTdi)] == [
            0x101, 0x201]

        a_source, a_sink = buffers(a, b"\xa5")
        b_source, b_sink = buffers(b, b"\x5b")
        machine.run_together(copy(a, a_source, a_sink), copy(b, b_source, b_sink))
        assert a_sink.data == b"\xa5" * SIZE and b_sink.data == b"\x5b" * SIZE
        assert a.take_events() == b.take_events() == [] and machine.memory.refusals == []

        # A writes to, then reads from, a buffer of B. Both with T=1, on A's Secure stream.
        a_driver = FunctionDriver(a.tsm.tdi_function(0), tee=True)
        a.run(a_driver.dma([Descriptor(b_sink.address, 0, 256, True)]))
        a.serve(20_000)
        events = a.take_events()
        assert events and {(e.kind, e.requester_id, e.t_bit, e.protected) for e in events} == {
            (EventKind.REFUSED, 0x101, True, True)}
        assert all("belongs to another function" in e.detail for e in events)
        with pytest.raises((DmaError, TransportError)):
            a.run(a_driver.dma([Descriptor(b_source.address, 0, 256, False)]))
        assert [(r.requester_id, r.address, r.is_write) for r in machine.memory.refusals] == [
            (0x101, b_sink.address, True), (0x101, b_source.address, False)]
        assert b_sink.data == b"\x5b" * SIZE and b_source.data == b"\x5b" * SIZE
        assert b.take_events() == []
        with pytest.raises(LocalError, match="not in the window of this port"):
            a.run(FunctionDriver(b.tsm.tdi_function(0), tee=True).read(0, 4))

        # An attack on A's stream: A falls, B does not notice.
        def flip_once(tlp: bytes) -> list[bytes]:
            if tlp[0] != 0x92:
                return [tlp]
            a.dispatcher.tamper = None
            return [tlp[:-1] + bytes((tlp[-1] ^ 1,))]

        a.dispatcher.tamper = flip_once
        with pytest.raises(TransportError):
            a.run(a_driver.register(CONTROL_PAGE))
        a.serve(20_000)
        assert EventKind.IDE_FAIL_RECEIVED in {e.kind for e in a.take_events()}
        states = machine.run_together(a.tsm.stream_state(), b.tsm.stream_state())
        assert states == [0, 2]
        assert machine.run_together(a.tsm.tdi_state(0), b.tsm.tdi_state(0)) == [
            TdiState.ERROR, TdiState.RUN]
        b_sink.data[:] = bytes(SIZE)
        b.run(copy(b, b_source, b_sink))
        assert b_sink.data == b"\x5b" * SIZE and b.take_events() == []

        each(machine, lambda host: host.tsm.disconnect())
    # Configuration requests went to the bus behind their port only (PCIe Base 2.2.7).
    for bus, path in enumerate(traces, 1):
        sent = [bytes.fromhex(line[2:]) for line in path.read_text().splitlines()
                if line.startswith(("> 04", "> 44"))]
        assert len(sent) > 100 and {tlp[8] for tlp in sent} == {bus}


def test_a_machine_needs_all_its_boards(boards: list[VirtualBoard], policy: TsmPolicy) -> None:
    """One URL that nobody serves: an error, and the link to the other board is free again."""
    with pytest.raises(TransportError, match="cannot open"):
        Machine([boards[0].url, "socket://127.0.0.1:1"], policy)
    with pytest.raises(LocalError, match="give one each"):
        Machine([boards[0].url], policy, recordings=[])
    with Machine([board.url for board in boards], policy) as machine:
        with pytest.raises(LocalError, match="give each one"):
            machine.run_together(machine.hosts[0].discovery())
        # A program that fails keeps no other from its end.
        with pytest.raises(LocalError, match=r"not (bound|connected)"):
            each(machine, lambda host: host.tsm.start(0) if host is machine.hosts[0]
                 else host.discovery())
        assert len(machine.hosts[1].tsm.functions) == 4
