# SPDX-License-Identifier: Apache-2.0
"""The `teeio` command line."""

from __future__ import annotations

import typer

from teeio.cli.demo import demo

app = typer.Typer(no_args_is_help=True, add_completion=True,
                  help="Host of a trusted-I/O endpoint: attest, key, lock, use and attack it.")
app.command()(demo)


@app.callback()
def _main() -> None:
    """Host of a trusted-I/O endpoint: attest, key, lock, use and attack it."""


if __name__ == "__main__":
    app()
