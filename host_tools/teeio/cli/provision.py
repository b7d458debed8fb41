# SPDX-License-Identifier: Apache-2.0
"""`teeio provision`: a lab PKI and the identity of one device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio.errors import TsmError
from teeio.provision import make_lab_pki


def provision(
    folder: Annotated[Path, typer.Argument(help="where the files go; existing ones are replaced")],
    serial: Annotated[str | None, typer.Option(help="serial number in the certificate")] = None,
) -> None:
    """Make root, intermediate and device certificate, and the images that go into the device."""
    console = Console(highlight=False)
    try:
        device = make_lab_pki(folder, serial=serial) if serial else make_lab_pki(folder)
    except TsmError as error:
        console.print(f"[red]provision: {error}[/red]")
        raise typer.Exit(2) from None
    console.print(f"{device.dmtf_name}: {folder}\n"
                  "identity.pem and identity.hex are secret; a bitstream built with them is too")
