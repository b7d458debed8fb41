# SPDX-License-Identifier: Apache-2.0
"""Proof of the properties of tdi_control, and that broken copies of it are refused.

Proved for every firmware and every event: no LOCKED without a LOCK under six keys of the asking
session and a finished erasure, no RUN without LOCKED, equal nonce and a Secure stream, no nonce
outside LOCKED, no way out of LOCKED or RUN but ERROR, and a view that closes in the same cycle.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cocotb_tests.tlp.prove import prove
from sim import toolchain

DESIGN = "tdisp/tdi_control.sv"
OTHERS = ["tdisp/tdi_lock_check.sv", "tdisp/tdi_p2p_check.sv", "tdisp/tdi_control_props.sv"]
PARAMETERS = {"NumTdi": 2, "EntropyTimeoutCycles": 3, "DrainTimeoutCycles": 3}

MUTANTS = {
    "nonce_of_255_bits": ("(nonce_q[i] ^ cmd_q.nonce) == '0",
                          "((nonce_q[i] ^ cmd_q.nonce) >> 1) == '0"),
    "view_one_cycle_late": ("closed[i]  = in_work[i] || leaves[i];", "closed[i]  = in_work[i];"),
    "lock_in_spite_of_violation": (
        "lock_event = violation_i[i] ||", "lock_event = 1'b0 ||"),
    "nonce_kept_in_run": ("if (state_d[i] != StLocked) nonce_d[i] = '0;",
                          "if (state_d[i] == StUnlocked) nonce_d[i] = '0;"),
    "start_by_any_session": ("session_ok  = cmd_q.session_tag == tag_q[i];", "session_ok  = 1'b1;"),
    "unlocked_before_erasure": ("if (cmd_erased && erase_q == '0) begin", "begin"),
}


def test_properties_hold() -> None:
    assert prove("tdi_control", [DESIGN, *OTHERS], parameters=PARAMETERS)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_refused(name: str, tmp_path: Path) -> None:
    text = (toolchain.REPO / "rtl" / DESIGN).read_text()
    old, new = MUTANTS[name]
    assert text.count(old) == 1
    mutant = tmp_path / "tdi_control.sv"
    mutant.write_text(text.replace(old, new))
    assert not prove("tdi_control", [mutant, *OTHERS], parameters=PARAMETERS)
