# SPDX-License-Identifier: Apache-2.0
"""Physical pages: their contents, and the table that says whose each one is.

`PageTableChecker` is one model for the reverse map table, a G-stage with its protection table, a
secure nested table or granule states: per physical page an owner, the guest address it stands at,
and whether the owner has accepted it. Pages without an entry are shared: the host's. RAM and MMIO
pages are treated alike; a page number is an address >> 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from teeio.core.memory import HostMemory, Refusal
from teeio.errors import LocalError, TsmError
from teeio.platforms.common.checks import define
from teeio.platforms.common.context import Context

PAGE = 4096
RAM_BASE_PAGE = 0x10_0000  # 4 GiB


class PageReason(Enum):
    """Why a page refused an access."""

    UNMAPPED = "no page is mapped there"
    NOT_PRIVATE = "the page is not assigned to a guest"
    OWNER = "the page belongs to another guest"
    GPA = "the page is assigned to another guest address"
    NOT_VALID = "the guest has not accepted the page"
    PRIVATE = "the page is private to a guest"


class AccessFault(TsmError):
    """A CPU access was stopped.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: Enum, who: str, address: int) -> None:
        super().__init__(f"{who} at {address:#x}: {reason.value}")
        self.reason = reason


OWNER = define("pages.owner", "a private access reaches only pages of the guest it is made for",
               "AMD64 APM vol. 2, 15.36 (RMP: ASID); CoVE-IO, MMIO and DMA isolation")
GPA = define("pages.gpa", "a page answers only at the guest address it was assigned to",
             "AMD64 APM vol. 2, 15.36 (RMP: GPA)")
VALID = define("pages.valid", "a page answers only after its guest has accepted it",
               "AMD64 APM vol. 2, 15.36 (RMP: Validated)")
PRIVATE = define("pages.private", "neither the host nor a T=0 request reaches a private page",
                 "PCIe Base 11.5; AMD64 APM vol. 2, 15.36; CoVE-IO threat T001")


@dataclass(slots=True)
class PageEntry:
    """One private page.

    Attributes:
        guest: name of the owner.
        gpa_page: guest page it stands at.
        valid: the owner has accepted it.
    """

    guest: str
    gpa_page: int
    valid: bool = False


class PageTableChecker:
    """Entries of all private pages, and each guest's map from guest pages to physical pages.

    Whether the host or the TSM writes the maps differs by platform; the entries are the TCB's.
    """

    def __init__(self, context: Context) -> None:
        self.entries: dict[int, PageEntry] = {}
        self.maps: dict[str, dict[int, int]] = {}
        self._context = context

    # ---- the table -------------------------------------------------------------------------------
    def assign(self, page: int, guest: str, gpa_page: int) -> None:
        """Make a page private to a guest at a guest page; it is not valid until accepted."""
        self.entries[page] = PageEntry(guest, gpa_page)
        self._context.log.add("pages", f"assign {page:#x}", detail=f"to {guest} at {gpa_page:#x}")

    def validate(self, page: int, guest: str, gpa_page: int) -> Enum | None:
        """The owner accepts a page: None, or why not (the entry is as it was)."""
        reason = self._identity(page, guest, gpa_page)
        if reason is None and page in self.entries:
            self.entries[page].valid = True
            self._context.log.add("pages", f"valid {page:#x}", detail=guest)
        return reason

    def invalidate(self, page: int) -> None:
        """The page answers nobody until it is accepted again."""
        if page in self.entries:
            self.entries[page].valid = False
            self._context.log.add("pages", f"invalid {page:#x}")

    def release(self, page: int) -> None:
        """The page is the host's again."""
        if self.entries.pop(page, None) is not None:
            self._context.log.add("pages", f"release {page:#x}")

    def map(self, guest: str, gpa_page: int, page: int | None) -> None:
        """Set or clear where a guest page leads."""
        table = self.maps.setdefault(guest, {})
        if page is None:
            table.pop(gpa_page, None)
        else:
            table[gpa_page] = page

    # ---- accesses --------------------------------------------------------------------------------
    def guest_access(self, guest: str, address: int) -> int | Enum:
        """A private access of a guest (by its CPU, or by its device): physical address or reason.

        Args:
            guest: for whom.
            address: guest physical address.
        """
        gpa_page = address // PAGE
        page = self.maps.get(guest, {}).get(gpa_page)
        if page is None:
            return PageReason.UNMAPPED
        reason = self._identity(page, guest, gpa_page)
        entry = self.entries.get(page)
        if reason is None and entry is not None:
            reason = self._context.checks.take(VALID, entry.valid, PageReason.NOT_VALID,
                                               f"{guest} at {address:#x}")
        return page * PAGE + address % PAGE if reason is None else reason

    def host_access(self, address: int) -> Enum | None:
        """An access of the host, or a T=0 request, to a physical address."""
        return self._context.checks.take(PRIVATE, address // PAGE not in self.entries,
                                         PageReason.PRIVATE, f"{address:#x}")

    def _identity(self, page: int, guest: str, gpa_page: int) -> Enum | None:
        entry = self.entries.get(page)
        if entry is None:
            return PageReason.NOT_PRIVATE
        checks = self._context.checks
        return (checks.take(OWNER, entry.guest == guest, PageReason.OWNER,
                            f"page {page:#x} for {guest}")
                or checks.take(GPA, entry.gpa_page == gpa_page, PageReason.GPA,
                               f"page {page:#x} at guest page {gpa_page:#x}"))


