# SPDX-License-Identifier: Apache-2.0
"""SPDM messages about identity: DIGESTS, CERTIFICATE, CHALLENGE (DSP0274, 10.6-10.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from teeio.wire.reader import Reader, Writer
from teeio.wire.spdm_base import (
    CONTEXT_BYTES,
    NONCE_BYTES,
    VERSION_13,
    Code,
    Layout,
    SpdmMessage,
    read_header,
    read_opaque,
    read_reserved_header,
    write_header,
    write_opaque,
)

SLOTS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDigests(SpdmMessage):
    CODE: ClassVar[Code] = Code.GET_DIGESTS
    version: int
    param1: int = 0
    param2: int = 0

    def encode(self) -> bytes:
        return write_header(self.version, self.CODE, self.param1, self.param2).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, param1, param2 = read_reserved_header(r, cls.CODE)
        return cls(version=version, param1=param1, param2=param2)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPairEntry:
    """Per-slot facts of a multi-key DIGESTS (1.3)."""

    key_pair_id: int
    certificate_info: int
    key_usage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests(SpdmMessage):
    """DIGESTS: one digest of the whole slot structure for each provisioned slot, ascending.

    Attributes:
        supported_slots: 1.3: mask of the slots that exist; 1.2: reserved.
        provisioned_slots: mask of the slots that hold a chain; bit count = number of digests.
    """

    CODE: ClassVar[Code] = Code.DIGESTS
    version: int
    supported_slots: int = 0
    provisioned_slots: int
    digests: tuple[bytes, ...]
    key_pairs: tuple[KeyPairEntry, ...] = ()

    def digest_of(self, slot: int) -> bytes | None:
        """The digest of `slot`, or None if it holds no chain."""
        if not self.provisioned_slots >> slot & 1:
            return None
        return self.digests[(self.provisioned_slots & ((1 << slot) - 1)).bit_count()]

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.supported_slots, self.provisioned_slots)
        for digest in self.digests:
            w.raw(digest)
        for pair in self.key_pairs:
            w.u8(pair.key_pair_id, "KeyPairID")
        for pair in self.key_pairs:
            w.u8(pair.certificate_info, "CertificateInfo")
        for pair in self.key_pairs:
            w.u16(pair.key_usage, "KeyUsageMask")
        return w.done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, supported, provisioned = read_header(r, cls.CODE)
        count = provisioned.bit_count()
        digests = tuple(r.take(layout.hash_size, "digest") for _ in range(count))
        pairs: tuple[KeyPairEntry, ...] = ()
        if layout.multi_key and version >= VERSION_13:
            ids = [r.u8("KeyPairID") for _ in range(count)]
            infos = [r.u8("CertificateInfo") for _ in range(count)]
            usages = [r.u16("KeyUsageMask") for _ in range(count)]
            pairs = tuple(
                KeyPairEntry(key_pair_id=i, certificate_info=c, key_usage=u)
                for i, c, u in zip(ids, infos, usages, strict=True)
            )
        return cls(
            version=version,
            supported_slots=supported,
            provisioned_slots=provisioned,
            digests=digests,
            key_pairs=pairs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCertificate(SpdmMessage):
    """GET_CERTIFICATE: `length` bytes of the slot structure from `offset` on."""

    CODE: ClassVar[Code] = Code.GET_CERTIFICATE
    version: int
    slot: int
    offset: int
    length: int
    param2: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.slot, self.param2)
        return w.u16(self.offset, "offset").u16(self.length, "length").done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, slot, param2 = read_header(r, cls.CODE)
        return cls(
            version=version,
            slot=slot,
            param2=param2,
            offset=r.u16("offset"),
            length=r.u16("length"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(SpdmMessage):
    """CERTIFICATE: a portion of the slot structure and how many bytes remain after it."""

    CODE: ClassVar[Code] = Code.CERTIFICATE
    version: int
    slot: int
    portion: bytes
    remainder: int
    certificate_info: int = 0

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.slot, self.certificate_info)
        w.u16(len(self.portion), "PortionLength").u16(self.remainder, "RemainderLength")
        return w.raw(self.portion).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, slot, info = read_header(r, cls.CODE)
        length = r.u16("PortionLength")
        remainder = r.u16("RemainderLength")
        return cls(
            version=version,
            slot=slot,
            certificate_info=info,
            remainder=remainder,
            portion=r.take(length, "certificate portion"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(SpdmMessage):
    """CHALLENGE. `context` is present from 1.3 on (8 bytes) and empty before."""

    CODE: ClassVar[Code] = Code.CHALLENGE
    version: int
    slot: int
    summary_type: int
    nonce: bytes
    context: bytes = b""

    def encode(self) -> bytes:
        w = write_header(self.version, self.CODE, self.slot, self.summary_type)
        w.raw(self.nonce, NONCE_BYTES, "nonce")
        return w.raw(self.context, context_bytes(self.version), "context").done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, slot, summary_type = read_header(r, cls.CODE)
        return cls(
            version=version,
            slot=slot,
            summary_type=summary_type,
            nonce=r.take(NONCE_BYTES, "nonce"),
            context=r.take(context_bytes(version), "context"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeAuth(SpdmMessage):
    """CHALLENGE_AUTH. `summary` is empty if none was asked for."""

    CODE: ClassVar[Code] = Code.CHALLENGE_AUTH
    version: int
    slot: int
    slot_mask: int
    chain_hash: bytes
    nonce: bytes
    summary: bytes = b""
    opaque: bytes = b""
    context: bytes = b""
    signature: bytes

    def encode(self) -> bytes:
        w: Writer = write_header(self.version, self.CODE, self.slot, self.slot_mask)
        w.raw(self.chain_hash).raw(self.nonce, NONCE_BYTES, "nonce").raw(self.summary)
        write_opaque(w, self.opaque)
        w.raw(self.context, context_bytes(self.version), "context")
        return w.raw(self.signature).done()

    @classmethod
    def decode(cls, r: Reader, layout: Layout) -> Self:
        version, slot, slot_mask = read_header(r, cls.CODE)
        return cls(
            version=version,
            slot=slot,
            slot_mask=slot_mask,
            chain_hash=r.take(layout.hash_size, "chain hash"),
            nonce=r.take(NONCE_BYTES, "nonce"),
            summary=r.take(layout.hash_size if layout.has_summary else 0, "summary"),
            opaque=read_opaque(r),
            context=r.take(context_bytes(version), "context"),
            signature=r.take(layout.signature_size, "signature"),
        )


def context_bytes(version: int) -> int:
    """Size of RequesterContext, which 1.3 introduced."""
    return CONTEXT_BYTES if version >= VERSION_13 else 0
