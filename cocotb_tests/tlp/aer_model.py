# SPDX-License-Identifier: Apache-2.0
"""Role-based error reporting of one function, typed from the table of the reporting algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field

IMPLEMENTED = {4, 12, 13, 14, 15, 16, 17, 18, 20, 22, 28, 29}
COR, NONFATAL, FATAL = 0x30, 0x31, 0x33
UR, CA, POISONED = 20, 15, 12


@dataclass(frozen=True, slots=True)
class Event:
    """One uncorrectable error as its detector reports it."""

    error: int
    advisory: bool = False
    header: int | None = None  # 128 bits, None: nothing to log
    prefix: int | None = None


@dataclass(slots=True)
class AerFunction:
    """State that software can read, and the messages an event asks for."""

    severity: int = 0x10462030
    ue_mask: int = 0x00400000
    ce_mask: int = 0x0000E000
    ue_status: int = 0
    ce_status: int = 0
    dev_status: set[str] = field(default_factory=set)
    enables: set[str] = field(default_factory=set)  # of CERE, NFERE, FERE, URRE, SERR
    first: int | None = None                        # error that owns the log
    fep: int = 0
    header: int = 0
    prefix: int | None = None

    def _correctable(self, bit: int) -> set[int]:
        self.dev_status.add("CED")
        self.ce_status |= 1 << bit
        if self.ce_mask >> bit & 1 or "CERE" not in self.enables:
            return set()
        return {COR}

    def _log(self, event: Event) -> set[int]:
        if self.first is None:
            self.first = self.fep = event.error
            self.header = event.header or 0
            self.prefix = event.prefix if event.header is not None else None
            return set()
        return self._correctable(15) if event.header is not None else set()

    def report(self, event: Event) -> set[int]:
        """Codes of the messages that this function wants to send."""
        fatal = bool(self.severity >> event.error & 1)
        masked = bool(self.ue_mask >> event.error & 1)
        is_ur = event.error == UR
        messages: set[int] = set()
        if is_ur:
            self.dev_status.add("URD")
        if event.advisory and not fatal:
            self.dev_status.add("CED")
            self.ce_status |= 1 << 13
            if self.ce_mask >> 13 & 1:
                return messages
            if event.error in IMPLEMENTED:
                self.ue_status |= 1 << event.error
                if not masked:
                    messages |= self._log(event)
            if is_ur and "URRE" not in self.enables:
                return messages
            if "CERE" in self.enables:
                messages.add(COR)
            return messages
        self.dev_status.add("FED" if fatal else "NFED")
        if event.error in IMPLEMENTED:
            self.ue_status |= 1 << event.error
        if masked:
            return messages
        if event.error in IMPLEMENTED:
            messages |= self._log(event)
        if is_ur and not self.enables & {"URRE", "SERR"}:
            return messages
        if self.enables & {"SERR", "FERE" if fatal else "NFERE"}:
            messages.add(FATAL if fatal else NONFATAL)
        return messages

    def clear_ue(self, bits: int) -> None:
        """Software writes ones to the uncorrectable status."""
        self.ue_status &= ~bits
        if self.first is not None and bits >> self.first & 1:
            self.first = None
