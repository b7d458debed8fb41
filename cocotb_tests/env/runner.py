# SPDX-License-Identifier: Apache-2.0
"""Build one Verilated model per (sources, parameters, flags) and run cocotb tests on it.

A build costs many seconds, a test milliseconds: models are cached under build/cocotb by the hash
of everything that went into them, and a lock lets parallel pytest workers share one build.

Every design file brings its property set along: rtl/**/<module>_props.sv binds itself to the module
wherever it is simulated, and a violation ends the simulation, which fails the test.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from sim import toolchain

# For what runs every cycle. What runs once stays unoptimised: the table of visible names of a whole
# endpoint takes minutes to optimise and two seconds to translate.
OPTIMISE = "OPT_FAST=-O1"


def _digest(parts: Sequence[str], files: Sequence[Path]) -> str:
    h = hashlib.sha256()
    for part in parts:
        h.update(part.encode() + b"\0")
    for file in files:
        h.update(file.read_bytes())
    return h.hexdigest()[:16]


def _with_properties(files: Sequence[Path]) -> list[Path]:
    """The files in their order, then the property sets of their modules, each file once."""
    rtl = toolchain.REPO / "rtl"
    sets = {p.name: p for p in sorted(rtl.rglob("*_props.sv"))}
    out = list(dict.fromkeys(files))
    out += [sets[name] for f in files
            if (name := f"{f.stem}_props.sv") in sets and sets[name] not in out]
    stream = sets["stream_props.sv"]
    if stream not in out and any("stream_props" in f.read_text() for f in out if f.suffix == ".sv"):
        out.append(stream)
    return out


def simulate(
    toplevel: str,
    test_module: str,
    *,
    sources: Sequence[str | Path] | None = None,
    parameters: Mapping[str, object] | None = None,
    extra_sources: Sequence[str | Path] = (),
    plusargs: Sequence[str] = (),
    testcase: str | None = None,
    build_args: Sequence[str] = (),
    extra_env: Mapping[str, str] | None = None,
    timing: bool = False,
) -> None:
    """Build `toplevel` and run every `@cocotb.test` of `test_module`; fails the caller on failure.

    Args:
        toplevel: name of the top module.
        test_module: dotted Python module with the cocotb tests, e.g. "cocotb_tests.prim.test_fifo".
        sources: design files relative to rtl/; default: everything in rtl/rtl.f.
            The packages are always put in front, and the property sets of all modules behind.
        parameters: top-level parameters.
        extra_sources: further files (a testbench wrapper), relative to the repository.
        plusargs: runtime plusargs.
        testcase: run only this test.
        build_args: more Verilator arguments.
        extra_env: environment of the simulation.
        timing: build with --timing (clocks made in HDL).

    Raises:
        AssertionError: a test failed, or no test ran.
        SystemExit: the build failed.
        RuntimeError: the simulation ended itself: a property was violated.
    """
    os.environ.update(toolchain.tool_env())
    if OPTIMISE not in os.environ["MAKEFLAGS"]:
        os.environ["MAKEFLAGS"] += f" {OPTIMISE}"
    if sources is None:
        files = toolchain.rtl_sources()
    else:
        files = toolchain.packages()
        files += [p for s in sources if (p := toolchain.REPO / "rtl" / s) not in files]
    files = _with_properties([*files, *(toolchain.REPO / s for s in extra_sources)])
    params = dict(parameters or {})
    args = [
        "-Wno-fatal", "--assert",
        "--x-assign", "unique",
        "--public-flat-rw" if os.environ.get("TEEIO_PUBLIC") else "-DNO_PUBLIC",
        *toolchain.verilator_make_args(""),
        *(["--timing"] if timing else []),
        *build_args,
    ]
    named = [Path(a) for a in build_args if a.endswith(".vlt")]
    digest = _digest([toplevel, repr(sorted(params.items())), repr(args)], [*files, *named])
    build_dir = toolchain.BUILD / "cocotb" / f"{toplevel}-{digest}"
    build_dir.mkdir(parents=True, exist_ok=True)
    runner = get_runner("verilator")
    with (build_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = build_dir / ".done"
        if not done.exists():
            runner.build(
                sources=files,
                hdl_toplevel=toplevel,
                parameters=params,
                build_args=args,
                build_dir=build_dir,
                always=True,
                waves=False,
                timescale=("1ns", "1ps"),
                log_file=str(build_dir / "build.log"),
            )
            done.touch()
    name = test_module.rsplit(".", 1)[-1]
    run_dir = build_dir / f"run-{name}-{testcase or 'all'}-{os.getpid()}"
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir()
    results = runner.test(
        hdl_toplevel=toplevel,
        hdl_toplevel_lang="verilog",
        parameters=params,
        test_module=test_module,
        testcase=testcase,
        build_dir=build_dir,
        test_dir=run_dir,
        plusargs=list(plusargs),
        results_xml=str(run_dir / "results.xml"),
        extra_env={
            "PYTHONPATH": os.pathsep.join(
                [str(toolchain.REPO), str(toolchain.REPO / "host_tools"),
                 os.environ.get("PYTHONPATH", "")]
            ),
            **(extra_env or {}),
        },
    )
    total, failed = get_results(results)
    assert total > 0, f"{test_module}: no test ran"
    assert failed == 0, f"{test_module}: {failed} of {total} cocotb tests failed, see {run_dir}"
