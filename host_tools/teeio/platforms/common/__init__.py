# SPDX-License-Identifier: Apache-2.0
"""What all platforms share (docs/platforms.md has the map).

    checks      Check, define, CheckSet, Refused     a rule with a reason, switched off singly
    context     Context                              checks + order log + secret scan of one run
    order       OrderLog                             who asked whom what, and when
    taint       SecretScan                           looks for live secrets in what crosses
    target      Target, HostTarget                   a device, reached by operations only
    ports       RootPortHardware                     key registers and ID association of the port
    iommu       Iommu                                Requester ID -> guest, stream, T, mapping
    pages       PageTableChecker, PhysicalMemory     physical page -> owner, guest address, valid
    dmapath     DmaPath                              the three of them on each TLP of the device
    verbs       Verb, VerbGate                       a resumable verb; one in flight per device
    vmm         HostVmm, Attacker                    untrusted; carries verbs, owns page lists
    attacks     Drop, Delay, ...                     what a carrier can do to a message
    tsm         PlatformTsm                          core TSM + tables, as verbs of a platform
    guest       Guest                                a trusted VM: address space, decisions
    machine     Machine                              all of it put together around targets
    env         MachineEnv                           a machine that scenarios share
    ghc         GuestHostOps                         the guest's calls, the same on every platform
    scenario    scenario, Scenario, Verdict          registered functions and what they need
    runner      run_scenarios, mutation_table        one connect for many scenarios
    report      as_json, as_html, ladder             results for machines and for people
"""
