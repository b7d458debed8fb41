# SPDX-License-Identifier: Apache-2.0
"""`teeio sim`: virtual boards in the background."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from teeio import board, client, daemon
from teeio.errors import TsmError

app = typer.Typer(no_args_is_help=True, help="Virtual boards in the background.")


@app.command()
def start(
    seed: Annotated[int | None, typer.Option(
        help="deterministic entropy; measurements tell, connect needs --seeded")] = None,
    pty: Annotated[bool, typer.Option(help="serve a pty instead of TCP")] = False,
    free: Annotated[bool, typer.Option(help="let the clock run all the time")] = False,
) -> None:
    """Start a virtual board and print its URL."""
    console = Console(stderr=True)
    try:
        with console.status("building firmware, lab PKI and virtual board"):
            images = board.prepare_images()
            virtual = board.VirtualBoard(images, seed=seed, pty=pty, free_running=free,
                                         detached=True)
    except TsmError as error:
        console.print(f"[red]sim start: {error}[/red]")
        raise typer.Exit(daemon.exit_code(error)) from None
    print(virtual.url)


@app.command()
def stop(
    url: Annotated[str | None, typer.Argument(help="board to stop; default: all")] = None,
) -> None:
    """Stop background boards and the TSM processes that serve them."""
    found = [r for r in board.records() if url in (None, r.url)]
    if url is not None and not found:
        Console(stderr=True).print(f"[red]sim stop: no background board serves {url}[/red]")
        raise typer.Exit(2)
    for record in found:
        board.stop_record(record)
        client.end(record.url)
        print(f"stopped {record.url}")


@app.command("list")
def list_boards(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List background boards."""
    rows = [{"url": r.url, "pid": r.pid, "seeded": r.seeded,
             "connected": client.is_running(r.url)} for r in board.records()]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['url']}  pid {row['pid']}{'  seeded' if row['seeded'] else ''}"
              f"{'  connected' if row['connected'] else ''}")
