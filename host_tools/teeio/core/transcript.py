# SPDX-License-Identifier: Apache-2.0
"""Transcripts (DSP0274, "Transcript and transcript hash calculation rules").

A message enters a transcript whole but for its authenticator fields, which stand at its end:
`without_tail` cuts them off. Nothing here names the fields that *are* covered, so a field that a
later version adds is covered too.

All functions give the bytes of the transcript; the caller hashes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from teeio.errors import LocalError


def without_tail(message: bytes, authenticator_bytes: int) -> bytes:
    """`message` minus its last `authenticator_bytes` bytes.

    Raises:
        LocalError: if the message is shorter than that.
    """
    if not 0 <= authenticator_bytes <= len(message):
        raise LocalError("the authenticator is longer than the message")
    return message[: len(message) - authenticator_bytes]


@dataclass(slots=True)
class ConnectionTranscript:
    """What was exchanged outside of sessions.

    Attributes:
        vca: GET_VERSION ... ALGORITHMS.
        identity: DIGESTS and CERTIFICATE exchanges since VCA or the last CHALLENGE ("B").
    """

    vca: bytes = b""
    identity: bytes = b""

    def challenge(self, request: bytes, response: bytes, signature_bytes: int) -> bytes:
        """M1/M2."""
        return self.vca + self.identity + request + without_tail(response, signature_bytes)


@dataclass(slots=True)
class MeasurementTranscript:
    """L1/L2: every GET_MEASUREMENTS / MEASUREMENTS pair since the last signed one or reset."""

    log: bytes = b""

    def add(self, request: bytes, response: bytes) -> None:
        self.log += request + response

    def signed(self, vca: bytes, request: bytes, response: bytes, signature_bytes: int) -> bytes:
        """L1/L2 with `response` as the signed one."""
        return vca + self.log + request + without_tail(response, signature_bytes)

    def reset(self) -> None:
        self.log = b""


@dataclass(frozen=True, slots=True)
class SessionTranscript:
    """TH of one session.

    Attributes:
        base: VCA, then DIGESTS if multi-key is in force.
        chain_hash: Ct, the hash of the slot structure of the responder.
        key_exchange: the request.
        key_exchange_rsp: the response, complete.
        signature_bytes: size of its signature.
        verify_bytes: size of its ResponderVerifyData, which stands behind the signature.
    """

    base: bytes
    chain_hash: bytes
    key_exchange: bytes
    key_exchange_rsp: bytes
    signature_bytes: int
    verify_bytes: int

    @property
    def _start(self) -> bytes:
        return self.base + self.chain_hash + self.key_exchange

    def signed(self) -> bytes:
        """What the signature of KEY_EXCHANGE_RSP covers."""
        tail = self.signature_bytes + self.verify_bytes
        return self._start + without_tail(self.key_exchange_rsp, tail)

    def th1(self) -> bytes:
        """TH1, which is also what ResponderVerifyData covers."""
        return self._start + without_tail(self.key_exchange_rsp, self.verify_bytes)

    def finish_verified(self, finish: bytes, verify_bytes: int) -> bytes:
        """What RequesterVerifyData of a one-sided FINISH covers."""
        return self._start + self.key_exchange_rsp + without_tail(finish, verify_bytes)

    def th2(self, finish: bytes, finish_rsp: bytes) -> bytes:
        """TH2, both messages complete."""
        return self._start + self.key_exchange_rsp + finish + finish_rsp
