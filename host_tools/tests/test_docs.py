# SPDX-License-Identifier: Apache-2.0
"""The documentation names only what is there: paths, tests, links, security labels, decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
FOLDERS = ("rtl", "firmware", "cocotb_tests", "host_tools", "sim", "docs")
PAGES = sorted(
    [*DOCS.rglob("*.md"), *(p for f in FOLDERS if (p := REPO / f / "README.md").exists())]
    + [REPO / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")],
)  # fmt: skip
PAGES = list(dict.fromkeys(PAGES))
SOURCE = re.compile(r"\.(sv|c|h|py|md|cpp|vlt|f|S|ld)$")
DECISION = re.compile(r"(\d{4})-[a-z0-9-]+\.md")
LABEL = re.compile(r"[A-Z][A-Z0-9]*\.[A-Z][A-Z0-9_]*")
TEST_FILE = re.compile(r"(?:[\w.]+/)*test_\w+\.py")
WORDS_AFTER_A_LABEL = re.compile(r"SEC: ((?:[A-Z][A-Z0-9]*\.[A-Z][A-Z0-9_]*(?:, )?)+)")


def spans(text: str) -> Iterator[tuple[int, str]]:
    """Inline code of a page with its line number; fenced blocks are left out."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span


@cache
def sources() -> tuple[Path, ...]:
    """Every source file and page of the repository."""
    return tuple(path for folder in FOLDERS for path in (REPO / folder).rglob("*")
                 if SOURCE.search(path.name))


@cache
def words_of(path: Path) -> frozenset[str]:
    """Every identifier in a file."""
    return frozenset(re.findall(r"\w+", path.read_text()))


@cache
def functions(path: Path) -> frozenset[str]:
    """Names of the functions that a Python file defines."""
    return frozenset(re.findall(r"^(?:async )?def (\w+)", path.read_text(), re.M))


def bases(page: Path) -> list[Path]:
    """Where a path on this page may start: the repository, and the folder of the page."""
    more = {DOCS / "architecture.md": [REPO / "rtl", REPO / "host_tools" / "teeio"]}
    return [REPO, page.parent, *more.get(page, [])]


def resolve(page: Path, name: str) -> Path | None:
    """The file or folder that a path on a page means; a pattern means its first match."""
    for base in bases(page):
        if "*" in name:
            if found := sorted(base.glob(name)):
                return found[0]
        elif (base / name).exists():
            return base / name
    return None


def is_path(span: str) -> bool:
    """Written as a path of this repository: a known folder first, or a source file's ending."""
    if not re.fullmatch(r"[\w.*/-]+", span) or span.startswith("/") or "NNNN" in span:
        return False
    if SOURCE.search(span):
        return "/" in span
    return span.split("/")[0] in FOLDERS and "/" in span


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_paths_and_tests_exist(page: Path) -> None:
    """Every path in inline code is there; every `file::name` is a function of that file, and a
    name without a path that stands after one belongs to the last test file named before it."""
    missing, last = [], None
    for number, span in spans(page.read_text()):
        path, colons, name = span.partition("::")
        where = f"{page.relative_to(REPO)}:{number}: {span}"
        if is_path(path):
            target = resolve(page, path)
            if target is None:
                missing.append(where)
                continue
            if TEST_FILE.fullmatch(path):
                last = target
            if colons and name not in functions(target):
                missing.append(where)
        elif package := re.match(r"(\w+_pkg)::(\w+)", span):
            if package[2] not in words_of(REPO / "rtl" / "pkg" / f"{package[1]}.sv"):
                missing.append(where)
        elif colons:
            missing.append(f"{where} (no path)")
        elif SOURCE.search(span) and re.fullmatch(r"[\w.*-]+", span):
            if not any(fnmatch(path.name, span) for path in sources()):
                missing.append(where)
        elif re.fullmatch(r"test_\w+", span) and (last is None or span not in functions(last)):
            missing.append(where)
    assert missing == []


@pytest.mark.parametrize("page", [p for p in PAGES if DOCS in p.parents], ids=lambda p: p.name)
def test_names_stand_in_the_code(page: Path) -> None:
    """Ports, functions, states and constants that a page names are words of some source file."""
    known = {word for path in sources() if path.suffix != ".md" for word in words_of(path)}
    missing = []
    for number, span in spans(page.read_text()):
        if re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", span) and not SOURCE.search(span):
            missing += [f"{page.name}:{number}: {span}" for word in span.split(".")
                        if "_" in span and word not in known]
    assert missing == []


@pytest.mark.parametrize("page", ["security_claims.md", "spec_map.md"])
def test_every_row_names_a_test(page: str) -> None:
    """In these tables inline code of the last column is a test; a row says so if there is none."""
    lines = (DOCS / page).read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and "`" in line]
    assert len(rows) > 20
    for row in rows:
        shown = row.rstrip().rstrip("|").rpartition("|")[2]
        tests = [s for s in re.findall(r"`([^`]+)`", shown) if not s.startswith("rtl/")]
        assert tests or "by reading" in shown, row
        last = ""
        for test in tests:
            path, colons, name = test.partition("::")
            last, name = (path, name) if colons else (last, path)
            assert TEST_FILE.fullmatch(last), f"{name}: no test file before it in: {row}"
            assert name in functions(REPO / last), f"{last} has no {name}"


def test_security_labels_of_rtl_and_table_are_equal() -> None:
    """Each label stands in the table with the files in which it stands in rtl/."""
    places: dict[str, set[str]] = {}
    for path in (REPO / "rtl").rglob("*.sv"):
        if not path.stem.endswith("_props") and path.parent.name != "pkg":
            for words in WORDS_AFTER_A_LABEL.findall(path.read_text()):
                for label in LABEL.findall(words):
                    places.setdefault(label, set()).add(str(path.relative_to(REPO)))
    table: dict[str, set[str]] = {}
    for line in (DOCS / "security_claims.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and LABEL.fullmatch(cells[1]):
            assert cells[1] not in table, f"{cells[1]} stands twice"
            table[cells[1]] = set(re.findall(r"`([^`]+)`", cells[3]))
    assert len(places) > 20
    assert table == places


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPO)))
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links of a page point at files."""
    dead = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
            if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


def test_decisions_are_numbered_once_and_listed() -> None:
    """A number belongs to one note, its heading repeats it, and the index names every note."""
    notes = sorted((DOCS / "decisions").glob("*.md"))
    index = (DOCS / "README.md").read_text()
    numbers = []
    for note in notes:
        match = DECISION.fullmatch(note.name)
        assert match, f"{note.name}: NNNN-title.md"
        numbers.append(match[1])
        text = note.read_text()
        assert text.startswith(f"# {match[1]} "), f"{note.name}: the heading repeats the number"
        assert f"decisions/{note.name}" in index, f"docs/README.md does not list {note.name}"
    assert len(numbers) == len(set(numbers)) > 10


def test_decisions_named_in_the_code_exist() -> None:
    """A comment that sends the reader to a decision sends him to one that is there."""
    numbers = {p.name[:4] for p in (DOCS / "decisions").glob("*.md")}
    for folder in ("rtl", "firmware", "host_tools", "cocotb_tests", "sim"):
        for path in (REPO / folder).rglob("*"):
            if path.suffix in {".sv", ".c", ".h", ".py", ".cpp"}:
                for number in re.findall(r"docs/decisions/(\d{4})", path.read_text()):
                    assert number in numbers, f"{path.relative_to(REPO)} names decision {number}"
