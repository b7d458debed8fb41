# SPDX-License-Identifier: Apache-2.0
"""Chunks that a device may not send, byte by byte; good ones are in test_native_teeio.py."""

from __future__ import annotations

import struct

import pytest

from teeio.core.spdm_chunks import ChunkLimits, ChunkTransfer
from teeio.errors import LocalError, PeerError

LIMITS = ChunkLimits(device_bytes=42, device_message_bytes=100, own_message_bytes=90)


def transfer() -> ChunkTransfer:
    return ChunkTransfer(0x12, LIMITS, 3)


def part(number: int, chunk: bytes, *, last: int = 0, handle: int = 7, size: int = 80,
         version: int = 0x12, stated: int | None = None) -> bytes:
    head = struct.pack("<BBBBHHI", version, 0x06, last, handle, number, 0,
                       len(chunk) if stated is None else stated)
    return head + (struct.pack("<I", size) if number == 0 else b"") + chunk


def test_large_request_fills_the_devices_transfer_size() -> None:
    moving = transfer()
    message = bytes(range(80))
    sent = [moving.send(message, 9)]
    for number in range(2):
        assert moving.receive(bytes([0x12, 0x05, 0, 9, number, 0]) + bytes(2)) is None
        following = moving.next_message()
        assert following is not None
        sent.append(following)
    assert [len(item) for item in sent] == [42, 42, 12 + 24]
    assert sent[0] == bytes.fromhex("12850009 0000 0000 1a000000 50000000") + message[:26]
    assert sent[1] == bytes.fromhex("12850009 0100 0000 1e000000") + message[26:56]
    assert sent[2] == bytes.fromhex("12850109 0200 0000 18000000") + message[56:]
    assert moving.receive(bytes.fromhex("120500090200") + b"answer") == b"answer"
    assert moving.next_message() is None


def test_request_larger_than_the_device_takes_is_a_local_error() -> None:
    with pytest.raises(LocalError, match="largest message of 100"):
        transfer().send(bytes(101), 1)


@pytest.mark.parametrize("ack", [
    bytes.fromhex("12 05 00 08 0000"), bytes.fromhex("12 05 00 09 0100"),
    bytes.fromhex("13 05 00 09 0000"), bytes.fromhex("12 06 00 09 0000"),
    bytes.fromhex("12 05 00 09 00"), bytes.fromhex("12 05 01 09 0000"),
    bytes.fromhex("12 05 01 09 0000 12 03 00 00"), bytes.fromhex("12 05 00 09 0000 12 03 00 00"),
], ids=["handle", "sequence", "version", "code", "short", "early-without-error",
        "early-with-an-answer", "answer-too-early"])
def test_bad_acknowledgements_are_refused(ack: bytes) -> None:
    moving = transfer()
    moving.send(bytes(80), 9)
    with pytest.raises(PeerError):
        moving.receive(ack)


def test_early_error_is_the_answer() -> None:
    moving = transfer()
    moving.send(bytes(80), 9)
    error = bytes.fromhex("127f0e00")
    assert moving.receive(bytes.fromhex("120501090000") + error) == error
    assert moving.next_message() is None


@pytest.mark.parametrize("parts", [
    [part(1, bytes(30))], [part(0, bytes(30), handle=8)], [part(0, bytes(30), version=0x13)],
    [part(0, bytes(30), size=91)], [part(0, bytes(30), last=1)], [part(0, bytes(30), stated=31)],
    [part(0, b"")], [part(0, bytes(30) + bytes(4), stated=30)],
    [part(0, bytes(30)), part(0, bytes(30))], [part(0, bytes(30)), part(2, bytes(30))],
    [part(0, bytes(30)), part(1, bytes(51), last=1)], [part(0, bytes(30)), part(1, bytes(50))],
    [part(0, bytes(80))],
], ids=["starts-with-1", "handle", "version", "too-large", "last-too-early", "short", "empty",
        "bytes-behind", "again", "gap", "too-much", "end-without-last", "whole-without-last"])
def test_bad_answers_are_refused(parts: list[bytes]) -> None:
    moving = transfer()
    moving.fetch(7)
    for good in parts[:-1]:
        assert moving.receive(good) is None
    with pytest.raises(PeerError):
        moving.receive(parts[-1])


def test_answer_is_put_together() -> None:
    moving = transfer()
    moving.fetch(7)
    assert moving.next_message() == bytes.fromhex("12860007 0000")
    assert moving.receive(part(0, b"a" * 30)) is None
    assert moving.next_message() == bytes.fromhex("12860007 0100")
    assert moving.receive(part(1, b"b" * 50, last=1)) == b"a" * 30 + b"b" * 50
    assert moving.next_message() is None
