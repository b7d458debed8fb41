# SPDX-License-Identifier: Apache-2.0
"""The bounded reader and writer that every codec uses.

All integers are little endian, as in DOE, SPDM and TDISP; the few big-endian fields of the
protocols (points, signatures) are byte strings here.

Reserved fields are read with `reserved()` and kept in the decoded object, so that
`decode(...).encode()` gives the same bytes back. A `strict` reader refuses nonzero ones, a lenient
reader (the default: the standards say "ignore on read") records a `Note`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from teeio.errors import DecodeError, LocalError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Note:
    """A deviation that a lenient reader let pass."""

    field: str
    offset: int
    value: bytes


class Reader:
    """Reads fields from a byte string and never beyond it.

    Raises:
        DecodeError: from every method, and nothing else, when the bytes do not suffice or break a
            rule.
    """

    __slots__ = ("_data", "_pos", "notes", "strict")

    def __init__(self, data: bytes, *, strict: bool = False) -> None:
        self._data = bytes(data)
        self._pos = 0
        self.strict = strict
        self.notes: list[Note] = []

    @property
    def offset(self) -> int:
        """Bytes consumed so far."""
        return self._pos

    @property
    def remaining(self) -> int:
        """Bytes not yet consumed."""
        return len(self._data) - self._pos

    def fail(self, reason: str, *, offset: int | None = None) -> NoReturn:
        """Raises the DecodeError for this object."""
        where = self._pos if offset is None else offset
        raise DecodeError(reason, offset=where, data=self._data)

    def take(self, count: int, what: str = "field") -> bytes:
        """The next `count` bytes."""
        if count < 0 or count > self.remaining:
            self.fail(f"{what} needs {count} bytes, {self.remaining} are left")
        start = self._pos
        self._pos += count
        return self._data[start : self._pos]

    def _uint(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def u8(self, what: str = "field") -> int:
        return self._uint(1, what)

    def u16(self, what: str = "field") -> int:
        return self._uint(2, what)

    def u24(self, what: str = "field") -> int:
        return self._uint(3, what)

    def u32(self, what: str = "field") -> int:
        return self._uint(4, what)

    def u64(self, what: str = "field") -> int:
        return self._uint(8, what)

    def i64(self, what: str = "field") -> int:
        return int.from_bytes(self.take(8, what), "little", signed=True)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.remaining)

    def peek_u8(self, what: str = "field") -> int:
        """The next byte, not consumed."""
        if self.remaining < 1:
            self.fail(f"{what} needs 1 byte, none is left")
        return self._data[self._pos]

    def reserved(self, count: int, what: str = "reserved") -> int:
        """`count` reserved bytes as an integer; judged by policy."""
        start = self._pos
        raw = self.take(count, what)
        if any(raw):
            self._deviation(what, start, raw)
        return int.from_bytes(raw, "little")

    def expect_zero_bits(self, value: int, mask: int, what: str) -> int:
        """Judges the reserved bits `mask` of an already read `value`; returns `value`."""
        if value & mask:
            size = max(1, (value.bit_length() + 7) // 8)
            self._deviation(what, self._pos, value.to_bytes(size, "little"))
        return value

    def padding(self, count: int, what: str = "padding") -> None:
        """`count` pad bytes, which must be zero."""
        start = self._pos
        if any(self.take(count, what)):
            self.fail(f"{what} is not zero", offset=start)

    def expect_end(self, pad: int = 0) -> None:
        """Nothing may be left but at most `pad` bytes of (by policy zero) padding."""
        if self.remaining > pad:
            self.fail(f"{self.remaining} bytes too many")
        self.reserved(self.remaining, "trailing padding")

    def _deviation(self, what: str, offset: int, raw: bytes) -> None:
        if self.strict:
            self.fail(f"{what} is not zero", offset=offset)
        self.notes.append(Note(what, offset, raw))


class Writer:
    """Collects fields.

    Raises:
        LocalError: when a value does not fit its field.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = bytearray()

    def __len__(self) -> int:
        return len(self._parts)

    def _uint(self, value: int, size: int, what: str) -> Writer:
        if not 0 <= value < 1 << (8 * size):
            raise LocalError(f"{what} = {value:#x} does not fit {size} bytes")
        self._parts += value.to_bytes(size, "little")
        return self

    def u8(self, value: int, what: str = "field") -> Writer:
        return self._uint(value, 1, what)

    def u16(self, value: int, what: str = "field") -> Writer:
        return self._uint(value, 2, what)

    def u24(self, value: int, what: str = "field") -> Writer:
        return self._uint(value, 3, what)

    def u32(self, value: int, what: str = "field") -> Writer:
        return self._uint(value, 4, what)

    def u64(self, value: int, what: str = "field") -> Writer:
        return self._uint(value, 8, what)

    def i64(self, value: int, what: str = "field") -> Writer:
        if not -(1 << 63) <= value < 1 << 63:
            raise LocalError(f"{what} = {value} does not fit a signed 64-bit field")
        return self._uint(value & ((1 << 64) - 1), 8, what)

    def uint(self, value: int, size: int, what: str = "field") -> Writer:
        """An integer of `size` bytes (used for reserved areas)."""
        return self._uint(value, size, what)

    def raw(self, data: bytes, size: int | None = None, what: str = "field") -> Writer:
        """Bytes; exactly `size` of them if given."""
        if size is not None and len(data) != size:
            raise LocalError(f"{what} has {len(data)} bytes, its field has {size}")
        self._parts += data
        return self

    def done(self) -> bytes:
        return bytes(self._parts)


def decode_whole(
    decode: Callable[[Reader], T], data: bytes, *, strict: bool = False, pad: int = 0
) -> T:
    """Decodes one object that must fill `data` but for at most `pad` bytes of padding.

    Raises:
        DecodeError: if it does not.
    """
    reader = Reader(data, strict=strict)
    value = decode(reader)
    reader.expect_end(pad)
    return value
