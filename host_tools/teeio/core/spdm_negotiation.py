# SPDX-License-Identifier: Apache-2.0
"""What a requester offers and insists on, and how it judges VERSION, CAPABILITIES, ALGORITHMS.

Functions without state: `SpdmRequester` keeps what they return. A deviation that the standard
forbids but that harms nothing goes to `note`, which refuses it (strict) or records it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from teeio.core.lab_log import LabLog
from teeio.core.spdm_crypto import (
    SUPPORTED_ASYM,
    SUPPORTED_DHE,
    SUPPORTED_HASHES,
    SUPPORTED_MEASUREMENT_HASHES,
    Suite,
)
from teeio.errors import LocalError, PeerError
from teeio.wire.opaque import SECURED_VERSION_11, SECURED_VERSION_12
from teeio.wire.spdm_base import (
    KEY_SCHEDULE_SPDM,
    KNOWN_VERSIONS,
    MEASUREMENT_SPEC_DMTF,
    MIN_TRANSFER_BYTES,
    VERSION_12,
    VERSION_13,
    Aead,
    AlgType,
    BaseAsym,
    BaseHash,
    Cap,
    Dhe,
    MeasurementHash,
    OpaqueFormat,
)
from teeio.wire.spdm_connection import (
    Algorithms,
    AlgStruct,
    Capabilities,
    GetCapabilities,
    NegotiateAlgorithms,
    Version,
)

TEE_IO_CAPABILITIES: Final = Cap.CERT | Cap.MEAS_SIGNED | Cap.ENCRYPT | Cap.MAC | Cap.KEY_EX
"""What a TEE-IO device must offer."""

MAX_CT_EXPONENT: Final = 31
PCIE_MAX_CT_EXPONENT: Final = 23
_MEAS_MASK: Final = Cap.MEAS_UNSIGNED | Cap.MEAS_SIGNED

NoteDeviation: TypeAlias = Callable[[str, str, bytes], None]
"""(reason, clause, bytes): raises PeerError if the requester is strict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterConfig:
    """What we offer and insist on.

    Attributes:
        versions: SPDM versions we speak; the highest common one is taken.
        capabilities: our flags.
        required: flags the device must set.
        ct_exponent: our own cryptographic timeout, 2**x microseconds.
        transfer_bytes: largest message we take in one piece (DataTransferSize).
        message_bytes: largest message we take in chunks (MaxSPDMmsgSize); without CHUNK_CAP it
            is transfer_bytes.
        base_asym, base_hash, dhe, measurement_hash: algorithms we offer.
        secured_versions: versions of secured messages we offer.
        strict: refuse nonzero reserved fields and every other deviation instead of noting it.
        lab_log: gets the secrets of sessions; None outside of a laboratory.
    """

    versions: tuple[int, ...] = (VERSION_13, VERSION_12)
    capabilities: Cap = (
        Cap.CERT | Cap.ENCRYPT | Cap.MAC | Cap.KEY_EX | Cap.HBEAT | Cap.KEY_UPD | Cap.CHUNK
    )
    required: Cap = TEE_IO_CAPABILITIES
    ct_exponent: int = 20
    transfer_bytes: int = 0x1200
    message_bytes: int = 0x1200
    base_asym: BaseAsym = SUPPORTED_ASYM
    base_hash: BaseHash = SUPPORTED_HASHES
    dhe: Dhe = SUPPORTED_DHE
    measurement_hash: MeasurementHash = SUPPORTED_MEASUREMENT_HASHES
    secured_versions: tuple[int, ...] = (SECURED_VERSION_11, SECURED_VERSION_12)
    strict: bool = False
    lab_log: LabLog | None = None

    def __post_init__(self) -> None:
        if not self.versions or not set(self.versions) <= set(KNOWN_VERSIONS):
            raise LocalError("this requester speaks SPDM 1.2 and 1.3")
        if not MIN_TRANSFER_BYTES <= self.transfer_bytes <= 0xFFFF:
            raise LocalError("transfer_bytes is outside 42..65535")
        if self.message_bytes < self.transfer_bytes and self.capabilities & Cap.CHUNK:
            raise LocalError("message_bytes is below transfer_bytes")
        if not self.secured_versions:
            raise LocalError("no version of secured messages is offered")


def choose_version(config: RequesterConfig, response: Version, raw: bytes) -> int:
    """The highest common SPDM version, as a version byte.

    Raises:
        PeerError: if there is none.
    """
    common = set(config.versions) & set(response.version_bytes)
    if not common:
        offered = ", ".join(f"{entry:#06x}" for entry in response.entries)
        raise PeerError(
            f"no common SPDM version; the device offers {offered or 'none'}",
            clause="PCIe TEE-IO: SPDM 1.2 or later",
            data=raw,
        )
    return max(common)


