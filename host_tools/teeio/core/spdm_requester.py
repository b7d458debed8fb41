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
from dataclasses import dataclass, replace
from typing import Final

from teeio.core.certificates import VerifiedChain
from teeio.core.key_schedule import KeySchedule
from teeio.core.spdm_context import Accept, SpdmContext, SpdmPhase
from teeio.core.spdm_crypto import (
    CONTEXT_CHALLENGE_AUTH,
    CONTEXT_KEY_EXCHANGE_RSP,
    SUPPORTED_ASYM,
    SUPPORTED_DHE,
    SUPPORTED_HASHES,
    SUPPORTED_MEASUREMENT_HASHES,
    EphemeralKey,
    PublicKey,
    Rng,
    Suite,
)
from teeio.core.spdm_session import SessionStart, SpdmSession
from teeio.core.transcript import ConnectionTranscript, SessionTranscript
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.opaque import (
    SECURED_VERSION_11,
    SECURED_VERSION_12,
    read_version_selection,
    supported_versions,
)
from teeio.wire.reader import Note
from teeio.wire.spdm_base import (
    CONTEXT_BYTES,
    KEY_SCHEDULE_SPDM,
    KNOWN_VERSIONS,
    MAX_UNSECURED_PAD,
    MEASUREMENT_SPEC_DMTF,
    MIN_TRANSFER_BYTES,
    NONCE_BYTES,
    VERSION_12,
    VERSION_13,
    Aead,
    AlgType,
    BaseAsym,
    BaseHash,
    Cap,
    Code,
    Dhe,
    ErrorCode,
    Layout,
    MeasurementHash,
    OpaqueFormat,
    SpdmMessage,
)
from teeio.wire.spdm_connection import (
    Algorithms,
    AlgStruct,
    Capabilities,
    GetCapabilities,
    GetVersion,
    NegotiateAlgorithms,
    Version,
)
from teeio.wire.spdm_error import SpdmError
from teeio.wire.spdm_identity import Challenge, ChallengeAuth
from teeio.wire.spdm_session import (
    SUMMARY_ALL,
    SUMMARY_NONE,
    SUMMARY_TCB,
    KeyExchange,
    KeyExchangeRsp,
)

TEE_IO_CAPABILITIES: Final = Cap.CERT | Cap.MEAS_SIGNED | Cap.ENCRYPT | Cap.MAC | Cap.KEY_EX
"""What a TEE-IO device must offer."""

MAX_CT_EXPONENT: Final = 31
PCIE_MAX_CT_EXPONENT: Final = 23
_RESTARTS_IDENTITY_LOG: Final = (Code.GET_DIGESTS, Code.GET_MEASUREMENTS, Code.KEY_EXCHANGE)
"""Requests that empty the DIGESTS and CERTIFICATE part of M1/M2."""

_MEAS_MASK: Final = Cap.MEAS_UNSIGNED | Cap.MEAS_SIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterConfig:
    """What we offer and insist on.

    Attributes:
        versions: SPDM versions we speak; the highest common one is taken.
        capabilities: our flags.
        required: flags the device must set.
        ct_exponent: our own cryptographic timeout, 2**x microseconds.
        transfer_bytes: largest message we take (DataTransferSize = MaxSPDMmsgSize).
        base_asym, base_hash, dhe, measurement_hash: algorithms we offer.
        secured_versions: versions of secured messages we offer.
        strict: refuse nonzero reserved fields and every other deviation instead of noting it.
    """

    versions: tuple[int, ...] = (VERSION_13, VERSION_12)
    capabilities: Cap = Cap.CERT | Cap.ENCRYPT | Cap.MAC | Cap.KEY_EX | Cap.HBEAT | Cap.KEY_UPD
    required: Cap = TEE_IO_CAPABILITIES
    ct_exponent: int = 20
    transfer_bytes: int = 0x1200
    base_asym: BaseAsym = SUPPORTED_ASYM
    base_hash: BaseHash = SUPPORTED_HASHES
    dhe: Dhe = SUPPORTED_DHE
    measurement_hash: MeasurementHash = SUPPORTED_MEASUREMENT_HASHES
    secured_versions: tuple[int, ...] = (SECURED_VERSION_11, SECURED_VERSION_12)
    strict: bool = False

    def __post_init__(self) -> None:
        if not self.versions or not set(self.versions) <= set(KNOWN_VERSIONS):
            raise LocalError("this requester speaks SPDM 1.2 and 1.3")
        if not MIN_TRANSFER_BYTES <= self.transfer_bytes <= 0xFFFF:
            raise LocalError("transfer_bytes is outside 42..65535")
        if not self.secured_versions:
            raise LocalError("no version of secured messages is offered")


