# SPDX-License-Identifier: Apache-2.0
"""What the SPDM cases share. Codes and layouts are typed from DSP0274 as known in public."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from teeio.conformance.bench import Bench, Reply
from teeio.conformance.model import Case, CaseSteps, Checks, Level
from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.core.spdm_context import SpdmPhase
from teeio.core.spdm_session import SpdmSession
from teeio.wire.spdm_session import KeyExchangeRsp

VERSIONS: Final = (0x12, 0x13)
INVALID, UNEXPECTED, UNSPECIFIED, DECRYPT, UNSUPPORTED = 0x01, 0x04, 0x05, 0x06, 0x07
LIMIT, SESSION_REQUIRED, TOO_LARGE, MISMATCH, RESYNCH = 0x0A, 0x0B, 0x0E, 0x41, 0x43
REFUSED: Final = ("4 bytes or more", "ERROR", "SPDMVersion", "error code", "ErrorData")
STANDING: Final = "a legal request is answered afterwards"
VersionSteps = Callable[[Bench, Checks, int], Steps[None]]


def check_error(check: Checks, reply: Reply, version: int | None, *codes: int,
                data: int | None = 0, or_silence: bool = False) -> None:
    """Assertions 1 to 5: ERROR with one of `codes`; `data` None accepts any ErrorData.

    Args:
        version: SPDMVersion of the ERROR; None: whatever.
        or_silence: no answer will do as well.
    """
    message = reply.message or b""
    if reply.message is None and or_silence:
        for number in range(1, 6):
            check.that(number, True, reply, "ERROR or no answer")
        return
    check.that(1, len(message) >= 4, reply, "4 bytes or more")
    check.that(2, reply.code == 0x7F, reply, "7Fh")
    check.that(3, version is None or message[:1] == bytes([version]), message[:1], version)
    names = ", ".join(f"{code:#04x}" for code in codes)
    check.that(4, reply.error in codes, reply, names)
    check.that(5, reply.error is not None and data in (None, message[3]), reply, data)


def check_head(check: Checks, reply: Reply, version: int, code: int) -> bytes:
    """Assertions 1 and 2: code and SPDMVersion; gives the message, empty if it is another."""
    message = reply.message or b""
    ok = check.that(1, reply.code == code, reply, f"{code:#04x}")
    ok = check(2, message[:1], bytes([version])) and ok
    return message if ok else b""


def padded(message: bytes, size: int) -> bool:
    """The message has `size` bytes and at most three bytes of zero padding."""
    return size <= len(message) <= size + 3 and not any(message[size:])


def head(version: int, code: int, param1: int = 0, param2: int = 0) -> bytes:
    """The four header bytes."""
    return bytes([version, code, param1, param2])


def handshake(bench: Bench, version: int | None = None) -> Steps[SpdmSession]:
    """A session between KEY_EXCHANGE and FINISH."""
    requester, slot = yield from bench.authenticated(version)
    yield from spdm_flow.exchange(requester, requester.key_exchange(slot), KeyExchangeRsp)
    return requester.take_session()


def vendor_query(version: int) -> bytes:
    """IDE_KM QUERY in VENDOR_DEFINED: something that is legal in a session."""
    return head(version, 0xFE) + struct.pack("<HBHH", 3, 2, 1, 4) + bytes(4)


def plain_error(name: str, title: str, clause: str, phase: SpdmPhase, message: bytes, *codes: int,
                versions: tuple[int, ...] = VERSIONS, data: int | None = 0, group: int = 0,
                or_silence: bool = False, level: Level = Level.MUST, note: str = "",
                error_version: int | None = None) -> list[Case]:
    """Cases, one a version: in `phase`, `message` (its first byte is replaced by the version
    unless it is above 1Fh) must get one of `codes`."""
    def make(version: int) -> CaseSteps:
        def steps(bench: Bench, check: Checks) -> Steps[None]:
            yield from bench.connection(version, phase)
            first = message[:1] if message[0] > 0x1F else bytes([version])
            reply = yield from bench.plain(first + message[1:])
            check_error(check, reply, error_version, *codes, data=data, or_silence=or_silence)
        return steps
    return [case(name, title, clause, make(version), REFUSED, version=version, group=group,
                 level=level, note=note) for version in versions]


def case(name: str, title: str, clause: str, steps: CaseSteps, assertions: tuple[str, ...], *,
         version: int = 0, group: int = 0, level: Level = Level.MUST, note: str = "",
         alias: str = "") -> Case:
    """A case of group "spdm"; `group` is that of the public responder validator."""
    suffix = f".{version >> 4}_{version & 15}" if version else ""
    where = f" ({version >> 4}.{version & 15})" if version else ""
    aliases = ((f"SpdmResponder.{alias}",) if alias and version in (0, 0x12) else ()) + (
        (f"SpdmResponder.{group}",) if group else ())
    return Case(id=f"spdm.{name}{suffix}", title=title + where, clause=f"DSP0274 {clause}",
                steps=steps, assertions=assertions, aliases=aliases, level=level, note=note)


def per_version(name: str, title: str, clause: str, steps: VersionSteps,
                assertions: tuple[str, ...], *, group: int = 0, note: str = "", alias: str = "",
                versions: tuple[int, ...] = VERSIONS, level: Level = Level.MUST) -> list[Case]:
    """The same case once a version."""
    def bind(version: int) -> CaseSteps:
        return lambda bench, check: steps(bench, check, version)
    return [case(name, title, clause, bind(version), assertions, version=version, group=group,
                 note=note, alias=alias, level=level) for version in versions]
