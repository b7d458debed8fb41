# SPDX-License-Identifier: Apache-2.0
"""Checks of CoVE-IO and their reasons; which SBI error a reason becomes; choices (quirks)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from teeio.platforms.common.checks import Check, define
from teeio.platforms.common.context import Context, Quirks
from teeio.platforms.cove.sbi import SbiError


class CoveReason(Enum):
    """Why TSM or RDSM refused."""

    NOT_SUPPORTED = "no such function"
    DEVICE = "no such device or interface"
    PARAMETER = "a parameter is not aligned or not in range"
    BUFFER = "the pending SPDM buffer is not the one of this call"
    REGION_ALIGNED = "the region is not whole pages"
    REGION_MANIFEST = "the region is not routed to the root port of the interface"
    REGION_OVERLAP = "the region overlaps one that is recorded"
    REGION_OWNED = "the interface still holds regions of another TVM"
    REGION_BOUND = "the interface is bound"
    REGION_UNKNOWN = "no such region is recorded for this TVM and interface"
    NO_IDE = "the IDE stream is not Secure"
    BIND_REGIONS = "the regions of the interface belong to another TVM"
    NOT_THIS_TVM = "the interface is not bound to that TVM"
    MAP_ALIGNED = "address or size is not whole pages"
    MAP_REGION = "the VMM has not added this range for the interface"
    MAP_ORDER = "the ranges come in another order than the regions"
    MAP_IDE = "the range is outside of the root port's IDE address association"
    ALREADY_STARTED = "the interface was started already"
    ALREADY_STOPPED = "the interface was stopped already"
    STOP = "the VMM has not unbound the interface"
    TRANSCRIPT = "the transcript is not the one of this connection"
    NO_TRANSCRIPT = "the VMM has not handed back the transcript"
    KEY_UPDATE = "the sequence numbers of the session run out"
    KEY_ENABLED = "the key is in use"
    KEY_NOT_PROGRAMMED = "the key is not Programmed"
    KEY_NOT_ENABLED = "the key is not Enabled"


class TvmReason(Enum):
    """Why a guest does not accept a device."""

    LINK = "the link is not secured by SPDM and IDE"
    POLICY = "firmware could change under the guest"
    STATE = "the interface is not in CONFIG_LOCKED"
    CHAIN = "the certificate chain does not lead to an anchor of the guest"
    NONCE = "the measurements do not answer this guest's nonce"
    SIGNATURE = "the measurements are not signed by the device"
    VALUES = "the measurements differ from the reference values"
    RANGES = "the reported ranges do not fit the BAR that the host shows"
    CONFIRMED = "the TSM does not confirm a range"
    RUNNING = "the interface is not in RUN after its start"


_ERRORS = {
    CoveReason.NOT_SUPPORTED: SbiError.NOT_SUPPORTED,
    CoveReason.DEVICE: SbiError.INVALID_PARAM,
    CoveReason.PARAMETER: SbiError.INVALID_PARAM,
    CoveReason.ALREADY_STARTED: SbiError.ALREADY_STARTED,
    CoveReason.ALREADY_STOPPED: SbiError.ALREADY_STOPPED,
    CoveReason.KEY_UPDATE: SbiError.KEY_UPDATE_REQUIRED,
    CoveReason.KEY_ENABLED: SbiError.INVALID_STATE,
    CoveReason.KEY_NOT_PROGRAMMED: SbiError.INVALID_STATE,
    CoveReason.KEY_NOT_ENABLED: SbiError.INVALID_STATE,
}


def error_of(reason: Enum | None) -> SbiError:
    """The SBI error of a refusal; FAILED unless the draft names another."""
    return _ERRORS.get(reason, SbiError.FAILED) if isinstance(reason, CoveReason) else (
        SbiError.FAILED)


@dataclass(frozen=True, slots=True)
class CoveQuirks(Quirks):
    """Places where the draft contradicts itself; the defaults are the stricter reading
    (docs/decisions/0201). `disconnect_unbinds` of the base is one of them.

    Attributes:
        reclaim_unbinds: reclaim of a bound interface unbinds it first, else it is refused.
        tables_after_stop: unbind sends STOP before it closes IOMMU and G-stage, else after it.
        tx_go_first: K_SET_GO for Tx before Rx.
    """

    reclaim_unbinds: bool = False
    tables_after_stop: bool = False
    tx_go_first: bool = False


def quirks_of(context: Context) -> CoveQuirks:
    """The choices of this run; defaults if the machine is another platform's."""
    quirks = context.quirks
    return quirks if isinstance(quirks, CoveQuirks) else CoveQuirks(
        stop_attempts=quirks.stop_attempts)


def _rule(name: str, text: str, clause: str) -> Check:
    return define(f"cove.{name}", text, f"CoVE-IO, {clause}")


