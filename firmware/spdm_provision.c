/* SPDX-License-Identifier: Apache-2.0
 * GET_CSR and SET_CERTIFICATE (DSP0274 1.2, 10.22 and 10.23): certificates from another authority.
 *
 * The request is for the identity key, whose private half the CPU never sees; what is signed starts
 * with a DER SEQUENCE, so it can never be taken for an SPDM signature (these start with a prefix).
 */
#include "der.h"
#include "slots.h"
#include "spdm.h"

enum {
  SLOT_BITS = 0x0F,
  MODEL_BITS = 0x70,        /* SetCertModel, 1.3: several keys only */
  ERASE = 1u << 7,          /* 1.3 */
  CSR_MODEL_AND_TAG = 0x3F, /* CSRCertModel, tracking tag, 1.3: several keys, reset */
  OPAQUE_MAX_BYTES = 1024,
  SIGNATURE_INTEGER_BYTES = SPDM_SIGNATURE_BYTES / 2,
  CSR_HEADER_BYTES = 8
};

/* What could not be done although the request is right. */
static spdm_result_t failed(const spdm_t *spdm) {
  return spdm->version >= SPDM_VERSION_13 ? SPDM_OPERATION_FAILED : SPDM_UNSPECIFIED;
}

spdm_result_t spdm_set_certificate(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  bool is_13 = spdm->version >= SPDM_VERSION_13;
  unsigned slot = request->param1 & SLOT_BITS;
  bool erases = is_13 && (request->param1 & ERASE) != 0;
  slot_result_t result = SLOT_OK;

  if (slot == 0 || slot >= SLOT_COUNT || /* slot 0 is part of the image */
      (is_13 && ((request->param1 & MODEL_BITS) != 0 || request->param2 != 0))) {
    return SPDM_INVALID_REQUEST;
  }
  if (erases) {
    if (!spdm_exact(request, 4)) {
      return SPDM_INVALID_REQUEST;
    }
    slot_erase(slot);
  } else {
    uint32_t size = reader_u32(&request->body);
    if (!request->body.ok || size > SPDM_MESSAGE_BYTES || !spdm_exact(request, 4 + (size_t)size)) {
      return SPDM_INVALID_REQUEST;
    }
    result = slot_write(slot, request->message + 4, size);
  }
  if (result != SLOT_OK) {
    return result == SLOT_MALFORMED ? SPDM_INVALID_REQUEST : failed(spdm);
  }
  spdm_header(spdm, out, SPDM_SET_CERTIFICATE, (uint8_t)slot, 0);
  return SPDM_OK;
}

/* ---- GET_CSR ------------------------------------------------------------------------------------- */
/* ecdsa-with-SHA384 */
static const uint8_t signature_algorithm[] = {0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86,
                                              0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03};

/* Subject and attributes of RequesterInfo, a CertificationRequestInfo; its key is not looked at. */
static bool read_requester_info(reader_t r, reader_t *subject, reader_t *attributes) {
  reader_t info, content;

  return der_take(&r, DER_SEQUENCE, &info, NULL) && reader_left(&r) == 0 &&
         der_take(&info, DER_INTEGER, &content, NULL) && content.size == 1 &&
         content.data[0] == 0 && der_take(&info, DER_SEQUENCE, &content, subject) &&
         der_take(&info, DER_SEQUENCE, &content, NULL) &&
         der_take(&info, DER_CONTEXT_0, &content, attributes) && reader_left(&info) == 0;
}

/* An unsigned number as a DER INTEGER. */
static void write_integer(writer_t *out, const uint8_t *number) {
  size_t skip = 0;

  while (skip < SIGNATURE_INTEGER_BYTES - 1 && number[skip] == 0) {
    skip++;
  }
  size_t size = SIGNATURE_INTEGER_BYTES - skip;
  bool is_padded = (number[skip] & 0x80) != 0;
  der_header(out, DER_INTEGER, size + (is_padded ? 1 : 0));
  if (is_padded) {
    writer_u8(out, 0);
  }
  writer_bytes(out, number + skip, size);
}

