/* SPDX-License-Identifier: Apache-2.0
 * VENDOR_DEFINED as the carrier of IDE_KM and TDISP (PCIe Base 6.x, 6.31.4).
 *
 * Both belong into the application phase of a session. In clear they get no answer at all.
 */
#include "ide_km.h"
#include "spdm.h"
#include "tdisp.h"

enum {
  STANDARD_PCI_SIG = 3,
  VENDOR_PCI_SIG = 1,
  PROTOCOL_IDE_KM = 0,
  PROTOCOL_TDISP = 1,
  LENGTH_OFFSET = 9,
  PAYLOAD_OFFSET = 11
};

/* Reads the wrapper up to the payload length; false if it is not the PCI-SIG's. */
static bool read_wrapper(reader_t *r, uint16_t *payload_size) {
  uint16_t standard = reader_u16(r);
  uint8_t vendor_size = reader_u8(r);
  uint16_t vendor = reader_u16(r);
  *payload_size = reader_u16(r);
  return r->ok && standard == STANDARD_PCI_SIG && vendor_size == 2 && vendor == VENDOR_PCI_SIG;
}

bool spdm_vendor_is_session_only(const uint8_t *message, size_t size) {
  reader_t r = reader_make(message, size);
  uint16_t payload_size = 0;

  reader_skip(&r, 1);
  if (reader_u8(&r) != SPDM_VENDOR_DEFINED) {
    return false;
  }
  reader_skip(&r, 2);
  if (!read_wrapper(&r, &payload_size)) {
    return false;
  }
  uint8_t protocol = reader_u8(&r);
  return r.ok && (protocol == PROTOCOL_IDE_KM || protocol == PROTOCOL_TDISP);
}

spdm_result_t spdm_vendor_defined(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  uint16_t payload_size = 0;
  spdm_result_t result;

  if (!read_wrapper(&request->body, &payload_size) || payload_size == 0 ||
      !spdm_exact(request, (size_t)PAYLOAD_OFFSET + payload_size)) {
    return SPDM_INVALID_REQUEST;
  }
  if (request->session == NULL) {
    return SPDM_UNSUPPORTED_REQUEST; /* neither IDE_KM nor TDISP: those were dropped before */
  }
  spdm_header(spdm, out, SPDM_VENDOR_DEFINED, 0, 0);
  writer_u16(out, STANDARD_PCI_SIG);
  writer_u8(out, 2);
  writer_u16(out, VENDOR_PCI_SIG);
  writer_u16(out, 0);
  uint8_t protocol = reader_u8(&request->body);
  writer_u8(out, protocol);
  reader_t payload = reader_make(request->message + PAYLOAD_OFFSET + 1, payload_size - 1u);
  if (protocol == PROTOCOL_IDE_KM) {
    result = ide_km_handle(spdm, request, &payload, out);
  } else if (protocol == PROTOCOL_TDISP) {
    result = tdisp_handle(spdm, request, &payload, out);
  } else {
    return SPDM_UNSUPPORTED_REQUEST;
  }
  writer_patch_u16(out, LENGTH_OFFSET, (uint16_t)(out->pos - PAYLOAD_OFFSET));
  return result;
}
