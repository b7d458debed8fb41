# SPDX-License-Identifier: Apache-2.0
"""teeio: the host side of an open trusted-I/O endpoint.

Three rings, and imports point inwards only:

* `teeio.wire`: what the bytes mean. Frozen dataclasses with `encode` and `decode`.
* `teeio.core`: what may follow what. State machines and generators without I/O, without a clock
  and without randomness of their own.
* everything else (`transports`, `cli`, ...): what touches the world.
"""

from __future__ import annotations

__version__ = "0.1.0"