Translate = Callable[[int, int, bool], "int | None"]


class PhysicalMemory(HostMemory):
    """RAM pages. Device requests are translated (`translate`) after the root port's checker let
    them pass; what does not translate is refused.

    Attributes:
        translate: (Requester ID, bus address, T) -> physical address or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ram: dict[int, bytearray] = {}
        self.translate: Translate = lambda requester_id, address, t_bit: None
        self._next_page = RAM_BASE_PAGE

    def new_page(self, contents: bytes = b"") -> int:
        """A fresh RAM page: its number. Numbers are never used twice."""
        page, self._next_page = self._next_page, self._next_page + 1
        self.ram[page] = bytearray(contents.ljust(PAGE, b"\0"))
        return page

    def peek(self, address: int, length: int) -> bytes:
        """RAM contents, for checks that have passed already.

        Raises:
            LocalError: not RAM, or across a page.
        """
        return bytes(self._slice(address, length))

    def poke(self, address: int, data: bytes) -> None:
        """Change RAM, for accesses whose checks have passed already."""
        self._slice(address, len(data))[:] = data

    def _slice(self, address: int, length: int) -> memoryview:
        page = self.ram.get(address // PAGE)
        if page is None or address % PAGE + length > PAGE:
            raise LocalError(f"{address:#x} is not {length} bytes of one RAM page")
        return memoryview(page)[address % PAGE:address % PAGE + length]

    def read(self, requester_id: int, address: int, length: int, t_bit: bool) -> bytes | None:
        """Bytes for a device read, None if it does not lead to RAM."""
        try:
            physical = self.translate(requester_id, address, t_bit)
            if physical is not None:
                return self.peek(physical, length)
        except LocalError:
            pass
        self._none(requester_id, address, length, False)
        return None

    def write(self, requester_id: int, address: int, data: bytes, enables: list[bool],
              t_bit: bool) -> bool:
        """Apply a device write; False if it does not lead to RAM."""
        try:
            physical = self.translate(requester_id, address, t_bit)
            if physical is None:
                self._none(requester_id, address, len(data), True)
                return False
            target = self._slice(physical, len(data))
        except LocalError:
            self._none(requester_id, address, len(data), True)
            return False
        for i, byte in enumerate(data):
            if enables[i]:
                target[i] = byte
        return True

    def _none(self, requester_id: int, address: int, length: int, is_write: bool) -> None:
        self.refusals.append(Refusal(requester_id, address, length, is_write,
                                     PageReason.UNMAPPED.value))
