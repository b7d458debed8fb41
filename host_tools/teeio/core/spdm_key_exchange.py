# SPDX-License-Identifier: Apache-2.0
"""One KEY_EXCHANGE: what was sent, and how its answer becomes a session (DSP0274 10.16).

The order of the checks is fixed: signature first, so that nothing unsigned is looked at; then the
fields; then the shared secret and the responder's HMAC.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from teeio.core.certificates import VerifiedChain
from teeio.core.key_schedule import HandshakeSecrets, KeySchedule
from teeio.core.spdm_chunks import ChunkLimits
from teeio.core.spdm_crypto import CONTEXT_KEY_EXCHANGE_RSP, EphemeralKey, Suite
from teeio.core.spdm_negotiation import NoteDeviation, RequesterConfig
from teeio.core.spdm_session import SessionStart
from teeio.core.transcript import SessionTranscript
from teeio.errors import DecodeError, PeerError
from teeio.wire.opaque import read_version_selection
from teeio.wire.spdm_base import Cap
from teeio.wire.spdm_session import KeyExchange, KeyExchangeRsp


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExchangeAttempt:
    """An outstanding KEY_EXCHANGE.

    Attributes:
        common: capability flags that both ends set.
        vca: bytes of the VCA exchange.
        device_bytes: largest message the device takes in one piece.
        limits: sizes of messages in chunks, if both sides have CHUNK_CAP.
    """

    config: RequesterConfig
    suite: Suite
    common: Cap
    vca: bytes = field(repr=False)
    device_bytes: int
    limits: ChunkLimits | None
    chain: VerifiedChain = field(repr=False)
    ephemeral: EphemeralKey
    message: KeyExchange

    def accept(
        self,
        response: KeyExchangeRsp,
        request: bytes,
        raw: bytes,
        *,
        used_ids: Collection[int],
        note: NoteDeviation,
    ) -> tuple[SessionStart, HandshakeSecrets]:
        """Judges the response and derives the handshake secrets.

        Args:
            request: bytes of KEY_EXCHANGE.
            raw: bytes of KEY_EXCHANGE_RSP.
            used_ids: ids of the sessions that are alive.

        Raises:
            PeerError: naming the check that failed; no secret is left behind.
        """

        def broken(reason: str, clause: str) -> PeerError:
            return PeerError(reason, clause=f"DSP0274 KEY_EXCHANGE_RSP: {clause}", data=raw)

        suite = self.suite
        transcript = SessionTranscript(
            base=self.vca,
            chain_hash=suite.digest(self.chain.structure),
            key_exchange=request,
            key_exchange_rsp=raw,
            signature_bytes=len(response.signature),
            verify_bytes=len(response.verify_data),
        )
        signed = transcript.signed()
        key = self.chain.leaf_key
        if not suite.verify(key, CONTEXT_KEY_EXCHANGE_RSP, signed, response.signature):
            raise broken("the signature does not verify", "Signature over TH")
        if response.mut_auth_requested:
            raise broken("mutual authentication, which we did not offer", "MutAuthRequested")
        if response.slot_id_param:
            note("SlotIDParam is not 0", "DSP0274 KEY_EXCHANGE_RSP", raw)
        if response.heartbeat_period and not self.common & Cap.HBEAT:
            note("heartbeat without HBEAT_CAP", "DSP0274 KEY_EXCHANGE_RSP", raw)
        session_id = response.rsp_session_id << 16 | self.message.req_session_id
        if session_id in used_ids:
            raise broken(f"session id {session_id:#010x} is in use", "RspSessionID")
        clause = "secured message version selection"
        try:
            secured_version = read_version_selection(response.opaque)
        except DecodeError as error:
            raise broken(error.reason, clause) from None
        if secured_version not in self.config.secured_versions:
            raise broken(f"secured message version {secured_version:#06x} was not offered", clause)
        schedule = KeySchedule(suite.hash_name, suite.hash_size, suite.version)
        secrets = self._agree(
            response, schedule, suite.digest(transcript.th1()), session_id, broken
        )
        start = SessionStart(
            session_id=session_id,
            secured_version=secured_version,
            heartbeat_period=response.heartbeat_period,
            key_update=bool(self.common & Cap.KEY_UPD),
            slot=self.message.slot,
            chain=self.chain,
            summary_type=self.message.summary_type,
            summary=response.summary,
            suite=suite,
            schedule=schedule,
            transcript=transcript,
            device_bytes=self.device_bytes,
            limits=self.limits,
            own_bytes=self.config.transfer_bytes,
            strict=self.config.strict,
        )
        return start, secrets

    def _agree(
        self,
        response: KeyExchangeRsp,
        schedule: KeySchedule,
        th1: bytes,
        session_id: int,
        broken: Callable[[str, str], PeerError],
    ) -> HandshakeSecrets:
        """ECDH, handshake secrets, and the responder's proof that it has them too."""
        try:
            shared = self.ephemeral.agree(response.exchange_data)
        except ValueError:
            raise broken("ExchangeData is no point of the curve", "ExchangeData") from None
        if self.config.lab_log is not None:
            self.config.lab_log.shared_secret(session_id, shared)
        secrets = schedule.handshake(shared, th1)
        shared.wipe()
        expected = schedule.verify_data(secrets.response_finished, th1)
        if not hmac.compare_digest(expected, response.verify_data):
            secrets.wipe()
            raise broken("the HMAC does not verify", "ResponderVerifyData")
        return secrets
