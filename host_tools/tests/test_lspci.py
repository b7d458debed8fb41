# SPDX-License-Identifier: Apache-2.0
"""The dump format: what it refuses, and that lspci reads back the bytes that went in."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from teeio.wire.lspci import format_dump


@pytest.mark.parametrize("address", ["1:00.0", "01:20.0", "01:00.8", "01:00.0\n", "0001:0A:00.0"])
def test_refuses_an_address_that_lspci_would_misread(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        format_dump({address: bytes(256)})


@pytest.mark.parametrize("size", [0, 16, 255, 4097])
def test_refuses_an_odd_size(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        format_dump({"01:00.0": bytes(size)})


def test_lspci_reads_back_every_byte(tmp_path: Path) -> None:
    """`lspci -F dump -xxxx` prints the spaces that were formatted."""
    if shutil.which("lspci") is None:
        pytest.skip("lspci is not installed: apt-get install pciutils")
    rng = random.Random(7)
    spaces = {"0000:01:00.0": rng.randbytes(4096), "0000:02:1f.7": rng.randbytes(256)}
    file = tmp_path / "dump"
    file.write_text(format_dump(spaces))
    text = subprocess.run(["lspci", "-F", str(file), "-xxxx", "-n"], capture_output=True,
                          text=True, check=True).stdout
    got = {}
    for device in re.split(r"\n\n", text.strip()):
        head, *rows = device.splitlines()
        got[head.split()[0]] = b"".join(
            bytes.fromhex(row.split(":", 1)[1]) for row in rows if re.match(r"[0-9a-f]+: ", row))
    assert {"0000:" + address: data for address, data in got.items()} == spaces
