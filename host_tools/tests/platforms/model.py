# SPDX-License-Identifier: Apache-2.0
"""A machine around a target without a link, for tests of the actors."""

from __future__ import annotations

from dataclasses import dataclass, field

from teeio.core.ide import IdeStream
from teeio.core.memory import HostMemory
from teeio.core.ops import DoeExchange, Op, OpResult, WaitCycles
from teeio.core.rootport import PortEvent, RootPort
from teeio.platforms.common.context import Context
from teeio.platforms.common.dmapath import DmaPath
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PageTableChecker, PhysicalMemory
from teeio.platforms.common.ports import RootPortHardware

RID = 0x0101
STREAM_ID = 1


@dataclass
class EchoTarget:
    """Answers every data object with its number and the object's last byte; keeps what it got."""

    port: RootPort = field(default_factory=lambda: RootPort(HostMemory()))
    got: list[Op] = field(default_factory=list)
    has_tlps: bool = False

    def perform(self, op: Op) -> OpResult:
        self.got.append(op)
        if isinstance(op, DoeExchange):
            number = len([one for one in self.got if isinstance(one, DoeExchange)])
            return answer(number, op.request[-1])
        assert isinstance(op, WaitCycles)
        return None

    def serve(self, cycles: int) -> int:
        return 0

    def reset(self) -> None:
        self.got.clear()

    def take_events(self) -> list[PortEvent]:
        return []

    def close(self) -> None:
        pass


def request(mark: int, kind: int = 2) -> bytes:
    """A data object of three DWs that ends with `mark`."""
    return bytes((1, 0, kind, 0, 4, 0, 0, 0)) + bytes(7) + bytes((mark,))


def answer(number: int, mark: int) -> bytes:
    """What `EchoTarget` answers to its n-th object."""
    return bytes((1, 0, 2, 0, 4, 0, 0, 0)) + bytes((number, 0, 0, 0, 0, 0, 0, mark))


@dataclass
class Path:
    """Root port, IOMMU and page table around one stream whose other end the test holds."""

    context: Context
    port: RootPort
    device: IdeStream
    hardware: RootPortHardware
    iommu: Iommu
    pages: PageTableChecker
    memory: PhysicalMemory
    path: DmaPath


def dma_path() -> Path:
    """Everything set up for one device function, and nothing allowed yet."""
    context = Context()
    pages = PageTableChecker(context)
    iommu = Iommu(context, pages)
    memory = PhysicalMemory()
    memory.translate = iommu.translate
    port = RootPort(memory)
    hardware = RootPortHardware(context, port)
    port.checker = path = DmaPath(context, hardware, iommu)
    ours, device = IdeStream(STREAM_ID, 0, 0x0100), IdeStream(STREAM_ID, 0x0100, 0)
    port.streams[STREAM_ID] = ours
    for stream in (ours, device):
        stream.enabled = True
        for is_tx in (False, True):
            for sub in range(3):
                to_device = is_tx == (stream is ours)
                stream.program_key(is_tx, sub, 0, bytes((1 + sub + 8 * to_device,)) * 32)
                stream.go(is_tx, sub, 0)
    return Path(context, port, device, hardware, iommu, pages, memory, path)
