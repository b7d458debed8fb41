# SPDX-License-Identifier: Apache-2.0
"""The calls of a guest to its platform, one set for all: GHCB, COVG and Linux put theirs behind it.

A scenario written against this runs on every platform that registers a back end (`register`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.tsm import Evidence


class GuestHostOps(Protocol):
    """What a guest can ask for, about one interface (`tdi`) of one device.

    Each call ends within a bound; what it refuses it refuses with `Refused` (or returns a reason),
    whatever the platform's own status code is.
    """

    def bind(self, tdi: int) -> None:
        """Have the interface locked for this guest."""

    def evidence(self, kind: str, tdi: int) -> Evidence:
        """Certificates, measurements or report; verified against the TSM's digest already."""

    def run(self, tdi: int, generation: int) -> None:
        """Have it started, if the lock is still the one of `generation`."""

    def dma_enable(self, tdi: int) -> None:
        """Open trusted DMA."""

    def mmio_enable(self, tdi: int) -> Enum | None:
        """Accept all TEE ranges of the report: None, or why not."""

    def stop(self, tdi: int) -> None:
        """Close DMA and MMIO and have the interface stopped and unbound."""

    def unbind(self, tdi: int) -> None:
        """As `stop`, for an interface that never ran."""


Backend = Callable[[AnyMachine, AnyDevice, Guest], GuestHostOps]
_BACKENDS: dict[str, Backend] = {}


def register(platform: str, backend: Backend) -> None:
    """Make a platform's calls available to the common scenarios."""
    _BACKENDS[platform] = backend


def backends() -> dict[str, Backend]:
    """All that are registered, by platform."""
    return dict(_BACKENDS)
