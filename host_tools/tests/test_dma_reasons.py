# SPDX-License-Identifier: Apache-2.0
"""The reason codes of DMA_STATUS are written four times; the codes and their meanings agree."""

from __future__ import annotations

import re
from pathlib import Path

from teeio.core.device import DMA_REASONS

REPO = Path(__file__).resolve().parents[2]
# Name of the constant in the RTL, text in the table of registers, text of the driver.
MEANINGS = {
    "None": ("none", "none"),
    "Ur": ("UR", "UR"),
    "Ca": ("CA", "CA"),
    "Timeout": ("timeout", "completion timeout"),
    "Poisoned": ("poisoned or unprotected completion", "poisoned or unprotected completion"),
    "BadDesc": ("bad descriptor", "bad descriptor"),
    "Gate": ("gate closed", "gate closed"),
    "Aborted": ("aborted", "aborted"),
}


def rtl_codes() -> dict[int, str]:
    """Every Reason constant of the function, one name per code."""
    found: dict[int, str] = {}
    for path in sorted((REPO / "rtl" / "function").glob("*.sv")):
        for name, code in re.findall(r"\bReason(\w+)\s*=\s*3'd(\d)", path.read_text()):
            assert found.setdefault(int(code), name) == name, f"{path.name}: Reason{name}"
    return found


def documented() -> dict[int, str]:
    """The list in the row of DMA_STATUS."""
    row = next(line for line in (REPO / "docs" / "registers.md").read_text().splitlines()
               if "| DMA_STATUS |" in line)
    listed = re.search(r"\[10:8\] reason \(([^)]*)\)", row)
    assert listed is not None
    return {int(code): text for code, text in
            (item.split(" ", 1) for item in listed[1].split(", "))}


def test_hardware_names_every_code_once() -> None:
    assert rtl_codes() == dict(enumerate(MEANINGS))


def test_table_of_registers_and_driver_say_the_same() -> None:
    assert documented() == {code: text for code, (text, _) in enumerate(MEANINGS.values())}
    assert DMA_REASONS == tuple(text for _, text in MEANINGS.values())
