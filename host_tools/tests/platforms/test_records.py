# SPDX-License-Identifier: Apache-2.0
"""Order log, secret scan, attributes, reports."""

from __future__ import annotations

import os

from teeio.core.secret import Secret, live_secrets
from teeio.errors import PeerError, TransportError
from teeio.platforms.catalogue import scenarios
from teeio.platforms.common.checks import Outcome, Refused, Taken
from teeio.platforms.common.context import Context
from teeio.platforms.common.order import OrderLog
from teeio.platforms.common.report import actors, as_html, as_json, ladder
from teeio.platforms.common.runner import Mutation, Result
from teeio.platforms.common.scenario import Verdict
from teeio.platforms.common.taint import SecretScan
from teeio.platforms.common.tsm import FRESH_EVIDENCE, TsmReason
from teeio.platforms.common.verbs import SINGLE, VerbReason
from teeio.platforms.linux.errno import Errno, KernelError, errno_of
from teeio.platforms.linux.sysfs import SysfsTree


def test_live_secrets_are_those_not_wiped_and_not_forgotten() -> None:
    value = os.urandom(32)
    secret = Secret(value)
    assert value in live_secrets()
    secret.wipe()
    assert value not in live_secrets() and bytes(32) not in live_secrets()
    Secret(value)
    assert value not in live_secrets()


def test_the_scan_finds_a_window_of_a_secret_that_was_alive_when_it_crossed() -> None:
    value = bytes(range(128, 160))  # no byte of what stands around it
    secret = Secret(value)
    scan = SecretScan()
    scan.crossed("mailbox", b"nothing")
    secret.wipe()
    assert scan.leaks() == []
    scan.crossed("sysfs", b"prefix" + value[9:19] + b"suffix")
    leaks = scan.leaks()
    assert leaks and {leak.where for leak in leaks} == {"sysfs"}
    assert min(leak.offset for leak in leaks) == 6


def test_the_scan_joins_what_crossed_in_pieces_and_asks_its_sources() -> None:
    key = os.urandom(32)
    scan = SecretScan([lambda: [key]])
    for at in range(0, 32, 4):
        scan.crossed("TLPs", key[at:at + 4])
    assert scan.leaks()
    assert not SecretScan([lambda: [key]]).leaks()


def test_order_questions() -> None:
    log = OrderLog()
    for actor, message in (("TSM", "LOCK_INTERFACE_REQUEST"), ("TSM", "IOMMU off"),
                           ("TSM", "IOMMU on"), ("DSM", "IOMMU on")):
        log.verb = "bind"
        log.add(actor, message)
    assert list(log.numbers("IOMMU on")) == [2, 3]
    assert log.first("IOMMU", actor="TSM") == 1
    assert log.first("IOMMU on", actor="DSM", verb="bind") == 3
    assert log.first("LOCK") is None
    assert log.in_order("LOCK_INTERFACE_REQUEST", "IOMMU on", "IOMMU on") == ""
    assert log.in_order("IOMMU on", "LOCK_INTERFACE_REQUEST") == "LOCK_INTERFACE_REQUEST"


def test_attributes_are_there_or_not_and_give_errno() -> None:
    there = [True]
    tree = SysfsTree(Context())

    def store(value: str) -> None:
        if value != "1":
            raise KernelError(Errno.EINVAL, "only 1")

    tree.add("a/read", show=lambda: "yes", visible=lambda: there[0])
    tree.add("a/write", store=store)
    assert tree.read("a/read") == "yes" and tree.write("a/read", "1") == -Errno.EACCES
    assert tree.read("a/write") == -Errno.EACCES
    assert (tree.write("a/write", "1\n"), tree.write("a/write", "0")) == (0, -Errno.EINVAL)
    there[0] = False
    assert tree.read("a/read") == -Errno.ENOENT and tree.list("a/") == ["a/write"]
    assert tree.trace[-1] == "cat a/read: -ENOENT"


def test_errors_become_the_documented_errno() -> None:
    assert errno_of(Refused(SINGLE, VerbReason.BUSY)) is Errno.EBUSY
    assert errno_of(Refused(FRESH_EVIDENCE, TsmReason.STALE)) is Errno.ESTALE
    assert errno_of(Refused(FRESH_EVIDENCE, TsmReason.BOUND)) is Errno.EINVAL
    assert errno_of(PeerError("x", clause="y")) is Errno.ENXIO
    assert errno_of(TransportError("x")) is Errno.EIO


def test_reports_say_what_happened() -> None:
    log = OrderLog()
    for message in ("secured record", "secured record", "<script>"):
        log.add("VMM", message, to="device 1")
    item = next(s for s in scenarios("linux") if s.id == "L3")
    result = Result(item, Verdict.FAIL, "1 < 2", 0.25, [
        Taken("iommu.stream", Outcome.REFUSED, "STREAM", "")], log.entries)
    row = Mutation("iommu.stream", ("L3",), ("L3", "L4"))
    report = as_json([result], [row])
    assert report["checks"] == [
        {"name": "iommu.stream", "red_without": ["L3"], "tried": ["L3", "L4"]}]
    scenario = report["scenarios"][0]  # type: ignore[index]
    assert (scenario["id"], scenario["platform"], scenario["verdict"], scenario["seconds"]) == (
        "L3", "linux", "fail", 0.25)
    assert [row[1:] for row in ladder(log.entries)] == [
        ("VMM", "device 1", "secured record (x2)"), ("VMM", "device 1", "<script>")]
    assert actors(log.entries) == ["VMM", "device 1"]
    page = as_html([result], [row])
    assert "<script>" not in page and "1 &lt; 2" in page and "http" not in page


def test_the_linux_scenarios_are_all_there() -> None:
    ids = [s.id for s in scenarios("linux")]
    assert sorted(ids) == sorted([f"L{n}" for n in range(1, 15)] + ["G1"])
    assert len(set(ids)) == len(ids)
