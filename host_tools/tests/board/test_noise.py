# SPDX-License-Identifier: Apache-2.0
"""The bench link of a virtual board over a bad cable: every TLP once and in order, both ways."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from teeio.board import Images, VirtualBoard
from teeio.core.device import IRQ_TRIGGER, WORK_MEMORY, Descriptor, FunctionDriver
from teeio.core.memory import MSI_BASE
from teeio.core.ops import MemRead, MemWrite, batch, cfg_read
from teeio.core.port_steps import control
from teeio.core.rootport import EventKind
from teeio.core.tsm import TsmPolicy
from teeio.host import Host, Recording
from teeio.wire.link import ControlOp
from tests.noisy import NoisyRelay

RATE = 1e-3
ROUNDS = 250
VECTORS = 4


def word(n: int) -> bytes:
    """Contents of DW n of work memory; holds flags, escapes and no two alike."""
    return bytes((0x7E, n & 0xFF, 0x7D, n >> 8))


class LosesAnswerAndNak(NoisyRelay):
    """Damages one TLP frame of the board, and then the NAK with which the host asks for it."""

    answers = naks = 0

    def damage(self, data: bytes, to_board: bool) -> bytes:
        """What arrives of `data`."""
        if not self.rate:
            return data
        if not to_board and not self.answers and (at := data.find(b"\x7e\x12")) >= 0:
            self.answers += 1
            return data[:at + 3] + bytes((data[at + 3] ^ 1,)) + data[at + 4:]
        if to_board and self.answers and not self.naks and b"\x7e\x03" in data:
            self.naks += 1
            return b""
        return data


def settle(host: Host, kind: EventKind, count: int) -> list[int]:
    """Wait for `count` events of a kind; the values. Anything else that came is an error."""
    seen: list[int] = []
    for _ in range(100):
        for event in host.take_events():
            assert event.kind is kind, event
            seen.append(event.value)
        if len(seen) >= count:
            return seen
        host.serve(2_000)
    raise AssertionError(f"{len(seen)} of {count} events came")


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long)
                                       for n in range(2, 8))])
def test_two_thousand_tlps_each_way_over_a_bad_cable(images: Images, policy: TsmPolicy, seed: int,
                                                     tmp_path: Path) -> None:
    """A thousand posted and a thousand non-posted requests to the device, which answers each with
    an interrupt or a completion: as many come, in the order of their class, with the right data.

    A TLP to the device that was lost or doubled would show as a missing or second interrupt or
    completion, since the function sends one for each write of IRQ_TRIGGER and each read.
    """
    trace = tmp_path / "tlps.txt"
    with VirtualBoard(images, seed=5) as board:
        relay = NoisyRelay(board.url, 0.0, seed)
        host = Host(relay.url, policy, recording=Recording(tlps=trace))
        try:
            host.discover()
            driver = FunctionDriver(host.tsm.tdi_function(1), tee=False)
            base = driver.function.bar0
            host.run(driver.write(0, b"".join(map(word, range(VECTORS * ROUNDS)))))
            for vector in range(VECTORS):
                host.run(driver.program_vector(vector, MSI_BASE, 0x6000 + vector))
            host.run(driver.enable_msix())
            before = replace(host.transport.link.counters)
            host.mark("noise")
            relay.rate = RATE

            interrupts: list[int] = []
            for turn in range(ROUNDS):
                ops: list[MemRead | MemWrite] = []
                for vector in range(VECTORS):
                    n = VECTORS * turn + vector
                    ops += [MemWrite(base + IRQ_TRIGGER, vector.to_bytes(4, "little"), False),
                            MemRead(base + WORK_MEMORY + 4 * n, 4, False)]
                got = host.run(batch(ops))
                # The completion of a read says that its function has done the writes before it.
                assert got[1::2] == tuple(word(VECTORS * turn + v) for v in range(VECTORS))
                interrupts += settle(host, EventKind.INTERRUPT, VECTORS)
            assert interrupts == [0x6000 + v for v in range(VECTORS)] * ROUNDS

            relay.rate = 0.0
            host.serve(20_000)
            assert host.take_events() == []  # nothing comes late or twice
            mine = host.transport.link.counters
            _, bad, _ = host.transport.run(control(ControlOp.COUNTERS, 0))
            _, repeats, _ = host.transport.run(control(ControlOp.COUNTERS, 1))
            assert min(relay.lost, relay.doubled, relay.changed) > 10, "too little damage to show"
            assert mine.bad_frames > before.bad_frames and mine.repeated > before.repeated
            assert bad > 10 and repeats > 10
        finally:
            host.close()
            relay.close()
    # What the link handed over, apart from what the root port made of it.
    lines = trace.read_text().partition("= noise\n")[2].splitlines()
    sent = [bytes.fromhex(line[2:]) for line in lines if line[0] == ">"]
    came = [bytes.fromhex(line[2:]) for line in lines if line[0] == "<"]
    assert len(sent) == len(came) == 2 * VECTORS * ROUNDS
    completions = [tlp for tlp in came if tlp[0] == 0x4A]
    reads = [tlp for tlp in sent if tlp[0] == 0x20]
    assert [tlp[10] for tlp in completions] == [tlp[6] for tlp in reads]  # tags, in order
    assert [tlp[12:] for tlp in completions] == [word(n) for n in range(VECTORS * ROUNDS)]
    assert [tlp[-4:] for tlp in came if tlp[0] != 0x4A] == [
        (0x6000 + n % VECTORS).to_bytes(4, "little") for n in range(VECTORS * ROUNDS)]


def test_an_answer_and_the_nak_for_it_are_lost(images: Images, policy: TsmPolicy) -> None:
    """The host asks again: a board whose clock stops when idle never repeats by itself."""
    with VirtualBoard(images, seed=5) as board:
        relay = LosesAnswerAndNak(board.url, 0.0, 1)
        host = Host(relay.url, policy)
        try:
            host.discover()
            relay.rate = 1.0
            started = time.monotonic()
            assert host.run(cfg_read(0x100, 0)) == 0x7EE0_1234
            assert (relay.answers, relay.naks) == (1, 1)
            assert time.monotonic() - started < 20
        finally:
            host.close()
            relay.close()


@pytest.mark.long
def test_a_trusted_session_over_a_bad_cable(images: Images, policy: TsmPolicy) -> None:
    """Attest, key, lock, start and 32 KiB of trusted DMA: one TLP lost, doubled or out of order
    would break an IDE counter and make the stream Insecure (PCIe Base 6.33.5)."""
    with VirtualBoard(images, seed=6) as board:
        relay = NoisyRelay(board.url, RATE, 3)
        host = Host(relay.url, policy)
        try:
            host.discover()
            host.run(host.tsm.connect())
            host.run(host.tsm.bind(0))
            host.run(host.tsm.start(0))
            driver = FunctionDriver(host.tsm.tdi_function(0), tee=True)
            owner, size = driver.function.bdf, 16384
            source = host.memory.allocate(size, owner=owner, private=True,
                                          contents=bytes(range(256)) * 64)
            sink = host.memory.allocate(size, owner=owner, private=True)
            host.run(driver.dma([Descriptor(source.address, 0, size, False),
                                 Descriptor(sink.address, 0, size, True)]))
            assert sink.data == source.data
            assert host.run(host.tsm.stream_state()) == 2
            assert host.take_events() == [] and host.memory.refusals == []
            assert host.port.streams[1].faults == []
            host.run(host.tsm.disconnect())
            assert min(relay.lost, relay.doubled, relay.changed) > 50
        finally:
            host.close()
            relay.close()
