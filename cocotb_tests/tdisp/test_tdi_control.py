# SPDX-License-Identifier: Apache-2.0
"""tdi_control: every state against every command and event, and what a LOCK must survive.

The tables are typed from the TDISP rules (PCIe Base 6.x, 11.2, 11.3); nothing is read from the
design.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from cocotb_tests.env import layouts, streams
from cocotb_tests.env.runner import simulate
from cocotb_tests.tdisp.control_bench import (
    ABORTED,
    BAD_CONFIG,
    BAD_INDEX,
    BAD_NONCE,
    BAD_REQUEST,
    BAD_STATE,
    DRAIN_TIMEOUT,
    EMPTY_VIEW,
    ENTROPY_TIMEOUT,
    ERROR,
    LOCK,
    LOCKED,
    NAMES,
    NO_ENTROPY,
    OK,
    PARAMETERS,
    RUN,
    SOURCES,
    START,
    STOP,
    STREAM,
    TAG,
    UNLOCKED,
    Tb,
)


def test_tdi_control() -> None:
    simulate("tdi_control", __name__, sources=SOURCES, parameters=PARAMETERS)


# ---- Legal and illegal requests ----

# (state, command) -> (result, next state)
COMMANDS = {
    (UNLOCKED, LOCK): (OK, LOCKED), (UNLOCKED, START): (BAD_STATE, UNLOCKED),
    (UNLOCKED, STOP): (OK, UNLOCKED),
    (LOCKED, LOCK): (BAD_STATE, LOCKED), (LOCKED, START): (OK, RUN), (LOCKED, STOP): (OK, UNLOCKED),
    (RUN, LOCK): (BAD_STATE, RUN), (RUN, START): (BAD_STATE, RUN), (RUN, STOP): (OK, UNLOCKED),
    (ERROR, LOCK): (BAD_STATE, ERROR), (ERROR, START): (BAD_STATE, ERROR),
    (ERROR, STOP): (OK, UNLOCKED),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_command_in_every_state(dut) -> None:
    """7.1: result and next state; the other TDIs keep theirs; view and quiesce agree."""
    tb = Tb(dut)
    await tb.start()
    for (state, op), (code, after) in COMMANDS.items():
        for tdi in range(3):
            nonce = await tb.to_state(tdi, state)
            res = await tb.do(op, tdi, nonce=nonce, lock_msix=1)
            where = f"{NAMES[state]} command {op} TDI {tdi}"
            assert (res["code"], tb.state(tdi)) == (code, after), where
            assert tb.quiet(tdi) == int(after in (LOCKED, ERROR)), where
            assert (res["nonce"] != 0) == ((state, op) == (UNLOCKED, LOCK)), where
            assert tb.error_events == [0, 0, 0], where
            assert [tb.state(i) for i in range(3) if i != tdi] == [UNLOCKED, UNLOCKED]
            if after == UNLOCKED and op == STOP:
                assert tb.view(tdi) == EMPTY_VIEW
            assert (await tb.do(STOP, tdi))["code"] == OK


EVENTS = ("violation", "stream_insecure", "stream_rekeyed", "kill_tag", "dma_error")


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_event_in_every_state(dut) -> None:
    """7, causes of ERROR: LOCKED and RUN fall in the same cycle, UNLOCKED and ERROR stay.

    Nonce destroyed, erasure started, one error event; the neighbours do not notice an event that
    is not theirs. dma_error_i is allowed one cycle.
    """
    tb = Tb(dut)
    await tb.start()
    for state in range(4):
        for event in EVENTS:
            for tdi in range(3):
                where = f"{NAMES[state]} {event} TDI {tdi}"
                nonce = await tb.to_state(tdi, state)
                erasures = [f.erasures for f in tb.functions]
                await FallingEdge(dut.clk_i)
                if event == "violation":
                    dut.violation_i.value = 1 << tdi
                elif event == "stream_insecure":
                    tb.secure[0] = 0
                    tb.apply()
                elif event == "stream_rekeyed":
                    tb.tags[0] = 0x7777
                    tb.apply()
                elif event == "kill_tag":
                    dut.kill_tag_valid_i.value = 1
                    dut.kill_tag_i.value = TAG
                else:
                    dut.dma_error_i.value = 1 << tdi
                falls = state in (LOCKED, RUN)
                await ReadOnly()
                if event != "dma_error":
                    assert tb.state(tdi) == (ERROR if falls else state), where
                    assert tb.quiet(tdi) == int(falls or state != UNLOCKED), where
                await FallingEdge(dut.clk_i)
                for name in ("violation_i", "kill_tag_valid_i", "dma_error_i"):
                    getattr(dut, name).value = 0
                await ReadOnly()
                assert tb.state(tdi) == (ERROR if falls else state), where
                await FallingEdge(dut.clk_i)
                assert not (nonce and tb.nonce_is_stored(nonce)), where
                await tb.cycles(8)
                assert tb.error_events == [int(falls and i == tdi) for i in range(3)], where
                grown = [f.erasures - e for f, e in zip(tb.functions, erasures, strict=True)]
                assert grown == [int(falls and i == tdi) for i in range(3)], where
                tb.secure[0], tb.tags[0] = 1, TAG
                tb.apply()
                await tb.cycles(3)
                assert tb.state(tdi) == (ERROR if falls else state), where
                assert (await tb.do(STOP, tdi))["code"] == OK
                tb.error_events = [0, 0, 0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def foreign_events_do_not_touch_a_running_tdi(dut) -> None:
    """Session end of another session, another stream falling, a violation of another TDI."""
    tb = Tb(dut)
    await tb.start()
    await tb.to_state(1, RUN)
    dut.kill_tag_i.value = 0x4321
    await tb.pulse("kill_tag_valid_i", 1)
    await tb.pulse("violation_i", 0b101)
    await tb.pulse("dma_error_i", 0b101)
    tb.secure = [1, 0, 0]
    tb.tags = [TAG, 0, 0]
    tb.apply()
    await tb.cycles(5)
    assert [tb.state(i) for i in range(3)] == [UNLOCKED, RUN, UNLOCKED]
    assert tb.error_events == [0, 0, 0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def conventional_reset_unlocks_everything(dut) -> None:
    """7: any state -> UNLOCKED at a conventional reset, all nonces gone."""
    tb = Tb(dut)
    await tb.start()
    await tb.to_state(0, LOCKED)
    await tb.to_state(1, RUN)
    await tb.to_state(2, ERROR)
    await streams.reset(dut.clk_i, dut.rst_i)
    assert [tb.view(i) for i in range(3)] == [EMPTY_VIEW] * 3
    assert int(dut.nonce_q.value) == 0


# ---- LOCK ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
async def lock_draws_a_fresh_nonce_from_eight_words(dut) -> None:
    """5, 7: the nonce is exactly the eight random words drawn, never the same twice."""
    tb = Tb(dut)
    await tb.start()
    seen = set()
    for tdi in (0, 1, 2, 0, 1, 2):
        tb.words.clear()
        res = await tb.do(LOCK, tdi, lock_msix=tdi & 1)
        assert res["code"] == OK
        nonce = sum(w << 32 * i for i, w in enumerate(tb.words))
        assert len(tb.words) == 8 and res["nonce"] == nonce
        assert tb.view(tdi) == EMPTY_VIEW | {"state": LOCKED, "msix_locked": tdi & 1}
        assert not tb.functions[tdi].dirty, "LOCKED without erasure"
        seen.add(nonce)
        assert (await tb.do(STOP, tdi))["code"] == OK
    assert len(seen) == 6


def lock_refusals() -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Conditions of LOCK that are not met: (name, expected code, what to change)."""
    yield "index", BAD_INDEX, {"tdi": 3}
    yield "index_255", BAD_INDEX, {"tdi": 255}
    yield "stream_unknown", BAD_REQUEST, {"cmd": {"stream_id": 77}}
    yield "stream_not_default", BAD_REQUEST, {"cmd": {"stream_id": 8}, "tags": [TAG, TAG, 0]}
    yield "stream_disabled", BAD_REQUEST, {"block0": {"enable": 0}}
    yield "stream_insecure", BAD_REQUEST, {"secure": [0, 1, 0]}
    yield "other_session", BAD_REQUEST, {"cmd": {"session_tag": 0x1235}}
    yield "tag_zero", BAD_REQUEST, {"cmd": {"session_tag": 0}, "tags": [0, 0, 0]}
    yield "link_block", BAD_REQUEST, {"cmd": {"stream_id": 9}, "secure": [1, 1, 1],
                                     "tags": [TAG, TAG, TAG],
                                     "block2": {"enable": 1, "default_stream": 1}}
    yield "two_defaults", BAD_CONFIG, {"block1": {"default_stream": 1}}
    yield "tc", BAD_CONFIG, {"block0": {"tc": 1}}
    yield "bars_overlap", BAD_CONFIG, {"func2": {"bar0": 0x10_0001_0000}}
    yield "bar_over_f0", BAD_CONFIG, {"func3": {"bar0": 0x10_0000_0000}}


