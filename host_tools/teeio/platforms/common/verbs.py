# SPDX-License-Identifier: Apache-2.0
"""A verb as a resumable object: an untrusted carrier performs its operations, one at a time.

Operations on the root port's key registers are performed by the hardware behind the TSM and never
shown to the carrier. What a carrier can do to a verb is everything that can be done to its pending
operation: give a wrong result, an error, or never come back.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from teeio.core.ops import Op, OpResult, Steps
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.checks import define
from teeio.platforms.common.context import Context
from teeio.platforms.common.ports import HARDWARE_OPS

T = TypeVar("T")
ABORT_ROUNDS = 256


class VerbReason(Enum):
    """Why a verb was not begun."""

    BUSY = "another verb is in flight on this device"


SINGLE = define("verb.single", "one verb at a time is in flight on a device",
                "CoVE-IO, pending SPDM request; Linux drivers/pci/tsm.c, mutex of the DSM")


class Verb(Generic[T]):
    """One verb in flight.

    Args:
        name: for the log.
        steps: the verb.
        hardware: performs operations of `HARDWARE_OPS`.

    Attributes:
        op: the operation the carrier must perform next; None before `start` and at the end.
    """

    def __init__(self, name: str, steps: Steps[T], hardware: Callable[[Op], OpResult]) -> None:
        self.name = name
        self.op: Op | None = None
        self.done = False
        self.error: Exception | None = None
        self._steps = steps
        self._hardware = hardware
        self._values: list[T] = []

    def start(self) -> None:
        """Go to the first operation of the carrier."""
        self._go(lambda: next(self._steps))

    def resume(self, result: OpResult) -> None:
        """The carrier's result of `op`; goes to the next operation."""
        self._go(lambda: self._steps.send(result))

    def fail(self, error: Exception) -> None:
        """The carrier could not perform `op`; the verb decides what follows."""
        self._go(lambda: self._steps.throw(error))

    def abort(self) -> None:
        """The carrier never came back: the verb ends, its own clean-up included, without it."""
        if self.op is None and not self.done:
            self._steps.close()
            self.done, self.error = True, TransportError("the verb was given up before it began")
        for _ in range(ABORT_ROUNDS):
            if self.done:
                return
            self.fail(TransportError("the host did not come back with an answer; begin again"))
        self._steps.close()
        self.op, self.done = None, True
        self.error = TransportError(f"{self.name} does not end without its carrier")

    def result(self) -> T:
        """What the verb returned.

        Raises:
            LocalError: it has not ended.
            Exception: what it raised.
        """
        if not self.done:
            raise LocalError(f"{self.name} has not ended")
        if self.error is not None:
            raise self.error
        return self._values[0]

    def _go(self, advance: Callable[[], Op]) -> None:
        if self.done:
            raise LocalError(f"{self.name} has ended already")
        try:
            while True:
                op = advance()
                if not isinstance(op, HARDWARE_OPS):
                    self.op = op
                    return
                advance = self._hardware_result(op)
        except StopIteration as stop:
            self._values.append(stop.value)
        except Exception as error:
            self.error = error
        self.op, self.done = None, True

    def _hardware_result(self, op: Op) -> Callable[[], Op]:
        try:
            value = self._hardware(op)
        except LocalError as failure:
            error = failure
            return lambda: self._steps.throw(error)
        return lambda: self._steps.send(value)


class VerbGate:
    """Lets one verb at a time into a device.

    Args:
        context: shared.
        hardware: as for `Verb`.
        device: name of the device, for the record.
    """

    def __init__(self, context: Context, hardware: Callable[[Op], OpResult], device: str) -> None:
        self.current: Verb[object] | None = None
        self.device = device
        self._context = context
        self._hardware = hardware

    def open(self, name: str, steps: Steps[T]) -> Verb[T]:
        """Begin a verb; the platform turns `Refused` into its own busy answer.

        Raises:
            Refused: SINGLE, with `VerbReason.BUSY`.
        """
        busy = self.current is not None and not self.current.done
        try:
            self._context.checks.require(SINGLE, not busy, VerbReason.BUSY,
                                         f"{name} on {self.device}")
        except Exception:
            steps.close()
            raise
        verb = Verb(name, steps, self._hardware)
        self.current = verb  # type: ignore[assignment]
        return verb
