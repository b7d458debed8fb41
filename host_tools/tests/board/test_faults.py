# SPDX-License-Identifier: Apache-2.0
"""Bad input and faults on a virtual board: each ends in a clear error, and the device goes on.

Tests that need a session of their own are `long`; the others share one board in the merge gate.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from teeio.board import Images, VirtualBoard
from teeio.core.device import WORK_MEMORY, FunctionDriver
from teeio.core.enumerate import CAP_PCIE
from teeio.core.ops import Op, PortKey, cfg_read, cfg_write, doe_exchange, mem_read, mem_write
from teeio.core.port_steps import CompletionStatus
from teeio.core.rootport import EventKind
from teeio.core.tsm import TsmPolicy
from teeio.errors import LocalError, PeerError, PeerRefused, TransportError, TsmError
from teeio.host import Host, policy_for
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import CplStatus, TlpType

HostMaker = Callable[..., Host]
SHORT_DEADLINE = 60_000  # device cycles for an answer that does not come
DISCOVERY = bytes.fromhex("0100000003000000" "00000000")
GET_VERSION = bytes.fromhex("0100010003000000" "10840000")


def still_answers(host: Host) -> None:
    """The link, configuration space and the firmware behind the mailbox are alive."""
    before = host.cycles()
    first = host.tsm.functions[0]
    assert host.run(cfg_read(first.bdf, 0)) == 0x7EE0_1234
    assert host.run(doe_exchange(DISCOVERY)) == bytes.fromhex("0100000003000000" "01000001")
    assert host.cycles() > before


def discovered(hosts: HostMaker, **options: Any) -> Host:
    """A host that knows the device."""
    host = hosts(**options)
    host.discover()
    return host


def impatient(hosts: HostMaker) -> Host:
    """As `discovered`, for objects that get no answer: does not wait a second for it."""
    host = discovered(hosts)
    assert host.tsm.mailbox is not None
    host.tsm.mailbox = replace(
        host.tsm.mailbox, deadline_cycles=SHORT_DEADLINE)
    return host


# ---- the bench link ------------------------------------------------------------------------------
def test_garbage_before_and_between_frames(board: VirtualBoard, hosts: HostMaker) -> None:
    """Noise, half frames and a client that goes away in one cost nothing but repeats."""
    address, _, port = board.url.removeprefix("socket://").partition(":")
    noise = bytes(range(256)) * 3 + b"\x7e\x20\x05\x7d"
    with socket.create_connection((address, int(port))) as raw:
        raw.sendall(noise)
    host = discovered(hosts)
    for _ in range(3):
        host.transport._port.write(os.urandom(300) + b"\x7e" + os.urandom(9) + b"\x7e")
        assert host.run(cfg_read(host.tsm.functions[0].bdf, 0)) == 0x7EE0_1234
        host.transport._port.write(b"\x7e\x10\x00\x00")  # begins a frame and does not end it
        still_answers(host)


# ---- data objects --------------------------------------------------------------------------------
BAD_OBJECTS = {
    "length below what is sent": "0100010003000000" "10840000" "00000000",
    "length above what is sent": "0100010009000000" "10840000",
    "reserved type": "0100070003000000" "10840000",
    "other vendor": "3412010003000000" "10840000",
    "length zero and nothing": "0100010000000000",
    "record of no session": "010002000a000000" "efbeadde1600" + "5a" * 26,
}
# Message, and the codes with which DSP0274 lets a responder refuse it.
BAD_MESSAGES = {
    "unknown request": ("13d00000", {0x01, 0x07}),
    "key exchange before negotiation": ("13e4ff00" + "00" * 148, {0x04}),
    "response code as a request": ("13040000", {0x01, 0x07}),
    "finish outside of a session": ("13e50000" + "00" * 48, {0x01, 0x04}),
}


def test_bad_data_objects_get_no_answer(hosts: HostMaker) -> None:
    """Each is discarded, or refused by the Error bit; the next one is answered."""
    host = impatient(hosts)
    for name, data in BAD_OBJECTS.items():
        with pytest.raises(TransportError, match=r"DOE Error|no answer"):
            host.run(doe_exchange(bytes.fromhex(data)))
            raise AssertionError(f"{name}: answered")
        still_answers(host)


def test_bad_messages_get_an_error(hosts: HostMaker) -> None:
    """SPDM ERROR with a code for wrong order or an unknown request, never silence."""
    host = impatient(hosts)
    for name, (message, codes) in BAD_MESSAGES.items():
        host.run(doe_exchange(GET_VERSION))
        body = bytes.fromhex(message)
        answer = host.run(doe_exchange(
            b"\x01\x00\x01\x00" + (2 + len(body) // 4).to_bytes(4, "little") + body))
        assert answer[9] == 0x7F, name
        assert answer[10] in codes, f"{name}: ERROR {answer[10]:#04x}"
        still_answers(host)


def test_an_oversized_object_is_refused(hosts: HostMaker) -> None:
    """More than the mailbox can hold: DOE Error or silence, then everything works."""
    host = impatient(hosts)
    size_dw = 0x1400 // 4
    with pytest.raises(TransportError):
        host.run(doe_exchange(b"\x01\x00\x01\x00" + size_dw.to_bytes(4, "little")
                              + bytes(4 * size_dw - 8)))
    still_answers(host)


# ---- identity ------------------------------------------------------------------------------------
def other_root() -> bytes:
    """A self-signed P-384 certificate that signed nothing."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name.from_rfc4514_string("CN=somebody else")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, at, at.replace(
        year=at.year + 1)).add_extension(x509.BasicConstraints(True, None), True)
    return builder.sign(key, hashes.SHA384()).public_bytes(Encoding.DER)


