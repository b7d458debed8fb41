# SPDX-License-Identifier: Apache-2.0
"""Checks: one rule each, with a reason when it refuses and a switch to leave it out.

A check is defined once (`define`) and taken through one call (`CheckSet.take` or `.require`), which
records it. Switching a check off is how the mutation runner proves that a scenario depends on it; a
check that is off is recorded too, and lets everything pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from teeio.errors import LocalError, TsmError


@dataclass(frozen=True, slots=True)
class Check:
    """One rule.

    Attributes:
        id: dotted name, platform first: "iommu.stream".
        text: what must hold.
        clause: the public document and section that says so.
    """

    id: str
    text: str
    clause: str


_REGISTRY: dict[str, Check] = {}


def define(identity: str, text: str, clause: str) -> Check:
    """Register a check.

    Raises:
        LocalError: the name is taken.
    """
    if identity in _REGISTRY:
        raise LocalError(f"check {identity} is defined twice")
    check = Check(identity, text, clause)
    _REGISTRY[identity] = check
    return check


def all_checks() -> list[Check]:
    """Every check of the platforms imported so far, by name."""
    return [_REGISTRY[name] for name in sorted(_REGISTRY)]


class Refused(TsmError):
    """A check refused.

    Attributes:
        check: which.
        reason: member of a platform's reason enum; scenarios compare this.
    """

    def __init__(self, check: Check, reason: Enum, subject: str = "") -> None:
        super().__init__(f"{check.id}: {reason.value}{f' ({subject})' if subject else ''}")
        self.check = check
        self.reason = reason


class Outcome(Enum):
    """What became of one check."""

    PASSED = "passed"
    REFUSED = "refused"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Taken:
    """One check that was taken.

    Attributes:
        check: its id.
        outcome: what became of it.
        reason: name of the reason if it refused, or would have had it not been off.
        subject: what it was about, for people.
    """

    check: str
    outcome: Outcome
    reason: str
    subject: str


class CheckSet:
    """The checks of one run.

    Args:
        off: ids of checks to leave out.

    Raises:
        LocalError: no check has that id (of the platforms imported so far).
    """

    def __init__(self, off: Iterable[str] = ()) -> None:
        self.off = frozenset(off)
        unknown = sorted(self.off - _REGISTRY.keys())
        if unknown:
            raise LocalError(f"no check is called {unknown[0]!r}: see `teeio platform list`")
        self.taken: list[Taken] = []

    def take(self, check: Check, holds: bool, reason: Enum, subject: str = "") -> Enum | None:
        """Take a check: None if it holds or is off, else `reason`."""
        if check.id in self.off:
            outcome = Outcome.OFF
        else:
            outcome = Outcome.PASSED if holds else Outcome.REFUSED
        self.taken.append(Taken(check.id, outcome, "" if holds else reason.name, subject))
        return reason if outcome is Outcome.REFUSED else None

    def require(self, check: Check, holds: bool, reason: Enum, subject: str = "") -> None:
        """Take a check.

        Raises:
            Refused: it does not hold.
        """
        if self.take(check, holds, reason, subject) is not None:
            raise Refused(check, reason, subject)

    def is_off(self, check: Check) -> bool:
        """The check is left out; for places where more than one line depends on it."""
        return check.id in self.off

    def names(self) -> set[str]:
        """Ids of all checks that were taken or passed over."""
        return {item.check for item in self.taken}
