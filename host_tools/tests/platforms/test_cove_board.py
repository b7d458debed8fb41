# SPDX-License-Identifier: Apache-2.0
"""The CoVE-IO scenarios on a virtual board, and the checks they depend on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from teeio.board import VirtualBoard, prepare_images
from teeio.host import policy_for
from teeio.platforms.catalogue import platform_named, scenarios
from teeio.platforms.common.runner import mutation_table, run_scenarios
from teeio.platforms.common.scenario import PlatformEnv, Verdict
from teeio.platforms.common.states import ORDER, Column, as_markdown, collect, walks
from teeio.platforms.common.target import board_targets

SEED = 60_100
PAGE = Path(__file__).parents[3] / "docs/platform_states.md"
# On one shared connection, a few seconds each; C1 and C13 need their own, or end it.
CHEAP = ("C3", "C4", "C6", "C8", "C9", "C10", "C12", "C16", "C17", "C18", "G1")
WANTED = {"cove.region_overlap", "cove.region_owned", "cove.map_region", "cove.transcript",
          "cove.go_state", "cove.guest_nonce", "port.rid_association", "iommu.context"}


@pytest.fixture(scope="module")
def env() -> Iterator[PlatformEnv]:
    images = prepare_images()
    policy = policy_for(images, seeded=True)
    with VirtualBoard(images, seed=SEED) as board:
        targets = board_targets([board.url], policy)
        try:
            yield platform_named("cove").make(list(targets), policy)
        finally:
            targets[0].close()


def test_scenarios_on_one_connect_and_the_checks_they_depend_on(env: PlatformEnv) -> None:
    """Everything cheap passes; without any one of some checks something turns red."""
    results = run_scenarios(env, [s for s in scenarios("cove") if s.id in CHEAP])
    assert {r.scenario.id: (r.verdict.value, r.reason) for r in results
            if r.verdict is not Verdict.PASS} == {}
    assert sum(e.message == "COVH CONNECT_DEVICE" for r in results for e in r.log) == 0
    quick = [r for r in results if r.scenario.id not in ("C16", "G1")]
    table = mutation_table(env, quick, checks=WANTED)
    assert {row.check for row in table} == WANTED
    assert [row.check for row in table if not row.red_without] == []


def test_the_page_of_states_says_what_the_model_says(env: PlatformEnv) -> None:
    """The column of this platform in docs/platform_states.md."""
    column = collect("cove", env)
    rows = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines()
            if line.startswith("|")]
    at = rows[0].index(column.title)
    assert [row[at] for row in rows[2:]] == [column.cells[state] for state in ORDER]
    assert "linux" in walks()
    # One row a state, one cell a column.
    page = as_markdown([column, Column("other", column.cells)])
    assert [line.count("|") for line in page.splitlines() if line.startswith("|")] == [4] * 6


@pytest.mark.long
def test_all_scenarios(env: PlatformEnv) -> None:
    """Every scenario passes; `make platforms` has the table of all checks, above is a sample."""
    results = run_scenarios(env, scenarios("cove"))
    assert {r.scenario.id: (r.verdict.value, r.reason) for r in results
            if r.verdict is not Verdict.PASS} == {}
