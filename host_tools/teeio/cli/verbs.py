# SPDX-License-Identifier: Apache-2.0
"""The five verbs as commands, and start underneath bind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from teeio import daemon
from teeio.board import prepare_images
from teeio.errors import TsmError

Url = Annotated[str, typer.Argument(help="board, e.g. socket://127.0.0.1:PORT or /dev/ttyUSB0")]
Tdi = Annotated[int, typer.Option("--tdi", help="TDI number; TDI 0 is function 1")]
Json = Annotated[bool, typer.Option("--json", help="print plain JSON")]


def connect(
    url: Url,
    root: Annotated[Path | None, typer.Option(help="trusted root certificate")] = None,
    boot: Annotated[Path | None, typer.Option(help="boot ROM image expected")] = None,
    firmware: Annotated[Path | None, typer.Option(help="firmware image expected")] = None,
    seeded: Annotated[bool, typer.Option(
        help="accept a board with deterministic entropy (simulation)")] = False,
    as_json: Json = False,
) -> None:
    """Attest the device and bring its IDE stream to Secure."""
    _verb(url, "connect", {}, as_json, start=(root, boot, firmware, seeded))


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
    """Unbind everything, stop the stream, end the session."""
    if force:
        daemon.end(url)
        return
    _verb(url, "disconnect", {}, as_json)


def info(url: Url, as_json: Json = False) -> None:
    """Show certificates, measurements, stream and interface reports."""
    _verb(url, "info", {}, as_json, show=True)


def _verb(url: str, verb: str, args: dict[str, object], as_json: bool, *, show: bool = False,
          start: tuple[Path | None, Path | None, Path | None, bool] | None = None) -> None:
    console = Console(stderr=as_json, highlight=False)

    def progress(step: str, detail: str) -> None:
        console.print(f"  {step}: {detail}")

    started = False
    try:
        if start is not None and not daemon.is_running(url):
            root, boot, firmware, seeded = start
            if root is None or boot is None or firmware is None:
                images = prepare_images()
                root = root or images.root_certificate
                boot, firmware = boot or images.boot_bin, firmware or images.firmware_bin
            daemon.start(url, root, boot, firmware, seeded=seeded)
            started = True
        result = daemon.call(url, verb, args, progress)
    except TsmError as error:
        if started:
            daemon.end(url)
        code = error.code if isinstance(error, daemon.DaemonError) else daemon.exit_code(error)
        if as_json:
            print(json.dumps({"ok": False, "verb": verb, "error": str(error)}))
        else:
            console.print(f"[red]{verb}: {error}[/red]")
        raise typer.Exit(code) from None
    if as_json:
        print(json.dumps({"ok": True, "verb": verb, **result}))
    elif show:
        _show(console, result)
    else:
        console.print(f"[green]{verb}: done[/green]")


def _show(console: Console, info: dict[str, object]) -> None:
    functions = Table("function", "id", "class", "BAR0", "size", "TEE-IO", title=str(info["url"]))
    for f in _rows(info, "functions"):
        functions.add_row(str(f["bdf"]), f"{f['vendor']}:{f['device']}", str(f["class"]),
                          str(f["bar0"]), str(f["bar0_size"]), "yes" if f["tee_io"] else "no")
    console.print(functions)
    if not info.get("connected"):
        console.print("not connected")
        return
    console.print(f"session {info['session']}, stream {_pairs(info['stream'])}")
    for c in _rows(info, "certificates"):
        console.print(f"{c['role']}: {c['subject']}\n  issuer {c['issuer']}\n"
                      f"  valid {c['not_before']} to {c['not_after']}\n  SHA-384 {c['sha384']}")
        if "pcie_name" in c:
            console.print(f"  slot {c['slot']}, {c['dmtf_name']}, {c['pcie_name']}")
    measurements = Table("block", "type", "value", "as expected", title="measurements")
    for m in _rows(info, "measurements"):
        measurements.add_row(str(m["index"]), f"{m['type']}{' raw' if m['raw'] else ''}",
                             str(m["value"]), "yes" if m["as_expected"] else "NO")
    console.print(measurements)
    for tdi in _rows(info, "tdis"):
        console.print(f"TDI {tdi['tdi']} ({tdi['bdf']}): {tdi['state']}")
        report = tdi.get("report")
        if isinstance(report, dict):
            for r in report["ranges"]:
                console.print(f"  BAR {r['bar']} page {r['first_page']} x {r['pages']}:"
                              f" {', '.join(r['attributes'])}")


def _rows(info: dict[str, object], key: str) -> list[dict[str, object]]:
    rows = info.get(key, [])
    assert isinstance(rows, list)
    return rows


def _pairs(value: object) -> str:
    assert isinstance(value, dict)
    return ", ".join(f"{k} {v}" for k, v in value.items())
