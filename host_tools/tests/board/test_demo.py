# SPDX-License-Identifier: Apache-2.0
"""The main job once on a virtual board; then its records, judged three ways.

One run serves all tests of this file: the demo's own verdicts, the search for secrets in what went
over the link, and the independent check, which must also fail when the evidence is changed.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from teeio.board import Images, VirtualBoard
from teeio.check import judge
from teeio.check.spdm import root_bytes
from teeio.check.trace import STEPS
from teeio.cli.main import app
from teeio.core.device import FunctionDriver
from teeio.core.ide import IdeStream
from teeio.core.memory import HostMemory
from teeio.core.secret import Secret
from teeio.core.spdm_crypto import EphemeralKey
from teeio.demo import Demo, DemoReport, StepRecord
from teeio.host import Host, Recording, policy_for
from teeio.scan import find_secrets, reassemble

PLANTED = bytes.fromhex("5d21c8e07b94f3166a0fd2873ce95b40") * 16
# Where secrets are made: the function that builds a `Secret`, and the calls that are wrapped.
KINDS = {
    "EphemeralKey.agree", "ECDH scalar", "KeySchedule.handshake", "KeySchedule.application",
    "KeySchedule._expand", "Tsm._program_keys", "IDE key at the root port", "private DMA buffer",
    "trusted MMIO write",
}  # fmt: skip


@dataclass
class Run:
    """What one demo left behind."""

    report: DemoReport
    folder: Path
    root: Path
    secrets: dict[str, list[bytes]]
    seconds: dict[str, float]
    planted: Path

    def text(self) -> str:
        return (self.folder / "tlps.txt").read_text()


@dataclass
class Collector:
    """Remembers every secret at the place where it is made."""

    found: dict[str, list[bytes]] = field(default_factory=dict)

    def note(self, kind: str, value: bytes) -> None:
        if len(value) >= 8:
            self.found.setdefault(kind, []).append(bytes(value))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        make, ecdh = Secret.__init__, EphemeralKey.__init__
        key, allocate, write = IdeStream.program_key, HostMemory.allocate, FunctionDriver.write

        def secret(this: Secret, data: bytes | bytearray) -> None:
            caller = sys._getframe(1).f_code.co_qualname
            self.note(caller.partition(".<locals>")[0], data)
            make(this, data)

        def ephemeral(this: EphemeralKey, *args: Any) -> None:
            ecdh(this, *args)
            assert this._key is not None
            self.note("ECDH scalar",
                      this._key.private_numbers().private_value.to_bytes(48, "big"))

        def program_key(this: IdeStream, is_tx: bool, sub: int, key_set: int, data: bytes) -> None:
            self.note("IDE key at the root port", data)
            key(this, is_tx, sub, key_set, data)

        def buffer(this: HostMemory, size: int, **options: Any) -> Any:
            if options["private"]:
                self.note("private DMA buffer", options.get("contents", b""))
            return allocate(this, size, **options)

        def mmio(this: FunctionDriver, offset: int, data: bytes) -> Any:
            if this.tee:
                self.note("trusted MMIO write", data)
            return write(this, offset, data)

        patch.setattr(Secret, "__init__", secret)
        patch.setattr(EphemeralKey, "__init__", ephemeral)
        patch.setattr(IdeStream, "program_key", program_key)
        patch.setattr(HostMemory, "allocate", buffer)
        patch.setattr(FunctionDriver, "write", mmio)


def records_in(folder: Path) -> Recording:
    return Recording(pcap=folder / "doe.pcap", raw=folder / "link.bin", tlps=folder / "tlps.txt")


@pytest.fixture(scope="module")
def run(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The demo with real entropy, then a plaintext written to an unlocked TDI on the same board."""
    folder, other = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("planted")
    collector = Collector()
    seconds: dict[str, float] = {}

    def report(step: StepRecord, done: bool) -> None:
        seconds[step.name] = time.monotonic() - seconds.get(step.name, 0.0)

    with pytest.MonkeyPatch.context() as patch, VirtualBoard(images) as board:
        collector.install(patch)
        host = Host(board.url, policy_for(images), recording=records_in(folder))
        try:
            result = Demo(host, report, host.mark).run()
        finally:
            host.close()
        host = Host(board.url, policy_for(images), recording=records_in(other))
        try:
            host.discover()
            driver = FunctionDriver(host.tsm.tdi_function(0), tee=False)
            host.run(driver.write(0, PLANTED))
            assert host.run(driver.read(0, len(PLANTED))) == PLANTED
        finally:
            host.close()
    yield Run(result, folder, images.root_certificate, collector.found, seconds, other)


