# SPDX-License-Identifier: Apache-2.0
"""`teeio decode`: explain a pcap of DOE objects, or a TLP trace."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from teeio import daemon
from teeio.core.certificates import load_root
from teeio.core.lab_log import parse_key_log
from teeio.core.secret import Secret
from teeio.decode import Conversation, Entry, Summary, decode_trace
from teeio.decode.entry import Plain
from teeio.errors import DecodeError, LocalError, TsmError
from teeio.wire.pcap import PcapFile

_ARROWS = {"request": ">", "response": "<", "to device": ">", "from device": "<"}
_PCAP_MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1",
                b"\xa1\xb2\x3c\x4d")


def decode(
    file: Annotated[Path, typer.Argument(help="pcap of DOE objects, or TLP trace of the demo")],
    keys: Annotated[list[Path] | None, typer.Option(
        help="lab key log; may be given several times")] = None,
    root: Annotated[Path | None, typer.Option(
        help="trusted root certificate; default: the root that the device shows")] = None,
    brief: Annotated[bool, typer.Option(help="one line an entry")] = False,
    show_keys: Annotated[bool, typer.Option(help="show IDE keys and nonces of TDIs")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print plain JSON")] = False,
) -> None:
    """Explain every object or TLP, verify what is signed, decrypt what keys are given for.

    Exit codes: 0 all of it was read and verified, 1 something is malformed or does not verify, 2 a
    file cannot be used.
    """
    try:
        entries, sessions = _decode(file, keys or [], root, show_keys=show_keys)
        shown: list[Entry] = []
        for entry in entries:
            shown.append(entry)
            if not as_json:
                _print(entry, brief=brief)
    except TsmError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"decode: {error}", style="red", markup=False)
        raise typer.Exit(2 if isinstance(error, DecodeError) else daemon.exit_code(error)
                         ) from None
    except BrokenPipeError:
        # The reader of our output has seen enough; nothing must fail when the rest is flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    summary = Summary.of(shown, sessions())
    if as_json:
        print(json.dumps({"ok": summary.ok, "file": str(file), "summary": asdict(summary),
                          "entries": [entry.as_json() for entry in shown]}))
    else:
        print(summary.line())
    raise typer.Exit(0 if summary.ok else 1)


def _decode(file: Path, keys: list[Path], root: Path | None, *,
            show_keys: bool) -> tuple[Iterator[Entry], Callable[[], int]]:
    """Entries of a file, and the number of its sessions once they are read."""
    data = _read(file)
    if data[:4] not in _PCAP_MAGICS:
        try:
            lines = data.decode("ascii").splitlines()
        except UnicodeDecodeError:
            raise LocalError(f"{file} is neither a pcap file nor a TLP trace") from None
        return decode_trace(lines), lambda: 0
    conversation = Conversation(
        [secret for path in keys for secret in _secrets(path)], show_keys=show_keys,
        root=load_root(_read(root)) if root is not None else None, now=datetime.now(UTC))
    records = PcapFile.decode(data).records
    return ((conversation.feed(item.data, item.time_us) for item in records),
            lambda: conversation.sessions)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error


def _secrets(path: Path) -> list[Secret]:
    try:
        text = _read(path).decode("ascii")
    except UnicodeDecodeError:
        raise LocalError(f"{path} is no key log") from None
    return [secret for _, secret in parse_key_log(text).shared_secrets]


def _print(entry: Entry, *, brief: bool) -> None:
    if entry.layer == "step":
        print(f"= {entry.name}")
        return
    notes = [f"session {entry.session_id:#010x}"] if entry.session_id is not None else []
    notes += ["sealed"] * entry.is_sealed
    notes += [f"{check.name}: {'ok' if check.ok else 'FAILED'}" for check in entry.checks]
    if entry.error:
        notes.append(f"UNREADABLE: {entry.error}")
    arrow = _ARROWS.get(entry.direction, "?")
    tail = f"  [{', '.join(notes)}]" if notes else ""
    print(f"{entry.number:5} {arrow} {entry.layer} {entry.name}{tail}")
    if brief:
        return
    _print_fields(entry.fields, 10)
    for check in entry.checks:
        if check.detail:
            print(f"{'':10}{check.name}: {check.detail}")


def _print_fields(fields: dict[str, Plain], indent: int) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            print(f"{'':{indent}}{name}:")
            _print_fields(value, indent + 2)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                print(f"{'':{indent}}{name}[{number}]:")
                _print_fields(item if isinstance(item, dict) else {"": item}, indent + 2)
        elif isinstance(value, list):
            print(f"{'':{indent}}{name}: {', '.join(map(str, value)) or 'none'}")
        else:
            print(f"{'':{indent}}{name}: {value}")
