# SPDX-License-Identifier: Apache-2.0
"""A tree of attributes as sysfs shows it: text files that are there, or not, with an errno.

What is read here is visible to the host's users: it goes through the secret scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from teeio.errors import TsmError
from teeio.platforms.common.context import Context
from teeio.platforms.linux.errno import Errno, errno_of

Show = Callable[[], str]
Store = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One file.

    Attributes:
        show: its contents without the newline; None: write only.
        store: takes what is written, without the newline; None: read only.
        visible: whether the file is there now.
    """

    show: Show | None
    store: Store | None
    visible: Callable[[], bool]


class SysfsTree:
    """Files by path."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._files: dict[str, Attribute] = {}
        self.trace: list[str] = []

    def add(self, path: str, *, show: Show | None = None, store: Store | None = None,
            visible: Callable[[], bool] = lambda: True) -> None:
        """Make a file."""
        self._files[path] = Attribute(show, store, visible)

    def exists(self, path: str) -> bool:
        """The file is there."""
        return path in self._files and self._files[path].visible()

    def list(self, prefix: str = "") -> list[str]:
        """Paths of the files that are there."""
        return sorted(path for path in self._files
                      if path.startswith(prefix) and self.exists(path))

    def read(self, path: str) -> str | int:
        """Contents, or a negative errno."""
        result: str | int
        if not self.exists(path):
            result = -Errno.ENOENT
        else:
            show = self._files[path].show
            result = -Errno.EACCES if show is None else show()
        if isinstance(result, str):
            self._context.scan.crossed("sysfs", result.encode())
        self._note(f"cat {path}", result)
        return result

    def write(self, path: str, value: str) -> int:
        """0, or a negative errno."""
        result = 0
        if not self.exists(path):
            result = -Errno.ENOENT
        else:
            store = self._files[path].store
            if store is None:
                result = -Errno.EACCES
            else:
                try:
                    store(value.strip())
                except TsmError as error:
                    result = -errno_of(error)
                    self._context.log.add("Linux", f"{errno_of(error).name}", detail=str(error))
        self._note(f"echo {value.strip()} > {path}", result)
        return result

    def _note(self, what: str, result: str | int) -> None:
        shown = result if isinstance(result, str) else (
            f"-{Errno(-result).name}" if result else "0")
        self.trace.append(f"{what}: {shown}")
        self._context.log.add("user", what, to="Linux", detail=shown)
