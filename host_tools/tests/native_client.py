# SPDX-License-Identifier: Apache-2.0
"""A requester that obeys nobody: SPDM, IDE_KM and TDISP bytes for tests of the native DSM.

Written from the protocols' layouts alone, with the primitives of `cryptography` and hashlib; it
shares no code with the host tools or the firmware. It keeps the transcripts that a correct peer
would keep, and sends whatever a test asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.native_dsm import NativeDsm

GET_VERSION = bytes.fromhex("10840000")
CAPS_TEE_IO = 0x000062C2  # CERT, ENCRYPT, MAC, KEY_EX, HBEAT, KEY_UPD
CAP_CHUNK = 1 << 17
TABLES = bytes.fromhex("02201000" "03200200" "05200100")
OPAQUE_11_12 = bytes.fromhex("01000000" "00000700" "01010200" "11001200")
TYPE_DISCOVERY, TYPE_SPDM, TYPE_SECURED = 0, 1, 2

IDE_KM, TDISP = 0, 1


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def doe_object(object_type: int, message: bytes) -> bytes:
    """A DOE object of the PCI-SIG, padded."""
    padded = message + bytes(-len(message) % 4)
    return struct.pack("<HBBI", 1, object_type, 0, 2 + len(padded) // 4) + padded


def split_object(data: bytes) -> tuple[int, bytes]:
    """Type and payload of an answer; asserts that the header is right."""
    vendor, object_type, reserved, length = struct.unpack_from("<HBBI", data)
    assert (vendor, reserved) == (1, 0)
    assert 4 * length == len(data)
    return object_type, data[8:]


def get_capabilities(version: int, *, flags: int = CAPS_TEE_IO, size: int = 0x1200,
                     largest: int | None = None, exponent: int = 20, param1: int = 0) -> bytes:
    return struct.pack("<BBBBBBHIII", version, 0xE1, param1, 0, 0, exponent, 0, flags, size,
                       size if largest is None else largest)


def negotiate_algorithms(version: int, *, tables: bytes = TABLES, count: int | None = None,
                         spec: int = 1, other: int = 2, asym: int = 0x80, hashing: int = 2,
                         length: int | None = None, extended: tuple[int, int] = (0, 0)) -> bytes:
    body = bytes(4 * sum(extended)) + tables
    number = len(tables) // 4 if count is None else count
    return struct.pack("<BBBBHBBII12xBBBB", version, 0xE3, number, 0,
                       32 + len(body) if length is None else length, spec, other, asym, hashing,
                       *extended, 0, 0) + body


def chunk_sends(version: int, message: bytes, limit: int, *, handle: int = 0x5A) -> list[bytes]:
    """CHUNK_SEND messages of at most `limit` bytes that carry `message`."""
    out: list[bytes] = []
    done = 0
    while done < len(message):
        total = b"" if out else struct.pack("<I", len(message))
        part = message[done:done + limit - 12 - len(total)]
        done += len(part)
        out.append(struct.pack("<BBBBHHI", version, 0x85, int(done == len(message)), handle,
                               len(out), 0, len(part)) + total + part)
    return out


def signed_data(version: int, label: str, transcript: bytes) -> bytes:
    """What the responder signs: prefix, zeros, label, transcript hash."""
    prefix = 4 * f"dmtf-spdm-v1.{version & 15}.*".encode()
    return prefix + bytes(36 - len(label)) + label.encode() + sha384(transcript)


def verify(key: ec.EllipticCurvePublicKey, version: int, label: str, transcript: bytes,
           signature: bytes) -> None:
    """Raises InvalidSignature unless `signature` (r || s) covers the transcript."""
    r, s = (int.from_bytes(part, "big") for part in (signature[:48], signature[48:]))
    key.verify(encode_dss_signature(r, s), signed_data(version, label, transcript),
               ec.ECDSA(hashes.SHA384()))


def expand(secret: bytes, version: int, label: str, length: int, context: bytes = b"") -> bytes:
    """HKDF-Expand of one block with an SPDM label."""
    info = struct.pack("<H", length) + f"spdm1.{version & 15} {label}".encode() + context
    return hmac.digest(secret, info + b"\x01", "sha384")[:length]


@dataclass
class Direction:
    """Traffic secret of one direction and the record number."""

    version: int
    secret: bytes
    sequence: int = 0

    def _cipher(self) -> tuple[AESGCM, bytes]:
        key = expand(self.secret, self.version, "key", 32)
        iv = expand(self.secret, self.version, "iv", 12)
        count = struct.pack("<QI", self.sequence, 0)
        self.sequence += 1
        return AESGCM(key), bytes(a ^ b for a, b in zip(iv, count, strict=True))

    def seal(self, session_id: int, plaintext: bytes) -> bytes:
        cipher, nonce = self._cipher()
        aad = struct.pack("<IH", session_id, len(plaintext) + 16)
        return aad + cipher.encrypt(nonce, plaintext, aad)

    def open(self, record: bytes) -> bytes:
        cipher, nonce = self._cipher()
        length, = struct.unpack_from("<H", record, 4)
        assert 0 <= len(record) - 6 - length <= 3
        assert not any(record[6 + length:])
        return cipher.decrypt(nonce, record[6:6 + length], record[:6])

    def keys(self) -> list[bytes]:
        """The traffic secret and the record key that comes from it."""
        return [self.secret, expand(self.secret, self.version, "key", 32)]

    def updated(self) -> Direction:
        return Direction(self.version, expand(self.secret, self.version, "traffic upd", 48))


@dataclass
class Session:
    """A session as its requester knows it."""

    client: Client
    session_id: int
    handshake: bytes
    transcript: bytes
    finished: bytes
    tx: Direction
    rx: Direction
    heartbeat: int
    shared: bytes = field(default=b"", repr=False)
    is_open: bool = False
    last_record: bytes = field(default=b"", repr=False)

    @property
    def version(self) -> int:
        return self.client.version

    def record(self, record: bytes) -> bytes | None:
        """Sends a record as it is; the answer's message, None if it was dropped."""
        answer = self.client.carry(TYPE_SECURED, record)
        if answer is None:
            return None
        assert struct.unpack_from("<I", answer)[0] == self.session_id
        plaintext = self.rx.open(answer)
        length, = struct.unpack_from("<H", plaintext)
        assert length == len(plaintext) - 2
        return plaintext[2:]

    def send(self, message: bytes) -> bytes | None:
        """Seals and sends `message`, in chunks if the client does that."""
        return self.client.in_chunks(self.send_one, message)

    def send_one(self, message: bytes) -> bytes | None:
        """Seals and sends `message` in one record."""
        self.last_record = self.tx.seal(self.session_id, struct.pack("<H", len(message)) + message)
        return self.record(self.last_record)

    def spdm(self, code: int, param1: int = 0, param2: int = 0, body: bytes = b"") -> bytes | None:
        return self.send(bytes([self.version, code, param1, param2]) + body)

    def finish_message(self) -> bytes:
        header = bytes([self.version, 0xE5, 0, 0])
        return header + hmac.digest(self.finished, sha384(self.transcript + header), "sha384")

    def finish(self) -> Session:
        """A correct FINISH; the session is in its application phase then."""
        message = self.finish_message()
        answer = self.send(message)
        assert answer == bytes([self.version, 0x65, 0, 0]), answer
        th2 = sha384(self.transcript + message + answer)
        salt = expand(self.handshake, self.version, "derived", 48)
        master = hmac.digest(salt, bytes(48), "sha384")
        self.tx = Direction(self.version, expand(master, self.version, "req app data", 48, th2))
        self.rx = Direction(self.version, expand(master, self.version, "rsp app data", 48, th2))
        self.is_open = True
        return self

    def vendor(self, protocol: int, payload: bytes) -> bytes | None:
        """PCI-SIG payload there and back (without the protocol byte); ERRORs whole."""
        body = struct.pack("<HBHHB", 3, 2, 1, 1 + len(payload), protocol) + payload
        answer = self.spdm(0xFE, 0, 0, body)
        if answer is None or answer[1] == 0x7F:
            return answer
        head = struct.unpack_from("<BBBBHBHHB", answer)
        assert head == (self.version, 0x7E, 0, 0, 3, 2, 1, len(answer) - 11, protocol)
        return answer[12:]


