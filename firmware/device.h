/* SPDX-License-Identifier: Apache-2.0
 * Constants of the device that the firmware reports: pages of BAR0 (docs/registers.md) and the
 * configuration registers it reads.
 */
#ifndef TEEIO_DEVICE_H
#define TEEIO_DEVICE_H

#define F0_BAR_BYTES 4096u
#define TDI_BAR_BYTES 65536u
#define TDI_WORK_MEMORY_BYTES 16384u
#define TDI_MSIX_VECTORS 4u
#define TDI_MAX 8u /* function numbers 1..7 today; the event word has eight bits */

/* Configuration header, byte offsets. */
enum {
  CONFIG_ID = 0x00,
  CONFIG_COMMAND_STATUS = 0x04,
  CONFIG_CLASS = 0x08,
  CONFIG_BAR0 = 0x10,
  CONFIG_BAR1 = 0x14,
  CONFIG_CAPABILITY_POINTER = 0x34,
  CONFIG_EXTENDED = 0x100
};

enum { CAPABILITY_MSIX = 0x11, EXTENDED_CAPABILITY_IDE = 0x30 };

#endif
