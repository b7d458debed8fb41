# SPDX-License-Identifier: Apache-2.0
"""TDISP states as each platform shows them to its users: a registry of walks, and the table.

A platform registers a walk: given its environment with the first device connected, it takes TDI 0
through the four states and tells what its user sees in each. Nothing here is typed from a document:
the table is what the running models answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from teeio.core.enumerate import COMMAND_BME
from teeio.core.ops import cfg_read, cfg_write
from teeio.core.port_steps import CompletionStatus
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.guest import Guest
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.common.pages import AccessFault
from teeio.platforms.common.scenario import expect
from teeio.wire.tdisp import TdiState

Walk = Callable[[Any], Iterator[tuple[TdiState, str]]]
_WALKS: dict[str, tuple[str, Walk]] = {}
ORDER = (TdiState.CONFIG_UNLOCKED, TdiState.CONFIG_LOCKED, TdiState.RUN, TdiState.ERROR)
HEAD = """# TDISP states as platforms show them

Written by `python -m teeio.platforms.states`, from the running models on a board: TDI 0 is taken
through the four states, and each platform is asked what its user sees then. ERROR is entered from
RUN by switching bus mastering of the function off, as a host can at any time.

"""


@dataclass(frozen=True, slots=True)
class Column:
    """One platform.

    Attributes:
        title: head of its column.
        cells: what its user sees, by state.
    """

    title: str
    cells: Mapping[TdiState, str]


def register_walk(platform: str, title: str, walk: Walk) -> None:
    """Make a platform's walk known. It gives each state once, in the order of `ORDER`, and leaves
    the interface unbound.

    Raises:
        LocalError: the platform has one already.
    """
    if platform in _WALKS:
        raise LocalError(f"platform {platform} has a walk already")
    _WALKS[platform] = title, walk


def walks() -> list[str]:
    """Platforms that have a walk."""
    return list(_WALKS)


def collect(platform: str, env: Any) -> Column:
    """Walk on a platform's environment; connects its first device if it is not connected.

    Raises:
        ScenarioFailed: the device was not in the state that the walk told, or one is missing.
    """
    title, walk = _WALKS[platform]
    env.establish()
    machine: AnyMachine = env.machine
    device, cells = machine.devices[0], {}
    for state, text in walk(env):
        found = machine.do(device, "state", device.tsm.core.tdi_state(0))
        expect(f"{platform}: state of the device", found, state)
        cells[state] = text
    expect(f"{platform}: states shown", tuple(cells), ORDER)
    env.settle()
    return Column(title, cells)


def as_markdown(columns: list[Column]) -> str:
    """The table, one row a state."""
    lines = ["| TDISP state | " + " | ".join(c.title for c in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {state.name} ({int(state)}) | " + " | ".join(
        c.cells[state] for c in columns) + " |" for state in ORDER]
    return HEAD + "\n".join(lines) + "\n"


@contextmanager
def in_error(machine: AnyMachine, device: AnyDevice, tdi: int = 0) -> Iterator[None]:
    """Send a TDI that is locked to ERROR; bus mastering is on again afterwards."""
    bdf = device.tsm.core.tdi_function(tdi).bdf
    command = machine.do(device, "look", cfg_read(bdf, 0x04)) & 0xFFFF
    machine.do(device, "break", cfg_write(bdf, 0x04, command & ~COMMAND_BME))
    try:
        yield
    finally:
        machine.do(device, "mend", cfg_write(bdf, 0x04, command))


def private_mmio(device: AnyDevice, guest: Guest, tdi: int = 0) -> str:
    """What becomes of a private read of the guest."""
    try:
        guest.run(device, guest.driver(device, tdi).read(0, 16))
    except AccessFault as fault:
        return f"private MMIO faults: {fault.reason.value}"
    except CompletionStatus:
        return "private MMIO: the device answers UR"
    except TransportError:
        return "private MMIO: the device does not answer"
    return "private MMIO works"
