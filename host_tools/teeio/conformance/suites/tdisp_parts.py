# SPDX-License-Identifier: Apache-2.0
"""What the TDISP cases share. Numbers here are typed from chapter 11 of PCIe Base 6.x as known in
public; they are not taken from the codecs that build the requests."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from teeio.conformance.bench import Bench, Reply
from teeio.conformance.model import Checks
from teeio.core.ops import Steps
from teeio.wire.tdisp import (
    GetDeviceInterfaceState,
    LockInterfaceRequest,
    TdispMessage,
    TdiState,
)

INVALID_REQUEST: Final = 0x0001
INVALID_INTERFACE_STATE: Final = 0x0004
UNSUPPORTED_REQUEST: Final = 0x0007
VERSION_MISMATCH: Final = 0x0041
INVALID_INTERFACE: Final = 0x0101
INVALID_NONCE: Final = 0x0102
INVALID_DEVICE_CONFIGURATION: Final = 0x0104
ERROR: Final = 0x7F
ERROR_BYTES: Final = 24
HEADER_BYTES: Final = 16

COMMON: Final = ("the size is exact", "the message type is that of the answer",
                 "TDISPVersion is 10h", "INTERFACE_ID is that of the request")
"""Assertions 1 to 4 of every answered request."""
REFUSED: Final = (*COMMON, "ERROR_CODE", "ERROR_DATA")
STATES: Final = tuple(TdiState)


@dataclass(frozen=True, slots=True)
class Answer:
    """A TDISP message as it came; all zero where there is none."""

    reply: Reply

    @property
    def message(self) -> bytes:
        """From the TDISP header on; empty if it is no TDISP message."""
        payload = self.reply.payload or b""
        return payload[1:] if payload[:1] == b"\x01" else b""

    @property
    def size(self) -> int:
        """Bytes, header included."""
        return len(self.message)

    @property
    def code(self) -> int:
        """MessageType."""
        return self.message[1] if self.size > 1 else 0

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.message[HEADER_BYTES:]

    @property
    def error(self) -> tuple[int, int] | None:
        """ERROR_CODE and ERROR_DATA of TDISP_ERROR."""
        if self.code != ERROR or self.size < ERROR_BYTES:
            return None
        code, data = struct.unpack_from("<II", self.body)
        return code, data


def send(bench: Bench, message: bytes) -> Steps[Answer]:
    """A TDISP message, legal or not, in the shared session."""
    return Answer((yield from bench.vendor(b"\x01" + message)))


def ask(bench: Bench, request: TdispMessage) -> Steps[Answer]:
    """A TDISP request in the shared session."""
    return (yield from send(bench, request.encode()))


def check_common(check: Checks, answer: Answer, request: bytes, code: int, size: int | None
                 ) -> bool:
    """Assertions 1 to 4; `size` None leaves the size to the case."""
    seen = answer.message[1:2].hex() if answer.message else str(answer.reply)
    ok = check(2, seen, f"{code:02x}")
    if size is not None:
        ok = check(1, answer.size, size) and ok
    ok = check(3, answer.message[:1], b"\x10") and ok
    return check(4, answer.message[4:16], request[4:16]) and ok


def check_refused(check: Checks, answer: Answer, request: bytes, error: int, data: int = 0) -> None:
    """Assertions 1 to 6: TDISP_ERROR with this code."""
    check_common(check, answer, request, ERROR, ERROR_BYTES)
    seen = answer.error
    name = f"{error:#06x}"
    check(5, f"{seen[0]:#06x}" if seen else str(answer.reply), name)
    check(6, seen[1] if seen else None, data)


def check_state(bench: Bench, check: Checks, number: int, expected: TdiState) -> Steps[None]:
    """Assertion `number`: GET_DEVICE_INTERFACE_STATE says `expected`."""
    answer = yield from ask(bench, GetDeviceInterfaceState(interface=bench.interface))
    value = answer.body[0] if answer.code == 0x05 and len(answer.body) == 1 else None
    check.that(number, value == int(expected), f"TDI_STATE {value}" if value is not None
               else answer.reply, f"TDI_STATE {int(expected)} {expected.name}")


def lock_request(bench: Bench, *, flags: int = 0, offset: int = 0) -> LockInterfaceRequest:
    """LOCK_INTERFACE_REQUEST for the TDI and stream under test."""
    return LockInterfaceRequest(interface=bench.interface, flags=flags,
                                stream_id=bench.profile.stream_id, mmio_reporting_offset=offset)
