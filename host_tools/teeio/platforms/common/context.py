# SPDX-License-Identifier: Apache-2.0
"""What one run of one scenario shares: checks, order log, secret scan, choices.

All actors hold the same `Context`; `begin` gives it fresh contents, so that actors outlive runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from teeio.platforms.common.checks import CheckSet
from teeio.platforms.common.order import OrderLog
from teeio.platforms.common.taint import SecretScan, Source


@dataclass(frozen=True, slots=True)
class Quirks:
    """Choices where public documents disagree; the defaults follow the text that is stricter.

    Attributes:
        disconnect_unbinds: the TSM's disconnect first unbinds what is bound; otherwise it is
            refused meanwhile, and the host unbinds before it (as Linux does).
        stop_attempts: how often unbind sends STOP_INTERFACE before it gives the device up.
    """

    disconnect_unbinds: bool = False
    stop_attempts: int = 1


@dataclass(slots=True)
class Context:
    """Shared by the actors of one machine.

    Attributes:
        sources: where else secrets live (`SecretScan`).
    """

    quirks: Quirks = field(default_factory=Quirks)
    checks: CheckSet = field(default_factory=CheckSet)
    log: OrderLog = field(default_factory=OrderLog)
    scan: SecretScan = field(default_factory=SecretScan)
    sources: list[Source] = field(default_factory=list)

    def begin(self, off: Iterable[str] = ()) -> None:
        """Fresh checks, log and scan."""
        self.checks = CheckSet(off)
        self.log = OrderLog()
        self.scan = SecretScan(self.sources)
