# SPDX-License-Identifier: Apache-2.0
"""Virtual board: its images, its program, and its processes.

The program is built by the repository's own scripts (`sim/`), so this needs a checkout; a board of
your own is reached by its URL and needs nothing of this.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from teeio.errors import LocalError, TransportError
from teeio.provision import make_lab_pki

START_SECONDS = 20.0


def repository() -> Path:
    """The checkout this package runs from.

    Raises:
        LocalError: it is installed without one.
    """
    root = Path(os.environ.get("TEEIO_REPO", Path(__file__).resolve().parents[2]))
    if not (root / "sim" / "vboard.py").exists():
        raise LocalError("the virtual board needs a checkout of the repository: set TEEIO_REPO")
    return root


def runtime_dir() -> Path:
    """Private folder for sockets and process records (mode 0700).

    Raises:
        LocalError: somebody else made it.
    """
    base = Path(os.environ.get("TEEIO_RUNTIME", "") or
                Path(tempfile.gettempdir()) / f"teeio-{os.getuid()}")
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = base.stat()
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise LocalError(f"{base} is not private to you: remove it or set TEEIO_RUNTIME")
    return base


@dataclass(frozen=True, slots=True)
class Images:
    """Files that go into a virtual board.

    Attributes:
        folder: holds root.pem and device.json of the lab PKI.
        boot, firmware: hex images; the .bin files beside them are what is measured.
    """

    folder: Path
    boot: Path
    firmware: Path
    slot0: Path
    identity: Path

    @property
    def boot_bin(self) -> Path:
        """Boot ROM contents, as measured."""
        return self.boot.with_suffix(".bin")

    @property
    def firmware_bin(self) -> Path:
        """Firmware ROM contents, as measured."""
        return self.firmware.with_suffix(".bin")

    @property
    def root_certificate(self) -> Path:
        """Root certificate of the lab, PEM."""
        return self.folder / "root.pem"

    def plusargs(self) -> list[str]:
        """Arguments of the virtual board."""
        return [f"+boot={self.boot}", f"+firmware={self.firmware}", f"+slot0={self.slot0}",
                f"+identity={self.identity}"]


def _script(module: str, *args: str) -> str:
    run = subprocess.run([sys.executable, "-m", module, *args], cwd=repository(),
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise LocalError(f"`python -m {module}` failed:\n{(run.stdout + run.stderr)[-2000:]}")
    return run.stdout


def prepare_images() -> Images:
    """Build firmware and lab PKI if they are missing or older than their sources."""
    root = repository()
    built = json.loads(_script("sim.firmware", "--json").strip().splitlines()[-1])
    pki = root / "build" / "provision"
    if not (pki / "device.json").exists():
        make_lab_pki(pki)
    return Images(pki, Path(built["boot"]["hex"]), Path(built["firmware"]["hex"]),
                  pki / "slot0.hex", pki / "identity.hex")


def board_program(*, uart: bool = False) -> Path:
    """Build (or find) the virtual board and return its program; `uart`: the one with pins."""
    return Path(_script("sim.vboard", *(["--uart"] if uart else [])).strip().splitlines()[-1])


def native_program() -> Path:
    """Build (or find) the native DSM and return its program.

    Raises:
        LocalError: what its build needs is not installed; the text names it.
    """
    return Path(_script("sim.native").strip().splitlines()[-1])


class VirtualBoard:
    """One running virtual board.

    Args:
        images: what it is made of.
        seed: deterministic entropy; the device's status word and measurements tell.
        pty: serve a pty instead of TCP.
        free_running: let the clock run all the time.
        detached: let it outlive this process (then `stop` ends it by its record).
        uart: the bytes go through the pins of a UART, four clocks a bit.
        skew_ppm: how much longer the bits are that such a board receives, in millionths.
    """

    def __init__(self, images: Images, *, seed: int | None = None, pty: bool = False,
                 free_running: bool = False, detached: bool = False, uart: bool = False,
                 skew_ppm: int = 0) -> None:
        command = [str(board_program(uart=uart)), *images.plusargs()]
        if skew_ppm:
            command += ["--skew-ppm", str(skew_ppm)]
        if seed is not None:
            command += ["--seed", str(seed)]
        if pty:
            command.append("--pty")
        if free_running:
            command.append("--free")
        if not detached:
            command.append("--watch-stdin")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if detached else None, text=True,
            start_new_session=True)
        self.pid = self._process.pid
        try:
            self.url = self._first_line()
        except BaseException:
            self.stop()
            raise
        if detached:
            record = {"url": self.url, "pid": self.pid, "images": str(images.folder),
                      "seeded": seed is not None}
            (runtime_dir() / f"board-{self.pid}.json").write_text(json.dumps(record))

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            code = self._process.wait(START_SECONDS)
            raise TransportError(f"the virtual board ended with code {code} before it was ready")
        return line

    def stop(self) -> None:
        """End the board and wait for it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """A board that was started in the background."""

    url: str
    pid: int
    images: str
    seeded: bool
    path: Path

    @property
    def alive(self) -> bool:
        """The process still exists and is a virtual board."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return b"vboard" in command


def records() -> list[BoardRecord]:
    """Boards started in the background; records of dead ones are removed."""
    out = []
    for path in sorted(runtime_dir().glob("board-*.json")):
        try:
            data = json.loads(path.read_text())
            record = BoardRecord(data["url"], data["pid"], data["images"], data["seeded"], path)
        except (OSError, ValueError, KeyError):
            path.unlink(missing_ok=True)
            continue
        if record.alive:
            out.append(record)
        else:
            path.unlink(missing_ok=True)
    return out


def stop_record(record: BoardRecord) -> None:
    """End a background board."""
    if record.alive:
        os.kill(record.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while record.alive and time.monotonic() < deadline:
            time.sleep(0.05)
    record.path.unlink(missing_ok=True)
