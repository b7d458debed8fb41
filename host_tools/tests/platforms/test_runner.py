# SPDX-License-Identifier: Apache-2.0
"""The runner on an environment that only counts: order, verdicts, leaks, the mutation table."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from teeio.core.secret import Secret
from teeio.errors import TransportError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import ENABLED, STREAM, IommuReason
from teeio.platforms.common.runner import mutation_table, run_one, run_scenarios
from teeio.platforms.common.scenario import (
    Kind,
    Needs,
    Scenario,
    ScenarioFailed,
    ScenarioSkipped,
    Verdict,
    refuses,
)
from teeio.platforms.common.vmm import HostGone, HostVmm


@dataclass
class CountingEnv:
    """Has one device with a link; notes what the runner asks of it."""

    calls: list[str] = field(default_factory=list)
    unsettled: bool = False

    def __post_init__(self) -> None:
        context = Context()
        device = SimpleNamespace(target=SimpleNamespace(has_tlps=True))
        self.machine: Any = SimpleNamespace(context=context, devices=[device],
                                            vmm=HostVmm(context))

    def establish(self, devices: int = 1) -> None:
        self.calls.append(f"establish {devices}")

    def settle(self) -> None:
        self.calls.append("settle")
        if self.unsettled:
            raise TransportError("no")

    def tear_down(self) -> None:
        self.calls.append("tear down")

    def start_over(self) -> None:
        self.calls.append("start over")


def one(run: Any, identity: str = "T1", needs: Needs = Needs.TLPS) -> Scenario:
    return Scenario(identity, "test", Kind.NEGATIVE, "title", needs, run)


def stream_check(env: CountingEnv) -> str:
    checks = env.machine.context.checks
    checks.require(ENABLED, True, IommuReason.DISABLED)
    with refuses("another stream", IommuReason.STREAM):
        checks.require(STREAM, False, IommuReason.STREAM)
    return "refused"


def test_scenarios_that_share_a_connect_go_first_and_results_keep_their_order() -> None:
    env = CountingEnv()
    order: list[str] = []
    items = [one(lambda e, i=i: order.append(i) or i, i, needs) for i, needs in (
        ("A", Needs.TLPS | Needs.FRESH), ("B", Needs.TLPS), ("C", Needs.NOTHING))]
    results = run_scenarios(env, items)
    assert order == ["B", "C", "A"] and [r.scenario.id for r in results] == ["A", "B", "C"]
    assert env.calls == ["establish 1", "settle", "establish 1", "settle", "tear down", "settle"]


def test_verdicts() -> None:
    env = CountingEnv()

    def skip(_: CountingEnv) -> str:
        raise ScenarioSkipped("not here")

    def fail(_: CountingEnv) -> str:
        raise ScenarioFailed("other reason")

    def gone(_: CountingEnv) -> str:
        raise HostGone("left")

    assert run_one(env, one(skip)).verdict is Verdict.SKIP
    assert run_one(env, one(fail)).verdict is Verdict.FAIL
    assert run_one(env, one(gone)).verdict is Verdict.FAIL
    two = run_one(env, one(stream_check, needs=Needs.TLPS | Needs.TWO_DEVICES))
    assert two.verdict is Verdict.SKIP and "two devices" in two.reason
    env.unsettled = True
    env.calls.clear()
    assert run_one(env, one(stream_check)).verdict is Verdict.PASS
    assert env.calls == ["establish 1", "settle", "start over"]


def test_refusal_for_another_reason_is_a_failure() -> None:
    def wrong(env: CountingEnv) -> str:
        with refuses("another stream", IommuReason.DISABLED):
            env.machine.context.checks.require(STREAM, False, IommuReason.STREAM)
        return ""

    result = run_one(CountingEnv(), one(wrong))
    assert result.verdict is Verdict.FAIL and "STREAM, not DISABLED" in result.reason


def test_a_leak_turns_a_passing_scenario_red() -> None:
    def leaky(env: CountingEnv) -> str:
        secret = Secret(os.urandom(32))
        env.machine.context.scan.crossed("sysfs", secret.reveal())
        return "fine otherwise"

    result = run_one(CountingEnv(), one(leaky))
    assert result.verdict is Verdict.FAIL and "sysfs" in result.reason


def test_the_mutation_table_names_what_turns_red_and_what_nothing_depends_on() -> None:
    def only_takes(env: CountingEnv) -> str:
        env.machine.context.checks.take(STREAM, True, IommuReason.STREAM)
        return ""

    env = CountingEnv()
    results = run_scenarios(env, [one(only_takes, "A"), one(stream_check, "B")])
    table = {row.check: row for row in mutation_table(env, results)}
    assert table["iommu.stream"].red_without == ("B",)
    assert table["iommu.stream"].tried == ("B",), "the one that refused is tried first"
    assert table["iommu.enabled"].red_without == () and table["iommu.enabled"].tried == ("B",)
    full = mutation_table(env, results, checks={"iommu.stream"}, exhaustive=True)
    assert full[0].tried == ("B", "A") and full[0].red_without == ("B",)


def test_a_check_that_raises_is_recorded_before_it_does() -> None:
    def raising(env: CountingEnv) -> str:
        env.machine.context.checks.require(STREAM, False, IommuReason.STREAM, "here")
        return ""

    result = run_one(CountingEnv(), one(raising))
    assert result.verdict is Verdict.FAIL and Refused.__name__ in result.reason
    assert [(t.check, t.reason, t.subject) for t in result.taken] == [
        ("iommu.stream", "STREAM", "here")]
