# SPDX-License-Identifier: Apache-2.0
"""Build a virtual board, cached by content: `python -m sim.vboard [--uart]`.

A top is Verilated with a C++ main that only moves bytes; the result is one program under
build/vboard-<hash>/. With --uart the bytes go through the pins of a UART.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sim import toolchain

SIM = toolchain.REPO / "sim"
HEADER = SIM / "vboard_host.h"
# What Verilator makes of the sources, whatever it writes in the end.
FRONT_END = ["-Wno-fatal", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
             "--top-module"]


@dataclass(frozen=True, slots=True)
class Body:
    """A top and the program around it."""

    top: Path
    main: Path


BYTES = Body(SIM / "vboard_top.sv", SIM / "vboard_main.cpp")
PINS = Body(SIM / "vboard_uart_top.sv", SIM / "vboard_uart_main.cpp")


def _digest(args: list[str], body: Body) -> str:
    h = hashlib.sha256(repr(args).encode())
    for path in [*toolchain.rtl_sources(), body.top, body.main, HEADER]:
        h.update(path.name.encode() + b"\0" + path.read_bytes())
    return h.hexdigest()[:16]


def build(body: Body = BYTES, verbose: bool = False) -> Path:
    """Return the path of a virtual board's program, building it if its sources changed.

    Raises:
        RuntimeError: the build failed; the message names the log.
    """
    args = [
        "--cc", "--exe", "--build", "-j", "2", "-O3", *FRONT_END, body.top.stem,
        *toolchain.verilator_make_args("-O2 -fno-strict-aliasing"), "-LDFLAGS", "-lutil",
    ]
    out = toolchain.BUILD / f"vboard-{_digest(args, body)}"
    program = out / f"V{body.top.stem}"
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (out / ".done").exists():
            return program
        if verbose:
            print("building the virtual board (a few minutes the first time) ...", flush=True)
        log = out / "build.log"
        with log.open("w") as stream:
            run = subprocess.run(
                ["verilator", *args, "-CFLAGS", f"-I{SIM}", "-Mdir", str(out),
                 *map(str, toolchain.rtl_sources()), str(body.top), str(body.main)],
                env=toolchain.tool_env(), stdout=stream, stderr=subprocess.STDOUT, check=False)
        if run.returncode != 0:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise RuntimeError(f"the virtual board did not build, see {log}:\n{tail}")
        (out / ".done").touch()
    return program


def module_names(body: Body = BYTES) -> set[str]:
    """Modules of a virtual board, its top included, as the sources name them.

    Raises:
        RuntimeError: Verilator refused the sources; the message holds what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree.json"
        run = subprocess.run(
            ["verilator", "--json-only", "--json-only-output", str(tree), "-Mdir", folder,
             *FRONT_END, body.top.stem, *map(str, toolchain.rtl_sources()), str(body.top)],
            env=toolchain.tool_env(), capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"Verilator refused the virtual board:\n{run.stderr[-2000:]}")
        design = json.loads(tree.read_text())
    return {m["origName"] for m in design["modulesp"] if m["type"] == "MODULE"}


if __name__ == "__main__":
    try:
        print(build(PINS if "--uart" in sys.argv[1:] else BYTES, verbose=True))
    except RuntimeError as error:
        print(error)
        sys.exit(1)
