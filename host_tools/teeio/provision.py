# SPDX-License-Identifier: Apache-2.0
"""Makes a laboratory PKI and the identity of one device.

Three certificates: root, intermediate, device leaf (P-384, SHA-384). The root and intermediate
keys exist only while this runs: a second device gets a PKI of its own, or `issue_device` is called
again with the same `LabCa`. Nothing here is fit for a product.

Files written by `write_identity`:

    root.pem           trust anchor for the host
    root.der, intermediate.der, leaf.der    the chain in pieces; chain.der is their concatenation
    slot0.bin          the slot structure: Length, reserved, RootHash (SHA-384), chain
    slot0.hex          the same for $readmemh: word 0 = its size in bytes, then the bytes as 32-bit
                       little-endian words, zero padded, one word a line
    identity.pem       private key of the leaf, mode 0600
    identity.hex       its scalar for $readmemh: 12 words, most significant first, mode 0600
    device.json        names, fingerprints, validity: nothing secret
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from teeio.core.certificates import (
    OID_DMTF_DEVICE_INFO,
    OID_EKU_RESPONDER,
    OID_PCIE_DEVICE_INFO,
    OID_SPDM_EXTENSION,
    ChainStructure,
    PcieIdentity,
    encode_utf8_string,
    hardware_identity_extension,
)
from teeio.core.spdm_crypto import Rng
from teeio.errors import LocalError

LAB_IDENTITY: Final = PcieIdentity(
    vendor_id=0x1234,
    device_id=0x7EE0,
    class_code=0x120000,
    revision=0x01,
    subsystem_vendor_id=0x1234,
    subsystem_id=0x0001,
    serial_number=0x020000FFFF000001,
)
"""What the configuration space of the device says."""

DEFAULT_SERIAL: Final = "0001"
SEEDED_NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CA_LIFETIME: Final = timedelta(days=30 * 365)
_NO_EXPIRY: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SCALAR_BYTES: Final = 48
_SLOT_LIMIT: Final = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class LabCa:
    """Root and intermediate with the key that issues devices."""

    root: x509.Certificate
    intermediate: x509.Certificate
    intermediate_key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """A device's certificate chain and its private key."""

    ca: LabCa
    leaf: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    dmtf_name: str
    pcie: PcieIdentity

    @property
    def slot_structure(self) -> bytes:
        """Content of certificate slot 0 (base hash SHA-384)."""
        ders = tuple(_der(item) for item in (self.ca.root, self.ca.intermediate, self.leaf))
        root_hash = hashlib.sha384(ders[0]).digest()
        return ChainStructure(root_hash=root_hash, certificates=ders).encode()


def make_lab_ca(rng: Rng | None = None, not_before: datetime | None = None) -> LabCa:
    """A new root and intermediate.

    Args:
        rng: source of keys and serial numbers; deterministic output if given, else the system's.
        not_before: start of validity; yesterday, or 2026-01-01 if `rng` is given.
    """
    draw = rng or os.urandom
    start = _start(rng, not_before)
    root_key = _new_key(draw)
    intermediate_key = _new_key(draw)
    root_name = _name("teeio lab root")
    intermediate_name = _name("teeio lab intermediate")
    root = _sign(
        _builder(root_name, root_name, root_key.public_key(), root_key.public_key(), draw)
        .not_valid_before(start)
        .not_valid_after(start + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True),
        root_key,
    )
    intermediate = _sign(
        _builder(
            intermediate_name,
            root_name,
            intermediate_key.public_key(),
            root_key.public_key(),
            draw,
        )
        .not_valid_before(start)
        .not_valid_after(start + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True),
        root_key,
    )
    return LabCa(root=root, intermediate=intermediate, intermediate_key=intermediate_key)


def issue_device(
    ca: LabCa,
    *,
    serial: str = DEFAULT_SERIAL,
    pcie: PcieIdentity = LAB_IDENTITY,
    rng: Rng | None = None,
    not_before: datetime | None = None,
) -> DeviceIdentity:
    """A new device key and its leaf certificate; arguments as in `make_lab_ca`.

    Raises:
        LocalError: if `serial` contains a colon, which separates the parts of the DMTF name.
    """
    if not serial or ":" in serial:
        raise LocalError(f"serial number {serial!r} must be text without a colon")
    draw = rng or os.urandom
    key = _new_key(draw)
    dmtf_name = f"teeio:endpoint:{serial}"
    san = x509.SubjectAlternativeName(
        [
            x509.OtherName(OID_DMTF_DEVICE_INFO, encode_utf8_string(dmtf_name)),
            x509.OtherName(OID_PCIE_DEVICE_INFO, encode_utf8_string(pcie.text())),
        ]
    )
    subject = _name(f"teeio endpoint {serial}")
    issuer_key = ca.intermediate_key
    builder = (
        _builder(subject, ca.intermediate.subject, key.public_key(), issuer_key.public_key(), draw)
        .not_valid_before(_start(rng, not_before))
        .not_valid_after(_NO_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([OID_EKU_RESPONDER]), critical=False)
        .add_extension(san, critical=False)
        .add_extension(
            x509.UnrecognizedExtension(OID_SPDM_EXTENSION, hardware_identity_extension()),
            critical=False,
        )
    )
    leaf = _sign(builder, issuer_key)
    return DeviceIdentity(ca=ca, leaf=leaf, key=key, dmtf_name=dmtf_name, pcie=pcie)


