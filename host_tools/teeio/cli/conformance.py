# SPDX-License-Identifier: Apache-2.0
"""`teeio conformance`: judge a device or responder by the clauses of the standards.

Exit codes of `run`: 0 no MUST case failed; 1 at least one did; 2 wrong use, nothing was sent;
3 the target is out of reach or stopped answering, the run is incomplete; 130 interrupted.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio.board import prepare_images
from teeio.cli.verbs import Url
from teeio.conformance.bench import Profile
from teeio.conformance.html import as_html
from teeio.conformance.model import Case, CaseResult, Level, Verdict
from teeio.conformance.report import RunInfo, as_data, as_junit
from teeio.conformance.runner import Runner, RunReport
from teeio.conformance.selection import Selection, parse_shard
from teeio.conformance.suites import CASES
from teeio.core.certificates import load_root
from teeio.errors import LocalError, TransportError, TsmError
from teeio.targets import EmulatorTarget, capabilities_of, open_target

app = typer.Typer(no_args_is_help=True, help="Judge a device by the clauses of the standards.")

ERRORS = Console(stderr=True, highlight=False)
COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.WARN: "yellow",
           Verdict.SKIP: "dim", Verdict.NOT_RUN: "dim"}
PROFILES = ("base", "tee-io-validator")

Only = Annotated[list[str] | None, typer.Option(
    "--only", help="case id, alias or group; * and ? are patterns; may be given several times")]
LevelOption = Annotated[Level, typer.Option("--level", help="weakest level that runs")]
Shard = Annotated[str, typer.Option("--shard", help="i/n: the i-th of n parts")]


@app.command("list")
def list_cases(
    url: Annotated[str | None, typer.Argument(help="say what this target would skip")] = None,
    only: Only = None,
    level: LevelOption = Level.MAY,
    shard: Shard = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the cases: id, aliases, level, clause, needs, title."""
    try:
        cases = _selected(only, level, shard)
        carries = capabilities_of(url) if url else None
    except LocalError as error:
        raise _fail(error) from None
    if as_json:
        print(json.dumps([{
            "id": c.id, "group": c.group, "aliases": c.aliases, "level": c.level.value,
            "clause": c.clause, "needs": c.needs, "title": c.title, "note": c.note,
            "assertions": c.assertions,
            "skipped": list(carries.lacking(*c.needs)) if carries else []} for c in cases]))
        return
    for case in cases:
        lacking = carries.lacking(*case.needs) if carries else ()
        alias = f" [{', '.join(case.aliases)}]" if case.aliases else ""
        skipped = f"  (skipped: no {', '.join(lacking)})" if lacking else ""
        print(f"{case.level.value:6} {case.id}{alias}: {case.title} <{case.clause}>{skipped}")


@app.command()
def run(
    url: Url,
    only: Only = None,
    level: LevelOption = Level.MAY,
    shard: Shard = "1/1",
    seed: Annotated[int | None, typer.Option(
        help="of the random bytes that are sent; default: a random one, printed")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="run everything this often")] = 1,
    profile: Annotated[str, typer.Option(
        help="base, or tee-io-validator: accept only what that tool does")] = "base",
    root: Annotated[Path | None, typer.Option(
        help="trusted root certificate; default: that of the lab")] = None,
    any_leaf: Annotated[bool, typer.Option(
        "--any-leaf", help="the leaf certificate need not carry the roles of a TEE-IO device")]
    = False,
    tdi: Annotated[int, typer.Option(help="TDI under test; TDI 0 is function 1")] = 0,
    stream: Annotated[int, typer.Option(min=0, max=255, help="Stream ID")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report, JSON")] = None,
    junit: Annotated[Path | None, typer.Option(help="write the report, JUnit XML")] = None,
    html: Annotated[Path | None, typer.Option(help="write the report, one HTML file")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="list what would run")] = False,
) -> None:
    """Run the suite on a target and report.

    Exit codes: 0 no MUST case failed, 1 at least one did, 2 wrong use, 3 the target is out of
    reach or stopped answering, 130 interrupted.
    """
    if list_only:
        list_cases(url, only, level, shard, False)
        return
    seed = secrets.randbits(32) if seed is None else seed
    try:
        cases = _selected(only, level, shard)
        if profile not in PROFILES:
            raise LocalError(f"--profile {profile}: choose {' or '.join(PROFILES)}")
        trusted = root or prepare_images().root_certificate
        target = open_target(url)
        settings = Profile(
            roots=(load_root(trusted.read_bytes()),), at=datetime.now(UTC), tdi=tdi,
            stream_id=stream, require_leaf_roles=not any_leaf,
            is_validator=profile == PROFILES[1])
        if isinstance(target, EmulatorTarget):
            where = target.where
            settings = Profile(
                roots=settings.roots, at=settings.at, require_leaf_roles=not any_leaf,
                is_validator=settings.is_validator, stream_id=where.stream,
                interface=where.interface, port_index=where.port_index)
    except (TsmError, OSError) as error:
        raise _fail(error) from None
    info = RunInfo(url=url, carries=target.capabilities.names(), profile=profile,
                   options=_options(profile, root, any_leaf, tdi, stream),
                   started=datetime.now(UTC))
    console = Console(highlight=False)
    console.print(f"{len(cases)} cases on {url}, seed {seed}", markup=False, soft_wrap=True)
    progress = _Progress(console, info, seed, len(cases) * repeat)
    try:
        report = Runner(target, settings, seed=seed, repeat=repeat,
                        on_result=progress.show).run(cases)
    except KeyboardInterrupt:
        ERRORS.print("conformance: interrupted, no report was written")
        raise typer.Exit(130) from None
    finally:
        progress.end()
        target.close()
    try:
        _write(report, info, json_file, junit, html)
    except OSError as error:
        raise _fail(error) from None
    _summary(console, report)
    raise typer.Exit(report.exit_code)


