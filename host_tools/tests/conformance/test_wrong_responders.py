# SPDX-License-Identifier: Apache-2.0
"""The suite bites: responders that answer one thing wrongly fail the case of that clause."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest

from host_tools.tests.conformance.parts import (
    Change,
    Proxy,
    changed_records,
    failed,
    need_native,
    run_suite,
    vendor,
)


def around(case: str) -> list[str]:
    """The case and those with a similar name: enough, and quicker than the whole group."""
    group, name = case.split(".")[:2]
    return [f"{group}.{name.split('-')[0]}*"]


Payloads = Callable[[bytes, bytes], bytes | None]


def tdisp(code: int, change: Callable[[bytes], bytes]) -> Change:
    """Changes answers with this TDISP code; `change` sees them from the TDISP header on."""
    def on_payload(request: bytes, answer: bytes) -> bytes | None:
        if answer[:1] != b"\x01" or answer[2] != code:
            return None
        return b"\x01" + change(answer[1:])
    return vendor(on_payload)


def error_instead(request_code: int, answer_code: int, error: int) -> Change:
    """TDISP_ERROR in the place of a good answer to `request_code`."""
    def on_payload(request: bytes, answer: bytes) -> bytes | None:
        if request[:1] != b"\x01" or request[2] != request_code or answer[2] != answer_code:
            return None
        return b"\x01\x10\x7f\0\0" + answer[5:17] + struct.pack("<II", error, 0)
    return vendor(on_payload)


def other_error(old: int, new: int) -> Change:
    """Every TDISP_ERROR `old` becomes `new`."""
    return tdisp(0x7F, lambda m: m[:16] + struct.pack("<I", new) + m[20:]
                 if m[16:20] == struct.pack("<I", old) else m)


def stop_refused_when_unlocked() -> Change:
    """STOP is refused unless something was locked since the last one."""
    locked = [False]

    def on_payload(request: bytes, answer: bytes) -> bytes | None:
        if request[:1] != b"\x01":
            return None
        if answer[2] == 0x03:
            locked[0] = True
        if answer[2] == 0x07 and not locked[0]:
            return b"\x01\x10\x7f\0\0" + answer[5:17] + struct.pack("<II", 4, 0)
        if answer[2] == 0x07:
            locked[0] = False
        return None
    return vendor(on_payload)


def ide_km(object_id: int, change: Callable[[bytes], bytes]) -> Change:
    """Changes answers with this IDE_KM object id."""
    return vendor(lambda request, answer: change(answer)
                  if answer[:1] == b"\0" and answer[1] == object_id else None)


def ack_status(old: int, new: int) -> Change:
    """Every KP_ACK status `old` becomes `new`."""
    return ide_km(3, lambda m: m[:5] + bytes([new]) + m[6:] if m[5] == old else m)


def spdm_error(request_code: int, old: int, new: int) -> Change:
    """ERROR `old` to this request becomes `new`."""
    return lambda q, a: (a[:2] + bytes([new]) + a[3:]
                         if q[1] == request_code and a[1:3] == bytes([0x7F, old]) else a)


def constant_nonce(message: bytes) -> bytes:
    at = 8 + int.from_bytes(message[5:8], "little")
    return message[:at] + bytes(range(32)) + message[at + 32:]


def state_in_run(message: bytes) -> bytes:
    return message[:16] + (b"\x01" if message[16] == 2 else message[16:])


FIXED_NONCE = tdisp(0x03, lambda m: m[:16] + m[16:24] + bytes(24))

WRONG: dict[str, tuple[Change, str]] = {
    "state of RUN is told as CONFIG_LOCKED": (tdisp(0x05, state_in_run), "tdisp.state-in-run"),
    "wrong error code for a wrong state": (other_error(4, 1), "tdisp.lock-in-locked"),
    "wrong error code for a wrong nonce": (other_error(0x102, 4), "tdisp.start-wrong-nonce"),
    "wrong error code for an unknown interface": (other_error(0x101, 1), "tdisp.interface.*"),
    "STOP refused in CONFIG_UNLOCKED": (stop_refused_when_unlocked(), "tdisp.stop-in-unlocked"),
    "report length off by one": (
        tdisp(0x04, lambda m: m[:18] + struct.pack("<H", (m[18] | m[19] << 8) + 1) + m[20:]),
        "tdisp.report-in-locked"),
    "reserved attribute bit in the report": (
        tdisp(0x04, lambda m: m[:49] + bytes([m[49] | 0x80]) + m[50:] if len(m) > 50 else m),
        "tdisp.report-structure"),
    "interface not echoed": (tdisp(0x01, lambda m: m[:4] + b"\xff" + m[5:]), "tdisp.version"),
    "one byte too many": (tdisp(0x01, lambda m: m + b"\0"), "tdisp.version"),
    "mandatory request missing": (
        tdisp(0x02, lambda m: m[:20] + bytes([m[20] & 0x7F]) + m[21:]), "tdisp.capabilities"),
    "address width 48": (tdisp(0x02, lambda m: m[:41] + b"\x30" + m[42:]), "tdisp.capabilities"),
    "part of the nonce is constant": (FIXED_NONCE, "tdisp.nonce.fresh"),
    "report refused in RUN": (error_instead(0x84, 0x04, 4), "tdisp.report-in-run"),
    "KP_ACK of a wrong IFV says success": (ack_status(3, 0), "ide_km.key-prog-ifv"),
    "KP_ACK of a cut key has another status": (ack_status(1, 3), "ide_km.key-prog-short"),
    "KP_ACK of a wrong port has another status": (ack_status(2, 3), "ide_km.key-prog-port"),
    "K_GOSTOP_ACK without the sub-stream": (
        ide_km(6, lambda m: m[:6] + bytes([m[6] & 0x0F]) + m[7:]), "ide_km.go-k0"),
    "QUERY_RESP cut by one DW": (ide_km(1, lambda m: m[:12]), "ide_km.query"),
    "QUERY_RESP names another function": (
        ide_km(1, lambda m: m[:4] + bytes([m[4] ^ 1]) + m[5:]), "ide_km.query-registers"),
    "wrong operation is unexpected, not invalid": (
        spdm_error(0xE9, 1, 4), "spdm.key-update.operation-00.*"),
    "HEARTBEAT_ACK with a parameter": (
        lambda q, a: a[:2] + b"\1" + a[3:] if a[1] == 0x68 else a, "spdm.heartbeat.valid.*"),
    "wrong HMAC in FINISH is invalid, not DecryptError": (
        spdm_error(0xE5, 6, 1), "spdm.finish.hmac.*"),
}
PLAIN: dict[str, tuple[Change, str]] = {
    "no session: unexpected, not SessionRequired": (
        spdm_error(0xE8, 0x0B, 4), "spdm.heartbeat.outside.*"),
    "unknown code: data is not the code": (
        lambda q, a: a[:3] + b"\0" + a[4:] if a[1:3] == b"\x7f\x07" else a, "spdm.code.80.*"),
    "VersionMismatch told as InvalidRequest": (
        lambda q, a: a[:2] + b"\1" + a[3:] if a[1:3] == b"\x7f\x41" else a,
        "spdm.version.mismatch"),
    "a block too few in unsigned MEASUREMENTS": (
        lambda q, a: a[:4] + bytes([a[4] - 1]) + a[5:]
        if a[1] == 0x60 and q[2:4] == b"\0\xff" else a, "spdm.measurements.all.*"),
    "unsigned measurement nonce is constant": (
        lambda q, a: constant_nonce(a) if a[1] == 0x60 and not q[2] & 1 else a,
        "spdm.measurements.nonce.*"),
    "certificate beyond the end": (
        lambda q, a: a[:1] + b"\x02\0\0" + bytes(4) if q[1] == 0x82 and a[1:3] == b"\x7f\1"
        else a, "spdm.certificate.offset-ffff.*"),
}
DISCOVERY: dict[str, tuple[Change, str]] = {
    "an index beyond the list is Discovery again": (
        lambda q, a: b"\1\0\0\0" if q[0] == 0xFF else a, "doe.discovery.beyond"),
    "index 0 is not Discovery": (
        lambda q, a: b"\1\0\x07" + a[3:] if q[0] == 0 else a, "doe.discovery.first"),
}


@pytest.mark.parametrize(("change", "case"), PLAIN.values(), ids=PLAIN.keys())
def test_a_wrong_answer_outside_of_sessions(change: Change, case: str) -> None:
    need_native()
    report = run_suite(Proxy(plain=change), around(case))
    assert not report.diagnosis
    assert any(fnmatchcase(name, case) for name in failed(report)), failed(report)


def test_a_wrong_discovery() -> None:
    """Where the sanity case needs the answer, the run ends with a diagnosis instead."""
    need_native()
    change, case = DISCOVERY["an index beyond the list is Discovery again"]
    assert failed(run_suite(Proxy(discovery=change), ["doe"])) == [case]
    change, _ = DISCOVERY["index 0 is not Discovery"]
    report = run_suite(Proxy(discovery=change), ["doe"])
    assert "index 0 is not DOE Discovery" in report.diagnosis


REGISTERS: dict[str, tuple[Callable[[int, int, int], int], str]] = {
    "no FLR": (lambda bdf, at, v: v & ~(1 << 28) if at == 0x74 else v,
               "config.device-capabilities"),
    "MSI-X PBA in the table's page": (
        lambda bdf, at, v: 0x2010 if at == 0xB8 else v, "config.msix-pages"),
    "multi-function bit in function 0 alone": (
        lambda bdf, at, v: v & ~(1 << 23) if at == 0x0C and bdf & 7 else v, "config.identity"),
    "State is always Insecure": (
        lambda bdf, at, v: v & ~0xF if at == 0x1AC else v, "ide_km.secure-k0"),
}
LOST: dict[str, tuple[Callable[[int, int, int], bool], str]] = {
    "Bus Master Enable": (lambda bdf, at, v: bdf == 0x101 and at == 4 and v & 6 == 2,
                          "config.bus-master-in-run"),
    "BAR0": (lambda bdf, at, v: bdf == 0x101 and at == 0x10 and v >> 24 == 1,
             "config.bar0-in-locked"),
    "FLR": (lambda bdf, at, v: at == 0x78 and v & 1 << 15 != 0, "config.flr-in-run"),
}


@pytest.mark.parametrize(("change", "case"), REGISTERS.values(), ids=REGISTERS.keys())
def test_a_wrong_register(change: Callable[[int, int, int], int], case: str) -> None:
    need_native()
    report = run_suite(Proxy(registers=change), around(case))
    assert not report.diagnosis
    assert case in failed(report), failed(report)


@pytest.mark.parametrize(("loses", "case"), LOST.values(), ids=LOST.keys())
def test_a_register_write_that_goes_unnoticed(loses: Callable[[int, int, int], bool],
                                              case: str) -> None:
    need_native()
    assert case in failed(run_suite(Proxy(loses=loses), around(case)))


@pytest.mark.parametrize(("change", "case"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_turns_the_case_red(monkeypatch: pytest.MonkeyPatch, change: Change,
                                           case: str) -> None:
    need_native()
    with changed_records(monkeypatch, change):
        report = run_suite(Proxy(), around(case))
    red = failed(report)
    assert not report.diagnosis
    assert report.exit_code == 1
    assert any(fnmatchcase(name, case) for name in red), red


def test_one_wrong_answer_does_not_cast_doubt_on_the_others(monkeypatch: pytest.MonkeyPatch
                                                            ) -> None:
    """The most common mistake of public responders: every other clause is still judged."""
    need_native()
    with changed_records(monkeypatch, stop_refused_when_unlocked()):
        report = run_suite(Proxy())
    assert not report.diagnosis
    assert {"tdisp.stop-in-unlocked", "tdisp.matrix.stop-in-unlocked"} == set(failed(report))
