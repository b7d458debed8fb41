# SPDX-License-Identifier: Apache-2.0
"""The host's kernel: TSM devices, the attributes of PCI functions, bind and guest requests.

Sources of the rules: Linux Documentation/ABI/testing/sysfs-bus-pci (tsm/), sysfs-class-tsm and
drivers/pci/tsm.c; bind and guest_req: the staging tree. The device has no SR-IOV: where those
sources speak of virtual functions, its TDI functions 1..N stand in.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import IntEnum
from functools import partial
from typing import NoReturn, TypeAlias, TypeVar

from teeio.core.enumerate import ECAP_DOE, ECAP_IDE, Function
from teeio.core.ops import Steps, cfg_read
from teeio.errors import TsmError
from teeio.platforms.common.checks import Check, define
from teeio.platforms.common.machine import AnyDevice, AnyMachine
from teeio.platforms.linux.backend import BackendFactory, DirectBackend, TsmBackend
from teeio.platforms.linux.errno import Errno, KernelError, errno_of
from teeio.platforms.linux.sysfs import SysfsTree

T = TypeVar("T")
Visible: TypeAlias = Callable[[], bool]
Action: TypeAlias = Callable[[], None]
ABI = "Linux Documentation/ABI/testing/sysfs-bus-pci, tsm/"
STAGING = "Linux staging devsec/tsm, drivers/pci/tsm.c"
BRIDGE = "pci0000:00"


def _rule(name: str, text: str, clause: str = ABI) -> Check:
    return define(f"linux.{name}", text, clause)


CONNECT_NAME = _rule("connect_name", "connect takes the name of a TSM device")
CONNECT_BUSY = _rule("connect_busy", "a function that has a TSM is not connected again")
CONNECT_LINK = _rule("connect_link", "only a link TSM connects devices")
PROBE_CMA = _rule("probe_cma", "a device without a CMA mailbox has no TSM",
                  "Linux drivers/pci/tsm.c, pci_tsm_pf0_constructor")
PROBE_IDE = _rule("probe_ide", "a device without IDE capability has no stream",
                  "Linux drivers/pci/ide.c, pci_ide_init")
STREAMS = _rule("streams", "a host bridge gives no more streams than it has",
                "Linux Documentation/ABI/testing/sysfs-devices-pci-host-bridge")
DISCONNECT_CONNECTED = _rule("disconnect_connected", "only a connected function is disconnected")
DISCONNECT_NAME = _rule("disconnect_name", "disconnect takes the name of the TSM in use")
DSM_MUTEX = _rule("dsm_mutex", "verbs on one device wait for each other",
                  "Linux drivers/pci/tsm.c, lock of the DSM")
BIND_ARGS = _rule("bind_args", "bind needs a VM and a connected device", STAGING)
BIND_OTHER = _rule("bind_other", "an interface bound to a VM is not bound to another", STAGING)
REQUEST_SCOPE = _rule("request_scope", "guest requests beyond state changes are refused", STAGING)
REQUEST_BOUND = _rule("request_bound", "guest requests are for bound interfaces", STAGING)


class Scope(IntEnum):
    """Scopes of a guest request."""

    INFO = 0
    STATE_CHANGE = 1
    DEBUG_READ = 2
    DEBUG_WRITE = 3


class LinuxHost:
    """The kernel of one machine's host.

    Args:
        machine: the machine; its devices are enumerated.
        factory: back end of `tsm0`.
        streams: how many IDE streams the host bridge has.

    Attributes:
        sysfs: what its users see.
        bound: (device index, TDI) -> guest name.
        intervals: (device index, begin, end) of every verb, seconds.
    """

    def __init__(self, machine: AnyMachine, factory: BackendFactory = DirectBackend,
                 streams: int = 4) -> None:
        self.machine = machine
        self.sysfs = SysfsTree(machine.context)
        self.bound: dict[tuple[int, int], str] = {}
        self.intervals: list[tuple[int, float, float]] = []
        self.streams = streams
        self.modes = {"tsm0": "link", "tsm1": "devsec"}
        self._connected: dict[int, str] = {}
        self._gone: set[int] = set()
        self._backends = [factory(machine, device) for device in machine.devices]
        self._mutex = [threading.Lock() for _ in machine.devices]
        self._allocation = threading.Lock()
        for name in self.modes:
            self.sysfs.add(f"class/tsm/{name}/pci_mode", show=partial(self.modes.__getitem__, name))
        self.sysfs.add(f"{BRIDGE}/available_secure_streams",
                       show=lambda: str(self.streams - len(self._connected)))
        for device in machine.devices:
            self._add_device(device)

    # ---- names -----------------------------------------------------------------------------------
    def path(self, device: AnyDevice, function: int = 0) -> str:
        """Folder of a function below the attribute tree."""
        return f"0000:{device.index + 1:02x}:00.{function}"

    def stream_path(self, device: AnyDevice) -> str:
        """Link of the stream of a device at its host bridge: host bridge, root port, endpoint."""
        return f"{BRIDGE}/stream{device.index}.0.0"

    def backend(self, device: AnyDevice) -> TsmBackend:
        """The TSM behind a device."""
        return self._backends[device.index]

    def tsm_of(self, device: AnyDevice) -> str:
        """Name of the TSM a device is connected to, or empty."""
        return self._connected.get(device.index, "")

    def _add_device(self, device: AnyDevice) -> None:
        def here() -> bool:
            return device.index not in self._gone

        def has_tsm() -> bool:
            return here() and device.index in self._connected

        base = self.path(device)
        self.sysfs.add(f"{base}/tsm/connect", show=lambda: self.tsm_of(device),
                       store=lambda value: self._connect(device, value), visible=here)
        self.sysfs.add(f"{base}/tsm/disconnect",
                       store=lambda value: self._disconnect(device, value), visible=here)
        self.sysfs.add(self.stream_path(device), show=lambda: self.path(device), visible=has_tsm)
        for function in device.tsm.core.functions:
            self._add_function(device, function, here, has_tsm)

    def _add_function(self, device: AnyDevice, function: Function, here: Visible,
                      has_tsm: Visible) -> None:
        base, tdi = self.path(device, function.number), function.number - 1
        self.sysfs.add(f"{base}/authenticated", visible=here,
                       show=lambda: str(int(device.index in self._connected)))
        self.sysfs.add(f"{base}/tsm/dsm", show=lambda: self.path(device), visible=has_tsm)
        self.sysfs.add(f"{base}/tsm/bound", visible=has_tsm, show=lambda: (
            self.tsm_of(device) if (device.index, tdi) in self.bound else ""))

    # ---- connect, disconnect ---------------------------------------------------------------------
    def adopt(self, device: AnyDevice) -> None:
        """Take over a device that another kernel had connected (a kernel that was restarted)."""
        self._connected[device.index] = "tsm0"

    def _connect(self, device: AnyDevice, value: str) -> None:
        checks = self.machine.context.checks
        require(checks.take(CONNECT_NAME, re.fullmatch(r"tsm\d+", value) is not None,
                             Errno.EINVAL, value))
        with self._locked(device):
            require(checks.take(CONNECT_BUSY, device.index not in self._connected, Errno.EBUSY))
            if value not in self.modes:
                fail(Errno.ENXIO)
            require(checks.take(CONNECT_LINK, self.modes[value] == "link", Errno.ENXIO, value))
            self._probe(device)
            with self._allocation:
                require(checks.take(STREAMS, len(self._connected) < self.streams, Errno.ENOSPC))
                self._connected[device.index] = value
            try:
                self._do(device, "connect", self.backend(device).connect())
            except Exception:
                del self._connected[device.index]
                raise

    def _probe(self, device: AnyDevice) -> None:
        """Walk the capabilities anew: the device may be another one than at enumeration."""
        checks, bdf = self.machine.context.checks, device.tsm.core.functions[0].bdf
        found = self._do(device, "connect", _capabilities(bdf))
        require(checks.take(PROBE_CMA, ECAP_DOE in found, Errno.ENODEV))
        require(checks.take(PROBE_IDE, ECAP_IDE in found, Errno.ENODEV))

    def _disconnect(self, device: AnyDevice, value: str) -> None:
        checks = self.machine.context.checks
        with self._locked(device):
            require(checks.take(DISCONNECT_CONNECTED, device.index in self._connected,
                                 Errno.ENXIO))
            require(checks.take(DISCONNECT_NAME, value == self.tsm_of(device), Errno.EINVAL,
                                 value))
            self._unbind_all(device)
            try:
                self._do(device, "disconnect", self.backend(device).disconnect())
            finally:
                self._connected.pop(device.index, None)

    def _unbind_all(self, device: AnyDevice) -> None:
        for index, tdi in sorted(self.bound, reverse=True):
            if index == device.index:
                self._unbind(device, tdi)

    def remove(self, device: AnyDevice) -> None:
        """The device was pulled out: everything of it goes, whatever it answers."""
        with self._locked(device):
            try:
                self._unbind_all(device)
                if device.index in self._connected:
                    self._do(device, "remove", self.backend(device).disconnect())
            except TsmError as error:
                self.machine.context.log.add("Linux", "remove", detail=str(error))
            self._connected.pop(device.index, None)
            for key in [key for key in self.bound if key[0] == device.index]:
                del self.bound[key]
            self._gone.add(device.index)

    # ---- bind, unbind, guest requests ------------------------------------------------------------
    def bind(self, device: AnyDevice, tdi: int, guest: str | None) -> int:
        """pci_tsm_bind: 0 or a negative errno."""
        return self._call("bind", lambda: self._bind(device, tdi, guest))

    def unbind(self, device: AnyDevice, tdi: int) -> int:
        """pci_tsm_unbind; without effect on what is not bound."""
        def steps() -> None:
            with self._locked(device):
                self._unbind(device, tdi)
        return self._call("unbind", steps)

    def guest_request(self, device: AnyDevice, tdi: int, scope: int,
                      steps: Steps[None] | None = None) -> int:
        """pci_tsm_guest_req: carry a request of a guest; 0 or a negative errno."""
        def call() -> None:
            checks = self.machine.context.checks
            require(checks.take(REQUEST_SCOPE, scope <= Scope.STATE_CHANGE, Errno.EINVAL,
                                 f"scope {scope}"))
            with self._locked(device):
                require(checks.take(REQUEST_BOUND, (device.index, tdi) in self.bound,
                                     Errno.ENXIO, f"TDI {tdi}"))
                if steps is not None:
                    self._do(device, "guest request", steps)
        return self._call("guest_req", call)

    def _bind(self, device: AnyDevice, tdi: int, guest: str | None) -> None:
        checks = self.machine.context.checks
        with self._locked(device):
            require(checks.take(BIND_ARGS,
                                 guest is not None and device.index in self._connected,
                                 Errno.EINVAL))
            owner = self.bound.get((device.index, tdi))
            if owner is not None and owner == guest:
                return
            require(checks.take(BIND_OTHER, owner is None, Errno.EBUSY, f"TDI {tdi}"))
            self._do(device, "bind", self.backend(device).bind(tdi, guest or ""))
            self.bound[device.index, tdi] = guest or ""

    def _unbind(self, device: AnyDevice, tdi: int) -> None:
        if (device.index, tdi) in self.bound:
            self.machine.context.log.add("Linux", f"unbind function {tdi + 1}", to="TSM")
            try:
                self._do(device, "unbind", self.backend(device).unbind(tdi))
            finally:
                del self.bound[device.index, tdi]

    # ---- helpers ---------------------------------------------------------------------------------
    def _call(self, name: str, action: Action) -> int:
        log = self.machine.context.log
        result = 0
        try:
            action()
        except TsmError as error:

            result = -errno_of(error)
        log.add("KVM", name, to="Linux",
                detail=f"-{Errno(-result).name}" if result else "0")
        return result

    def _do(self, device: AnyDevice, name: str, steps: Steps[T]) -> T:
        begin = time.monotonic()
        try:
            return self.machine.do(device, name, steps)
        finally:
            self.intervals.append((device.index, begin, time.monotonic()))

    @contextmanager
    def _locked(self, device: AnyDevice) -> Iterator[None]:
        off = self.machine.context.checks.is_off(DSM_MUTEX)
        self.machine.context.checks.take(DSM_MUTEX, True, Errno.EBUSY, device.name)
        with nullcontext() if off else self._mutex[device.index]:
            yield


def _capabilities(bdf: int) -> Steps[set[int]]:
    found: set[int] = set()
    at = 0x100
    for _ in range(64):
        header = yield from cfg_read(bdf, at)
        found.add(header & 0xFFFF)
        at = header >> 20
        if at == 0:
            break
    return found


def require(reason: object) -> None:
    """Raise the errno that a check gave, if it refused."""
    if isinstance(reason, Errno):
        fail(reason)


def fail(errno: Errno) -> NoReturn:
    """Raise an errno."""
    raise KernelError(errno, "refused by a rule of the interface")
