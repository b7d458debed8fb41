# SPDX-License-Identifier: Apache-2.0
"""Reasons and checks of SEV-TIO, and the return code that each reason has."""

from __future__ import annotations

from enum import Enum

from teeio.platforms.common.checks import Check, define
from teeio.platforms.common.tsm import TsmReason
from teeio.platforms.common.verbs import VerbReason
from teeio.platforms.sev.abi import Ret

CCP = "Linux drivers/crypto/ccp/sev-dev-tio.h"
APM = "AMD64 APM vol. 2, 15.36 (RMP)"
MESSAGES = "SEV-TIO guest messages, as the guest driver uses them"


class SevReason(Enum):
    """Why the firmware refused a command."""

    LENGTH = "the command buffer has another length"
    ADDRESS = "a scatter list does not lead to pages"
    NOT_FIRMWARE = "a page is not owned by the firmware"
    NOT_SHARED = "the response page is not shared"
    EXPAND = "the output does not fit: give a larger buffer"
    TOO_LARGE = "the response does not fit its buffer"
    RESPONSE = "the response buffer does not hold a response"
    SCRATCH = "the scratch buffer does not hold the saved command"
    DEV_CTX = "not a device context"
    TDI_CTX = "not a TDI context of this device"
    GUEST_CTX = "not a guest context"
    TDI = "the device has no such interface"
    CTX_IN_USE = "the context is in use"
    DEV_STATE = "the device context is in another state"
    TDI_STATE = "the TDI context is in another state"
    LOCK_FLAGS = "lock flags that this firmware does not take"
    TC_MASK = "traffic class 0 is mandatory, on one stream"
    STOP = "the device was not seen to stop"
    ASID_ACTIVE = "the ASID has an active device table entry"
    NOT_INIT = "TIO is not initialised"
    COMMAND = "there is no such command"
    AUTH = "the guest message is not authentic, or not the next one"


class SdtReason(Enum):
    """Why a T=1 request was refused at the secure device table."""

    SDT_MISS = "the Requester ID has no valid entry"
    RP = "the request came through another root port than the entry's"
    STREAM = "the request came on another stream than the entry's"
    FENCED = "the ASID is fenced"
    IR = "the entry does not allow reads"
    IW = "the entry does not allow writes"
    SHARED = "the address is above vTOM: the page must be shared"


class RmpReason(Enum):
    """Why the reverse map table refused an update."""

    FIRMWARE = "the page is owned by the firmware"


class GuestStop(Enum):
    """Why a guest goes no further."""

    NO_REPORT = "no report: the interface is not bound"
    INFO = "the firmware does not know the interface"
    NOT_LOCKED = "the interface is not locked"
    NOT_RUNNING = "the interface is not in RUN, whatever the host says"
    CHANGED = "the report is not the one that was read before RUN"
    BLOBS = "the table of objects does not hold what it should"
    ANSWER = "the answer is not the firmware's"
    FAILED = "the host's call failed"
    STATUS = "the firmware answered another status"


def _c(name: str, text: str, clause: str = CCP) -> Check:
    return define(f"sev.{name}", text, clause)


LENGTH = _c("length", "a command buffer has the length of its command")
ADDRESS = _c("address", "scatter lists lead to pages of memory")
FIRMWARE_PAGE = _c("firmware_page", "contexts and request, scratch and output buffers stand in"
                   " firmware-owned pages")
RESPONSE_SHARED = _c("response_shared", "the response buffer stands in shared pages")
EXPAND = _c("expand", "what does not fit a buffer is not cut off")
RESPONSE_FITS = _c("response_fits", "a response stays within the capacity of its buffer")
SAVED = _c("saved", "a resubmitted command finds its own state in the scratch buffer")
DEV_CTX = _c("dev_ctx", "a device command names a device context")
TDI_CTX = _c("tdi_ctx", "a TDI command names a TDI context of its device")
GUEST_CTX = _c("guest_ctx", "a bind or guest request names the guest the TDI is bound to")
TDI_EXISTS = _c("tdi_exists", "a TDI context is made for an interface of the device")
CTX_ONCE = _c("ctx_once", "one device context a device, one TDI context an interface")
RECLAIM = _c("reclaim", "a context is reclaimed only when nothing depends on it")
DEV_STATE = _c("dev_state", "device commands come in the order create, connect, disconnect")
TDI_STATE = _c("tdi_state", "TDI commands come in the order create, bind, run, unbind")
LOCK_FLAGS = _c("lock_flags", "requests are redirected, no peer-to-peer stream")
TC_MASK = _c("tc_mask", "traffic class 0 has a stream, and it is the only one")
FENCE_CLEAR = _c("fence_clear", "a fence is not lifted beneath an active entry",
                 "SEV-TIO, ASID_FENCE_CLEAR; decision 0213")
INIT = _c("init", "TIO_INIT comes before devices")
AUTH = _c("auth", "a guest message is sealed with the guest's VMPCK and is the next in order",
          "SEV-SNP firmware ABI, guest messages")

