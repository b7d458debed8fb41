# SPDX-License-Identifier: Apache-2.0
"""What a host knows of its device, as plain data: for `teeio info` and its --json."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from teeio.core.enumerate import bdf_name
from teeio.core.tsm import BoundTdi, Tsm
from teeio.host import Host
from teeio.wire.tdisp import TdiState
from teeio.wire.tdisp_report import RangeAttribute

_ATTRIBUTES = (
    (RangeAttribute.MSIX_TABLE, "MSI-X table"),
    (RangeAttribute.MSIX_PBA, "MSI-X PBA"),
    (RangeAttribute.IS_NON_TEE_MEM, "non-TEE"),
    (RangeAttribute.IS_MEM_ATTR_UPDATABLE, "updatable"),
)


def describe(host: Host) -> dict[str, object]:
    """Functions, certificates, measurements, stream and TDIs; asks the device for states."""
    tsm = host.tsm
    info: dict[str, object] = {
        "url": host.transport.url,
        "connected": tsm.session is not None,
        "functions": [
            {"bdf": bdf_name(f.bdf), "vendor": f"{f.vendor:04x}", "device": f"{f.device:04x}",
             "class": f"{f.class_code:06x}", "bar0": f"{f.bar0:#x}", "bar0_size": f.bar0_size,
             "tee_io": f.tee_io} for f in tsm.functions],
    }
    if tsm.session is None:
        return info
    info["session"] = f"{tsm.session.spdm.session_id:#010x}"
    info["certificates"] = _certificates(tsm)
    info["measurements"] = _measurements(tsm)
    state = host.run(tsm.stream_state())
    info["stream"] = {"id": tsm.policy.stream_id,
                      "state": {0: "Insecure", 2: "Secure"}.get(state, f"reserved {state}")}
    info["tdis"] = [_tdi(host, f.number - 1) for f in tsm.functions
                    if f.tee_io and f.number > 0]
    return info


def _certificates(tsm: Tsm) -> list[dict[str, object]]:
    if tsm.chain is None:
        return []
    out: list[dict[str, object]] = []
    for role, certificate in (("root", tsm.chain.root), ("leaf", tsm.chain.leaf)):
        out.append({
            "role": role,
            "subject": certificate.subject.rfc4514_string(),
            "issuer": certificate.issuer.rfc4514_string(),
            "not_before": certificate.not_valid_before_utc.isoformat(),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "sha384": certificate.fingerprint(hashes.SHA384()).hex(),
        })
    out[-1] |= {"slot": tsm.slot, "dmtf_name": tsm.chain.dmtf_name,
                "pcie_name": tsm.chain.pcie_name}
    return out


def _measurements(tsm: Tsm) -> list[dict[str, object]]:
    if tsm.attestation is None:
        return []
    verdicts = {v.index: v for v in tsm.attestation.verdicts}
    return [{"index": b.index, "type": b.value_type & 0x7F, "raw": bool(b.value_type & 0x80),
             "value": b.value.hex(), "as_expected": verdicts[b.index].is_match}
            for b in tsm.attestation.measurements.blocks]


def _tdi(host: Host, tdi: int) -> dict[str, object]:
    state: TdiState = host.run(host.tsm.tdi_state(tdi))
    out: dict[str, object] = {
        "tdi": tdi, "bdf": bdf_name(host.tsm.tdi_function(tdi).bdf), "state": state.name}
    bound = host.tsm.tdis.get(tdi)
    if bound is not None:
        out["report"] = _report(bound)
    return out


def _report(bound: BoundTdi) -> dict[str, object]:
    report = bound.report
    return {
        "interface_info": f"{report.interface_info:#06x}",
        "msix_message_control": f"{report.msix_message_control:#06x}",
        "ranges": [
            {"bar": r.range_id, "first_page": f"{r.first_page:#x}", "pages": r.pages,
             "attributes": [name for bit, name in _ATTRIBUTES if r.attributes & bit] or ["TEE"]}
            for r in report.ranges],
    }
