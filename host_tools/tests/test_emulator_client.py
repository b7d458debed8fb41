# SPDX-License-Identifier: Apache-2.0
"""The requester's end of the emulators' socket against responders that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from teeio.core.capabilities import BOARD, MESSAGES, NATIVE
from teeio.core.drive import run
from teeio.core.ops import Batch, CfgRead, MemRead, Op, PortSecure, Steps, cfg_read, mem_read
from teeio.errors import LocalError, TransportError
from teeio.targets import capabilities_of, open_target, parse_emulator_url
from teeio.transports.emulator import EmulatorClient, FrameSocket
from teeio.wire.emulator import Command, Frame
from tests.emulator import receive

GREETING = bytes.fromhex("0000dead 00000002 0000000e") + b"Server Hello!\x00"
HELLO_BYTES = 12 + 14
OBJECT = bytes.fromhex("010000000300000000000000")
ANSWER = bytes.fromhex("00000001 00000002 0000000c 010000000300000001000001")


@contextmanager
def responder(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A responder that serves one connection with `talk`; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.settimeout(10)
                talk(link)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(15)
        assert not thread.is_alive()


def greet(link: socket.socket) -> None:
    assert receive(link, HELLO_BYTES) == bytes.fromhex(
        "0000dead 00000002 0000000e") + b"Client Hello!\x00"
    link.sendall(GREETING)


def answering(data: bytes) -> Callable[[socket.socket], None]:
    """Greets, takes one object, answers with `data`, and waits for the other end to close."""
    def talk(link: socket.socket) -> None:
        greet(link)
        assert receive(link, 12 + len(OBJECT))[12:] == OBJECT
        for at in range(0, len(data), 5):
            link.sendall(data[at:at + 5])
        receive(link, 1 << 20)
    return talk


def test_an_object_is_carried_in_pieces_and_leave_is_taken() -> None:
    def talk(link: socket.socket) -> None:
        greet(link)
        assert receive(link, 12 + len(OBJECT)) == ANSWER[:12] + OBJECT
        for byte in ANSWER:
            link.sendall(bytes([byte]))
        assert receive(link, 12) == bytes.fromhex("0000fffd 00000002 00000000")
        link.sendall(bytes.fromhex("0000fffd 00000002 00000000"))
        assert receive(link, 1) == b""

    with responder(talk) as port:
        client = EmulatorClient("127.0.0.1", port)
        assert client.exchange(OBJECT) == ANSWER[12:]
        client.end(Command.CONTINUE)


@pytest.mark.parametrize(("answer", "reason"), [
    ("00000001 00000001 0000000c 010000000300000001000001", "transport type 1"),
    ("00000001 00000002 ffffffff", "4294967295 bytes"),
    ("0000fffe 00000002 00000000", "answers command 0x1 with 0xfffe"),
    ("00000001 00000002 00000000", "dropped the object"),
    ("00000001 00000002 0000000c 0100", "half a frame for 0.4 s"),
    ("00000001 0000", "half a frame for 0.4 s"),
    ("", "silence for 0.4 s"),
])
def test_bad_answers_are_transport_errors_within_the_bound(answer: str, reason: str) -> None:
    with responder(answering(bytes.fromhex(answer))) as port:
        client = EmulatorClient("127.0.0.1", port, answer_seconds=0.4)
        started = time.monotonic()
        with pytest.raises(TransportError, match=reason):
            client.exchange(OBJECT)
        assert time.monotonic() - started < 8
        client.close()


def test_a_responder_that_goes_away_says_so() -> None:
    def talk(link: socket.socket) -> None:
        greet(link)
        receive(link, 12 + len(OBJECT))
        link.sendall(ANSWER[:9])

    with responder(talk) as port:
        client = EmulatorClient("127.0.0.1", port)
        with pytest.raises(TransportError, match="closed in the middle of a frame"):
            client.exchange(OBJECT)
        client.close()


def test_another_greeting_is_refused() -> None:
    def talk(link: socket.socket) -> None:
        receive(link, HELLO_BYTES)
        link.sendall(bytes.fromhex("0000dead 00000002 00000004") + b"Moin")
        receive(link, 1)

    with responder(talk) as port, pytest.raises(TransportError, match="not a responder"):
        EmulatorClient("127.0.0.1", port)


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="start the responder first"):
        open_target(f"spdm-emu://127.0.0.1:{port}")


class _Recorder:
    """Stands for a socket: records options and calls."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append((level, option, value))

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds < 3600

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)


