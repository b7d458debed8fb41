# SPDX-License-Identifier: Apache-2.0
"""A device under test, as the rest of the model sees it: operations, and nothing behind them.

`HostTarget` is any board reached by a URL. `Masked` hides capabilities, for hosts that meet a
device without them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from teeio.core.ops import Batch, CfgRead, Op, OpResult, Steps
from teeio.core.rootcomplex import RootComplex
from teeio.core.rootport import PortEvent, RootPort
from teeio.core.tsm import TsmPolicy
from teeio.host import Host


class Target(Protocol):
    """One device below one root port."""

    @property
    def port(self) -> RootPort:
        """The root port; its `checker` and `memory` are set by `Machine`."""

    @property
    def has_tlps(self) -> bool:
        """It has a link: MMIO, DMA and IDE can be tried, not only data objects."""

    def perform(self, op: Op) -> OpResult:
        """Perform one operation.

        Raises:
            TransportError, LocalError: as the operation's driver does.
        """

    def serve(self, cycles: int) -> int:
        """Serve what the device sends on its own, for at most `cycles`; number of TLPs."""

    def reset(self) -> None:
        """Conventional reset."""

    def take_events(self) -> list[PortEvent]:
        """Events of the root port since the last call."""

    def close(self) -> None:
        """Let go of the device."""


class _TappedHost(Host):
    on_plain_tlp: Callable[[bytes], None] | None = None

    def _on_tlp(self, direction: str, tlp: bytes) -> None:
        super()._on_tlp(direction, tlp)
        if self.on_plain_tlp is not None:
            self.on_plain_tlp(tlp)


def _one(op: Op) -> Steps[OpResult]:
    return (yield op)


class HostTarget:
    """A board at a URL.

    Args:
        url: as `teeio.host.Host`.
        policy: trust of the TSM that `Machine` will put above it.
        rng: source of random bytes.
        port: a port of a root complex, if there are several devices.

    Raises:
        TransportError: nothing answers there.
    """

    def __init__(self, url: str, policy: TsmPolicy,
                 rng: Callable[[int], bytes] = os.urandom, port: RootPort | None = None) -> None:
        self.host = _TappedHost(url, policy, rng=rng, port=port)
        self.url = url

    @property
    def port(self) -> RootPort:
        return self.host.port

    @property
    def has_tlps(self) -> bool:
        return True

    def tap(self, on_tlp: Callable[[bytes], None]) -> None:
        """Have `on_tlp` called with the bytes of every TLP on the link."""
        self.host.on_plain_tlp = on_tlp

    def perform(self, op: Op) -> OpResult:
        return self.host.run(_one(op))

    def serve(self, cycles: int) -> int:
        return self.host.serve(cycles)

    def reset(self) -> None:
        self.host.reset()

    def take_events(self) -> list[PortEvent]:
        return self.host.take_events()

    def close(self) -> None:
        self.host.close()


def board_targets(urls: Sequence[str], policy: TsmPolicy) -> list[HostTarget]:
    """One target a board; several boards stand below one root complex.

    Raises:
        TransportError: a board does not answer; the links to the others are closed again.
    """
    ports: Sequence[RootPort | None] = [None]
    if len(urls) > 1:
        ports = RootComplex(len(urls)).ports
    out: list[HostTarget] = []
    try:
        for url, port in zip(urls, ports, strict=True):
            out.append(HostTarget(url, policy, port=port))
    except BaseException:
        for target in out:
            target.close()
        raise
    return out


class Masked:
    """A target whose configuration space lacks some extended capabilities.

    Args:
        inner: the real device.
        hidden: extended capability IDs; their headers read as a vendor-specific capability.
    """

    _VENDOR_SPECIFIC = 0x000B

    def __init__(self, inner: Target, *hidden: int) -> None:
        self._inner = inner
        self._hidden = hidden

    @property
    def port(self) -> RootPort:
        return self._inner.port

    @property
    def has_tlps(self) -> bool:
        return self._inner.has_tlps

    def perform(self, op: Op) -> OpResult:
        result = self._inner.perform(op)
        if isinstance(op, Batch) and isinstance(result, tuple):
            return tuple(self._mask(one, value)
                         for one, value in zip(op.ops, result, strict=True))
        return self._mask(op, result)

    def _mask(self, op: Op, value: OpResult) -> OpResult:
        if (isinstance(op, CfgRead) and isinstance(value, int) and op.offset >= 0x100
                and value & 0xFFFF in self._hidden and value >> 16 & 0xF in (1, 2)):
            return value & ~0xFFFF | self._VENDOR_SPECIFIC
        return value

    def serve(self, cycles: int) -> int:
        return self._inner.serve(cycles)

    def reset(self) -> None:
        self._inner.reset()

    def take_events(self) -> list[PortEvent]:
        return self._inner.take_events()

    def close(self) -> None:
        self._inner.close()
