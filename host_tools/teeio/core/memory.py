# SPDX-License-Identifier: Apache-2.0
"""Host memory as the device sees it: buffers behind an IOMMU that knows private from shared."""

from __future__ import annotations

from dataclasses import dataclass, field

from teeio.errors import LocalError

MSI_BASE = 0xFEE0_0000
MSI_LIMIT = 0xFEEF_FFFF
LOW_BASE = 0x1000_0000
LOW_LIMIT = 0x8000_0000


@dataclass(slots=True)
class Buffer:
    """A DMA buffer.

    Attributes:
        address: bus address.
        data: contents.
        private: belongs to a trusted VM; only T=1 requests of `owner` reach it.
        owner: Requester ID that may use it.
    """

    address: int
    data: bytearray = field(repr=False)
    private: bool
    owner: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A device request that the IOMMU turned away."""

    requester_id: int
    address: int
    length: int
    is_write: bool
    reason: str


class HostMemory:
    """All DMA buffers. Every access is checked; the first failing condition is the reason.

    Addresses are never used twice, so a device that keeps one beyond its time reaches nobody.
    """

    def __init__(self, base: int = 0x1_0000_0000) -> None:
        self._buffers: list[Buffer] = []
        self._next = base
        self._next_low = LOW_BASE
        self.refusals: list[Refusal] = []

    def allocate(self, size: int, *, owner: int, private: bool, contents: bytes = b"",
                 below_4g: bool = False) -> Buffer:
        """Create a buffer of `size` bytes on its own 4 KiB pages, zero filled.

        Raises:
            LocalError: the contents are longer, or no address below 4 GiB is left.
        """
        if len(contents) > size:
            raise LocalError("contents do not fit the buffer")
        if below_4g:
            address = self._next_low
            if address + size > LOW_LIMIT:
                raise LocalError("no DMA address below 4 GiB is left: allocate above")
            self._next_low += (size + 0x1FFF) & ~0xFFF
        else:
            address = self._next
            self._next += (size + 0x1FFF) & ~0xFFF
        data = bytearray(contents.ljust(size, b"\0"))
        buffer = Buffer(address, data, private, owner)
        self._buffers.append(buffer)
        return buffer

    def release(self, buffer: Buffer) -> None:
        """Take a buffer away from the device and clear it."""
        buffer.data[:] = bytes(len(buffer.data))
        self._buffers.remove(buffer)

    def _find(self, address: int, length: int) -> Buffer | None:
        for buffer in self._buffers:
            if buffer.address <= address and address + length <= buffer.address + len(buffer.data):
                return buffer
        return None

    def _check(self, requester_id: int, address: int, length: int, is_write: bool,
               t_bit: bool) -> Buffer | None:
        buffer = self._find(address, length)
        if buffer is None:
            reason = "no buffer is mapped there"
        elif buffer.owner != requester_id:
            reason = "the buffer belongs to another function"
        elif buffer.private and not t_bit:
            reason = "private memory needs a trusted (T=1) request"
        else:
            return buffer
        self.refuse(requester_id, address, length, is_write, reason)
        return None

    def refuse(self, requester_id: int, address: int, length: int, is_write: bool,
               reason: str) -> None:
        """Record a request that was turned away, here or on its way here."""
        self.refusals.append(Refusal(requester_id, address, length, is_write, reason))

    def read(self, requester_id: int, address: int, length: int, t_bit: bool) -> bytes | None:
        """Bytes for a device read, None if refused."""
        buffer = self._check(requester_id, address, length, False, t_bit)
        if buffer is None:
            return None
        at = address - buffer.address
        return bytes(buffer.data[at:at + length])

    def write(self, requester_id: int, address: int, data: bytes, enables: list[bool],
              t_bit: bool) -> bool:
        """Apply a device write; `enables` has one flag a byte. False if refused."""
        buffer = self._check(requester_id, address, len(data), True, t_bit)
        if buffer is None:
            return False
        at = address - buffer.address
        for i, byte in enumerate(data):
            if enables[i]:
                buffer.data[at + i] = byte
        return True
