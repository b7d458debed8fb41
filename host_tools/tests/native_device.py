# SPDX-License-Identifier: Apache-2.0
"""What the tests of the native DSM have in common: starting one, and the ERROR codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests import native_dsm as native
from tests.native_client import Client

INVALID, BUSY, UNEXPECTED, UNSPECIFIED, DECRYPT = 0x01, 0x03, 0x04, 0x05, 0x06
UNSUPPORTED, LIMIT, SESSION_REQUIRED, RESPONSE_TOO_LARGE = 0x07, 0x0A, 0x0B, 0x0D
REQUEST_TOO_LARGE, LARGE_RESPONSE, MISMATCH, NOT_READY = 0x0E, 0x0F, 0x41, 0x42
OPERATION_FAILED = 0x44
VERSIONS = pytest.mark.parametrize("version", [0x12, 0x13], ids=["1.2", "1.3"])


def error(code: int, data: int = 0, *, version: int = 0x12) -> bytes:
    return bytes([version, 0x7F, code, data])


@contextmanager
def started(folder: Path, *options: str, defines: Sequence[str] = (),
            sanitize: bool = True) -> Iterator[Client]:
    """A client of a fresh process; the test is skipped where none can be built."""
    try:
        native.compiler()
    except native.MissingToolError as reason:
        pytest.skip(str(reason))
    with native.running(folder, options=options, sanitize=sanitize,
                        defines=defines) as (dsm, identity):
        key = identity.leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        yield Client(dsm, key, identity.slot0.read_bytes())
