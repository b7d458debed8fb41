# SPDX-License-Identifier: Apache-2.0
"""RDSM: machine mode, owner of the root port's IDE registers; COVT calls of the TSM end here.

Key states are read off the root port, so that a stream that fails shows its keys as Cleared.
"""

from __future__ import annotations

from teeio.core.ide import IdeStream
from teeio.core.ops import PortKey, PortStream
from teeio.errors import DecodeError, LocalError, TsmError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.context import Context
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.cove import rules
from teeio.platforms.cove.manifest import ManifestPort
from teeio.platforms.cove.rules import CoveReason
from teeio.platforms.cove.sbi import Covt, KeyStatus, SbiError, SbiRet
from teeio.platforms.cove.wire import RX, TX, KeyData, KeyDescriptor, StreamDescriptor
from teeio.wire.ide_km import SubStream
from teeio.wire.reader import decode_whole

KEYS = tuple((direction, sub, key_set) for direction in (TX, RX) for sub in SubStream
             for key_set in (0, 1))


class Rdsm:
    """Machine mode for one root port.

    Args:
        context: shared.
        hardware: registers of the root port.
        port: its entry in the manifest.
    """

    def __init__(self, context: Context, hardware: RootPortHardware, port: ManifestPort) -> None:
        self.port = port
        self.streams: dict[int, StreamDescriptor] = {}
        self._context = context
        self._hardware = hardware

    def call(self, function: int, rp_id: int, *args: bytes) -> SbiRet:
        """A COVT call. Structures are given as bytes; `CLEAR_RP_IDE_KEY` takes the stream id."""
        name = Covt(function).name if function in tuple(Covt) else str(function)
        self._context.log.add("TSM", f"COVT {name} {_what(function, args)}".rstrip(), to="RDSM")
        try:
            self._context.checks.require(rules.PORT, rp_id == self.port.rp_id,
                                         CoveReason.PARAMETER, f"root port {rp_id:#x}")
            ret = SbiRet(value=self._dispatch(function, *args))
        except Refused as refused:
            ret = SbiRet(rules.error_of(refused.reason), reason=refused.reason)
        except DecodeError:
            ret = SbiRet(SbiError.INVALID_PARAM, reason=CoveReason.PARAMETER)
        except TsmError:
            ret = SbiRet(SbiError.FAILED)
        if not ret.ok or ret.value:
            self._context.log.add("RDSM", f"return COVT {name}", to="TSM",
                                  detail=f"{ret.error.name} {ret.value}")
        return ret

    def _dispatch(self, function: int, *args: bytes) -> int:
        match function, args:
            case Covt.PROGRAM_RP_IDE_STREAM, (descriptor,):
                return self._program_stream(decode_whole(StreamDescriptor.decode, descriptor))
            case Covt.PROGRAM_RP_IDE_KEY, (descriptor, data):
                return self._program(decode_whole(KeyDescriptor.decode, descriptor),
                                     decode_whole(KeyData.decode, data))
            case Covt.SET_GO_RP_IDE_KEY, (descriptor,):
                return self._go(decode_whole(KeyDescriptor.decode, descriptor))
            case Covt.SET_STOP_RP_IDE_KEY, (descriptor,):
                return self._stop(decode_whole(KeyDescriptor.decode, descriptor))
            case Covt.RP_IDE_KEY_STATUS, (descriptor,):
                return self.status(decode_whole(KeyDescriptor.decode, descriptor))
            case Covt.CLEAR_RP_IDE_KEY, (stream,):
                return self._clear(stream[0])
        self._context.checks.require(rules.FUNCTION, False, CoveReason.NOT_SUPPORTED,
                                     f"COVT {function}")
        raise LocalError(f"COVT has no function {function}: use 1024 to 1029")

    # ---- state -----------------------------------------------------------------------------------
    def status(self, key: KeyDescriptor) -> KeyStatus:
        """State of one key."""
        stream = self._hardware.port.streams.get(key.stream_id)
        if stream is None:
            return KeyStatus.CLEARED
        held, running = stream.key_state(key.direction == TX, key.sub_stream, key.key_set)
        return KeyStatus(int(held) + int(running))

    def secure(self, stream_id: int) -> bool:
        """All keys of a stream run and IDE is on at the root port."""
        stream = self._hardware.port.streams.get(stream_id)
        return stream is not None and stream.secure

    def covers(self, stream_id: int, base: int, limit: int) -> bool:
        """The stream's address association covers [base, limit]."""
        descriptor = self.streams.get(stream_id)
        return descriptor is not None and any(
            block.is_valid and block.base <= base and limit <= block.limit
            for block in descriptor.blocks)

    # ---- functions -------------------------------------------------------------------------------
    def _program_stream(self, d: StreamDescriptor) -> int:
        first, last = self.port.rids
        low, high = self.port.mmio
        self._context.checks.require(
            rules.PORT, first <= d.rid_base <= d.rid_limit <= last and all(
                block.is_valid and low <= block.base <= block.limit <= high
                for block in d.blocks), CoveReason.PARAMETER, f"stream {d.stream_id}")
        port = self._hardware.port
        stream = port.streams.get(d.stream_id)
        if stream is None or not any(True for _ in stream.secrets()):
            self._hardware.perform(PortStream(d.stream_id, d.rid_base, False))
        else:
            stream.enabled, port.trusted_stream = False, None
        self._hardware.associate(d.stream_id, d.rid_base, d.rid_limit)
        self.streams[d.stream_id] = d
        self._context.log.add("RDSM", "RP IDE off", to="root port", detail=f"{d.stream_id}")
        return 0

    def _program(self, key: KeyDescriptor, data: KeyData) -> int:
        self._stream(key)
        try:
            self._context.checks.require(
                rules.PROGRAM_STATE, self.status(key) is not KeyStatus.ENABLED,
                CoveReason.KEY_ENABLED, _name(key))
            self._hardware.perform(PortKey(
                key.stream_id, key.direction == TX, int(key.sub_stream), key.key_set,
                data.key.reveal(), False))
        finally:
            data.key.wipe()
        return 0

    def _go(self, key: KeyDescriptor) -> int:
        stream = self._stream(key)
        self._context.checks.require(
            rules.GO_STATE, self.status(key) is KeyStatus.PROGRAMMED,
            CoveReason.KEY_NOT_PROGRAMMED, _name(key))
        stream.go(key.direction == TX, key.sub_stream, key.key_set)
        enabled = {(direction, sub) for direction, sub, key_set in KEYS
                   if self.status(KeyDescriptor(
                       stream_id=key.stream_id, sub_stream=sub, key_set=key_set,
                       direction=direction)) is KeyStatus.ENABLED}
        if len(enabled) == 6 and not stream.enabled:
            # Contradiction of the draft: who sets Enable at the root port. The RDSM owns it.
            rids = self.streams[key.stream_id]
            self._hardware.perform(PortStream(key.stream_id, rids.rid_base, True))
        return 0

    def _stop(self, key: KeyDescriptor) -> int:
        stream = self._stream(key)
        self._context.checks.require(
            rules.STOP_STATE, self.status(key) is KeyStatus.ENABLED,
            CoveReason.KEY_NOT_ENABLED, _name(key))
        stream.stop(key.direction == TX, key.sub_stream, key.key_set)
        return 0

    def _clear(self, stream_id: int) -> int:
        held = [state for direction, sub, key_set in KEYS if (state := self.status(KeyDescriptor(
            stream_id=stream_id, sub_stream=sub, key_set=key_set, direction=direction)))]
        self._context.checks.require(
            rules.CLEAR_STATE, bool(held) and KeyStatus.ENABLED not in held,
            CoveReason.KEY_NOT_PROGRAMMED, f"stream {stream_id}")
        self._hardware.perform(PortStream(stream_id, self.port.rids[0], False))
        self.streams.pop(stream_id, None)
        return 0

    def _stream(self, key: KeyDescriptor) -> IdeStream:
        stream = self._hardware.port.streams.get(key.stream_id)
        self._context.checks.require(
            rules.PORT, stream is not None and key.stream_id in self.streams,
            CoveReason.PARAMETER, f"stream {key.stream_id}")
        if stream is None:
            raise LocalError(f"stream {key.stream_id} is not programmed: program it first")
        return stream


def _name(key: KeyDescriptor) -> str:
    return (f"{'Tx' if key.direction == TX else 'Rx'} {key.sub_stream.name} set {key.key_set}"
            f" of stream {key.stream_id}")


def _what(function: int, args: tuple[bytes, ...]) -> str:
    """Names of what a call is about; key data is never looked at."""
    if not args:
        return ""
    if function == Covt.CLEAR_RP_IDE_KEY or len(args[0]) != 4:
        return f"stream {args[0][0]}"
    try:
        return _name(decode_whole(KeyDescriptor.decode, args[0]))
    except DecodeError:
        return "bad descriptor"
