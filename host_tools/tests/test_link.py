# SPDX-License-Identifier: Apache-2.0
"""Bench link framing: any bytes are digested, a good frame behind them arrives; go-back-N."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from teeio.wire import tlp as t
from teeio.wire.link import MAX_BODY_BYTES, WINDOW, BenchLink, Deframer, TlpReceived

NONCE = b"\x01\x7e\x7d\x04"


def frame(kind: int, seq: int = 0, ack: int = 0, payload: bytes = b"",
          grants: tuple[int, int, int] = (100, 100, 100)) -> bytes:
    """A frame built from docs/bench_link.md, apart from the code under test."""
    body = bytes((kind, seq, ack, *grants)) + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    out = bytearray(b"\x7e")
    for byte in body:
        out += bytes((0x7D, byte ^ 0x20)) if byte in (0x7D, 0x7E) else bytes((byte,))
    return bytes(out) + b"\x7e"


def bodies(wire: bytes) -> list[bytes]:
    """Bodies without CRC of what the host sends."""
    return Deframer().feed(wire)


def synced() -> BenchLink:
    link = BenchLink()
    link.start(NONCE)
    assert bodies(link.take_output())[0][6:] == NONCE
    assert link.receive(frame(0x02, payload=NONCE))
    assert link.synced
    return link


def write(n: int) -> bytes:
    return t.mem_write(0x1000 + 4 * n, n.to_bytes(4, "big"), 0).encode()


@given(st.lists(st.binary(max_size=400), max_size=6))
def test_any_bytes_are_digested_and_the_next_frame_arrives(chunks: list[bytes]) -> None:
    """No exception, and two flags end whatever the noise began."""
    deframer = Deframer()
    for chunk in chunks:
        deframer.feed(chunk)
    assert deframer.feed(b"\x7e\x7e" + frame(0x10, 3, 4, b"payload!"))[-1] == bytes(
        (0x10, 3, 4, 100, 100, 100)) + b"payload!"


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_a_synced_link_survives_any_bytes(chunks: list[bytes]) -> None:
    """Noise brings no TLP, and a frame in sequence is still taken."""
    link = synced()
    for chunk in chunks:
        assert not [e for e in link.receive(chunk) if isinstance(e, TlpReceived)]
    assert TlpReceived(write(1)) in link.receive(b"\x7e\x7e" + frame(0x10, 0, 0, write(1)))


@given(st.binary(min_size=1, max_size=MAX_BODY_BYTES - 10), st.data())
def test_one_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    """CRC-32 or the framing: the body never comes out changed."""
    good = frame(0x10, 0, 0, payload)
    at = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << at % 8
    for body in Deframer().feed(bytes(bad) + b"\x7e"):
        assert body == bytes((0x10, 0, 0, 100, 100, 100)) + payload


@given(st.binary(max_size=MAX_BODY_BYTES), st.integers(1, 40))
def test_any_cut_of_the_stream_gives_the_same_frames(payload: bytes, size: int) -> None:
    """Bytes may arrive in any pieces."""
    wire = frame(0x20, 9, 1, payload) * 2
    deframer = Deframer()
    pieces = [body for at in range(0, len(wire), size)
              for body in deframer.feed(wire[at:at + size])]
    assert pieces == Deframer().feed(wire)


def test_frames_are_repeated_until_they_are_acknowledged() -> None:
    """Go-back-N: after NAK everything from the oldest unacknowledged frame, in order."""
    link = synced()
    for n in range(3):
        link.send_tlp(write(n))
    assert [b[1] for b in bodies(link.take_output())] == [0, 1, 2]
    link.receive(frame(0x03, ack=1))  # NAK: 0 arrived
    assert [(b[1], b[6:]) for b in bodies(link.take_output())] == [(1, write(1)), (2, write(2))]
    link.receive(frame(0x00, ack=3))
    assert not link.busy


def test_the_window_and_credits_bound_what_is_sent() -> None:
    """Eight frames without acknowledgement; no TLP beyond the peer's running total."""
    link = synced()
    for n in range(20):
        link.send_tlp(write(n))
    assert len(bodies(link.take_output())) == WINDOW
    link = BenchLink()
    link.start(NONCE)
    link.receive(frame(0x02, payload=NONCE, grants=(2, 0, 0)))
    link.take_output()
    for n in range(4):
        link.send_tlp(write(n))
    link.send_tlp(t.config_read(0x100, 0, 0, 1).encode())
    assert len(bodies(link.take_output())) == 2
    link.receive(frame(0x00, ack=2, grants=(4, 1, 0)))
    assert [b[0] for b in bodies(link.take_output())] == [0x10, 0x10, 0x11]


def test_a_tlp_is_taken_once_and_in_order() -> None:
    """A repeated frame is acknowledged and not handed up again; a gap asks for a repeat."""
    link = synced()
    assert link.receive(frame(0x10, 0, 0, write(0))) == [TlpReceived(write(0))]
    assert link.receive(frame(0x10, 0, 0, write(0))) == []
    assert link.receive(frame(0x10, 2, 0, write(2))) == []
    kinds = [b[0] for b in bodies(link.take_output())]
    assert kinds.count(0x03) == 1
    assert link.receive(frame(0x10, 1, 0, write(1))) == [TlpReceived(write(1))]
