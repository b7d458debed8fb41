# SPDX-License-Identifier: Apache-2.0
"""Certificate chains of SPDM slots: parsing, and verification against a given root.

A slot structure is Length u16 | reserved u16 | RootHash H | DER certificates, root or first
intermediate first, leaf last (DSP0274 1.2, "Certificates and certificate chains"). The PCIe rules
(CMA, PCIe Base 6.1, 6.31.3) add a subject alternative name that ties the leaf to the device's
configuration space.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from teeio.core.spdm_crypto import PublicKey
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.reader import Reader, Writer

DMTF_OID: Final = "1.3.6.1.4.1.412.274"
OID_DMTF_DEVICE_INFO: Final = x509.ObjectIdentifier(f"{DMTF_OID}.1")
OID_HARDWARE_IDENTITY: Final = x509.ObjectIdentifier(f"{DMTF_OID}.2")
OID_EKU_RESPONDER: Final = x509.ObjectIdentifier(f"{DMTF_OID}.3")
OID_EKU_REQUESTER: Final = x509.ObjectIdentifier(f"{DMTF_OID}.4")
OID_SPDM_EXTENSION: Final = x509.ObjectIdentifier(f"{DMTF_OID}.6")
OID_PCIE_DEVICE_INFO: Final = x509.ObjectIdentifier("2.23.147")

MAX_CERTIFICATES: Final = 8
MAX_CHAIN_BYTES: Final = 0xFFFF
_UTF8_STRING_TAG: Final = 0x0C
_SEQUENCE_TAG: Final = 0x30
_GOOD_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD_EXTENSIONS: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        OID_SPDM_EXTENSION,
    }
)

CLAUSE_CHAIN: Final = "DSP0274 certificate chain format"
CLAUSE_X509: Final = "RFC 5280 6.1 path validation"
CLAUSE_LEAF: Final = "DSP0274 leaf certificate requirements"
CLAUSE_CMA: Final = "PCIe Base 6.1, 6.31.3: subject alternative name of the leaf"


@dataclass(frozen=True, slots=True, kw_only=True)
class PcieIdentity:
    """The identity registers of a Type 0 function, as CMA writes them into the leaf.

    Attributes:
        class_code: 24 bits.
        serial_number: Device Serial Number, 64 bits; 0 = the capability is absent.
    """

    vendor_id: int
    device_id: int
    class_code: int
    revision: int
    subsystem_vendor_id: int
    subsystem_id: int
    serial_number: int = 0

    def text(self) -> str:
        """The exact string: lower-case hex, zero padded."""
        parts = [
            f"Vendor={self.vendor_id:04x}",
            f"Device={self.device_id:04x}",
            f"CC={self.class_code:06x}",
            f"REV={self.revision:02x}",
            f"SSVID={self.subsystem_vendor_id:04x}",
            f"SSID={self.subsystem_id:04x}",
        ]
        if self.serial_number:
            parts.append(f"{self.serial_number:016x}")
        return ":".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStructure:
    """The content of one certificate slot."""

    root_hash: bytes
    certificates: tuple[bytes, ...]

    def encode(self) -> bytes:
        body = self.root_hash + b"".join(self.certificates)
        w = Writer().u16(4 + len(body), "chain length").u16(0)
        return w.raw(body).done()

    @classmethod
    def decode(cls, r: Reader, hash_size: int) -> ChainStructure:
        """Splits the structure at the DER lengths; the certificates are not looked into."""
        start_remaining = r.remaining
        length = r.u16("chain length")
        r.reserved(2, "chain length reserved")
        if length != start_remaining:
            r.fail(f"chain Length {length}, but {start_remaining} bytes are there", offset=0)
        root_hash = r.take(hash_size, "RootHash")
        certificates: list[bytes] = []
        while r.remaining:
            if len(certificates) == MAX_CERTIFICATES:
                r.fail(f"more than {MAX_CERTIFICATES} certificates")
            certificates.append(_take_der_sequence(r))
        if not certificates:
            r.fail("a chain without certificates")
        return cls(root_hash=root_hash, certificates=tuple(certificates))


def _take_der_sequence(r: Reader) -> bytes:
    """The next DER SEQUENCE, whole, with a length of at most two bytes."""
    head = r.take(2, "DER header")
    if head[0] != _SEQUENCE_TAG:
        r.fail("no DER SEQUENCE where a certificate is due", offset=r.offset - 2)
    size = head[1]
    if size >= 0x80:
        count = size & 0x7F
        if count not in (1, 2):
            r.fail(f"DER length of {count} bytes", offset=r.offset - 1)
        digits = r.take(count, "DER length")
        head += digits
        size = int.from_bytes(digits, "big")
    return head + r.take(size, "certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPolicy:
    """What a chain must satisfy beyond the mandatory checks.

    Attributes:
        roots: trusted root certificates, DER.
        at: the time at which the chain must be valid (timezone-aware).
        require_responder_eku: the leaf must carry the SPDM responder EKU.
        require_hardware_identity: the leaf must carry the DMTF hardware-identity OID.
        expected_pcie: the leaf must carry the 2.23.147 name with exactly this identity.
    """

    roots: tuple[bytes, ...]
    at: datetime
    require_responder_eku: bool = False
    require_hardware_identity: bool = False
    expected_pcie: PcieIdentity | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise LocalError("the validation time needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """A chain that passed, and who it speaks of.

    Attributes:
        structure: the slot structure, byte for byte.
        path: every certificate, trusted root first, leaf last.
        leaf_key: the key that signs for the device.
        dmtf_name: "manufacturer:product:serial" of the .274.1 name, or None.
        pcie_name: text of the 2.23.147 name, or None.
    """

    structure: bytes
    path: tuple[x509.Certificate, ...] = field(repr=False)
    leaf_key: PublicKey
    dmtf_name: str | None
    pcie_name: str | None
    has_hardware_identity: bool

    @property
    def root(self) -> x509.Certificate:
        """The trusted root that the path starts at."""
        return self.path[0]

    @property
    def leaf(self) -> x509.Certificate:
        """The device's certificate."""
        return self.path[-1]


