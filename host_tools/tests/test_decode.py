# SPDX-License-Identifier: Apache-2.0
"""`teeio decode`: the captured sessions of the reference pair to the last record; TLP traces."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from teeio.cli.main import app
from teeio.decode import Conversation, Summary, decode_trace
from teeio.provision import make_lab_pki
from teeio.wire.doe import DoeObject, DoeType
from teeio.wire.pcap import LINKTYPE_DOE, LINKTYPE_USER0, PcapFile, PcapRecord
from teeio.wire.reader import decode_whole
from tests import capture

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


def decode(*arguments: object) -> tuple[int, dict[str, Any]]:
    """`teeio decode ... --json`: exit code and report."""
    result = CliRunner().invoke(app, ["decode", *map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}


def key_log(version: str, folder: Path, sessions: slice = slice(None)) -> Path:
    """A key log with the ECDH secrets of a capture; its session ids are not known."""
    notes = json.loads((capture.vectors_directory() / f"spdm-{version}.json").read_text())
    path = folder / f"keys-{version}"
    path.write_text("".join(f"DHE_SECRET {number:#010x} {item['dhe_shared_secret']}\n"
                            for number, item in enumerate(notes["sessions"][sessions])))
    return path


def pcap_path(version: str) -> Path:
    return capture.vectors_directory() / f"spdm-{version}.pcap"


def changed(version: str, folder: Path, object_type: int, code: int | None, at: int) -> Path:
    """The capture with one bit flipped in the first object of a type (and SPDM code)."""
    records = list(PcapFile.decode(pcap_path(version).read_bytes()).records)
    for number, item in enumerate(records):
        found = decode_whole(DoeObject.decode, item.data)
        if found.object_type == object_type and code in (None, found.payload[1]):
            data = bytearray(item.data)
            data[at] ^= 1
            records[number] = PcapRecord(bytes(data), item.time_us)
            break
    else:
        raise AssertionError("no such object")
    path = folder / "changed.pcap"
    path.write_bytes(PcapFile(tuple(records), LINKTYPE_DOE).encode())
    return path


@VERSIONS
def test_captures_are_verified_and_decrypted_to_the_last_record(
        version: str, tmp_path: Path) -> None:
    """Every object read, every record opened, every signature, HMAC and MAC verified."""
    code, report = decode(pcap_path(version), "--keys", key_log(version, tmp_path))
    assert code == 0 and report["ok"]
    entries, summary = report["entries"], report["summary"]
    conversation = capture.load(version)
    secured = sum(2 for item in conversation.exchanges
                  if item.request.object_type == DoeType.SECURED_SPDM)
    assert summary["entries"] == 2 * len(conversation.exchanges)
    assert (summary["opened"], summary["sealed"], summary["sessions"]) == (secured, 0, 2)
    checks = Counter(check["name"] for entry in entries for check in entry["checks"])
    assert checks["record MAC"] == secured
    assert checks["ResponderVerifyData"] == checks["RequesterVerifyData"] == 2
    signed = {"CHALLENGE_AUTH", "MEASUREMENTS", "KEY_EXCHANGE_RSP"}
    assert checks["signature"] == sum(
        e["name"] in signed and bool(e["fields"]["signature"]) for e in entries) >= 5
    names = Counter(entry["name"] for entry in entries)
    assert names["TDISP LOCK_INTERFACE_REQUEST"] == names["IDE_KM QUERY_RESP"] == 2
    assert names["IDE_KM KEY_PROG"] == names["IDE_KM K_SET_STOP"] == 12
    assert names["END_SESSION_ACK"] == 2


@VERSIONS
def test_fields_are_those_that_the_reference_requester_sends(version: str, tmp_path: Path) -> None:
    """Interface BEEFh, stream 0, MMIO offset D0000000h, states 0 1 2 0, port index 1, IFV 1."""
    _code, report = decode(pcap_path(version), "--keys", key_log(version, tmp_path))
    by_name: dict[str, list[dict[str, Any]]] = {}
    for entry in report["entries"]:
        by_name.setdefault(entry["name"], []).append(entry["fields"])
    for lock in by_name["TDISP LOCK_INTERFACE_REQUEST"]:
        assert (lock["interface"], lock["stream_id"], lock["mmio_reporting_offset"]) == (
            "be:1d.7", 0, 0xD000_0000)
    states = [f["state"] for f in by_name["TDISP DEVICE_INTERFACE_STATE"]]
    assert states == 2 * ["0x0 CONFIG_UNLOCKED", "0x1 CONFIG_LOCKED", "0x2 RUN",
                          "0x0 CONFIG_UNLOCKED"]
    assert {f["port_index"] for f in by_name["IDE_KM QUERY"]} == {1}
    programmed = by_name["IDE_KM KEY_PROG"]
    assert {f["ifv"] for f in programmed} == {1}
    assert {f["key"] for f in programmed} == {"hidden"}
    assert [f["key_info"] for f in programmed[:6]] == [
        f"K0 {direction} {sub}" for direction in ("Rx", "Tx") for sub in ("PR", "NPR", "CPL")]
    assert all(f["length"] <= 0x40 for f in by_name["TDISP GET_DEVICE_INTERFACE_REPORT"])
    assert sum("report" in f for f in by_name["TDISP DEVICE_INTERFACE_REPORT"]) == 2


@VERSIONS
def test_without_keys_the_records_stay_sealed(version: str, tmp_path: Path) -> None:
    code, report = decode(pcap_path(version))
    secured = sum(e["layer"] == "secured SPDM" for e in report["entries"])
    assert code == 0 and report["summary"]["sealed"] == secured > 100
    assert report["summary"]["opened"] == 0
    names = {e["name"] for e in report["entries"] if e["layer"] == "secured SPDM"}
    assert names == {"secured message"}
    one = key_log(version, tmp_path, slice(1, 2))
    code, report = decode(pcap_path(version), "--keys", one)
    assert code == 0, "a secret opens its own session and no other"
    assert 0 < report["summary"]["opened"] < secured
    assert report["summary"]["opened"] + report["summary"]["sealed"] == secured


def test_a_changed_signature_is_noticed(tmp_path: Path) -> None:
    """Last bytes of KEY_EXCHANGE_RSP are signature and HMAC; a flipped bit fails the check."""
    path = changed("1.3", tmp_path, DoeType.SPDM, 0x64, -48 - 20)
    code, report = decode(path, "--keys", key_log("1.3", tmp_path))
    failed = [(e["name"], c["name"]) for e in report["entries"] for c in e["checks"]
              if not c["ok"]]
    assert code == 1 and failed == [("KEY_EXCHANGE_RSP", "signature")]
    # The signature is in TH1, so the secret does not fit the session any more.
    assert report["summary"]["sealed"] > 0


def test_a_changed_record_is_noticed(tmp_path: Path) -> None:
    path = changed("1.3", tmp_path, DoeType.SECURED_SPDM, None, 8 + 8)
    code, report = decode(path, "--keys", key_log("1.3", tmp_path))
    errors = [e["error"] for e in report["entries"] if e["error"]]
    assert code == 1 and "record number 0 does not authenticate" in errors[0]


def test_a_foreign_root_is_not_the_devices(tmp_path: Path) -> None:
    make_lab_pki(tmp_path)
    code, report = decode(pcap_path("1.2"), "--root", tmp_path / "root.pem")
    failed = {c["name"] for e in report["entries"] for c in e["checks"] if not c["ok"]}
    assert code == 1 and failed == {"certificate chain"}


def test_both_link_types_are_read_and_people_get_lines(tmp_path: Path) -> None:
    records = PcapFile.decode(pcap_path("1.2").read_bytes()).records
    path = tmp_path / "user0.pcap"
    path.write_bytes(PcapFile(records, LINKTYPE_USER0).encode())
    keys = key_log("1.2", tmp_path)
    result = CliRunner().invoke(app, ["decode", str(path), "--keys", str(keys)])
    assert result.exit_code == 0
    assert "secured SPDM TDISP LOCK_INTERFACE_REQUEST" in result.stdout
    assert "mmio_reporting_offset: 3489660928" in result.stdout
    brief = CliRunner().invoke(app, ["decode", str(path), "--keys", str(keys), "--brief"])
    assert len(brief.stdout.splitlines()) == len(records) + 1


@given(st.lists(st.one_of(
    st.binary(max_size=40),
    st.builds(lambda kind, code, rest: DoeObject.wrap(kind, bytes([0x13, code]) + rest).encode(),
              st.integers(0, 5), st.integers(0, 255), st.binary(max_size=80))), max_size=8))
def test_any_objects_are_entries_never_a_crash(objects: list[bytes]) -> None:
    conversation = Conversation(now=datetime(2026, 6, 1, tzinfo=UTC))
    entries = [conversation.feed(data) for data in objects]
    assert [e.number for e in entries] == list(range(len(objects)))
    json.dumps([e.as_json() for e in entries])


# Traces ------------------------------------------------------------------------------------

# Typed from PCIe Base 2.2: a configuration read of register 00h of 01:00.0 by 00:00.0 with tag 5,
# and its completion; then an IDE memory write (T=1, sub-stream PR, stream 1, counter 3).
TRACE = """= a step
> 04000001 0000050f 01000000
< 4a000001 01000004 00000500 3412e07e
> 92030105 60000001 000000ff 00000080 00001000 a1b2c3d4 000102030405060708090a0b
< 32000000 01000055 00000001 00000000
""".replace(" ", "").replace("=astep", "= a step").replace(">", "> ").replace("<", "< ")


def test_a_trace_is_explained() -> None:
    step, read, completion, write, fail = decode_trace(TRACE.splitlines())
    assert (step.layer, step.name) == ("step", "a step")
    assert (read.name, read.direction) == ("CFGRD0", "to device")
    assert (read.fields["target"], read.fields["register"], read.fields["tag"]) == (
        "01:00.0", "0x000", 5)
    assert (completion.name, completion.direction) == ("CPLD", "from device")
    assert (completion.fields["status"], completion.fields["payload"]) == ("SC", "3412e07e")
    assert write.name == "MWR64" and write.is_sealed
    assert write.fields["ide"] == {"stream_id": 1, "sub_stream": "PR", "pr_sent_counter": 3,
                                   "t_bit": 1, "k": 0, "m": 1, "p": 0}
    assert write.fields["address"] == "0x8000001000"
    assert write.fields["mac"] == "000102030405060708090a0b"
    assert fail.name == "Msg IDE_FAIL" and fail.fields["route"] == 2
    assert Summary.of([step, read, completion, write, fail]).ok


@pytest.mark.parametrize(("line", "reason"), [
    ("? 04", "neither TLP nor heading"),
    ("> zz", "not hexadecimal"),
    ("> 04000001", "not the header of a TLP"),
    ("> 92030105600000", "a cut IDE TLP"),
    ("> 40000002000000ff00001000a1b2c3d4", "length field says 8 payload bytes"),
])
def test_a_broken_line_is_an_entry_with_an_error(line: str, reason: str) -> None:
    entry, = decode_trace([line])
    assert reason in entry.error and not entry.ok


@given(st.text(max_size=80), st.binary(max_size=60))
def test_any_trace_line_is_an_entry(text: str, data: bytes) -> None:
    entries = list(decode_trace([text.replace("\n", ""), f"> {data.hex()}", f"< 92{data.hex()}"]))
    json.dumps([e.as_json() for e in entries])


# Files -------------------------------------------------------------------------------------


def test_exit_codes(tmp_path: Path) -> None:
    """0 read and verified, 1 something is wrong in it, 2 the file cannot be used."""
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(TRACE)
    bad.write_text("> 04\n")
    binary, cut = tmp_path / "binary", tmp_path / "cut.pcap"
    binary.write_bytes(b"\xff\xfe\x00")
    cut.write_bytes(PcapFile((PcapRecord(bytes(8)),)).encode()[:-3])
    keys = tmp_path / "keys"
    keys.write_text("DHE_SECRET 0x00000001 00\n")
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(PcapFile(()).encode())
    for arguments, expected in (
            ([good], 0), ([bad], 1), ([binary], 2), ([cut], 2), ([tmp_path / "absent"], 2),
            ([empty], 0), ([empty, "--keys", keys], 2), ([empty, "--keys", tmp_path / "no"], 2),
            ([empty, "--root", good], 2)):
        result = CliRunner().invoke(app, ["decode", *map(str, arguments)])
        assert result.exit_code == expected, (arguments, result.output)
        if expected == 2:
            assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "00" not in CliRunner().invoke(
        app, ["decode", str(empty), "--keys", str(keys)]).stderr.replace(str(tmp_path), "")
