# SPDX-License-Identifier: Apache-2.0
"""One secured session: FINISH, application messages, KEY_UPDATE, END_SESSION.

Same shape as `SpdmRequester`, but what goes out and comes in are secured records (DOE type 2).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from teeio.core.certificates import VerifiedChain
from teeio.core.key_schedule import ApplicationSecrets, HandshakeSecrets, KeySchedule
from teeio.core.secret import Secret
from teeio.core.spdm_chunks import ChunkLimits
from teeio.core.spdm_context import Accept, SpdmPhase
from teeio.core.spdm_crypto import PublicKey, Rng, Suite
from teeio.core.spdm_evidence import SpdmEvidence
from teeio.core.spdm_record import RecordChannel
from teeio.core.transcript import SessionTranscript
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import Reader
from teeio.wire.secured import OVERHEAD_BYTES, SecuredRecord
from teeio.wire.spdm_base import Code, ErrorCode, SpdmMessage
from teeio.wire.spdm_error import SpdmError
from teeio.wire.spdm_session import (
    EndSession,
    EndSessionAck,
    Finish,
    FinishRsp,
    Heartbeat,
    HeartbeatAck,
    KeyUpdate,
    KeyUpdateAck,
    KeyUpdateOp,
)
from teeio.wire.spdm_vendor import PciProtocol, VendorDefinedRequest, VendorDefinedResponse

_MAX_RECORD_PAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """The public facts of a session at its start.

    Attributes:
        session_id: RspSessionID << 16 | ReqSessionID.
        heartbeat_period: seconds, 0 = none.
        key_update: both ends have KEY_UPD_CAP.
        summary: measurement summary hash signed in KEY_EXCHANGE_RSP, empty if none.
        device_bytes: largest message the device takes in one piece.
        limits: sizes of messages in chunks, if both sides have CHUNK_CAP.
        own_bytes: largest message we take in one piece.
    """

    session_id: int
    secured_version: int
    heartbeat_period: int
    key_update: bool
    slot: int
    chain: VerifiedChain = field(repr=False)
    summary_type: int
    summary: bytes
    suite: Suite
    schedule: KeySchedule
    transcript: SessionTranscript = field(repr=False)
    device_bytes: int
    limits: ChunkLimits | None = None
    own_bytes: int
    strict: bool


class SpdmSession(SpdmEvidence):
    """A session between KEY_EXCHANGE and END_SESSION. Made by `SpdmRequester.take_session`."""

    def __init__(self, start: SessionStart, secrets: HandshakeSecrets, rng: Rng) -> None:
        super().__init__(rng, strict=start.strict)
        self.start = start
        self._phase = SpdmPhase.HANDSHAKE
        self._handshake: HandshakeSecrets | None = secrets
        self._application: ApplicationSecrets | None = None
        self._request_secret: Secret | None = None
        self._response_secret: Secret | None = None
        self._tx = RecordChannel(start.schedule.record_keys(secrets.request))
        self._rx = RecordChannel(start.schedule.record_keys(secrets.response))
        self._next_response: Secret | None = None
        self._needs_verify = False

    def __repr__(self) -> str:
        return f"SpdmSession({self.session_id:#010x}, {self._phase.value})"

    @property
    def session_id(self) -> int:
        return self.start.session_id

    # SpdmContext ---------------------------------------------------------------------------

    @property
    def version(self) -> int:
        return self.start.suite.version

    def _suite(self) -> Suite:
        return self.start.suite

    def _vca(self) -> bytes:
        return self.start.transcript.base

    def _leaf_key(self, slot: int) -> PublicKey:
        if slot != self.start.slot:
            raise LocalError(f"this session was opened with slot {self.start.slot}")
        return self.start.chain.leaf_key

    def _chunk_limits(self) -> ChunkLimits | None:
        return self.start.limits

    def _wrap(self, message: bytes) -> bytes:
        if len(message) > self.start.device_bytes:
            raise LocalError(
                f"{len(message)} bytes exceed the device's transfer size of "
                f"{self.start.device_bytes}"
            )
        return self._tx.seal(self.session_id, message)

    def _unwrap(self, data: bytes) -> bytes:
        if len(data) > self.start.own_bytes + OVERHEAD_BYTES + _MAX_RECORD_PAD:
            raise PeerError(
                f"record of {len(data)} bytes, we announced {self.start.own_bytes}",
                clause="DSP0274 GET_CAPABILITIES: DataTransferSize",
                data=data,
            )
        reader = Reader(data, strict=self._strict)
        try:
            record = SecuredRecord.decode(reader)
            reader.expect_end(_MAX_RECORD_PAD)
        except DecodeError as error:
            raise PeerError(
                error.reason, clause="DSP0277 secured message layout", data=data
            ) from None
        self.notes.extend(reader.notes)
        if record.session_id != self.session_id:
            raise PeerError(
                f"record of session {record.session_id:#010x}",
                clause="DSP0277: Session ID",
                data=data,
            )
        if self._next_response is not None:
            return self._open_after_update(record, self._next_response)
        return self._rx.open(record, strict=self._strict)

    def _open_after_update(self, record: SecuredRecord, secret: Secret) -> bytes:
        """The answer to UpdateAllKeys: under the new key, or an ERROR under the old one."""
        channel = RecordChannel(self.start.schedule.record_keys(secret))
        try:
            message = channel.open(record, strict=self._strict)
        except PeerError:
            channel.wipe()
            message = self._rx.open(record, strict=self._strict)
            if len(message) < 2 or message[1] != Code.ERROR:
                raise PeerError(
                    "KEY_UPDATE_ACK under the old response key",
                    clause="DSP0274 KEY_UPDATE: UpdateAllKeys is acknowledged under the new key",
                    data=record.encode(),
                ) from None
            return message
        self._rx.wipe()
        if self._response_secret is not None:
            self._response_secret.wipe()
        self._rx, self._response_secret, self._next_response = channel, secret, None
        return message

    def _on_error(self, error: SpdmError) -> None:
        self._drop_next_response()
        in_handshake = self._phase is SpdmPhase.HANDSHAKE and error.error != ErrorCode.BUSY
        if error.error == ErrorCode.DECRYPT_ERROR or in_handshake:
            self.abandon()

    def _log_identity(self, request: bytes, response: bytes) -> None:
        """Identity exchanges inside of a session enter no transcript."""

    def _wipe(self) -> None:
        self._tx.wipe()
        self._rx.wipe()
        self._drop_next_response()
        for secrets in (self._handshake, self._application):
            if secrets is not None:
                secrets.wipe()
        for secret in (self._request_secret, self._response_secret):
            if secret is not None:
                secret.wipe()
        self._handshake = self._application = None
        self._request_secret = self._response_secret = None

    def _drop_next_response(self) -> None:
        if self._next_response is not None:
            self._next_response.wipe()
            self._next_response = None

    def _require_identity_phase(self) -> None:
        self._require_application()

    # Misuse on purpose ---------------------------------------------------------------------

    def seal_raw(self, message: bytes) -> bytes:
        """The record for any bytes, legal or not; for conformance suites.

        No request becomes outstanding and nothing is judged: the answer goes to `open_raw`.
        """
        return self._tx.seal(self.session_id, message)

    def open_raw(self, data: bytes) -> bytes:
        """The message in a record that answers `seal_raw`.

        Raises:
            PeerError: it is no record of this session; the session is dead then.
        """
        try:
            return self._unwrap(data)
        except PeerError:
            self.abandon()
            raise

    # Handshake -----------------------------------------------------------------------------

    def finish(self) -> bytes:
        """FINISH; its answer moves the session into the application phase."""
        if self._phase is not SpdmPhase.HANDSHAKE or self._handshake is None:
            raise LocalError(f"not possible in phase {self._phase.value!r}")
        start = self.start
        header = Finish(version=self.version, verify_data=bytes(start.suite.hash_size)).encode()
        covered = start.transcript.finish_verified(header, start.suite.hash_size)
        verify_data = start.schedule.verify_data(
            self._handshake.request_finished, start.suite.digest(covered)
        )
        message = Finish(version=self.version, verify_data=verify_data)
        return self._begin(message, FinishRsp, self._accept_finish)

    def _accept_finish(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert self._handshake is not None
        schedule = self.start.schedule
        th2 = self.start.suite.digest(self.start.transcript.th2(request, raw))
        self._application = schedule.application(self._handshake.handshake, th2)
        self._handshake.wipe()
        self._handshake = None
        self._tx.wipe()
        self._rx.wipe()
        self._request_secret = self._application.request
        self._response_secret = self._application.response
        self._tx = RecordChannel(schedule.record_keys(self._request_secret))
        self._rx = RecordChannel(schedule.record_keys(self._response_secret))
        self._phase = SpdmPhase.APPLICATION

    # Application ---------------------------------------------------------------------------

    def _require_application(self) -> None:
        if self._phase is not SpdmPhase.APPLICATION:
            raise LocalError(f"not possible in phase {self._phase.value!r}")
        if self._needs_verify:
            raise LocalError("VerifyNewKey must follow a key update")

    def vendor_request(self, payload: bytes) -> bytes:
        """VENDOR_DEFINED of PCI-SIG with `payload` (protocol byte first).

        The answer must be of PCI-SIG too and carry the same protocol byte.
        """
        self._require_application()
        if not payload or payload[0] not in tuple(PciProtocol):
            raise LocalError("a PCI-SIG payload starts with a protocol byte")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, VendorDefinedResponse)
            if not response.is_pci_sig or response.payload[:1] != payload[:1]:
                raise PeerError(
                    "vendor-defined answer of another standard or protocol",
                    clause="PCIe Base 6.31.3: StandardID, VendorID, protocol",
                    data=raw,
                )

        request = VendorDefinedRequest(version=self.version, payload=payload)
        return self._begin(request, VendorDefinedResponse, accept)

    def heartbeat(self) -> bytes:
        """HEARTBEAT, if a period was agreed."""
        self._require_application()
        if not self.start.heartbeat_period:
            raise LocalError("no heartbeat was agreed for this session")
        return self._begin(Heartbeat(version=self.version), HeartbeatAck, lambda *_: None)

    def end(self) -> bytes:
        """END_SESSION; after the answer the session is closed and its secrets are wiped."""
        self._require_application()

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            self._phase = SpdmPhase.CLOSED
            self._wipe()

        return self._begin(EndSession(version=self.version), EndSessionAck, accept)

    def update_keys(self, operation: KeyUpdateOp, *, tag: int | None = None) -> bytes:
        """KEY_UPDATE with UpdateKey or UpdateAllKeys. `verify_new_key` must follow."""
        self._require_application()
        if operation is KeyUpdateOp.VERIFY_NEW_KEY:
            raise LocalError("use verify_new_key")
        if not self.start.key_update:
            raise LocalError("KEY_UPD_CAP was not agreed")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            self._check_key_update_echo(request, raw)
            self._renew_request_key()
            self._needs_verify = True

        wire = self._begin_key_update(operation, tag, accept)
        self._expect_new_response_key()
        return wire

    def retry(self) -> bytes:
        wire = super().retry()
        self._expect_new_response_key()
        return wire

    def _expect_new_response_key(self) -> None:
        """UpdateAllKeys is answered under the key that it asks for: derive it beforehand."""
        all_keys = bytes([Code.KEY_UPDATE, KeyUpdateOp.UPDATE_ALL_KEYS])
        if self._pending is not None and self._pending.request[1:3] == all_keys:
            assert self._response_secret is not None
            self._next_response = self.start.schedule.updated(self._response_secret)

    def verify_new_key(self, *, tag: int | None = None) -> bytes:
        """KEY_UPDATE VerifyNewKey under the new request key."""
        if self._phase is not SpdmPhase.APPLICATION or not self._needs_verify:
            raise LocalError("no key update waits for verification")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            self._check_key_update_echo(request, raw)
            self._needs_verify = False

        return self._begin_key_update(KeyUpdateOp.VERIFY_NEW_KEY, tag, accept)

    def _begin_key_update(
        self,
        operation: KeyUpdateOp,
        tag: int | None,
        accept: Accept,
    ) -> bytes:
        number = self._rng(1)[0] if tag is None else tag
        message = KeyUpdate(version=self.version, operation=operation, tag=number)
        return self._begin(message, KeyUpdateAck, accept)

    def _check_key_update_echo(self, request: bytes, raw: bytes) -> None:
        if not hmac.compare_digest(request[2:4], raw[2:4]):
            raise PeerError(
                "operation or tag is not echoed", clause="DSP0274 KEY_UPDATE_ACK", data=raw
            )

    def _renew_request_key(self) -> None:
        assert self._request_secret is not None
        schedule = self.start.schedule
        secret = schedule.updated(self._request_secret)
        self._request_secret.wipe()
        self._tx.wipe()
        self._request_secret = secret
        self._tx = RecordChannel(schedule.record_keys(secret))
