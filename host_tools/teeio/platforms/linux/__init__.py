# SPDX-License-Identifier: Apache-2.0
"""The Linux common interface for trusted devices: attributes and verbs of host and guest.

Modelled after public sources: mainline Linux (drivers/pci/tsm.c, drivers/pci/ide.c, include/linux/
pci-tsm.h, Documentation/ABI/testing/sysfs-bus-pci and sysfs-class-tsm) for connect and disconnect;
the staging tree "devsec/tsm" for bind, lock, accept and evidence, whose names still move.
"""
