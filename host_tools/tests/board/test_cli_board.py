# SPDX-License-Identifier: Apache-2.0
"""The command line against a board in the background: processes, sockets, exit codes, traces."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from typer.testing import CliRunner

import teeio
from teeio.board import Images, VirtualBoard
from teeio.cli.main import app
from teeio.core.ops import cfg_read, mem_read, mem_write
from teeio.core.tsm import TsmPolicy
from teeio.host import Host

PACKAGE = Path(teeio.__file__).resolve().parents[1]
REPOSITORY = os.environ.get("TEEIO_REPO", str(PACKAGE.parent))
COMMANDS = ["demo", "check", "serve", "decode", "sim", "sim start", "sim stop", "sim list",
            "connect", "bind", "start", "unbind", "disconnect", "info", "provision"]


@dataclass
class Shell:
    """Runs `teeio` with a runtime folder of its own."""

    runtime: Path

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TEEIO_RUNTIME": str(self.runtime), "TEEIO_REPO": REPOSITORY,
                "PYTHONPATH": str(PACKAGE)}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "teeio.cli.main", *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment())

    def __call__(self, *args: str, code: int = 0) -> str:
        return self.both(*args, code=code)[0]

    def both(self, *args: str, code: int = 0) -> tuple[str, str]:
        """Standard output and standard error."""
        process = self.start(*args)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{args}: exit {process.returncode}\n{out}\n{err}"
        return out, err

    def error(self, *args: str, code: int) -> str:
        """The one line that a verb prints when it fails."""
        out, err = self.both(*args, code=code)
        [line] = err.splitlines()
        assert not out and line.startswith(f"{args[0]}: ")
        return line

    def wait_for(self, process: subprocess.Popen[str], text: str) -> None:
        """Read standard output up to a line with this text."""
        assert process.stdout is not None
        for line in process.stdout:
            if text in line:
                return
        raise AssertionError(f"ended without {text!r}")

    def processes(self) -> list[int]:
        """Boards and TSM processes that were started with this runtime folder."""
        mark = f"TEEIO_RUNTIME={self.runtime}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                command = (path / "cmdline").read_bytes()
                if mark in (path / "environ").read_bytes().split(b"\0") and (
                        b"vboard" in command or b"teeio.daemon" in command):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def tsm(self) -> int:
        """The TSM process."""
        [pid] = [p for p in self.processes()
                 if b"teeio.daemon" in Path(f"/proc/{p}/cmdline").read_bytes()]
        return pid


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell; whatever it started is ended with the test."""
    runner = Shell(tmp_path / "run")
    yield runner
    for pid in runner.processes():
        os.kill(pid, signal.SIGKILL)


