# SPDX-License-Identifier: Apache-2.0
"""Certificate chains: each rule broken once, by certificates built in the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from teeio.core.certificates import (
    ChainPolicy,
    PcieIdentity,
    VerifiedChain,
    decode_utf8_string,
    encode_utf8_string,
    hardware_identity_extension,
    load_root,
    verify_chain,
)
from teeio.errors import LocalError, PeerError
from tests import pki
from tests.pki import Chain, Spec

AT = datetime(2026, 6, 1, tzinfo=UTC)
DMTF = "1.3.6.1.4.1.412.274"
PCIE = PcieIdentity(
    vendor_id=0x1234,
    device_id=0x7EE0,
    class_code=0x120000,
    revision=1,
    subsystem_vendor_id=0x1234,
    subsystem_id=1,
    serial_number=0x020000FFFF000001,
)
PCIE_TEXT = "Vendor=1234:Device=7ee0:CC=120000:REV=01:SSVID=1234:SSID=0001:020000ffff000001"


def other_name(oid: str, der: bytes) -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier(oid), der)


def utf8(text: str) -> bytes:
    """DER UTF8String, written independently (short and one-byte long form)."""
    raw = text.encode()
    return (
        b"\x0c" + bytes([len(raw)]) if len(raw) < 128 else b"\x0c\x81" + bytes([len(raw)])
    ) + raw


def san(*names: x509.OtherName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(list(names)), False


def verify(
    chain: Chain, policy: ChainPolicy | None = None, *, with_root: bool = True
) -> VerifiedChain:
    ders = chain.ders()
    sent = ders if with_root else ders[1:]
    chosen = policy or ChainPolicy(roots=(ders[0],), at=AT)
    if policy is not None and not policy.roots:
        chosen = replace(policy, roots=(ders[0],))
    return verify_chain(pki.structure(sent, ders[0]), "sha384", chosen)


def test_good_chain_with_and_without_the_root_in_it() -> None:
    """The root itself may be left out; RootHash still names it."""
    chain = Chain.standard()
    for with_root in (True, False):
        good = verify(chain, with_root=with_root)
        assert good.leaf_key.public_numbers() == chain.specs[-1].key.public_key().public_numbers()
        assert good.dmtf_name is None and good.pcie_name is None
        assert not good.has_hardware_identity


def test_two_level_chain() -> None:
    """Root and leaf only."""
    chain = Chain([pki.ca("root"), pki.leaf()])
    assert verify(chain).leaf.subject == pki.name("leaf")


def test_names_and_identity_are_read() -> None:
    """Both otherNames and the hardware identity in the SPDM extension."""

    def mutate(specs: list[Spec]) -> None:
        specs[-1].extra += [
            san(
                other_name(f"{DMTF}.1", utf8("ACME:WIDGET:42")),
                other_name("2.23.147", utf8(PCIE_TEXT)),
            ),
            (x509.ExtendedKeyUsage([x509.ObjectIdentifier(f"{DMTF}.3")]), True),
            (
                x509.UnrecognizedExtension(
                    x509.ObjectIdentifier(f"{DMTF}.6"),
                    bytes.fromhex("300e300c060a2b06010401831c821202"),
                ),
                False,
            ),
        ]

    policy = ChainPolicy(
        roots=(),
        at=AT,
        require_responder_eku=True,
        require_hardware_identity=True,
        expected_pcie=PCIE,
    )
    good = verify(Chain.standard(mutate=mutate), policy)
    assert (good.dmtf_name, good.pcie_name) == ("ACME:WIDGET:42", PCIE_TEXT)
    assert good.has_hardware_identity
    other = replace(policy, expected_pcie=replace(PCIE, revision=2))
    with pytest.raises(PeerError, match="the device is"):
        verify(Chain.standard(mutate=mutate), other)


def set_basic(at: int, value: x509.BasicConstraints | None) -> Callable[[list[Spec]], None]:
    def mutate(specs: list[Spec]) -> None:
        specs[at].basic = value

    return mutate


def set_usage(at: int, value: x509.KeyUsage | None) -> Callable[[list[Spec]], None]:
    def mutate(specs: list[Spec]) -> None:
        specs[at].usage = value

    return mutate


def expire(at: int) -> Callable[[list[Spec]], None]:
    def mutate(specs: list[Spec]) -> None:
        specs[at].end = datetime(2026, 5, 31, tzinfo=UTC)

    return mutate


def postpone(at: int) -> Callable[[list[Spec]], None]:
    def mutate(specs: list[Spec]) -> None:
        specs[at].start = datetime(2026, 6, 2, tzinfo=UTC)

    return mutate


def extend(at: int, *extra: tuple[x509.ExtensionType, bool]) -> Callable[[list[Spec]], None]:
    def mutate(specs: list[Spec]) -> None:
        specs[at].extra += extra

    return mutate


def insert_ca(specs: list[Spec]) -> None:
    specs[0].basic = x509.BasicConstraints(ca=True, path_length=1)
    specs.insert(2, pki.ca("second intermediate"))


def many(specs: list[Spec]) -> None:
    specs[1:1] = [pki.ca(f"ca {index}") for index in range(7)]


BROKEN: list[tuple[str, Callable[[list[Spec]], None], str]] = [
    ("leaf expired", expire(-1), "certificate 2: not valid at"),
    ("intermediate expired", expire(1), "certificate 1: not valid at"),
    ("root expired", expire(0), "root: not valid at"),
    ("leaf not yet valid", postpone(-1), "not valid at"),
    ("intermediate is no CA", set_basic(1, x509.BasicConstraints(False, None)), "is no CA"),
    ("intermediate without constraints", set_basic(1, None), "is no CA"),
    ("leaf is a CA", set_basic(-1, x509.BasicConstraints(True, None)), "the leaf is a CA"),
    ("path length", set_basic(0, x509.BasicConstraints(True, 0)), "path length 0"),
    ("path length with two", insert_ca, "path length 1"),
    ("no keyCertSign", set_usage(1, pki.key_usage(sign=True)), "keyCertSign"),
    ("leaf without keyUsage", set_usage(-1, None), "digitalSignature"),
    ("leaf without digitalSignature", set_usage(-1, pki.key_usage(certs=True)), "digitalSignature"),
    ("weak hash", lambda s: setattr(s[-1], "algorithm", hashes.SHA224()), "outside SHA-2"),
    ("too many", many, "more than 8 certificates"),
    (
        "leaf key",
        lambda s: setattr(s[-1], "key", ed25519.Ed25519PrivateKey.generate()),
        "EC nor RSA",
    ),
    (
        "critical unknown",
        extend(
            -1, (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
        ),
        "1.2.3.4 is not understood",
    ),
    (
        "requester only",
        extend(-1, (x509.ExtendedKeyUsage([x509.ObjectIdentifier(f"{DMTF}.4")]), False)),
        "requesters only",
    ),
    ("name of two parts", extend(-1, san(other_name(f"{DMTF}.1", utf8("a:b")))), "manufacturer"),
    (
        "two names",
        extend(-1, san(other_name("2.23.147", utf8("a")), other_name("2.23.147", utf8("b")))),
        "two otherNames",
    ),
    ("name no UTF8String", extend(-1, san(other_name("2.23.147", b"\x04\x01a"))), "no UTF8String"),
]


@pytest.mark.parametrize(("mutate", "reason"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_chains_are_refused(mutate: Callable[[list[Spec]], None], reason: str) -> None:
    """One broken rule, one PeerError that names it."""
    with pytest.raises(PeerError, match=reason) as refused:
        verify(Chain.standard(mutate=mutate))
    assert refused.value.clause and refused.value.data


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"require_responder_eku": True}, "responder EKU"),
        ({"require_hardware_identity": True}, "hardware identity"),
        ({"expected_pcie": PCIE}, "the leaf names None"),
    ],
)
def test_policy_requirements_bite(option: dict[str, object], reason: str) -> None:
    """A plain leaf lacks what the policy asks for."""
    with pytest.raises(PeerError, match=reason):
        verify(Chain.standard(), ChainPolicy(roots=(), at=AT, **option))  # type: ignore[arg-type]


def test_any_extended_key_usage_may_respond() -> None:
    any_purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    chain = Chain.standard(mutate=extend(-1, (any_purpose, False)))
    verify(chain, ChainPolicy(roots=(), at=AT, require_responder_eku=True))


def test_foreign_root_swapped_issuer_and_changed_bytes() -> None:
    """RootHash of a stranger; a leaf of another intermediate; one flipped byte of the leaf."""
    one, two = Chain.standard().ders(), Chain.standard().ders()
    policy = ChainPolicy(roots=(one[0],), at=AT)
    with pytest.raises(PeerError, match="no trusted root"):
        verify_chain(pki.structure(two, two[0]), "sha384", policy)
    with pytest.raises(PeerError, match="certificate 1: not issued"):
        verify_chain(pki.structure([one[0], *two[1:]], one[0]), "sha384", policy)
    with pytest.raises(PeerError, match="certificate 2: not issued"):
        verify_chain(pki.structure([*one[:2], two[2]], one[0]), "sha384", policy)
    with pytest.raises(PeerError, match="certificate 1: not issued"):
        verify_chain(pki.structure([one[0], one[2]], one[0]), "sha384", policy)
    with pytest.raises(PeerError, match="ends at its root"):
        verify_chain(pki.structure([one[0]], one[0]), "sha384", policy)
    changed = bytearray(pki.structure(one, one[0]))
    changed[-1] ^= 1
    with pytest.raises(PeerError):
        verify_chain(bytes(changed), "sha384", policy)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda d: d + b"\x00", "chain Length"),
        (lambda d: d[:-1], "chain Length"),
        (lambda d: d[:2] + b"\x01\x00" + d[4:], "reserved is not zero"),
        (lambda d: relength(d[:52]), "without certificates"),
        (lambda d: relength(d[:51]), "RootHash needs 48 bytes"),
        (lambda d: b"", "needs 2 bytes"),
        (lambda d: relength(d + b"\x04\x00"), "no DER SEQUENCE"),
        (lambda d: relength(d + b"\x30"), "DER header needs 2 bytes"),
        (lambda d: relength(d + b"\x30\x83\x00\x00\x01\x00"), "DER length of 3 bytes"),
        (lambda d: relength(d + b"\x30\x80"), "DER length of 0 bytes"),
        (lambda d: relength(d + b"\x30\x82\xff\xff"), "certificate needs 65535 bytes"),
        (lambda d: relength(d + b"\x30\x00"), "does not parse"),
    ],
)
def test_structure_is_bounded(edit: Callable[[bytes], bytes], reason: str) -> None:
    """Length, reserved half, missing certificates, junk behind the last one."""
    policy = ChainPolicy(roots=(FIXED[0],), at=AT)
    with pytest.raises(PeerError, match=reason):
        verify_chain(edit(pki.structure(FIXED, FIXED[0])), "sha384", policy)


def relength(data: bytes) -> bytes:
    """The same structure with a Length that suits its size."""
    return len(data).to_bytes(2, "little") + data[2:]


@given(st.binary(max_size=300), st.integers(0, 10_000), st.integers(0, 255))
def test_any_bytes_give_peer_error_or_a_chain(junk: bytes, at: int, value: int) -> None:
    """Random structures, and a good one with one byte changed, never escape as another error."""
    policy = ChainPolicy(roots=(FIXED[0],), at=AT)
    body = hashlib.sha384(FIXED[0]).digest() + junk
    changed = bytearray(pki.structure(FIXED, FIXED[0]))
    changed[at % len(changed)] = value
    for data in (junk, (4 + len(body)).to_bytes(2, "little") + bytes(2) + body, bytes(changed)):
        try:
            verify_chain(data, "sha384", policy)
        except PeerError:
            continue
        assert data == pki.structure(FIXED, FIXED[0])


def test_unknown_x509_version_is_a_peer_error() -> None:
    """Version 1 in the leaf's [0]: the parser has an exception of its own for it."""
    policy = ChainPolicy(roots=(FIXED[0],), at=AT)
    leaf = FIXED[-1].replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)
    assert leaf != FIXED[-1]
    with pytest.raises(PeerError, match="does not parse"):
        verify_chain(pki.structure((*FIXED[:-1], leaf), FIXED[0]), "sha384", policy)


