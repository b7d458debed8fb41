# SPDX-License-Identifier: Apache-2.0
"""The endpoint in front of other people's software: lspci, and cocotbext-pcie's root complex."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import First, Timer
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.core.utils import PcieId

from cocotb_tests.env.endpoint import EndpointBench, SimHost
from cocotb_tests.env.pcie_adapter import EndpointDevice
from cocotb_tests.system.simulation import simulate_system
from cocotb_tests.tlp.cfg_model import NUM_FUNCTIONS, function_table
from cocotb_tests.tlp.test_cfg_space import check_lspci
from teeio.board import prepare_images
from teeio.core.ops import CfgRead, batch
from teeio.wire.lspci import format_dump

BUS = 1
DOE_REGISTERS = range(0x178, 0x188)  # live registers, no reset value to compare
# From docs/registers.md.
IRQ_TRIGGER = 0x1018
WORK_MEMORY = 0x8000
WORK_BYTES = 16384
VECTORS = 4


def test_lspci_and_root_complex(tmp_path: Path) -> None:
    """Both in one simulation; then lspci decodes what the live endpoint answered."""
    dump = tmp_path / "dump.txt"
    simulate_system(__name__, prepare_images(), test_filter="interop_",
                    extra_env={"TEEIO_LSPCI_DUMP": str(dump)})
    if shutil.which("lspci") is None:
        pytest.skip("lspci is not installed: apt-get install pciutils")
    result = subprocess.run(["lspci", "-F", str(dump), "-vvv", "-nn"],
                            capture_output=True, text=True, check=True)
    check_lspci(result.stdout)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def interop_config_space_of_the_live_endpoint(dut: Any) -> None:
    """All four spaces read by TLPs after power-on equal the table; absent functions answer UR."""
    bench = EndpointBench(dut)
    await bench.power_on()
    host = SimHost(bench)
    spaces = {}
    for function in range(NUM_FUNCTIONS):
        values = await host.run(batch([CfgRead(BUS << 8 | function, offset)
                                       for offset in range(0, 4096, 4)]))
        words = [value for value in values if isinstance(value, int)]
        table = function_table(function)
        for offset, word in zip(range(0, 4096, 4), words, strict=True):
            if function == 0 and offset in DOE_REGISTERS:
                continue
            want = table[offset].reset if offset in table else 0
            assert word == want, f"F{function} {offset:#05x}: {word:#010x}, expected {want:#010x}"
        spaces[f"01:00.{function}"] = b"".join(word.to_bytes(4, "little") for word in words)
    for function in range(NUM_FUNCTIONS, 8):
        assert await host.run(batch([CfgRead(BUS << 8 | function, 0)])) == (0xFFFF_FFFF,)
    Path(os.environ["TEEIO_LSPCI_DUMP"]).write_text(format_dump(spaces))
    bench.check_credits()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def interop_root_complex_enumerates_and_uses_the_endpoint(dut: Any) -> None:
    """Four functions, BARs placed apart, MSI-X delivered, work memory of unlocked TDIs is memory.

    Lengths, offsets and so byte enables are random, against a byte array each.
    """
    bench = EndpointBench(dut)
    await bench.power_on()
    rng = random.Random(cocotb.RANDOM_SEED)
    root = RootComplex()
    root.max_payload_size = 1  # 256 bytes
    endpoint = EndpointDevice(bench)
    endpoint.connect(root.make_port())
    # The bench's clock is slow for a link: a config read may take longer than the default 1 us.
    await root.enumerate(timeout=50, timeout_unit="us")

    found = [root.find_device(PcieId(BUS, 0, function)) for function in range(8)]
    assert [device is not None for device in found] == [True] * 4 + [False] * 4
    devices = found[:NUM_FUNCTIONS]
    places = sorted((device.bar_addr[0], device.bar_size[0]) for device in devices)
    assert sorted(size for _, size in places) == [4096, 65536, 65536, 65536]
    assert all(address % size == 0 and address for address, size in places)
    for (address, size), (following, _) in itertools.pairwise(places):
        assert address + size <= following

    for device in devices:
        await device.enable_device()
        await device.set_master()
        assert await device.alloc_irq_vectors(VECTORS, VECTORS) == VECTORS
    for device in devices[1:]:
        await vectors_arrive(device)

    references = [bytearray(WORK_BYTES) for _ in devices[1:]]
    for _ in range(150):
        which = rng.randrange(len(references))
        window, reference = devices[1 + which].bar_window[0], references[which]
        length = rng.choice((1, 2, 3, 4, 5, 7, 8, 64, 127, 128, 129, 256, 300, 512, 700))
        at = rng.randrange(WORK_BYTES - length + 1)
        if rng.random() < 0.5:
            data = rng.randbytes(length)
            await window.write(WORK_MEMORY + at, data)
            reference[at:at + length] = data
        else:
            got = await window.read(WORK_MEMORY + at, length)
            assert got == reference[at:at + length], f"TDI {which}: {length} bytes at {at:#x}"
    for device, reference in zip(devices[1:], references, strict=True):
        got = await device.bar_window[0].read(WORK_MEMORY, WORK_BYTES)
        assert got == reference
    assert not endpoint.others, [wire.hex() for wire in endpoint.others]
    await bench.delay(1000)
    bench.check_credits()


async def vectors_arrive(device: Any) -> None:
    """Each vector of a function arrives as its own, once it is triggered and not before."""
    for number, vector in enumerate(device.msi_vectors):
        vector.event.clear()
        await device.bar_window[0].write_dword(IRQ_TRIGGER, number)
        await First(vector.event.wait(), Timer(20, "us"))
        assert vector.event.is_set(), f"{device.pcie_id}: vector {number} did not arrive"
        vector.event.clear()
    assert not any(vector.event.is_set() for vector in device.msi_vectors)
