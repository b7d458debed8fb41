# SPDX-License-Identifier: Apache-2.0
"""What a connection and a session have in common: one outstanding request, and its answer.

Laws:

1. At most one request is outstanding. Building a second one is a LocalError.
2. `receive` gives the validated response, or the device's ERROR as a message; everything else
   raises PeerError, and then this context is dead.
3. A message enters a transcript only after its exchange succeeded: an ERROR leaves no trace.
4. Transcripts take the computed size of a message, never its padding.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from teeio.core.measurements import SignedMeasurements
from teeio.core.spdm_crypto import CONTEXT_MEASUREMENTS, PublicKey, Rng, Suite
from teeio.core.transcript import MeasurementTranscript
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import Note, Reader, decode_whole
from teeio.wire.spdm_base import (
    CONTEXT_BYTES,
    NONCE_BYTES,
    VERSION_13,
    Code,
    ErrorCode,
    Layout,
    SpdmMessage,
)
from teeio.wire.spdm_error import NotReady, RespondIfReady, SpdmError
from teeio.wire.spdm_identity import SLOTS, Certificate, Digests, GetCertificate, GetDigests
from teeio.wire.spdm_measurements import (
    OPERATION_ALL,
    OPERATION_COUNT,
    GetMeasurements,
    MeasurementAttribute,
    MeasurementBlock,
    Measurements,
)

Accept: TypeAlias = Callable[[SpdmMessage, bytes, bytes], None]
"""Judges a decoded response, given the request's bytes and its own; may raise PeerError."""

Exchanged: TypeAlias = Callable[[bytes, bytes], None]
"""Told of every exchange that succeeded: plain request, plain response, without padding. What
passes in a session includes keys: who keeps it must choose."""

MAX_NOT_READY: Final = 8
"""ResponseNotReady answers to one request before we give up."""


class SpdmPhase(enum.Enum):
    """Where a connection or session is."""

    NOT_STARTED = "not started"
    AFTER_VERSION = "after VERSION"
    AFTER_CAPABILITIES = "after CAPABILITIES"
    NEGOTIATED = "negotiated"
    HANDSHAKE = "handshake"
    APPLICATION = "application"
    CLOSED = "closed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Pending:
    """The outstanding request.

    Attributes:
        request: encoded plain message.
        expects: the class of the response.
        not_ready: set while the device has promised the answer for later.
        not_ready_count: how often it did.
    """

    request: bytes
    expects: type[SpdmMessage]
    layout: Layout
    accept: Accept
    not_ready: NotReady | None = None
    not_ready_count: int = 0