def apply_refusal(tb: Tb, change: dict[str, Any]) -> None:
    """Drive the changed registers of one refusal."""
    for name, fields in change.items():
        if name.startswith("block"):
            tb.blocks[int(name[5])] = {**tb.blocks[int(name[5])], **fields}
        elif name.startswith("func"):
            tb.funcs[int(name[4])] = {**tb.funcs[int(name[4])], **fields}
        elif name in ("secure", "tags"):
            setattr(tb, name, fields)
    tb.apply()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def lock_is_refused_unless_every_condition_holds(dut) -> None:
    """5: each condition alone; no state change, no erasure, no random word, no disturbance."""
    tb = Tb(dut)
    await tb.start()
    for name, code, change in lock_refusals():
        good = ([dict(b) for b in tb.blocks], [dict(f) for f in tb.funcs], tb.secure, tb.tags)
        await FallingEdge(dut.clk_i)
        apply_refusal(tb, change)
        tb.words.clear()
        erasures = sum(f.erasures for f in tb.functions)
        res = await tb.do(LOCK, change.get("tdi", 0), **change.get("cmd", {}))
        assert res == {"code": code, "nonce": 0}, name
        assert [tb.state(i) for i in range(3)] == [UNLOCKED] * 3, name
        assert not tb.words and sum(f.erasures for f in tb.functions) == erasures, name
        tb.blocks, tb.funcs, tb.secure, tb.tags = good
        await FallingEdge(dut.clk_i)
        tb.apply()
        assert (await tb.do(LOCK, 0))["code"] == OK, f"after {name}"
        assert (await tb.do(STOP, 0))["code"] == OK


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def disabled_or_other_default_is_no_obstacle(dut) -> None:
    """The second default block counts only while enabled; BARs only with Memory Space on."""
    tb = Tb(dut)
    await tb.start()
    tb.blocks[0] = {"enable": 0, "stream_id": STREAM, "default_stream": 1}
    tb.blocks[1] = {"enable": 1, "stream_id": STREAM, "default_stream": 1}
    tb.secure, tb.tags = [0, 1, 0], [0, TAG, 0]
    tb.funcs[3] = {"mse": 0, "bar0": 0x10_0000_0000}
    tb.apply()
    assert (await tb.do(LOCK, 2))["code"] == OK
    assert tb.view(2) == EMPTY_VIEW | {"state": LOCKED, "block": 1}


