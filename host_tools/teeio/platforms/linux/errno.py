# SPDX-License-Identifier: Apache-2.0
"""Error numbers of Linux, and which one an error of the model becomes."""

from __future__ import annotations

from enum import IntEnum

from teeio.errors import LocalError, PeerError, TransportError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.common.verbs import VerbReason


class Errno(IntEnum):
    """include/uapi/asm-generic/errno-base.h and errno.h."""

    ENOENT = 2
    EIO = 5
    ENXIO = 6
    EACCES = 13
    EBUSY = 16
    ENODEV = 19
    EINVAL = 22
    ENOSPC = 28
    ESTALE = 116


_REFUSALS = {
    VerbReason.BUSY: Errno.EBUSY,
    TsmReason.STALE: Errno.ESTALE,
    TsmReason.NOT_CONNECTED: Errno.ENXIO,
    TsmReason.SUSPECT: Errno.EIO,
}


class KernelError(LocalError):
    """An operation of the kernel failed.

    Attributes:
        errno: which number its caller gets, positive.
    """

    def __init__(self, errno: Errno, text: str) -> None:
        super().__init__(f"{errno.name}: {text}")
        self.errno = errno


def errno_of(error: Exception) -> Errno:
    """What a caller sees of an error (docs/decisions/0060)."""
    match error:
        case KernelError():
            return error.errno
        case Refused():
            return _REFUSALS.get(error.reason, Errno.EINVAL)
        case PeerError():
            return Errno.ENXIO
        case TransportError():
            return Errno.EIO
    return Errno.EINVAL
