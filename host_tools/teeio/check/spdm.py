# SPDX-License-Identifier: Apache-2.0
"""What a record of DOE objects proves without any key: order, chain, signature, session.

Written apart from the requester on purpose: nothing here comes from `wire` or `core`, so that a
fault there is not repeated here. Layouts: DSP0274 1.2/1.3, DSP0277, PCIe Base 6.30. Numbers of SPDM
are little-endian; sizes are those of SHA-384 and P-384, the only suite this check accepts.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from teeio.check.verdict import missing, require

HASH = 48
POINT = 96
SIGNATURE = 96
DISCOVERY, SPDM, SECURED = 0, 1, 2
EKU_RESPONDER = "1.3.6.1.4.1.412.274.3"
PCIE_NAME = "2.23.147"

# Request and response codes up to the session, in their only order; CERTIFICATE may repeat.
ORDER = ((0x84, 0x04), (0xE1, 0x61), (0xE3, 0x63), (0x81, 0x01), (0x82, 0x02), (0xE4, 0x64))
NAMES = {0x84: "VERSION", 0xE1: "CAPABILITIES", 0xE3: "ALGORITHMS", 0x81: "DIGESTS",
         0x82: "CERTIFICATE", 0xE4: "KEY_EXCHANGE"}


@dataclass(frozen=True, slots=True)
class DataObject:
    """One DOE object: its type, its payload with padding, all its bytes, when it was recorded."""

    kind: int
    payload: bytes
    whole: bytes
    at: datetime


@dataclass(slots=True)
class Connection:
    """From GET_VERSION to the last record of its session.

    Attributes:
        exchanges: (request, response) payloads in the clear, padding included.
        records: payloads of secured messages, requests at even places.
    """

    at: datetime
    exchanges: list[tuple[bytes, bytes]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)

    def only(self, code: int) -> tuple[bytes, bytes]:
        """The one exchange with this request code."""
        found = [pair for pair in self.exchanges if pair[0][1] == code]
        require(len(found) == 1, f"{len(found)} exchanges of {NAMES[code]}")
        return found[0]


def read_pcap(data: bytes) -> list[DataObject]:
    """Objects of a little-endian microsecond pcap file."""
    require(data[:4] == b"\xd4\xc3\xb2\xa1" and len(data) > 24, "not a pcap file")
    out = []
    at = 24
    while at < len(data):
        require(at + 16 <= len(data), "a record header is cut")
        seconds, micros, size, original = struct.unpack_from("<4I", data, at)
        whole = data[at + 16:at + 16 + size]
        at += 16 + size
        require(len(whole) == size == original and size >= 8, "a record is cut")
        header, length = struct.unpack_from("<II", whole)
        require(header & 0xFFFF == 1 and header >> 24 == 0, f"DOE header {header:08x}")
        require(4 * length == size, f"DOE length {length} DW in a record of {size} bytes")
        when = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
        out.append(DataObject(header >> 16 & 0xFF, whole[8:], whole, when))
    require(bool(out), "no object at all")
    return out


def split(objects: list[DataObject]) -> list[Connection]:
    """Connections in order; requests and responses must alternate and agree in type."""
    require(len(objects) % 2 == 0, "a request without a response")
    out: list[Connection] = []
    for request, response in zip(objects[::2], objects[1::2], strict=True):
        require(request.kind == response.kind, "a response of another type than its request")
        if request.kind == SPDM:
            require(len(request.payload) >= 4 <= len(response.payload), "a cut SPDM message")
            if request.payload[1] == 0x84:
                out.append(Connection(request.at))
            require(bool(out), "SPDM before GET_VERSION")
            require(not out[-1].records, f"message {request.payload[1]:#04x} in the clear after"
                    " the session began")
            out[-1].exchanges.append((request.payload, response.payload))
        elif request.kind == SECURED:
            require(bool(out), "a secured message before any session")
            out[-1].records += [request.payload, response.payload]
        else:
            require(request.kind == DISCOVERY, f"object type {request.kind}")
    require(bool(out), "no SPDM connection")
    return out


def check_order(connection: Connection) -> str:
    """VERSION ... KEY_EXCHANGE in order, then records only."""
    expected = 0
    for request, response in connection.exchanges:
        code = request[1]
        if code != 0x82 or expected != 5:  # a chain may take more than one CERTIFICATE
            require(expected < len(ORDER) and code == ORDER[expected][0],
                    f"request {code:#04x} at place {expected}")
            expected += 1
        answer = dict(ORDER)[code]
        require(response[1] == answer, f"{code:#04x} was answered with {response[1]:#04x}")
    require(expected == len(ORDER), f"ends after {expected} of {len(ORDER)} exchanges")
    require(len(connection.records) >= 4, "no secured message follows")
    return f"{', '.join(NAMES[c] for c, _ in ORDER)}; {len(connection.records)} secured messages"


def check_suite(connection: Connection) -> str:
    """ALGORITHMS selects SHA-384, ECDSA P-384, ECDH P-384, AES-256-GCM and nothing else."""
    _, answer = connection.only(0xE3)
    asym, digest = struct.unpack_from("<II", answer, 12)
    require(asym == 1 << 7, f"BaseAsymSel {asym:#x}")
    require(digest == 1 << 1, f"BaseHashSel {digest:#x}")
    tables = {answer[36 + 4 * i]: struct.unpack_from("<H", answer, 38 + 4 * i)[0]
              for i in range(answer[2])}
    require(tables.get(2) == 1 << 4, f"DHE {tables.get(2)}")
    require(tables.get(3) == 1 << 1, f"AEAD {tables.get(3)}")
    return "SHA-384, ECDSA P-384, ECDH P-384, AES-256-GCM"


def chain_of(connection: Connection) -> bytes:
    """The slot structure, from CERTIFICATE portions in order."""
    out = b""
    remainder = -1
    for request, response in connection.exchanges:
        if request[1] != 0x82:
            continue
        offset = struct.unpack_from("<H", request, 4)[0]
        size, remainder = struct.unpack_from("<HH", response, 4)
        require(offset == len(out), f"a portion at {offset}, {len(out)} bytes are there")
        require(8 + size <= len(response), "a cut portion")
        out += response[8:8 + size]
    require(remainder == 0, "the chain was not read to its end")
    return out


def check_chain(connection: Connection, root_der: bytes) -> tuple[x509.Certificate, str]:
    """The slot's certificates lead from the trusted root to a leaf with a P-384 key."""
    structure = chain_of(connection)
    length = struct.unpack_from("<H", structure)[0]
    require(length == len(structure), f"chain length {length}, {len(structure)} bytes are there")
    _, digests = connection.only(0x81)
    require(digests[4:4 + HASH] == hashlib.sha384(structure).digest(),
            "DIGESTS names another chain")
    require(structure[4:4 + HASH] == hashlib.sha384(root_der).digest(),
            "RootHash names another root")
    ders = _der_sequences(structure[4 + HASH:])
    if ders[0] == root_der:
        ders = ders[1:]
    require(bool(ders), "no certificate below the root")
    path = [x509.load_der_x509_certificate(der) for der in (root_der, *ders)]
    for issuer, subject in pairwise(path):
        try:
            subject.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            missing(f"{subject.subject.rfc4514_string()} is not signed by its issuer")
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        require(basic.ca, f"{issuer.subject.rfc4514_string()} is no CA")
    for certificate in path:
        require(certificate.not_valid_before_utc <= connection.at
                <= certificate.not_valid_after_utc,
                f"{certificate.subject.rfc4514_string()} was not valid at {connection.at}")
    leaf = path[-1]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    require(any(u.dotted_string == EKU_RESPONDER for u in usage), "the leaf is no SPDM responder")
    return leaf, f"{len(path)} certificates, leaf {leaf.subject.rfc4514_string()}"


