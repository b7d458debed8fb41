# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios on a platform: one connect serves all that do not need a fresh device.

The mutation table runs the scenarios that took a check again with that check off, and notes which
turn red. A check that turns none red is one nobody tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from teeio.errors import TsmError
from teeio.platforms.common.checks import Taken
from teeio.platforms.common.order import Entry
from teeio.platforms.common.scenario import (
    Needs,
    PlatformEnv,
    Scenario,
    ScenarioSkipped,
    Verdict,
)
from teeio.platforms.common.vmm import HostGone


@dataclass(slots=True)
class Result:
    """One run of one scenario.

    Attributes:
        reason: what was shown, or what was not.
        seconds: wall clock, a connect it had to wait for included.
        taken: checks, in order.
        log: order log.
        scanned: (secrets, bytes) of the secret scan.
    """

    scenario: Scenario
    verdict: Verdict
    reason: str
    seconds: float
    taken: list[Taken] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    scanned: tuple[int, int] = (0, 0)

    @property
    def checks(self) -> set[str]:
        """Ids of the checks it took."""
        return {item.check for item in self.taken}


Report = Callable[[Result], None]


def _ordered(items: Iterable[Scenario]) -> list[Scenario]:
    """Scenarios that share a connect first."""
    return sorted(items, key=lambda s: Needs.FRESH in s.needs)


def run_one(env: PlatformEnv, item: Scenario, off: Iterable[str] = ()) -> Result:
    """Run one scenario; the devices are settled again afterwards, whatever it did."""
    machine, start = env.machine, time.monotonic()
    if Needs.TWO_DEVICES in item.needs and len(machine.devices) < 2:
        return Result(item, Verdict.SKIP, "needs two devices: give two URLs", 0.0)
    if Needs.TLPS in item.needs and not all(d.target.has_tlps for d in machine.devices):
        return Result(item, Verdict.SKIP, "needs a link: this target has none", 0.0)
    context = machine.context
    context.begin()
    try:
        if Needs.FRESH in item.needs:
            env.tear_down()
        else:
            env.establish(2 if Needs.TWO_DEVICES in item.needs else 1)
    except TsmError as error:
        env.start_over()
        return Result(item, Verdict.FAIL, f"before it began: {error}", time.monotonic() - start)
    context.begin(off)
    honest = machine.vmm
    try:
        verdict, reason = Verdict.PASS, item.run(env)
    except ScenarioSkipped as skipped:
        verdict, reason = Verdict.SKIP, str(skipped)
    except HostGone:
        verdict, reason = Verdict.FAIL, "the host left and nobody took care of its verb"
    except TsmError as error:
        verdict, reason = Verdict.FAIL, f"{type(error).__name__}: {error}"
    machine.vmm = honest
    leaks = context.scan.leaks()
    if leaks:
        verdict = Verdict.FAIL
        reason = f"secret scan: a {leaks[0].kind} stands in {leaks[0].where}; {reason}"
    result = Result(item, verdict, reason, time.monotonic() - start, context.checks.taken,
                    context.log.entries, (context.scan.known, context.scan.crossed_bytes))
    context.begin()
    try:
        env.settle()
    except TsmError:
        context.begin()
        env.start_over()
    return result


def run_scenarios(env: PlatformEnv, items: Sequence[Scenario], *, off: Iterable[str] = (),
                  report: Report | None = None) -> list[Result]:
    """Run scenarios, those that share a connect first; results in the order of `items`."""
    done: dict[str, Result] = {}
    for item in _ordered(items):
        result = run_one(env, item, off)
        done[item.id] = result
        if report is not None:
            report(result)
    return [done[item.id] for item in items]


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a check is worth.

    Attributes:
        check: its id.
        red_without: scenarios that fail with it off.
        tried: scenarios that took it and were run with it off.
    """

    check: str
    red_without: tuple[str, ...]
    tried: tuple[str, ...]


def mutation_table(env: PlatformEnv, results: Sequence[Result], *,
                   checks: Iterable[str] | None = None, exhaustive: bool = False,
                   report: Callable[[Mutation], None] | None = None) -> list[Mutation]:
    """For every check taken in passing `results`, run its scenarios with the check off.

    Args:
        checks: only these.
        exhaustive: all scenarios that took it; otherwise it stops at the first that turns red,
            trying those where the check refused first.
    """
    passing = {r.scenario.id: r for r in results if r.verdict is Verdict.PASS}
    names = sorted({name for r in passing.values() for name in r.checks})
    if checks is not None:
        wanted = set(checks)
        names = [name for name in names if name in wanted]
    table = []
    for name in names:
        took = [r.scenario for r in passing.values() if name in r.checks]
        # Those where it refused depend on it most likely; then those that share a connect.
        took.sort(key=lambda s: (not _refused(passing[s.id], name), Needs.FRESH in s.needs))
        red: list[str] = []
        tried: list[str] = []
        for item in took:
            tried.append(item.id)
            if run_one(env, item, (name,)).verdict is Verdict.FAIL:
                red.append(item.id)
                if not exhaustive:
                    break
        row = Mutation(name, tuple(red), tuple(tried))
        table.append(row)
        if report is not None:
            report(row)
    return table


def _refused(result: Result, check: str) -> bool:
    return any(item.check == check and item.reason for item in result.taken)
