# SPDX-License-Identifier: Apache-2.0
"""One explained object or TLP, and the sum over a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

Plain: TypeAlias = "int | str | bool | list[Plain] | dict[str, Plain] | None"
"""What JSON can hold."""

REQUEST, RESPONSE, UNKNOWN = "request", "response", "?"


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was verified: a signature, a MAC, a digest."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One object of a pcap, or one line of a trace.

    Attributes:
        number: its place in the file, from 0.
        time_us: microseconds since 1970; 0 if the file says none.
        layer: "DOE", "SPDM", "secured SPDM", "TLP", "step".
        direction: "request", "response", "?"; for TLPs "to device", "from device".
        session_id: of a secured message.
        name: what it is.
        fields: its fields as plain data, nested where the message nests.
        checks: what was verified with it.
        is_sealed: encrypted, and no key for it.
        error: why it could not be read; empty if it could.
    """

    number: int
    layer: str
    name: str
    time_us: int = 0
    direction: str = UNKNOWN
    session_id: int | None = None
    fields: dict[str, Plain] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    is_sealed: bool = False
    error: str = ""

    @property
    def ok(self) -> bool:
        """It was read, and nothing about it is wrong."""
        return not self.error and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Plain]:
        """Plain data."""
        out: dict[str, Plain] = asdict(self)
        return out

    def check(self, name: str, ok: bool, detail: str = "") -> None:
        """Notes a verification."""
        self.checks.append(Check(name, ok, detail))


@dataclass(slots=True)
class Summary:
    """Counts over a file."""

    entries: int = 0
    errors: int = 0
    sessions: int = 0
    opened: int = 0
    sealed: int = 0
    checks_passed: int = 0
    checks_failed: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry], sessions: int = 0) -> Summary:
        """Counts entries."""
        out = cls(sessions=sessions)
        for entry in entries:
            out.entries += 1
            out.errors += bool(entry.error)
            out.sealed += entry.is_sealed
            out.opened += entry.layer == "secured SPDM" and not entry.is_sealed and not entry.error
            good = sum(check.ok for check in entry.checks)
            out.checks_passed += good
            out.checks_failed += len(entry.checks) - good
        return out

    @property
    def ok(self) -> bool:
        """Everything was read and every check passed."""
        return not self.errors and not self.checks_failed

    def line(self) -> str:
        """One line for people."""
        return (f"{self.entries} entries, {self.errors} unreadable; {self.sessions} sessions,"
                f" {self.opened} records opened, {self.sealed} sealed; checks:"
                f" {self.checks_passed} passed, {self.checks_failed} failed")
