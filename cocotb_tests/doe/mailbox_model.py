# SPDX-License-Identifier: Apache-2.0
"""Model of a DOE mailbox at the level of whole operations, from the rules of PCIe Base 6.30.

It knows nothing of clocks: each method is one action of the host or of the firmware, and the
properties are what a host must then read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

ABORT, INT_ENABLE, GO = 1 << 0, 1 << 1, 1 << 31
BUSY, INT_STATUS, ERROR, READY = 1 << 0, 1 << 1, 1 << 2, 1 << 31


class Phase(enum.Enum):
    """Who has the exchange."""

    HOST_WRITES = enum.auto()
    OFFERED = enum.auto()  # the firmware has not looked yet
    WORKING = enum.auto()  # the firmware reads the request
    ANSWERED = enum.auto()  # the host reads the response
    ZOMBIE = enum.auto()  # dead for the host, still in the firmware's hands


@dataclass
class MailboxModel:
    """State of one mailbox that takes objects of up to `capacity` DWs."""

    capacity: int
    phase: Phase = Phase.HOST_WRITES
    request: list[int] = field(default_factory=list)
    response: list[int] = field(default_factory=list)
    error: bool = False
    int_enable: bool = False
    int_status: bool = False
    abort_event: bool = False
    irqs: int = 0

    # ---- what the host reads

    @property
    def control(self) -> int:
        return INT_ENABLE * self.int_enable

    @property
    def status(self) -> int:
        return (
            BUSY * (self.phase is not Phase.HOST_WRITES)
            | INT_STATUS * self.int_status
            | ERROR * self.error
            | READY * (self.phase is Phase.ANSWERED)
        )

    @property
    def read_data(self) -> int:
        return self.response[0] if self.phase is Phase.ANSWERED and not self.error else 0

    # ---- what the host does

    def write_control(self, value: int) -> None:
        before = self.status
        self.int_enable = bool(value & INT_ENABLE)
        if value & ABORT:
            self._abort()
        elif value & GO and not self.status & (BUSY | ERROR):
            whole = len(self.request) >= 2 and self.request[1] & 0x3FFFF == len(self.request)
            if whole:
                self.phase = Phase.OFFERED
            else:
                self.request = []
        self._interrupt(before)

    def write_status(self, value: int) -> None:
        if value & INT_STATUS:
            self.int_status = False

    def push(self, dw: int) -> None:
        before = self.status
        if not before & (BUSY | ERROR):
            if len(self.request) == self.capacity:
                self.error = True
            else:
                self.request.append(dw)
        self._interrupt(before)

    def acknowledge(self) -> None:
        before = self.status
        if self.phase is Phase.ANSWERED:
            self.response.pop(0)
            if not self.response:
                self._rest()
        else:
            self._break()
        self._interrupt(before)

    def function_level_reset(self) -> None:
        self._abort()
        self.int_enable = self.int_status = False

    # ---- what the firmware does

    def take(self) -> None:
        if self.phase is Phase.OFFERED:
            self.phase = Phase.WORKING

    def respond(self, dws: list[int]) -> None:
        before = self.status
        if self.phase is Phase.WORKING:
            if 2 <= len(dws) <= self.capacity:
                self.phase, self.response = Phase.ANSWERED, list(dws)
            else:
                self.fail()
                return
        elif self.phase is Phase.ZOMBIE:
            self._rest()
        self._interrupt(before)

    def discard(self) -> None:
        before = self.status
        if self.phase in (Phase.WORKING, Phase.ZOMBIE):
            self._rest()
        self._interrupt(before)

    def fail(self) -> None:
        before = self.status
        if self.phase is not Phase.ZOMBIE:
            self.error = True
        self._rest(keep_request=True)
        self._interrupt(before)

    def acknowledge_abort(self) -> None:
        before = self.status
        if self.phase is Phase.ZOMBIE:
            self._rest()
        self.abort_event = False
        self._interrupt(before)

    def time_out(self) -> None:
        """The second of the specification is over without a response."""
        before = self.status
        if self.phase in (Phase.OFFERED, Phase.WORKING):
            self._break()
        self._interrupt(before)

    # ---- common parts

    def _rest(self, keep_request: bool = False) -> None:
        self.phase, self.response = Phase.HOST_WRITES, []
        if not keep_request:
            self.request = []

    def _kill(self) -> None:
        held = self.phase in (Phase.WORKING, Phase.ZOMBIE)
        self.phase, self.response = (Phase.ZOMBIE if held else Phase.HOST_WRITES), []

    def _abort(self) -> None:
        self._kill()
        self.request, self.error, self.abort_event = [], False, True

    def _break(self) -> None:
        self._kill()
        self.error = True

    def _interrupt(self, before: int) -> None:
        now = self.status
        fired = (now & ~before & (READY | ERROR)) or (before & ~now & BUSY)
        if fired and self.int_enable:
            self.irqs += not self.int_status
            self.int_status = True
