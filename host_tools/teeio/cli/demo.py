# SPDX-License-Identifier: Apache-2.0
"""`teeio demo`: the main job on the virtual board or on a board of yours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from teeio.board import Images, VirtualBoard, prepare_images, repository
from teeio.demo import Demo, DemoReport, StepRecord
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import Host, Recording, policy_for

VIRTUAL = "vboard:"


def demo(
    url: Annotated[str, typer.Argument(
        help="board to use, e.g. serial:///dev/ttyUSB0?baud=3000000; vboard: starts one")]
    = VIRTUAL,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for report and records")] = None,
    seed: Annotated[int | None, typer.Option(
        help="deterministic entropy of the virtual board; its measurements tell")] = None,
    pty: Annotated[bool, typer.Option(help="virtual board behind a pty instead of TCP")] = False,
) -> None:
    """Attest, key, lock, use, attack and recover the endpoint; verify every step."""
    console = Console(stderr=as_json, highlight=False)
    try:
        if pty and url != VIRTUAL:
            raise LocalError(f"--pty starts a virtual board, {url} is one already: leave one out")
        folder = out or repository() / "build" / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        with console.status("building firmware, lab PKI and virtual board"):
            images = prepare_images()
        result = _on_board(url, images, seed, pty, folder, console)
    except TsmError as error:
        console.print(f"[red]demo: {error}[/red]")
        raise typer.Exit(3 if isinstance(error, TransportError) else 1) from None
    (folder / "report.json").write_text(json.dumps(result.as_json(), indent=1) + "\n")
    if as_json:
        print(json.dumps(result.as_json()))
    else:
        _summary(console, result, folder)
    raise typer.Exit(0 if result.ok else 1)


def _on_board(url: str, images: Images, seed: int | None, pty: bool, folder: Path,
              console: Console) -> DemoReport:
    if url != VIRTUAL:
        return _run(url, images, seed, folder, console)
    with console.status("building the virtual board (some minutes the first time)"):
        board = VirtualBoard(images, seed=seed, pty=pty)
    with board:
        return _run(board.url, images, seed, folder, console)


def _run(url: str, images: Images, seed: int | None, folder: Path,
         console: Console) -> DemoReport:
    recording = Recording(pcap=folder / "doe.pcap", raw=folder / "link.bin",
                          tlps=folder / "tlps.txt")
    demo: Demo | None = None

    def observe(step: str, detail: str) -> None:
        if demo is not None:
            demo.note(f"{step}: {detail}")
        console.print(f"      [dim]{step}: {detail}[/dim]")

    host = Host(url, policy_for(images, seeded=seed is not None), observe=observe,
                recording=recording)
    started = 0.0

    def report(step: StepRecord, done: bool) -> None:
        nonlocal started
        if not done:
            started = time.monotonic()
            console.print(f"[bold]{step.name}[/bold]")
            return
        seconds = time.monotonic() - started
        verdict = "[green]pass[/green]" if step.ok else "[red]FAIL[/red]"
        console.print(f"  {verdict}  {step.cycles:>12,} device cycles  {seconds:5.1f} s")
        if not step.ok:
            console.print(f"  [red]{step.details[-1]}[/red]")

    try:
        demo = Demo(host, report, host.mark)
        result = demo.run()
        (folder / "config.txt").write_text(demo.config_dump)
        return result
    finally:
        host.close()


def _summary(console: Console, result: DemoReport, folder: Path) -> None:
    table = Table(title="established", show_header=False)
    for name, value in result.established.items():
        table.add_row(name, value)
    console.print(table)
    console.print(f"report, DOE pcap, TLP trace, config space: {folder}")
    if result.ok:
        console.print("[green]demo: every step verified[/green]")
    else:
        console.print(f"[red]demo: failed at {result.error}[/red]")
