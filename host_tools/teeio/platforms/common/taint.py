# SPDX-License-Identifier: Apache-2.0
"""Secret scan: nothing that an untrusted party sees may hold a window of a live secret.

Every `Secret` that is alive when something crosses is learned then, and stays in the table after it
is wiped; what crosses is searched at the end, when the table is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from teeio.core.secret import live_secrets
from teeio.scan import WINDOW, Leak, find_secrets

Source = Callable[[], Iterable[bytes]]


class SecretScan:
    """What crossed, and the secrets there were meanwhile.

    Args:
        sources: give further secrets that live outside of `Secret` objects, as key registers do.
    """

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        self._sources = sources
        self._known: set[bytes] = set()
        self._crossed: dict[str, bytearray] = {}

    def learn(self) -> None:
        """Take note of the secrets alive now."""
        alive = live_secrets() + [value for source in self._sources for value in source()]
        self._known.update(value for value in alive
                           if len(value) >= WINDOW and len(set(value)) > WINDOW // 2)

    def add(self, secret: bytes) -> None:
        """Take note of a value that no `Secret` object holds (guest data, for instance)."""
        self._known.add(bytes(secret))

    def crossed(self, where: str, data: bytes) -> None:
        """Something became visible to an untrusted party: `where` names it in a finding."""
        self.learn()
        self._crossed.setdefault(where, bytearray()).extend(data)

    @property
    def known(self) -> int:
        """How many secrets are looked for."""
        return len(self._known)

    @property
    def crossed_bytes(self) -> int:
        """How many bytes are searched."""
        return sum(map(len, self._crossed.values()))

    def leaks(self) -> list[Leak]:
        """Every place where a window of a secret stands."""
        self.learn()
        return find_secrets({"live secret": self._known},
                            {name: bytes(data) for name, data in self._crossed.items()})