LOCK_EVENTS = ("violation", "stream_insecure", "kill_tag", "bar_moved")


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(event=LOCK_EVENTS)
async def violation_at_every_cycle_of_a_lock(dut, event: str) -> None:
    """A violation in any cycle of a LOCK: aborted in UNLOCKED, or LOCKED first and then ERROR.

    Never LOCKED or RUN afterwards; no nonce survives; the view stays closed until the erasure that
    was begun is finished.
    """
    tb = Tb(dut)
    await tb.start()
    codes = []
    for delay in range(0, 40):
        tdi = delay % 3
        tb.put(LOCK, tdi)
        await tb.cycles(delay + 1)
        early = tb.cmd.queue.empty() and int(dut.cmd_ready_o.value)  # not in work yet
        if event == "violation":
            dut.violation_i.value = 1 << tdi
        elif event == "stream_insecure":
            tb.secure = [0, 1, 0]
            tb.apply()
        elif event == "bar_moved":
            tb.funcs[1]["bar0"] += 0x10000
            tb.apply()
            dut.violation_i.value = 1  # config_watch sees the BAR write
        else:
            dut.kill_tag_i.value = TAG
            dut.kill_tag_valid_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.violation_i.value = 0
        dut.kill_tag_valid_i.value = 0
        for _ in range(60):
            await FallingEdge(dut.clk_i)
            if tb.state(tdi) == UNLOCKED and tb.functions[tdi]._erase:
                raise AssertionError("the view opened before the erasure was finished")
        res = await tb.result()
        codes.append(res["code"])
        hit = (event != "bar_moved" or tdi == 0) and not (early and delay < 2)
        if res["code"] == OK and hit:
            assert tb.state(tdi) == ERROR, f"delay {delay}"
            assert not tb.nonce_is_stored(res["nonce"])
        elif hit or res["code"] != OK:
            assert res["code"] in (ABORTED, BAD_REQUEST, BAD_CONFIG), f"delay {delay}"
            assert res["nonce"] == 0 and tb.state(tdi) == UNLOCKED
            assert int(dut.draw_q.value) == 0 and int(dut.nonce_q.value) == 0
        tb.secure = [1, 1, 0]
        tb.funcs[1]["bar0"] = 0x10_0001_0000
        tb.apply()
        assert (await tb.do(STOP, tdi))["code"] == OK
    assert {ABORTED, OK} <= set(codes)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def starved_entropy_ends_a_lock_in_bounded_time(dut) -> None:
    """7.2 INSUFFICIENT_ENTROPY: no word, or too few; nothing was disturbed; later it works."""
    tb = Tb(dut)
    await tb.start()
    for words in (0, 5):
        tb.words.clear()
        tb.rnd_on = words > 0
        tb.put(LOCK, 1)
        while words and len(tb.words) < words:
            await RisingEdge(dut.clk_i)
        tb.rnd_on = False
        erasures = tb.functions[1].erasures
        for _ in range(ENTROPY_TIMEOUT + 20):
            await FallingEdge(dut.clk_i)
            assert tb.state(1) == UNLOCKED and not tb.quiet(1)
        assert not tb.res.queue.empty(), "no answer within the bound"
        assert await tb.result() == {"code": NO_ENTROPY, "nonce": 0}
        assert tb.functions[1].erasures == erasures and int(dut.draw_q.value) == 0
        tb.rnd_on = True
        res = await tb.do(LOCK, 1)
        assert res["code"] == OK
        assert (await tb.do(STOP, 1))["code"] == OK


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def function_that_does_not_drain_is_not_locked(dut) -> None:
    """A LOCK gives up after DrainTimeoutCycles; a STOP waits as long as it takes."""
    tb = Tb(dut)
    await tb.start()
    tb.functions[0].drain_cycles = 10**9
    assert await tb.do(LOCK, 0) == {"code": BAD_CONFIG, "nonce": 0}
    assert tb.state(0) == UNLOCKED and not tb.quiet(0)
    tb.functions[0].drain_cycles = 3
    await tb.to_state(0, RUN)
    tb.functions[0].drain_cycles = 4 * DRAIN_TIMEOUT
    tb.put(STOP, 0)
    await tb.cycles(3 * DRAIN_TIMEOUT)
    assert tb.res.queue.empty() and tb.state(0) == ERROR and tb.quiet(0)
    assert (await tb.result())["code"] == OK
    assert tb.state(0) == UNLOCKED


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def dma_error_of_the_earlier_owner_does_not_stop_a_lock(dut) -> None:
    """Requests that are drained belong to the owner before; their errors are no violation."""
    tb = Tb(dut)
    await tb.start()
    tb.functions[0].drain_cycles = 20
    tb.put(LOCK, 0)
    await tb.cycles(18)
    await tb.pulse("dma_error_i", 1)
    assert (await tb.result())["code"] == OK and tb.state(0) == LOCKED


