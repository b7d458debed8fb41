# SPDX-License-Identifier: Apache-2.0
"""Performs core operations on a root port, as generators over three link effects.

A transport only has to know how to send TLPs, wait for TLPs, and ask the bench for a control
operation; blocking and awaiting transports drive the same generators.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from teeio.core.ide import IdeStream
from teeio.core.ops import (
    Batch,
    CfgRead,
    CfgWrite,
    MemRead,
    MemWrite,
    Op,
    OpResult,
    PortKey,
    PortSecure,
    PortStream,
    WaitCycles,
)
from teeio.core.rootport import RootPort, Ticket
from teeio.errors import LocalError, TransportError
from teeio.wire.link import ControlOp
from teeio.wire.tlp import CplStatus

T = TypeVar("T")

# 10 ms of device time: far above the longest answer of a config or memory request, far below the
# 50 ms after which PCIe lets a requester give up.
DEFAULT_TIMEOUT_CYCLES = 480_000
MAX_IN_FLIGHT = 8


class CompletionTimeout(TransportError):
    """No completion came within the bound; the device dropped the request."""


class CompletionStatus(TransportError):
    """The device completed the request with something else than Successful Completion.

    Attributes:
        status: `CplStatus`.
    """

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what}: completed with {CplStatus(status).name}")
        self.status = status


@dataclass(frozen=True, slots=True)
class LinkSend:
    """Send these TLPs in order: None."""

    tlps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LinkReceive:
    """Wait for TLPs, at most `cycles` of device time: tuple of TLPs, empty if none came."""

    cycles: int


@dataclass(frozen=True, slots=True)
class LinkControl:
    """Perform a control operation of the bench: tuple of three 32-bit values."""

    op: ControlOp
    arg: int = 0


LinkEffect: TypeAlias = LinkSend | LinkReceive | LinkControl
LinkResult: TypeAlias = tuple[bytes, ...] | tuple[int, int, int] | None
LinkSteps: TypeAlias = Generator[LinkEffect, LinkResult, T]


def control(op: ControlOp, arg: int = 0) -> LinkSteps[tuple[int, int, int]]:
    """One control operation."""
    result = yield LinkControl(op, arg)
    assert result is not None
    a, b, c = result
    assert isinstance(a, int) and isinstance(b, int) and isinstance(c, int)
    return a, b, c


def pump(port: RootPort, cycles: int) -> LinkSteps[int]:
    """Serve one batch of TLPs, waiting up to `cycles` for it: the number of TLPs."""
    got = yield LinkReceive(cycles)
    answers: list[bytes] = []
    count = 0
    for tlp in got or ():
        assert isinstance(tlp, bytes)
        answers += port.receive(tlp)
        count += 1
    if answers:
        yield LinkSend(tuple(answers))
    return count


def _settle(port: RootPort, tickets: list[Ticket], cycles: int) -> LinkSteps[None]:
    while not all(ticket.done for ticket in tickets):
        if (yield from pump(port, cycles)) == 0:
            for ticket in tickets:
                if not ticket.done:
                    port.abandon(ticket)
            return


def _result(op: Op, ticket: Ticket) -> OpResult:
    if not ticket.done:
        raise CompletionTimeout(f"{describe(op)}: no completion; the device dropped the request")
    if ticket.fault:
        raise TransportError(f"{describe(op)}: {ticket.fault}")
    match op:
        case CfgRead():
            # A root port hands all ones to software when a function does not exist.
            if ticket.status != CplStatus.SC:
                return 0xFFFF_FFFF
            return int.from_bytes(ticket.data, "little")
        case MemRead():
            if ticket.status != CplStatus.SC:
                raise CompletionStatus(describe(op), ticket.status)
            return ticket.data
        case CfgWrite() if ticket.status != CplStatus.SC:
            raise CompletionStatus(describe(op), ticket.status)
    return None


def describe(op: Op) -> str:
    """One line that names an operation."""
    match op:
        case CfgRead(bdf, offset):
            return f"config read {bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7} offset {offset:#x}"
        case CfgWrite(bdf, offset, _):
            return f"config write {bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7} offset {offset:#x}"
        case MemRead(address, length, tee):
            return f"{'trusted ' if tee else ''}memory read of {length} bytes at {address:#x}"
        case MemWrite(address, data, tee):
            return f"{'trusted ' if tee else ''}memory write of {len(data)} bytes at {address:#x}"
    return type(op).__name__


def perform(port: RootPort, op: Op, timeout: int = DEFAULT_TIMEOUT_CYCLES) -> LinkSteps[OpResult]:
    """Perform one operation (or a batch, pipelined in order) on the root port.

    Raises:
        CompletionTimeout: the device did not answer.
        CompletionStatus: it answered UR or CA (a config read gives FFFFFFFFh instead).
    """
    match op:
        case WaitCycles(cycles):
            yield from control(ControlOp.DELAY, cycles)
            return None
        case CfgRead() | CfgWrite() | MemRead() | MemWrite():
            ticket, out = port.begin(op)
            yield LinkSend(tuple(out))
            yield from _settle(port, [ticket], timeout)
            return _result(op, ticket)
        case Batch(ops):
            results: list[OpResult] = []
            for at in range(0, len(ops), MAX_IN_FLIGHT):
                group = ops[at:at + MAX_IN_FLIGHT]
                started = [port.begin(one) for one in group]
                yield LinkSend(tuple(tlp for _, out in started for tlp in out))
                yield from _settle(port, [ticket for ticket, _ in started], timeout)
                results += [_result(one, ticket)
                            for one, (ticket, _) in zip(group, started, strict=True)]
            return tuple(results)
        case PortStream(stream_id, partner_id, enable):
            stream = port.streams.setdefault(
                stream_id, IdeStream(stream_id, port.requester_id, partner_id))
            stream.partner_id = partner_id
            if not enable:
                stream.clear()
            stream.enabled = enable
            port.trusted_stream = stream_id if enable else None
            return None
        case PortKey(stream_id, is_tx, sub_stream, key_set, key, go):
            if stream_id not in port.streams:
                raise LocalError(f"stream {stream_id} is not set up at the root port")
            port.streams[stream_id].program_key(is_tx, sub_stream, key_set, key)
            if go:
                port.streams[stream_id].go(is_tx, sub_stream, key_set)
            return None
        case PortSecure(stream_id):
            return int(stream_id in port.streams and port.streams[stream_id].secure)
    raise LocalError(f"a root port cannot perform {type(op).__name__}")
