/* SPDX-License-Identifier: Apache-2.0
 * SPDM dispatch: which request is legal in which phase, and what an illegal one gets.
 *
 * Laws of this file: everything about phases stands in `rows`; a handler only sees requests that
 * are legal where they came. Order of checks: version, known code, capability of both sides,
 * connection state, session phase, then the handler (fields, then resources).
 *
 * Two messages may stand between the bus and a handler: CHUNK_SEND brings a request in parts, and
 * an answer that is too large, or late, is left with deferred.c and an ERROR goes out instead.
 */
#include "spdm.h"

#include "slots.h"

enum {
  IN_CLEAR = 1u << 0,
  IN_HANDSHAKE = 1u << 1,
  IN_APPLICATION = 1u << 2,
  IN_SESSION = IN_HANDSHAKE | IN_APPLICATION,
  ANYWHERE = IN_CLEAR | IN_SESSION,
  KEEPS_L1L2 = 1u << 3, /* does not interrupt a chain of measurements */
  DROPS_M1M2 = 1u << 4  /* gives up a challenge that was being prepared */
};

typedef struct {
  uint8_t code;
  uint8_t state; /* least spdm_state_t */
  uint8_t where;
  uint32_t peer_flags; /* the requester must have these capabilities */
  spdm_handler_t handler;
} row_t;

static const row_t rows[] = {
    {SPDM_GET_VERSION, SPDM_NOT_STARTED, IN_CLEAR, 0, spdm_get_version},
    {SPDM_GET_CAPABILITIES, SPDM_AFTER_VERSION, IN_CLEAR, 0, spdm_get_capabilities},
    {SPDM_NEGOTIATE_ALGORITHMS, SPDM_AFTER_CAPABILITIES, IN_CLEAR, 0, spdm_negotiate_algorithms},
    {SPDM_GET_DIGESTS, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION, 0, spdm_get_digests},
    {SPDM_GET_CERTIFICATE, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION, 0, spdm_get_certificate},
    {SPDM_CHALLENGE, SPDM_NEGOTIATED, IN_CLEAR, 0, spdm_challenge},
    {SPDM_GET_MEASUREMENTS, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION | KEEPS_L1L2 | DROPS_M1M2,
     0, spdm_get_measurements},
    {SPDM_KEY_EXCHANGE, SPDM_NEGOTIATED, IN_CLEAR | DROPS_M1M2, SPDM_CAPS_SESSION,
     spdm_key_exchange},
    {SPDM_FINISH, SPDM_NEGOTIATED, IN_HANDSHAKE | DROPS_M1M2, SPDM_CAPS_SESSION, spdm_finish},
    {SPDM_HEARTBEAT, SPDM_NEGOTIATED, IN_APPLICATION | DROPS_M1M2, SPDM_CAP_HBEAT,
     spdm_heartbeat},
    {SPDM_KEY_UPDATE, SPDM_NEGOTIATED, IN_APPLICATION | DROPS_M1M2, SPDM_CAP_KEY_UPD,
     spdm_key_update},
    {SPDM_END_SESSION, SPDM_NEGOTIATED, IN_APPLICATION | DROPS_M1M2, 0, spdm_end_session},
    {SPDM_VENDOR_DEFINED, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION, 0, spdm_vendor_defined},
    {SPDM_GET_CSR, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION | DROPS_M1M2, 0, spdm_get_csr},
    {SPDM_SET_CERTIFICATE, SPDM_NEGOTIATED, IN_CLEAR | IN_APPLICATION | DROPS_M1M2, 0,
     spdm_set_certificate},
    {SPDM_CHUNK_SEND, SPDM_AFTER_CAPABILITIES, ANYWHERE | KEEPS_L1L2, SPDM_CAP_CHUNK,
     spdm_chunk_send},
    {SPDM_CHUNK_GET, SPDM_AFTER_CAPABILITIES, ANYWHERE | KEEPS_L1L2, SPDM_CAP_CHUNK,
     spdm_chunk_get},
    {SPDM_RESPOND_IF_READY, SPDM_NOT_STARTED, ANYWHERE | KEEPS_L1L2, 0, spdm_respond_if_ready},
};

static const row_t *find_row(uint8_t code) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].code == code) {
      return &rows[i];
    }
  }
  return NULL;
}

/* ---- state ------------------------------------------------------------------------------------ */
void spdm_init(spdm_t *spdm) {
  deferred_drop();
  bytes_zero(spdm, sizeof *spdm);
  slots_init();
}

