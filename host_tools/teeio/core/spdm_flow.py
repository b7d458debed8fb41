# SPDX-License-Identifier: Apache-2.0
"""SPDM conversations as generators over DOE: connect, authenticate, open and use sessions.

Each function here yields `DoeExchange` and `WaitCycles` operations and returns its result; the
driver moves the objects (`core/drive.py`). Waiting is counted in device clock cycles.

    session = run(connect_session(config, policy, rng), perform)
    answer = run(session.request(payload), perform)
    run(session.end(), perform)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from teeio.core.certificates import ChainPolicy, VerifiedChain, verify_chain
from teeio.core.measurements import (
    BlockVerdict,
    References,
    SignedMeasurements,
    compare,
    summary_input,
)
from teeio.core.ops import Steps, doe_exchange, wait
from teeio.core.spdm_context import Exchanged, SpdmContext
from teeio.core.spdm_crypto import Rng
from teeio.core.spdm_evidence import SpdmEvidence
from teeio.core.spdm_requester import RequesterConfig, SpdmRequester
from teeio.core.spdm_session import SpdmSession
from teeio.errors import DecodeError, LocalError, PeerError, PeerRefused
from teeio.wire.doe import (
    PCI_SIG_VENDOR_ID,
    DiscoveryRequest,
    DiscoveryResponse,
    DoeObject,
    DoeType,
)
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_base import ErrorCode, SpdmMessage
from teeio.wire.spdm_connection import Algorithms, Capabilities, Version
from teeio.wire.spdm_error import SpdmError, error_name
from teeio.wire.spdm_identity import SLOTS, Certificate, ChallengeAuth, Digests
from teeio.wire.spdm_measurements import OPERATION_ALL, Measurements
from teeio.wire.spdm_provision import Csr, SetCertificateRsp
from teeio.wire.spdm_session import (
    SUMMARY_ALL,
    SUMMARY_NONE,
    EndSessionAck,
    FinishRsp,
    HeartbeatAck,
    KeyExchangeRsp,
    KeyUpdateAck,
    KeyUpdateOp,
)
from teeio.wire.spdm_vendor import VendorDefinedResponse

CYCLES_PER_US: Final = 48
"""Device clock: 48 MHz."""

BUSY_WAIT_CYCLES: Final = 10_000 * CYCLES_PER_US
MAX_BUSY: Final = 16
MAX_WAIT_US: Final = 1 << 25
"""Longest single wait that ResponseNotReady may ask for, about 34 s."""

MAX_DISCOVERY: Final = 256
MAX_CHAIN_PORTIONS: Final = 1024
CERTIFICATE_OVERHEAD: Final = 8
MAX_PORTION: Final = 0xFFFF

M = TypeVar("M", bound=SpdmMessage)


# DOE ----------------------------------------------------------------------------------------


def exchange_object(object_type: DoeType, message: bytes) -> Steps[bytes]:
    """Sends `message` in an object of this type and returns the payload of the answer.

    Raises:
        PeerError: if the answer is no object, or one of another type.
    """
    answer = yield from doe_exchange(DoeObject.wrap(object_type, message).encode())
    try:
        received = decode_whole(DoeObject.decode, answer)
    except DecodeError as error:
        raise PeerError(
            error.reason, clause="PCIe Base 6.30.1: data object header", data=answer
        ) from None
    if received.vendor_id != PCI_SIG_VENDOR_ID or received.object_type != object_type:
        raise PeerError(
            f"answer of type {received.vendor_id:#06x}/{received.object_type}, sent {object_type}",
            clause="PCIe Base 6.30: the response has the type of the request",
            data=answer,
        )
    return received.payload


def discover(version: int = 0) -> Steps[tuple[DiscoveryResponse, ...]]:
    """Lists the data object types of the mailbox.

    Args:
        version: DOE Discovery Version, 0 or (capability version 2) 2.

    Raises:
        PeerError: if the list is malformed or has no end.
    """
    found: list[DiscoveryResponse] = []
    index = 0
    for _ in range(MAX_DISCOVERY):
        request = DiscoveryRequest(index=index, version=version).encode()
        payload = yield from exchange_object(DoeType.DISCOVERY, request)
        try:
            entry = decode_whole(DiscoveryResponse.decode, payload)
        except DecodeError as error:
            raise _discovery_error(error.reason, payload) from None
        if index == 0 and (entry.vendor_id, entry.object_type) != (PCI_SIG_VENDOR_ID, 0):
            raise _discovery_error("index 0 is not DOE Discovery", payload)
        found.append(entry)
        if entry.next_index == 0:
            return tuple(found)
        if entry.next_index <= index:
            raise _discovery_error(f"next index {entry.next_index} after {index}", payload)
        index = entry.next_index
    raise _discovery_error("the list has no end", b"")


def _discovery_error(reason: str, data: bytes) -> PeerError:
    return PeerError(reason, clause="PCIe Base 6.30.1.1: DOE Discovery", data=data)


def require_types(entries: tuple[DiscoveryResponse, ...]) -> None:
    """Checks that the mailbox carries SPDM and secured SPDM.

    Raises:
        PeerError: if it does not.
    """
    types = {item.object_type for item in entries if item.vendor_id == PCI_SIG_VENDOR_ID}
    missing = {DoeType.SPDM, DoeType.SECURED_SPDM} - types
    if missing:
        names = ", ".join(sorted(DoeType(item).name for item in missing))
        raise _discovery_error(f"this mailbox does not carry {names}", b"")


# One SPDM exchange ---------------------------------------------------------------------------


def exchange(context: SpdmContext, request: bytes, expects: type[M]) -> Steps[M]:
    """Sends a request that `context` built, sees it through Busy and ResponseNotReady.

    Raises:
        PeerRefused: if the device answers with ERROR; the context may live on.
        PeerError: if it breaks the protocol; the context is dead.
    """
    is_session = isinstance(context, SpdmSession)
    object_type = DoeType.SECURED_SPDM if is_session else DoeType.SPDM
    busy = 0
    while True:
        try:
            payload = yield from exchange_object(object_type, request)
        except BaseException:
            context.abandon()
            raise
        response = context.receive(payload)
        following = context.continuation()
        if following is not None:
            request = following
            continue
        if isinstance(response, expects):
            return response
        if not isinstance(response, SpdmError):
            raise LocalError(f"{type(response).__name__} received, not {expects.__name__}")
        promised = context.not_ready
        if promised is not None:
            yield from _wait_for_answer(context, 1 << promised.rdt_exponent)
            request = context.respond_if_ready()
        elif response.error == ErrorCode.BUSY and busy < MAX_BUSY:
            busy += 1
            yield from wait(BUSY_WAIT_CYCLES)
            request = context.retry()
        else:
            raise PeerRefused(
                f"the device answers {expects.CODE.name} with {error_name(response.error)} "
                f"(data {response.data:#04x})",
                clause="DSP0274 ERROR",
                wire_code=response.error,
                data=response.encode(),
            )


def _wait_for_answer(context: SpdmContext, microseconds: int) -> Steps[None]:
    if microseconds > MAX_WAIT_US:
        context.abandon()
        raise PeerError(
            f"the device asks for a wait of {microseconds} us",
            clause="PCIe Base 6.31.3: CT <= 2^23 us",
        )
    yield from wait(microseconds * CYCLES_PER_US)


# Connection ----------------------------------------------------------------------------------


def connect(config: RequesterConfig, rng: Rng, *, discovery: bool = True,
            on_exchange: Exchanged | None = None) -> Steps[SpdmRequester]:
    """Discovery, VERSION, CAPABILITIES, ALGORITHMS."""
    if discovery:
        require_types((yield from discover()))
    requester = SpdmRequester(config, rng)
    requester.on_exchange = on_exchange
    yield from reconnect(requester)
    return requester


def reconnect(requester: SpdmRequester) -> Steps[None]:
    """VERSION, CAPABILITIES, ALGORITHMS once more; all sessions of the connection die."""
    yield from exchange(requester, requester.get_version(), Version)
    yield from exchange(requester, requester.get_capabilities(), Capabilities)
    yield from exchange(requester, requester.negotiate_algorithms(), Algorithms)


def request_csr(context: SpdmEvidence, requester_info: bytes = b"") -> Steps[bytes]:
    """GET_CSR: a certification request for the device's key, PKCS #10 in DER."""
    yield from exchange(context, context.get_csr(requester_info), Csr)
    return context.csr


