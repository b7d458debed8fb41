# SPDX-License-Identifier: Apache-2.0
"""`teeio platform`: list the platforms, run their scenarios on a board, show what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from teeio.board import VirtualBoard, prepare_images
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import policy_for
from teeio.platforms.catalogue import platform_named, platforms, scenarios
from teeio.platforms.common.checks import CheckSet, all_checks
from teeio.platforms.common.report import as_html, as_json, ladder
from teeio.platforms.common.runner import (
    Mutation,
    Result,
    mutation_table,
    run_scenarios,
)
from teeio.platforms.common.scenario import Needs, PlatformEnv, Scenario, Verdict
from teeio.platforms.common.target import board_targets

app = typer.Typer(no_args_is_help=True, help="Platforms as hosts of the endpoint.")
COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.SKIP: "yellow"}
SEED = 20_251


@app.command("list")
def show(
    checks: Annotated[bool, typer.Option("--checks", help="list the checks too")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="print plain JSON")] = False,
) -> None:
    """List platforms, scenarios and checks."""
    if as_json_:
        print(json.dumps({
            "platforms": [{"id": p.id, "title": p.title} for p in platforms()],
            "scenarios": [{"id": s.id, "platform": s.platform, "kind": s.kind.value,
                           "title": s.title} for s in scenarios()],
            "checks": [{"name": c.id, "text": c.text, "source": c.clause}
                       for c in all_checks()]}))
        return
    console = Console(highlight=False)
    for platform in platforms():
        table = Table("id", "kind", "scenario", title=f"{platform.id}: {platform.title}")
        for item in scenarios(platform.id):
            table.add_row(item.id, item.kind.value, item.title)
        console.print(table)
    if checks:
        table = Table("check", "rule", "source", title="checks")
        for check in all_checks():
            table.add_row(check.id, check.text, check.clause)
        console.print(table)


@app.command("run")
def run(
    platform: Annotated[str, typer.Argument(help="platform id, or all")],
    urls: Annotated[list[str] | None, typer.Argument(
        help="boards; none: virtual boards are started")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="only this scenario (repeat)")] = None,
    check_off: Annotated[list[str] | None, typer.Option(
        help="leave this check out (repeat); scenarios that need it turn red")] = None,
    mutate: Annotated[bool, typer.Option(
        help="also switch every check off in turn")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    html: Annotated[Path | None, typer.Option(help="write a page")] = None,
    out: Annotated[Path | None, typer.Option(help="write the report as JSON")] = None,
) -> None:
    """Run scenarios of a platform; the exit code is 1 if one fails."""
    console = Console(stderr=as_json_, highlight=False)
    try:
        names = [p.id for p in platforms()] if platform == "all" else [platform_named(platform).id]
        items = {name: _selected(name, scenario or []) for name in names}
        CheckSet(check_off or ())
        two = any(Needs.TWO_DEVICES in s.needs for group in items.values() for s in group)
        results: list[Result] = []
        mutations: list[Mutation] = []
        for name, group in items.items():
            with _environment(name, urls or [], 2 if two else 1, console) as env:
                console.print(f"[bold]{name}[/bold]")
                mine = run_scenarios(env, group, off=check_off or (),
                                     report=lambda r: _line(console, r))
                results += mine
                if mutate:
                    mutations += mutation_table(env, mine, report=lambda m: _row(console, m))
    except TsmError as error:
        console.print(f"[red]platform: {error}[/red]")
        raise typer.Exit(3 if isinstance(error, TransportError) else 1) from None
    if mutate and platform == "all" and not scenario:
        # A check that no scenario takes is worth as little as one that turns none red.
        mutations += [Mutation(check.id, (), ()) for check in all_checks()]
    mutations = _merged(mutations)
    report = as_json(results, mutations)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(as_html(results, mutations))
    if as_json_:
        print(json.dumps(report))
    elif len(results) == 1:
        _ladder(console, results[0])
    idle = [m.check for m in mutations if not m.red_without]
    if idle:
        console.print(f"[red]no scenario depends on: {', '.join(idle)}[/red]")
    bad = [r for r in results if r.verdict is Verdict.FAIL]
    raise typer.Exit(1 if bad or idle else 0)


def _selected(platform: str, wanted: list[str]) -> list[Scenario]:
    items = [s for s in scenarios(platform) if not wanted or s.id in wanted]
    unknown = set(wanted) - {s.id for s in scenarios()}
    if unknown:
        raise LocalError(f"no scenario is called {min(unknown)!r}: see `teeio platform list`")
    return items


@contextmanager
def _environment(name: str, urls: list[str], boards: int, console: Console) -> (
        Iterator[PlatformEnv]):
    with ExitStack() as stack:
        with console.status("building firmware, lab PKI and virtual board"):
            images = prepare_images()
            seeded = not urls
            if not urls:
                urls = [stack.enter_context(VirtualBoard(images, seed=SEED + k)).url
                        for k in range(boards)]
        policy = policy_for(images, seeded=seeded)
        targets = board_targets(urls, policy)
        for target in targets:
            stack.callback(target.close)
        yield platform_named(name).make(list(targets), policy)


def _merged(mutations: list[Mutation]) -> list[Mutation]:
    """Rows of a check that several platforms take become one."""
    merged: dict[str, Mutation] = {}
    for m in mutations:
        if m.check in merged:
            old = merged[m.check]
            m = Mutation(m.check, old.red_without + m.red_without, old.tried + m.tried)
        merged[m.check] = m
    return [merged[name] for name in sorted(merged)]


def _line(console: Console, result: Result) -> None:
    s = result.scenario
    console.print(f"  [{COLOURS[result.verdict]}]{result.verdict.value}[/]  {s.id:4}"
                  f" {result.seconds:5.1f} s  {s.title}", markup=True)
    console.print(f"        [dim]{result.reason}[/dim]")


def _row(console: Console, row: Mutation) -> None:
    shown = ", ".join(row.red_without) or "[red]none[/red]"
    console.print(f"  without {row.check}: {shown} turn red")


def _ladder(console: Console, result: Result) -> None:
    table = Table("ms", "from", "to", "what", title="steps; yellow: crossed the untrusted host")
    for ms, who, to, what in ladder(result.log):
        table.add_row(ms, who, to, what, style="yellow" if "VMM" in (who, to) else "")
    console.print(table)
    seen: dict[tuple[str, str, str], int] = {}
    for item in result.taken:
        key = (item.check, item.outcome.value, item.reason)
        seen[key] = seen.get(key, 0) + 1
    checks = Table("check", "outcome", "reason", "times", title="checks")
    for (check, outcome, reason), times in seen.items():
        checks.add_row(check, outcome, reason, str(times))
    console.print(checks)