def test_a_frame_leaves_in_one_call_without_delay() -> None:
    """A frame in pieces, or Nagle's algorithm, makes a run a hundred times slower."""
    link = _Recorder()
    frames = FrameSocket(link, "test")  # type: ignore[arg-type]
    frames.send(Frame(Command.NORMAL, OBJECT))
    assert link.sent == [ANSWER[:12] + OBJECT]
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in link.options


# URLs and refusals -------------------------------------------------------------------------


def test_url_options() -> None:
    where = parse_emulator_url(
        "spdm-emu://host.example?interface=0xbeef&port_index=1&stream=3&timeout=2.5&end=shutdown")
    assert (where.host, where.port, where.interface, where.port_index, where.stream) == (
        "host.example", 2323, 0xBEEF, 1, 3)
    assert (where.timeout, where.shutdown) == (2.5, True)
    assert parse_emulator_url("spdm-emu://[::1]:5").host == "::1"


@pytest.mark.parametrize(("url", "reason"), [
    ("spdm-emu://", "it is spdm-emu://host:port"),
    ("spdm-emu://h:99999", "Port out of range"),
    ("spdm-emu://h:x", "Port could not be cast"),
    ("spdm-emu://h/path", "it is spdm-emu://host:port"),
    ("spdm-emu://h?colour=blue", "unknown option 'colour'"),
    ("spdm-emu://h?stream=256", "stream is below"),
    ("spdm-emu://h?interface=-1", "interface is below"),
    ("spdm-emu://h?end=never", "end is"),
    ("spdm-emu://h?timeout=0", "timeout is"),
    ("spdm-emu://h?timeout=nan", "timeout is"),
])
def test_bad_urls_are_refused_in_one_line(url: str, reason: str) -> None:
    with pytest.raises(LocalError, match=reason) as refused:
        open_target(url)
    assert "\n" not in str(refused.value)


def test_targets_state_what_they_carry() -> None:
    assert capabilities_of("native:") == NATIVE
    assert capabilities_of("spdm-emu://h:1") == MESSAGES
    for board in ("socket://127.0.0.1:1", "/dev/ttyUSB0", "serial:///dev/ttyUSB0?baud=3000000"):
        assert capabilities_of(board) == BOARD
    assert BOARD.names() == ("doe", "config", "mmio", "dma", "ide", "reset")
    assert NATIVE.names() == ("doe", "config", "reset")
    assert MESSAGES.names() == ("doe",)


@pytest.mark.parametrize(("op", "missing"), [
    (MemRead(0, 4, False), "mmio"),
    (PortSecure(1), "ide"),
    (CfgRead(0x100, 0), "config"),
    (Batch((CfgRead(0x100, 0),)), "config"),
    (Batch((CfgRead(0x100, 0), MemRead(0, 4, True))), "mmio"),
])
def test_what_is_not_carried_is_refused_in_one_line(op: Op, missing: str) -> None:
    with pytest.raises(LocalError, match=f"x does not carry {missing} .it carries doe.: use") as e:
        MESSAGES.require_op("x", op)
    assert "\n" not in str(e.value)
    BOARD.require_op("x", op)


def test_a_refusal_reaches_the_program_that_asked() -> None:
    """Thrown in at the yield, so that a verb can clean up."""
    def program() -> Steps[str]:
        try:
            yield from mem_read(0x8000_0000, 4, tee=True)
        except LocalError as refusal:
            value = yield from cfg_read(0x100, 0)
            return f"{refusal} {value}"
        return "not refused"

    def perform(op: Op) -> int:
        NATIVE.require_op("native:", op)
        return 7

    said = run(program(), perform)
    assert said == ("native: does not carry mmio (it carries doe, config, reset): use a board 7")
