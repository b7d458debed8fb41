# SPDX-License-Identifier: Apache-2.0
"""Secrets of the native DSM are found in its memory while they are needed, and gone afterwards.

The requester knows every secret of a session; the test searches all writable memory of the process
for them (the release build: a sanitizer keeps copies of its own).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import (
    IDE_KM,
    Client,
    Direction,
    Session,
    all_infos,
    chunk_sends,
    expand,
    key_go,
    key_info,
    key_prog,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    with native.running(tmp_path_factory.mktemp("native")) as (dsm, identity):
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        yield Client(dsm, key, identity.slot0.read_bytes())


def memory(client: Client) -> bytes:
    """All writable memory of the process."""
    folder = Path("/proc") / str(client.dsm.pid)
    out = []
    try:
        with (folder / "mem").open("rb", buffering=0) as mem:
            for line in (folder / "maps").read_text().splitlines():
                found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if found is None:
                    continue
                begin, end = (int(text, 16) for text in found.groups())
                mem.seek(begin)
                out.append(mem.read(end - begin))
    except PermissionError as error:
        pytest.skip(f"the memory of another process cannot be read here: {error}")
    return b"\0".join(out)


def present(client: Client, secrets: dict[str, bytes]) -> set[str]:
    image = memory(client)
    return {name for name, secret in secrets.items() if secret in image}


def handshake_secrets(session: Session) -> dict[str, bytes]:
    version = session.version
    return {
        "shared": session.shared, "handshake": session.handshake, "finished": session.finished,
        "request": session.tx.secret, "request key": session.tx.keys()[1],
        "response": session.rx.secret, "response key": session.rx.keys()[1],
        "derived": expand(session.handshake, version, "derived", 48),
    }


def application_secrets(session: Session) -> dict[str, bytes]:
    return {
        "app request": session.tx.secret, "app request key": session.tx.keys()[1],
        "app response": session.rx.secret, "app response key": session.rx.keys()[1],
    }


def test_handshake_secrets_are_gone_after_finish(client: Client) -> None:
    session = client.connect().key_exchange()
    early = handshake_secrets(session)
    assert present(client, early) == {"handshake", "finished", "request", "request key",
                                      "response", "response key"}
    session.finish()
    assert present(client, early) == set()
    assert present(client, application_secrets(session)) == set(application_secrets(session))


@pytest.mark.parametrize("end", ["END_SESSION", "bad record", "GET_VERSION", "function 0 reset"])
def test_no_secret_outlives_its_session(client: Client, end: str) -> None:
    session = client.connect().session()
    secrets = application_secrets(session)
    assert present(client, secrets) == set(secrets)
    if end == "END_SESSION":
        assert session.spdm(0xEC) is not None
    elif end == "bad record":
        stranger = Direction(session.version, os.urandom(48))
        session.record(stranger.seal(session.session_id, bytes(6)))
    elif end == "GET_VERSION":
        client.start()
    else:
        client.dsm.model(native.MODEL_FLR, 0)
        client.dsm.exchange(b"")
    assert present(client, secrets) == set()


def test_failed_finish_leaves_nothing(client: Client) -> None:
    session = client.connect().key_exchange()
    secrets = handshake_secrets(session)
    message = session.finish_message()
    session.send(message[:-1] + bytes([message[-1] ^ 1]))
    assert present(client, secrets) == set()


@pytest.mark.parametrize("operation", [1, 2])
def test_updated_keys_replace_the_old_ones(client: Client, operation: int) -> None:
    session = client.connect().session()
    old = application_secrets(session)
    message = bytes([session.version, 0xE9, operation, 0])
    record = session.tx.seal(session.session_id, b"\4\0" + message)
    if operation == 2:
        session.rx = session.rx.updated()
    assert session.record(record) is not None
    assert {"app request", "app request key"} <= present(client, old)  # until it is verified
    session.tx = session.tx.updated()
    assert session.spdm(0xE9, 3) is not None
    kept = {"app response", "app response key"} if operation == 1 else set()
    assert present(client, old) == kept
    assert present(client, application_secrets(session)) == set(application_secrets(session))


def test_stream_keys_stay_in_the_key_store_and_die_with_the_session(client: Client) -> None:
    client.dsm.model(native.MODEL_RESET)
    session = client.connect().session()
    keys = {f"{info:02x}": os.urandom(32) for info in all_infos(0)}
    swapped = {name: b"".join(key[i:i + 4][::-1] for i in range(0, 32, 4))
               for name, key in keys.items()}
    for info in all_infos(0):
        session.vendor(IDE_KM, key_prog(0, info, key=keys[f"{info:02x}"]))
        session.vendor(IDE_KM, key_go(0, info))
    assert present(client, keys) == set(keys)  # the model of the key store
    assert present(client, swapped) == set()   # the message they came in
    assert memory(client).count(keys[f"{key_info(0, 1, 2):02x}"]) == 1
    session.spdm(0xEC)
    assert present(client, keys) == set()


@pytest.mark.parametrize("end", ["whole", "early error", "END of the session", "GET_VERSION"])
def test_a_key_that_comes_in_chunks_is_in_no_buffer_afterwards(client: Client, end: str) -> None:
    """KEY_PROG in two chunks: the assembled message is wiped, the key store alone has the key."""
    client.dsm.model(native.MODEL_RESET)
    session = client.connect(largest=0x1200).session()
    key = os.urandom(32)
    swapped = b"".join(key[i:i + 4][::-1] for i in range(0, 32, 4))
    body = struct.pack("<HBHHB", 3, 2, 1, 48, IDE_KM) + key_prog(0, 0, key=key)
    message = bytes([session.version, 0xFE, 0, 0]) + body
    first, second = chunk_sends(session.version, message, 67)
    assert session.send_one(first) is not None
    assert present(client, {"key": swapped}) == {"key"}  # the first chunk holds all of it
    if end == "whole":
        answer = session.send_one(second)
        assert answer is not None
        assert answer[6 + 12:] == struct.pack("<BxxBBBB", 3, 0, 0, 0, 0)
    elif end == "early error":
        assert session.send_one(second[:-1]) is not None
    elif end == "END of the session":
        bad = session.tx.seal(session.session_id, bytes(6))
        session.record(bad[:-1] + bytes([bad[-1] ^ 1]))
    else:
        client.start()
    assert present(client, {"key": swapped}) == set()
    assert present(client, {"key": key}) == ({"key"} if end == "whole" else set())


def test_fetched_answer_is_in_no_buffer_afterwards(client: Client) -> None:
    """The plain text of a session's large answer goes with its last chunk."""
    session = client.connect(size=128, largest=0x1200).session()
    answer = session.spdm(0xE0, 1, 0xFF, os.urandom(32) + b"\0")
    assert answer is not None
    assert present(client, {"answer": answer[-150:-130]}) == set()
