# SPDX-License-Identifier: Apache-2.0
"""Synthesis and simulation build one design, and the checks of synthesis refuse what they should.

The checks are tried on small designs with one fault each; the budgets on figures that are known.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import elaborate, rtlil, synth, vboard

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
