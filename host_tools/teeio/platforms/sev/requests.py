# SPDX-License-Identifier: Apache-2.0
"""Guest requests in the firmware: TDI_INFO, MMIO_VALIDATE, MMIO_CONFIG, SDTE_WRITE.

The message was opened already, so its sender is certain; what it says is checked here, against the
context that the host named, the report, the nested map and the reverse map table.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TypeVar

from teeio.core import tdisp
from teeio.core.ops import Steps
from teeio.errors import TsmError
from teeio.platforms.common.checks import Check
from teeio.platforms.common.context import Context
from teeio.platforms.sev import messages, rules
from teeio.platforms.sev.messages import (
    ConfigStatus,
    Message,
    MmioConfig,
    MmioStatus,
    MmioValidate,
    Status,
    TdiInfo,
    Type,
)
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.sdt import SevIommu
from teeio.platforms.sev.sdte import Sdte
from teeio.platforms.sev.tsm import GuestCtx, TdiCtx, TdiCtxState
from teeio.wire.tdisp import InterfaceId
from teeio.wire.tdisp_report import MmioRange, RangeAttribute

PAGE = 4096
S = TypeVar("S", bound=Enum)


class Requests:
    """The tables of a machine, as a guest may change them through the firmware."""

    def __init__(self, context: Context, rmp: Rmp, iommu: SevIommu) -> None:
        self._context = context
        self._rmp = rmp
        self._iommu = iommu

    def serve(self, guest: GuestCtx, tdi: TdiCtx, message: Message) -> Steps[bytes]:
        """Body of the answer to one request.

        Raises:
            DecodeError: not the body of this type.
        """
        wanted = messages.identity_of(message.body, message.version)
        subject = f"{guest.name}, id {wanted:#x}"
        mine = tdi.tdi_id if message.version == 2 else tdi.device_id
        known = self._take(rules.MSG_TDI, tdi.guest is guest and wanted == mine, Status.INVALID_TDI,
                           subject)
        match message.type:
            case Type.TDI_INFO_REQ:
                info = messages.NOTHING if known is not None else info_of(tdi)
                return info.encode(wanted, known or Status.OK, message.version)
            case Type.MMIO_VALIDATE_REQ:
                status, changed = self._validate(guest, tdi, known, message)
                number = messages.mmio_code(status, message.version)
                answer = messages.head(wanted, number, message.version) + message.body[0x10:0x20]
                return answer + changed.to_bytes(2, "little") + message.body[0x22:0x30]
            case Type.MMIO_CONFIG_REQ:
                config = MmioConfig.decode(message.body)
                result, attributes = yield from self._config(tdi, known, config)
                answer = replace(config, attributes=attributes).encode(wanted, message.version)
                return messages.head(wanted, result, message.version) + answer[0x10:]
            case Type.SDTE_WRITE_REQ:
                entry = Sdte.decode(message.body[0x10:])
                return messages.head(wanted, self._sdte(guest, tdi, known, entry), message.version)
        yield from ()
        return messages.head(wanted, Status.INVALID_TDI, message.version)

    # ---- SDTE_WRITE ------------------------------------------------------------------------------
    def _sdte(self, guest: GuestCtx, tdi: TdiCtx, known: Status | None, entry: Sdte) -> Status:
        subject = f"TDI {tdi.tdi}"
        status = known or self._take(rules.MSG_BOUND, tdi.state is TdiCtxState.BIND_RUN,
                                     Status.NOT_BOUND, subject)
        status = status or self._take(rules.SDTE_RESERVED, not entry.foreign, Status.RESERVED,
                                      f"{entry.foreign:#x}")
        if status is not None:
            return status
        if not entry["v"]:
            self._iommu.write(tdi.rid, Sdte())
            return Status.OK
        streams = {f"stream{k}": stream for k, stream in enumerate(tdi.dev.streams)}
        self._iommu.write(tdi.rid, Sdte(entry.guest_part).with_fields(
            asid=guest.asid, guest_device_id=tdi.device_id, rp_id=tdi.dev.rp_id, **streams))
        return Status.OK

    # ---- MMIO_VALIDATE ---------------------------------------------------------------------------
    def _validate(self, guest: GuestCtx, tdi: TdiCtx, known: Status | None, message: Message) -> (
            tuple[MmioStatus, int]):
        ask = MmioValidate.decode(message.body)
        on = bool(ask.flags & messages.VALIDATED)
        if known is not None:
            return MmioStatus.INVALID_TDI, 0
        bound = tdi.state is TdiCtxState.BIND_RUN
        if self._take(rules.MSG_BOUND, bound, MmioStatus.UNBOUND, f"TDI {tdi.tdi}") is not None:
            return MmioStatus.UNBOUND, 0
        pages: list[int] = []
        status = self._range(tdi, ask) or self._pages(guest, tdi, ask, pages)
        if status is not None:
            return status, 0
        accepted = tdi.dev.tsm.bindings[tdi.tdi].accepted
        changed = 0
        for page in pages:
            entry = self._rmp.entry(page)
            changed |= entry is not None and entry.valid != on
            self._rmp.set_validated(page, on)
            if on:
                accepted.add(page)
            else:
                accepted.discard(page)
        return MmioStatus.OK, changed

    def _range(self, tdi: TdiCtx, ask: MmioValidate | MmioConfig) -> MmioStatus | None:
        mine, subject = ranges(tdi, ask.range_id), f"range {ask.range_id}"
        status = self._take(rules.MMIO_REPORT, bool(mine), MmioStatus.NOT_REPORTED, subject)
        if status is not None or not mine:
            return status
        total = max(item.first_page + item.pages for item in mine) - first_page(mine)
        return self._take(rules.MMIO_RANGE, 0 < ask.pages <= total - ask.offset,
                          MmioStatus.OUT_OF_RANGE, f"{subject}: {ask.offset}+{ask.pages}")

    def _pages(self, guest: GuestCtx, tdi: TdiCtx, ask: MmioValidate, found: list[int]) -> (
            MmioStatus | None):
        mine = ranges(tdi, ask.range_id)
        for k in range(ask.pages):
            gpa_page = ask.base // PAGE + k
            want = first_page(mine) + ask.offset + k if mine else -1
            status = self._page(guest, gpa_page, want, mine)
            if status is not None:
                return status
            page = self._rmp.walk(guest.name, gpa_page)
            if page is not None:
                found.append(page)
        states = {entry.valid for entry in map(self._rmp.entry, found) if entry is not None}
        uniform = len(states) < 2 or bool(ask.flags & messages.FORCED)
        return self._take(rules.MMIO_UNIFORM, uniform, MmioStatus.NOT_UNIFORM, f"{len(found)}")

    def _page(self, guest: GuestCtx, gpa_page: int, want: int, mine: list[MmioRange]) -> (
            MmioStatus | None):
        take, subject = self._take, f"{guest.name} at {gpa_page * PAGE:#x}"
        page = self._rmp.walk(guest.name, gpa_page)
        entry = None if page is None else self._rmp.entry(page)
        status = take(rules.MMIO_GPA, page is not None, MmioStatus.NOT_MAPPED, subject) or take(
            rules.MMIO_ASSIGNED, entry is not None and entry.asid == guest.asid,
            MmioStatus.NOT_ASSIGNED, subject)
        if status is not None or page is None or entry is None:
            return status
        tee = any(item.first_page <= page < item.first_page + item.pages and item.is_tee
                  for item in mine)
        return (take(rules.MMIO_IO, self._rmp.is_io(page), MmioStatus.NOT_IO, subject)
                or take(rules.MMIO_4K, not entry.is_2m, MmioStatus.NOT_4K, subject)
                or take(rules.MMIO_GPA, entry.gpa_page == gpa_page, MmioStatus.NOT_MAPPED, subject)
                or take(rules.MMIO_IMMUTABLE, entry.immutable, MmioStatus.NOT_IMMUTABLE, subject)
                or take(rules.MMIO_REPORT, page == want and tee, MmioStatus.NOT_REPORTED, subject))

    # ---- MMIO_CONFIG -----------------------------------------------------------------------------
    def _config(self, tdi: TdiCtx, known: Status | None, ask: MmioConfig) -> (
            Steps[tuple[ConfigStatus, int]]):
        if known is not None:
            return ConfigStatus.INVALID_TDI, 0
        bound = tdi.state is TdiCtxState.BIND_RUN
        if self._take(rules.MSG_BOUND, bound, ConfigStatus.UNBOUND, f"TDI {tdi.tdi}") is not None:
            return ConfigStatus.UNBOUND, 0
        mine = ranges(tdi, ask.range_id)
        start = first_page(mine) + ask.offset if mine else 0
        item = next((one for one in mine if one.first_page <= start
                     and start + ask.pages <= one.first_page + one.pages and ask.pages > 0), None)
        if self._take(rules.CONFIG_REPORT, item is not None, ConfigStatus.NOT_REPORTED,
                      f"{ask.offset}+{ask.pages}") is not None:
            return ConfigStatus.NOT_REPORTED, 0
        item = item or MmioRange(first_page=start, pages=ask.pages, attributes=0,
                                 range_id=ask.range_id)
        if not ask.flags & messages.CONFIG_WRITE:
            return ConfigStatus.OK, item.attributes
        kept = item.attributes & ~RangeAttribute.IS_NON_TEE_MEM
        wanted = kept | ask.attributes & messages.NON_TEE
        valid = any(entry is not None and entry.valid for entry in map(
            self._rmp.entry, range(start, start + ask.pages)))
        may = bool(item.attributes & RangeAttribute.IS_MEM_ATTR_UPDATABLE) and not valid
        if self._take(rules.CONFIG_CHANGE, may, ConfigStatus.NOT_CHANGED, f"{start:#x}"
                      ) is not None:
            return ConfigStatus.NOT_CHANGED, item.attributes
        try:
            yield from tdisp.set_mmio_attribute(
                tdi.dev.tsm.session, InterfaceId(function_id=tdi.rid),
                MmioRange(first_page=start, pages=ask.pages, attributes=wanted,
                          range_id=item.range_id))
        except TsmError as error:
            self._context.log.add("ASP", "SET_MMIO_ATTRIBUTE failed", detail=str(error))
            return ConfigStatus.NOT_CHANGED, item.attributes
        _replace(tdi, item, start, ask.pages, wanted)
        return ConfigStatus.OK, wanted

    def _take(self, check: Check, holds: bool, status: S, subject: str) -> S | None:
        return status if self._context.checks.take(check, holds, status, subject) else None


def info_of(tdi: TdiCtx) -> TdiInfo:
    """What the firmware vouches for, of a bound TDI."""
    tsm = tdi.dev.tsm
    if tdi.state is TdiCtxState.UNBOUND:
        return messages.NOTHING
    report = tsm.evidence("report", tdi.tdi)
    return TdiInfo(int(tdi.state), tsm.core.attestation is not None, bool(tsm.measured),
                   tdi.lock_flags, tsm.evidence("certificates").digest,
                   tsm.evidence("measurements").digest, report.digest, report.generation)


def ranges(tdi: TdiCtx, range_id: int) -> list[MmioRange]:
    """Ranges of a BAR, as now configured."""
    binding = tdi.dev.tsm.bindings.get(tdi.tdi)
    return [] if binding is None else [
        item for item in tdi.ranges or binding.report.ranges if item.range_id == range_id]


def first_page(items: list[MmioRange]) -> int:
    """First reported page of a BAR: where offsets count from."""
    return min(item.first_page for item in items)


def _replace(tdi: TdiCtx, old: MmioRange, start: int, pages: int, attributes: int) -> None:
    """Cut a range at what was changed."""
    cuts = ((old.first_page, start, old.attributes), (start, start + pages, attributes),
            (start + pages, old.first_page + old.pages, old.attributes))
    parts = [replace(old, first_page=low, pages=high - low, attributes=value)
             for low, high, value in cuts if high > low]
    now = tdi.ranges or tdi.dev.tsm.bindings[tdi.tdi].report.ranges
    tdi.ranges = tuple(part for item in now for part in (parts if item == old else [item]))
