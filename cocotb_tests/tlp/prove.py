# SPDX-License-Identifier: Apache-2.0
"""Temporal induction over the bound properties of one module, with pyosys alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sim import toolchain


def prove(top: str, sources: Sequence[str | Path], *, parameters: Mapping[str, int] | None = None,
          max_steps: int = 3, timeout: float = 500.0) -> bool:
    """Prove every assertion of `top` for all inputs that its assumptions allow.

    The first cycle is a reset; registers start with any value. Sources are relative to rtl/,
    packages are added.

    Returns:
        True if induction closes within max_steps cycles, False if it does not.

    Raises:
        RuntimeError: the tool did not get as far as a proof, or took longer than `timeout` s.
    """
    files = [*toolchain.packages(), *(toolchain.REPO / "rtl" / s for s in sources)]
    params = " ".join(f"-G {k}={v}" for k, v in (parameters or {}).items())
    commands = [
        f"read_slang -D FORMAL --top {top} {params} {' '.join(str(f) for f in files)}",
        f"prep -top {top} -flatten",
        "async2sync",
        "chformal -lower",
        "dffunmap",
        "opt -fast",
        "select -assert-min 1 t:$assert",
        "sat -tempinduct -prove-asserts -set-assumes -verify -seq 1 -set-at 1 rst_i 1 "
        f"-maxsteps {max_steps}",
    ]
    program = ("import sys; from pyosys import libyosys as ys; d = ys.Design(); "
               "[ys.run_pass(c, d) for c in sys.argv[1:]]")
    try:
        run = subprocess.run([sys.executable, "-c", program, *commands], capture_output=True,
                             text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{top}: no verdict within {timeout} s") from error
    if "Induction step proven: SUCCESS!" in run.stdout and run.returncode == 0:
        return True
    if "Called with -verify and proof did fail" in run.stdout + run.stderr:
        return False
    raise RuntimeError(f"{top}: no proof was tried\n{(run.stdout + run.stderr)[-2000:]}")
