# SPDX-License-Identifier: Apache-2.0
"""The connection transcript: SPDM and TDISP messages of connect, request and response in turn.

The TSM records it, keeps its digest and gives the bytes away; guests parse it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from teeio.core.spdm_crypto import Suite
from teeio.core.spdm_negotiation import RequesterConfig, select_suite
from teeio.errors import DecodeError
from teeio.wire.reader import Reader
from teeio.wire.spdm_base import Code, Layout, SpdmMessage
from teeio.wire.spdm_connection import (
    Algorithms,
    Capabilities,
    GetCapabilities,
    GetVersion,
    NegotiateAlgorithms,
    Version,
)
from teeio.wire.spdm_identity import Certificate, Digests, GetCertificate, GetDigests
from teeio.wire.spdm_measurements import GetMeasurements, Measurements
from teeio.wire.spdm_session import (
    SUMMARY_NONE,
    Finish,
    FinishRsp,
    KeyExchange,
    KeyExchangeRsp,
)
from teeio.wire.spdm_vendor import PciProtocol, VendorDefinedRequest, VendorDefinedResponse
from teeio.wire.tdisp import TdispCode

_PAIRS: dict[int, tuple[type[SpdmMessage], type[SpdmMessage]]] = {
    Code.GET_VERSION: (GetVersion, Version),
    Code.GET_CAPABILITIES: (GetCapabilities, Capabilities),
    Code.NEGOTIATE_ALGORITHMS: (NegotiateAlgorithms, Algorithms),
    Code.GET_DIGESTS: (GetDigests, Digests),
    Code.GET_CERTIFICATE: (GetCertificate, Certificate),
    Code.KEY_EXCHANGE: (KeyExchange, KeyExchangeRsp),
    Code.FINISH: (Finish, FinishRsp),
    Code.GET_MEASUREMENTS: (GetMeasurements, Measurements),
    Code.VENDOR_DEFINED_REQUEST: (VendorDefinedRequest, VendorDefinedResponse),
}
_TDISP = (TdispCode.GET_VERSION, TdispCode.GET_CAPABILITIES)


class Element(IntEnum):
    """Elements that a guest can ask for."""

    FULL = 0
    CERTIFICATE = 1
    MEASUREMENTS = 2
    VCA = 3
    SESSION = 4
    TDISP = 5


_ELEMENT_OF = {
    Code.GET_VERSION: Element.VCA, Code.GET_CAPABILITIES: Element.VCA,
    Code.NEGOTIATE_ALGORITHMS: Element.VCA, Code.GET_CERTIFICATE: Element.CERTIFICATE,
    Code.KEY_EXCHANGE: Element.SESSION, Code.FINISH: Element.SESSION,
    Code.GET_MEASUREMENTS: Element.MEASUREMENTS, Code.VENDOR_DEFINED_REQUEST: Element.TDISP,
}


class Recorder:
    """Takes the messages of a connection while it is `open`; never one that holds a key."""

    def __init__(self) -> None:
        self.open = False
        self.body = bytearray()

    def start(self) -> None:
        """Begin a new transcript."""
        self.open = True
        self.body.clear()

    def take(self, request: bytes, response: bytes) -> None:
        """As `SpdmContext.on_exchange`."""
        if self.open and request[1] in _PAIRS and (
                request[1] != Code.VENDOR_DEFINED_REQUEST or _is_tdisp(request)):
            self.body += request + response

    def finish(self) -> bytes:
        """The transcript so far; nothing more enters it."""
        self.open = False
        body = bytes(self.body)
        self.body.clear()
        return body


def _is_tdisp(request: bytes) -> bool:
    message = VendorDefinedRequest.decode(Reader(request), Layout())
    return (message.is_pci_sig and message.payload[0] == PciProtocol.TDISP
            and message.payload[2] in _TDISP)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response, decoded and as bytes."""

    request: SpdmMessage
    response: SpdmMessage
    raw: tuple[bytes, bytes]

    @property
    def element(self) -> Element | None:
        """The element it belongs to; DIGESTS are in the full transcript only."""
        return _ELEMENT_OF.get(self.request.CODE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A transcript.

    Attributes:
        exchanges: in order.
        suite: what ALGORITHMS selected; None if it is not there.
    """

    exchanges: tuple[Exchange, ...]
    suite: Suite | None

    def element(self, element: int, parameter: int = 0) -> bytes:
        """Bytes of an element, requests and responses in order.

        Args:
            element: `Element`.
            parameter: the slot, for certificates.

        Raises:
            DecodeError: there is no such element.
        """
        if element not in tuple(Element) or not 0 <= parameter <= 7:
            raise DecodeError(f"element {element}, parameter {parameter} does not exist")
        out = b""
        for item in self.exchanges:
            if element != Element.FULL and item.element != element:
                continue
            if element == Element.CERTIFICATE and isinstance(item.request, GetCertificate) and (
                    item.request.slot != parameter):
                continue
            out += b"".join(item.raw)
        if not out:
            raise DecodeError(f"the transcript has no {Element(element).name}")
        return out

    def chain(self, slot: int) -> bytes:
        """The slot structure that the CERTIFICATE portions add up to."""
        return b"".join(
            item.response.portion for item in self.exchanges
            if isinstance(item.response, Certificate) and isinstance(item.request, GetCertificate)
            and item.request.slot == slot)

    def one(self, kind: type[SpdmMessage]) -> SpdmMessage:
        """The last request or response of a class.

        Raises:
            DecodeError: there is none.
        """
        for item in reversed(self.exchanges):
            for message in (item.request, item.response):
                if isinstance(message, kind):
                    return message
        raise DecodeError(f"the transcript has no {kind.CODE.name}")


def parse(body: bytes, suite: Suite | None = None) -> Parsed:
    """Take a transcript, or an element, apart.

    Args:
        body: messages without anything between them.
        suite: sizes of signatures and hashes, for an element without ALGORITHMS.

    Raises:
        DecodeError: it is not whole exchanges of the messages of a connection.
    """
    exchanges: list[Exchange] = []
    while body:
        if len(body) < 2 or body[1] not in _PAIRS:
            raise DecodeError(f"no request of a connection begins with {body[:2].hex()}")
        asks, answers = _PAIRS[body[1]]
        layout = Layout() if suite is None else Layout(
            hash_size=suite.hash_size, signature_size=suite.signature_size,
            exchange_size=suite.exchange_size)
        request, asked, body = _take(body, asks, layout)
        if isinstance(request, KeyExchange):
            layout = replace(layout, has_summary=request.summary_type != SUMMARY_NONE)
        if isinstance(request, GetMeasurements):
            layout = replace(layout, is_signed=request.is_signed)
        response, answered, body = _take(body, answers, layout)
        if isinstance(response, Algorithms):
            suite = select_suite(RequesterConfig(), response.version, response, answered,
                                 lambda reason, clause, raw: None)
        exchanges.append(Exchange(request, response, (asked, answered)))
    return Parsed(tuple(exchanges), suite)


def _take(body: bytes, kind: type[SpdmMessage], layout: Layout) -> tuple[SpdmMessage, bytes, bytes]:
    reader = Reader(body)
    message = kind.decode(reader, layout)
    return message, body[:reader.offset], body[reader.offset:]
