# SPDX-License-Identifier: Apache-2.0
"""The order log: which actor did what, in which order; and questions about that order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One step.

    Attributes:
        number: position, from 0.
        seconds: since the log began.
        actor: who did it: "TSM", "VMM", "guest 1", "IOMMU", ...
        to: whom it was sent to; empty for something an actor does by itself.
        verb: what is being done: "connect", "bind", ...
        message: the message or step, with the specification's name first.
        detail: more, for people.
    """

    number: int
    seconds: float
    actor: str
    to: str
    verb: str
    message: str
    detail: str = ""


class OrderLog:
    """Entries in order. Text only: no message bytes, so no secrets, enter it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._verb = threading.local()
        self._start = time.monotonic()

    @property
    def verb(self) -> str:
        """The verb at hand, of this thread."""
        name: str = getattr(self._verb, "name", "")
        return name

    @verb.setter
    def verb(self, name: str) -> None:
        self._verb.name = name

    def add(self, actor: str, message: str, *, to: str = "", detail: str = "") -> Entry:
        """Append a step of the verb at hand (`self.verb`)."""
        entry = Entry(len(self.entries), time.monotonic() - self._start, actor, to, self.verb,
                      message, detail)
        self.entries.append(entry)
        return entry

    def numbers(self, message: str, *, actor: str | None = None, verb: str | None = None,
                since: int = 0) -> Iterator[int]:
        """Positions of the entries whose message is `message` or begins with it and a blank."""
        for entry in self.entries[since:]:
            if (entry.message == message or entry.message.startswith(message + " ")) and (
                    actor is None or entry.actor == actor) and (verb is None or entry.verb == verb):
                yield entry.number

    def first(self, message: str, *, actor: str | None = None, verb: str | None = None,
              since: int = 0) -> int | None:
        """Position of the first such entry, None if there is none."""
        return next(self.numbers(message, actor=actor, verb=verb, since=since), None)

    def in_order(self, *messages: str, since: int = 0) -> str:
        """Empty if each message occurs after the one before it, else the first that does not."""
        at = since
        for message in messages:
            found = self.first(message, since=at)
            if found is None:
                return message
            at = found + 1
        return ""

    def text(self) -> str:
        """One line an entry; what the secret scan reads."""
        return "\n".join(f"{e.seconds:9.4f} {e.actor}{f' -> {e.to}' if e.to else ''} [{e.verb}]"
                         f" {e.message} {e.detail}".rstrip() for e in self.entries)
