# SPDX-License-Identifier: Apache-2.0
"""Faults in the life of a session on a virtual board: wrong order, locked registers, death, reset.

Each ends in a state that the table of PCIe Base 11.2 allows, and in an error or a warning that says
what to do; the device goes on.
"""

from __future__ import annotations

import pytest

from teeio.core.device import WORK_MEMORY
from teeio.core.enumerate import CAP_PCIE
from teeio.core.ops import Steps, cfg_read, cfg_write, doe_exchange, mem_read, mem_write
from teeio.core.port_steps import CompletionStatus
from teeio.core.tsm import CONTROL_ENABLE
from teeio.errors import LocalError, TransportError, TsmError
from teeio.host import Host
from teeio.info import describe
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import CplStatus
from tests.board.scenes import (
    SESSION_DEADLINE,
    SHORT_DEADLINE,
    HostMaker,
    expect_state,
    hurry,
    plain_driver,
    run_tdis,
    running,
    shown_state,
    still_answers,
    tee_driver,
)


def test_wrong_order_locked_registers_and_untrusted_access(hosts: HostMaker) -> None:
    """One session: wrong verbs are refused on the host, T=0 is kept out, locked is locked."""
    host = hosts()
    tsm, run = host.tsm, host.run
    for early in (tsm.connect, tsm.disconnect, tsm.stream_state, lambda: tsm.bind(0),
                  lambda: tsm.start(0), lambda: tsm.unbind(0), lambda: tsm.tdi_state(0)):
        with pytest.raises(LocalError):
            run(early())

    def discover_and_connect() -> Steps[None]:
        yield from tsm.discover()
        yield from tsm.connect()

    run(discover_and_connect())
    verbs_in_the_wrong_order(host)
    run_tdis(host, 1)
    untrusted_access_is_refused(host)
    for name, offset, mask in (("BAR0", 0x10, 0x0010_0000), ("Memory Space Enable", 0x04, 2),
                               ("Bus Master Enable", 0x04, 4)):
        locked_register(host, name, offset, mask)
    function_level_reset(host)

    # IDE control last: it takes the stream, and with it every TDI.
    assert tsm.block is not None
    run(cfg_write(tsm.functions[0].bdf, tsm.block.control, 0))
    expect_state(host, 1, TdiState.ERROR)
    assert run(tsm.stream_state()) == 0
    run(tsm.disconnect())
    with pytest.raises(LocalError, match="not connected"):
        run(tsm.disconnect())
    still_answers(host)


def verbs_in_the_wrong_order(host: Host) -> None:
    """Each is refused before anything is sent; TDI 0 ends in RUN."""
    tsm, run = host.tsm, host.run
    objects = host.dispatcher.objects
    for wrong in (tsm.connect, lambda: tsm.start(0), lambda: tsm.bind(7), lambda: tsm.unbind(7)):
        with pytest.raises(LocalError):
            run(wrong())
    assert host.dispatcher.objects == objects
    for tdi in (0, 1):
        run(tsm.unbind(tdi))
        expect_state(host, tdi, TdiState.CONFIG_UNLOCKED)
    run(tsm.bind(0))
    with pytest.raises(LocalError, match="bound already"):
        run(tsm.bind(0))
    run(tsm.start(0))
    objects = host.dispatcher.objects
    with pytest.raises(LocalError, match="started already"):
        run(tsm.start(0))
    assert host.dispatcher.objects == objects
    expect_state(host, 0, TdiState.RUN)


def untrusted_access_is_refused(host: Host) -> None:
    """T=0 changes and reads nothing of a TEE page, and is no reason to leave RUN."""
    driver = tee_driver(host)
    host.run(driver.write(0, b"kept" * 16))
    where = driver.function.bar0 + WORK_MEMORY
    host.run(mem_write(where, b"lost" * 16, tee=False))
    with pytest.raises(CompletionStatus) as refusal:
        host.run(mem_read(where, 64, tee=False))
    assert refusal.value.status == CplStatus.UR
    assert host.run(driver.read(0, 64)) == b"kept" * 16
    expect_state(host, 0, TdiState.RUN)


