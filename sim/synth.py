# SPDX-License-Identifier: Apache-2.0
"""Put the endpoint through read_slang and synth_ecp5: `python -m sim.synth [--top MODULE]`.

Checks that there is no latch, no multiple driver and no black box but vendor cells, and prints
LUT4, FF, EBR and DSP of each block. Results go to build/synth/<top>.json. The module list below
`bench_core` is written beside it so that a test can compare it with that of the virtual board.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from sim import toolchain

OUT = toolchain.BUILD / "synth"
# Cells of the ECP5 library that stand for hardware, by what they cost.
LUT = ("LUT4",)
FF = ("TRELLIS_FF",)
EBR = ("DP16KD", "PDPW16KD")
DSP = ("MULT18X18D", "ALU54B")
LATCHES = ("$dlatch", "$adlatch", "$dlatchsr", "$_DLATCH")


def script(top: str, sources: list[Path], stat_json: Path, parameters: dict[str, str]) -> str:
    """The Yosys commands."""
    params = " ".join(f"-G {k}={v}" for k, v in parameters.items())
    files = " ".join(str(p) for p in sources)
    return "\n".join([
        f"read_slang --keep-hierarchy -D SYNTHESIS --top {top} {params} {files}",
        "hierarchy -check",
        "check -assert -noinit",
        f"synth_ecp5 -top {top} -noflatten",
        "check -assert -noinit",
        f"tee -q -o {stat_json} stat -json",
    ])


def run_yosys(commands: str, log: Path) -> None:
    """Run Yosys (pyosys) in its own process.

    Raises:
        RuntimeError: it failed; the message ends with its last lines.
    """
    program = ("import sys; from pyosys import libyosys as ys; d = ys.Design()\n"
               "for line in sys.stdin.read().splitlines(): ys.run_pass(line, d)\n")
    with log.open("w") as stream:
        run = subprocess.run([sys.executable, "-c", program], input=commands, text=True,
                             stdout=stream, stderr=subprocess.STDOUT, check=False)
    if run.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-12:])
        raise RuntimeError(f"synthesis failed, see {log}:\n{tail}")


def count(cells: dict[str, int], names: tuple[str, ...]) -> int:
    """Number of cells of the given kinds."""
    return sum(cells.get(n, 0) for n in names)


def total(modules: dict[str, dict[str, int]], top: str) -> dict[str, int]:
    """Cells of a module with everything below it."""
    out: dict[str, int] = {}
    for name, number in modules[top].items():
        if name in modules:
            for cell, n in total(modules, name).items():
                out[cell] = out.get(cell, 0) + n * number
        else:
            out[name] = out.get(name, 0) + number
    return out


def plain(name: str) -> str:
    """Module name without Yosys' escapes and parameter suffixes."""
    name = name.lstrip("\\")
    return re.sub(r"\$.*$", "", name)


def synthesise(top: str, parameters: dict[str, str]) -> dict[str, object]:
    """Run it all and return the figures."""
    OUT.mkdir(parents=True, exist_ok=True)
    stat = OUT / f"{top}.stat.json"
    log = OUT / f"{top}.log"
    start = time.monotonic()
    run_yosys(script(top, toolchain.rtl_sources(), stat, parameters), log)
    modules = {name.lstrip("\\"): {k.lstrip("\\"): v for k, v in m["num_cells_by_type"].items()}
               for name, m in json.loads(stat.read_text())["modules"].items()}
    root = next(n for n in modules if plain(n) == top)
    cells = total(modules, root)
    latches = {k: n for k, n in cells.items() if k.startswith(LATCHES)}
    if latches:
        raise RuntimeError(f"latches were inferred: {latches}")
    rows = {}
    for name in modules:
        c = total(modules, name)
        rows[name] = {"module": plain(name), "lut4": count(c, LUT), "ff": count(c, FF),
                      "ebr": count(c, EBR), "dsp": count(c, DSP),
                      "carry": c.get("CCU2C", 0), "dpr16": c.get("TRELLIS_DPR16X4", 0)}
    result: dict[str, object] = {
        "top": top, "parameters": parameters, "blocks": rows, "root": root,
        "modules": sorted({plain(n) for n in modules}),
        "seconds": round(time.monotonic() - start, 1),
    }
    (OUT / f"{top}.json").write_text(json.dumps(result, indent=1))
    return result


def main() -> int:
    """Synthesise and print a table; exit code 1 on any violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--top", default="bench_core")
    parser.add_argument("-G", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    try:
        result = synthesise(args.top, dict(g.split("=", 1) for g in args.G))
    except RuntimeError as error:
        print(error)
        return 1
    rows = result["blocks"]
    assert isinstance(rows, dict)
    print(f"{'block':44} {'LUT4':>7} {'FF':>7} {'EBR':>5} {'DSP':>5} {'DPR16':>6} {'CCU2C':>6}")
    for name, r in sorted(rows.items(), key=lambda kv: -kv[1]["lut4"]):
        print(f"{name[:44]:44} {r['lut4']:7} {r['ff']:7} {r['ebr']:5} {r['dsp']:5}"
              f" {r['dpr16']:6} {r['carry']:6}")
    print(f"no latch, no multiple driver, no black box; {OUT / (args.top + '.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
