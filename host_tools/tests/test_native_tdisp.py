# SPDX-License-Identifier: Apache-2.0
"""IDE_KM and TDISP of the firmware as a native process.

Expected answers are typed from the PCIe chapters' notes; case numbers in docstrings are those of
the public device validator.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import (
    IDE_KM,
    TDISP,
    Client,
    Session,
    all_infos,
    key_go,
    key_info,
    key_prog,
    key_stop,
    tdisp,
)

INVALID = bytes.fromhex("127f0100")
TDI0, TDI1, TDI2 = 0x0101, 0x0102, 0x0103

VERSION, CAPABILITIES, LOCK, REPORT, STATE, START, STOP = range(0x81, 0x88)
UNLOCKED, LOCKED, RUN, ERROR = range(4)
(INVALID_REQUEST, BAD_STATE, UNSUPPORTED, MISMATCH, BAD_INTERFACE, BAD_NONCE, BAD_CONFIG) = (
    0x01, 0x04, 0x07, 0x41, 0x101, 0x102, 0x104)

SEL0_CONTROL, SEL1_CONTROL, LINK_CONTROL = 0x1A8, 0x1C8, 0x19C
SEL0_STATUS, SEL1_STATUS, LINK_STATUS = 0x1AC, 0x1CC, 0x1A0


def start_device(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[Client]:
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    with native.running(tmp_path_factory.mktemp("native"), sanitize=True,
                        options=options) as (dsm, identity):
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        yield Client(dsm, key, identity.slot0.read_bytes())


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from start_device(tmp_path_factory)


@pytest.fixture
def session(device: Client) -> Session:
    """A session of a device after a conventional reset."""
    device.dsm.model(native.MODEL_RESET)
    return device.connect().session()


@pytest.fixture
def two(device: Client) -> tuple[Session, Session]:
    """Two sessions of one device."""
    device.dsm.model(native.MODEL_RESET)
    device.connect()
    return device.session(half=1), device.session(half=2)


# IDE_KM -------------------------------------------------------------------------------------


def ack(stream: int, info: int, port: int = 0, status: int = 0, *, code: int = 3) -> bytes:
    return struct.pack("<BxxBBBB", code, stream, status, info, port)


def set_up(session: Session, *, stream: int = 0, key_set: int = 0) -> None:
    """KEY_PROG and K_SET_GO of all six keys."""
    for info in all_infos(key_set):
        answer = session.vendor(IDE_KM, key_prog(stream, info, key=os.urandom(32)))
        assert answer == ack(stream, info)
    for info in all_infos(key_set):
        assert session.vendor(IDE_KM, key_go(stream, info)) == ack(stream, info, code=6)


def status(session: Session, offset: int = SEL0_STATUS) -> int:
    return session.client.dsm.config_read(0, offset) & 0xF


def test_query_gives_the_capability_registers(session: Session) -> None:
    """Case 1.1."""
    answer = session.vendor(IDE_KM, bytes(3))
    assert answer is not None
    assert answer[:7] == bytes.fromhex("010000" "0001" "0000")
    registers = struct.unpack("<20I", answer[7:])
    assert registers == tuple(session.client.dsm.config_read(0, 0x194 + 4 * i) for i in range(20))
    assert registers[0] == 0x00010043


@pytest.mark.parametrize("message", [b"\0\0\1", b"\0\0\xff", b"\0\0", b"\0", bytes(4), b"",
                                     b"\1\0\0", b"\x03" + bytes(6), b"\x06" + bytes(6),
                                     b"\x07" + bytes(6),
                                     b"\xff" + bytes(46)], ids=lambda m: m.hex()[:8])
def test_bad_queries_and_unknown_objects_are_refused(session: Session, message: bytes) -> None:
    assert session.vendor(IDE_KM, message) == INVALID


@pytest.mark.parametrize("key_set", [0, 1])
def test_all_six_keys_make_the_stream_secure(session: Session, key_set: int) -> None:
    """Cases 2.1, 3.1, 3.2; the stream is Secure with the last of them and not before."""
    for info in all_infos(key_set):
        session.vendor(IDE_KM, key_prog(0, info, key=os.urandom(32)))
    for info in all_infos(key_set):
        assert status(session) == 0
        session.vendor(IDE_KM, key_go(0, info))
    assert status(session) == 2


@pytest.mark.parametrize("cut", [*range(1, 41)])
def test_truncated_key_prog_gets_status_1(session: Session, cut: int) -> None:
    """Case 2.2. The length is looked at before the port."""
    message = key_prog(0, key_info(0, 1, 2), port=9)
    assert session.vendor(IDE_KM, message[:-cut]) == ack(0, key_info(0, 1, 2), 9, 1)


def test_overlong_and_headless_key_prog(session: Session) -> None:
    assert session.vendor(IDE_KM, key_prog(0, 0x21) + b"\0") == ack(0, 0x21, 0, 1)
    for size in range(1, 7):
        assert session.vendor(IDE_KM, key_prog()[:size]) == INVALID


@pytest.mark.parametrize("port", [1, 2, 3, 4, 5, 6, 0xFF])
def test_port_above_the_maximum_gets_status_2(session: Session, port: int) -> None:
    """Case 2.3. The port is looked at before the other fields."""
    assert session.vendor(IDE_KM, key_prog(77, 0xF0, port, ifv=5)) == ack(77, 0xF0, port, 2)


@pytest.mark.parametrize("sub_stream", range(3, 16))
def test_unknown_sub_stream_gets_status_3(session: Session, sub_stream: int) -> None:
    """Case 2.4."""
    info = key_info(0, 0, sub_stream)
    assert session.vendor(IDE_KM, key_prog(0, info)) == ack(0, info, 0, 3)


@pytest.mark.parametrize("ifv", [0, 2, 3, 4, 255, 1 << 32, 1 << 63, (1 << 32) + 1, 1 << 56])
def test_other_initial_counter_gets_status_3(session: Session, ifv: int) -> None:
    """Case 2.5."""
    assert session.vendor(IDE_KM, key_prog(0, 0, ifv=ifv)) == ack(0, 0, 0, 3)


@pytest.mark.parametrize("stream", [1, 2, 127, 255])
def test_stream_that_no_register_names_gets_status_3(session: Session, stream: int) -> None:
    """Case 2.6."""
    assert session.vendor(IDE_KM, key_prog(stream)) == ack(stream, 0, 0, 3)
    assert session.vendor(IDE_KM, key_go(stream)) == INVALID
    assert session.vendor(IDE_KM, key_stop(stream)) == ack(stream, 0, code=6)


def test_reserved_bits_are_ignored_and_echoed(session: Session) -> None:
    message = bytearray(key_prog(0, 0x0C))
    message[1:3], message[4] = b"\xaa\x55", 0x99
    assert session.vendor(IDE_KM, bytes(message)) == ack(0, 0x0C)


@pytest.mark.parametrize("control", [SEL0_CONTROL, SEL1_CONTROL, LINK_CONTROL])
def test_keys_go_to_the_block_that_holds_the_stream(session: Session, control: int) -> None:
    """Stream IDs of disabled blocks count too; Enable comes last and is Secure at once."""
    dsm = session.client.dsm
    dsm.config_write(0, SEL0_CONTROL, 0x11 << 24)
    dsm.config_write(0, SEL1_CONTROL, 0x22 << 24)
    dsm.config_write(0, LINK_CONTROL, 0x33 << 24)
    offsets = {SEL0_CONTROL: 0x11, SEL1_CONTROL: 0x22, LINK_CONTROL: 0x33}
    set_up(session, stream=offsets[control])
    assert [status(session, at) for at in (SEL0_STATUS, SEL1_STATUS, LINK_STATUS)] == [0, 0, 0]
    dsm.config_write(0, control, offsets[control] << 24 | 1)
    assert {at - 4 for at in (SEL0_STATUS, SEL1_STATUS, LINK_STATUS) if status(session, at) == 2} \
        == {control}


def test_lowest_selective_block_goes_before_link(session: Session) -> None:
    """All blocks hold Stream ID 0 and are enabled: keys go to the first selective one only."""
    dsm = session.client.dsm
    dsm.config_write(0, SEL1_CONTROL, 1)
    dsm.config_write(0, LINK_CONTROL, 1)
    set_up(session)
    assert [status(session, at) for at in (SEL0_STATUS, SEL1_STATUS, LINK_STATUS)] == [2, 0, 0]
    dsm.config_write(0, SEL0_CONTROL, 0x55 << 24 | 1)
    dsm.config_write(0, SEL1_CONTROL, 0x66 << 24 | 1)
    set_up(session)
    assert [status(session, at) for at in (SEL0_STATUS, SEL1_STATUS, LINK_STATUS)] == [0, 0, 2]


@pytest.mark.parametrize("first", [0, 1])
def test_key_refresh_keeps_the_stream_secure(session: Session, first: int) -> None:
    """Cases 3.3, 3.4, 4.3, 4.4."""
    set_up(session, key_set=first)
    for key_set in (1 - first, first, 1 - first):
        set_up(session, key_set=key_set)
        assert status(session) == 2
    assert session.vendor(IDE_KM, key_stop(0, all_infos(1 - first)[0])) is not None
    assert status(session) == 0


def test_key_in_use_cannot_be_overwritten(session: Session) -> None:
    set_up(session)
    for info in all_infos(0):
        assert session.vendor(IDE_KM, key_prog(0, info)) == ack(0, info, 0, 4)
    assert status(session) == 2
    assert session.vendor(IDE_KM, key_go(0, 0)) == ack(0, 0, code=6)
    assert status(session) == 2


def test_go_without_a_key_is_acknowledged_without_effect(session: Session) -> None:
    for info in all_infos(0):
        assert session.vendor(IDE_KM, key_go(0, info)) == ack(0, info, code=6)
    assert status(session) == 0


@pytest.mark.parametrize("stopped", all_infos(0))
def test_stop_of_any_key_ends_secure(session: Session, stopped: int) -> None:
    """Cases 4.1, 4.2."""
    set_up(session)
    assert session.vendor(IDE_KM, key_stop(0, stopped)) == ack(0, stopped, code=6)
    assert status(session) == 0
    assert session.vendor(IDE_KM, key_stop(0, stopped)) == ack(0, stopped, code=6)


@pytest.mark.parametrize("make", [key_go, key_stop])
def test_bad_go_and_stop_are_refused(session: Session, make: object) -> None:
    assert callable(make)
    good = make(0, 0)
    for message in (good[:-1], good + b"\0", good[:1], make(0, 0, 1), make(0, 0x30), make(0, 0xF0)):
        assert session.vendor(IDE_KM, message) == INVALID


def test_streams_die_with_their_session(session: Session) -> None:
    set_up(session)
    assert session.spdm(0xEC) is not None
    assert status(session) == 0
    again = session.client.session()
    set_up(again)
    assert status(again) == 2


def test_second_live_session_gets_no_answer(two: tuple[Session, Session]) -> None:
    """Case 5.1: every object of a session that does not own the port is dropped."""
    first, second = two
    assert first.vendor(IDE_KM, bytes(3)) is not None
    for message in (bytes(3), key_prog(), key_go(), key_stop(), b"\xff"):
        assert second.vendor(IDE_KM, message) is None
        assert second.spdm(0xE8) is not None
    set_up(first)


def test_second_session_takes_over_when_the_first_is_closed(two: tuple[Session, Session]) -> None:
    """Case 5.2."""
    first, second = two
    set_up(first)
    assert first.spdm(0xEC) is not None
    answer = second.vendor(IDE_KM, bytes(3))
    assert answer is not None
    assert answer[:7] == bytes.fromhex("010000" "0001" "0000")
    set_up(second)


# TDISP --------------------------------------------------------------------------------------


def lock_body(*, flags: int = 0, stream: int = 0, offset: int = 0, mask: int = 0) -> bytes:
    return struct.pack("<HBxqQ", flags, stream, offset, mask)


def ask(session: Session, code: int, body: bytes = b"", *, tdi: int = TDI0) -> bytes:
    """Body of the answer, whose header is checked."""
    answer = session.vendor(TDISP, tdisp(code, tdi, body))
    assert answer is not None
    assert answer[:16] == struct.pack("<BBxxIxxxxxxxx", 0x10, code & 0x7F, tdi), answer.hex()
    return answer[16:]


def refused(session: Session, code: int, body: bytes = b"", *, tdi: int = TDI0,
            version: int = 0x10) -> tuple[int, int]:
    """Code and data of the TDISP_ERROR that a request gets."""
    answer = session.vendor(TDISP, tdisp(code, tdi, body, version))
    assert answer is not None
    assert answer[:16] == struct.pack("<BBxxIxxxxxxxx", 0x10, 0x7F, tdi), answer.hex()
    error, data = struct.unpack("<II", answer[16:])
    return error, data


def state(session: Session, tdi: int = TDI0) -> int:
    answer = ask(session, STATE, tdi=tdi)
    assert len(answer) == 1
    return answer[0]


def lock(session: Session, *, tdi: int = TDI0, **fields: int) -> bytes:
    nonce = ask(session, LOCK, lock_body(**fields), tdi=tdi)
    assert len(nonce) == 32
    return nonce


def in_state(session: Session, wanted: int) -> bytes:
    """Brings TDI 0 from UNLOCKED into a state; the nonce of LOCK."""
    nonce = b""
    if wanted != UNLOCKED:
        set_up(session)
        nonce = lock(session)
    if wanted == RUN:
        assert ask(session, START, nonce) == b""
    if wanted == ERROR:
        session.client.dsm.model(native.MODEL_VIOLATION, 0)
    assert state(session) == wanted
    return nonce


@pytest.mark.parametrize("wanted", [UNLOCKED, LOCKED, RUN, ERROR])
def test_version_and_capabilities_in_every_state(session: Session, wanted: int) -> None:
    """Cases 1.1, 2.1, 5.1 to 5.3."""
    in_state(session, wanted)
    assert ask(session, VERSION) == bytes.fromhex("0110")
    answer = ask(session, CAPABILITIES, bytes(4))
    caps, requests, rest, flags, width, this, everyone = struct.unpack("<IH14sHxxxBBB", answer)
    assert (caps, requests, rest, flags) == (0, 0x0FFE, bytes(14), 0x000D)
    assert (width, this, everyone) == (64, 1, 1)


def test_from_lock_to_run_to_stop(session: Session) -> None:
    """Cases 3.1, 6.1, 7.1, 5.4."""
    set_up(session)
    nonce = lock(session)
    assert state(session) == LOCKED
    assert ask(session, START, nonce) == b""
    assert state(session) == RUN
    assert ask(session, STOP) == b""
    assert state(session) == UNLOCKED
    assert lock(session) != nonce


@pytest.mark.parametrize("wanted", [UNLOCKED, LOCKED, ERROR])
def test_stop_works_in_every_state_and_twice(session: Session, wanted: int) -> None:
    """Cases 7.2, 7.3."""
    in_state(session, wanted)
    for _ in range(2):
        assert ask(session, STOP) == b""
        assert state(session) == UNLOCKED


def test_lock_needs_a_stream_with_keys(session: Session) -> None:
    """Case 3.2."""
    assert refused(session, LOCK, lock_body()) == (INVALID_REQUEST, 0)
    for info in all_infos(0)[:-1]:
        session.vendor(IDE_KM, key_prog(0, info))
        session.vendor(IDE_KM, key_go(0, info))
    assert refused(session, LOCK, lock_body()) == (INVALID_REQUEST, 0)
    assert state(session) == UNLOCKED
    session.vendor(IDE_KM, key_prog(0, all_infos(0)[-1]))
    assert refused(session, LOCK, lock_body()) == (INVALID_REQUEST, 0)
    session.vendor(IDE_KM, key_go(0, all_infos(0)[-1]))
    lock(session)


@pytest.mark.parametrize("wanted", [LOCKED, RUN, ERROR])
def test_lock_outside_of_unlocked_is_refused(session: Session, wanted: int) -> None:
    """Cases 3.3, 3.4."""
    in_state(session, wanted)
    assert refused(session, LOCK, lock_body()) == (BAD_STATE, 0)
    assert state(session) == wanted


@pytest.mark.parametrize("wanted", [UNLOCKED, RUN, ERROR])
def test_start_outside_of_locked_is_refused(session: Session, wanted: int) -> None:
    """Cases 6.3, 6.4."""
    nonce = in_state(session, wanted) or bytes(32)
    assert refused(session, START, nonce) == (BAD_STATE, 0)
    assert state(session) == wanted


def test_start_needs_the_nonce(session: Session) -> None:
    """Case 6.2; the state stays LOCKED and the nonce good."""
    nonce = in_state(session, LOCKED)
    wrong = [bytes(b ^ 0xFF for b in nonce), bytes(32), b"\xff" * 32]
    wrong += [nonce[:at] + bytes([nonce[at] ^ 1]) + nonce[at + 1:] for at in (0, 15, 31)]
    for other in wrong:
        assert refused(session, START, other) == (BAD_NONCE, 0)
        assert state(session) == LOCKED
    assert ask(session, START, nonce) == b""


@pytest.mark.parametrize("flags", [1 << 1, 1 << 4, 0x1F, 0x02 | 0x05])
def test_flags_that_are_not_offered_are_refused(session: Session, flags: int) -> None:
    set_up(session)
    assert refused(session, LOCK, lock_body(flags=flags)) == (INVALID_REQUEST, 0)
    assert state(session) == UNLOCKED


def test_reserved_flags_are_ignored(session: Session) -> None:
    set_up(session)
    lock(session, flags=0xFFE0)


@pytest.mark.parametrize("offset", [1, 0x800, 0xFFF, -1, -0x1800, 0xD0000001])
def test_reporting_offset_is_a_number_of_pages(session: Session, offset: int) -> None:
    set_up(session)
    assert refused(session, LOCK, lock_body(offset=offset)) == (INVALID_REQUEST, 0)


def test_lock_looks_at_the_default_stream(session: Session) -> None:
    dsm = session.client.dsm
    set_up(session)
    assert refused(session, LOCK, lock_body(stream=1)) == (INVALID_REQUEST, 0)
    dsm.config_write(0, SEL1_CONTROL, 1 | 1 << 22 | 9 << 24)
    assert refused(session, LOCK, lock_body()) == (BAD_CONFIG, 0)
    dsm.config_write(0, SEL1_CONTROL, 0)
    dsm.config_write(1, 0x10, dsm.config_read(2, 0x10))
    assert refused(session, LOCK, lock_body()) == (BAD_CONFIG, 0)
    assert state(session) == UNLOCKED


@pytest.mark.parametrize("size_change", [-16, -4, -1, 1, 4])
@pytest.mark.parametrize("code", range(0x81, 0x8B))
def test_wrong_size_is_an_invalid_request(session: Session, code: int, size_change: int) -> None:
    bodies = {CAPABILITIES: 4, LOCK: 20, REPORT: 4, START: 32, 0x88: 1, 0x89: 1, 0x8A: 16}
    size = bodies.get(code, 0) + size_change
    if size < 0:
        message = tdisp(code)[:16 + size]
        assert session.vendor(TDISP, message) == INVALID
    else:
        assert refused(session, code, bytes(size)) == (INVALID_REQUEST, 0)


@pytest.mark.parametrize("version", [0x00, 0x0F, 0x11, 0x20])
def test_other_versions_mismatch(session: Session, version: int) -> None:
    for code, size in ((VERSION, 0), (CAPABILITIES, 4), (LOCK, 20), (STATE, 0), (STOP, 0)):
        assert refused(session, code, bytes(size), version=version) == (MISMATCH, 0)


@pytest.mark.parametrize("code", [0x80, 0x8C, 0xFF, 0x01, 0x7F, 0x00])
def test_optional_and_unknown_requests_are_unsupported(session: Session, code: int) -> None:
    for size in (0, 1, 16):
        assert refused(session, code, bytes(size)) == (UNSUPPORTED, code)


@pytest.mark.parametrize("function", [0x0100, 0x0104, 0x0107, 0x0109, 0x0001, 0x0201, 0xFFFF, 0])
def test_unknown_functions_are_no_interface(session: Session, function: int) -> None:
    """F0 manages and is not lockable; other buses and devices are not here."""
    for code, size in ((VERSION, 0), (CAPABILITIES, 4), (LOCK, 20), (REPORT, 4), (STATE, 0),
                       (START, 32), (STOP, 0)):
        assert refused(session, code, bytes(size), tdi=function) == (BAD_INTERFACE, 0)


@pytest.mark.parametrize("function", [0x0001_0101, 0x01AB_0101, 0xFE00_0101])
def test_segment_and_reserved_bits_are_ignored_and_echoed(session: Session, function: int) -> None:
    assert ask(session, STATE, tdi=function) == b"\0"


def test_reserved_bytes_of_the_interface_id_are_echoed(session: Session) -> None:
    interface = struct.pack("<I", TDI0) + bytes(range(8))
    answer = session.vendor(TDISP, struct.pack("<BBxx", 0x10, STATE) + interface)
    assert answer == struct.pack("<BBxx", 0x10, 5) + interface + b"\0"


# REPORT -------------------------------------------------------------------------------------


BAR0 = 0x40_1001_0000


def expected_report(*, flags: int, offset: int = 0, msix_control: int = 3,
                    bar0: int = BAR0) -> bytes:
    """The report of TDI 0, from the page map of the device's documentation."""
    pages = [(0, 1, 1 << 2), (1, 1, 0), (2, 1, 1 << 0), (3, 1, 1 << 1), (8, 2, 0),
             (10, 2, 1 << 3)]
    if not flags & 4:
        pages = [page for page in pages if page[0] not in (2, 3)]
    return struct.pack("<HHHHII", 2 | flags & 1, 0, msix_control, 0, 0, len(pages)) + b"".join(
        struct.pack("<QIHH", (bar0 + offset + 4096 * page) % 2**64 >> 12, count, attributes, 0)
        for page, count, attributes in pages) + bytes(4)