class Client:
    """One connection."""

    def __init__(self, dsm: NativeDsm, leaf_key: ec.EllipticCurvePublicKey, chain: bytes) -> None:
        self.dsm = dsm
        self.leaf_key = leaf_key
        self.chain = chain
        self.version = 0
        self.vca = b""
        self.device_bytes = self.own_bytes = 0x11E8
        self.takes_chunks = False

    def carry(self, object_type: int, message: bytes) -> bytes | None:
        """Payload of the answer, None if the mailbox dropped the object."""
        answer = self.dsm.exchange(doe_object(object_type, message))
        if not answer:
            return None
        got, payload = split_object(answer)
        assert got == object_type
        return payload

    def plain(self, message: bytes) -> bytes:
        """A message in clear; it must be answered."""
        answer = self.in_chunks(self.plain_one, message)
        assert answer is not None, f"no answer to {message.hex()}"
        return answer

    def plain_one(self, message: bytes) -> bytes | None:
        """A message in clear, in one object."""
        return self.carry(TYPE_SPDM, message)

    def in_chunks(self, send: Callable[[bytes], bytes | None], message: bytes) -> bytes | None:
        """Sends `message` by `send`, in chunks where the device or this client needs them."""
        if not self.takes_chunks or len(message) <= self.device_bytes:
            answer = send(message)
        else:
            for part in chunk_sends(self.version, message, self.device_bytes):
                answer = send(part)
                assert answer is not None
                assert answer[:6] == bytes([self.version, 5, 0, part[3]]) + part[4:6]
            answer = answer[6:] if answer else answer
        if not self.takes_chunks or answer is None or answer[1:3] != b"\x7f\x0f":
            return answer
        handle, whole, number, last = answer[4], b"", 0, 0
        while not last:
            part = send(struct.pack("<BBBBH", self.version, 0x86, 0, handle, number)) or b""
            last, size = part[2], struct.unpack_from("<I", part, 8)[0]
            assert part[:8] == struct.pack("<BBBBHH", self.version, 6, last, handle, number, 0)
            assert last in (0, 1)
            at = 16 if number == 0 else 12
            if number == 0:
                total, = struct.unpack_from("<I", part, 12)
            assert at + size <= self.own_bytes
            assert last or at + size == self.own_bytes
            assert len(part) - at - size <= 3
            whole += part[at:at + size]
            number += 1
        assert len(whole) == total
        assert total > self.own_bytes - 6  # 6: a CHUNK_SEND_ACK may stand before the answer
        return whole

    def spdm(self, code: int, param1: int = 0, param2: int = 0, body: bytes = b"") -> bytes:
        return self.plain(bytes([self.version, code, param1, param2]) + body)

    def start(self) -> None:
        """GET_VERSION."""
        answer = self.plain(GET_VERSION)
        assert answer[:10] == bytes.fromhex("10040000000200120013"), answer.hex()
        self.vca = GET_VERSION + answer[:10]
        self.version = 0
        self.takes_chunks = False

    def connect(self, version: int = 0x12, *, flags: int = CAPS_TEE_IO,
                size: int = 0x1200, largest: int | None = None) -> Client:
        """VERSION, CAPABILITIES, ALGORITHMS. `largest` is MaxSPDMmsgSize and asks for chunks."""
        self.start()
        if largest is not None:
            flags |= CAP_CHUNK
        request = get_capabilities(version, flags=flags, size=size, largest=largest)
        answer = self.plain(request)
        assert answer[1] == 0x61, answer.hex()
        self.vca += request + answer
        self.version = version
        self.own_bytes = size
        self.takes_chunks = largest is not None
        self.device_bytes, = struct.unpack_from("<I", answer, 12)
        request = negotiate_algorithms(version)
        answer = self.plain(request)
        assert answer[1] == 0x63, answer.hex()
        answer = answer[:struct.unpack_from("<H", answer, 4)[0]]  # padding may follow
        self.vca += request + answer
        return self

    def key_exchange_message(self, point: bytes, *, summary: int = 0, slot: int = 0,
                             half: int = 0x1234, policy: int = 0,
                             opaque: bytes = OPAQUE_11_12,
                             opaque_length: int | None = None) -> bytes:
        length = len(opaque) if opaque_length is None else opaque_length
        return (struct.pack("<BBBBHBB", self.version, 0xE4, summary, slot, half, policy, 0)
                + os.urandom(32) + point + struct.pack("<H", length) + opaque)

    def key_exchange(self, *, summary: int = 0, half: int = 0x1234, slot: int = 0, policy: int = 0,
                     opaque: bytes = OPAQUE_11_12) -> Session:
        """A correct KEY_EXCHANGE; checks signature and verify data of the answer."""
        private = ec.generate_private_key(ec.SECP384R1())
        numbers = private.public_key().public_numbers()
        point = numbers.x.to_bytes(48, "big") + numbers.y.to_bytes(48, "big")
        request = self.key_exchange_message(point, summary=summary, half=half, slot=slot,
                                            policy=policy, opaque=opaque)
        answer = self.plain(request)
        assert answer[1] == 0x64, answer.hex()
        size = 40 + 96 + (48 if summary else 0) + 2 + 12 + 96 + 48
        assert 0 <= len(answer) - size <= 3
        assert not any(answer[size:])
        answer = answer[:size]
        heartbeat, _, response_half, mut_auth, peer_slot = struct.unpack_from("<BBHBB", answer, 2)
        assert (mut_auth, peer_slot) == (0, 0)
        transcript = self.vca + sha384(self.chain) + request + answer[:-144]
        verify(self.leaf_key, self.version, "responder-key_exchange_rsp signing", transcript,
               answer[-144:-48])
        transcript += answer[-144:-48]
        th1 = sha384(transcript)
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(),
                                                            b"\x04" + answer[40:136])
        shared = private.exchange(ec.ECDH(), peer)
        handshake = hmac.digest(bytes(48), shared, "sha384")
        req = expand(handshake, self.version, "req hs data", 48, th1)
        rsp = expand(handshake, self.version, "rsp hs data", 48, th1)
        own = expand(rsp, self.version, "finished", 48)
        assert answer[-48:] == hmac.digest(own, th1, "sha384")
        return Session(
            client=self, session_id=response_half << 16 | half, handshake=handshake,
            transcript=transcript + answer[-48:],
            finished=expand(req, self.version, "finished", 48),
            tx=Direction(self.version, req), rx=Direction(self.version, rsp),
            heartbeat=heartbeat, shared=shared)

    def session(self, **options: int) -> Session:
        """KEY_EXCHANGE and FINISH."""
        return self.key_exchange(**options).finish()  # type: ignore[arg-type]


