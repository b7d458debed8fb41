# SPDX-License-Identifier: Apache-2.0
"""Follows the DOE objects between a requester and a responder, as a listener.

Records carry no direction: in clear it follows from the SPDM code, else from what is outstanding.
What is signed is verified with the leaf certificate seen; sessions are opened with the ECDH
secrets given, whichever fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from teeio.core.certificates import ChainPolicy, ChainStructure, VerifiedChain, verify_chain
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import (
    CONTEXT_CHALLENGE_AUTH,
    CONTEXT_KEY_EXCHANGE_RSP,
    CONTEXT_MEASUREMENTS,
    Suite,
)
from teeio.core.transcript import ConnectionTranscript, MeasurementTranscript, SessionTranscript
from teeio.decode.entry import REQUEST, RESPONSE, UNKNOWN, Entry
from teeio.decode.explain import decode_vendor, explain, message_name
from teeio.decode.session import ListenedSession
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.doe import (
    PCI_SIG_VENDOR_ID,
    DiscoveryRequest,
    DiscoveryResponse,
    DoeObject,
    DoeType,
)
from teeio.wire.reader import Reader, decode_whole
from teeio.wire.secured import SecuredRecord
from teeio.wire.spdm import decode_message
from teeio.wire.spdm_base import (
    MAX_UNSECURED_PAD,
    AlgType,
    BaseAsym,
    BaseHash,
    Cap,
    Code,
    Dhe,
    Layout,
    MeasurementHash,
    OpaqueFormat,
    SpdmMessage,
)
from teeio.wire.spdm_connection import (
    Algorithms,
    Capabilities,
    GetCapabilities,
    GetVersion,
    Version,
)
from teeio.wire.spdm_identity import (
    Certificate,
    Challenge,
    ChallengeAuth,
    Digests,
    GetCertificate,
    GetDigests,
)
from teeio.wire.spdm_measurements import GetMeasurements, Measurements
from teeio.wire.spdm_session import KeyExchange, KeyExchangeRsp
from teeio.wire.spdm_vendor import VendorDefinedRequest, VendorDefinedResponse
from teeio.wire.tdisp import DeviceInterfaceReport, GetDeviceInterfaceReport
from teeio.wire.tdisp_report import InterfaceReport


@dataclass(slots=True)
class _Connection:
    """What one connection (GET_VERSION to the next) has established."""

    transcript: ConnectionTranscript = field(default_factory=ConnectionTranscript)
    measurement_log: MeasurementTranscript = field(default_factory=MeasurementTranscript)
    layout: Layout = field(default_factory=Layout)
    suite: Suite | None = None
    requester_flags: int = 0
    common_flags: int = 0
    structures: dict[int, bytes] = field(default_factory=dict)
    chains: dict[int, VerifiedChain] = field(default_factory=dict)
    digests: Digests | None = None
    raw_digests: bytes = b""
    pending: tuple[SpdmMessage, bytes] | None = None
    sessions: dict[int, ListenedSession] = field(default_factory=dict)


class Conversation:
    """Explains objects in the order of the file.

    Args:
        secrets: ECDH secrets; those that fit no session are ignored.
        root: trusted root certificate, DER; None takes the root that the device shows.
        now: time for certificates where a record has none.
        show_keys: show IDE keys and TDI nonces.
    """

    def __init__(self, secrets: Sequence[Secret] = (), *, root: bytes | None = None,
                 now: datetime, show_keys: bool = False) -> None:
        self._secrets = tuple(secrets)
        self._root = root
        self._now = now
        self._show_keys = show_keys
        self._c = _Connection()
        self._discovery_open = False
        self._report = b""
        self._number = 0
        self.sessions = 0

    def feed(self, data: bytes, time_us: int = 0) -> Entry:
        """Explains the next object; never raises for what the object holds."""
        entry = Entry(number=self._number, time_us=time_us, layer="DOE", name="DOE object")
        self._number += 1
        try:
            item = decode_whole(DoeObject.decode, data)
            if item.vendor_id != PCI_SIG_VENDOR_ID:
                entry.name = f"object of vendor {item.vendor_id:04x}, type {item.object_type}"
            elif item.object_type == DoeType.DISCOVERY:
                self._discovery(entry, item.payload)
            elif item.object_type == DoeType.SPDM:
                self._clear(entry, item.payload)
            elif item.object_type == DoeType.SECURED_SPDM:
                self._secured(entry, item.payload)
            else:
                entry.name = f"object of type {item.object_type}"
        except (DecodeError, PeerError, LocalError) as error:
            entry.error = getattr(error, "reason", str(error))
        return entry

    # ---- discovery -------------------------------------------------------------------------------
    def _discovery(self, entry: Entry, payload: bytes) -> None:
        kind = DiscoveryResponse if self._discovery_open else DiscoveryRequest
        entry.direction = RESPONSE if self._discovery_open else REQUEST
        self._discovery_open = not self._discovery_open
        entry.name = f"Discovery {entry.direction}"
        entry.fields = explain(decode_whole(kind.decode, payload))

    # ---- clear SPDM ------------------------------------------------------------------------------
    def _clear(self, entry: Entry, payload: bytes) -> None:
        entry.layer, entry.name = "SPDM", "SPDM message"
        if len(payload) < 4:
            raise DecodeError("shorter than an SPDM header")
        self._discovery_open = False
        entry.name = _code_name(payload[1])
        is_request = payload[1] >= 0x80
        entry.direction = REQUEST if is_request else RESPONSE
        pending = self._c.pending
        try:
            message, raw = self._read(entry, payload, pending, MAX_UNSECURED_PAD)
        except DecodeError:
            self._c.pending = None
            raise
        if is_request:
            self._request(message)
            self._c.pending = message, raw
            return
        self._c.pending = None
        request, raw_request = pending or (None, b"")
        self._response(entry, request, raw_request, message, raw)

    def _read(self, entry: Entry, data: bytes, pending: tuple[SpdmMessage, bytes] | None,
              pad: int) -> tuple[SpdmMessage, bytes]:
        layout = self._c.layout
        match pending[0] if pending else None:
            case GetMeasurements() as request:
                layout = replace(layout, is_signed=request.is_signed)
            case KeyExchange() | Challenge() as request:
                layout = replace(layout, has_summary=request.summary_type != 0)
        message = decode_message(data, layout, pad=pad)
        entry.name = message_name(message)
        entry.fields = explain(message, show_keys=self._show_keys)
        raw = message.encode()
        if data[:len(raw)] != raw:
            raise DecodeError("its fields do not give its bytes again")
        if isinstance(message, VendorDefinedRequest | VendorDefinedResponse):
            self._vendor(entry, message)
        return message, raw

    def _request(self, message: SpdmMessage) -> None:
        c = self._c
        match message:
            case GetVersion():
                self._c = c = _Connection()
            case GetCapabilities():
                c.requester_flags = message.flags
            case GetDigests() | GetMeasurements() | KeyExchange():
                c.transcript.identity = b""
        if not isinstance(message, GetMeasurements):
            c.measurement_log.reset()

    def _response(self, entry: Entry, request: SpdmMessage | None, raw_request: bytes,
                  message: SpdmMessage, raw: bytes) -> None:
        c = self._c
        match message:
            case Version():
                c.transcript.vca = raw_request + raw
            case Capabilities():
                c.transcript.vca += raw_request + raw
                c.common_flags = message.flags & c.requester_flags
            case Algorithms():
                c.transcript.vca += raw_request + raw
                self._algorithms(entry, message)
            case Digests():
                c.digests, c.raw_digests = message, raw
                c.transcript.identity += raw_request + raw
            case Certificate() if isinstance(request, GetCertificate):
                c.transcript.identity += raw_request + raw
                self._certificate(entry, request, message)
            case ChallengeAuth():
                covered = c.transcript.challenge(raw_request, raw, len(message.signature))
                c.transcript.identity = b""
                slot = message.slot & 0xF
                self._signature(entry, slot, CONTEXT_CHALLENGE_AUTH, covered, message.signature)
                if c.suite is not None and slot in c.structures:
                    entry.check("CertChainHash",
                                message.chain_hash == c.suite.digest(c.structures[slot]))
            case Measurements() if isinstance(request, GetMeasurements):
                self._measurements(entry, c.measurement_log, request.slot, raw_request, message,
                                   raw)
            case KeyExchangeRsp() if isinstance(request, KeyExchange):
                self._key_exchange(entry, request, raw_request, message, raw)

    def _algorithms(self, entry: Entry, message: Algorithms) -> None:
        c = self._c
        try:
            c.suite = suite = Suite(
                version=message.version, base_hash=BaseHash(message.base_hash),
                base_asym=BaseAsym(message.base_asym), dhe=Dhe(message.selected(AlgType.DHE)),
                measurement_hash=MeasurementHash(message.measurement_hash))
        except LocalError as error:
            raise DecodeError(f"{error}: what follows cannot be read") from None
        in_clear = bool(c.common_flags & Cap.HANDSHAKE_IN_THE_CLEAR)
        c.layout = Layout(
            hash_size=suite.hash_size, signature_size=suite.signature_size,
            exchange_size=suite.exchange_size, has_verify_data=not in_clear,
            multi_key=bool(message.other_params & OpaqueFormat.MULTI_KEY_CONNECTION))
        entry.fields["suite"] = f"{suite.base_asym.name}, {suite.base_hash.name}, {suite.dhe.name}"

    # ---- identity --------------------------------------------------------------------------------
    def _certificate(self, entry: Entry, request: GetCertificate, message: Certificate) -> None:
        c, slot = self._c, message.slot & 0xF
        so_far = c.structures.get(slot, b"") if request.offset else b""
        if len(so_far) < request.offset:
            raise DecodeError("a portion is missing before this one")
        c.structures[slot] = structure = so_far[:request.offset] + message.portion
        if message.remainder or c.suite is None:
            return
        if c.digests is not None and (digest := c.digests.digest_of(slot)) is not None:
            entry.check("chain agrees with DIGESTS", c.suite.digest(structure) == digest)
        chain = ChainStructure.decode(Reader(structure), c.suite.hash_size)
        at = datetime.fromtimestamp(entry.time_us / 1e6, UTC) if entry.time_us else self._now
        root = self._root or _shown_root(chain)
        try:
            c.chains[slot] = verified = verify_chain(
                structure, c.suite.hash_name, ChainPolicy(roots=(root,), at=at))
        except PeerError as error:
            entry.check("certificate chain", False, f"{error.reason} [{error.clause}]")
            return
        trust = "to the given root" if self._root else "to the root that the device shows"
        entry.check("certificate chain", True,
                    f"{trust}: {verified.leaf.subject.rfc4514_string()}")

    def _signature(self, entry: Entry, slot: int, context: str, covered: bytes,
                   signature: bytes) -> None:
        chain, suite = self._c.chains.get(slot), self._c.suite
        if chain is None or suite is None:
            entry.fields["signature_verified"] = f"no, the chain of slot {slot} was not seen"
            return
        entry.check("signature", suite.verify(chain.leaf_key, context, covered, signature),
                    f"over {len(covered)} transcript bytes, leaf of slot {slot}")

    def _measurements(self, entry: Entry, log: MeasurementTranscript, slot: int,
                      raw_request: bytes, message: Measurements, raw: bytes) -> None:
        if not message.signature:
            log.add(raw_request, raw)
            return
        covered = log.signed(self._c.transcript.vca, raw_request, raw, len(message.signature))
        log.reset()
        self._signature(entry, slot & 0xF, CONTEXT_MEASUREMENTS, covered, message.signature)

    # ---- sessions --------------------------------------------------------------------------------
    def _key_exchange(self, entry: Entry, request: KeyExchange, raw_request: bytes,
                      message: KeyExchangeRsp, raw: bytes) -> None:
        c = self._c
        session_id = message.rsp_session_id << 16 | request.req_session_id
        entry.fields["session_id"] = f"{session_id:#010x}"
        self.sessions += 1
        structure = c.structures.get(request.slot)
        if c.suite is None or structure is None:
            return
        transcript = SessionTranscript(
            base=c.transcript.vca + (c.raw_digests if c.layout.multi_key else b""),
            chain_hash=c.suite.digest(structure), key_exchange=raw_request, key_exchange_rsp=raw,
            signature_bytes=len(message.signature), verify_bytes=len(message.verify_data))
        self._signature(entry, request.slot, CONTEXT_KEY_EXCHANGE_RSP, transcript.signed(),
                        message.signature)
        session = ListenedSession(session_id, request.slot, c.suite, transcript)
        c.sessions[session_id] = session
        if message.verify_data and session.try_secrets(self._secrets, message.verify_data):
            entry.check("ResponderVerifyData", True, "an ECDH secret given fits this session")

    def _secured(self, entry: Entry, payload: bytes) -> None:
        entry.layer, entry.name = "secured SPDM", "secured message"
        reader = Reader(payload)
        record = SecuredRecord.decode(reader)
        reader.expect_end(3)
        entry.session_id = record.session_id
        session = self._c.sessions.get(record.session_id)
        if session is None:
            entry.is_sealed, entry.direction = True, UNKNOWN
            entry.fields["bytes"] = len(record.ciphertext)
            return
        is_request = not session.is_waiting
        session.is_waiting = is_request
        entry.direction = REQUEST if is_request else RESPONSE
        if not session.has_keys:
            entry.is_sealed = True
            entry.fields["bytes"] = len(record.ciphertext)
            return
        plain = session.open(record, is_request=is_request)
        entry.check("record MAC", True)
        pending = session.pending
        session.pending = None
        message, raw = self._read(entry, plain, None if is_request else pending, 0)
        if is_request:
            session.pending = message, raw
            if not isinstance(message, GetMeasurements):
                session.measurement_log.reset()
            return
        request, raw_request = pending or (None, b"")
        if isinstance(message, Measurements):
            self._measurements(entry, session.measurement_log, session.slot, raw_request, message,
                               raw)
        session.take(entry, request, raw_request, message, raw)
        if session.is_over:
            del self._c.sessions[session.session_id]

    def _vendor(self, entry: Entry,
                message: VendorDefinedRequest | VendorDefinedResponse) -> None:
        if not message.is_pci_sig:
            return
        inner = decode_vendor(message.payload)
        entry.name = message_name(inner)
        entry.fields = explain(inner, show_keys=self._show_keys)
        match inner:
            case GetDeviceInterfaceReport() if inner.offset == 0:
                self._report = b""
            case DeviceInterfaceReport():
                self._report += inner.portion
                if inner.remainder == 0:
                    entry.fields["report"] = explain(
                        decode_whole(InterfaceReport.decode, self._report))
                    self._report = b""


def _code_name(code: int) -> str:
    return Code(code).name if code in tuple(Code) else f"SPDM code {code:#04x}"


def _shown_root(chain: ChainStructure) -> bytes:
    """The first certificate in the form that `verify_chain` compares.

    Raises:
        DecodeError: it is no certificate.
    """
    try:
        return x509.load_der_x509_certificate(chain.certificates[0]).public_bytes(Encoding.DER)
    except ValueError as error:
        raise DecodeError(f"the root is no certificate: {error}") from None
