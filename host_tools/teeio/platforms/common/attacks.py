# SPDX-License-Identifier: Apache-2.0
"""What a carrier can do to data objects. Each attack is armed for the n-th object it is asked for.

Objects are counted from 0, per attack, among those that `match` lets through; `secured_only` makes
it count secured records only. `done` tells whether the attack took place: a scenario must look, or
it proves nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from teeio.core.ops import WaitCycles
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.vmm import Attacker, HostGone
from teeio.wire.doe import DoeType

if TYPE_CHECKING:
    from teeio.platforms.common.machine import AnyDevice

HEADER = 8
Match = Callable[[bytes], bool]


def secured_only(request: bytes) -> bool:
    """The object carries a secured record."""
    return request[2] == DoeType.SECURED_SPDM


class Attack(ABC):
    """One attack.

    Args:
        at: which object, from 0.
        match: which objects count.
    """

    def __init__(self, at: int = 0, match: Match = lambda request: True) -> None:
        self.done = False
        self._left = at
        self._match = match

    def exchange(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes | None:
        """The answer this attack gives, None to leave the object alone."""
        if self.done or not self._match(request):
            return None
        if self._left > 0:
            self._left -= 1
            return None
        self.done = True
        return self.strike(vmm, device, request)

    @abstractmethod
    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        """Do it: the answer that the verb gets."""


class Drop(Attack):
    """The object never reaches the device."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        raise TransportError("the object was lost; send it again")


class DropAnswer(Attack):
    """The device gets the object, its answer is lost."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        vmm.deliver(device, request)
        raise TransportError("the answer was lost; begin again")


class Delay(Attack):
    """The object is held back for some device cycles."""

    cycles = 100_000

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        device.target.perform(WaitCycles(self.cycles))
        return vmm.deliver(device, request)


class Duplicate(Attack):
    """The device gets the object twice; the verb gets the second answer."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        vmm.deliver(device, request)
        return vmm.deliver(device, request)


class Reorder(Attack):
    """The answers of this object and of the one before it are exchanged."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        if not vmm.seen:
            raise LocalError("nothing came before: arm Reorder for a later object")
        vmm.deliver(device, request)
        return vmm.seen[-1][1]


class Replay(Attack):
    """The device gets nothing; the verb gets the answer to an older object (`back` before)."""

    back = 1

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        if len(vmm.seen) < self.back:
            raise LocalError("there is no older answer: arm Replay for a later object")
        return vmm.seen[-self.back][1]


class FlipBit(Attack):
    """One bit of the object, or of the answer, is inverted.

    Args:
        bit: bit number from the byte after the object header; None: in the middle.
        in_answer: the answer instead of the request.
    """

    def __init__(self, at: int = 0, match: Match = lambda request: True, *,
                 bit: int | None = None, in_answer: bool = True) -> None:
        super().__init__(at, match)
        self._bit = bit
        self._in_answer = in_answer

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        if not self._in_answer:
            return vmm.deliver(device, self._flip(request))
        return self._flip(vmm.deliver(device, request))

    def _flip(self, data: bytes) -> bytes:
        out = bytearray(data)
        bit = (len(data) - HEADER) * 4 if self._bit is None else self._bit
        out[HEADER + bit // 8] ^= 1 << bit % 8
        return bytes(out)


class Truncate(Attack):
    """The answer loses its last DW; the object length says so."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        answer = vmm.deliver(device, request)[:-4]
        return answer[:4] + (len(answer) // 4).to_bytes(4, "little") + answer[HEADER:]


class Between(Attack):
    """Something else is done between the verb's question and its answer.

    Args:
        action: what; errors it raises go to the verb.
    """

    def __init__(self, action: Callable[[], object], at: int = 0,
                 match: Match = lambda request: True) -> None:
        super().__init__(at, match)
        self._action = action

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        self._action()
        return vmm.deliver(device, request)


class Unplug(Attack):
    """The device is pulled out: nothing reaches it from now on."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        vmm.unplugged.add(device.name)
        raise TransportError(f"{device.name} is gone; plug it in again")


class NeverReturn(Attack):
    """The host leaves: `HostVmm.carry` raises `HostGone` and the verb stays pending."""

    def strike(self, vmm: Attacker, device: AnyDevice, request: bytes) -> bytes:
        raise HostGone("the host left")