SDT_VALID = _c("sdt_valid", "a T=1 request has a valid secure device table entry", MESSAGES)
SDT_RP = _c("sdt_rp", "a T=1 request came through the root port of its entry", MESSAGES)
SDT_STREAM = _c("sdt_stream", "a T=1 request came on the IDE stream of its entry", MESSAGES)
SDT_FENCE = _c("sdt_fence", "a fenced ASID has no DMA", "SEV-TIO, ASID_FENCE_STATUS")
SDT_IR = _c("sdt_ir", "a device reads only with IR set in its entry", MESSAGES)
SDT_IW = _c("sdt_iw", "a device writes only with IW set in its entry", MESSAGES)
SDT_SHARED = _c("sdt_shared", "at and above vTOM only shared pages are reached", MESSAGES)

RMP_FIRMWARE = _c("rmp_firmware", "RMPUPDATE leaves firmware-owned pages alone", APM)

MSG_TDI = _c("msg_tdi", "a guest message names a TDI bound to its sender", MESSAGES)
MSG_BOUND = _c("msg_bound", "tables are opened for a TDI in RUN only", MESSAGES)
SDTE_RESERVED = _c("sdte_reserved", "a guest sets only its own bits of an entry", MESSAGES)
MMIO_ASSIGNED = _c("mmio_assigned", "MMIO_VALIDATE: pages are assigned to this guest", MESSAGES)
MMIO_IO = _c("mmio_io", "MMIO_VALIDATE: pages are I/O", MESSAGES)
MMIO_UNIFORM = _c("mmio_uniform", "MMIO_VALIDATE: pages are all validated, or none", MESSAGES)
MMIO_IMMUTABLE = _c("mmio_immutable", "MMIO_VALIDATE: pages are immutable", MESSAGES)
MMIO_GPA = _c("mmio_gpa", "MMIO_VALIDATE: pages stand at the guest address of their entry",
              MESSAGES)
MMIO_REPORT = _c("mmio_report", "MMIO_VALIDATE: the report has the pages there, as TEE memory",
                 MESSAGES)
MMIO_RANGE = _c("mmio_range", "MMIO_VALIDATE: pages are within the range", MESSAGES)
MMIO_4K = _c("mmio_4k", "MMIO_VALIDATE: pages are assigned in 4 KiB", MESSAGES)
CONFIG_REPORT = _c("config_report", "MMIO_CONFIG: the report has the range", MESSAGES)
CONFIG_CHANGE = _c("config_change", "MMIO_CONFIG: the range is updatable, and not validated",
                   MESSAGES)

GUEST_LOCKED = _c("guest_locked", "the guest goes on only if the firmware says locked", MESSAGES)
GUEST_RUN = _c("guest_run", "the guest opens tables only if the firmware says RUN", MESSAGES)
GUEST_SAME = _c("guest_same", "the report counter and digest in RUN are those of the evidence",
                MESSAGES)
GUEST_BLOBS = _c("guest_blobs", "offsets and lengths of the host's objects lie in its pages",
                 MESSAGES)
GUEST_ANSWER = _c("guest_answer", "an answer is sealed, and answers the last question", MESSAGES)

RET_OF: dict[Enum, Ret] = {
    SevReason.LENGTH: Ret.BAD_LENGTH, SevReason.ADDRESS: Ret.INVALID_ADDRESS,
    SevReason.NOT_FIRMWARE: Ret.INVALID_PAGE_OWNER, SevReason.NOT_SHARED: Ret.INVALID_PAGE_STATE,
    SevReason.EXPAND: Ret.EXPAND_BUFFER, SevReason.TOO_LARGE: Ret.RESPONSE_TOO_LARGE,
    SevReason.RESPONSE: Ret.INVALID_PARAM, SevReason.SCRATCH: Ret.RESYNC,
    SevReason.DEV_CTX: Ret.BAD_DEV_CTX, SevReason.TDI_CTX: Ret.BAD_TDI_CTX,
    SevReason.GUEST_CTX: Ret.INVALID_GUEST, SevReason.TDI: Ret.BAD_TDI,
    SevReason.CTX_IN_USE: Ret.IN_USE, SevReason.DEV_STATE: Ret.BAD_DEV_STATE,
    SevReason.TDI_STATE: Ret.BAD_TDI_STATE, SevReason.LOCK_FLAGS: Ret.INVALID_PARAM,
    SevReason.TC_MASK: Ret.INVALID_PARAM, SevReason.STOP: Ret.SPDM_ERROR,
    SevReason.ASID_ACTIVE: Ret.IN_USE, SevReason.NOT_INIT: Ret.INVALID_PLATFORM_STATE,
    SevReason.COMMAND: Ret.INVALID_COMMAND, SevReason.AUTH: Ret.BAD_MEASUREMENT,
    VerbReason.BUSY: Ret.IN_USE, TsmReason.SUSPECT: Ret.RECLAIM_REQUIRED,
    TsmReason.BOUND: Ret.IN_USE, TsmReason.IN_USE: Ret.IN_USE,
    TsmReason.NOT_CONNECTED: Ret.BAD_DEV_STATE, TsmReason.CONNECTED: Ret.BAD_DEV_STATE,
    TsmReason.NOT_BOUND: Ret.BAD_TDI_STATE, TsmReason.NOT_RUNNING: Ret.BAD_TDI_STATE,
}
