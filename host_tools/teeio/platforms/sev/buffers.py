# SPDX-License-Identifier: Apache-2.0
"""Data buffers of the firmware, in pages of memory: who owns them, what stands in them."""

from __future__ import annotations

from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, PhysicalMemory
from teeio.platforms.sev import abi, rules
from teeio.platforms.sev.abi import BUFFER_HEADER, DataType, ObjectId, Sla
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import SevReason


class Buffers:
    """The firmware's view of memory: it looks at every page's owner before it uses it."""

    def __init__(self, context: Context, memory: PhysicalMemory, rmp: Rmp) -> None:
        self._context = context
        self._memory = memory
        self._rmp = rmp

    def pages(self, value: int, *, firmware: bool) -> list[int]:
        """Pages of a scatter list, with the owner that they must have.

        Raises:
            Refused: ADDRESS, FIRMWARE_PAGE, RESPONSE_SHARED.
            DecodeError: reserved bits.
        """
        sla = Sla.decode(value)
        pages = [sla.page]
        self._look(pages, firmware, sla.is_2m)
        if sla.is_list:
            # The list is as good as the pages: a host that changed it later would choose others.
            pages = []
            data = self._memory.peek(sla.page * PAGE, PAGE)
            for at in range(0, PAGE, 8):
                item = Sla.decode(int.from_bytes(data[at:at + 8], "little"))
                if item.page == abi.SLA_END:
                    break
                self._look([item.page], firmware, item.is_2m or item.is_list)
                pages.append(item.page)
        return pages

    def page(self, value: int) -> int:
        """One firmware-owned page, not a list; errors as `pages`."""
        pages = self.pages(value, firmware=True)
        self._context.checks.require(rules.ADDRESS, not value & abi.SLA_LIST, SevReason.ADDRESS,
                                     "a list, where one page is wanted")
        return pages[0]

    def _look(self, pages: list[int], firmware: bool, odd: bool) -> None:
        require = self._context.checks.require
        for page in pages:
            require(rules.ADDRESS, page in self._memory.ram and not odd, SevReason.ADDRESS,
                    f"page {page:#x}")
            if firmware:
                require(rules.FIRMWARE_PAGE, self._rmp.is_firmware(page), SevReason.NOT_FIRMWARE,
                        f"page {page:#x}")
            else:
                require(rules.RESPONSE_SHARED, page not in self._rmp.entries, SevReason.NOT_SHARED,
                        f"page {page:#x}")

    def read(self, value: int, *, firmware: bool) -> bytes:
        """Everything that a scatter list leads to."""
        return b"".join(self._memory.peek(page * PAGE, PAGE)
                        for page in self.pages(value, firmware=firmware))

    def write(self, value: int, data: bytes, *, firmware: bool) -> None:
        """Write from the first byte on.

        Raises:
            Refused: EXPAND, and as `pages`.
        """
        pages = self.pages(value, firmware=firmware)
        self._context.checks.require(rules.EXPAND, len(data) <= len(pages) * PAGE,
                                     SevReason.EXPAND, f"{len(data)} bytes")
        for k, page in enumerate(pages):
            part = data[k * PAGE:(k + 1) * PAGE]
            self._memory.poke(page * PAGE, part)

    def put(self, value: int, identity: ObjectId, kind: DataType, data: bytes) -> None:
        """One data object into a firmware-owned buffer; none if `data` is empty."""
        body = abi.encode_object(identity, kind, data) if data else b""
        room = len(self.pages(value, firmware=True)) * PAGE - BUFFER_HEADER
        self.write(value, abi.buffer_header(max(room, 0), len(body)) + body, firmware=True)

    def response(self, value: int) -> tuple[DataType, bytes] | None:
        """The response that the host put into its shared buffer, None if there is none.

        Raises:
            Refused: RESPONSE_FITS, and as `pages`.
            DecodeError: not a response.
        """
        data = self.read(value, firmware=False)
        capacity, payload = (int.from_bytes(data[at:at + 4], "little") for at in (0, 4))
        self._context.checks.require(rules.RESPONSE_FITS, payload <= capacity, SevReason.TOO_LARGE,
                                     f"{payload} bytes in {capacity}")
        size = abi.parse_buffer(data)[0]
        if size == 0:
            return None
        identity, kind, answer = abi.decode_object(data[BUFFER_HEADER:BUFFER_HEADER + size])
        if identity is not ObjectId.RESPONSE:
            return None
        return kind, answer
