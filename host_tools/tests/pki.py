# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, built with `cryptography` and breakable one rule at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2035, 1, 1, tzinfo=UTC)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_usage(*, sign: bool = False, certs: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, certs, False, False, False)


@dataclass
class Spec:
    """One certificate. None for an extension value leaves it out."""

    subject: str
    key: Key
    basic: x509.BasicConstraints | None = None
    usage: x509.KeyUsage | None = None
    extra: list[tuple[x509.ExtensionType, bool]] = field(default_factory=list)
    start: datetime = START
    end: datetime = END
    algorithm: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)


def ca(subject: str, key: Key | None = None, path_length: int | None = None) -> Spec:
    return Spec(
        subject,
        key or ec.generate_private_key(ec.SECP384R1()),
        basic=x509.BasicConstraints(ca=True, path_length=path_length),
        usage=key_usage(certs=True),
    )


def leaf(key: Key | None = None, subject: str = "leaf") -> Spec:
    return Spec(
        subject,
        key or ec.generate_private_key(ec.SECP384R1()),
        basic=x509.BasicConstraints(ca=False, path_length=None),
        usage=key_usage(sign=True),
    )


def issue(spec: Spec, issuer: Spec) -> bytes:
    """DER of `spec` signed by `issuer`."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(spec.subject))
        .issuer_name(name(issuer.subject))
        .public_key(spec.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(spec.start)
        .not_valid_after(spec.end)
    )
    if spec.basic is not None:
        builder = builder.add_extension(spec.basic, critical=True)
    if spec.usage is not None:
        builder = builder.add_extension(spec.usage, critical=True)
    for extension, critical in spec.extra:
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(issuer.key, spec.algorithm)
    return signed.public_bytes(serialization.Encoding.DER)


@dataclass
class Chain:
    """Root to leaf; `mutate` may change the specs before they are issued."""

    specs: list[Spec]

    @classmethod
    def standard(
        cls, leaf_key: Key | None = None, mutate: Callable[[list[Spec]], None] | None = None
    ) -> Chain:
        specs = [ca("root"), ca("intermediate"), leaf(leaf_key)]
        if mutate:
            mutate(specs)
        return cls(specs)

    def ders(self) -> list[bytes]:
        issuers = [self.specs[0], *self.specs[:-1]]
        return [issue(spec, issuer) for spec, issuer in zip(self.specs, issuers, strict=True)]


def structure(ders: list[bytes], root: bytes, hash_name: str = "sha384") -> bytes:
    """The slot structure, put together by hand."""
    body = hashlib.new(hash_name, root).digest() + b"".join(ders)
    return (4 + len(body)).to_bytes(2, "little") + b"\x00\x00" + body
