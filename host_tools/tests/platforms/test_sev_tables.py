# SPDX-License-Identifier: Apache-2.0
"""Reverse map table and secure device table of SEV-TIO, without a device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from teeio.core.rootport import DeviceAccess
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, PageReason
from teeio.platforms.sev.abi import Fence
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import RmpReason, SdtReason
from teeio.platforms.sev.sdt import SevIommu
from teeio.platforms.sev.sdte import Sdte

RID, STREAM_ID, PORT = 0x0101, 1, 3
GOOD = DeviceAccess(RID, 0x1000 * PAGE, 64, True, True, STREAM_ID)
ENTRY = Sdte.make(v=1, ir=1, iw=1, asid=1, stream0=STREAM_ID, rp_id=PORT)


def tables() -> tuple[Context, Rmp, SevIommu]:
    """One validated page of guest 1, and an entry for its device; the request came at `PORT`."""
    context = Context()
    rmp = Rmp(context)
    rmp.asids.update({"guest 1": 1, "guest 2": 2})
    iommu = SevIommu(context, rmp)
    rmp.update(7, "guest 1", 0x1000)
    rmp.map("guest 1", 0x1000, 7)
    assert rmp.validate(7, "guest 1", 0x1000) is None
    iommu.sdt[RID] = ENTRY
    iommu.arrived_at = PORT
    return context, rmp, iommu


def test_a_request_with_everything_right_passes_and_leads_to_its_page() -> None:
    _, _, iommu = tables()
    assert iommu.check(GOOD) is None
    assert iommu.translate(RID, 0x1000 * PAGE + 12, True) == 7 * PAGE + 12


@pytest.mark.parametrize(("entry", "access", "reason", "is_fenced"), [
    (None, GOOD, SdtReason.SDT_MISS, False),
    (ENTRY.with_fields(v=0), GOOD, SdtReason.SDT_MISS, False),
    (ENTRY.with_fields(rp_id=4), GOOD, SdtReason.RP, False),
    (ENTRY, replace(GOOD, stream_id=2), SdtReason.STREAM, False),
    (ENTRY, replace(GOOD, stream_id=None), SdtReason.STREAM, False),
    (ENTRY.with_fields(iw=0), GOOD, SdtReason.IW, True),
    (ENTRY.with_fields(ir=0), replace(GOOD, is_write=False), SdtReason.IR, True),
    (ENTRY.with_fields(asid=2), GOOD, PageReason.UNMAPPED, True),
    (ENTRY, replace(GOOD, address=0x1001 * PAGE), PageReason.UNMAPPED, True),
    (ENTRY.with_fields(vtom_en=1, vtom=8), GOOD, SdtReason.SHARED, True),
    (ENTRY, replace(GOOD, t_bit=False), PageReason.UNMAPPED, False),
])
def test_each_refusal_has_its_reason_and_only_certain_ones_fence(
        entry: Sdte | None, access: DeviceAccess, reason: object, is_fenced: bool) -> None:
    _, _, iommu = tables()
    if entry is None:
        del iommu.sdt[RID]
    else:
        iommu.sdt[RID] = entry
    assert iommu.check(access) is reason
    assert (bool(iommu.fences), Fence.ERROR in [f[0] for f in iommu.fences.values()]) == (
        is_fenced, is_fenced)


def test_a_fence_stops_what_was_good_until_it_is_cleared() -> None:
    _, _, iommu = tables()
    iommu.fence(1, dma=Fence.DEFAULT)
    assert iommu.check(GOOD) is SdtReason.FENCED
    assert iommu.fences[1] == (Fence.DEFAULT, Fence.NONE)
    iommu.fence(1, dma=Fence.NONE)
    assert iommu.check(GOOD) is None


def test_an_update_takes_validation_away_and_firmware_pages_stay() -> None:
    _, rmp, iommu = tables()
    rmp.update(7, "guest 1", 0x1000)
    assert iommu.check(GOOD) is PageReason.NOT_VALID
    rmp.take(9)
    for action in (lambda: rmp.update(9, "guest 1", 0), lambda: rmp.release(9),
                   lambda: rmp.take(9)):
        with pytest.raises(Refused) as refused:
            action()
        assert refused.value.reason is RmpReason.FIRMWARE
    rmp.give_back(9)
    rmp.give_back(7)
    assert rmp.raw(9) == bytes(16) and rmp.entry(7) is not None
    rmp.release(7)
    assert rmp.entry(7) is None


def test_a_page_swapped_in_the_nested_map_is_not_reached() -> None:
    _, rmp, iommu = tables()
    rmp.update(8, "guest 1", 0x1001)
    rmp.validate(8, "guest 1", 0x1001)
    rmp.map("guest 1", 0x1000, 8)
    assert iommu.check(GOOD) is PageReason.GPA
    rmp.update(8, "guest 2", 0x1000)
    assert iommu.check(replace(GOOD, is_write=False)) is SdtReason.FENCED
    iommu.fences.clear()
    assert iommu.check(GOOD) is PageReason.OWNER