def load_root(pem_or_der: bytes) -> bytes:
    """A root certificate file as DER.

    Raises:
        LocalError: if it is no certificate.
    """
    try:
        if pem_or_der.lstrip().startswith(b"-----BEGIN"):
            certificate = x509.load_pem_x509_certificate(pem_or_der)
        else:
            certificate = x509.load_der_x509_certificate(pem_or_der)
    except ValueError as error:
        raise LocalError(f"the trusted root is no certificate: {error}") from None
    return certificate.public_bytes(serialization.Encoding.DER)


def verify_chain(structure: bytes, hash_name: str, policy: ChainPolicy) -> VerifiedChain:
    """Verifies a slot structure.

    Args:
        structure: the bytes of the slot, as concatenated from CERTIFICATE portions.
        hash_name: negotiated base hash (`hashlib` name), used for RootHash.
        policy: roots, time and extra requirements.

    Raises:
        PeerError: naming the rule that the chain breaks, with the certificate at fault.
        LocalError: if a trusted root cannot be parsed.
    """
    reader = Reader(structure, strict=True)
    try:
        chain = ChainStructure.decode(reader, hashlib.new(hash_name).digest_size)
    except DecodeError as error:
        raise PeerError(error.reason, clause=CLAUSE_CHAIN, data=structure) from None

    root_der = _find_root(chain.root_hash, hash_name, policy.roots)
    root = x509.load_der_x509_certificate(root_der)
    ders = chain.certificates[1:] if chain.certificates[0] == root_der else chain.certificates
    if not ders:
        raise PeerError("the chain ends at its root", clause=CLAUSE_CHAIN, data=structure)
    path = [root, *(_parse(der) for der in ders)]
    _check_path(path, policy.at)
    leaf = path[-1]
    _check_leaf_usage(leaf, policy)
    dmtf_name, pcie_name = _names(leaf)
    expected = policy.expected_pcie
    if expected is not None and pcie_name != expected.text():
        raise PeerError(
            f"the leaf names {pcie_name!r}, the device is {expected.text()!r}",
            clause=CLAUSE_CMA,
            data=_der(leaf),
        )
    has_identity = _has_hardware_identity(leaf)
    if policy.require_hardware_identity and not has_identity:
        raise _leaf_error("no hardware identity OID", leaf)
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise _leaf_error("the leaf key is neither EC nor RSA", leaf)
    return VerifiedChain(
        structure=structure,
        path=tuple(path),
        leaf_key=key,
        dmtf_name=dmtf_name,
        pcie_name=pcie_name,
        has_hardware_identity=has_identity,
    )


def _find_root(root_hash: bytes, hash_name: str, roots: tuple[bytes, ...]) -> bytes:
    for root in roots:
        if hmac.compare_digest(hashlib.new(hash_name, root).digest(), root_hash):
            try:
                x509.load_der_x509_certificate(root)
            except ValueError as error:
                raise LocalError(f"the trusted root is no certificate: {error}") from None
            return root
    raise PeerError("RootHash names no trusted root", clause=CLAUSE_CHAIN, data=root_hash)