def read_report(session: Session, portion: int, tdi: int = TDI0) -> bytes:
    report = b""
    while True:
        answer = ask(session, REPORT, struct.pack("<HH", len(report), portion), tdi=tdi)
        size, rest = struct.unpack_from("<HH", answer)
        assert len(answer) == 4 + size
        assert 0 < size <= portion
        report += answer[4:]
        if rest == 0:
            return report


@pytest.mark.parametrize("flags", [0, 1, 4, 5])
@pytest.mark.parametrize("wanted", [LOCKED, RUN])
def test_report_is_that_of_the_page_map(session: Session, wanted: int, flags: int) -> None:
    """Cases 4.1, 4.2, 4.5."""
    set_up(session)
    nonce = lock(session, flags=flags, offset=0xD0000000)
    if wanted == RUN:
        ask(session, START, nonce)
    expected = expected_report(flags=flags, offset=0xD0000000)
    for portion in (1, 7, 16, 0x40, 0x400, 0xFFFF):
        assert read_report(session, portion) == expected


@pytest.mark.parametrize("offset", [0, -BAR0, 0x1000, -0x1000, 2**63 - 0x1000, -2**63,
                                    -BAR0 - 0x1000])
def test_reporting_offset_is_signed(session: Session, offset: int) -> None:
    set_up(session)
    lock(session, offset=offset)
    assert read_report(session, 0xFFFF) == expected_report(flags=0, offset=offset)


