# SPDX-License-Identifier: Apache-2.0
"""TSM process: owns the session of one board behind a private Unix socket.

Keys live only in the memory of this process. The command line is its client: one JSON object a
line, a request ``{"verb": ..., "args": {...}}`` answered by any number of ``{"progress": [step,
detail]}`` and one ``{"result": ...}`` or ``{"error": text, "kind": class, "code": exit code}``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from teeio.board import runtime_dir
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import Host, policy_from_files
from teeio.info import describe

START_SECONDS = 30.0
MAX_REQUEST = 1 << 16
CLIENT_SECONDS = 600.0

Progress = Callable[[str, str], None]


def exit_code(error: TsmError) -> int:
    """Exit code of the command line for an error."""
    if isinstance(error, TransportError):
        return 3
    return 2 if isinstance(error, LocalError) else 1


def socket_path(url: str) -> Path:
    """Socket of the TSM process that serves `url`."""
    return runtime_dir() / f"tsm-{hashlib.sha256(url.encode()).hexdigest()[:16]}.sock"


# ---- server --------------------------------------------------------------------------------------
class Server:
    """Serves verbs on one host until it is told to end or its session is over.

    Args:
        host: the host.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.ended = False
        self.progress: Progress = lambda step, detail: None

    def handle(self, verb: str, args: dict[str, object]) -> object:
        """Perform one verb and return its result as plain data."""
        tsm, run = self.host.tsm, self.host.run
        tdi = args.get("tdi")
        if verb in ("bind", "start", "unbind") and not isinstance(tdi, int):
            raise LocalError(f"{verb} needs --tdi N")
        assert tdi is None or isinstance(tdi, int)
        match verb:
            case "connect":
                if not tsm.functions:
                    self.host.discover()
                run(tsm.connect())
            case "bind":
                assert tdi is not None
                run(tsm.bind(tdi, lock_msix=bool(args.get("lock_msix"))))
                if args.get("start"):
                    run(tsm.start(tdi))
            case "start":
                assert tdi is not None
                run(tsm.start(tdi))
            case "unbind":
                assert tdi is not None
                run(tsm.unbind(tdi))
            case "disconnect":
                run(tsm.disconnect())
                self.ended = True
            case "info":
                pass
            case "end":
                self.ended = True
                return {}
            case _:
                raise LocalError(f"unknown verb {verb!r}")
        return describe(self.host)

    def serve(self, path: Path) -> None:
        """Accept clients one after another; a client that goes away in mid-verb changes nothing."""
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            old = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(old)
            listener.listen(4)
            print("ready", flush=True)
            try:
                while not self.ended:
                    client, _ = listener.accept()
                    with client:
                        self._client(client)
            finally:
                path.unlink(missing_ok=True)

    def _client(self, client: socket.socket) -> None:
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] != os.getuid():
            return
        client.settimeout(CLIENT_SECONDS)

        def send(message: dict[str, object]) -> None:
            try:
                client.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                pass  # the client is gone; the verb is finished all the same

        try:
            line = _read_line(client)
            if not line:
                return
            request = json.loads(line)
            verb, args = request["verb"], request.get("args", {})
        except (ValueError, KeyError, TypeError, OSError):
            send({"error": "malformed request", "kind": "LocalError", "code": 2})
            return
        self.progress = lambda step, detail: send({"progress": [step, detail]})
        try:
            send({"result": self.handle(verb, args)})
        except TsmError as error:
            send({"error": str(error), "kind": type(error).__name__, "code": exit_code(error)})
        finally:
            self.progress = lambda step, detail: None


def _read_line(stream: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        chunk = stream.recv(4096)
        if not chunk or len(data) > MAX_REQUEST:
            return b""
        data += chunk
    return data


def main() -> int:
    """Entry point of the TSM process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--boot", type=Path, required=True)
    parser.add_argument("--firmware", type=Path, required=True)
    parser.add_argument("--seeded", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        policy = policy_from_files(args.root, args.boot, args.firmware, seeded=args.seeded)
        server: Server | None = None

        def observe(step: str, detail: str) -> None:
            if server is not None:
                server.progress(step, detail)

        host = Host(args.url, policy, observe=observe)
    except TsmError as error:
        print(f"error {exit_code(error)} {error}", flush=True)
        return exit_code(error)
    server = Server(host)
    try:
        server.serve(socket_path(args.url))
    finally:
        host.close()
    return 0


# ---- client --------------------------------------------------------------------------------------
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
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return False
    return True


def start(url: str, root: Path, boot: Path, firmware: Path, *, seeded: bool) -> None:
    """Start the TSM process for a URL and wait until it serves.

    Raises:
        DaemonError: it could not open the board.
    """
    command = [sys.executable, "-m", "teeio.daemon", url, "--root", str(root), "--boot",
               str(boot), "--firmware", str(firmware)]
    if seeded:
        command.append("--seeded")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    process.stdout.close()
    if line == "ready":
        return
    process.wait(START_SECONDS)
    _, code, text = (line or "error 3 the TSM process ended at once").split(" ", 2)
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
    raise DaemonError("the TSM process ended in the middle of the verb: reconnect", 3)


def end(url: str) -> None:
    """End the TSM process of a URL, if there is one; keys die with it."""
    if is_running(url):
        call(url, "end", {}, lambda step, detail: None)
        deadline = time.monotonic() + 5
        while socket_path(url).exists() and time.monotonic() < deadline:
            time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
