# SPDX-License-Identifier: Apache-2.0
"""Reference values of the endpoint's measurements, computed from its image files.

Nothing here comes from the device: digests are taken over the files that were built, and the
hardware configuration is typed from the device's documentation (docs/data_formats.md).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from teeio.core.measurements import References
from teeio.wire.spdm_measurements import MeasurementType

OPERATIONAL_VALIDATION = 1 << 1
OPERATIONAL_NORMAL = 1 << 2
DEBUG_NON_INVASIVE = 1 << 0
DEBUG_INVASIVE = 1 << 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareConfiguration:
    """What the bitstream is: measurement block 3 is SHA-384 over these words, little-endian."""

    vendor_device: int = 0x7EE0_1234
    class_revision: int = 0x1200_0001
    num_tdi: int = 3
    f0_bar_bytes: int = 4096
    tdi_bar_bytes: int = 65536
    work_memory_bytes: int = 16384
    ide_capability: int = 0x0001_0043
    ide_link_blocks: int = 1
    ide_selective_blocks: int = 2
    ide_words: int = 20
    msix_vectors: int = 4

    def encode(self) -> bytes:
        """The 48 bytes that are hashed."""
        return b"HWC1" + struct.pack(
            "<11I", self.vendor_device, self.class_revision, self.num_tdi, self.f0_bar_bytes,
            self.tdi_bar_bytes, self.work_memory_bytes, self.ide_capability,
            self.ide_link_blocks, self.ide_selective_blocks, self.ide_words, self.msix_vectors)


QUIRK_VALIDATOR = 1 << 0
QUIRK_REFERENCE_REQUESTER = 1 << 1
_QUIRKS_SHIFT = 24


def device_mode(*, seeded: bool, test_hooks: bool, quirks: int = 0) -> bytes:
    """Device mode: capabilities and states of operation and debug, four words.

    `quirks` are the bits in which the device differs from the specification on purpose.
    """
    debug = (DEBUG_NON_INVASIVE if seeded else 0) | (DEBUG_INVASIVE if test_hooks else 0)
    debug |= quirks << _QUIRKS_SHIFT
    state = OPERATIONAL_VALIDATION if debug else OPERATIONAL_NORMAL
    return struct.pack("<4I", OPERATIONAL_VALIDATION | OPERATIONAL_NORMAL, state,
                       DEBUG_NON_INVASIVE | DEBUG_INVASIVE, debug)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the firmware was built for: measurement block FDh (docs/data_formats.md)."""

    spdm: tuple[int, ...] = (0x12, 0x13)
    secured: tuple[int, ...] = (0x1100, 0x1200)
    sessions: int = 2
    messages: tuple[int, int] = (0x11E8, 0x11E8)
    slots: tuple[int, int] = (2, 2048)
    tdisp: tuple[int, int] = (0x0FFE, 0x000D)
    quirks: int = 0

    def encode(self) -> bytes:
        """The raw value of the block: "TMF1", then name and u32 values of each entry."""
        entries: tuple[tuple[str, tuple[int, ...]], ...] = (
            ("spdm", self.spdm), ("secured", self.secured), ("sessions", (self.sessions,)),
            ("messages", self.messages), ("slots", self.slots), ("tdisp", self.tdisp),
            ("quirks", (self.quirks,)))
        out = b"TMF1"
        for name, values in entries:
            out += bytes([len(name)]) + name.encode() + bytes([len(values)])
            out += struct.pack(f"<{len(values)}I", *values)
        return out


def endpoint_references(
    boot_image: bytes,
    firmware_image: bytes,
    *,
    hardware: HardwareConfiguration | None = None,
    manifest: Manifest | None = None,
    svn: int = 1,
    seeded: bool = False,
    test_hooks: bool = False,
) -> References:
    """Reference values for all blocks of the endpoint.

    Args:
        boot_image, firmware_image: ROM contents, padded to ROM size as built.
        hardware: configuration of the bitstream.
        manifest: configuration of the firmware; its quirks are accepted in the device mode too.
        svn: security version number.
        seeded: accept a device whose entropy is deterministic (simulation only).
        test_hooks: accept a device with test hooks.
    """
    built = manifest or Manifest()
    words = (hardware or HardwareConfiguration()).encode()
    return {
        1: (MeasurementType.IMMUTABLE_ROM, hashlib.sha384(boot_image).digest()),
        2: (MeasurementType.MUTABLE_FIRMWARE, hashlib.sha384(firmware_image).digest()),
        3: (MeasurementType.HARDWARE_CONFIGURATION, hashlib.sha384(words).digest()),
        4: (MeasurementType.SECURE_VERSION_NUMBER, svn.to_bytes(8, "little")),
        0xFD: (MeasurementType.FREEFORM_MANIFEST, built.encode()),
        0xFE: (MeasurementType.DEVICE_MODE,
               device_mode(seeded=seeded, test_hooks=test_hooks, quirks=built.quirks)),
    }
