# SPDX-License-Identifier: Apache-2.0
"""The first selective stream block of a device: found, and set up for one stream.

PCIe Base 7.9.26 (IDE Extended Capability). Association is open (all Requester IDs, no address
block), since the link has one device; TDISP wants the default stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from teeio.core.ops import Steps, cfg_read, cfg_write
from teeio.errors import PeerError

IDE_CAP = 0x04
IDE_BLOCKS = 0x0C
CAP_LINK = 1 << 0
CAP_SELECTIVE = 1 << 1
CAP_IDE_KM = 1 << 6
CONTROL_ENABLE = 1 << 0
CONTROL_DEFAULT_STREAM = 1 << 22
STATE_SECURE = 2


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """A selective stream block of the device: register offset, number of address blocks."""

    offset: int
    addresses: int

    @property
    def control(self) -> int:
        """Offset of Selective IDE Stream Control."""
        return self.offset + 4

    @property
    def status(self) -> int:
        """Offset of Selective IDE Stream Status."""
        return self.offset + 8


def find_block(bdf: int, base: int) -> Steps[StreamBlock]:
    """The first selective block of the IDE capability at `base` of function `bdf`.

    Raises:
        PeerError: the device has no selective stream or no IDE_KM.
    """
    capability = yield from cfg_read(bdf, base + IDE_CAP)
    if not capability & CAP_SELECTIVE or not capability & CAP_IDE_KM:
        raise PeerError("no selective IDE stream or no IDE_KM", clause="PCIe Base 7.9.26.2",
                        data=capability.to_bytes(4, "little"))
    at = base + IDE_BLOCKS
    if capability & CAP_LINK:
        at += 8 * ((capability >> 13 & 7) + 1)
    addresses = (yield from cfg_read(bdf, at)) & 0xF
    return StreamBlock(at, addresses)


def set_up_block(bdf: int, block: StreamBlock, stream_id: int) -> Steps[int]:
    """Writes the block's registers with Enable clear, which also ends an older use of it.

    Returns:
        The value of Stream Control without Enable.
    """
    yield from cfg_write(bdf, block.control, 0)
    yield from cfg_write(bdf, block.offset + 0x0C, 0xFFFF << 8)
    yield from cfg_write(bdf, block.offset + 0x10, 1)
    for k in range(block.addresses):
        yield from cfg_write(bdf, block.offset + 0x14 + 12 * k, 0)
    control = stream_id << 24 | CONTROL_DEFAULT_STREAM
    yield from cfg_write(bdf, block.control, control)
    return control
