/* SPDX-License-Identifier: Apache-2.0
 * Secured messages over DOE (DSP0277 1.1 and 1.2) and the life of a session.
 *
 * Record: SessionID u32, Length u16 | encrypted: ApplicationDataLength u16, message | tag 16.
 * No sequence number and no random bytes on DOE; the nonce is the IV with the sequence number
 * XORed into bytes 0..7, least significant byte first. One record that does not open ends its
 * session: keys, streams and locked interfaces go with it.
 */
#include "spdm.h"

#include "key_schedule.h"

enum {
  HEADER_BYTES = 6,
  LENGTH_FIELD_BYTES = 2,
  TAG_BYTES = 16,
  PADDING_MAX_BYTES = 3,
  SLOTS_PER_SESSION = 4 /* two per direction: in use, and next at KEY_UPDATE */
};

_Static_assert(SPDM_MAX_SESSIONS * SLOTS_PER_SESSION <= HAL_AEAD_SLOTS, "one key slot each");

/* The decrypted request. Wiped after every record. */
static uint8_t plaintext[LENGTH_FIELD_BYTES + SPDM_MESSAGE_BYTES];

/* ---- sessions ------------------------------------------------------------------------------------ */
session_t *session_open(spdm_t *spdm, uint16_t requester_half, spdm_result_t *error) {
  session_t *session = NULL;
  unsigned index = 0;

  *error = SPDM_SESSION_LIMIT_EXCEEDED;
  for (unsigned i = 0; i < SPDM_MAX_SESSIONS && session == NULL; i++) {
    if (spdm->sessions[i].phase == SESSION_FREE) {
      session = &spdm->sessions[i];
      index = i;
    }
  }
  if (session == NULL || spdm->last_tag == SPDM_LAST_TAG) {
    return NULL;
  }
  wipe(session, sizeof *session);
  session->tag = ++spdm->last_tag;
  /* The tag is also the responder's half of the session id, so an id never comes back either. */
  session->id = (uint32_t)session->tag << 16 | requester_half;
  session->request.slot = (uint8_t)(SLOTS_PER_SESSION * index);
  session->response.slot = (uint8_t)(SLOTS_PER_SESSION * index + 2);
  return session;
}

void session_end(session_t *session) {
  if (session->tag != 0) {
    hal_kill_tag(session->tag);
    deferred_drop_session(session->tag);
    uint8_t first = session->request.slot & (uint8_t)~(SLOTS_PER_SESSION - 1);
    for (uint8_t i = 0; i < SLOTS_PER_SESSION; i++) {
      hal_aead_erase((unsigned)first + i);
    }
  }
  wipe(session, sizeof *session);
}

bool session_is_alive(const spdm_t *spdm, uint16_t tag) {
  for (unsigned i = 0; i < SPDM_MAX_SESSIONS; i++) {
    if (tag != 0 && spdm->sessions[i].phase != SESSION_FREE && spdm->sessions[i].tag == tag) {
      return true;
    }
  }
  return false;
}

static session_t *find_session(spdm_t *spdm, uint32_t id) {
  for (unsigned i = 0; i < SPDM_MAX_SESSIONS; i++) {
    if (spdm->sessions[i].phase != SESSION_FREE && spdm->sessions[i].id == id) {
      return &spdm->sessions[i];
    }
  }
  return NULL;
}

static void feed_watchdog(session_t *session) {
  session->deadline =
      hal_cycles() + (uint64_t)2 * session->heartbeat_period * hal_cycles_per_second();
}

/* Ends every session that was marked for it, also those that did not ask. */
static void session_sweep(spdm_t *spdm) {
  for (unsigned i = 0; i < SPDM_MAX_SESSIONS; i++) {
    if (spdm->sessions[i].after == AFTER_END) {
      session_end(&spdm->sessions[i]);
    }
  }
}

void session_watchdog(spdm_t *spdm) {
  uint64_t now = hal_cycles();
  uint64_t next = 0;

  for (unsigned i = 0; i < SPDM_MAX_SESSIONS; i++) {
    session_t *session = &spdm->sessions[i];
    if (session->phase != SESSION_ESTABLISHED || session->heartbeat_period == 0) {
      continue;
    }
    if (now >= session->deadline) {
      session_end(session);
    } else if (next == 0 || session->deadline - now < next) {
      next = session->deadline - now;
    }
  }
  hal_timer_arm(next);
}

/* ---- one direction -------------------------------------------------------------------------------- */
bool direction_install(const spdm_t *spdm, direction_t *direction) {
  uint8_t key[32];

  ks_record_key(spdm->version, direction->secret, key, direction->iv);
  direction->sequence = 0;
  bool ok = hal_aead_set_key(direction->slot, key);
  wipe(key, sizeof key);
  return ok;
}

