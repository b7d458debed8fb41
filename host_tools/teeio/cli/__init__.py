# SPDX-License-Identifier: Apache-2.0
"""The `teeio` command: one file per command. Exit codes: 0 done, 1 the device failed a check or an
operation, 2 wrong use, 3 transport trouble."""