def test_a_device_of_another_root_is_not_trusted(hosts: HostMaker) -> None:
    """Connect fails at the chain, before any key exists; nothing is left open."""
    host = discovered(hosts, policy_changes={"roots": (other_root(),)})
    with pytest.raises(PeerError, match="RootHash names no trusted root"):
        host.run(host.tsm.connect())
    assert host.tsm.session is None and host.tsm.chain is None
    with pytest.raises(LocalError, match="connect"):
        host.run(host.tsm.bind(0))
    still_answers(host)


def test_a_certificate_that_is_not_yet_valid(hosts: HostMaker, policy: TsmPolicy) -> None:
    """The chain is judged at the policy's time."""
    host = discovered(hosts, policy_changes={"at": policy.at.replace(year=1999)})
    with pytest.raises(PeerError, match="valid"):
        host.run(host.tsm.connect())
    still_answers(host)


# ---- with a session ------------------------------------------------------------------------------
def running(hosts: HostMaker, *tdis: int, **options: Any) -> Host:
    """A connected host with these TDIs in RUN, whatever the board went through before."""
    host = discovered(hosts, **options)
    host.run(host.tsm.connect())
    for tdi in (0, 1, 2):
        host.run(host.tsm.unbind(tdi))
    for tdi in tdis:
        host.run(host.tsm.bind(tdi))
        host.run(host.tsm.start(tdi))
    return host


def tee_driver(host: Host, tdi: int = 0) -> FunctionDriver:
    return FunctionDriver(host.tsm.tdi_function(tdi), tee=True)


def expect_event(host: Host, kind: EventKind) -> None:
    for _ in range(20):
        if any(e.kind is kind for e in host.take_events()):
            return
        host.serve(20_000)
    raise AssertionError(f"no event: {kind.value}")


def expect_state(host: Host, tdi: int, state: TdiState) -> None:
    assert host.run(host.tsm.tdi_state(tdi)) is state


