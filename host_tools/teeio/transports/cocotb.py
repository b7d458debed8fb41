# SPDX-License-Identifier: Apache-2.0
"""Transport inside a simulation: the same programs, awaited instead of blocking.

The simulated bench is reached through `SimulatedLink`; this module knows neither signals nor files.
Waits are simulated time only: a device that does not answer costs its bound of cycles, no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from teeio.core.port_steps import (
    LinkControl,
    LinkEffect,
    LinkReceive,
    LinkResult,
    LinkSend,
    LinkSteps,
)
from teeio.errors import TransportError
from teeio.wire.link import ControlOp

T = TypeVar("T")


class SimulatedLink(Protocol):
    """What a bench in a simulation offers."""

    async def send(self, tlp: bytes) -> None:
        """Play the bytes of one TLP to the device; returns when it has taken the last.

        Raises:
            TransportError: the device does not take it.
        """

    async def receive(self, cycles: int) -> tuple[bytes, ...]:
        """All TLPs that came since the last call, waiting for one at most `cycles`."""

    async def reset(self) -> None:
        """Conventional reset of the endpoint."""

    async def delay(self, cycles: int) -> None:
        """Let device clock cycles pass."""

    def cycles(self) -> int:
        """Device clock cycles since power-on."""


class CocotbTransport:
    """Drives generators of link effects on a simulated link.

    Args:
        link: the bench.
        tlp_tap: called with (direction, TLP bytes) for each TLP; direction is "tx" or "rx".
    """

    url = "cocotb"

    def __init__(self, link: SimulatedLink, *,
                 tlp_tap: Callable[[str, bytes], None] | None = None) -> None:
        self._link = link
        self._tlp_tap = tlp_tap

    async def run(self, steps: LinkSteps[T]) -> T:
        """Drive a generator of link effects to its end."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = await self.do(effect)
                except TransportError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def do(self, effect: LinkEffect) -> LinkResult:
        """Perform one link effect."""
        match effect:
            case LinkSend(tlps):
                for tlp in tlps:
                    self._tap("tx", tlp)
                    await self._link.send(tlp)
                return None
            case LinkReceive(cycles):
                got = await self._link.receive(cycles)
                for tlp in got:
                    self._tap("rx", tlp)
                return got
            case LinkControl(op, arg):
                return await self._control(op, arg)

    async def _control(self, op: ControlOp, arg: int) -> tuple[int, int, int]:
        match op:
            case ControlOp.RESET:
                await self._link.reset()
            case ControlOp.DELAY:
                await self._link.delay(arg)
            case ControlOp.CYCLES:
                now = self._link.cycles()
                return now & 0xFFFF_FFFF, now >> 32, 0
            case _:
                raise TransportError(f"a simulation has no bench control {op.name}")
        return 0, 0, 0

    def _tap(self, direction: str, tlp: bytes) -> None:
        if self._tlp_tap is not None:
            self._tlp_tap(direction, tlp)