def capabilities_request(config: RequesterConfig, version: int) -> GetCapabilities:
    """GET_CAPABILITIES with our flags and sizes."""
    return GetCapabilities(
        version=version,
        ct_exponent=config.ct_exponent,
        flags=config.capabilities,
        data_transfer_size=config.transfer_bytes,
        max_message_size=(
            config.message_bytes if config.capabilities & Cap.CHUNK else config.transfer_bytes
        ),
    )


def check_capabilities(
    config: RequesterConfig, response: Capabilities, raw: bytes, note: NoteDeviation
) -> None:
    """Judges CAPABILITIES.

    Raises:
        PeerError: if a required flag is missing or the message contradicts itself.
    """
    clause = "DSP0274 CAPABILITIES"
    flags = Cap(response.flags)
    missing = config.required & ~flags
    if missing:
        raise PeerError(
            f"capabilities missing: {missing!r}", clause="PCIe TEE-IO profile", data=raw
        )
    if flags & _MEAS_MASK == _MEAS_MASK:
        raise PeerError("MEAS_CAP = 11b is reserved", clause=clause, data=raw)
    if not MIN_TRANSFER_BYTES <= response.data_transfer_size <= response.max_message_size:
        raise PeerError("DataTransferSize is outside 42..MaxSPDMmsgSize", clause=clause, data=raw)
    if response.ct_exponent > MAX_CT_EXPONENT:
        raise PeerError(f"CTExponent {response.ct_exponent}", clause=clause, data=raw)
    if response.ct_exponent > PCIE_MAX_CT_EXPONENT:
        note(f"CTExponent {response.ct_exponent}", "PCIe 6.31.3: CT <= 2^23 us", raw)
    if not flags & Cap.CHUNK and response.data_transfer_size != response.max_message_size:
        note("sizes differ without CHUNK_CAP", clause, raw)
    if flags & Cap.CERT and flags & Cap.PUB_KEY_ID:
        note("CERT_CAP and PUB_KEY_ID_CAP exclude each other", clause, raw)


def algorithms_request(config: RequesterConfig, version: int) -> NegotiateAlgorithms:
    """NEGOTIATE_ALGORITHMS with everything we support."""
    return NegotiateAlgorithms(
        version=version,
        measurement_specification=MEASUREMENT_SPEC_DMTF,
        other_params=OpaqueFormat.FORMAT_1,
        base_asym=config.base_asym,
        base_hash=config.base_hash,
        structs=(
            AlgStruct(alg_type=AlgType.DHE, mask=config.dhe),
            AlgStruct(alg_type=AlgType.AEAD, mask=Aead.AES_256_GCM),
            AlgStruct(alg_type=AlgType.KEY_SCHEDULE, mask=KEY_SCHEDULE_SPDM),
        ),
    )


def select_suite(
    config: RequesterConfig, version: int, response: Algorithms, raw: bytes, note: NoteDeviation
) -> Suite:
    """The algorithms that ALGORITHMS selects.

    Raises:
        PeerError: if a selection is not exactly one offered algorithm.
    """

    def one_of(selected: int, offered: int, what: str) -> int:
        if selected.bit_count() != 1 or selected & ~offered:
            raise PeerError(
                f"{what} selection {selected:#x}, offered {offered:#x}",
                clause="DSP0274 ALGORITHMS: one offered algorithm of each kind",
                data=raw,
            )
        return selected

    if response.external_asym or response.external_hash:
        raise PeerError(
            "external algorithms selected, none offered",
            clause="DSP0274 ALGORITHMS: ExtAsymSelCount, ExtHashSelCount",
            data=raw,
        )
    tables = {item.alg_type for item in response.structs}
    if tables != {AlgType.DHE, AlgType.AEAD, AlgType.KEY_SCHEDULE}:
        note("tables differ from those requested", "DSP0274 ALGORITHMS", raw)
    one_of(response.measurement_specification, MEASUREMENT_SPEC_DMTF, "measurement spec")
    one_of(response.other_params & 0xF, OpaqueFormat.FORMAT_1, "opaque data format")
    one_of(response.selected(AlgType.AEAD), Aead.AES_256_GCM, "AEAD")
    one_of(response.selected(AlgType.KEY_SCHEDULE), KEY_SCHEDULE_SPDM, "key schedule")
    return Suite(
        version=version,
        base_hash=BaseHash(one_of(response.base_hash, config.base_hash, "hash")),
        base_asym=BaseAsym(one_of(response.base_asym, config.base_asym, "signature")),
        dhe=Dhe(one_of(response.selected(AlgType.DHE), config.dhe, "DHE")),
        measurement_hash=MeasurementHash(
            one_of(response.measurement_hash, config.measurement_hash, "measurement hash")
        ),
    )
