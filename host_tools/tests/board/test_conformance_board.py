# SPDX-License-Identifier: Apache-2.0
"""The suite on a virtual board: what needs TLPs and the mailbox registers."""

from __future__ import annotations

import pytest

from teeio.board import VirtualBoard
from teeio.conformance.bench import Profile
from teeio.conformance.model import Verdict
from teeio.conformance.runner import Runner, RunReport
from teeio.conformance.selection import Selection
from teeio.conformance.suites import CASES
from teeio.core.tsm import TsmPolicy
from teeio.targets import BoardTarget

pytestmark = pytest.mark.long


def run_cases(board: VirtualBoard, policy: TsmPolicy, *only: str) -> RunReport:
    """Runs cases on the board."""
    target = BoardTarget(board.url)
    try:
        profile = Profile(roots=policy.roots, at=policy.at)
        return Runner(target, profile, seed=1).run(Selection(only=only).apply(CASES))
    finally:
        target.close()


@pytest.mark.parametrize("group", ["doe.mailbox.*", "link"])
def test_groups_that_need_a_board(board: VirtualBoard, policy: TsmPolicy, group: str) -> None:
    """Nothing is skipped there, and nothing fails."""
    report = run_cases(board, policy, group)
    assert report.diagnosis == ""
    assert [(r.case.id, r.reason) for r in report.results if r.verdict is not Verdict.PASS] == []


def test_a_target_without_a_stand_on_the_link_skips(board: VirtualBoard, policy: TsmPolicy) -> None:
    """A foreign adapter need not offer `set_tamper`."""
    target = BoardTarget(board.url)
    try:
        runner = Runner(target, Profile(roots=policy.roots, at=policy.at), seed=1)
        runner._bench.set_tamper = None
        report = runner.run(Selection(only=("link.misrouted",)).apply(CASES))
    finally:
        target.close()
    result, = report.results
    assert result.verdict is Verdict.SKIP
    assert "does not let the suite change TLPs" in result.reason
