# SPDX-License-Identifier: Apache-2.0
"""The whole life of a device under Linux: one text for the positive scenario and for conformance.

`EXPECTED_HOST` and `EXPECTED_GUEST` are typed from the documented attributes, not from a run.
"""

from __future__ import annotations

import os

from teeio.core.device import Descriptor
from teeio.platforms.common.machine import AnyDevice
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.scenario import expect
from teeio.platforms.linux.env import LinuxEnv
from teeio.platforms.linux.guest import GuestDevice, LinuxGuest
from teeio.platforms.linux.host import LinuxHost

F0, F1 = "0000:01:00.0", "0000:01:00.1"
BRIDGE = "pci0000:00/available_secure_streams"

EXPECTED_HOST = [
    "cat class/tsm/tsm0/pci_mode: link",
    "cat class/tsm/tsm1/pci_mode: devsec",
    f"cat {F0}/tsm/connect: ",
    f"cat {F0}/authenticated: 0",
    f"cat {F1}/tsm/dsm: -ENOENT",
    f"cat {F1}/tsm/bound: -ENOENT",
    f"cat {BRIDGE}: 4",
    f"echo tsm0 > {F0}/tsm/connect: 0",
    f"cat {F0}/tsm/connect: tsm0",
    f"cat {F0}/authenticated: 1",
    f"cat {F1}/authenticated: 1",
    f"cat {F1}/tsm/dsm: {F0}",
    f"cat {F1}/tsm/bound: ",
    f"cat pci0000:00/stream0.0.0: {F0}",
    f"cat {BRIDGE}: 3",
    f"cat {F1}/tsm/bound: tsm0",
    f"cat {F1}/tsm/bound: ",
    f"echo tsm0 > {F0}/tsm/disconnect: 0",
    f"cat {F0}/tsm/connect: ",
    f"cat {F0}/authenticated: 0",
    f"cat {F1}/tsm/dsm: -ENOENT",
    "cat pci0000:00/stream0.0.0: -ENOENT",
    f"cat {BRIDGE}: 4",
]
G = "0000:00:01.0"
EXPECTED_GUEST = [
    f"cat {G}/tsm/lock: ",
    f"cat {G}/tsm/accept: 0",
    f"echo tsm0 > {G}/tsm/lock: 0",
    f"cat {G}/tsm/lock: tsm0",
    f"cat {G}/tsm/accept: 0",
    f"echo 1 > {G}/tsm/accept: 0",
    f"cat {G}/tsm/accept: 1",
    f"echo tsm0 > {G}/tsm/unlock: 0",
    f"cat {G}/tsm/lock: ",
    f"cat {G}/tsm/accept: 0",
]


def whole_life(env: LinuxEnv, kernel: LinuxHost) -> tuple[list[str], list[str]]:
    """Connect to disconnect with use in between: what host and guest saw of the attributes.

    Raises:
        ScenarioFailed: a step that is not an attribute went wrong.
    """
    host = kernel.sysfs
    for name in ("tsm0", "tsm1"):
        host.read(f"class/tsm/{name}/pci_mode")
    for path in (f"{F0}/tsm/connect", f"{F0}/authenticated", f"{F1}/tsm/dsm", f"{F1}/tsm/bound",
                 BRIDGE):
        host.read(path)
    host.write(f"{F0}/tsm/connect", "tsm0")
    for path in (f"{F0}/tsm/connect", f"{F0}/authenticated", f"{F1}/authenticated",
                 f"{F1}/tsm/dsm", f"{F1}/tsm/bound", "pci0000:00/stream0.0.0", BRIDGE):
        host.read(path)
    guest, mine = env.guest(kernel)
    look = (f"{guest.path(mine)}/tsm/lock", f"{guest.path(mine)}/tsm/accept")
    for path in look:
        guest.sysfs.read(path)
    guest.sysfs.write(look[0], "tsm0")
    for path in look:
        guest.sysfs.read(path)
    host.read(f"{F1}/tsm/bound")
    expect("evidence", guest.read_evidence(mine), 0)
    expect("validate", guest.validate(mine, mine.evidence["report"].generation), 0)
    guest.sysfs.write(look[1], "1")
    guest.sysfs.read(look[1])
    use(env.device, guest, mine)
    guest.sysfs.write(f"{guest.path(mine)}/tsm/unlock", "tsm0")
    for path in look:
        guest.sysfs.read(path)
    host.read(f"{F1}/tsm/bound")
    host.write(f"{F0}/tsm/disconnect", "tsm0")
    for path in (f"{F0}/tsm/connect", f"{F0}/authenticated", f"{F1}/tsm/dsm",
                 "pci0000:00/stream0.0.0", BRIDGE):
        host.read(path)
    return host.trace, guest.sysfs.trace


def use(device: AnyDevice, guest: LinuxGuest, mine: GuestDevice) -> None:
    """A driver comes, works with private MMIO and private DMA, and goes."""
    mine.driver = True
    driver = guest.guest.driver(device, mine.tdi)
    pattern = os.urandom(256)
    guest.guest.run(device, driver.write(0, pattern))
    expect("MMIO reads back", guest.guest.run(device, driver.read(0, 256)), pattern)
    source, sink = guest.guest.new_ram(os.urandom(PAGE)), guest.guest.new_ram()
    expect("DMA", guest.guest.dma(device, mine.tdi, [
        Descriptor(source, 0, PAGE, False), Descriptor(sink, 0, PAGE, True)]), None)
    expect("DMA came back", guest.guest.read_ram(sink, PAGE), guest.guest.read_ram(source, PAGE))
    mine.driver = False
