# SPDX-License-Identifier: Apache-2.0
"""Runs selected cases on a target, with a sanity case before and after each group.

A device that fails the sanity case stops the run with a diagnosis; what was not run says so.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol

from teeio.conformance.bench import Bench, Profile
from teeio.conformance.ladder import observed
from teeio.conformance.model import Case, CaseResult, Checks, Level, SkipCase, Verdict
from teeio.conformance.sanity import sanity
from teeio.core.capabilities import Capabilities
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.ops import Steps, T
from teeio.errors import TsmError

SANITY: Final = "sanity"


class RunTarget(Protocol):
    """What the runner needs of a target (`teeio.targets.Target` has it).

    One that lets the suite change TLPs has `set_tamper` as well (`teeio.targets.BoardTarget`).
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it carries."""

    @property
    def is_lost(self) -> bool:
        """Nothing answers any more."""

    def run(self, steps: Steps[T]) -> T:
        """Drives a program to its end."""

    def reset(self) -> None:
        """Conventional reset."""

    def use_mailbox(self, mailbox: DoeMailbox) -> None:
        """Says where the DOE mailbox is."""


@dataclass(slots=True)
class RunReport:
    """What came of a run.

    Attributes:
        results: one per case and repetition, in order.
        diagnosis: why the run was stopped; empty if it was not.
        device: what the device says of itself.
    """

    seed: int
    results: list[CaseResult] = field(default_factory=list)
    diagnosis: str = ""
    device: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def count(self, verdict: Verdict) -> int:
        """Number of results with this verdict."""
        return sum(item.verdict is verdict for item in self.results)

    @property
    def exit_code(self) -> int:
        """0 no MUST failed; 1 one did; 3 the run was stopped."""
        if self.diagnosis:
            return 3
        return 1 if self.count(Verdict.FAIL) else 0


class Runner:
    """One run.

    Args:
        target: the device; it stays open.
        profile: what is trusted and assumed.
        seed: of the random bytes that the suite sends; with the same seed a case sends the same.
        repeat: how often the cases run.
        on_result: told of each result as it comes.
    """

    def __init__(self, target: RunTarget, profile: Profile, *, seed: int, repeat: int = 1,
                 on_result: Callable[[CaseResult], None] | None = None) -> None:
        self.target = target
        self.seed = seed
        self.repeat = repeat
        self._on_result = on_result or (lambda result: None)
        self._bench = Bench(profile, target.capabilities, random.Random(seed).randbytes,
                            reset_target=target.reset,
                            set_tamper=getattr(target, "set_tamper", None))

    def run(self, cases: Sequence[Case]) -> RunReport:
        """Runs the cases in the order given, group by group."""
        report = RunReport(self.seed)
        began = time.monotonic()
        todo = [(number, case) for number in range(self.repeat) for case in cases]
        try:
            self._drive(self._bench.prepare())
            if self._bench.mailbox is not None:
                self.target.use_mailbox(self._bench.mailbox)
        except TsmError as error:
            report.diagnosis = f"the device cannot be enumerated: {error}"
        for _, group in groupby(todo, key=lambda item: (item[0], item[1].group)):
            self._group(report, list(group))
        report.device = self._bench_identity()
        report.seconds = time.monotonic() - began
        return report

    def _bench_identity(self) -> dict[str, str]:
        if not self._bench.functions:
            return {}
        first = self._bench.functions[0]
        return {"vendor": f"{first.vendor:04x}", "device": f"{first.device:04x}",
                "revision": f"{first.revision:02x}", "functions": str(len(self._bench.functions))}

    def _group(self, report: RunReport, group: list[tuple[int, Case]]) -> None:
        lacking = {case.id: self.target.capabilities.lacking(*case.needs) for _, case in group}
        if not report.diagnosis and not all(lacking.values()):
            self._sanity(report, f"before group {group[0][1].group}")
        ran = False
        for number, case in group:
            if report.diagnosis:
                result = CaseResult(case=case, verdict=Verdict.NOT_RUN, repeat=number,
                                    reason="the run was stopped before")
            elif missing := lacking[case.id]:
                result = CaseResult(case=case, verdict=Verdict.SKIP, repeat=number,
                                    reason=f"the target does not carry {', '.join(missing)}")
            else:
                ran = True
                result = self._case(case, number)
                if self.target.is_lost:
                    report.diagnosis = f"nothing answers any more after case {case.id}"
            report.results.append(result)
            self._on_result(result)
        if ran and not report.diagnosis:
            self._sanity(report, f"after group {group[-1][1].group}")

    def _sanity(self, report: RunReport, when: str) -> None:
        """The device must still do the simplest things, or the run ends here."""
        ladder = self._bench.new_case(random.Random(f"{self.seed}:{when}").randbytes)
        try:
            self._drive(observed(sanity(self._bench), ladder))
        except TsmError as error:
            ran = [item.case.id for item in report.results
                   if item.verdict not in (Verdict.SKIP, Verdict.NOT_RUN)]
            last = f"; the last case was {ran[-1]}" if ran else ""
            report.diagnosis = f"sanity case {when} fails: {error}{last}"

    def _case(self, case: Case, number: int) -> CaseResult:
        text = f"{self.seed}:{case.id}" + (f":{number}" if number else "")
        ladder = self._bench.new_case(random.Random(text).randbytes)
        checks = Checks(case.assertions)
        began = time.monotonic()
        result = CaseResult(case=case, verdict=Verdict.PASS, repeat=number,
                            assertions=checks.assertions, ladder=ladder.steps)
        try:
            self._drive(observed(case.steps(self._bench, checks), ladder))
            result.reason = checks.problem
        except SkipCase as skipped:
            result.verdict, result.reason = Verdict.SKIP, str(skipped)
        except TsmError as error:
            result.reason = checks.problem if any(
                item.ok is False for item in checks.assertions) else f"{error}"
        except (struct.error, ValueError, IndexError, KeyError, TypeError, AssertionError) as error:
            # An answer that the case did not foresee is the device's failure, not the run's.
            result.reason = checks.problem if any(
                item.ok is False for item in checks.assertions) else (
                f"the case stumbled over an answer: {type(error).__name__}: {error}")
        if result.verdict is Verdict.PASS and result.reason:
            result.verdict = Verdict.FAIL if case.level is Level.MUST else Verdict.WARN
            self._bench.forget()  # nothing of a device that surprised us is taken for granted
        else:
            try:
                self._drive(observed(self._bench.settle(), ladder))
            except TsmError as error:
                ladder.remark(f"after the case: {error}")
                self._bench.forget()
        result.seconds = time.monotonic() - began
        return result

    def _drive(self, steps: Steps[T]) -> T:
        return self.target.run(steps)