def error_of(text: str) -> str:
    """The error of a --json answer."""
    answer = json.loads(text)
    assert answer["ok"] is False
    return str(answer["error"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """--help answers without a board."""
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout and len(result.stdout.splitlines()) > 5


def test_verbs_on_a_board_in_the_background(shell: Shell, images: Images) -> None:
    """start, connect, bind, start, info, unbind, disconnect, stop; then nothing is left."""
    url = shell("sim", "start", "--seed", "5").strip()
    assert url.startswith("socket://127.0.0.1:")
    [row] = json.loads(shell("sim", "list", "--json"))
    assert (row["url"], row["seeded"], row["connected"]) == (url, True, False)

    assert "not connected" in error_of(shell("info", url, "--json", code=2))
    assert "not connected" in error_of(shell("unbind", url, "--tdi", "0", "--json", code=2))

    assert json.loads(shell("connect", url, "--seeded", "--json"))["connected"]
    assert stat.S_IMODE(shell.runtime.stat().st_mode) == 0o700
    names = sorted(p.name for p in shell.runtime.iterdir())
    assert [n.split("-")[0] for n in names] == ["board", "tsm"]
    [where] = shell.runtime.glob("tsm-*.sock")
    assert stat.S_ISSOCK(where.stat().st_mode) and stat.S_IMODE(where.stat().st_mode) == 0o600
    # The only regular file names the board and says nothing else.
    [record] = shell.runtime.glob("board-*")
    assert set(json.loads(record.read_text())) == {"url", "pid", "images", "seeded"}
    assert b"KEY" not in record.read_bytes() and record.stat().st_size < 500

    assert "already connected" in error_of(shell("connect", url, "--json", code=2))
    assert "not bound" in error_of(shell("start", url, "--tdi", "1", "--json", code=2))
    assert "no TDI 9" in error_of(shell("bind", url, "--tdi", "9", "--json", code=2))
    shell("bind", url, "--tdi", "0", "--lock-msix")
    shell("start", url, "--tdi", "0")

    info = json.loads(shell("info", url, "--json"))
    assert info["stream"] == {"id": 1, "state": "Secure"}
    assert [t["state"] for t in info["tdis"]] == ["RUN", "CONFIG_UNLOCKED", "CONFIG_UNLOCKED"]
    assert all(m["as_expected"] for m in info["measurements"]) and len(info["measurements"]) == 6
    assert any("MSI-X table" in r["attributes"] for r in info["tdis"][0]["report"]["ranges"])
    check_info(info, images)
    # A pipe is no terminal: nothing is cut or wrapped at its width.
    human = shell("info", url)
    for fact in (info["session"], "TDI 0 (01:00.1): RUN", "IDE stream 1: Secure",
                 *(str(c[k]) for c in info["certificates"] for k in ("subject", "sha384")),
                 *(m["value"] for m in info["measurements"]), "mutable firmware (1): as expected",
                 "8192 bytes at", "TEE, MSI-X table"):
        assert fact in human

    shell("unbind", url, "--tdi", "0")
    shell("disconnect", url)
    deadline = time.monotonic() + 10
    while list(shell.runtime.glob("tsm-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [p.name.split("-")[0] for p in shell.runtime.iterdir()] == ["board"]
    assert shell("sim", "stop").strip() == f"stopped {url}"
    assert shell.processes() == [] and list(shell.runtime.iterdir()) == []
    shell("sim", "stop", url, code=2)
    assert "check that the board runs" in error_of(shell("connect", url, "--json", code=3))


def check_info(info: dict[str, Any], images: Images) -> None:
    """Complete, and the same as the files the board was made of say."""
    root = x509.load_pem_x509_certificate(images.root_certificate.read_bytes())
    certificates = info["certificates"]
    assert [c["role"] for c in certificates] == ["root", "intermediate", "leaf"]
    assert certificates[0]["sha384"] == root.fingerprint(hashes.SHA384()).hex()
    for above, c in itertools.pairwise(certificates):
        assert c["issuer"] == above["subject"] and c["key"] == "EC secp384r1"
        assert c["not_before"] < datetime.now(UTC).isoformat() < c["not_after"]
    assert certificates[-1]["pcie_name"].startswith("Vendor=1234:Device=7ee0:")
    digest = hashlib.sha384(images.firmware_bin.read_bytes()).hexdigest()
    assert {"index": 2, "type": 1, "type_name": "mutable firmware", "raw": False, "value": digest,
            "compared": True, "as_expected": True, "reason": ""} in info["measurements"]
    assert [m["raw"] for m in info["measurements"]] == [False] * 3 + [True] * 3
    # The pages of docs/registers.md; the MSI-X table is locked.
    report, bar0 = info["tdis"][0]["report"], int(info["functions"][1]["bar0"], 16)
    assert report["interface_info_flags"] == ["NO_FW_UPDATE", "DMA_WITHOUT_PASID"]
    assert [(int(r["address"], 16) - bar0, r["bytes"], r["attributes"])
            for r in report["ranges"]] == [
        (0x0000, 4096, ["non-TEE"]), (0x1000, 4096, ["TEE"]),
        (0x2000, 4096, ["TEE", "MSI-X table"]), (0x3000, 4096, ["TEE", "MSI-X PBA"]),
        (0x8000, 8192, ["TEE"]), (0xA000, 8192, ["TEE", "updatable"])]


def test_clients_and_a_board_that_go_away(shell: Shell) -> None:
    """Ctrl-C, a second verb, a killed client, a dead board: one line each, and a way on."""
    url = shell("sim", "start", "--seed", "7").strip()
    client = shell.start("connect", url, "--seeded")
    shell.wait_for(client, "SPDM:")
    busy = shell.error("bind", url, "--tdi", "0", code=2)
    assert "`teeio connect` is running" in busy and "--force" in busy
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=60)
    assert client.returncode == 130
    assert "the TSM process goes on" in err and f"`teeio info {url}`" in err
    wait_until_idle(shell, url)
    assert json.loads(shell("info", url, "--json"))["session_state"] == "established"

    client = shell.start("bind", url, "--tdi", "0", "--start")
    shell.wait_for(client, "CONFIG_LOCKED")
    client.kill()
    client.communicate(timeout=60)
    wait_until_idle(shell, url)
    assert json.loads(shell("info", url, "--json"))["tdis"][0]["state"] == "RUN"

    assert garbage(shell) == ["malformed request"] * 3
    assert json.loads(shell("info", url, "--json"))["ok"]

    [row] = json.loads(shell("sim", "list", "--json"))
    os.kill(row["pid"], signal.SIGKILL)
    advice = f"run `teeio disconnect {url}`"
    for verb in (["info", url], ["bind", url, "--tdi", "1"], ["unbind", url, "--tdi", "0"]):
        assert advice in shell.error(*verb, code=3)
    assert advice in shell.error("connect", url, code=2)
    out, err = shell.both("disconnect", url)
    assert out == "disconnect: done\n" and "warning: " in err
    assert f"run `teeio connect {url}` first" in shell.error("disconnect", url, code=2)
    assert "check that the board runs" in shell.error("connect", url, "--seeded", code=3)
    shell("sim", "stop")
    assert shell.processes() == [] and list(shell.runtime.iterdir()) == []


def wait_until_idle(shell: Shell, url: str) -> None:
    """Until the verb that lost its client has ended."""
    deadline = time.monotonic() + 200
    while "is running" in shell.both("start", url, "--tdi", "9", "--json", code=2)[0]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def garbage(shell: Shell) -> list[str]:
    """What the TSM process answers to requests that are none."""
    [where] = shell.runtime.glob("tsm-*.sock")
    answers = []
    for request in (b"\xff\x00{\n", b"[1, 2]\n", b'{"verb": 3}\n'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(20)
            stream.connect(str(where))
            stream.sendall(request)
            answers.append(json.loads(stream.makefile().readline())["error"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect(str(where))  # and goes away without a word
    return answers


@pytest.mark.long
def test_a_tsm_process_killed_in_mid_verb(shell: Shell) -> None:
    """The client says so, and a new TSM process connects to the same board."""
    url = shell("sim", "start", "--seed", "6").strip()
    client = shell.start("connect", url, "--seeded")
    shell.wait_for(client, "session:")
    os.kill(shell.tsm(), signal.SIGKILL)
    _, err = client.communicate(timeout=60)
    assert client.returncode == 3, err
    assert f"run `teeio connect {url}` again" in err
    assert shell("disconnect", url, "--force").startswith("disconnect: nothing was connected")

    client = shell.start("connect", url, "--seeded")
    shell.wait_for(client, "SPDM:")
    assert shell("disconnect", url, "--force").startswith("disconnect: TSM process ended")
    _, err = client.communicate(timeout=60)
    assert client.returncode == 3, err
    assert f"run `teeio connect {url}` again" in err
    shell("connect", url, "--seeded")
    shell("bind", url, "--tdi", "0", "--start")

    # Killed while a TDI runs: enumeration moves its BAR, so it is in ERROR until it is stopped.
    os.kill(shell.tsm(), signal.SIGKILL)
    # Its socket is still there, and nobody behind it.
    assert list(shell.runtime.glob("tsm-*.sock"))
    assert f"run `teeio connect {url}` first" in shell.error("info", url, code=2)
    shell("connect", url, "--seeded")
    assert "unbind it first" in error_of(shell("bind", url, "--tdi", "0", "--json", code=1))
    shell("unbind", url, "--tdi", "0")
    shell("bind", url, "--tdi", "0", "--start")
    shell("disconnect", url)
    shell("sim", "stop", url)
    assert shell.processes() == []


def test_a_board_behind_a_pty(images: Images, policy: TsmPolicy) -> None:
    """The same link over a terminal device, raw bytes and all."""
    with VirtualBoard(images, seed=1, pty=True) as board:
        assert board.url.startswith("serial:///dev/pts/")
        host = Host(board.url, policy)
        try:
            host.discover()
            assert [f.number for f in host.tsm.functions] == [0, 1, 2, 3]
            # Bytes that a terminal would eat or turn into others: 00 03 04 0a 0d 11 13 7e 7f.
            scratch = host.tsm.functions[1].bar0 + 0x8000
            data = bytes.fromhex("000304060a0d1113151a1b1c7d7e7fff")
            host.run(mem_write(scratch, data, tee=False))
            assert host.run(mem_read(scratch, 16, tee=False)) == data
            assert host.run(cfg_read(host.tsm.functions[0].bdf, 0)) == 0x7EE0_1234
        finally:
            host.close()
