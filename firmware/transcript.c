/* SPDX-License-Identifier: Apache-2.0
 * Transcripts as running hashes, and signatures over them (DSP0274 1.2, 15).
 */
#include "spdm.h"

void transcript_drop(transcript_t *t) {
  bytes_zero(t, sizeof *t);
}

void transcript_add(const spdm_t *spdm, transcript_t *t, const uint8_t *data, size_t size) {
  if (!t->active) {
    hal_sha384_init(&t->hash);
    hal_sha384_update(&t->hash, spdm->vca, spdm->vca_size);
    t->active = true;
  }
  hal_sha384_update(&t->hash, data, size);
}

void transcript_digest(const hal_sha384_t *hash, uint8_t digest[SPDM_HASH_BYTES]) {
  hal_sha384_t copy = *hash;
  hal_sha384_final(&copy, digest);
}

/* Signed data: four times "dmtf-spdm-v1.x.*", zeros up to 100 bytes with the label at the end,
 * then the digest; all of it is hashed once more, as ECDSA does with any message. */
bool transcript_sign(const spdm_t *spdm, const char *label, const uint8_t digest[SPDM_HASH_BYTES],
                     uint8_t signature[SPDM_SIGNATURE_BYTES]) {
  static const char prefix[16] = {'d', 'm', 't', 'f', '-', 's', 'p', 'd',
                                  'm', '-', 'v', '1', '.', '?', '.', '*'};
  enum { PREFIX_BYTES = 4 * 16, COMBINED_BYTES = 100 };
  uint8_t combined[COMBINED_BYTES] = {0};
  uint8_t to_sign[SPDM_HASH_BYTES];
  hal_sha384_t hash;
  size_t length = 0;

  while (label[length] != '\0') {
    length++;
  }
  if (length > COMBINED_BYTES - PREFIX_BYTES) {
    return false;
  }
  for (size_t i = 0; i < PREFIX_BYTES; i += sizeof prefix) {
    bytes_copy(combined + i, prefix, sizeof prefix);
    combined[i + 13] = (uint8_t)('0' + (spdm->version & 0x0F));
  }
  bytes_copy(combined + COMBINED_BYTES - length, label, length);
  hal_sha384_init(&hash);
  hal_sha384_update(&hash, combined, sizeof combined);
  hal_sha384_update(&hash, digest, SPDM_HASH_BYTES);
  hal_sha384_final(&hash, to_sign);
  return hal_p384_sign_identity(to_sign, signature);
}
