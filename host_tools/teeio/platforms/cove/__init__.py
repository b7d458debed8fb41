# SPDX-License-Identifier: Apache-2.0
"""RISC-V CoVE-IO as host of the endpoint.

Modelled after the public drafts "RISC-V CoVE-IO" (riscv-non-isa/riscv-ap-tee-io) and "RISC-V CoVE"
(riscv-non-isa/riscv-ap-tee); what they leave open stands in docs/platforms/cove_io.md.

    sbi         function ids, errors, results of calls
    wire        stream and key descriptors, key data, transcript, pending SPDM buffer
    manifest    what the root of trust tells the TSM about the platform
    rules       the checks, and their reasons
    rdsm        COVT: root-port IDE registers, behind machine mode
    keying      the protocol core of the TSM: message order of connect and disconnect
    transcript  recording, parsing and elements of the connection transcript
    tsm         regions, bindings, G-stage and IOMMU of one device
    interface   the ecall: dispatcher protocol, COVH and COVG
    host        the VMM's side of every call
    tvm         the guest: six checks, then start
    env         the machine that scenarios share
    ghc         the guest's calls, for common scenarios
    backend     the same interface behind the Linux verbs
"""
