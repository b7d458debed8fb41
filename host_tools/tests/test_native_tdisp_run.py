# SPDX-License-Identifier: Apache-2.0
"""The TDISP requests that are legal in RUN only, on the firmware as a native process.

SET_MMIO_ATTRIBUTE, BIND_P2P_STREAM, UNBIND_P2P_STREAM; a failed one never changes the state.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from tests import native_dsm as native
from tests.native_client import IDE_KM, Client, Session, all_infos, key_go, key_prog
from tests.test_native_tdisp import (
    BAD_STATE,
    BAR0,
    ERROR,
    INVALID_REQUEST,
    LOCK,
    LOCKED,
    RUN,
    SEL0_CONTROL,
    SEL1_CONTROL,
    START,
    TDI0,
    TDI1,
    UNLOCKED,
    ask,
    in_state,
    lock_body,
    refused,
    set_up,
    start_device,
    state,
)

BIND, UNBIND, SET_ATTRIBUTE = 0x88, 0x89, 0x8A
FLAG_BIND_P2P = 1 << 3
P2P_STREAM = 5
NON_TEE, UPDATABLE = 1 << 2, 1 << 3
BASE_PAGE = BAR0 >> 12


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    yield from start_device(tmp_path_factory)


@pytest.fixture
def session(device: Client) -> Session:
    device.dsm.model(native.MODEL_RESET)
    return device.connect().session(half=1)


def configure_p2p(session: Session, *, control: int = 1, address: tuple[int, int] = (0x41, 0x41),
                  valid: int = 1) -> None:
    """Registers of selective block 1: Stream ID, and one address association in MiB."""
    dsm = session.client.dsm
    base, limit = address
    dsm.config_write(0, SEL1_CONTROL + 0x10, (limit & 0xFFF) << 20 | (base & 0xFFF) << 8 | valid)
    dsm.config_write(0, SEL1_CONTROL + 0x14, limit >> 12)
    dsm.config_write(0, SEL1_CONTROL + 0x18, base >> 12)
    dsm.config_write(0, SEL1_CONTROL, P2P_STREAM << 24 | control)


def key_p2p(session: Session) -> None:
    for info in all_infos(0):
        session.vendor(IDE_KM, key_prog(P2P_STREAM, info, key=os.urandom(32)))
    for info in all_infos(0):
        session.vendor(IDE_KM, key_go(P2P_STREAM, info))
    assert session.client.dsm.config_read(0, SEL1_CONTROL + 4) & 0xF == 2


def running(session: Session, *, flags: int = FLAG_BIND_P2P) -> None:
    """TDI 0 in RUN, the P2P stream Secure."""
    configure_p2p(session)
    key_p2p(session)
    set_up(session)
    nonce = ask(session, LOCK, lock_body(flags=flags))
    assert ask(session, START, nonce) == b""


def bind(stream: int = P2P_STREAM) -> bytes:
    return bytes([stream])


def attribute(first: int, count: int, attributes: int = NON_TEE | UPDATABLE,
              range_id: int = 0) -> bytes:
    return struct.pack("<QIHH", first, count, attributes, range_id)


def test_bind_and_unbind(session: Session) -> None:
    running(session)
    assert refused(session, UNBIND, bind()) == (INVALID_REQUEST, 0)
    assert ask(session, BIND, bind()) == b""
    assert refused(session, BIND, bind()) == (INVALID_REQUEST, 0)
    assert ask(session, UNBIND, bind()) == b""
    assert ask(session, BIND, bind()) == b""
    assert state(session) == RUN


@pytest.mark.parametrize("wanted", [UNLOCKED, LOCKED, ERROR])
@pytest.mark.parametrize("code", [BIND, UNBIND, SET_ATTRIBUTE])
def test_only_in_run(session: Session, wanted: int, code: int) -> None:
    in_state(session, wanted)
    body = attribute(BASE_PAGE + 10, 1) if code == SET_ATTRIBUTE else bind()
    assert refused(session, code, body) == (BAD_STATE, 0)
    assert state(session) == wanted


@pytest.mark.parametrize("stream", [0, 6, 0xFF])
def test_bind_of_the_default_or_an_unknown_stream(session: Session, stream: int) -> None:
    running(session)
    assert refused(session, BIND, bind(stream)) == (INVALID_REQUEST, 0)
    assert state(session) == RUN


def test_bind_needs_the_flag_of_lock(session: Session) -> None:
    running(session, flags=0)
    assert refused(session, BIND, bind()) == (INVALID_REQUEST, 0)


def test_bind_needs_keys(session: Session) -> None:
    configure_p2p(session)
    set_up(session)
    nonce = ask(session, LOCK, lock_body(flags=FLAG_BIND_P2P))
    assert ask(session, START, nonce) == b""
    assert refused(session, BIND, bind()) == (INVALID_REQUEST, 0)
    key_p2p(session)
    assert ask(session, BIND, bind()) == b""


@pytest.mark.parametrize("change", [{"valid": 0}, {"address": (0x50, 0x40)},
                                    {"control": 1 | 1 << 19}])
def test_bind_needs_an_address_association_and_tc_zero(session: Session,
                                                       change: dict[str, int]) -> None:
    configure_p2p(session, **change)  # type: ignore[arg-type]
    key_p2p(session)
    set_up(session)
    nonce = ask(session, LOCK, lock_body(flags=FLAG_BIND_P2P))
    assert ask(session, START, nonce) == b""
    assert refused(session, BIND, bind()) == (INVALID_REQUEST, 0)


@pytest.mark.parametrize("register", [SEL1_CONTROL, SEL0_CONTROL])
def test_end_of_a_bound_stream_is_an_error(session: Session, register: int) -> None:
    running(session)
    assert ask(session, BIND, bind()) == b""
    session.client.dsm.config_write(0, register, 0)
    assert state(session) == ERROR


def test_end_of_an_unbound_stream_is_none(session: Session) -> None:
    running(session)
    assert ask(session, BIND, bind()) == b""
    assert ask(session, UNBIND, bind()) == b""
    session.client.dsm.config_write(0, SEL1_CONTROL, 0)
    assert state(session) == RUN


@pytest.mark.parametrize(("first", "count"), [(10, 1), (11, 1), (10, 2)])
def test_updatable_pages_change(session: Session, first: int, count: int) -> None:
    running(session)
    for attributes in (UPDATABLE | NON_TEE, UPDATABLE):
        assert ask(session, SET_ATTRIBUTE, attribute(BASE_PAGE + first, count, attributes)) == b""
    assert state(session) == RUN


@pytest.mark.parametrize("body", [
    attribute(BASE_PAGE + 9, 1), attribute(BASE_PAGE + 9, 2), attribute(BASE_PAGE + 12, 1),
    attribute(BASE_PAGE + 11, 2), attribute(BASE_PAGE + 10, 0), attribute(BASE_PAGE + 10, 3),
    attribute(BASE_PAGE + 10, 0xFFFF_FFFF), attribute(BASE_PAGE, 1), attribute(10, 1),
    attribute(2**64 - 1, 2), attribute(BASE_PAGE + 10, 1, NON_TEE),
    attribute(BASE_PAGE + 10, 1, UPDATABLE | 1), attribute(BASE_PAGE + 10, 1, 0xFFFF),
    attribute(BASE_PAGE + 10, 1, range_id=1)], ids=lambda body: body.hex())
def test_other_ranges_and_attributes_are_refused(session: Session, body: bytes) -> None:
    """Only whole pages of the updatable range, only IS_NON_TEE_MEM."""
    running(session)
    assert refused(session, SET_ATTRIBUTE, body) == (INVALID_REQUEST, 0)
    assert state(session) == RUN


def test_pages_are_named_as_they_were_reported(session: Session) -> None:
    """MMIO_REPORTING_OFFSET counts here, too."""
    set_up(session)
    offset = -0x7_0000_0000
    nonce = ask(session, LOCK, lock_body(offset=offset))
    assert ask(session, START, nonce) == b""
    assert refused(session, SET_ATTRIBUTE, attribute(BASE_PAGE + 10, 1)) == (INVALID_REQUEST, 0)
    reported = (BAR0 + offset >> 12) + 10
    assert ask(session, SET_ATTRIBUTE, attribute(reported, 2)) == b""


def test_another_session_changes_nothing(device: Client, session: Session) -> None:
    running(session)
    other = device.session(half=2)
    for code, body in ((BIND, bind()), (SET_ATTRIBUTE, attribute(BASE_PAGE + 10, 1))):
        assert refused(other, code, body) == (INVALID_REQUEST, 0)
    assert refused(session, BIND, bind(), tdi=TDI1) == (BAD_STATE, 0)
    assert ask(session, BIND, bind(), tdi=TDI0) == b""
