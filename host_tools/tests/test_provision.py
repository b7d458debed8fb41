# SPDX-License-Identifier: Apache-2.0
"""The lab PKI: files, formats, and that the requester accepts what it makes."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from teeio.core.certificates import ChainPolicy, load_root, verify_chain
from teeio.core.drive import run
from teeio.core.ops import DoeExchange, Op, OpResult
from teeio.core.spdm_flow import Session, connect_session
from teeio.core.spdm_requester import RequesterConfig
from teeio.errors import LocalError
from teeio.provision import LAB_IDENTITY, issue_device, make_lab_ca, make_lab_pki
from tests.responder import Responder

AT = datetime(2026, 6, 1, tzinfo=UTC)
PCIE_TEXT = "Vendor=1234:Device=7ee0:CC=120000:REV=01:SSVID=1234:SSID=0001:020000ffff000001"
FILES = {
    "root.pem", "root.der", "intermediate.der", "leaf.der", "chain.der", "slot0.bin", "slot0.hex",
    "identity.hex", "identity.pem", "device.json",
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    make_lab_pki(tmp_path / "lab", rng=random.Random(7).randbytes)
    return tmp_path / "lab"


def policy(lab: Path) -> ChainPolicy:
    return ChainPolicy(
        roots=(load_root((lab / "root.pem").read_bytes()),),
        at=AT,
        require_responder_eku=True,
        require_hardware_identity=True,
        expected_pcie=LAB_IDENTITY,
    )


def test_files_and_modes(lab: Path) -> None:
    """All files are there; the two that hold the key are for the owner alone."""
    assert {item.name for item in lab.iterdir()} == FILES
    for name in ("identity.pem", "identity.hex"):
        assert stat.S_IMODE((lab / name).stat().st_mode) == 0o600


def test_hex_files_hold_what_readmemh_expects(lab: Path) -> None:
    """slot0: byte count, then little-endian words; identity: 12 words, most significant first."""
    slot = (lab / "slot0.bin").read_bytes()
    lines = (lab / "slot0.hex").read_text().split("\n")
    assert lines.pop() == "" and all(len(line) == 8 for line in lines)
    words = [int(line, 16) for line in lines]
    assert words[0] == len(slot) and len(words) == 1 + (len(slot) + 3) // 4
    image = b"".join(word.to_bytes(4, "little") for word in words[1:])
    assert image[: len(slot)] == slot and not any(image[len(slot) :])

    words_of_key = (lab / "identity.hex").read_text().split()
    assert len(words_of_key) == 12 and all(len(word) == 8 for word in words_of_key)
    key = serialization.load_pem_private_key((lab / "identity.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert int("".join(words_of_key), 16) == key.private_numbers().private_value
    leaf = x509.load_der_x509_certificate((lab / "leaf.der").read_bytes())
    assert leaf.public_key() == key.public_key()


def test_slot_structure_and_chain(lab: Path) -> None:
    """Length, reserved, SHA-384 of the root, then root, intermediate, leaf."""
    slot = (lab / "slot0.bin").read_bytes()
    pieces = [(lab / f"{name}.der").read_bytes() for name in ("root", "intermediate", "leaf")]
    assert slot[:4] == len(slot).to_bytes(2, "little") + b"\x00\x00"
    assert slot[4:52] == hashlib.sha384(pieces[0]).digest()
    assert slot[52:] == b"".join(pieces) == (lab / "chain.der").read_bytes()
    good = verify_chain(slot, "sha384", policy(lab))
    assert good.dmtf_name == "teeio:endpoint:0001" and good.pcie_name == PCIE_TEXT
    about = json.loads((lab / "device.json").read_text())
    assert about["pcie_name"] == PCIE_TEXT
    assert about["slot0_bytes"] == len(slot)
    assert about["slot0_sha384"] == hashlib.sha384(slot).hexdigest()
    key = serialization.load_pem_private_key((lab / "identity.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert f"{key.private_numbers().private_value:096x}" not in (lab / "device.json").read_text()


def test_a_seed_makes_it_reproducible_and_nothing_else_does(tmp_path: Path) -> None:
    """Equal seeds, equal files; without one every run differs."""
    make_lab_pki(tmp_path / "a", rng=random.Random(1).randbytes)
    make_lab_pki(tmp_path / "b", rng=random.Random(1).randbytes)
    make_lab_pki(tmp_path / "c", rng=random.Random(2).randbytes)
    make_lab_pki(tmp_path / "d")
    make_lab_pki(tmp_path / "e")

    def content(name: str) -> dict[str, bytes]:
        return {item.name: item.read_bytes() for item in (tmp_path / name).iterdir()}

    assert content("a") == content("b")
    keys = {content(name)["identity.hex"] for name in "acde"}
    assert len(keys) == 4
    now = datetime.now(UTC)
    leaf = x509.load_der_x509_certificate(content("d")["leaf.der"])
    assert leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc


def test_one_ca_issues_several_devices(tmp_path: Path) -> None:
    """Two devices under one root have different keys and names; both verify."""
    ca = make_lab_ca(random.Random(3).randbytes)
    rng = random.Random(4).randbytes
    one = make_lab_pki(tmp_path / "one", serial="A1", ca=ca, rng=rng)
    two = make_lab_pki(tmp_path / "two", serial="A2", ca=ca, rng=rng)
    assert one.key.private_numbers() != two.key.private_numbers()
    for name, serial in (("one", "A1"), ("two", "A2")):
        slot = (tmp_path / name / "slot0.bin").read_bytes()
        good = verify_chain(slot, "sha384", policy(tmp_path / "one"))
        assert good.dmtf_name == f"teeio:endpoint:{serial}"
    with pytest.raises(LocalError, match="colon"):
        issue_device(ca, serial="a:b")


def test_writing_again_replaces_a_readable_key_file(tmp_path: Path) -> None:
    """An existing identity.pem with open permissions does not stay readable."""
    (tmp_path / "identity.pem").write_text("old")
    (tmp_path / "identity.pem").chmod(0o644)
    make_lab_pki(tmp_path, rng=random.Random(5).randbytes)
    assert stat.S_IMODE((tmp_path / "identity.pem").stat().st_mode) == 0o600
    assert "old" not in (tmp_path / "identity.pem").read_text()


def test_a_device_with_this_identity_gets_a_session(lab: Path) -> None:
    """The requester, strict about the identity, takes the chain and verifies its signatures."""
    key = serialization.load_pem_private_key((lab / "identity.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    device = Responder(key=key, structure=(lab / "slot0.bin").read_bytes())

    def perform(op: Op) -> OpResult:
        assert isinstance(op, DoeExchange)
        return device.handle(op.request)

    steps = connect_session(RequesterConfig(strict=True), policy(lab), random.Random(6).randbytes)
    session = run(steps, perform)
    assert isinstance(session, Session)
    assert session.spdm.start.chain.pcie_name == PCIE_TEXT


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to ask for its opinion")
def test_openssl_accepts_the_chain(lab: Path, tmp_path: Path) -> None:
    """Another implementation verifies root, intermediate and leaf, and reads the key."""
    pem = {}
    for name in ("intermediate", "leaf"):
        certificate = x509.load_der_x509_certificate((lab / f"{name}.der").read_bytes())
        pem[name] = tmp_path / f"{name}.pem"
        pem[name].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    verdict = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", lab / "root.pem",
         "-untrusted", pem["intermediate"], pem["leaf"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
