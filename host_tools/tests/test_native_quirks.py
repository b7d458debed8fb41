# SPDX-License-Identifier: Apache-2.0
"""The lab firmware update of the native DSM, what NO_FW_UPDATE and policies do, and the quirks."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import native_dsm as native
from tests.native_client import (
    IDE_KM,
    TDISP,
    Client,
    Session,
    all_infos,
    key_go,
    key_prog,
    sha384,
    tdisp,
)
from tests.native_device import VERSIONS, error, started
from tests.test_native_spdm import expected_blocks, manifest

VENDOR = 0x1234
NO_FW_UPDATE = 1
RESYNCH = 0x43
INVALID_REQUEST, BAD_STATE, UNSUPPORTED = 0x01, 0x04, 0x07
UNLOCKED, LOCKED, RUN, ERROR = range(4)
TDI0, TDI1 = 0x0101, 0x0102


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("native")) as client:
        yield client


@pytest.fixture
def client(device: Client) -> Client:
    device.dsm.model(native.MODEL_RESET)
    return device.connect()


def ask(session: Session, code: int, body: bytes = b"", tdi: int = TDI0) -> bytes:
    """The body of the good answer."""
    answer = session.vendor(TDISP, tdisp(code, tdi, body))
    assert answer is not None
    assert answer[:8] == struct.pack("<BBxxI", 0x10, code & 0x7F, tdi), answer.hex()
    return answer[16:]


def refused(session: Session, code: int, body: bytes, tdi: int = TDI0) -> tuple[int, int]:
    answer = session.vendor(TDISP, tdisp(code, tdi, body))
    assert answer is not None
    assert answer[:8] == struct.pack("<BBxxI", 0x10, 0x7F, tdi)
    return struct.unpack("<II", answer[16:])


def vendor_message(operation: bytes = b"\1", *, registry: int = 0, vendor: int = VENDOR,
                   size: int = 2) -> bytes:
    return struct.pack("<BBH", registry, size, vendor) + operation


def set_up(session: Session, stream: int = 0) -> None:
    for info in all_infos(0):
        session.vendor(IDE_KM, key_prog(stream, info, key=os.urandom(32)))
        session.vendor(IDE_KM, key_go(stream, info))


def lock(session: Session, tdi: int = TDI0, *, flags: int = 0, run: bool = False) -> None:
    nonce = ask(session, 0x83, struct.pack("<HBBQQ", flags, 0, 0, 0, 0), tdi)
    if run:
        ask(session, 0x86, nonce, tdi)


def state(session: Session, tdi: int = TDI0) -> int:
    return ask(session, 0x85, b"", tdi)[0]


def stream_is_secure(client: Client) -> bool:
    return client.dsm.config_read(0, 0x1AC) & 0xF == 2


# The update ----------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [False, True], ids=["locked", "run"])
def test_no_fw_update_refuses_the_update_for_the_whole_device(client: Client, run: bool) -> None:
    """One TDI asked for it; nothing moves, whichever TDI the message is addressed to."""
    session = client.session()
    set_up(session)
    lock(session, TDI0, flags=NO_FW_UPDATE, run=run)
    lock(session, TDI1, run=run)
    for tdi in (TDI0, TDI1):
        assert refused(session, 0x8B, vendor_message(), tdi) == (BAD_STATE, 0)
    assert [state(session, tdi) for tdi in (TDI0, TDI1)] == 2 * [RUN if run else LOCKED]
    assert stream_is_secure(client)
    ask(session, 0x87)
    assert ask(session, 0x8B, vendor_message(), TDI1) == vendor_message()  # nobody objects now
    assert [state(session, tdi) for tdi in (TDI0, TDI1)] == [UNLOCKED, ERROR]


@pytest.mark.parametrize("policy", [0, 1], ids=["stays", "ends"])
@pytest.mark.parametrize("run", [False, True], ids=["locked", "run"])
def test_update_takes_streams_tdis_and_sessions_by_their_policy(client: Client, policy: int,
                                                               run: bool) -> None:
    session = client.key_exchange(policy=policy, half=1).finish()
    other = client.key_exchange(policy=1 - policy, half=2).finish()
    set_up(session)
    lock(session, run=run)
    assert ask(session, 0x8B, vendor_message()) == vendor_message()
    assert not stream_is_secure(client)
    left, gone = (session, other) if policy == 0 else (other, session)
    assert gone.spdm(0xE8) is None
    assert left.spdm(0xE8) is not None
    assert state(left) == ERROR
    for code in (0xE1, 0xE3, 0x81, 0xE0, 0xE4, 0xE8, 0x85, 0xFF, 0x99):
        assert client.spdm(code) == error(RESYNCH)
    assert left.spdm(0x81) is not None
    fresh = client.connect().session()
    assert ask(fresh, 0x87) == b""
    set_up(fresh)
    lock(fresh, run=True)
    assert state(fresh) == RUN


def test_update_ends_a_handshake(client: Client) -> None:
    session = client.session(half=1)
    half_open = client.key_exchange(half=2)
    ask(session, 0x8B, vendor_message())
    assert half_open.send(half_open.finish_message()) is None


def test_update_is_the_owners_business(client: Client) -> None:
    owner, other = client.session(half=1), client.session(half=2)
    set_up(owner)
    lock(owner)
    assert refused(other, 0x8B, vendor_message()) == (INVALID_REQUEST, 0)
    assert state(owner) == LOCKED


@pytest.mark.parametrize(("body", "code"), [
    (b"", INVALID_REQUEST), (b"\0", INVALID_REQUEST), (b"\0\2\x34", INVALID_REQUEST),
    (vendor_message(b""), INVALID_REQUEST), (vendor_message(b"\1\0"), INVALID_REQUEST),
    (vendor_message(size=255), INVALID_REQUEST), (vendor_message(registry=1), UNSUPPORTED),
    (vendor_message(vendor=0x8086), UNSUPPORTED), (vendor_message(size=0), UNSUPPORTED),
    (vendor_message(size=3), UNSUPPORTED), (vendor_message(b"\0"), UNSUPPORTED),
    (vendor_message(b"\2"), UNSUPPORTED),
], ids=lambda value: value.hex() or "none" if isinstance(value, bytes) else None)
def test_other_vendor_messages_are_refused(client: Client, body: bytes, code: int) -> None:
    session = client.session()
    assert refused(session, 0x8B, body) == (code, 0x8B if code == UNSUPPORTED else 0)
    assert session.spdm(0xE8) is not None


# Quirks --------------------------------------------------------------------------------------


def measured(client: Client) -> tuple[bytes, bytes]:
    """Values of the manifest and of the device mode."""
    blocks = []
    for index in (0xFD, 0xFE):
        answer = client.spdm(0xE0, 0, index, bytes(8) if client.version >= 0x13 else b"")
        size, = struct.unpack_from("<H", answer, 8 + 5)
        blocks.append(answer[15:15 + size])
    return blocks[0], blocks[1]


@pytest.mark.parametrize(("options", "bits", "requests"), [
    ((), 0, 0x0FFE), (("--quirk", "validator"), 1, 0x00FE),
    (("--quirk", "reference-requester"), 2, 0x0FFE),
    (("--quirk", "validator", "--quirk", "reference-requester"), 3, 0x00FE)])
@VERSIONS
def test_quirks_are_measured(tmp_path: Path, version: int, options: tuple[str, ...], bits: int,
                             requests: int) -> None:
    with started(tmp_path, *options, sanitize=False) as client:
        client.connect(version)
        block, mode = measured(client)
        assert block == manifest(quirks=bits, requests=requests)
        assert struct.unpack("<4I", mode) == (6, 2, 3, 3 | bits << 24)
        caps = ask(client.session(), 0x82, bytes(4))
        assert struct.unpack_from("<I", caps, 4)[0] == requests


def test_unlisted_request_works_all_the_same(tmp_path: Path) -> None:
    with started(tmp_path, "--quirk", "validator") as client:
        session = client.connect().session()
        assert ask(session, 0x8B, vendor_message()) == vendor_message()


def test_port_and_interface_of_the_reference_requester(tmp_path: Path) -> None:
    """Port index 1 and interface BEEFh from QUERY to STOP; the real names work too."""
    with started(tmp_path, "--quirk", "reference-requester") as client:
        session = client.connect().session()
        for port in (0, 1):
            answer = session.vendor(IDE_KM, bytes([0, 0, port]))
            assert answer is not None
            assert answer[:7] == bytes([1, 0, port, 0, 1, 0, 1])
        assert session.vendor(IDE_KM, bytes([0, 0, 2])) == error(0x01)
        for info in all_infos(0):
            assert session.vendor(IDE_KM, key_prog(0, info, port=1, key=os.urandom(32))) == (
                struct.pack("<BxxBBBB", 3, 0, 0, info, 1))
            assert session.vendor(IDE_KM, key_go(0, info, port=1)) == (
                struct.pack("<BxxBBBB", 6, 0, 0, info, 1))
        assert session.vendor(IDE_KM, key_prog(0, 0, port=2))[4] == 2  # type: ignore[index]
        lock(session, 0xBEEF, run=True)
        assert state(session, 0xBEEF) == state(session, TDI0) == RUN
        assert state(session, TDI1) == UNLOCKED
        ask(session, 0x87, tdi=0xBEEF)
        assert state(session, TDI0) == UNLOCKED


def test_without_the_quirk_there_is_neither(client: Client) -> None:
    session = client.session()
    assert session.vendor(IDE_KM, bytes([0, 0, 1])) == error(0x01)
    assert refused(session, 0x85, b"", 0xBEEF) == (0x101, 0)


@pytest.mark.parametrize("name", ["validator,reference-requester", "", "Validator"])
def test_unknown_quirk_is_refused(tmp_path: Path, name: str) -> None:
    with (pytest.raises(RuntimeError, match="usage"),
          started(tmp_path, "--quirk", name, sanitize=False)):
        pass


# Summaries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "indices"), [(1, (1, 2, 3)),
                                               (0xFF, (1, 2, 3, 4, 0xFD, 0xFE))])
@VERSIONS
def test_summary_covers_the_blocks_of_its_kind(tmp_path: Path, version: int, kind: int,
                                               indices: tuple[int, ...]) -> None:
    """TCB: ROM, firmware, configuration; FFh: every block, the manifest too."""
    (tmp_path / "rom").write_bytes(b"boot ROM image")
    (tmp_path / "firmware").write_bytes(b"firmware image")
    with started(tmp_path, "--rom", str(tmp_path / "rom"), "--firmware",
                 str(tmp_path / "firmware"), "--svn", "7") as client:
        client.connect(version)
        blocks = expected_blocks(client)
        expected = sha384(b"".join(blocks[index] for index in indices))
        body = os.urandom(32) + (bytes(8) if version >= 0x13 else b"")
        assert client.spdm(0x83, 0, kind, body)[84:132] == expected
        assert client.key_exchange(summary=kind).finish().spdm(0xE8) is not None
