# SPDX-License-Identifier: Apache-2.0
"""Every SPDM message this package knows, by code: for traces, captures and responders in tests."""

from __future__ import annotations

from typing import Final

from teeio.wire.reader import Reader
from teeio.wire.spdm_base import Layout, SpdmMessage
from teeio.wire.spdm_chunk import ChunkGet, ChunkResponse, ChunkSend, ChunkSendAck
from teeio.wire.spdm_connection import (
    Algorithms,
    Capabilities,
    GetCapabilities,
    GetVersion,
    NegotiateAlgorithms,
    Version,
)
from teeio.wire.spdm_error import RespondIfReady, SpdmError
from teeio.wire.spdm_identity import (
    Certificate,
    Challenge,
    ChallengeAuth,
    Digests,
    GetCertificate,
    GetDigests,
)
from teeio.wire.spdm_measurements import GetMeasurements, Measurements
from teeio.wire.spdm_provision import Csr, GetCsr, SetCertificate, SetCertificateRsp
from teeio.wire.spdm_session import (
    EndSession,
    EndSessionAck,
    Finish,
    FinishRsp,
    Heartbeat,
    HeartbeatAck,
    KeyExchange,
    KeyExchangeRsp,
    KeyUpdate,
    KeyUpdateAck,
)
from teeio.wire.spdm_vendor import VendorDefinedRequest, VendorDefinedResponse

MESSAGES: Final[dict[int, type[SpdmMessage]]] = {
    kind.CODE: kind
    for kind in (
        GetVersion, Version, GetCapabilities, Capabilities, NegotiateAlgorithms, Algorithms,
        GetDigests, Digests, GetCertificate, Certificate, Challenge, ChallengeAuth,
        GetMeasurements, Measurements, KeyExchange, KeyExchangeRsp, Finish, FinishRsp,
        Heartbeat, HeartbeatAck, KeyUpdate, KeyUpdateAck, EndSession, EndSessionAck,
        VendorDefinedRequest, VendorDefinedResponse, SpdmError, RespondIfReady,
        ChunkSend, ChunkSendAck, ChunkGet, ChunkResponse,
        GetCsr, Csr, SetCertificate, SetCertificateRsp,
    )
}  # fmt: skip


def decode_message(
    data: bytes, layout: Layout, *, strict: bool = False, pad: int = 0
) -> SpdmMessage:
    """Decodes any known message.

    Args:
        data: the message, with at most `pad` bytes of padding behind it.
        layout: the negotiated sizes.

    Raises:
        DecodeError: if the code is unknown or the message is malformed.
    """
    reader = Reader(data, strict=strict)
    if len(data) < 4:
        reader.fail("shorter than an SPDM header")
    kind = MESSAGES.get(data[1])
    if kind is None:
        reader.fail(f"unknown SPDM code {data[1]:#04x}", offset=1)
    message = kind.decode(reader, layout)
    reader.expect_end(pad)
    return message
