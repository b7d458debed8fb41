# SPDX-License-Identifier: Apache-2.0
"""Results for machines (JSON) and for people (one self-contained HTML page)."""

from __future__ import annotations

import html
from collections.abc import Sequence

from teeio.platforms.common.checks import all_checks
from teeio.platforms.common.order import Entry
from teeio.platforms.common.runner import Mutation, Result


def as_json(results: Sequence[Result], mutations: Sequence[Mutation] = ()) -> dict[str, object]:
    """Plain data: scenarios with their verdicts, checks with the scenarios red without them."""
    return {
        "scenarios": [
            {"id": r.scenario.id, "platform": r.scenario.platform, "kind": r.scenario.kind.value,
             "title": r.scenario.title, "verdict": r.verdict.value, "reason": r.reason,
             "seconds": round(r.seconds, 3), "checks": sorted(r.checks),
             "secrets": r.scanned[0], "scanned_bytes": r.scanned[1]} for r in results],
        "checks": [{"name": m.check, "red_without": list(m.red_without), "tried": list(m.tried)}
                   for m in mutations],
    }


def actors(log: Sequence[Entry]) -> list[str]:
    """Actors of a log, in the order of a ladder: guests, TSM, host, root port, device."""
    order = ["user", "guest 1", "guest 2", "KVM", "Linux", "TSM", "VMM", "IOMMU", "pages",
             "root port", "device 1", "device 2", "device", "DSM", "memory"]
    found = {e.actor for e in log} | {e.to for e in log if e.to}
    return [name for name in order if name in found] + sorted(found - set(order))


def ladder(log: Sequence[Entry]) -> list[tuple[str, str, str, str]]:
    """Rows of a message ladder: time in ms, who, to whom, what. The objects that cross the host
    are kept; equal neighbours are folded into one row with their number."""
    rows: list[tuple[str, str, str, str]] = []
    count = 1
    for e in log:
        text = f"{e.message} {e.detail}".rstrip() if e.actor != "VMM" and e.to != "VMM" else (
            e.message)
        row = (e.actor, e.to, text)
        if rows and rows[-1][1:3] == row[:2] and rows[-1][3].split(" (x")[0] == text:
            count += 1
            rows[-1] = (*rows[-1][:3], f"{text} (x{count})")
            continue
        count = 1
        rows.append((f"{1000 * e.seconds:.1f}", *row))
    return rows


STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;width:100%}td,th{border:1px solid #ccc;padding:3px 7px;
text-align:left;vertical-align:top}th{background:#f3f3f3}.pass{color:#0a6b22}.fail{color:#b00020;
font-weight:bold}.skip{color:#777}.cross{background:#fff4e0}summary{cursor:pointer}code{font-size:
13px}td.n{text-align:right;font-variant-numeric:tabular-nums}
"""


def as_html(results: Sequence[Result], mutations: Sequence[Mutation] = ()) -> str:
    """One page without references to anything outside it. Rows that crossed the untrusted host
    are shaded."""
    out = ["<!doctype html><html lang=en><meta charset=utf-8><title>Platforms</title>",
           f"<style>{STYLE}</style><h1>Platforms</h1><table><tr><th>scenario<th>kind<th>title"
           "<th>verdict<th>seconds<th>reason</tr>"]
    for r in results:
        s = r.scenario
        out.append(f"<tr><td><a href='#{s.platform}-{s.id}'>{s.platform} {s.id}</a>"
                   f"<td>{s.kind.value}<td>{_e(s.title)}<td class={r.verdict.value}>"
                   f"{r.verdict.value}<td class=n>{r.seconds:.1f}<td>{_e(r.reason)}</tr>")
    out.append("</table>")
    if mutations:
        out.append(_mutation_table(mutations))
    for r in results:
        out.append(_section(r))
    return "\n".join(out) + "\n"


def _mutation_table(mutations: Sequence[Mutation]) -> str:
    texts = {check.id: check for check in all_checks()}
    rows = "".join(
        f"<tr><td><code>{_e(m.check)}</code><td>{_e(texts[m.check].text)}"
        f"<td>{_e(texts[m.check].clause)}"
        f"<td class={'pass' if m.red_without else 'fail'}>{', '.join(m.red_without) or 'none'}"
        f"<td>{', '.join(m.tried)}</tr>" for m in mutations)
    return ("<h2>Checks, switched off one by one</h2><table><tr><th>check<th>rule<th>source"
            f"<th>red without it<th>tried</tr>{rows}</table>")


def _section(r: Result) -> str:
    s = r.scenario
    taken: dict[tuple[str, str, str], int] = {}
    for item in r.taken:
        key = (item.check, item.outcome.value, item.reason)
        taken[key] = taken.get(key, 0) + 1
    checks = "".join(f"<tr><td><code>{_e(c)}</code><td>{o}<td>{_e(reason)}<td class=n>{n}</tr>"
                     for (c, o, reason), n in taken.items())
    steps = "".join(
        f"<tr{' class=cross' if 'VMM' in (who, to) else ''}><td class=n>{ms}<td>{_e(who)}"
        f"<td>{_e(to)}<td>{_e(what)}</tr>" for ms, who, to, what in ladder(r.log))
    return (f"<h2 id='{s.platform}-{s.id}'>{s.platform} {s.id}: {_e(s.title)}</h2>"
            f"<p class={r.verdict.value}>{r.verdict.value}: {_e(r.reason)}"
            f"<details><summary>{len(r.taken)} checks</summary><table><tr><th>check<th>outcome"
            f"<th>reason<th>times</tr>{checks}</table></details>"
            f"<details><summary>{len(r.log)} steps; shaded: crossed the untrusted host</summary>"
            f"<table><tr><th>ms<th>from<th>to<th>what</tr>{steps}</table></details>")


def _e(text: str) -> str:
    return html.escape(text)
