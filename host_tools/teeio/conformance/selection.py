# SPDX-License-Identifier: Apache-2.0
"""Which cases of the suite run: by id, alias or group, by level, by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from teeio.conformance.model import LEVELS, Case, Level
from teeio.errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run.

    Attributes:
        only: patterns (`*`, `?`) of ids or aliases, or group names; none: everything.
        level: the weakest level that runs.
        shard: (i, n): the i-th of n parts, i from 1.
    """

    only: tuple[str, ...] = ()
    level: Level = Level.MAY
    shard: tuple[int, int] = (1, 1)

    def apply(self, cases: Sequence[Case]) -> list[Case]:
        """The selected cases in the order of the suite.

        Raises:
            LocalError: a pattern matches nothing, or two cases have the same id.
        """
        ids = [case.id for case in cases]
        if len(set(ids)) != len(ids):
            raise LocalError("two cases have the same id")
        for pattern in self.only:
            if not any(matches(case, pattern) for case in cases):
                raise LocalError(f"--only {pattern}: no such case; see `teeio conformance list`")
        chosen = [case for case in cases
                  if (not self.only or any(matches(case, p) for p in self.only))
                  and LEVELS.index(case.level) <= LEVELS.index(self.level)]
        part, parts = self.shard
        return chosen[part - 1::parts]


def matches(case: Case, pattern: str) -> bool:
    """Does the pattern name the case, its group, or an alias? Ids are lower case."""
    return pattern == case.group or any(fnmatchcase(name, pattern)
                                        for name in (case.id, *case.aliases))


def parse_shard(text: str) -> tuple[int, int]:
    """Reads ``i/n``.

    Raises:
        LocalError: it is not 1 <= i <= n.
    """
    try:
        part, parts = (int(item) for item in text.split("/"))
        if not 1 <= part <= parts:
            raise ValueError
    except ValueError:
        raise LocalError(f"--shard {text}: it is i/n with 1 <= i <= n") from None
    return part, parts
