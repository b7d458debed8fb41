# SPDX-License-Identifier: Apache-2.0
"""The algorithms a requester can negotiate, bound to the `cryptography` package.

Signatures and points are in SPDM form: r || s and X || Y, each number big endian and of fixed
width (DSP0274 10.x "signature formats").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from teeio.core.secret import Secret
from teeio.errors import LocalError
from teeio.wire.spdm_base import BaseAsym, BaseHash, Dhe, MeasurementHash

Rng: TypeAlias = Callable[[int], bytes]
"""`rng(n)` gives n random bytes."""

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

AES_256_KEY_BYTES: Final = 32
GCM_IV_BYTES: Final = 12

_HASHES: Final[dict[int, tuple[str, hashes.HashAlgorithm]]] = {
    BaseHash.SHA_256: ("sha256", hashes.SHA256()),
    BaseHash.SHA_384: ("sha384", hashes.SHA384()),
}
_MEASUREMENT_HASHES: Final[dict[int, str]] = {
    MeasurementHash.SHA_256: "sha256",
    MeasurementHash.SHA_384: "sha384",
    MeasurementHash.SHA_512: "sha512",
}
_CURVES: Final[dict[int, type[ec.SECP256R1] | type[ec.SECP384R1]]] = {
    Dhe.SECP256R1: ec.SECP256R1,
    Dhe.SECP384R1: ec.SECP384R1,
}
_SIGNATURE_BYTES: Final[dict[int, int]] = {
    BaseAsym.ECDSA_P256: 64,
    BaseAsym.ECDSA_P384: 96,
    BaseAsym.RSASSA_3072: 384,
}

SUPPORTED_HASHES: Final = BaseHash.SHA_256 | BaseHash.SHA_384
SUPPORTED_MEASUREMENT_HASHES: Final = (
    MeasurementHash.SHA_256 | MeasurementHash.SHA_384 | MeasurementHash.SHA_512
)
SUPPORTED_ASYM: Final = BaseAsym.RSASSA_3072 | BaseAsym.ECDSA_P256 | BaseAsym.ECDSA_P384
SUPPORTED_DHE: Final = Dhe.SECP256R1 | Dhe.SECP384R1

CONTEXT_CHALLENGE_AUTH: Final = "responder-challenge_auth signing"
CONTEXT_MEASUREMENTS: Final = "responder-measurements signing"
CONTEXT_KEY_EXCHANGE_RSP: Final = "responder-key_exchange_rsp signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What ALGORITHMS selected, each exactly one supported algorithm.

    Attributes:
        version: SPDM version byte; part of key labels and signing prefixes.
    """

    version: int
    base_hash: BaseHash
    base_asym: BaseAsym
    dhe: Dhe
    measurement_hash: MeasurementHash

    def __post_init__(self) -> None:
        known = (
            self.base_hash in _HASHES
            and self.base_asym in _SIGNATURE_BYTES
            and self.dhe in _CURVES
            and self.measurement_hash in _MEASUREMENT_HASHES
        )
        if not known:
            raise LocalError(f"unsupported suite {self}")

    @property
    def hash_name(self) -> str:
        """Name for hashlib and hmac."""
        return _HASHES[self.base_hash][0]

    @property
    def hash_size(self) -> int:
        return _HASHES[self.base_hash][1].digest_size

    @property
    def measurement_hash_size(self) -> int:
        return hashlib.new(_MEASUREMENT_HASHES[self.measurement_hash]).digest_size

    @property
    def signature_size(self) -> int:
        return _SIGNATURE_BYTES[self.base_asym]

    @property
    def exchange_size(self) -> int:
        return 2 * _coordinate_bytes(self.dhe)

    def digest(self, data: bytes) -> bytes:
        """Base hash of `data`."""
        return hashlib.new(self.hash_name, data).digest()

    def key_matches(self, key: object) -> bool:
        """Is this a public key of the negotiated signature algorithm?"""
        match self.base_asym:
            case BaseAsym.ECDSA_P256:
                return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
            case BaseAsym.ECDSA_P384:
                return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"
            case BaseAsym.RSASSA_3072:
                return isinstance(key, rsa.RSAPublicKey) and key.key_size == 3072
        return False

    def verify(self, key: PublicKey, context: str, transcript: bytes, signature: bytes) -> bool:
        """Checks a responder's signature.

        Args:
            key: the leaf key.
            context: what is signed, one of the CONTEXT_ strings.
            transcript: the messages (not their hash).
            signature: in SPDM form.
        """
        if len(signature) != self.signature_size or not self.key_matches(key):
            return False
        data = signing_prefix(self.version, context) + self.digest(transcript)
        algorithm = _HASHES[self.base_hash][1]
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, padding.PKCS1v15(), algorithm)
            else:
                half = len(signature) // 2
                r = int.from_bytes(signature[:half], "big")
                s = int.from_bytes(signature[half:], "big")
                key.verify(encode_dss_signature(r, s), data, ec.ECDSA(algorithm))
        except (InvalidSignature, ValueError):
            return False
        return True


def signing_prefix(version: int, context: str) -> bytes:
    """The 100 bytes before the transcript hash (DSP0274 1.2, "combined_spdm_prefix")."""
    label = f"dmtf-spdm-v{version >> 4}.{version & 0xF}.*".encode()
    name = context.encode()
    return 4 * label + bytes(36 - len(name)) + name


def _coordinate_bytes(dhe: int) -> int:
    return (_CURVES[dhe]().key_size + 7) // 8


class EphemeralKey:
    """One ECDH key pair, used once.

    The scalar comes from 64 bits more than the curve's size, reduced modulo n - 1, plus one
    (FIPS 186-5, A.2.1).
    """

    __slots__ = ("_dhe", "_key")

    def __init__(self, dhe: Dhe, rng: Rng) -> None:
        curve = _CURVES[dhe]()
        seed = rng(_coordinate_bytes(dhe) + 8)
        scalar = int.from_bytes(seed, "big") % (curve.group_order - 1) + 1
        self._dhe = dhe
        self._key: ec.EllipticCurvePrivateKey | None = ec.derive_private_key(scalar, curve)

    def __repr__(self) -> str:
        return f"EphemeralKey({self._dhe.name})"

    @property
    def exchange_data(self) -> bytes:
        """X || Y of the public key."""
        if self._key is None:
            raise LocalError("this ephemeral key has been used")
        numbers = self._key.public_key().public_numbers()
        width = _coordinate_bytes(self._dhe)
        return numbers.x.to_bytes(width, "big") + numbers.y.to_bytes(width, "big")

    def agree(self, peer_data: bytes) -> Secret:
        """The shared secret (X coordinate, fixed width); the private key is dropped.

        Raises:
            ValueError: if `peer_data` is no point of the curve.
            LocalError: on a second use.
        """
        if self._key is None:
            raise LocalError("this ephemeral key has been used")
        key, self._key = self._key, None
        width = _coordinate_bytes(self._dhe)
        if len(peer_data) != 2 * width:
            raise ValueError("exchange data has the wrong size")
        peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, b"\x04" + peer_data)
        return Secret(key.exchange(ec.ECDH(), peer))

    def drop(self) -> None:
        """Forgets the private key."""
        self._key = None