/* Signs info[size]; BIT STRING with an ECDSA-Sig-Value. */
static bool write_signature(const uint8_t *info, size_t size, writer_t *out) {
  uint8_t digest[HAL_SHA384_BYTES];
  uint8_t signature[SPDM_SIGNATURE_BYTES];
  uint8_t numbers[2 * (SIGNATURE_INTEGER_BYTES + 3)];
  writer_t w = writer_make(numbers, sizeof numbers);
  hal_sha384_t hash;

  hal_sha384_init(&hash);
  hal_sha384_update(&hash, info, size);
  hal_sha384_final(&hash, digest);
  if (!hal_p384_sign_identity(digest, signature)) {
    return false;
  }
  write_integer(&w, signature);
  write_integer(&w, signature + SIGNATURE_INTEGER_BYTES);
  der_header(out, DER_BIT_STRING, 1 + der_header_bytes(w.pos) + w.pos);
  writer_u8(out, 0); /* unused bits */
  der_header(out, DER_SEQUENCE, w.pos);
  writer_bytes(out, numbers, w.pos);
  return w.ok;
}

/* The whole request; its header comes last, because the signature's length is not known before. */
static bool write_request(const reader_t *subject, const reader_t *spki,
                          const reader_t *attributes, writer_t *out) {
  static const uint8_t version[] = {DER_INTEGER, 1, 0};
  size_t content = sizeof version + subject->size + spki->size + attributes->size;
  size_t begin = out->pos;
  const size_t most = 4; /* bytes of the header */

  writer_zeros(out, most);
  der_header(out, DER_SEQUENCE, content);
  writer_bytes(out, version, sizeof version);
  writer_bytes(out, subject->data, subject->size);
  writer_bytes(out, spki->data, spki->size);
  writer_bytes(out, attributes->data, attributes->size);
  size_t info = begin + most;
  size_t info_size = out->pos - info;
  writer_bytes(out, signature_algorithm, sizeof signature_algorithm);
  if (!out->ok || !write_signature(out->data + info, info_size, out) || !out->ok) {
    return false;
  }
  size_t size = out->pos - info;
  size_t header = der_header_bytes(size);
  writer_t front = writer_make(out->data + begin, header);
  der_header(&front, DER_SEQUENCE, size);
  for (size_t i = 0; i < size; i++) { /* down to where the header ends */
    out->data[begin + header + i] = out->data[info + i];
  }
  out->pos = begin + header + size;
  return front.ok;
}

spdm_result_t spdm_get_csr(spdm_t *spdm, spdm_request_t *request, writer_t *out) {
  static const uint8_t no_attributes[] = {DER_CONTEXT_0, 0};
  reader_t *r = &request->body;
  reader_t subject, spki;
  reader_t attributes = reader_make(no_attributes, sizeof no_attributes);

  uint16_t info_size = reader_u16(r);
  uint16_t opaque_size = reader_u16(r);
  const uint8_t *info = reader_bytes(r, info_size);
  reader_skip(r, opaque_size);
  if (!r->ok || opaque_size > OPAQUE_MAX_BYTES || !spdm_exact(request, 4 + r->pos) ||
      (spdm->version >= SPDM_VERSION_13 &&
       (request->param1 != 0 || (request->param2 & CSR_MODEL_AND_TAG) != 0))) {
    return SPDM_INVALID_REQUEST;
  }
  if (!slot_identity(&subject, &spki)) {
    return failed(spdm);
  }
  if (info_size != 0 && !read_requester_info(reader_make(info, info_size), &subject, &attributes)) {
    return SPDM_INVALID_REQUEST;
  }
  spdm_header(spdm, out, SPDM_GET_CSR, 0, 0);
  writer_u16(out, 0); /* CSRLength */
  writer_u16(out, 0);
  if (!write_request(&subject, &spki, &attributes, out)) {
    return failed(spdm);
  }
  writer_patch_u16(out, 4, (uint16_t)(out->pos - CSR_HEADER_BYTES));
  return spdm_fits(spdm, request, out->pos) ? SPDM_OK : SPDM_RESPONSE_TOO_LARGE;
}
