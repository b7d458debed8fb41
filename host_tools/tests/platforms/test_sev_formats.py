# SPDX-License-Identifier: Apache-2.0
"""SEV-TIO formats: expected bytes are typed from the tables of the public kernel sources."""

from __future__ import annotations

import os
import uuid

import pytest

from teeio.core.secret import Secret
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.platforms.sev import abi, messages
from teeio.platforms.sev.abi import Cmd, DataType, Fence, ObjectId, Sla
from teeio.platforms.sev.ghcb import guid_bytes, mmio_parameter, object_table
from teeio.platforms.sev.messages import MmioStatus, MmioValidate, TdiInfo, Type
from teeio.platforms.sev.rmp import RmpEntry, table_offset
from teeio.platforms.sev.sdte import Sdte, guest_entry

SIZES = {Cmd.DEV_CREATE: 0x20, Cmd.DEV_CONNECT: 0x50, Cmd.TDI_CREATE: 0x30, Cmd.TDI_BIND: 0x50,
         Cmd.TDI_UNBIND: 0x40, Cmd.GUEST_REQUEST: 0x50}


def test_commands_have_their_numbers_and_sizes() -> None:
    assert [int(Cmd[name]) for name in ("TIO_STATUS", "DEV_CONNECT", "TDI_BIND", "GUEST_REQUEST",
                                        "ROLL_KEY")] == [0xD0, 0xD4, 0xDC, 0xE0, 0xE4]
    for cmd, size in SIZES.items():
        assert len(abi.encode_command(cmd)) == size
    for cmd, (size, fields) in abi.LAYOUT.items():
        widths = {"B": 1, "H": 2, "I": 4, "Q": 8, "8s": 8, "12s": 12, "32s": 32}
        used = [k for at, kind in fields.values() for k in range(at, at + widths[kind])]
        assert len(used) == len(set(used)) and max(used, default=0) < size, cmd


def test_a_connect_command_byte_by_byte() -> None:
    data = abi.encode_command(
        Cmd.DEV_CONNECT, request=0x1000, response=0x2000, scratch=0x3000, output=0x4000,
        dev=0x5000, tc_mask=1, slot=2, streams=b"\x07" + b"\xff" * 7)
    want = bytearray(0x50)
    want[0] = 0x50
    for at, value in ((0x09, 0x10), (0x11, 0x20), (0x19, 0x30), (0x21, 0x40), (0x31, 0x50),
                      (0x38, 1), (0x39, 2), (0x40, 7)):
        want[at] = value
    want[0x41:0x48] = b"\xff" * 7
    assert data == bytes(want)
    with pytest.raises(DecodeError):
        abi.decode_command(Cmd.DEV_CONNECT, data[:-1])
    with pytest.raises(DecodeError):
        abi.decode_command(Cmd.DEV_CONNECT, b"\x40" + data[1:])


def test_scatter_lists() -> None:
    assert Sla(0x12345, is_list=True).encode() == 0x1234_5001
    assert Sla.decode(0x1234_5002) == Sla(0x12345, is_2m=True)
    assert Sla(abi.SLA_END).encode() >> 12 == (1 << 40) - 1
    for bad in (1 << 2, 1 << 11, 1 << 52):
        with pytest.raises(DecodeError):
            Sla.decode(bad)


def test_buffers_and_objects() -> None:
    body = abi.encode_object(ObjectId.REQUEST, DataType.SECURED_SPDM, b"x" * 33)
    assert len(body) == 96 and body[:8] == bytes((1, 0, 0, 0, 33, 0, 0, 0)) and body[10] == 2
    assert abi.decode_object(body) == (ObjectId.REQUEST, DataType.SECURED_SPDM, b"x" * 33)
    whole = abi.buffer_header(128, 96) + body + bytes(32)
    assert len(abi.buffer_header(1, 0)) == 0x40 and abi.parse_buffer(whole)[0] == 96
    assert abi.buffer_header(128, 33)[4:8] == (64).to_bytes(4, "little")
    for bad in (whole[:0x30], whole[:-1], whole[:4] + b"\x21" + whole[5:]):
        with pytest.raises(DecodeError):
            abi.parse_buffer(bad)
    for bad in (body[:16], b"\x09" + body[1:], body[:4] + b"\xff" + body[5:],
                body[:10] + b"\x03" + body[11:]):
        with pytest.raises(DecodeError):
            abi.decode_object(bad)


def test_fences_and_status() -> None:
    assert abi.fence_status(Fence.ERROR, Fence.DEFAULT) == 0b1101
    assert len(abi.tio_status(3)) == 0x40
    status = abi.dev_status(2, 0, 0x0100, 0, 1, 0xD4, bytes(12), b"\x01" + b"\xff" * 7)
    assert len(status) == 0xA0 and status[0x20:0x28] == b"\x01" + b"\xff" * 7
    assert abi.parse_dev_status(status) == (2, 0x0100, 0xD4) and status[0x0B] == 1


