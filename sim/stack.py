# SPDX-License-Identifier: Apache-2.0
"""Worst-case stack of a firmware image, read from its machine code.

Frames come from what each function takes off the stack pointer, calls from its jump instructions,
indirect calls from the table of handlers of the file in which they stand. A cycle in the call graph
(recursion), a stack pointer that moves by an unknown amount or an indirect call that no table
explains are errors: then there is no bound.

    python -m sim.stack             the deepest path of the firmware
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from sim.firmware import build_firmware

HANDLER_TABLES = {"spdm_handle": "spdm.c", "answer_one": "spdm.c", "dispatch": "spdm.c",
                  "tdisp_handle": "tdisp.c"}
"""Where a function pointer is called: the file whose constant table `rows` holds the targets."""

TABLE = "rows"
SP, RA, ZERO = 2, 1, 0


class StackError(Exception):
    """The image has no worst case that could be computed; the message says why."""


@dataclass
class Function:
    """What the machine code of one function says.

    Attributes:
        frame: bytes it takes off the stack.
        calls: addresses it may jump to.
    """

    name: str
    address: int
    size: int
    frame: int = 0
    calls: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Worst:
    """The deepest path: its bytes, and the functions with their frames from the entry down."""

    stack: int
    path: tuple[tuple[str, int], ...]


class Image:
    """Functions, tables and code of an ELF file for rv32im without compressed instructions."""

    def __init__(self, elf: Path) -> None:
        self._data = elf.read_bytes()
        self.functions: dict[int, Function] = {}
        self.tables: dict[str, tuple[int, int]] = {}
        offset, = struct.unpack_from("<I", self._data, 32)
        entry, count = struct.unpack_from("<HH", self._data, 46)
        self._sections = [struct.unpack_from("<10I", self._data, offset + i * entry)
                          for i in range(count)]
        self._read_symbols()
        self._starts = sorted(self.functions)
        for function in self.functions.values():
            self._read_code(function)

    def _string(self, table: tuple[int, ...], at: int) -> str:
        start = table[4] + at
        return self._data[start:self._data.index(b"\0", start)].decode()

    def _read_symbols(self) -> None:
        symtab = next(s for s in self._sections if s[1] == 2)
        strings = self._sections[symtab[6]]
        file = ""
        for at in range(symtab[4], symtab[4] + symtab[5], 16):
            name_at, value, size, info, _other, section = struct.unpack_from("<IIIBBH", self._data,
                                                                            at)
            name = self._string(strings, name_at)
            kind = info & 0xF
            if kind == 4:
                file = Path(name).name
            elif kind == 2:
                self.functions[value] = Function(name, value, size)
            elif kind == 1 and name == TABLE and section:
                self.tables[file] = (value, size)

    def word(self, address: int) -> int:
        """The 32-bit word that the image holds at `address`."""
        for _n, kind, _f, base, offset, size, *_rest in self._sections:
            if kind == 1 and base <= address < base + size:
                return int(struct.unpack_from("<I", self._data, offset + address - base)[0])
        raise StackError(f"nothing stands at {address:#x}")

    def _owner(self, address: int) -> int:
        """Start of the function that `address` lies in."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            raise StackError(f"jump to {address:#x}, where no function is")
        return self._starts[index]

    def _read_code(self, function: Function) -> None:
        known: dict[int, int] = {}  # registers that hold a constant
        depth = deepest = 0
        for pc in range(function.address, function.address + function.size, 4):
            code = self.word(pc)
            opcode, rd, rs1 = code & 0x7F, code >> 7 & 31, code >> 15 & 31
            immediate = _signed(code >> 20, 12)
            value: int | None = None
            if opcode == 0x37:  # lui
                value = code & 0xFFFF_F000
            elif opcode == 0x17:  # auipc
                value = pc + (code & 0xFFFF_F000) & 0xFFFF_FFFF
            elif opcode == 0x13 and code >> 12 & 7 == 0:  # addi
                if rd == SP:
                    if rs1 != SP:
                        raise StackError(f"{function.name} sets the stack pointer")
                    depth -= immediate
                    deepest = max(deepest, depth)
                base = 0 if rs1 == ZERO else known.get(rs1)
                value = None if base is None else base + immediate & 0xFFFF_FFFF
            elif opcode == 0x33 and rd == SP:  # add or sub of a large frame
                amount = known.get(code >> 20 & 31)
                if amount is None or rs1 != SP or code >> 12 & 7:
                    raise StackError(f"{function.name} moves the stack by an unknown amount")
                signed = _signed(amount, 32)
                depth += signed if code >> 30 & 1 else -signed
                deepest = max(deepest, depth)
            elif opcode == 0x6F:  # jal
                target = pc + _jump_offset(code)
                if rd != ZERO or self._owner(target) != function.address:
                    function.calls.add(self._owner(target))
            elif opcode == 0x67 and not (rd == ZERO and rs1 == RA):  # jalr, not a return
                base = known.get(rs1)
                if base is not None:
                    function.calls.add(self._owner(base + immediate & 0xFFFF_FFFF))
                else:
                    function.calls |= self._handlers(function)
            if opcode in (0x63, 0x23) or rd == ZERO:  # branches and stores have no rd
                continue
            known.pop(rd, None)
            if value is not None:
                known[rd] = value
        function.frame = deepest

    def _handlers(self, function: Function) -> set[int]:
        file = HANDLER_TABLES.get(function.name)
        if file is None or file not in self.tables:
            raise StackError(f"{function.name} calls a pointer that no table explains")
        address, size = self.tables[file]
        words = {self.word(at) for at in range(address, address + size, 4)}
        return words & set(self.functions)

    def worst(self, entry: str = "main") -> Worst:
        """The deepest path from `entry`; the start-up code itself uses no stack.

        Raises:
            StackError: for recursion.
        """
        done: dict[int, Worst] = {}
        active: list[int] = []

        def visit(address: int) -> Worst:
            if address in active:
                names = [self.functions[a].name for a in active[active.index(address):]]
                raise StackError(f"recursion: {' > '.join(names)}")
            if address not in done:
                function = self.functions[address]
                active.append(address)
                below = max((visit(a) for a in sorted(function.calls)),
                            key=lambda worst: worst.stack, default=Worst(0, ()))
                active.pop()
                done[address] = Worst(function.frame + below.stack,
                                      ((function.name, function.frame), *below.path))
            return done[address]

        for function in self.functions.values():  # also what the entry does not reach
            visit(function.address)
        return visit(next(f.address for f in self.functions.values() if f.name == entry))


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _jump_offset(code: int) -> int:
    """The offset of jal."""
    return _signed((code >> 31 & 1) << 20 | (code >> 12 & 0xFF) << 12 | (code >> 20 & 1) << 11
                   | (code >> 21 & 0x3FF) << 1, 21)


def main() -> int:
    """Command line: the deepest path, function by function."""
    image = build_firmware()
    try:
        worst = Image(image.elf).worst()
    except StackError as error:
        print(f"no bound on the stack: {error}", file=sys.stderr)
        return 1
    for name, frame in worst.path:
        print(f"{frame:6}  {name}")
    print(f"{worst.stack:6}  of {image.ram_stack} bytes of stack at worst")
    return 0 if worst.stack <= image.ram_stack else 1


if __name__ == "__main__":
    sys.exit(main())
