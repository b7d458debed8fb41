# SPDX-License-Identifier: Apache-2.0
"""A run as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_STYLE: Final = """
:root{color-scheme:light dark;--ok:#1a7f37;--bad:#cf222e;--warn:#9a6700;--dim:#6e7781}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{padding:.2rem .6rem;border-bottom:1px solid #8884;text-align:left;vertical-align:top}
code,pre{font:13px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
pre{background:#8881;padding:.5rem;white-space:pre-wrap}
details{border-bottom:1px solid #8884;padding:.25rem 0}summary{cursor:pointer}
details details{border:0}
.pass{color:var(--ok)}.fail{color:var(--bad);font-weight:600}.warn{color:var(--warn)}
.skip,.not-run{color:var(--dim)}.v{display:inline-block;min-width:4.2rem}
.stop{border:2px solid var(--bad);padding:.5rem 1rem}
"""


def as_html(data: dict[str, Any]) -> str:
    """The report of a run; `data` is that of `report.as_data`."""
    title = f"Conformance of {data['target']}"
    totals = "".join(f'<td class="{_class(k)}"><b>{v}</b> {escape(k)}</td>'
                     for k, v in data["totals"].items())
    stopped = (f'<p class="stop">The run was stopped: {escape(data["diagnosis"])}</p>'
               if data["diagnosis"] else "")
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in data["cases"]:
        groups.setdefault(item["group"], []).append(item)
    bad = [item for item in data["cases"] if item["verdict"] in ("fail", "warn")]
    parts = [
        f"<h1>{escape(title)}</h1>{stopped}<table><tr>{totals}</tr></table>",
        _table({"started": data["started"], "duration": f"{data['seconds']} s",
                "seed": data["seed"], "profile": data["profile"],
                "target carries": ", ".join(data["carries"]),
                **{f"device {k}": v for k, v in data["device"].items()},
                **data["environment"]}),
        _coverage(groups),
    ]
    if bad:
        parts.append("<h2>What did not hold</h2>" + "".join(_case(item, "open") for item in bad))
    for name, items in groups.items():
        parts.append(f"<h2>{escape(name)}</h2>" + "".join(_case(item, "") for item in items))
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
            f' content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
            f"</head><body>{''.join(parts)}</body></html>\n")


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _table(rows: dict[str, Any]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>"
                               for k, v in rows.items()) + "</table>"


def _coverage(groups: dict[str, list[dict[str, Any]]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{len(items)}</td>"
        + "".join(f"<td>{sum(i['verdict'] == v for i in items)}</td>"
                  for v in ("pass", "fail", "warn", "skip", "not run")) + "</tr>"
        for name, items in groups.items())
    return ("<table><tr><th>group</th><th>cases</th><th>pass</th><th>fail</th><th>warn</th>"
            f"<th>skip</th><th>not run</th></tr>{rows}</table>")


def _case(item: dict[str, Any], state: str) -> str:
    verdict = item["verdict"]
    alias = f" ({escape(', '.join(item['aliases']))})" if item["aliases"] else ""
    head = (f'<span class="v {_class(verdict)}">{escape(verdict)}</span><code>{escape(item["id"])}'
            f"</code>{alias} {escape(item['title'])}")
    facts = {"clause": item["clause"], "level": item["level"]}
    facts |= {key: item[key] for key in ("reason", "note") if item[key]}
    facts["reproduce"] = item["reproduce"]
    return (f"<details {state}><summary>{head}</summary>{_table(facts)}"
            f"{_assertions(item['assertions'])}{_ladder(item['ladder'])}</details>")


def _assertions(items: list[dict[str, Any]]) -> str:
    if not items:
        return ""
    names = {True: "pass", False: "fail", None: "skip"}
    rows = "".join(
        f'<tr><td>{a["number"]}</td><td class="{names[a["ok"]]}">'
        f'{ {True: "holds", False: "broken", None: "not reached"}[a["ok"]] }</td>'
        f"<td>{escape(a['text'])}</td><td><code>{escape(a['expected'])}</code></td>"
        f"<td><code>{escape(a['seen'])}</code></td></tr>" for a in items)
    return ("<table><tr><th></th><th></th><th>assertion</th><th>expected</th><th>seen</th></tr>"
            f"{rows}</table>")


def _ladder(steps: list[dict[str, Any]]) -> str:
    if not steps:
        return ""
    lines = []
    for step in steps:
        arrow = {">": "host &rarr; device", "<": "host &larr; device"}.get(step["direction"], "")
        fields = "\n".join(f"{key} = {value}" for key, value in step["fields"].items())
        detail = "\n".join(part for part in (fields, step["data"]) if part)
        inner = f"<details><summary>fields</summary><pre>{escape(detail)}</pre></details>" \
            if detail else ""
        lines.append(f"<tr><td>{arrow}</td><td>{escape(step['layer'])}</td>"
                     f"<td>{escape(step['name'])}{inner}</td></tr>")
    return f"<details><summary>messages</summary><table>{''.join(lines)}</table></details>"