def test_report_windows(session: Session) -> None:
    """Case 4.3, and every window of a report."""
    set_up(session)
    lock(session, flags=5)
    expected = expected_report(flags=5)
    size = len(expected)
    for offset, length in ((0xFFFF, 1), (size, 1), (size + 1, 0xFFFF), (0, 0), (size - 1, 0),
                           (0xFFFF, 0xFFFF)):
        assert refused(session, REPORT, struct.pack("<HH", offset, length)) == (INVALID_REQUEST, 0)
    for offset in range(size):
        answer = ask(session, REPORT, struct.pack("<HH", offset, 0xFFFF))
        assert answer == struct.pack("<HH", size - offset, 0) + expected[offset:]


@pytest.mark.parametrize("wanted", [UNLOCKED, ERROR])
def test_report_outside_of_locked_and_run_is_refused(session: Session, wanted: int) -> None:
    """Case 4.4."""
    in_state(session, wanted)
    assert refused(session, REPORT, struct.pack("<HH", 0, 0x400)) == (BAD_STATE, 0)


def test_report_shows_registers_as_locked(session: Session) -> None:
    """MSI-X control is that of LOCK, BAR0 that of the function."""
    dsm = session.client.dsm
    set_up(session)
    dsm.config_write(1, 0xB0, 0x80000000)
    dsm.config_write(1, 0x14, 0x12345678)
    dsm.config_write(1, 0x10, 0x9ABC0000)
    lock(session)
    dsm.config_write(1, 0xB0, 0)  # allowed: the table is not locked
    assert state(session) == LOCKED
    expected = expected_report(flags=0, msix_control=0x8003, bar0=0x123456789ABC0000)
    assert read_report(session, 0xFFFF) == expected


