# SPDX-License-Identifier: Apache-2.0
"""Records on disk: pcap of DOE objects, lab key log, and that no secret is written unasked."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teeio.board import prepare_images
from teeio.core.key_schedule import KeySchedule
from teeio.core.lab_log import ide_key_line, parse_key_log, shared_secret_line
from teeio.core.secret import Secret
from teeio.core.spdm_requester import RequesterConfig
from teeio.errors import DecodeError, LocalError
from teeio.host import Recording, policy_from_files
from teeio.records import DoePcap, LabKeyLogFile
from teeio.scan import find_secrets
from teeio.target_host import TargetHost
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream
from teeio.wire.pcap import PcapFile
from tests.emulator import require_compiler

INFO = KeyInfo(key_set=0, direction=KeyDirection.TX, sub_stream=SubStream.NPR)


# pcap --------------------------------------------------------------------------------------


@pytest.mark.parametrize("link_type", [292, 147])
def test_pcap_is_whole_after_each_object(tmp_path: Path, link_type: int) -> None:
    """Magic a1b2c3d4, version 2.4, snap length up to 65536, one object a record, time of now."""
    path = tmp_path / "doe.pcap"
    pcap = DoePcap(path, link_type)
    head = struct.unpack("<IHHiIII", path.read_bytes())
    assert head[:3] == (0xA1B2C3D4, 2, 4) and 1 <= head[5] <= 65536 and head[6] == link_type
    for count, data in enumerate((bytes(12), bytes(range(8))), 1):
        pcap.add(count == 1, data)
        records = PcapFile.decode(path.read_bytes()).records
        assert len(records) == count and records[-1].data == data
        now = datetime.now(UTC).timestamp() * 1e6
        assert now - 60e6 < records[-1].time_us <= now
    pcap.close()


def test_pcap_refuses_other_link_types_and_places(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"292 .* or 147"):
        DoePcap(tmp_path / "x", 1)
    assert not (tmp_path / "x").exists()
    with pytest.raises(LocalError, match="cannot write"):
        DoePcap(tmp_path / "no" / "x")


# Key log -----------------------------------------------------------------------------------


def test_key_log_lines() -> None:
    text = ("# comment\n\n" + shared_secret_line(0x0001_ABCD, Secret(bytes(range(48))))
            + ide_key_line(7, INFO, Secret(b"\xA5" * 32)))
    assert text.splitlines()[2:] == [
        f"DHE_SECRET 0x0001abcd {bytes(range(48)).hex()}", f"IDE_KEY 7 K0 Tx NPR {'a5' * 32}"]
    log = parse_key_log(text)
    [(session, secret)], [(stream, info, key)] = log.shared_secrets, log.ide_keys
    assert (session, secret.reveal(), stream, info, key.reveal()) == (
        0x1ABCD, bytes(range(48)), 7, INFO, b"\xA5" * 32)
    assert "a5" not in repr(log) and "0102" not in repr(log)


@pytest.mark.parametrize("line", [
    "DHE_SECRET 0x1 00", "DHE_SECRET 0x00000001 zz", "IDE_KEY 1 K2 Rx PR " + "00" * 32,
    "IDE_KEY 1 K0 Rx PR 00", "SOMETHING else"])
def test_key_log_of_another_kind(line: str) -> None:
    with pytest.raises(DecodeError, match="line 2 of the key log"):
        parse_key_log(f"# x\n{line}\n")


def test_key_log_file_is_private_and_new(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old = os.umask(0)
    try:
        log = LabKeyLogFile(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log.shared_secret(1, Secret(bytes(48)))
    with pytest.raises(LocalError, match="one session a file"):
        log.shared_secret(2, Secret(b"\xEE" * 48))
    log.close()
    before = path.read_bytes()
    assert b"ee" * 48 not in before
    for taken in (path, tmp_path / "link", tmp_path / "no" / "keys"):
        if taken.name == "link":
            taken.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(LocalError):
            LabKeyLogFile(taken)
    assert path.read_bytes() == before and not (tmp_path / "elsewhere").exists()

    unused = LabKeyLogFile(tmp_path / "unused")
    unused.close()
    assert not (tmp_path / "unused").exists(), "a session that never came leaves no file"


# Secrets -----------------------------------------------------------------------------------


class Spy:
    """Notes every ECDH secret and every key that a session makes."""

    def __init__(self) -> None:
        self.shared: list[bytes] = []
        self.random: list[bytes] = []

    def rng(self, count: int) -> bytes:
        value = os.urandom(count)
        if count == 32:
            self.random.append(value)  # nonces and IDE keys alike
        return value

    def watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def handshake(this: KeySchedule, shared: Secret, th1: bytes) -> Any:
            self.shared.append(shared.reveal())
            return original(this, shared, th1)
        return handshake


def session(folder: Path, spy: Spy, recording: Recording) -> None:
    """One session with IDE_KM and TDISP on a native DSM."""
    images = prepare_images()
    policy = policy_from_files(images.root_certificate, images.boot_bin, images.firmware_bin,
                               seeded=True, test_hooks=True)
    host = TargetHost("native:", policy, recording=recording, rng=spy.rng)
    try:
        host.discover()
        host.run(host.tsm.connect())
        host.run(host.tsm.bind(0))
        host.run(host.tsm.disconnect())
    finally:
        host.close()


def test_no_secret_is_written_unless_a_key_log_is_asked_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same session twice: without the option the folder holds a pcap and no secret; with it the
    key log holds the ECDH secret and the six IDE keys, and the pcap still none."""
    require_compiler()
    assert RequesterConfig().lab_log is None and Recording().lab_keylog is None
    monkeypatch.chdir(tmp_path)
    spy = Spy()
    monkeypatch.setattr(KeySchedule, "handshake", spy.watch(KeySchedule.handshake))
    session(tmp_path, spy, Recording(pcap=tmp_path / "quiet.pcap"))
    assert [p.name for p in tmp_path.iterdir()] == ["quiet.pcap"]
    assert len(spy.shared) == 1 and len(spy.random) > 6
    quiet_keys = spy.random[-6:]  # made after every nonce of ours

    session(tmp_path, spy, Recording(pcap=tmp_path / "told.pcap", lab_keylog=tmp_path / "keys"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keys", "quiet.pcap", "told.pcap"]
    log = parse_key_log((tmp_path / "keys").read_text())
    assert [s.reveal() for _, s in log.shared_secrets] == [spy.shared[1]]
    keys = [key.reveal() for _, _, key in log.ide_keys]
    assert len(set(keys)) == 6 and keys == spy.random[-6:]

    secrets = {"ECDH": spy.shared, "IDE": [*quiet_keys, *keys]}
    files = {name: (tmp_path / name).read_bytes() for name in ("quiet.pcap", "told.pcap")}
    assert find_secrets(secrets, files) == []
    planted = {"x": bytes(9) + spy.shared[0] + bytes(9)}
    assert find_secrets(secrets, planted), "the search finds what is there"
