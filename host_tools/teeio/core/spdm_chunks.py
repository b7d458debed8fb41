# SPDX-License-Identifier: Apache-2.0
"""The requester's side of large messages: requests in chunks, answers put together.

A `ChunkTransfer` belongs to one exchange. It sees plain SPDM messages; records are the context's
business. Chunks are as large as the receiver takes; they come in order and without a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import Reader
from teeio.wire.spdm_base import Code, Layout
from teeio.wire.spdm_chunk import (
    CHUNK_HEADER_BYTES,
    LARGE_SIZE_BYTES,
    LAST_CHUNK,
    ChunkGet,
    ChunkResponse,
    ChunkSend,
    ChunkSendAck,
)

_CLAUSE: Final = "DSP0274 CHUNK_SEND and CHUNK_GET"
_LAYOUT: Final = Layout()

M = TypeVar("M", ChunkSendAck, ChunkResponse)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLimits:
    """Sizes of a connection on which both sides have CHUNK_CAP.

    Attributes:
        device_bytes, device_message_bytes: DataTransferSize and MaxSPDMmsgSize of the device.
        own_message_bytes: our MaxSPDMmsgSize.
    """

    device_bytes: int
    device_message_bytes: int
    own_message_bytes: int


def split(message: bytes, version: int, handle: int, limits: ChunkLimits) -> list[bytes]:
    """CHUNK_SEND messages that carry `message`.

    Raises:
        LocalError: if the device takes no message of this size.
    """
    if len(message) > limits.device_message_bytes:
        raise LocalError(
            f"{len(message)} bytes exceed the device's largest message of "
            f"{limits.device_message_bytes}"
        )
    parts: list[bytes] = []
    done = 0
    while done < len(message):
        room = limits.device_bytes - CHUNK_HEADER_BYTES - (0 if parts else LARGE_SIZE_BYTES)
        chunk = message[done : done + room]
        done += len(chunk)
        part = ChunkSend(
            version=version,
            attributes=LAST_CHUNK if done == len(message) else 0,
            handle=handle,
            sequence=len(parts),
            chunk=chunk,
            large_size=0 if parts else len(message),
        )
        parts.append(part.encode())
    return parts


class ChunkTransfer:
    """State of one exchange whose request or answer goes in chunks."""

    def __init__(self, version: int, limits: ChunkLimits, pad: int) -> None:
        self._version = version
        self._limits = limits
        self._pad = pad
        self._parts: list[bytes] = []
        self._sent = 0
        self._handle: int | None = None
        self._number = 0
        self._size = 0
        self._answer = b""

    @property
    def is_fetching(self) -> bool:
        """The device keeps an answer that is being fetched."""
        return self._handle is not None

    def send(self, message: bytes, handle: int) -> bytes:
        """Starts a large request; the first chunk."""
        self._parts = split(message, self._version, handle, self._limits)
        self._sent = 1
        return self._parts[0]

    def fetch(self, handle: int) -> None:
        """Starts to fetch the answer that LargeResponse announced."""
        self._handle, self._number, self._size, self._answer = handle, 0, 0, b""
        self._parts = []

    def next_message(self) -> bytes | None:
        """The chunk, or the request for one, that must be sent now; None if there is none."""
        if self._handle is not None:
            return ChunkGet(
                version=self._version, handle=self._handle, sequence=self._number
            ).encode()
        if 0 < self._sent < len(self._parts):
            self._sent += 1
            return self._parts[self._sent - 1]
        return None

    def receive(self, message: bytes) -> bytes | None:
        """Takes an answer; the message that answers the large request once it is whole.

        Raises:
            PeerError: if chunks are out of order, too large or do not add up.
        """
        if message[1:2] == bytes([Code.ERROR]):
            self._handle, self._parts = None, []
            return message
        if self._handle is not None:
            return self._take_part(message)
        return self._take_ack(message) if self._parts else message

    def _take_ack(self, message: bytes) -> bytes | None:
        ack = self._decode(ChunkSendAck, message)
        sent = self._parts[self._sent - 1]
        if (ack.handle, ack.sequence) != (sent[3], self._sent - 1):
            raise PeerError("CHUNK_SEND_ACK of another chunk", clause=_CLAUSE, data=message)
        if ack.is_early_error:
            self._parts = []
            if ack.response[1:2] != bytes([Code.ERROR]):
                raise PeerError("EarlyErrorDetected without ERROR", clause=_CLAUSE, data=message)
            return ack.response
        if self._sent < len(self._parts):
            if len(ack.response) > self._pad:
                raise PeerError("answer before the last chunk", clause=_CLAUSE, data=message)
            return None
        self._parts = []
        return ack.response

    def _take_part(self, message: bytes) -> bytes | None:
        part = self._decode(ChunkResponse, message)
        if (part.handle, part.sequence) != (self._handle, self._number):
            raise PeerError("CHUNK_RESPONSE of another chunk", clause=_CLAUSE, data=message)
        if self._number == 0:
            self._size = part.large_size
            if self._size > self._limits.own_message_bytes:
                raise PeerError(
                    f"answer of {self._size} bytes, we announced "
                    f"{self._limits.own_message_bytes}",
                    clause="DSP0274 GET_CAPABILITIES: MaxSPDMmsgSize",
                    data=message,
                )
        self._answer += part.chunk
        self._number += 1
        is_whole = len(self._answer) == self._size
        if not part.chunk or len(self._answer) > self._size or part.is_last != is_whole:
            raise PeerError("chunks do not add up", clause=_CLAUSE, data=message)
        if not is_whole:
            return None
        self._handle = None
        return self._answer

    def _decode(self, kind: type[M], message: bytes) -> M:
        reader = Reader(message)
        try:
            decoded = kind.decode(reader, _LAYOUT)
            reader.expect_end(self._pad)
        except DecodeError as error:
            raise PeerError(error.reason, clause=_CLAUSE, data=message) from None
        if decoded.version != self._version:
            raise PeerError("chunk of another version", clause=_CLAUSE, data=message)
        return decoded
