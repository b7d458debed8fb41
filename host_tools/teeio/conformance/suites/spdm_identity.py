# SPDX-License-Identifier: Apache-2.0
"""SPDM: DIGESTS, CERTIFICATE, CHALLENGE_AUTH, MEASUREMENTS."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, Checks, SkipCase
from teeio.conformance.suites.spdm_parts import (
    INVALID,
    MISMATCH,
    REFUSED,
    UNEXPECTED,
    UNSUPPORTED,
    VersionSteps,
    check_error,
    check_head,
    handshake,
    head,
    padded,
    per_version,
    plain_error,
)
from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.core.spdm_context import SpdmPhase
from teeio.core.spdm_requester import SpdmRequester
from teeio.wire.spdm_base import Cap
from teeio.wire.spdm_measurements import Measurements

AFTER_CAPABILITIES, NEGOTIATED = SpdmPhase.AFTER_CAPABILITIES, SpdmPhase.NEGOTIATED
_DIG: Final = "10.6 GET_DIGESTS"
_CERT: Final = "10.7 GET_CERTIFICATE"
_CHAL: Final = "10.8 CHALLENGE"
_MEAS: Final = "10.11 GET_MEASUREMENTS"


def _hash(requester: SpdmRequester, data: bytes) -> bytes:
    """The negotiated hash, computed here."""
    return hashlib.new("sha384" if requester.suite.hash_size == 48 else "sha256", data).digest()


def _chain(bench: Bench, requester: SpdmRequester, slot: int, portion: int = 0x400) -> Steps[bytes]:
    """The slot structure, read in portions by plain messages; empty if it is refused."""
    out = b""
    for _ in range(256):
        request = head(requester.version, 0x82, slot) + struct.pack("<HH", len(out), portion)
        message = (yield from bench.plain(request)).message or b""
        if len(message) < 8 or message[1] != 0x02:
            return b""
        size, rest = struct.unpack_from("<HH", message, 4)
        out += message[8:8 + size]
        if rest == 0 or size == 0:
            return out
    return b""


# DIGESTS ------------------------------------------------------------------------------------------

def digests_valid(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    message = check_head(check, (yield from bench.plain(head(version, 0x81))), version, 0x01)
    mask = message[3] if len(message) > 3 else 0
    size = requester.suite.hash_size
    check.that(3, bool(mask & 1), f"{mask:#x}", "slot 0")
    check.that(4, padded(message, 4 + size * mask.bit_count()), len(message),
               4 + size * mask.bit_count())
    check.that(5, version == 0x12 or mask & ~message[2] & 0xFF == 0, message[2:4].hex(),
               "provisioned slots are supported ones")
    at = 4
    for slot in (n for n in range(8) if mask >> n & 1):
        structure = yield from _chain(bench, requester, slot)
        check(6, message[at:at + size], _hash(requester, structure))
        at += size


def in_session_digests(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    check_head(check, (yield from bench.secured(head(version, 0x81), session.spdm)), version, 0x01)


# CERTIFICATE --------------------------------------------------------------------------------------

def certificate_valid(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    request = head(version, 0x82) + struct.pack("<HH", 0, 0x40)
    message = check_head(check, (yield from bench.plain(request)), version, 0x02)
    size, rest = struct.unpack_from("<HH", message.ljust(8, b"\0"), 4)
    check(3, message[2:3], b"\0")
    check.that(4, 0 < size <= 0x40 and padded(message, 8 + size), size, "1 to 64")
    structure = yield from _chain(bench, requester, 0)
    check(5, size + rest, len(structure))
    check(6, struct.unpack_from("<H", structure.ljust(2, b"\0"))[0], len(structure))
    pieces = yield from _chain(bench, requester, 0, 0x21)
    check.that(7, pieces == structure, len(pieces), len(structure))


def certificate_chain(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    slot, chain = yield from spdm_flow.authenticate(requester, bench.chain_policy)
    check.that(1, True, f"slot {slot}", "a chain that verifies")
    digest = chain.structure[4:4 + requester.suite.hash_size]
    check.that(2, any(_hash(requester, root) == digest for root in bench.profile.roots),
               digest, "the hash of a trusted root")


def _certificate(version: int, slot: int, offset: int, length: int) -> bytes:
    return head(version, 0x82, slot) + struct.pack("<HH", offset, length)


def certificate_at_end(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    size = len((yield from _chain(bench, requester, 0)))
    reply = yield from bench.plain(_certificate(version, 0, size, 1))
    check_error(check, reply, version, INVALID)
    reply = yield from bench.plain(_certificate(version, 0, size - 1, 0xFFFF))
    check(6, (reply.message or bytes(8))[4:8], b"\1\0\0\0")


def certificate_empty_slot(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    mask = ((yield from bench.plain(head(version, 0x81))).message or bytes(4))[3]
    empty = [slot for slot in range(8) if not mask >> slot & 1]
    if not empty:
        raise SkipCase("every slot is provisioned")
    for slot in empty:
        reply = yield from bench.plain(_certificate(version, slot, 0, 64))
        check_error(check, reply, version, INVALID)


# CHALLENGE ----------------------------------------------------------------------------------------

def _needs_challenge(requester: SpdmRequester) -> None:
    flags = requester.capabilities.flags if requester.capabilities else 0
    if not flags & Cap.CHAL:
        raise SkipCase("CHAL_CAP is not set")


def challenge_valid(summary: int, *, with_chain: bool) -> VersionSteps:
    """CHALLENGE_AUTH verifies; with and without DIGESTS and CERTIFICATE in the transcript."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        requester, slot = yield from bench.authenticated(version)
        _needs_challenge(requester)
        yield from spdm_flow.challenge(requester, slot, summary)
        check.that(1, True, "verified", "the signature verifies")
        if not with_chain:
            yield from spdm_flow.challenge(requester, slot, summary)
        check.that(2, True, "verified", "a further one does, too")
        check.that(3, bool(summary) == bool(requester.summary), requester.summary,
                   "as asked for")
    return steps


