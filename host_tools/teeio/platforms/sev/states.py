# SPDX-License-Identifier: Apache-2.0
"""TDISP states as the host's TDI_STATUS, the guest's TDI_INFO and the device table show them."""

from __future__ import annotations

from collections.abc import Iterator

from teeio.platforms.common.scenario import expect
from teeio.platforms.common.states import in_error, private_mmio, register_walk
from teeio.platforms.sev.abi import Ret
from teeio.platforms.sev.env import SevEnv
from teeio.platforms.sev.guest import Stopped
from teeio.wire.tdisp import TdiState


def walk(env: SevEnv) -> Iterator[tuple[TdiState, str]]:
    """Lock, accept, break, unbind."""
    tio, mine, host = env.tio(), env.interface(), env.host

    def look() -> str:
        if 0 in host.devices[0].tdis:
            status = f"TDI_STATUS {env.do(host.tdi_status(env.tsm, 0))}"
        else:
            status = "no TDI context"
        try:
            info = f"TDI_INFO status {env.do(tio.info(mine)).state}"
        except Stopped:
            info = "TDI_INFO refused"
        entry = env.iommu.sdt.get(mine.rid)
        sdte = "SDTE V=1" if entry is not None and entry["v"] else "SDTE zero"
        return f"{status}; {info}; {sdte}; {private_mmio(env.device, tio.guest)}"

    yield TdiState.CONFIG_UNLOCKED, look()
    env.do(tio.lock(mine))
    env.show()
    yield TdiState.CONFIG_LOCKED, look()
    env.do(tio.accept(mine))
    yield TdiState.RUN, look()
    with in_error(env.machine, env.device):
        yield TdiState.ERROR, look()
        expect("unbind", env.do(host.unbind(env.tsm, 0)), Ret.SUCCESS)
        env.machine.hide_bar(env.device, 0, tio.guest)


register_walk("sev-tio", "SEV-TIO (TDI_STATUS, TDI_INFO)", walk)
