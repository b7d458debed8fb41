# SPDX-License-Identifier: Apache-2.0
"""The ecall into the TSM: which function it is, whether a call is pending, what it returns.

A call that needs the device puts an SPDM request into the shared buffer and returns to the VMM
(value 1). The VMM carries it, writes the answer over it and makes the same call again. A TVM does
not see this: its call leaves to the VMM and is re-entered. One call a device is in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from teeio.core.ops import DoeExchange, Steps, WaitCycles
from teeio.errors import DecodeError, LocalError, TransportError, TsmError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE
from teeio.platforms.common.verbs import Verb, VerbGate
from teeio.platforms.cove import rules
from teeio.platforms.cove.rules import CoveReason
from teeio.platforms.cove.sbi import PENDING, Covg, Covh, Eid, SbiError, SbiRet, TvmExit
from teeio.platforms.cove.tsm import CoveTsm
from teeio.platforms.cove.wire import PendingSpdm, StreamDescriptor
from teeio.wire.doe import DoeType
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_measurements import MeasurementAttribute

VMM = "VMM"
Arg: TypeAlias = "int | bytes | None"
NONCE_BYTES = 32
_UNSECURED = (Covh.SPDM_KEY_UPDATE, Covh.DISCONNECT_DEVICE)


@dataclass(slots=True)
class _Pending:
    call: tuple[str, int, int, tuple[Arg, ...]]
    verb: Verb[SbiRet]


def tvm_name(tvm_id: int) -> str:
    """Name of a TVM by its id, from 1."""
    return f"guest {tvm_id}"


def device_of(identity: int) -> int:
    """Device id of a device or interface id: the Requester ID of function 0."""
    return identity & ~7


class CoveInterface:
    """The TSM's side of COVH and COVG for some devices.

    Args:
        context: shared.
        tsms: one TSM a device; enumerated.

    Attributes:
        buffers: pending SPDM buffer of each device, in memory that the VMM shares.
        gates: one call at a time, by device.
    """

    def __init__(self, context: Context, tsms: Iterable[CoveTsm]) -> None:
        self.tsms = list(tsms)
        self.buffers: dict[int, bytes] = {}
        self.gates = [VerbGate(context, tsm.hardware.perform, f"device {tsm.index + 1}")
                      for tsm in self.tsms]
        self._context = context
        self._pending: dict[int, _Pending] = {}

    def ecall(self, caller: str, eid: int, function: int, *args: Arg) -> SbiRet:
        """One call. `caller` is "VMM" or a guest; an address is given as the bytes that stand
        there, what is written to memory comes back as `SbiRet.data`."""
        name = _name(eid, function)
        self._context.log.add(caller, name, to="TSM")
        try:
            ret = self._ecall(caller, eid, function, args)
        except Refused as refused:
            ret = SbiRet(rules.error_of(refused.reason), reason=refused.reason)
        except DecodeError:
            ret = SbiRet(SbiError.INVALID_PARAM)
        except TsmError as error:
            self._context.log.add("TSM", "error", detail=str(error))
            ret = SbiRet(SbiError.FAILED)
        if ret.exit is None:
            self._context.log.add("TSM", f"return {name}", to=caller, detail=f"{ret.error.name}"
                                  f" {ret.value}{f' {ret.reason.name}' if ret.reason else ''}")
        if caller == VMM and ret.data:
            self._context.scan.crossed("shared memory", ret.data)
        return ret

    def _ecall(self, caller: str, eid: int, function: int, args: tuple[Arg, ...]) -> SbiRet:
        checks = self._context.checks
        mine = eid == (Eid.COVH if caller == VMM else Eid.COVG)
        known = mine and function in tuple(Covh if caller == VMM else Covg)
        checks.require(rules.FUNCTION, known, CoveReason.NOT_SUPPORTED, _name(eid, function))
        tsm, tdi = self._subject(function if caller == VMM else None, args)
        call = (caller, eid, function, args)
        pending = self._pending.get(tsm.index)
        if pending is not None and pending.call == call:
            self._resume(tsm, pending, function)
        else:
            verb = self._open(tsm, _name(eid, function), lambda: self._steps(
                caller, function, tsm, tdi, args))
            pending = _Pending(call, verb)
            self._pending[tsm.index] = pending
            verb.start()
        return self._advance(tsm, pending, caller, function)

    def abandon(self) -> None:
        """All calls in flight end without their carrier (the platform is reset)."""
        for pending in list(self._pending.values()):
            pending.verb.abort()
        self._pending.clear()
        self.buffers.clear()

    # ---- the dispatcher --------------------------------------------------------------------------
    def _open(self, tsm: CoveTsm, name: str, steps: Callable[[], Steps[SbiRet]]) -> Verb[SbiRet]:
        return self.gates[self.tsms.index(tsm)].open(name, steps())

    def _resume(self, tsm: CoveTsm, pending: _Pending, function: int) -> None:
        device = tsm.core.functions[0].bdf
        answer = decode_whole(PendingSpdm.decode, self.buffers.get(device, b""))
        self._context.checks.require(
            rules.BUFFER, (answer.function_id, answer.device_id) == (function, device),
            CoveReason.BUFFER, f"function {answer.function_id}, device {answer.device_id:#x}")
        if isinstance(pending.verb.op, WaitCycles):
            pending.verb.resume(None)
        elif answer.payload:
            pending.verb.resume(answer.payload)
        else:
            pending.verb.fail(TransportError("the VMM gave no answer; make the call again"))

    def _advance(self, tsm: CoveTsm, pending: _Pending, caller: str, function: int) -> SbiRet:
        verb, device = pending.verb, tsm.core.functions[0].bdf
        while not verb.done:
            op = verb.op
            if not isinstance(op, DoeExchange | WaitCycles):
                verb.fail(LocalError("a TSM reaches its device by SPDM only"))
                continue
            request = op.request if isinstance(op, DoeExchange) else b""
            if request and request[2] == DoeType.SECURED_SPDM:
                tsm.records += 1
            self.buffers[device] = PendingSpdm(
                function_id=function, device_id=device, payload=request).encode()
            return SbiRet(value=PENDING if caller == VMM else 0, exit=TvmExit.SPDM)
        del self._pending[tsm.index]
        return verb.result()

    def _subject(self, function: int | None, args: tuple[Arg, ...]) -> tuple[CoveTsm, int]:
        """The TSM, and the TDI if the call names an interface; `function` None: a TVM's call."""
        by_tvm = function in (Covh.ADD_TVM_INTERFACE_REGION, Covh.RECLAIM_TVM_INTERFACE_REGION,
                              Covh.BIND_INTERFACE, Covh.UNBIND_INTERFACE)
        identity = args[1 if by_tvm else 0] if len(args) > by_tvm else None
        of_interface = by_tvm or function is None
        for tsm in self.tsms:
            for item in tsm.core.functions:
                if item.bdf == identity and (item.number > 0) == of_interface:
                    return tsm, item.number - 1
        self._context.checks.require(rules.DEVICE, False, CoveReason.DEVICE, f"{identity!r}")
        raise LocalError(f"no device or interface has the id {identity!r}: enumerate first")

    # ---- functions -------------------------------------------------------------------------------
    def _steps(self, caller: str, function: int, tsm: CoveTsm, tdi: int,
               args: tuple[Arg, ...]) -> Steps[SbiRet]:
        if tsm.core.session is not None and function not in _UNSECURED:
            reason = tsm.check_sequence()
            if reason is not None:
                yield from ()
                return SbiRet(rules.error_of(reason), reason=reason)
        return (yield from (self._covh(function, tsm, tdi, args) if caller == VMM
                            else self._covg(caller, function, tsm, tdi, args)))

    def _covh(self, function: int, tsm: CoveTsm, tdi: int, args: tuple[Arg, ...]) -> Steps[SbiRet]:
        match function, args:
            case Covh.CONNECT_DEVICE, (_, bytes() as descriptor, int() as address, int() as size):
                self._context.checks.require(
                    rules.PARAMETER, address % PAGE == 0 and size > 0, CoveReason.PARAMETER,
                    f"{address:#x}+{size:#x}")
                transcript = yield from tsm.connect_device(
                    decode_whole(StreamDescriptor.decode, descriptor))
                if len(transcript) > size:
                    yield from tsm.abandon()
                    raise LocalError(f"the transcript has {len(transcript)} bytes: give more room")
                return SbiRet(data=transcript)
            case Covh.DISCONNECT_DEVICE, (_,):
                yield from tsm.disconnect(force=True)
            case Covh.ADD_TVM_INTERFACE_REGION, (int() as tvm, _, int() as base, int() as length):
                tsm.add_region(tvm_name(tvm), tdi, base, length)
            case Covh.RECLAIM_TVM_INTERFACE_REGION, (int() as tvm, _, int() as base,
                                                     int() as length):
                yield from tsm.reclaim_region(tvm_name(tvm), tdi, base, length)
            case Covh.BIND_INTERFACE, (int() as tvm, _):
                yield from tsm.bind(tdi, tvm_name(tvm))
            case Covh.UNBIND_INTERFACE, (int() as tvm, _):
                if not (yield from tsm.unbind_interface(tdi, tvm_name(tvm))):
                    return SbiRet(SbiError.FAILED)
            case Covh.SPDM_KEY_UPDATE, (_,):
                yield from tsm.key_update()
            case Covh.IDE_KEY_REFRESH, (_, int() as stream):
                self._context.checks.require(rules.PARAMETER, stream == tsm.stream_id,
                                             CoveReason.PARAMETER, f"stream {stream}")
                yield from tsm.cove.refresh_keys()
            case Covh.SPDM_HEARTBEAT, (_,):
                yield from tsm.session.heartbeat()
            case Covh.GET_DEVICE_CONNECTION_TRANSCRIPT, (_, bytes() as data):
                tsm.take_transcript(data)
            case _:
                raise LocalError(f"COVH {function} takes other arguments")
        return SbiRet()

    def _covg(self, guest: str, function: int, tsm: CoveTsm, tdi: int, args: tuple[Arg, ...]) -> (
            Steps[SbiRet]):
        match function, args:
            case Covg.GET_DEVICE_LINK, (_,):
                tsm.binding(tdi, guest)
                return SbiRet(value=tsm.link())
            case Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, (_, int() as element, int() as parameter,
                                                         bool() as asked):
                tsm.binding(tdi, guest)
                if not asked:
                    return SbiRet(exit=TvmExit.TRANSCRIPT)
                return SbiRet(data=tsm.transcript_element(element, parameter))
            case Covg.GET_DEVICE_MEASUREMENTS, (_, (bytes() | None) as nonce, int() as attributes):
                if nonce is not None and len(nonce) != NONCE_BYTES:
                    raise DecodeError(f"a nonce has {NONCE_BYTES} bytes")
                raw = bool(attributes & MeasurementAttribute.RAW_BIT_STREAM)
                return SbiRet(data=(yield from tsm.measurements(tdi, guest, nonce, raw)))
            case Covg.GET_INTERFACE_REPORT, (_,):
                return SbiRet(data=tsm.binding(tdi, guest).report.encode())
            case Covg.GET_INTERFACE_STATE, (_,):
                return SbiRet(value=int((yield from tsm.interface_state(tdi, guest))))
            case Covg.MAP_INTERFACE_MMIO, (_, int() as gpa, int() as hpa, int() as size):
                tsm.map_mmio(tdi, guest, gpa, hpa, size)
                return SbiRet()
            case Covg.START_INTERFACE, (_,):
                yield from tsm.start(tdi, guest)
                return SbiRet()
            case Covg.STOP_INTERFACE, (_,):
                return SbiRet() if tsm.stop(tdi, guest) else SbiRet(exit=TvmExit.UNBIND)
        raise LocalError(f"COVG {function} takes other arguments")


def _name(eid: int, function: int) -> str:
    names: type[Covh] | type[Covg] = Covg if eid == Eid.COVG else Covh
    extension = Eid(eid).name if eid in tuple(Eid) else f"{eid:#x}"
    return f"{extension} {names(function).name if function in tuple(names) else function}"
