# SPDX-License-Identifier: Apache-2.0
"""Writes docs/platform_states.md: `python -m teeio.platforms.states FILE`, on virtual boards."""

from __future__ import annotations

import sys
from pathlib import Path

import teeio.platforms.catalogue  # noqa: F401  (registers every walk)
from teeio.board import VirtualBoard, prepare_images
from teeio.host import policy_for
from teeio.platforms.common.scenario import platform_named
from teeio.platforms.common.states import as_markdown, collect, walks
from teeio.platforms.common.target import board_targets

SEED = 20_252


def generate() -> str:
    """The page, from one virtual board a platform.

    Raises:
        TsmError: a model or the board does not do what it should.
    """
    images = prepare_images()
    policy = policy_for(images, seeded=True)
    columns = []
    for name in walks():
        with VirtualBoard(images, seed=SEED) as board:
            targets = board_targets([board.url], policy)
            try:
                columns.append(collect(name, platform_named(name).make(list(targets), policy)))
            finally:
                targets[0].close()
    return as_markdown(columns)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(generate())
