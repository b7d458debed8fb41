# SPDX-License-Identifier: Apache-2.0
"""tdi_control: the requests that are legal in RUN only, and that what they changed ends with RUN.

SET_MMIO_ATTRIBUTE, BIND_P2P_STREAM, UNBIND_P2P_STREAM (TDISP, PCIe Base 6.x, 11.3.14 to 11.3.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from cocotb_tests.env.runner import simulate
from cocotb_tests.tdisp.control_bench import (
    BAD_INDEX,
    BAD_REQUEST,
    BAD_STATE,
    BIND_P2P,
    ERROR,
    LOCK,
    OK,
    PARAMETERS,
    RUN,
    SET_ATTRIBUTE,
    SOURCES,
    START,
    STOP,
    STREAM,
    TAG,
    UNBIND_P2P,
    UNLOCKED,
    Tb,
)

P2P_STREAM = 8
UPDATABLE = 0x0C00  # pages 10 and 11 of BAR0
MIB = 20


def test_tdi_run_requests() -> None:
    simulate("tdi_control", __name__, sources=SOURCES, parameters=PARAMETERS)


async def running(dut: Any, *, bind_p2p: int = 1) -> Tb:
    """TDI 1 in RUN; block 1 keyed by the same session and with an address association."""
    tb = Tb(dut)
    tb.tags = [TAG, TAG, 0]
    tb.blocks[1] |= {"addr_valid": 1, "addr_base": 0x40_0000, "addr_limit": 0x40_00FF}
    tb.apply()
    await tb.start()
    res = await tb.do(LOCK, 1, bind_p2p=bind_p2p, p2p_mask=0xFFFF_0000_0010_0000)
    assert res["code"] == OK
    assert (await tb.do(START, 1, nonce=res["nonce"]))["code"] == OK
    return tb


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def attribute_changes_only_what_is_named(dut) -> None:
    """Each updatable page alone and both; the other TDIs keep theirs."""
    tb = await running(dut)
    shared = 0
    for pages, non_tee in ((0x400, 1), (0x800, 1), (0x400, 0), (0xC00, 1), (0xC00, 0)):
        assert (await tb.do(SET_ATTRIBUTE, 1, pages=pages, non_tee=non_tee))["code"] == OK
        bits = pages >> 10
        shared = shared | bits if non_tee else shared & ~bits
        assert tb.view(1)["shared"] == shared
        assert tb.view(0)["shared"] == tb.view(2)["shared"] == 0
    assert tb.state(1) == RUN


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def attribute_of_any_other_page_is_refused(dut) -> None:
    """No page, every page that is not updatable, a mix, another session: no effect."""
    tb = await running(dut)
    masks = [0, *(1 << page for page in range(16) if not UPDATABLE >> page & 1), 0x0E00, 0xFFFF]
    for pages in masks:
        res = await tb.do(SET_ATTRIBUTE, 1, pages=pages, non_tee=1)
        assert res["code"] == BAD_REQUEST, f"pages {pages:#x}"
    assert (await tb.do(SET_ATTRIBUTE, 1, pages=UPDATABLE, non_tee=1,
                        session_tag=TAG + 1))["code"] == BAD_REQUEST
    assert (await tb.do(SET_ATTRIBUTE, 9, pages=UPDATABLE, non_tee=1))["code"] == BAD_INDEX
    assert tb.view(1)["shared"] == 0 and tb.state(1) == RUN


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def requests_of_run_are_refused_in_every_other_state(dut) -> None:
    """INVALID_INTERFACE_STATE in UNLOCKED, LOCKED and ERROR, state and view unchanged."""
    tb = await running(dut)
    assert (await tb.do(STOP, 1))["code"] == OK
    for state in (UNLOCKED, 1, ERROR):
        if state == 1:
            await tb.do(LOCK, 1, bind_p2p=1)
        if state == ERROR:
            await tb.pulse("violation_i", 0b010)
        assert tb.state(1) == state
        before = tb.view(1)
        for op, fields in ((SET_ATTRIBUTE, {"pages": UPDATABLE, "non_tee": 1}),
                           (BIND_P2P, {"stream_id": P2P_STREAM}),
                           (UNBIND_P2P, {"stream_id": P2P_STREAM})):
            assert (await tb.do(op, 1, **fields))["code"] == BAD_STATE, f"state {state} op {op}"
        assert tb.view(1) == before


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bind_and_unbind(dut) -> None:
    """The stream appears in the view and goes; the address mask is that of LOCK."""
    tb = await running(dut)
    mask = int(dut.p2p_mask_o.value) >> 44 & (1 << 44) - 1
    assert mask == 0xFFFF_0000_0010_0000 >> MIB
    assert (await tb.do(UNBIND_P2P, 1, stream_id=P2P_STREAM))["code"] == BAD_REQUEST
    assert (await tb.do(BIND_P2P, 1, stream_id=P2P_STREAM))["code"] == OK
    assert tb.view(1)["p2p"] == 0b010 and tb.view(0)["p2p"] == tb.view(2)["p2p"] == 0
    assert (await tb.do(BIND_P2P, 1, stream_id=P2P_STREAM))["code"] == BAD_REQUEST, "twice"
    assert (await tb.do(UNBIND_P2P, 1, stream_id=P2P_STREAM, session_tag=9))["code"] == BAD_REQUEST
    assert tb.view(1)["p2p"] == 0b010
    assert (await tb.do(UNBIND_P2P, 1, stream_id=P2P_STREAM))["code"] == OK
    assert tb.view(1)["p2p"] == 0 and tb.state(1) == RUN


def bind_refusals() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "default stream", {"cmd": {"stream_id": STREAM}}
    yield "unknown stream", {"cmd": {"stream_id": 77}}
    yield "other session", {"cmd": {"session_tag": TAG + 1}}
    yield "keys of another session", {"tags": [TAG, TAG + 1, 0]}
    yield "keys missing", {"tags": [TAG, 0, 0]}
    yield "insecure", {"secure": [1, 0, 0]}
    yield "disabled", {"block": {"enable": 0}}
    yield "marked default", {"block": {"default_stream": 1}}
    yield "traffic class", {"block": {"tc": 1}}
    yield "no address association", {"block": {"addr_valid": 0}}
    yield "empty address association", {"block": {"addr_base": 0x50_0000}}
    yield "Stream ID twice", {"block": {"stream_id": STREAM}, "cmd": {"stream_id": STREAM}}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bind_is_refused_unless_every_condition_holds(dut) -> None:
    """INVALID_REQUEST, TDI stays in RUN with nothing bound; then it works."""
    tb = await running(dut)
    good_block, good_tags, good_secure = dict(tb.blocks[1]), list(tb.tags), list(tb.secure)
    for name, change in bind_refusals():
        tb.blocks[1] = good_block | change.get("block", {})
        tb.tags = change.get("tags", good_tags)
        tb.secure = change.get("secure", good_secure)
        tb.apply()
        await tb.cycles(1)
        res = await tb.do(BIND_P2P, 1, **{"stream_id": P2P_STREAM, **change.get("cmd", {})})
        assert (res["code"], tb.view(1)["p2p"], tb.state(1)) == (BAD_REQUEST, 0, RUN), name
    tb.blocks[1], tb.tags, tb.secure = good_block, good_tags, good_secure
    tb.apply()
    await tb.cycles(1)
    assert (await tb.do(BIND_P2P, 1, stream_id=P2P_STREAM))["code"] == OK


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bind_needs_the_flag_of_lock(dut) -> None:
    """A TDI that was locked without BIND_P2P binds nothing."""
    tb = await running(dut, bind_p2p=0)
    assert (await tb.do(BIND_P2P, 1, stream_id=P2P_STREAM))["code"] == BAD_REQUEST
    assert tb.view(1)["p2p"] == 0


EVENTS = ("violation", "kill_tag", "default stream", "P2P stream", "P2P session")


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(event=EVENTS)
async def what_was_bound_and_shared_ends_with_run(dut, event: str) -> None:
    """View closed in the cycle of the event; a later LOCK and START begin with nothing."""
    tb = await running(dut)
    await tb.do(BIND_P2P, 1, stream_id=P2P_STREAM)
    await tb.do(SET_ATTRIBUTE, 1, pages=UPDATABLE, non_tee=1)
    good_tags, good_secure = list(tb.tags), list(tb.secure)
    await FallingEdge(dut.clk_i)
    match event:
        case "violation":
            dut.violation_i.value = 0b010
        case "kill_tag":
            dut.kill_tag_valid_i.value, dut.kill_tag_i.value = 1, TAG
        case "default stream":
            tb.secure = [0, 1, 0]
        case "P2P stream":
            tb.secure = [1, 0, 0]
        case _:
            tb.tags = [TAG, TAG + 1, 0]
    tb.apply()
    await ReadOnly()
    assert tb.view(1) | {"msix_locked": 0} == {
        "state": ERROR, "msix_locked": 0, "block": 0, "p2p": 0, "shared": 0}
    await FallingEdge(dut.clk_i)
    dut.violation_i.value = dut.kill_tag_valid_i.value = 0
    tb.tags, tb.secure = good_tags, good_secure
    tb.apply()
    await tb.cycles(2)
    assert tb.state(1) == ERROR and tb.error_events == [0, 1, 0]
    assert (await tb.do(STOP, 1))["code"] == OK
    res = await tb.do(LOCK, 1, bind_p2p=1)
    assert (await tb.do(START, 1, nonce=res["nonce"]))["code"] == OK
    assert (tb.state(1), tb.view(1)["p2p"], tb.view(1)["shared"]) == (RUN, 0, 0)
