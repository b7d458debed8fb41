# SPDX-License-Identifier: Apache-2.0
"""The DOE mailbox from the requester's side (PCIe Base 6.x, 6.30.2), as a generator.

    idle? --Busy, Error or stale Ready--> ABORT, poll until Busy = Error = 0 (bounded)
      |
    write each DW, then Go, poll Status:   Error -> abort, TransportError
      |                                    deadline -> abort, TransportError
    Ready: read DW, write the read mailbox (any value) to advance, `Length` times;
    Ready must still be 1 before the last advance and 0 after it.

Control is written without reading it first; the interrupt enable bit is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from teeio.core.ops import (
    CfgRead,
    CfgWrite,
    DoeExchange,
    Op,
    OpResult,
    Steps,
    batch,
    cfg_read,
    cfg_write,
    wait,
)
from teeio.errors import LocalError, PeerError, TransportError
from teeio.wire.doe import MAX_LENGTH_DW

T = TypeVar("T")

CAPABILITY_ID: Final = 0x002E
CONTROL: Final = 0x08
STATUS: Final = 0x0C
WRITE_MAILBOX: Final = 0x10
READ_MAILBOX: Final = 0x14

CONTROL_ABORT: Final = 1 << 0
CONTROL_INTERRUPT_ENABLE: Final = 1 << 1
CONTROL_GO: Final = 1 << 31
STATUS_BUSY: Final = 1 << 0
STATUS_INTERRUPT: Final = 1 << 1
STATUS_ERROR: Final = 1 << 2
STATUS_READY: Final = 1 << 31
ALL_ONES: Final = 0xFFFF_FFFF

ONE_SECOND_CYCLES: Final = 48_000_000
CLAUSE: Final = "PCIe Base 6.30.2: DOE operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoeMailbox:
    """One mailbox of one function.

    Attributes:
        bdf: requester ID of the function (0 for every device: Function 0).
        offset: byte offset of the DOE capability in its configuration space.
        deadline_cycles: device time allowed for one object, from Go to Ready.
        first_poll_cycles: first wait between two looks at Status; doubles up to `max_poll_cycles`.
        max_object_dw: largest answer we take, header included.
        interrupt_enable: value to keep in Control bit 1.
    """

    bdf: int
    offset: int
    deadline_cycles: int = ONE_SECOND_CYCLES
    first_poll_cycles: int = 240
    max_poll_cycles: int = 24_000
    max_object_dw: int = 0x4000
    interrupt_enable: bool = False

    def __post_init__(self) -> None:
        if self.offset % 4 or not 0x100 <= self.offset <= 0xFE8:
            raise LocalError(f"{self.offset:#x} is no offset of an extended capability")
        if not 1 <= self.first_poll_cycles <= self.max_poll_cycles <= self.deadline_cycles:
            raise LocalError("poll intervals must be positive and below the deadline")
        if not 2 <= self.max_object_dw <= MAX_LENGTH_DW:
            raise LocalError("max_object_dw is outside 2..2^18")

    def _read(self, register: int) -> Steps[int]:
        return (yield from cfg_read(self.bdf, self.offset + register))

    def _write(self, register: int, value: int) -> Steps[None]:
        yield from cfg_write(self.bdf, self.offset + register, value)

    def _status(self) -> Steps[int]:
        status = yield from self._read(STATUS)
        if status == ALL_ONES:
            raise TransportError(
                "the DOE status register reads all ones: the function does not answer "
                "configuration requests. Check the link, then re-enumerate"
            )
        return status

    def _control(self, bits: int) -> Steps[None]:
        enable = CONTROL_INTERRUPT_ENABLE if self.interrupt_enable else 0
        yield from self._write(CONTROL, bits | enable)

    def abort(self) -> Steps[None]:
        """Brings the mailbox back to idle.

        Raises:
            TransportError: if it is not idle after the deadline.
        """
        yield from self._control(CONTROL_ABORT)
        waited = 0
        interval = self.first_poll_cycles
        while (yield from self._status()) & (STATUS_BUSY | STATUS_ERROR | STATUS_READY):
            if waited >= self.deadline_cycles:
                raise TransportError(
                    f"the DOE mailbox is not idle {waited} cycles after an abort. Reset the "
                    "function (FLR of Function 0 or a conventional reset)"
                )
            yield from wait(interval)
            waited += interval
            interval = min(2 * interval, self.max_poll_cycles)

    def exchange(self, request: bytes) -> Steps[bytes]:
        """Sends one whole object and returns the answer object.

        Args:
            request: header, payload, padding: a multiple of 4 bytes.

        Raises:
            TransportError: on Error, on silence, or if the mailbox cannot be made idle. The
                mailbox has been aborted then, and can be used again if that succeeded.
            PeerError: if the device breaks the register protocol.
        """
        if len(request) % 4 or not 8 <= len(request) <= 4 * MAX_LENGTH_DW:
            raise LocalError(f"{len(request)} bytes are no DOE object")
        if (yield from self._status()) & (STATUS_BUSY | STATUS_ERROR | STATUS_READY):
            yield from self.abort()
        # One batch: a transport may have several of these writes in flight, in order.
        enable = CONTROL_INTERRUPT_ENABLE if self.interrupt_enable else 0
        words = [int.from_bytes(request[at : at + 4], "little") for at in range(0, len(request), 4)]
        writes = [CfgWrite(self.bdf, self.offset + WRITE_MAILBOX, word) for word in words]
        go = CfgWrite(self.bdf, self.offset + CONTROL, CONTROL_GO | enable)
        yield from batch([*writes, go])
        yield from self._wait_ready()
        return (yield from self._read_object())

    def _wait_ready(self) -> Steps[None]:
        waited = 0
        interval = self.first_poll_cycles
        while True:
            status = yield from self._status()
            if status & STATUS_ERROR:
                yield from self.abort()
                raise TransportError(
                    "the device set DOE Error. The mailbox was aborted and is idle: "
                    "the object may be sent again"
                )
            if status & STATUS_READY:
                return
            if waited >= self.deadline_cycles:
                yield from self.abort()
                raise TransportError(
                    f"no answer within {waited} device cycles. The device may have discarded the "
                    "object (type or length it does not take). The mailbox was aborted and is idle"
                )
            yield from wait(interval)
            waited += interval
            interval = min(2 * interval, self.max_poll_cycles)

    def _read_object(self) -> Steps[bytes]:
        read = CfgRead(self.bdf, self.offset + READ_MAILBOX)
        advance = CfgWrite(self.bdf, self.offset + READ_MAILBOX, 0)
        answer = bytearray()
        answer += _dwords((yield from batch([read, advance, read])))
        length_dw = int.from_bytes(answer[4:8], "little") & 0x3_FFFF or MAX_LENGTH_DW
        if not 2 <= length_dw <= self.max_object_dw:
            yield from self._broken(f"answer of {length_dw} DWs", answer)
        answer += _dwords((yield from batch([advance, read] * (length_dw - 2))))
        status = yield from self._status()
        if status & STATUS_ERROR or not status & STATUS_READY:
            yield from self._broken("Data Object Ready fell before the last DW was taken", answer)
        yield from self._write(READ_MAILBOX, 0)
        status = yield from self._status()
        if status & (STATUS_ERROR | STATUS_READY):
            yield from self._broken("the answer is longer or shorter than its Length", answer)
        return bytes(answer)

    def _broken(self, reason: str, answer: bytearray) -> Steps[NoReturn]:
        yield from self.abort()
        raise PeerError(reason, clause=CLAUSE, data=bytes(answer))


def _dwords(results: tuple[OpResult, ...]) -> bytes:
    """The values that the reads of a batch gave, as bytes."""
    return b"".join(item.to_bytes(4, "little") for item in results if isinstance(item, int))


def over_mailbox(steps: Steps[T], mailbox: DoeMailbox) -> Steps[T]:
    """Turns each DoeExchange of `steps` into register accesses; other operations pass through."""
    result: OpResult = None
    failure: Exception | None = None
    try:
        while True:
            try:
                op: Op = steps.throw(failure) if failure is not None else steps.send(result)
            except StopIteration as stop:
                value: T = stop.value
                return value
            result = failure = None
            try:
                if isinstance(op, DoeExchange):
                    result = yield from mailbox.exchange(op.request)
                else:
                    result = yield op
            except Exception as error:
                failure = error
    finally:
        steps.close()
