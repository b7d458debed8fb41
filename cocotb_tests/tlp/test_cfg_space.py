# SPDX-License-Identifier: Apache-2.0
"""cfg_space: registers against the tables of cfg_model, its ports, and how lspci decodes it."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.tlp.cfg_bench import SOURCES, CfgBench
from cocotb_tests.tlp.cfg_model import NUM_FUNCTIONS, ConfigModel, byte_mask, function_table


def run(test_module: str, **kwargs: Any) -> None:
    simulate("cfg_space", test_module, sources=SOURCES, **kwargs)


def test_cfg_space() -> None:
    run(__name__)


def test_lspci_decodes_all_four_functions(tmp_path: Path) -> None:
    """Dump the RTL's reset state, let lspci decode it: nothing unknown but capability 0x30."""
    if shutil.which("lspci") is None:
        pytest.skip("lspci is not installed: apt-get install pciutils")
    dump = tmp_path / "dump.txt"
    run("cocotb_tests.tlp.dump_config_space", extra_env={"TEEIO_LSPCI_DUMP": str(dump)})
    result = subprocess.run(["lspci", "-F", str(dump), "-vvv", "-nn"],
                            capture_output=True, text=True, check=True)
    check_lspci(result.stdout)


def check_lspci(text: str) -> None:
    """Facts that the decoded dump has to show, function by function."""
    functions = re.split(r"\n\n(?=01:00\.)", text.strip())
    assert len(functions) == NUM_FUNCTIONS
    for func, decoded in enumerate(functions):
        assert decoded.startswith(f"01:00.{func} Processing accelerators [1200]:")
        assert "[1234:7ee0] (rev 01)" in decoded
        odd = [line.strip() for line in decoded.splitlines()
               if re.search(r"unknown|Extended Capability ID|<chain|<access|\?\?|broken|!", line,
                            re.IGNORECASE)]
        expected = ["Capabilities: [190 v1] Extended Capability ID 0x30"] if func == 0 else []
        # A newer lspci decodes IDE itself and then prints no such line.
        assert odd in (expected, []), odd
        offsets = re.findall(r"Capabilities: \[([0-9a-f]+)", decoded)
        want = ["40", "70", "b0", "100", "150", "160"]
        assert offsets == want + (["170", "190"] if func == 0 else [])
        for phrase in (
            "Control: I/O- Mem- BusMaster-",
            "[40] Power Management version 3",
            "NoSoftRst+",
            "[70] Express (v2) Endpoint",
            "MaxPayload 256 bytes",
            "ExtTag+", "RBE+", "FLReset+",
            "LnkCap:\tPort #0, Speed 2.5GT/s, Width x1",
            "EETLPPrefix+, MaxEETLPPrefixes 1",
            "MSI-X: Enable- Count=4 Masked-",
            "Vector table: BAR=0 offset=" + ("00000800" if func == 0 else "00002000"),
            "PBA: BAR=0 offset=" + ("00000c00" if func == 0 else "00003000"),
            "UESvrt:\tDLP+ SDES+ TLP- FCP+ CmpltTO- CmpltAbrt- UnxCmplt- RxOF+ MalfTLP+",
            "Device Serial Number 02-00-00-ff-ff-00-00-01",
            "Access Control Services",
        ):
            assert phrase in decoded, f"F{func}: {phrase!r} not in\n{decoded}"
        assert "downgraded" not in decoded
        if func == 0:
            assert "Data Object Exchange" in decoded
            assert "DOECap: IntSup+" in decoded


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_values_of_all_4096_dws(dut: Any) -> None:
    """Every DW of every function equals the table; unlisted ones, and function 4..7, read 0."""
    bench = CfgBench(dut)
    await bench.start()
    for func in range(NUM_FUNCTIONS):
        table = function_table(func)
        for offset in range(0, 4096, 4):
            want = table[offset].reset if offset in table else 0
            got = await bench.read(func, offset)
            assert got == want, f"F{func} {offset:#05x}: {got:#010x}, expected {want:#010x}"
    for func in range(NUM_FUNCTIONS, 8):
        assert await bench.read(func, 0) == 0


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def random_byte_writes_follow_the_tables(dut: Any) -> None:
    """5000 writes to listed and unlisted DWs with any byte enables; write events; all read back."""
    bench = CfgBench(dut)
    await bench.start()
    model = ConfigModel()
    rng = random.Random(cocotb.RANDOM_SEED)
    # The DOE registers live elsewhere.
    plain = [(f, o) for f in range(NUM_FUNCTIONS) for o in function_table(f)
             if not (f == 0 and 0x178 <= o < 0x188)]
    for _ in range(5000):
        if rng.random() < 0.9:
            func, offset = rng.choice(plain)
        else:
            func, offset = rng.randrange(8), rng.randrange(0, 4096, 4)
            if func == 0 and 0x178 <= offset < 0x188:
                continue
        be = rng.choice((0xF, rng.randrange(16)))
        data = rng.choice((0, 0xFFFFFFFF, rng.getrandbits(32)))
        old = model.read(func, offset)
        model.write(func, offset, be, data)
        event = await bench.write(func, offset, data, be)
        if func < NUM_FUNCTIONS:
            assert event == {"valid": 1, "func": func, "addr": offset >> 2, "be": be, "old": old,
                             "new": model.read(func, offset), "wdata": data}
        else:
            assert event["valid"] == 0, "a function that does not exist was written"
        if rng.random() < 0.3:
            assert await bench.read(func, offset) == model.read(func, offset)
            assert int(dut.write_event_o.value) >> 113 == 0, "a read made a write event"
    for func in range(NUM_FUNCTIONS):
        for offset in range(0, 0x200, 4):
            if func == 0 and 0x178 <= offset < 0x188:
                continue
            assert await bench.read(func, offset) == model.read(func, offset), (func, hex(offset))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bar_sizing_and_function_configuration(dut: Any) -> None:
    """BARs size to 4 KiB and 64 KiB; func_cfg follows Command, BAR, PM, MSI-X, MPS and MRRS."""
    bench = CfgBench(dut)
    await bench.start()
    for func in range(NUM_FUNCTIONS):
        for offset in (0x10, 0x14):
            await bench.write(func, offset, 0xFFFFFFFF)
        low, high = await bench.read(func, 0x10), await bench.read(func, 0x14)
        assert low & 0xF == 0xC
        size = ((~(high << 32 | low & ~0xF)) & (1 << 64) - 1) + 1
        assert size == (4096 if func == 0 else 65536)
        base = 0x8000_0001_2340_0000 + 0x40000 * func
        await bench.write(func, 0x10, base & 0xFFFFFFFF)
        await bench.write(func, 0x14, base >> 32)
        await bench.write(func, 0x04, 0x0006, be=0x3)
        await bench.write(func, 0xB0, 0xC0000000, be=0x8)
        await bench.write(func, 0x78, 0x5030)
        await bench.write(func, 0x44, 3, be=0x1)
        assert bench.func_cfg(func) == {
            "mse": 1, "bme": 1, "d3hot": 1, "msix_enable": 1, "msix_func_mask": 1, "mps": 1,
            "mrrs": 5, "bar0": base}
        for other in range(func + 1, NUM_FUNCTIONS):
            assert bench.func_cfg(other)["mse"] == 0
        await bench.write(func, 0x44, 1)
        assert bench.func_cfg(func)["d3hot"] == 1, "an unsupported power state changed something"
        await bench.write(func, 0x44, 0)
        assert bench.func_cfg(func)["d3hot"] == 0
        # More than the device can do: 512 B payload, reserved read request size.
        await bench.write(func, 0x78, 0x7040)
        assert bench.func_cfg(func)["mps"] == 1
        assert bench.func_cfg(func)["mrrs"] == 5


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def trusted_io_bits_read_as_the_facts_say(dut: Any) -> None:
    """Single bits that a TEE host looks at, by capability offset and bit number."""
    bench = CfgBench(dut)
    await bench.start()

    async def bit(func: int, offset: int, n: int) -> int:
        return await bench.read(func, offset) >> n & 1

    for func in range(NUM_FUNCTIONS):
        pcie = 0x70
        assert await bit(func, pcie + 0x04, 30) == 1, "TEE-IO Supported"
        assert await bit(func, pcie + 0x04, 28) == 1, "Function Level Reset"
        assert await bit(func, pcie + 0x04, 15) == 1, "role-based error reporting"
        assert await bit(func, pcie + 0x24, 20) == 1, "Extended Fmt"
        assert await bit(func, pcie + 0x24, 21) == 1, "End-End TLP Prefix"
        assert (await bench.read(func, pcie + 0x24)) >> 22 & 3 == 1, "one prefix"
        assert await bit(func, 0x44, 3) == 1, "No_Soft_Reset"
        assert await bit(func, 0x0C, 23) == 1, "multi-function"
    ide = 0x190
    cap = await bench.read(0, ide + 4)
    assert [n for n in range(13) if cap >> n & 1] == [0, 1, 6]  # link, selective, IDE_KM
    assert cap >> 13 & 7 == 0  # one TC, so one link block
    assert (cap >> 16 & 0xFF) + 1 == 2  # selective streams
    assert cap >> 24 == 0  # TEE-Limited, XT
    for selective in range(2):
        base = ide + 0x0C + 8 + selective * (20 + 12)
        assert await bench.read(0, base) & 0xF == 1  # address association blocks
    for func in range(1, NUM_FUNCTIONS):
        assert await bench.read(func, ide) == 0, "IDE in another function than 0"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ide_registers_reach_the_stream_blocks(dut: Any) -> None:
    """Block 0, 1 = selective, 2 = link; association fields; State and the fail bit of Status."""
    bench = CfgBench(dut)
    await bench.start()
    bases = {0: 0x1A4, 1: 0x1C4}
    for block, base in bases.items():
        rid = 0x1000 * (block + 1)
        await bench.write(0, base + 0x0C, (rid + 7) << 8)
        await bench.write(0, base + 0x10, rid << 8 | 1)
        await bench.write(0, base + 0x14, 0xABC << 20 | 0x123 << 8 | 1)
        await bench.write(0, base + 0x18, 0x80000007)
        await bench.write(0, base + 0x1C, 0x80000001)
        await bench.write(0, base + 0x04, (0x40 + block) << 24 | 1 << 22 | 1 << 19)
        got = bench.block_cfg(block)
        assert got == {
            "enable": 0, "is_link": 0, "stream_id": 0x40 + block, "tc": 1, "default_stream": 1,
            "tee_limited": 0, "cfg_enable": 0, "rid_limit": rid + 7, "rid_valid": 1,
            "rid_base": rid, "addr_valid": 1, "addr_base": 0x80000001 << 12 | 0x123,
            "addr_limit": 0x80000007 << 12 | 0xABC}
    await bench.write(0, 0x19C, 0x77000001)
    link = bench.block_cfg(2)
    assert (link["enable"], link["is_link"], link["stream_id"]) == (1, 1, 0x77)
    assert (link["rid_valid"], link["addr_valid"], link["default_stream"]) == (0, 0, 0)
    # Enable is withheld while an algorithm is selected that does not exist.
    await bench.write(0, 0x1A8, 0x40000001 | 1 << 14)
    assert bench.block_cfg(0)["enable"] == 0
    await bench.write(0, 0x1A8, 0x40000001)
    assert bench.block_cfg(0)["enable"] == 1
    # Status.
    for block, status in ((0, 0x1AC), (1, 0x1CC), (2, 0x1A0)):
        assert await bench.read(0, status) == 0
        dut.block_state_i.value = 1 << block
        assert await bench.read(0, status) == 2
        await bench.pulse("fail_received_i", 1 << block)
        assert await bench.read(0, status) == 0x80000002
        for other in {0x1AC, 0x1CC, 0x1A0} - {status}:
            assert await bench.read(0, other) == 0
        await bench.write(0, status, 0x80000000, be=0x7)
        assert await bench.read(0, status) == 0x80000002, "cleared by a byte that was not enabled"
        await bench.write(0, status, 0x80000000)
        assert await bench.read(0, status) == 2
        dut.block_state_i.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def doe_registers_pass_through(dut: Any) -> None:
    """Reads show the mailbox, writes reach it once, partial writes and other functions do not."""
    bench = CfgBench(dut)
    await bench.start()
    dut.doe_control_i.value = 0x00000002
    dut.doe_status_i.value = 0x80000003
    dut.doe_read_data_i.value = 0xCAFEF00D
    assert await bench.read(0, 0x178) == 0x00000002
    assert await bench.read(0, 0x17C) == 0x80000003
    assert await bench.read(0, 0x180) == 0
    assert await bench.read(0, 0x184) == 0xCAFEF00D
    assert await bench.read(1, 0x184) == 0
    for offset in (0x178, 0x17C, 0x184):
        assert await bench.snapshot(0, offset) == 0, "the snapshot port looked into the mailbox"

    # offset, data, byte enables -> expected write data, or None for no strobe
    cases: list[tuple[int, int, int, int, int | None]] = [
        (0, 0x178, 0x80000000, 0xF, 0x80000000),
        (0, 0x178, 0x80000000, 0x8, 0x80000002),  # Interrupt Enable keeps its value
        (0, 0x178, 0x00000001, 0x1, 0x00000001),
        (0, 0x178, 0xFFFFFFFF, 0x0, None),
        (0, 0x17C, 0xFFFFFFFF, 0x1, 0x000000FF),
        (0, 0x17C, 0xFFFFFFFF, 0x8, 0xFF000000),
        (0, 0x180, 0x12345678, 0xF, 0x12345678),
        (0, 0x180, 0x12345678, 0x7, None),
        (0, 0x184, 0x00000000, 0xF, 0x00000000),
        (0, 0x184, 0x00000000, 0x1, None),
        (0, 0x174, 0xFFFFFFFF, 0xF, None),
        (0, 0x190, 0xFFFFFFFF, 0xF, None),
        (1, 0x180, 0x12345678, 0xF, None),
        (5, 0x180, 0x12345678, 0xF, None),
    ]
    for func, offset, data, be, want in cases:
        dut.acc_valid_i.value = 1
        dut.acc_we_i.value = 1
        dut.acc_func_i.value = func
        dut.acc_addr_i.value = offset >> 2
        dut.acc_be_i.value = be
        dut.acc_wdata_i.value = data
        await bench.settle()
        strobe = int(dut.doe_write_o.value)
        assert strobe == (want is not None), (hex(offset), be)
        if want is not None:
            assert int(dut.doe_wdata_o.value) == want
            assert int(dut.doe_addr_o.value) == (offset - 0x170) // 4
        await FallingEdge(dut.clk_i)
        dut.acc_valid_i.value = 0
        await bench.idle()
        assert int(dut.doe_write_o.value) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def snapshot_yields_to_the_host(dut: Any) -> None:
    """With an access in the same cycle the snapshot waits; alone it reads what the host reads."""
    bench = CfgBench(dut)
    await bench.start()
    await bench.write(2, 0x3C, 0x5A)
    assert await bench.snapshot(2, 0x3C) == 0x5A
    assert await bench.snapshot(0, 0x194) == 0x00010043
    dut.snap_valid_i.value = 1
    dut.snap_func_i.value = 2
    dut.snap_addr_i.value = 0x3C >> 2
    assert await bench.read(0, 0) == 0x7EE01234
    assert int(dut.snap_rvalid_o.value) == 0
    await FallingEdge(dut.clk_i)
    assert int(dut.snap_rvalid_o.value) == 1
    assert int(dut.snap_rdata_o.value) == 0x5A
    assert int(dut.acc_rvalid_o.value) == 0
    dut.snap_valid_i.value = 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bus_number_is_captured_from_writes_only(dut: Any) -> None:
    """Reads change nothing; a write sets the number; the change pulse comes only on a change."""
    bench = CfgBench(dut)
    await bench.start()
    bench.bus_dev = 0x17 << 5
    await bench.read(0, 0)
    assert int(dut.bus_dev_o.value) == 0
    await bench.write(1, 0x3C, 0, be=0)
    assert int(dut.bus_dev_o.value) == 0x17 << 5
    assert int(dut.bus_dev_change_o.value) == 1
    await bench.write(1, 0x3C, 0)
    assert int(dut.bus_dev_change_o.value) == 0
    bench.bus_dev = 0x18 << 5 | 3
    await bench.write(7, 0x3C, 0)
    assert int(dut.bus_dev_o.value) == 0x17 << 5, "captured from a request that was refused"
    await bench.write(0, 0x3C, 0)
    assert int(dut.bus_dev_o.value) == 0x18 << 5 | 3
    assert int(dut.bus_dev_change_o.value) == 1
    await bench.idle()
    assert int(dut.bus_dev_change_o.value) == 0
    await bench.reset()
    assert int(dut.bus_dev_o.value) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(func=list(range(NUM_FUNCTIONS)))
