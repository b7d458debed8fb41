# SPDX-License-Identifier: Apache-2.0
"""The five verbs as commands, and start underneath bind.

Exit codes: 0 done; 1 the device failed or refused; 2 wrong use, nothing was sent; 3 device, board
or TSM process out of reach; 130 interrupted. Errors and warnings go to standard error, one line
each; with --json the answer is one object on standard output, `ok` says which kind.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio import client, daemon
from teeio.board import prepare_images
from teeio.cli.show import show_info
from teeio.errors import LocalError, TsmError
from teeio.host import Recording
from teeio.records import KEYLOG_WARNING, LINK_TYPES
from teeio.targets import NATIVE
from teeio.wire.pcap import LINKTYPE_DOE

Url = Annotated[str, typer.Argument(
    help="board (socket://127.0.0.1:PORT, /dev/ttyUSB0), native:, spdm-emu://HOST:PORT")]
Tdi = Annotated[int, typer.Option("--tdi", help="TDI number; TDI 0 is function 1")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]

ERRORS = Console(stderr=True, highlight=False)


def connect(
    url: Url,
    root: Annotated[Path | None, typer.Option(help="trusted root certificate")] = None,
    boot: Annotated[Path | None, typer.Option(help="boot ROM image expected")] = None,
    firmware: Annotated[Path | None, typer.Option(help="firmware image expected")] = None,
    seeded: Annotated[bool, typer.Option(
        help="accept a board with deterministic entropy (simulation)")] = False,
    test_hooks: Annotated[bool, typer.Option(
        help="accept a device with test hooks (a native process behind a socket)")] = False,
    no_references: Annotated[bool, typer.Option(
        help="another vendor's responder: measurements must be signed, values are not compared")]
    = False,
    pcap: Annotated[Path | None, typer.Option(help="record the DOE objects")] = None,
    pcap_link_type: Annotated[int, typer.Option(help="292 (DOE) or 147 (USER0)")] = LINKTYPE_DOE,
    lab_keylog: Annotated[Path | None, typer.Option(
        help="LABORATORY ONLY: write the secrets of the session to a new file")] = None,
    as_json: Json = False,
) -> None:
    """Attest the device and bring its IDE stream to Secure.

    URL: a board, native: (the firmware as a process), or spdm-emu://host:port (a responder behind
    the reference emulators' socket).
    """
    recording = Recording(pcap=pcap, link_type=pcap_link_type, lab_keylog=lab_keylog)

    def options() -> client.StartOptions:
        if no_references and (boot is not None or firmware is not None):
            raise LocalError("--no-references compares nothing: leave out --boot and --firmware")
        if pcap_link_type not in LINK_TYPES:
            raise LocalError(f"--pcap-link-type {pcap_link_type}: choose 292 (DOE) or 147 (USER0)")
        if no_references and root is None:
            raise LocalError("--no-references needs --root: the certificate to trust")
        trusted, rom, code = root, boot, firmware
        if trusted is None or not (no_references or (rom and code)):
            images = prepare_images()
            trusted, rom = root or images.root_certificate, boot or images.boot_bin
            code = firmware or images.firmware_bin
        native = url == NATIVE  # says of itself that it is a process, with hooks
        return client.StartOptions(
            root=trusted, boot=None if no_references else rom,
            firmware=None if no_references else code, seeded=seeded or native,
            test_hooks=test_hooks or native, recording=recording)

    if lab_keylog is not None:
        ERRORS.print(KEYLOG_WARNING.format(path=lab_keylog), style="red", markup=False,
                     soft_wrap=True)
    _verb(url, "connect", {}, as_json, start=options)


def bind(
    url: Url,
    tdi: Tdi,
    lock_msix: Annotated[bool, typer.Option(help="lock the MSI-X table too")] = False,
    start: Annotated[bool, typer.Option(help="start the interface as well")] = False,
    as_json: Json = False,
) -> None:
    """Lock a TDI and verify its interface report."""
    _verb(url, "bind", {"tdi": tdi, "lock_msix": lock_msix, "start": start}, as_json)


def start(url: Url, tdi: Tdi, as_json: Json = False) -> None:
    """Move a locked TDI to RUN."""
    _verb(url, "start", {"tdi": tdi}, as_json)


def unbind(url: Url, tdi: Tdi, as_json: Json = False) -> None:
    """Stop a TDI; its work memory is erased by hardware."""
    _verb(url, "unbind", {"tdi": tdi}, as_json)


def disconnect(
    url: Url,
    force: Annotated[bool, typer.Option(
        help="end the TSM process without asking the device; its keys die with it")] = False,
    as_json: Json = False,
) -> None:
    """Unbind everything, stop the stream, end the session; works with a dead session too."""
    if not force:
        _verb(url, "disconnect", {}, as_json)
        return
    try:
        ended = client.end(url)
    except TsmError as error:
        raise _fail("disconnect", error, as_json) from None
    if as_json:
        print(json.dumps({"ok": True, "verb": "disconnect", "url": url, "connected": False}))
    else:
        print("disconnect: TSM process ended, its keys are gone; the device was not asked"
              if ended else f"disconnect: nothing was connected to {url}")


def info(url: Url, as_json: Json = False) -> None:
    """Show certificates, measurements, stream and interface reports."""
    _verb(url, "info", {}, as_json, show=True)


def _verb(url: str, verb: str, args: dict[str, object], as_json: bool, *, show: bool = False,
          start: Callable[[], client.StartOptions] | None = None) -> None:
    console = Console(stderr=as_json, highlight=False)

    def progress(step: str, detail: str) -> None:
        text = f"  {step}: {detail}"
        if step == "warning":
            ERRORS.print(text, style="yellow", markup=False, soft_wrap=True)
        elif not show:
            console.print(text, markup=False, soft_wrap=True)

    started = False
    try:
        if start is not None and not client.is_running(url):
            client.start(url, start())
            started = True
        result = client.call(url, verb, args, progress)
    except TsmError as error:
        if started:
            # It may be ending already, with or without our asking.
            with contextlib.suppress(TsmError):
                client.end(url)
        raise _fail(verb, error, as_json) from None
    except KeyboardInterrupt:
        _interrupted(url, verb, as_json)
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps({"ok": True, "verb": verb, **result}))
    elif show:
        show_info(console, result)
    else:
        console.print(f"{verb}: done", style="green")


def _fail(verb: str, error: TsmError, as_json: bool) -> typer.Exit:
    """Say on one line what went wrong; the exit code to end with."""
    text = " ".join(str(error).split())
    if as_json:
        print(json.dumps({"ok": False, "verb": verb, "error": text}))
    else:
        ERRORS.print(f"{verb}: {text}", style="red", markup=False, soft_wrap=True)
    return typer.Exit(error.code if isinstance(error, client.DaemonError)
                      else daemon.exit_code(error))


def _interrupted(url: str, verb: str, as_json: bool) -> None:
    text = (f"interrupted; the TSM process goes on with it: see `teeio info {url}`, or end it with"
            f" `teeio disconnect --force {url}`" if client.is_running(url)
            else "interrupted before anything was sent to the device")
    if as_json:
        print(json.dumps({"ok": False, "verb": verb, "error": text}))
    else:
        ERRORS.print(f"{verb}: {text}", style="red", markup=False, soft_wrap=True)
