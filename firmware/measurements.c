/* SPDX-License-Identifier: Apache-2.0
 * Measurement blocks and GET_MEASUREMENTS (DSP0274 1.2, 10.11; docs/data_formats.md).
 */
#include "measurements.h"

#include "config.h"
#include "device.h"
#include "slots.h"
#include "spdm.h"

enum {
  INDEX_ROM = 1,
  INDEX_FIRMWARE = 2,
  INDEX_HARDWARE = 3,
  INDEX_SVN = 4,
  INDEX_MANIFEST = 0xFD,
  INDEX_DEVICE_MODE = 0xFE,
  OPERATION_COUNT = 0,
  OPERATION_ALL = 0xFF
};

enum { /* ValueType */
  TYPE_ROM = 0,
  TYPE_FIRMWARE = 1,
  TYPE_HARDWARE = 2,
  TYPE_MANIFEST = 4,
  TYPE_DEVICE_MODE = 5,
  TYPE_SVN = 7,
  TYPE_RAW = 0x80
};

static const uint8_t indices[MEASUREMENT_COUNT] = {INDEX_ROM, INDEX_FIRMWARE, INDEX_HARDWARE,
                                                   INDEX_SVN, INDEX_MANIFEST,
                                                   INDEX_DEVICE_MODE};

uint8_t measurement_index(unsigned n) {
  return indices[n];
}

bool measurement_summary_type_is_legal(uint8_t type) {
  return type == MEASUREMENT_SUMMARY_NONE || type == MEASUREMENT_SUMMARY_TCB ||
         type == MEASUREMENT_SUMMARY_ALL;
}

static void write_header(writer_t *out, uint8_t index, uint8_t type, uint16_t value_size) {
  writer_u8(out, index);
  writer_u8(out, 1); /* DMTF */
  writer_u16(out, (uint16_t)(3 + value_size));
  writer_u8(out, type);
  writer_u16(out, value_size);
}

static void write_digest(writer_t *out, uint8_t index, uint8_t type, const uint8_t digest[48]) {
  write_header(out, index, type, HAL_SHA384_BYTES);
  writer_bytes(out, digest, HAL_SHA384_BYTES);
}

/* ---- block 3: what hardware this is -------------------------------------------------------------- */
enum { HARDWARE_BYTES = 48 };

static void hardware_configuration(uint8_t raw[HARDWARE_BYTES]) {
  writer_t w = writer_make(raw, HARDWARE_BYTES);
  ide_layout_t ide;

  ide_layout(&ide);
  writer_bytes(&w, (const uint8_t *)"HWC1", 4);
  writer_u32(&w, hal_config_read(0, CONFIG_ID));
  writer_u32(&w, hal_config_read(0, CONFIG_CLASS));
  writer_u32(&w, hal_num_tdi());
  writer_u32(&w, F0_BAR_BYTES);
  writer_u32(&w, TDI_BAR_BYTES);
  writer_u32(&w, TDI_WORK_MEMORY_BYTES);
  writer_u32(&w, ide.capability);
  writer_u32(&w, ide.links);
  writer_u32(&w, ide.selectives);
  writer_u32(&w, ide.words);
  writer_u32(&w, TDI_MSIX_VECTORS);
}

/* ---- block FEh: how far this device may be believed ------------------------------------------------ */
enum {
  OPERATIONAL_VALIDATION = 1u << 1,
  OPERATIONAL_NORMAL = 1u << 2,
  DEBUG_NON_INVASIVE = 1u << 0,
  DEBUG_INVASIVE = 1u << 1,
  QUIRKS_SHIFT = 24 /* quirks.h; bits that the specification reserves, as it knows no quirks */
};

static void write_device_mode(writer_t *out) {
  uint32_t status = hal_status();
  uint32_t debug = 0;

  if ((status & HAL_STATUS_SEED_DETERMINISTIC) != 0) {
    debug |= DEBUG_NON_INVASIVE; /* who knows the seed knows the session keys */
  }
  if ((status & HAL_STATUS_TEST_HOOKS) != 0) {
    debug |= DEBUG_INVASIVE; /* memory can be peeked, faults can be injected */
  }
  if ((status & HAL_STATUS_NATIVE) != 0) {
    debug |= DEBUG_NON_INVASIVE | DEBUG_INVASIVE;
  }
  write_header(out, INDEX_DEVICE_MODE, TYPE_RAW | TYPE_DEVICE_MODE, 16);
  writer_u32(out, OPERATIONAL_VALIDATION | OPERATIONAL_NORMAL);
  debug |= hal_quirks() << QUIRKS_SHIFT;
  writer_u32(out, debug != 0 ? OPERATIONAL_VALIDATION : OPERATIONAL_NORMAL);
  writer_u32(out, DEBUG_NON_INVASIVE | DEBUG_INVASIVE);
  writer_u32(out, debug);
}

static void write_manifest(writer_t *out) {
  uint8_t manifest[MANIFEST_MAX_BYTES];
  writer_t w = writer_make(manifest, sizeof manifest);

  manifest_write(&w);
  write_header(out, INDEX_MANIFEST, TYPE_RAW | TYPE_MANIFEST, (uint16_t)w.pos);
  writer_bytes(out, manifest, w.pos);
}

