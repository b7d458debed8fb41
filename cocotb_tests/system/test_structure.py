# SPDX-License-Identifier: Apache-2.0
"""The walls of the house: what crosses the DSM's, and that all bodies are built of one list.

The lists here are typed from docs/architecture.md; a port that is added to the DSM has to be added
here, and defended.
"""

from __future__ import annotations

import re
from pathlib import Path

from sim import elaborate, toolchain, vboard

RTL = toolchain.REPO / "rtl"

# name: (direction, packed type without spaces)
DSM_PORTS = {
    "clk_i": ("input", "logic"),
    "rst_i": ("input", "logic"),
    # registers of the DOE capability: ciphertext or public objects, one DW at a time
    "doe_write_i": ("input", "logic"),
    "doe_addr_i": ("input", "logic[4:2]"),
    "doe_wdata_i": ("input", "logic[31:0]"),
    "doe_control_o": ("output", "logic[31:0]"),
    "doe_status_o": ("output", "logic[31:0]"),
    "doe_read_data_o": ("output", "logic[31:0]"),
    "doe_irq_o": ("output", "logic"),
    # key bus: keys go out, a status comes back
    "key_valid_o": ("output", "logic"),
    "key_ready_i": ("input", "logic"),
    "key_o": ("output", "ide_pkg::key_cmd_t"),
    "key_status_valid_i": ("input", "logic"),
    "key_status_i": ("input", "ide_pkg::key_status_e"),
    # end of a session
    "kill_tag_valid_o": ("output", "logic"),
    "kill_tag_o": ("output", "logic[15:0]"),
    # TDI command bus: requests out, results and states back
    "cmd_valid_o": ("output", "logic"),
    "cmd_ready_i": ("input", "logic"),
    "cmd_o": ("output", "tdisp_pkg::tdi_cmd_t"),
    "res_valid_i": ("input", "logic"),
    "res_ready_o": ("output", "logic"),
    "res_i": ("input", "tdisp_pkg::tdi_res_t"),
    "tdi_view_i": ("input", "tdisp_pkg::tdi_view_t[NumTdi-1:0]"),
    # configuration snapshot: read only
    "snap_valid_o": ("output", "logic"),
    "snap_ready_i": ("input", "logic"),
    "snap_func_o": ("output", "logic[2:0]"),
    "snap_addr_o": ("output", "logic[11:2]"),
    "snap_rvalid_i": ("input", "logic"),
    "snap_rdata_i": ("input", "logic[31:0]"),
    "bus_dev_i": ("input", "logic[12:0]"),
    # event word
    "flr0_i": ("input", "logic"),
    "insecure_event_i": ("input", "logic[2:0]"),
    "tdi_error_event_i": ("input", "logic[NumTdi-1:0]"),
    # random words, time, state
    "rnd_valid_i": ("input", "logic"),
    "rnd_ready_o": ("output", "logic"),
    "rnd_i": ("input", "logic[31:0]"),
    "seed_deterministic_i": ("input", "logic"),
    "cycle_i": ("input", "logic[63:0]"),
    "cpu_idle_o": ("output", "logic"),
    "fatal_o": ("output", "logic"),
}

# Top levels of other bodies, not part of bench_core.
TOPS = {"vboard_top", "vboard_uart_top"}


def code(text: str) -> str:
    """SystemVerilog without comments and strings."""
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"", " ", text, flags=re.S)


def ports(text: str, module: str) -> dict[str, tuple[str, str]]:
    """Ports of a module with ANSI header."""
    header = re.search(rf"\bmodule\s+{module}\b(.*?);\s*\n\s*\n", code(text), re.S)
    assert header is not None
    start = re.search(r"\)\s*\(|^[^#]*?\(", header.group(1), re.S)
    assert start is not None
    out = {}
    for item in header.group(1)[start.end():].split(","):
        match = re.fullmatch(r"\s*(input|output|inout)\s+(.*?)\s+(\w+)\s*\)?\s*", item, re.S)
        assert match is not None, f"no port: {item!r}"
        assert match.group(3) not in out
        out[match.group(3)] = (match.group(1), re.sub(r"\s+", "", match.group(2)))
    return out


def instances(text: str, known: set[str]) -> set[str]:
    """Names of the known modules that a source text instantiates."""
    return {name for name in re.findall(r"^\s*(\w+)\s*(?:#\s*\(|\w+\s*\()", code(text), re.M)
            if name in known}


def module_files() -> dict[str, str]:
    """Module name to source text, for everything in rtl.f."""
    out = {}
    for path in toolchain.rtl_sources():
        text = path.read_text()
        for name in re.findall(r"^\s*module\s+(\w+)", code(text), re.M):
            assert name not in out, f"module {name} is in two files of rtl.f"
            out[name] = text
    return out