def set_chain(context: SpdmEvidence, slot: int, structure: bytes) -> Steps[None]:
    """SET_CERTIFICATE: gives a slot another chain; none erases it (from 1.3 on)."""
    yield from exchange(context, context.set_certificate(slot, structure), SetCertificateRsp)


def read_chain(context: SpdmEvidence, slot: int, *, portion_bytes: int) -> Steps[bytes]:
    """Reads the whole structure of a slot in portions.

    Raises:
        PeerError: if the portions do not add up to one structure.
    """
    structure = b""
    total: int | None = None
    for _ in range(MAX_CHAIN_PORTIONS):
        wanted = portion_bytes if total is None else min(portion_bytes, total - len(structure))
        request = context.get_certificate(slot, len(structure), wanted)
        answer = yield from exchange(context, request, Certificate)
        structure += answer.portion
        if total is None:
            total = len(structure) + answer.remainder
        if len(structure) + answer.remainder != total:
            context.abandon()
            raise PeerError(
                f"slot {slot} changes its size while it is read",
                clause="DSP0274 CERTIFICATE: RemainderLength",
                data=structure,
            )
        if len(structure) == total:
            return structure
    context.abandon()
    raise PeerError(
        f"slot {slot} comes in more than {MAX_CHAIN_PORTIONS} portions",
        clause="DSP0274 CERTIFICATE: PortionLength",
    )