def _der_sequences(data: bytes) -> list[bytes]:
    out = []
    while data:
        require(len(data) > 4 and data[0] == 0x30, "no certificate where one is due")
        if data[1] < 0x80:
            size = 2 + data[1]
        else:
            count = data[1] & 0x7F
            size = 2 + count + int.from_bytes(data[2:2 + count], "big")
        require(size <= len(data), "a cut certificate")
        out.append(data[:size])
        data = data[size:]
    require(bool(out), "no certificate")
    return out


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """Both messages of a key exchange, cut where their lengths end."""

    request: bytes
    response: bytes

    @property
    def session_id(self) -> int:
        """Responder half above, requester half below."""
        low, = struct.unpack_from("<H", self.request, 4)
        high, = struct.unpack_from("<H", self.response, 4)
        return int(high) << 16 | int(low)

    def points(self) -> tuple[bytes, bytes]:
        """Both public keys, X || Y."""
        return self.request[40:40 + POINT], self.response[40:40 + POINT]


def key_exchange_of(connection: Connection) -> KeyExchange:
    """Cut the messages at their own lengths; what follows may only be zero padding."""
    request, response = connection.only(0xE4)
    opaque, = struct.unpack_from("<H", request, 40 + POINT)
    request = _cut(request, 42 + POINT + opaque)
    at = 40 + POINT + (HASH if request[2] else 0)
    opaque, = struct.unpack_from("<H", response, at)
    return KeyExchange(request, _cut(response, at + 2 + opaque + SIGNATURE + HASH))


