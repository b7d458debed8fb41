# SPDX-License-Identifier: Apache-2.0
"""TDISP states as COVG calls and the objects of TSM and tables show them."""

from __future__ import annotations

from collections.abc import Iterator

from teeio.platforms.common.scenario import expect
from teeio.platforms.common.states import in_error, private_mmio, register_walk
from teeio.platforms.cove.env import CoveEnv
from teeio.platforms.cove.sbi import Covg, SbiRet
from teeio.wire.tdisp import TdiState


def walk(env: CoveEnv) -> Iterator[tuple[TdiState, str]]:
    """Add regions, bind, start, break, unbind."""
    guest, mine = env.guest(), env.interface_id()

    def look() -> str:
        ret = env.do(env.host.enter(guest.name, Covg.GET_INTERFACE_STATE, mine))
        context = env.machine.iommu.contexts.get(mine)
        iommu = "off" if context is None else "on" if context.enabled else "configured, off"
        answer = f"value {ret.value}" if ret.ok else ret.error.name
        return (f"get_interface_state: {answer}; IOMMU context {iommu};"
                f" {private_mmio(env.device, guest)}")

    yield TdiState.CONFIG_UNLOCKED, look()
    env.bind()
    env.accept()
    yield TdiState.CONFIG_LOCKED, look()
    env.do(env.tdm().start(mine))
    yield TdiState.RUN, look()
    with in_error(env.machine, env.device):
        yield TdiState.ERROR, look()
        expect("unbind", env.do(env.host.unbind(env.tsm, guest.name, 0)), SbiRet())


register_walk("cove", "CoVE-IO (COVG)", walk)
