/* SPDX-License-Identifier: Apache-2.0
 * DOE objects: discovery, SPDM, secured SPDM. What is broken or unknown is discarded in silence.
 */
#include "doe.h"

enum {
  VENDOR_PCI_SIG = 0x0001,
  TYPE_DISCOVERY = 0,
  TYPE_SPDM = 1,
  TYPE_SECURED_SPDM = 2,
  HEADER_BYTES = 8,
  DISCOVERY_DW = 3,
  LENGTH_MASK = 0x3FFFF
};

/* Index to (vendor, type, next); the same for discovery versions 0 and 2. */
static size_t discover(uint8_t index, uint8_t *payload) {
  writer_t w = writer_make(payload, 4);

  if (index > TYPE_SECURED_SPDM) {
    writer_u16(&w, 0xFFFF);
    writer_u16(&w, 0);
  } else {
    writer_u16(&w, VENDOR_PCI_SIG);
    writer_u8(&w, index);
    writer_u8(&w, index == TYPE_SECURED_SPDM ? 0 : (uint8_t)(index + 1));
  }
  return w.pos;
}

/* Length of the answer's payload, 0 for none. */
static size_t answer(spdm_t *spdm, uint8_t type, reader_t *r, uint8_t *payload) {
  const size_t capacity = HAL_DOE_BUFFER_BYTES - HEADER_BYTES;
  size_t size = reader_left(r);
  const uint8_t *data = reader_bytes(r, size);

  switch (type) {
    case TYPE_DISCOVERY:
      return size == 4 ? discover(data[0], payload) : 0;
    case TYPE_SPDM:
      return spdm_handle(spdm, NULL, data, size, payload, capacity);
    case TYPE_SECURED_SPDM:
      return secured_handle(spdm, data, size, payload, capacity);
    default:
      return 0;
  }
}

void doe_handle(spdm_t *spdm) {
  uint32_t length_dw = 0;
  const uint8_t *object = hal_doe_request(&length_dw);
  uint8_t *response = hal_doe_response();
  size_t size = 0;

  if (object != NULL && length_dw >= 2 && length_dw <= HAL_DOE_BUFFER_BYTES / 4) {
    reader_t r = reader_make(object, (size_t)4 * length_dw);
    uint16_t vendor = reader_u16(&r);
    uint8_t type = reader_u8(&r);
    reader_skip(&r, 1);
    uint32_t stated_dw = reader_u32(&r) & LENGTH_MASK;
    if (vendor == VENDOR_PCI_SIG && stated_dw == length_dw) {
      size = answer(spdm, type, &r, response + HEADER_BYTES);
      writer_t w = writer_make(response, HEADER_BYTES);
      writer_u16(&w, VENDOR_PCI_SIG);
      writer_u16(&w, type);
    }
  }
  if (size == 0) {
    hal_doe_discard();
    return;
  }
  uint32_t total_dw = (uint32_t)((HEADER_BYTES + size + 3) / 4);
  bytes_zero(response + HEADER_BYTES + size, (size_t)4 * total_dw - HEADER_BYTES - size);
  store_u32(response + 4, total_dw);
  hal_doe_respond(total_dw);
}
