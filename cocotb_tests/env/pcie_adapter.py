# SPDX-License-Identifier: Apache-2.0
"""The endpoint as a device of cocotbext-pcie: its TLP objects become our wire bytes and back.

The library's model knows neither messages nor IDE TLPs; those of the device are kept in `others`.
"""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotbext.pcie.core.port import SimPort
from cocotbext.pcie.core.tlp import Tlp

from cocotb_tests.env.endpoint import EndpointBench
from teeio.wire.tlp import IDE_PREFIX

FOREVER_CYCLES = 1_000_000
FIRST_MESSAGE, LAST_MESSAGE = 0x30, 0x37
FMT_DATA = 0x40


class EndpointDevice:
    """A device that a port of cocotbext-pcie's root complex can be connected to.

    Attributes:
        upstream_port: the simulated link's end of the device.
        others: wire bytes of messages and IDE TLPs that the device sent.
    """

    def __init__(self, bench: EndpointBench) -> None:
        self.upstream_port = SimPort(fc_init=[[64, 1024, 64, 64, 0, 0]] * 8)
        self.upstream_port.parent = self
        self.upstream_port.rx_handler = self._downstream
        self.others: list[bytes] = []
        self._bench = bench
        self._to_device: Queue[Any] = Queue()
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())

    def connect(self, port: Any) -> None:
        """Connect to a port of a root complex or switch."""
        self.upstream_port.connect(port)

    async def _downstream(self, tlp: Any) -> None:
        self._to_device.put_nowait(tlp)

    async def _send(self) -> None:
        while True:
            tlp = await self._to_device.get()
            await self._bench.send(bytes(tlp.pack()))
            tlp.release_fc()

    async def _receive(self) -> None:
        while True:
            for wire in await self._bench.receive(FOREVER_CYCLES):
                kind = wire[0]
                if kind == IDE_PREFIX or FIRST_MESSAGE <= kind & ~FMT_DATA <= LAST_MESSAGE:
                    self.others.append(wire)
                    continue
                tlp = Tlp.unpack(wire)
                assert tlp.check(), f"the library finds fault with {wire.hex()}"
                await self.upstream_port.send(tlp)