# Causes of ERROR ------------------------------------------------------------------------------


CAUSES = {
    "memory-space-off": (1, 0x04, 0x4, 0xF),
    "bus-master-off": (1, 0x04, 0x2, 0xF),
    "bar": (1, 0x10, 0, 0xF),
    "bar-same-value": (1, 0x14, 0x40, 0xF),
    "bist": (1, 0x0C, 0, 0x8),
    "no-snoop": (1, 0x78, 0x2010, 0x3),
    "function-reset": (1, 0x78, 0x8000, 0x2),
    "stream-control": (0, SEL0_CONTROL, 1 | 1 << 22, 0xF),
    "stream-disable": (0, SEL0_CONTROL, 0, 0xF),
    "association": (0, 0x1B0, 0, 0xF),
    "f0-reset": (0, 0x78, 0x8000, 0x2),
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES.keys())
@pytest.mark.parametrize("wanted", [LOCKED, RUN])
def test_locked_registers_throw_the_tdi_into_error(session: Session, wanted: int,
                                                   cause: tuple[int, int, int, int]) -> None:
    in_state(session, wanted)
    function, offset, value, enables = cause
    session.client.dsm.config_write(function, offset, value, enables)
    if function == 0 and offset == 0x78:  # the sessions are gone with function 0
        session = session.client.connect().session()
    assert state(session) == ERROR
    assert ask(session, STOP) == b""
    assert state(session) == UNLOCKED