# ---- the demo ------------------------------------------------------------------------------------
def test_every_step_of_the_demo_passes(run: Run) -> None:
    """Report ok, all steps there, each with device time of its own."""
    for step in run.report.steps:
        sys.stdout.write(f"{step.name:28} {step.cycles:>10,} cycles"
                         f" {run.seconds[step.name]:6.1f} s\n")
    assert run.report.error == ""
    assert run.report.ok
    assert [s.name for s in run.report.steps] == STEPS
    assert all(s.ok and s.cycles > 0 for s in run.report.steps)
    assert {"SPDM session", "attack", "erasure", "recovery", "end"} <= set(run.report.established)


# ---- secrets -------------------------------------------------------------------------------------
def haystacks(folder: Path) -> dict[str, bytes]:
    """Raw link bytes of both directions, DOE objects, and payloads put together again."""
    return {"link.bin": (folder / "link.bin").read_bytes(),
            "doe.pcap": (folder / "doe.pcap").read_bytes(),
            **reassemble((folder / "tlps.txt").read_text())}


def test_no_secret_crosses_the_link(run: Run) -> None:
    """No 8-byte window of any key, secret or private payload occurs in what was recorded."""
    assert set(run.secrets) >= KINDS, KINDS - set(run.secrets)
    assert len(set(run.secrets["IDE key at the root port"])) == 12  # six for each connect
    assert sum(map(len, run.secrets["private DMA buffer"])) == 3 * 65536
    records = haystacks(run.folder)
    assert len(records["link.bin"]) > 500_000 and len(records["doe.pcap"]) > 10_000
    assert find_secrets(run.secrets, records) == []


def test_the_search_finds_a_plaintext_that_is_there(run: Run) -> None:
    """What is written without IDE is found, raw and reassembled, forwards and backwards."""
    records = haystacks(run.planted)
    assert {"link.bin"} < {leak.where for leak in find_secrets({"p": [PLANTED]}, records)}
    assert find_secrets({"p": [PLANTED[::-1]]}, records)
    swapped = struct.pack(f"<{len(PLANTED) // 4}I", *struct.unpack(f">{len(PLANTED) // 4}I",
                                                                  PLANTED))
    assert find_secrets({"p": [swapped]}, records)
    # One window in the middle of a record is enough, and nothing else is reported.
    hidden = {"r": bytes(100) + PLANTED[4:12] + bytes(100)}
    assert [leak.offset for leak in find_secrets({"p": [PLANTED]}, hidden)] == [100]


# ---- the independent check -----------------------------------------------------------------------
@dataclass
class Record:
    """Evidence that can be changed: DOE objects as (header, bytes), lines of the trace, root."""

    objects: list[tuple[bytes, bytearray]]
    lines: list[str]
    root: bytes

    @classmethod
    def of(cls, run: Run) -> Record:
        data = (run.folder / "doe.pcap").read_bytes()
        objects, at = [], 24
        while at < len(data):
            size = struct.unpack_from("<I", data, at + 8)[0]
            objects.append((data[at:at + 16], bytearray(data[at + 16:at + 16 + size])))
            at += 16 + size
        return cls(objects, run.text().splitlines(), root_bytes(run.root.read_bytes()))

    def failed(self) -> dict[str, str]:
        pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, 292)
        pcap += b"".join(head + body for head, body in self.objects)
        verdicts = judge(pcap, "\n".join(self.lines), self.root)
        assert len(verdicts) > 20
        return {v.name: v.detail for v in verdicts if not v.ok}

    def message(self, code: int, nth: int = 0) -> bytearray:
        """The DOE object that carries an SPDM code in the clear."""
        return [b for _, b in self.objects if b[2] == 1 and b[9] == code][nth]

    def edit(self, step: str, wanted: Callable[[bool, bytes], bool],
             change: Callable[[bytearray], object], nth: int = 0) -> None:
        """Change the nth TLP of a step that is wanted; `change` may empty it to drop it."""
        where = ""
        hits = []
        for i, line in enumerate(self.lines):
            if line.startswith("= "):
                where = line[2:]
            elif where == step and wanted(line[0] == "<", bytes.fromhex(line[2:])):
                hits.append(i)
        i = hits[nth]
        data = bytearray.fromhex(self.lines[i][2:])
        change(data)
        self.lines[i] = f"{self.lines[i][0]} {data.hex()}"
        if not data:
            del self.lines[i]

    def answer(self, step: str, function: int, offset: int, value: int,
               which: slice = slice(0, 1)) -> None:
        """Change the value of reads of a configuration register in a step."""
        register = struct.pack(">HH", function, offset)
        where, tag = "", -1
        hits = []
        for i, line in enumerate(self.lines):
            if line.startswith("= "):
                where = line[2:]
                continue
            data = bytes.fromhex(line[2:])
            if where == step and data[0] == 0x04 and data[8:] == register:
                tag = data[6]
            elif data[0] == 0x4A and data[10] == tag and len(data) == 16:
                hits.append(i)
                tag = -1
        assert hits[which]
        for i in hits[which]:
            self.lines[i] = self.lines[i][:-8] + value.to_bytes(4, "little").hex()