bool measurement_write_block(uint8_t index, bool want_raw, writer_t *out) {
  uint8_t digest[HAL_SHA384_BYTES];
  uint8_t raw[HARDWARE_BYTES];

  switch (index) {
    case INDEX_ROM:
      hal_measurement(HAL_MEAS_ROM, digest);
      write_digest(out, index, TYPE_ROM, digest);
      return true;
    case INDEX_FIRMWARE:
      hal_measurement(HAL_MEAS_FIRMWARE, digest);
      write_digest(out, index, TYPE_FIRMWARE, digest);
      return true;
    case INDEX_HARDWARE:
      hardware_configuration(raw);
      if (want_raw) {
        write_header(out, index, TYPE_RAW | TYPE_HARDWARE, HARDWARE_BYTES);
        writer_bytes(out, raw, HARDWARE_BYTES);
      } else {
        hal_sha384_t hash;
        hal_sha384_init(&hash);
        hal_sha384_update(&hash, raw, HARDWARE_BYTES);
        hal_sha384_final(&hash, digest);
        write_digest(out, index, TYPE_HARDWARE, digest);
      }
      return true;
    case INDEX_SVN:
      write_header(out, index, TYPE_RAW | TYPE_SVN, 8);
      writer_u64(out, hal_svn());
      return true;
    case INDEX_MANIFEST:
      write_manifest(out);
      return true;
    case INDEX_DEVICE_MODE:
      write_device_mode(out);
      return true;
    default:
      return false;
  }
}

void measurement_summary(uint8_t type, uint8_t digest[HAL_SHA384_BYTES]) {
  uint8_t block[7 + MANIFEST_MAX_BYTES];
  hal_sha384_t hash;

  hal_sha384_init(&hash);
  for (unsigned n = 0; n < MEASUREMENT_COUNT; n++) {
    if (type == MEASUREMENT_SUMMARY_TCB && indices[n] > INDEX_HARDWARE) {
      continue;
    }
    writer_t w = writer_make(block, sizeof block);
    (void)measurement_write_block(indices[n], false, &w);
    hal_sha384_update(&hash, block, w.pos);
  }
  hal_sha384_final(&hash, digest);
}

/* ---- GET_MEASUREMENTS ------------------------------------------------------------------------------ */
enum { ATTRIBUTE_SIGNATURE = 1u << 0, ATTRIBUTE_RAW = 1u << 1, RESPONSE_HEADER_BYTES = 8 };

/* Writes the blocks that `operation` names; returns their number or -1 if there is no such block. */
static int write_record(uint8_t operation, bool want_raw, writer_t *record) {
  if (operation == OPERATION_COUNT) {
    return 0;
  }
  if (operation != OPERATION_ALL) {
    return measurement_write_block(operation, want_raw, record) ? 1 : -1;
  }
  for (unsigned n = 0; n < MEASUREMENT_COUNT; n++) {
    (void)measurement_write_block(indices[n], want_raw, record);
  }
  return MEASUREMENT_COUNT;
}

spdm_result_t spdm_get_measurements(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  transcript_t *l1l2 = request->session != NULL ? &request->session->l1l2 : &spdm->l1l2;
  bool is_signed = (request->param1 & ATTRIBUTE_SIGNATURE) != 0;
  bool want_raw = (request->param1 & ATTRIBUTE_RAW) != 0;
  size_t context_bytes = spdm->version >= SPDM_VERSION_13 ? SPDM_CONTEXT_BYTES : 0;
  uint8_t slot = 0;
  uint8_t record[MEASUREMENT_RECORD_MAX_BYTES];
  writer_t blocks = writer_make(record, sizeof record);

  if (is_signed) {
    reader_skip(&request->body, SPDM_NONCE_BYTES);
    slot = reader_u8(&request->body) & 0x0F;
  }
  const uint8_t *context = reader_bytes(&request->body, context_bytes);
  if (!request->body.ok || !spdm_exact(request, 4 + request->body.pos) ||
      (is_signed && !slot_is_provisioned(slot))) {
    return SPDM_INVALID_REQUEST;
  }
  int count = write_record(request->param2, want_raw, &blocks);
  if (count < 0) {
    return SPDM_INVALID_REQUEST;
  }
  if (!spdm_fits(spdm, request,
                 RESPONSE_HEADER_BYTES + blocks.pos + SPDM_NONCE_BYTES + 2 + context_bytes +
                     (is_signed ? SPDM_SIGNATURE_BYTES : 0))) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  spdm_header(spdm, out, SPDM_GET_MEASUREMENTS,
              request->param2 == OPERATION_COUNT ? MEASUREMENT_COUNT : 0, slot);
  writer_u8(out, (uint8_t)count);
  writer_u16(out, (uint16_t)blocks.pos); /* u24 */
  writer_u8(out, 0);
  writer_bytes(out, record, blocks.pos);
  uint8_t *nonce = writer_reserve(out, SPDM_NONCE_BYTES);
  if (nonce == NULL || !hal_random(nonce, SPDM_NONCE_BYTES)) {
    return SPDM_UNSPECIFIED;
  }
  writer_u16(out, 0); /* no opaque data */
  if (context_bytes != 0) {
    writer_bytes(out, context, context_bytes);
  }
  transcript_add(spdm, l1l2, request->message, request->size);
  transcript_add(spdm, l1l2, out->data, out->pos);
  if (is_signed) {
    uint8_t digest[SPDM_HASH_BYTES];
    transcript_digest(&l1l2->hash, digest);
    transcript_drop(l1l2);
    uint8_t *signature = writer_reserve(out, SPDM_SIGNATURE_BYTES);
    if (signature == NULL ||
        !transcript_sign(spdm, "responder-measurements signing", digest, signature)) {
      return SPDM_UNSPECIFIED;
    }
  }
  return SPDM_OK;
}
