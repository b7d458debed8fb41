# SPDX-License-Identifier: Apache-2.0
"""Proof of the properties of ide_streams, and that broken copies of it are refused.

Proved for every sequence of commands and events: a Secure stream is enabled and has a GO'd key of
one session in every channel; an event takes all keys of its block in its own cycle; whatever key
is lost is on the erase list, and no slot is loaded or usable while it is; no key outlives its
stream on the way into the engine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cocotb_tests.tlp.prove import prove
from sim import toolchain

DESIGN = "ide/ide_streams.sv"
OTHERS = ["ide/ide_key_eraser.sv", "ide/ide_streams_props.sv"]

MUTANTS = {
    "event_one_cycle_late": (
        "secure_o[b]     = ready_q[b] && block_cfg_i[b].enable && !kill[b];",
        "secure_o[b]     = ready_q[b] && block_cfg_i[b].enable;"),
    "lost_key_not_erased": ("mark = lost;", "mark = lost & ~(slots_t'(1));"),
    "flr_forgets_staging": (
        "if (kill_event[b] && stage_block_d == 2'(b)) begin",
        "if (kill_event[b] && !flr0_i && stage_block_d == 2'(b)) begin"),
    "load_over_a_key": (
        "prog_d[key_i.is_tx][cmd_slot] = 1'b0;\n              go_d[key_i.is_tx][cmd_slot]   = "
        "1'b0;\n              hand_over                     = cmd_superseded;\n            end\n"
        "          end\n          KeyGo",
        "hand_over                     = cmd_superseded;\n            end\n          end\n"
        "          KeyGo"),
    "go_without_key": ("end else if (prog_d[key_i.is_tx][cmd_slot] && cmd_tag_matches) begin",
                       "end else if (cmd_tag_matches) begin"),
    "cancelled_key_kept": ("if (!cancel_q) begin", "begin"),
    "sessions_mixed": ("key_i.session_tag != '0 && cmd_block_keyed && !cmd_tag_matches) begin",
                       "1'b0) begin"),
}


def test_properties_hold() -> None:
    assert prove("ide_streams", [DESIGN, *OTHERS])


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_refused(name: str, tmp_path: Path) -> None:
    text = (toolchain.REPO / "rtl" / DESIGN).read_text()
    old, new = MUTANTS[name]
    assert text.count(old) == 1
    mutant = tmp_path / "ide_streams.sv"
    mutant.write_text(text.replace(old, new))
    assert not prove("ide_streams", [mutant, *OTHERS])
