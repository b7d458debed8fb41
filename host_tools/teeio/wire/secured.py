# SPDX-License-Identifier: Apache-2.0
"""Secured SPDM record over DOE (DSP0277): no sequence number and no random bytes on the wire.

    SessionID u32 | Length u16 | AES-GCM( ApplicationDataLength u16 | SPDM message ) | tag 16
    '------ AAD, 6 bytes ----'

Length counts everything behind itself. DOE padding may follow; Length tells the true end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from teeio.wire.reader import Reader, Writer

TAG_BYTES: Final = 16
AAD_BYTES: Final = 6
APPLICATION_LENGTH_BYTES: Final = 2
OVERHEAD_BYTES: Final = AAD_BYTES + APPLICATION_LENGTH_BYTES + TAG_BYTES
MAX_MESSAGE_BYTES: Final = 0xFFFF - APPLICATION_LENGTH_BYTES - TAG_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuredRecord:
    """One record as it is on the wire. `session_id` = RspSessionID << 16 | ReqSessionID."""

    session_id: int
    ciphertext: bytes
    tag: bytes

    @property
    def aad(self) -> bytes:
        return record_aad(self.session_id, len(self.ciphertext))

    def encode(self) -> bytes:
        w = Writer().raw(self.aad).raw(self.ciphertext)
        return w.raw(self.tag, TAG_BYTES, "tag").done()

    @classmethod
    def decode(cls, r: Reader) -> SecuredRecord:
        session_id = r.u32("SessionID")
        length = r.u16("Length")
        if length < APPLICATION_LENGTH_BYTES + TAG_BYTES:
            r.fail(f"record length {length} holds no message", offset=r.offset - 2)
        return cls(
            session_id=session_id,
            ciphertext=r.take(length - TAG_BYTES, "ciphertext"),
            tag=r.take(TAG_BYTES, "tag"),
        )


def record_aad(session_id: int, ciphertext_bytes: int) -> bytes:
    """The authenticated header of a record whose ciphertext has this size."""
    w = Writer().u32(session_id, "session id")
    return w.u16(ciphertext_bytes + TAG_BYTES, "record length").done()


def wrap_application(message: bytes) -> bytes:
    """The plaintext of a record.

    Raises:
        LocalError: if the message does not fit a record.
    """
    w = Writer().u16(len(message), "application length")
    w.u16(len(message) + APPLICATION_LENGTH_BYTES + TAG_BYTES, "record length")
    return Writer().u16(len(message)).raw(message).done()


def unwrap_application(plaintext: bytes, *, strict: bool = False) -> bytes:
    """The message inside a decrypted record; random bytes behind it are a deviation.

    Raises:
        DecodeError: if the lengths disagree.
    """
    r = Reader(plaintext, strict=strict)
    message = r.take(r.u16("application length"), "application data")
    if r.remaining and strict:
        r.fail(f"{r.remaining} random bytes, which DOE does not carry")
    return message
