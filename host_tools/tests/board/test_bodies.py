# SPDX-License-Identifier: Apache-2.0
"""The same host and TSM on every body of the bench link: TCP, pty, UART pins, free-running clock.

Also what an interrupted demo leaves behind.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import teeio
from teeio.board import Images, VirtualBoard
from teeio.core.enumerate import read_config_space
from teeio.core.ops import Steps, cfg_read, cfg_write, doe_exchange, mem_read, mem_write
from teeio.core.port_steps import control
from teeio.core.tsm import TsmPolicy
from teeio.host import Host
from teeio.wire.link import ControlOp

PACKAGE = Path(teeio.__file__).resolve().parents[1]
REPOSITORY = os.environ.get("TEEIO_REPO", str(PACKAGE.parent))
DISCOVERY = bytes.fromhex("0100000003000000" "00000000")
DISCOVERED = bytes.fromhex("0100000003000000" "01000001")
# Bytes that a terminal would eat or change, flag and escape of the link, and everything else.
AWKWARD = bytes.fromhex("000304060a0d1113151a1b1c7d7e7fff") + bytes(range(256)) * 3


def look_around(host: Host) -> Steps[None]:
    """Discovery, a DOE exchange, configuration and memory accesses; the expected values are those
    of docs/registers.md and of the DOE discovery protocol (PCIe Base 6.30.1.1)."""
    yield from host.discovery()
    first, tdi = host.tsm.functions[0], host.tsm.functions[1]
    assert [f.number for f in host.tsm.functions] == [0, 1, 2, 3]
    assert (yield from doe_exchange(DISCOVERY)) == DISCOVERED
    assert (yield from cfg_read(first.bdf, 0)) == 0x7EE0_1234
    command = yield from cfg_read(tdi.bdf, 4)
    yield from cfg_write(tdi.bdf, 4, command & ~6)
    assert (yield from cfg_read(tdi.bdf, 4)) & 6 == 0
    yield from cfg_write(tdi.bdf, 4, command)
    yield from mem_write(tdi.bar0 + 0x8000, AWKWARD, tee=False)
    assert (yield from mem_read(tdi.bar0 + 0x8000, len(AWKWARD), tee=False)) == AWKWARD


def nothing_was_lost(host: Host) -> None:
    """No frame was damaged, repeated or out of order, on either side."""
    mine = host.transport.link.counters
    assert (mine.bad_frames, mine.repeated, mine.out_of_order) == (0, 0, 0)
    good, bad, _ = host.transport.run(control(ControlOp.COUNTERS, 0))
    sent, repeats, _ = host.transport.run(control(ControlOp.COUNTERS, 1))
    assert bad == 0 and repeats == 0
    assert good > 100 and sent > 100 and mine.frames_received > 100


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Targets that carry messages only; a platform whose root port is keyed by firmware of its own.
DERIVED = {"message_tsm.py", "keying.py"}


def test_one_tsm_for_all_bodies() -> None:
    """Every body of the endpoint gets the class itself, whatever transport it has; that it imports
    none, test_rings shows. Three places make one: hosts, targets by URL, platform models."""
    made = []
    for path in [*Path(REPOSITORY, "host_tools").rglob("*.py"),
                 *Path(REPOSITORY, "cocotb_tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and path.name not in DERIVED:
                assert "Tsm" not in {ast.unparse(base).split(".")[-1] for base in node.bases}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Tsm":
                made.append(f"{path.parent.name}/{path.name}")
    assert sorted(made) == ["common/tsm.py", "teeio/host.py", "teeio/target_host.py"]


def test_a_pty_loses_nothing_and_does_not_spin(images: Images, policy: TsmPolicy) -> None:
    """Long writes both ways with more on the way than a terminal buffers; then nobody works."""
    with VirtualBoard(images, seed=1, pty=True) as board:
        assert board.url.startswith("serial:///dev/pts/")
        for _ in range(2):  # a second host takes over the same terminal
            host = Host(board.url + "?baud=3000000", policy)
            try:
                host.run(look_around(host))
                base = host.tsm.functions[1].bar0 + 0x8000
                # Flags and escapes double on the wire: 16 TLPs of 256 bytes make 8 KiB each way.
                data = b"\x7e\x7d" * 2048
                host.run(mem_write(base, data, tee=False))
                assert host.run(mem_read(base, len(data), tee=False)) == data
                nothing_was_lost(host)
                before = cpu_seconds(board.pid), time.process_time()
                time.sleep(1)
                host.transport._poll(1.0)
                assert cpu_seconds(board.pid) - before[0] < 0.1
                assert time.process_time() - before[1] < 0.1
            finally:
                host.close()
        before_close = cpu_seconds(board.pid)
        time.sleep(1)
        assert cpu_seconds(board.pid) - before_close < 0.1


def test_a_free_running_board(images: Images, policy: TsmPolicy) -> None:
    """Its clock goes on between accesses; the host assumes nothing else of it."""
    with VirtualBoard(images, seed=1, free_running=True) as board:
        host = Host(board.url, policy)
        try:
            host.run(look_around(host))
            nothing_was_lost(host)
            before = host.cycles()
            time.sleep(0.5)
            # A stopped clock would have made the few hundred cycles of one exchange.
            assert host.cycles() - before > 5_000
            assert host.run(cfg_read(host.tsm.functions[0].bdf, 0)) == 0x7EE0_1234
        finally:
            host.close()


@pytest.mark.long
@pytest.mark.parametrize("skew_ppm", [0, 5000, -5000])
def test_the_bench_core_behind_uart_pins(images: Images, policy: TsmPolicy, skew_ppm: int) -> None:
    """Four clocks a bit, a far end that is off by half a percent, an asynchronous reset."""
    with VirtualBoard(images, seed=1, uart=True, skew_ppm=skew_ppm) as board:
        host = Host(board.url, policy)
        try:
            start = host.cycles()
            host.run(look_around(host))
            nothing_was_lost(host)
            # 40 clocks a byte each way: what crossed the pins took at least that long.
            assert host.cycles() - start > 40 * host.transport.link.counters.frames_received * 12
            config = host.run(read_config_space(host.tsm.functions[0], 256))
            assert config[:4] == bytes.fromhex("3412e07e")
            host.reset()
            host.run(look_around(host))
        finally:
            host.close()


# ---- the command line ----------------------------------------------------------------------------
@dataclass
class Shell:
    """Runs `teeio` in a process group of its own, as a terminal does."""

    runtime: Path

    def start(self, *args: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TEEIO_RUNTIME": str(self.runtime),
                       "TEEIO_REPO": REPOSITORY, "PYTHONPATH": str(PACKAGE),
                       "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen([sys.executable, "-m", "teeio.cli.main", *args], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=environment, start_new_session=True)

    def demo(self, *args: str, folder: Path) -> tuple[float, float]:
        """Run a demo to its good end: wall-clock seconds and CPU seconds of host and build."""
        start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = self.start("demo", *args, "--out", str(folder))
        out, _ = process.communicate(timeout=800)
        assert process.returncode == 0, out
        report = json.loads((folder / "report.json").read_text())
        assert report["ok"] and len(report["steps"]) == 12
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (time.monotonic() - start,
                now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)

    def processes(self) -> dict[int, bytes]:
        """Whatever lives of what was started here: command lines by process."""
        mark = f"TEEIO_RUNTIME={self.runtime}".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    found[int(path.name)] = (path / "cmdline").read_bytes()
            except OSError:
                continue
        return {pid: line for pid, line in found.items() if line}


@pytest.mark.long
def test_the_demo_over_a_pty(images: Images, tmp_path: Path) -> None:
    """`teeio demo --pty`, `teeio demo serial://...` and TCP: same steps, like times."""
    shell = Shell(tmp_path / "run")
    seconds = {}
    seconds["--pty"] = shell.demo("--pty", "--seed", "7", folder=tmp_path / "a")[0]
    with VirtualBoard(images, seed=7, pty=True) as board:
        url = f"{board.url}?baud=3000000"
        before = cpu_seconds(board.pid)
        seconds["pty"], host_pty = shell.demo(url, "--seed", "7", folder=tmp_path / "b")
        board_pty = cpu_seconds(board.pid) - before
    with VirtualBoard(images, seed=7) as board:
        before = cpu_seconds(board.pid)
        seconds["TCP"], host_tcp = shell.demo(board.url, "--seed", "7", folder=tmp_path / "c")
        board_tcp = cpu_seconds(board.pid) - before
    assert json.loads((tmp_path / "b" / "report.json").read_text())["url"] == url
    sys.stdout.write(f"pty/TCP: wall {seconds['pty'] / seconds['TCP']:.2f}, host CPU"
                     f" {host_pty / host_tcp:.2f}, board CPU {board_pty / board_tcp:.2f};"
                     f" {seconds}\n")
    # Work, not wall clock: a path that spins or repeats costs more of it.
    assert host_pty < 1.5 * host_tcp + 1 and board_pty < 1.5 * board_tcp + 1


@pytest.mark.parametrize(("how", "option"), [
    (signal.SIGINT, "--pty"), (signal.SIGINT, "--seed=3"), (signal.SIGKILL, "--seed=3")])
def test_an_interrupted_demo_leaves_nothing(images: Images, tmp_path: Path, how: signal.Signals,
                                            option: str) -> None:
    """Ctrl-C in the middle of a session (or a kill): no process, no socket, no traceback."""
    shell = Shell(tmp_path / "run")
    process = shell.start("demo", option, "--out", str(tmp_path / "out"))
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "SPDM" in line:
            break
    assert "SPDM" in seen, seen
    alive = shell.processes()
    assert len([line for line in alive.values() if b"vboard" in line]) == 1
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    seen += process.communicate(timeout=30)[0]
    assert process.returncode in (130, -signal.SIGKILL), seen
    assert "Traceback" not in seen
    deadline = time.monotonic() + 5
    while shell.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shell.processes() == {}
    assert not shell.runtime.exists() or list(shell.runtime.iterdir()) == []