def _selected(only: list[str] | None, level: Level, shard: str) -> list[Case]:
    return Selection(only=tuple(only or ()), level=level, shard=parse_shard(shard)).apply(CASES)


class _Progress:
    """A line for each case that is not passed; on a terminal, the case that ran last too."""

    def __init__(self, console: Console, info: RunInfo, seed: int, total: int) -> None:
        self._console, self._info, self._seed, self._total = console, info, seed, total
        self._done = 0
        self._status = console.status("starting") if console.is_terminal else None
        if self._status is not None:
            self._status.start()

    def show(self, result: CaseResult) -> None:
        """Takes a result."""
        self._done += 1
        if self._status is not None:
            self._status.update(f"{self._done}/{self._total} {result.case.id}")
        if result.verdict is Verdict.PASS:
            return
        text = f"{result.verdict.value:5} {result.case.id}: {result.reason}"
        self._console.print(text, style=COLOURS[result.verdict], markup=False, soft_wrap=True)
        if result.verdict in (Verdict.FAIL, Verdict.WARN):
            self._console.print(f"      clause: {result.case.clause}\n      again:  "
                                f"{self._info.reproduce(result, self._seed)}",
                                markup=False, soft_wrap=True)

    def end(self) -> None:
        """Takes the moving line away."""
        if self._status is not None:
            self._status.stop()


def _options(profile: str, root: Path | None, any_leaf: bool, tdi: int, stream: int
             ) -> tuple[str, ...]:
    """Options that a reproduction must repeat."""
    out: list[str] = []
    if profile != PROFILES[0]:
        out += ["--profile", profile]
    if root is not None:
        out += ["--root", str(root)]
    if any_leaf:
        out += ["--any-leaf"]
    if tdi:
        out += ["--tdi", str(tdi)]
    if stream != 1:
        out += ["--stream", str(stream)]
    return tuple(out)


def _write(report: RunReport, info: RunInfo, json_file: Path | None, junit: Path | None,
           html: Path | None) -> None:
    data = as_data(report, info)
    if json_file is not None:
        json_file.write_text(json.dumps(data, indent=1) + "\n")
    if junit is not None:
        junit.write_bytes(as_junit(data))
    if html is not None:
        html.write_text(as_html(data))


def _summary(console: Console, report: RunReport) -> None:
    if report.diagnosis:
        console.print(f"stopped: {report.diagnosis}", style="bold red", markup=False,
                      soft_wrap=True)
    counts = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict
                       if report.count(verdict))
    console.print(f"{counts or 'nothing ran'} in {report.seconds:.1f} s",
                  style="green" if report.exit_code == 0 else "red")


def _fail(error: Exception) -> typer.Exit:
    ERRORS.print(f"conformance: {' '.join(str(error).split())}", style="red", markup=False,
                 soft_wrap=True)
    return typer.Exit(3 if isinstance(error, TransportError) else 2)
