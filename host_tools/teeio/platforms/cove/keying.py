# SPDX-License-Identifier: Apache-2.0
"""The protocol core of a CoVE-IO TSM: `teeio.core.tsm.Tsm` with this platform's message order.

The device's IDE capability belongs to the VMM and the root port's to the RDSM: nothing here writes
a register. Source: CoVE-IO, connect_device, disconnect_device and ide_key_refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from teeio.core import ide_km, tdisp
from teeio.core.certificates import PcieIdentity
from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import Rng
from teeio.core.tsm import KEY_BYTES, Observer, Tsm, TsmPolicy
from teeio.errors import LocalError, PeerError, TransportError, TsmError
from teeio.platforms.common.context import Context
from teeio.platforms.cove.rdsm import KEYS, Rdsm
from teeio.platforms.cove.rules import quirks_of
from teeio.platforms.cove.sbi import Covt, KeyStatus, SbiRet
from teeio.platforms.cove.transcript import Recorder
from teeio.platforms.cove.wire import KeyData, KeyDescriptor, StreamDescriptor
from teeio.wire.ide_km import KeyDirection, SubStream
from teeio.wire.tdisp import InterfaceId

StreamKeys = Mapping[tuple[KeyDirection, SubStream], Secret]


class CoveCore(Tsm):
    """Session, stream and interfaces of one device.

    Args:
        policy: trust; the stream id comes with each connect.
        rng: source of random bytes.
        context: shared.
        rdsm: owner of the root port.
        observe, on_message: as `Tsm`.

    Attributes:
        descriptor: stream that the VMM asked for; set before `connect`.
        identity: identity registers as the VMM enumerated them; the certificate must agree.
        key_set: key set in use.
        transcript: of the last connect.
    """

    def __init__(self, policy: TsmPolicy, rng: Rng, context: Context, rdsm: Rdsm,
                 observe: Observer, on_message: Callable[[bool, bytes], None]) -> None:
        super().__init__(policy, rng, observe, on_message=on_message)
        self.descriptor: StreamDescriptor | None = None
        self.identity: PcieIdentity | None = None
        self.key_set = 0
        self.transcript = b""
        self._context = context
        self._rdsm = rdsm
        self._recorder = Recorder()
        self.on_exchange = self._recorder.take

    # ---- connect ---------------------------------------------------------------------------------
    def connect(self) -> Steps[None]:
        """Attest, session, stream; `transcript` is set on success."""
        descriptor = self._descriptor()
        self.policy = replace(self.policy, stream_id=descriptor.stream_id)
        self._recorder.start()
        try:
            yield from super().connect()
        finally:
            self._recorder.finish()

    def read_identity(self) -> Steps[None]:
        """The VMM enumerates: `identity` is what the registers say."""
        self.identity = yield from super()._identity()

    def _identity(self) -> Steps[PcieIdentity]:
        yield from ()
        if self.identity is None:
            raise LocalError("the device was not enumerated: enumerate it first")
        return self.identity

    def _key_stream(self) -> Steps[None]:
        session, descriptor = self._session(), self._descriptor()
        interface = InterfaceId(function_id=self.tdi_function(0).bdf)
        yield from tdisp.version(session, interface)
        yield from tdisp.capabilities(session, interface)
        # Nothing that follows is public: keys.
        self.transcript = self._recorder.finish()
        answer = yield from ide_km.query(session)
        if answer.bus << 8 | answer.dev_func != self.functions[0].bdf:
            raise PeerError("QUERY_RESP names another function than the device's first",
                            clause="PCIe Base 6.33.3")
        self._covt(Covt.PROGRAM_RP_IDE_STREAM, descriptor.encode())
        yield from self._new_keys(0)
        self._observe("IDE_KM", f"stream {descriptor.stream_id}: keys run at both ends")

    def _new_keys(self, key_set: int) -> Steps[None]:
        session, stream = self._session(), self.policy.stream_id
        keys = {(direction, sub): Secret(self._rng(KEY_BYTES))
                for direction in KeyDirection for sub in SubStream}
        try:
            yield from ide_km.program_stream(session, stream, key_set, keys)
            for (direction, sub), key in keys.items():
                self._covt(Covt.PROGRAM_RP_IDE_KEY,
                           KeyDescriptor.partner(stream, sub, key_set, direction).encode(),
                           KeyData(key=key).encode())
        finally:
            for key in keys.values():
                key.wipe()
        # Receivers first at both ends: the device's Rx, then the root port's Rx.
        order = [KeyDirection.RX, KeyDirection.TX]
        if quirks_of(self._context).tx_go_first:
            order.reverse()
        for direction in order:
            yield from ide_km.go_direction(session, stream, key_set, direction)
            self._port_direction(Covt.SET_GO_RP_IDE_KEY, direction, key_set)
        self.key_set = key_set

    def refresh_keys(self) -> Steps[int]:
        """New keys in the other key set, with traffic going on: the key set now in use."""
        yield from self._new_keys(1 - self.key_set)
        return self.key_set

    # ---- unbind, disconnect ----------------------------------------------------------------------
    def unbind(self, tdi: int) -> Steps[None]:
        """STOP_INTERFACE.

        Raises:
            TransportError: the device did not answer; its stream is gone at our end.
        """
        yield from super().unbind(tdi)
        if self.is_dead:
            raise TransportError(f"TDI {tdi} was not seen to stop: disconnect the device")

    def disconnect(self) -> Steps[None]:
        """Root port off, keys stopped at both ends (Tx first), cleared, session ended."""
        session, stream = self._session(), self.policy.stream_id
        for tdi in list(self.tdis):
            yield from self.unbind(tdi)
        self._covt(Covt.PROGRAM_RP_IDE_STREAM, self._descriptor().encode())
        for direction in (KeyDirection.TX, KeyDirection.RX):
            for info in ide_km.key_infos(self.key_set, direction):
                yield from ide_km.key_set_stop(session, stream, info)
            self._stop_enabled(direction)
        self._covt(Covt.CLEAR_RP_IDE_KEY, bytes((stream,)))
        self.block = None
        yield from session.end()
        self._forget()
        self._observe("disconnect", "keys cleared, session ended")

    def _drop_stream(self) -> Steps[None]:
        """Our end of the stream goes, whatever state it is in."""
        yield from ()
        self.block = None
        stream = self.policy.stream_id
        if stream not in self._rdsm.streams:
            return
        for direction in KeyDirection:
            self._stop_enabled(direction)
        self._call(Covt.PROGRAM_RP_IDE_STREAM, self._descriptor().encode())
        if any(self._status(stream, *key) for key in KEYS):
            self._covt(Covt.CLEAR_RP_IDE_KEY, bytes((stream,)))

    def _stop_enabled(self, device: KeyDirection) -> None:
        """COVT stop for every Enabled key of the root port that carries this name (Tx or Rx)."""
        wanted = 0 if device is KeyDirection.TX else 1
        for direction, sub, key_set in KEYS:
            if direction == wanted and (self._status(self.policy.stream_id, direction, sub, key_set)
                                        is KeyStatus.ENABLED):
                self._covt(Covt.SET_STOP_RP_IDE_KEY, KeyDescriptor(
                    stream_id=self.policy.stream_id, sub_stream=sub, key_set=key_set,
                    direction=direction).encode())

    # ---- helpers ---------------------------------------------------------------------------------
    def _port_direction(self, function: Covt, name: KeyDirection, key_set: int) -> None:
        """A COVT call for the three keys of the root port that carry this name (its own Rx, Tx)."""
        direction = 0 if name is KeyDirection.TX else 1
        for sub in SubStream:
            self._covt(function, KeyDescriptor(
                stream_id=self.policy.stream_id, sub_stream=sub, key_set=key_set,
                direction=direction).encode())

    def _status(self, stream: int, direction: int, sub: SubStream, key_set: int) -> KeyStatus:
        return self._rdsm.status(KeyDescriptor(stream_id=stream, sub_stream=sub, key_set=key_set,
                                               direction=direction))

    def _call(self, function: Covt, *args: bytes) -> SbiRet:
        return self._rdsm.call(function, self._rdsm.port.rp_id, *args)

    def _covt(self, function: Covt, *args: bytes) -> None:
        ret = self._call(function, *args)
        if not ret.ok:
            raise TsmError(f"COVT {function.name}: {ret.error.name}; disconnect the device")

    def _descriptor(self) -> StreamDescriptor:
        if self.descriptor is None:
            raise LocalError("the VMM has not described a stream: give connect one")
        return self.descriptor
