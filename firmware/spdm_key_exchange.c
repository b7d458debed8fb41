/* SPDX-License-Identifier: Apache-2.0
 * KEY_EXCHANGE and FINISH (DSP0274 1.2, 10.16 and 10.17): the handshake of a session.
 *
 * Transcript (TH): VCA, digest of the slot structure, then every message of the handshake "minus
 * what authenticates it": the hash is advanced in wire order and read where a value is needed.
 */
#include "key_schedule.h"
#include "measurements.h"
#include "slots.h"
#include "spdm.h"

enum {
  OPAQUE_MAX_BYTES = 1024,
  POLICY_END_ON_UPDATE = 1u << 0,
  POLICY_ALL_EVENTS = 1u << 1, /* 1.3; needs the event capability, which is not built */
  FINISH_HAS_SIGNATURE = 1u << 0,
  SLOT_PUBLIC_KEY = 0xFF,
  HEARTBEAT_SECONDS = 60
};

typedef struct {
  uint16_t session_half;
  const uint8_t *point;
  bool ends_on_update;
  uint16_t secured_version;
} key_exchange_t;

static bool parse_key_exchange(const spdm_t *spdm, spdm_request_t *request, key_exchange_t *kx) {
  reader_t *r = &request->body;

  kx->session_half = reader_u16(r);
  uint8_t policy = reader_u8(r);
  reader_skip(r, 1);
  reader_skip(r, SPDM_NONCE_BYTES);
  kx->point = reader_bytes(r, SPDM_EXCHANGE_BYTES);
  uint16_t opaque_size = reader_u16(r);
  const uint8_t *opaque = reader_bytes(r, opaque_size);
  if (!r->ok || opaque_size > OPAQUE_MAX_BYTES || !spdm_exact(request, 4 + r->pos) ||
      !slot_is_provisioned(request->param2) || !measurement_summary_type_is_legal(request->param1) ||
      !spdm->opaque_fmt1) {
    return false;
  }
  if (spdm->version >= SPDM_VERSION_13 && (policy & POLICY_ALL_EVENTS) != 0) {
    return false;
  }
  kx->ends_on_update = (policy & POLICY_END_ON_UPDATE) != 0;
  kx->secured_version = opaque_select_version(opaque, opaque_size);
  return kx->secured_version != 0;
}

/* Traffic secrets and record keys of the handshake, and the responder's finished key. */
static bool start_handshake(const spdm_t *spdm, session_t *session, const uint8_t shared[48],
                            const uint8_t th1[48], uint8_t own_finished_key[48]) {
  ks_handshake_secret(shared, session->handshake_secret);
  ks_handshake_traffic(spdm->version, session->handshake_secret, th1, session->request.secret,
                       session->response.secret);
  ks_finished_key(spdm->version, session->request.secret, session->finished_key);
  ks_finished_key(spdm->version, session->response.secret, own_finished_key);
  return direction_install(spdm, &session->request) && direction_install(spdm, &session->response);
}

/* Signature and ResponderVerifyData; `out` holds the response up to the signature. */
static bool authenticate(const spdm_t *spdm, session_t *session, const spdm_request_t *request,
                         const uint8_t shared[48], writer_t *out) {
  uint8_t digest[SPDM_HASH_BYTES];
  uint8_t finished_key[SPDM_HASH_BYTES];

  hal_sha384_init(&session->th);
  hal_sha384_update(&session->th, spdm->vca, spdm->vca_size);
  hal_sha384_update(&session->th, slot_digest(request->param2), SPDM_HASH_BYTES);
  hal_sha384_update(&session->th, request->message, request->size);
  hal_sha384_update(&session->th, out->data, out->pos);
  transcript_digest(&session->th, digest);
  uint8_t *signature = writer_reserve(out, SPDM_SIGNATURE_BYTES);
  if (signature == NULL ||
      !transcript_sign(spdm, "responder-key_exchange_rsp signing", digest, signature)) {
    return false;
  }
  hal_sha384_update(&session->th, signature, SPDM_SIGNATURE_BYTES);
  transcript_digest(&session->th, digest); /* TH1, and what ResponderVerifyData covers */
  bool ok = start_handshake(spdm, session, shared, digest, finished_key);
  uint8_t *verify_data = writer_reserve(out, SPDM_HASH_BYTES);
  if (ok && verify_data != NULL) {
    hmac_sha384(finished_key, SPDM_HASH_BYTES, digest, SPDM_HASH_BYTES, verify_data);
    hal_sha384_update(&session->th, verify_data, SPDM_HASH_BYTES);
  }
  wipe(finished_key, sizeof finished_key);
  return ok && verify_data != NULL;
}

