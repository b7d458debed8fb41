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
BANKS = 4  # a row of work memory is 16 bytes, a word of it in each bank


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
    """A secret as its bytes may lie: as they are, or spread over four word-wide banks; each of
    these backwards, with its words turned, with its words in reverse order."""
    words = [secret[i:i + 4] for i in range(0, len(secret), 4)]
    out = set()
    for lie in (words, *(words[bank::BANKS] for bank in range(BANKS))):
        plain, turned = b"".join(lie), b"".join(word[::-1] for word in lie)
        out |= {plain, plain[::-1], turned, turned[::-1]}
    return out


def find(cells: Sequence[Cell], secrets: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Where parts of secrets are.

    Args:
        cells: a dump.
        secrets: name to bytes, at least 8 and a multiple of 4; no eight of them all zero.

    Returns:
        Name to the paths that hold at least eight neighbouring bytes of it; names of secrets that
        are nowhere are missing.

    Raises:
        ValueError: a secret that cannot be looked for.
    """
    windows: dict[bytes, str] = {}
    for name, secret in secrets.items():
        if len(secret) < WINDOW or len(secret) % STEP:
            raise ValueError(f"{name}: {len(secret)} bytes")
        for form in forms(secret):
            for at in range(0, len(form) - WINDOW + 1, STEP):
                windows[form[at:at + WINDOW]] = name
    if bytes(WINDOW) in windows:
        raise ValueError(f"a part of {windows[bytes(WINDOW)]} is all zero")
    out: dict[str, set[str]] = {}
    for cell in cells:
        if not any(cell.words):
            continue
        for image in cell.images():
            for at in range(len(image) - WINDOW + 1):
                name = windows.get(image[at:at + WINDOW])
                if name is not None:
                    out.setdefault(name, set()).add(cell.path)
    return {name: sorted(paths) for name, paths in out.items()}
