# SPDX-License-Identifier: Apache-2.0
"""Virtual boards for tests. All of them run one program, built once (`teeio.board.board_program`).

A board belongs to a module and is always stopped; hosts made by the `hosts` fixture are closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from teeio.board import Images, VirtualBoard, prepare_images
from teeio.core.tsm import TsmPolicy
from teeio.host import Host, policy_for

SEED = 20_251
HostMaker = Callable[..., Host]


@pytest.fixture(scope="session")
def images() -> Images:
    """Firmware and lab PKI, as `teeio sim start` uses them."""
    return prepare_images()


@pytest.fixture(scope="module")
def board(images: Images) -> Iterator[VirtualBoard]:
    """One running board with repeatable entropy."""
    with VirtualBoard(images, seed=SEED) as virtual:
        yield virtual


@pytest.fixture(scope="module")
def policy(images: Images) -> TsmPolicy:
    """Trust the lab, and accept that the board's entropy is deterministic."""
    return policy_for(images, seeded=True)


@pytest.fixture
def hosts(board: VirtualBoard, policy: TsmPolicy) -> Iterator[HostMaker]:
    """Makes hosts on the module's board; keyword `policy_changes` replaces policy fields."""
    made: list[Host] = []

    def make(*, policy_changes: dict[str, Any] | None = None, **options: Any) -> Host:
        # One client at a time: a board has one link.
        while made:
            made.pop().close()
        host = Host(board.url, replace(policy, **(policy_changes or {})), **options)
        made.append(host)
        return host

    yield make
    while made:
        made.pop().close()
