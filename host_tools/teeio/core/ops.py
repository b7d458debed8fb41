# SPDX-License-Identifier: Apache-2.0
"""The operations that core generators ask their driver to perform.

A generator of type `Steps[T]` yields one operation, is resumed with its result, and returns a T.
Drivers (`core/drive.py`) know nothing of protocols; generators know nothing of transports.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from teeio.errors import LocalError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CfgRead:
    """Read the DW at `offset` (bytes, multiple of 4) of function `bdf`: int, register value."""

    bdf: int
    offset: int


@dataclass(frozen=True, slots=True)
class CfgWrite:
    """Write the DW at `offset` of function `bdf`: None."""

    bdf: int
    offset: int
    value: int


@dataclass(frozen=True, slots=True)
class WaitCycles:
    """Let `cycles` device clock cycles pass: None."""

    cycles: int


@dataclass(frozen=True, slots=True)
class MemRead:
    """Read `length` bytes at host address `address`, with T=1 if `tee`: bytes."""

    address: int
    length: int
    tee: bool


@dataclass(frozen=True, slots=True)
class MemWrite:
    """Write `data` at host address `address`, with T=1 if `tee`: None."""

    address: int
    data: bytes
    tee: bool


@dataclass(frozen=True, slots=True)
class DoeExchange:
    """Send a whole DOE object (header and padding included): bytes, the whole answer object."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Perform register and memory accesses in order, pipelined where the transport can: a tuple
    with the result of each."""

    ops: tuple[CfgRead | CfgWrite | MemRead | MemWrite, ...]


@dataclass(frozen=True, slots=True)
class PortStream:
    """Set up (`enable`) or tear down the root port's end of an IDE stream: None.

    Tearing down erases its keys. `partner_id` is the Requester ID of the device's function 0.
    """

    stream_id: int
    partner_id: int
    enable: bool


@dataclass(frozen=True, slots=True)
class PortKey:
    """Give the root port one AES key (32 bytes) of a stream and start it if `go`: None.

    `is_tx` is the root port's own direction: its transmit key is the device's receive key.
    """

    stream_id: int
    is_tx: bool
    sub_stream: int
    key_set: int
    key: bytes = field(repr=False)
    go: bool


@dataclass(frozen=True, slots=True)
class PortSecure:
    """Is the root port's end of the stream Secure: int, 1 or 0."""

    stream_id: int


Op: TypeAlias = (
    CfgRead | CfgWrite | WaitCycles | MemRead | MemWrite | DoeExchange | Batch
    | PortStream | PortKey | PortSecure
)
OpResult: TypeAlias = "int | bytes | tuple[OpResult, ...] | None"
Steps: TypeAlias = Generator[Op, OpResult, T]


def cfg_read(bdf: int, offset: int) -> Steps[int]:
    """Yields one CfgRead and returns its value."""
    return _expect_int((yield CfgRead(bdf, offset)))


def cfg_write(bdf: int, offset: int, value: int) -> Steps[None]:
    """Yields one CfgWrite."""
    yield CfgWrite(bdf, offset, value)


def wait(cycles: int) -> Steps[None]:
    """Yields one WaitCycles."""
    yield WaitCycles(cycles)


def mem_read(address: int, length: int, *, tee: bool) -> Steps[bytes]:
    """Yields one MemRead and returns its data."""
    return _expect_bytes((yield MemRead(address, length, tee)))


def mem_write(address: int, data: bytes, *, tee: bool) -> Steps[None]:
    """Yields one MemWrite."""
    yield MemWrite(address, data, tee)


def doe_exchange(request: bytes) -> Steps[bytes]:
    """Yields one DoeExchange and returns the answer object."""
    return _expect_bytes((yield DoeExchange(request)))


def batch(ops: Sequence[CfgRead | CfgWrite | MemRead | MemWrite]) -> Steps[tuple[OpResult, ...]]:
    """Yields one Batch and returns the results in order."""
    result = yield Batch(tuple(ops))
    if not isinstance(result, tuple):
        raise LocalError(f"the driver gave {type(result).__name__} for a batch")
    return result


def _expect_int(result: OpResult) -> int:
    if not isinstance(result, int):
        raise LocalError(f"the driver gave {type(result).__name__} for a register read")
    return result


def _expect_bytes(result: OpResult) -> bytes:
    if not isinstance(result, bytes):
        raise LocalError(f"the driver gave {type(result).__name__} where bytes are due")
    return result
