# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the host's verbs: L1, L2, L4 to L8."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from teeio.core.enumerate import ECAP_DOE, ECAP_IDE
from teeio.core.ops import CfgWrite, Op, cfg_read
from teeio.core.stream_block import CONTROL_ENABLE
from teeio.platforms.common.scenario import Kind, Needs, ScenarioFailed, expect, refuses, scenario
from teeio.platforms.common.target import Masked
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.linux.cycle import EXPECTED_GUEST, EXPECTED_HOST, F0, whole_life
from teeio.platforms.linux.env import LinuxEnv
from teeio.platforms.linux.errno import Errno
from teeio.platforms.linux.host import Scope

FRESH = Needs.TLPS | Needs.FRESH
CONNECT, DISCONNECT = f"{F0}/tsm/connect", f"{F0}/tsm/disconnect"
STREAMS = "pci0000:00/available_secure_streams"


@scenario("linux", "L1", Kind.POSITIVE, "connect, lock, evidence, accept, use, unlock, disconnect",
          FRESH)
def whole(env: LinuxEnv) -> str:
    """Attribute contents at every step; order of messages and tables; nothing secret in sight."""
    host, guest = whole_life(env, env.boot())
    compare("host attributes", host, EXPECTED_HOST)
    compare("guest attributes", guest, EXPECTED_GUEST)
    log = env.machine.context.log
    missing = log.in_order(
        "key Rx", "K_SET_GO", "key Tx", "LOCK_INTERFACE_REQUEST", "IOMMU context off",
        "START_INTERFACE_REQUEST", "START_INTERFACE_RESPONSE", "IOMMU on", "valid", "IOMMU off",
        "invalid", "STOP_INTERFACE_REQUEST", "K_SET_STOP", "stream 1 off")
    expect("first step out of order", missing, "")
    scan = env.machine.context.scan
    if scan.known < 10:
        raise ScenarioFailed(f"the secret scan knows {scan.known} secrets only")
    return (f"{len(host) + len(guest)} attribute accesses as documented; {scan.known} secrets,"
            f" none in {scan.crossed_bytes} bytes that crossed")


def compare(what: str, got: list[str], want: list[str]) -> None:
    """Line by line, so that a failure names the first difference."""
    for line, other in zip(got, want, strict=False):
        expect(what, line, other)
    expect(f"{what}, lines", len(got), len(want))


@scenario("linux", "L2", Kind.NEGATIVE, "connect and disconnect with wrong arguments", FRESH)
def wrong_names(env: LinuxEnv) -> str:
    """EINVAL, EBUSY, ENXIO by rule, and the TSM refuses by itself what a host lets through."""
    kernel, tsm = env.boot(), env.device.tsm
    write = kernel.sysfs.write
    expect("connect of no name", write(CONNECT, "default"), -Errno.EINVAL)
    expect("connect to a devsec TSM", write(CONNECT, "tsm1"), -Errno.ENXIO)
    expect("connect to no TSM", write(CONNECT, "tsm7"), -Errno.ENXIO)
    expect("disconnect, not connected", write(DISCONNECT, "tsm0"), -Errno.ENXIO)
    with refuses("bind, not connected", TsmReason.NOT_CONNECTED):
        env.machine.do(env.device, "bind", tsm.bind(0, "guest 1"))
    expect("objects sent so far", env.machine.context.log.first("SPDM GET_VERSION"), None)
    expect("connect", write(CONNECT, "tsm0"), 0)
    expect("connect twice", write(CONNECT, "tsm0"), -Errno.EBUSY)
    with refuses("connect twice, by a host without the rule", TsmReason.CONNECTED):
        env.machine.do(env.device, "connect", tsm.connect())
    expect("disconnect by another name", write(DISCONNECT, "tsm1"), -Errno.EINVAL)
    expect("still connected", kernel.sysfs.read(CONNECT), "tsm0")
    return "eight refusals, each with its errno or reason"


