# SPDX-License-Identifier: Apache-2.0
"""One line of a check: what was looked for, whether the record shows it, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn


class NotShown(Exception):
    """The records do not show what a verdict needs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes: name: the claim. ok: the records show it. detail: how, or why not."""

    name: str
    ok: bool
    detail: str

    def line(self) -> str:
        """The verdict in one line."""
        return f"{'pass' if self.ok else 'fail'}  {self.name}: {self.detail}"


def missing(reason: str) -> NoReturn:
    """Fail the verdict at hand."""
    raise NotShown(reason)


def require(condition: bool, otherwise: str) -> None:
    """Fail the verdict at hand unless the condition holds."""
    if not condition:
        raise NotShown(otherwise)
