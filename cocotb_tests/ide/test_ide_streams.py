# SPDX-License-Identifier: Apache-2.0
"""ide_streams with both engines: key bus rules, entering and leaving Secure, erasure of keys."""

from __future__ import annotations

from itertools import product
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from cocotb_tests.env import streams
from cocotb_tests.env.runner import simulate
from cocotb_tests.ide import headers as h
from cocotb_tests.ide.bench import (
    ABANDON,
    BAD_INDEX,
    COMMIT,
    GO,
    KILL_TAG,
    LOAD,
    OK,
    REFUSED,
    RX,
    SOURCES,
    STOP,
    TX,
    WRAPPER,
    Bench,
    Partner,
)
from cocotb_tests.ide.model import CPL, MSG_FAIL, NPR, PR, Receiver, Sender


def test_ide_streams() -> None:
    simulate("ide_bench", __name__, sources=SOURCES, extra_sources=[WRAPPER])


SIX = list(product((RX, TX), (PR, NPR, CPL)))
# A stream has three live slots a direction; each takes 17 cycles and the hand-over.
ERASE_LIVE, ERASE_ALL = 64, 128


async def traffic(tb: Bench, p: Partner) -> None:
    """One protected TLP of every class in both directions."""
    for header, payload in ((h.mwr32(0x40, 1), tb.rng.randbytes(4)), (h.mrd32(0, 1), b""),
                            (h.cpl(length_dw=1), tb.rng.randbytes(4))):
        tb.receive(p.send.protect(header, payload, t=1))
        assert (await tb.delivered())[:2] == (header, payload)
        tb.send(header, payload, ide=1, block=p.block, t_bit=1)
        assert p.receive.accept(await tb.emitted()) == (payload, 1)


def absent(tb: Bench, p: Partner) -> None:
    """No key of the stream is anywhere in the design."""
    for name, key in p.keys.items():
        where = tb.find(key)
        assert not where, f"key {name} is still in {where}"


# ---- Entering Secure ----

@cocotb.test(timeout_time=5, timeout_unit="ms")
async def secure_needs_all_six_keys_of_one_set(dut: Any) -> None:
    """6.4: with any one of the six not GO'd, or of the other set, the stream is not Secure."""
    tb = Bench(dut)
    await tb.start()
    await tb.configure(0, stream_id=1, enable=1)
    for missing in SIX:
        p = Partner(0, 5, Sender(1), Receiver(1))
        await tb.key_all(p, 0)
        for is_tx, sub in SIX:
            if (is_tx, sub) != missing:
                assert await tb.go(0, is_tx, sub, 0, 5) == OK
        await tb.cycles(3)
        assert tb.secure()[0] == 0 and tb.tags()[0] == 0, missing
        assert await tb.program(0, *missing, 1, bytes(range(32)), 5) == OK
        assert await tb.go(0, *missing, 1, 5) == OK
        await tb.cycles(3)
        assert tb.secure()[0] == 0, f"{missing} from the other set counts"
        assert await tb.go(0, *missing, 0, 5) == OK
        await tb.cycles(3)
        assert tb.secure()[0] == 1 and tb.tags()[0] == 5
        await tb.configure(0, enable=0)
        await tb.configure(0, enable=1)
        await tb.cycles(150)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def enable_may_come_first_or_last(dut: Any) -> None:
    """6.4: Secure in any order; with Enable last, State is 2 in the cycle of the write."""
    tb = Bench(dut)
    await tb.start()
    for last in ("enable", "go"):
        p = Partner(0, 5, Sender(1), Receiver(1))
        await tb.configure(0, stream_id=1, enable=int(last == "go"))
        await tb.key_all(p, 0)
        await tb.go_all(p, 0)
        if last == "enable":
            assert tb.secure()[0] == 0 and tb.tags()[0] == 5
            await FallingEdge(dut.clk_i)
            tb.cfg[0]["enable"] = 1
            tb._apply()
            await ReadOnly()
        assert tb.secure()[0] == 1
        await FallingEdge(dut.clk_i)
        await traffic(tb, p)
        await tb.configure(0, enable=0)
        await tb.cycles(150)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def both_sets_programmed_before_enable(dut: Any) -> None:
    """8.4 KSetGo 3.1 then 3.2: K0 GO'd, then K1 GO'd, then Enable: traffic runs under K1."""
    tb = Bench(dut)
    await tb.start()
    p = Partner(0, 5, Sender(1, key_set=[1] * 3), Receiver(1, key_set=[1] * 3))
    await tb.configure(0, stream_id=1, enable=0)
    for key_set in (0, 1):
        await tb.key_all(p, key_set)
        await tb.go_all(p, key_set)
    await tb.configure(0, enable=1)
    await tb.cycles(1)
    assert tb.secure()[0] == 1
    await traffic(tb, p)


