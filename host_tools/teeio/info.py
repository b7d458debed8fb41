# SPDX-License-Identifier: Apache-2.0
"""What a host knows of its device, as plain data: for `teeio info` and its --json."""

from __future__ import annotations

from enum import IntFlag

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from teeio.core.enumerate import bdf_name
from teeio.core.measurements import BlockVerdict
from teeio.core.tsm import BoundTdi, Tsm
from teeio.errors import TsmError
from teeio.host import Host
from teeio.target_host import TargetHost
from teeio.wire.spdm_measurements import MeasurementBlock, MeasurementType
from teeio.wire.tdisp_report import PAGE_BYTES, InterfaceInfo, MmioRange, RangeAttribute

AnyHost = Host | TargetHost
UNKNOWN = "unknown"

_ATTRIBUTES = (
    (RangeAttribute.MSIX_TABLE, "MSI-X table"),
    (RangeAttribute.MSIX_PBA, "MSI-X PBA"),
    (RangeAttribute.IS_MEM_ATTR_UPDATABLE, "updatable"),
)


def summary(host: AnyHost) -> dict[str, object]:
    """Result of a verb other than info: what the host knows, without asking the device."""
    tsm = host.tsm
    out: dict[str, object] = {"url": host.url, "connected": tsm.session is not None}
    if tsm.session is not None:
        out["session"] = f"{tsm.session.spdm.session_id:#010x}"
        out["session_state"] = "dead" if tsm.is_dead else "established"
        out["bound"] = sorted(tsm.tdis)
    return out


def describe(host: AnyHost) -> dict[str, object]:
    """Functions, certificates, measurements, stream and TDIs; asks the device for states.

    A session that is dead, or dies while it is asked, leaves the states of the TDIs unknown and
    adds a `warning`.

    Raises:
        TransportError: the device does not answer configuration requests.
    """
    tsm = host.tsm
    info: dict[str, object] = {
        "url": host.url,
        "carries": list(host.capabilities.names()),
        "connected": tsm.session is not None,
        "functions": [
            {"bdf": bdf_name(f.bdf), "vendor": f"{f.vendor:04x}", "device": f"{f.device:04x}",
             "class": f"{f.class_code:06x}", "bar0": f"{f.bar0:#x}", "bar0_size": f.bar0_size,
             "tee_io": f.tee_io} for f in (tsm.functions if host.capabilities.config else [])],
    }
    if tsm.session is None:
        return info
    info["session"] = f"{tsm.session.spdm.session_id:#010x}"
    info["protocol"] = _protocol(tsm)
    info["certificates"] = _certificates(tsm)
    info["measurements"] = _measurements(tsm)
    info["stream"] = {"id": tsm.policy.stream_id, "state": _stream_state(host)}
    was_dead, problem = tsm.is_dead, ""
    tdis = []
    for number in tsm.tdi_numbers():
        entry, failure = _tdi(host, number)
        tdis.append(entry)
        problem = problem or failure
    info["tdis"] = tdis
    info["session_state"] = "dead" if tsm.is_dead else "established"
    if tsm.is_dead:
        info["warning"] = ("the session is dead" if was_dead else f"the session died ({problem})"
                           ) + f": run `teeio disconnect {host.url}`, then connect again"
    elif problem:
        info["warning"] = problem
    return info


def _stream_state(host: AnyHost) -> str:
    if not host.capabilities.config:
        return f"{UNKNOWN} (no registers here)"
    state = host.run(host.tsm.stream_state())
    return {0: "Insecure", 2: "Secure"}.get(state, f"reserved {state}")


def _protocol(tsm: Tsm) -> dict[str, object]:
    assert tsm.session is not None
    start = tsm.session.spdm.start
    suite = start.suite

    def dotted(version: int) -> str:
        return f"{version >> 4 & 15}.{version & 15}"

    return {"spdm": dotted(suite.version),
            "signature": suite.base_asym.name, "hash": suite.base_hash.name,
            "key_exchange": suite.dhe.name}


def _certificates(tsm: Tsm) -> list[dict[str, object]]:
    if tsm.chain is None:
        return []
    last = len(tsm.chain.path) - 1
    out = [_certificate(c, "root" if i == 0 else "leaf" if i == last else "intermediate")
           for i, c in enumerate(tsm.chain.path)]
    out[-1] |= {"slot": tsm.slot, "dmtf_name": tsm.chain.dmtf_name,
                "pcie_name": tsm.chain.pcie_name,
                "hardware_identity": tsm.chain.has_hardware_identity}
    return out


def _certificate(certificate: x509.Certificate, role: str) -> dict[str, object]:
    key = certificate.public_key()
    algorithm = (f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey)
                 else type(key).__name__.removesuffix("PublicKey").strip("_"))
    return {
        "role": role,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "key": algorithm,
        "sha384": certificate.fingerprint(hashes.SHA384()).hex(),
    }


def _measurements(tsm: Tsm) -> list[dict[str, object]]:
    if tsm.attestation is None:
        return []
    verdicts = {v.index: v for v in tsm.attestation.verdicts}
    return [_measurement(b, verdicts[b.index], b.index in tsm.policy.references)
            for b in tsm.attestation.measurements.blocks]


def _measurement(block: MeasurementBlock, verdict: BlockVerdict,
                 is_compared: bool) -> dict[str, object]:
    known = tuple(MeasurementType)
    name = (MeasurementType(block.value_type).name.replace("_", " ").lower()
            if block.value_type in known else "reserved")
    return {"index": block.index, "type": block.value_type, "type_name": name,
            "raw": block.is_raw, "value": block.value.hex(),
            "compared": is_compared, "as_expected": is_compared and verdict.is_match,
            "reason": verdict.reason}


def _tdi(host: AnyHost, tdi: int) -> tuple[dict[str, object], str]:
    """What is known of a TDI, and why its state is not, if so."""
    problem = ""
    try:
        state = host.run(host.tsm.tdi_state(tdi)).name
    except TsmError as error:
        state, problem = UNKNOWN, str(error)
    out: dict[str, object] = {
        "tdi": tdi, "bdf": bdf_name(host.tsm.tdi_function(tdi).bdf), "state": state,
        "bound": tdi in host.tsm.tdis}
    bound = host.tsm.tdis.get(tdi)
    if bound is not None:
        out["report"] = _report(bound)
    return out, problem


def _report(bound: BoundTdi) -> dict[str, object]:
    report = bound.report
    return {
        "interface_info": f"{report.interface_info:#06x}",
        "interface_info_flags": _flags(InterfaceInfo, report.interface_info),
        "msix_message_control": f"{report.msix_message_control:#06x}",
        "msix_locked": bound.lock_msix,
        "lnr_control": f"{report.lnr_control:#06x}",
        "tph_control": f"{report.tph_control:#010x}",
        "ranges": [_range(r, bound.function.bar0) for r in report.ranges],
        "device_specific": report.device_specific.hex(),
    }


def _flags(kind: type[IntFlag], value: int) -> list[str]:
    return [str(flag.name) for flag in kind if value & flag]


def _range(item: MmioRange, bar0: int) -> dict[str, object]:
    first = item.first_page * PAGE_BYTES
    return {
        "bar": item.range_id, "first_page": f"{item.first_page:#x}", "pages": item.pages,
        "address": f"{first:#x}", "bytes": item.pages * PAGE_BYTES,
        "bar_offset": f"{first - bar0:#x}",
        "attributes": ["TEE" if item.is_tee else "non-TEE",
                       *(name for bit, name in _ATTRIBUTES if item.attributes & bit)],
    }