def authenticate(
    requester: SpdmRequester, policy: ChainPolicy, slot: int | None = None
) -> Steps[tuple[int, VerifiedChain]]:
    """Reads digests and certificates, and takes the first chain that verifies.

    Args:
        requester: connected.
        policy: what a chain must satisfy.
        slot: this slot only, or None for the lowest one whose chain verifies.

    Returns:
        The slot and its chain, which the requester trusts from now on.

    Raises:
        PeerError: if no chain verifies; names the reason for each slot tried.
    """
    yield from exchange(requester, requester.get_digests(), Digests)
    assert requester.digests is not None
    slots = range(SLOTS) if slot is None else (slot,)
    reasons: list[str] = []
    last = b""
    for candidate in slots:
        if requester.digests.digest_of(candidate) is None:
            if slot is not None:
                reasons.append(f"slot {candidate} is empty")
            continue
        portion = min(requester.largest_answer - CERTIFICATE_OVERHEAD, MAX_PORTION)
        structure = yield from read_chain(requester, candidate, portion_bytes=portion)
        try:
            chain = verify_chain(structure, requester.suite.hash_name, policy)
        except PeerError as error:
            reasons.append(f"slot {candidate}: {error.reason} [{error.clause}]")
            last = structure
            continue
        requester.trust(candidate, chain)
        return candidate, chain
    requester.abandon()
    raise PeerError(
        "no certificate chain of the device verifies: " + "; ".join(reasons),
        clause="DSP0274 10.6 and PCIe Base 6.31.3: identity of the responder",
        data=last,
    )


def challenge(requester: SpdmRequester, slot: int, summary_type: int = SUMMARY_NONE) -> Steps[None]:
    """CHALLENGE outside of a session."""
    yield from exchange(requester, requester.challenge(slot, summary_type), ChallengeAuth)


def open_session(
    requester: SpdmRequester,
    slot: int,
    *,
    summary_type: int = SUMMARY_ALL,
    session_policy: int = 0,
) -> Steps[Session]:
    """KEY_EXCHANGE and FINISH with the trusted chain of `slot`."""
    request = requester.key_exchange(slot, summary_type=summary_type, session_policy=session_policy)
    yield from exchange(requester, request, KeyExchangeRsp)
    spdm = requester.take_session()
    yield from exchange(spdm, spdm.finish(), FinishRsp)
    return Session(requester=requester, spdm=spdm)