@pytest.mark.soak
def test_locked_registers_and_untrusted_access(hosts: HostMaker) -> None:
    """One session: T=0 is kept out, a write to a locked register completes and ends in ERROR."""
    host = running(hosts, 0, 1)
    tsm, run = host.tsm, host.run
    function = tsm.tdi_function(0)
    driver = tee_driver(host)
    run(driver.write(0, b"kept" * 16))

    where = function.bar0 + WORK_MEMORY
    run(mem_write(where, b"lost" * 16, tee=False))
    with pytest.raises(CompletionStatus) as refusal:
        run(mem_read(where, 64, tee=False))
    assert refusal.value.status == CplStatus.UR
    assert run(driver.read(0, 64)) == b"kept" * 16
    expect_state(host, 0, TdiState.RUN)

    command = run(cfg_read(function.bdf, 4)) & 0xFFFF
    for name, offset, value, restore in (
        ("BAR0", 0x10, 0x0050_0000, function.bar0 & 0xFFFF_FFFF),
        ("Memory Space Enable", 0x04, command & ~2, command),
        ("Bus Master Enable", 0x04, command & ~4, command),
    ):
        run(cfg_write(function.bdf, offset, value))  # raises if it were not completed
        expect_state(host, 0, TdiState.ERROR)
        expect_state(host, 1, TdiState.RUN)
        run(cfg_write(function.bdf, offset, restore))
        expect_state(host, 0, TdiState.ERROR)
        run(tsm.unbind(0))
        assert run(FunctionDriver(function, tee=False).read(0, 64)) == bytes(64), name
        run(tsm.bind(0))
        run(tsm.start(0))
        run(driver.write(0, b"kept" * 16))

    # Initiate FLR of the function, in RUN.
    control = function.caps[CAP_PCIE] + 8
    value = run(cfg_read(function.bdf, control)) & 0xFFFF
    run(cfg_write(function.bdf, control, value | 1 << 15))
    host.serve(100_000)
    expect_state(host, 0, TdiState.ERROR)
    expect_state(host, 1, TdiState.RUN)
    run(tsm.unbind(0))

    # IDE control last: it takes the stream, and with it every TDI.
    assert tsm.block is not None
    run(cfg_write(tsm.functions[0].bdf, tsm.block.control, 0))
    expect_state(host, 1, TdiState.ERROR)
    assert run(tsm.stream_state()) == 0
    still_answers(host)


@pytest.mark.soak
def test_conventional_reset_in_run(hosts: HostMaker) -> None:
    """Session, stream, states and memory are gone; the same host starts over."""
    host = running(hosts, 0)
    host.run(tee_driver(host).write(0, b"kept" * 16))
    host.reset()
    with pytest.raises(TsmError):
        host.run(host.tsm.tdi_state(0))
    again = running(hosts)
    driver = FunctionDriver(again.tsm.tdi_function(0), tee=False)
    assert again.run(driver.status()) & 3 == TdiState.CONFIG_UNLOCKED
    assert again.run(driver.read(0, 64)) == bytes(64)
    still_answers(again)


class Tamper:
    """An attack on trusted TLPs to the device; `kinds` are the Fmt and Type bytes it takes."""

    kinds: tuple[int, ...] = (TlpType.MWR64,)

    def __init__(self) -> None:
        self.hits = 0
        self.held: list[bytes] = []

    def __call__(self, tlp: bytes) -> list[bytes]:
        if tlp[0] != 0x92 or tlp[4] not in self.kinds or self.hits >= self.limit:
            return [tlp]
        self.hits += 1
        return self.attack(tlp)

    limit = 1

    def attack(self, tlp: bytes) -> list[bytes]:
        raise NotImplementedError


class Replay(Tamper):
    """The same TLP twice."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp, tlp]


class Reorder(Tamper):
    """Two writes change places."""

    limit = 2

    def attack(self, tlp: bytes) -> list[bytes]:
        self.held.append(tlp)
        return self.held[::-1] if len(self.held) == 2 else []


class Drop(Tamper):
    """A write never arrives."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return []


class Retag(Tamper):
    """The tag of a read is changed: header bytes are authenticated."""

    kinds = (TlpType.MRD64,)

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:10] + bytes((tlp[10] ^ 1,)) + tlp[11:]]