def _cut(message: bytes, size: int) -> bytes:
    require(size <= len(message), f"{len(message)} bytes where {size} are due")
    require(len(message) - size < 4 and not any(message[size:]), "bytes behind the message")
    return message[:size]


def check_signature(connection: Connection, leaf: x509.Certificate) -> str:
    """KEY_EXCHANGE_RSP carries the leaf's signature over everything so far."""
    version, answer = connection.only(0x84)
    transcript = _cut(version, 4) + _cut(answer, 6 + 2 * answer[5])
    for message in connection.only(0xE1):
        transcript += _cut(message, 20)
    for message in connection.only(0xE3):
        transcript += _cut(message, struct.unpack_from("<H", message, 4)[0])
    exchange = key_exchange_of(connection)
    covered = exchange.response[:-SIGNATURE - HASH]
    signature = exchange.response[-SIGNATURE - HASH:-HASH]
    transcript += hashlib.sha384(chain_of(connection)).digest() + exchange.request + covered
    number = exchange.response[0]
    context = b"responder-key_exchange_rsp signing"
    prefix = 4 * f"dmtf-spdm-v{number >> 4}.{number & 15}.*".encode() + context.rjust(36, b"\0")
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        missing("the leaf key is no P-384 key")
    r, s = (int.from_bytes(signature[i:i + 48], "big") for i in (0, 48))
    try:
        key.verify(encode_dss_signature(r, s), prefix + hashlib.sha384(transcript).digest(),
                   ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        missing("the signature does not verify")
    for point in exchange.points():
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), b"\x04" + point)
        except ValueError:
            missing("exchange data is no point of P-384")
    return f"SPDM {number >> 4}.{number & 15}, over {len(transcript)} transcript bytes"


def check_records(connection: Connection) -> str:
    """Every record names the session of its key exchange and is as long as it says."""
    expected = key_exchange_of(connection).session_id
    for payload in connection.records:
        session, length = struct.unpack_from("<IH", payload)
        require(session == expected, f"a record of session {session:#010x}, not {expected:#010x}")
        _cut(payload, 6 + length)
        require(length > 16, "a record shorter than its MAC")
    return f"{expected:#010x} in {len(connection.records)} records"


def check_fresh(connections: list[Connection]) -> str:
    """No session id, public key or random number of one session is used in another."""
    require(len(connections) >= 2, f"{len(connections)} connection only")
    exchanges = [key_exchange_of(c) for c in connections]
    ids = [e.session_id for e in exchanges]
    require(len(set(ids)) == len(ids), "a session id was used twice")
    values = [v for e in exchanges for v in (*e.points(), e.request[8:40], e.response[8:40])]
    require(len(set(values)) == len(values), "a public key or random number was used twice")
    return f"{len(ids)} sessions: {', '.join(f'{i:#010x}' for i in ids)}"


def check_name(leaf: x509.Certificate, identity: str) -> str:
    """The leaf names exactly the device whose configuration space was read."""
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    texts = [n.value[2:] for n in names if isinstance(n, x509.OtherName)
             and n.type_id.dotted_string == PCIE_NAME]
    require(texts == [identity.encode()], f"the leaf names {texts}, the device is {identity}")
    return identity


def root_bytes(pem_or_der: bytes) -> bytes:
    """A root certificate file as DER.

    Raises:
        ValueError: it is none.
    """
    if pem_or_der.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(pem_or_der).public_bytes(Encoding.DER)
    return x509.load_der_x509_certificate(pem_or_der).public_bytes(Encoding.DER)
