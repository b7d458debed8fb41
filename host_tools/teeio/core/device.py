# SPDX-License-Identifier: Apache-2.0
"""Driver of the endpoint's own function: work memory, DMA descriptors, interrupts.

This is what a guest's driver would do. All methods are generators of operations; with `tee` every
access to a TEE page goes as a trusted TLP. Register map: docs/registers.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from teeio.core.enumerate import CAP_MSIX, Function
from teeio.core.ops import MemWrite, Steps, batch, cfg_read, cfg_write, mem_read, mem_write, wait
from teeio.errors import LocalError, PeerError, TransportError

IDENTITY = int.from_bytes(b"TEIO", "little")
PAGE = 4096
STATUS_PAGE = 0x0000
CONTROL_PAGE = 0x1000
MSIX_TABLE_PAGE = 0x2000
MSIX_PBA_PAGE = 0x3000
WORK_MEMORY = 0x8000

SCRATCH = 0x1000
DMA_CONTROL = 0x1010
DMA_STATUS = 0x1014
IRQ_TRIGGER = 0x1018
DESCRIPTORS = 0x1100
NUM_DESCRIPTORS = 8

DMA_BUSY = 1 << 0
DMA_DONE = 1 << 1
DMA_ERROR = 1 << 2
DMA_REASONS = ("none", "UR", "CA", "completion timeout", "poisoned or unprotected completion",
               "bad descriptor", "gate closed", "aborted")

MSIX_ENABLE = 1 << 31
MSIX_FUNCTION_MASK = 1 << 30
NUM_VECTORS = 4
DMA_POLL_CYCLES = 4_800
DMA_POLLS = 2_000


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One DMA transfer.

    Attributes:
        host_address: DW-aligned bus address.
        offset: DW-aligned byte offset in work memory.
        length: bytes, multiple of 4.
        to_host: device to host (write) instead of host to device (read).
        vector: interrupt vector raised when done, None for no interrupt.
    """

    host_address: int
    offset: int
    length: int
    to_host: bool
    vector: int | None = None

    def encode(self) -> bytes:
        """The five registers of a descriptor, 20 bytes little-endian."""
        flags = int(self.to_host)
        if self.vector is not None:
            flags |= 1 << 1 | self.vector << 2
        return struct.pack("<QIII", self.host_address, self.offset, self.length, flags)


class DmaError(PeerError):
    """The engine stopped with an error; `reason` says which."""


class FunctionDriver:
    """Driver of one TDI.

    Args:
        function: the function, with BAR0 placed.
        tee: reach TEE pages with trusted TLPs (the TDI is in RUN).
    """

    def __init__(self, function: Function, *, tee: bool) -> None:
        if not function.bar0:
            raise LocalError("BAR0 is not placed: enumerate first")
        self.function = function
        self.tee = tee

    def register(self, offset: int) -> Steps[int]:
        """Read one 32-bit register; pages 0 is never trusted."""
        tee = self.tee and offset >= CONTROL_PAGE
        data = yield from mem_read(self.function.bar0 + offset, 4, tee=tee)
        return int.from_bytes(data, "little")

    def set_register(self, offset: int, value: int) -> Steps[None]:
        """Write one 32-bit register."""
        tee = self.tee and offset >= CONTROL_PAGE
        yield from mem_write(self.function.bar0 + offset, value.to_bytes(4, "little"), tee=tee)

    def identify(self) -> Steps[int]:
        """Check the identity register and return the size of work memory in bytes.

        Raises:
            PeerError: this is another function than the one this driver knows.
        """
        value = yield from self.register(0x00)
        if value != IDENTITY:
            raise PeerError(f"identity register reads {value:08x}", clause="docs/registers.md")
        return (yield from self.register(0x18))

    def status(self) -> Steps[int]:
        """STATUS of page 0: [1:0] TDI state, [2] DMA busy, [3] DMA error, [4] erasure running."""
        return (yield from self.register(0x0C))

    def cycles(self) -> Steps[int]:
        """Device clock cycles since power-on, from the hardware counter."""
        low = yield from self.register(0x10)
        high = yield from self.register(0x14)
        return high << 32 | low

    def read(self, offset: int, length: int) -> Steps[bytes]:
        """Read work memory, `length` bytes (multiple of 4) at byte `offset`."""
        out = b""
        base = self.function.bar0 + WORK_MEMORY
        for at in range(offset, offset + length, 1024):
            n = min(1024, offset + length - at)
            out += yield from mem_read(base + at, n, tee=self.tee)
        return out

    def write(self, offset: int, data: bytes) -> Steps[None]:
        """Write work memory."""
        base = self.function.bar0 + WORK_MEMORY + offset
        yield from batch([MemWrite(base + at, data[at:at + 256], self.tee)
                          for at in range(0, len(data), 256)])

    def dma(self, descriptors: Sequence[Descriptor]) -> Steps[None]:
        """Run up to eight descriptors in order and wait for the last, within a bound.

        Raises:
            DmaError: the engine reports an error.
            TransportError: it does not end in about 200 ms of device time.
        """
        if not 1 <= len(descriptors) <= NUM_DESCRIPTORS:
            raise LocalError(f"1..{NUM_DESCRIPTORS} descriptors, not {len(descriptors)}")
        base = self.function.bar0
        yield from batch([MemWrite(base + DESCRIPTORS + 0x20 * i, d.encode(), self.tee)
                          for i, d in enumerate(descriptors)])
        yield from self.set_register(DMA_CONTROL, 1 | len(descriptors) << 8)
        yield from self.wait_dma()

    def wait_dma(self) -> Steps[None]:
        """Poll DMA_STATUS until the engine is idle."""
        for _ in range(DMA_POLLS):
            status = yield from self.register(DMA_STATUS)
            if status & DMA_ERROR:
                raise DmaError(f"DMA stopped at descriptor {status >> 4 & 7}:"
                               f" {DMA_REASONS[status >> 8 & 7]}", clause="docs/registers.md")
            if status & DMA_DONE and not status & DMA_BUSY:
                return
            yield from wait(DMA_POLL_CYCLES)
        raise TransportError("DMA does not end: read DMA_STATUS, then STOP the interface")

    def trigger_interrupt(self, vector: int) -> Steps[None]:
        """Make the function raise an MSI-X vector."""
        yield from self.set_register(IRQ_TRIGGER, vector)

    def program_vector(self, vector: int, address: int, data: int) -> Steps[None]:
        """Fill one MSI-X table entry and unmask it; trusted if the driver is."""
        entry = struct.pack("<QII", address, data, 0)
        base = self.function.bar0 + MSIX_TABLE_PAGE + 16 * vector
        yield from mem_write(base, entry, tee=self.tee)

    def enable_msix(self) -> Steps[None]:
        """Set MSI-X Enable in the capability."""
        at = self.function.caps[CAP_MSIX]
        value = yield from cfg_read(self.function.bdf, at)
        value = (value | MSIX_ENABLE) & ~MSIX_FUNCTION_MASK
        yield from cfg_write(self.function.bdf, at, value)
