# SPDX-License-Identifier: Apache-2.0
"""Root complex: several root ports, each with a bus and a memory window, in front of one memory.

What keeps the devices apart stands in two places: a root port takes requests only under Requester
IDs of its own bus, and the memory gives a buffer only to the Requester ID that owns it. IDE streams
and their keys belong to a port, so equal Stream IDs on two ports are two streams. Sans-I/O.
"""

from __future__ import annotations

from teeio.core.enumerate import BAR_WINDOW
from teeio.core.memory import HostMemory
from teeio.core.rootport import Downstream, RootPort
from teeio.errors import LocalError

MAX_PORTS = 31  # devices 1 to 31 of bus 0
WINDOW_BYTES = 1 << 28


class RootComplex:
    """Root ports that share one memory.

    Port k (from 0) is device k + 1 of bus 0; behind it lies bus k + 1 with the k-th window.

    Args:
        ports: how many.
        window: address of the first window, a multiple of `window_bytes`.
        window_bytes: size of each, a power of two.

    Raises:
        LocalError: a number is out of its range.
    """

    def __init__(self, ports: int, *, window: int = BAR_WINDOW,
                 window_bytes: int = WINDOW_BYTES) -> None:
        if not 1 <= ports <= MAX_PORTS:
            raise LocalError(f"a root complex has 1..{MAX_PORTS} ports, not {ports}")
        if window_bytes < 1 << 20 or window_bytes & window_bytes - 1 or window % window_bytes:
            raise LocalError("a window is a power of two, 1 MiB or more, and aligned to its size")
        self.memory = HostMemory()
        self.ports = tuple(
            RootPort(self.memory, k + 1 << 3,
                     behind=Downstream(k + 1, window + k * window_bytes, window_bytes))
            for k in range(ports))
