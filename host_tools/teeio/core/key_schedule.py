# SPDX-License-Identifier: Apache-2.0
"""The SPDM key schedule (DSP0274 1.2, "Key schedule"): HKDF with the base hash.

    Salt_0 = 0..0                      HandshakeSecret = Extract(Salt_0, DHE)
    HandshakeSecret + TH1           -> request and response handshake secrets
    Salt_1 = Expand(HandshakeSecret, "derived")      MasterSecret = Extract(Salt_1, 0..0)
    MasterSecret + TH2              -> request and response data secrets, export master secret
    any direction secret            -> finished key, record key, record IV, updated secret

Labels carry the version of the session: BinConcat = length of the *output* as u16 little endian,
"spdm1.2 ", label, context.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from teeio.core.secret import Secret
from teeio.core.spdm_crypto import AES_256_KEY_BYTES, GCM_IV_BYTES

_MAX_EXPAND_BLOCKS: Final = 255


def hkdf_extract(hash_name: str, salt: bytes, input_key: bytes) -> bytes:
    """RFC 5869, 2.2."""
    return hmac.digest(salt, input_key, hash_name)


def hkdf_expand(hash_name: str, key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, 2.3."""
    block = output = b""
    for counter in range(1, _MAX_EXPAND_BLOCKS + 1):
        if len(output) >= length:
            break
        block = hmac.digest(key, block + info + bytes([counter]), hash_name)
        output += block
    return output[:length]


def bin_concat(version: int, label: str, length: int, context: bytes = b"") -> bytes:
    """The info string of one derivation; `length` is that of the output in bytes."""
    prefix = f"spdm{version >> 4}.{version & 0xF} "
    return length.to_bytes(2, "little") + (prefix + label).encode() + context


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """AES-256-GCM key and IV of one direction."""

    key: Secret
    iv: Secret

    def wipe(self) -> None:
        self.key.wipe()
        self.iv.wipe()


@dataclass(frozen=True, slots=True)
class HandshakeSecrets:
    handshake: Secret
    request: Secret
    response: Secret
    request_finished: Secret
    response_finished: Secret

    def wipe(self) -> None:
        for secret in (
            self.handshake,
            self.request,
            self.response,
            self.request_finished,
            self.response_finished,
        ):
            secret.wipe()


@dataclass(frozen=True, slots=True)
class ApplicationSecrets:
    request: Secret
    response: Secret
    master: Secret = field(repr=False)
    export_master: Secret = field(repr=False)

    def wipe(self) -> None:
        for secret in (self.request, self.response, self.master, self.export_master):
            secret.wipe()


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """Derivations for one hash and one SPDM version."""

    hash_name: str
    hash_size: int
    version: int

    def _expand(self, secret: Secret, label: str, length: int, context: bytes = b"") -> Secret:
        info = bin_concat(self.version, label, length, context)
        return Secret(hkdf_expand(self.hash_name, secret.reveal(), info, length))

    def handshake(self, shared: Secret, th1: bytes) -> HandshakeSecrets:
        """From the ECDH secret and the hash TH1."""
        size = self.hash_size
        handshake = Secret(hkdf_extract(self.hash_name, bytes(size), shared.reveal()))
        request = self._expand(handshake, "req hs data", size, th1)
        response = self._expand(handshake, "rsp hs data", size, th1)
        return HandshakeSecrets(
            handshake=handshake,
            request=request,
            response=response,
            request_finished=self._expand(request, "finished", size),
            response_finished=self._expand(response, "finished", size),
        )

    def application(self, handshake: Secret, th2: bytes) -> ApplicationSecrets:
        """From the handshake secret and the hash TH2."""
        size = self.hash_size
        salt = self._expand(handshake, "derived", size)
        master = Secret(hkdf_extract(self.hash_name, salt.reveal(), bytes(size)))
        salt.wipe()
        return ApplicationSecrets(
            request=self._expand(master, "req app data", size, th2),
            response=self._expand(master, "rsp app data", size, th2),
            master=master,
            export_master=self._expand(master, "exp master", size, th2),
        )

    def record_keys(self, direction: Secret) -> RecordKeys:
        """Record key and IV of a direction secret."""
        return RecordKeys(
            key=self._expand(direction, "key", AES_256_KEY_BYTES),
            iv=self._expand(direction, "iv", GCM_IV_BYTES),
        )

    def updated(self, direction: Secret) -> Secret:
        """The next direction secret after KEY_UPDATE."""
        return self._expand(direction, "traffic upd", self.hash_size)

    def verify_data(self, finished_key: Secret, transcript_hash: bytes) -> bytes:
        """HMAC over the *hash* of the transcript."""
        return hmac.digest(finished_key.reveal(), transcript_hash, self.hash_name)
