# SPDX-License-Identifier: Apache-2.0
"""The SPDM requester: connection setup, identity, KEY_EXCHANGE (DSP0274 1.2 and 1.3).

In the manner of h11: methods build requests as bytes, `receive` takes the answer. Messages here
are plain SPDM (DOE type 1); a session (`core/spdm_session.py`) has its own object of the same kind.

    requester = SpdmRequester(RequesterConfig(), rng)
    send(requester.get_version());            requester.receive(answer)
    send(requester.get_capabilities());       requester.receive(answer)
    send(requester.negotiate_algorithms());   requester.receive(answer)
    ...                                       requester.trust(slot, verified_chain)
    send(requester.key_exchange(slot));       requester.receive(answer)
    session = requester.take_session()
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Final

from teeio.core.certificates import VerifiedChain
from teeio.core.spdm_chunks import ChunkLimits
from teeio.core.spdm_context import Accept, SpdmPhase
from teeio.core.spdm_crypto import CONTEXT_CHALLENGE_AUTH, EphemeralKey, PublicKey, Rng, Suite
from teeio.core.spdm_evidence import SpdmEvidence
from teeio.core.spdm_key_exchange import KeyExchangeAttempt
from teeio.core.spdm_negotiation import (
    TEE_IO_CAPABILITIES,
    RequesterConfig,
    algorithms_request,
    capabilities_request,
    check_capabilities,
    choose_version,
    select_suite,
)
from teeio.core.spdm_session import SpdmSession
from teeio.core.transcript import ConnectionTranscript
from teeio.errors import LocalError, PeerError
from teeio.wire.opaque import supported_versions
from teeio.wire.reader import Note
from teeio.wire.spdm_base import (
    CONTEXT_BYTES,
    MAX_UNSECURED_PAD,
    MIN_TRANSFER_BYTES,
    NONCE_BYTES,
    VERSION_13,
    Cap,
    Code,
    ErrorCode,
    Layout,
    SpdmMessage,
)
from teeio.wire.spdm_connection import Algorithms, Capabilities, GetVersion, Version
from teeio.wire.spdm_error import SpdmError
from teeio.wire.spdm_identity import Challenge, ChallengeAuth
from teeio.wire.spdm_session import (
    SUMMARY_ALL,
    SUMMARY_NONE,
    SUMMARY_TCB,
    KeyExchange,
    KeyExchangeRsp,
)

__all__ = ["TEE_IO_CAPABILITIES", "RequesterConfig", "SpdmRequester"]

_RESTARTS_IDENTITY_LOG: Final = (
    Code.GET_DIGESTS, Code.GET_MEASUREMENTS, Code.KEY_EXCHANGE, Code.GET_CSR, Code.SET_CERTIFICATE,
)
"""Requests that empty the DIGESTS and CERTIFICATE part of M1/M2."""


class SpdmRequester(SpdmEvidence):
    """One connection to one responder.

    Attributes:
        capabilities: the device's CAPABILITIES once received.
        algorithms: the device's ALGORITHMS once received.
        summary: the measurement summary of the last CHALLENGE_AUTH, if asked for.
    """

    _pad = MAX_UNSECURED_PAD

    def __init__(self, config: RequesterConfig, rng: Rng) -> None:
        super().__init__(rng, strict=config.strict)
        self.config = config
        self.capabilities: Capabilities | None = None
        self.algorithms: Algorithms | None = None
        self.summary: bytes = b""
        self._version = 0
        self._negotiated: Suite | None = None
        self._transcript = ConnectionTranscript()
        self._chains: dict[int, VerifiedChain] = {}
        self._ephemeral: EphemeralKey | None = None
        self._new_session: SpdmSession | None = None
        self._sessions: list[SpdmSession] = []

    # SpdmContext ---------------------------------------------------------------------------

    @property
    def version(self) -> int:
        if not self._version:
            raise LocalError("no version has been agreed yet")
        return self._version

    @property
    def suite(self) -> Suite:
        """The negotiated algorithms.

        Raises:
            LocalError: before ALGORITHMS.
        """
        if self._negotiated is None:
            raise LocalError("no algorithms have been negotiated yet")
        return self._negotiated

    def _suite(self) -> Suite:
        return self.suite

    def _vca(self) -> bytes:
        return self._transcript.vca

    def _leaf_key(self, slot: int) -> PublicKey:
        return self.chain(slot).leaf_key

    def _chunk_limits(self) -> ChunkLimits | None:
        theirs = self.capabilities
        if theirs is None or not self.config.capabilities & theirs.flags & Cap.CHUNK:
            return None
        return ChunkLimits(
            device_bytes=theirs.data_transfer_size,
            device_message_bytes=theirs.max_message_size,
            own_message_bytes=self.config.message_bytes,
        )

    @property
    def largest_answer(self) -> int:
        """Size of the largest answer that we can take, in chunks or not."""
        limits = self._chunk_limits()
        return self.config.transfer_bytes if limits is None else limits.own_message_bytes

    def _wrap(self, message: bytes) -> bytes:
        limit = self.capabilities.data_transfer_size if self.capabilities else MIN_TRANSFER_BYTES
        if len(message) > limit:
            raise LocalError(f"{len(message)} bytes exceed the device's transfer size of {limit}")
        return message

    def _unwrap(self, data: bytes) -> bytes:
        if len(data) > self.config.transfer_bytes + MAX_UNSECURED_PAD:
            raise PeerError(
                f"{len(data)} bytes, we announced {self.config.transfer_bytes}",
                clause="DSP0274 GET_CAPABILITIES: DataTransferSize",
                data=data,
            )
        return data

    def _wipe(self) -> None:
        if self._ephemeral is not None:
            self._ephemeral.drop()
            self._ephemeral = None

    def _log_identity(self, request: bytes, response: bytes) -> None:
        self._transcript.identity += request + response

    def _begin(
        self,
        request: SpdmMessage,
        expects: type[SpdmMessage],
        accept: Accept,
        layout: Layout | None = None,
    ) -> bytes:
        wire = super()._begin(request, expects, accept, layout)
        if request.CODE in _RESTARTS_IDENTITY_LOG:
            self._transcript.identity = b""
        return wire

    def _on_error(self, error: SpdmError) -> None:
        if error.error != ErrorCode.BUSY:
            self._wipe()
        if error.error in (ErrorCode.REQUEST_RESYNCH, ErrorCode.VERSION_MISMATCH):
            self._phase = SpdmPhase.NOT_STARTED

    def _note(self, reason: str, clause: str, raw: bytes) -> None:
        """A deviation that the standard forbids but that harms nothing here."""
        if self.config.strict:
            raise PeerError(reason, clause=clause, data=raw)
        self.notes.append(Note(f"{clause}: {reason}", 0, b""))

    # VCA -----------------------------------------------------------------------------------

    def get_version(self) -> bytes:
        """GET_VERSION: starts over. Everything negotiated is forgotten, all sessions die."""
        for session in self._sessions:
            session.abandon()
        self._sessions.clear()
        self._wipe()
        self._pending = self._refused = None
        self._phase = SpdmPhase.NOT_STARTED
        self._version = 0
        self._negotiated = None
        self._new_session = None
        self.capabilities = self.algorithms = None
        self.digests = self.measurements = self.measurement_count = None
        self._chains.clear()
        self._transcript = ConnectionTranscript()
        return self._begin(GetVersion(), Version, self._accept_version, Layout())

    def _accept_version(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Version)
        self._version = choose_version(self.config, response, raw)
        self._transcript.vca = request + raw
        self._phase = SpdmPhase.AFTER_VERSION

    def get_capabilities(self) -> bytes:
        """GET_CAPABILITIES with our flags and sizes."""
        self._require(SpdmPhase.AFTER_VERSION)
        request = capabilities_request(self.config, self.version)
        return self._begin(request, Capabilities, self._accept_capabilities, Layout())

    def _accept_capabilities(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Capabilities)
        check_capabilities(self.config, response, raw, self._note)
        self.capabilities = response
        self._transcript.vca += request + raw
        self._phase = SpdmPhase.AFTER_CAPABILITIES

    def negotiate_algorithms(self) -> bytes:
        """NEGOTIATE_ALGORITHMS with everything we support."""
        self._require(SpdmPhase.AFTER_CAPABILITIES)
        request = algorithms_request(self.config, self.version)
        return self._begin(request, Algorithms, self._accept_algorithms, Layout())

    def _accept_algorithms(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Algorithms)
        self._negotiated = select_suite(self.config, self.version, response, raw, self._note)
        self.algorithms = response
        self._transcript.vca += request + raw
        self._phase = SpdmPhase.NEGOTIATED

    def _require(self, phase: SpdmPhase) -> None:
        if self._phase is not phase:
            raise LocalError(f"not possible in phase {self._phase.value!r}")

    # Identity ------------------------------------------------------------------------------

    def trust(self, slot: int, chain: VerifiedChain) -> None:
        """Takes a verified chain as the identity behind `slot`.

        Raises:
            PeerError: if its key does not suit the negotiated algorithm, or DIGESTS gave another
                digest for the slot. The connection is dead then.
            LocalError: before ALGORITHMS.
        """
        suite = self.suite
        problem = ""
        if not suite.key_matches(chain.leaf_key):
            problem = f"the leaf key is not for {suite.base_asym.name}"
        announced = self.digests.digest_of(slot) if self.digests else None
        digest = suite.digest(chain.structure)
        if announced is not None and not hmac.compare_digest(announced, digest):
            problem = f"DIGESTS names another chain for slot {slot}"
        if problem:
            self.abandon()
            raise PeerError(
                problem, clause="DSP0274 DIGESTS and CERTIFICATE agree", data=chain.structure
            )
        self._chains[slot] = chain

    def chain(self, slot: int) -> VerifiedChain:
        """The trusted chain of `slot`.

        Raises:
            LocalError: if there is none.
        """
        try:
            return self._chains[slot]
        except KeyError:
            raise LocalError(f"the chain of slot {slot} has not been verified") from None

    def challenge(self, slot: int = 0, summary_type: int = SUMMARY_NONE) -> bytes:
        """CHALLENGE: the device proves that it holds the key of `slot`."""
        self._require(SpdmPhase.NEGOTIATED)
        chain = self.chain(slot)
        _check_summary_type(summary_type)
        is_13 = self.version >= VERSION_13
        message = Challenge(
            version=self.version,
            slot=slot,
            summary_type=summary_type,
            nonce=self._rng(NONCE_BYTES),
            context=self._rng(CONTEXT_BYTES) if is_13 else b"",
        )

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, ChallengeAuth)
            suite = self.suite
            transcript = self._transcript.challenge(request, raw, suite.signature_size)
            self._transcript.identity = b""
            problem = ""
            if response.slot & 0xF != slot:
                problem = f"slot {response.slot & 0xF}, asked for {slot}"
            elif response.context != message.context:
                problem = "RequesterContext is not echoed"
            elif not hmac.compare_digest(response.chain_hash, suite.digest(chain.structure)):
                problem = "CertChainHash is not that of the verified chain"
            elif not suite.verify(
                chain.leaf_key, CONTEXT_CHALLENGE_AUTH, transcript, response.signature
            ):
                problem = "the signature does not verify"
            if problem:
                raise PeerError(problem, clause="DSP0274 CHALLENGE_AUTH", data=raw)
            self.summary = response.summary

        layout = replace(self._layout, has_summary=summary_type != SUMMARY_NONE)
        return self._begin(message, ChallengeAuth, accept, layout)

    # KEY_EXCHANGE --------------------------------------------------------------------------

    def key_exchange(
        self, slot: int = 0, *, summary_type: int = SUMMARY_ALL, session_policy: int = 0
    ) -> bytes:
        """KEY_EXCHANGE with the key of `slot`; on success `take_session` gives the session.

        Args:
            slot: whose chain has been given to `trust`.
            summary_type: 0 none, 1 TCB, FFh all measurements in the signed summary hash.
            session_policy: bit 0 = end the session when the device's firmware is updated.
        """
        self._require(SpdmPhase.NEGOTIATED)
        chain = self.chain(slot)
        _check_summary_type(summary_type)
        if self._new_session is not None:
            raise LocalError("the session of the last KEY_EXCHANGE has not been taken")
        ephemeral = EphemeralKey(self.suite.dhe, self._rng)
        message = KeyExchange(
            version=self.version,
            summary_type=summary_type,
            slot=slot,
            req_session_id=self._choose_session_id(),
            session_policy=session_policy,
            random=self._rng(NONCE_BYTES),
            exchange_data=ephemeral.exchange_data,
            opaque=supported_versions(self.config.secured_versions),
        )

        theirs = self.capabilities.flags if self.capabilities else 0
        attempt = KeyExchangeAttempt(
            config=self.config,
            suite=self.suite,
            common=Cap(self.config.capabilities & theirs),
            vca=self._transcript.vca,
            device_bytes=self.capabilities.data_transfer_size if self.capabilities else 0,
            limits=self._chunk_limits(),
            chain=chain,
            ephemeral=ephemeral,
            message=message,
        )

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, KeyExchangeRsp)
            used_ids = {session.session_id for session in self._live_sessions()}
            start, secrets = attempt.accept(
                response, request, raw, used_ids=used_ids, note=self._note
            )
            self._ephemeral = None
            self._new_session = SpdmSession(start, secrets, self._rng)
            self._new_session.on_exchange = self.on_exchange
            self._sessions.append(self._new_session)

        layout = replace(self._layout, has_summary=summary_type != SUMMARY_NONE)
        wire = self._begin(message, KeyExchangeRsp, accept, layout)
        self._ephemeral = ephemeral
        return wire

    def take_session(self) -> SpdmSession:
        """The session that the last KEY_EXCHANGE opened, in its handshake phase.

        Raises:
            LocalError: if there is none.
        """
        session, self._new_session = self._new_session, None
        if session is None:
            raise LocalError("no KEY_EXCHANGE has succeeded since the last call")
        return session

    def close(self) -> None:
        """Forgets everything: all sessions and this connection are dead afterwards."""
        for session in self._sessions:
            session.abandon()
        self.abandon()

    def _live_sessions(self) -> list[SpdmSession]:
        over = (SpdmPhase.CLOSED, SpdmPhase.DEAD)
        self._sessions = [item for item in self._sessions if item.phase not in over]
        return self._sessions

    def _choose_session_id(self) -> int:
        """Our half of the session id: random, not 0, not in use."""
        used = {session.session_id & 0xFFFF for session in self._live_sessions()}
        for _ in range(16):
            candidate = int.from_bytes(self._rng(2), "little")
            if candidate and candidate not in used:
                return candidate
        raise LocalError("the random source does not give a free session id")


def _check_summary_type(summary_type: int) -> None:
    if summary_type not in (SUMMARY_NONE, SUMMARY_TCB, SUMMARY_ALL):
        raise LocalError(f"measurement summary type {summary_type:#x} does not exist")
