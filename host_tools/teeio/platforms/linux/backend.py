# SPDX-License-Identifier: Apache-2.0
"""What Linux asks of a TSM: the operations of a link TSM, and those behind guest requests.

The same scenario file runs on every back end registered here. A platform with a call interface of
its own registers one that goes through it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from teeio.core.ops import Steps
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.tsm import Evidence


class TsmBackend(Protocol):
    """One TSM that serves one device. Verbs are generators; the kernel's loop carries them.

    What is refused is raised as `Refused`; Linux makes an errno of it.
    """

    def connect(self) -> Steps[None]:
        """Attest, session, stream Secure; on failure nothing is left set up."""

    def disconnect(self) -> Steps[None]:
        """Stream and session down; interfaces have been unbound."""

    def bind(self, tdi: int, guest: str) -> Steps[None]:
        """Lock an interface for a guest."""

    def unbind(self, tdi: int) -> Steps[None]:
        """Tables off, then stop it; succeeds without guest and device."""

    def run(self, tdi: int, guest: str, generation: int) -> Steps[None]:
        """The guest's state change to RUN."""

    def dma_enable(self, tdi: int, guest: str) -> None:
        """The guest opens trusted DMA."""

    def mmio_accept(self, tdi: int, guest: str, gpa_page: int, index: int, offset: int) -> (
            Enum | None):
        """The guest accepts one page: None, or why not."""

    def evidence(self, kind: str, tdi: int) -> Evidence:
        """Certificates, measurements or report."""


class DirectBackend:
    """The plain TSM of `common.tsm`, called without a platform's own interface in between."""

    def __init__(self, machine: AnyMachine, device: AnyDevice) -> None:
        self._tsm = device.tsm

    def connect(self) -> Steps[None]:
        yield from self._tsm.connect()

    def disconnect(self) -> Steps[None]:
        yield from self._tsm.disconnect(force=True)

    def bind(self, tdi: int, guest: str) -> Steps[None]:
        yield from self._tsm.bind(tdi, guest)

    def unbind(self, tdi: int) -> Steps[None]:
        yield from self._tsm.unbind(tdi)

    def run(self, tdi: int, guest: str, generation: int) -> Steps[None]:
        yield from self._tsm.run(tdi, guest, generation)

    def dma_enable(self, tdi: int, guest: str) -> None:
        self._tsm.dma_enable(tdi, guest)

    def mmio_accept(self, tdi: int, guest: str, gpa_page: int, index: int, offset: int) -> (
            Enum | None):
        return self._tsm.mmio_accept(tdi, guest, gpa_page, index, offset)

    def evidence(self, kind: str, tdi: int) -> Evidence:
        return self._tsm.evidence(kind, tdi)


BackendFactory = Callable[[AnyMachine, AnyDevice], TsmBackend]
_BACKENDS: dict[str, BackendFactory] = {"direct": DirectBackend}


def register_backend(name: str, factory: BackendFactory) -> None:
    """Make a TSM back end available to the conformance scenario; it is built around a device whose
    `PlatformTsm` is not connected."""
    _BACKENDS[name] = factory


def backends() -> dict[str, BackendFactory]:
    """All back ends, by name."""
    return dict(_BACKENDS)
