# SPDX-License-Identifier: Apache-2.0
"""All platforms: importing this registers them, their checks and their scenarios."""

from __future__ import annotations

from teeio.platforms.common.scenario import platform_named, platforms, scenarios
from teeio.platforms.cove import (
    backend,
    scenarios_attack,
    scenarios_calls,
    scenarios_life,
)
from teeio.platforms.cove import states as cove_states
from teeio.platforms.linux import (
    ghc,
    scenarios_faults,
    scenarios_guest,
    scenarios_host,
)
from teeio.platforms.linux import states as linux_states
from teeio.platforms.sev import backend as sev_backend
from teeio.platforms.sev import scenarios_calls as sev_calls
from teeio.platforms.sev import scenarios_host as sev_host
from teeio.platforms.sev import scenarios_life as sev_life
from teeio.platforms.sev import scenarios_memory as sev_memory
from teeio.platforms.sev import states as sev_states

__all__ = ["backend", "cove_states", "ghc", "linux_states", "platform_named", "platforms",
           "scenarios", "scenarios_attack", "scenarios_calls", "scenarios_faults",
           "scenarios_guest", "scenarios_host", "scenarios_life", "sev_backend", "sev_calls",
           "sev_host", "sev_life", "sev_memory", "sev_states"]
