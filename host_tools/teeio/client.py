# SPDX-License-Identifier: Apache-2.0
"""Client of a TSM process: starts it, sends it verbs, ends it. The protocol is in `daemon.py`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from teeio.daemon import answers, socket_path, sockets_locked
from teeio.errors import TsmError
from teeio.host import Recording

START_SECONDS = 30.0
END_SECONDS = 5.0
CLIENT_SECONDS = 600.0  # how long a client waits for the next line of a verb

Progress = Callable[[str, str], None]


class DaemonError(TsmError):
    """The TSM process answered with an error.

    Attributes:
        code: exit code for the command line.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def is_running(url: str) -> bool:
    """A TSM process serves this URL."""
    path = socket_path(url)
    return path.exists() and answers(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What a TSM process is started with.

    Attributes:
        root: trusted root certificate.
        boot, firmware: images of the reference values; both None: measurements are not compared.
        seeded, test_hooks: what the device mode may say of itself.
        recording: records of the DOE objects and, in a laboratory, of secrets.
    """

    root: Path
    boot: Path | None = None
    firmware: Path | None = None
    seeded: bool = False
    test_hooks: bool = False
    recording: Recording = field(default_factory=Recording)

    def arguments(self) -> list[str]:
        """Command line of the process."""
        out = ["--root", str(self.root)]
        if self.boot is None or self.firmware is None:
            out.append("--no-references")
        else:
            out += ["--boot", str(self.boot), "--firmware", str(self.firmware)]
        out += ["--seeded"] * self.seeded + ["--test-hooks"] * self.test_hooks
        if self.recording.pcap is not None:
            out += ["--pcap", str(self.recording.pcap),
                    "--pcap-link-type", str(self.recording.link_type)]
        if self.recording.lab_keylog is not None:
            out += ["--lab-keylog", str(self.recording.lab_keylog)]
        return out


def start(url: str, options: StartOptions) -> None:
    """Start the TSM process for a URL and wait until it serves.

    Raises:
        DaemonError: it could not open the board.
    """
    command = [sys.executable, "-m", "teeio.daemon", url, *options.arguments()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
    except BaseException:
        process.terminate()  # Ctrl-C: it has no client and would hold the link for nobody
        raise
    finally:
        process.stdout.close()
    if line == "ready":
        return
    process.wait(START_SECONDS)
    _, code, text = (line or "error 3 the TSM process ended at once: try again").split(" ", 2)
    raise DaemonError(text, int(code))


def call(url: str, verb: str, args: dict[str, object], progress: Progress) -> dict[str, object]:
    """Send one verb to the TSM process of a URL and return its result.

    Raises:
        DaemonError: it refused, failed, or is not running.
    """
    path = socket_path(url)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(CLIENT_SECONDS)
        try:
            stream.connect(str(path))
            stream.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
            with stream.makefile("r") as lines:
                for line in lines:
                    message = json.loads(line)
                    if "progress" in message:
                        progress(*message["progress"])
                    elif "error" in message:
                        raise DaemonError(message["error"], message["code"])
                    else:
                        result = message["result"]
                        assert isinstance(result, dict)
                        return result
        except (FileNotFoundError, ConnectionRefusedError):
            raise DaemonError(f"not connected to {url}: run `teeio connect {url}` first",
                              2) from None
        except TimeoutError:
            raise DaemonError(f"no word from the TSM process for {CLIENT_SECONDS:.0f} s: end it"
                              f" with `teeio disconnect --force {url}`", 3) from None
        except (OSError, ValueError, AssertionError):
            pass
    raise DaemonError("the TSM process ended in the middle of the verb, its keys are gone: run"
                      f" `teeio connect {url}` again", 3)


def end(url: str) -> bool:
    """End the TSM process of a URL, if there is one; keys die with it.

    Returns:
        There was one.

    Raises:
        DaemonError: it does not end.
    """
    path = socket_path(url)
    with sockets_locked():
        if not (path.exists() and answers(path)):
            path.unlink(missing_ok=True)
            return False
    call(url, "end", {}, lambda step, detail: None)
    deadline = time.monotonic() + END_SECONDS
    while is_running(url):
        if time.monotonic() > deadline:
            raise DaemonError(f"the TSM process of {url} does not end: kill it", 3)
        time.sleep(0.02)
    return True
