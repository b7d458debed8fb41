# SPDX-License-Identifier: Apache-2.0
"""The `teeio` command line."""

from __future__ import annotations

import typer

from teeio.cli import conformance, platform, sim, verbs
from teeio.cli.check import check
from teeio.cli.decode import decode
from teeio.cli.demo import demo
from teeio.cli.provision import provision
from teeio.cli.serve import serve

HELP = "Host of a trusted-I/O endpoint: attest, key, lock, use and attack it."

app = typer.Typer(no_args_is_help=True, help=HELP)
app.command()(demo)
app.command()(check)
app.command()(decode)
app.command()(serve)
app.add_typer(sim.app, name="sim")
app.add_typer(platform.app, name="platform")
app.add_typer(conformance.app, name="conformance")
for _verb in (verbs.connect, verbs.bind, verbs.start, verbs.unbind, verbs.disconnect, verbs.info,
              provision):
    app.command()(_verb)


if __name__ == "__main__":
    app()
