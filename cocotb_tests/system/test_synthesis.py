# SPDX-License-Identifier: Apache-2.0
"""Synthesis and simulation build one design, and the checks of synthesis refuse what they should.

The checks are tried on small designs with one fault each; the budgets on figures that are known.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import elaborate, rtlil, synth, toolchain, vboard

HEADER = "module {name} (input logic clk_i, input logic a_i, output logic [1:0] y_o);\n"
GOOD = "  always_ff @(posedge clk_i) y_o <= {2{a_i}};\nendmodule\n"
FAULTS = {
    "latch": "  always_latch if (a_i) y_o = 2'b01;\nendmodule\n",
    "second driver": "  assign y_o = {2{a_i}};\n  sub u_sub (.z_o(y_o[0]));\nendmodule\n"
                     "module sub (output logic z_o);\n  assign z_o = 1'b0;\nendmodule\n",
    "no driver": "  assign y_o[0] = a_i;\nendmodule\n",
    "read wire without a driver": "  logic x;\n  assign y_o = {a_i, x & a_i};\nendmodule\n",
    "loop": "  logic x;\n  assign x = ~(x & a_i);\n  assign y_o = {x, a_i};\nendmodule\n",
    "initial value": "  logic q = 1'b1;\n  always_ff @(posedge clk_i) q <= a_i;\n"
                     "  assign y_o = {q, a_i};\nendmodule\n",
    "black box": "  missing u_missing (.a_i, .y_o);\nendmodule\n",
}


def design(folder: Path, body: str, name: str = "fault") -> list[Path]:
    """Write a design of one file."""
    path = folder / f"{name}.sv"
    path.write_text(HEADER.format(name=name) + body)
    return [path]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for netlists and logs."""
    monkeypatch.setattr(elaborate, "OUT", tmp_path / "out")
    monkeypatch.setattr(synth, "OUT", tmp_path / "out")
    return tmp_path


def test_simulation_and_synthesis_build_the_same_modules() -> None:
    """The virtual board adds its top level and nothing else; the checks of elaboration pass."""
    modules, _ = elaborate.elaborate("bench_core", {"SboxImpl": "1"})
    assert set(elaborate.module_names(modules)) == vboard.module_names() - {"vboard_top"}


@pytest.mark.parametrize("fault", FAULTS)
def test_elaboration_refuses(fault: str, out: Path) -> None:
    """Each fault alone ends the run with an error."""
    with pytest.raises(RuntimeError, match="see"):
        elaborate.elaborate("fault", {}, design(out, FAULTS[fault]))


def test_elaboration_accepts_the_design_without_a_fault(out: Path) -> None:
    """The frame of the faulty designs is itself clean."""
    modules, root = elaborate.elaborate("fault", {}, design(out, GOOD))
    assert elaborate.module_names(modules) == ["fault"] and list(modules) == [root]


def test_only_the_cpu_may_have_undriven_wires(out: Path) -> None:
    """The exemption goes by the whole name: a module called like it in part is checked."""
    body = FAULTS["no driver"]
    elaborate.elaborate(elaborate.CPU, {}, design(out, body, elaborate.CPU))
    for name in (f"{elaborate.CPU}2", f"my_{elaborate.CPU}", elaborate.CPU.lower()):
        with pytest.raises(RuntimeError):
            elaborate.elaborate(name, {}, design(out, body, name))


def leaf(path: str, number: int, constant: str, last_first: bool) -> str:
    """A module of two cells as Yosys writes it, under names with its running counter."""
    def cell(kind: str, operand: str, y: str, name: int) -> str:
        return (f"  attribute \\src \"leaf.sv:{name}\"\n  cell {kind} $auto$x.cc:1:f${name}\n"
                f"    connect \\A {operand}\n    connect \\Y {y}\n  end\n")

    wire = f"$procmux${number}_Y"
    cells = [cell("$not", constant, wire, number + 1), cell("$pos", wire, "\\y_o", number + 2)]
    return (f"module \\leaf$top.{path}\n  wire output 1 \\y_o\n  wire {wire}\n"
            + "".join(cells[::-1] if last_first else cells) + "end\n")


def test_equal_modules_are_merged_and_others_are_not() -> None:
    """Two instances that differ in counters and order alone become one, a third stays."""
    text = "module \\top\n" + "".join(
        f"  cell \\leaf$top.{p} \\{p}\n  end\n" for p in ("u_a", "u_b", "u_c")) + "end\n"
    text += leaf("u_a", 7, "1'0", False) + leaf("u_b", 123, "1'0", True)
    text += leaf("u_c", 7, "1'1", False)
    modules, top = rtlil.merge_equal(rtlil.parse(text), "\\top")
    kinds = modules[top].cells
    assert len(modules) == 3 and len(kinds) == 3 and kinds[0] == kinds[1] != kinds[2]
    piece, below = rtlil.piece(modules, top, set(kinds))
    assert sorted(below) == sorted(kinds)
    assert "$not" not in piece and piece.count("attribute \\blackbox 1") == 2


def test_costs_and_budgets() -> None:
    """Figures counted by hand; one more than the budget is over it."""
    cells = {"LUT4": 10, "PFUMX": 4, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7,
             "DP16KD": 1, "MULT18X18D": 5}
    assert synth.cost(cells) == {"lut4": 28, "ff": 7, "ebr": 1, "dsp": 5}
    row = synth.cost(cells)
    device = dict.fromkeys(synth.KINDS, 28)
    budgets = synth.Budgets(device, device, {"block": dict(row)}, frozenset())
    assert synth.violations({"block": row}, row, budgets) == []
    for kind in synth.KINDS:
        over = synth.violations({"block": {**row, kind: row[kind] + 1}}, None, budgets)
        assert over == [f"block: {row[kind] + 1} {kind} is over its budget of {row[kind]}"]
    assert len(synth.violations({}, {**row, "ff": 29}, budgets)) == 2


def test_only_cells_of_the_vendor_remain() -> None:
    """A block below its border is no cell of its own; anything unknown ends the run."""
    assert synth.vendor_cells({"LUT4": 2, "\\below$0": 1}, ["\\below$0"]) == {"LUT4": 2}
    with pytest.raises(RuntimeError, match="mystery"):
        synth.vendor_cells({"LUT4": 2, "mystery": 1}, [])


def test_budgets_name_what_exists_and_fit_the_device() -> None:
    """Every block is a module of rtl.f; [total] is below the device in each kind."""
    budgets = synth.read_budgets()
    sources = "\n".join(path.read_text() for path in toolchain.rtl_sources())
    for block in set(budgets.blocks) | budgets.wide:
        assert f"module {block}" in sources, block
    assert {elaborate.CPU, synth.TOP} <= set(budgets.blocks)
    assert all(0 < budgets.total[kind] <= budgets.device[kind] for kind in synth.KINDS)


def test_small_blocks_keep_their_budgets() -> None:
    """A sample of `make synth` for the gate: the whole way from read_slang to the comparison."""
    budgets = synth.read_budgets()
    sample = ["config_watch", "tdi_dma_gate", "dsm_ram"]
    result = synth.synthesise(budgets, sample)
    rows = result["blocks"]
    assert isinstance(rows, dict) and set(rows) == set(sample)
    assert synth.violations(rows, None, budgets) == []
    assert rows["dsm_ram"]["ebr"] >= 16, "32 KiB are sixteen block RAMs"
