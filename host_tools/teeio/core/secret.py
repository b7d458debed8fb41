# SPDX-License-Identifier: Apache-2.0
"""A byte string that does not show itself and can be wiped."""

from __future__ import annotations

import weakref
from typing import NoReturn

from teeio.errors import LocalError


class Secret:
    """Holds secret bytes in a buffer of its own.

    `reveal()` gives a short-lived copy to a primitive that needs `bytes`; such copies are beyond
    our reach (Python frees but does not clear them), the buffer itself is zeroed by `wipe()`.
    """

    __slots__ = ("__weakref__", "_buffer", "_is_wiped")

    def __init__(self, data: bytes | bytearray) -> None:
        self._buffer = bytearray(data)
        self._is_wiped = False
        at = id(self)
        _alive[at] = weakref.ref(self, lambda _: _alive.pop(at, None))

    def __len__(self) -> int:
        return len(self._buffer)

    def __repr__(self) -> str:
        return f"Secret({len(self._buffer)} bytes{', wiped' if self._is_wiped else ''})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised")

    @property
    def is_wiped(self) -> bool:
        return self._is_wiped

    def reveal(self) -> bytes:
        """The bytes.

        Raises:
            LocalError: after `wipe()`.
        """
        if self._is_wiped:
            raise LocalError("this secret has been wiped")
        return bytes(self._buffer)

    def wipe(self) -> None:
        """Overwrites the buffer with zeros; idempotent."""
        for at in range(len(self._buffer)):
            self._buffer[at] = 0
        self._is_wiped = True


# By id, not by value: no secret is hashed or compared. `list` of a dictionary is one step, so that
# other threads may make secrets meanwhile.
_alive: dict[int, weakref.ref[Secret]] = {}


def live_secrets() -> list[bytes]:
    """Values of all secrets that exist now and are not wiped, for scans that look for leaks."""
    alive = [reference() for reference in list(_alive.values())]
    return [bytes(secret._buffer) for secret in alive if secret is not None
            and not secret.is_wiped]