def flip(at: int, bits: int = 1) -> Callable[[bytearray], object]:
    """Flip bits of one byte."""
    def change(data: bytearray) -> None:
        data[at] ^= bits
    return change


def drop(data: bytearray) -> None:
    """Take the TLP out of the trace."""
    data.clear()


def is_ide(kind: int, *, device: bool) -> Callable[[bool, bytes], bool]:
    """An IDE TLP of this Fmt and Type in this direction."""
    return lambda d, data: d == device and data[0] == 0x92 and data[4] == kind


def is_plain(kind: int, *, device: bool) -> Callable[[bool, bytes], bool]:
    """A TLP without IDE of this Fmt and Type in this direction."""
    return lambda d, data: d == device and data[0] == kind


MMIO, DMA, MSI, UNTRUSTED, ATTACK, STOP, RECOVER, END = STEPS[4:]
CONTROL, STATUS, AER_STATUS = 0x1A8, 0x1AC, 0x104
Change = Callable[[Record], object]


def swap_messages(r: Record) -> None:
    """DIGESTS and CERTIFICATE change places."""
    i = next(i for i, (_, b) in enumerate(r.objects) if b[2] == 1 and b[9] == 0x81)
    r.objects[i:i + 4] = r.objects[i + 2:i + 4] + r.objects[i:i + 2]


def other_root(r: Record) -> None:
    """A root with the same names and another key."""
    old = x509.load_der_x509_certificate(r.root)
    key = ec.generate_private_key(ec.SECP384R1())
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=old.subject, subject_name=old.subject, public_key=key.public_key(),
        serial_number=1, not_valid_before=now - timedelta(1), not_valid_after=now + timedelta(9))
    made = made.add_extension(x509.BasicConstraints(True, None), True)
    assert old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    r.root = made.sign(key, hashes.SHA384()).public_bytes(Encoding.DER)


def forged_leaf(r: Record) -> None:
    """The last byte of the leaf (in its signature) changes, and DIGESTS names that chain."""
    for nth in (0, 1):
        portion, digests = r.message(0x02, nth), r.message(0x01, nth)
        size = struct.unpack_from("<H", portion, 12)[0]
        portion[16 + size - 1] ^= 1
        digests[12:60] = hashlib.sha384(portion[16:16 + size]).digest()


def forged_root(r: Record) -> None:
    """The chain claims to end at a root that did not sign it."""
    other_root(r)
    for nth in (0, 1):
        portion, digests = r.message(0x02, nth), r.message(0x01, nth)
        size = struct.unpack_from("<H", portion, 12)[0]
        portion[20:68] = hashlib.sha384(r.root).digest()
        digests[12:60] = hashlib.sha384(portion[16:16 + size]).digest()


def one_session(r: Record) -> None:
    """The second connection is a copy of the first."""
    starts = [i for i, (_, b) in enumerate(r.objects) if b[2] == 1 and b[9] == 0x84]
    r.objects[starts[1]:] = r.objects[starts[0]:starts[1]]


def ide_after_fail(r: Record) -> None:
    """The device sends one more IDE TLP after IDE Fail."""
    i = next(i for i, line in enumerate(r.lines)
             if line.startswith("< 3") and len(line) == 34 and line[16:18] == "55")
    ide = next(line for line in r.lines if line.startswith("< 92"))
    r.lines.insert(i + 2, ide)


def clear_text_dma(r: Record) -> None:
    """One write of the device goes without IDE."""
    def strip(data: bytearray) -> None:
        del data[:4]
        del data[-12:]
    r.edit(DMA, is_ide(0x60, device=True), strip, nth=7)


