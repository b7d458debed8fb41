# SPDX-License-Identifier: Apache-2.0
"""The worst-case stack of the firmware; the analysis that computes it on images made for that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim import toolchain
from sim.firmware import build_firmware
from sim.stack import Image, StackError

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n#include <stdint.h>\nint main(void);\n"
KEEP = "__attribute__((noinline)) static "


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder below the repository, as the build of an image wants it."""
    toolchain.BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=toolchain.BUILD) as temporary:
        yield Path(temporary)


def image(folder: Path, body: str) -> Image:
    source = folder / "main.c"
    source.write_text(HEAD + body)
    return Image(build_firmware([source], name="stack").elf)


def test_firmware_needs_less_than_half_of_its_stack() -> None:
    """It has no recursion, and every call of a handler is explained by a table."""
    built = build_firmware()
    code = Image(built.elf)
    worst = code.worst()
    assert worst.path[0][0] == "main"
    assert 0 < worst.stack <= built.ram_stack // 2
    assert worst.stack == sum(frame for _name, frame in worst.path)
    names = {function.name: function for function in code.functions.values()}
    reached = {code.functions[a].name for a in names["answer_one"].calls}
    assert {"spdm_key_exchange", "spdm_set_certificate", "spdm_vendor_defined"} <= reached


def test_deepest_branch_counts(folder: Path) -> None:
    """Two leaves with buffers of 300 and 3000 bytes, the larger one above 2 KiB."""
    body = (KEEP + "int small(int x) { volatile char b[300]; b[x] = 1; return b[0]; }\n"
            + KEEP + "int large(int x) { volatile char b[3000]; b[x] = 1; return b[0]; }\n"
            "int main(void) { volatile int n = 0; for (;;) n += small(n) + large(n); }\n")
    worst = image(folder, body).worst()
    assert [name for name, _frame in worst.path] == ["main", "large"]
    assert 3000 <= worst.stack <= 3000 + 64


def test_recursion_is_refused(folder: Path) -> None:
    body = (KEEP + "int odd(int x);\n"
            + KEEP + "int even(int x) { volatile int n = x; return n ? odd(x - 1) + n : 1; }\n"
            + KEEP + "int odd(int x) { volatile int n = x; return n ? even(x - 1) + n : 0; }\n"
            "int main(void) { volatile int n = 9; for (;;) n = even(n); }\n")
    with pytest.raises(StackError, match=r"recursion: .*(odd > even|even > odd)"):
        image(folder, body).worst()


def test_unexplained_pointer_is_refused(folder: Path) -> None:
    body = ("static int (*volatile hook)(int);\n"
            "int main(void) { volatile int n = 0; for (;;) n += hook(n); }\n")
    with pytest.raises(StackError, match="main calls a pointer"):
        image(folder, body).worst()


def test_array_of_unknown_size_is_refused(folder: Path) -> None:
    body = ("#pragma clang diagnostic ignored \"-Wvla\"\n"
            + KEEP + "int grow(int x) { volatile char b[x]; b[0] = 1; return b[x - 1]; }\n"
            "int main(void) { volatile int n = 9; for (;;) n = grow(n); }\n")
    with pytest.raises(StackError):
        image(folder, body).worst()
