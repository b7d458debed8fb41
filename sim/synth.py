# SPDX-License-Identifier: Apache-2.0
"""Synthesise the endpoint for ECP5 and compare each block with its budget: `python -m sim.synth`.

`bench_core` with all defaults, S-boxes in the tower field, real firmware and a lab identity is
elaborated and checked (see sim.elaborate), cut at the blocks that sim/budgets.toml names, and each
block is put through synth_ecp5 by itself, flat. Blocks are cached by content under
build/synth/blocks, equal ones are synthesised once. Results: build/synth/bench_core.json.

    python -m sim.synth               all; exit code 1 if a block outgrew its budget
    python -m sim.synth BLOCK ...     only these blocks (names of modules), with the same checks
    python -m sim.synth --area        writes docs/area.md from what was measured
    python -m sim.synth --budgets     writes today's figures + 5 % into sim/budgets.toml
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sim import elaborate, rtlil, toolchain

OUT = elaborate.OUT
TOP = "bench_core"
BUDGETS = toolchain.REPO / "sim" / "budgets.toml"
AREA = toolchain.REPO / "docs" / "area.md"
JOBS = 2
KINDS = ("lut4", "ff", "ebr", "dsp")
# Cells that synth_ecp5 may leave behind: (LUT4 sites, FF, EBR, DSP) that one of them takes. A carry
# cell fills the two LUTs of a slice; a 16x4 RAM fills four and blocks two more for its write port.
VENDOR: dict[str, tuple[int, int, int, int]] = {
    "LUT4": (1, 0, 0, 0), "PFUMX": (0, 0, 0, 0), "L6MUX21": (0, 0, 0, 0), "CCU2C": (2, 0, 0, 0),
    "TRELLIS_DPR16X4": (6, 0, 0, 0), "TRELLIS_FF": (0, 1, 0, 0), "DP16KD": (0, 0, 1, 0),
    "PDPW16KD": (0, 0, 1, 0), "MULT18X18D": (0, 0, 0, 1), "ALU54B": (0, 0, 0, 1),
}
GROWTH = 1.05
# Delay in ps that the mapper may let a path have before it spends area on it: half a cycle of
# 48 MHz, as the other half goes into routing.
MAPPED_PS = 10000


@dataclass(frozen=True)
class Budgets:
    """Content of sim/budgets.toml.

    Attributes:
        device: capacity of the device by kind.
        total: most that the whole may take.
        blocks: most that one instance of a block may take; the keys are where the design is cut.
        wide: blocks that are mapped to LUTs and the multiplexers between them; the others, which
            get smaller by it, to LUT4s alone.
    """

    device: dict[str, int]
    total: dict[str, int]
    blocks: dict[str, dict[str, int]]
    wide: frozenset[str]


def read_budgets(path: Path = BUDGETS) -> Budgets:
    """Read the budgets."""
    data = tomllib.loads(path.read_text())
    return Budgets(data["device"], data["total"], data["blocks"], frozenset(data["wide"]))


def block_script(piece: Path, root: str, wide: bool, stem: Path) -> list[str]:
    """Commands that synthesise one block; `stem` gets the endings .json and .netlist.il."""
    flags = "" if wide else "-nowidelut"
    check = [] if rtlil.plain(root) == elaborate.CPU else ["check -noinit -assert"]
    return [
        f"read_rtlil {piece}",
        f"scratchpad -set abc9.D {MAPPED_PS}",
        f"synth_ecp5 -top {root} {flags}",
        "delete */t:$scopeinfo",
        *check,
        f"select -assert-none {elaborate.LATCHES}",
        f"tee -q -o {stem}.stat.json stat -json",
        f"write_rtlil -selected {stem}.netlist.il",
    ]


def vendor_cells(found: Mapping[str, int], borders: Sequence[str]) -> dict[str, int]:
    """Cells of one block without the blocks below it.

    Raises:
        RuntimeError: a cell is neither a vendor's nor a block below.
    """
    own = {kind: n for kind, n in found.items() if kind not in borders}
    strange = sorted(set(own) - set(VENDOR))
    if strange:
        raise RuntimeError(f"black boxes that are no cells of the vendor: {strange}")
    return own


def run_block(text: str, root: str, wide: bool, borders: Sequence[str]) -> dict[str, int]:
    """Synthesise one block, or find it in the cache; returns its own cells by type.

    Raises:
        RuntimeError: Yosys refused it.
    """
    version = importlib.metadata.version("pyosys")
    recipe = block_script(Path("P"), root, wide, Path("S"))
    key = hashlib.sha256(repr((text, recipe, version)).encode()).hexdigest()[:16]
    stem = OUT / "blocks" / f"{rtlil.plain(root)}-{key}"
    done = stem.with_suffix(".json")
    if not done.exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        piece = stem.with_suffix(".il")
        piece.write_text(text)
        elaborate.run_yosys(block_script(piece, root, wide, stem), stem.with_suffix(".log"))
        modules = json.loads(Path(f"{stem}.stat.json").read_text())["modules"]
        raw = next(m for n, m in modules.items() if n == root)["num_cells_by_type"]
        temporary = stem.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(vendor_cells(raw, [*borders, *(b[1:] for b in borders)])))
        temporary.rename(done)
    found: dict[str, int] = json.loads(done.read_text())
    return found


def cost(cells: Mapping[str, int]) -> dict[str, int]:
    """LUT4 sites, FF, EBR and DSP of some cells."""
    return {kind: sum(n * VENDOR[cell][i] for cell, n in cells.items())
            for i, kind in enumerate(KINDS)}


def add(into: dict[str, int], cells: Mapping[str, int], times: int = 1) -> None:
    """Add cells to a sum."""
    for cell, n in cells.items():
        into[cell] = into.get(cell, 0) + n * times


def parameters() -> dict[str, str]:
    """Parameters of a bitstream: tower field, images of the firmware, a lab identity."""
    from teeio.board import prepare_images  # builds firmware, needs the whole checkout

    images = prepare_images()
    files = {"BootFile": images.boot, "FirmwareFile": images.firmware, "Slot0File": images.slot0,
             "IdentityFile": images.identity}
    return {"SboxImpl": "1", **{name: f'"{path}"' for name, path in files.items()}}


def synthesise(budgets: Budgets, only: Sequence[str] = ()) -> dict[str, object]:
    """Elaborate, cut, synthesise; returns what is written to build/synth/bench_core.json.

    Raises:
        RuntimeError: a tool refused the design, or a budget names a module that does not exist.
    """
    start = time.monotonic()
    modules, top = elaborate.elaborate(TOP, parameters())
    names = elaborate.module_names(modules)
    unknown = (set(budgets.blocks) | budgets.wide | set(only)) - set(names)
    if unknown or TOP not in budgets.blocks or elaborate.CPU not in budgets.blocks:
        raise RuntimeError(f"sim/budgets.toml: no such module: {sorted(unknown)}; {TOP} and "
                           f"{elaborate.CPU} have to be there")
    modules, top = propagate(modules, top)
    borders = {name for name in modules if rtlil.plain(name) in budgets.blocks}
    pieces = {name: rtlil.piece(modules, name, borders - {name}) for name in borders}
    work = sorted((name for name in borders if not only or rtlil.plain(name) in only),
                  key=lambda name: -len(pieces[name][0]))

    def run(name: str) -> dict[str, int]:
        text, below = pieces[name]
        cells = run_block(text, name, rtlil.plain(name) in budgets.wide, sorted(set(below)))
        print(f"{time.monotonic() - start:6.0f} s  {name[1:]:34} "
              + "  ".join(f"{k} {v}" for k, v in cost(cells).items()), flush=True)
        return cells

    with ThreadPoolExecutor(JOBS) as pool:
        cells = dict(zip(work, pool.map(run, work), strict=True))
    copies: dict[str, int] = {top: 1}
    for name in _from_the_top(pieces, top):
        for below in pieces[name][1]:
            copies[below] = copies.get(below, 0) + copies[name]
    total: dict[str, int] = {}
    rows: dict[str, dict[str, int]] = {}
    for name in work:
        add(total, cells[name], copies[name])
        row = rows.setdefault(rtlil.plain(name), {"copies": 0, **dict.fromkeys(KINDS, 0)})
        row["copies"] += copies[name]
        for kind, n in cost(cells[name]).items():
            row[kind] = max(row[kind], n)
    result: dict[str, object] = {
        "top": TOP, "modules": names, "blocks": rows, "cells": total, "total": cost(total),
        "seconds": round(time.monotonic() - start, 1),
    }
    if not only:
        (OUT / f"{TOP}.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def propagate(modules: Mapping[str, rtlil.Module], top: str) -> tuple[
        dict[str, rtlil.Module], str]:
    """Carry constants and unused outputs across the borders, which blocks by themselves cannot."""
    text = "".join(module.text() for module in modules.values())
    stem = OUT / "blocks" / f"hierarchy-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    done = stem.with_suffix(".done.il")
    if not done.exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".il").write_text(text)
        elaborate.run_yosys([
            f"read_rtlil {stem}.il", f"hierarchy -check -top {top}",
            *["opt_expr -keepdc", "opt_hier", "opt_clean"] * 5,
            f"write_rtlil {stem}.tmp"], stem.with_suffix(".log"))
        Path(f"{stem}.tmp").rename(done)
    return rtlil.merge_equal(rtlil.parse(done.read_text()), top)


def _from_the_top(pieces: Mapping[str, tuple[str, list[str]]], top: str) -> list[str]:
    """Blocks in an order in which each comes after all that contain it."""
    order: list[str] = []

    def visit(name: str) -> None:
        for below in sorted(set(pieces[name][1])):
            visit(below)
        if name not in order:
            order.append(name)

    visit(top)
    return order[::-1]


def violations(rows: Mapping[str, Mapping[str, int]], total: Mapping[str, int] | None,
               budgets: Budgets) -> list[str]:
    """What is over its budget, one line each."""
    out = [f"{block}: {row[kind]} {kind} is over its budget of {budgets.blocks[block][kind]}"
           for block, row in sorted(rows.items()) for kind in KINDS
           if row[kind] > budgets.blocks[block][kind]]
    if total is not None:
        for where, limit in (("sim/budgets.toml [total]", budgets.total),
                             ("the device", budgets.device)):
            out += [f"{TOP}: {total[kind]} {kind} is over {limit[kind]} of {where}"
                    for kind in KINDS if total[kind] > limit[kind]]
    return out


def table(rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Lines of a Markdown table, largest blocks first."""
    lines = ["| block | copies | LUT4 | FF | EBR | DSP |", "|---|--:|--:|--:|--:|--:|"]
    lines += [f"| `{name}` | {row['copies']} | " + " | ".join(str(row[k]) for k in KINDS) + " |"
              for name, row in sorted(rows.items(), key=lambda r: (-r[1]["lut4"] * r[1]["copies"],
                                                                   r[0]))]
    return lines


