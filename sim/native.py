# SPDX-License-Identifier: Apache-2.0
"""The native DSM: builds the firmware as a Linux process.

`build` compiles firmware/*.c with the native HAL (needs a C compiler and libcrypto's headers).

    python -m sim.native            builds build/native/teeio-dsm
    python -m sim.native --sizes    sizes of the firmware for rv32im, file by file
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sim import toolchain

FIRMWARE = toolchain.REPO / "firmware"
OUT = toolchain.BUILD / "native"
NAME = "teeio-dsm"

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wvla")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all",
              "-fno-omit-frame-pointer")


class MissingToolError(RuntimeError):
    """Something that the build needs is not installed; the message names the package."""


# Build --------------------------------------------------------------------------------------


def firmware_sources() -> list[Path]:
    """The firmware itself: what the SoC runs, without its entry."""
    return [p for p in sorted(FIRMWARE.glob("*.c")) if p.name != "main.c"]


def compiler() -> str:
    """A C compiler that can link against libcrypto.

    Raises:
        MissingToolError: names the package to install.
    """
    cc = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if cc is None:
        raise MissingToolError("no C compiler: install the package gcc")
    probe = subprocess.run([cc, "-E", "-x", "c", "-"], input="#include <openssl/evp.h>\n",
                           capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise MissingToolError("openssl/evp.h is missing: install the package libssl-dev")
    return cc


def build(*, sanitize: bool = False, last_session: int = 0xFFFE,
          defines: Sequence[str] = ()) -> Path:
    """Builds the native DSM and returns the program; cached by content.

    Args:
        sanitize: with address and undefined-behaviour sanitizers, which end the program.
        last_session: number of the last session before a conventional reset is due.
        defines: preprocessor definitions, NAME=VALUE (SPDM_DATA_TRANSFER_BYTES, quirks).

    Raises:
        MissingToolError: a tool or library is not installed.
        RuntimeError: the compiler refused it.
    """
    cc = compiler()
    sources = [*firmware_sources(), *sorted((FIRMWARE / "native").glob("*.c"))]
    flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", *WARNINGS, "-O2", "-g", f"-I{FIRMWARE}",
             f"-DSPDM_LAST_TAG={last_session}u", *(f"-D{item}" for item in defines),
             *(SANITIZERS if sanitize else ())]
    digest = hashlib.sha256(repr((cc, flags)).encode())
    for file in sorted({*sources, *FIRMWARE.glob("*.h"), *(FIRMWARE / "native").glob("*.h"),
                        FIRMWARE / "hal" / "hal.h"}):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    folder = OUT / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / NAME
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            partial = folder / f"{NAME}.new"
            result = subprocess.run(
                [cc, *flags, *map(str, sources), "-o", str(partial), "-lcrypto"],
                capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"the native DSM does not build\n{result.stderr}")
            partial.rename(program)
    return program


def rv32_sizes() -> dict[str, tuple[int, int]]:
    """Size of each firmware file for rv32im at -Os: name -> (code and constants, variables)."""
    sizes: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for source in [*firmware_sources(), FIRMWARE / "main.c"]:
            obj = Path(temporary) / f"{source.stem}.o"
            result = subprocess.run(
                [sys.executable, "-m", "ziglang", "cc", "-target", "riscv32-freestanding-none",
                 "-mcpu=generic_rv32+m", "-std=c11", "-Os", "-ffunction-sections",
                 "-fdata-sections", *WARNINGS, f"-I{FIRMWARE}", "-c", str(source), "-o", str(obj)],
                capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"{source.name} does not compile for rv32\n{result.stderr}")
            sizes[source.name] = _section_sizes(obj.read_bytes())
    return sizes


def _section_sizes(elf: bytes) -> tuple[int, int]:
    """Sum of the allocated sections of an ELF32 object: (read-only, writable)."""
    offset, = struct.unpack_from("<I", elf, 32)
    entry, count = struct.unpack_from("<HH", elf, 46)
    fixed = variable = 0
    for i in range(count):
        _name, _type, flags, _address, _at, size = struct.unpack_from("<6I", elf,
                                                                     offset + i * entry)
        if flags & 2:  # SHF_ALLOC
            if flags & 1:  # SHF_WRITE
                variable += size
            else:
                fixed += size
    return fixed, variable


# Identity -----------------------------------------------------------------------------------


def main() -> int:
    """Command line."""
    try:
        if "--sizes" in sys.argv[1:]:
            sizes = rv32_sizes()
            for name, (fixed, variable) in sizes.items():
                print(f"{name:24} {fixed:6} {variable:6}")
            print(f"{'total':24} {sum(s[0] for s in sizes.values()):6}"
                  f" {sum(s[1] for s in sizes.values()):6}")
            return 0
        program = build()
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 1
    target = OUT / NAME
    fresh = OUT / f"{NAME}.{os.getpid()}"
    fresh.symlink_to(program.relative_to(OUT))
    fresh.rename(target)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
