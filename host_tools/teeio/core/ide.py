# SPDX-License-Identifier: Apache-2.0
"""IDE of the root port: protects and checks TLPs, one object per stream.

Every choice that the public record of the specification leaves open (PCIe Base 6.x, 6.33) stands in
the functions at the top of this module and nowhere else on the host; the device's twin is
``rtl/pkg/ide_pkg.sv``. All byte strings are in wire order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from teeio.errors import DecodeError, LocalError
from teeio.wire import tlp as t
from teeio.wire.tlp import MessageCode, Tlp, TlpClass

MAC_BYTES = 12
# A sender emits IDE Sync before one of its counters would pass this; the field has 8 bits.
SYNC_THRESHOLD = 240
RX_COUNTER_LIMIT = 1 << 10


def make_iv(sub_stream: int, count: int) -> bytes:
    """96-bit IV: the sub-stream number in the top nibble, the invocation counter below."""
    return bytes((sub_stream << 4, 0, 0, 0)) + count.to_bytes(8, "big")


def make_prefix(stream_id: int, sub_stream: int, pr_sent: int, *, k: int, t_bit: bool,
                m: int = 1, p: int = 0) -> bytes:
    """IDE TLP prefix, 4 bytes."""
    return bytes((t.IDE_PREFIX, pr_sent, stream_id,
                  sub_stream << 4 | p << 3 | m << 2 | k << 1 | int(t_bit)))


def additional_data(prefix: bytes, header: bytes) -> bytes:
    """What is authenticated but not encrypted: prefix and header as sent."""
    return prefix + header


def make_sync(is_link: bool, requester_id: int, partner_id: int, stream_id: int,
              count_npr: int, count_cpl: int) -> Tlp:
    """IDE Sync message: by ID (selective) or local (link), counters in the last four bytes."""
    body = (0 if is_link else partner_id).to_bytes(2, "big") + bytes((0, stream_id))
    body += count_npr.to_bytes(2, "big") + count_cpl.to_bytes(2, "big")
    return t.message(MessageCode.IDE_SYNC, 4 if is_link else 2, requester_id, body)


def make_fail(is_link: bool, requester_id: int, partner_id: int, stream_id: int) -> Tlp:
    """IDE Fail message; sent unprotected."""
    body = (0 if is_link else partner_id).to_bytes(2, "big") + bytes((0, stream_id)) + bytes(4)
    return t.message(MessageCode.IDE_FAIL, 4 if is_link else 2, requester_id, body)


def sync_counts(message: Tlp) -> tuple[int, int]:
    """The two counters carried by IDE Sync."""
    return (int.from_bytes(message.header[12:14], "big"),
            int.from_bytes(message.header[14:16], "big"))


def fail_stream_id(message: Tlp) -> int:
    """The Stream ID named by IDE Fail."""
    return message.header[11]


class IdeFault(Enum):
    """Why a received IDE TLP was refused (docs/decisions/0109)."""

    MISROUTED = "no enabled stream has this Stream ID"
    INSECURE = "the stream is enabled but not Secure"
    SUB_STREAM = "reserved sub-stream, or one that does not fit the TLP class"
    NOT_TERMINATED = "M=0 without aggregation"
    PCRC = "P=1 while PCRC is not enabled"
    NO_KEY = "K selects a key set that is not running"
    MAC = "MAC mismatch"
    PR_COUNTER = "PR_Sent_Counter runs ahead of the posted TLPs received, or a counter overflowed"
    TYPE = "TLP type not allowed on a selective stream"


class IdeCheckFailed(Exception):
    """A received TLP was refused; except for MISROUTED and INSECURE its stream is Insecure now."""

    def __init__(self, fault: IdeFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(slots=True)
class _KeySlot:
    key: bytearray = field(repr=False)
    count: int = 1
    running: bool = False


@dataclass(slots=True)
class IdeStream:
    """One IDE stream of the root port.

    Args:
        stream_id: Stream ID in the prefix.
        requester_id: Requester ID of this port, for its own messages.
        partner_id: Requester ID of the device's function 0.
        is_link: link stream instead of selective.
    """

    stream_id: int
    requester_id: int
    partner_id: int
    is_link: bool = False
    enabled: bool = False
    failed: bool = False
    fail_received: bool = False
    faults: list[IdeFault] = field(default_factory=list)
    _slots: dict[tuple[bool, int, int], _KeySlot] = field(default_factory=dict, repr=False)
    _tx_set: list[int | None] = field(default_factory=lambda: [None, None, None])
    _rx_set: list[int | None] = field(default_factory=lambda: [None, None, None])
    _sent: dict[TlpClass, int] = field(
        default_factory=lambda: {TlpClass.NON_POSTED: 0, TlpClass.COMPLETION: 0})
    _received: dict[TlpClass, int] = field(
        default_factory=lambda: {TlpClass.NON_POSTED: 0, TlpClass.COMPLETION: 0})

    # ---- keys ------------------------------------------------------------------------------------
    def program_key(self, is_tx: bool, sub_stream: int, key_set: int, key: bytes) -> None:
        """Install a 32-byte AES key; its invocation counter starts at 1.

        Raises:
            LocalError: wrong size, or the key set is running.
        """
        if len(key) != 32:
            raise LocalError("an IDE key has 32 bytes")
        slot = self._slots.get((is_tx, sub_stream, key_set))
        if slot is not None and slot.running and self.secure:
            raise LocalError("this key set is in use: program the other one")
        self._slots[is_tx, sub_stream, key_set] = _KeySlot(bytearray(key))

    def go(self, is_tx: bool, sub_stream: int, key_set: int) -> None:
        """K_SET_GO on this port's side: transmit switches at the next TLP, receive accepts both."""
        slot = self._slots.get((is_tx, sub_stream, key_set))
        if slot is None:
            raise LocalError(f"no key programmed for sub-stream {sub_stream}, set {key_set}")
        slot.running = True
        current = self._tx_set if is_tx else self._rx_set
        if is_tx:
            old = current[sub_stream]
            current[sub_stream] = key_set
            if old is not None and old != key_set:
                self._erase((True, sub_stream, old))
        elif current[sub_stream] is None:
            current[sub_stream] = key_set

    def stop(self, is_tx: bool, sub_stream: int, key_set: int) -> None:
        """K_SET_STOP on this port's side: the key stays, but is not used any more.

        Raises:
            LocalError: the key set is not running.
        """
        slot = self._slots.get((is_tx, sub_stream, key_set))
        if slot is None or not slot.running:
            raise LocalError(f"sub-stream {sub_stream}, set {key_set} is not running")
        slot.running = False
        current = self._tx_set if is_tx else self._rx_set
        if current[sub_stream] == key_set:
            current[sub_stream] = None

    def erase_key(self, is_tx: bool, sub_stream: int, key_set: int) -> None:
        """Erase one key; it must not be running."""
        self._erase((is_tx, sub_stream, key_set))

    def key_state(self, is_tx: bool, sub_stream: int, key_set: int) -> tuple[bool, bool]:
        """Whether a key is held, and whether it is running."""
        slot = self._slots.get((is_tx, sub_stream, key_set))
        return slot is not None, slot is not None and slot.running

    def _erase(self, name: tuple[bool, int, int]) -> None:
        slot = self._slots.pop(name, None)
        if slot is not None:
            slot.key[:] = bytes(len(slot.key))

    def clear(self) -> None:
        """Erase every key and counter; the stream is Insecure."""
        for name in list(self._slots):
            self._erase(name)
        self._tx_set = [None] * 3
        self._rx_set = [None] * 3
        for counters in (self._sent, self._received):
            for cls in counters:
                counters[cls] = 0
        self.failed = False
        self.fail_received = False

    @property
    def secure(self) -> bool:
        """All six keys run and nothing failed."""
        return (self.enabled and not self.failed and None not in self._tx_set
                and None not in self._rx_set)

    def secrets(self) -> Iterator[bytes]:
        """Every key held now, for the scan that looks for secrets on the wire."""
        for slot in self._slots.values():
            yield bytes(slot.key)

    # ---- transmit --------------------------------------------------------------------------------
    def protect(self, tlp: Tlp, t_bit: bool) -> list[bytes]:
        """Return the wire bytes of a TLP, with an IDE Sync before it if the counters ask for one.

        Raises:
            LocalError: the stream is not Secure.
        """
        if not self.secure:
            raise LocalError(f"stream {self.stream_id} is not Secure: connect first")
        out = []
        if tlp.tlp_class is TlpClass.POSTED and max(self._sent.values()) >= SYNC_THRESHOLD:
            sync = make_sync(self.is_link, self.requester_id, self.partner_id, self.stream_id,
                             self._sent[TlpClass.NON_POSTED], self._sent[TlpClass.COMPLETION])
            for cls in self._sent:
                self._sent[cls] = 0
            out.append(self._seal(sync, False, 0))
        if tlp.tlp_class is TlpClass.POSTED:
            out.append(self._seal(tlp, t_bit, 0))
            for cls in self._sent:
                self._sent[cls] += 1
        else:
            out.append(self._seal(tlp, t_bit, self._sent[tlp.tlp_class]))
            self._sent[tlp.tlp_class] = 0
        return out

    def _seal(self, tlp: Tlp, t_bit: bool, pr_sent: int) -> bytes:
        sub = int(tlp.tlp_class)
        key_set = self._tx_set[sub]
        assert key_set is not None
        slot = self._slots[True, sub, key_set]
        prefix = make_prefix(self.stream_id, sub, pr_sent, k=key_set, t_bit=t_bit)
        encryptor = Cipher(algorithms.AES(bytes(slot.key)),
                           modes.GCM(make_iv(sub, slot.count))).encryptor()
        slot.count += 1
        encryptor.authenticate_additional_data(additional_data(prefix, tlp.header))
        body = encryptor.update(tlp.payload) + encryptor.finalize()
        return prefix + tlp.header + body + encryptor.tag[:MAC_BYTES]

    # ---- receive ---------------------------------------------------------------------------------
    def unprotect(self, data: bytes) -> tuple[Tlp | None, bool]:
        """Check and decrypt a TLP that begins with this stream's prefix.

        Returns:
            The plaintext TLP (None for an IDE Sync, which is consumed here) and its T bit.

        Raises:
            IdeCheckFailed: the checks failed; the stream is Insecure from now on.
        """
        if not self.secure:
            raise IdeCheckFailed(IdeFault.INSECURE)
        try:
            return self._open(data)
        except IdeCheckFailed as error:
            self.faults.append(error.fault)
            self.fail()
            raise

    def fail(self) -> None:
        """IDE Check Failed: keys are erased, nothing more is sent or accepted."""
        self.clear()
        self.failed = True

    def _open(self, data: bytes) -> tuple[Tlp | None, bool]:
        prefix, rest = data[:4], data[4:]
        sub, p, m = prefix[3] >> 4 & 7, prefix[3] >> 3 & 1, prefix[3] >> 2 & 1
        k, t_bit = prefix[3] >> 1 & 1, bool(prefix[3] & 1)
        if not m:
            raise IdeCheckFailed(IdeFault.NOT_TERMINATED)
        if p:
            raise IdeCheckFailed(IdeFault.PCRC)
        n = t.header_bytes(rest[0])
        header, body, mac = rest[:n], rest[n:-MAC_BYTES], rest[-MAC_BYTES:]
        if sub > 2 or sub != int(Tlp(header).tlp_class):
            raise IdeCheckFailed(IdeFault.SUB_STREAM)
        slot = self._slots.get((False, sub, k))
        if slot is None or not slot.running:
            raise IdeCheckFailed(IdeFault.NO_KEY)
        decryptor = Cipher(
            algorithms.AES(bytes(slot.key)),
            modes.GCM(make_iv(sub, slot.count), mac, min_tag_length=MAC_BYTES)).decryptor()
        decryptor.authenticate_additional_data(additional_data(prefix, header))
        try:
            payload = decryptor.update(body) + decryptor.finalize()
        except InvalidTag:
            raise IdeCheckFailed(IdeFault.MAC) from None
        slot.count += 1
        current = self._rx_set[sub]
        if current != k:
            if current is not None:
                self._erase((False, sub, current))
            self._rx_set[sub] = k
        try:
            tlp = t.decode(header + payload)
        except DecodeError:
            raise IdeCheckFailed(IdeFault.TYPE) from None
        self._count(tlp, prefix[1])
        if tlp.is_message and tlp.message_code == MessageCode.IDE_SYNC:
            return None, t_bit
        return tlp, t_bit

    def _count(self, tlp: Tlp, pr_sent: int) -> None:
        received = self._received
        if tlp.is_message and tlp.message_code == MessageCode.IDE_SYNC:
            for cls, carried in zip(received, sync_counts(tlp), strict=True):
                received[cls] -= carried
        elif tlp.tlp_class is TlpClass.POSTED:
            for cls in received:
                received[cls] += 1
        else:
            received[tlp.tlp_class] -= pr_sent
        if any(not 0 <= value < RX_COUNTER_LIMIT for value in received.values()):
            raise IdeCheckFailed(IdeFault.PR_COUNTER)
