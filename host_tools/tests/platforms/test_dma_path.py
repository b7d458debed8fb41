# SPDX-License-Identifier: Apache-2.0
"""Requests of a device, as TLPs at a real root port, against IOMMU and page table."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import pytest

from teeio.core.rootport import EventKind
from teeio.platforms.common.iommu import IommuReason
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.common.ports import PortReason
from teeio.wire import tlp as t
from teeio.wire.tlp import CplStatus
from tests.platforms.model import RID, STREAM_ID, Path, dma_path

GPA_PAGE = 0x1000
DATA = bytes(range(64))


def allowed() -> tuple[Path, int]:
    """A path on which writes of the function to one page of guest 1 pass: (path, page)."""
    path = dma_path()
    path.hardware.associate(STREAM_ID, RID, RID)
    page = path.memory.new_page()
    path.pages.assign(page, "guest 1", GPA_PAGE)
    path.pages.map("guest 1", GPA_PAGE, page)
    assert path.pages.validate(page, "guest 1", GPA_PAGE) is None
    path.iommu.prepare(RID, "guest 1", STREAM_ID)
    path.iommu.enable(RID)
    return path, page


def write(path: Path, *, address: int = GPA_PAGE * PAGE, rid: int = RID, t_bit: bool = True,
          protected: bool = True) -> Enum | None:
    """One DMA write arrives at the root port: the reason it was refused for."""
    tlp = t.mem_write(address, DATA, rid)
    for wire in path.device.protect(tlp, t_bit) if protected else [tlp.encode()]:
        assert path.port.receive(wire) == []
    refused = [event for event in path.port.events if event.kind is EventKind.REFUSED]
    path.port.events.clear()
    return refused[-1].reason if refused else None


def test_a_write_that_passes_every_check_lands_on_its_page() -> None:
    path, page = allowed()
    assert write(path) is None
    assert path.memory.peek(page * PAGE, 64) == DATA


def test_a_refused_read_is_completed_with_ur_on_its_stream() -> None:
    path, _ = allowed()
    path.iommu.remove(RID)
    (request,) = path.device.protect(t.mem_read(GPA_PAGE * PAGE, 4, RID, 5), True)
    (wire,) = path.port.receive(request)
    completion, t_bit = path.device.unprotect(wire)
    assert completion is not None
    assert completion.cpl_status == CplStatus.UR
    assert t_bit and completion.payload == b""


def _rid(path: Path, page: int) -> None:
    path.hardware.associate(STREAM_ID, RID + 1, RID + 2)


def _no_context(path: Path, page: int) -> None:
    path.iommu.remove(RID)


def _off(path: Path, page: int) -> None:
    path.iommu.prepare(RID, "guest 1", STREAM_ID)


def _stream(path: Path, page: int) -> None:
    path.iommu.prepare(RID, "guest 1", STREAM_ID + 1)
    path.iommu.enable(RID)


def _owner(path: Path, page: int) -> None:
    path.pages.entries[page].guest = "guest 2"


def _gpa(path: Path, page: int) -> None:
    path.pages.entries[page].gpa_page = GPA_PAGE + 1


def _valid(path: Path, page: int) -> None:
    path.pages.invalidate(page)


CASES = [
    ("port.rid_association", _rid, PortReason.RID_ASSOCIATION),
    ("iommu.context", _no_context, IommuReason.CONTEXT_MISS),
    ("iommu.enabled", _off, IommuReason.DISABLED),
    ("iommu.stream", _stream, IommuReason.STREAM),
    ("pages.owner", _owner, PageReason.OWNER),
    ("pages.gpa", _gpa, PageReason.GPA),
    ("pages.valid", _valid, PageReason.NOT_VALID),
]


@pytest.mark.parametrize(("check", "spoil", "reason"), CASES, ids=[c[0] for c in CASES])
def test_each_check_refuses_alone_and_lets_pass_when_off(
        check: str, spoil: Callable[[Path, int], None], reason: Enum) -> None:
    """One thing is wrong: its check and no other refuses; without that check the write lands."""
    path, page = allowed()
    spoil(path, page)
    assert write(path) is reason
    assert path.memory.peek(page * PAGE, 64) == bytes(64)
    path.context.begin({check})
    assert write(path) is None
    assert path.memory.peek(page * PAGE, 64) == DATA


@pytest.mark.parametrize("protected", [False, True], ids=["no IDE", "T=0 on the stream"])
def test_untrusted_requests_use_the_hosts_table_and_reach_shared_pages(protected: bool) -> None:
    path, page = allowed()
    shared = path.memory.new_page()
    assert write(path, t_bit=False, protected=protected) is PageReason.UNMAPPED
    path.iommu.map_shared(RID, 7, shared)
    assert write(path, address=7 * PAGE, t_bit=False, protected=protected) is None
    assert path.memory.peek(shared * PAGE, 64) == DATA
    path.iommu.map_shared(RID, 8, page)
    assert write(path, address=8 * PAGE, t_bit=False, protected=protected) is PageReason.PRIVATE
    assert path.memory.peek(page * PAGE, 64) == bytes(64)
    path.context.begin({"pages.private"})
    assert write(path, address=8 * PAGE, t_bit=False, protected=protected) is None
    assert path.memory.peek(page * PAGE, 64) == DATA


def test_a_page_that_is_assigned_again_must_be_accepted_again() -> None:
    path, page = allowed()
    path.pages.assign(page, "guest 1", GPA_PAGE)
    assert write(path) is PageReason.NOT_VALID
    path.pages.release(page)
    assert write(path) is PageReason.NOT_PRIVATE
    path.pages.map("guest 1", GPA_PAGE, None)
    assert write(path) is PageReason.UNMAPPED


def test_validation_is_for_the_owner_at_the_assigned_address() -> None:
    path, page = allowed()
    path.pages.invalidate(page)
    assert path.pages.validate(page, "guest 2", GPA_PAGE) is PageReason.OWNER
    assert path.pages.validate(page, "guest 1", GPA_PAGE + 1) is PageReason.GPA
    assert path.pages.validate(page + 9, "guest 1", GPA_PAGE) is PageReason.NOT_PRIVATE
    assert write(path) is PageReason.NOT_VALID


def test_interrupts_do_not_go_through_the_checker() -> None:
    path = dma_path()
    path.port.receive(t.mem_write(0xFEE0_0000, b"\x21\x43\0\0", RID).encode())
    assert [event.kind for event in path.port.events] == [EventKind.INTERRUPT]
    assert path.context.checks.taken == []
