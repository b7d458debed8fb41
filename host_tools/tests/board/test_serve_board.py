# SPDX-License-Identifier: Apache-2.0
"""A virtual board behind the emulators' socket, driven by the requester as the reference one does;
records of a board in `teeio decode`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from teeio.board import Images, VirtualBoard
from teeio.cli.main import app
from teeio.core.capabilities import BOARD
from teeio.core.ops import cfg_read
from teeio.core.references import endpoint_references
from teeio.core.tsm import TsmPolicy
from teeio.host import Host, Recording
from teeio.records import DoePcap
from teeio.targets import BoardTarget, open_target
from teeio.wire.tdisp import InterfaceId
from tests.board.conftest import SEED
from tests.emulator import reference_run, served

pytestmark = pytest.mark.long


def test_reference_conversation_with_the_rtl(images: Images, tmp_path: Path) -> None:
    """Two sessions over the socket: the RTL's stream is Secure by its keys alone, LOCK, REPORT,
    START, STOP as ever; the first session takes the keys along, the second has the stream again."""
    references = endpoint_references(images.boot_bin.read_bytes(),
                                     images.firmware_bin.read_bytes(), seeded=True)
    pcap = DoePcap(tmp_path / "served.pcap")
    with VirtualBoard(images, seed=SEED) as board:
        target = open_target(board.url, pcap.add)
        assert isinstance(target, BoardTarget) and target.capabilities == BOARD
        try:
            with served(target) as running:
                client = open_target(f"spdm-emu://127.0.0.1:{running.port}?end=shutdown"
                                     "&timeout=300")
                try:
                    client.run(reference_run(0x13, references, InterfaceId.of(0x0101)))
                finally:
                    client.close()
                running.thread.join(60)
                assert not running.thread.is_alive()
                assert not any("dropped" in line for line in running.lines), running.lines
            status = target.run(cfg_read(0x0100, 0x1AC))
            assert status & 0xF == 0, "the session took the keys along"
        finally:
            target.close()
            pcap.close()
    result = CliRunner().invoke(app, ["decode", str(tmp_path / "served.pcap"), "--json", "--root",
                                      str(images.root_certificate)])
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and report["summary"]["sessions"] == 2
    assert report["summary"]["sealed"] > 100


def test_records_of_a_board_are_explained(images: Images, policy: TsmPolicy,
                                          tmp_path: Path) -> None:
    """The pcap opens with the key log; each TLP of the trace is read, IDE and plain."""
    recording = Recording(pcap=tmp_path / "doe.pcap", tlps=tmp_path / "tlps.txt",
                          lab_keylog=tmp_path / "keys")
    with VirtualBoard(images, seed=SEED) as board:
        host = Host(board.url, policy, recording=recording)
        try:
            host.discover()
            host.run(host.tsm.connect())
            host.run(host.tsm.bind(0))
            host.run(host.tsm.start(0))
            host.run(host.tsm.disconnect())
        finally:
            host.close()
    result = CliRunner().invoke(app, ["decode", str(tmp_path / "doe.pcap"), "--keys",
                                      str(tmp_path / "keys"), "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and report["summary"]["sealed"] == 0
    assert report["summary"]["opened"] > 60
    trace = CliRunner().invoke(app, ["decode", str(tmp_path / "tlps.txt"), "--json"])
    report = json.loads(trace.stdout)
    assert trace.exit_code == 0
    names = {e["name"] for e in report["entries"]}
    assert {"CFGRD0", "CFGWR0", "CPLD", "CPL"} <= names
