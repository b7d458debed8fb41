/* SPDX-License-Identifier: Apache-2.0
 * HEARTBEAT, KEY_UPDATE, END_SESSION (DSP0274 1.2, 10.18 to 10.20).
 */
#include "key_schedule.h"
#include "spdm.h"

spdm_result_t spdm_heartbeat(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (!spdm_exact(request, 4)) {
    return SPDM_INVALID_REQUEST;
  }
  if (request->session->heartbeat_period == 0) {
    return SPDM_UNEXPECTED_REQUEST;
  }
  spdm_header(spdm, out, SPDM_HEARTBEAT, 0, 0); /* the record itself has fed the watchdog */
  return SPDM_OK;
}

/* ---- KEY_UPDATE ---------------------------------------------------------------------------------- */
enum { UPDATE_KEY = 1, UPDATE_ALL_KEYS = 2, VERIFY_NEW_KEY = 3 };

/* Next traffic secret, in the other of the direction's two key slots. */
static bool update_direction(const spdm_t *spdm, direction_t *direction) {
  ks_update(spdm->version, direction->secret);
  direction->slot ^= 1;
  return direction_install(spdm, direction);
}

static spdm_result_t start_update(const spdm_t *spdm, session_t *session, bool both) {
  session->request_old = session->request;
  session->update_pending = true;
  bool ok = update_direction(spdm, &session->request);
  if (ok && both) {
    /* The acknowledgement already goes out under the new response key. */
    uint8_t old_slot = session->response.slot;
    ok = update_direction(spdm, &session->response);
    hal_aead_erase(old_slot);
  }
  if (!ok) {
    session->after = AFTER_END;
    return SPDM_UNSPECIFIED;
  }
  return SPDM_OK;
}

spdm_result_t spdm_key_update(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  session_t *session = request->session;
  uint8_t operation = request->param1;
  bool is_verify = operation == VERIFY_NEW_KEY;

  if (!spdm_exact(request, 4) || operation < UPDATE_KEY || operation > VERIFY_NEW_KEY ||
      is_verify != session->update_pending) {
    return SPDM_INVALID_REQUEST;
  }
  if (is_verify) {
    /* It was opened with the new key, or the update would have been rolled back by now. */
    hal_aead_erase(session->request_old.slot);
    wipe(&session->request_old, sizeof session->request_old);
    session->update_pending = false;
  } else {
    spdm_result_t result = start_update(spdm, session, operation == UPDATE_ALL_KEYS);
    if (result != SPDM_OK) {
      return result;
    }
  }
  spdm_header(spdm, out, SPDM_KEY_UPDATE, operation, request->param2);
  return SPDM_OK;
}

spdm_result_t spdm_end_session(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (!spdm_exact(request, 4)) {
    return SPDM_INVALID_REQUEST;
  }
  spdm_header(spdm, out, SPDM_END_SESSION, 0, 0);
  request->session->after = AFTER_END;
  return SPDM_OK;
}