def test_stream_failure_and_stopped_key_throw_the_tdi_into_error(session: Session) -> None:
    nonce = in_state(session, LOCKED)
    session.client.dsm.model(native.MODEL_STREAM_FAIL, 0)
    assert state(session) == ERROR
    assert refused(session, START, nonce) == (BAD_STATE, 0)
    ask(session, STOP)
    set_up(session)
    lock(session)
    session.vendor(IDE_KM, key_stop(0, 0))
    assert state(session) == ERROR


def test_another_tdi_is_not_touched(session: Session) -> None:
    set_up(session)
    for tdi in (TDI0, TDI1, TDI2):
        nonce = lock(session, tdi=tdi)
        ask(session, START, nonce, tdi=tdi)
    session.client.dsm.model(native.MODEL_FLR, 2)
    assert [state(session, tdi) for tdi in (TDI0, TDI1, TDI2)] == [RUN, ERROR, RUN]
    ask(session, STOP, tdi=TDI0)
    assert [state(session, tdi) for tdi in (TDI0, TDI1, TDI2)] == [UNLOCKED, ERROR, RUN]


@pytest.mark.parametrize("end", ["END_SESSION", "bad record", "GET_VERSION"])
@pytest.mark.parametrize("wanted", [LOCKED, RUN])
def test_end_of_the_session_is_the_end_of_trust(session: Session, wanted: int, end: str) -> None:
    """ERROR with the session's death; another session may look and STOP, nothing else."""
    nonce = in_state(session, wanted)
    client = session.client
    if end == "END_SESSION":
        session.spdm(0xEC)
    elif end == "bad record":
        session.tx.sequence += 7
        assert session.spdm(0xE8) == bytes.fromhex("127f0600")
    else:
        client.start()
    other = client.connect().session()
    assert status(other) == 0
    assert state(other) == ERROR
    assert ask(other, VERSION) == bytes.fromhex("0110")
    assert refused(other, START, nonce) == (BAD_STATE, 0)
    assert refused(other, LOCK, lock_body()) == (BAD_STATE, 0)
    assert refused(other, REPORT, struct.pack("<HH", 0, 64)) == (BAD_STATE, 0)
    assert ask(other, STOP) == b""
    set_up(other)
    lock(other)


