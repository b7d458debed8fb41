# SPDX-License-Identifier: Apache-2.0
"""The command line on `native:` and in front of it: verbs, records, secrets, what is left."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import teeio
from teeio.board import prepare_images, repository
from teeio.cli.main import app
from tests.emulator import require_compiler

PACKAGE = Path(teeio.__file__).resolve().parents[1]
PATIENCE = 60.0


@dataclass
class Shell:
    """Runs `teeio` in a folder and with a runtime folder of its own."""

    folder: Path

    def environment(self) -> dict[str, str]:
        return {**os.environ, "TEEIO_RUNTIME": str(self.folder / "run"),
                "TEEIO_REPO": str(repository()), "PYTHONPATH": str(PACKAGE)}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "teeio.cli.main", *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment(), cwd=self.folder)

    def __call__(self, *args: str, code: int = 0) -> str:
        process = self.start(*args)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{args}: exit {process.returncode}\n{out}\n{err}"
        return out + err

    def serve(self, *args: str) -> tuple[subprocess.Popen[str], str]:
        """A running `teeio serve` and the URL that leads to it."""
        process = self.start("serve", "--spdm-emu", "0", *args)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("port "), f"{line}{process.stderr and process.stderr.read()}"
        return process, f"spdm-emu://127.0.0.1:{line.split()[1]}"

    def processes(self) -> list[int]:
        """Everything that runs with this runtime folder."""
        mark = f"TEEIO_RUNTIME={self.folder / 'run'}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (path / "environ").read_bytes().split(b"\0") and (
                        (path / "cmdline").read_bytes()):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def nothing_left(self) -> None:
        deadline = time.monotonic() + 20
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.processes() == []
        assert list((self.folder / "run").glob("*")) == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    require_compiler()
    runner = Shell(tmp_path)
    yield runner
    for pid in runner.processes():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("command", ["serve", "decode", "connect"])
def test_help_answers_without_a_target(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0 and "Usage" in result.stdout


def test_verbs_on_the_native_dsm(shell: Shell) -> None:
    """Attested against its own images and the lab root; skipped parts are named; then nothing is
    left: no process, no socket, no key log, and a pcap that holds no secret in clear."""
    said = shell("connect", "native:", "--pcap", "doe.pcap")
    assert "skipped: the host's end of the stream: no TLPs go this way" in said
    assert "stream 1 Secure at the device" in said and said.count("as expected") == 6
    shell("bind", "native:", "--tdi", "0", "--start")
    info = json.loads(shell("info", "native:", "--json"))
    assert info["carries"] == ["doe", "config", "reset"]
    assert info["stream"] == {"id": 1, "state": "Secure"}
    assert [t["state"] for t in info["tdis"]] == ["RUN", "CONFIG_UNLOCKED", "CONFIG_UNLOCKED"]
    shell("unbind", "native:", "--tdi", "0")
    shell("disconnect", "native:")
    shell.nothing_left()
    assert sorted(p.name for p in shell.folder.iterdir()) == ["doe.pcap", "run"]
    report = json.loads(shell("decode", "doe.pcap", "--json"))
    assert report["summary"]["opened"] == 0 and report["summary"]["sealed"] > 60


def test_what_needs_tlps_is_refused_in_one_line(shell: Shell) -> None:
    said = shell("demo", "native:", code=1).strip()
    assert "native: does not carry mmio, dma, ide" in " ".join(said.split())
    assert shell.processes() == []


def test_lab_key_log_is_written_only_on_request_and_never_over_a_file(shell: Shell) -> None:
    """A file of one session, 0600 whatever the umask says; it opens that session."""
    said = shell("connect", "native:", "--pcap", "doe.pcap", "--pcap-link-type", "147",
                 "--lab-keylog", "keys")
    assert "LAB KEY LOG" in said
    shell("disconnect", "native:")
    path = shell.folder / "keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kinds = [line.split()[0] for line in path.read_text().splitlines()]
    assert kinds == ["#", "DHE_SECRET"] + 6 * ["IDE_KEY"]
    assert (shell.folder / "doe.pcap").read_bytes()[20:24] == (147).to_bytes(4, "little")
    report = json.loads(shell("decode", "doe.pcap", "--keys", "keys", "--json", "--show-keys",
                              "--root", str(prepare_images().root_certificate)))
    assert report["ok"] and report["summary"]["sealed"] == 0
    programmed = {e["fields"]["key"] for e in report["entries"] if e["name"] == "IDE_KM KEY_PROG"}
    assert programmed == {line.split()[-1] for line in path.read_text().splitlines()
                          if line.startswith("IDE_KEY")}

    before = path.read_bytes()
    said = shell("connect", "native:", "--lab-keylog", "keys", code=2)
    assert "never replaces a file" in " ".join(said.split())
    (shell.folder / "link").symlink_to(shell.folder / "elsewhere")
    shell("connect", "native:", "--lab-keylog", "link", code=2)
    assert path.read_bytes() == before and not (shell.folder / "elsewhere").exists()
    shell.nothing_left()


def test_an_interrupted_connect_can_be_ended(shell: Shell) -> None:
    """Ctrl-C ends the command line only; --force ends the TSM process and the device with it."""
    process = shell.start("connect", "native:")
    assert process.stdout is not None
    assert "function" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 130)
    shell("disconnect", "native:", "--force")
    shell.nothing_left()


def test_a_killed_tsm_process_takes_the_device_along(shell: Shell) -> None:
    shell("connect", "native:")
    [tsm] = [p for p in shell.processes()
             if b"teeio.daemon" in Path(f"/proc/{p}/cmdline").read_bytes()]
    assert len(shell.processes()) == 2
    os.kill(tsm, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while shell.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shell.processes() == []
    shell("connect", "native:")  # the stale socket is no obstacle
    shell("disconnect", "native:")
    shell.nothing_left()


def test_verbs_through_the_socket(shell: Shell) -> None:
    """`teeio` on `spdm-emu://` against `teeio serve`: every verb; the rest is named."""
    process, url = shell.serve("--pcap", "served.pcap", "native:")
    refused = shell("connect", url, code=1)
    assert "measurements differ" in refused, "a process is no board, unless that is accepted"
    said = shell("connect", url, "--test-hooks", "--seeded", "--pcap", "client.pcap",
                 "--lab-keylog", "keys")
    assert said.count("skipped:") == 2 and said.count("as expected") == 6
    assert "already connected" in shell("connect", url, code=2)
    shell("bind", url, "--tdi", "0")
    shell("start", url, "--tdi", "0")
    assert "only TDI 0" in shell("bind", url, "--tdi", "1", code=2)
    info = json.loads(shell("info", url, "--json"))
    assert info["carries"] == ["doe"] and info["functions"] == []
    assert [t["state"] for t in info["tdis"]] == ["RUN"]
    shell("unbind", url, "--tdi", "0")
    shell("disconnect", url)
    root = str(prepare_images().root_certificate)
    said = shell("connect", url + "?end=shutdown", "--no-references", "--root", root)
    assert "IDE_KM: stream 0: six keys programmed" in said
    assert said.count("no reference to compare with") == 6 and "as expected" not in said
    info = json.loads(shell("info", url + "?end=shutdown", "--json"))
    assert [(m["compared"], m["as_expected"]) for m in info["measurements"]] == 6 * [(False, False)]
    shell("disconnect", url + "?end=shutdown")
    assert process.wait(PATIENCE) == 0
    shell.nothing_left()
    # Both ends recorded the same objects; the key log opens the session from either record.
    for name in ("client.pcap", "served.pcap"):
        report = json.loads(shell("decode", name, "--keys", "keys", "--json"))
        assert report["ok"] and report["summary"]["opened"] > 60, name


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_server_leaves_nothing_behind(shell: Shell, number: int, code: int) -> None:
    process, _url = shell.serve("native:")
    assert len(shell.processes()) == 2
    process.send_signal(number)
    _out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code and "Traceback" not in err
    shell.nothing_left()


def test_bad_arguments_of_serve(shell: Shell) -> None:
    for arguments, code in ((["--spdm-emu", "70000", "native:"], 2), (["native:"], 2),
                            (["--spdm-emu", "0", "spdm-emu://h?x=1"], 2),
                            (["--spdm-emu", "0", "--pcap-link-type", "1", "--pcap", "x",
                              "native:"], 2),
                            (["--spdm-emu", "0", "--bus", "2", "native:"], 2),
                            (["--spdm-emu", "0", "spdm-emu://127.0.0.1:1"], 3)):
        assert "Traceback" not in shell("serve", *arguments, code=code)
    shell.nothing_left()
