# SPDX-License-Identifier: Apache-2.0
"""Reverse map table: per physical page 16 bytes that say whose it is, and where it stands.

Source: Linux arch/x86/virt/svm/sev.c (raw entry); AMD64 APM vol. 2, 15.36. The nested map that
leads from guest pages to physical pages is the host's; this table is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PageEntry, PageTableChecker
from teeio.platforms.sev.rules import RMP_FIRMWARE, RmpReason

FIRMWARE = "firmware"
ENTRY_BYTES = 16
BOOKKEEPING = 16 * 1024
"""First bytes of the table in memory, before the entry of page 0."""
_GPA, _ASID, _VALIDATED = 12, 51, 62


@dataclass(slots=True)
class RmpEntry(PageEntry):
    """One assigned page.

    Attributes:
        asid: of the guest; 0 for the firmware.
        immutable: RMPUPDATE of a page that is no I/O page fails; the firmware relies on I/O pages
            only while it is set.
        is_2m: assigned as part of a 2 MiB page.
    """

    asid: int = 0
    immutable: bool = False
    is_2m: bool = False

    def encode(self) -> bytes:
        """The raw entry, 16 bytes: assigned 0, page size 1, immutable 2, guest page 50:12, ASID
        60:51, validated 62; the second half is not modelled."""
        bits = (1 | self.is_2m << 1 | self.immutable << 2 | (self.gpa_page & (1 << 39) - 1) << _GPA
                | self.asid << _ASID | self.valid << _VALIDATED)
        return bits.to_bytes(ENTRY_BYTES, "little")


def table_offset(page: int) -> int:
    """Byte offset of the entry of a physical page in the table."""
    return BOOKKEEPING + page * ENTRY_BYTES


class Rmp(PageTableChecker):
    """The table of one machine.

    Attributes:
        asids: ASID by guest name, from 1.
        is_io: whether a physical page is no RAM.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.asids: dict[str, int] = {}
        self.is_io: Callable[[int], bool] = lambda page: False

    def entry(self, page: int) -> RmpEntry | None:
        """Entry of a page, None if it is the hypervisor's."""
        found = self.entries.get(page)
        return found if isinstance(found, RmpEntry) else None

    def raw(self, page: int) -> bytes:
        """The 16 bytes of a page; all zero: not assigned."""
        found = self.entry(page)
        return bytes(ENTRY_BYTES) if found is None else found.encode()

    def guest_of(self, asid: int) -> str:
        """Name of the guest with an ASID, or empty."""
        return next((name for name, mine in self.asids.items() if mine == asid), "")

    # ---- the host --------------------------------------------------------------------------------
    def assign(self, page: int, guest: str, gpa_page: int) -> None:
        self.update(page, guest, gpa_page)

    def update(self, page: int, guest: str, gpa_page: int, *, immutable: bool | None = None,
               is_2m: bool = False) -> None:
        """RMPUPDATE: assign a page. It is never validated afterwards.

        Args:
            immutable: None: as KVM does it, set for I/O pages.

        Raises:
            Refused: RMP_FIRMWARE.
        """
        self._host_may(page)
        self.entries[page] = RmpEntry(
            guest, gpa_page, False, self.asids.get(guest, 0),
            self.is_io(page) if immutable is None else immutable, is_2m)
        self._context.log.add("VMM", f"RMPUPDATE assign {page:#x}", to="RMP",
                              detail=f"{guest} at {gpa_page:#x}")

    def release(self, page: int) -> None:
        """RMPUPDATE: the page is the hypervisor's again.

        Raises:
            Refused: RMP_FIRMWARE.
        """
        self._host_may(page)
        if self.entries.pop(page, None) is not None:
            self._context.log.add("VMM", f"RMPUPDATE shared {page:#x}", to="RMP")

    def _host_may(self, page: int) -> None:
        entry = self.entry(page)
        free = entry is None or not (entry.immutable and entry.asid == 0)
        reason = self._context.checks.take(RMP_FIRMWARE, free, RmpReason.FIRMWARE, f"{page:#x}")
        if reason is not None:
            raise Refused(RMP_FIRMWARE, reason, f"{page:#x}")

    # ---- the firmware ----------------------------------------------------------------------------
    def take(self, page: int) -> None:
        """RMPUPDATE: a page becomes the firmware's; only its commands give it back.

        Raises:
            Refused: RMP_FIRMWARE.
        """
        self._host_may(page)
        self.entries[page] = RmpEntry(FIRMWARE, page, True, 0, True)

    def give_back(self, page: int) -> None:
        """A firmware page becomes the hypervisor's; others stay."""
        if self.is_firmware(page):
            del self.entries[page]

    def is_firmware(self, page: int) -> bool:
        """The page is owned by the firmware."""
        entry = self.entry(page)
        return entry is not None and entry.guest == FIRMWARE

    def walk(self, guest: str, gpa_page: int) -> int | None:
        """Where the host's nested map leads."""
        return self.maps.get(guest, {}).get(gpa_page)

    def set_validated(self, page: int, valid: bool) -> Enum | None:
        """MMIO_VALIDATE's write; all its checks were taken."""
        entry = self.entry(page)
        if entry is None:
            return None
        if valid:
            return self.validate(page, entry.guest, entry.gpa_page)
        self.invalidate(page)
        return None
