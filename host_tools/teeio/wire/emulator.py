# SPDX-License-Identifier: Apache-2.0
"""The socket frames of the reference emulators: be32 command, transport type, size; payload.

Both directions look alike. A TCP segment may hold half a frame or several: `FrameReader` takes
bytes as they come. With transport type PCI_DOE a normal frame carries one whole DOE object.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from teeio.errors import DecodeError, LocalError

HEADER_BYTES: Final = 12
MAX_PAYLOAD: Final = 1 << 16
"""Largest payload taken from a peer: above any message of 64 KiB transfer sizes in use."""

CLIENT_HELLO: Final = b"Client Hello!\0"
SERVER_HELLO: Final = b"Server Hello!\0"
DEFAULT_PORT: Final = 2323


class Command(enum.IntEnum):
    """Command of a frame; others close a connection here."""

    NORMAL = 0x0001
    CONTINUE = 0xFFFD
    SHUTDOWN = 0xFFFE
    HELLO = 0xDEAD


class TransportType(enum.IntEnum):
    """Transport type of a frame."""

    NONE = 0
    MCTP = 1
    PCI_DOE = 2
    TCP = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        command: `Command`, or another number of 32 bits.
        payload: for `Command.NORMAL` over PCI_DOE one DOE object.
        transport: `TransportType`, or another number of 32 bits.
    """

    command: int
    payload: bytes = b""
    transport: int = TransportType.PCI_DOE

    def encode(self) -> bytes:
        """Header and payload, to be handed to the socket in one call.

        Raises:
            LocalError: a field does not fit.
        """
        try:
            head = struct.pack(">III", self.command, self.transport, len(self.payload))
        except struct.error as error:
            raise LocalError(f"frame field: {error}") from None
        return head + self.payload


class FrameReader:
    """Cuts a byte stream into frames.

    Args:
        max_payload: a frame that announces more is refused as soon as its header is there.
        commands: commands that are taken.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD,
                 commands: frozenset[int] = frozenset(Command)) -> None:
        self._max = max_payload
        self._commands = commands
        self._buffer = bytearray()

    @property
    def is_partial(self) -> bool:
        """A frame has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Adds bytes as they came."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame, None if more bytes are needed.

        Raises:
            DecodeError: unknown command, another transport type, or a size beyond the bound; the
                stream cannot be read on.
        """
        if len(self._buffer) < HEADER_BYTES:
            return None
        command, transport, size = struct.unpack_from(">III", self._buffer)
        head = bytes(self._buffer[:HEADER_BYTES])
        if command not in self._commands:
            raise DecodeError(f"unknown command {command:#x}", offset=0, data=head)
        if transport != TransportType.PCI_DOE:
            raise DecodeError(f"transport type {transport}, this end speaks PCI_DOE (2)",
                              offset=4, data=head)
        if size > self._max:
            raise DecodeError(f"payload of {size} bytes, at most {self._max} are taken",
                              offset=8, data=head)
        if len(self._buffer) < HEADER_BYTES + size:
            return None
        payload = bytes(self._buffer[HEADER_BYTES:HEADER_BYTES + size])
        del self._buffer[:HEADER_BYTES + size]
        return Frame(command, payload)
