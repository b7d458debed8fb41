# SPDX-License-Identifier: Apache-2.0
"""A trusted VM: its address space, its accesses, its decision about a device.

The guest believes its TSM and nobody else; what the host hands over is compared with digests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from teeio.core.device import Descriptor, DmaError, FunctionDriver
from teeio.core.drive import run
from teeio.core.enumerate import Function
from teeio.core.ops import Batch, MemRead, MemWrite, Op, OpResult, Steps
from teeio.core.port_steps import CompletionStatus
from teeio.core.rootport import EventKind
from teeio.errors import LocalError
from teeio.platforms.common.checks import define
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, AccessFault, PageReason
from teeio.platforms.common.tsm import Evidence

if TYPE_CHECKING:
    from teeio.platforms.common.machine import AnyDevice, AnyMachine

T = TypeVar("T")
MMIO_BASE_PAGE = 0xC_0000
RAM_BASE_PAGE = 0x1000
PAGES_PER_BAR = 0x10
SETTLE_CYCLES = 20_000


class GuestReason(Enum):
    """Why a guest does not accept."""

    DIGEST = "the object is not the one the TSM vouches for"


EVIDENCE_DIGEST = define("guest.evidence_digest", "an evidence object that the host handed over has"
                         " the digest that the TSM gives", "SEV-TIO, TDI_INFO; CoVE-IO,"
                         " get_device_connection_transcript")


class Guest:
    """One trusted VM.

    Args:
        context: shared.
        machine: where it runs.
        name: for tables and logs.
    """

    def __init__(self, context: Context, machine: AnyMachine, name: str) -> None:
        self.name = name
        self._context = context
        self._machine = machine
        self._next_ram = RAM_BASE_PAGE

    # ---- memory ----------------------------------------------------------------------------------
    def new_ram(self, contents: bytes = b"", *, accept: bool = True) -> int:
        """Ask the host for a private RAM page: its guest address. Accepted unless told otherwise.

        What the guest writes is a secret to the host; the scan learns it.
        """
        gpa_page, self._next_ram = self._next_ram, self._next_ram + 1
        page = self._machine.vmm.give_ram(self.name, gpa_page, contents)
        if accept:
            reason = self._machine.pages.validate(page, self.name, gpa_page)
            if reason is not None:
                raise AccessFault(reason, self.name, gpa_page * PAGE)
        if contents:
            self._context.scan.add(contents[:64])
        return gpa_page * PAGE

    def read_ram(self, address: int, length: int) -> bytes:
        """Read private RAM.

        Raises:
            AccessFault: the checks refuse.
        """
        return self._machine.memory.peek(self._physical(address), length)

    def mmio_page(self, device: AnyDevice, tdi: int) -> int:
        """Guest page at which the BAR of an interface stands for this guest."""
        return MMIO_BASE_PAGE + (device.index * 8 + tdi) * PAGES_PER_BAR

    def driver(self, device: AnyDevice, tdi: int, *, tee: bool = True) -> FunctionDriver:
        """A driver of the interface at this guest's addresses; run it with `run`."""
        function: Function = device.tsm.core.tdi_function(tdi)
        base = self.mmio_page(device, tdi) * PAGE
        return FunctionDriver(replace(function, bar0=base), tee=tee)

    def run(self, device: AnyDevice, steps: Steps[T]) -> T:
        """Run a driver's program: every memory operation is an access of this guest.

        Raises:
            AccessFault: the page tables refuse.
            CompletionStatus: the device refuses.
        """
        return run(steps, lambda op: self._perform(device, op))

    def dma(self, device: AnyDevice, tdi: int, descriptors: Sequence[Descriptor]) -> Enum | None:
        """Have the interface do DMA at this guest's addresses: None if all was done, else the
        reason of the first request that was refused on the host's side. The device moves to ERROR
        after a refusal.

        Raises:
            AccessFault: the driver does not reach its registers.
            DmaError: the device itself refused; nothing was refused here.
        """
        device.target.take_events()
        try:
            self.run(device, self.driver(device, tdi).dma(descriptors))
        except (DmaError, CompletionStatus):
            # In ERROR not even the status register answers: what matters is what was refused here.
            device.target.serve(SETTLE_CYCLES)
            for event in device.target.take_events():
                if event.kind is EventKind.REFUSED:
                    return event.reason or PageReason.UNMAPPED
            raise
        for event in device.target.take_events():
            if event.kind is EventKind.REFUSED:
                return event.reason or PageReason.UNMAPPED
        return None

    def _perform(self, device: AnyDevice, op: Op) -> OpResult:
        match op:
            case Batch(ops):
                return tuple(self._perform(device, one) for one in ops)
            case MemRead(address, length, tee):
                return device.target.perform(MemRead(self._reach(address, tee), length, tee))
            case MemWrite(address, data, tee):
                return device.target.perform(MemWrite(self._reach(address, tee), data, tee))
        return device.target.perform(op)

    def _reach(self, address: int, tee: bool) -> int:
        if tee:
            return self._physical(address)
        page = self._machine.pages.maps.get(self.name, {}).get(address // PAGE)
        if page is None:
            raise AccessFault(PageReason.UNMAPPED, self.name, address)
        return page * PAGE + address % PAGE

    def _physical(self, address: int) -> int:
        found = self._machine.pages.guest_access(self.name, address)
        if isinstance(found, Enum):
            raise AccessFault(found, self.name, address)
        return found

    # ---- evidence --------------------------------------------------------------------------------
    def verify(self, evidence: Evidence, data: bytes) -> Enum | None:
        """Compare what the host handed over (`data`) with what the TSM vouches for."""
        if evidence.kind not in ("certificates", "measurements", "report"):
            raise LocalError(f"no evidence object is called {evidence.kind}")
        same = hmac.compare_digest(hashlib.sha384(data).digest(), evidence.digest)
        return self._context.checks.take(EVIDENCE_DIGEST, same, GuestReason.DIGEST,
                                         f"{evidence.kind} for {self.name}")
