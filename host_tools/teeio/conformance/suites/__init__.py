# SPDX-License-Identifier: Apache-2.0
"""All cases, group by group, in the order in which they run."""

from __future__ import annotations

from typing import Final

from teeio.conformance.model import Case
from teeio.conformance.suites import (
    config,
    doe,
    ide_km,
    link,
    spdm_application,
    spdm_identity,
    spdm_keys,
    spdm_setup,
    tdisp_messages,
    tdisp_rules,
    tdisp_states,
)

CASES: Final[tuple[Case, ...]] = (
    *doe.CASES,
    *spdm_setup.CASES,
    *spdm_identity.CASES,
    *spdm_keys.CASES,
    *spdm_application.CASES,
    *ide_km.CASES,
    *tdisp_messages.CASES,
    *tdisp_states.CASES,
    *tdisp_rules.CASES,
    *config.CASES,
    *link.CASES,
)
