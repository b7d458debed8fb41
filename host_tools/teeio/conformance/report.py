# SPDX-License-Identifier: Apache-2.0
"""A run as plain data and as JUnit XML. Schema: docs/conformance_report.schema.json."""

from __future__ import annotations

import platform
import shlex
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata
from typing import Any, Final

from teeio.conformance.model import CaseResult, Verdict
from teeio.conformance.runner import RunReport

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a report says about the run besides its results.

    Attributes:
        url: the target.
        carries: names of what it carries.
        profile: "base" or "tee-io-validator".
        options: command-line options that a reproduction needs, as given.
        started: timezone-aware.
    """

    url: str
    carries: tuple[str, ...]
    profile: str
    options: tuple[str, ...]
    started: datetime

    def reproduce(self, result: CaseResult, seed: int) -> str:
        """The one command that runs this case again with the same random bytes."""
        command = ["teeio", "conformance", "run", self.url, "--only", result.case.id,
                   "--seed", str(seed), *self.options]
        if result.repeat:
            command += ["--repeat", str(result.repeat + 1)]
        return shlex.join(command)


def as_data(report: RunReport, info: RunInfo) -> dict[str, Any]:
    """The run as JSON can hold it."""
    return {
        "schema": SCHEMA,
        "target": info.url,
        "carries": list(info.carries),
        "profile": info.profile,
        "seed": report.seed,
        "started": info.started.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "diagnosis": report.diagnosis,
        "exit_code": report.exit_code,
        "environment": {"teeio": _version(), "python": platform.python_version(),
                        "system": platform.platform()},
        "device": report.device,
        "totals": {verdict.value: report.count(verdict) for verdict in Verdict},
        "cases": [_case(result, info, report.seed) for result in report.results],
    }


def _version() -> str:
    try:
        return metadata.version("teeio")
    except metadata.PackageNotFoundError:
        return "not installed"


def _case(result: CaseResult, info: RunInfo, seed: int) -> dict[str, Any]:
    case = result.case
    return {
        "id": case.id, "group": case.group, "title": case.title, "aliases": list(case.aliases),
        "clause": case.clause, "level": case.level.value, "needs": list(case.needs),
        "note": case.note, "verdict": result.verdict.value, "reason": result.reason,
        "repeat": result.repeat, "seconds": round(result.seconds, 6),
        "reproduce": info.reproduce(result, seed),
        "assertions": [asdict(item) for item in result.assertions],
        "ladder": [asdict(step) for step in result.ladder],
    }


def as_junit(data: dict[str, Any]) -> bytes:
    """JUnit XML of a run: a suite per group, a test case per case.

    Warnings are skipped tests with their reason, since JUnit has no third colour.
    """
    root = ET.Element("testsuites", name=f"teeio conformance {data['target']}",
                      time=f"{data['seconds']:.3f}")
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in data["cases"]:
        groups.setdefault(item["group"], []).append(item)
    for name, items in groups.items():
        verdicts = [item["verdict"] for item in items]
        suite = ET.SubElement(
            root, "testsuite", name=name, tests=str(len(items)), errors="0",
            failures=str(verdicts.count("fail")), time=f"{sum(i['seconds'] for i in items):.3f}",
            skipped=str(sum(v in ("skip", "warn", "not run") for v in verdicts)))
        for item in items:
            node = ET.SubElement(suite, "testcase", classname=f"teeio.{name}", name=item["id"],
                                 time=f"{item['seconds']:.6f}")
            text = f"{item['reason']}\nclause: {item['clause']}\nreproduce: {item['reproduce']}"
            if item["verdict"] == "fail":
                ET.SubElement(node, "failure", message=item["reason"]).text = text
            elif item["verdict"] != "pass":
                ET.SubElement(node, "skipped", message=f"{item['verdict']}: {item['reason']}")
    if data["diagnosis"]:
        suite = ET.SubElement(root, "testsuite", name="run", tests="1", errors="1", failures="0",
                              skipped="0", time="0")
        node = ET.SubElement(suite, "testcase", classname="teeio.run", name="device answers")
        ET.SubElement(node, "error", message=data["diagnosis"])
    out: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return out
