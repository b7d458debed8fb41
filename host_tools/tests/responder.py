# SPDX-License-Identifier: Apache-2.0
"""A minimal SPDM responder for tests, written apart from the package under test.

It uses `struct`, `hmac` and `cryptography` only, speaks DOE objects (`handle`), and has a small
IDE_KM and TDISP device behind it. `hook(stage, data)` may change what it sends; stages are named
where they occur.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Hook = Callable[[str, bytes], bytes]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CAPS = 0x02 | 0x04 | 0x10 | 0x40 | 0x80 | 0x200 | 0x2000 | 0x4000
FULL_REPORT = bytes.fromhex(
    "02000000 03000000 00000000 03000000"
    "0010000000000000 01000000 0400 0000"
    "0110000000000000 01000000 0000 0000"
    "0810000000000000 04000000 0000 0000"
    "04000000 64617461".replace(" ", "")
)


def block(index: int, kind: int, value: bytes) -> bytes:
    """A measurement block; `kind` is the wire byte (bit 7 = raw)."""
    return struct.pack("<BBHBH", index, 1, 3 + len(value), kind, len(value)) + value


DEFAULT_BLOCKS = (
    (1, 0x00, hashlib.sha384(b"rom").digest()),
    (2, 0x01, hashlib.sha384(b"firmware").digest()),
    (3, 0x02, hashlib.sha384(b"hardware").digest()),
    (0x10, 0x87, struct.pack("<Q", 7)),
    (0xFE, 0x85, struct.pack("<4I", 0x3F, 4, 0x1F, 0)),
)


class Error(Exception):
    """An SPDM ERROR to be sent."""

    def __init__(self, code: int, data: int = 0, extended: bytes = b"") -> None:
        super().__init__(code)
        self.code, self.data, self.extended = code, data, extended


@dataclass
class Direction:
    """Secret, key, IV and counter of one direction."""

    secret: bytes
    key: bytes
    iv: bytes
    count: int = 0

    def nonce(self) -> bytes:
        number = int.from_bytes(self.iv, "little") ^ self.count
        self.count += 1
        return number.to_bytes(12, "little")


@dataclass
class Live:
    """The one session."""

    session_id: int
    th: bytes
    handshake_secret: bytes
    rx: Direction
    tx: Direction
    finished: tuple[bytes, bytes]
    phase: str = "handshake"
    log: bytes = b""


@dataclass
class Responder:
    """Responder with one slot. `hash_name`, `asym`, `dhe` fix its choice."""

    key: PrivateKey
    structure: bytes
    versions: tuple[int, ...] = (0x1200, 0x1300)
    hash_name: str = "sha384"
    asym: int = 0x80
    dhe: int = 0x10
    caps: int = CAPS
    heartbeat: int = 5
    blocks: tuple[tuple[int, int, bytes], ...] = DEFAULT_BLOCKS
    hook: Hook = lambda _stage, data: data
    slots: dict[int, bytes] = field(default_factory=dict)
    version: int = 0
    vca: bytes = b""
    identity: bytes = b""
    log: bytes = b""
    live: Live | None = None
    requests: list[int] = field(default_factory=list)
    tdi_state: int = 0
    nonce: bytes = b""
    keys: dict[int, bytes] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    stalled: bytes | None = None

    def __post_init__(self) -> None:
        self.slots.setdefault(0, self.structure)

    # helpers ---------------------------------------------------------------------------------

    def digest(self, data: bytes) -> bytes:
        return hashlib.new(self.hash_name, data).digest()

    @property
    def hash_size(self) -> int:
        return len(self.digest(b""))

    def expand(self, secret: bytes, label: str, length: int, context: bytes = b"") -> bytes:
        """One HKDF-Expand step: no output here is longer than one block... or two."""
        text = f"spdm{self.version >> 4}.{self.version & 15} {label}".encode()
        info = struct.pack("<H", length) + text + context
        first = hmac.new(secret, info + b"\x01", self.hash_name).digest()
        assert length <= len(first)
        return first[:length]

    def direction(self, secret: bytes) -> Direction:
        return Direction(secret, self.expand(secret, "key", 32), self.expand(secret, "iv", 12))

    def sign(self, context: bytes, transcript: bytes) -> bytes:
        digits = f"{self.version >> 4}.{self.version & 15}".encode()
        prefix = (b"dmtf-spdm-v" + digits + b".*") * 4
        data = prefix + bytes(36 - len(context)) + context + self.digest(transcript)
        algorithm = {"sha384": hashes.SHA384(), "sha256": hashes.SHA256()}[self.hash_name]
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), algorithm)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(algorithm)))
        size = (self.key.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    # DOE -------------------------------------------------------------------------------------

    def handle(self, wire: bytes) -> bytes:
        """One DOE object in, one out."""
        head, length = struct.unpack_from("<II", wire)
        assert length * 4 == len(wire) and head & 0xFFFF == 1
        kind, payload = head >> 16, wire[8:]
        if kind == 0:
            index = payload[0]
            answer = struct.pack("<HBB", 1, index, (index + 1) % 3)
        elif kind == 1:
            answer = self.hook("plain", self.plain(payload))
        else:
            answer = self.hook("record", self.secured(payload))
        answer += bytes(-len(answer) % 4)
        return self.hook("object", struct.pack("<II", head, 2 + len(answer) // 4) + answer)

    def secured(self, payload: bytes) -> bytes:
        live = self.live
        assert live is not None, "no session"
        session_id, length = struct.unpack_from("<IH", payload)
        assert session_id == live.session_id
        aad, body = payload[:6], payload[6 : 6 + length]
        plain = AESGCM(live.rx.key).decrypt(live.rx.nonce(), body, aad)
        size = struct.unpack_from("<H", plain)[0]
        assert size == len(plain) - 2
        tx = live.tx
        request = plain[2:]
        response = self.hook("inner", self.answer(request, live))
        if live.phase == "updating":
            live.phase = "application"
            tx = live.tx
        inner = struct.pack("<H", len(response)) + response
        aad = struct.pack("<IH", session_id, len(inner) + 16)
        sealed = AESGCM(tx.key).encrypt(tx.nonce(), inner, aad)
        if live.phase == "finished":
            self.start_application(live)
        if live.phase == "ended":
            self.live = None
        return aad + sealed

    def plain(self, payload: bytes) -> bytes:
        return self.answer(payload, None)

    def answer(self, request: bytes, live: Live | None) -> bytes:
        code = request[1]
        self.requests.append(code)
        if code != 0xE0:
            (self if live is None else live).log = b""
        if live is None and code in (0x81, 0xE0, 0xE4):
            self.identity = b""
        try:
            special = self.hook("fault", bytes([code]))
            if special != bytes([code]):
                raise Error(special[0], special[1] if len(special) > 1 else 0, special[2:])
            return self.dispatch(code, request, live)
        except Error as error:
            version = self.version or 0x10
            return bytes([version, 0x7F, error.code, error.data]) + error.extended

    def dispatch(self, code: int, request: bytes, live: Live | None) -> bytes:
        if live is None:
            handlers = {
                0x84: self.get_version,
                0xE1: self.get_capabilities,
                0xE3: self.algorithms,
                0x81: self.get_digests,
                0x82: self.get_certificate,
                0x83: self.challenge,
                0xE0: self.get_measurements,
                0xE4: self.key_exchange,
                0xFF: self.respond_if_ready,
            }
            if code not in handlers:
                raise Error(0x0B if code in (0xE5, 0xE8, 0xE9, 0xEC) else 0x07, 0)
            return handlers[code](request)
        if live.phase == "handshake":
            if code != 0xE5:
                raise Error(0x04)
            return self.finish(request, live)
        inside: dict[int, Callable[[bytes, Live], bytes]] = {
            0xE8: lambda r, _l: bytes([r[0], 0x68, 0, 0]),
            0xE9: self.key_update,
            0xEC: self.end_session,
            0xFE: self.vendor,
            0xE0: lambda r, _l: self.get_measurements(r),
            0x81: lambda r, _l: self.get_digests(r),
            0x82: lambda r, _l: self.get_certificate(r),
        }
        if code not in inside:
            raise Error(0x04)
        return inside[code](request, live)

    # Messages --------------------------------------------------------------------------------

    def get_version(self, request: bytes) -> bytes:
        assert request[:4] == b"\x10\x84\x00\x00"
        self.live, self.version = None, 0
        entries = b"".join(struct.pack("<H", item) for item in self.versions)
        response = b"\x10\x04\x00\x00\x00" + bytes([len(self.versions)]) + entries
        response = self.hook("version", response)
        self.vca = request[:4] + response
        return response

    def get_capabilities(self, request: bytes) -> bytes:
        self.version = request[0]
        response = bytes([self.version, 0x61, 0, 0, 0, 18, 0, 0])
        response += struct.pack("<III", self.caps, 0x1200, 0x1200)
        response = self.hook("capabilities", response)
        self.vca += request[:20] + response
        return response

    def algorithms(self, request: bytes) -> bytes:
        length = struct.unpack_from("<H", request, 4)[0]
        offered = struct.unpack_from("<II", request, 8)
        assert offered[0] & self.asym and offered[1] & self.hash_bit
        tables = b"\x02\x20" + struct.pack("<H", self.dhe) + b"\x03\x20\x02\x00\x05\x20\x01\x00"
        response = bytes([self.version, 0x63, 3, 0]) + struct.pack("<HBB", 48, 1, 2)
        response += struct.pack("<III", self.hash_bit << 1, self.asym, self.hash_bit)
        response += bytes(16) + tables
        response = self.hook("algorithms", response)
        self.vca += request[:length] + response
        return response

    @property
    def hash_bit(self) -> int:
        return {"sha256": 1, "sha384": 2}[self.hash_name]

    def get_digests(self, request: bytes) -> bytes:
        mask = sum(1 << slot for slot in self.slots)
        response = bytes([self.version, 0x01, mask if self.version > 0x12 else 0, mask])
        response += b"".join(self.digest(self.slots[slot]) for slot in sorted(self.slots))
        response = self.hook("digests", response)
        if self.live is None:
            self.identity = request[:4] + response
        return response

    def get_certificate(self, request: bytes) -> bytes:
        slot = request[2] & 15
        offset, length = struct.unpack_from("<HH", request, 4)
        if slot not in self.slots or offset >= len(self.slots[slot]):
            raise Error(0x01)
        whole = self.slots[slot]
        part = whole[offset : offset + length]
        rest = len(whole) - offset - len(part)
        response = bytes([self.version, 0x02, slot, 0]) + struct.pack("<HH", len(part), rest)
        response = self.hook("certificate", response + part)
        if self.live is None:
            self.identity += request[:8] + response
        return response

    def summary(self, kind: int) -> bytes:
        if kind == 0:
            return b""
        chosen = [item for item in self.blocks if kind == 0xFF or item[1] & 0x7F < 4]
        return self.digest(b"".join(block(*item) for item in chosen))

    def challenge(self, request: bytes) -> bytes:
        size = 44 if self.version > 0x12 else 36
        response = bytes([self.version, 0x03, request[2], 1]) + self.digest(self.structure)
        response += os.urandom(32) + self.summary(request[3]) + b"\x00\x00" + request[36:size]
        response = self.hook("challenge", response)
        transcript = self.vca + self.identity + request[:size] + response
        self.identity = b""
        return response + self.sign(b"responder-challenge_auth signing", transcript)

    def get_measurements(self, request: bytes) -> bytes:
        signed = bool(request[2] & 1)
        operation = request[3]
        size = (37 if signed else 4) + (8 if self.version > 0x12 else 0)
        request = request[:size]
        context = request[size - 8 :] if self.version > 0x12 else b""
        chosen = [item for item in self.blocks if operation in (0xFF, item[0])]
        if operation and not chosen:
            raise Error(0x01)
        record = b"".join(block(*item) for item in chosen)
        count = len(self.blocks) if operation == 0 else 0
        response = bytes([self.version, 0x60, count, request[36] & 15 if signed else 0])
        response += bytes([len(chosen)]) + struct.pack("<I", len(record))[:3] + record
        response += os.urandom(32) + b"\x00\x00" + context
        response = self.hook("measurements", response)
        owner = self.live if self.live is not None else self
        owner.log += request + response
        if not signed:
            return response
        signature = self.sign(b"responder-measurements signing", self.vca + owner.log)
        owner.log = b""
        return response + self.hook("measurements.signature", signature)

    def key_exchange(self, request: bytes) -> bytes:
        curve = {0x10: ec.SECP384R1(), 0x08: ec.SECP256R1()}[self.dhe]
        width = curve.key_size // 8
        kind, slot, req_id = request[2], request[3], struct.unpack_from("<H", request, 4)[0]
        at = 40 + 2 * width
        opaque_size = struct.unpack_from("<H", request, at)[0]
        request = request[: at + 2 + opaque_size]
        peer = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + request[40:at])
        own = ec.generate_private_key(curve)
        numbers = own.public_key().public_numbers()
        point = numbers.x.to_bytes(width, "big") + numbers.y.to_bytes(width, "big")
        opaque = bytes.fromhex("010000000000040001000012")
        response = bytes([self.version, 0x64, self.heartbeat, 0]) + struct.pack("<H", 0xFFFE)
        response += b"\x00\x00" + os.urandom(32) + point + self.summary(kind)
        response += struct.pack("<H", len(opaque)) + opaque
        response = self.hook("kex", response)
        th = self.vca + self.digest(self.slots[slot]) + request + response
        signature = self.sign(b"responder-key_exchange_rsp signing", th)
        signature = self.hook("kex.signature", signature)
        th += signature
        shared = own.exchange(ec.ECDH(), peer)
        size = self.hash_size
        handshake = hmac.new(bytes(size), shared, self.hash_name).digest()
        th1 = self.digest(th)
        req = self.expand(handshake, "req hs data", size, th1)
        rsp = self.expand(handshake, "rsp hs data", size, th1)
        finished = (self.expand(req, "finished", size), self.expand(rsp, "finished", size))
        verify = self.hook("kex.verify", hmac.new(finished[1], th1, self.hash_name).digest())
        session_id = 0xFFFE << 16 | req_id
        self.live = Live(
            session_id,
            th + verify,
            handshake,
            self.direction(req),
            self.direction(rsp),
            finished,
        )
        return response + signature + verify

    def finish(self, request: bytes, live: Live) -> bytes:
        covered = live.th + request[:4]
        want = hmac.new(live.finished[0], self.digest(covered), self.hash_name).digest()
        if not hmac.compare_digest(want, request[4:]):
            raise Error(0x06)
        response = bytes([self.version, 0x65, 0, 0])
        live.th += request + response
        live.phase = "finished"
        return response

    def start_application(self, live: Live) -> None:
        size = self.hash_size
        salt = self.expand(live.handshake_secret, "derived", size)
        master = hmac.new(salt, bytes(size), self.hash_name).digest()
        th2 = self.digest(live.th)
        live.rx = self.direction(self.expand(master, "req app data", size, th2))
        live.tx = self.direction(self.expand(master, "rsp app data", size, th2))
        live.phase = "application"

    def key_update(self, request: bytes, live: Live) -> bytes:
        size = self.hash_size
        response = self.hook("key_update", bytes([request[0], 0x69, request[2], request[3]]))
        if request[2] in (1, 2):
            live.rx = self.direction(self.expand(live.rx.secret, "traffic upd", size))
        if request[2] == 2 and self.hook("update_tx", b"y") == b"y":
            live.tx = self.direction(self.expand(live.tx.secret, "traffic upd", size))
            live.phase = "updating"
        return response

    def end_session(self, request: bytes, live: Live) -> bytes:
        live.phase = "ended"
        return bytes([request[0], 0x6C, 0, 0])

    def stall(self, request: bytes, token: int = 9, exponent: int = 12) -> Error:
        """ResponseNotReady for this request; RESPOND_IF_READY will be answered with it."""
        self.stalled = request
        return Error(0x42, 0, bytes([exponent, request[1], token, 4]))

    def respond_if_ready(self, request: bytes) -> bytes:
        assert self.stalled is not None and request[2] == self.stalled[1] and request[3] == 9
        pending, self.stalled = self.stalled, None
        return self.dispatch(pending[1], pending, None)

    # The device behind it --------------------------------------------------------------------

    def vendor(self, request: bytes, live: Live) -> bytes:
        assert request[4:9] == b"\x03\x00\x02\x01\x00"
        size = struct.unpack_from("<H", request, 9)[0]
        payload = request[11 : 11 + size]
        answer = self.ide_km(payload) if payload[0] == 0 else self.tdisp(payload)
        answer = self.hook("vendor", answer)
        return (
            bytes([request[0], 0x7E, 0, 0]) + request[4:9] + struct.pack("<H", len(answer)) + answer
        )

    def ide_km(self, payload: bytes) -> bytes:
        kind = payload[1]
        if kind == 0:
            head = bytes([0, 1, 0, payload[3], 0x00, 0x01, 0, 0])
            registers = struct.pack("<II", 0x42, 0) + struct.pack("<IIIII", 0, 0, 0, 0, 0)
            return head + registers
        stream, info, port = payload[4], payload[6], payload[7]
        if kind == 2:
            status = 0 if payload[40:] == b"\x00\x00\x00\x00\x01\x00\x00\x00" else 3
            swapped = b"".join(payload[i : i + 4][::-1] for i in range(8, 40, 4))
            self.keys[info] = swapped
            return bytes([0, 3, 0, 0, stream, status, info, port])
        if kind == 4:
            assert info in self.keys
            self.running.add(info)
        else:
            self.running.discard(info)
        return bytes([0, 6, 0, 0, stream, 0, info, port])

    def tdisp(self, payload: bytes) -> bytes:
        message = payload[1:]
        code, who = message[1], message[4:16]

        def out(response: int, body: bytes = b"") -> bytes:
            return bytes([1, 0x10, response, 0, 0]) + who + body

        def refuse(error: int, data: int = 0) -> bytes:
            return out(0x7F, struct.pack("<II", error, data))

        match code:
            case 0x81:
                return out(1, b"\x01\x10")
            case 0x82:
                mask = (0xFE).to_bytes(16, "little")
                return out(2, bytes(4) + mask + b"\x05\x00" + bytes(3) + b"\x34\x01\x01")
            case 0x83:
                if self.tdi_state != 0:
                    return refuse(4)
                self.tdi_state, self.nonce = 1, os.urandom(32)
                return out(3, self.nonce)
            case 0x84:
                if self.tdi_state not in (1, 2):
                    return refuse(4)
                offset, length = struct.unpack_from("<HH", message, 16)
                if offset >= len(FULL_REPORT):
                    return refuse(1)
                part = FULL_REPORT[offset : offset + min(length, 40)]
                rest = len(FULL_REPORT) - offset - len(part)
                return out(4, struct.pack("<HH", len(part), rest) + part)
            case 0x85:
                return out(5, bytes([self.tdi_state]))
            case 0x86:
                if self.tdi_state != 1:
                    return refuse(4)
                if message[16:48] != self.nonce:
                    return refuse(0x102)
                self.tdi_state, self.nonce = 2, b""
                return out(6)
            case 0x87:
                self.tdi_state = 0
                return out(7)
        return refuse(7, code)
