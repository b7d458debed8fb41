# SPDX-License-Identifier: Apache-2.0
"""For tests of the emulators' socket: a served native DSM, a raw client, the conversation of the
reference requester."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from teeio.board import prepare_images
from teeio.core import ide_km, tdisp
from teeio.core.certificates import ChainPolicy, load_root
from teeio.core.measurements import References
from teeio.core.ops import Steps
from teeio.core.references import endpoint_references
from teeio.core.secret import Secret
from teeio.core.spdm_flow import Session, authenticate, connect, open_session
from teeio.core.spdm_requester import RequesterConfig, SpdmRequester
from teeio.serve import EmulatorServer, ServeOptions
from teeio.targets import NativeTarget, Target
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream
from teeio.wire.spdm_session import KeyUpdateOp
from teeio.wire.tdisp import InterfaceId, TdiState
from tests import native_dsm as native

PATIENCE = 20.0


def require_compiler() -> None:
    """Skips the calling test where the native DSM cannot be built."""
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))


class Served:
    """A server in a thread of its own, and what it said."""

    def __init__(self, server: EmulatorServer, lines: list[str]) -> None:
        self.port = server.port
        self.lines = lines
        self._server = server
        self.thread = threading.Thread(target=server.serve, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ends the server with a shutdown frame, unless it has ended."""
        if self.thread.is_alive():
            with raw_client(self.port) as link:
                link.sendall(bytes.fromhex("0000fffe 00000002 00000000"))
                assert receive(link, 12) == bytes.fromhex("0000fffe 00000002 00000000")
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self._server.close()


@contextmanager
def served(target: Target, options: ServeOptions | None = None) -> Iterator[Served]:
    """Serves a target on a free loopback port."""
    lines: list[str] = []
    server = EmulatorServer(target, options or ServeOptions(port=0), lines.append)
    server.prepare()
    running = Served(server, lines)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def native_target() -> Iterator[NativeTarget]:
    """A native DSM, ended and waited for."""
    require_compiler()
    target = NativeTarget()
    try:
        yield target
    finally:
        target.close()


@contextmanager
def raw_client(port: int) -> Iterator[socket.socket]:
    """A plain socket to a server."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield link


def receive(link: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, fewer only if the peer closes before."""
    data = b""
    while len(data) < size and (part := link.recv(size - len(data))):
        data += part
    return data


def receive_frame(link: socket.socket) -> tuple[int, int, bytes]:
    """One frame, read without the code under test."""
    command, transport, size = struct.unpack(">III", receive(link, 12))
    return command, transport, receive(link, size)


# The reference requester ---------------------------------------------------------------------


def lab_policy() -> ChainPolicy:
    """Trust the lab's root."""
    root = prepare_images().root_certificate.read_bytes()
    return ChainPolicy(roots=(load_root(root),), at=datetime.now(UTC))


def native_references() -> References:
    """What a native DSM with the images of the virtual board should report."""
    images = prepare_images()
    return endpoint_references(images.boot_bin.read_bytes(), images.firmware_bin.read_bytes(),
                               seeded=True, test_hooks=True)


def reference_session(session: Session, references: References, interface: InterfaceId) -> Steps[
        None]:
    """What the reference requester does in a session, in its order, in our own words.

    It keys set 0 of stream 0 with K_SET_GO right after each KEY_PROG, locks with every flag that
    the device offers, reads the report in portions of 40h bytes, runs, stops, and takes leave.
    """
    yield from ide_km.query(session)
    infos = [KeyInfo(key_set=0, direction=direction, sub_stream=sub)
             for direction in KeyDirection for sub in SubStream]
    for info in infos:
        yield from ide_km.key_prog(session, 0, info, Secret(os.urandom(32)))
        yield from ide_km.key_set_go(session, 0, info)
    yield from tdisp.version(session, interface)
    offered = yield from tdisp.capabilities(session, interface)
    assert (yield from tdisp.state(session, interface)) == TdiState.CONFIG_UNLOCKED
    nonce = yield from tdisp.lock(session, interface, stream_id=0, flags=offered.lock_flags,
                                  mmio_reporting_offset=0xD000_0000)
    assert (yield from tdisp.state(session, interface)) == TdiState.CONFIG_LOCKED
    report = yield from tdisp.report(session, interface, portion_bytes=0x40)
    assert report.ranges
    yield from tdisp.start(session, interface, nonce)
    assert (yield from tdisp.state(session, interface)) == TdiState.RUN
    yield from tdisp.stop(session, interface)
    assert (yield from tdisp.state(session, interface)) == TdiState.CONFIG_UNLOCKED
    for info in infos:
        yield from ide_km.key_set_stop(session, 0, info)
    yield from session.heartbeat()
    yield from session.update_keys(KeyUpdateOp.UPDATE_KEY)
    yield from session.update_keys(KeyUpdateOp.UPDATE_ALL_KEYS)
    attestation = yield from session.measure(references)
    assert attestation.is_good, attestation.verdicts
    yield from session.end()


def reference_run(version: int, references: References, interface: InterfaceId,
                  sessions: int = 2, config: RequesterConfig | None = None) -> Steps[
                      SpdmRequester]:
    """A whole run of the requester in one SPDM version, with several sessions in a row."""
    config = replace(config or RequesterConfig(), versions=(version,), strict=True)
    requester = yield from connect(config, os.urandom)
    slot, _chain = yield from authenticate(requester, lab_policy())
    for _ in range(sessions):
        session = yield from open_session(requester, slot)
        yield from reference_session(session, references, interface)
    return requester
