/* SPDX-License-Identifier: Apache-2.0
 * See der.h. ITU-T X.690; RFC 5280 4.1 for the order of the fields of a certificate.
 */
#include "der.h"

/* Length octets: short form, or one or two octets, minimal. Larger ones do not occur here. */
static bool take_length(reader_t *r, size_t *length) {
  uint8_t first = reader_u8(r);
  *length = first;
  if (first == 0x81) {
    *length = reader_u8(r);
    return r->ok && *length >= 0x80;
  }
  if (first == 0x82) {
    size_t high = reader_u8(r);
    *length = high << 8 | reader_u8(r);
    return r->ok && *length >= 0x100;
  }
  return r->ok && first < 0x80;
}

bool der_is_next(const reader_t *r, uint8_t tag) {
  return r->ok && reader_left(r) != 0 && r->data[r->pos] == tag;
}

bool der_take(reader_t *r, uint8_t tag, reader_t *content, reader_t *whole) {
  size_t begin = r->pos;
  size_t length = 0;
  const uint8_t *data = NULL;

  if (reader_u8(r) == tag && take_length(r, &length)) {
    data = reader_bytes(r, length);
  }
  if (data == NULL) {
    r->ok = false;
    return false;
  }
  *content = reader_make(data, length);
  if (whole != NULL) {
    *whole = reader_make(r->data + begin, r->pos - begin);
  }
  return true;
}

size_t der_header_bytes(size_t size) {
  return size < 0x80 ? 2 : size < 0x100 ? 3 : 4;
}

void der_header(writer_t *out, uint8_t tag, size_t size) {
  writer_u8(out, tag);
  if (size >= 0x100) {
    writer_u8(out, 0x82);
    writer_u8(out, (uint8_t)(size >> 8));
  } else if (size >= 0x80) {
    writer_u8(out, 0x81);
  }
  writer_u8(out, (uint8_t)size);
}

bool der_certificate(reader_t certificate, reader_t *subject, reader_t *spki) {
  reader_t outer, tbs, skipped;

  if (!der_take(&certificate, DER_SEQUENCE, &outer, NULL) ||
      !der_take(&outer, DER_SEQUENCE, &tbs, NULL)) {
    return false;
  }
  if (der_is_next(&tbs, DER_CONTEXT_0)) { /* version */
    (void)der_take(&tbs, DER_CONTEXT_0, &skipped, NULL);
  }
  return der_take(&tbs, DER_INTEGER, &skipped, NULL) &&     /* serial number */
         der_take(&tbs, DER_SEQUENCE, &skipped, NULL) &&    /* signature algorithm */
         der_take(&tbs, DER_SEQUENCE, &skipped, NULL) &&    /* issuer */
         der_take(&tbs, DER_SEQUENCE, &skipped, NULL) &&    /* validity */
         der_take(&tbs, DER_SEQUENCE, &skipped, subject) && /* subject */
         der_take(&tbs, DER_SEQUENCE, &skipped, spki) &&    /* public key */
         der_take(&outer, DER_SEQUENCE, &skipped, NULL) &&  /* signature algorithm */
         der_take(&outer, DER_BIT_STRING, &skipped, NULL) && reader_left(&outer) == 0;
}