# ---- Refusals ----

@cocotb.test(timeout_time=2, timeout_unit="ms")
async def set_in_use_is_never_overwritten(dut: Any) -> None:
    """7.8: Load and Commit of a GO'd set while Secure are refused; traffic goes on."""
    tb = Bench(dut)
    await tb.start()
    p = await tb.bring_up(0, 1, tag=5)
    for is_tx, sub in SIX:
        assert await tb.load(0, is_tx, sub, 0, bytes(32), 5) == REFUSED
        assert await tb.key(COMMIT, block=0, is_tx=is_tx, sub_stream=sub, key_set=0,
                            session_tag=5) == REFUSED
    await traffic(tb, p)
    # Loaded before the set came into use, committed after: refused as well.
    assert await tb.load(0, RX, PR, 1, bytes(32), 5) == OK
    assert await tb.key(COMMIT, block=0, is_tx=RX, sub_stream=PR, key_set=0,
                        session_tag=5) == REFUSED
    assert await tb.key(COMMIT, block=0, is_tx=RX, sub_stream=PR, key_set=1,
                        session_tag=5) == REFUSED, "staging survived a refusal"
    await traffic(tb, p)
    assert tb.secure()[0] == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def incomplete_or_misnamed_keys_are_refused(dut: Any) -> None:
    """Commit needs all eight DWs of that very key; bad indices and tag 0 are refused."""
    tb = Bench(dut)
    await tb.start()
    name = {"block": 0, "is_tx": 0, "sub_stream": 0, "key_set": 0, "session_tag": 5}
    assert await tb.key(COMMIT, **name) == REFUSED
    for skipped in range(8):
        for i in range(8):
            if i != skipped:
                assert await tb.key(LOAD, **name, dw_idx=i, data=1) == OK
        assert await tb.key(COMMIT, **name) == REFUSED
    for other in ({"block": 1}, {"is_tx": 1}, {"sub_stream": 2}, {"key_set": 1},
                  {"session_tag": 6}):
        assert await tb.load(0, 0, 0, 0, bytes(range(32)), 5) == OK
        assert await tb.key(COMMIT, **{**name, **other}) == REFUSED
        assert await tb.key(COMMIT, **name) == REFUSED
    # A DW for another key drops what was loaded.
    for i in range(8):
        assert await tb.key(LOAD, **{**name, "key_set": int(i == 7)}, dw_idx=i, data=1) == OK
    assert await tb.key(COMMIT, **{**name, "key_set": 1}) == REFUSED
    # Abandon does, too.
    assert await tb.load(0, 0, 0, 0, bytes(range(32)), 5) == OK
    assert await tb.key(ABANDON) == OK
    assert not tb.find(bytes(range(32)))
    assert await tb.key(COMMIT, **name) == REFUSED
    for op in (LOAD, COMMIT, GO, STOP):
        for bad in ({"block": 3}, {"sub_stream": 3}):
            assert await tb.key(op, **{**name, **bad}) == BAD_INDEX
    assert await tb.key(6) == BAD_INDEX and await tb.key(7) == BAD_INDEX
    assert await tb.load(0, 0, 0, 0, bytes(range(32)), 0) == REFUSED
    assert await tb.key(GO, **name) == REFUSED, "GO of a key that is not there"
    assert await tb.program(0, 0, 0, 0, bytes(range(32)), 5) == OK
    assert await tb.key(GO, **{**name, "session_tag": 6}) == REFUSED
    assert await tb.key(STOP, **{**name, "session_tag": 6}) == REFUSED
    assert await tb.key(GO, **name) == OK
    assert await tb.key(STOP, **{**name, "key_set": 1}) == OK, "STOP of nothing is acknowledged"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def second_go_on_a_running_key_has_no_effect(dut: Any) -> None:
    """The invocation counters go on, in both directions."""
    tb = Bench(dut)
    await tb.start()
    p = await tb.bring_up(0, 1, tag=5)
    await traffic(tb, p)
    await tb.go_all(p, 0)
    await traffic(tb, p)
    assert tb.secure()[0] == 1


# ---- Leaving Secure ----