class Redirect(Tamper):
    """The address of a write is changed."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:19] + bytes((tlp[19] ^ 8,)) + tlp[20:]]


class Untrust(Tamper):
    """T of the prefix is cleared: the prefix is authenticated."""

    def attack(self, tlp: bytes) -> list[bytes]:
        return [tlp[:3] + bytes((tlp[3] & ~1,)) + tlp[4:]]


@pytest.mark.soak
@pytest.mark.parametrize("attack", [Replay, Reorder, Drop, Retag, Redirect, Untrust])
def test_an_attack_on_the_link_ends_the_stream(hosts: HostMaker, attack: type[Tamper]) -> None:
    """IDE Fail comes, the stream is Insecure, the TDI in ERROR and empty; a new session works."""
    host = running(hosts, 0)
    driver = tee_driver(host)
    host.run(driver.write(0, b"kept" * 16))
    tamper = attack()
    host.dispatcher.tamper = tamper
    try:
        host.run(driver.write(0, bytes(64)))
        host.run(driver.write(64, bytes(64)))
        host.run(driver.read(0, 64))
    except TsmError:
        pass  # whatever the host notices first
    finally:
        host.dispatcher.tamper = None
    assert tamper.hits == tamper.limit
    for _ in range(20):
        host.serve(20_000)
        if host.run(host.tsm.stream_state()) == 0:
            break
    assert host.run(host.tsm.stream_state()) == 0
    assert any(e.kind is EventKind.IDE_FAIL_RECEIVED for e in host.take_events())
    expect_state(host, 0, TdiState.ERROR)
    with pytest.raises(TsmError):
        host.run(driver.read(0, 64))
    host.run(host.tsm.unbind(0))
    plain = FunctionDriver(host.tsm.tdi_function(0), tee=False)
    assert host.run(plain.read(0, 128)) == bytes(128)
    host.run(host.tsm.disconnect())
    still_answers(host)


@pytest.mark.soak
def test_another_key_at_the_root_port(hosts: HostMaker) -> None:
    """Stream Secure at both ends, keys differ in one bit: the first trusted TLP ends it."""
    host = discovered(hosts)
    perform = host.dispatcher.perform

    def wrong(op: Op) -> Iterator[Any]:
        if isinstance(op, PortKey) and op.is_tx and op.sub_stream == 0:
            op = replace(op, key=bytes((op.key[0] ^ 1,)) + op.key[1:])
        return perform(op)

    host.dispatcher = replace_perform(host.dispatcher, wrong)
    host.run(host.tsm.connect())
    host.run(host.tsm.unbind(0))
    host.run(host.tsm.bind(0))
    host.run(host.tsm.start(0))
    host.run(tee_driver(host).write(0, b"lost" * 16))
    expect_event(host, EventKind.IDE_FAIL_RECEIVED)
    assert host.run(host.tsm.stream_state()) == 0
    expect_state(host, 0, TdiState.ERROR)
    host.run(host.tsm.disconnect())
    still_answers(host)


def replace_perform(dispatcher: Any, perform: Callable[[Op], Any]) -> Any:
    """The dispatcher with another `perform` (it has slots, so a subclass carries it)."""
    class Patched(type(dispatcher)):  # type: ignore[misc]
        def perform(self, op: Op) -> Any:
            return perform(op)

    return Patched(dispatcher.port, dispatcher.mailbox, dispatcher.on_object)


@pytest.mark.soak
@pytest.mark.parametrize("how", ["replayed", "bit flipped", "cut", "other session"])
def test_a_bad_record_ends_the_session(hosts: HostMaker, how: str) -> None:
    """The device refuses it, ends the session and takes the stream down; a new session works."""
    host = running(hosts, 0)
    sent: list[bytes] = []

    def seen(is_request: bool, data: bytes) -> None:
        if is_request:
            sent.append(data)

    host.dispatcher.on_object = seen
    expect_state(host, 0, TdiState.RUN)
    record = sent[-1]
    assert record[2] == 2
    match how:
        case "bit flipped":
            record = record[:20] + bytes((record[20] ^ 4,)) + record[21:]
        case "cut":
            record = (record[:4] + (len(record) // 4 - 3).to_bytes(4, "little")
                      + record[8:-12])
        case "other session":
            record = record[:8] + bytes((record[8] ^ 1,)) + record[9:]
    if how == "other session":
        patient = host.tsm.mailbox
        assert patient is not None
        host.tsm.mailbox = replace(
            patient, deadline_cycles=SHORT_DEADLINE)
        with pytest.raises(TransportError):
            host.run(doe_exchange(record))
        host.tsm.mailbox = patient
        # It names no session, so it cannot hurt one.
        expect_state(host, 0, TdiState.RUN)
    else:
        try:
            host.run(doe_exchange(record))
        except TransportError:
            pass  # silence is as good as a refusal
        with pytest.raises((PeerError, PeerRefused, TransportError)):
            host.run(host.tsm.tdi_state(0))
        assert host.run(host.tsm.stream_state()) == 0
        status = host.run(FunctionDriver(host.tsm.tdi_function(0), tee=False).status())
        assert status & 3 == TdiState.ERROR
    again = running(hosts, 0)
    again.run(tee_driver(again).write(0, bytes(64)))
    still_answers(again)


@pytest.mark.soak
def test_changed_firmware_is_named(images: Images, tmp_path: Path) -> None:
    """One byte of the firmware ROM differs: connect fails at block 2 and nowhere else."""
    lines = images.firmware.read_text().split()
    assert lines[-1] == "00000000"  # behind the code, so that the firmware still runs
    changed = tmp_path / "firmware.hex"
    changed.write_text("\n".join([*lines[:-1], "00000001"]) + "\n")
    data = bytearray(images.firmware_bin.read_bytes())
    data[-4] = 1
    changed.with_suffix(".bin").write_bytes(data)
    other = replace(images, firmware=changed)
    with VirtualBoard(other, seed=3) as board:
        host = Host(board.url, policy_for(images, seeded=True))
        try:
            host.discover()
            with pytest.raises(PeerError, match=r"block 2: ") as error:
                host.run(host.tsm.connect())
            assert "block 1" not in str(error.value) and "block 3" not in str(error.value)
            assert host.tsm.session is None
            still_answers(host)
        finally:
            host.close()
        host = Host(board.url, policy_for(other, seeded=True))
        try:
            host.discover()
            host.run(host.tsm.connect())
            host.run(host.tsm.disconnect())
        finally:
            host.close()


@pytest.mark.soak
def test_seeded_entropy_is_seen_by_attestation(hosts: HostMaker, images: Images) -> None:
    """A policy that expects real entropy does not trust a board that was given a seed."""
    host = discovered(hosts, policy_changes={"references": policy_for(images).references})
    with pytest.raises(PeerError, match=r"block 254: "):
        host.run(host.tsm.connect())
    still_answers(host)


# ---- wrong order ---------------------------------------------------------------------------------
@pytest.mark.soak
def test_verbs_in_the_wrong_order(hosts: HostMaker) -> None:
    """Each is refused on the host before anything is sent, and the state stays usable."""
    host = hosts()
    tsm, run = host.tsm, host.run
    for early in (tsm.connect, tsm.disconnect, tsm.stream_state, lambda: tsm.bind(0),
                  lambda: tsm.start(0), lambda: tsm.unbind(0), lambda: tsm.tdi_state(0)):
        with pytest.raises(LocalError):
            run(early())
    host.discover()
    run(tsm.connect())
    objects = host.dispatcher.objects
    for wrong in (tsm.connect, lambda: tsm.start(0), lambda: tsm.bind(7),
                  lambda: tsm.unbind(7)):
        with pytest.raises(LocalError):
            run(wrong())
    assert host.dispatcher.objects == objects
    run(tsm.unbind(0))
    run(tsm.bind(0))
    with pytest.raises(LocalError, match="bound already"):
        run(tsm.bind(0))
    run(tsm.start(0))
    with pytest.raises(LocalError, match="started already"):
        run(tsm.start(0))
    expect_state(host, 0, TdiState.RUN)
    run(tsm.disconnect())
    with pytest.raises(LocalError):
        run(tsm.disconnect())
    still_answers(host)
