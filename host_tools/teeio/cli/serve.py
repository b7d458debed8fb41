# SPDX-License-Identifier: Apache-2.0
"""`teeio serve`: a target behind the socket of the reference emulators."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio import daemon
from teeio.errors import TsmError
from teeio.records import DoePcap
from teeio.serve import LOOPBACK, EmulatorServer, ServeOptions
from teeio.targets import open_target
from teeio.wire.pcap import LINKTYPE_DOE


def serve(
    spdm_emu: Annotated[int, typer.Option(
        "--spdm-emu", metavar="PORT", help="TCP port; the reference tools use 2323, 0 takes a free"
        " one", min=0, max=65535)],
    url: Annotated[str, typer.Argument(help="target: native:, or a board")],
    address: Annotated[str, typer.Option(
        help="address to listen on; anyone who reaches it drives the device")] = LOOPBACK,
    bus: Annotated[int, typer.Option(help="bus number of the device", min=0, max=255)] = 1,
    stream: Annotated[int, typer.Option(help="Stream ID to set up", min=0, max=255)] = 0,
    keep: Annotated[bool, typer.Option(help="go on after a shutdown command")] = False,
    idle: Annotated[float, typer.Option(
        help="seconds of silence after which a connection is closed", min=1)] = 600.0,
    pcap: Annotated[Path | None, typer.Option(help="record the DOE objects")] = None,
    pcap_link_type: Annotated[int, typer.Option(help="292 (DOE) or 147 (USER0)")] = LINKTYPE_DOE,
) -> None:
    """Serve a target to spdm_requester_emu and validators, until shutdown or Ctrl-C.

    Prints "port N" when it serves. Exit codes: 0 shutdown, 1 the device broke the protocol, 2 bad
    arguments, 3 the target does not answer, 130 Ctrl-C.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    record: DoePcap | None = None
    try:
        record = DoePcap(pcap, pcap_link_type) if pcap is not None else None
        target = open_target(url, record.add if record is not None else None)
        try:
            server = EmulatorServer(
                target, ServeOptions(port=spdm_emu, address=address, bus=bus, stream_id=stream,
                                     keep=keep, idle_seconds=idle),
                lambda line: console.print(line, markup=False))
            try:
                server.prepare()
                print(f"port {server.port}", flush=True)
                server.serve()
            finally:
                server.close()
        finally:
            target.close()
    except TsmError as error:
        console.print(f"serve: {error}", style="red", markup=False)
        raise typer.Exit(daemon.exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        if record is not None:
            record.close()
