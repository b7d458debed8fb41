/* SPDX-License-Identifier: Apache-2.0
 * Messages that do not pass in one piece (DSP0274 1.2, 10.12 to 10.14, CHUNK_SEND and CHUNK_GET).
 *
 * One buffer, because a connection has one request outstanding: it collects a large request, or
 * keeps a finished answer until CHUNK_GET has fetched it or RESPOND_IF_READY asks for it. It belongs
 * to the session (or to none) in which it was filled, and is wiped with it: chunks may carry keys.
 */
#include "spdm.h"

enum {
  SEND_LAST = 1u << 0,  /* Param1 of CHUNK_SEND and CHUNK_RESPONSE */
  EARLY_ERROR = 1u << 0, /* Param1 of CHUNK_SEND_ACK */
  CHUNK_HEADER_BYTES = 12,
  LARGE_SIZE_BYTES = 4, /* LargeMessageSize, in chunk 0 only */
  DELAY_MULTIPLIER = 4  /* RDTM: the answer is kept for ever, the requester should not wait so */
};

typedef enum { IDLE = 0, RECEIVING, WHOLE, FETCHING, LATE } kind_t;

static uint8_t buffer[SPDM_MESSAGE_BYTES];
static struct {
  kind_t kind;
  uint16_t tag;      /* of the session, 0 = in clear */
  uint16_t sequence; /* of the next chunk */
  uint32_t size;     /* of the whole message */
  uint32_t done;     /* bytes received or fetched */
  uint8_t handle;    /* RECEIVING: the requester's; FETCHING: the next of this side */
  uint8_t code;      /* LATE: of the request */
  uint8_t token;     /* LATE */
  uint8_t exponent;  /* LATE: RDTExponent */
  uint64_t ready;    /* LATE: device cycle */
} transfer;
static uint8_t next_handle;
static uint8_t next_token;

static uint16_t tag_of(const spdm_request_t *request) {
  return request->session != NULL ? request->session->tag : 0;
}

void deferred_drop(void) {
  if (transfer.kind != IDLE) { /* otherwise both are clean */
    wipe(buffer, transfer.size);
    wipe(&transfer, sizeof transfer);
  }
}

void deferred_drop_session(uint16_t tag) {
  if (transfer.kind != IDLE && transfer.tag == tag) {
    deferred_drop();
  }
}

spdm_result_t deferred_admit(const spdm_request_t *request) {
  uint8_t awaited = 0;

  if (transfer.kind == IDLE || transfer.kind == WHOLE ||
      (request->code == SPDM_GET_VERSION && request->session == NULL)) {
    return SPDM_OK;
  }
  switch (transfer.kind) {
    case RECEIVING:
      awaited = SPDM_CHUNK_SEND;
      break;
    case FETCHING:
      awaited = SPDM_CHUNK_GET;
      break;
    default:
      awaited = SPDM_RESPOND_IF_READY;
      break;
  }
  if (request->code != awaited) {
    return transfer.kind == LATE ? SPDM_BUSY : SPDM_UNEXPECTED_REQUEST;
  }
  return transfer.tag == tag_of(request) ? SPDM_OK : SPDM_UNEXPECTED_REQUEST;
}

/* ---- CHUNK_SEND ---------------------------------------------------------------------------------- */
static spdm_result_t take_chunk(spdm_request_t *request, uint16_t sequence) {
  reader_t *r = &request->body;
  bool is_first = transfer.kind != RECEIVING;
  bool is_last = (request->param1 & SEND_LAST) != 0;

  reader_skip(r, 2);
  uint32_t chunk = reader_u32(r);
  uint32_t size = sequence == 0 ? reader_u32(r) : transfer.size;
  const uint8_t *data = reader_bytes(r, chunk);
  if (!r->ok || chunk == 0 || !spdm_exact(request, 4 + r->pos) || (sequence == 0) != is_first) {
    return SPDM_INVALID_REQUEST;
  }
  if (is_first) {
    if (size > sizeof buffer) {
      return SPDM_REQUEST_TOO_LARGE;
    }
    if (size <= SPDM_MIN_DATA_TRANSFER_BYTES) {
      return SPDM_INVALID_REQUEST; /* everybody can take that in one piece */
    }
    transfer.kind = RECEIVING;
    transfer.tag = tag_of(request);
    transfer.handle = request->param2;
    transfer.size = size;
  }
  uint32_t left = transfer.size - transfer.done;
  if (request->param2 != transfer.handle || sequence != transfer.sequence || chunk > left ||
      is_last != (chunk == left) || (is_first && is_last)) {
    return SPDM_INVALID_REQUEST;
  }
  bytes_copy(buffer + transfer.done, data, chunk);
  transfer.done += chunk;
  transfer.sequence++;
  if (is_last) {
    transfer.kind = WHOLE;
  }
  return SPDM_OK;
}

