# SPDX-License-Identifier: Apache-2.0
"""AER of all functions: rows of the reporting algorithm, and random events against the model."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from cocotb_tests.env.runner import simulate
from cocotb_tests.tlp.aer_model import COR, FATAL, IMPLEMENTED, NONFATAL, UR, AerFunction, Event
from cocotb_tests.tlp.cfg_bench import SOURCES, CfgBench
from cocotb_tests.tlp.cfg_model import NUM_FUNCTIONS

HEADER = 0x4A000001_00000004_01000000_00000000
PREFIX = 0x92000701

DEVSTA = {"CED": 1, "NFED": 2, "FED": 4, "URD": 8}
DEVCTL = {"CERE": 1, "NFERE": 2, "FERE": 4, "URRE": 8}


def test_cfg_aer() -> None:
    simulate("cfg_space", __name__, sources=SOURCES)


async def enable(bench: CfgBench, func: int, names: set[str]) -> None:
    """Write Device Control and Command so that exactly these enables are set."""
    await bench.write(func, 0x78, 0x2810 | sum(DEVCTL[n] for n in names & set(DEVCTL)), be=0x3)
    await bench.write(func, 0x04, 0x100 if "SERR" in names else 0, be=0x3)


async def report(bench: CfgBench, func: int, event: Event, all_funcs: bool = False) -> None:
    await bench.aer(error=event.error, advisory=int(event.advisory), func=func,
                    all_funcs=int(all_funcs), log_header=int(event.header is not None),
                    header=event.header or 0, prefix_valid=int(event.prefix is not None),
                    prefix=event.prefix or 0)


async def check(bench: CfgBench, func: int, model: AerFunction, context: object = "") -> None:
    """Compare every register that the algorithm touches."""
    devsta = await bench.read(func, 0x78) >> 16 & 0xF
    assert devsta == sum(DEVSTA[n] for n in model.dev_status), (context, func)
    assert await bench.read(func, 0x104) == model.ue_status, (context, func)
    assert await bench.read(func, 0x110) == model.ce_status, (context, func)
    control = await bench.read(func, 0x118)
    assert control == model.fep | (model.prefix is not None) << 11, (context, func)
    log = [await bench.read(func, 0x11C + 4 * i) for i in range(4)]
    assert log == [model.header >> 32 * (3 - i) & 0xFFFFFFFF for i in range(4)], (context, func)
    assert await bench.read(func, 0x138) == (model.prefix or 0), (context, func)
    for offset in (0x13C, 0x140, 0x144):
        assert await bench.read(func, offset) == 0


# name, error, advisory, enables, (mask, severity, corr. mask) or None for reset values,
# DevSta, uncorrectable status set?, correctable status, logged?, message
ROWS: list[tuple[str, int, bool, set[str], tuple[int, int, int] | None,
                 set[str], bool, int, bool, int | None]] = [
    ("UR to a non-posted request at reset values leaves CED and URD only",
     20, True, {"CERE", "NFERE", "FERE", "URRE"}, None, {"CED", "URD"}, False, 1 << 13, False,
     None),
    ("the same with the advisory mask cleared: status, log, ERR_COR",
     20, True, {"CERE", "URRE"}, (0x00400000, 0x10462030, 0xC000), {"CED", "URD"}, True, 1 << 13,
     True, COR),
    ("advisory UR without URRE: no message, SERR# does not open it",
     20, True, {"CERE", "SERR"}, (0x00400000, 0x10462030, 0xC000), {"CED", "URD"}, True, 1 << 13,
     True, None),
    ("advisory with the uncorrectable mask set: message goes out, no log",
     16, True, {"CERE"}, (0xFFFFFFFF, 0x10462030, 0xC000), {"CED"}, True, 1 << 13, False, COR),
    ("advisory error made fatal by software is reported as fatal",
     16, True, {"CERE", "FERE"}, (0x00400000, 0x10472030, 0xE000), {"FED"}, True, 0, True, FATAL),
    ("posted UR: non-fatal", 20, False, {"NFERE", "URRE"}, None, {"NFED", "URD"}, True, 0, True,
     NONFATAL),
    ("posted UR without URRE and SERR#: logged, no message", 20, False, {"NFERE"}, None,
     {"NFED", "URD"}, True, 0, True, None),
    ("posted UR, SERR# alone is enough", 20, False, {"SERR"}, None, {"NFED", "URD"}, True, 0, True,
     NONFATAL),
    ("malformed is fatal", 18, False, {"FERE"}, None, {"FED"}, True, 0, True, FATAL),
    ("malformed, SERR# alone is enough", 18, False, {"SERR"}, None, {"FED"}, True, 0, True, FATAL),
    ("malformed, NFERE does not open it", 18, False, {"NFERE", "CERE"}, None, {"FED"}, True, 0,
     True, None),
    ("malformed and masked: status only", 18, False, {"FERE", "SERR"},
     (0x00440000, 0x10462030, 0xE000), {"FED"}, True, 0, False, None),
    ("malformed made non-fatal", 18, False, {"NFERE"}, (0x00400000, 0x10422030, 0xE000), {"NFED"},
     True, 0, True, NONFATAL),
    ("poisoned TLP", 12, False, {"NFERE"}, None, {"NFED"}, True, 0, True, NONFATAL),
    ("completion timeout", 14, False, {"NFERE"}, None, {"NFED"}, True, 0, True, NONFATAL),
    ("completer abort to a non-posted request", 15, True, {"CERE"}, None, {"CED"}, False, 1 << 13,
     False, None),
    ("IDE Check Failed is fatal", 28, False, {"FERE"}, None, {"FED"}, True, 0, True, FATAL),
    ("Misrouted IDE TLP is non-fatal", 29, False, {"NFERE"}, None, {"NFED"}, True, 0, True,
     NONFATAL),
    ("internal error is masked and fatal at reset", 22, False, {"FERE"}, None, {"FED"}, True, 0,
     False, None),
    ("an error without a status bit still shows in Device Status", 19, False, {"NFERE"}, None,
     {"NFED"}, False, 0, False, NONFATAL),
]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def rows_of_the_reporting_algorithm(dut: Any) -> None:
    """Each row on its own function after a power-on reset; the other functions stay silent."""
    bench = CfgBench(dut)
    bench.bus_dev = 0x1A3
    for n, (name, error, advisory, enables, setup, devsta, ue, ce, logged, code) in enumerate(ROWS):
        await bench.start()
        func = n % NUM_FUNCTIONS
        for f in range(NUM_FUNCTIONS):
            await enable(bench, f, enables)
        if setup is not None:
            for offset, value in zip((0x108, 0x10C, 0x114), setup, strict=True):
                await bench.write(func, offset, value)
        await report(bench, func, Event(error, advisory, HEADER, PREFIX))
        assert await bench.take_messages() == ([(code, func)] if code else []), name
        assert await bench.read(func, 0x78) >> 16 & 0xF == sum(DEVSTA[d] for d in devsta), name
        assert await bench.read(func, 0x104) == (1 << error if ue else 0), name
        assert await bench.read(func, 0x110) == ce, name
        assert await bench.read(func, 0x118) == ((error | 1 << 11) if logged else 0), name
        assert await bench.read(func, 0x11C) == (HEADER >> 96 if logged else 0), name
        assert await bench.read(func, 0x138) == (PREFIX if logged else 0), name
        signalled = code in (NONFATAL, FATAL) and "SERR" in enables
        want = (1 << 14 if signalled else 0) | (1 << 15 if error == 12 else 0) \
            | (1 << 11 if error == 15 else 0) | 0x10
        assert await bench.read(func, 0x04) >> 16 == want, name
        for other in set(range(NUM_FUNCTIONS)) - {func}:
            for offset in (0x104, 0x110, 0x118):
                assert await bench.read(other, offset) == 0, name
            assert await bench.read(other, 0x78) >> 16 == 0, name


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def random_events_follow_the_model(dut: Any) -> None:
    """400 events with registers changing in between; all functions compared after each."""
    bench = CfgBench(dut)
    await bench.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    models = [AerFunction() for _ in range(NUM_FUNCTIONS)]
    sent = 0
    for step in range(400):
        func = rng.randrange(NUM_FUNCTIONS)
        model = models[func]
        match rng.randrange(6):
            case 0:
                model.enables = {n for n in (*DEVCTL, "SERR") if rng.random() < 0.6}
                await enable(bench, func, model.enables)
            case 1:
                model.ue_mask = rng.choice((0, 0x00400000, rng.getrandbits(32))) & 0x3057F010
                await bench.write(func, 0x108, model.ue_mask)
            case 2:
                model.severity = rng.getrandbits(32) & 0x3057F010 | 0x20
                await bench.write(func, 0x10C, model.severity)
            case 3:
                model.ce_mask = rng.choice((0, 0x2000, 0x8000, 0xE000))
                await bench.write(func, 0x114, model.ce_mask)
            case 4:
                bits = rng.choice((0xFFFFFFFF, 1 << rng.choice(sorted(IMPLEMENTED))))
                model.clear_ue(bits)
                await bench.write(func, 0x104, bits)
            case 5:
                bits = rng.choice((0xFFFF, 1 << 13))
                model.ce_status &= ~bits
                await bench.write(func, 0x110, bits)
                model.dev_status -= set(DEVSTA)
                await bench.write(func, 0x78, 0xF0000, be=0x4)
        header = rng.choice((None, rng.getrandbits(128)))
        event = Event(rng.choice((UR, 16, rng.choice(sorted(IMPLEMENTED)), 19)),
                      rng.random() < 0.4, header, rng.choice((None, rng.getrandbits(32))))
        all_funcs = rng.random() < 0.2
        # A function that does not exist stands for "cannot be told".
        named = rng.randrange(NUM_FUNCTIONS, 8) if all_funcs and rng.random() < 0.3 else func
        await report(bench, named, event, all_funcs and named < NUM_FUNCTIONS)
        want: set[tuple[int, int]] = set()
        seen: set[int] = set()
        for f, m in enumerate(models):
            if all_funcs or f == func:
                wishes = m.report(event)
                want |= {(code, f) for code in wishes - seen}
                seen |= wishes
        got = await bench.take_messages()
        assert len(got) == len(set(got))
        assert set(got) == want, (step, event, all_funcs)
        sent += len(got)
        for f in range(NUM_FUNCTIONS):
            await check(bench, f, models[f], (step, event, all_funcs))
    assert sent > 60, "the random walk hardly sent anything"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def log_stays_until_its_own_bit_is_cleared(dut: Any) -> None:
    """A second error finds the log taken; only clearing the bit of the first one frees it."""
    bench = CfgBench(dut)
    await bench.start()
    first, second = 0x11 << 96, 0x22 << 96
    await report(bench, 1, Event(18, False, first, None))
    await report(bench, 1, Event(12, False, second, PREFIX))
    assert await bench.read(1, 0x11C) == 0x11
    assert await bench.read(1, 0x118) == 18
    assert await bench.read(1, 0x104) == 1 << 18 | 1 << 12
    assert await bench.read(1, 0x110) == 1 << 15
    await bench.write(1, 0x104, 1 << 12)
    await report(bench, 1, Event(12, False, second, PREFIX))
    assert await bench.read(1, 0x11C) == 0x11
    await bench.write(1, 0x104, 1 << 18)
    # A masked error with the bit that the pointer still shows must not claim the log.
    await bench.write(1, 0x108, 1 << 18)
    await report(bench, 1, Event(18, False, second, None))
    await bench.write(1, 0x108, 0)
    await report(bench, 1, Event(29, False, second, PREFIX))
    assert await bench.read(1, 0x118) == 29 | 1 << 11
    assert await bench.read(1, 0x11C) == 0x22
    assert await bench.read(1, 0x138) == PREFIX


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def error_in_the_cycle_of_a_clear_is_not_lost(dut: Any) -> None:
    """W1C and a new error of the same bit, in every relative cycle: bit and log are the later's."""
    bench = CfgBench(dut)
    await bench.start()
    for delay in range(4):
        await report(bench, 2, Event(18, False, HEADER, None))
        dut.acc_valid_i.value = 0

        async def later() -> None:
            await bench.idle(delay)  # noqa: B023 - awaited before the loop goes on
            await bench.write(2, 0x104, 0xFFFFFFFF)

        clear = cocotb.start_soon(later())
        await bench.idle(1)
        await report(bench, 2, Event(18, False, HEADER ^ 1, None))
        await clear
        await bench.idle(2)
        # The event takes effect two cycles after this loop began to wait one cycle for it.
        assert await bench.read(2, 0x104) == (0 if delay > 2 else 1 << 18), delay
        assert await bench.read(2, 0x128) == (HEADER ^ (delay <= 2)) & 0xFFFFFFFF, delay
        await bench.write(2, 0x104, 0xFFFFFFFF)
        assert await bench.read(2, 0x104) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def blocked_messages_merge_and_never_block_errors(dut: Any) -> None:
    """With the transmitter stopped 50 errors are taken; afterwards one message per kind leaves."""
    bench = CfgBench(dut)
    await bench.start()
    for f in range(NUM_FUNCTIONS):
        await enable(bench, f, {"CERE", "NFERE", "FERE", "URRE"})
        await bench.write(f, 0x114, 0)
    dut.msg_ready_i.value = 0
    for n in range(50):
        func = n % 2 + 1
        await report(bench, func, Event(18, False, HEADER))
        await report(bench, func, Event(12, False, HEADER))
        await report(bench, func, Event(20, True, HEADER))
    dut.msg_ready_i.value = 1
    got = await bench.take_messages()
    # The first fatal message already stood at the output, so function 1 may send it once more.
    assert got[0] == (FATAL, 1)
    assert sorted(set(got)) == [(c, f) for c in (COR, NONFATAL, FATAL) for f in (1, 2)]
    assert len(got) <= 7
    codes = [c for c, _ in got]
    assert codes == sorted(codes, reverse=True), "fatal first, correctable last"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def flr_drops_waiting_messages_of_its_function_only(dut: Any) -> None:
    """FLR of F2 while messages wait: those of F1 and F3 still go out."""
    bench = CfgBench(dut)
    await bench.start()
    for f in (1, 2, 3):
        await enable(bench, f, {"NFERE"})
    dut.msg_ready_i.value = 0
    for f in (1, 2, 3):
        await report(bench, f, Event(12, False, HEADER))
    await bench.write(2, 0x78, 0x8000, be=0x2)
    await bench.pulse("cpl_sent_i")
    await bench.idle(2)
    dut.msg_ready_i.value = 1
    assert await bench.take_messages() == [(NONFATAL, 1), (NONFATAL, 3)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def master_data_parity_needs_a_completion_and_its_enable(dut: Any) -> None:
    """Poison: Status[15] always, Status[8] for a completion under Parity Error Response."""
    bench = CfgBench(dut)
    await bench.start()
    completion, write = 0x4A << 120, 0x60 << 120
    await report(bench, 1, Event(12, False, completion))
    assert await bench.read(1, 0x04) >> 16 == 0x8010
    await bench.write(1, 0x04, 0x0040, be=0x3)
    await report(bench, 1, Event(12, False, write))
    assert await bench.read(1, 0x04) >> 16 == 0x8010
    await report(bench, 1, Event(12, False, completion))
    assert await bench.read(1, 0x04) >> 16 == 0x8110
