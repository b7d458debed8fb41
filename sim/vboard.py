# SPDX-License-Identifier: Apache-2.0
"""Build the virtual board, cached by content: `python -m sim.vboard`.

The bench top is Verilated with a C++ main that only moves bytes; the result is one program under
build/vboard-<hash>/.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from sim import toolchain

MAIN = toolchain.REPO / "sim" / "vboard_main.cpp"
TOP = toolchain.REPO / "sim" / "vboard_top.sv"


def _digest(args: list[str]) -> str:
    h = hashlib.sha256(repr(args).encode())
    for path in [*toolchain.rtl_sources(), MAIN, TOP]:
        h.update(path.name.encode() + b"\0" + path.read_bytes())
    return h.hexdigest()[:16]


def build(verbose: bool = False) -> Path:
    """Return the path of the virtual board program, building it if its sources changed.

    Raises:
        RuntimeError: the build failed; the message names the log.
    """
    args = [
        "--cc", "--exe", "--build", "-j", "2", "-O3", "-Wno-fatal", "--x-assign", "fast",
        "--x-initial", "fast", "--noassert", "--top-module", "vboard_top",
        *toolchain.verilator_make_args("-O2 -fno-strict-aliasing"), "-LDFLAGS", "-lutil",
    ]
    out = toolchain.BUILD / f"vboard-{_digest(args)}"
    program = out / "Vvboard_top"
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
                ["verilator", *args, "-Mdir", str(out),
                 *map(str, toolchain.rtl_sources()), str(TOP), str(MAIN)],
                env=toolchain.tool_env(), stdout=stream, stderr=subprocess.STDOUT, check=False)
        if run.returncode != 0:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise RuntimeError(f"the virtual board did not build, see {log}:\n{tail}")
        (out / ".done").touch()
    return program


if __name__ == "__main__":
    try:
        print(build(verbose=True))
    except RuntimeError as error:
        print(error)
        sys.exit(1)