class SpdmRequester(SpdmContext):
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
        common = set(self.config.versions) & set(response.version_bytes)
        if not common:
            offered = ", ".join(f"{entry:#06x}" for entry in response.entries)
            raise PeerError(
                f"no common SPDM version; the device offers {offered or 'none'}",
                clause="PCIe TEE-IO: SPDM 1.2 or later",
                data=raw,
            )
        self._version = max(common)
        self._transcript.vca = request + raw
        self._phase = SpdmPhase.AFTER_VERSION

    def get_capabilities(self) -> bytes:
        """GET_CAPABILITIES with our flags and sizes."""
        self._require(SpdmPhase.AFTER_VERSION)
        request = GetCapabilities(
            version=self.version,
            ct_exponent=self.config.ct_exponent,
            flags=self.config.capabilities,
            data_transfer_size=self.config.transfer_bytes,
            max_message_size=self.config.transfer_bytes,
        )
        return self._begin(request, Capabilities, self._accept_capabilities, Layout())

    def _accept_capabilities(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Capabilities)
        clause = "DSP0274 CAPABILITIES"
        flags = Cap(response.flags)
        missing = self.config.required & ~flags
        if missing:
            raise PeerError(
                f"capabilities missing: {missing!r}", clause="PCIe TEE-IO profile", data=raw
            )
        if flags & _MEAS_MASK == _MEAS_MASK:
            raise PeerError("MEAS_CAP = 11b is reserved", clause=clause, data=raw)
        if not MIN_TRANSFER_BYTES <= response.data_transfer_size <= response.max_message_size:
            raise PeerError(
                "DataTransferSize is outside 42..MaxSPDMmsgSize", clause=clause, data=raw
            )
        if response.ct_exponent > MAX_CT_EXPONENT:
            raise PeerError(f"CTExponent {response.ct_exponent}", clause=clause, data=raw)
        if response.ct_exponent > PCIE_MAX_CT_EXPONENT:
            self._note(f"CTExponent {response.ct_exponent}", "PCIe 6.31.3: CT <= 2^23 us", raw)
        if not flags & Cap.CHUNK and response.data_transfer_size != response.max_message_size:
            self._note("sizes differ without CHUNK_CAP", clause, raw)
        if flags & Cap.CERT and flags & Cap.PUB_KEY_ID:
            self._note("CERT_CAP and PUB_KEY_ID_CAP exclude each other", clause, raw)
        self.capabilities = response
        self._transcript.vca += request + raw
        self._phase = SpdmPhase.AFTER_CAPABILITIES

    def negotiate_algorithms(self) -> bytes:
        """NEGOTIATE_ALGORITHMS with everything we support."""
        self._require(SpdmPhase.AFTER_CAPABILITIES)
        request = NegotiateAlgorithms(
            version=self.version,
            measurement_specification=MEASUREMENT_SPEC_DMTF,
            other_params=OpaqueFormat.FORMAT_1,
            base_asym=self.config.base_asym,
            base_hash=self.config.base_hash,
            structs=(
                AlgStruct(alg_type=AlgType.DHE, mask=self.config.dhe),
                AlgStruct(alg_type=AlgType.AEAD, mask=Aead.AES_256_GCM),
                AlgStruct(alg_type=AlgType.KEY_SCHEDULE, mask=KEY_SCHEDULE_SPDM),
            ),
        )
        return self._begin(request, Algorithms, self._accept_algorithms, Layout())

    def _accept_algorithms(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Algorithms)

        def one_of(selected: int, offered: int, what: str) -> int:
            if selected.bit_count() != 1 or selected & ~offered:
                raise PeerError(
                    f"{what} selection {selected:#x}, offered {offered:#x}",
                    clause="DSP0274 ALGORITHMS: one offered algorithm of each kind",
                    data=raw,
                )
            return selected

        config = self.config
        if response.external_asym or response.external_hash:
            raise PeerError(
                "external algorithms selected, none offered",
                clause="DSP0274 ALGORITHMS: ExtAsymSelCount, ExtHashSelCount",
                data=raw,
            )
        if {item.alg_type for item in response.structs} != {
            AlgType.DHE,
            AlgType.AEAD,
            AlgType.KEY_SCHEDULE,
        }:
            self._note("tables differ from those requested", "DSP0274 ALGORITHMS", raw)
        one_of(response.measurement_specification, MEASUREMENT_SPEC_DMTF, "measurement spec")
        one_of(response.other_params & 0xF, OpaqueFormat.FORMAT_1, "opaque data format")
        one_of(response.selected(AlgType.AEAD), Aead.AES_256_GCM, "AEAD")
        one_of(response.selected(AlgType.KEY_SCHEDULE), KEY_SCHEDULE_SPDM, "key schedule")
        self._negotiated = Suite(
            version=self.version,
            base_hash=BaseHash(one_of(response.base_hash, config.base_hash, "hash")),
            base_asym=BaseAsym(one_of(response.base_asym, config.base_asym, "signature")),
            dhe=Dhe(one_of(response.selected(AlgType.DHE), config.dhe, "DHE")),
            measurement_hash=MeasurementHash(
                one_of(response.measurement_hash, config.measurement_hash, "measurement hash")
            ),
        )
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

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, KeyExchangeRsp)
            self._accept_key_exchange(message, chain, ephemeral, response, request, raw)
            self._ephemeral = None

        layout = replace(self._layout, has_summary=summary_type != SUMMARY_NONE)
        wire = self._begin(message, KeyExchangeRsp, accept, layout)
        self._ephemeral = ephemeral
        return wire

    def _accept_key_exchange(
        self,
        message: KeyExchange,
        chain: VerifiedChain,
        ephemeral: EphemeralKey,
        response: KeyExchangeRsp,
        request: bytes,
        raw: bytes,
    ) -> None:
        suite = self.suite

        def broken(reason: str, clause: str) -> PeerError:
            return PeerError(reason, clause=f"DSP0274 KEY_EXCHANGE_RSP: {clause}", data=raw)

        transcript = SessionTranscript(
            base=self._transcript.vca,
            chain_hash=suite.digest(chain.structure),
            key_exchange=request,
            key_exchange_rsp=raw,
            signature_bytes=len(response.signature),
            verify_bytes=len(response.verify_data),
        )
        if not suite.verify(
            chain.leaf_key, CONTEXT_KEY_EXCHANGE_RSP, transcript.signed(), response.signature
        ):
            raise broken("the signature does not verify", "Signature over TH")
        if response.mut_auth_requested:
            raise broken("mutual authentication, which we did not offer", "MutAuthRequested")
        if response.slot_id_param:
            self._note("SlotIDParam is not 0", "DSP0274 KEY_EXCHANGE_RSP", raw)
        session_id = response.rsp_session_id << 16 | message.req_session_id
        if any(session.session_id == session_id for session in self._live_sessions()):
            raise broken(f"session id {session_id:#010x} is in use", "RspSessionID")
        try:
            secured_version = read_version_selection(response.opaque)
        except DecodeError as error:
            raise broken(error.reason, "secured message version selection") from None
        if secured_version not in self.config.secured_versions:
            raise broken(
                f"secured message version {secured_version:#06x} was not offered",
                "secured message version selection",
            )
        if response.heartbeat_period and not self._both(Cap.HBEAT):
            self._note("heartbeat without HBEAT_CAP", "DSP0274 KEY_EXCHANGE_RSP", raw)
        try:
            shared = ephemeral.agree(response.exchange_data)
        except ValueError:
            raise broken("ExchangeData is no point of the curve", "ExchangeData") from None
        schedule = KeySchedule(suite.hash_name, suite.hash_size, suite.version)
        th1 = suite.digest(transcript.th1())
        secrets = schedule.handshake(shared, th1)
        shared.wipe()
        expected = schedule.verify_data(secrets.response_finished, th1)
        if not hmac.compare_digest(expected, response.verify_data):
            secrets.wipe()
            raise broken("the HMAC does not verify", "ResponderVerifyData")
        session = SpdmSession(
            SessionStart(
                session_id=session_id,
                secured_version=secured_version,
                heartbeat_period=response.heartbeat_period,
                key_update=self._both(Cap.KEY_UPD),
                slot=message.slot,
                chain=chain,
                summary_type=message.summary_type,
                summary=response.summary,
                suite=suite,
                schedule=schedule,
                transcript=transcript,
                device_bytes=self.capabilities.data_transfer_size if self.capabilities else 0,
                own_bytes=self.config.transfer_bytes,
                strict=self.config.strict,
            ),
            secrets,
            self._rng,
        )
        self._sessions.append(session)
        self._new_session = session

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

    def _both(self, flag: Cap) -> bool:
        theirs = self.capabilities.flags if self.capabilities else 0
        return bool(self.config.capabilities & flag and theirs & flag)


def _check_summary_type(summary_type: int) -> None:
    if summary_type not in (SUMMARY_NONE, SUMMARY_TCB, SUMMARY_ALL):
        raise LocalError(f"measurement summary type {summary_type:#x} does not exist")
