# SPDX-License-Identifier: Apache-2.0
"""The untrusted host: owns devices and mailboxes, carries verbs, hands out pages.

`HostVmm` is honest; a test replaces it by `Attacker` (or a subclass) and nothing else. It holds no
key: whatever it is given goes through the secret scan first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from teeio.core.drive import run
from teeio.core.ops import DoeExchange, MemRead, MemWrite, Op, OpResult
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.context import Context
from teeio.platforms.common.names import object_name
from teeio.platforms.common.verbs import Verb

if TYPE_CHECKING:
    from teeio.platforms.common.attacks import Attack
    from teeio.platforms.common.machine import AnyDevice, AnyMachine

T = TypeVar("T")


class HostGone(Exception):
    """The host left in the middle of a verb and does not come back."""


class HostVmm:
    """The host of a machine. `machine` is set when the machine is put together."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.machine: AnyMachine | None = None

    # ---- carrying verbs --------------------------------------------------------------------------
    def carry(self, device: AnyDevice, verb: Verb[T]) -> T:
        """Carry a verb to its end: its result, or what it raised.

        Raises:
            HostGone: an attacking host left; the verb stays pending.
        """
        self.context.log.verb = verb.name
        if verb.op is None and not verb.done:
            verb.start()
        while not verb.done:
            self.step(device, verb)
        return verb.result()

    def step(self, device: AnyDevice, verb: Verb[T]) -> None:
        """Perform the pending operation of a verb and resume it, once."""
        op = verb.op
        if op is None:
            raise LocalError(f"{verb.name} waits for nothing")
        try:
            result = self.perform(device, op)
        except (TransportError, LocalError) as error:
            verb.fail(error)
        else:
            verb.resume(result)

    def perform(self, device: AnyDevice, op: Op) -> OpResult:
        """Perform one operation that a verb asked for."""
        if isinstance(op, DoeExchange):
            return self.exchange(device, op.request)
        return device.target.perform(op)

    # ---- data objects ----------------------------------------------------------------------------
    def exchange(self, device: AnyDevice, request: bytes) -> bytes:
        """Carry one data object to the device and its answer back."""
        return self.deliver(device, request)

    def deliver(self, device: AnyDevice, request: bytes) -> bytes:
        """Put an object into the mailbox; logged and scanned."""
        log, scan = self.context.log, self.context.scan
        scan.crossed("data objects", request)
        log.add("VMM", object_name(request), to=device.name, detail=f"{len(request)} bytes")
        mailbox = device.tsm.core.mailbox
        if device.target.has_tlps and mailbox is not None:
            answer = run(mailbox.exchange(request), device.target.perform)
        else:
            got = device.target.perform(DoeExchange(request))
            assert isinstance(got, bytes)
            answer = got
        scan.crossed("data objects", answer)
        log.add(device.name, object_name(answer), to="VMM", detail=f"{len(answer)} bytes")
        return answer

    # ---- pages -----------------------------------------------------------------------------------
    def give_ram(self, guest: str, gpa_page: int, contents: bytes = b"") -> int:
        """Give a guest a fresh private RAM page at a guest page: its physical page."""
        machine = self._machine()
        page = machine.memory.new_page(contents)
        self.place(guest, gpa_page, page)
        return page

    def place(self, guest: str, gpa_page: int, page: int) -> None:
        """Assign any page to a guest and map it there, as the host is free to."""
        pages = self._machine().pages
        pages.assign(page, guest, gpa_page)
        pages.map(guest, gpa_page, page)

    def take_back(self, guest: str, gpa_page: int) -> None:
        """Unmap a guest page and make it the host's again."""
        pages = self._machine().pages
        page = pages.maps.get(guest, {}).get(gpa_page)
        pages.map(guest, gpa_page, None)
        if page is not None:
            pages.release(page)

    # ---- the host's own accesses -----------------------------------------------------------------
    def mmio_read(self, device: AnyDevice, address: int, length: int = 4) -> bytes:
        """The host reads device memory with its own CPU (T=0).

        Raises:
            AccessFault: the page is private to a guest.
            CompletionStatus: the device refused.
        """
        self._machine().host_fault(address)
        data = device.target.perform(MemRead(address, length, False))
        assert isinstance(data, bytes)
        self.context.scan.crossed("host reads", data)
        return data

    def mmio_write(self, device: AnyDevice, address: int, data: bytes) -> None:
        """The host writes device memory with its own CPU (T=0)."""
        self._machine().host_fault(address)
        device.target.perform(MemWrite(address, data, False))

    def _machine(self) -> AnyMachine:
        if self.machine is None:
            raise LocalError("this host runs no machine")
        return self.machine


class Attacker(HostVmm):
    """A host that does things to data objects: each attack is asked in turn, and the first that
    gives an answer has attacked.

    Attributes:
        attacks: asked for every object (`teeio.platforms.common.attacks`).
        seen: (request, answer) of every object so far, as a host may record.
        tamper: given any other operation of a verb, what is performed instead.
        unplugged: names of devices that answer nothing any more.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.attacks: list[Attack] = []
        self.seen: list[tuple[bytes, bytes]] = []
        self.tamper: Callable[[Op], Op] | None = None
        self.unplugged: set[str] = set()

    def perform(self, device: AnyDevice, op: Op) -> OpResult:
        if device.name in self.unplugged:
            raise TransportError(f"{device.name} is gone; plug it in again")
        if self.tamper is not None and not isinstance(op, DoeExchange):
            op = self.tamper(op)
        return super().perform(device, op)

    def exchange(self, device: AnyDevice, request: bytes) -> bytes:
        for attack in self.attacks:
            answer = attack.exchange(self, device, request)
            if answer is not None:
                return answer
        answer = self.deliver(device, request)
        self.seen.append((request, answer))
        return answer
