# SPDX-License-Identifier: Apache-2.0
"""The AMD Secure Processor: commands, contexts, and the resumable ones among them.

A command that needs the device leaves an SPDM request in its request buffer and returns 0x32; the
host carries it, puts the answer into the response buffer and submits the same command again. The
state of the command stands sealed in the scratch buffer meanwhile. One command a device is in
flight; a FORCE command ends it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from teeio.core.ops import DoeExchange, WaitCycles
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import Rng
from teeio.errors import DecodeError, LocalError, PeerError, TransportError, TsmError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE, PhysicalMemory
from teeio.platforms.common.verbs import Verb, VerbGate
from teeio.platforms.sev import abi, messages, rules
from teeio.platforms.sev.abi import Cmd, Command, DataType, ObjectId, Ret
from teeio.platforms.sev.buffers import Buffers
from teeio.platforms.sev.commands import Commands
from teeio.platforms.sev.requests import Requests
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import RET_OF, SevReason
from teeio.platforms.sev.sdt import SevIommu
from teeio.platforms.sev.tsm import DeviceCtx, GuestCtx, SevTsm
from teeio.wire.doe import DoeObject, DoeType

DOE_HEADER = 8
_FORCED = (Cmd.DEV_DISCONNECT, Cmd.TDI_UNBIND)
_IMMEDIATE = (Cmd.TIO_STATUS, Cmd.TIO_INIT, Cmd.DEV_CREATE, Cmd.DEV_STATUS, Cmd.TDI_INFO,
              Cmd.ASID_FENCE_STATUS, Cmd.ASID_FENCE_CLEAR)


@dataclass(slots=True)
class _Saved:
    call: bytes
    command: Command
    verb: Verb[Ret]


class Asp:
    """The firmware of one machine.

    Args:
        context: shared.
        tsms: one for each device; enumerated.
        rmp, iommu, memory: tables and memory of the machine.
        rng: source of random bytes.
    """

    def __init__(self, context: Context, tsms: Iterable[SevTsm], rmp: Rmp, iommu: SevIommu,
                 memory: PhysicalMemory, rng: Rng) -> None:
        self.tsms = list(tsms)
        self.buffers = Buffers(context, memory, rmp)
        self._context, self._rng = context, rng
        self._saved: dict[int, _Saved] = {}
        self._scratch_key = Secret(rng(messages.KEY_BYTES))
        self._gates = {tsm.index: VerbGate(context, tsm.hardware.perform, f"device {tsm.index + 1}")
                       for tsm in self.tsms}
        self.commands = Commands(context, self.tsms, rmp, iommu, self.buffers,
                                 Requests(context, rmp, iommu), rng)

    def launch(self, name: str, asid: int, page: int) -> GuestCtx:
        """Launch a guest: its context; the key in it is given to the guest too."""
        guest = GuestCtx(page, name, asid, Secret(self._rng(messages.KEY_BYTES)))
        self.commands.guests[page] = guest
        self.commands.rmp.asids[name] = asid
        return guest

    def command(self, cmd: int, buffer: bytes) -> Ret:
        """Submit a command."""
        log, name = self._context.log, Cmd(cmd).name if cmd in tuple(Cmd) else f"{cmd:#x}"
        log.add("VMM", f"ASP {name}", to="ASP")
        why = ""
        try:
            ret = self._command(cmd, buffer)
        except Refused as refused:
            ret, why = RET_OF.get(refused.reason, Ret.INVALID_PARAM), refused.reason.name
        except DecodeError as error:
            ret, why = Ret.INVALID_PARAM, str(error)
        except TsmError as error:
            lost = cmd == Cmd.DEV_CONNECT and isinstance(error, PeerError | TransportError)
            ret, why = Ret.DEVICE_CONNECTION if lost else Ret.SPDM_ERROR, str(error)
        log.add("ASP", f"return {name}", to="VMM", detail=f"{ret.name} {why}".strip())
        return ret

    def in_flight(self, index: int) -> bool:
        """A command of this device waits for its host."""
        return index in self._saved

    def abandon(self) -> None:
        """The platform is reset: commands in flight and all contexts go."""
        for saved in list(self._saved.values()):
            saved.verb.abort()
        self._saved.clear()
        self.commands.forget()

    # ---- the dispatcher --------------------------------------------------------------------------
    def _command(self, number: int, buffer: bytes) -> Ret:
        require = self._context.checks.require
        if number not in tuple(Cmd):
            raise Refused(rules.INIT, SevReason.COMMAND, f"{number:#x}")
        cmd = Cmd(number)
        size = abi.LAYOUT[cmd][0]
        require(rules.LENGTH, len(buffer) == size == int.from_bytes(buffer[:4], "little"),
                SevReason.LENGTH, f"{cmd.name}: {len(buffer):#x} bytes")
        command = abi.decode_command(cmd, buffer)
        if cmd not in (Cmd.TIO_STATUS, Cmd.TIO_INIT):
            require(rules.INIT, self.commands.initialised, SevReason.NOT_INIT, cmd.name)
        if cmd in _IMMEDIATE:
            pending = {index: saved.command.cmd for index, saved in self._saved.items()}
            return self.commands.immediate(command, pending)
        dev = self.commands.device(command)
        saved = self._saved.get(dev.tsm.index)
        call = bytes((cmd,)) + buffer
        if saved is not None and saved.call == call:
            self._resume(saved)
        else:
            saved = self._open(dev, command, call, saved)
        return self._advance(dev, saved)

    def _open(self, dev: DeviceCtx, command: Command, call: bytes, saved: _Saved | None) -> _Saved:
        if saved is not None and command.cmd in _FORCED and command.ints["flags"] & abi.FORCE:
            # The host, or the device behind it, does not come back: its command ends here.
            saved.verb.abort()
            del self._saved[dev.tsm.index]
        self._look_at(command)
        verb = self._gates[dev.tsm.index].open(command.cmd.name,
                                               self.commands.steps(command, dev))
        saved = self._saved[dev.tsm.index] = _Saved(call, command, verb)
        verb.start()
        return saved

    def _look_at(self, command: Command) -> None:
        if "request" in command.ints:
            for name in ("request", "scratch", "output"):
                self.buffers.pages(command.ints[name], firmware=True)
            self.buffers.pages(command.ints["response"], firmware=False)

    def _advance(self, dev: DeviceCtx, saved: _Saved) -> Ret:
        verb = saved.verb
        while not verb.done:
            op = verb.op
            if not isinstance(op, DoeExchange | WaitCycles):
                verb.fail(LocalError("the firmware reaches a device by SPDM only"))
                continue
            try:
                self._ask(saved, op)
            except Refused:
                verb.abort()
                del self._saved[dev.tsm.index]
                raise
            return Ret.SPDM_REQUEST
        del self._saved[dev.tsm.index]
        return verb.result()

    def _ask(self, saved: _Saved, op: DoeExchange | WaitCycles) -> None:
        """Request buffer and scratch; an empty request asks the host to wait a little."""
        request = op.request if isinstance(op, DoeExchange) else b""
        secured = bool(request) and request[2] == DoeType.SECURED_SPDM
        at = saved.command.ints
        self.buffers.put(at["request"], ObjectId.REQUEST,
                         DataType.SECURED_SPDM if secured else DataType.SPDM, request[DOE_HEADER:])
        iv, digest = self._rng(12), hashlib.sha384(saved.call).digest().ljust(64, b"\0")
        sealed = AESGCM(self._scratch_key.reveal()).encrypt(iv, digest, None)
        room = len(self.buffers.pages(at["scratch"], firmware=True)) * PAGE - abi.BUFFER_HEADER
        self.buffers.write(at["scratch"], abi.buffer_header(
            room, 64, abi.ENCRYPTED, iv, sealed[-16:]) + sealed[:64], firmware=True)

    def _resume(self, saved: _Saved) -> None:
        at = saved.command.ints
        self._context.checks.require(rules.SAVED, self._is_saved(saved), SevReason.SCRATCH)
        answer = self.buffers.response(at["response"])
        if isinstance(saved.verb.op, WaitCycles):
            saved.verb.resume(None)
        elif answer is None:
            saved.verb.fail(TransportError("the host has no answer; submit the command again"))
        else:
            kind, data = answer
            doe = DoeType.SECURED_SPDM if kind is DataType.SECURED_SPDM else DoeType.SPDM
            saved.verb.resume(DoeObject.wrap(doe, data).encode())

    def _is_saved(self, saved: _Saved) -> bool:
        data = self.buffers.read(saved.command.ints["scratch"], firmware=True)
        _, _, iv, tag = abi.parse_buffer(data)
        try:
            digest = AESGCM(self._scratch_key.reveal()).decrypt(
                iv[:12], data[abi.BUFFER_HEADER:][:64] + tag, None)
        except InvalidTag:
            return False
        return hmac.compare_digest(digest[:48], hashlib.sha384(saved.call).digest())
