# SPDX-License-Identifier: Apache-2.0
"""What the tests of the suite share: a native device under it, and ways to make it answer wrongly.

A wrong responder is the good one behind a proxy that changes answers: in a session at the record
layer, where plain text comes out, else at the data object.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from teeio.board import prepare_images
from teeio.conformance.bench import Profile
from teeio.conformance.model import Case, Verdict
from teeio.conformance.runner import Runner, RunReport
from teeio.conformance.selection import Selection
from teeio.conformance.suites import CASES
from teeio.core import spdm_record
from teeio.core.certificates import load_root
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.drive import run
from teeio.core.ops import CfgRead, CfgWrite, DoeExchange, Op, OpResult, Steps, T
from teeio.errors import TransportError
from teeio.targets import NativeTarget
from teeio.wire.secured import SecuredRecord
from tests import native_dsm as native

Change = Callable[[bytes, bytes], bytes]
"""(request, answer) -> the answer that is given instead; SPDM messages."""


def need_native() -> None:
    """Skips the test where no native process can be built."""
    try:
        native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))


def profile(*, is_validator: bool = False) -> Profile:
    """That of the lab."""
    root = prepare_images().root_certificate.read_bytes()
    return Profile(roots=(load_root(root),), at=datetime.now(UTC), is_validator=is_validator)


class Proxy:
    """A native device that is changed on the way.

    Args:
        plain: changes answers outside of sessions.
        discovery: changes answers to DOE Discovery, from the third DW on.
        registers: changes values read from the configuration space: (bdf, offset, value).
        loses: says of a configuration write (bdf, offset, value) that the device does not notice.
        lives: number of data objects after which nothing answers any more.
    """

    def __init__(self, *, plain: Change | None = None, discovery: Change | None = None,
                 lives: int | None = None,
                 registers: Callable[[int, int, int], int] | None = None,
                 loses: Callable[[int, int, int], bool] = lambda *_: False) -> None:
        self.inner = NativeTarget()
        self.capabilities = self.inner.capabilities
        self.objects = 0
        self._plain, self._discovery = plain, discovery
        self._registers, self._lives, self._loses = registers, lives, loses

    @property
    def is_lost(self) -> bool:
        return False

    def run(self, steps: Steps[T]) -> T:
        return run(steps, self._perform)

    def reset(self) -> None:
        self.inner.reset()

    def use_mailbox(self, mailbox: DoeMailbox) -> None:
        self.inner.use_mailbox(mailbox)

    def close(self) -> None:
        self.inner.close()

    def _perform(self, op: Op) -> OpResult:
        if isinstance(op, DoeExchange):
            self.objects += 1
            if self._lives is not None and self.objects > self._lives:
                raise TransportError("no answer within 1 s")
        if isinstance(op, CfgWrite) and self._loses(op.bdf, op.offset, op.value):
            return None
        result = self.inner._perform(op)
        if isinstance(op, CfgRead) and isinstance(result, int) and self._registers is not None:
            return self._registers(op.bdf, op.offset, result)
        change = {0: self._discovery, 1: self._plain}.get(
            op.request[2]) if isinstance(op, DoeExchange) else None
        if isinstance(op, DoeExchange) and change is not None:
            assert isinstance(result, bytes)
            answer = change(op.request[8:], result[8:])
            answer += bytes(-len(answer) % 4)
            return result[:4] + struct.pack("<I", 2 + len(answer) // 4) + answer
        return result


@contextmanager
def changed_records(monkeypatch: pytest.MonkeyPatch, change: Change | None) -> Iterator[None]:
    """Every message that comes out of a session goes through `change` first."""
    if change is None:
        yield
        return
    channel = spdm_record.RecordChannel
    seal, unseal, last = channel.seal, channel.open, [b""]

    def keep(self: spdm_record.RecordChannel, session_id: int, message: bytes) -> bytes:
        last[0] = message
        return seal(self, session_id, message)

    def alter(self: spdm_record.RecordChannel, record: SecuredRecord, *, strict: bool = False
              ) -> bytes:
        return change(last[0], unseal(self, record, strict=strict))

    with monkeypatch.context() as patch:
        patch.setattr(channel, "seal", keep)
        patch.setattr(channel, "open", alter)
        yield


def run_suite(target: Proxy, only: Sequence[str] = (), *, cases: Sequence[Case] = CASES,
              seed: int = 1, repeat: int = 1, is_validator: bool = False) -> RunReport:
    """Runs the selected cases and closes the target."""
    try:
        chosen = Selection(only=tuple(only)).apply(cases)
        return Runner(target, profile(is_validator=is_validator), seed=seed,
                      repeat=repeat).run(chosen)
    finally:
        target.close()


def failed(report: RunReport) -> list[str]:
    """Ids of the cases that did not hold."""
    return [item.case.id for item in report.results
            if item.verdict in (Verdict.FAIL, Verdict.WARN)]


def vendor(change: Callable[[bytes, bytes], bytes | None]) -> Change:
    """A change of PCI-SIG payloads; None leaves the answer as it is."""
    def on_message(request: bytes, answer: bytes) -> bytes:
        if len(request) < 13 or request[1] != 0xFE or answer[1] != 0x7E:
            return answer
        payload = change(request[11:], answer[11:])
        if payload is None:
            return answer
        return answer[:9] + struct.pack("<H", len(payload)) + payload
    return on_message
