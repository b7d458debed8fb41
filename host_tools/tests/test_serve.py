# SPDX-License-Identifier: Apache-2.0
"""`teeio serve` in front of a native DSM: frames on a real socket, and whole conversations through
it by the requester behind `spdm-emu://`."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from teeio.core.drive import run
from teeio.decode import Conversation
from teeio.errors import LocalError
from teeio.serve import EmulatorServer, ServeOptions
from teeio.targets import EmulatorTarget, NativeTarget, open_target
from teeio.wire.doe import DoeType
from teeio.wire.spdm_base import Code
from teeio.wire.tdisp import InterfaceId
from tests import capture
from tests.emulator import (
    Served,
    native_references,
    native_target,
    raw_client,
    receive,
    receive_frame,
    reference_run,
    served,
)

HELLO = bytes.fromhex("0000dead 00000002 0000000e") + b"Client Hello!\x00"
GREETING = bytes.fromhex("0000dead 00000002 0000000e") + b"Server Hello!\x00"
DISCOVERY = bytes.fromhex("00000001 00000002 0000000c 010000000300000000000000")
DISCOVERED = bytes.fromhex("00000001 00000002 0000000c 010000000300000001000001")
CONTINUE = bytes.fromhex("0000fffd 00000002 00000000")
SHUTDOWN = bytes.fromhex("0000fffe 00000002 00000000")


@pytest.fixture(scope="module")
def device() -> Iterator[NativeTarget]:
    with native_target() as target:
        yield target


@pytest.fixture(scope="module")
def server(device: NativeTarget) -> Iterator[Served]:
    options = ServeOptions(port=0, idle_seconds=1.5, frame_seconds=0.5)
    with served(device, options) as running:
        yield running


def test_hello_and_discovery_as_observed(server: Served) -> None:
    """The first frames between the reference pair, answered with the same bytes."""
    with raw_client(server.port) as link:
        link.sendall(HELLO)
        assert receive(link, len(GREETING)) == GREETING
        link.sendall(DISCOVERY)
        assert receive(link, len(DISCOVERED)) == DISCOVERED


def test_frames_in_four_pieces_and_two_in_one(server: Served) -> None:
    """The emulators send command, type, size and payload one by one; TCP may also join frames."""
    with raw_client(server.port) as link:
        for piece in (HELLO[:4], HELLO[4:8], HELLO[8:12], HELLO[12:]):
            link.sendall(piece)
            time.sleep(0.02)
        assert receive(link, len(GREETING)) == GREETING
        link.sendall(HELLO + DISCOVERY + DISCOVERY[:7])
        assert receive(link, len(GREETING + DISCOVERED)) == GREETING + DISCOVERED
        link.sendall(DISCOVERY[7:])
        assert receive(link, len(DISCOVERED)) == DISCOVERED


@pytest.mark.parametrize(("garbage", "word"), [
    ("00000001 00000001 0000000c", "transport type 1"),
    ("00000001 00000000 00000000", "transport type 0"),
    ("00008001 00000002 00000000", "unknown command 0x8001"),
    ("54454501 00000002 00000010 00000005 00000000 00000000 00000000", "unknown command"),
    ("00000001 00000002 ffffffff", "4294967295 bytes"),
    ("00000001 00000002 0000120c", "4620 bytes"),
    ("00000001 00000002 00000006 010000000300", "6 bytes are no DOE object"),
    ("00000001 00000002 00000000", "0 bytes are no DOE object"),
    ("474554202f20485454502f312e310d0a", "unknown command"),
])
def test_garbage_closes_the_connection_and_the_server_goes_on(
        server: Served, garbage: str, word: str) -> None:
    """One line says why; the next client is served. Registers of the model stay out of reach."""
    said = len(server.lines)
    with raw_client(server.port) as link:
        link.sendall(HELLO)
        assert receive(link, len(GREETING)) == GREETING
        link.sendall(bytes.fromhex(garbage))
        assert receive(link, 1) == b""
    test_hello_and_discovery_as_observed(server)
    lines = [line for line in server.lines[said:] if "closed" in line]
    assert len(lines) == 1 and word in lines[0] and "\n" not in lines[0], lines


def test_half_a_frame_is_not_waited_for_long(server: Served) -> None:
    said = len(server.lines)
    with raw_client(server.port) as link:
        link.sendall(DISCOVERY[:-3])
        started = time.monotonic()
        assert receive(link, 1) == b""
        assert 0.3 < time.monotonic() - started < 10
    test_hello_and_discovery_as_observed(server)
    assert any("half a frame" in line for line in server.lines[said:])


def test_silence_is_not_waited_for_long(server: Served) -> None:
    said = len(server.lines)
    with raw_client(server.port) as link:
        started = time.monotonic()
        assert receive(link, 1) == b""
        assert 1.0 < time.monotonic() - started < 15
    test_hello_and_discovery_as_observed(server)
    assert any("silence" in line for line in server.lines[said:])


def test_a_client_that_goes_away_in_mid_frame_is_forgotten(server: Served) -> None:
    for cut in (0, 5, 12, 20):
        with raw_client(server.port) as link:
            link.sendall(DISCOVERY[:cut])
    test_hello_and_discovery_as_observed(server)


def test_an_object_that_the_device_drops_is_answered_empty(server: Served) -> None:
    """Type 7 does not exist: the mailbox gives no answer, and the client is not left waiting."""
    with raw_client(server.port) as link:
        link.sendall(bytes.fromhex("00000001 00000002 00000008 0100070002000000"))
        assert receive_frame(link) == (1, 2, b"")
        link.sendall(DISCOVERY)
        assert receive(link, len(DISCOVERED)) == DISCOVERED


def test_continue_is_echoed_and_ends_the_connection_only(server: Served) -> None:
    with raw_client(server.port) as link:
        link.sendall(HELLO + CONTINUE)
        assert receive(link, len(GREETING + CONTINUE) + 1) == GREETING + CONTINUE
    test_hello_and_discovery_as_observed(server)


def test_shutdown_is_echoed_and_ends_the_server(device: NativeTarget) -> None:
    with served(device) as running:
        with raw_client(running.port) as link:
            link.sendall(SHUTDOWN)
            assert receive(link, len(SHUTDOWN) + 1) == SHUTDOWN
        running.thread.join(10)
        assert not running.thread.is_alive()
    assert device.process.model(0) != 0, "the device outlives the server"


def test_shutdown_may_be_told_to_end_the_connection_only(device: NativeTarget) -> None:
    server = EmulatorServer(device, ServeOptions(port=0, keep=True))
    with pytest.raises(LocalError, match="choose another port"):
        EmulatorServer(device, ServeOptions(port=server.port))
    running = Served(server, [])
    for _ in range(2):
        with raw_client(running.port) as link:
            link.sendall(SHUTDOWN)
            assert receive(link, len(SHUTDOWN) + 1) == SHUTDOWN
    assert running.thread.is_alive()
    with raw_client(running.port) as link:
        link.sendall(HELLO)
        assert receive(link, len(GREETING)) == GREETING
    server._options = ServeOptions(port=server.port)  # so that the next shutdown ends it
    running.stop()


@pytest.mark.parametrize("version", [0x12, 0x13], ids=["1.2", "1.3"])
def test_reference_conversation_through_the_socket(device: NativeTarget, version: int) -> None:
    """Two sessions in a row, each with IDE_KM and TDISP, as the reference requester holds them.

    LOCK needs the stream that the server set up: after the first session took its keys along, the
    second one locks again.
    """
    with served(device) as running:
        url = f"spdm-emu://127.0.0.1:{running.port}?end=shutdown"
        target = open_target(url)
        assert isinstance(target, EmulatorTarget)
        try:
            target.run(reference_run(version, native_references(), InterfaceId.of(0x0101)))
        finally:
            target.close()
        running.thread.join(10)
        assert not running.thread.is_alive()
        assert not any("dropped" in line for line in running.lines), running.lines


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_requests_of_the_reference_requester_are_taken_as_sent(
        device: NativeTarget, version: str) -> None:
    """Its captured requests up to KEY_EXCHANGE, byte for byte: each gets the response that it got
    from the reference responder, with signatures that verify; only slot 1 is empty here."""
    requests = [item for item in capture.load(version).exchanges
                if item.request.object_type != DoeType.SECURED_SPDM]
    first_session = [x.request.payload[1] for x in requests].index(Code.KEY_EXCHANGE) + 1
    ours, theirs = (Conversation(now=datetime.now(UTC)) for _ in range(2))
    names: list[str] = []
    with served(device) as running, raw_client(running.port) as link:
        link.sendall(HELLO)
        assert receive(link, len(GREETING)) == GREETING
        for item in requests[:first_session]:
            request = item.request.encode()
            link.sendall(struct.pack(">III", 1, 2, len(request)) + request)
            asked = ours.feed(request)
            got = ours.feed(receive_frame(link)[2])
            theirs.feed(request)
            expected = theirs.feed(item.response.encode())
            if asked.name == "GET_CERTIFICATE" and asked.fields["slot"] == 1:
                assert got.fields["error"] == "0x1 INVALID_REQUEST"
                continue
            assert got.name == expected.name and got.ok, (asked.name, got)
            names += [got.name] + [check.name for check in got.checks]
    assert names.count("signature") == 3, "CHALLENGE_AUTH, MEASUREMENTS, KEY_EXCHANGE_RSP"
    assert names[-2:] == ["KEY_EXCHANGE_RSP", "signature"]


def test_the_server_is_the_host_that_the_requester_lacks(device: NativeTarget) -> None:
    """MSE, BME, BARs and stream 0 with Default and Enable, read back from the registers."""
    device.reset()
    server = EmulatorServer(device, ServeOptions(port=0))
    try:
        server.prepare()
    finally:
        server.close()
    for function in range(4):
        assert device.process.model(0, function << 16 | 0x04) & 6 == 6
        assert device.process.model(0, function << 16 | 0x14) == 0x80, "BARs from 80_0000_0000h"
    # IDE capability at 190h, one link block, so the first selective block is at 1A4h.
    assert device.process.model(0, 0x1A8) == 1 << 22 | 1
    assert device.process.model(0, 0x1A8 + 4) & 0xF == 0, "no keys: Insecure"


def test_the_same_conversation_needs_no_socket(device: NativeTarget) -> None:
    """The native target itself carries the objects; it holds one session at a time."""
    device.reset()
    steps = reference_run(0x13, native_references(), InterfaceId.of(0x0101), sessions=1)
    run(steps, device._perform)
