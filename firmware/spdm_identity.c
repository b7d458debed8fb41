/* SPDX-License-Identifier: Apache-2.0
 * GET_DIGESTS, GET_CERTIFICATE, CHALLENGE (DSP0274 1.2, 10.6 to 10.8).
 */
#include "measurements.h"
#include "slots.h"
#include "spdm.h"

enum { SLOTS_SUPPORTED = 0xFF, CERTIFICATE_HEADER_BYTES = 8 };

/* M1/M2 holds what passed in clear. */
static void note_exchange(spdm_t *spdm, const spdm_request_t *request, const writer_t *out) {
  if (request->session == NULL) {
    transcript_add(spdm, &spdm->m1m2, request->message, request->size);
    transcript_add(spdm, &spdm->m1m2, out->data, out->pos);
  }
}

spdm_result_t spdm_get_digests(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (!spdm_exact(request, 4)) {
    return SPDM_INVALID_REQUEST;
  }
  uint8_t mask = slots_provisioned();
  if (mask == 0) {
    return SPDM_UNSPECIFIED;
  }
  /* Param1: supported slots, from 1.3 on. */
  spdm_header(spdm, out, SPDM_GET_DIGESTS, spdm->version >= SPDM_VERSION_13 ? SLOTS_SUPPORTED : 0,
              mask);
  for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
    if (slot_is_provisioned(slot)) {
      writer_bytes(out, slot_digest(slot), SPDM_HASH_BYTES);
    }
  }
  if (!spdm_fits(spdm, request, out->pos)) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  if (request->session == NULL) {
    transcript_drop(&spdm->m1m2);
  }
  note_exchange(spdm, request, out);
  return SPDM_OK;
}

spdm_result_t spdm_get_certificate(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  size_t chain_size = 0;
  uint8_t slot = request->param1 & 0x0F;
  const uint8_t *chain = slot_structure(slot, &chain_size);
  uint16_t offset = reader_u16(&request->body);
  uint16_t length = reader_u16(&request->body);

  if (!spdm_exact(request, 8) || chain == NULL || chain_size > 0xFFFF) {
    return SPDM_INVALID_REQUEST;
  }
  size_t portion = 0;
  size_t remainder = slot == 0 ? chain_size : SLOT_STORE_BYTES; /* size of the slot */
  bool wants_size = spdm->version >= SPDM_VERSION_13 && (request->param2 & 1) != 0;
  if (!wants_size) {
    if (offset >= chain_size) {
      return SPDM_INVALID_REQUEST;
    }
    size_t limit = spdm->peer_message_bytes < SPDM_MESSAGE_BYTES ? spdm->peer_message_bytes
                                                                 : SPDM_MESSAGE_BYTES;
    size_t room = (limit < out->size ? limit : out->size) - CERTIFICATE_HEADER_BYTES;
    portion = chain_size - offset;
    if (portion > length) {
      portion = length;
    }
    if (portion > room) {
      portion = room;
    }
    remainder = chain_size - offset - portion;
  }
  spdm_header(spdm, out, SPDM_GET_CERTIFICATE, slot, 0);
  writer_u16(out, (uint16_t)portion);
  writer_u16(out, (uint16_t)remainder);
  if (portion != 0) {
    writer_bytes(out, chain + offset, portion);
  }
  note_exchange(spdm, request, out);
  return SPDM_OK;
}

spdm_result_t spdm_challenge(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  bool has_context = spdm->version >= SPDM_VERSION_13;
  size_t context_bytes = has_context ? SPDM_CONTEXT_BYTES : 0;
  uint8_t summary_type = request->param2;
  uint8_t digest[SPDM_HASH_BYTES];

  reader_skip(&request->body, SPDM_NONCE_BYTES);
  const uint8_t *context = reader_bytes(&request->body, context_bytes);
  if (!spdm_exact(request, 4 + SPDM_NONCE_BYTES + context_bytes) ||
      !slot_is_provisioned(request->param1) || !measurement_summary_type_is_legal(summary_type)) {
    return SPDM_INVALID_REQUEST;
  }
  size_t summary_bytes = summary_type != MEASUREMENT_SUMMARY_NONE ? SPDM_HASH_BYTES : 0;
  if (!spdm_fits(spdm, request, 4 + SPDM_HASH_BYTES + SPDM_NONCE_BYTES + summary_bytes + 2 +
                                    context_bytes + SPDM_SIGNATURE_BYTES)) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  spdm_header(spdm, out, SPDM_CHALLENGE, request->param1, slots_provisioned());
  writer_bytes(out, slot_digest(request->param1), SPDM_HASH_BYTES);
  uint8_t *nonce = writer_reserve(out, SPDM_NONCE_BYTES);
  if (nonce == NULL || !hal_random(nonce, SPDM_NONCE_BYTES)) {
    return SPDM_UNSPECIFIED;
  }
  if (summary_bytes != 0) {
    measurement_summary(summary_type, digest);
    writer_bytes(out, digest, SPDM_HASH_BYTES);
  }
  writer_u16(out, 0); /* no opaque data */
  if (has_context) {
    writer_bytes(out, context, SPDM_CONTEXT_BYTES);
  }
  note_exchange(spdm, request, out);
  transcript_digest(&spdm->m1m2.hash, digest);
  transcript_drop(&spdm->m1m2);
  uint8_t *signature = writer_reserve(out, SPDM_SIGNATURE_BYTES);
  if (signature == NULL ||
      !transcript_sign(spdm, "responder-challenge_auth signing", digest, signature)) {
    return SPDM_UNSPECIFIED;
  }
  return SPDM_OK;
}
