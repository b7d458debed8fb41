# SPDX-License-Identifier: Apache-2.0
"""Calls of CoVE-IO: extension ids, function ids, errors (CoVE and CoVE-IO, SBI chapters)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final

PENDING: Final = 1
"""Value of a COVH call whose SPDM request the VMM must carry before it calls again."""
COMPLETED: Final = 0


class Eid(IntEnum):
    """Extension ids: "COV" and a letter."""

    COVG = 0x434F5647
    COVH = 0x434F5648
    COVI = 0x434F5649
    COVT = 0x434F5654


class Covh(IntEnum):
    """VMM to TSM. 1029 is not assigned."""

    CONNECT_DEVICE = 1024
    DISCONNECT_DEVICE = 1025
    ADD_TVM_INTERFACE_REGION = 1026
    RECLAIM_TVM_INTERFACE_REGION = 1027
    BIND_INTERFACE = 1028
    UNBIND_INTERFACE = 1030
    SPDM_KEY_UPDATE = 1031
    IDE_KEY_REFRESH = 1032
    SPDM_HEARTBEAT = 1033
    GET_DEVICE_CONNECTION_TRANSCRIPT = 1034


class Covg(IntEnum):
    """TVM to TSM."""

    GET_DEVICE_LINK = 1024
    GET_DEVICE_CONNECTION_TRANSCRIPT = 1025
    GET_DEVICE_MEASUREMENTS = 1026
    GET_INTERFACE_REPORT = 1027
    GET_INTERFACE_STATE = 1028
    MAP_INTERFACE_MMIO = 1029
    START_INTERFACE = 1030
    STOP_INTERFACE = 1031


class Covt(IntEnum):
    """TSM to RDSM."""

    PROGRAM_RP_IDE_KEY = 1024
    CLEAR_RP_IDE_KEY = 1025
    SET_GO_RP_IDE_KEY = 1026
    SET_STOP_RP_IDE_KEY = 1027
    RP_IDE_KEY_STATUS = 1028
    PROGRAM_RP_IDE_STREAM = 1029


class SbiError(IntEnum):
    """Error of a call. KEY_UPDATE_REQUIRED has no number in the draft: docs/decisions/0200."""

    SUCCESS = 0
    FAILED = -1
    NOT_SUPPORTED = -2
    INVALID_PARAM = -3
    DENIED = -4
    INVALID_ADDRESS = -5
    ALREADY_AVAILABLE = -6
    ALREADY_STARTED = -7
    ALREADY_STOPPED = -8
    NO_SHMEM = -9
    INVALID_STATE = -10
    BAD_RANGE = -11
    TIMEOUT = -12
    IO = -13
    KEY_UPDATE_REQUIRED = -1024


class KeyStatus(IntEnum):
    """Value of `RP_IDE_KEY_STATUS`."""

    CLEARED = 0
    PROGRAMMED = 1
    ENABLED = 2


class TvmExit(Enum):
    """Why a TVM's call leaves to the VMM before it returns."""

    SPDM = "carry the pending SPDM request"
    TRANSCRIPT = "hand back the connection transcript"
    UNBIND = "unbind the interface"


@dataclass(frozen=True, slots=True)
class SbiRet:
    """What a call returns.

    Attributes:
        error, value: registers a0 and a1.
        data: bytes that the TSM wrote to the caller's memory.
        exit: the call has not returned: the VMM must do this and re-enter. For a COVH call it
            shows as value 1.
        reason: why, for scenarios and logs; no register carries it.
    """

    error: SbiError = SbiError.SUCCESS
    value: int = 0
    data: bytes = b""
    exit: TvmExit | None = None
    reason: Enum | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """SUCCESS."""
        return self.error is SbiError.SUCCESS