# ---- START ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
async def start_needs_the_whole_nonce(dut) -> None:
    """7.1: any single wrong bit, all bits flipped, zero: INVALID_NONCE, LOCKED, nonce kept."""
    tb = Tb(dut)
    await tb.start()
    nonce = await tb.to_state(0, LOCKED)
    wrong = [nonce ^ 1 << bit for bit in range(256)] + [nonce ^ (1 << 256) - 1, 0]
    for value in wrong:
        assert (await tb.do(START, 0, nonce=value))["code"] == BAD_NONCE
        assert tb.state(0) == LOCKED
    assert (await tb.do(START, 0, nonce=nonce))["code"] == OK
    assert tb.state(0) == RUN and not tb.nonce_is_stored(nonce)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nonce_works_once_and_for_its_tdi_only(dut) -> None:
    """Nonce reuse after STOP and new LOCK, and the nonce of another TDI, are refused."""
    tb = Tb(dut)
    await tb.start()
    first = await tb.to_state(0, LOCKED)
    other = await tb.to_state(1, LOCKED)
    assert (await tb.do(START, 0, nonce=other))["code"] == BAD_NONCE
    assert (await tb.do(START, 0, nonce=first))["code"] == OK
    assert (await tb.do(START, 0, nonce=first))["code"] == BAD_STATE
    assert (await tb.do(STOP, 0))["code"] == OK
    assert (await tb.do(START, 0, nonce=first))["code"] == BAD_STATE
    second = await tb.to_state(0, LOCKED)
    assert (await tb.do(START, 0, nonce=first))["code"] == BAD_NONCE
    assert (await tb.do(START, 0, nonce=second))["code"] == OK
    assert tb.state(1) == LOCKED


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def start_from_another_session_is_refused(dut) -> None:
    """The session that locked the TDI alone may start it; the nonce is kept."""
    tb = Tb(dut)
    await tb.start()
    nonce = await tb.to_state(0, LOCKED)
    for tag in (0x4321, 0, TAG ^ 1):
        assert (await tb.do(START, 0, nonce=nonce, session_tag=tag))["code"] == BAD_REQUEST
        assert tb.state(0) == LOCKED
    assert (await tb.do(START, 0, nonce=nonce))["code"] == OK


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def violation_at_every_cycle_of_a_start(dut) -> None:
    """Whatever the order of START and violation, the TDI ends in ERROR."""
    tb = Tb(dut)
    await tb.start()
    codes = set()
    for delay in range(8):
        nonce = await tb.to_state(0, LOCKED)
        tb.put(START, 0, nonce=nonce)
        await tb.cycles(delay + 1)
        dut.violation_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.violation_i.value = 0
        codes.add((await tb.result())["code"])
        await tb.cycles(8)
        assert tb.state(0) == ERROR and not tb.nonce_is_stored(nonce)
        assert (await tb.do(STOP, 0))["code"] == OK
    assert codes == {OK, ABORTED, BAD_STATE}


