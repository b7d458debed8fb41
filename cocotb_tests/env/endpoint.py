# SPDX-License-Identifier: Apache-2.0
"""The whole endpoint in a simulation: its TLP mailboxes, and a host on them.

`EndpointBench` moves bytes between Python and tb_system, `SimHost` is the project's own host with
the transport exchanged. Both wait for signals and simulated time, never for clock edges.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cocotb.triggers import First, Timer, ValueChange

from teeio.board import Images
from teeio.core.ops import Steps
from teeio.core.port_steps import LinkSteps, control, pump
from teeio.core.rootport import EventKind, PortEvent
from teeio.errors import TransportError
from teeio.host import HostParts, policy_for
from teeio.transports.cocotb import CocotbTransport
from teeio.wire.link import ControlOp
from teeio.wire.tlp import classify

T = TypeVar("T")

CYCLE_NS = 20
BEAT_BYTES = 16
SEND_BYTES = 18 * BEAT_BYTES
RING_TLPS = 64
RESET_CYCLES = 8
# A TLP that waits longer at the wire face than this is stuck: nothing inside holds one for 1 ms.
STUCK_CYCLES = 48_000
# TLPs of each class that the endpoint takes before it gives one back, as rtl/link grants them. It
# drops what comes without credit.
CREDITS = (8, 8, 8)
COUNT_MASK = 0xFFFF_FFFF


class EndpointBench:
    """Mailboxes of tb_system.

    Attributes:
        sent: TLPs sent to the device, per class.
        got: TLPs received from it, per class.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.sent = [0, 0, 0]
        self.got = [0, 0, 0]
        self._taken = 0
        self._toggle = 0
        self._released = [0, 0, 0]
        self._owed = [0, 0, 0]  # credits that a conventional reset took with it

    async def power_on(self) -> None:
        """Reset everything, counters included."""
        dut = self.dut
        for name in ("send_tlp_i", "send_dws_i", "send_toggle_i", "taken_count_i", "conv_rst_i"):
            getattr(dut, name).value = 0
        self._taken = self._toggle = 0
        self.sent, self.got, self._owed = [0, 0, 0], [0, 0, 0], [0, 0, 0]
        self._released = [0, 0, 0]
        dut.rst_i.value = 1
        await self.delay(RESET_CYCLES)
        dut.rst_i.value = 0
        await self.delay(RESET_CYCLES)

    async def send(self, tlp: bytes) -> None:
        """Wait for a credit, play one TLP to the device; returns when it has taken the last beat.

        Raises:
            TransportError: it gives no credit, or does not take the TLP.
        """
        dut = self.dut
        if len(tlp) > SEND_BYTES or len(tlp) % 4:
            raise TransportError(f"{len(tlp)} bytes do not fit the mailbox")
        kind = classify(tlp)
        await self._credit(kind)
        dut.send_tlp_i.value = int.from_bytes(tlp.ljust(SEND_BYTES, b"\0"), "big")
        dut.send_dws_i.value = len(tlp) // 4
        self._toggle ^= 1
        dut.send_toggle_i.value = self._toggle
        await First(ValueChange(dut.sent_toggle_o), Timer(STUCK_CYCLES * CYCLE_NS, "ns"))
        if int(dut.sent_toggle_o.value) != self._toggle:
            raise TransportError("the endpoint does not take a TLP from the wire")
        self.sent[kind] += 1

    async def _credit(self, kind: int) -> None:
        end = self.cycles() + STUCK_CYCLES
        while self.sent[kind] - self._owed[kind] - self._released[kind] >= CREDITS[kind]:
            # Reading the counters costs more than a TLP: only when the last reading does not do.
            self._released = self.counts()["released"]
            if self.sent[kind] - self._owed[kind] - self._released[kind] < CREDITS[kind]:
                return
            if self.cycles() >= end:
                raise TransportError(f"no credit of class {kind} comes back")
            await First(ValueChange(self.dut.released_count_o),
                        Timer(STUCK_CYCLES * CYCLE_NS, "ns"))

    async def receive(self, cycles: int) -> tuple[bytes, ...]:
        """All TLPs that came, waiting for one at most `cycles`."""
        if self._waiting() == 0 and cycles > 0:
            await First(ValueChange(self.dut.received_count_o), Timer(cycles * CYCLE_NS, "ns"))
        out = []
        for _ in range(self._waiting()):
            place = self._taken % RING_TLPS
            dws = int(self.dut.ring_dws_q[place].value)
            beats = -(-4 * dws // BEAT_BYTES)
            entry = int(self.dut.ring_q[place].value).to_bytes(SEND_BYTES, "big")
            tlp = entry[SEND_BYTES - BEAT_BYTES * beats:][:4 * dws]
            self.got[classify(tlp)] += 1
            out.append(tlp)
            self._taken = (self._taken + 1) & COUNT_MASK
        self.dut.taken_count_i.value = self._taken
        return tuple(out)

    async def reset(self) -> None:
        """Conventional reset of the endpoint."""
        self.dut.conv_rst_i.value = 1
        await self.delay(RESET_CYCLES)
        self.dut.conv_rst_i.value = 0
        await self.delay(RESET_CYCLES)
        self._owed = [sent - released for sent, released
                      in zip(self.sent, self.counts()["released"], strict=True)]

    async def delay(self, cycles: int) -> None:
        """Let clock cycles pass."""
        await Timer(cycles * CYCLE_NS, "ns")

    def cycles(self) -> int:
        """Clock cycles since power-on."""
        return int(self.dut.cycle_o.value)

    def counts(self) -> dict[str, list[int]]:
        """What the device says it released and consumed, per class."""
        word = {name: int(getattr(self.dut, f"{name}_count_o").value)
                for name in ("released", "consumed")}
        return {name: [value >> 32 * c & COUNT_MASK for c in range(3)]
                for name, value in word.items()}

    def check_credits(self) -> None:
        """Every TLP sent gave its credit back, every TLP received had taken one; nothing too long.

        Only meaningful without a conventional reset since power-on, and when nothing is on its way.
        """
        assert self.counts() == {"released": self.sent, "consumed": self.got}
        assert int(self.dut.overlong_count_o.value) == 0

    def _waiting(self) -> int:
        return (int(self.dut.received_count_o.value) - self._taken) & COUNT_MASK


def images() -> Images:
    """The images this simulation was started with."""
    return Images(*map(Path, os.environ["TEEIO_IMAGES"].split(":")))


class SimHost(HostParts):
    """The host, on a simulated endpoint with a seeded noise source.

    Args:
        bench: the mailboxes.
        observe: called with (step, detail) as verbs go on.
        rng: source of random bytes.
    """

    def __init__(self, bench: EndpointBench, *, observe: Callable[[str, str], None] | None = None,
                 rng: Callable[[int], bytes] = os.urandom) -> None:
        super().__init__(policy_for(images(), seeded=True), observe=observe, rng=rng)
        self.bench = bench
        self.transport = CocotbTransport(bench)

    async def run(self, steps: Steps[T]) -> T:
        """Drive a program of operations to its end."""
        return await self.link(self.program(steps))

    async def link(self, steps: LinkSteps[T]) -> T:
        """Drive a program of link effects to its end."""
        return await self.transport.run(steps)

    async def discover(self) -> None:
        """Enumerate the device."""
        await self.run(self.tsm.discover())

    async def reset(self) -> None:
        """Conventional reset of the endpoint."""
        await self.link(control(ControlOp.RESET))
        self.port.reset()

    async def serve(self, cycles: int) -> int:
        """Serve what the device sends on its own, for at most `cycles`; number of TLPs."""
        return await self.link(pump(self.port, cycles))

    async def wait_event(self, kind: EventKind, cycles: int = 100_000) -> PortEvent:
        """The next event of a kind; others before it are dropped.

        Raises:
            AssertionError: none comes.
        """
        end = self.bench.cycles() + cycles
        while True:
            for event in self.take_events():
                if event.kind is kind:
                    return event
            assert self.bench.cycles() < end, f"no event: {kind.value}"
            await self.serve(cycles)


def repeatable_rng(seed: int) -> Callable[[int], bytes]:
    """A source of random bytes that gives the same in every run."""
    return random.Random(seed).randbytes
