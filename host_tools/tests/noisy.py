# SPDX-License-Identifier: Apache-2.0
"""A bad cable: a TCP relay that loses, doubles and changes bytes on their way, seeded."""

from __future__ import annotations

import random
import selectors
import socket
import threading


class NoisyRelay:
    """Stands between a host and the TCP port of a board.

    Args:
        url: the board, ``socket://host:port``.
        rate: probability that a byte is damaged, each way.
        seed: of the damage; the same bytes meet the same damage in every run.

    Attributes:
        url: where a host connects instead.
        lost, doubled, changed: bytes, both ways.
    """

    def __init__(self, url: str, rate: float, seed: int) -> None:
        address, _, port = url.removeprefix("socket://").partition(":")
        self._board = socket.create_connection((address, int(port)))
        self._listen = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._listen.getsockname()[1]}"
        self.rate = rate
        self.lost = self.doubled = self.changed = 0
        self._random = {True: random.Random(seed), False: random.Random(seed + 1)}
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def damage(self, data: bytes, to_board: bool) -> bytes:
        """What arrives of `data`."""
        rng = self._random[to_board]
        out = bytearray()
        for byte in data:
            if rng.random() >= self.rate:
                out.append(byte)
                continue
            match rng.randrange(3):
                case 0:
                    self.lost += 1
                case 1:
                    self.doubled += 1
                    out += bytes((byte, byte))
                case _:
                    self.changed += 1
                    out.append(byte ^ 1 << rng.randrange(8))
        return bytes(out)

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            for one in (self._ended, self._listen):
                ready.register(one, selectors.EVENT_READ)
            host, _ = self._listen.accept()
            for one in (host, self._board):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(one, selectors.EVENT_READ)
            other = {host: self._board, self._board: host}
            while True:
                for key, _ in ready.select():
                    source = key.fileobj
                    if source not in other or not isinstance(source, socket.socket):
                        host.close()
                        return
                    data = source.recv(65536)
                    if not data:
                        host.close()
                        return
                    other[source].sendall(self.damage(data, source is host))

    def close(self) -> None:
        """End the relay and its connections."""
        self._end.send(b"x")
        # A relay that nobody connected to waits for a host.
        with socket.socket() as knock:
            knock.settimeout(1)
            knock.connect_ex(self._listen.getsockname())
        self._thread.join(10)
        for one in (self._board, self._listen, self._end, self._ended):
            one.close()
        assert not self._thread.is_alive()