# IDE_KM and TDISP ----------------------------------------------------------------------------


def key_prog(stream: int = 0, info: int = 0, port: int = 0, key: bytes = bytes(32),
             ifv: int = 1) -> bytes:
    """KEY_PROG from the object id on; key byte 0 first, as AES takes it."""
    words = key + ifv.to_bytes(8, "big")
    swapped = b"".join(words[i:i + 4][::-1] for i in range(0, 40, 4))
    return struct.pack("<BxxBxBB", 2, stream, info, port) + swapped


def key_go(stream: int = 0, info: int = 0, port: int = 0) -> bytes:
    return struct.pack("<BxxBxBB", 4, stream, info, port)


def key_stop(stream: int = 0, info: int = 0, port: int = 0) -> bytes:
    return struct.pack("<BxxBxBB", 5, stream, info, port)


def key_info(key_set: int, is_tx: int, sub_stream: int) -> int:
    return key_set | is_tx << 1 | sub_stream << 4


def all_infos(key_set: int) -> list[int]:
    """Rx of PR, NPR, CPL, then Tx."""
    return [key_info(key_set, tx, sub) for tx in (0, 1) for sub in (0, 1, 2)]


def tdisp(code: int, function_id: int = 0x0101, body: bytes = b"", version: int = 0x10) -> bytes:
    """A TDISP message."""
    return struct.pack("<BBxxIxxxxxxxx", version, code, function_id) + body