def test_a_device_table_entry_bit_by_bit() -> None:
    entry = guest_entry(vtom=0x2_0000_0000)
    want = 1 | 1 << 61 | 1 << 62 | 1 << 320 | (0x2_0000_0000 >> 21) << 321
    assert entry.bits == want and entry.foreign == 0 and entry.vtom_address == 0x2_0000_0000
    filled = entry.with_fields(asid=5, stream0=1, rp_id=3, guest_device_id=0x0101)
    assert filled.bits == want | 5 << 192 | 1 << 256 | 3 << 352 | 0x0101 << 208
    assert filled.guest_part == want
    assert Sdte.decode(filled.encode()) == filled and len(filled.encode()) == 64
    with pytest.raises(LocalError):
        guest_entry(vtom=4096)
    with pytest.raises(LocalError):
        Sdte.make(asid=1 << 12)


def test_every_bit_that_a_guest_may_not_set_is_foreign() -> None:
    mine = {0, 61, 62, *range(320, 352)}
    assert {bit for bit in range(512) if not Sdte(1 << bit).foreign} == mine


def test_reverse_map_entries() -> None:
    raw = int.from_bytes(RmpEntry("guest 1", 0xC0001, True, 1, True).encode(), "little")
    assert raw == 1 | 1 << 2 | 0xC0001 << 12 | 1 << 51 | 1 << 62
    assert table_offset(0) == 16384 and table_offset(3) == 16384 + 48


def test_messages_open_once_and_only_with_their_key() -> None:
    key, other = Secret(os.urandom(32)), Secret(os.urandom(32))
    sealed = messages.seal(key, 3, Type.SDTE_WRITE_REQ, b"body" * 5)
    opened = messages.unseal(key, 3, sealed.ljust(4096, b"\0"))
    assert (opened.type, opened.version, opened.body) == (Type.SDTE_WRITE_REQ, 2, b"body" * 5)
    assert sealed[0x34] == 25 and sealed[0x35] == 2 and sealed[32] == 3
    with pytest.raises(PeerError):
        messages.unseal(key, 5, sealed)
    with pytest.raises(PeerError):
        messages.unseal(other, 3, sealed)
    for at in (0, 0x3C, 0x60):
        with pytest.raises(PeerError):
            messages.unseal(key, 3, sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1:])
    with pytest.raises(PeerError):
        messages.unseal(key, 4, sealed[:32] + b"\x04" + sealed[33:])


def test_version_1_is_an_alias() -> None:
    key = Secret(os.urandom(32))
    sealed = messages.seal(key, 1, Type.TDI_INFO_REQ, bytes(16), 1)
    assert sealed[0x34] == 0x81 and messages.unseal(key, 1, sealed).type is Type.TDI_INFO_REQ
    assert messages.identity(0x0101, 1) == b"\x01\x01" + bytes(6)
    assert messages.head(0x0101, 2, 1)[:4] == b"\x01\x01\x02\0"
    numbers = [messages.mmio_code(status, 1) for status in MmioStatus]
    assert numbers == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 4]
    assert [messages.mmio_code(status, 2) for status in MmioStatus] == list(range(11))


def test_bodies() -> None:
    request = MmioValidate(0xC000_1000, 2, 1, 1, 0)
    body = request.encode(0x1122, 2)
    assert len(body) == 0x30 and body[:2] == b"\x22\x11"
    assert body[0x10:0x18] == (0xC000_1000).to_bytes(8, "little")
    assert (body[0x18], body[0x1C], body[0x20], body[0x22]) == (2, 1, 1, 0)
    assert MmioValidate.decode(body) == request
    info = TdiInfo(2, True, False, 0x11, b"a" * 48, b"b" * 48, b"c" * 48, 7)
    data = info.encode(5, 0, 2)
    assert len(data) == 0xC0 and data[0x10] == 0b1001 and data[0x14] == 0x11
    assert (data[0x20], data[0x50], data[0x80], data[0xB0]) == (0x61, 0x62, 0x63, 7)
    assert TdiInfo.decode(data) == info
    assert len(messages.sdte_write(1, bytes(64), 2)) == 0x50


def test_object_table_and_guids() -> None:
    report = uuid.UUID("70dc5b0e-0cc0-4cd5-97bb-ff0ba25bf320")
    assert guid_bytes("report") == report.bytes_le
    table = object_table({"report": b"R" * 10, "certificates": b"C" * 3})
    assert table[16:24] == (72).to_bytes(4, "little") + (10).to_bytes(4, "little")
    assert table[40:48] == (82).to_bytes(4, "little") + (3).to_bytes(4, "little")
    assert table[48:72] == bytes(24) and table[72:] == b"R" * 10 + b"C" * 3
    assert mmio_parameter(0x1234_5000, 3, True, 2) == 0x1234_503A
