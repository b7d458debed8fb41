# SPDX-License-Identifier: Apache-2.0
"""Cases as data, their numbered assertions, and what came of them.

A case is one clause and one stimulus. Its steps are a generator over the operations of
`core/ops.py`, so it runs wherever a TSM runs. It passes when every one of its numbered assertions
was evaluated and held: a case that ends early has not passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from teeio.core.ops import Steps
from teeio.errors import LocalError

if TYPE_CHECKING:
    from teeio.conformance.bench import Bench

NEEDS: Final = ("doe", "config", "mmio", "dma", "ide", "reset")


class Level(StrEnum):
    """How binding the clause is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


LEVELS: Final = tuple(Level)


class Verdict(StrEnum):
    """What came of a case.

    A case below MUST that fails is a warning: it is told, and does not fail the run.
    """

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"
    NOT_RUN = "not run"


class SkipCase(Exception):
    """Raised by steps when the device shows that the case does not apply; says why."""


@dataclass(slots=True)
class Assertion:
    """One numbered assertion of a case.

    Attributes:
        number: from 1.
        text: what must hold.
        expected, seen: of the first evaluation that failed, else of the last.
        ok: None until it was evaluated.
    """

    number: int
    text: str
    expected: str = ""
    seen: str = ""
    ok: bool | None = None


class Checks:
    """Evaluates the numbered assertions of one case.

    Args:
        texts: the assertions, number 1 first.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.assertions = [Assertion(i, text) for i, text in enumerate(texts, 1)]

    def __call__(self, number: int, seen: object, expected: object) -> bool:
        """Assertion `number` holds if `seen == expected`; may be evaluated several times."""
        return self.that(number, seen == expected, _text(seen), _text(expected))

    def that(self, number: int, ok: bool, seen: object, expected: object) -> bool:
        """Assertion `number` holds if `ok`.

        Raises:
            LocalError: the case has no such assertion.
        """
        if not 1 <= number <= len(self.assertions):
            raise LocalError(f"the case has no assertion {number}")
        item = self.assertions[number - 1]
        if item.ok is not False:
            item.ok, item.seen, item.expected = ok, _text(seen), _text(expected)
        return ok

    @property
    def problem(self) -> str:
        """The first assertion that failed or was never reached; empty if all hold."""
        for item in self.assertions:
            if item.ok is False:
                return f"{item.number}. {item.text}: expected {item.expected}, seen {item.seen}"
        for item in self.assertions:
            if item.ok is None:
                return f"{item.number}. {item.text}: not reached"
        return ""


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex() or "nothing"
    if isinstance(value, bool) or value is None:
        return str(value)
    return f"{value:#x}" if isinstance(value, int) else str(value)


CaseSteps: TypeAlias = "Callable[[Bench, Checks], Steps[None]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    Attributes:
        id: dotted, its first part is the group.
        title: one line.
        clause: where the rule stands.
        assertions: what must hold, in order; numbered from 1.
        steps: the stimulus.
        level: how binding the clause is.
        needs: what the target must carry, of `NEEDS`.
        aliases: ids of published cases that this one matches.
        note: where the public record is open or disagrees, and what is accepted.
    """

    id: str
    title: str
    clause: str
    assertions: tuple[str, ...]
    steps: CaseSteps = field(repr=False)
    level: Level = Level.MUST
    needs: tuple[str, ...] = ("doe",)
    aliases: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.assertions or not set(self.needs) <= set(NEEDS) or "." not in self.id:
            raise LocalError(f"case {self.id!r}: no assertions, an unknown need, or no group")

    @property
    def group(self) -> str:
        """First part of the id."""
        return self.id.split(".")[0]


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One rung of the message ladder.

    Attributes:
        direction: ">" to the device, "<" from it, "=" a remark.
        layer: "SPDM", "secured SPDM", "DOE", "config", "memory", "port", "step".
        name: what it is.
        fields: decoded.
        data: the bytes in hex; empty where they hold a key or a nonce of a TDI.
    """

    direction: str
    layer: str
    name: str
    fields: dict[str, object] = field(default_factory=dict)
    data: str = ""


@dataclass(slots=True, kw_only=True)
class CaseResult:
    """What came of one case, once."""

    case: Case
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    repeat: int = 0
    assertions: list[Assertion] = field(default_factory=list)
    ladder: list[LadderStep] = field(default_factory=list)
