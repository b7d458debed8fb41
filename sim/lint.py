# SPDX-License-Identifier: Apache-2.0
"""Lint every module as its own top: `python -m sim.lint [module ...]`.

A cell that only works inside one parent is found here. Verilator runs with -Wall and nothing
switched off; waivers stand in sim/lint.vlt. The CPU core is a package's work and is left out, as
are modules that instantiate it under their own name (they are covered by the system build).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from sim import toolchain


def modules() -> dict[str, Path]:
    """Name of each module of the design and of the boards, and its file."""
    out = {}
    for path in [*toolchain.rtl_sources(), *sorted((toolchain.REPO / "sim").glob("*.sv"))]:
        if path == toolchain.cpu_verilog() or path.parent.name == "pkg":
            continue
        match = re.search(r"^module\s+(\w+)", path.read_text(), re.M)
        if match:
            out[match.group(1)] = path
    return out


def lint(name: str) -> str:
    """Return what Verilator says of a module, empty if clean."""
    cpu = toolchain.cpu_verilog()
    design = toolchain.rtl_sources()
    sources = [str(p) for p in design if p != cpu]
    sources += [str(p) for p in [modules().get(name)] if p is not None and p not in design]
    waive_cpu = f'lint_off -file "{cpu}"\n'
    vlt = toolchain.BUILD / "lint_cpu.vlt"
    vlt.parent.mkdir(exist_ok=True)
    text = "`verilator_config\n" + waive_cpu
    if not vlt.exists() or vlt.read_text() != text:
        vlt.write_text(text)
    run = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--timing", str(toolchain.REPO / "sim/lint.vlt"),
         str(vlt), *sources, str(cpu), "--top-module", name],
        env=toolchain.tool_env(), capture_output=True, text=True, check=False, timeout=300)
    return "" if run.returncode == 0 and not run.stderr.strip() else run.stdout + run.stderr


def main() -> int:
    """Lint the named modules, or all; exit code 1 if any has something to say."""
    known = modules()
    names = sys.argv[1:] or list(known)
    bad = 0
    for name in names:
        if name not in known:
            print(f"lint: no module {name!r} in rtl/rtl.f")
            return 2
        text = lint(name)
        if text:
            bad += 1
            print(text.strip())
        print(f"lint {name}: {'FAILED' if text else 'clean'}")
    print(f"{len(names) - bad} passed, {bad} failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