/* Nonce of the next record; false when the numbers are used up. */
static bool next_nonce(direction_t *direction, uint8_t nonce[12]) {
  if (direction->sequence == UINT64_MAX) {
    return false;
  }
  bytes_copy(nonce, direction->iv, 12);
  for (unsigned i = 0; i < 8; i++) {
    nonce[i] ^= (uint8_t)(direction->sequence >> (8 * i));
  }
  direction->sequence++;
  return true;
}

/* Opens ciphertext[size] (tag behind it) into plaintext[]; header = the six bytes before it. */
static bool open_with(direction_t *direction, const uint8_t *header, const uint8_t *ciphertext,
                      size_t size) {
  uint8_t nonce[12];

  if (size > sizeof plaintext || !next_nonce(direction, nonce)) {
    return false;
  }
  bytes_copy(plaintext, ciphertext, size);
  return hal_aead_open(direction->slot, nonce, header, HEADER_BYTES, plaintext, size,
                       ciphertext + size);
}

static bool open_record(session_t *session, const uint8_t *header, const uint8_t *ciphertext,
                        size_t size) {
  if (open_with(&session->request, header, ciphertext, size)) {
    return true;
  }
  if (!session->update_pending || !open_with(&session->request_old, header, ciphertext, size)) {
    return false;
  }
  /* The requester has not taken the new key: back to the old one. */
  hal_aead_erase(session->request.slot);
  session->request = session->request_old;
  wipe(&session->request_old, sizeof session->request_old);
  session->update_pending = false;
  return true;
}

/* Seals the message of `size` bytes that stands at out[8]; returns the record's length, 0 on
 * failure. */
static size_t seal_record(session_t *session, uint8_t *out, size_t size) {
  uint8_t nonce[12];
  size_t sealed = LENGTH_FIELD_BYTES + size;

  if (!next_nonce(&session->response, nonce)) {
    return 0;
  }
  store_u32(out, session->id);
  store_u16(out + 4, (uint16_t)(sealed + TAG_BYTES));
  store_u16(out + HEADER_BYTES, (uint16_t)size);
  if (!hal_aead_seal(session->response.slot, nonce, out, HEADER_BYTES, out + HEADER_BYTES, sealed,
                     out + HEADER_BYTES + sealed)) {
    return 0;
  }
  return HEADER_BYTES + sealed + TAG_BYTES;
}

/* ---- records --------------------------------------------------------------------------------------- */
static bool finish_exchange(const spdm_t *spdm, session_t *session) {
  if (session->after == AFTER_ESTABLISH) {
    session->after = AFTER_NOTHING;
    session->phase = SESSION_ESTABLISHED;
    wipe(session->handshake_secret, sizeof session->handshake_secret);
    wipe(session->finished_key, sizeof session->finished_key);
    feed_watchdog(session);
    return direction_install(spdm, &session->request) &&
           direction_install(spdm, &session->response);
  }
  return session->after != AFTER_END;
}

size_t secured_handle(spdm_t *spdm, const uint8_t *record, size_t size, uint8_t *out,
                      size_t capacity) {
  reader_t r = reader_make(record, size);
  session_t *session = find_session(spdm, reader_u32(&r));
  uint16_t length = reader_u16(&r);
  const uint8_t *body = reader_bytes(&r, length);
  size_t overhead = HEADER_BYTES + LENGTH_FIELD_BYTES + TAG_BYTES;
  uint8_t *message = out + HEADER_BYTES + LENGTH_FIELD_BYTES;
  size_t answer = 0;

  if (session == NULL || capacity < overhead) {
    return 0;
  }
  size_t room = capacity - overhead;
  bool framed = r.ok && length >= LENGTH_FIELD_BYTES + TAG_BYTES &&
                reader_left(&r) <= PADDING_MAX_BYTES;
  size_t opened = framed ? (size_t)length - TAG_BYTES : 0;
  if (!framed || !open_record(session, record, body, opened)) {
    session->after = AFTER_END;
    answer = spdm_write_error(spdm->version, SPDM_DECRYPT_ERROR, 0, 0, message, room);
  } else if (load_u16(plaintext) != opened - LENGTH_FIELD_BYTES) {
    feed_watchdog(session);
    answer = spdm_write_error(spdm->version, SPDM_INVALID_REQUEST, 0, 0, message, room);
  } else {
    feed_watchdog(session);
    answer = spdm_handle(spdm, session, plaintext + LENGTH_FIELD_BYTES,
                         opened - LENGTH_FIELD_BYTES, message, room);
  }
  wipe(plaintext, opened <= sizeof plaintext ? opened : 0);
  size_t sealed = answer != 0 ? seal_record(session, out, answer) : 0;
  bool failed = answer != 0 && sealed == 0;
  if (!finish_exchange(spdm, session) || failed) {
    session_end(session);
  }
  session_sweep(spdm);
  return sealed;
}
