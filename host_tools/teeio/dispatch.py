# SPDX-License-Identifier: Apache-2.0
"""The untrusted carrier between TSM and device.

It moves data objects through the DOE mailbox and performs accesses on the root port, and keeps
records for people: a pcap of the DOE traffic and a trace of all TLPs. It holds no key and decides
nothing; a TSM must stay safe whatever this code does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.ops import DoeExchange, Op, OpResult, Steps
from teeio.core.port_steps import LinkEffect, LinkResult, LinkSend, LinkSteps, perform
from teeio.core.rootport import RootPort
from teeio.errors import LocalError, TransportError

T = TypeVar("T")


@dataclass(slots=True)
class Dispatcher:
    """Performs what a TSM asks for, on one root port.

    Attributes:
        port: the root port.
        mailbox: gives the DOE mailbox of function 0 as it is known now, None before discovery.
        on_object: called with (is_request, object bytes) for every data object.
        tamper: an attack on the link: given the bytes of a TLP to the device, what is sent instead
            (an empty list drops it). The frame CRC of the bench link is computed afterwards.
    """

    port: RootPort
    mailbox: Callable[[], DoeMailbox | None]
    on_object: Callable[[bool, bytes], None] | None = None
    tamper: Callable[[bytes], list[bytes]] | None = None
    objects: int = field(default=0)

    def steps(self, program: Steps[T]) -> LinkSteps[T]:
        """Run a program of operations as link effects.

        An error of an operation is thrown into the program at the place that asked for it.
        """
        result: OpResult = None
        error: Exception | None = None
        while True:
            try:
                op = program.throw(error) if error is not None else program.send(result)
            except StopIteration as stop:
                value: T = stop.value
                return value
            error = None
            try:
                result = yield from self._attacked(self.perform(op))
            except (TransportError, LocalError) as failure:
                error = failure

    def _attacked(self, steps: LinkSteps[OpResult]) -> LinkSteps[OpResult]:
        result: LinkResult = None
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as stop:
                value: OpResult = stop.value
                return value
            if isinstance(effect, LinkSend) and self.tamper is not None:
                effect = LinkSend(tuple(sent for tlp in effect.tlps for sent in self.tamper(tlp)))
            result = yield effect

    def perform(self, op: Op) -> Generator[LinkEffect, LinkResult, OpResult]:
        """Perform one operation."""
        if not isinstance(op, DoeExchange):
            return (yield from perform(self.port, op))
        mailbox = self.mailbox()
        if mailbox is None:
            raise LocalError("no DOE mailbox is known: discover the device first")
        self.objects += 1
        if self.on_object is not None:
            self.on_object(True, op.request)
        answer = yield from self.steps(mailbox.exchange(op.request))
        if self.on_object is not None:
            self.on_object(False, answer)
        return answer
