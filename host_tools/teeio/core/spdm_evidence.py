# SPDX-License-Identifier: Apache-2.0
"""Requests that exist inside and outside of sessions: identity, measurements, provisioning."""

from __future__ import annotations

import abc
from dataclasses import replace

from teeio.core.measurements import SignedMeasurements
from teeio.core.spdm_context import SpdmContext, SpdmPhase
from teeio.core.spdm_crypto import CONTEXT_MEASUREMENTS
from teeio.errors import DecodeError, LocalError, PeerError
from teeio.wire.spdm_base import CONTEXT_BYTES, NONCE_BYTES, VERSION_13, SpdmMessage
from teeio.wire.spdm_identity import SLOTS, Certificate, Digests, GetCertificate, GetDigests
from teeio.wire.spdm_measurements import (
    OPERATION_ALL,
    OPERATION_COUNT,
    GetMeasurements,
    MeasurementAttribute,
    MeasurementBlock,
    Measurements,
)
from teeio.wire.spdm_provision import (
    ERASE_SLOT,
    Csr,
    GetCsr,
    SetCertificate,
    SetCertificateRsp,
)


class SpdmEvidence(SpdmContext, abc.ABC):
    """A context that can ask who the device is and what it runs."""

    def get_digests(self) -> bytes:
        """GET_DIGESTS; the answer is kept in `digests`."""
        self._require_identity_phase()
        return self._begin(GetDigests(version=self.version), Digests, self._accept_digests)

    def _accept_digests(self, response: SpdmMessage, request: bytes, raw: bytes) -> None:
        assert isinstance(response, Digests)
        if response.provisioned_slots == 0:
            raise PeerError(
                "no slot holds a chain", clause="DSP0274 DIGESTS: slot 0 is mandatory", data=raw
            )
        self.digests = response
        self._log_identity(request, raw)

    def get_certificate(self, slot: int, offset: int, length: int) -> bytes:
        """GET_CERTIFICATE for `length` bytes from `offset` of the slot structure."""
        self._require_identity_phase()
        if not 0 <= slot < SLOTS:
            raise LocalError(f"slot {slot} is outside 0..7")
        if not 1 <= length <= 0xFFFF or not 0 <= offset <= 0xFFFF:
            raise LocalError("offset and length are 16 bits, and length is not 0")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, Certificate)
            if response.slot & 0xF != slot:
                raise PeerError(
                    f"certificate of slot {response.slot & 0xF}, asked for {slot}",
                    clause="DSP0274 CERTIFICATE: SlotID equals that of the request",
                    data=raw,
                )
            got = len(response.portion)
            if not 1 <= got <= length or offset + got + response.remainder > 0xFFFF:
                raise PeerError(
                    f"portion of {got} bytes with {response.remainder} to follow, "
                    f"asked for {length} at {offset}",
                    clause="DSP0274 CERTIFICATE: PortionLength and RemainderLength",
                    data=raw,
                )
            self._log_identity(request, raw)

        request = GetCertificate(version=self.version, slot=slot, offset=offset, length=length)
        return self._begin(request, Certificate, accept)

    def get_measurements(
        self,
        operation: int = OPERATION_ALL,
        *,
        signed: bool = True,
        slot: int = 0,
        raw_bit_stream: bool = False,
        new_measurement: bool = False,
        nonce: bytes | None = None,
    ) -> bytes:
        """GET_MEASUREMENTS; signed answers end up verified in `measurements`.

        Args:
            operation: 0 = count, 1..FEh = that index, FFh = all.
            signed: ask for a signature with the key of `slot`, whose chain must be verified.
            raw_bit_stream: ask for raw values instead of digests.
            new_measurement: ask for measurements of the pending configuration (1.3).
            nonce: 32 bytes of whoever wants to know that a signed answer is fresh; None: random.
        """
        self._require_identity_phase()
        is_13 = self.version >= VERSION_13
        attributes = MeasurementAttribute(0)
        if signed:
            attributes |= MeasurementAttribute.SIGNATURE
            key = self._leaf_key(slot)
        if raw_bit_stream:
            attributes |= MeasurementAttribute.RAW_BIT_STREAM
        if new_measurement:
            if not is_13:
                raise LocalError("new measurements exist from SPDM 1.3 on")
            attributes |= MeasurementAttribute.NEW_MEASUREMENT
        message = GetMeasurements(
            version=self.version,
            attributes=attributes,
            operation=operation,
            nonce=(self._rng(NONCE_BYTES) if nonce is None else nonce) if signed else b"",
            slot=slot if signed else 0,
            context=self._rng(CONTEXT_BYTES) if is_13 else b"",
        )

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, Measurements)
            blocks = self._check_measurements(message, response, raw)
            if operation == OPERATION_COUNT:
                self.measurement_count = response.index_count
            if not signed:
                self._measurement_log.add(request, raw)
                return
            suite = self._suite()
            evidence = self._measurement_log.signed(self._vca(), request, raw, suite.signature_size)
            self._measurement_log.reset()
            if not suite.verify(key, CONTEXT_MEASUREMENTS, evidence, response.signature):
                raise PeerError(
                    "the signature over the measurements does not verify",
                    clause="DSP0274 MEASUREMENTS: signature over L1/L2",
                    data=raw,
                )
            self.measurements = SignedMeasurements(
                blocks=blocks,
                content_change=response.content_change,
                evidence=evidence,
                signature=response.signature,
            )

        layout = replace(self._layout, is_signed=signed)
        return self._begin(message, Measurements, accept, layout)

    def _check_measurements(
        self, request: GetMeasurements, response: Measurements, raw: bytes
    ) -> tuple[MeasurementBlock, ...]:
        def broken(reason: str, clause: str) -> PeerError:
            return PeerError(reason, clause=f"DSP0274 MEASUREMENTS: {clause}", data=raw)

        try:
            blocks = response.blocks()
        except DecodeError as error:
            raise broken(error.reason, "measurement record") from None
        digest_size = self._suite().measurement_hash_size
        for block in blocks:
            if not block.is_raw and len(block.value) != digest_size:
                raise broken(f"digest of {len(block.value)} bytes", "measurement hash size")
        if response.context != request.context:
            raise broken("RequesterContext is not echoed", "RequesterContext")
        if request.is_signed and response.slot != request.slot:
            raise broken(f"signed by slot {response.slot}, not {request.slot}", "SlotID")
        indices = [block.index for block in blocks]
        if request.operation == OPERATION_COUNT:
            if blocks:
                raise broken("blocks in the answer to a count", "NumberOfBlocks")
        elif request.operation == OPERATION_ALL:
            if indices != sorted(set(indices)):
                raise broken("indices are not strictly ascending", "measurement record")
        elif indices != [request.operation]:
            raise broken(f"blocks {indices}, asked for {request.operation}", "index")
        return blocks

    def _require_identity_phase(self) -> None:
        if self._phase not in (SpdmPhase.NEGOTIATED, SpdmPhase.APPLICATION):
            raise LocalError(f"not possible in phase {self._phase.value!r}")

    # Provisioning ----------------------------------------------------------------------------

    def get_csr(self, requester_info: bytes = b"") -> bytes:
        """GET_CSR; the request (PKCS #10, DER) is kept in `csr`.

        Args:
            requester_info: DER CertificationRequestInfo with the subject and attributes wanted.
        """
        self._require_identity_phase()

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, Csr)
            self.csr = response.csr

        message = GetCsr(version=self.version, requester_info=requester_info)
        return self._begin(message, Csr, accept)

    def set_certificate(self, slot: int, structure: bytes) -> bytes:
        """SET_CERTIFICATE; an empty `structure` erases the slot (from 1.3 on).

        Raises:
            LocalError: for a slot outside 0..7, or erasure before 1.3.
        """
        self._require_identity_phase()
        if not 0 <= slot < SLOTS:
            raise LocalError(f"slot {slot} is outside 0..7")
        if not structure and self.version < VERSION_13:
            raise LocalError("a slot can be erased from SPDM 1.3 on")

        def accept(response: SpdmMessage, request: bytes, raw: bytes) -> None:
            assert isinstance(response, SetCertificateRsp)
            if response.slot & 0xF != slot:
                raise PeerError(
                    f"slot {response.slot & 0xF} was set, asked for {slot}",
                    clause="DSP0274 SET_CERTIFICATE_RSP: SlotID",
                    data=raw,
                )

        message = SetCertificate(
            version=self.version,
            param1=slot if structure else slot | ERASE_SLOT,
            structure=structure,
        )
        return self._begin(message, SetCertificateRsp, accept)