# Two sessions ---------------------------------------------------------------------------------


def test_session_that_did_not_lock_may_only_look(two: tuple[Session, Session]) -> None:
    first, second = two
    set_up(first)
    nonce = lock(first)
    for wanted in (LOCKED, RUN, ERROR):
        if wanted == RUN:
            ask(first, START, nonce)
        if wanted == ERROR:
            first.client.dsm.model(native.MODEL_VIOLATION, 0)
        assert ask(second, VERSION) == bytes.fromhex("0110")
        assert len(ask(second, CAPABILITIES, bytes(4))) == 28
        assert state(second) == wanted
        for code, body in ((LOCK, lock_body()), (REPORT, struct.pack("<HH", 0, 64)),
                           (START, nonce), (STOP, b"")):
            assert refused(second, code, body) == (INVALID_REQUEST, 0)
        assert state(first) == wanted
    ask(first, STOP)
    assert ask(second, STOP) == b""


def test_lock_needs_keys_of_its_own_session(two: tuple[Session, Session]) -> None:
    first, second = two
    set_up(first)
    assert refused(second, LOCK, lock_body()) == (INVALID_REQUEST, 0)
    lock(first)


def test_third_session_exceeds_two_and_ends_are_told_apart(two: tuple[Session, Session]) -> None:
    first, second = two
    set_up(first)
    lock(first)
    second.spdm(0xEC)
    assert state(first) == LOCKED
    third = first.client.session(half=3)
    first.tx.sequence += 1
    first.spdm(0xE8)
    assert first.spdm(0xE8) is None
    assert state(third) == ERROR
    assert ask(third, STOP) == b""


