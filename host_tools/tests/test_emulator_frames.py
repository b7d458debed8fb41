# SPDX-License-Identifier: Apache-2.0
"""Frames of the reference emulators' socket, byte for byte as observed between that pair."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teeio.errors import DecodeError, LocalError
from teeio.wire.doe import DiscoveryRequest, DiscoveryResponse, DoeObject, DoeType
from teeio.wire.emulator import (
    CLIENT_HELLO,
    DEFAULT_PORT,
    SERVER_HELLO,
    Command,
    Frame,
    FrameReader,
    TransportType,
)
from teeio.wire.reader import decode_whole

# The first frames of a conversation, as captured: hello, then DOE discovery of index 0.
HELLO = bytes.fromhex("0000dead 00000002 0000000e") + b"Client Hello!\x00"
DISCOVERY = bytes.fromhex("00000001 00000002 0000000c 010000000300000000000000")
DISCOVERED = bytes.fromhex("010000000300000001000001")


def read_all(reader: FrameReader, data: bytes) -> list[Frame]:
    reader.feed(data)
    frames = []
    while (frame := reader.next()) is not None:
        frames.append(frame)
    return frames


def test_first_frames_have_the_observed_bytes() -> None:
    assert Frame(Command.HELLO, CLIENT_HELLO).encode() == HELLO
    request = DoeObject.wrap(DoeType.DISCOVERY, DiscoveryRequest(index=0).encode())
    assert Frame(Command.NORMAL, request.encode()).encode() == DISCOVERY
    answer = decode_whole(DoeObject.decode, DISCOVERED)
    assert decode_whole(DiscoveryResponse.decode, answer.payload) == DiscoveryResponse(
        vendor_id=1, object_type=0, next_index=1)


def test_numbers_are_those_observed() -> None:
    assert (Command.NORMAL, Command.CONTINUE, Command.SHUTDOWN, Command.HELLO) == (
        0x0001, 0xFFFD, 0xFFFE, 0xDEAD)
    assert [t.value for t in TransportType] == [0, 1, 2, 3]
    assert (CLIENT_HELLO, SERVER_HELLO) == (b"Client Hello!\0", b"Server Hello!\0")
    assert len(CLIENT_HELLO) == len(SERVER_HELLO) == 14
    assert DEFAULT_PORT == 2323


@given(st.integers(min_value=1, max_value=60))
def test_frames_come_out_whatever_the_segments(step: int) -> None:
    """Split at every place, or several in one segment."""
    shutdown = bytes.fromhex("0000fffe 00000002 00000000")
    stream = HELLO + DISCOVERY + shutdown + HELLO
    reader = FrameReader()
    frames = []
    for at in range(0, len(stream), step):
        frames += read_all(reader, stream[at:at + step])
    assert frames == [Frame(0xDEAD, b"Client Hello!\0"), Frame(1, DISCOVERY[12:]),
                      Frame(0xFFFE), Frame(0xDEAD, b"Client Hello!\0")]
    assert not reader.is_partial


def test_half_a_frame_gives_nothing_yet() -> None:
    reader = FrameReader()
    assert read_all(reader, HELLO[:-1]) == []
    assert reader.is_partial
    assert read_all(reader, HELLO[-1:]) == [Frame(Command.HELLO, CLIENT_HELLO)]


@pytest.mark.parametrize(("head", "reason"), [
    ("00000001 00000001 00000004", "transport type 1"),
    ("00000001 00000000 00000004", "transport type 0"),
    ("00000001 00000003 00000004", "transport type 3"),
    ("00000001 02000000 00000004", "transport type 33554432"),
    ("00008001 00000002 00000004", "unknown command 0x8001"),
    ("54454501 00000002 00000010", "unknown command 0x54454501"),
    ("00000001 00000002 00001209", "payload of 4617 bytes"),
    ("00000001 00000002 ffffffff", "payload of 4294967295 bytes"),
    ("47455420 2f204854 54502f31", "unknown command 0x47455420"),
])
def test_a_bad_header_ends_the_stream_at_once(head: str, reason: str) -> None:
    """Before any payload is there, so that nothing is kept for it."""
    reader = FrameReader(max_payload=0x1208)
    reader.feed(bytes.fromhex(head))
    with pytest.raises(DecodeError, match=reason):
        reader.next()


def test_the_largest_object_of_the_reference_tools_passes() -> None:
    reader = FrameReader(max_payload=0x1208)
    assert read_all(reader, Frame(1, bytes(0x1208)).encode()) == [Frame(1, bytes(0x1208))]


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_bytes_give_frames_or_a_decode_error(first: bytes, second: bytes) -> None:
    reader = FrameReader(max_payload=32)
    try:
        for frame in read_all(reader, first) + read_all(reader, second):
            assert len(frame.payload) <= 32
    except DecodeError:
        pass


def test_a_field_that_does_not_fit_is_our_fault() -> None:
    with pytest.raises(LocalError):
        Frame(1 << 32).encode()
