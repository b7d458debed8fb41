# SPDX-License-Identifier: Apache-2.0
"""Every request in every phase of a connection and a session (DSP0274, table of allowances).

The table below is typed from the project's notes on the specification; each cell sends a request
that is right in all its fields, so that only the phase decides.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import (
    CAP_CHUNK,
    CAPS_TEE_IO,
    GET_VERSION,
    IDE_KM,
    TDISP,
    TYPE_SECURED,
    TYPE_SPDM,
    Client,
    Session,
    all_infos,
    chunk_sends,
    get_capabilities,
    key_go,
    key_prog,
    negotiate_algorithms,
    tdisp,
)
from tests.native_device import MISMATCH, VERSIONS, error, started

# A answer, U UnexpectedRequest, S SessionRequired, N UnsupportedRequest, - no answer at all.
# Columns: nothing yet, after VERSION, after CAPABILITIES, negotiated | handshake, application.
TABLE = """
84 GET_VERSION            A A A A  U U
E1 GET_CAPABILITIES       U A U U  U U
E3 NEGOTIATE_ALGORITHMS   U U A U  U U
81 GET_DIGESTS            U U U A  U A
82 GET_CERTIFICATE        U U U A  U A
83 CHALLENGE              U U U A  U U
E0 GET_MEASUREMENTS       U U U A  U A
E4 KEY_EXCHANGE           U U U A  U U
E5 FINISH                 U U U S  A U
E8 HEARTBEAT              U U U S  U A
E9 KEY_UPDATE             U U U S  U A
EC END_SESSION            U U U S  U A
ED GET_CSR                U U U A  U A
EE SET_CERTIFICATE        U U U A  U A
FE IDE_KM                 - - - -  U A
FE TDISP                  - - - -  U A
85 CHUNK_SEND             U U A A  A A
86 CHUNK_GET              U U U U  U U
FF RESPOND_IF_READY       U U U U  U U
E6 PSK_EXCHANGE           N N N N  N N
E7 PSK_FINISH             N N N N  N N
87 GET_ENDPOINT_INFO      N N N N  N N
88 SLOT_MANAGEMENT        N N N N  N N
E2 GET_SUPPORTED_EVENTS   N N N N  N N
EA GET_ENCAPSULATED       N N N N  N N
EB DELIVER_ENCAPSULATED   N N N N  N N
EF GET_MEL                N N N N  N N
F0 SUBSCRIBE_EVENTS       N N N N  N N
F1 SEND_EVENT             N N N N  N N
FC GET_KEY_PAIR_INFO      N N N N  N N
FD SET_KEY_PAIR_INFO      N N N N  N N
7F ERROR                  N N N N  N N
"""
PHASES = ("nothing", "version", "capabilities", "negotiated", "handshake", "application")
CELLS = [(int(row[0], 16), row[1], phase, cell)
         for row in (line.split() for line in TABLE.strip().splitlines())
         for phase, cell in zip(PHASES, row[2:], strict=True)]
CODES = {"U": 0x04, "S": 0x0B, "N": 0x07}
FLAGS = CAPS_TEE_IO | CAP_CHUNK


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("native")) as client:
        yield client


@pytest.fixture
def client(device: Client) -> Client:
    device.dsm.model(native.MODEL_RESET)
    return device


def point() -> bytes:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    return numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")


def good_request(name: str, code: int, version: int, client: Client,
                 session: Session | None) -> bytes:
    """A request whose fields are all right."""
    echo = os.urandom(8) if version >= 0x13 else b""
    head = bytes([version, code, 0, 0])
    vendor = struct.pack("<HBH", 3, 2, 1)
    made = {
        "GET_VERSION": lambda: GET_VERSION if session is None else head,
        "GET_CAPABILITIES": lambda: get_capabilities(version, flags=FLAGS, exponent=21),
        "NEGOTIATE_ALGORITHMS": lambda: negotiate_algorithms(version, hashing=3),
        "GET_CERTIFICATE": lambda: head + struct.pack("<HH", 0, 64),
        "CHALLENGE": lambda: head + os.urandom(32) + echo,
        "GET_MEASUREMENTS": lambda: head + echo,
        "KEY_EXCHANGE": lambda: bytes([version]) + client.key_exchange_message(point())[1:],
        "FINISH": lambda: (session.finish_message() if session is not None and not session.is_open
                           else head + bytes(48)),
        "GET_CSR": lambda: head + bytes(4),
        "SET_CERTIFICATE": lambda: bytes([version, code, 1, 0]) + client.chain,
        "KEY_UPDATE": lambda: bytes([version, code, 1, 0]),
        "IDE_KM": lambda: head + vendor + struct.pack("<HB", 4, IDE_KM) + bytes(3),
        "TDISP": lambda: head + vendor + struct.pack("<HB", 17, TDISP) + tdisp(0x81),
        "CHUNK_SEND": lambda: chunk_sends(version, head + bytes(60), 42)[0],
        "CHUNK_GET": lambda: head + bytes(2),
    }
    make: Callable[[], bytes] = made.get(name, lambda: head)
    return make()


def bring_to(client: Client, phase: str, version: int) -> Session | None:
    if phase == "nothing":
        return None
    client.start()
    if phase == "version":
        return None
    if phase == "capabilities":
        assert client.plain(get_capabilities(version, flags=FLAGS))[1] == 0x61
        return None
    client.connect(version, flags=FLAGS)
    if phase == "negotiated":
        return None
    session = client.key_exchange()
    return session.finish() if phase == "application" else session


@pytest.mark.parametrize(("code", "name", "phase", "cell"), CELLS,
                         ids=[f"{name}-{phase}" for _, name, phase, _ in CELLS])
@VERSIONS
def test_phase_decides(client: Client, version: int, code: int, name: str, phase: str,
                       cell: str) -> None:
    session = bring_to(client, phase, version)
    request = good_request(name, code, version, client, session)
    answer = client.carry(TYPE_SPDM, request) if session is None else session.send_one(request)
    told = version if phase not in ("nothing", "version") else 0x10
    if cell == "-":
        assert answer is None
    elif cell == "A":
        assert answer is not None
        assert answer[1] == code & 0x7F, answer.hex()
        assert name == "GET_VERSION" or answer[0] == version
    else:
        assert answer == error(CODES[cell], code if cell == "N" else 0, version=told)
    if cell in "USN" and session is not None:  # and the session goes on as if nothing had been
        if phase == "handshake":
            session.finish()
        assert session.spdm(0xE8) == bytes([version, 0x68, 0, 0])


@pytest.mark.parametrize("theirs", [0x10, 0x11, 0x14, 0x20])
def test_requester_of_another_version_is_told_what_there_is(client: Client, theirs: int) -> None:
    """It reads the list, tries its own all the same, is refused, and can come down to 1.3."""
    versions = client.plain(GET_VERSION)
    assert struct.unpack_from("<BHH", versions, 5) == (2, 0x1200, 0x1300)
    for request in (get_capabilities(theirs), get_capabilities(theirs)[:4]):
        assert client.plain(request) == error(MISMATCH, version=0x10)
    assert client.plain(get_capabilities(0x13))[1] == 0x61
    assert client.plain(bytes([theirs, 0xE3, 0, 0])) == error(MISMATCH, version=0x13)
    assert client.connect(0x13).session().spdm(0xE8) is not None


# End of sessions: what they keyed and locked goes with them ------------------------------------


def lock_and_run(session: Session, function_id: int = 0x0101) -> None:
    for info in all_infos(0):
        session.vendor(IDE_KM, key_prog(0, info, key=os.urandom(32)))
        session.vendor(IDE_KM, key_go(0, info))
    body = struct.pack("<HBBQQ", 1, 0, 0, 0, 0)
    nonce = session.vendor(TDISP, tdisp(0x83, function_id, body))
    assert nonce is not None
    assert nonce[1] == 0x03
    answer = session.vendor(TDISP, tdisp(0x86, function_id, nonce[16:48]))
    assert answer is not None
    assert answer[1] == 0x06


def tdi_state(session: Session, function_id: int = 0x0101) -> int:
    answer = session.vendor(TDISP, tdisp(0x85, function_id))
    assert answer is not None
    return answer[16]


def stream_is_secure(client: Client) -> bool:
    return client.dsm.config_read(0, 0x1AC) & 0xF == 2


@pytest.mark.parametrize("end", ["heartbeat", "decrypt", "END_SESSION", "GET_VERSION"])
def test_end_of_one_session_takes_its_streams_and_tdis(tmp_path: Path, end: str) -> None:
    """Another session sees the TDI in ERROR; only GET_VERSION ends that one too."""
    with started(tmp_path, "--time-scale", "100") as client:
        client.connect()
        first, second = client.session(half=1), client.session(half=2)
        lock_and_run(first)
        assert tdi_state(second) == 2
        assert stream_is_secure(client)
        if end == "heartbeat":  # twice 60 s at a hundred device seconds a second
            for _ in range(4):
                time.sleep(0.4)
                assert second.spdm(0xE8) is not None
        elif end == "decrypt":
            bad = first.tx.seal(first.session_id, bytes(6))
            assert first.record(bad[:-1] + bytes([bad[-1] ^ 1])) == error(0x06)
        elif end == "END_SESSION":
            assert first.spdm(0xEC) is not None
        else:
            client.connect()
            assert client.carry(TYPE_SECURED, second.tx.seal(second.session_id, bytes(6))) is None
            second = client.session(half=3)
        assert not stream_is_secure(client)
        assert tdi_state(second) == 3
        assert client.carry(TYPE_SECURED, first.tx.seal(first.session_id, bytes(6))) is None
        assert client.session(half=4).spdm(0xE8) is not None