@scenario("linux", "L4", Kind.NEGATIVE, "bind and guest requests with wrong arguments")
def wrong_binds(env: LinuxEnv) -> str:
    """No VM -EINVAL, same VM 0, other VM -EBUSY; scopes above 1 and unbound interfaces."""
    kernel, device = env.boot(), env.device
    expect("bind without a VM", kernel.bind(device, 0, None), -Errno.EINVAL)
    expect("request, not bound", kernel.guest_request(device, 0, Scope.INFO), -Errno.ENXIO)
    expect("bind", kernel.bind(device, 0, "guest 1"), 0)
    locks = len(list(env.machine.context.log.numbers("LOCK_INTERFACE_REQUEST")))
    expect("bind, same VM", kernel.bind(device, 0, "guest 1"), 0)
    expect("bind, other VM", kernel.bind(device, 0, "guest 2"), -Errno.EBUSY)
    expect("locks sent", len(list(env.machine.context.log.numbers("LOCK_INTERFACE_REQUEST"))),
           locks)
    for scope in (Scope.DEBUG_READ, Scope.DEBUG_WRITE):
        expect(f"request {scope.name}", kernel.guest_request(device, 0, scope), -Errno.EINVAL)
    expect("request INFO", kernel.guest_request(device, 0, Scope.INFO), 0)
    with refuses("bind to a second guest, by a host without the rule", TsmReason.BOUND):
        env.machine.do(device, "bind", device.tsm.bind(0, "guest 2"))
    with refuses("RUN asked for by another guest", TsmReason.NOT_BOUND):
        env.machine.do(device, "run", device.tsm.run(
            0, "guest 2", device.tsm.bindings[0].generation))
    expect("bound to", device.tsm.bindings[0].guest, "guest 1")
    expect("unbind", kernel.unbind(device, 0), 0)
    return "seven refusals; the interface stayed with its guest"


@scenario("linux", "L5", Kind.NEGATIVE, "disconnect with three interfaces bound", FRESH)
def disconnect_bound(env: LinuxEnv) -> str:
    """All functions are unbound in reverse order before the session ends."""
    kernel, device = env.boot(), env.device
    expect("connect", kernel.sysfs.write(CONNECT, "tsm0"), 0)
    for tdi in (1, 0, 2):
        expect(f"bind TDI {tdi}", kernel.bind(device, tdi, "guest 1"), 0)
    with refuses("disconnect by a host that forgets to unbind", TsmReason.IN_USE):
        env.machine.do(device, "disconnect", device.tsm.disconnect())
    expect("disconnect", kernel.sysfs.write(DISCONNECT, "tsm0"), 0)
    missing = env.machine.context.log.in_order(
        "unbind function 3", "STOP_INTERFACE_REQUEST", "unbind function 2",
        "STOP_INTERFACE_REQUEST", "unbind function 1", "STOP_INTERFACE_REQUEST", "K_SET_STOP",
        "stream 1 off", "disconnect")
    expect("first step out of order", missing, "")
    expect("bindings left", dict(device.tsm.bindings), {})
    return "TDI functions 3, 2, 1 stopped in this order, then stream and session"


@scenario("linux", "L6", Kind.NEGATIVE, "no IDE capability, no mailbox, no stream left", FRESH)
def no_capability(env: LinuxEnv) -> str:
    """-ENODEV, -ENODEV, -ENOSPC; not one data object is sent."""
    real = env.machine.devices[0]
    try:
        for name, hidden in (("IDE", ECAP_IDE), ("CMA mailbox", ECAP_DOE)):
            env.machine.devices[0] = replace(real, target=Masked(real.target, hidden))
            kernel = env.boot()
            expect(f"connect without {name}", kernel.sysfs.write(CONNECT, "tsm0"), -Errno.ENODEV)
    finally:
        env.machine.devices[0] = real
    kernel = env.boot(streams=0)
    expect("streams there are", kernel.sysfs.read(STREAMS), "0")
    expect("connect without a stream", kernel.sysfs.write(CONNECT, "tsm0"), -Errno.ENOSPC)
    expect("objects sent", env.machine.context.log.first("SPDM GET_VERSION"), None)
    expect("streams at the root port", real.hardware.streams, [])
    return "three refusals before the first data object"


