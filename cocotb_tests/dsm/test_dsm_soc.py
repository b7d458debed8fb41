# SPDX-License-Identifier: Apache-2.0
"""dsm_soc: a real RISC-V program calls every HAL function; Python knows the right answers.

The image is firmware/tests/hal_server.c (remote calls over the DOE mailbox). Digests, ciphertexts
and signatures are checked by hashlib and `cryptography`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cocotb_tests.dsm.soc_bench import (
    ABORT,
    BUSY,
    CONTROL,
    CYCLE_NS,
    ERROR,
    INT_ENABLE,
    INT_STATUS,
    READY,
    STATUS,
    SocBench,
    as_bytes,
)
from cocotb_tests.env.layouts import TDI_VIEW, TDI_VIEW_BITS
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import pack
from sim import firmware, toolchain

MODULES = ["dsm_ram", "dsm_rom", "dsm_wipe", "dsm_bus", "dsm_system", "dsm_measure", "dsm_doe_regs",
           "dsm_random", "dsm_key_bus", "dsm_tdi_bus", "dsm_snapshot", "dsm_sha384",
           "dsm_open_buffer", "dsm_aead", "dsm_p384", "dsm_soc"]
SLOT0 = bytes(random.Random(7).randbytes(1203))
IDENTITY = ec.derive_private_key(0x1F3A_5C77 << 300 | 0xABCDEF, ec.SECP384R1())

BOOT_BASE, FIRMWARE_BASE, SLOT0_BASE, RAM_BASE = 0, 0x1000_0000, 0x1800_0000, 0x2000_0000
(DOE, SHA, AEAD, P384, RANDOM, KEY, TDI, SNAPSHOT, SYSTEM, MEASURE) = (
    0x4000_0000 + (i << 16) for i in range(10))
DOE_REQUEST, DOE_RESPONSE = 0x400E_0000, 0x400F_0000

(PEEK, POKE, HASH, HASH_TWO, MEASUREMENT, SLOT, INFO, CYCLES, TIMER, RND, KEY_LOAD, KEY_GO,
 KEY_STOP, KILL, LOCK, START, STOP, STATE, CONFIG, AEAD_KEY, AEAD_ERASE, SEAL, OPEN, KEYGEN, ECDH,
 SIGN, TRAP, DISCARD, FAIL, RESPOND, EVENTS, MASK_FAULT, STACK, COPY) = range(1, 35)

EV_ABORT, EV_TIMER, EV_FLR0 = 1 << 1, 1 << 2, 1 << 3


def sources() -> list[Path | str]:
    crypto = sorted((toolchain.REPO / "rtl" / "crypto").glob("*.sv"))
    return [toolchain.cpu_verilog(), *(p for p in crypto if not p.stem.endswith("_props")),
            *(f"dsm/{m}.sv" for m in MODULES), "doe/doe_mailbox.sv"]


def run(test_filter: str, tmp_path: Path, image: Path | None = None) -> None:
    boot = firmware.build_boot()
    server = firmware.build_firmware([firmware.FIRMWARE / "tests" / "hal_server.c"], "hal_server")
    slot0, identity = tmp_path / "slot0.hex", tmp_path / "identity.hex"
    firmware.write_slot0(slot0, SLOT0)
    firmware.write_identity(identity, IDENTITY.private_numbers().private_value)
    program = image or server.hex
    simulate("tb_dsm_soc", __name__, sources=sources(), timing=True,
             extra_sources=["cocotb_tests/dsm/tb_dsm_soc.sv"],
             build_args=["--no-public-flat-rw",
                         str(toolchain.REPO / "cocotb_tests" / "dsm" / "public.vlt")],
             plusargs=[f"+boot={boot.hex}", f"+firmware={program}", f"+slot0={slot0}",
                       f"+identity={identity}"],
             extra_env={"COCOTB_TEST_FILTER": test_filter,
                        "DSM_BOOT": str(boot.bin),
                        "DSM_FIRMWARE": str(program.with_suffix(".bin"))})


def test_soc(tmp_path: Path) -> None:
    """Everything but the changed image, on one build and in one simulation."""
    run(r"\.soc_", tmp_path)


def test_one_flipped_bit_changes_the_measurement(tmp_path: Path) -> None:
    """The last byte of the firmware ROM is not executed, but measured."""
    server = firmware.build_firmware([firmware.FIRMWARE / "tests" / "hal_server.c"], "hal_server")
    content = bytearray(server.bin.read_bytes())
    content[-1] ^= 0x10
    assert content[-2] == 0, "the image must leave the end of the ROM unused"
    changed = tmp_path / "changed.bin"
    changed.write_bytes(content)
    firmware.write_hex(changed.with_suffix(".hex"), bytes(content))
    run("measurements_follow_the_image", tmp_path, changed.with_suffix(".hex"))


def test_real_firmware_answers(tmp_path: Path) -> None:
    """The firmware of the device on the SoC: discovery and SPDM VERSION over the mailbox."""
    run("firmware_answers_discovery_and_version", tmp_path, firmware.build_firmware().hex)


def image_digest(name: str) -> bytes:
    return hashlib.sha384(Path(os.environ[name]).read_bytes()).digest()


def test_map_constants_agree() -> None:
    """The memory map is written three times; the numbers are the same."""
    rtl = firmware.map_constants()
    assert rtl == {"BOOT_BYTES": firmware.BOOT_BYTES, "FIRMWARE_BYTES": firmware.FIRMWARE_BYTES,
                   "SLOT0_BYTES": firmware.SLOT0_BYTES, "RAM_BYTES": firmware.RAM_BYTES}
    header = (firmware.FIRMWARE / "hal" / "soc.h").read_text()
    for name, value in rtl.items():
        assert f"#define SOC_{name} {value}u" in header


async def boot(dut, bench: SocBench | None = None) -> SocBench:
    """Reset, and wait for the image's first wait; with `bench`, once more in the same test."""
    if bench is None:
        bench = SocBench(dut)
        await bench.start()
    else:
        await bench.reset()
    start = int(dut.cycle_o.value)
    if not int(dut.cpu_idle_o.value):
        await RisingEdge(dut.cpu_idle_o)
    dut._log.info("%d cycles from reset to the first wait", int(dut.cycle_o.value) - start)
    await FallingEdge(dut.clk_o)
    return bench


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_boots_and_measures_what_it_runs(dut) -> None:
    """Both measurement registers hold SHA-384 over the exact bytes of the image files."""
    bench = await boot(dut)
    assert as_bytes(await bench.call(MEASUREMENT, 0)) == image_digest("DSM_BOOT")
    assert as_bytes(await bench.call(MEASUREMENT, 1)) == image_digest("DSM_FIRMWARE")
    words = await bench.call(PEEK, FIRMWARE_BASE, 1024)
    assert as_bytes(words) == Path(os.environ["DSM_FIRMWARE"]).read_bytes()[:4096]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def measurements_follow_the_image(dut) -> None:
    """The digest of the image that runs, not of another one."""
    bench = await boot(dut)
    measured = as_bytes(await bench.call(MEASUREMENT, 1))
    assert measured == image_digest("DSM_FIRMWARE")
    server = firmware.build_firmware([firmware.FIRMWARE / "tests" / "hal_server.c"], "hal_server")
    assert measured != server.digest()


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def firmware_answers_discovery_and_version(dut) -> None:
    """DOE 1.4: at least (1,0), (1,1), (1,2), Next Index ends with 0; SPDM GET_VERSION (84h)."""
    bench = await boot(dut)
    index, protocols = 0, []
    while True:
        await bench.send([0x0000_0001, 3, index])
        answer = await bench.receive()
        assert answer[:2] == [0x0000_0001, 3] and len(answer) == 3
        protocols.append((answer[2] & 0xFFFF, answer[2] >> 16 & 0xFF))
        index = answer[2] >> 24
        if index == 0:
            break
    assert protocols[0] == (1, 0) and {(1, 0), (1, 1), (1, 2)} <= set(protocols)
    start = int(dut.cycle_o.value)
    await bench.send([0x0001_0001, 3, int.from_bytes(b"\x10\x84\x00\x00", "little")])
    answer = await bench.receive()
    dut._log.info("GET_VERSION: %d cycles", int(dut.cycle_o.value) - start)
    message = as_bytes(answer[2:])
    assert answer[0] == 0x0001_0001 and answer[1] == len(answer)
    assert message[:2] == b"\x10\x04", "VERSION"
    versions = {int.from_bytes(message[6 + 2 * i:8 + 2 * i], "little") >> 8
                for i in range(message[5])}
    assert 0x12 in versions, versions


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_measurements_cannot_be_written_by_firmware(dut) -> None:
    """Digests and lock keep their values whatever the firmware writes. SEC: MEASURE.LOCK"""
    bench = await boot(dut)
    before = await bench.call(PEEK, MEASURE, 33)
    assert before[32] == 1, "locked"
    await bench.call(POKE, MEASURE, *range(0x1111, 0x1111 + 33))
    await bench.call(POKE, MEASURE + 0x80, 0)
    assert await bench.call(PEEK, MEASURE, 33) == before
    assert as_bytes(await bench.call(MEASUREMENT, 1)) == image_digest("DSM_FIRMWARE")


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_rom_and_request_buffer_cannot_be_written(dut) -> None:
    """A refused write changes nothing and sets the bus fault flag."""
    bench = await boot(dut)
    await bench.call(MASK_FAULT, 0)
    for base in (BOOT_BASE, FIRMWARE_BASE + 0xFFF0, SLOT0_BASE, DOE_REQUEST + 0x1000, 0x3000_0000):
        before = await bench.call(PEEK, base, 1) if base < 0x3000_0000 else None
        await bench.call(POKE, SYSTEM + 8, 1 << 2)  # clear the flag
        assert (await bench.call(PEEK, SYSTEM + 8, 1))[0] >> 2 & 1 == 0
        await bench.call(POKE, base, 0x0BAD_0BAD)
        assert (await bench.call(PEEK, SYSTEM + 8, 1))[0] >> 2 & 1 == 1, hex(base)
        if before is not None:
            assert await bench.call(PEEK, base, 1) == before, hex(base)
    assert await bench.call(PEEK, 0x3000_0000, 1) == [0]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_sha384_agrees_with_hashlib(dut) -> None:
    """Lengths around the block edges, any piece size, any alignment, two contexts interleaved."""
    bench = await boot(dut)
    rng = random.Random(21)
    cases = [(0, 1, 0), (1, 1, 1), (111, 7, 2), (112, 112, 3), (113, 200, 0), (127, 3, 1),
             (128, 128, 0), (129, 64, 2), (239, 50, 0), (240, 240, 1), (256, 128, 0),
             (777, 13, 3), (4000, 4000, 0), (4000, 999, 1)]
    for length, step, offset in cases:
        data = rng.randbytes(length)
        got = as_bytes(await bench.call(HASH, length, step, offset, bytes(offset) + data))
        assert got == hashlib.sha384(data).digest(), (length, step, offset)
    data = rng.randbytes(1500)
    got = as_bytes(await bench.call(HASH_TWO, len(data), 250, data))
    assert got[:48] == hashlib.sha384(data).digest()
    assert got[48:] == hashlib.sha384(bytes(b ^ 0xFF for b in data)).digest()


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_identity_status_and_time(dut) -> None:
    """Slot 0, status word, captured numbers, 64-bit time and timer."""
    bench = await boot(dut)
    answer = await bench.call(SLOT)
    assert answer[0] == len(SLOT0)
    assert as_bytes(answer[1:]) == hashlib.sha384(SLOT0).digest()
    dut.bus_dev_i.value = 0x1A2 << 3 | 5
    assert await bench.call(INFO) == [0, 3, 1, 48_000_000, (0x1A2 << 6 | 5 << 3) & 0xFFFF]
    dut.seed_deterministic_i.value = 1
    assert (await bench.call(INFO))[0] == 1

    def time(words: list[int]) -> int:
        return words[1] << 32 | words[0]

    before = int(dut.cycle_o.value)
    first = time(await bench.call(CYCLES, 1))
    second = time(await bench.call(CYCLES, 1))
    assert before < first < second < int(dut.cycle_o.value)
    for cycles in (100, 5000):
        events, passed = await bench.call(TIMER, cycles)
        assert events == EV_TIMER
        assert cycles <= passed < cycles + 300, passed


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_time_is_read_whole_over_the_carry(dut) -> None:
    """The high half is latched with the low half: no reading steps back or ahead by 2^32."""
    bench = await boot(dut)
    count = 40
    start = int(dut.cycle_o.value)
    await bench.call(CYCLES, count)
    per_call = int(dut.cycle_o.value) - start
    carried = 0
    for shift in range(16):  # the carry falls between the two reads in some of them
        half = per_call // 2 + shift
        dut.cycle_base_i.value = 0
        await Timer(CYCLE_NS, "ns")
        dut.cycle_base_i.value = (1 << 33) - half - int(dut.cycle_o.value)
        words = await bench.call(CYCLES, count)
        times = [high << 32 | low for low, high in zip(words[::2], words[1::2], strict=True)]
        steps = [b - a for a, b in itertools.pairwise(times)]
        assert all(0 < step < 200 for step in steps), steps
        carried += times[0] < 1 << 33 <= times[-1]
    assert carried > 8, "the carry must happen while the program reads"


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_random_words_are_fresh_and_their_lack_is_reported(dut) -> None:
    """Words of the generator, each once; false and zeros when the generator is silent."""
    bench = await boot(dut)
    first, second = await bench.call(RND, 32), await bench.call(RND, 32)
    words = first[1:] + second[1:]
    assert first[0] == second[0] == 1
    assert len(set(words)) == 16
    x = words[0]
    for word in words[1:]:  # the bench's generator: nothing skipped, nothing doubled
        x ^= x << 13 & 0xFFFF_FFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFF_FFFF
        assert word == x
    assert len(as_bytes((await bench.call(RND, 5))[1:])) == 8
    dut.rnd_enable_i.value = 0
    await bench.send([0x00EE_0001, 4, RND, 16])
    assert await bench.wait_status(READY, READY, 20_000_000)
    assert (await bench.receive())[2:] == [0, 0, 0, 0, 0]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_key_bus_carries_keys_out_and_never_back(dut) -> None:
    """Eight DWs in wire order and a commit; a refusal abandons; no register shows a key byte."""
    bench = await boot(dut)
    key = random.Random(3).randbytes(32)
    assert await bench.call(KEY_LOAD, 1, 1, 2, 0, 0x1234, key) == [0]
    where = {"block": 1, "is_tx": 1, "sub_stream": 2, "key_set": 0, "session_tag": 0x1234}
    for i, command in enumerate(bench.world.keys[:8]):
        expected = int.from_bytes(key[4 * i:4 * i + 4], "big")
        assert command == {"op": 0, "dw_idx": i, "data": expected, **where}
    assert bench.world.keys[8] == {"op": 1, "dw_idx": 0, "data": 0, **where}
    assert len(bench.world.keys) == 9
    words = await bench.call(PEEK, KEY, 64)
    assert words == [0] * 64

    bench.world.keys.clear()
    assert await bench.call(KEY_GO, 0, 0, 1, 1, 7) == [0]
    assert await bench.call(KEY_STOP, 2, 1, 0, 1, 7) == [0]
    assert [(c["op"], c["block"], c["is_tx"], c["sub_stream"], c["key_set"], c["session_tag"])
            for c in bench.world.keys] == [(2, 0, 0, 1, 1, 7), (3, 2, 1, 0, 1, 7)]

    for refused_at, ops in ((3, [0, 0, 0, 0, 5]), (8, [0] * 8 + [1, 5])):
        bench.world.keys.clear()
        count = iter(range(100))
        bench.world.key_answer = lambda c, n=refused_at, i=count: int(next(i) == n)
        assert await bench.call(KEY_LOAD, 1, 0, 0, 1, 9, key) == [1]
        assert [c["op"] for c in bench.world.keys] == ops
    bench.world.keys.clear()
    assert await bench.call(KEY_LOAD, 1, 0, 0, 1, 0, key) == [1], "tag 0 means no session"
    assert bench.world.keys == []


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_end_of_session_reaches_streams_and_tdis_together(dut) -> None:
    """One register write gives both the kill pulse and the kill command. SEC: SESSION.KILL"""
    bench = await boot(dut)
    await bench.call(KILL, 0xBEEF)
    assert bench.world.killed == [0xBEEF]
    assert [(c["op"], c["session_tag"]) for c in bench.world.keys] == [(4, 0xBEEF)]
    # The kill command alone, or with tag 0, does not pass.
    await bench.call(POKE, KEY + 4, 0x77, 4)
    await bench.call(POKE, KEY + 0x10, 0)
    assert len(bench.world.keys) == 1 and bench.world.killed == [0xBEEF]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_tdi_commands(dut) -> None:
    """LOCK, START, STOP with all their fields; nonces keep their byte order; results come back."""
    bench = await boot(dut)
    nonce = random.Random(5).randbytes(32)
    bench.world.tdi_answer = lambda c: (0, int.from_bytes(nonce, "big"))
    answer = await bench.call(LOCK, 2, 0x5A, 0b101, 0x4321)
    assert answer[0] == 0 and as_bytes(answer[1:]) == nonce
    assert bench.world.commands[-1] == {
        "op": 1, "tdi_idx": 2, "stream_id": 0x5A, "session_tag": 0x4321, "lock_msix": 1,
        "no_fw_update": 1, "bind_p2p": 0, "non_tee": 0, "pages": 0, "p2p_mask": 0, "nonce": 0}
    bench.world.tdi_answer = lambda c: (3, (1 << 256) - 1)
    assert await bench.call(START, 1, 0x4321, nonce) == [3]
    assert bench.world.commands[-1]["op"] == 2
    assert bench.world.commands[-1]["nonce"] == int.from_bytes(nonce, "big")
    assert await bench.call(PEEK, TDI + 0x20, 16) == [0] * 16, "no nonce stays readable"
    assert await bench.call(STOP, 0) == [3]
    assert bench.world.commands[-1]["op"] == 3 and bench.world.commands[-1]["nonce"] == 0
    answer = await bench.call(LOCK, 1, 1, 0, 1)
    assert answer == [3] + [0] * 8, "a refused LOCK gives no nonce"
    assert bench.world.commands[-1]["lock_msix"] == bench.world.commands[-1]["no_fw_update"] == 0
    dut.tdi_view_i.value = sum(pack(TDI_VIEW, state=state) << TDI_VIEW_BITS * i
                               for i, state in enumerate((3, 1, 2)))
    assert [(await bench.call(STATE, i))[0] for i in range(3)] == [3, 1, 2]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_config_snapshot(dut) -> None:
    """Function and offset arrive unchanged; out of range never asks."""
    bench = await boot(dut)
    asked = []

    def answer(function: int, offset: int) -> int:
        asked.append((function, offset))
        return 0x8000_0001 | function << 20 | offset << 4

    bench.world.config_answer = answer
    for function, offset in ((0, 0), (3, 0x10), (7, 0xFFC), (1, 0x100)):
        expected = 0x8000_0001 | function << 20 | offset << 4
        assert await bench.call(CONFIG, function, offset) == [expected]
    assert asked == [(0, 0), (3, 0x10), (7, 0xFFC), (1, 0x100)]
    assert await bench.call(CONFIG, 8, 0) == [0xFFFF_FFFF]
    assert await bench.call(CONFIG, 0, 0x1000) == [0xFFFF_FFFF]
    assert len(asked) == 4


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_events_are_sticky_and_come_once(dut) -> None:
    """Each source has its bit; pulses of the same source merge; reading clears."""
    bench = await boot(dut)
    assert await bench.call(EVENTS) == [0]
    for name, value, bits in (("insecure_event_i", 0b101, 0b101 << 8), ("flr0_i", 1, EV_FLR0),
                              ("tdi_error_event_i", 0b110, 0b110 << 16)):
        await bench.pulse(name, value)
        await bench.pulse(name, value)
        await Timer(200 * CYCLE_NS, "ns")
        expected = bits | (EV_ABORT if name == "flr0_i" else 0)
        assert await bench.call(EVENTS) == [expected], name
        assert await bench.call(EVENTS) == [0]
    # While the CPU works, events wait.
    await bench.send([0x00EE_0001, 4, RND, 4000])
    await Timer(1000 * CYCLE_NS, "ns")
    await bench.pulse("insecure_event_i", 0b010)
    await bench.receive()
    assert await bench.call(EVENTS) == [0b010 << 8]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_doe_abort_error_and_interrupt(dut) -> None:
    """Abort while the CPU computes, discard, fail, impossible length: the mailbox recovers."""
    bench = await boot(dut)
    await bench.write(CONTROL, INT_ENABLE)
    irqs = int(dut.doe_irqs_o.value)
    await bench.send([0x00EE_0001, 4, RND, 4000])
    await Timer(3000 * CYCLE_NS, "ns")
    assert bench.status() & BUSY
    await bench.write(CONTROL, ABORT | INT_ENABLE)
    assert bench.status() & BUSY, "the CPU still reads the request"
    assert await bench.wait_status(BUSY, 0)
    assert bench.status() & (READY | ERROR) == 0
    await Timer(2 * CYCLE_NS, "ns")
    assert bench.status() & INT_STATUS and int(dut.doe_irqs_o.value) == irqs + 1
    await bench.write(STATUS, INT_STATUS)
    assert await bench.call(EVENTS) == [EV_ABORT]

    await bench.send([0x00EE_0001, 3, DISCARD])
    assert await bench.wait_status(BUSY, 0)
    assert bench.status() & (READY | ERROR) == 0
    for op in ([FAIL], [RESPOND, 1], [RESPOND, 1155]):
        await bench.send([0x00EE_0001, 2 + len(op), *op])
        assert await bench.wait_status(ERROR, ERROR)
        assert bench.status() & (READY | BUSY) == 0
        await bench.write(CONTROL, ABORT)
    await bench.send([0x00EE_0001, 4, RESPOND, 1154])
    assert len(await bench.receive()) == 1154
    assert len(await bench.call(PEEK, RAM_BASE, 1152)) == 1152


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_trap_is_the_end_until_reset(dut) -> None:
    """Illegal instruction, jump into RAM, unmapped read, ROM write: fatal, DOE Error, no recovery
    but by reset; code in RAM never runs."""
    bench = await boot(dut)
    for which in range(4):
        await bench.send([0x00EE_0001, 4, TRAP, which])
        assert await bench.wait_status(ERROR, ERROR, 100_000), which
        assert int(dut.fatal_o.value) == 1 and int(dut.cpu_idle_o.value) == 1
        await bench.write(CONTROL, ABORT)
        await bench.send([0x00EE_0001, 3, INFO])
        assert not await bench.wait_status(READY, READY, 50_000), "a dead DSM answered"
        await boot(dut, bench)
    assert (await bench.call(INFO))[1] == 3


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_reset_leaves_nothing_in_memory(dut) -> None:
    """RAM, both DOE buffers and engine registers are empty after a reset. SEC: RESET.WIPE"""
    bench = await boot(dut)
    pattern = [0xA5A5_0000 + i for i in range(256)]
    spare = RAM_BASE + 0x7000
    await bench.call(POKE, spare, *pattern)
    assert await bench.call(PEEK, spare, 256) == pattern
    await bench.call(SEAL, 0, bytes(12), 16, 900, bytes(16), b"secret.." * 113)
    assert int.from_bytes(b"secr", "little") in await bench.call(PEEK, DOE_REQUEST, 256)
    await bench.call(PEEK, spare, 256)
    await boot(dut, bench)
    for base, words in ((DOE_RESPONSE + 0x40, 0x400), (DOE_REQUEST + 0x40, 0x400), (spare, 0x3F0)):
        assert await bench.call(PEEK, base, words) == [0] * words, hex(base)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_memory_functions(dut) -> None:
    """memcpy and memmove of the image, all small offsets, overlaps in both directions."""
    bench = await boot(dut)
    base = bytes((i * 7 + 1) & 0xFF for i in range(64))
    rng = random.Random(9)
    for _ in range(40):
        to, start, length = rng.randrange(32), rng.randrange(32), rng.randrange(33)
        expected = bytearray(base)
        expected[to:to + length] = base[start:start + length]
        got = as_bytes(await bench.call(COPY, to, start, length, 1))
        assert got == bytes(expected), (to, start, length)
        to = 32 + rng.randrange(1 + 32 - length) if length <= 32 else 32
        expected = bytearray(base)
        length = min(length, 32 - start)
        expected[to:to + length] = base[start:start + length]
        assert as_bytes(await bench.call(COPY, to, start, length, 0)) == bytes(expected)
    unused = (await bench.call(STACK))[0]
    assert unused > 4096
    dut._log.info("%d bytes of stack never used", unused)