FUNCTION = _rule("function", "only assigned functions are called", "SBI function ids")
DEVICE = _rule("device", "devices and interfaces are those of the manifest", "connect_device")
PARAMETER = _rule("parameter", "output addresses are aligned to 4 KiB", "connect_device")
BUFFER = _rule("buffer", "the answer stands in the buffer of the pending call",
               "pending SPDM request")
REGION_ALIGNED = _rule("region_aligned", "regions are whole pages", "add_tvm_interface_region")
REGION_MANIFEST = _rule("region_manifest", "regions lie in the MMIO range of the root port",
                        "add_tvm_interface_region; manifest")
REGION_OVERLAP = _rule("region_overlap", "no page belongs to two regions",
                       "add_tvm_interface_region")
REGION_OWNED = _rule("region_owned", "an interface gets regions of one TVM until they are"
                     " reclaimed", "reclaim_tvm_interface_region; threat T005")
REGION_BOUND = _rule("region_bound", "regions are added before bind", "add_tvm_interface_region")
RECLAIM_UNBOUND = _rule("reclaim_unbound", "regions of a bound interface are not reclaimed",
                        "reclaim_tvm_interface_region")
RECLAIM_KNOWN = _rule("reclaim_known", "only recorded regions are reclaimed",
                      "reclaim_tvm_interface_region")
BIND_IDE = _rule("bind_ide", "bind needs a Secure IDE stream", "bind_interface")
BIND_REGIONS = _rule("bind_regions", "an interface is bound to the TVM that holds its regions",
                     "bind_interface; threat T005")
UNBIND_TVM = _rule("unbind_tvm", "unbind names the TVM the interface is bound to",
                   "unbind_interface")
TRANSCRIPT = _rule("transcript", "a transcript that comes back has the digest that the TSM keeps",
                   "get_device_connection_transcript")
HANDED = _rule("handed", "a guest gets transcript elements only from a transcript that was"
               " verified", "get_device_connection_transcript")
KEY_UPDATE = _rule("key_update", "no record is sent near the end of the sequence numbers",
                   "spdm_key_update")
MAP_ALIGNED = _rule("map_aligned", "ranges are whole pages", "map_interface_mmio")
MAP_REGION = _rule("map_region", "a range lies in a region that the VMM added for the interface",
                   "map_interface_mmio; threat T002")
MAP_ORDER = _rule("map_order", "ranges follow the order of the regions",
                  "map_interface_mmio; PCIe Base 11.5")
MAP_IDE = _rule("map_ide", "a range lies in the IDE address association of the root port",
                "map_interface_mmio; threat T003")
START_ONCE = _rule("start_once", "an interface is started once", "start_interface")
STOP_ONCE = _rule("stop_once", "an interface is stopped once", "stop_interface")
STOPPED = _rule("stopped", "a guest's stop succeeds only when the interface is unbound",
                "stop_interface")
PROGRAM_STATE = _rule("program_state", "a key in use is not overwritten", "program_rp_ide_key")
GO_STATE = _rule("go_state", "only a Programmed key is enabled", "set_go_rp_ide_key")
STOP_STATE = _rule("stop_state", "only an Enabled key is stopped", "set_stop_rp_ide_key")
CLEAR_STATE = _rule("clear_state", "keys are cleared when all of them are Programmed",
                    "clear_rp_ide_key")
PORT = _rule("port", "COVT names a root port of the manifest, and IDs and addresses below it",
             "program_rp_ide_stream; manifest")
GUEST_LINK = _rule("guest_link", "SPDM and IDE are up", "guest acceptance, check 1")
GUEST_POLICY = _rule("guest_policy", "firmware is locked, or fresh measurements end the session",
                     "guest acceptance, check 2")
GUEST_LOCKED = _rule("guest_locked", "the interface is in CONFIG_LOCKED",
                     "guest acceptance, check 3")
GUEST_CHAIN = _rule("guest_chain", "the chain leads to an anchor of the guest",
                    "guest acceptance, check 4")
GUEST_NONCE = _rule("guest_nonce", "the measurements answer the guest's nonce",
                    "guest acceptance, check 5")
GUEST_SIGNATURE = _rule("guest_signature", "the measurements are signed with the leaf key",
                        "guest acceptance, check 5")
GUEST_VALUES = _rule("guest_values", "the measurements are the reference values",
                     "guest acceptance, check 5")
GUEST_RANGES = _rule("guest_ranges", "reported ranges ascend inside of the BAR that is shown",
                     "guest acceptance, check 6")
GUEST_CONFIRMED = _rule("guest_confirmed", "the TSM confirms every range",
                        "guest acceptance, check 6")
GUEST_RUNNING = _rule("guest_running", "the guest uses an interface only in RUN",
                      "start_interface")
