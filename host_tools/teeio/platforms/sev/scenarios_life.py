# SPDX-License-Identifier: Apache-2.0
"""Scenarios of commands and messages in the right and in the wrong order: A1, A2, A9, A16, A18."""

from __future__ import annotations

import os

from teeio.core.device import Descriptor
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.scenario import Kind, Needs, ScenarioFailed, expect, scenario
from teeio.platforms.sev.abi import Cmd, Ret
from teeio.platforms.sev.env import SevEnv
from teeio.wire.tdisp import TdiState

FRESH = Needs.TLPS | Needs.FRESH
ORDER = (
    "ASP DEV_CREATE", "ASP DEV_CONNECT", "SPDM KEY_EXCHANGE", *["KEY_PROG"] * 6, *["K_SET_GO"] * 6,
    "return DEV_CONNECT", "device IDE on",
    "GHCB BIND", "ASP TDI_CREATE", "ASP TDI_BIND", "LOCK_INTERFACE_REQUEST",
    "return TDI_BIND", "return GHCB BIND", "GHCB guest request", "ASP GUEST_REQUEST",
    "GHCB RUN", "ASP TDI_STATUS", "ASP TDI_BIND", "START_INTERFACE_REQUEST", "return TDI_BIND",
    "ASP GUEST_REQUEST", "SDTE on", "ASP GUEST_REQUEST", "valid",
    "SDTE off", "invalid", "GHCB STOP", "ASP TDI_UNBIND", "STOP_INTERFACE_REQUEST",
    "return TDI_UNBIND", "GHCB UNBIND", "ASP TDI_RECLAIM", "ASP ASID_FENCE_STATUS",
    "ASP ASID_FENCE_CLEAR", "ASP DEV_DISCONNECT", *["K_SET_STOP"] * 6, "return DEV_DISCONNECT",
    "ASP DEV_RECLAIM")


@scenario("sev-tio", "A1", Kind.POSITIVE, "connect, bind, TDI_INFO, run, SDTE_WRITE,"
          " MMIO_VALIDATE, use, unlock, disconnect", FRESH)
def whole(env: SevEnv) -> str:
    """Order, return codes, statuses; nothing secret in sight."""
    host, tsm, guest = env.host, env.tsm, env.guest()
    host.rets.clear()
    expect("connect", env.do(host.connect(tsm), "connect"), Ret.SUCCESS)
    rets = [ret for cmd, ret in host.rets if cmd is Cmd.DEV_CONNECT]
    expect("return codes of connect", (set(rets[:-1]), rets[-1]), ({Ret.SPDM_REQUEST}, Ret.SUCCESS))
    tio = env.tio()
    mine = env.locked(tio)
    expect("TDI_STATUS", env.do(host.tdi_status(tsm, 0)), int(TdiState.CONFIG_LOCKED))
    env.do(tio.accept(mine), "accept")
    expect("TDI_STATUS", env.do(host.tdi_status(tsm, 0)), int(TdiState.RUN))
    use(env)
    env.do(tio.unlock(mine), "unlock")
    env.machine.hide_bar(env.device, 0, guest)
    expect("disconnect", env.do(host.disconnect(tsm), "disconnect"), Ret.SUCCESS)
    log = env.machine.context.log
    expect("first step out of order", log.in_order(*ORDER), "")
    expect("fences", env.iommu.fences.get(1), None if 1 not in env.iommu.fences else (0, 0))
    scan = env.machine.context.scan
    if scan.known < 10:
        raise ScenarioFailed(f"the secret scan knows {scan.known} secrets only")
    return (f"{len(log.entries)} steps in order, {len(rets)} return codes of connect;"
            f" {scan.known} secrets, none in {scan.crossed_bytes} bytes")


def use(env: SevEnv, tdi: int = 0, number: int = 1) -> None:
    """Private MMIO and private DMA of an interface."""
    guest = env.guest(number)
    driver, pattern = guest.driver(env.device, tdi), os.urandom(256)
    guest.run(env.device, driver.write(0, pattern))
    expect("MMIO reads back", guest.run(env.device, driver.read(0, 256)), pattern)
    source, sink = guest.new_ram(os.urandom(PAGE)), guest.new_ram()
    expect("DMA", guest.dma(env.device, tdi, [Descriptor(source, 0, PAGE, False),
                                              Descriptor(sink, 0, PAGE, True)]), None)
    expect("DMA came back", guest.read_ram(sink, PAGE), guest.read_ram(source, PAGE))