def challenge_absent(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    if requester.capabilities is not None and requester.capabilities.flags & Cap.CHAL:
        raise SkipCase("CHAL_CAP is set")
    reply = yield from bench.plain(_challenge(version, 0, 0))
    check_error(check, reply, version, UNSUPPORTED, data=0x83)


def _challenge(version: int, slot: int, kind: int) -> bytes:
    return head(version, 0x83, slot, kind) + bytes(range(32)) + (
        bytes(8) if version >= 0x13 else b"")


def challenge_bad(slot: int, kind: int) -> VersionSteps:
    """A slot or summary type that is none."""
    def steps(bench: Bench, check: Checks, version: int) -> Steps[None]:
        _needs_challenge((yield from bench.connection(version)))
        reply = yield from bench.plain(_challenge(version, slot, kind))
        check_error(check, reply, version, INVALID)
    return steps


def challenge_in_session(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    _needs_challenge(session.requester)
    reply = yield from bench.secured(_challenge(version, 0, 0), session.spdm)
    check_error(check, reply, version, UNEXPECTED)


# MEASUREMENTS -------------------------------------------------------------------------------------

def measure(version: int, attributes: int, operation: int, slot: int = 0) -> bytes:
    """GET_MEASUREMENTS; with bit 0 of attributes a nonce and a slot."""
    signed = bytes(range(32)) + bytes([slot]) if attributes & 1 else b""
    return head(version, 0xE0, attributes, operation) + signed + (
        b"CONTEXT8" if version >= 0x13 else b"")


def _blocks(record: bytes) -> list[tuple[int, int, int, int, int]] | None:
    """(index, specification, size, type, value size) of each block; None if it does not parse."""
    out, at = [], 0
    while at < len(record):
        if at + 7 > len(record):
            return None
        index, spec, size, kind, value = struct.unpack_from("<BBHBH", record, at)
        out.append((index, spec, size, kind, value))
        at += 4 + size
    return out if at == len(record) else None


def _unsigned(bench: Bench, check: Checks, version: int, operation: int
              ) -> Steps[tuple[bytes, list[tuple[int, int, int, int, int]]]]:
    """Assertions 1 to 4: an unsigned MEASUREMENTS and its blocks."""
    reply = yield from bench.plain(measure(version, 0, operation))
    message = check_head(check, reply, version, 0x60).ljust(8, b"\0")
    length = int.from_bytes(message[5:8], "little")
    opaque, = struct.unpack_from("<H", message.ljust(42 + length, b"\0"), 40 + length)
    size = 42 + length + opaque + (8 if version >= 0x13 else 0)
    check.that(3, padded(message, size), len(message), size)
    blocks = _blocks(message[8:8 + length])
    check.that(4, blocks is not None and len(blocks) == message[4], blocks, f"{message[4]} blocks")
    return message, blocks or []


def measurements_count(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    message, blocks = yield from _unsigned(bench, check, version, 0)
    _, every = yield from _unsigned(bench, Checks(("",) * 4), version, 0xFF)
    check(5, blocks, [])
    check(6, message[2], len(every))


def measurements_all(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester = yield from bench.connection(version)
    _, blocks = yield from _unsigned(bench, check, version, 0xFF)
    indices = [block[0] for block in blocks]
    check.that(5, bool(indices) and indices == sorted(set(indices)), indices, "ascending")
    check(6, [block[1] for block in blocks], [1] * len(blocks))
    check(7, [block[2] for block in blocks], [3 + block[4] for block in blocks])
    mhash = 48 if requester.algorithms and requester.algorithms.measurement_hash == 4 else 32
    check.that(8, all(kind & 0x80 or size == mhash for _, _, _, kind, size in blocks), blocks,
               f"digests of {mhash} bytes")


def measurements_each(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    whole, blocks = yield from _unsigned(bench, Checks(("",) * 4), version, 0xFF)
    at = 8
    for index, _, size, _, _ in blocks:
        message, _ = yield from _unsigned(bench, check, version, index)
        check(5, message[8:12 + size], whole[at:at + 4 + size])
        at += 4 + size


def measurements_bad_index(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    _, blocks = yield from _unsigned(bench, Checks(("",) * 4), version, 0xFF)
    free = next(i for i in range(1, 0xFD) if i not in [block[0] for block in blocks])
    check_error(check, (yield from bench.plain(measure(version, 0, free))), version, INVALID)


def measurements_signed(bench: Bench, check: Checks, version: int) -> Steps[None]:
    requester, slot = yield from bench.authenticated(version)
    for operation in (0xFF, 0):
        wire = requester.get_measurements(operation, slot=slot)
        yield from spdm_flow.exchange(requester, wire, Measurements)
        check.that(1 if operation else 2, True, "verified", "the signature verifies")


def measurements_nonce(bench: Bench, check: Checks, version: int) -> Steps[None]:
    yield from bench.connection(version)
    seen = set()
    for _ in range(3):
        message, _ = yield from _unsigned(bench, Checks(("",) * 4), version, 0xFF)
        at = 8 + int.from_bytes(message[5:8], "little")
        seen.add(message[at:at + 32])
        if version >= 0x13:
            check(2, message[at + 34:at + 42], b"CONTEXT8")
        else:
            check.that(2, True, "none", "none before 1.3")
    check(1, len(seen), 3)


def measurements_in_session(bench: Bench, check: Checks, version: int) -> Steps[None]:
    session = yield from bench.new_session(version)
    yield from session.measure()
    check.that(1, True, "verified", "signature and summary verify")


def measurements_in_handshake(bench: Bench, check: Checks, version: int) -> Steps[None]:
    spdm = yield from handshake(bench, version)
    check_error(check, (yield from bench.secured(measure(version, 0, 0xFF), spdm)), version,
                UNEXPECTED)


_BLOCKS: Final = ("MEASUREMENTS", "SPDMVersion", "the size is exact", "the record parses")

CASES: Final[tuple[Case, ...]] = (
    *per_version("digests.valid", "DIGESTS are those of the chains", _DIG, digests_valid,
                 ("DIGESTS", "SPDMVersion", "slot 0 is provisioned", "the size is exact",
                  "the slot mask", "the hash of each slot's structure"), group=4, alias="4.1"),
    *plain_error("digests.version", "GET_DIGESTS in another version", _DIG, NEGOTIATED,
                 head(0x3F, 0x81), MISMATCH, group=4),
    *plain_error("digests.early", "GET_DIGESTS before ALGORITHMS", _DIG, AFTER_CAPABILITIES,
                 head(0, 0x81), UNEXPECTED, group=4),
    *per_version("digests.in-session", "GET_DIGESTS in a session", _DIG, in_session_digests,
                 ("DIGESTS", "SPDMVersion"), group=4),
    *per_version("certificate.valid", "CERTIFICATE in portions", _CERT, certificate_valid,
                 ("CERTIFICATE", "SPDMVersion", "SlotID", "the portion is not too long",
                  "portion and remainder add up", "Length of the structure",
                  "odd portions give the same"), group=5),
    *per_version("certificate.chain", "the chain verifies", _CERT, certificate_chain,
                 ("a slot's chain leads to a trusted root", "RootHash"), group=5),
    *plain_error("certificate.slot-8", "GET_CERTIFICATE of slot 8", _CERT, NEGOTIATED,
                 _certificate(0, 8, 0, 64), INVALID, group=5),
    *per_version("certificate.empty-slot", "GET_CERTIFICATE of an empty slot", _CERT,
                 certificate_empty_slot, REFUSED, group=5),
    *plain_error("certificate.offset-ffff", "GET_CERTIFICATE at offset FFFFh", _CERT, NEGOTIATED,
                 _certificate(0, 0, 0xFFFF, 64), INVALID, group=5),
    *plain_error("certificate.wrap", "offset and length that overflow 16 bits", _CERT, NEGOTIATED,
                 _certificate(0, 0, 0xFFFF, 0xFFFF), INVALID, group=5),
    *per_version("certificate.at-end", "GET_CERTIFICATE at the end and one byte before", _CERT,
                 certificate_at_end, (*REFUSED, "one byte and no remainder before it"), group=5),
    *plain_error("certificate.version", "GET_CERTIFICATE in another version", _CERT, NEGOTIATED,
                 _certificate(0x3F, 0, 0, 64), MISMATCH, group=5),
    *plain_error("certificate.early", "GET_CERTIFICATE before ALGORITHMS", _CERT,
                 AFTER_CAPABILITIES, _certificate(0, 0, 0, 64), UNEXPECTED, group=5),
    *(one for name, kind in (("none", 0), ("tcb", 1), ("all", 0xFF)) for one in per_version(
        f"challenge.summary-{name}", f"CHALLENGE with summary type {kind:#x}", _CHAL,
        challenge_valid(kind, with_chain=True),
        ("the signature verifies", "the transcript", "the summary"), group=6)),
    *per_version("challenge.without-chain", "a second CHALLENGE, no CERTIFICATE in between", _CHAL,
                 challenge_valid(0, with_chain=False),
                 ("the first verifies", "the second verifies", "no summary"), group=6),
    *per_version("challenge.absent", "CHALLENGE without CHAL_CAP", _CHAL, challenge_absent, REFUSED,
                 group=6),
    *(one for name, slot, kind in (("slot-8", 8, 0), ("type-2", 0, 2), ("type-fe", 0, 0xFE))
      for one in per_version(f"challenge.{name}", f"CHALLENGE of slot {slot}, type {kind:#x}",
                             _CHAL, challenge_bad(slot, kind), REFUSED, group=6)),
    *per_version("challenge.in-session", "CHALLENGE in a session", _CHAL, challenge_in_session,
                 REFUSED, group=6),
    *per_version("measurements.count", "MEASUREMENTS of operation 0", _MEAS, measurements_count,
                 (*_BLOCKS, "no block", "the number of indices"), group=7),
    *per_version("measurements.all", "MEASUREMENTS of all indices", _MEAS, measurements_all,
                 (*_BLOCKS, "indices ascend", "DMTF specification", "sizes agree",
                  "digests have the size of the measurement hash"), group=7),
    *per_version("measurements.each", "MEASUREMENTS one by one", _MEAS, measurements_each,
                 (*_BLOCKS, "the block is that of all"), group=7),
    *per_version("measurements.index", "an index that is not there", _MEAS, measurements_bad_index,
                 REFUSED, group=7),
    *plain_error("measurements.slot-8", "signed MEASUREMENTS of slot 8", _MEAS, NEGOTIATED,
                 measure(0x12, 1, 0xFF, 8), INVALID, group=7, versions=(0x12,)),
    *per_version("measurements.signed", "signed MEASUREMENTS", _MEAS, measurements_signed,
                 ("the signature verifies", "that of operation 0 verifies"), group=7),
    *per_version("measurements.nonce", "each answer has a new nonce, and the context", _MEAS,
                 measurements_nonce, ("three nonces differ", "RequesterContext"), group=7),
    *per_version("measurements.in-session", "signed MEASUREMENTS in a session", _MEAS,
                 measurements_in_session, ("signature and summary hash verify",), group=7),
    *per_version("measurements.in-handshake", "GET_MEASUREMENTS before FINISH", _MEAS,
                 measurements_in_handshake, REFUSED, group=7, alias="7.8"),
    *plain_error("measurements.version", "GET_MEASUREMENTS in another version", _MEAS, NEGOTIATED,
                 measure(0x3F, 0, 0xFF), MISMATCH, group=7, versions=(0x12,)),
    *plain_error("measurements.early", "GET_MEASUREMENTS before ALGORITHMS", _MEAS,
                 AFTER_CAPABILITIES, measure(0x12, 0, 0xFF), UNEXPECTED, group=7,
                 versions=(0x12,)),
)
