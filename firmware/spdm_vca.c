/* SPDX-License-Identifier: Apache-2.0
 * GET_VERSION, GET_CAPABILITIES, NEGOTIATE_ALGORITHMS (DSP0274 1.2, 10.3 to 10.5).
 *
 * The three exchanges are stored as they passed ("VCA"). A request that is repeated byte for byte
 * gets the same answer again and changes nothing; a different one is UnexpectedRequest.
 */
#include "spdm.h"

enum {
  CT_EXPONENT = 19, /* 2^19 us: P-384 key generation, agreement and signature take 20 ms */
  CT_EXPONENT_MAX = 31,
  CAPABILITIES_BYTES = 20,
  NEGOTIATE_FIXED_BYTES = 32,
  NEGOTIATE_MAX_BYTES = 128,
  EXTERNAL_MAX = 20, /* external algorithms in one request */
  ALGORITHMS_FIXED_BYTES = 36
};

static const uint32_t own_flags = SPDM_CAP_CERT | SPDM_CAP_CHAL | SPDM_CAP_MEAS_SIGNED |
                                  SPDM_CAP_ENCRYPT | SPDM_CAP_MAC | SPDM_CAP_KEY_EX |
                                  SPDM_CAP_HBEAT | SPDM_CAP_KEY_UPD | SPDM_CAP_CHUNK |
                                  SPDM_CAP_SET_CERT | SPDM_CAP_CSR;

/* vca_mark: where an exchange stands in vca[]. */
enum { MARK_CAPABILITIES = 0, MARK_ALGORITHMS = 2 };

static void vca_append(spdm_t *spdm, const uint8_t *data, size_t size) {
  /* 14 + 40 + 128 + 52 bytes at most: the sizes are checked where the requests are parsed. */
  if (size <= SPDM_VCA_BYTES - spdm->vca_size) {
    bytes_copy(spdm->vca + spdm->vca_size, data, size);
    spdm->vca_size = (uint16_t)(spdm->vca_size + size);
  }
}

static void vca_exchange(spdm_t *spdm, unsigned mark, const spdm_request_t *request,
                         const writer_t *out) {
  spdm->vca_mark[mark] = spdm->vca_size;
  vca_append(spdm, request->message, request->size);
  spdm->vca_mark[mark + 1] = spdm->vca_size;
  vca_append(spdm, out->data, out->pos);
}

/* True if the request equals the stored one; the stored answer is then written. */
static bool vca_repeat(const spdm_t *spdm, unsigned mark, spdm_request_t *request,
                       size_t answer_end, writer_t *out) {
  size_t begin = spdm->vca_mark[mark];
  size_t end = spdm->vca_mark[mark + 1];
  if (!spdm_exact(request, end - begin) ||
      !equal_ct(request->message, spdm->vca + begin, end - begin)) {
    return false;
  }
  writer_bytes(out, spdm->vca + end, answer_end - end);
  return true;
}

/* ---- GET_VERSION --------------------------------------------------------------------------------- */
spdm_result_t spdm_get_version(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (!spdm_exact(request, 4)) {
    return SPDM_INVALID_REQUEST;
  }
  spdm_disconnect(spdm);
  writer_u8(out, SPDM_VERSION_10);
  writer_u8(out, SPDM_GET_VERSION & 0x7F);
  writer_u16(out, 0);
  writer_u8(out, 0);
  writer_u8(out, 2);
  writer_u16(out, SPDM_VERSION_12 << 8);
  writer_u16(out, SPDM_VERSION_13 << 8);
  vca_append(spdm, request->message, request->size);
  vca_append(spdm, out->data, out->pos);
  spdm->state = SPDM_AFTER_VERSION;
  return SPDM_OK;
}