def with_margin(figures: Mapping[str, int], device: Mapping[str, int]) -> str:
    """One inline table of a budget: today's figures and 5 %, memories and multipliers exactly."""
    def limit(kind: str) -> int:
        n = figures[kind]
        wanted = n if kind in ("ebr", "dsp") else -(-int(n * GROWTH + 1) // 5) * 5
        return min(wanted, device[kind])
    return "{ " + ", ".join(f"{k} = {limit(k)}" for k in KINDS) + " }"


def write_budgets(rows: Mapping[str, Mapping[str, int]], total: Mapping[str, int],
                  device: Mapping[str, int]) -> None:
    """Replace the figures in sim/budgets.toml; everything else in it stays."""
    figures = {name: with_margin(row, device) for name, row in {**rows, "total": total}.items()}
    text = BUDGETS.read_text()
    for name, value in figures.items():
        text = re.sub(rf"^{name} = \{{.*\}}$", f"{name} = {value}", text, flags=re.M)
    BUDGETS.write_text(text)


def write_area(rows: Mapping[str, Mapping[str, int]], cells: Mapping[str, int],
               budgets: Budgets) -> None:
    """Write docs/area.md."""
    total = cost(cells)
    share = ", ".join(f"{total[k]} of {budgets.device[k]} {k.upper()}"
                      f" ({100 * total[k] / budgets.device[k]:.0f} %)" for k in KINDS)
    AREA.write_text("\n".join([
        "# Area on ECP5-85F", "",
        "`bench_core` with all defaults, S-boxes in the tower field, the real firmware and a lab",
        "identity in ROM. Written by `python -m sim.synth --area`; budgets: `sim/budgets.toml`.",
        "",
        f"Whole: {share}.", "",
        "LUT4 counts sites: two for a carry cell, six for a 16x4 RAM. Each block is synthesised by",
        "itself, flat, without the blocks below it that have a row of their own; a row shows one",
        "copy, the largest if parameters make them differ. Constants and unused outputs have",
        "crossed the borders before. Blocks are mapped to LUT4s alone; to the multiplexers between",
        f"LUTs as well: {', '.join(sorted(f'`{b}`' for b in budgets.wide)) or 'none'}.", "",
        *table(rows), "",
        "Cells of the whole: " + ", ".join(f"{n} {c}" for c, n in sorted(cells.items())) + ".", "",
    ]))


def main() -> int:
    """Synthesise and print a table; exit code 1 on any violation."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK")
    parser.add_argument("--area", action="store_true", help="write docs/area.md")
    parser.add_argument("--budgets", action="store_true", help="write sim/budgets.toml")
    args = parser.parse_args()
    if args.blocks and (args.area or args.budgets):
        parser.error("--area and --budgets need all blocks")
    budgets = read_budgets()
    try:
        result = synthesise(budgets, args.blocks)
    except RuntimeError as error:
        print(error)
        return 1
    rows, cells, total = result["blocks"], result["cells"], result["total"]
    assert isinstance(rows, dict) and isinstance(cells, dict) and isinstance(total, dict)
    print("\n".join(table(rows)))
    if args.budgets:
        write_budgets(rows, total, budgets.device)
        budgets = read_budgets()
    if args.area:
        write_area(rows, cells, budgets)
    over = violations(rows, None if args.blocks else total, budgets)
    print("\n".join(over))
    if args.blocks:
        return int(bool(over))
    print(", ".join(f"{total[k]} of {budgets.device[k]} {k.upper()}"
                    f" ({100 * total[k] / budgets.device[k]:.0f} %)" for k in KINDS)
          + f" of an ECP5-85F in {result['seconds']} s; {OUT / (TOP + '.json')}")
    print("budgets exceeded" if over else
          "no latch, no multiple driver, nothing undriven, no black box; within all budgets")
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
