/* SPDX-License-Identifier: Apache-2.0
 * Key schedule of SPDM sessions: see key_schedule.h.
 */
#include "key_schedule.h"

#include "bytes.h"

enum { HASH = 48, HASH_BLOCK = 128 };

void hmac_sha384(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size,
                 uint8_t mac[48]) {
  hal_sha384_t hash;
  uint8_t pad[HASH_BLOCK];

  for (size_t i = 0; i < HASH_BLOCK; i++) {
    pad[i] = (uint8_t)((i < key_size ? key[i] : 0) ^ 0x36);
  }
  hal_sha384_init(&hash);
  hal_sha384_update(&hash, pad, sizeof pad);
  hal_sha384_update(&hash, data, size);
  hal_sha384_final(&hash, mac);
  for (size_t i = 0; i < HASH_BLOCK; i++) {
    pad[i] ^= 0x36 ^ 0x5C;
  }
  hal_sha384_init(&hash);
  hal_sha384_update(&hash, pad, sizeof pad);
  hal_sha384_update(&hash, mac, HASH);
  hal_sha384_final(&hash, mac);
  wipe(pad, sizeof pad);
}

/* HKDF-Expand for outputs of one hash block: info = length (u16) || "spdm1.x " || label || context.
 * `context` is a digest or NULL. */
static void expand(uint8_t version, const uint8_t secret[HASH], const char *label,
                   const uint8_t *context, uint8_t *out, uint16_t length) {
  uint8_t info[2 + 8 + 16 + HASH + 1];
  uint8_t block[HASH];
  writer_t w = writer_make(info, sizeof info);

  writer_u16(&w, length);
  writer_bytes(&w, (const uint8_t *)"spdm1.", 6);
  writer_u8(&w, (uint8_t)('0' + (version & 0x0F)));
  writer_u8(&w, ' ');
  for (const char *p = label; *p != '\0'; p++) {
    writer_u8(&w, (uint8_t)*p);
  }
  if (context != NULL) {
    writer_bytes(&w, context, HASH);
  }
  writer_u8(&w, 1); /* HKDF block counter */
  hmac_sha384(secret, HASH, info, w.pos, block);
  bytes_copy(out, block, length);
  wipe(block, sizeof block);
}

void ks_handshake_secret(const uint8_t shared_x[48], uint8_t handshake[48]) {
  static const uint8_t salt[HASH] = {0};
  hmac_sha384(salt, HASH, shared_x, HASH, handshake);
}

void ks_handshake_traffic(uint8_t version, const uint8_t handshake[48], const uint8_t th1[48],
                          uint8_t request[48], uint8_t response[48]) {
  expand(version, handshake, "req hs data", th1, request, HASH);
  expand(version, handshake, "rsp hs data", th1, response, HASH);
}

void ks_finished_key(uint8_t version, const uint8_t traffic[48], uint8_t finished[48]) {
  expand(version, traffic, "finished", NULL, finished, HASH);
}

void ks_application_traffic(uint8_t version, const uint8_t handshake[48], const uint8_t th2[48],
                            uint8_t request[48], uint8_t response[48]) {
  static const uint8_t zeros[HASH] = {0};
  uint8_t salt[HASH];
  uint8_t master[HASH];

  expand(version, handshake, "derived", NULL, salt, HASH);
  hmac_sha384(salt, HASH, zeros, HASH, master);
  expand(version, master, "req app data", th2, request, HASH);
  expand(version, master, "rsp app data", th2, response, HASH);
  wipe(salt, sizeof salt);
  wipe(master, sizeof master);
}

void ks_record_key(uint8_t version, const uint8_t traffic[48], uint8_t key[32], uint8_t iv[12]) {
  expand(version, traffic, "key", NULL, key, 32);
  expand(version, traffic, "iv", NULL, iv, 12);
}

void ks_update(uint8_t version, uint8_t traffic[48]) {
  uint8_t next[HASH];
  expand(version, traffic, "traffic upd", NULL, next, HASH);
  bytes_copy(traffic, next, HASH);
  wipe(next, sizeof next);
}