@cocotb.test(timeout_time=2, timeout_unit="ms")
async def stop_of_a_key_in_use_ends_the_stream(dut: Any) -> None:
    """6.4: any of the six; all keys go; the neighbour stays. STOP of an unused set does nothing."""
    tb = Bench(dut)
    await tb.start()
    b = await tb.bring_up(1, 2, tag=6)
    for is_tx, sub in SIX:
        a = await tb.bring_up(0, 1, tag=5)
        await tb.key_all(a, 1)
        tb.events()
        assert await tb.stop(0, is_tx, sub, 1, 5) == OK
        assert tb.secure() == [1, 1, 0] and not tb.events()
        assert await tb.stop(0, is_tx, sub, 0, 5) == OK
        assert tb.secure() == [0, 1, 0] and tb.tags() == [0, 6, 0]
        assert tb.events() == {"insecure[0]": 1}
        await tb.cycles(ERASE_ALL)
        absent(tb, a)
        await traffic(tb, b)
        await tb.configure(0, enable=0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def stop_of_the_old_set_after_a_refresh_keeps_the_stream(dut: Any) -> None:
    """8.4 KSetStop: with the new set GO'd, stopping the old one hands every channel over."""
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=5)
    await traffic(tb, a)
    await tb.key_all(a, 1)
    await tb.go_all(a, 1)
    old = {k: v for k, v in a.keys.items() if k[2] == 0}
    for is_tx, sub in SIX:
        assert await tb.stop(0, is_tx, sub, 0, 5) == OK
    assert tb.secure()[0] == 1
    await tb.cycles(ERASE_ALL)
    for key in old.values():
        assert not tb.find(key)
    for sub in (PR, NPR, CPL):
        a.send.flip(sub, 1)
    a.receive.accepts_flip = True
    await traffic(tb, a)
    assert await tb.stop(0, RX, PR, 1, 5) == OK
    assert tb.secure()[0] == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def end_of_a_session_kills_its_streams_only(dut: Any) -> None:
    """KILL_TAG: every stream keyed under the tag, also a half-keyed one; others live on."""
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=5)
    b = await tb.bring_up(1, 2, tag=6)
    c = await tb.bring_up(2, 3, tag=5, is_link=1)
    tb.events()
    assert await tb.key(KILL_TAG, session_tag=7) == OK
    assert tb.secure() == [1, 1, 1]
    assert tb.events() == {"kill_tag": 1}
    assert await tb.key(KILL_TAG, session_tag=5) == OK
    assert tb.secure() == [0, 1, 0] and tb.tags() == [0, 6, 0]
    assert tb.events() == {"insecure[0]": 1, "insecure[2]": 1, "kill_tag": 1}
    await tb.cycles(2 * ERASE_LIVE)
    absent(tb, a)
    absent(tb, c)
    await traffic(tb, b)
    key = tb.rng.randbytes(32)
    await tb.configure(0, enable=0)
    assert await tb.program(0, RX, PR, 0, key, 9) == OK
    assert tb.find(key)
    assert await tb.key(KILL_TAG, session_tag=9) == OK
    await tb.cycles(ERASE_LIVE)
    assert not tb.find(key)
    assert await tb.go(0, RX, PR, 0, 9) == REFUSED


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def key_of_another_session_wipes_the_stream_first(dut: Any) -> None:
    """Row 34: Insecure, old keys erased, then the new key is taken for its session."""
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=5)
    b = await tb.bring_up(1, 2, tag=6)
    tb.events()
    key = tb.rng.randbytes(32)
    assert await tb.load(0, TX, NPR, 0, key, 8) == OK
    assert tb.secure()[0] == 1, "the stream falls with the Commit, not before"
    assert await tb.key(COMMIT, block=0, is_tx=TX, sub_stream=NPR, key_set=0, session_tag=8) == OK
    assert tb.secure() == [0, 1, 0] and tb.events() == {"insecure[0]": 1}
    await tb.cycles(ERASE_LIVE)
    absent(tb, a)
    assert tb.find(key)
    assert await tb.go(0, TX, NPR, 0, 5) == REFUSED
    assert await tb.go(0, TX, NPR, 0, 8) == OK
    await traffic(tb, b)
    a2 = await tb.bring_up(0, 1, tag=8)
    await traffic(tb, a2)