def test_sessions_update_their_keys_side_by_side(two: tuple[Session, Session]) -> None:
    for session in two:
        assert session.spdm(0xE9, 1, 1) is not None
    for session in two:
        session.tx = session.tx.updated()
        assert session.spdm(0xE9, 3, 1) is not None
    for _ in range(2):
        for session in two:
            assert session.spdm(0xE8) is not None


# Other shapes of the device --------------------------------------------------------------------


def test_number_and_address_of_functions_are_options(
        tmp_path_factory: pytest.TempPathFactory) -> None:
    for client in start_device(tmp_path_factory, "--bus-dev", "0xBEE8", "--num-tdi", "7"):
        session = client.connect().session()
        answer = session.vendor(IDE_KM, bytes(3))
        assert answer is not None
        assert answer[3:5] == b"\xe8\xbe"
        assert state(session, 0xBEEF) == UNLOCKED
        set_up(session)
        lock(session, tdi=0xBEEF)


def test_bare_device_has_no_enabled_stream(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Registers as after reset: keys are taken (Stream ID 0 stands there), LOCK is not."""
    for client in start_device(tmp_path_factory, "--bare"):
        session = client.connect().session()
        set_up(session)
        assert status(session) == 0
        assert refused(session, LOCK, lock_body())[0] in (INVALID_REQUEST, BAD_CONFIG)
        for function in range(4):
            client.dsm.config_write(function, 0x10, 0x2000_0000 + function * 0x10000)
        client.dsm.config_write(0, SEL0_CONTROL, 1 | 1 << 22)
        assert status(session) == 2
        lock(session)
