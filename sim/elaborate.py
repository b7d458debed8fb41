# SPDX-License-Identifier: Apache-2.0
"""Elaborate the endpoint with read_slang and check it: `python -m sim.elaborate`.

Seconds instead of the minutes of synthesis. Refused are latches, multiple drivers, wires of ours
without a driver, and initial values of registers. The CPU core comes from its package and is not
edited: it alone may have wires without a driver.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from sim import rtlil, toolchain

OUT = toolchain.BUILD / "synth"
# Module of the CPU core, exempt from the check for undriven wires and initial values.
CPU = "VexRiscv"
LATCHES = "t:$dlatch t:$adlatch t:$dlatchsr t:$sr t:$_DLATCH* t:$_SR_*"


def run_yosys(commands: list[str], log: Path) -> None:
    """Run Yosys (pyosys) in its own process.

    Raises:
        RuntimeError: it failed; the message ends with its last lines.
    """
    program = ("import sys; from pyosys import libyosys as ys; d = ys.Design()\n"
               "for line in sys.stdin.read().splitlines(): ys.run_pass(line, d)\n")
    with log.open("w") as stream:
        run = subprocess.run([sys.executable, "-c", program], input="\n".join(commands), text=True,
                             stdout=stream, stderr=subprocess.STDOUT, check=False)
    if run.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-12:])
        raise RuntimeError(f"Yosys refused it, see {log}:\n{tail}")


# read_slang gives a wire without a driver the value x, after which Yosys' check sees a driver.
_X_DRIVER = re.compile(r"  cell \$buf \S+\n    parameter \\WIDTH \d+\n"
                       r"    connect \\A [^\n]*'[01]*x[^\n]*\n    connect \\Y ([^\n]*)\n")


def undriven(module: rtlil.Module) -> list[str]:
    """Wires of a module that nothing drives."""
    return [str(wire).lstrip("\\") for wire in _X_DRIVER.findall("\n".join(module.lines))]


def script(top: str, sources: list[Path], parameters: dict[str, str], netlist: Path) -> list[str]:
    """Commands that read the sources and leave a checked netlist of word-level cells.

    `proc` turns what the sources leave unassigned into latch cells, which `select -assert-none`
    finds.
    """
    params = " ".join(f"-G {k}={v}" for k, v in parameters.items())
    files = " ".join(str(p) for p in sources)
    return [
        f"read_slang --keep-hierarchy -D SYNTHESIS --top {top} {params} {files}",
        f"hierarchy -check -top {top}",
        "proc",
        f"select -assert-none {LATCHES}",
        f"write_rtlil {netlist}",
    ]


def check_script(netlist: Path, modules: list[str]) -> list[str]:
    """Commands that refuse an undriven wire, a second driver or an initial value in `modules`."""
    return [f"read_rtlil {netlist}", "check -noinit -assert " + " ".join(modules)]


def elaborate(top: str, parameters: dict[str, str],
              sources: list[Path] | None = None) -> tuple[dict[str, rtlil.Module], str]:
    """Elaborate and check.

    Args:
        top: module to begin with.
        parameters: its parameters; texts in double quotes.
        sources: default: the files of rtl/rtl.f.

    Returns:
        All modules, equal ones once, and the name of the top.

    Raises:
        RuntimeError: a tool refused the design; the message names the log.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    sources = sources or toolchain.rtl_sources()
    key = hashlib.sha256(repr((sources, sorted(parameters.items()))).encode()).hexdigest()[:8]
    stem = f"{top}-{key}-{os.getpid()}"
    netlist = OUT / f"{stem}.il"
    run_yosys(script(top, sources, parameters, netlist), OUT / f"{stem}.elaborate.log")
    # Names of merged modules have no brackets, which Yosys would take for a pattern.
    modules, root = rtlil.merge_equal(rtlil.parse(netlist.read_text()), f"\\{top}")
    netlist.write_text("".join(module.text() for module in modules.values()))
    ours = [name for name in modules if rtlil.plain(name) != CPU]
    floating = [f"{rtlil.plain(name)}.{wire}" for name in ours for wire in undriven(modules[name])]
    if floating:
        raise RuntimeError(f"nothing drives {', '.join(floating)}: see their modules")
    if ours:
        run_yosys(check_script(netlist, ours), OUT / f"{stem}.check.log")
    for file in OUT.glob(f"{stem}.*"):
        file.unlink()  # what was accepted needs no record
    return modules, root


def module_names(modules: dict[str, rtlil.Module]) -> list[str]:
    """Sorted names of the modules as the sources spell them."""
    return sorted({rtlil.plain(name) for name in modules})


def main() -> int:
    """Check `bench_core` and print its modules."""
    try:
        modules, _ = elaborate("bench_core", {"SboxImpl": "1"})
    except RuntimeError as error:
        print(error)
        return 1
    print("\n".join(module_names(modules)))
    print(f"{len(modules)} modules: no latch, no loop, no second driver, nothing undriven",
          file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
