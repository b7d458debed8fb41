# SPDX-License-Identifier: Apache-2.0
"""Bad input on a virtual board, and devices that must not be trusted.

Each ends in a clear error, and the device goes on. The rest of the faults: `test_faults_session.py`
(sessions, registers, reset) and `test_faults_link.py` (attacks on TLPs).
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from teeio.board import Images, VirtualBoard
from teeio.core.enumerate import ECAP_DOE
from teeio.core.ops import cfg_read, cfg_write, doe_exchange
from teeio.core.tsm import TsmPolicy
from teeio.errors import LocalError, PeerError, TransportError
from teeio.host import Host, policy_for
from tests.board.scenes import SHORT_DEADLINE, HostMaker, discovered, hurry, still_answers

GET_VERSION = bytes.fromhex("0100010003000000" "10840000")


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
    "truncated capabilities": ("13e10000", {0x01}),
    "oversized capabilities": ("13e10000" "00000000" "00000000" "00120000" "00120000" + "00" * 8,
                               {0x01}),
    "capabilities with a bit of the version flipped": (
        "17e10000" "00000000" "00000000" "00120000" "00120000", {0x41}),
}


def test_bad_data_objects_get_no_answer(hosts: HostMaker) -> None:
    """Each is discarded, or refused by the Error bit; the next one is answered."""
    host = hurry(discovered(hosts), SHORT_DEADLINE)
    for name, data in BAD_OBJECTS.items():
        with pytest.raises(TransportError, match=r"DOE Error|no answer"):
            host.run(doe_exchange(bytes.fromhex(data)))
            raise AssertionError(f"{name}: answered")
        still_answers(host)


def test_bad_messages_get_an_error(hosts: HostMaker) -> None:
    """SPDM ERROR with a code for wrong order or an unknown request, never silence."""
    host = hurry(discovered(hosts), SHORT_DEADLINE)
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
    host = hurry(discovered(hosts), SHORT_DEADLINE)
    size_dw = 0x1400 // 4
    with pytest.raises(TransportError):
        host.run(doe_exchange(b"\x01\x00\x01\x00" + size_dw.to_bytes(4, "little")
                              + bytes(4 * size_dw - 8)))
    still_answers(host)


def test_a_host_that_died_in_the_middle_of_an_object(hosts: HostMaker) -> None:
    """The next one finds an idle mailbox, whatever part of an object was left in it."""
    for words in (1, 2, 5):
        first = discovered(hosts).tsm.functions[0]
        host = hosts()
        for word in range(words):
            host.run(cfg_write(first.bdf, first.ecaps[ECAP_DOE] + 0x10, 0x1111 * word))
        host = discovered(hosts)
        hurry(host, SHORT_DEADLINE)
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


@pytest.mark.long
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


@pytest.mark.long
def test_seeded_entropy_is_seen_by_attestation(hosts: HostMaker, images: Images) -> None:
    """A policy that expects real entropy does not trust a board that was given a seed."""
    host = discovered(hosts, policy_changes={"references": policy_for(images).references})
    with pytest.raises(PeerError, match=r"block 254: "):
        host.run(host.tsm.connect())
    still_answers(host)