EVENTS = ("disable", "reconfig", "icf", "flr0", "reset")


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(event=EVENTS)
async def keys_are_gone_after_every_event(dut: Any, event: str) -> None:
    """Valid bits fall in the cycle of the event; soon no key is anywhere, staging included.

    The stream has both key sets programmed and a ninth key half loaded.
    """
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=5)
    b = await tb.bring_up(1, 2, tag=6)
    await tb.key_all(a, 1)
    await traffic(tb, a)
    staged = tb.rng.randbytes(32)
    for i in range(6):
        assert await tb.key(LOAD, block=0, is_tx=RX, sub_stream=PR, key_set=1, session_tag=5,
                            dw_idx=i, data=int.from_bytes(staged[4 * i:4 * i + 4], "big")) == OK
    assert tb.schedules_left(0) == 12 * 16
    for key in a.keys.values():
        assert tb.find(key), "the search finds nothing: it proves nothing"
    assert staged[:16] in int(dut.u_streams.stage_q.value).to_bytes(32, "big")
    tb.events()
    if event == "icf":
        tb.receive(a.send.protect(h.mwr32(0, 1), bytes(4)).flip("mac", 1))
        while not int(dut.icf_o.value):
            await FallingEdge(dut.clk_i)
    else:
        await FallingEdge(dut.clk_i)
        if event == "disable":
            tb.cfg[0]["enable"] = 0
            tb._apply()
        elif event == "reconfig":
            dut.reconfig_i.value = 1
        elif event == "flr0":
            dut.flr0_i.value = 1
        else:
            dut.rst_i.value = 1
    others = event not in ("flr0", "reset")
    if event != "reset":
        await ReadOnly()
        assert tb.secure() == [0, int(others), 0] and tb.tags() == [0, 6 * others, 0]
        assert int(dut.u_streams.rx_key_ok_o.value) & 0x3F == 0
        assert int(dut.u_streams.tx_key_ok_o.value) & 0x3F == 0
    await FallingEdge(dut.clk_i)
    dut.reconfig_i.value = 0
    dut.flr0_i.value = 0
    dut.rst_i.value = 0
    await ReadOnly()
    assert int(dut.u_streams.stage_q.value) == 0, "staging is cleared at the end of the cycle"
    assert (int(dut.u_streams.prog_q.value) & (0x3F << 18 | 0x3F)) == 0
    cycles = {"flr0": 192, "reset": 320}.get(event, ERASE_ALL)
    await tb.cycles(cycles)
    absent(tb, a)
    assert tb.schedules_left(0) == 0 and not tb.find(staged)
    if event == "icf":
        assert (await tb.emitted()).header[7] == MSG_FAIL
    if others:
        assert all(tb.find(k) for k in b.keys.values()), "the neighbour lost a key"
        await traffic(tb, b)
    else:
        absent(tb, b)
        tb.cfg[1]["enable"] = 1
    a = await tb.bring_up(0, 1, tag=7)
    await traffic(tb, a)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def live_keys_are_erased_within_64_cycles(dut: Any) -> None:
    """Three slots a direction: measured from the event to the last row, engine busy or not."""
    tb = Bench(dut)
    await tb.start()
    b = await tb.bring_up(1, 2, tag=6)
    worst = 0
    for busy in (False, True):
        a = await tb.bring_up(0, 1, tag=5)
        if busy:   # long TLPs of the neighbour in both engines
            for _ in range(2):
                tb.receive(b.send.protect(h.mwr64(0x1_0000_0000, 64), bytes(256)))
                tb.send(h.mwr64(0x1_0000_0000, 64), bytes(256), ide=1, block=1)
            await tb.cycles(60)
        await tb.pulse("reconfig_i", 1)
        cycles = 1
        while tb.schedules_left(0):
            await tb.cycles(1)
            cycles += 1
        absent(tb, a)
        dut._log.info("three live keys a direction erased in %d cycles, busy=%s", cycles, busy)
        worst = max(worst, cycles)
        await tb.configure(0, enable=0)
        if busy:
            for _ in range(2):
                b.receive.accept(await tb.emitted())
                await tb.delivered()
    assert worst <= ERASE_LIVE
    await traffic(tb, b)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def event_at_every_cycle_of_a_commit(dut: Any) -> None:
    """A stream that falls while a key is being expanded: refused, and nowhere to find."""
    tb = Bench(dut)
    await tb.start()
    await tb.configure(0, stream_id=1, enable=0)
    statuses = []
    for delay in range(0, 60, 2):
        key = tb.rng.randbytes(32)
        assert await tb.load(0, RX, NPR, 1, key, 5) == OK
        tb.key_drv.put(streams.pack(
            (("op", 3), ("block", 2), ("is_tx", 1), ("sub_stream", 2), ("key_set", 1),
             ("rest", 51)), op=COMMIT, block=0, is_tx=RX, sub_stream=NPR, key_set=1, rest=5))
        status = []

        async def answer(status: list[int] = status) -> None:
            while not status:
                await FallingEdge(dut.clk_i)
                if int(dut.key_status_valid_o.value):
                    status.append(int(dut.key_status_o.value))

        task = cocotb.start_soon(answer())
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        await tb.pulse("reconfig_i", 1)
        await task
        await tb.cycles(ERASE_LIVE)
        assert not tb.find(key), f"delay {delay}"
        assert await tb.go(0, RX, NPR, 1, 5) == REFUSED, f"delay {delay}"
        statuses.append(status[0])
    assert {OK, REFUSED} == set(statuses)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def staging_is_empty_after_every_commit(dut: Any) -> None:
    """One staging register, overwritten with the answer."""
    tb = Bench(dut)
    await tb.start()
    for is_tx, sub in SIX:
        assert await tb.program(0, is_tx, sub, 0, tb.rng.randbytes(32), 5) == OK
        assert int(dut.u_streams.stage_q.value) == 0
        assert int(dut.u_streams.stage_loaded_q.value) == 0