def connect_session(
    config: RequesterConfig,
    policy: ChainPolicy,
    rng: Rng,
    *,
    slot: int | None = None,
    summary_type: int = SUMMARY_ALL,
    session_policy: int = 0,
    discovery: bool = True,
) -> Steps[Session]:
    """Everything from discovery to a session in its application phase."""
    requester = yield from connect(config, rng, discovery=discovery)
    chosen, _chain = yield from authenticate(requester, policy, slot)
    return (
        yield from open_session(
            requester, chosen, summary_type=summary_type, session_policy=session_policy
        )
    )


# Session -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Verified measurements and what the references say about them.

    Attributes:
        verdicts: one per index; empty if no references were given.
    """

    measurements: SignedMeasurements
    verdicts: tuple[BlockVerdict, ...]

    @property
    def is_good(self) -> bool:
        """There were references, and every block matches."""
        return bool(self.verdicts) and all(item.is_match for item in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session in use. IDE_KM and TDISP verbs take it as their channel.

    After a PeerError that is no PeerRefused the session is dead, its secrets are wiped.

    Attributes:
        on_message: called inside the TSM with (is_request, vendor-defined payload), for a log of
            the order of messages; the payload of KEY_PROG holds a key and must not be kept.
    """

    requester: SpdmRequester
    spdm: SpdmSession
    on_message: Callable[[bool, bytes], None] | None = None

    def request(self, payload: bytes) -> Steps[bytes]:
        """Sends a PCI-SIG vendor-defined payload, returns that of the answer."""
        if self.on_message is not None:
            self.on_message(True, payload)
        request = self.spdm.vendor_request(payload)
        response = yield from exchange(self.spdm, request, VendorDefinedResponse)
        if self.on_message is not None:
            self.on_message(False, response.payload)
        return response.payload

    def heartbeat(self) -> Steps[None]:
        yield from exchange(self.spdm, self.spdm.heartbeat(), HeartbeatAck)

    def update_keys(self, operation: KeyUpdateOp = KeyUpdateOp.UPDATE_ALL_KEYS) -> Steps[None]:
        """KEY_UPDATE, then VerifyNewKey under the new key."""
        yield from exchange(self.spdm, self.spdm.update_keys(operation), KeyUpdateAck)
        yield from exchange(self.spdm, self.spdm.verify_new_key(), KeyUpdateAck)

    def measure(
        self,
        references: References | None = None,
        *,
        allow_unreferenced: bool = False,
        raw_bit_stream: bool = False,
    ) -> Steps[Attestation]:
        """Reads all measurements, signed, and judges them.

        If KEY_EXCHANGE carried a summary of all measurements, it must agree with them.

        Raises:
            PeerError: if the signature, or the summary, does not verify.
        """
        spdm = self.spdm
        request = spdm.get_measurements(
            OPERATION_ALL, slot=spdm.start.slot, raw_bit_stream=raw_bit_stream
        )
        yield from exchange(spdm, request, Measurements)
        assert spdm.measurements is not None
        measured = spdm.measurements
        if spdm.start.summary_type != SUMMARY_NONE and not raw_bit_stream:
            covered = summary_input(measured.blocks, spdm.start.summary_type)
            expected = (
                spdm.start.suite.digest(covered) if covered else bytes(len(spdm.start.summary))
            )
            if expected != spdm.start.summary:
                spdm.abandon()
                raise PeerError(
                    "the measurements are not those summarised in KEY_EXCHANGE_RSP",
                    clause="DSP0274 KEY_EXCHANGE_RSP: MeasurementSummaryHash",
                    data=spdm.start.summary,
                )
        verdicts: tuple[BlockVerdict, ...] = ()
        if references is not None:
            verdicts = compare(measured.blocks, references, allow_unreferenced=allow_unreferenced)
        return Attestation(measurements=measured, verdicts=verdicts)

    def end(self) -> Steps[None]:
        """END_SESSION."""
        yield from exchange(self.spdm, self.spdm.end(), EndSessionAck)
