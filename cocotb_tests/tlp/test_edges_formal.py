# SPDX-License-Identifier: Apache-2.0
"""Proofs of the properties of tlp_ingress, tlp_egress and tx_arbiter; broken copies are refused.

Proved for every input: TLPs leave ingress framed, held until taken, with the verdict at eop and
never more than 64 DW of payload; egress gives one full beat for each beat it takes and at most 18
a TLP; the arbiter neither mixes TLPs nor lets one go without the credit it saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cocotb_tests.tlp.prove import prove
from sim import toolchain


@dataclass(frozen=True)
class Block:
    """A module with its files (the last one holds the properties) and the mutant to refuse."""

    top: str
    design: str
    others: tuple[str, ...]
    mutant: tuple[str, str]
    parameters: dict[str, int] = field(default_factory=dict)


BLOCKS = [
    Block("tlp_ingress", "tlp/tlp_ingress.sv",
          ("prim/stream_props.sv", "tlp/tlp_ingress_check.sv", "tlp/tlp_ingress_props.sv"),
          # The limit of the moment instead of the one of the first beat.
          (".max_payload_dw_i(max_payload_dw_q)", ".max_payload_dw_i(max_payload_dw_i)")),
    Block("tlp_egress", "tlp/tlp_egress.sv",
          ("prim/stream_props.sv", "tlp/tlp_egress_props.sv"),
          # Takes the next TLP while the rest of this one still waits.
          ("assign eg_ready_o = go && !flush_q;", "assign eg_ready_o = go;")),
    Block("tx_arbiter", "tlp/tx_arbiter.sv", ("tlp/tx_arbiter_props.sv",),
          # A choice in the middle of a TLP.
          ("(fire && out_o.eop)", "fire"), {"NumIn": 3}),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.top)
def test_properties_hold(block: Block) -> None:
    assert prove(block.top, [block.design, *block.others], parameters=block.parameters)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.top)
def test_mutant_is_refused(block: Block, tmp_path: Path) -> None:
    text = (toolchain.REPO / "rtl" / block.design).read_text()
    assert text.count(block.mutant[0]) == 1
    mutant = tmp_path / Path(block.design).name
    mutant.write_text(text.replace(*block.mutant))
    assert not prove(block.top, [mutant, *block.others], parameters=block.parameters)
