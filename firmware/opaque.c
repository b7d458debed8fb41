/* SPDX-License-Identifier: Apache-2.0
 * OpaqueDataFmt1 and the choice of the secured message version (DSP0274 1.2, 9.1; DSP0277).
 */
#include "spdm.h"

enum {
  REGISTRY_DMTF = 0,
  SM_DATA_VERSION = 1,
  SM_SELECTION = 0,
  SM_SUPPORTED = 1
};

/* Highest version of the list that this side speaks; 0 if none or if the list is broken. */
static uint16_t select_from(reader_t *r) {
  uint16_t best = 0;
  uint8_t count = reader_u8(r);

  if (count == 0 || reader_left(r) != (size_t)2 * count) {
    return 0;
  }
  for (unsigned i = 0; i < count; i++) {
    uint16_t version = reader_u16(r);
    if ((version == SECURED_VERSION_11 || version == SECURED_VERSION_12) && version > best) {
      best = version;
    }
  }
  return best;
}

uint16_t opaque_select_version(const uint8_t *opaque, size_t size) {
  reader_t r = reader_make(opaque, size);
  uint16_t selected = 0;
  uint8_t elements = reader_u8(&r);

  reader_skip(&r, 3);
  if (elements == 0 || size % 4 != 0) {
    return 0;
  }
  for (unsigned i = 0; i < elements; i++) {
    uint8_t registry = reader_u8(&r);
    uint8_t vendor_size = reader_u8(&r);
    reader_skip(&r, vendor_size);
    uint16_t data_size = reader_u16(&r);
    const uint8_t *data = reader_bytes(&r, data_size);
    while (r.ok && r.pos % 4 != 0) { /* at most three steps */
      if (reader_u8(&r) != 0) {
        return 0;
      }
    }
    if (!r.ok) {
      return 0;
    }
    if (registry != REGISTRY_DMTF || vendor_size != 0) {
      continue;
    }
    reader_t element = reader_make(data, data_size);
    uint8_t version = reader_u8(&element);
    uint8_t id = reader_u8(&element);
    if (!element.ok || version != SM_DATA_VERSION || id != SM_SUPPORTED) {
      continue;
    }
    if (selected != 0) {
      return 0; /* one list of versions, not two */
    }
    selected = select_from(&element);
    if (selected == 0) {
      return 0;
    }
  }
  return reader_left(&r) == 0 ? selected : 0;
}

void opaque_write_selection(writer_t *out, uint16_t version) {
  writer_u32(out, 1); /* one element */
  writer_u8(out, REGISTRY_DMTF);
  writer_u8(out, 0);
  writer_u16(out, 4);
  writer_u8(out, SM_DATA_VERSION);
  writer_u8(out, SM_SELECTION);
  writer_u16(out, version);
}