FIXED = Chain.standard().ders()


@given(st.text(max_size=200), st.binary(max_size=40))
def test_utf8_string_codec(text: str, junk: bytes) -> None:
    """Round trip, and None (nothing else) for what is no UTF8String."""
    assert decode_utf8_string(encode_utf8_string(text)) == text
    decoded = decode_utf8_string(junk)
    assert decoded is None or encode_utf8_string(decoded) == junk
    short = text[:40]
    if len(short.encode()) < 256:
        assert encode_utf8_string(short) == utf8(short)


def test_pcie_text_form() -> None:
    """The exact string of CMA; without a serial number the last part is absent."""
    assert PCIE.text() == PCIE_TEXT
    assert replace(PCIE, serial_number=0).text() == PCIE_TEXT.rsplit(":", 1)[0]


def test_load_root_takes_pem_and_der() -> None:
    der = FIXED[0]
    pem = x509.load_der_x509_certificate(der).public_bytes(pki.serialization.Encoding.PEM)
    assert load_root(der) == load_root(pem) == der
    with pytest.raises(LocalError):
        load_root(b"-----BEGIN CERTIFICATE-----\nno\n")
    with pytest.raises(LocalError, match="time zone"):
        ChainPolicy(roots=(), at=datetime(2026, 1, 1))


def test_hardware_identity_bytes() -> None:
    """Those of the reference certificates: SEQUENCE OF SEQUENCE {OID 1.3.6.1.4.1.412.274.2}."""
    assert hardware_identity_extension().hex() == "300e300c060a2b06010401831c821202"
