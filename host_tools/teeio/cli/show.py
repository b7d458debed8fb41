# SPDX-License-Identifier: Apache-2.0
"""What `teeio info` prints for people: plain lines, none cut to the width of the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

_Rows = list[dict[str, object]]
_Line = Callable[..., None]


def show_info(console: Console, info: dict[str, object]) -> None:
    """Print what `teeio.info.describe` returned."""
    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, soft_wrap=True)

    if "warning" in info:
        line(f"warning: {info['warning']}", "yellow")
    carries = info["carries"]
    assert isinstance(carries, list)
    line(f"device at {info['url']}, which carries {', '.join(carries)}", "bold")
    for f in _rows(info, "functions"):
        line(f"  {f['bdf']}  {f['vendor']}:{f['device']}  class {f['class']}"
             f"  BAR0 {f['bar0']}, {f['bar0_size']} bytes{'  TEE-IO' if f['tee_io'] else ''}")
    if not info.get("connected"):
        line("not connected")
        return
    protocol, stream = _pairs(info, "protocol"), _pairs(info, "stream")
    line(f"session {info['session']}: {info['session_state']}", "bold")
    line(f"  SPDM {protocol['spdm']}, {protocol['signature']}, {protocol['hash']},"
         f" {protocol['key_exchange']}")
    line(f"IDE stream {stream['id']}: {stream['state']}", "bold")
    line("certificates, trusted root first", "bold")
    for c in _rows(info, "certificates"):
        _certificate(line, c)
    line("measurements", "bold")
    for m in _rows(info, "measurements"):
        is_fine = m["as_expected"] or not (m["compared"] or m["reason"])
        verdict = ("as expected" if m["as_expected"] else "signed, not compared" if is_fine
                   else f"DIFFERS: {m['reason']}")
        line(f"  {m['index']:>3}  {m['type_name']} ({m['type']}): {verdict}",
             "" if is_fine else "red")
        line(f"       {'raw value' if m['raw'] else 'digest'} {m['value']}")
    for tdi in _rows(info, "tdis"):
        line(f"TDI {tdi['tdi']} ({tdi['bdf']}): {tdi['state']}", "bold")
        if "report" in tdi:
            _report(line, _pairs(tdi, "report"))


def _certificate(line: _Line, c: dict[str, object]) -> None:
    line(f"  {c['role']}: {c['subject']}")
    line(f"    issuer   {c['issuer']}")
    line(f"    valid    {c['not_before']} to {c['not_after']}")
    line(f"    serial   {c['serial']}, key {c['key']}")
    line(f"    SHA-384  {c['sha384']}")
    if "slot" in c:
        line(f"    slot     {c['slot']}{', hardware identity' if c['hardware_identity'] else ''}")
        line(f"    names    {c['dmtf_name']}")
        line(f"             {c['pcie_name']}")


def _report(line: _Line, report: dict[str, object]) -> None:
    flags = report["interface_info_flags"]
    assert isinstance(flags, list)
    line(f"  INTERFACE_INFO {report['interface_info']}: {', '.join(flags) or 'none'}")
    line(f"  MSI-X message control {report['msix_message_control']}, table"
         f" {'locked' if report['msix_locked'] else 'not locked'}; LNR {report['lnr_control']},"
         f" TPH {report['tph_control']}")
    for r in _rows(report, "ranges"):
        attributes = r["attributes"]
        assert isinstance(attributes, list)
        line(f"  BAR {r['bar']} + {r['bar_offset']:>6}  {r['bytes']:>6} bytes at"
             f" {r['address']}: {', '.join(attributes)}")
    if report["device_specific"]:
        line(f"  device specific {report['device_specific']}")


def _rows(info: dict[str, object], key: str) -> _Rows:
    rows = info.get(key, [])
    assert isinstance(rows, list)
    return rows


def _pairs(info: dict[str, object], key: str) -> dict[str, object]:
    value = info[key]
    assert isinstance(value, dict)
    return value