/* ---- GET_CAPABILITIES ---------------------------------------------------------------------------- */
static bool flags_are_legal(uint32_t flags, uint8_t version) {
  bool has_key_ex = (flags & SPDM_CAP_KEY_EX) != 0;
  bool has_psk = ((flags >> SPDM_CAP_PSK_SHIFT) & 3) != 0;
  bool has_cert = (flags & SPDM_CAP_CERT) != 0;
  bool has_pub_key = (flags & SPDM_CAP_PUB_KEY_ID) != 0;
  bool has_chal = (flags & SPDM_CAP_CHAL) != 0;
  uint32_t protection = flags & (SPDM_CAP_ENCRYPT | SPDM_CAP_MAC);
  uint32_t session_only = protection | (flags & (SPDM_CAP_HBEAT | SPDM_CAP_KEY_UPD));

  if (((flags >> SPDM_CAP_PSK_SHIFT) & 3) > 1) {
    return false;
  }
  if ((has_key_ex || has_psk) ? protection == 0 : session_only != 0) {
    return false;
  }
  if (!has_key_ex && (flags & SPDM_CAP_HANDSHAKE_CLEAR) != 0) {
    return false;
  }
  if (has_cert && has_pub_key) {
    return false;
  }
  if ((has_cert || has_pub_key) ? !has_chal && !has_key_ex
                                : has_chal || (flags & SPDM_CAP_MUT_AUTH) != 0) {
    return false;
  }
  if (version >= SPDM_VERSION_13) {
    uint32_t ep_info = (flags >> SPDM_CAP_EP_INFO_SHIFT) & 3;
    uint32_t multi_key = (flags >> SPDM_CAP_MULTI_KEY_SHIFT) & 3;
    if (ep_info == 3 || multi_key == 3) {
      return false;
    }
    if (ep_info == 2 && !has_cert && !has_pub_key) {
      return false;
    }
    if (multi_key != 0 && !has_cert) {
      return false;
    }
    if ((flags & SPDM_CAP_EVENT) != 0 && !has_key_ex && !has_psk) {
      return false;
    }
  }
  return true;
}

spdm_result_t spdm_get_capabilities(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (spdm->state != SPDM_AFTER_VERSION) {
    bool repeat = spdm->state == SPDM_AFTER_CAPABILITIES &&
                  vca_repeat(spdm, MARK_CAPABILITIES, request, spdm->vca_size, out);
    return repeat ? SPDM_OK : SPDM_UNEXPECTED_REQUEST;
  }
  uint8_t version = request->message[0];
  if (version != SPDM_VERSION_12 && version != SPDM_VERSION_13) {
    return SPDM_VERSION_MISMATCH;
  }
  if (!spdm_exact(request, CAPABILITIES_BYTES)) {
    return SPDM_INVALID_REQUEST;
  }
  reader_t *r = &request->body;
  reader_skip(r, 1);
  uint8_t exponent = reader_u8(r);
  reader_skip(r, 2);
  uint32_t flags = reader_u32(r);
  uint32_t transfer = reader_u32(r);
  uint32_t largest = reader_u32(r);
  bool has_chunk = (flags & SPDM_CAP_CHUNK) != 0;
  if (!r->ok || exponent > CT_EXPONENT_MAX || !flags_are_legal(flags, version) ||
      transfer < SPDM_MIN_DATA_TRANSFER_BYTES || transfer > largest ||
      (!has_chunk && transfer != largest)) {
    return SPDM_INVALID_REQUEST;
  }
  /* The Supported Algorithms block may be asked for only with CHUNK; the answer goes without. */
  if (version >= SPDM_VERSION_13 && (request->param1 & 1) != 0 && !has_chunk) {
    return SPDM_INVALID_REQUEST;
  }
  spdm->version = version;
  spdm->peer_flags = flags;
  spdm->peer_bytes = transfer;
  spdm->peer_message_bytes = has_chunk ? largest : transfer;
  spdm_header(spdm, out, SPDM_GET_CAPABILITIES, 0, 0);
  writer_u8(out, 0);
  writer_u8(out, CT_EXPONENT);
  writer_u16(out, 0);
  writer_u32(out, own_flags);
  writer_u32(out, SPDM_DATA_TRANSFER_BYTES);
  writer_u32(out, SPDM_MESSAGE_BYTES);
  vca_exchange(spdm, MARK_CAPABILITIES, request, out);
  spdm->state = SPDM_AFTER_CAPABILITIES;
  return SPDM_OK;
}

/* ---- NEGOTIATE_ALGORITHMS ------------------------------------------------------------------------ */
enum {
  MEASUREMENT_SPEC_DMTF = 1u << 0,
  OPAQUE_FMT1 = 1u << 1,
  ASYM_ECDSA_P384 = 1u << 7,
  HASH_SHA_384 = 1u << 1,
  MEASUREMENT_HASH_SHA_384 = 1u << 2, /* one bit above the base hash */
  TABLE_DHE = 2,
  TABLE_AEAD = 3,
  TABLE_REQ_ASYM = 4,
  TABLE_KEY_SCHEDULE = 5,
  TABLE_LAST = TABLE_KEY_SCHEDULE,
  TABLE_COUNT = 0x20, /* two bytes of fixed algorithms; low nibble = external ones */
  DHE_SECP384R1 = 1u << 4,
  AEAD_AES_256_GCM = 1u << 1,
  KEY_SCHEDULE_SPDM = 1u << 0
};

