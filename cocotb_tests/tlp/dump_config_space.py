# SPDX-License-Identifier: Apache-2.0
"""Writes the reset state of all functions to the file named by TEEIO_LSPCI_DUMP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb

from cocotb_tests.tlp.cfg_bench import CfgBench
from cocotb_tests.tlp.cfg_model import NUM_FUNCTIONS
from teeio.wire.lspci import format_dump


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def dump(dut: Any) -> None:
    """All four spaces, 4096 bytes each, read through the access port."""
    bench = CfgBench(dut)
    await bench.start()
    spaces = {f"01:00.{f}": await bench.space(f) for f in range(NUM_FUNCTIONS)}
    Path(os.environ["TEEIO_LSPCI_DUMP"]).write_text(format_dump(spaces))
