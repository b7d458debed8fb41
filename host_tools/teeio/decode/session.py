# SPDX-License-Identifier: Apache-2.0
"""A secured session as a listener with its ECDH secret sees it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from teeio.core.key_schedule import HandshakeSecrets, KeySchedule
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import Suite
from teeio.core.spdm_record import RecordChannel
from teeio.core.transcript import MeasurementTranscript, SessionTranscript
from teeio.decode.entry import Entry
from teeio.errors import PeerError
from teeio.wire.secured import SecuredRecord
from teeio.wire.spdm_base import SpdmMessage
from teeio.wire.spdm_session import (
    EndSessionAck,
    Finish,
    FinishRsp,
    KeyUpdate,
    KeyUpdateAck,
    KeyUpdateOp,
)


@dataclass(slots=True)
class ListenedSession:
    """One session from KEY_EXCHANGE_RSP on.

    Attributes:
        slot: whose key signs in it.
        has_keys: the records can be opened.
        pending: the request that waits for its response, decoded, and its bytes.
        is_waiting: a request is outstanding, readable or not.
    """

    session_id: int
    slot: int
    suite: Suite
    transcript: SessionTranscript
    measurement_log: MeasurementTranscript = field(default_factory=MeasurementTranscript)
    is_over: bool = False
    is_waiting: bool = False
    pending: tuple[SpdmMessage, bytes] | None = None
    _schedule: KeySchedule | None = None
    _handshake: HandshakeSecrets | None = None
    _request: Secret | None = None
    _response: Secret | None = None
    _tx: RecordChannel | None = None
    _rx: RecordChannel | None = None

    @property
    def has_keys(self) -> bool:
        return self._tx is not None

    def try_secrets(self, secrets: Iterable[Secret], verify_data: bytes) -> bool:
        """Finds the ECDH secret of this session: the one that gives ResponderVerifyData."""
        suite = self.suite
        schedule = KeySchedule(suite.hash_name, suite.hash_size, suite.version)
        th1 = suite.digest(self.transcript.th1())
        for secret in secrets:
            handshake = schedule.handshake(secret, th1)
            expected = schedule.verify_data(handshake.response_finished, th1)
            if hmac.compare_digest(expected, verify_data):
                self._schedule, self._handshake = schedule, handshake
                self._tx = RecordChannel(schedule.record_keys(handshake.request))
                self._rx = RecordChannel(schedule.record_keys(handshake.response))
                return True
            handshake.wipe()
        return False

    def open(self, record: SecuredRecord, *, is_request: bool) -> bytes:
        """The message in a record.

        Raises:
            PeerError: it does not authenticate.
        """
        assert self._tx is not None and self._rx is not None
        if is_request:
            return self._tx.open(record)
        if self.pending is not None and self._updates_all(self.pending[0]):
            return self._open_updated(record)
        return self._rx.open(record)

    @staticmethod
    def _updates_all(request: SpdmMessage) -> bool:
        return (isinstance(request, KeyUpdate)
                and request.operation == KeyUpdateOp.UPDATE_ALL_KEYS)

    def _open_updated(self, record: SecuredRecord) -> bytes:
        """UpdateAllKeys is acknowledged under the new key, refused under the old one."""
        assert self._schedule is not None and self._response is not None
        assert self._rx is not None
        fresh = self._schedule.updated(self._response)
        channel = RecordChannel(self._schedule.record_keys(fresh))
        try:
            message = channel.open(record)
        except PeerError:
            return self._rx.open(record)
        self._rx, self._response = channel, fresh
        return message

    def take(self, entry: Entry, request: SpdmMessage | None, raw_request: bytes,
             response: SpdmMessage, raw: bytes) -> None:
        """Follows what a response does to the session, and verifies what it can."""
        match response:
            case FinishRsp() if isinstance(request, Finish):
                self._finish(entry, request, raw_request, raw)
            case KeyUpdateAck() if isinstance(request, KeyUpdate):
                entry.check("KEY_UPDATE echoed", (response.operation, response.tag)
                            == (request.operation, request.tag))
                if request.operation != KeyUpdateOp.VERIFY_NEW_KEY:
                    self._renew_request_key()
            case EndSessionAck():
                self.is_over = True

    def _finish(self, entry: Entry, request: Finish, raw_request: bytes, raw: bytes) -> None:
        if self._handshake is None or self._schedule is None:
            return
        schedule, suite = self._schedule, self.suite
        covered = suite.digest(self.transcript.finish_verified(raw_request, suite.hash_size))
        expected = schedule.verify_data(self._handshake.request_finished, covered)
        entry.check("RequesterVerifyData", hmac.compare_digest(expected, request.verify_data))
        th2 = suite.digest(self.transcript.th2(raw_request, raw))
        secrets = schedule.application(self._handshake.handshake, th2)
        self._request, self._response = secrets.request, secrets.response
        self._tx = RecordChannel(schedule.record_keys(secrets.request))
        self._rx = RecordChannel(schedule.record_keys(secrets.response))

    def _renew_request_key(self) -> None:
        if self._schedule is not None and self._request is not None:
            self._request = self._schedule.updated(self._request)
            self._tx = RecordChannel(self._schedule.record_keys(self._request))
