# SPDX-License-Identifier: Apache-2.0
"""The Linux scenarios on virtual boards, and the checks they depend on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from teeio.board import VirtualBoard, prepare_images
from teeio.host import policy_for
from teeio.platforms.catalogue import platform_named, scenarios
from teeio.platforms.common.runner import mutation_table, run_scenarios
from teeio.platforms.common.scenario import Needs, PlatformEnv, Verdict
from teeio.platforms.common.target import HostTarget, board_targets

SEED = 60_000
# On the shared connection, a few seconds each.
CHEAP = ("L3", "L4", "L10", "L14")
ONE_CONNECT = ("L9", "G1", "L13")


def environment(boards: int) -> Iterator[PlatformEnv]:
    images = prepare_images()
    policy = policy_for(images, seeded=True)
    running = [VirtualBoard(images, seed=SEED + k) for k in range(boards)]
    targets: list[HostTarget] = []
    try:
        targets = board_targets([board.url for board in running], policy)
        yield platform_named("linux").make(list(targets), policy)
    finally:
        for target in targets:
            target.close()
        for board in running:
            board.stop()


@pytest.fixture(scope="module")
def env() -> Iterator[PlatformEnv]:
    yield from environment(1)


def test_scenarios_on_one_connect_and_the_checks_they_depend_on(env: PlatformEnv) -> None:
    """Everything cheap passes; without any one of its checks something turns red."""
    items = [s for s in scenarios("linux") if s.id in CHEAP + ONE_CONNECT]
    results = run_scenarios(env, items)
    assert {r.scenario.id: (r.verdict.value, r.reason) for r in results
            if r.verdict is not Verdict.PASS} == {}
    # The connection was in place for all but those that ask for a fresh one.
    assert sum(e.message == "K_SET_GO" and e.verb == "connect" for r in results
               for e in r.log if not Needs.FRESH & r.scenario.needs) == 0
    cheap = [r for r in results if r.scenario.id in CHEAP]
    wanted = {"iommu.stream", "iommu.enabled", "pages.owner", "pages.private", "tsm.dma_run",
              "tsm.mmio_tee", "linux.lock_once", "linux.request_scope"}
    table = mutation_table(env, cheap, checks=wanted)
    assert {row.check for row in table} == wanted
    assert [row.check for row in table if not row.red_without] == []


@pytest.mark.long
def test_all_scenarios() -> None:
    """On two boards. That each check turns something red is shown by `make platforms`; a sample of
    that stands above."""
    for both in environment(2):
        results = run_scenarios(both, scenarios("linux"))
        assert {r.scenario.id: (r.verdict.value, r.reason) for r in results
                if r.verdict is not Verdict.PASS} == {}