def half_the_dma(r: Record) -> None:
    """Only some of the first requester's writes were made."""
    writes = [i for i, line in enumerate(r.lines) if line.startswith("< 92")
              and line[10:12] == "60" and line[18:22] == "0101"]
    for i in reversed(writes[:len(writes) // 3 * 2]):
        del r.lines[i]


CHANGES: list[tuple[str, str, Change]] = [
    ("SPDM messages in order", "swapped", swap_messages),
    ("SPDM messages in order", "ERROR for VERSION",
     lambda r: r.message(0x04).__setitem__(9, 0x7F)),
    ("SPDM algorithms", "other DHE group", lambda r: flip(8 + 38, 0x18)(r.message(0x63))),
    ("certificate chain to the given root", "leaf changed",
     lambda r: flip(-20)(r.message(0x02))),
    ("certificate chain to the given root", "leaf and digest changed", forged_leaf),
    ("certificate chain to the given root", "other root", other_root),
    ("certificate chain to the given root", "other root and its hash", forged_root),
    ("certificate chain to the given root", "digest changed",
     lambda r: flip(8 + 4 + 9)(r.message(0x01))),
    ("certificate names the device found", "other device",
     lambda r: r.answer("attest and key", 0x100, 0x2C, 0x00021234)),
    ("certificate names the device found", "another device all the time",
     lambda r: [r.answer(step, 0x100, 0x2C, 0x00021234, slice(None))
                for step in ("discovery", "attest and key", RECOVER)]),
    ("KEY_EXCHANGE_RSP signed by the leaf", "signature", lambda r: flip(-60)(r.message(0x64))),
    ("KEY_EXCHANGE_RSP signed by the leaf", "nonce", lambda r: flip(20)(r.message(0xE4, 1))),
    ("KEY_EXCHANGE_RSP signed by the leaf", "capabilities",
     lambda r: flip(8 + 8)(r.message(0x61))),
    ("records belong to their session", "other session",
     lambda r: flip(8)(next(b for _, b in r.objects if b[2] == 2))),
    ("records belong to their session", "length",
     lambda r: flip(12, 4)(next(b for _, b in r.objects if b[2] == 2))),
    ("every session is a new one", "repeated", one_session),
    ("both records hold the same DOE objects", "one word differs",
     lambda r: r.edit(STOP, lambda d, x: x[0] == 0x44 and x[10:12] == b"\x01\x80", flip(-1), 9)),
    ("steps in order", "a step left out", lambda r: r.lines.remove(f"= {MSI}")),
    ("discovery of four TEE-IO functions", "one absent",
     lambda r: r.answer("discovery", 0x103, 0, 0xFFFFFFFF, slice(None))),
    ("stream enabled and Secure", "Insecure",
     lambda r: r.answer("attest and key", 0x100, STATUS, 0)),
    ("interfaces in RUN", "LOCKED",
     lambda r: r.edit("start", lambda d, x: d and x[0] == 0x4A and x[4:6] == b"\x01\x01"
                      and len(x) == 16, lambda x: x.__setitem__(12, 1))),
    ("trusted MMIO both ways", "write with T=0",
     lambda r: r.edit(MMIO, is_ide(0x60, device=False), flip(3), 3)),
    ("trusted MMIO both ways", "completion with T=0",
     lambda r: r.edit(MMIO, is_ide(0x4A, device=True), flip(3), 3)),
    ("trusted DMA of two interfaces", "write with T=0",
     lambda r: r.edit(DMA, is_ide(0x60, device=True), flip(3), 100)),
    ("trusted DMA of two interfaces", "read with T=0",
     lambda r: r.edit(DMA, is_ide(0x20, device=True), flip(3), 10)),
    ("trusted DMA of two interfaces", "clear text", clear_text_dma),
    ("trusted DMA of two interfaces", "completion lost",
     lambda r: r.edit(DMA, is_ide(0x4A, device=False), drop, 50)),
    ("trusted DMA of two interfaces", "too little", half_the_dma),
    ("IDE Sync from the device", "lost",
     lambda r: [r.edit(DMA, is_ide(0x32, device=True), drop) for _ in range(
         sum(line.startswith("< 92") and line[10:12] == "32" for line in r.lines) - 1)]),
    ("PR_Sent_Counter of every IDE TLP", "a write lost",
     lambda r: r.edit(DMA, is_ide(0x60, device=True), drop, 20)),
    ("PR_Sent_Counter of every IDE TLP", "Sync counter",
     lambda r: r.edit(DMA, is_ide(0x32, device=True), flip(4 + 15))),
    ("MSI-X and its protection", "T=0",
     lambda r: r.edit(MSI, is_ide(0x40, device=True), flip(3))),
    ("MSI-X and its protection", "T=1 for the open table",
     lambda r: r.edit(MSI, is_ide(0x40, device=True), flip(3), 1)),
    ("plain reads of TEE pages refused", "answered",
     lambda r: r.edit(UNTRUSTED, is_plain(0x0A, device=True), lambda x: x.__setitem__(6, 0), 2)),
    ("plain reads of TEE pages refused", "no answer",
     lambda r: r.edit(UNTRUSTED, is_plain(0x0A, device=True), drop)),
    ("attack answered with IDE Fail", "no message",
     lambda r: r.edit(ATTACK, lambda d, x: d and x[0] & 0xF8 == 0x30, drop)),
    ("attack answered with IDE Fail", "other stream",
     lambda r: r.edit(ATTACK, lambda d, x: d and x[0] & 0xF8 == 0x30, flip(11, 6))),
    ("attack answered with IDE Fail", "still Secure",
     lambda r: r.answer(ATTACK, 0x100, STATUS, 2)),
    ("no IDE TLP from IDE Fail to Enable", "one sent", ide_after_fail),
    ("IDE Check Failed in AER", "bit clear", lambda r: r.answer(ATTACK, 0x100, AER_STATUS, 0)),
    ("work memory erased", "one byte left",
     lambda r: r.edit(STOP, lambda d, x: d and x[0] == 0x4A and len(x) > 100, flip(-5), 40)),
    ("work memory erased", "a part not read",
     lambda r: r.edit(STOP, lambda d, x: not d and x[0] == 0x20 and x[3] == 64, drop, 40)),
    ("stream Secure again", "Insecure", lambda r: r.answer(RECOVER, 0x100, STATUS, 0)),
    ("trusted DMA again", "T=0", lambda r: r.edit(RECOVER, is_ide(0x60, device=True), flip(3))),
    ("stream taken down", "still Secure",
     lambda r: r.answer(END, 0x100, STATUS, 2, slice(-1, None))),
    ("stream taken down", "left enabled",
     lambda r: r.edit(END, lambda d, x: not d and x[0] == 0x44
                      and x[10:12] == CONTROL.to_bytes(2, "big"), flip(12), nth=-1)),
]  # fmt: skip


def test_the_independent_check_agrees(run: Run) -> None:
    """All verdicts pass on the records alone; no report and no key is in the folder."""
    assert {p.name for p in run.folder.iterdir()} == {"doe.pcap", "link.bin", "tlps.txt"}
    result = CliRunner().invoke(app, ["check", str(run.folder), "--root", str(run.root)])
    sys.stdout.write(result.stdout)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) > 20 and all(line.startswith("pass  ") for line in lines)


@pytest.mark.parametrize(("verdict", "what", "change"), CHANGES,
                         ids=[f"{v}: {w}" for v, w, _ in CHANGES])
def test_the_check_sees_changed_evidence(run: Run, verdict: str, what: str,
                                         change: Change) -> None:
    """Each kind of evidence, changed in one place, fails the verdict that rests on it."""
    record = Record.of(run)
    change(record)
    assert verdict in record.failed(), what


@pytest.mark.parametrize("name", ["doe.pcap", "tlps.txt"])
def test_the_check_fails_on_cut_records(run: Run, tmp_path: Path, name: str) -> None:
    """A record that ends in the middle of an entry: exit 1, and no traceback."""
    for file in ("doe.pcap", "tlps.txt"):
        data = (run.folder / file).read_bytes()
        (tmp_path / file).write_bytes(data[:len(data) // 2 + 3] if file == name else data)
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--root", str(run.root)])
    assert result.exit_code == 1
    assert "fail  " in result.stdout


def test_the_check_names_what_it_cannot_read(run: Run, tmp_path: Path) -> None:
    """A folder without records is wrong use: exit 2."""
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--root", str(run.root)])
    assert result.exit_code == 2


def test_its_records_are_explained(run: Run) -> None:
    """`teeio decode` reads every TLP and every object of a demo and verifies what is in clear."""
    for name, layer in (("tlps.txt", "TLP"), ("doe.pcap", "secured SPDM")):
        result = CliRunner().invoke(app, ["decode", str(run.folder / name), "--json", "--root",
                                          str(run.root)])
        report = json.loads(result.stdout)
        assert result.exit_code == 0 and report["ok"], report["summary"]
        assert any(entry["layer"] == layer and entry["is_sealed"] for entry in report["entries"])
