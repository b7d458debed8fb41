# SPDX-License-Identifier: Apache-2.0
"""Scenarios of what goes wrong outside: L11 removal, L12 back ends, L13 a host that is killed."""

from __future__ import annotations

from teeio.platforms.common.attacks import NeverReturn, Unplug, secured_only
from teeio.platforms.common.scenario import Kind, ScenarioFailed, expect, refuses, scenario
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.common.vmm import Attacker, HostGone
from teeio.platforms.linux.backend import backends
from teeio.platforms.linux.cycle import EXPECTED_GUEST, EXPECTED_HOST, F0, whole_life
from teeio.platforms.linux.env import LinuxEnv
from teeio.platforms.linux.errno import Errno
from teeio.platforms.linux.host import LinuxHost
from teeio.platforms.linux.scenarios_host import CONNECT, FRESH, compare
from teeio.wire.tdisp import TdiState


@scenario("linux", "L11", Kind.NEGATIVE, "the device is pulled out in the middle of a verb", FRESH)
def removal(env: LinuxEnv) -> str:
    """In connect, bind, accept and unbind: attributes vanish, nothing of the TSM is left."""
    verbs = ("connect", "bind", "accept", "unbind")
    for verb in verbs:
        kernel = env.boot()
        with env.machine.attacked() as attacker:
            _pulled_out(env, kernel, attacker, verb)
            kernel.remove(env.device)
        _nothing_left(env, kernel)
        env.start_over()
    return "in four verbs: attributes gone, session, stream and tables freed"


def _pulled_out(env: LinuxEnv, kernel: LinuxHost, attacker: Attacker, verb: str) -> None:
    device = env.device
    # The object of the verb at which the device vanishes; accept and unbind begin with theirs.
    unplug = Unplug(2 if verb in ("connect", "bind") else 0)
    if verb == "connect":
        attacker.attacks.append(unplug)
        expect("connect", kernel.sysfs.write(CONNECT, "tsm0"), -Errno.EIO)
        expect("pulled out", unplug.done, True)
        return
    expect("connect", kernel.sysfs.write(CONNECT, "tsm0"), 0)
    guest, mine = env.guest(kernel)
    path = guest.path(mine)
    if verb == "bind":
        attacker.attacks.append(unplug)
        expect("lock", guest.sysfs.write(f"{path}/tsm/lock", "tsm0"), -Errno.EIO)
    elif verb == "accept":
        env.lock(guest, mine)
        attacker.attacks.append(unplug)
        expect("accept", guest.sysfs.write(f"{path}/tsm/accept", "1"), -Errno.EIO)
    else:
        env.accept(guest, mine)
        attacker.attacks.append(unplug)
        # Unbind succeeds without the device.
        expect("unbind", kernel.unbind(device, 0), 0)
        valid = [entry for entry in env.machine.pages.entries.values() if entry.valid]
        expect("tables", (env.machine.iommu.contexts, valid), ({}, []))
        with refuses("bind of an interface that did not stop", TsmReason.SUSPECT):
            env.machine.do(device, "bind", device.tsm.bind(0, "guest 1"))
    expect("pulled out", unplug.done, True)


def _nothing_left(env: LinuxEnv, kernel: LinuxHost) -> None:
    device = env.device
    expect("attributes", kernel.sysfs.list(F0[:-1]), [])
    expect("stream link", kernel.sysfs.exists("pci0000:00/stream0.0.0"), False)
    expect("session", device.tsm.core.session, None)
    expect("bindings", dict(device.tsm.bindings), {})
    expect("contexts", dict(env.machine.iommu.contexts), {})
    expect("streams at the root port", device.hardware.streams, [])


@scenario("linux", "L12", Kind.CONFORMANCE, "the same scenario on every TSM back end", FRESH)
def conformance(env: LinuxEnv) -> str:
    """Attributes do not depend on the TSM behind them."""
    for name, factory in backends().items():
        env.tear_down()
        host, guest = whole_life(env, env.boot(factory))
        compare(f"{name}: host attributes", host, EXPECTED_HOST)
        compare(f"{name}: guest attributes", guest, EXPECTED_GUEST)
    return f"same attributes on {len(backends())} back end(s): {', '.join(backends())}"


@scenario("linux", "L13", Kind.DISPATCHER, "the host's loop is killed in the middle of a verb",
          FRESH)
def killed(env: LinuxEnv) -> str:
    """The verb goes on where it was, or is given up completely; meanwhile the device is busy."""
    device = env.device
    kernel = env.boot()
    _killed(env, lambda: kernel.sysfs.write(CONNECT, "tsm0"), at=3)
    kernel = env.boot()
    expect("connect while one is pending", kernel.sysfs.write(CONNECT, "tsm0"), -Errno.EBUSY)
    pending = device.gate.current
    if pending is None:
        raise ScenarioFailed("no verb is pending")
    pending.abort()
    expect("half connected", (device.tsm.core.session, device.hardware.streams,
                              kernel.sysfs.read(CONNECT)), (None, [], ""))
    expect("connect", kernel.sysfs.write(CONNECT, "tsm0"), 0)
    _killed(env, lambda: kernel.bind(device, 0, "guest 1"), at=2)
    kernel = env.boot()
    expect("bind while one is pending", kernel.bind(device, 1, "guest 1"), -Errno.EBUSY)
    pending = device.gate.current
    if pending is None:
        raise ScenarioFailed("no verb is pending")
    env.machine.vmm.carry(device, pending)
    state = env.machine.do(device, "state", device.tsm.core.tdi_state(0))
    expect("resumed bind ends in", state, TdiState.CONFIG_LOCKED)
    return "connect given up leaves nothing, bind goes on where it was"


def _killed(env: LinuxEnv, call: object, at: int) -> None:
    with env.machine.attacked() as attacker:
        attacker.attacks.append(NeverReturn(at, secured_only))
        try:
            assert callable(call)
            call()
        except HostGone:
            return
    raise ScenarioFailed("the host was not killed")