def locked_register(host: Host, name: str, offset: int, mask: int) -> None:
    """A write that changes it completes; TDI 0 goes to ERROR for good, TDI 1 stays in RUN."""
    tsm, run = host.tsm, host.run
    function = tsm.tdi_function(0)
    run(tee_driver(host).write(0, b"kept" * 16))
    value = run(cfg_read(function.bdf, offset))
    if offset == 0x04:
        value &= 0xFFFF  # Status is write-1-to-clear
    run(cfg_write(function.bdf, offset, value ^ mask))  # raises if it were not completed
    expect_state(host, 0, TdiState.ERROR)
    expect_state(host, 1, TdiState.RUN)
    run(cfg_write(function.bdf, offset, value))
    expect_state(host, 0, TdiState.ERROR)
    run(tsm.unbind(0))
    assert run(plain_driver(host).read(0, 64)) == bytes(64), name
    run_tdis(host, 0)


def function_level_reset(host: Host) -> None:
    """Initiate FLR in RUN: ERROR for this TDI only, until it is stopped."""
    function = host.tsm.tdi_function(0)
    control = function.caps[CAP_PCIE] + 8
    value = host.run(cfg_read(function.bdf, control)) & 0xFFFF
    host.run(cfg_write(function.bdf, control, value | 1 << 15))
    host.serve(100_000)
    expect_state(host, 0, TdiState.ERROR)
    expect_state(host, 1, TdiState.RUN)
    host.run(host.tsm.unbind(0))
    expect_state(host, 0, TdiState.CONFIG_UNLOCKED)


@pytest.mark.long
def test_every_ide_register_of_a_bound_stream_is_locked(hosts: HostMaker) -> None:
    """A write that changes it completes and takes the stream; new keys bring everything back."""
    host = running(hosts)
    tsm, run = host.tsm, host.run
    block, first = tsm.block, tsm.functions[0]
    assert block is not None
    at = block.offset
    for name, offset, mask in (
        ("Enable", block.control, CONTROL_ENABLE), ("Default Stream", block.control, 1 << 22),
        ("Stream ID", block.control, 0x02 << 24), ("RID Limit", at + 0x0C, 1 << 8),
        ("RID Base", at + 0x10, 1 << 8), ("Address Association 1", at + 0x14, 1),
        ("Address Association 2", at + 0x18, 1), ("Address Association 3", at + 0x1C, 1),
    ):
        run_tdis(host, 0, 1)
        value = run(cfg_read(first.bdf, offset))
        run(cfg_write(first.bdf, offset, value ^ mask))
        assert run(tsm.stream_state()) == 0, name
        for tdi in (0, 1):
            expect_state(host, tdi, TdiState.ERROR)
            run(tsm.unbind(tdi))
        run(tsm._drop_stream())
        run(tsm._key_stream())
    run(tsm.disconnect())
    still_answers(host)


