/* SPDX-License-Identifier: Apache-2.0
 * The manifest: measurement block FDh, names and values of what this firmware was built for.
 *
 * "TMF1", then entries: length of the name u8, name in ASCII, number of values u8, values u32
 * (docs/data_formats.md). A verifier learns from it what the digest of an image does not tell.
 */
#include "measurements.h"
#include "quirks.h"
#include "slots.h"
#include "spdm.h"
#include "tdisp.h"

static void entry(writer_t *out, const char *name, const uint32_t *values, uint8_t count) {
  uint8_t length = 0;

  while (name[length] != '\0') {
    length++;
  }
  writer_u8(out, length);
  writer_bytes(out, (const uint8_t *)name, length);
  writer_u8(out, count);
  for (unsigned i = 0; i < count; i++) {
    writer_u32(out, values[i]);
  }
}

void manifest_write(writer_t *out) {
  const uint32_t versions[] = {SPDM_VERSION_12, SPDM_VERSION_13};
  const uint32_t secured[] = {SECURED_VERSION_11, SECURED_VERSION_12};
  const uint32_t sessions[] = {SPDM_MAX_SESSIONS};
  const uint32_t messages[] = {SPDM_DATA_TRANSFER_BYTES, SPDM_MESSAGE_BYTES};
  const uint32_t slots[] = {SLOT_STORES, SLOT_STORE_BYTES};
  const uint32_t tdisp[] = {tdisp_requests(), tdisp_lock_flags()};
  const uint32_t quirks[] = {hal_quirks()};

  writer_bytes(out, (const uint8_t *)"TMF1", 4);
  entry(out, "spdm", versions, 2);
  entry(out, "secured", secured, 2);
  entry(out, "sessions", sessions, 1);
  entry(out, "messages", messages, 2);
  entry(out, "slots", slots, 2);
  entry(out, "tdisp", tdisp, 2);
  entry(out, "quirks", quirks, 1);
}
