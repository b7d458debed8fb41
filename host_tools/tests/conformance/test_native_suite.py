# SPDX-License-Identifier: Apache-2.0
"""The whole suite on the good device, and its reports."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from host_tools.tests.conformance.parts import Proxy, failed, need_native, run_suite
from teeio.cli.main import app
from teeio.conformance.model import Verdict
from teeio.conformance.suites import CASES

REPO = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((REPO / "docs/conformance_report.schema.json").read_text())
TYPES = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict}


def problems(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """What breaks the schema; knows the keywords that ours uses and no other."""
    known = {"$schema", "title", "description", "type", "enum", "properties", "required", "items",
             "additionalProperties"}
    assert set(schema) <= known, set(schema) - known
    if "enum" in schema and not any(value == one and type(value) is type(one)
                                    for one in schema["enum"]):
        return [f"{where}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or isinstance(value, bool)):
        return [f"{where}: {value!r} is no {kind}"]
    found: list[str] = []
    if kind == "array":
        for i, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{i}]")
    if kind == "object":
        known_names = schema.get("properties", {})
        found += [f"{where}: no {name}" for name in schema.get("required", ()) if name not in value]
        rest = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in known_names:
                found += problems(item, known_names[name], f"{where}.{name}")
            elif rest is False:
                found.append(f"{where}: {name} is unknown")
            elif isinstance(rest, dict):
                found += problems(item, rest, f"{where}.{name}")
    return found


def test_the_schema_check_itself_refuses() -> None:
    small = {"type": "object", "required": ["a"], "additionalProperties": False,
             "properties": {"a": {"type": "integer"}, "b": {"enum": [None, True]}}}
    assert not problems({"a": 1, "b": None}, small)
    for bad in ({}, {"a": "1"}, {"a": True}, {"a": 1, "c": 2}, {"a": 1, "b": 1}, []):
        assert problems(bad, small), bad


def test_the_good_device_passes_everything() -> None:
    """No failure, no warning; whatever is skipped has a reason."""
    need_native()
    report = run_suite(Proxy())
    assert not report.diagnosis
    assert failed(report) == []
    assert report.exit_code == 0
    skipped = [item for item in report.results if item.verdict is Verdict.SKIP]
    assert all(item.reason for item in skipped)
    assert report.count(Verdict.PASS) > 0.8 * len(CASES)
    assert report.seconds < 60


def test_the_good_device_departs_from_the_validator_in_one_case() -> None:
    """It offers optional requests, which the public validator's code does not accept."""
    need_native()
    assert failed(run_suite(Proxy(), ["tdisp"], is_validator=True)) == ["tdisp.capabilities"]


def test_reports_of_the_command_line(tmp_path: Path) -> None:
    need_native()
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    done = CliRunner().invoke(app, [
        "conformance", "run", "native:", "--only", "Tdisp.*", "--seed", "77",
        *(part for kind, path in files.items() for part in (f"--{kind}", str(path)))])
    assert done.exit_code == 0, done.output
    assert "seed 77" in done.output

    data = json.loads(files["json"].read_text())
    assert problems(data, SCHEMA) == []
    assert [item["aliases"] for item in data["cases"]] == [
        [f"Tdisp.{n}"] for n in ("1.1", "2.1", "3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.3",
                                 "4.4", "4.5", "5.1", "5.2", "5.3", "5.4", "6.1", "6.2", "6.3",
                                 "6.4", "7.1", "7.2", "7.3")]
    assert data["totals"]["pass"] == 22
    lock = next(item for item in data["cases"] if item["id"] == "tdisp.lock")
    rungs = [step["name"] for step in lock["ladder"]]
    assert "IDE_KM KEY_PROG" in rungs
    assert rungs.index("TDISP LOCK_INTERFACE_REQUEST") < rungs.index(
        "TDISP LOCK_INTERFACE_RESPONSE")
    for step in lock["ladder"]:
        if step["name"] in ("IDE_KM KEY_PROG", "TDISP LOCK_INTERFACE_RESPONSE"):
            assert step["data"] == ""
            assert "hidden" in (step["fields"].get("key"), step["fields"].get("nonce"))

    suites = ET.fromstring(files["junit"].read_bytes())
    assert [(s.get("name"), s.get("tests"), s.get("failures")) for s in suites] == [
        ("tdisp", "22", "0")]

    html = files["html"].read_text()
    assert not re.search(r"(src|href)=|url\(|<script|@import", html)
    for item in data["cases"]:
        assert item["id"] in html


def test_a_failure_is_told_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    need_native()
    path = tmp_path / "report.json"
    command = ["conformance", "run", "native:", "--only", "Tdisp.2.1", "--profile",
               "tee-io-validator", "--seed", "3", "--json", str(path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    case, = json.loads(path.read_text())["cases"]
    assert case["reproduce"] in done.output
    again = CliRunner().invoke(app, shlex.split(case["reproduce"])[1:])
    assert again.exit_code == 1
    assert case["reason"] in again.output


@pytest.mark.parametrize("options", [
    ["--only", "no.such.case"], ["--shard", "3/2"], ["--shard", "x"], ["--profile", "mine"],
    ["--root", "/no/such/file"]])
def test_wrong_use_is_told_on_one_line(options: list[str]) -> None:
    done = CliRunner().invoke(app, ["conformance", "run", "native:", *options])
    assert done.exit_code == 2


def test_a_target_out_of_reach() -> None:
    need_native()
    done = CliRunner().invoke(app, ["conformance", "run", "spdm-emu://127.0.0.1:9"])
    assert done.exit_code == 3


def test_list_tells_what_a_target_would_skip() -> None:
    done = CliRunner().invoke(app, ["conformance", "list", "spdm-emu://127.0.0.1:9", "--json"])
    rows = json.loads(done.output)
    assert len(rows) == len(CASES)
    for row in rows:
        assert row["skipped"] == [need for need in row["needs"] if need != "doe"]
