# SPDX-License-Identifier: Apache-2.0
"""TDISP states as attributes of host and guest show them."""

from __future__ import annotations

from collections.abc import Iterator

from teeio.platforms.common.scenario import expect
from teeio.platforms.common.states import in_error, private_mmio, register_walk
from teeio.platforms.linux.env import LinuxEnv
from teeio.wire.tdisp import TdiState


def walk(env: LinuxEnv) -> Iterator[tuple[TdiState, str]]:
    """Lock, accept, break, unlock."""
    kernel = env.boot()
    guest, mine = env.guest(kernel)
    path = guest.path(mine)

    def look() -> str:
        bound = kernel.sysfs.read(f"{kernel.path(env.device, 1)}/tsm/bound")
        lock, accept = (guest.sysfs.read(f"{path}/tsm/{name}") for name in ("lock", "accept"))
        return (f"host `bound` \"{bound}\"; guest `lock` \"{lock}\", `accept` {accept};"
                f" {private_mmio(env.device, guest.guest)}")

    yield TdiState.CONFIG_UNLOCKED, look()
    env.lock(guest, mine)
    yield TdiState.CONFIG_LOCKED, look()
    expect("accept", guest.sysfs.write(f"{path}/tsm/accept", "1"), 0)
    yield TdiState.RUN, look()
    with in_error(env.machine, env.device):
        yield TdiState.ERROR, look()
        expect("unlock", guest.sysfs.write(f"{path}/tsm/unlock", "tsm0"), 0)


register_walk("linux", "Linux (attributes)", walk)
