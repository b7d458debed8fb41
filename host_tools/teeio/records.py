# SPDX-License-Identifier: Apache-2.0
"""Records on disk: a pcap of DOE objects, and the laboratory key log.

A key log opens every recorded session to whoever reads it. It is written only where it was asked
for by name, never over a file that exists, readable by its owner alone.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from teeio.core.lab_log import ide_key_line, shared_secret_line
from teeio.core.secret import Secret
from teeio.errors import LocalError
from teeio.wire.ide_km import KeyInfo
from teeio.wire.pcap import LINKTYPE_DOE, LINKTYPE_USER0, file_header, record

LINK_TYPES: Final = (LINKTYPE_DOE, LINKTYPE_USER0)
KEYLOG_WARNING: Final = ("LAB KEY LOG: the secrets of this session are written to {path}; whoever"
                         " reads it reads the session. Never use it outside of a laboratory.")


class DoePcap:
    """A pcap file that grows by one record for each DOE object, whole after each.

    Args:
        path: the file, replaced if it exists.
        link_type: 292 as spdm-dump wants it, or 147 (USER0).

    Raises:
        LocalError: the file cannot be written, or the link type is another.
    """

    def __init__(self, path: Path, link_type: int = LINKTYPE_DOE) -> None:
        if link_type not in LINK_TYPES:
            raise LocalError(f"pcap link type {link_type}: choose 292 (DOE) or 147 (USER0)")
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise LocalError(f"cannot write {path}: {error.strerror}") from error
        self._file.write(file_header(link_type))

    def add(self, is_request: bool, data: bytes) -> None:
        """Appends one object, with the time of now; its shape is that of `on_object`."""
        now = datetime.now(UTC)
        self._file.write(record(data, int(now.timestamp() * 1_000_000)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class LabKeyLogFile:
    """The key log of one session; a `LabLog`.

    spdm-dump opens one session with one secret, so a file holds one session.

    Args:
        path: a file that does not exist yet.

    Raises:
        LocalError: it exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._has_session = False
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise LocalError(f"{path} exists: a key log never replaces a file, name another"
                             ) from None
        except OSError as error:
            raise LocalError(f"cannot write {path}: {error.strerror}") from error
        os.fchmod(descriptor, 0o600)
        self._file = os.fdopen(descriptor, "w", buffering=1)
        self._file.write("# teeio laboratory key log: SECRETS of a session, docs/interop.md\n")

    def shared_secret(self, session_id: int, secret: Secret) -> None:
        """Notes the session.

        Raises:
            LocalError: the file holds one already.
        """
        if self._has_session:
            raise LocalError(f"{self.path} holds a session: one session a file, start anew with"
                             " another --lab-keylog")
        self._has_session = True
        self._file.write(shared_secret_line(session_id, secret))

    def ide_key(self, stream_id: int, key_info: KeyInfo, key: Secret) -> None:
        """Notes an IDE key."""
        self._file.write(ide_key_line(stream_id, key_info, key))

    def close(self) -> None:
        """Closes the file; one that took no secret is removed again."""
        self._file.close()
        if not self._has_session:
            self.path.unlink(missing_ok=True)