def make_lab_pki(
    directory: Path,
    *,
    serial: str = DEFAULT_SERIAL,
    pcie: PcieIdentity = LAB_IDENTITY,
    rng: Rng | None = None,
    not_before: datetime | None = None,
    ca: LabCa | None = None,
) -> DeviceIdentity:
    """Makes (or extends) a PKI, issues one device, and writes its files into `directory`.

    Args:
        directory: created if absent; files in it are replaced.
        serial: serial number in the DMTF name.
        pcie: identity registers that the leaf names.
        rng: deterministic source for reproducible builds and tests; else the system's.
        not_before: start of validity.
        ca: issue under this lab CA instead of a new one.
    """
    authority = ca or make_lab_ca(rng, not_before)
    device = issue_device(authority, serial=serial, pcie=pcie, rng=rng, not_before=not_before)
    write_identity(device, directory)
    return device


def write_identity(device: DeviceIdentity, directory: Path) -> None:
    """Writes the files listed at the top of this module."""
    directory.mkdir(parents=True, exist_ok=True)
    ders = {
        "root.der": _der(device.ca.root),
        "intermediate.der": _der(device.ca.intermediate),
        "leaf.der": _der(device.leaf),
    }
    for name, der in ders.items():
        (directory / name).write_bytes(der)
    (directory / "chain.der").write_bytes(b"".join(ders.values()))
    root_pem = device.ca.root.public_bytes(serialization.Encoding.PEM)
    (directory / "root.pem").write_bytes(root_pem)
    slot = device.slot_structure
    (directory / "slot0.bin").write_bytes(slot)
    (directory / "slot0.hex").write_text(slot_hex(slot), encoding="ascii")
    pem = device.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_private(directory / "identity.pem", pem)
    scalar = device.key.private_numbers().private_value.to_bytes(_SCALAR_BYTES, "big")
    _write_private(directory / "identity.hex", scalar_hex(scalar).encode("ascii"))
    about = {
        "dmtf_name": device.dmtf_name,
        "pcie_name": device.pcie.text(),
        "algorithm": "ECDSA P-384, SHA-384",
        "slot0_bytes": len(slot),
        "root_sha384": hashlib.sha384(ders["root.der"]).hexdigest(),
        "slot0_sha384": hashlib.sha384(slot).hexdigest(),
        "public_key": _public_point(device.key).hex(),
        "not_before": device.leaf.not_valid_before_utc.isoformat(),
        "not_after": device.leaf.not_valid_after_utc.isoformat(),
    }
    (directory / "device.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def slot_hex(structure: bytes) -> str:
    """The text of slot0.hex.

    Raises:
        LocalError: if the structure is longer than a slot can say.
    """
    if len(structure) > _SLOT_LIMIT:
        raise LocalError(f"a slot structure of {len(structure)} bytes exceeds 65535")
    padded = structure + bytes(-len(structure) % 4)
    words = [len(structure)]
    words += [int.from_bytes(padded[at : at + 4], "little") for at in range(0, len(padded), 4)]
    return "".join(f"{word:08x}\n" for word in words)


def scalar_hex(scalar: bytes) -> str:
    """The text of identity.hex: words of 32 bits, most significant first."""
    return "".join(f"{scalar[at : at + 4].hex()}\n" for at in range(0, len(scalar), 4))


def _write_private(path: Path, content: bytes) -> None:
    """Replaces `path` by a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _start(rng: Rng | None, not_before: datetime | None) -> datetime:
    if not_before is not None:
        return not_before
    if rng is not None:
        return SEEDED_NOT_BEFORE
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def _new_key(draw: Callable[[int], bytes]) -> ec.EllipticCurvePrivateKey:
    """FIPS 186-5, A.2.1: 64 bits more than the order, reduced."""
    curve = ec.SECP384R1()
    seed = int.from_bytes(draw(_SCALAR_BYTES + 8), "big")
    return ec.derive_private_key(seed % (curve.group_order - 1) + 1, curve)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "teeio laboratory"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    draw: Callable[[int], bytes],
) -> x509.CertificateBuilder:
    serial = int.from_bytes(draw(16), "big") >> 1 | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Signs with RFC 6979 nonces: the certificate depends on its inputs alone."""
    return builder.sign(key, hashes.SHA384(), ecdsa_deterministic=True)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
