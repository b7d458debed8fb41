# SPDX-License-Identifier: Apache-2.0
"""Runs core generators: `run` for blocking transports, `run_async` for awaiting ones (cocotb).

An exception of `perform` is thrown into the generator, so that it can clean up or recover.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from teeio.core.ops import Op, OpResult, Steps

T = TypeVar("T")


def run(steps: Steps[T], perform: Callable[[Op], OpResult]) -> T:
    """Drives `steps` to its end, performing each operation by a call."""
    resume: Callable[[], Op] = partial(next, steps)
    while True:
        try:
            op = resume()
        except StopIteration as stop:
            value: T = stop.value
            return value
        try:
            resume = partial(steps.send, perform(op))
        except Exception as error:
            resume = partial(steps.throw, error)


async def run_async(steps: Steps[T], perform: Callable[[Op], Awaitable[OpResult]]) -> T:
    """Drives `steps` to its end, performing each operation by awaiting a call."""
    resume: Callable[[], Op] = partial(next, steps)
    while True:
        try:
            op = resume()
        except StopIteration as stop:
            value: T = stop.value
            return value
        try:
            resume = partial(steps.send, await perform(op))
        except Exception as error:
            resume = partial(steps.throw, error)