/* What may not come in chunks: the chunks themselves, and what everybody can take in one piece. */
static bool may_be_large(uint8_t code) {
  return code != SPDM_CHUNK_SEND && code != SPDM_CHUNK_GET && code != SPDM_GET_VERSION &&
         code != SPDM_GET_CAPABILITIES && code != SPDM_RESPOND_IF_READY;
}

spdm_result_t spdm_chunk_send(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  uint16_t sequence = reader_u16(&request->body);
  spdm_result_t result = take_chunk(request, sequence);

  if (result == SPDM_OK && transfer.kind == WHOLE && !may_be_large(buffer[1])) {
    result = SPDM_UNEXPECTED_REQUEST;
  }
  spdm_header(spdm, out, SPDM_CHUNK_SEND, result == SPDM_OK ? 0 : EARLY_ERROR, request->param2);
  writer_u16(out, sequence);
  if (result == SPDM_OK) {
    request->is_whole = transfer.kind == WHOLE;
    return SPDM_OK;
  }
  deferred_drop();
  uint8_t *error = writer_reserve(out, 4);
  if (error != NULL) {
    (void)spdm_write_error(spdm->version, result, 0, 0, error, 4);
  }
  return SPDM_OK;
}

const uint8_t *deferred_request(size_t *size) {
  *size = transfer.size;
  return buffer;
}

void deferred_request_done(void) {
  if (transfer.kind == WHOLE) {
    deferred_drop();
  }
}

/* ---- answers that stay here ---------------------------------------------------------------------- */
static bool keep(const spdm_request_t *request, const writer_t *answer, kind_t kind) {
  deferred_drop();
  if (answer->pos > sizeof buffer) {
    return false;
  }
  bytes_copy(buffer, answer->data, answer->pos);
  transfer.kind = kind;
  transfer.tag = tag_of(request);
  transfer.size = (uint32_t)answer->pos;
  return true;
}

spdm_result_t deferred_large_answer(spdm_request_t *request, const writer_t *answer) {
  if (!keep(request, answer, FETCHING)) {
    return SPDM_UNSPECIFIED;
  }
  transfer.handle = next_handle++;
  request->extended = transfer.handle;
  return SPDM_LARGE_RESPONSE;
}

spdm_result_t spdm_chunk_get(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  uint16_t sequence = reader_u16(&request->body);

  if (transfer.kind != FETCHING) {
    return SPDM_UNEXPECTED_REQUEST;
  }
  if (!spdm_exact(request, 6) || request->param2 != transfer.handle ||
      sequence != transfer.sequence) {
    return SPDM_INVALID_REQUEST;
  }
  size_t limit = spdm->peer_bytes < out->size ? spdm->peer_bytes : out->size;
  size_t chunk = limit - CHUNK_HEADER_BYTES - (sequence == 0 ? LARGE_SIZE_BYTES : 0);
  if (chunk > transfer.size - transfer.done) {
    chunk = transfer.size - transfer.done;
  }
  bool is_last = chunk == transfer.size - transfer.done;
  spdm_header(spdm, out, SPDM_CHUNK_GET, is_last ? SEND_LAST : 0, transfer.handle);
  writer_u16(out, sequence);
  writer_u16(out, 0);
  writer_u32(out, (uint32_t)chunk);
  if (sequence == 0) {
    writer_u32(out, transfer.size);
  }
  writer_bytes(out, buffer + transfer.done, chunk);
  transfer.done += (uint32_t)chunk;
  transfer.sequence++;
  if (is_last) {
    deferred_drop();
  }
  return SPDM_OK;
}

/* ---- ResponseNotReady ---------------------------------------------------------------------------- */
static spdm_result_t not_ready(spdm_request_t *request) {
  request->extended = (uint32_t)transfer.exponent | (uint32_t)transfer.code << 8 |
                      (uint32_t)transfer.token << 16 | (uint32_t)DELAY_MULTIPLIER << 24;
  return SPDM_RESPONSE_NOT_READY;
}

spdm_result_t deferred_late_answer(spdm_request_t *request, const writer_t *answer,
                                   uint32_t delay_us) {
  if (!keep(request, answer, LATE)) {
    return SPDM_UNSPECIFIED;
  }
  while (transfer.exponent < 31 && (1u << transfer.exponent) < delay_us) {
    transfer.exponent++;
  }
  transfer.code = request->code;
  transfer.token = next_token++;
  transfer.ready = hal_cycles() + (uint64_t)delay_us * (hal_cycles_per_second() / 1000000u);
  return not_ready(request);
}

spdm_result_t spdm_respond_if_ready(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  (void)spdm;
  if (transfer.kind != LATE) {
    return SPDM_UNEXPECTED_REQUEST;
  }
  if (!spdm_exact(request, 4) || request->param1 != transfer.code ||
      request->param2 != transfer.token) {
    return SPDM_INVALID_REQUEST;
  }
  if (hal_cycles() < transfer.ready) {
    return not_ready(request);
  }
  writer_bytes(out, buffer, transfer.size);
  deferred_drop();
  return SPDM_OK;
}