class SpdmContext(abc.ABC):
    """Base of `SpdmRequester` (connection) and `SpdmSession`.

    Attributes:
        notes: deviations a lenient context let pass.
        digests: the last DIGESTS received here.
        measurements: the last signed measurements verified here.
        measurement_count: number of indices, once operation 0 was asked.
        on_exchange: told of every exchange, if set.
    """

    _pad: int = 0

    def __init__(self, rng: Rng, *, strict: bool) -> None:
        self._rng = rng
        self._strict = strict
        self._phase = SpdmPhase.NOT_STARTED
        self._pending: Pending | None = None
        self._refused: Pending | None = None
        self._measurement_log = MeasurementTranscript()
        self.notes: list[Note] = []
        self.digests: Digests | None = None
        self.measurements: SignedMeasurements | None = None
        self.measurement_count: int | None = None
        self.on_exchange: Exchanged | None = None

    # What the subclass knows ---------------------------------------------------------------

    @property
    @abc.abstractmethod
    def version(self) -> int:
        """Negotiated SPDM version byte."""

    @abc.abstractmethod
    def _suite(self) -> Suite:
        """Negotiated algorithms; LocalError before ALGORITHMS."""

    @abc.abstractmethod
    def _vca(self) -> bytes:
        """Bytes of the VCA exchange."""

    @abc.abstractmethod
    def _leaf_key(self, slot: int) -> PublicKey:
        """Key of a verified chain; LocalError if there is none for this slot."""

    @abc.abstractmethod
    def _wrap(self, message: bytes) -> bytes:
        """Plain message to what goes on the wire."""

    @abc.abstractmethod
    def _unwrap(self, data: bytes) -> bytes:
        """The reverse; PeerError if it cannot be done."""

    @abc.abstractmethod
    def _wipe(self) -> None:
        """Zeroes every secret held here."""

    @abc.abstractmethod
    def _on_error(self, error: SpdmError) -> None:
        """Reacts to an ERROR that ended an exchange."""

    @abc.abstractmethod
    def _log_identity(self, request: bytes, response: bytes) -> None:
        """Takes a DIGESTS or CERTIFICATE exchange into the transcript that wants it."""

    @property
    def phase(self) -> SpdmPhase:
        return self._phase

    @property
    def _layout(self) -> Layout:
        suite = self._suite()
        return Layout(
            hash_size=suite.hash_size,
            signature_size=suite.signature_size,
            exchange_size=suite.exchange_size,
        )

    # The exchange --------------------------------------------------------------------------

    def _begin(
        self,
        request: SpdmMessage,
        expects: type[SpdmMessage],
        accept: Accept,
        layout: Layout | None = None,
    ) -> bytes:
        if self._phase in (SpdmPhase.CLOSED, SpdmPhase.DEAD):
            raise LocalError(f"this context is {self._phase.value}: start a new one")
        if self._pending is not None:
            raise LocalError("a request is outstanding; its response has not been received")
        if request.CODE != Code.GET_MEASUREMENTS:
            self._measurement_log.reset()
        encoded = request.encode()
        wrapped = self._wrap(encoded)
        self._refused = None
        self._pending = Pending(encoded, expects, layout or self._layout, accept)
        return wrapped

    def retry(self) -> bytes:
        """Builds the request again that was just answered with Busy or another ERROR.

        Raises:
            LocalError: if there is none, or another request came in between.
        """
        if self._pending is not None or self._refused is None:
            raise LocalError("there is no refused request to repeat")
        wrapped = self._wrap(self._refused.request)
        self._pending, self._refused = self._refused, None
        return wrapped

    @property
    def not_ready(self) -> NotReady | None:
        """Set while the device has promised the outstanding answer for later."""
        return self._pending.not_ready if self._pending else None

    def respond_if_ready(self) -> bytes:
        """Builds RESPOND_IF_READY for the outstanding request.

        Raises:
            LocalError: if no answer has been promised.
        """
        promised = self.not_ready
        if promised is None:
            raise LocalError("no answer has been promised")
        request = RespondIfReady(
            version=self.version, request_code=promised.request_code, token=promised.token
        )
        return self._wrap(request.encode())

    def receive(self, data: bytes) -> SpdmMessage:
        """Takes what came in for the outstanding request.

        Returns:
            The response, validated; or the device's `SpdmError`. After ResponseNotReady the
            request stays outstanding (see `not_ready`).

        Raises:
            LocalError: if nothing is outstanding.
            PeerError: if the answer breaks the protocol; the context is dead then.
        """
        pending = self._pending
        if pending is None:
            raise LocalError("no request is outstanding")
        try:
            message = self._unwrap(data)
            return self._judge(pending, message)
        except PeerError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Gives this context up: secrets are wiped, nothing more can be sent."""
        self._phase = SpdmPhase.DEAD
        self._pending = self._refused = None
        self._wipe()

    def _judge(self, pending: Pending, message: bytes) -> SpdmMessage:
        reader = Reader(message, strict=self._strict)
        try:
            if len(message) >= 2 and message[1] == Code.ERROR:
                response: SpdmMessage = SpdmError.decode(reader, pending.layout)
            else:
                response = pending.expects.decode(reader, pending.layout)
            exact = message[: reader.offset]
            reader.expect_end(self._pad)
        except DecodeError as error:
            raise PeerError(
                f"bad answer to {Code(pending.request[1]).name}: {error.reason}",
                clause=f"DSP0274 {pending.expects.CODE.name} layout",
                data=message,
            ) from None
        self.notes.extend(reader.notes)
        if isinstance(response, SpdmError):
            return self._take_error(pending, response, exact)
        if response.version != pending.request[0]:
            raise PeerError(
                f"answer in version {response.version:#04x}",
                clause="DSP0274: SPDMVersion of a response equals that of the request",
                data=exact,
            )
        self._pending = None
        pending.accept(response, pending.request, exact)
        if self.on_exchange is not None:
            self.on_exchange(pending.request, exact)
        return response

    def _take_error(self, pending: Pending, error: SpdmError, exact: bytes) -> SpdmError:
        if error.error != ErrorCode.RESPONSE_NOT_READY:
            self._pending, self._refused = None, replace(pending, not_ready=None)
            self._on_error(error)
            return error
        promised = decode_whole(NotReady.decode, error.extended)
        if promised.request_code != pending.request[1] or promised.rdt_exponent > 31:
            raise PeerError(
                "ResponseNotReady for another request, or with an absurd delay",
                clause="DSP0274 ERROR: ResponseNotReady extended data",
                data=exact,
            )
        if pending.not_ready_count >= MAX_NOT_READY:
            raise PeerError(
                f"not ready {MAX_NOT_READY} times in a row",
                clause="DSP0274: RDTM bounds the wait for a delayed response",
                data=exact,
            )
        self._pending = replace(
            pending, not_ready=promised, not_ready_count=pending.not_ready_count + 1
        )
        return error

    # Requests that exist inside and outside of sessions --------------------------------------

    def get_digests(self) -> bytes:
        """GET_DIGESTS; the answer is kept in `digests`."""
        self._require_identity_phase()
        return self._begin(GetDigests(version=self.version), Digests, self._accept_digests)

    def _accept_digests(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Digests)
        if response.provisioned_slots == 0:
            raise PeerError(
                "no slot holds a chain", clause="DSP0274 DIGESTS: slot 0 is mandatory", data=raw
            )
        self.digests = response
        self._log_identity(request, raw)

    def get_certificate(self, slot: int, offset: int, length: int) -> bytes:
        """GET_CERTIFICATE for `length` bytes from `offset` of the slot structure."""
        self._require_identity_phase()
        if not 0 <= slot < SLOTS:
            raise LocalError(f"slot {slot} is outside 0..7")
        if not 1 <= length <= 0xFFFF or not 0 <= offset <= 0xFFFF:
            raise LocalError("offset and length are 16 bits, and length is not 0")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, Certificate)
            if response.slot & 0xF != slot:
                raise PeerError(
                    f"certificate of slot {response.slot & 0xF}, asked for {slot}",
                    clause="DSP0274 CERTIFICATE: SlotID equals that of the request",
                    data=raw,
                )
            got = len(response.portion)
            if not 1 <= got <= length or offset + got + response.remainder > 0xFFFF:
                raise PeerError(
                    f"portion of {got} bytes with {response.remainder} to follow, "
                    f"asked for {length} at {offset}",
                    clause="DSP0274 CERTIFICATE: PortionLength and RemainderLength",
                    data=raw,
                )
            self._log_identity(request, raw)

        request = GetCertificate(version=self.version, slot=slot, offset=offset, length=length)
        return self._begin(request, Certificate, accept)

    def get_measurements(
        self,
        operation: int = OPERATION_ALL,
        *,
        signed: bool = True,
        slot: int = 0,
        raw_bit_stream: bool = False,
        new_measurement: bool = False,
        nonce: bytes | None = None,
    ) -> bytes:
        """GET_MEASUREMENTS; signed answers end up verified in `measurements`.

        Args:
            operation: 0 = count, 1..FEh = that index, FFh = all.
            signed: ask for a signature with the key of `slot`, whose chain must be verified.
            raw_bit_stream: ask for raw values instead of digests.
            new_measurement: ask for measurements of the pending configuration (1.3).
            nonce: 32 bytes of whoever wants to know that a signed answer is fresh; None: random.
        """
        self._require_identity_phase()
        is_13 = self.version >= VERSION_13
        attributes = MeasurementAttribute(0)
        if signed:
            attributes |= MeasurementAttribute.SIGNATURE
            key = self._leaf_key(slot)
        if raw_bit_stream:
            attributes |= MeasurementAttribute.RAW_BIT_STREAM
        if new_measurement:
            if not is_13:
                raise LocalError("new measurements exist from SPDM 1.3 on")
            attributes |= MeasurementAttribute.NEW_MEASUREMENT
        message = GetMeasurements(
            version=self.version,
            attributes=attributes,
            operation=operation,
            nonce=(self._rng(NONCE_BYTES) if nonce is None else nonce) if signed else b"",
            slot=slot if signed else 0,
            context=self._rng(CONTEXT_BYTES) if is_13 else b"",
        )

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, Measurements)
            blocks = self._check_measurements(message, response, raw)
            if operation == OPERATION_COUNT:
                self.measurement_count = response.index_count
            if not signed:
                self._measurement_log.add(request, raw)
                return
            suite = self._suite()
            evidence = self._measurement_log.signed(self._vca(), request, raw, suite.signature_size)
            self._measurement_log.reset()
            if not suite.verify(key, CONTEXT_MEASUREMENTS, evidence, response.signature):
                raise PeerError(
                    "the signature over the measurements does not verify",
                    clause="DSP0274 MEASUREMENTS: signature over L1/L2",
                    data=raw,
                )
            self.measurements = SignedMeasurements(
                blocks=blocks,
                content_change=response.content_change,
                evidence=evidence,
                signature=response.signature,
            )

        layout = replace(self._layout, is_signed=signed)
        return self._begin(message, Measurements, accept, layout)

    def _check_measurements(
        self, request: GetMeasurements, response: Measurements, raw: bytes
    ) -> tuple[MeasurementBlock, ...]:
        def broken(reason: str, clause: str) -> PeerError:
            return PeerError(reason, clause=f"DSP0274 MEASUREMENTS: {clause}", data=raw)

        try:
            blocks = response.blocks()
        except DecodeError as error:
            raise broken(error.reason, "measurement record") from None
        digest_size = self._suite().measurement_hash_size
        for block in blocks:
            if not block.is_raw and len(block.value) != digest_size:
                raise broken(f"digest of {len(block.value)} bytes", "measurement hash size")
        if response.context != request.context:
            raise broken("RequesterContext is not echoed", "RequesterContext")
        if request.is_signed and response.slot != request.slot:
            raise broken(f"signed by slot {response.slot}, not {request.slot}", "SlotID")
        indices = [block.index for block in blocks]
        if request.operation == OPERATION_COUNT:
            if blocks:
                raise broken("blocks in the answer to a count", "NumberOfBlocks")
        elif request.operation == OPERATION_ALL:
            if indices != sorted(set(indices)):
                raise broken("indices are not strictly ascending", "measurement record")
        elif indices != [request.operation]:
            raise broken(f"blocks {indices}, asked for {request.operation}", "index")
        return blocks

    def _require_identity_phase(self) -> None:
        if self._phase not in (SpdmPhase.NEGOTIATED, SpdmPhase.APPLICATION):
            raise LocalError(f"not possible in phase {self._phase.value!r}")
