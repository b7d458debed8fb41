# SPDX-License-Identifier: Apache-2.0
"""One machine with several boards: a root complex, and behind each of its ports a host's worth.

Each board has its own link, TSM, session and IDE keys; memory is shared and guarded by owner.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from teeio.core.ops import Steps
from teeio.core.port_steps import LinkEffect, LinkSteps
from teeio.core.rootcomplex import RootComplex
from teeio.core.tsm import TsmPolicy
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import Host, Recording
from teeio.transports.bench import BenchTransport

T = TypeVar("T")


class _Lane(Generic[T]):
    """A program on its transport, one link effect at a time."""

    def __init__(self, transport: BenchTransport, steps: LinkSteps[T]) -> None:
        self.values: list[T] = []
        self.error: TsmError | None = None
        self._transport = transport
        self._steps = steps
        self._resume: Callable[[], LinkEffect] = partial(next, steps)

    def step(self) -> bool:
        """Go on by one effect; True when the program has ended."""
        try:
            effect = self._resume()
        except StopIteration as stop:
            self.values.append(stop.value)
            return True
        except TsmError as error:
            self.error = error
            return True
        try:
            self._resume = partial(self._steps.send, self._transport.do(effect))
        except TransportError as error:
            self._resume = partial(self._steps.throw, error)
        return False


class Machine:
    """Hosts of several boards on one root complex; `hosts[k]` is what is behind port k.

    Args:
        urls: the boards, one a port.
        policy: what every TSM trusts.
        observe: called with (port, step, detail) as verbs go on.
        recordings: what to record of each board.
        rng: source of random bytes.

    Raises:
        TransportError: a board does not answer; the links to the others are closed again.
        LocalError: too many boards, or not one recording a board.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: TsmPolicy,
        *,
        observe: Callable[[int, str, str], None] | None = None,
        recordings: Sequence[Recording] | None = None,
        rng: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if recordings is not None and len(recordings) != len(urls):
            raise LocalError(f"{len(recordings)} recordings for {len(urls)} boards: give one each")
        self.complex = RootComplex(len(urls))
        self.memory = self.complex.memory
        self.hosts: list[Host] = []
        try:
            for k, (url, port) in enumerate(zip(urls, self.complex.ports, strict=True)):
                self.hosts.append(Host(
                    url, policy, port=port, rng=rng,
                    observe=partial(observe, k) if observe is not None else None,
                    recording=recordings[k] if recordings is not None else None))
        except BaseException:
            self.close()
            raise

    def run_together(self, *programs: Steps[T]) -> list[T]:
        """Run one program on each board, in turns, so that the boards work at the same time.

        Returns:
            The results, in the order of the boards.

        Raises:
            TsmError: that of the first board whose program failed, after all have ended.
            LocalError: not one program a board.
        """
        if len(programs) != len(self.hosts):
            raise LocalError(f"{len(programs)} programs for {len(self.hosts)} boards: give each"
                             " one")
        lanes = [_Lane(host.transport, host.program(steps))
                 for host, steps in zip(self.hosts, programs, strict=True)]
        going = deque(lanes)
        while going:
            lane = going.popleft()
            if not lane.step():
                going.append(lane)
        for lane in lanes:
            if lane.error is not None:
                raise lane.error
        return [value for lane in lanes for value in lane.values]

    def discover(self) -> None:
        """Enumerate every device."""
        self.run_together(*(host.discovery() for host in self.hosts))

    def close(self) -> None:
        """Close all links and records."""
        for host in self.hosts:
            host.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