void spdm_disconnect(spdm_t *spdm) {
  for (size_t i = 0; i < SPDM_MAX_SESSIONS; i++) {
    session_end(&spdm->sessions[i]);
  }
  spdm->state = SPDM_NOT_STARTED;
  spdm->version = 0;
  spdm->opaque_fmt1 = false;
  spdm->is_updated = false;
  spdm->peer_flags = 0;
  spdm->peer_bytes = 0;
  spdm->peer_message_bytes = 0;
  spdm->vca_size = 0;
  transcript_drop(&spdm->m1m2);
  transcript_drop(&spdm->l1l2);
  deferred_drop();
}

void spdm_updated(spdm_t *spdm) {
  for (size_t i = 0; i < SPDM_MAX_SESSIONS; i++) {
    session_t *session = &spdm->sessions[i];
    if (session->phase != SESSION_FREE) {
      hal_kill_tag(session->tag);
      /* A handshake signed measurements that are no longer true. */
      if (session->ends_on_update || session->phase == SESSION_HANDSHAKE) {
        session->after = AFTER_END;
      }
    }
  }
  spdm->is_updated = true;
}

/* ---- helpers of the handlers ------------------------------------------------------------------- */
bool spdm_exact(spdm_request_t *request, size_t size) {
  size_t slack = request->session == NULL ? 3 : 0;
  if (request->size < size || request->size - size > slack) {
    return false;
  }
  request->size = size;
  return true;
}

bool spdm_fits(const spdm_t *spdm, spdm_request_t *request, size_t size) {
  request->extended = (uint32_t)size;
  return size <= spdm->peer_message_bytes;
}

bool spdm_can_chunk(const spdm_t *spdm) {
  return (spdm->peer_flags & SPDM_CAP_CHUNK) != 0; /* this side always can */
}

void spdm_header(const spdm_t *spdm, writer_t *out, uint8_t code, uint8_t param1, uint8_t param2) {
  writer_u8(out, spdm->version);
  writer_u8(out, code & 0x7F);
  writer_u8(out, param1);
  writer_u8(out, param2);
}

size_t spdm_write_error(uint8_t version, spdm_result_t result, uint8_t data, uint32_t extended,
                        uint8_t *out, size_t capacity) {
  writer_t w = writer_make(out, capacity);
  writer_u8(&w, version != 0 ? version : SPDM_VERSION_10);
  writer_u8(&w, SPDM_ERROR);
  writer_u8(&w, (uint8_t)result);
  writer_u8(&w, data);
  if (result == SPDM_RESPONSE_TOO_LARGE || result == SPDM_RESPONSE_NOT_READY) {
    writer_u32(&w, extended);
  } else if (result == SPDM_LARGE_RESPONSE) {
    writer_u8(&w, (uint8_t)extended);
  }
  return w.ok ? w.pos : 0;
}

/* ---- dispatch ----------------------------------------------------------------------------------- */
static spdm_result_t check_phase(const row_t *row, const session_t *session) {
  if (session == NULL) {
    return (row->where & IN_CLEAR) != 0 ? SPDM_OK : SPDM_SESSION_REQUIRED;
  }
  unsigned here = session->phase == SESSION_HANDSHAKE ? IN_HANDSHAKE : IN_APPLICATION;
  return (row->where & here) != 0 ? SPDM_OK : SPDM_UNEXPECTED_REQUEST;
}

/* Version and legality; the row of a legal request goes to *legal. */
static spdm_result_t admit(const spdm_t *spdm, const spdm_request_t *request, const row_t **legal) {
  uint8_t version = request->message[0];
  const row_t *row = find_row(request->code);

  if (request->code == SPDM_GET_VERSION) {
    if (request->session != NULL) {
      return SPDM_UNEXPECTED_REQUEST;
    }
    if (version != SPDM_VERSION_10) {
      return SPDM_VERSION_MISMATCH;
    }
  } else if (spdm->version != 0 && version != spdm->version) {
    return SPDM_VERSION_MISMATCH;
  }
  if (spdm->is_updated && request->session == NULL && request->code != SPDM_GET_VERSION) {
    return SPDM_REQUEST_RESYNCH;
  }
  spdm_result_t result = deferred_admit(request);
  if (result != SPDM_OK) {
    return result;
  }
  if (row == NULL) {
    return SPDM_UNSUPPORTED_REQUEST;
  }
  if (spdm->state >= SPDM_AFTER_CAPABILITIES &&
      (spdm->peer_flags & row->peer_flags) != row->peer_flags) {
    return SPDM_UNSUPPORTED_REQUEST;
  }
  if ((unsigned)spdm->state < row->state) {
    return SPDM_UNEXPECTED_REQUEST;
  }
  *legal = row;
  return check_phase(row, request->session);
}