typedef struct {
  uint8_t count;
  unsigned external; /* external algorithms of all tables */
  uint8_t type[TABLE_LAST + 1];
  uint16_t selected[TABLE_LAST + 1]; /* by AlgType */
} tables_t;

static bool parse_tables(reader_t *r, unsigned count, bool with_session, tables_t *tables) {
  static const uint16_t own[TABLE_LAST + 1] = {
      [TABLE_DHE] = DHE_SECP384R1,
      [TABLE_AEAD] = AEAD_AES_256_GCM,
      [TABLE_KEY_SCHEDULE] = KEY_SCHEDULE_SPDM,
  };
  unsigned last = TABLE_DHE - 1;

  bytes_zero(tables, sizeof *tables);
  for (unsigned i = 0; i < count; i++) {
    uint8_t type = reader_u8(r);
    uint8_t sizes = reader_u8(r);
    uint16_t mask = reader_u16(r);
    reader_skip(r, (size_t)4 * (sizes & 0x0F));
    if (!r->ok || type <= last || type > TABLE_LAST || (sizes & 0xF0) != TABLE_COUNT ||
        (mask == 0 && (sizes & 0x0F) == 0)) {
      return false;
    }
    last = type;
    tables->external += sizes & 0x0F;
    tables->type[tables->count++] = type;
    tables->selected[type] = with_session ? mask & own[type] : 0;
  }
  return true;
}

spdm_result_t spdm_negotiate_algorithms(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  if (spdm->state == SPDM_NEGOTIATED) {
    bool repeat = vca_repeat(spdm, MARK_ALGORITHMS, request, spdm->vca_size, out);
    return repeat ? SPDM_OK : SPDM_UNEXPECTED_REQUEST;
  }
  reader_t *r = &request->body;
  uint16_t length = reader_u16(r);
  uint8_t specification = reader_u8(r);
  uint8_t other = reader_u8(r);
  uint32_t asym = reader_u32(r);
  uint32_t hash = reader_u32(r);
  reader_skip(r, 12);
  uint8_t extended_asym = reader_u8(r);
  uint8_t extended_hash = reader_u8(r);
  reader_skip(r, 2);
  if (!r->ok || length > NEGOTIATE_MAX_BYTES || !spdm_exact(request, length)) {
    return SPDM_INVALID_REQUEST;
  }
  reader_skip(r, (size_t)4 * extended_asym + (size_t)4 * extended_hash);
  bool with_session = (spdm->peer_flags & SPDM_CAPS_SESSION) == SPDM_CAPS_SESSION;
  tables_t tables;
  if (!parse_tables(r, request->param1, with_session, &tables) || r->pos + 4 != length ||
      extended_asym + extended_hash + tables.external > EXTERNAL_MAX) {
    return SPDM_INVALID_REQUEST;
  }
  /* One suite: whoever does not offer it cannot go on. */
  if ((specification & MEASUREMENT_SPEC_DMTF) == 0 || (asym & ASYM_ECDSA_P384) == 0 ||
      (hash & HASH_SHA_384) == 0) {
    return SPDM_INVALID_REQUEST;
  }
  if (with_session && (tables.selected[TABLE_DHE] == 0 || tables.selected[TABLE_AEAD] == 0 ||
                       tables.selected[TABLE_KEY_SCHEDULE] == 0)) {
    return SPDM_INVALID_REQUEST;
  }
  size_t answer = ALGORITHMS_FIXED_BYTES + (size_t)4 * tables.count;
  if (!spdm_fits(spdm, request, answer)) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  spdm_header(spdm, out, SPDM_NEGOTIATE_ALGORITHMS, tables.count, 0);
  writer_u16(out, (uint16_t)answer);
  writer_u8(out, MEASUREMENT_SPEC_DMTF);
  writer_u8(out, other & OPAQUE_FMT1);
  writer_u32(out, MEASUREMENT_HASH_SHA_384);
  writer_u32(out, ASYM_ECDSA_P384);
  writer_u32(out, HASH_SHA_384);
  writer_zeros(out, 16);
  for (unsigned i = 0; i < tables.count; i++) {
    writer_u8(out, tables.type[i]);
    writer_u8(out, TABLE_COUNT);
    writer_u16(out, tables.selected[tables.type[i]]);
  }
  spdm->opaque_fmt1 = (other & OPAQUE_FMT1) != 0;
  vca_exchange(spdm, MARK_ALGORITHMS, request, out);
  spdm->state = SPDM_NEGOTIATED;
  return SPDM_OK;
}