def test_dsm_has_the_declared_buses_and_nothing_else() -> None:
    """Compares names, directions and types of all ports."""
    assert ports((RTL / "dsm" / "dsm_soc.sv").read_text(), "dsm_soc") == DSM_PORTS


def test_nothing_reaches_into_the_dsm() -> None:
    """No hierarchical name in synthesised code: what has no port does not cross a wall."""
    for path in toolchain.rtl_sources():
        if path == toolchain.cpu_verilog() or path.name.endswith("_props.sv"):
            continue
        found = re.findall(r"\bu_\w+\s*\.\s*\w+", code(path.read_text()))
        assert not found, f"{path.name}: {found}"


def test_dsm_and_core_stand_in_one_place() -> None:
    """dsm_soc is instantiated by the endpoint only, the endpoint by bench_core only."""
    files = module_files()
    users = {name: {user for user, text in files.items() if name in instances(text, set(files))}
             for name in ("dsm_soc", "tio_endpoint", "bench_core")}
    assert users == {"dsm_soc": {"tio_endpoint"}, "tio_endpoint": {"bench_core"},
                     "bench_core": set()}


def test_list_is_complete_and_without_waste() -> None:
    """Every file of rtl/ but property sets is in rtl.f once; every module below is used."""
    listed = [p for p in toolchain.rtl_sources() if p != toolchain.cpu_verilog()]
    assert len(listed) == len(set(listed))
    there = {p for p in RTL.rglob("*.sv") if not p.name.endswith("_props.sv")}
    assert set(listed) == there, sorted(p.name for p in set(listed) ^ there)


def test_virtual_board_adds_one_file_without_logic() -> None:
    """The board's top is the core, wired port by port; the C++ side imports nothing into RTL."""
    text = code(vboard.BYTES.top.read_text())
    body = text[text.index(");") + 2:text.index("endmodule")]
    assert re.sub(r"\s+", "", body) == "bench_coreu_core(.*);"
    own = ports(vboard.BYTES.top.read_text(), "vboard_top")
    core = ports((RTL / "top" / "bench_core.sv").read_text(), "bench_core")
    assert own == core
    sim = toolchain.REPO / "sim"
    assert {p.stem for p in sim.rglob("*.sv")} == TOPS
    for path in [*sim.glob("*.cpp"), *sim.glob("*.h")]:
        assert not re.search(r"svdpi|DPI|vpi_user|__Vdpi|rootp", path.read_text()), path.name


def test_board_with_pins_adds_a_uart_and_the_reset_synchroniser() -> None:
    """Besides the core: receiver, transmitter, and the two flip-flops that release the reset."""
    text = vboard.PINS.top.read_text()
    assert instances(text, set(module_files())) == {"bench_core", "uart_rx", "uart_tx"}
    assert set(re.findall(r"(\w+)\s*<=", code(text))) == {"rst_q"}
    own = ports(text, "vboard_uart_top")
    core = ports((RTL / "top" / "bench_core.sv").read_text(), "bench_core")
    assert {n for n in own if n not in core} == {"rst_ni", "uart_rx_i", "uart_tx_o",
                                                "framing_error_o"}


def test_no_design_file_calls_c() -> None:
    """No DPI import or export, no simulator call but memory images and elaboration checks."""
    allowed = {"$readmemh", "$value$plusargs", "$error", "$clog2", "$bits", "$signed", "$unsigned",
               "$past", "$countones", "$onehot", "$onehot0", "$stable"}
    for path in toolchain.rtl_sources():
        if path == toolchain.cpu_verilog():
            continue
        text = code(path.read_text())
        assert not re.search(r"\b(?:import|export)\s+\"", path.read_text()), path.name
        called = set(re.findall(r"\$[a-z_0-9$]+", text))
        assert called <= allowed, f"{path.name}: {called - allowed}"


def test_synthesis_and_simulation_read_one_list() -> None:
    """Neither tool names a design file of its own."""
    for module in (vboard, elaborate):
        assert module.__file__ is not None
        text = Path(module.__file__).read_text()
        assert "toolchain.rtl_sources()" in text, module.__name__
        named = set(re.findall(r"(\w+)\.sv\b", text))
        assert named <= TOPS, f"{module.__name__} names {named - TOPS}"
    commands = elaborate.script("bench_core", toolchain.rtl_sources(), {}, Path("netlist"))
    read = [word for word in commands[0].split() if word.endswith((".sv", ".v"))]
    assert read == [str(path) for path in toolchain.rtl_sources()]
