# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults on a board share: hosts in a known state, and signs of life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from teeio.core.device import FunctionDriver
from teeio.core.ops import cfg_read, doe_exchange
from teeio.core.rootport import EventKind
from teeio.host import Host
from teeio.wire.tdisp import TdiState

HostMaker = Callable[..., Host]
DISCOVERY = bytes.fromhex("0100000003000000" "00000000")
SHORT_DEADLINE = 60_000  # device cycles for an answer that does not come
SESSION_DEADLINE = 600_000  # the same, with time for what a session may ask of the device


def still_answers(host: Host) -> None:
    """The link, configuration space and the firmware behind the mailbox are alive."""
    before = host.cycles()
    first = host.tsm.functions[0]
    assert host.run(cfg_read(first.bdf, 0)) == 0x7EE0_1234
    assert host.run(doe_exchange(DISCOVERY)) == bytes.fromhex("0100000003000000" "01000001")
    assert host.cycles() > before


def discovered(hosts: HostMaker, **options: Any) -> Host:
    """A host that knows the device."""
    host = hosts(**options)
    host.discover()
    return host


def hurry(host: Host, cycles: int) -> Host:
    """For objects that get no answer: the host does not wait a second of device time for it."""
    assert host.tsm.mailbox is not None
    host.tsm.mailbox = replace(host.tsm.mailbox, deadline_cycles=cycles)
    return host


def running(hosts: HostMaker, *tdis: int, **options: Any) -> Host:
    """A connected host with these TDIs in RUN, whatever the board went through before."""
    host = discovered(hosts, **options)
    host.run(host.tsm.connect())
    for tdi in (0, 1, 2):
        host.run(host.tsm.unbind(tdi))
    run_tdis(host, *tdis)
    return host


def run_tdis(host: Host, *tdis: int) -> None:
    """Bind and start."""
    for tdi in tdis:
        host.run(host.tsm.bind(tdi))
        host.run(host.tsm.start(tdi))


def tee_driver(host: Host, tdi: int = 0) -> FunctionDriver:
    """A guest's driver of a TDI in RUN."""
    return FunctionDriver(host.tsm.tdi_function(tdi), tee=True)


def plain_driver(host: Host, tdi: int = 0) -> FunctionDriver:
    """A driver without TEE."""
    return FunctionDriver(host.tsm.tdi_function(tdi), tee=False)


def shown_state(host: Host, tdi: int = 0) -> TdiState:
    """The state that the function's own status register shows; needs no session."""
    return TdiState(host.run(plain_driver(host, tdi).status()) & 3)


def expect_state(host: Host, tdi: int, state: TdiState) -> None:
    """The DSM reports this state."""
    assert host.run(host.tsm.tdi_state(tdi)) is state


def expect_event(host: Host, kind: EventKind) -> None:
    """The device sends this on its own, within a bound."""
    for _ in range(20):
        if any(e.kind is kind for e in host.take_events()):
            return
        host.serve(20_000)
    raise AssertionError(f"no event: {kind.value}")
