# SPDX-License-Identifier: Apache-2.0
"""Serves a target over the reference emulators' socket, so that their requester and validators can
be pointed at it.

Towards the device this is the host of such a requester, which reaches no register itself: it gives
bus numbers, places BARs, sets MSE and BME, and sets up the first selective stream (Stream ID 0,
Default Stream, Enable) at the start and, unless it is Secure, before each KEY_EXCHANGE, since a
session that ended took the stream's keys with it. The device's own rules stay: keys alone make the
stream Secure.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.enumerate import ECAP_DOE, ECAP_IDE, enumerate_device
from teeio.core.ops import Steps, cfg_read, cfg_write, doe_exchange
from teeio.core.stream_block import (
    CONTROL_ENABLE,
    STATE_SECURE,
    StreamBlock,
    find_block,
    set_up_block,
)
from teeio.errors import DecodeError, LocalError, PeerError, TransportError
from teeio.targets import Target
from teeio.transports.emulator import FrameSocket, PeerClosed
from teeio.wire.doe import PCI_SIG_VENDOR_ID, DoeObject, DoeType
from teeio.wire.emulator import SERVER_HELLO, Command, Frame
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_base import Code

MAX_OBJECT: Final = 0x1208
"""DataTransferSize of the reference tools and a DOE header; also what our mailbox holds."""

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve.

    Attributes:
        address, port: where to listen; port 0 takes a free one.
        bus: bus number given to the device.
        stream_id: Stream ID of the first selective block.
        keep: go on after a shutdown command.
        idle_seconds: longest silence between two frames of a connection.
        frame_seconds: longest time a frame may take from its first byte to its last.
        max_object: largest DOE object taken, bytes.
    """

    port: int
    address: str = LOOPBACK
    bus: int = 1
    stream_id: int = 0
    keep: bool = False
    idle_seconds: float = 600.0
    frame_seconds: float = 10.0
    max_object: int = MAX_OBJECT


class EmulatorServer:
    """Serves one target, one connection after the other.

    Args:
        target: the device.
        options: how to serve.
        say: called with one line for people, for each thing worth knowing.

    Raises:
        LocalError: the address cannot be listened on.
    """

    def __init__(self, target: Target, options: ServeOptions,
                 say: Callable[[str], None] = lambda line: None) -> None:
        self._target = target
        self._options = options
        self._say = say
        self._bdf = options.bus << 8
        self._block: StreamBlock | None = None
        try:
            self._listener = socket.create_server((options.address, options.port), backlog=4)
        except OSError as error:
            raise LocalError(f"cannot listen on {options.address}:{options.port}:"
                             f" {error.strerror}; choose another port") from error

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listener.getsockname()[1])

    def prepare(self) -> None:
        """Resets the target and sets it up as the host of a requester would.

        Raises:
            TsmError: the target does not answer, or is no such device.
        """
        carries = self._target.capabilities
        carries.require(self._target.url, "doe")
        if carries.reset:
            self._target.reset()
        if not carries.config:
            self._say("no configuration space here: registers are left as they are")
            return
        self._target.run(self._set_up())
        self._say(f"device at bus {self._options.bus}: BARs placed, MSE and BME set, stream"
                  f" {self._options.stream_id} Default and Enable set")

    def serve(self) -> None:
        """Serves until a shutdown command, unless told to keep on."""
        while True:
            link, peer = self._listener.accept()
            name = f"{peer[0]}:{peer[1]}"
            self._say(f"{name} connected")
            frames = FrameSocket(link, name, self._options.max_object)
            try:
                if self._connection(frames) is Command.SHUTDOWN and not self._options.keep:
                    self._say(f"{name} shut the server down")
                    return
                self._say(f"{name} is done")
            except DecodeError as error:
                self._say(f"{name} closed: {error.reason}")
            except PeerClosed:
                self._say(f"{name} went away")
            except TransportError as error:
                self._say(f"closed: {error}")
            finally:
                frames.close()

    def close(self) -> None:
        """Stops listening."""
        self._listener.close()

    # ---- one connection --------------------------------------------------------------------------
    def _connection(self, frames: FrameSocket) -> Command:
        """Answers frames until the peer takes leave; how it did."""
        limits = self._options
        while True:
            frame = frames.receive(limits.idle_seconds, half_seconds=limits.frame_seconds)
            match frame.command:
                case Command.HELLO:
                    frames.send(Frame(Command.HELLO, SERVER_HELLO))
                case Command.NORMAL:
                    frames.send(Frame(Command.NORMAL, self._exchange(frame.payload)))
                case command:
                    frames.send(Frame(command))
                    return Command(command)

    def _exchange(self, request: bytes) -> bytes:
        """One object through the target; empty if the target gave no answer."""
        if len(request) % 4 or len(request) < 8:
            raise DecodeError(f"{len(request)} bytes are no DOE object")
        try:
            if self._block is not None and _is_key_exchange(request):
                self._target.run(self._arm_stream(self._block))
            return self._target.run(doe_exchange(request))
        except (TransportError, PeerError) as error:
            self._say(f"object dropped: {error}")
            return b""

    # ---- the host part ---------------------------------------------------------------------------
    def _set_up(self) -> Steps[None]:
        functions = yield from enumerate_device(self._options.bus)
        first = functions[0]
        for identity, name in ((ECAP_DOE, "DOE"), (ECAP_IDE, "IDE")):
            if identity not in first.ecaps:
                raise PeerError(f"function 0 has no {name} capability",
                                clause="PCIe Base 6.30, 6.33")
        mailbox = DoeMailbox(bdf=first.bdf, offset=first.ecaps[ECAP_DOE])
        yield from mailbox.abort()  # a former host may have left part of an object there
        self._target.use_mailbox(mailbox)
        self._block = yield from find_block(first.bdf, first.ecaps[ECAP_IDE])
        yield from self._arm_stream(self._block)

    def _arm_stream(self, block: StreamBlock) -> Steps[None]:
        if (yield from cfg_read(self._bdf, block.status)) & 0xF == STATE_SECURE:
            return  # another session lives on it
        control = yield from set_up_block(self._bdf, block, self._options.stream_id)
        yield from cfg_write(self._bdf, block.control, control | CONTROL_ENABLE)


def _is_key_exchange(request: bytes) -> bool:
    try:
        item = decode_whole(DoeObject.decode, request)
    except DecodeError:
        return False
    return (item.vendor_id == PCI_SIG_VENDOR_ID and item.object_type == DoeType.SPDM
            and len(item.payload) > 1 and item.payload[1] == Code.KEY_EXCHANGE)
