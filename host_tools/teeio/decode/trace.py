# SPDX-License-Identifier: Apache-2.0
"""Explains a TLP trace: "> hex" to the device, "< hex" from it, "= step"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from teeio.core.enumerate import bdf_name
from teeio.decode.entry import Entry, Plain
from teeio.errors import DecodeError
from teeio.wire import tlp as t
from teeio.wire.tlp import CplStatus, MessageCode, Tlp, TlpClass, TlpType

_DIRECTIONS = {">": "to device", "<": "from device"}


def decode_trace(lines: Iterable[str]) -> Iterator[Entry]:
    """Explains line by line; a line that is no TLP becomes an entry with an error."""
    for number, line in enumerate(lines):
        mark, _, rest = line.rstrip("\n").partition(" ")
        if mark == "=":
            yield Entry(number=number, layer="step", name=rest)
            continue
        entry = Entry(number=number, layer="TLP", name="TLP",
                      direction=_DIRECTIONS.get(mark, "?"))
        try:
            if mark not in _DIRECTIONS:
                raise DecodeError("neither TLP nor heading")
            _explain(entry, _hex(rest))
        except DecodeError as error:
            entry.error = error.reason
        yield entry


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DecodeError("not hexadecimal") from None


def _explain(entry: Entry, data: bytes) -> None:
    is_ide = data[:1] == bytes([t.IDE_PREFIX])
    if is_ide:
        if len(data) < 4 + 12:
            raise DecodeError("a cut IDE TLP")
        m_bit = bool(data[3] & 4)
        entry.fields["ide"] = {
            "stream_id": data[2], "sub_stream": _sub_stream(data[3] >> 4),
            "pr_sent_counter": data[1], "t_bit": data[3] & 1, "k": data[3] >> 1 & 1,
            "m": int(m_bit), "p": data[3] >> 3 & 1}
        if m_bit:
            entry.fields["mac"] = data[-t.MAC_BYTES:].hex()
        data = data[4:len(data) - t.MAC_BYTES if m_bit else None]
    tlp = t.decode(data)
    entry.name = _name(tlp)
    entry.fields |= _header(tlp)
    if tlp.payload:
        entry.is_sealed = is_ide
        entry.fields["payload"] = (f"{len(tlp.payload)} bytes, encrypted" if is_ide
                                   else tlp.payload.hex())


def _sub_stream(value: int) -> str:
    return ("PR", "NPR", "CPL")[value] if value < 3 else f"reserved {value}"


def _name(tlp: Tlp) -> str:
    if tlp.is_message:
        code = tlp.message_code
        name = MessageCode(code).name if code in tuple(MessageCode) else f"code {code:#04x}"
        return f"{'MsgD' if tlp.type_byte & 0x40 else 'Msg'} {name}"
    kind = tlp.type_byte
    return TlpType(kind).name if kind in tuple(TlpType) else f"type {kind:#04x}"


def _header(tlp: Tlp) -> dict[str, Plain]:
    out: dict[str, Plain] = {
        "class": TlpClass(tlp.tlp_class).name, "requester": bdf_name(tlp.requester_id),
        "tag": tlp.tag}
    if tlp.poisoned:
        out["poisoned"] = True
    if tlp.is_message:
        out |= {"route": tlp.type_byte & 7, "header_8_15": tlp.header[8:16].hex()}
    elif tlp.is_completion:
        status = tlp.cpl_status
        out |= {"status": CplStatus(status).name if status in tuple(CplStatus) else status,
                "completer": bdf_name(tlp.completer_id), "byte_count": tlp.cpl_byte_count,
                "lower_address": tlp.cpl_lower_address}
    elif tlp.type_byte & 0x1E == 0x04:  # configuration request, type 0 or 1
        out |= {"target": bdf_name(int.from_bytes(tlp.header[8:10], "big")),
                "register": f"{int.from_bytes(tlp.header[10:12], 'big') & 0xFFC:#05x}",
                "first_be": tlp.first_be}
    else:
        out |= {"address": f"{tlp.address:#x}", "first_be": tlp.first_be, "last_be": tlp.last_be}
    if tlp.type_byte & 0x40 or tlp.is_mem_read:
        out["length_dw"] = tlp.length_dw
    return out
