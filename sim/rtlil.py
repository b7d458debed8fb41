# SPDX-License-Identifier: Apache-2.0
"""Yosys netlist text (RTLIL) as modules that can be compared and cut.

read_slang writes one module an instance, named `module$path`. Here equal modules get one name,
`module$digest`, so that sixteen S-boxes are synthesised once, and a netlist can be cut at chosen
modules: each piece then has a text that names all it depends on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

# Names with a counter that runs through the whole design; all others count within their module.
_COUNTED = re.compile(r"\$(?:procmux|procdff|auto|ternary|memory)\$[^\s\[\]\"]*")
_NOISE = ("attribute \\src ", "attribute \\hdlname ", "attribute \\full_case",
          "attribute \\parallel_case")
_CELL = re.compile(r"  cell (\\\S+) ")
_PORT = re.compile(r"  wire (?:\w+ \d+ |signed |upto )*(?:input|output|inout) \d+ ")


def plain(name: str) -> str:
    """Name of a module in the source text: without escape and without path or digest."""
    return name.lstrip("\\").split("$", 1)[0]


@dataclass
class Module:
    """One module; `lines` are its text without the first and the last line."""

    name: str
    lines: list[str]
    cells: list[str] = field(default_factory=list)  # type of each instance of a module

    def text(self) -> str:
        """As Yosys reads it."""
        return "\n".join([f"module {self.name}", *self.lines, "end", ""])

    def stub(self) -> str:
        """The same ports without content."""
        ports = [line for line in self.lines if _PORT.match(line)]
        return "\n".join(["attribute \\blackbox 1", f"module {self.name}", *ports, "end", ""])


def parse(text: str) -> dict[str, Module]:
    """Split a netlist file into its modules."""
    out: dict[str, Module] = {}
    lines: list[str] | None = None
    name = ""
    for line in text.splitlines():
        if line.startswith("module "):
            name, lines = line.split()[1], []
        elif line == "end" and lines is not None:
            out[name] = Module(name, lines)
            lines = None
        elif lines is not None and not line.lstrip().startswith(_NOISE):
            lines.append(line)
    for module in out.values():
        found = (match.group(1) for line in module.lines if (match := _CELL.match(line)))
        module.cells = [kind for kind in found if kind in out]
    return out


def _in_order(lines: list[str]) -> list[str]:
    """Statements of a module in an order that depends on the module alone.

    Yosys keeps them in the order of names with a counter of the whole design: without this, a
    change in one block would change the text of the others.
    """
    statements: list[list[str]] = [[]]
    inside = False
    for line in lines:
        statements[-1].append(line)
        word = line.split(maxsplit=1)[0]
        if word == "cell":
            inside = True
        elif word == "end":
            inside = False
        if not inside and word != "attribute":
            statements.append([])
    ranks = {"wire": 0, "memory": 1, "cell": 2, "connect": 3}

    def key(statement: list[str]) -> tuple[int, str]:
        kind = next(line.split(maxsplit=1)[0] for line in statement
                    if not line.startswith("  attribute"))
        return ranks[kind], _COUNTED.sub("$auto", "\n".join(statement))

    return [line for s in sorted(filter(None, statements), key=key) for line in s]


def merge_equal(modules: dict[str, Module], top: str) -> tuple[dict[str, Module], str]:
    """Give equal modules one name, from the leaves up.

    Returns:
        The modules below `top` by their new names, and the new name of `top`.
    """
    new_names: dict[str, str] = {}
    out: dict[str, Module] = {}

    def visit(name: str) -> str:
        if name in new_names:
            return new_names[name]
        module = modules[name]
        # In order of the text: whatever reads the result next counts in the order it finds.
        below = {kind: visit(kind) for kind in sorted(set(module.cells))}
        numbers: dict[str, str] = {}

        def renumber(match: re.Match[str]) -> str:
            return numbers.setdefault(match.group(0), f"$auto${len(numbers)}")

        lines = []
        for line in _in_order(module.lines):
            match = _CELL.match(line)
            if match and match.group(1) in below:
                line = f"  cell {below[match.group(1)]} {line[match.end():]}"
            lines.append(_COUNTED.sub(renumber, line))
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:10]
        new = f"\\{plain(name)}${digest}"
        out[new] = Module(new, lines, [below[kind] for kind in module.cells])
        new_names[name] = new
        return new

    return out, visit(top)


def piece(modules: dict[str, Module], root: str, borders: set[str]) -> tuple[str, list[str]]:
    """Cut one piece out: a module with all below it, down to the modules named in `borders`.

    Returns:
        Its text, in which a border is a black box, and the border instances (with repetition).
    """
    inside: dict[str, Module] = {}
    met: dict[str, int] = {}

    def visit(name: str, copies: int) -> None:
        inside[name] = modules[name]
        for kind in modules[name].cells:
            if kind in borders:
                met[kind] = met.get(kind, 0) + copies
            else:
                visit(kind, copies)

    visit(root, 1)
    text = "".join([*(inside[n].text() for n in sorted(inside)),
                    *(modules[n].stub() for n in sorted(met))])
    return text, [kind for kind, n in sorted(met.items()) for _ in range(n)]