# ---- STOP ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stop_closes_at_once_and_answers_after_erasure(dut) -> None:
    """7, STOP duties: closed from the first cycles, drained, erased after that, then answered."""
    tb = Tb(dut)
    await tb.start()
    for state in range(4):
        await tb.to_state(2, state)
        tb.functions[2].drain_cycles = 25
        tb.functions[2].erase_cycles = 30
        tb.functions[2].dirty = True
        tb.put(STOP, 2)
        await tb.cycles(4)
        for _ in range(28):
            assert tb.state(2) == ERROR and tb.quiet(2) and tb.res.queue.empty()
            await FallingEdge(dut.clk_i)
        assert (await tb.result())["code"] == OK
        assert tb.state(2) == UNLOCKED and not tb.quiet(2)
        tb.functions[2].drain_cycles, tb.functions[2].erase_cycles = 3, 5


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def events_and_commands_at_random_keep_the_laws(dut) -> None:
    """Random commands and events: RUN only after LOCKED of the same TDI with its nonce, never from
    ERROR; UNLOCKED only by STOP or a LOCK that did not happen; view closed while a command works.
    """
    tb = Tb(dut, seed=cocotb.RANDOM_SEED)
    await tb.start()
    history: list[list[int]] = [[UNLOCKED] for _ in range(3)]

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk_i)
            value = int(dut.state_view_o.value)
            for i in range(3):
                state = value >> layouts.TDI_VIEW_BITS * (i + 1) - 2 & 3
                if state != history[i][-1]:
                    history[i].append(state)

    cocotb.start_soon(watch())
    nonces = [0, 0, 0]
    for _ in range(250):
        tdi = tb.rng.randrange(3)
        kind = tb.rng.randrange(8)
        if kind < 3:
            res = await tb.do(LOCK, tdi)
            nonces[tdi] = res["nonce"] or nonces[tdi]
        elif kind < 5:
            await tb.do(START, tdi, nonce=nonces[tdi])
        elif kind < 7:
            await tb.do(STOP, tdi)
        else:
            await tb.pulse(tb.rng.choice(["violation_i", "dma_error_i"]), 1 << tdi)
    legal = {(UNLOCKED, LOCKED), (LOCKED, RUN), (LOCKED, ERROR), (RUN, ERROR), (ERROR, UNLOCKED)}
    seen = {(a, b) for h in history for a, b in pairwise(h)}
    assert seen == legal
