# SPDX-License-Identifier: Apache-2.0
"""Secure-I/O platforms as hosts of the endpoint: what each asks of its TSM, and what it checks.

`common` holds the actors and the scenario machinery; each platform is a package beside it. Import
`teeio.platforms.catalogue` to have all scenarios of all platforms registered.
"""
