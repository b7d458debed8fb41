# SPDX-License-Identifier: Apache-2.0
"""Configuration space as the text that `lspci -F FILE` reads.

One device per paragraph: a line `[DDDD:]BB:DD.F text`, then lines `offset: xx xx ...` of 16 bytes,
then an empty line. Byte n of a space is the byte at configuration offset n (little-endian
registers lie in memory order).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ADDRESS = re.compile(r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", re.ASCII)
_SIZES = (64, 256, 4096)
_ROW = 16


def format_dump(functions: Mapping[str, bytes]) -> str:
    """Render configuration spaces for `lspci -F`.

    Args:
        functions: address (`01:00.0` or `0000:01:00.0`, lower-case hex) to the bytes of the space.
            A space has 64, 256 or 4096 bytes.

    Returns:
        The dump in the order of the mapping, every byte of every space written out (lspci would
        take missing ones as FFh).

    Raises:
        ValueError: an address or a size that lspci would refuse or misread.
    """
    paragraphs = []
    for address, space in functions.items():
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f"not a function address: {address!r}")
        if len(space) not in _SIZES:
            raise ValueError(f"{address}: {len(space)} bytes, expected one of {_SIZES}")
        lines = [f"{address} endpoint"]
        for offset in range(0, len(space), _ROW):
            row = " ".join(f"{byte:02x}" for byte in space[offset:offset + _ROW])
            lines.append(f"{offset:02x}: {row}")
        paragraphs.append("\n".join(lines) + "\n")
    return "\n".join(paragraphs) + "\n"