spdm_result_t spdm_key_exchange(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  key_exchange_t kx;
  spdm_result_t error = SPDM_UNSPECIFIED;
  uint8_t digest[SPDM_HASH_BYTES];
  uint8_t shared[HAL_P384_BYTES];

  if (!parse_key_exchange(spdm, request, &kx)) {
    return SPDM_INVALID_REQUEST;
  }
  size_t summary_bytes = request->param1 != MEASUREMENT_SUMMARY_NONE ? SPDM_HASH_BYTES : 0;
  if (!spdm_fits(spdm, request, 8 + SPDM_NONCE_BYTES + SPDM_EXCHANGE_BYTES + summary_bytes + 2 +
                                    OPAQUE_SELECTION_BYTES + SPDM_SIGNATURE_BYTES +
                                    SPDM_HASH_BYTES)) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  session_t *session = session_open(spdm, kx.session_half, &error);
  if (session == NULL) {
    return error;
  }
  session->ends_on_update = kx.ends_on_update;
  session->heartbeat_period = (spdm->peer_flags & SPDM_CAP_HBEAT) != 0 ? HEARTBEAT_SECONDS : 0;

  spdm_header(spdm, out, SPDM_KEY_EXCHANGE, session->heartbeat_period, 0);
  writer_u16(out, (uint16_t)(session->id >> 16));
  writer_u16(out, 0); /* no mutual authentication */
  uint8_t *random = writer_reserve(out, SPDM_NONCE_BYTES);
  uint8_t *point = writer_reserve(out, SPDM_EXCHANGE_BYTES);
  bool ok = random != NULL && point != NULL && hal_random(random, SPDM_NONCE_BYTES) &&
            hal_p384_keygen(point) && hal_p384_ecdh(kx.point, shared);
  if (ok && summary_bytes != 0) {
    measurement_summary(request->param1, digest);
    writer_bytes(out, digest, SPDM_HASH_BYTES);
  }
  writer_u16(out, OPAQUE_SELECTION_BYTES);
  opaque_write_selection(out, kx.secured_version);
  ok = ok && authenticate(spdm, session, request, shared, out);
  wipe(shared, sizeof shared);
  if (!ok) {
    session_end(session);
    return SPDM_UNSPECIFIED;
  }
  session->phase = SESSION_HANDSHAKE;
  return SPDM_OK;
}

/* A FINISH that fails ends the handshake: spdm_handle() sees to it. */
spdm_result_t spdm_finish(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  session_t *session = request->session;
  uint8_t digest[SPDM_HASH_BYTES];
  uint8_t expected[SPDM_HASH_BYTES];

  const uint8_t *verify_data = reader_bytes(&request->body, SPDM_HASH_BYTES);
  if (verify_data == NULL || !spdm_exact(request, 4 + SPDM_HASH_BYTES) ||
      (request->param1 & FINISH_HAS_SIGNATURE) != 0 ||
      (request->param2 >= SLOT_COUNT && request->param2 != SLOT_PUBLIC_KEY)) {
    return SPDM_INVALID_REQUEST;
  }
  hal_sha384_update(&session->th, request->message, request->size - SPDM_HASH_BYTES);
  transcript_digest(&session->th, digest);
  hmac_sha384(session->finished_key, SPDM_HASH_BYTES, digest, SPDM_HASH_BYTES, expected);
  bool ok = equal_ct(expected, verify_data, SPDM_HASH_BYTES);
  wipe(expected, sizeof expected);
  if (!ok) {
    return SPDM_DECRYPT_ERROR;
  }
  spdm_header(spdm, out, SPDM_FINISH, 0, 0);
  hal_sha384_update(&session->th, verify_data, SPDM_HASH_BYTES);
  hal_sha384_update(&session->th, out->data, out->pos);
  transcript_digest(&session->th, digest); /* TH2 */
  /* Only the secrets change here: FINISH_RSP still goes out under the handshake keys. */
  ks_application_traffic(spdm->version, session->handshake_secret, digest,
                         session->request.secret, session->response.secret);
  session->after = AFTER_ESTABLISH;
  return SPDM_OK;
}
