# SPDX-License-Identifier: Apache-2.0
"""One end of the reference emulators' socket: frames over TCP with bounded waits.

A frame leaves with one `send` and TCP_NODELAY is set: a peer that writes a frame in pieces waits
for acknowledgements otherwise, a hundred times slower.
"""

from __future__ import annotations

import socket
import time

from teeio.errors import DecodeError, TransportError
from teeio.wire.emulator import (
    CLIENT_HELLO,
    MAX_PAYLOAD,
    SERVER_HELLO,
    Command,
    Frame,
    FrameReader,
)

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
CLOSE_SECONDS = 2.0
_CHUNK = 65536


class PeerClosed(TransportError):
    """The peer closed the connection between two frames."""


class FrameSocket:
    """Whole frames over a connected socket; used by both ends.

    Args:
        link: the socket; this object owns it.
        name: of the peer, for messages.
        max_payload: largest payload taken.
        commands: commands taken.
    """

    def __init__(self, link: socket.socket, name: str, max_payload: int = MAX_PAYLOAD,
                 commands: frozenset[int] = frozenset(Command)) -> None:
        self._link = link
        self._name = name
        self._reader = FrameReader(max_payload, commands)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, frame: Frame, seconds: float = ANSWER_SECONDS) -> None:
        """Sends one frame.

        Raises:
            TransportError: the peer is gone or does not take it in time.
        """
        self._link.settimeout(seconds)
        try:
            self._link.sendall(frame.encode())
        except OSError as error:
            raise TransportError(f"{self._name}: cannot send: {error}; is the peer still there?"
                                 ) from error

    def receive(self, seconds: float, *, half_seconds: float | None = None) -> Frame:
        """The next frame.

        Args:
            seconds: how long to wait for its first byte.
            half_seconds: how long a begun frame may take; default: the same.

        Raises:
            PeerClosed: the peer closed between frames.
            TransportError: silence, a cut frame, or the connection broke.
            DecodeError: what came is no frame of this protocol.
        """
        half = seconds if half_seconds is None else half_seconds
        deadline = time.monotonic() + (half if self._reader.is_partial else seconds)
        while (frame := self._reader.next()) is None:
            left = deadline - time.monotonic()
            begun = self._reader.is_partial
            if left <= 0:
                raise TransportError(f"{self._name}: {'half a frame' if begun else 'silence'} for"
                                     f" {half if begun else seconds:g} s: is it hanging?")
            self._link.settimeout(left)
            try:
                data = self._link.recv(_CHUNK)
            except TimeoutError:
                continue
            except OSError as error:
                raise TransportError(f"{self._name}: cannot receive: {error}") from error
            if not data:
                if begun:
                    raise TransportError(f"{self._name}: closed in the middle of a frame")
                raise PeerClosed(f"{self._name}: closed the connection")
            self._reader.feed(data)
            if not begun:
                deadline = time.monotonic() + half
        return frame

    def close(self) -> None:
        """Closes the socket."""
        self._link.close()


class EmulatorClient:
    """The requester's end: hello, then one object at a time.

    `is_lost` is set once an answer failed to come or was none: the stream is out of step then.

    Args:
        host, port: where the responder listens.
        answer_seconds: how long one answer may take.
        commands: commands beyond those of the emulators that this peer knows.

    Raises:
        TransportError: nothing listens there, or it does not speak this protocol.
    """

    def __init__(self, host: str, port: int, *, answer_seconds: float = ANSWER_SECONDS,
                 commands: frozenset[int] = frozenset()) -> None:
        self.name = f"{host}:{port}"
        self._seconds = answer_seconds
        self.is_lost = False
        try:
            link = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            raise TransportError(f"{self.name}: cannot connect: {error}; start the responder"
                                 " first") from error
        self._frames = FrameSocket(link, self.name, commands=frozenset(Command) | commands)
        try:
            answer = self.frame(Frame(Command.HELLO, CLIENT_HELLO))
            if answer != SERVER_HELLO:
                raise TransportError(f"{self.name}: greets with {answer[:32].hex()}: not a"
                                     " responder of this protocol")
        except BaseException:
            self.close()
            raise

    def frame(self, frame: Frame, seconds: float | None = None) -> bytes:
        """Sends a frame and returns the payload of its answer.

        Raises:
            TransportError: silence, or an answer that is no frame or not to this command.
        """
        seconds = self._seconds if seconds is None else seconds
        if self.is_lost:
            raise TransportError(f"{self.name}: the connection was lost before: open it anew")
        self.is_lost = True  # until the answer is there: a late one must not pass for the next
        self._frames.send(frame, seconds)
        try:
            answer = self._frames.receive(seconds)
        except DecodeError as error:
            raise TransportError(f"{self.name}: {error}: is it a responder with PCI_DOE"
                                 " transport?") from error
        if answer.command != frame.command:
            raise TransportError(f"{self.name}: answers command {frame.command:#x} with"
                                 f" {answer.command:#x}")
        self.is_lost = False
        return answer.payload

    def exchange(self, request: bytes) -> bytes:
        """Sends a DOE object and returns the answer object.

        Raises:
            TransportError: as `frame`, or the responder dropped the object (an empty answer).
        """
        answer = self.frame(Frame(Command.NORMAL, request))
        if not answer:
            raise TransportError("no answer: the responder dropped the object (type or length it"
                                 " does not take)")
        return answer

    def end(self, command: Command) -> None:
        """CONTINUE or SHUTDOWN, then close; a peer that does not echo it is not waited for long."""
        try:
            self.frame(Frame(command), CLOSE_SECONDS)
        except TransportError:
            pass
        self.close()

    def close(self) -> None:
        """Closes the socket without a word."""
        self._frames.close()
