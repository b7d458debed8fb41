# SPDX-License-Identifier: Apache-2.0
"""`teeio check`: judge the records of a demo again, without its report and without keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio.board import repository
from teeio.check import check_folder
from teeio.errors import TsmError


def check(
    folder: Annotated[Path, typer.Argument(help="holds doe.pcap and tlps.txt")],
    root: Annotated[Path | None, typer.Option(
        help="trusted root certificate; default: that of the lab")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the verdicts as JSON")] = False,
) -> None:
    """Compute the verdicts of a recorded demo again; one line each."""
    try:
        verdicts = check_folder(folder, root or repository() / "build/provision/root.pem")
    except TsmError as error:
        Console(stderr=True, highlight=False).print(f"[red]check: {error}[/red]")
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps([asdict(v) for v in verdicts]))
    else:
        for verdict in verdicts:
            print(verdict.line())
    raise typer.Exit(0 if all(v.ok for v in verdicts) else 1)