def kill_session(host: Host, how: str) -> None:
    """Let the device see a record that is not the next one of its session."""
    sent: list[bytes] = []
    host.dispatcher.on_object = lambda is_request, data: sent.append(data) if is_request else None
    expect_state(host, 0, TdiState.RUN)
    host.dispatcher.on_object = None
    record = sent[-1]
    assert record[2] == 2
    match how:
        case "replayed":
            pass
        case "bit flipped":
            record = record[:20] + bytes((record[20] ^ 4,)) + record[21:]
        case "cut":
            record = (record[:4] + (len(record) // 4 - 3).to_bytes(4, "little") + record[8:-12])
        case _:
            raise AssertionError(how)
    hurry(host, SESSION_DEADLINE)
    try:
        host.run(doe_exchange(record))
    except TransportError:
        pass  # silence is as good as a refusal


def test_a_dead_session_is_taken_down_and_says_so(hosts: HostMaker) -> None:
    """Unbind and disconnect succeed with a warning; every other verb says what to do."""
    warnings: list[str] = []

    def observe(step: str, detail: str) -> None:
        if step == "warning":
            warnings.append(detail)

    host = running(hosts, 0, 1, observe=observe)
    tsm, run = host.tsm, host.run
    run(tee_driver(host).write(0, b"kept" * 16))
    kill_session(host, "bit flipped")
    assert not tsm.is_dead  # the host does not know yet

    run(tsm.unbind(0))
    assert tsm.is_dead and any("disconnect" in text for text in warnings)
    assert run(tsm.stream_state()) == 0
    assert shown_state(host, 0) is shown_state(host, 1) is TdiState.ERROR
    objects = host.dispatcher.objects
    for verb in (tsm.connect, lambda: tsm.bind(2), lambda: tsm.start(1), lambda: tsm.tdi_state(1)):
        with pytest.raises(LocalError, match="dead: run `teeio disconnect`"):
            run(verb())
    run(tsm.unbind(1))
    info = describe(host)
    assert info["session_state"] == "dead" and "disconnect" in str(info["warning"])
    assert info["stream"] == {"id": 1, "state": "Insecure"}
    assert [t["state"] for t in info["tdis"]] == ["unknown"] * 3  # type: ignore[attr-defined]
    warnings.clear()
    run(tsm.disconnect())
    assert warnings and host.dispatcher.objects == objects
    assert tsm.session is None and not tsm.tdis and tsm.chain is None
    assert not host.port.streams[1].secure and not host.port.streams[1].enabled

    again = running(hosts, 0)
    assert again.run(plain_driver(again, 1).read(0, 64)) == bytes(64)
    again.run(tee_driver(again).write(0, bytes(64)))
    still_answers(again)


@pytest.mark.long
def test_bad_records_end_the_session(hosts: HostMaker) -> None:
    """Session, stream and TDIs are gone; a record that names another session hurts nobody."""
    for how in ("replayed", "cut"):
        host = running(hosts, 0)
        kill_session(host, how)
        with pytest.raises(TsmError):
            host.run(host.tsm.tdi_state(0))
        assert host.run(host.tsm.stream_state()) == 0
        assert shown_state(host) is TdiState.ERROR
        host.run(host.tsm.disconnect())
        still_answers(host)

    host = running(hosts, 0)
    sent: list[bytes] = []
    host.dispatcher.on_object = lambda is_request, data: sent.append(data) if is_request else None
    expect_state(host, 0, TdiState.RUN)
    host.dispatcher.on_object = None
    record = sent[-1]
    patient = host.tsm.mailbox
    hurry(host, SHORT_DEADLINE)
    with pytest.raises(TransportError):
        host.run(doe_exchange(record[:8] + bytes((record[8] ^ 1,)) + record[9:]))
    host.tsm.mailbox = patient
    expect_state(host, 0, TdiState.RUN)
    host.run(tee_driver(host).write(0, bytes(64)))
    host.run(host.tsm.disconnect())
    still_answers(host)


@pytest.mark.long
def test_conventional_reset_in_run(hosts: HostMaker) -> None:
    """Session, stream, states and memory are gone; the same host starts over."""
    host = running(hosts, 0)
    tsm, run = host.tsm, host.run
    run(tee_driver(host).write(0, b"kept" * 16))
    host.reset()
    hurry(host, SESSION_DEADLINE)
    with pytest.raises(TsmError):
        run(tsm.tdi_state(0))
    with pytest.raises(LocalError, match="dead: run `teeio disconnect`"):
        run(tsm.connect())
    run(tsm.disconnect())
    host.discover()
    assert shown_state(host) is TdiState.CONFIG_UNLOCKED
    assert run(plain_driver(host).read(0, 64)) == bytes(64)
    run(tsm.connect())
    run_tdis(host, 0)
    run(tee_driver(host).write(0, bytes(64)))
    run(tsm.disconnect())
    still_answers(host)


@pytest.mark.long
def test_reset_of_function_0_in_run(hosts: HostMaker) -> None:
    """FLR of the function that holds the mailbox ends session and stream; TDIs are in ERROR."""
    host = running(hosts, 0)
    tsm, run = host.tsm, host.run
    first = tsm.functions[0]
    control = first.caps[CAP_PCIE] + 8
    value = run(cfg_read(first.bdf, control)) & 0xFFFF
    run(cfg_write(first.bdf, control, value | 1 << 15))
    host.serve(100_000)
    hurry(host, SESSION_DEADLINE)
    with pytest.raises(TsmError):
        run(tsm.tdi_state(0))
    assert shown_state(host) is TdiState.ERROR
    run(tsm.disconnect())
    again = running(hosts, 0)
    again.run(tee_driver(again).write(0, bytes(64)))
    still_answers(again)
