# SPDX-License-Identifier: Apache-2.0
"""TSM process: owns the session of one board behind a private Unix socket.

Keys live only in the memory of this process. The command line is its client (`client.py`): one
JSON object a line, a request ``{"verb": ..., "args": {...}}`` answered by any number of
``{"progress": [step, detail]}`` and one ``{"result": ...}`` or ``{"error": text, "kind": class,
"code": exit code}``. Verbs run one at a time: while one runs, all but `end` are refused. `end`
ends the process at once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import queue
import re
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from teeio.board import runtime_dir
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import Host, Recording, policy_from_files, policy_without_references
from teeio.info import AnyHost, describe, summary
from teeio.records import LINK_TYPES
from teeio.target_host import TargetHost, carries_tlps

MAX_REQUEST = 1 << 16
REQUEST_SECONDS = 5.0  # how long the server waits for a request, or for a client to take a line


def exit_code(error: TsmError) -> int:
    """Exit code of the command line for an error."""
    if isinstance(error, TransportError):
        return 3
    return 2 if isinstance(error, LocalError) else 1


def socket_path(url: str) -> Path:
    """Socket of the TSM process that serves `url`."""
    return runtime_dir() / f"tsm-{hashlib.sha256(url.encode()).hexdigest()[:16]}.sock"


@contextlib.contextmanager
def sockets_locked() -> Iterator[None]:
    """Nobody else looks for, removes or makes a socket meanwhile."""
    folder = os.open(runtime_dir(), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def answers(path: Path) -> bool:
    """Somebody serves this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


# ---- server --------------------------------------------------------------------------------------
def claim(url: str) -> socket.socket:
    """A listening socket for this URL, in place of one that a dead process left behind.

    Raises:
        LocalError: another TSM process serves this URL.
    """
    path = socket_path(url)
    with sockets_locked():
        if path.exists() and answers(path):
            raise LocalError(f"another TSM process serves {url}: `teeio info {url}` asks it")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old)
        listener.listen(8)
    return listener


class Client:
    """One connection of the command line. What it does not take is lost, the verb goes on."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._gone = False
        stream.settimeout(REQUEST_SECONDS)

    def request(self) -> tuple[str, dict[str, object]] | None:
        """The verb and its arguments; None from a stranger, or if nothing sensible came."""
        credentials = self._stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] != os.getuid():
            return None
        try:
            line = _read_line(self._stream)
            if not line:
                return None
            message = json.loads(line)
            verb, args = message["verb"], message.get("args", {})
            if isinstance(verb, str) and isinstance(args, dict):
                return verb, args
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            pass
        self.refuse("malformed request", LocalError)
        return None

    def send(self, message: dict[str, object]) -> None:
        """Send one line, unless the client went away."""
        if not self._gone:
            try:
                self._stream.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                self._gone = True

    def refuse(self, text: str, kind: type[Exception], code: int = 2) -> None:
        """Send an error."""
        self.send({"error": text, "kind": kind.__name__, "code": code})

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


class Server:
    """Serves verbs on one host until it is told to end or its session is over.

    Args:
        host: the host.
    """

    def __init__(self, host: AnyHost) -> None:
        self.host = host
        self.url = host.url
        self.ended = False
        self.client: Client | None = None
        self._running: str | None = None
        self._lock = threading.Lock()
        self._work: queue.Queue[tuple[Client, str, dict[str, object]]] = queue.Queue()

    def progress(self, step: str, detail: str) -> None:
        """Tell the client of the running verb."""
        if self.client is not None:
            self.client.send({"progress": [step, self._with_url(detail)]})

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
                return {"url": self.url, "connected": False}
            case "info":
                return describe(self.host)
            case _:
                raise LocalError(f"unknown verb {verb!r}")
        return summary(self.host)

    def serve(self, listener: socket.socket) -> None:
        """Run verbs one after another; a client that goes away in mid-verb changes nothing."""
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        while not self.ended:
            client, verb, args = self._work.get()
            self.client = client
            try:
                self._perform(client, verb, args)
            finally:
                self.client = None
                client.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            stream, _ = listener.accept()
            client = Client(stream)
            request = client.request()
            if request is None or not self._admit(client, *request):
                client.close()

    def _admit(self, client: Client, verb: str, args: dict[str, object]) -> bool:
        """Hand a verb to the main thread; False: it was answered here."""
        if verb == "end":
            client.send({"result": {}})
            os.kill(os.getpid(), signal.SIGTERM)
            return False
        with self._lock:
            if self._running is not None:
                client.refuse(f"`teeio {self._running}` is running on {self.url}: wait for it, or"
                              f" end it with `teeio disconnect --force {self.url}`", LocalError)
                return False
            self._running = verb
        self._work.put((client, verb, args))
        return True

    def _perform(self, client: Client, verb: str, args: dict[str, object]) -> None:
        try:
            result = self.handle(verb, args)
        except TsmError as error:
            self._idle()
            client.refuse(self._advice(error), type(error), exit_code(error))
        except Exception as error:
            # Nothing is known about the session now: end, so that its keys are gone.
            self.ended = True
            client.refuse(f"internal error, the TSM process ends: {error!r}; please report it",
                          type(error), 1)
            raise
        else:
            if self.ended:
                self._retire()
            self._idle()
            client.send({"result": result})

    def _idle(self) -> None:
        with self._lock:
            self._running = None

    def _retire(self) -> None:
        """Free name and link before the client hears of the end, so that it may connect again."""
        with sockets_locked():
            socket_path(self.url).unlink(missing_ok=True)
        self.host.close()

    def _advice(self, error: TsmError) -> str:
        text = self._with_url(str(error))
        if isinstance(error, LocalError):
            return text  # says itself what to do
        if self.host.is_lost:
            text += f"; then run `teeio disconnect {self.url}` and connect again"
        elif self.host.tsm.is_dead:
            text += f"; the session is dead: run `teeio disconnect {self.url}`, then connect again"
        return text

    def _with_url(self, text: str) -> str:
        return re.sub(r"`teeio (connect|disconnect)`", rf"`teeio \1 {self.url}`", text)


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
    parser.add_argument("--boot", type=Path)
    parser.add_argument("--firmware", type=Path)
    parser.add_argument("--seeded", action="store_true")
    parser.add_argument("--test-hooks", action="store_true")
    parser.add_argument("--no-references", action="store_true")
    parser.add_argument("--pcap", type=Path)
    parser.add_argument("--pcap-link-type", type=int, choices=LINK_TYPES, default=LINK_TYPES[0])
    parser.add_argument("--lab-keylog", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command line
    server: Server | None = None

    def observe(step: str, detail: str) -> None:
        if server is not None:
            server.progress(step, detail)

    path = None
    try:
        if args.no_references:
            policy = policy_without_references(args.root)
        else:
            policy = policy_from_files(args.root, args.boot, args.firmware, seeded=args.seeded,
                                       test_hooks=args.test_hooks)
        recording = Recording(pcap=args.pcap, link_type=args.pcap_link_type,
                              lab_keylog=args.lab_keylog)
        listener = claim(args.url)
        path = socket_path(args.url)
        make: type[Host] | type[TargetHost] = Host if carries_tlps(args.url) else TargetHost
        host: AnyHost = make(args.url, policy, observe=observe, recording=recording)
        try:
            server = Server(host)
            print("ready", flush=True)
            server.serve(listener)
        finally:
            host.close()
    except TsmError as error:
        print(f"error {exit_code(error)} {' '.join(str(error).split())}", flush=True)
        return exit_code(error)
    finally:
        if path is not None and not (server is not None and server.ended):
            path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
