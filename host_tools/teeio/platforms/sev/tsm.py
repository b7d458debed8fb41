# SPDX-License-Identifier: Apache-2.0
"""What the firmware keeps of a device: its protocol core, its contexts, its evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.core.tsm import TsmPolicy
from teeio.errors import LocalError
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PageTableChecker
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.common.tsm import Evidence, PlatformTsm
from teeio.platforms.sev.abi import NO_STREAM
from teeio.platforms.sev.keying import SevCore
from teeio.wire.spdm_measurements import OPERATION_ALL, Measurements
from teeio.wire.tdisp_report import MmioRange

if TYPE_CHECKING:
    from teeio.platforms.sev.platform import SevPlatform


class DevState(IntEnum):
    """Device context."""

    CREATED = 1
    CONNECTED = 2
    DISCONNECTED = 3


class TdiCtxState(IntEnum):
    """TDI context."""

    UNBOUND = 0
    BIND_LOCKED = 1
    BIND_RUN = 2


@dataclass(slots=True)
class GuestCtx:
    """A guest, as the firmware launched it.

    Attributes:
        page: of its context.
        key: VMPCK 0, which only the guest shares.
        next: sequence number that its next request must have.
    """

    page: int
    name: str
    asid: int
    key: Secret
    next: int = 1


@dataclass(slots=True)
class DeviceCtx:
    """A device context; `page` is where it stands."""

    page: int
    tsm: SevTsm
    rp_id: int
    segment: int
    state: DevState = DevState.CREATED
    tc_mask: int = 0
    slot: int = 0
    streams: bytes = bytes((NO_STREAM,)) * 8
    tdis: dict[int, TdiCtx] = field(default_factory=dict)


@dataclass(slots=True)
class TdiCtx:
    """A TDI context.

    Attributes:
        tdi: number of the TDI.
        guest: whom it is bound to.
        device_id: 16-bit id in messages of version 1, the host's choice.
        tdi_id: 64-bit id in messages of version 2, made at bind.
        lock_flags: that the host asked for.
        ran: it has been in RUN since bind.
        ranges: the report's, after MMIO_CONFIG changed some; empty before.
    """

    page: int
    dev: DeviceCtx
    tdi: int
    interface: bytes
    state: TdiCtxState = TdiCtxState.UNBOUND
    guest: GuestCtx | None = None
    device_id: int = 0
    tdi_id: int = 0
    lock_flags: int = 0
    ran: bool = False
    ranges: tuple[MmioRange, ...] = ()

    @property
    def rid(self) -> int:
        """Requester ID of the interface."""
        return self.dev.tsm.core.tdi_function(self.tdi).bdf


class SevTsm(PlatformTsm):
    """As `PlatformTsm`; the device table entry is written by the guest, not at `dma_enable`.

    Attributes:
        sev: the protocol core.
        ctx: context of the device, if one was made.
        measured: the last DEV_MEASUREMENTS, empty since connect.
        platform: what it belongs to, once the firmware is booted.
    """

    def __init__(self, context: Context, policy: TsmPolicy, rng: Callable[[int], bytes],
                 hardware: RootPortHardware, iommu: Iommu, pages: PageTableChecker,
                 index: int = 0) -> None:
        super().__init__(context, policy, rng, hardware, iommu, pages, index)
        self.sev = SevCore(policy, rng, self._observe, on_message=self._on_message)
        self.core = self.sev
        self.ctx: DeviceCtx | None = None
        self.measured = b""
        self.platform: SevPlatform | None = None

    def connect(self) -> Steps[None]:
        self.measured = b""
        yield from super().connect()

    def measure(self, nonce: bytes, raw: bool) -> Steps[bytes]:
        """Signed measurements: what is signed, then the signature; kept for TDI_INFO."""
        spdm = self.session.spdm
        request = spdm.get_measurements(OPERATION_ALL, slot=spdm.start.slot, nonce=nonce,
                                        raw_bit_stream=raw)
        yield from spdm_flow.exchange(spdm, request, Measurements)
        if spdm.measurements is None:
            raise LocalError("no measurements came: ask again")
        self.measured = spdm.measurements.evidence + spdm.measurements.signature
        return self.measured

    def evidence(self, kind: str, tdi: int | None = None) -> Evidence:
        if kind == "measurements" and self.measured and self.core.session is not None:
            return Evidence(kind, self.measured, hashlib.sha384(self.measured).digest(), 0)
        return super().evidence(kind, tdi)
