# SPDX-License-Identifier: Apache-2.0
"""Everything a design holds, and where in it a secret is found.

`Walker` visits the hierarchy once and reads every register and memory that the simulator shows;
`find` looks for secrets in what it read, whatever way their bytes lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.handle import ArrayObject, HierarchyArrayObject, HierarchyObject, ValueObjectBase

# Half of a 128-bit row, two words of a CPU: short enough to find a part of a key, long enough that
# no other content looks like it.
WINDOW = 8
STEP = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """One register or memory.

    Attributes:
        path: hierarchical name.
        width: bits of an element.
        words: its elements, in order of their indices; one for a register.
    """

    path: str
    width: int
    words: tuple[int, ...]

    def images(self) -> Iterator[bytes]:
        """Its bits as byte strings, in every order in which neighbours can form a secret."""
        size = -(-self.width // 8)
        if len(self.words) > 1:
            yield b"".join(w.to_bytes(size, "big") for w in self.words)
            if size > 1:
                yield b"".join(w.to_bytes(size, "little") for w in self.words)
            return
        # A field of a packed structure may begin at any bit.
        for shift in range(8 if self.width > 64 else 1):
            yield (self.words[0] >> shift).to_bytes(size, "big")


class Walker:
    """Reads the cells below a handle.

    Args:
        root: where to begin.
        skip: regular expression; paths that match anywhere are left out.
    """

    def __init__(self, root: Any, skip: str = r"(?!)") -> None:
        self._skip = re.compile(skip)
        self._handles: list[tuple[str, Any]] = []
        self._visit(root)

    def _visit(self, handle: Any) -> None:
        if isinstance(handle, HierarchyObject | HierarchyArrayObject):
            for child in handle:
                self._visit(child)
        elif not isinstance(handle, ValueObjectBase) or handle.is_const:
            return
        elif not self._skip.search(handle._path):
            self._handles.append((handle._path, handle))

    @property
    def paths(self) -> list[str]:
        """Names of all cells."""
        return [path for path, _ in self._handles]

    def dump(self) -> list[Cell]:
        """Read them all."""
        return [Cell(path, *_read(handle)) for path, handle in self._handles]


def _read(handle: Any) -> tuple[int, tuple[int, ...]]:
    if isinstance(handle, ArrayObject):
        words: list[int] = []
        width = 0
        for element in handle:
            width, part = _read(element)
            words += part
        return width, tuple(words)
    return len(handle), (int(handle.value),)


def forms(secret: bytes) -> set[bytes]:
    """A secret as its bytes may lie: as they are, backwards, words turned, words backwards."""
    turned = b"".join(secret[i:i + 4][::-1] for i in range(0, len(secret), 4))
    return {secret, secret[::-1], turned, turned[::-1]}


def find(cells: Sequence[Cell], secrets: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Where parts of secrets are.

    Args:
        cells: a dump.
        secrets: name to bytes, at least 8 and a multiple of 4; no part may be all zero.

    Returns:
        Name to the paths that hold at least eight neighbouring bytes of it; names of secrets that
        are nowhere are missing.
    """
    windows: dict[str, set[bytes]] = {}
    for name, secret in secrets.items():
        if len(secret) < WINDOW or len(secret) % STEP:
            raise ValueError(f"{name}: {len(secret)} bytes")
        windows[name] = {form[at:at + WINDOW] for form in forms(secret)
                         for at in range(0, len(secret) - WINDOW + 1, STEP)}
        if any(not any(window) for window in windows[name]):
            raise ValueError(f"{name}: a part of it is all zero and would be found everywhere")
    out: dict[str, list[str]] = {}
    for cell in cells:
        if not any(cell.words):
            continue
        images = list(cell.images())
        for name, parts in windows.items():
            if any(part in image for part in parts for image in images):
                out.setdefault(name, []).append(cell.path)
    return out
