# SPDX-License-Identifier: Apache-2.0
"""A machine that scenarios share: connected when they want it, settled when they leave.

A platform's environment derives from this and adds its own call interface.
"""

from __future__ import annotations

from typing import Generic

from teeio.errors import TransportError, TsmError
from teeio.platforms.common.machine import Device, M_co, Machine
from teeio.platforms.common.scenario import ScenarioFailed
from teeio.platforms.common.verbs import Verb
from teeio.wire.tdisp import TdiState

STATE_SECURE = 2


class MachineEnv(Generic[M_co]):
    """As `PlatformEnv`; enumerates the devices at the first use.

    Args:
        machine: what scenarios run on.
    """

    def __init__(self, machine: Machine[M_co]) -> None:
        self.machine = machine

    def establish(self, devices: int = 1) -> None:
        """Connect the first so many devices, if they are not connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        for device in self.machine.devices[:devices]:
            if device.tsm.core.session is None:
                self.machine.do(device, "connect", device.tsm.connect())

    def settle(self) -> None:
        """Nothing in flight, nothing bound, every table empty; sessions live or are gone.

        Raises:
            TsmError: a device is not what it should be: `start_over`.
        """
        machine = self.machine
        for device in machine.devices:
            if device.gate.current is not None and not device.gate.current.done:
                device.gate.current.abort()
            tsm = device.tsm
            for tdi in reversed(list(tsm.bindings)):
                if not machine.do(device, "unbind", tsm.unbind(tdi)):
                    raise TransportError(f"{device.name}: TDI {tdi} does not stop; reset it")
            if tsm.suspect:
                raise TransportError(f"{device.name}: an interface is suspect; reset it")
            if tsm.core.session is not None:
                state = machine.do(device, "state", tsm.core.tdi_state(0))
                stream = machine.do(device, "state", tsm.core.stream_state())
                if state is not TdiState.CONFIG_UNLOCKED or stream != STATE_SECURE:
                    raise ScenarioFailed(f"{device.name}: TDI 0 in {state.name}, stream {stream}")
            device.target.take_events()
        self.clear_tables()

    def clear_tables(self) -> None:
        """Empty the tables of the machine; RAM pages are forgotten."""
        machine = self.machine
        machine.pages.entries.clear()
        machine.pages.maps.clear()
        machine.iommu.contexts.clear()
        machine.iommu.shared.clear()
        machine.memory.ram.clear()

    def tear_down(self) -> None:
        """Disconnect every device that is connected."""
        if not all(device.tsm.core.functions for device in self.machine.devices):
            self.start_over()
        try:
            for device in self.machine.devices:
                if device.tsm.core.session is not None:
                    self.machine.do(device, "disconnect", device.tsm.disconnect())
        except TsmError:
            self.start_over()

    def start_over(self) -> None:
        """Forget everything, reset the devices, enumerate them."""
        for device in self.machine.devices:
            self.forget(device)
            device.target.reset()
        self.clear_tables()
        for device in self.machine.devices:
            self.machine.do(device, "probe", device.tsm.probe())

    def forget(self, device: Device[M_co]) -> None:
        """What a TSM does when its device is gone: everything down, without a message."""
        if device.gate.current is not None and not device.gate.current.done:
            device.gate.current.abort()
        if device.tsm.core.functions:
            verb = Verb("abandon", device.tsm.abandon(), device.hardware.perform)
            verb.start()
            verb.abort()
