# SPDX-License-Identifier: Apache-2.0
"""SET_MMIO_ATTRIBUTE on a board: the page opens for plain TLPs, and closes again with RUN."""

from __future__ import annotations

from dataclasses import replace

import pytest

from teeio.core import tdisp
from teeio.core.ops import cfg_write, mem_read, mem_write
from teeio.core.port_steps import CompletionStatus
from teeio.errors import PeerRefused
from teeio.host import Host
from teeio.wire.tdisp import TdispErrorCode, TdiState
from teeio.wire.tdisp_report import RangeAttribute
from teeio.wire.tlp import CplStatus
from tests.board.scenes import HostMaker, expect_state, running, shown_state, still_answers

FIRST_PAGE, SHARED_PAGE, LAST_PAGE = 0x8000, 0xA000, 0xB000


def plain_read(host: Host, offset: int) -> bytes | None:
    """A read with T=0; None if it was refused as Unsupported Request."""
    try:
        return host.run(mem_read(host.tsm.tdi_function(0).bar0 + offset, 4, tee=False))
    except CompletionStatus as refusal:
        assert refusal.status == CplStatus.UR
        return None


def set_attribute(host: Host, page: int, non_tee: bool) -> None:
    """Ask for one 4 KiB page of TDI 0."""
    bound, session = host.tsm.tdis[0], host.tsm.session
    assert session is not None
    [reported] = [r for r in bound.report.ranges
                  if r.attributes & RangeAttribute.IS_MEM_ATTR_UPDATABLE]
    attributes = reported.attributes | (RangeAttribute.IS_NON_TEE_MEM if non_tee else 0)
    host.run(tdisp.set_mmio_attribute(session, bound.interface, replace(
        reported, first_page=bound.function.bar0 + page >> 12, pages=1,
        attributes=attributes)))


def test_a_page_is_shared_and_taken_back(hosts: HostMaker) -> None:
    """Only the named page opens, for both T; its data stays; leaving RUN closes and erases."""
    host = running(hosts, 0)
    base = host.tsm.tdi_function(0).bar0
    for offset, data in ((FIRST_PAGE, b"aaaa"), (SHARED_PAGE, b"bbbb"), (LAST_PAGE, b"cccc")):
        host.run(mem_write(base + offset, data, tee=True))
    assert [plain_read(host, o) for o in (FIRST_PAGE, SHARED_PAGE, LAST_PAGE)] == [None] * 3

    set_attribute(host, SHARED_PAGE, True)
    assert [plain_read(host, o) for o in (FIRST_PAGE, SHARED_PAGE, LAST_PAGE)] == [
        None, b"bbbb", None]
    host.run(mem_write(base + SHARED_PAGE, b"host", tee=False))
    assert host.run(mem_read(base + SHARED_PAGE, 4, tee=True)) == b"host"

    set_attribute(host, SHARED_PAGE, False)
    assert plain_read(host, SHARED_PAGE) is None
    with pytest.raises(PeerRefused) as refusal:
        set_attribute(host, FIRST_PAGE, True)
    assert refusal.value.wire_code == TdispErrorCode.INVALID_REQUEST
    expect_state(host, 0, TdiState.RUN)

    set_attribute(host, LAST_PAGE, True)
    assert plain_read(host, LAST_PAGE) == b"cccc"
    host.run(cfg_write(host.tsm.tdi_function(0).bdf, 0x04, 0))  # Memory Space and Bus Master off
    host.run(cfg_write(host.tsm.tdi_function(0).bdf, 0x04, 6))
    assert shown_state(host) is TdiState.ERROR
    assert plain_read(host, LAST_PAGE) is None
    host.run(host.tsm.unbind(0))
    assert plain_read(host, LAST_PAGE) == bytes(4)
    still_answers(host)
