/* SPDX-License-Identifier: Apache-2.0
 * Key schedule of SPDM sessions: HKDF with SHA-384 (DSP0274 1.2, 12; RFC 5869).
 *
 * `version` is the negotiated SPDM version (its digits are part of every label). Secrets and
 * digests are 48 bytes.
 */
#ifndef TEEIO_KEY_SCHEDULE_H
#define TEEIO_KEY_SCHEDULE_H

#include "hal/hal.h"

void hmac_sha384(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size,
                 uint8_t mac[48]);

void ks_handshake_secret(const uint8_t shared_x[48], uint8_t handshake[48]);
/* Traffic secrets of the handshake phase, from TH1. */
void ks_handshake_traffic(uint8_t version, const uint8_t handshake[48], const uint8_t th1[48],
                          uint8_t request[48], uint8_t response[48]);
void ks_finished_key(uint8_t version, const uint8_t traffic[48], uint8_t finished[48]);
/* Traffic secrets of the application phase, from TH2. */
void ks_application_traffic(uint8_t version, const uint8_t handshake[48], const uint8_t th2[48],
                            uint8_t request[48], uint8_t response[48]);
void ks_record_key(uint8_t version, const uint8_t traffic[48], uint8_t key[32], uint8_t iv[12]);
/* KEY_UPDATE: the next traffic secret, in place. */
void ks_update(uint8_t version, uint8_t traffic[48]);

#endif