@scenario("linux", "L7", Kind.NEGATIVE, "the endpoint's stream does not become Secure", FRESH)
def not_secure(env: LinuxEnv) -> str:
    """-ENXIO and complete rollback: no link, registers zero, no key."""
    kernel, device = env.boot(), env.device
    stopped: list[Op] = []
    control = 0

    def never_enable(op: Op) -> Op:
        nonlocal control
        if isinstance(op, CfgWrite) and device.tsm.core.block is not None and (
                op.offset == device.tsm.core.block.control and op.value & CONTROL_ENABLE):
            control = op.offset
            stopped.append(op)
            return replace(op, value=op.value & ~CONTROL_ENABLE)
        return op

    with env.machine.attacked() as attacker:
        attacker.tamper = never_enable
        expect("connect", kernel.sysfs.write(CONNECT, "tsm0"), -Errno.ENXIO)
    expect("enables stopped", len(stopped), 1)
    expect("stream link", kernel.sysfs.exists("pci0000:00/stream0.0.0"), False)
    expect("streams free", kernel.sysfs.read(STREAMS), "4")
    expect("connect reads", kernel.sysfs.read(CONNECT), "")
    expect("streams at the root port", device.hardware.streams, [])
    expect("keys at the root port",
           [key for s in device.target.port.streams.values() for key in s.secrets()], [])
    bdf = device.tsm.core.functions[0].bdf
    expect("stream control", env.machine.do(device, "look", cfg_read(bdf, control)), 0)
    expect("session", device.tsm.core.session, None)
    return "refused with -ENXIO; link, registers, keys and session are gone"


@scenario("linux", "L8", Kind.PARALLEL, "eight threads on two devices",
          FRESH | Needs.TWO_DEVICES)
def threads(env: LinuxEnv) -> str:
    """Verbs of one device never overlap; those of two devices do; no caller sees a wrong errno."""
    kernel, wrong = env.boot(), []
    start = threading.Barrier(8)

    def worker(index: int, job: str) -> None:
        device = env.machine.devices[index]
        path = kernel.path(device)
        start.wait(60)
        jobs: dict[str, list[Callable[[], int]]] = {
            "connect": [lambda: kernel.sysfs.write(f"{path}/tsm/connect", "tsm0")],
            "disconnect": [lambda: kernel.sysfs.write(f"{path}/tsm/disconnect", "tsm0")],
            "bind": [lambda: kernel.bind(device, 0, "guest 1"),
                     lambda: kernel.unbind(device, 0)],
        }
        allowed = {"connect": {0, -Errno.EBUSY}, "disconnect": {0, -Errno.ENXIO},
                   "bind": {0, -Errno.EINVAL}}
        for call in jobs[job]:
            try:
                result = call()
            except Exception as error:
                wrong.append(f"{job} on device {index + 1}: {error}")
                return
            if result not in allowed[job]:
                wrong.append(f"{job} on device {index + 1} gave {result}")

    running = [threading.Thread(target=worker, args=(index, job)) for index in (0, 1)
               for job in ("connect", "connect", "bind", "disconnect")]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(300)
    expect("threads still running", [t.name for t in running if t.is_alive()], [])
    expect("wrong answers", wrong, [])
    spans = {index: sorted((begin, end) for where, begin, end in kernel.intervals
                           if where == index) for index in (0, 1)}
    for index, mine in spans.items():
        for (_, end), (begin, _) in pairwise(mine):
            expect(f"device {index + 1}: a verb begins before another ends", begin < end, False)
    shared = any(a < d and c < b for a, b in spans[0] for c, d in spans[1])
    expect("verbs of the two devices at one time", shared, True)
    for device in env.machine.devices:
        expect(f"{device.name} connected", bool(kernel.tsm_of(device)),
               device.tsm.core.session is not None)
    return f"{len(kernel.intervals)} verbs, none inside another on its device"
