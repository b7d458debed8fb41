/* SPDX-License-Identifier: Apache-2.0
 * Walks of the configuration snapshot: see config.h. Every walk is bounded.
 */
#include "config.h"

#include "device.h"
#include "hal/hal.h"

enum {
  CAPABILITIES_MAX = 48,           /* (256 - 64) / 4 */
  EXTENDED_CAPABILITIES_MAX = 480, /* (4096 - 256) / 8 */
  CONFIG_BYTES = 4096
};

unsigned config_find(unsigned function, uint8_t id) {
  unsigned offset = hal_config_read(function, CONFIG_CAPABILITY_POINTER) & 0xFC;
  for (unsigned i = 0; i < CAPABILITIES_MAX && offset != 0; i++) {
    uint32_t header = hal_config_read(function, offset);
    if ((header & 0xFF) == id) {
      return offset;
    }
    offset = (header >> 8) & 0xFC;
  }
  return 0;
}

unsigned config_find_extended(unsigned function, uint16_t id) {
  unsigned offset = CONFIG_EXTENDED;
  for (unsigned i = 0; i < EXTENDED_CAPABILITIES_MAX && offset >= CONFIG_EXTENDED; i++) {
    uint32_t header = hal_config_read(function, offset);
    if ((header & 0xFFFF) == id) {
      return offset;
    }
    offset = (header >> 20) & 0xFFC;
  }
  return 0;
}

/* IDE capability (PCIe Base 6.x, 7.9.26): three registers, link blocks of 2, selective blocks of
 * 5 + 3 per address association. */
enum {
  IDE_CAPABILITY = 0x04,
  IDE_BLOCKS = 0x0C,
  LINK_BYTES = 8,
  LINK_CONTROL = 0,
  SELECTIVE_BYTES = 20,
  SELECTIVE_CAPABILITY = 0,
  SELECTIVE_CONTROL = 4,
  ASSOCIATION_BYTES = 12
};

static unsigned selective_bytes(unsigned offset) {
  uint32_t capability = hal_config_read(0, offset + SELECTIVE_CAPABILITY);
  return SELECTIVE_BYTES + ASSOCIATION_BYTES * (capability & 0x0F);
}

void ide_layout(ide_layout_t *layout) {
  *layout = (ide_layout_t){0};
  unsigned offset = config_find_extended(0, EXTENDED_CAPABILITY_IDE);
  if (offset == 0) {
    return;
  }
  uint32_t capability = hal_config_read(0, offset + IDE_CAPABILITY);
  layout->offset = offset;
  layout->capability = capability;
  layout->links = (capability & 1) != 0 ? ((capability >> 13) & 7) + 1 : 0;
  layout->selectives = (capability & 2) != 0 ? ((capability >> 16) & 0xFF) + 1 : 0;
  unsigned end = offset + IDE_BLOCKS + LINK_BYTES * layout->links;
  for (unsigned i = 0; i < layout->selectives && end < CONFIG_BYTES; i++) {
    end += selective_bytes(end);
  }
  if (end > CONFIG_BYTES) {
    *layout = (ide_layout_t){0}; /* a layout that does not fit is no layout */
    return;
  }
  layout->words = (end - offset - IDE_CAPABILITY) / 4;
}

static bool holds(unsigned control_offset, uint8_t stream_id) {
  return hal_config_read(0, control_offset) >> 24 == stream_id;
}

bool ide_find_block(uint8_t stream_id, unsigned *block) {
  ide_layout_t layout;
  ide_layout(&layout);
  unsigned links = layout.offset + IDE_BLOCKS;
  unsigned offset = links + LINK_BYTES * layout.links;

  for (unsigned i = 0; i < layout.selectives; i++) {
    if (holds(offset + SELECTIVE_CONTROL, stream_id)) {
      *block = i;
      return true;
    }
    offset += selective_bytes(offset);
  }
  for (unsigned i = 0; i < layout.links; i++) {
    if (holds(links + LINK_BYTES * i + LINK_CONTROL, stream_id)) {
      *block = layout.selectives + i;
      return true;
    }
  }
  return false;
}