# ---- engines -------------------------------------------------------------------------------------


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def soc_aead_agrees_with_cryptography(dut) -> None:
    """Seal and open of many lengths and slots against AESGCM; a wrong bit anywhere is refused."""
    bench = await boot(dut)
    rng = random.Random(31)
    keys = {slot: rng.randbytes(32) for slot in (0, 3, 7)}
    for slot, key in keys.items():
        assert await bench.call(AEAD_KEY, slot, key) == [1]
    for aad_bytes, length in ((1, 0), (16, 1), (7, 16), (12, 17), (64, 48), (33, 255), (14, 2000)):
        for slot, key in keys.items():
            if length > 300 and slot:
                continue
            iv, aad, data = rng.randbytes(12), rng.randbytes(aad_bytes), rng.randbytes(length)
            expected = AESGCM(key).encrypt(iv, data, aad)
            got = await bench.call(SEAL, slot, iv, aad_bytes, length, aad + data)
            assert got[0] == 1
            assert as_bytes(got[1:5]) == expected[-16:], (aad_bytes, length)
            assert as_bytes(got[5:], length) == expected[:-16]
            got = await bench.call(OPEN, slot, iv, expected[-16:], aad_bytes, length,
                                   aad + expected[:-16])
            assert got[0] == 1 and as_bytes(got[1:], length) == data
            # One wrong bit: tag, IV, AAD, data.
            for part in range(4 if length else 3):
                wrong = [bytearray(expected[-16:]), bytearray(iv), bytearray(aad),
                         bytearray(expected[:-16])]
                wrong[part][rng.randrange(len(wrong[part]))] ^= 1 << rng.randrange(8)
                tag, iv2, aad2, data2 = map(bytes, wrong)
                got = await bench.call(OPEN, slot, iv2, tag, aad_bytes, length, aad2 + data2)
                assert got[0] == 0, "a wrong bit must be refused"
                assert as_bytes(got[1:], length) == bytes(length), "plaintext handed out"
    start = int(dut.cycle_o.value)
    await bench.call(SEAL, 0, bytes(12), 12, 4096, bytes(12 + 4096))
    dut._log.info("sealing 4096 bytes: %d cycles with transport", int(dut.cycle_o.value) - start)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def soc_aead_keys_cannot_be_read_and_can_be_erased(dut) -> None:
    """No register of the engine shows a key; an empty or erased slot refuses to work."""
    bench = await boot(dut)
    key = random.Random(4).randbytes(32)
    call = (bytes(12), 4, 16, bytes(20))
    assert (await bench.call(SEAL, 2, *call))[0] == 0, "empty slot"
    assert await bench.call(AEAD_KEY, 2, key) == [1]
    await bench.call(POKE, AEAD + 0x20, *range(1, 8))  # a key that is being written
    words = await bench.call(PEEK, AEAD, 64)
    assert words[8:16] == [0] * 8
    halves = {int.from_bytes(key[i:i + 4], order) for i in range(0, 32, 4)
              for order in ("little", "big")}
    assert not halves & set(words)
    assert (await bench.call(SEAL, 2, *call))[0] == 1
    await bench.call(AEAD_ERASE, 2)
    assert (await bench.call(SEAL, 2, *call)) == [0] * 9
    assert await bench.call(AEAD_KEY, 2, key) == [1]
    await boot(dut, bench)
    assert (await bench.call(SEAL, 2, *call))[0] == 0, "reset must erase the key"
    assert await bench.call(AEAD_KEY, 8, key) == [0], "no such slot"


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def soc_p384_key_agreement(dut) -> None:
    """The engine's public key and the shared secret agree with `cryptography`; the key burns."""
    bench = await boot(dut)
    start = int(dut.cycle_o.value)
    answer = await bench.call(KEYGEN)
    dut._log.info("key generation: %d cycles with transport", int(dut.cycle_o.value) - start)
    assert answer[0] == 1
    public = as_bytes(answer[1:])
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), b"\x04" + public)
    mine = ec.generate_private_key(ec.SECP384R1())
    point = mine.public_key().public_bytes(serialization.Encoding.X962,
                                           serialization.PublicFormat.UncompressedPoint)[1:]
    answer = await bench.call(ECDH, point)
    assert answer[0] == 1
    assert as_bytes(answer[1:]) == mine.exchange(ec.ECDH(), peer)
    assert await bench.call(PEEK, P384 + 0x80, 32) == [0] * 32, "the shared secret stays behind"
    assert await bench.call(ECDH, point) == [0] * 13, "an ephemeral key is good for one exchange"
    assert (await bench.call(KEYGEN))[0] == 1
    bad = bytearray(point)
    bad[95] ^= 1
    assert await bench.call(ECDH, bytes(bad)) == [0] * 13
    assert await bench.call(ECDH, point) == [0] * 13, "a bad point burns the key too"


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def soc_p384_identity_signature(dut) -> None:
    """Signatures verify under the identity's public key; two of the same digest differ in r."""
    bench = await boot(dut)
    digest = hashlib.sha384(b"transcript").digest()
    start = int(dut.cycle_o.value)
    first = await bench.call(SIGN, digest)
    dut._log.info("signature: %d cycles with transport", int(dut.cycle_o.value) - start)
    second = await bench.call(SIGN, digest)
    for answer in (first, second):
        assert answer[0] == 1
        raw = as_bytes(answer[1:])
        der = utils.encode_dss_signature(int.from_bytes(raw[:48], "big"),
                                         int.from_bytes(raw[48:], "big"))
        IDENTITY.public_key().verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA384())))
        try:
            IDENTITY.public_key().verify(der, bytes(48), ec.ECDSA(utils.Prehashed(hashes.SHA384())))
        except InvalidSignature:
            pass
        else:
            raise AssertionError("verifies anything")
    assert first[1:13] != second[1:13], "the nonce must be fresh"
    secret = IDENTITY.private_numbers().private_value
    words = {secret >> 32 * i & 0xFFFF_FFFF for i in range(12)} - {0}
    window = await bench.call(PEEK, P384, 512)
    assert not words & set(window)
    assert window[0x80:] == [0] * 384, "input registers have no read path"
