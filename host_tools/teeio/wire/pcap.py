# SPDX-License-Identifier: Apache-2.0
"""Classic pcap files of DOE objects, as spdm-dump reads them.

One record is one whole DOE object, header and padding included. The link type 292 is what
spdm-dump expects (the number is registered to another user); 147 (USER0) is the neutral choice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from teeio.errors import DecodeError, LocalError

LINKTYPE_DOE: Final = 292
LINKTYPE_USER0: Final = 147
SNAPLEN: Final = 65536
MAX_RECORDS: Final = 1 << 20
_MAGIC_MICROSECONDS: Final = 0xA1B2C3D4
_MAGIC_NANOSECONDS: Final = 0xA1B23C4D


@dataclass(frozen=True, slots=True)
class PcapRecord:
    """`time_us` is microseconds since 1970."""

    data: bytes
    time_us: int = 0


@dataclass(frozen=True, slots=True)
class PcapFile:
    records: tuple[PcapRecord, ...]
    link_type: int = LINKTYPE_DOE

    def encode(self) -> bytes:
        return file_header(self.link_type) + b"".join(
            record(item.data, item.time_us) for item in self.records
        )

    @classmethod
    def decode(cls, data: bytes) -> PcapFile:
        """Reads a file of either byte order and either time resolution.

        Raises:
            DecodeError: if it is no pcap file or a record is cut.
        """
        if len(data) < 24:
            raise DecodeError("shorter than a pcap header", offset=0, data=data)
        for order in ("<", ">"):
            magic = struct.unpack_from(order + "I", data)[0]
            if magic in (_MAGIC_MICROSECONDS, _MAGIC_NANOSECONDS):
                break
        else:
            raise DecodeError("no classic pcap magic number", offset=0, data=data)
        major, _minor, _zone, _digits, _snaplen, link = struct.unpack_from(
            order + "HHiIII", data, 4
        )
        if major != 2:
            raise DecodeError(f"pcap version {major}", offset=4, data=data)
        per_us = 1000 if magic == _MAGIC_NANOSECONDS else 1
        records: list[PcapRecord] = []
        offset = 24
        while offset < len(data):
            if len(data) - offset < 16 or len(records) >= MAX_RECORDS:
                raise DecodeError("cut record header", offset=offset, data=data)
            seconds, fraction, kept, original = struct.unpack_from(order + "IIII", data, offset)
            offset += 16
            if kept > len(data) - offset or kept > original:
                raise DecodeError("cut record", offset=offset, data=data)
            time_us = seconds * 1_000_000 + fraction // per_us
            records.append(PcapRecord(data[offset : offset + kept], time_us))
            offset += kept
        return cls(tuple(records), link & 0x0FFF_FFFF)


def file_header(link_type: int = LINKTYPE_DOE) -> bytes:
    """The 24 bytes that open a file, for a writer that appends records as they come."""
    return struct.pack("<IHHiIII", _MAGIC_MICROSECONDS, 2, 4, 0, 0, SNAPLEN, link_type)


def record(data: bytes, time_us: int = 0) -> bytes:
    """One record with its 16-byte header.

    Raises:
        LocalError: if `data` is longer than the file's snap length, or the time is out of range.
    """
    if len(data) > SNAPLEN:
        raise LocalError(f"{len(data)} bytes exceed the pcap snap length")
    seconds, fraction = divmod(time_us, 1_000_000)
    if not 0 <= seconds < 1 << 32:
        raise LocalError(f"time {time_us} us is outside pcap's range")
    return struct.pack("<IIII", seconds, fraction, len(data), len(data)) + data
