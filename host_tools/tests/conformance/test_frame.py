# SPDX-License-Identifier: Apache-2.0
"""The frame: verdicts, selection, sanity cases, a device that dies."""

from __future__ import annotations

import pytest

from host_tools.tests.conformance.parts import Proxy, need_native, run_suite
from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, Level, SkipCase, Verdict
from teeio.conformance.selection import Selection, parse_shard
from teeio.conformance.suites import CASES
from teeio.core.ops import Steps
from teeio.errors import LocalError, PeerError


def good(bench: Bench, check: Checks) -> Steps[None]:
    yield from ()
    check(1, 1, 1)
    check(2, b"\1", b"\1")


def wrong(bench: Bench, check: Checks) -> Steps[None]:
    yield from ()
    check(1, 2, 2)
    check(2, b"\1", b"\2")
    check(2, b"\2", b"\2")


def ends_early(bench: Bench, check: Checks) -> Steps[None]:
    yield from ()
    check(1, 1, 1)


def skips(bench: Bench, check: Checks) -> Steps[None]:
    yield from ()
    raise SkipCase("nothing to see")


def breaks(bench: Bench, check: Checks) -> Steps[None]:
    yield from ()
    raise PeerError("it went wrong", clause="some clause")


def case(name: str, steps: CaseSteps, level: Level = Level.MUST,
         needs: tuple[str, ...] = ("doe",)) -> Case:
    return Case(id=f"g.{name}", title=name, clause="none", assertions=("one", "two"), steps=steps,
                level=level, needs=needs)


def test_verdicts() -> None:
    need_native()
    cases = [case("good", good), case("wrong", wrong), case("early", ends_early),
             case("skips", skips), case("breaks", breaks), case("should", wrong, Level.SHOULD),
             case("lacks", good, needs=("doe", "ide", "dma"))]
    report = run_suite(Proxy(), cases=cases)
    assert [(item.verdict.value, item.reason) for item in report.results] == [
        ("pass", ""),
        ("fail", "2. two: expected 02, seen 01"),
        ("fail", "2. two: not reached"),
        ("skip", "nothing to see"),
        ("fail", "it went wrong [some clause]"),
        ("warn", "2. two: expected 02, seen 01"),
        ("skip", "the target does not carry ide, dma"),
    ]
    assert report.exit_code == 1


def test_a_warning_does_not_fail_the_run() -> None:
    need_native()
    assert run_suite(Proxy(), cases=[case("should", wrong, Level.SHOULD)]).exit_code == 0


def test_a_dead_device_stops_the_run_with_a_diagnosis() -> None:
    """Not a cascade: what was not run says so."""
    need_native()
    report = run_suite(Proxy(lives=200))
    assert "after group tdisp fails" in report.diagnosis or "sanity case" in report.diagnosis
    assert "the last case was" in report.diagnosis
    assert report.exit_code == 3


def test_a_device_that_never_answers_runs_nothing() -> None:
    need_native()
    report = run_suite(Proxy(lives=0), cases=[case("good", good), case("more", good)])
    assert "before group g" in report.diagnosis
    assert [item.verdict for item in report.results] == [Verdict.NOT_RUN] * 2


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Also when other cases run before, so that one case alone repeats a run."""
    need_native()
    seen: list[bytes] = []

    def draws(bench: Bench, check: Checks) -> Steps[None]:
        yield from ()
        seen.append(bench.rng(16))
        check(1, 1, 1)
        check(2, 1, 1)

    draw = case("draw", draws)
    for seed, cases in ((1, [draw]), (1, [case("first", good), draw]), (2, [draw])):
        run_suite(Proxy(), cases=cases, seed=seed)
    assert seen[0] == seen[1] != seen[2]
    run_suite(Proxy(), cases=[draw], repeat=2)
    assert seen[3] == seen[0] != seen[4]


def test_shards_are_a_partition() -> None:
    parts = [Selection(shard=(i, 3)).apply(CASES) for i in (1, 2, 3)]
    assert sorted(c.id for part in parts for c in part) == sorted(c.id for c in CASES)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for text in ("0/2", "3/2", "1", "a/b", "1/2/3"):
        with pytest.raises(LocalError, match="shard"):
            parse_shard(text)


def test_selection_by_id_alias_group_and_level() -> None:
    def ids(*only: str, level: Level = Level.MAY) -> list[str]:
        return [c.id for c in Selection(only=only, level=level).apply(CASES)]

    assert ids("Tdisp.3.1") == ["tdisp.lock"]
    assert ids("tdisp.nonce.*") == [c.id for c in CASES if c.id.startswith("tdisp.nonce.")]
    assert ids("tdisp") == [c.id for c in CASES if c.group == "tdisp"]
    assert ids(level=Level.MUST) == [c.id for c in CASES if c.level is Level.MUST]
    with pytest.raises(LocalError, match="no such case"):
        ids("tdisp", "nonsense")


def test_cases_are_well_formed() -> None:
    """Ids are unique, aliases too; each has a clause, and texts to its assertions."""
    ids = [c.id for c in CASES]
    aliases = [alias for c in CASES for alias in c.aliases]
    assert len(set(ids)) == len(ids)
    numbered = [a for a in aliases if not a.startswith("SpdmResponder.") or a.count(".") == 2]
    assert len(set(numbered)) == len(numbered)
    groups = {a for a in aliases if a not in numbered}
    assert groups == {f"SpdmResponder.{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16)}
    for name, count in (("Tdisp", 22), ("IdeKm", 18)):
        assert sum(a.startswith(f"{name}.") for a in aliases) == count
    for c in CASES:
        assert c.clause and c.title and all(c.assertions), c.id


def test_an_assertion_that_is_not_there_is_a_mistake_of_the_case() -> None:
    with pytest.raises(LocalError, match="no assertion 3"):
        Checks(("one", "two"))(3, 1, 1)


