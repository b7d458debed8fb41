# SPDX-License-Identifier: Apache-2.0
"""The rings of the package: what `wire` and `core` may import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import teeio

PACKAGE = Path(teeio.__file__).parent
FORBIDDEN = {
    "asyncio", "cocotb", "io", "os", "pathlib", "random", "secrets", "select", "serial", "signal",
    "socket", "ssl", "subprocess", "sys", "threading", "time", "urllib",
}  # fmt: skip


def imports(path: Path) -> set[str]:
    """Every module name that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("ring", ["wire", "core"])
def test_inner_rings_touch_nothing_outside(ring: str) -> None:
    """No I/O, no clock, no randomness; wire knows nothing of core, core nothing of transports."""
    files = sorted((PACKAGE / ring).glob("*.py"))
    assert len(files) > 10
    allowed = ("teeio.wire", "teeio.errors") + (("teeio.core",) if ring == "core" else ())
    for path in files:
        for name in imports(path):
            assert name.split(".")[0] not in FORBIDDEN, f"{path.name} imports {name}"
            if name.startswith("teeio"):
                assert name.startswith(allowed), f"{path.name} imports {name}"


def test_inner_rings_do_not_ask_for_the_time() -> None:
    """datetime is a type there; `now`, `today` and `utcnow` are not called."""
    for ring in ("wire", "core"):
        for path in (PACKAGE / ring).glob("*.py"):
            calls = {
                node.attr for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute)
            }  # fmt: skip
            assert not calls & {"now", "today", "utcnow", "urandom", "token_bytes"}, path.name
