# SPDX-License-Identifier: Apache-2.0
"""Sealing and opening secured records (DSP0277): AES-256-GCM, one counter per direction and key.

Nonce = IV XOR sequence number, the number as u64 little endian over IV bytes 0..7. The counter
starts at 0 with each key; the all-ones value is never used.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from teeio.core.key_schedule import RecordKeys
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.secured import (
    MAX_MESSAGE_BYTES,
    TAG_BYTES,
    SecuredRecord,
    record_aad,
    unwrap_application,
    wrap_application,
)

LAST_SEQUENCE: Final = (1 << 64) - 2


def record_nonce(iv: bytes, sequence: int) -> bytes:
    """The 12-byte GCM nonce of record number `sequence`."""
    count = sequence.to_bytes(8, "little") + bytes(4)
    return bytes(a ^ b for a, b in zip(iv, count, strict=True))


class RecordChannel:
    """One direction of a session under one key."""

    __slots__ = ("_keys", "_sequence")

    def __init__(self, keys: RecordKeys) -> None:
        self._keys = keys
        self._sequence = 0

    def __repr__(self) -> str:
        return f"RecordChannel(next sequence {self._sequence})"

    @property
    def sequence(self) -> int:
        """Number of the next record."""
        return self._sequence

    def seal(self, session_id: int, message: bytes) -> bytes:
        """The whole record for `message`; consumes a sequence number.

        Raises:
            LocalError: if the message is too long, the counter is used up, or the keys are wiped.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise LocalError(f"{len(message)} bytes do not fit a secured record")
        plaintext = wrap_application(message)
        aad = record_aad(session_id, len(plaintext))
        cipher, nonce = self._next()
        sealed = cipher.encrypt(nonce, plaintext, aad)
        return SecuredRecord(
            session_id=session_id, ciphertext=sealed[:-TAG_BYTES], tag=sealed[-TAG_BYTES:]
        ).encode()

    def open(self, record: SecuredRecord, *, strict: bool = False) -> bytes:
        """The message in `record`; consumes a sequence number, also when it fails.

        Raises:
            PeerError: if the record was not sealed under this key and number, or its inner
                length is wrong.
            LocalError: if the counter is used up or the keys are wiped.
        """
        sequence = self._sequence
        cipher, nonce = self._next()
        try:
            plaintext = cipher.decrypt(nonce, record.ciphertext + record.tag, record.aad)
        except InvalidTag:
            raise PeerError(
                f"record number {sequence} does not authenticate",
                clause="DSP0277: AEAD tag of a secured message",
                data=record.encode(),
            ) from None
        try:
            return unwrap_application(plaintext, strict=strict)
        except DecodeError as error:
            raise PeerError(
                f"record number {sequence}: {error.reason}",
                clause="DSP0277: ApplicationDataLength",
                data=record.encode(),
            ) from None

    def wipe(self) -> None:
        """Zeroes key and IV."""
        self._keys.wipe()

    def _next(self) -> tuple[AESGCM, bytes]:
        if self._sequence > LAST_SEQUENCE:
            raise LocalError("the record counter is used up: update the keys or end the session")
        nonce = record_nonce(self._keys.iv.reveal(), self._sequence)
        self._sequence += 1
        return AESGCM(self._keys.key.reveal()), nonce
