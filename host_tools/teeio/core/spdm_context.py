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
from teeio.core.spdm_chunks import ChunkLimits, ChunkTransfer
from teeio.core.spdm_crypto import PublicKey, Rng, Suite
from teeio.core.transcript import MeasurementTranscript
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import Note, Reader, decode_whole
from teeio.wire.spdm_base import (
    Code,
    ErrorCode,
    Layout,
    SpdmMessage,
)
from teeio.wire.spdm_error import NotReady, RespondIfReady, SpdmError
from teeio.wire.spdm_identity import Digests

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
        chunks: set while the request or its answer goes in chunks.
    """

    request: bytes
    expects: type[SpdmMessage]
    layout: Layout
    accept: Accept
    not_ready: NotReady | None = None
    not_ready_count: int = 0
    chunks: ChunkTransfer | None = None


class SpdmContext(abc.ABC):
    """Base of `SpdmRequester` (connection) and `SpdmSession`.

    Attributes:
        notes: deviations a lenient context let pass.
        digests: the last DIGESTS received here.
        measurements: the last signed measurements verified here.
        measurement_count: number of indices, once operation 0 was asked.
        csr: the last certification request received here, DER.
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
        self._chunk_handle = 0
        self.notes: list[Note] = []
        self.digests: Digests | None = None
        self.measurements: SignedMeasurements | None = None
        self.measurement_count: int | None = None
        self.csr: bytes = b""
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

    @abc.abstractmethod
    def _chunk_limits(self) -> ChunkLimits | None:
        """Sizes, if both sides have CHUNK_CAP."""

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
        pending = Pending(request.encode(), expects, layout or self._layout, accept)
        wrapped, pending = self._outgoing(pending)
        self._refused = None
        self._pending = pending
        return wrapped

    def _outgoing(self, pending: Pending) -> tuple[bytes, Pending]:
        """What goes on the wire for a request, in chunks if the device needs it so."""
        limits = self._chunk_limits()
        if limits is None or len(pending.request) <= limits.device_bytes:
            return self._wrap(pending.request), replace(pending, chunks=None)
        chunks = ChunkTransfer(self.version, limits, self._pad)
        self._chunk_handle = (self._chunk_handle + 1) & 0xFF
        first = chunks.send(pending.request, self._chunk_handle)
        return self._wrap(first), replace(pending, chunks=chunks)

    def continuation(self) -> bytes | None:
        """What must be sent at once because the exchange goes in chunks; None if nothing."""
        chunks = self._pending.chunks if self._pending else None
        message = chunks.next_message() if chunks else None
        return None if message is None else self._wrap(message)

    def retry(self) -> bytes:
        """Builds the request again that was just answered with Busy or another ERROR.

        Raises:
            LocalError: if there is none, or another request came in between.
        """
        if self._pending is not None or self._refused is None:
            raise LocalError("there is no refused request to repeat")
        wrapped, self._pending = self._outgoing(self._refused)
        self._refused = None
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

    def receive(self, data: bytes) -> SpdmMessage | None:
        """Takes what came in for the outstanding request.

        Returns:
            The response, validated; or the device's `SpdmError`. After ResponseNotReady the
            request stays outstanding (see `not_ready`). None: `continuation` must be sent.

        Raises:
            LocalError: if nothing is outstanding.
            PeerError: if the answer breaks the protocol; the context is dead then.
        """
        pending = self._pending
        if pending is None:
            raise LocalError("no request is outstanding")
        try:
            message: bytes | None = self._unwrap(data)
            if pending.chunks is not None and message is not None:
                message = pending.chunks.receive(message)
            if message is None or self._starts_fetching(pending, message):
                return None
            return self._judge(pending, message)
        except PeerError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Gives this context up: secrets are wiped, nothing more can be sent."""
        self._phase = SpdmPhase.DEAD
        self._pending = self._refused = None
        self._wipe()

    def _starts_fetching(self, pending: Pending, message: bytes) -> bool:
        """True if the device keeps a large answer; the first chunk is asked for next."""
        limits = self._chunk_limits()
        if limits is None or message[1:3] != bytes([Code.ERROR, ErrorCode.LARGE_RESPONSE]):
            return False
        try:
            error = SpdmError.decode(Reader(message, strict=self._strict), pending.layout)
        except DecodeError as reason:
            raise PeerError(
                reason.reason, clause="DSP0274 ERROR: LargeResponse", data=message
            ) from None
        chunks = ChunkTransfer(self.version, limits, self._pad)
        chunks.fetch(error.extended[0])
        self._pending = replace(pending, chunks=chunks, not_ready=None)
        return True

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
            self._pending, self._refused = None, replace(pending, not_ready=None, chunks=None)
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
            pending,
            not_ready=promised,
            not_ready_count=pending.not_ready_count + 1,
            chunks=None,
        )
        return error