static spdm_result_t dispatch(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  const row_t *row = NULL;
  spdm_result_t result = admit(spdm, request, &row);

  if (result != SPDM_OK) {
    return result;
  }
  if ((row->where & KEEPS_L1L2) == 0) {
    transcript_drop(request->session != NULL ? &request->session->l1l2 : &spdm->l1l2);
  }
  if ((row->where & DROPS_M1M2) != 0) {
    transcript_drop(&spdm->m1m2);
  }
  return row->handler(spdm, request, out);
}

/* True if a signature makes the answer to this request slow. */
static bool is_signed(const spdm_request_t *request) {
  return request->code == SPDM_CHALLENGE || request->code == SPDM_KEY_EXCHANGE ||
         request->code == SPDM_GET_CSR ||
         (request->code == SPDM_GET_MEASUREMENTS && (request->param1 & 1) != 0);
}

/* A finished answer goes out, or stays here for later; `wrapped` bytes come before it. */
static spdm_result_t hand_over(const spdm_t *spdm, spdm_request_t *request, const writer_t *answer,
                               size_t wrapped) {
  uint32_t delay_us = is_signed(request) ? hal_lab_delay_us() : 0;

  if (delay_us != 0) {
    return deferred_late_answer(request, answer, delay_us);
  }
  if (spdm_can_chunk(spdm) && answer->pos + wrapped > spdm->peer_bytes) {
    return deferred_large_answer(request, answer);
  }
  return SPDM_OK;
}

/* Answers one message in one piece. is_whole: it was a CHUNK_SEND that completes a request. */
static size_t answer_one(spdm_t *spdm, session_t *session, const uint8_t *message, size_t size,
                         size_t wrapped, uint8_t *out, size_t capacity, bool *is_whole) {
  writer_t w = writer_make(out, capacity);
  spdm_request_t request = {
      .message = message,
      .size = size,
      .body = reader_make(message + 4, size - 4),
      .code = message[1],
      .param1 = message[2],
      .param2 = message[3],
      .session = session,
      .extended = 0,
      .is_whole = false,
  };
  spdm_result_t result = dispatch(spdm, &request, &w);
  *is_whole = request.is_whole;
  if (result == SPDM_OK && !w.ok) {
    result = SPDM_UNSPECIFIED;
  }
  if (result == SPDM_OK) {
    result = hand_over(spdm, &request, &w, wrapped);
  }
  if (result == SPDM_OK) {
    return w.pos;
  }
  wipe(out, w.pos); /* what was begun, or waits elsewhere, is not left in the mailbox */
  /* A handshake that FINISH did not complete is over. */
  if (session != NULL && session->phase == SESSION_HANDSHAKE && request.code == SPDM_FINISH) {
    session->after = AFTER_END;
  }
  if (result == SPDM_SILENT) {
    return 0;
  }
  uint8_t data = result == SPDM_UNSUPPORTED_REQUEST ? request.code : 0;
  bool restarts = session == NULL && request.code == SPDM_GET_VERSION;
  return spdm_write_error(restarts ? SPDM_VERSION_10 : spdm->version, result, data,
                          request.extended, out, capacity);
}

size_t spdm_handle(spdm_t *spdm, session_t *session, const uint8_t *message, size_t size,
                   uint8_t *out, size_t capacity) {
  size_t slack = session == NULL ? 3 : 0;
  bool is_whole = false;

  if (size < 4) {
    return session == NULL ? 0
                           : spdm_write_error(spdm->version, SPDM_INVALID_REQUEST, 0, 0, out,
                                              capacity);
  }
  if (session == NULL && spdm_vendor_is_session_only(message, size)) {
    return 0;
  }
  if (size > SPDM_DATA_TRANSFER_BYTES + slack) {
    bool restarts = session == NULL && message[1] == SPDM_GET_VERSION;
    return spdm_write_error(restarts ? SPDM_VERSION_10 : spdm->version, SPDM_REQUEST_TOO_LARGE, 0,
                            0, out, capacity);
  }
  size_t used = answer_one(spdm, session, message, size, 0, out, capacity, &is_whole);
  if (!is_whole) {
    return used;
  }
  /* `used` bytes of CHUNK_SEND_ACK stand in front of the answer to the large request. */
  size_t large_size = 0;
  const uint8_t *large = deferred_request(&large_size);
  size_t answer = 0;
  if (session != NULL || !spdm_vendor_is_session_only(large, large_size)) {
    answer = answer_one(spdm, session, large, large_size, used, out + used, capacity - used,
                        &is_whole);
  }
  deferred_request_done();
  return answer != 0 ? used + answer : 0;
}