async def flr_waits_for_its_completion_and_keeps_what_it_must(dut: Any, func: int) -> None:
    """Registers full of ones, Initiate FLR, then the completion: one pulse, table of survivors."""
    bench = CfgBench(dut)
    await bench.start()
    model = ConfigModel()
    bench.bus_dev = 0x1FFF
    for f in range(NUM_FUNCTIONS):
        for offset in function_table(f):
            if f == 0 and 0x178 <= offset < 0x188:
                continue
            data = 0xFFFF7FFF if offset == 0x78 else 0xFFFFFFFF
            await bench.write(f, offset, data)
            model.write(f, offset, 0xF, data)
    await bench.pulse("cpl_sent_i")
    await bench.write(func, 0x78, 0x8000 | 0x2810 | 0x20, be=0x1)
    await bench.pulse("cpl_sent_i")
    await bench.idle(2)
    assert int(dut.flr_o.value) == 0, "FLR by a byte that was not enabled"
    await bench.write(func, 0x78, 0xA810 | 0x20)
    model.write(func, 0x78, 0x3, 0x2810 | 0x20)
    assert await bench.read(func, 0x78) & 0x8000 == 0
    for _ in range(20):
        await bench.idle()
        assert int(dut.flr_o.value) == 0, "FLR before its completion"
    assert await bench.read(func, 0x04) == model.read(func, 0x04)
    await bench.pulse("cpl_sent_i")
    assert int(dut.flr_o.value) == 1 << func
    await bench.idle()
    assert int(dut.flr_o.value) == 0
    await bench.pulse("cpl_sent_i")
    await bench.idle()
    assert int(dut.flr_o.value) == 0, "a second pulse"
    model.flr(func)
    for f in range(NUM_FUNCTIONS):
        for offset in range(0, 0x200, 4):
            if f == 0 and 0x178 <= offset < 0x188:
                continue
            got = await bench.read(f, offset)
            assert got == model.read(f, offset), f"F{f} {offset:#x}: {got:#x}"
    assert int(dut.bus_dev_o.value) == 0x1FFF


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def conventional_reset_keeps_sticky_aer_only(dut: Any) -> None:
    """rst_i resets all but AER; the power-on reset takes AER too."""
    bench = CfgBench(dut)
    await bench.start()
    for func in range(NUM_FUNCTIONS):
        for offset in function_table(func):
            await bench.write(func, offset, 0xFFFF7FFF & byte_mask(0xF))
    await bench.aer(error=18, all_funcs=1, log_header=1, header=1)
    await bench.reset()
    for func in range(NUM_FUNCTIONS):
        for offset, reg in function_table(func).items():
            got = await bench.read(func, offset)
            if offset == 0x104:
                assert got == 1 << 18
            elif offset in (0x108, 0x10C, 0x114):
                assert got & reg.rw == 0xFFFF7FFF & reg.rw
            else:
                assert got == reg.reset, (func, hex(offset))
    await bench.start()
    for func in range(NUM_FUNCTIONS):
        for offset, reg in function_table(func).items():
            assert await bench.read(func, offset) == reg.reset, (func, hex(offset))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def hardware_status_inputs(dut: Any) -> None:
    """Transactions Pending, completions with UR/CA received, captured slot power."""
    bench = CfgBench(dut)
    await bench.start()
    dut.transactions_pending_i.value = 0b0100
    for func in range(NUM_FUNCTIONS):
        assert await bench.read(func, 0x78) >> 21 & 1 == (func == 2)
    await bench.pulse("cpl_ur_i", 0b0010)
    await bench.pulse("cpl_ca_i", 0b1000)
    status = [await bench.read(f, 0x04) >> 16 for f in range(NUM_FUNCTIONS)]
    assert status == [0x0010, 0x2010, 0x0010, 0x1010]
    await bench.write(1, 0x04, 0x20000000)
    assert await bench.read(1, 0x04) == 0x00100000
    dut.slot_power_i.value = 0x2 << 8 | 0x4B
    await bench.pulse("slot_power_valid_i")
    for func in range(NUM_FUNCTIONS):
        devcap = await bench.read(func, 0x74)
        assert (devcap >> 18 & 0xFF, devcap >> 26 & 3) == (0x4B, 2)
        assert devcap & ~(0x3FF << 18) == 0x50008FE1
