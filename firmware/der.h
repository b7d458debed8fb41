/* SPDX-License-Identifier: Apache-2.0
 * As much DER as certificates and certification requests need; bounded, without recursion.
 */
#ifndef TEEIO_DER_H
#define TEEIO_DER_H

#include "bytes.h"

enum {
  DER_INTEGER = 0x02,
  DER_BIT_STRING = 0x03,
  DER_SEQUENCE = 0x30,
  DER_CONTEXT_0 = 0xA0 /* [0], constructed */
};

/* Takes the next element, which must have `tag`: its content in *content, all of it in *whole (may
 * be NULL). False, and r->ok is false, if it is not there or not in definite minimal form. */
bool der_take(reader_t *r, uint8_t tag, reader_t *content, reader_t *whole);
bool der_is_next(const reader_t *r, uint8_t tag);
/* Tag and length of an element with `size` bytes of content. */
void der_header(writer_t *out, uint8_t tag, size_t size);
size_t der_header_bytes(size_t size);

/* Subject and SubjectPublicKeyInfo (whole elements) of a certificate; false if it is none. */
bool der_certificate(reader_t certificate, reader_t *subject, reader_t *spki);

#endif
