# SPDX-License-Identifier: Apache-2.0
"""What a target can carry, and the refusal of what it cannot."""

from __future__ import annotations

from dataclasses import dataclass, fields

from teeio.core.ops import (
    Batch,
    CfgRead,
    CfgWrite,
    DoeExchange,
    MemRead,
    MemWrite,
    Op,
    PortKey,
    PortSecure,
    PortStream,
    WaitCycles,
)
from teeio.errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What crosses a target's transport.

    Attributes:
        doe: DOE objects.
        config: configuration reads and writes.
        mmio: memory accesses to the device.
        dma: memory accesses and messages by the device.
        ide: TLPs protected by IDE, so the host has an end of a stream.
        reset: conventional reset.
    """

    doe: bool
    config: bool
    mmio: bool
    dma: bool
    ide: bool
    reset: bool

    def names(self) -> tuple[str, ...]:
        """Names of what is carried, in the order of the fields."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name))

    def lacking(self, *wanted: str) -> tuple[str, ...]:
        """Those of `wanted` that are not carried."""
        return tuple(name for name in wanted if not getattr(self, name))

    def require(self, who: str, *wanted: str) -> None:
        """Refuses what is not carried.

        Args:
            who: the target, for the message.

        Raises:
            LocalError: naming what is missing and what there is.
        """
        missing = self.lacking(*wanted)
        if missing:
            raise LocalError(f"{who} does not carry {', '.join(missing)}"
                             f" (it carries {', '.join(self.names())}): use a board")

    def require_op(self, who: str, op: Op) -> None:
        """Refuses an operation that is not carried.

        Raises:
            LocalError: see `require`.
        """
        needed = needs(op)
        if needed is not None:
            self.require(who, needed)


BOARD = Capabilities(doe=True, config=True, mmio=True, dma=True, ide=True, reset=True)
"""A board on a bench link."""
NATIVE = Capabilities(doe=True, config=True, mmio=False, dma=False, ide=False, reset=True)
"""The firmware as a process: messages, and the registers its model has."""
MESSAGES = Capabilities(doe=True, config=False, mmio=False, dma=False, ide=False, reset=False)
"""A responder behind a socket: DOE objects and nothing else."""


def needs(op: Op) -> str | None:
    """The capability that an operation needs; None for waiting."""
    match op:
        case DoeExchange():
            return "doe"
        case CfgRead() | CfgWrite():
            return "config"
        case MemRead() | MemWrite():
            return "mmio"
        case PortStream() | PortKey() | PortSecure():
            return "ide"
        case Batch(ops):
            return next((needs(one) for one in ops if not isinstance(one, CfgRead | CfgWrite)),
                        "config")
        case WaitCycles():
            return None