def _parse(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.public_key(), certificate.signature_hash_algorithm
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise PeerError(
            f"a certificate does not parse: {error}", clause=CLAUSE_X509, data=der
        ) from None
    return certificate


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _leaf_error(reason: str, leaf: x509.Certificate) -> PeerError:
    return PeerError(reason, clause=CLAUSE_LEAF, data=_der(leaf))


def _check_path(path: list[x509.Certificate], at: datetime) -> None:
    """Signatures, names, validity, CA flags and path lengths from the root down."""
    for depth, certificate in enumerate(path):
        where = "root" if depth == 0 else f"certificate {depth}"

        def broken(
            reason: str, at_fault: x509.Certificate = certificate, place: str = where
        ) -> PeerError:
            return PeerError(f"{place}: {reason}", clause=CLAUSE_X509, data=_der(at_fault))

        if certificate.version is not x509.Version.v3:
            raise broken("not an X.509 v3 certificate")
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise broken(f"not valid at {at.isoformat()}")
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _UNDERSTOOD_EXTENSIONS:
                raise broken(f"critical extension {extension.oid.dotted_string} is not understood")
        if depth > 0:
            if not isinstance(certificate.signature_hash_algorithm, _GOOD_HASHES):
                raise broken("signed with a hash outside SHA-2")
            try:
                certificate.verify_directly_issued_by(path[depth - 1])
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                raise broken("not issued by the certificate before it") from None
        is_leaf = depth == len(path) - 1
        if not is_leaf:
            _check_authority(certificate, cas_below=len(path) - 2 - depth, broken=broken)
        elif _is_ca(certificate):
            raise broken("the leaf is a CA")


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _basic_constraints(certificate)
    return constraints is not None and constraints.ca


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _check_authority(
    certificate: x509.Certificate, cas_below: int, broken: Callable[[str], PeerError]
) -> None:
    constraints = _basic_constraints(certificate)
    if constraints is None or not constraints.ca:
        raise broken("issues certificates, but is no CA")
    if constraints.path_length is not None and cas_below > constraints.path_length:
        raise broken(f"path length {constraints.path_length} is exceeded")
    usage = _key_usage(certificate)
    if usage is not None and not usage.key_cert_sign:
        raise broken("issues certificates without keyCertSign")


def _check_leaf_usage(leaf: x509.Certificate, policy: ChainPolicy) -> None:
    usage = _key_usage(leaf)
    if usage is None or not usage.digital_signature:
        raise _leaf_error("keyUsage digitalSignature is missing", leaf)
    try:
        purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        purposes = set()
    may_respond = bool(purposes & {OID_EKU_RESPONDER, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
    if OID_EKU_REQUESTER in purposes and not may_respond:
        raise _leaf_error("the leaf is for SPDM requesters only", leaf)
    if policy.require_responder_eku and not may_respond:
        raise _leaf_error("the SPDM responder EKU is missing", leaf)


def _names(leaf: x509.Certificate) -> tuple[str | None, str | None]:
    """The DMTF and the PCIe otherName."""
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None, None
    found: dict[x509.ObjectIdentifier, str] = {}
    for name in san:
        if not isinstance(name, x509.OtherName):
            continue
        if name.type_id not in (OID_DMTF_DEVICE_INFO, OID_PCIE_DEVICE_INFO):
            continue
        text = decode_utf8_string(name.value)
        if text is None:
            raise _leaf_error(f"otherName {name.type_id.dotted_string} is no UTF8String", leaf)
        if name.type_id in found:
            raise _leaf_error(f"two otherNames {name.type_id.dotted_string}", leaf)
        found[name.type_id] = text
    dmtf_name = found.get(OID_DMTF_DEVICE_INFO)
    if dmtf_name is not None and dmtf_name.count(":") != 2:
        raise _leaf_error("the DMTF name is not manufacturer:product:serial", leaf)
    return dmtf_name, found.get(OID_PCIE_DEVICE_INFO)


def encode_utf8_string(text: str) -> bytes:
    """DER UTF8String of at most 65535 bytes."""
    raw = text.encode()
    if len(raw) < 0x80:
        return bytes([_UTF8_STRING_TAG, len(raw)]) + raw
    digits = len(raw).to_bytes((len(raw).bit_length() + 7) // 8, "big")
    return bytes([_UTF8_STRING_TAG, 0x80 | len(digits)]) + digits + raw


def decode_utf8_string(der: bytes) -> str | None:
    """The text of a DER UTF8String that fills `der`, or None."""
    if len(der) < 2 or der[0] != _UTF8_STRING_TAG:
        return None
    for header in (2, 3, 4):
        raw = der[header:]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            continue
        if encode_utf8_string(text) == der:
            return text
    return None


def hardware_identity_extension() -> bytes:
    """Value of the SPDM extension that marks a device certificate: SEQUENCE OF SEQUENCE {OID}."""
    oid = bytes.fromhex("060a2b06010401831c821202")  # 1.3.6.1.4.1.412.274.2
    inner = bytes([_SEQUENCE_TAG, len(oid)]) + oid
    return bytes([_SEQUENCE_TAG, len(inner)]) + inner


def _has_hardware_identity(leaf: x509.Certificate) -> bool:
    for extension in leaf.extensions:
        if extension.oid == OID_HARDWARE_IDENTITY:
            return True
        if extension.oid == OID_SPDM_EXTENSION:
            value = extension.value
            assert isinstance(value, x509.UnrecognizedExtension)
            return hardware_identity_extension()[4:] in value.value
    return False
