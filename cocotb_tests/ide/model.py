# SPDX-License-Identifier: Apache-2.0
"""The partner port of an IDE stream: an independent writing of IDE in Non-Flit Mode.

AES-256-GCM comes from `cryptography`. All byte strings are in wire order. Without aggregation,
PCRC and partial header encryption: P = 0, M = 1 in every TLP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PR, NPR, CPL = 0, 1, 2
MSG_SYNC, MSG_FAIL = 0x54, 0x55
IDE_PREFIX = 0x92


class CheckFailed(Exception):
    """The receiver's view of an IDE Check Failed condition; the text says which."""


def sub_stream_of(header: bytes) -> int:
    """Sub-stream of a TLP by its Fmt/Type byte: posted 0, non-posted 1, completion 2."""
    kind = header[0]
    if kind & 0x1F in (0x0A, 0x0B):
        return CPL
    if kind & 0x18 == 0x10 or kind in (0x40, 0x60):
        return PR
    return NPR


def iv_for(sub_stream: int, invocation: int) -> bytes:
    """96-bit IV: sub-stream in the top nibble, 64-bit invocation field at the bottom."""
    return bytes([sub_stream << 4, 0, 0, 0]) + invocation.to_bytes(8, "big")


def seal(key: bytes, iv: bytes, aad: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Encrypt; returns (ciphertext, 12-byte MAC)."""
    out = AESGCM(key).encrypt(iv, payload, aad)
    return out[:len(payload)], out[len(payload):len(payload) + 12]


def open_(key: bytes, iv: bytes, aad: bytes, body: bytes, mac: bytes) -> bytes:
    """Decrypt and verify a 96-bit MAC.

    Raises:
        CheckFailed: the MAC does not match.
    """
    dec = Cipher(algorithms.AES(key), modes.GCM(iv, mac, min_tag_length=12)).decryptor()
    dec.authenticate_additional_data(aad)
    try:
        return dec.update(body) + dec.finalize()
    except InvalidTag as exc:
        raise CheckFailed("MAC") from exc


def message(code: int, requester: int, partner: int, stream_id: int, npr: int = 0, cpl: int = 0,
            *, link: bool = False) -> bytes:
    """IDE Sync or Fail: 4-DW message without data, routed by ID (selective) or locally (link)."""
    return (bytes([0x34 if link else 0x32, 0, 0, 0]) + requester.to_bytes(2, "big")
            + bytes([0, code]) + (0 if link else partner).to_bytes(2, "big")
            + bytes([0, stream_id]) + npr.to_bytes(2, "big") + cpl.to_bytes(2, "big"))


@dataclass(frozen=True)
class IdeTlp:
    """A protected TLP in its parts, wire order."""

    prefix: bytes
    header: bytes
    body: bytes
    mac: bytes

    def flip(self, part: str, bit: int) -> IdeTlp:
        """Copy with one bit changed; bit 0 = most significant bit of byte 0 of that part."""
        data = bytearray(getattr(self, part))
        data[bit // 8] ^= 0x80 >> (bit % 8)
        return replace(self, **{part: bytes(data)})


def make_prefix(pr_sent: int, stream_id: int, sub_stream: int, *, p: int = 0, m: int = 1,
                k: int = 0, t: int = 0) -> bytes:
    """IDE TLP prefix, 4 bytes."""
    return bytes([IDE_PREFIX, pr_sent, stream_id,
                  sub_stream << 4 | p << 3 | m << 2 | k << 1 | t])


@dataclass
class Sender:
    """Transmit half of the partner port for one stream."""

    stream_id: int
    keys: dict[tuple[int, int], bytes] = field(default_factory=dict)  # (sub-stream, K) -> key
    key_set: list[int] = field(default_factory=lambda: [0, 0, 0])
    invocation: list[int] = field(default_factory=lambda: [1, 1, 1])
    pr_npr: int = 0
    pr_cpl: int = 0

    def flip(self, sub_stream: int, key_set: int) -> None:
        """Use another key set on one sub-stream; its invocation field starts at 1."""
        self.key_set[sub_stream] = key_set
        self.invocation[sub_stream] = 1

    def protect(self, header: bytes, payload: bytes = b"", *, t: int = 0, sub: int | None = None,
                p: int = 0, m: int = 1, k: int | None = None, pr_sent: int | None = None,
                count: bool = True) -> IdeTlp:
        """Protect one TLP. The keyword arguments override single prefix fields, for bad TLPs.

        Args:
            header: 12 or 16 bytes.
            payload: plaintext.
            t: T bit.
            sub: sub-stream written into the prefix (the class decides key and IV).
            p: P bit.
            m: M bit.
            k: key set to use and announce.
            pr_sent: PR_Sent_Counter.
            count: the TLP counts as a PR (False for IDE Sync).
        """
        cls = sub_stream_of(header)
        key_set = self.key_set[cls] if k is None else k
        if cls == PR:
            sent = 0
            if count:
                self.pr_npr += 1
                self.pr_cpl += 1
        elif cls == NPR:
            sent, self.pr_npr = self.pr_npr, 0
        else:
            sent, self.pr_cpl = self.pr_cpl, 0
        prefix = make_prefix(sent if pr_sent is None else pr_sent, self.stream_id,
                             cls if sub is None else sub, p=p, m=m, k=key_set, t=t)
        body, mac = seal(self.keys[cls, key_set], iv_for(cls, self.invocation[cls]),
                         prefix + header, payload)
        self.invocation[cls] += 1
        return IdeTlp(prefix, header, body, mac)

    def sync(self, requester: int = 0, partner: int = 0x0100, *, link: bool = False) -> IdeTlp:
        """IDE Sync: carries both PR counters and resets them."""
        header = message(MSG_SYNC, requester, partner, self.stream_id, self.pr_npr, self.pr_cpl,
                         link=link)
        self.pr_npr = self.pr_cpl = 0
        return self.protect(header, count=False)


@dataclass
class Receiver:
    """Receive half of the partner port for one stream; raises CheckFailed on any violation."""

    stream_id: int
    keys: dict[tuple[int, int], bytes] = field(default_factory=dict)
    key_set: list[int] = field(default_factory=lambda: [0, 0, 0])
    invocation: list[int] = field(default_factory=lambda: [1, 1, 1])
    accepts_flip: bool = False
    pr_npr: int = 0
    pr_cpl: int = 0
    syncs: int = 0

    def accept(self, tlp: IdeTlp) -> tuple[bytes, int]:
        """Verify one TLP; returns (plaintext, T bit). A Sync has no plaintext."""
        fmt, sent, stream, last = tlp.prefix
        sub, p, m = last >> 4, last >> 3 & 1, last >> 2 & 1
        k, t = last >> 1 & 1, last & 1
        if fmt != IDE_PREFIX or stream != self.stream_id or sub != sub_stream_of(tlp.header):
            raise CheckFailed("prefix")
        if (p, m) != (0, 1):
            raise CheckFailed("P/M")
        if tlp.header[2] & 0x80:
            raise CheckFailed("TD")
        if k != self.key_set[sub]:
            if not self.accepts_flip:
                raise CheckFailed("K")
            self.key_set[sub] = k
            self.invocation[sub] = 1
        plain = open_(self.keys[sub, k], iv_for(sub, self.invocation[sub]),
                      tlp.prefix + tlp.header, tlp.body, tlp.mac)
        self.invocation[sub] += 1
        is_sync = tlp.header[0] in (0x32, 0x34) and tlp.header[7] == MSG_SYNC
        if sub == PR and is_sync:
            self.syncs += 1
            self.pr_npr -= int.from_bytes(tlp.header[12:14], "big")
            self.pr_cpl -= int.from_bytes(tlp.header[14:16], "big")
        elif sub == PR:
            if sent:
                raise CheckFailed("PR_Sent_Counter in PR")
            self.pr_npr += 1
            self.pr_cpl += 1
        elif sub == NPR:
            self.pr_npr -= sent
        else:
            self.pr_cpl -= sent
        if self.pr_npr < 0 or self.pr_cpl < 0:
            raise CheckFailed("PR counter underflow")
        if max(self.pr_npr, self.pr_cpl) > 511:
            raise CheckFailed("PR counter overflow")
        return plain, t
