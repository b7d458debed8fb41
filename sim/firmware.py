# SPDX-License-Identifier: Apache-2.0
"""Build the images that the DSM runs: boot ROM and firmware, C to memory files.

An image is written three times: `.elf` for people, `.bin` padded with zeros to the size of its ROM
(what a host measures: SHA-384 over these bytes), `.hex` for $readmemh (one little-endian 32-bit
word a line). Builds are cached under build/firmware by the content of what went into them.

    python -m sim.firmware            builds boot ROM and firmware, prints sizes and digests
    python -m sim.firmware --quirk reference-requester
                                      the same with a quirk (firmware/quirks.h); may be repeated
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim import toolchain

FIRMWARE = toolchain.REPO / "firmware"
OUT = toolchain.BUILD / "firmware"

BOOT_BYTES = 4096
FIRMWARE_BYTES = 65536
SLOT0_BYTES = 4096
RAM_BYTES = 32768

QUIRKS = {"validator": 1, "reference-requester": 2}
"""Names of the bits of firmware/quirks.h."""

COMPILER = [
    sys.executable, "-m", "ziglang", "cc",
    "-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m",
    "-std=c11", "-Os", "-g", "-ffreestanding", "-fno-sanitize=all", "-fno-stack-protector",
    "-ffunction-sections", "-fdata-sections", "-fno-jump-tables",  # sim/stack.py follows calls
    "-Wall", "-Wextra", "-Wshadow", "-Wvla",
    "-nostdlib", "-Wl,--gc-sections", f"-I{FIRMWARE}", f"-isystem{FIRMWARE / 'lib'}",
]


@dataclass(frozen=True)
class Image:
    """One built image; sizes in bytes."""

    name: str
    elf: Path
    bin: Path
    hex: Path
    rom_used: int
    rom_bytes: int
    ram_static: int
    ram_stack: int

    def digest(self) -> bytes:
        """SHA-384 over the padded image: what the boot ROM must have measured."""
        return hashlib.sha384(self.bin.read_bytes()).digest()

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.name:10} {self.rom_used:6} of {self.rom_bytes} bytes of ROM"
        if self.ram_static or self.ram_stack:
            text += (f", {self.ram_static} bytes of variables + {self.ram_stack} of stack"
                     f" of {RAM_BYTES} bytes of RAM")
        return text


def write_hex(path: Path, content: bytes) -> None:
    """Write `content` (padded with zeros to whole words) as a $readmemh file."""
    content += bytes(-len(content) % 4)
    words = struct.unpack(f"<{len(content) // 4}I", content)
    path.write_text("".join(f"{word:08x}\n" for word in words))


def write_slot0(path: Path, structure: bytes) -> None:
    """Write a slot 0 ROM file: length of the structure in bytes, then the structure.

    Raises:
        ValueError: the structure does not fit the ROM.
    """
    if len(structure) + 4 > SLOT0_BYTES:
        raise ValueError(f"slot 0 structure of {len(structure)} bytes exceeds {SLOT0_BYTES - 4}")
    write_hex(path, (struct.pack("<I", len(structure)) + structure).ljust(SLOT0_BYTES, b"\0"))


def write_identity(path: Path, private_value: int) -> None:
    """Write an identity key ROM file: twelve words of a P-384 private key, most significant first.

    Raises:
        ValueError: the value has more than 384 bits or is not positive.
    """
    if not 0 < private_value < 1 << 384:
        raise ValueError("not a P-384 private key")
    words = struct.unpack(">12I", private_value.to_bytes(48, "big"))
    path.write_text("".join(f"{word:08x}\n" for word in words))


def _elf_parts(elf: Path) -> tuple[bytes, int, int, int]:
    """Return (content of the ROM, bytes used of it, variables, stack) of an ELF file."""
    data = elf.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise RuntimeError(f"{elf} is no 32-bit little-endian ELF file")
    ph_offset, sh_offset = struct.unpack_from("<II", data, 28)
    ph_size, ph_count, sh_size, sh_count, sh_names = struct.unpack_from("<HHHHH", data, 42)
    rom: dict[int, bytes] = {}
    for i in range(ph_count):
        kind, offset, _virtual, physical, in_file = struct.unpack_from(
            "<5I", data, ph_offset + i * ph_size)
        if kind == 1 and in_file:
            rom[physical] = data[offset:offset + in_file]
    base = min(rom)
    image = bytearray(max(a + len(b) for a, b in rom.items()) - base)
    for address, content in rom.items():
        image[address - base:address - base + len(content)] = content
    sections = [struct.unpack_from("<10I", data, sh_offset + i * sh_size) for i in range(sh_count)]
    names = sections[sh_names][4]

    def size(name: str) -> int:
        for s in sections:
            start = names + s[0]
            if data[start:data.index(b"\0", start)].decode() == name:
                return int(s[5])
        return 0

    return bytes(image), len(image), size(".data") + size(".bss"), size(".stack")


def _inputs(sources: Sequence[Path]) -> list[Path]:
    """Files that decide what a build gives: its sources and every header and script."""
    shared = [p for pattern in ("*.h", "*.ld") for p in FIRMWARE.rglob(pattern)]
    return sorted({*sources, *shared})


def _build(name: str, sources: Sequence[Path], script: Path, rom_bytes: int,
           defines: Sequence[str] = ()) -> Image:
    arguments = [*COMPILER[1:], *(f"-D{d}" for d in defines)]
    h = hashlib.sha256(repr((arguments, [s.name for s in sources], rom_bytes)).encode())
    for file in _inputs(sources):
        h.update(str(file.relative_to(toolchain.REPO)).encode() + b"\0" + file.read_bytes())
    folder = OUT / f"{name}-{h.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    elf, binary, hexfile = (folder / f"{name}{end}" for end in (".elf", ".bin", ".hex"))
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not hexfile.exists():
            command = [COMPILER[0], *arguments, "-T", str(script), *map(str, sources),
                       "-o", str(elf)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.stderr:
                sys.stderr.write(result.stderr)
            if result.returncode != 0:
                raise RuntimeError(f"{name}: the compiler failed\n{result.stderr}")
            image, *_ = _elf_parts(elf)
            if len(image) > rom_bytes:
                raise RuntimeError(f"{name}: {len(image)} bytes do not fit {rom_bytes}")
            binary.write_bytes(image.ljust(rom_bytes, b"\0"))
            write_hex(hexfile, binary.read_bytes())
    _, used, static, stack = _elf_parts(elf)
    return Image(name, elf, binary, hexfile, used, rom_bytes, static, stack)


def build_boot() -> Image:
    """Build the boot ROM.

    Raises:
        RuntimeError: the compiler refused it, or it does not fit.
    """
    boot = FIRMWARE / "boot"
    return _build("boot", [boot / "boot_start.S", boot / "boot.c"], boot / "boot.ld", BOOT_BYTES)


def support_sources() -> list[Path]:
    """Start-up code, hardware abstraction and library: part of every firmware image."""
    return [FIRMWARE / "boot" / "crt0.S", FIRMWARE / "hal" / "hal_soc.c",
            *sorted((FIRMWARE / "lib").glob("*.c"))]


def build_firmware(sources: Sequence[Path] | None = None, name: str = "firmware",
                   defines: Sequence[str] = ()) -> Image:
    """Build a firmware image.

    Args:
        sources: its C files besides the support sources; default: firmware/*.c, the real firmware.
        name: name of the image.
        defines: preprocessor definitions, NAME or NAME=VALUE.

    Raises:
        RuntimeError: no main.c yet, the compiler refused it, or it does not fit.
    """
    if sources is None:
        sources = sorted(FIRMWARE.glob("*.c"))
        if not any(s.name == "main.c" for s in sources):
            raise RuntimeError("firmware/main.c is missing")
    return _build(name, [*support_sources(), *sources], FIRMWARE / "boot" / "firmware.ld",
                  FIRMWARE_BYTES, defines)


def map_constants() -> dict[str, int]:
    """Numbers of rtl/pkg/dsm_pkg.sv that this file and firmware/hal/soc.h repeat, by name."""
    text = (toolchain.REPO / "rtl" / "pkg" / "dsm_pkg.sv").read_text()
    found = re.findall(r"localparam [\w\s\[\]:]*?(\w+_BYTES)\s*=\s*(\d+);", text)
    return {name: int(value) for name, value in found}


def main() -> int:
    """Command line: build what exists and print sizes (`--json`: the files, for programs)."""
    if "--json" in sys.argv[1:]:
        images = (build_boot(), build_firmware())
        print(json.dumps({i.name: {"hex": str(i.hex), "bin": str(i.bin)} for i in images}))
        return 0
    quirks = [QUIRKS[sys.argv[i + 1]] for i, word in enumerate(sys.argv[:-1]) if word == "--quirk"]
    boot = build_boot()
    print(boot.describe())
    print(f"           {boot.digest().hex()}")
    if not (FIRMWARE / "main.c").exists():
        print("firmware/main.c does not exist: no firmware built")
        return 0
    firmware = build_firmware(defines=[f"QUIRKS={sum(set(quirks))}u"] if quirks else ())
    print(firmware.describe())
    # Here and not above: sim.stack builds images with this module.
    from sim.stack import Image as Code
    print(f"           {Code(firmware.elf).worst().stack} bytes of stack at worst")
    print(f"           {firmware.digest().hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
