# SPDX-License-Identifier: Apache-2.0
"""The one build of the system bench, shared by all system tests."""

from __future__ import annotations

from collections.abc import Mapping

from cocotb_tests.env.runner import simulate
from sim import toolchain
from teeio.board import Images

HERE = "cocotb_tests/system"


def simulate_system(test_module: str, images: Images, *, test_filter: str,
                    extra_env: Mapping[str, str] | None = None) -> None:
    """Run the cocotb tests of a module whose names match, on the whole endpoint.

    Args:
        test_module: dotted name.
        images: what the device runs; the simulation finds the same files by TEEIO_IMAGES.
        test_filter: regular expression on test names.
        extra_env: more environment of the simulation.
    """
    simulate(
        "tb_system", test_module, timing=True,
        extra_sources=[f"{HERE}/tb_system.sv", f"{HERE}/stream_checks.sv"],
        build_args=["--no-public-flat-rw", str(toolchain.REPO / HERE / "public.vlt")],
        plusargs=images.plusargs(),
        extra_env={"COCOTB_TEST_FILTER": test_filter,
                   "TEEIO_IMAGES": ":".join(map(str, (
                       images.folder, images.boot, images.firmware, images.slot0,
                       images.identity))),
                   **(extra_env or {})})
