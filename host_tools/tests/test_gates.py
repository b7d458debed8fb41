# SPDX-License-Identifier: Apache-2.0
"""The cheap gates as tests, so that one run and one summary guard a merge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sim import lint, toolchain

REPO = Path(__file__).resolve().parents[2]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=REPO, capture_output=True,
                          text=True, check=False)


def test_ruff_is_clean() -> None:
    run = _run("ruff", "check", "--quiet", ".")
    assert run.returncode == 0, run.stdout


def test_mypy_strict_is_clean() -> None:
    run = _run("mypy")
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("module", sorted(lint.modules()))
def test_verilator_lint_is_clean(module: str) -> None:
    """Each module as its own top, -Wall, nothing switched off."""
    assert lint.lint(module) == ""


def test_every_design_file_is_listed_once() -> None:
    """rtl.f names every module and package under rtl/ but the bound properties."""
    listed = [p for p in toolchain.rtl_sources() if p != toolchain.cpu_verilog()]
    assert len(listed) == len(set(listed))
    there = {p for p in (REPO / "rtl").rglob("*.sv") if not p.stem.endswith("_props")}
    assert set(listed) == there


def test_every_source_file_names_its_licence() -> None:
    """An SPDX line stands in the first three lines of every source file."""
    files = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True,
                           check=True).stdout.split()
    kinds = {".py", ".sv", ".c", ".h", ".S", ".ld", ".cpp", ".vlt"}
    missing = [f for f in files if Path(f).suffix in kinds and (REPO / f).exists()
               and "SPDX-License-Identifier: Apache-2.0" not in
               "\n".join((REPO / f).read_text().splitlines()[:3])]
    assert missing == []
