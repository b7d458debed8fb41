# SPDX-License-Identifier: Apache-2.0
"""The errors of the package: whose fault it is decides the class.

    TsmError
      LocalError        we were asked for something that makes no sense here
      PeerError         the device broke the protocol; the session it happened in is dead
        PeerRefused     the device answered with a well-formed error code; the session lives
      TransportError    bytes did not get through; nothing is known about the other end
      DecodeError       these bytes are not the object they were taken for
"""

from __future__ import annotations

_SHOWN_BYTES = 48


def hexdump(data: bytes) -> str:
    """Hex digits of `data`, cut to a length that suits an error message."""
    if len(data) <= _SHOWN_BYTES:
        return data.hex()
    return f"{data[:_SHOWN_BYTES].hex()}... ({len(data)} bytes)"


class TsmError(Exception):
    """Base of every error this package raises on purpose."""


class LocalError(TsmError):
    """The caller misused the interface: wrong order, or a value outside its range."""


class PeerError(TsmError):
    """The device broke the protocol.

    Attributes:
        clause: the rule that was broken, named so that it can be looked up.
        data: the offending bytes as they came in (never secret material).
        wire_code: the error code on the wire, if the device sent one.
    """

    def __init__(
        self, reason: str, *, clause: str, data: bytes = b"", wire_code: int | None = None
    ) -> None:
        shown = f"; bytes {hexdump(data)}" if data else ""
        super().__init__(f"{reason} [{clause}]{shown}")
        self.reason = reason
        self.clause = clause
        self.data = bytes(data)
        self.wire_code = wire_code


class PeerRefused(PeerError):
    """The device said no in a well-formed way (SPDM ERROR, TDISP_ERROR, KP_ACK status).

    Attributes:
        wire_code: the code it gave; always present.
    """

    def __init__(self, reason: str, *, clause: str, wire_code: int, data: bytes = b"") -> None:
        super().__init__(reason, clause=clause, data=data, wire_code=wire_code)
        self.wire_code: int = wire_code


class TransportError(TsmError):
    """Bytes could not be moved, or did not come back in time. The text says what to do next."""


class DecodeError(TsmError):
    """Bytes that are not what they were taken for.

    Attributes:
        reason: what is wrong.
        offset: byte offset in `data` where it was noticed.
        data: the whole object.
    """

    def __init__(self, reason: str, *, offset: int = 0, data: bytes = b"") -> None:
        super().__init__(f"{reason} at byte {offset} of {hexdump(data)}" if data else reason)
        self.reason = reason
        self.offset = offset
        self.data = bytes(data)
