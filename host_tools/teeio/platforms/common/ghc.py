# SPDX-License-Identifier: Apache-2.0
"""The calls of a guest to its platform, one set for all: GHCB, COVG and Linux put theirs behind it.

A scenario written against this runs on every platform that registers a back end (`register`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from teeio.core.device import Descriptor
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.scenario import ScenarioFailed, expect
from teeio.platforms.common.tsm import Evidence
from teeio.wire.tdisp import TdiState


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


def guest_life(machine: AnyMachine, device: AnyDevice, guest: Guest, calls: GuestHostOps,
               tdi: int = 0) -> None:
    """The same for every platform: bind, evidence, run, enable, use, stop.

    Raises:
        ScenarioFailed: the interface does not do what the calls promise.
    """
    calls.bind(tdi)
    machine.show_bar(device, tdi, guest)
    generation = calls.evidence("report", tdi).generation
    for kind in ("certificates", "measurements"):
        if not calls.evidence(kind, tdi).data:
            raise ScenarioFailed(f"{kind}: empty")
    calls.run(tdi, generation)
    calls.dma_enable(tdi)
    expect("MMIO enable", calls.mmio_enable(tdi), None)
    driver, pattern = guest.driver(device, tdi), os.urandom(64)
    guest.run(device, driver.write(0, pattern))
    expect("MMIO reads back", guest.run(device, driver.read(0, 64)), pattern)
    sink = guest.new_ram()
    expect("DMA", guest.dma(device, tdi, [Descriptor(sink, 0, 64, True)]), None)
    expect("DMA came", guest.read_ram(sink, 64), pattern)
    calls.stop(tdi)
    found = machine.pages.guest_access(guest.name, guest.mmio_page(device, tdi) * PAGE + 0x8000)
    if not isinstance(found, Enum):
        raise ScenarioFailed("private MMIO still leads somewhere after stop")
    state = machine.do(device, "state", device.tsm.core.tdi_state(tdi))
    expect("state after stop", state, TdiState.CONFIG_UNLOCKED)
