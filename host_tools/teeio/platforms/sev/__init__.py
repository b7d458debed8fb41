# SPDX-License-Identifier: Apache-2.0
"""AMD SEV-TIO as host of the endpoint (docs/platforms/sev_tio.md).

    abi         ASP commands, return codes, buffers        rules      reasons and checks
    sdte        secure device table entry, 512 bits        rmp        reverse map table
    sdt         IOMMU: secure device table, ASID fences    messages   guest messages, sealed
    keying      protocol core without register access      tsm        what the firmware keeps
    asp         the commands, resumable (0x32)             requests   guest requests, in the ASP
    host        ccp driver and KVM, untrusted              guest      the guest's TIO driver
    env, ghc, backend, states                              scenarios_*
"""
