# SPDX-License-Identifier: Apache-2.0
"""Byte-exact structures of CoVE-IO ("Data structures" and "SPDM messages" chapters); little endian.

| structure | bytes |
|---|---|
| IDE stream descriptor | stream u8, blocks u8, 0 u16, RID association 1, 2 u32, 12 a block |
| IDE key descriptor | stream u8, sub-stream u8, key set u8, 0 Tx / 1 Rx u8 |
| IDE key data | 8 key DWs, 2 IV DWs, in the order of KEY_PROG |
| connection transcript | version u8, length u32 (not aligned), bytes |
| pending SPDM buffer | FUNCTION_ID u32, DEVICE_ID u32, length u32, bytes |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from teeio.core.secret import Secret
from teeio.errors import LocalError
from teeio.wire.ide_km import IFV_INITIAL, KEY_BYTES, KeyDirection, SubStream, swap_dwords
from teeio.wire.ide_registers import AddressAssociation
from teeio.wire.reader import Reader, Writer

TRANSCRIPT_VERSION: Final = 1
PAYLOAD_OFFSET: Final = 12
"""Of the pending SPDM buffer; printed as 12h in the draft (docs/decisions/0200)."""
KEY_DATA_BYTES: Final = 40
MEBIBYTE: Final = 1 << 20
TX, RX = 0, 1


def address_block(base: int, limit: int) -> AddressAssociation:
    """Association registers of [base, limit], both in bytes, at 1 MiB granularity.

    Raises:
        LocalError: not on MiB boundaries.
    """
    if base % MEBIBYTE or (limit + 1) % MEBIBYTE or limit < base:
        raise LocalError(f"{base:#x}..{limit:#x} is not a range of whole MiB")
    return AddressAssociation(
        register_1=1 | (base >> 20 & 0xFFF) << 8 | (limit >> 20 & 0xFFF) << 20,
        register_2=limit >> 32, register_3=base >> 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDescriptor:
    """IDE stream descriptor.

    Attributes:
        stream_id: Stream ID.
        rid_base, rid_limit: Requester IDs of the stream, both included.
        blocks: address ranges of the stream.
    """

    stream_id: int
    rid_base: int
    rid_limit: int
    blocks: tuple[AddressAssociation, ...] = ()

    def encode(self) -> bytes:
        w = Writer().u8(self.stream_id, "stream id").u8(len(self.blocks), "blocks").u16(0)
        w.u32(self.rid_limit << 8, "RID association 1")
        w.u32(self.rid_base << 8 | 1, "RID association 2")
        for block in self.blocks:
            w.u32(block.register_1).u32(block.register_2).u32(block.register_3)
        return w.done()

    @classmethod
    def decode(cls, r: Reader) -> StreamDescriptor:
        stream_id, count = r.u8("stream id"), r.u8("blocks")
        r.padding(2, "reserved")
        limit, base = r.u32("RID association 1"), r.u32("RID association 2")
        if not base & 1:
            r.fail("RID association is not valid", offset=r.offset - 4)
        blocks = tuple(AddressAssociation(register_1=r.u32(), register_2=r.u32(),
                                          register_3=r.u32()) for _ in range(count))
        return cls(stream_id=stream_id, rid_base=base >> 8 & 0xFFFF, rid_limit=limit >> 8 & 0xFFFF,
                   blocks=blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescriptor:
    """IDE key descriptor. `direction` is the root port's: 0 Tx, 1 Rx - the other way round than in
    IDE_KM, whose directions are the device's."""

    stream_id: int
    sub_stream: SubStream
    key_set: int
    direction: int

    def encode(self) -> bytes:
        w = Writer().u8(self.stream_id, "stream id").u8(self.sub_stream, "sub-stream")
        return w.u8(self.key_set, "key set").u8(self.direction, "direction").done()

    @classmethod
    def decode(cls, r: Reader) -> KeyDescriptor:
        stream_id, sub_stream = r.u8("stream id"), r.u8("sub-stream")
        key_set, direction = r.u8("key set"), r.u8("direction")
        if sub_stream > 2 or key_set > 1 or direction > 1:
            r.fail(f"sub-stream {sub_stream}, key set {key_set}, direction {direction}")
        return cls(stream_id=stream_id, sub_stream=SubStream(sub_stream), key_set=key_set,
                   direction=direction)

    @classmethod
    def partner(cls, stream_id: int, sub_stream: SubStream, key_set: int,
                device: KeyDirection) -> KeyDescriptor:
        """The root port's end of a key of the device: its Rx is our Tx."""
        return cls(stream_id=stream_id, sub_stream=sub_stream, key_set=key_set,
                   direction=TX if device is KeyDirection.RX else RX)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyData:
    """IDE key data. Never shown: holds a key."""

    key: Secret = field(repr=False)
    ifv: int = IFV_INITIAL

    def encode(self) -> bytes:
        return swap_dwords(self.key.reveal()) + swap_dwords(self.ifv.to_bytes(8, "big"))

    @classmethod
    def decode(cls, r: Reader) -> KeyData:
        key = Secret(swap_dwords(r.take(KEY_BYTES, "key")))
        return cls(key=key, ifv=int.from_bytes(swap_dwords(r.take(8, "IV")), "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTranscript:
    """Connection transcript: what host and TSM hand to and fro."""

    body: bytes
    version: int = TRANSCRIPT_VERSION

    def encode(self) -> bytes:
        w = Writer().u8(self.version, "version").u32(len(self.body), "length")
        return w.raw(self.body).done()

    @classmethod
    def decode(cls, r: Reader) -> ConnectionTranscript:
        version = r.u8("version")
        if version != TRANSCRIPT_VERSION:
            r.fail(f"transcript version {version}", offset=0)
        return cls(version=version, body=r.take(r.u32("length"), "transcript"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSpdm:
    """Pending SPDM buffer in shared memory, one a device. An empty payload asks for patience, or
    tells that the device gave no answer."""

    function_id: int
    device_id: int
    payload: bytes

    def encode(self) -> bytes:
        w = Writer().u32(self.function_id, "FUNCTION_ID").u32(self.device_id, "DEVICE_ID")
        w.u32(len(self.payload), "length").raw(bytes(PAYLOAD_OFFSET - len(w)))
        return w.raw(self.payload).done()

    @classmethod
    def decode(cls, r: Reader) -> PendingSpdm:
        function_id, device_id = r.u32("FUNCTION_ID"), r.u32("DEVICE_ID")
        length = r.u32("length")
        r.reserved(PAYLOAD_OFFSET - r.offset)
        return cls(function_id=function_id, device_id=device_id,
                   payload=r.take(length, "payload"))
