/* SPDX-License-Identifier: Apache-2.0
 * Bounded reader and writer, wiping and constant-time comparison.
 *
 * Every byte that comes from the host is read through reader_t, every byte that goes back is
 * written through writer_t. Both remember the first overrun in `ok` and do nothing from then on
 * (a failed read yields 0 or NULL), so a parser reads a whole message and asks once. Integers are
 * little-endian.
 */
#ifndef TEEIO_BYTES_H
#define TEEIO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const uint8_t *data;
  size_t size;
  size_t pos;
  bool ok;
} reader_t;

reader_t reader_make(const uint8_t *data, size_t size);
size_t reader_left(const reader_t *r);
uint8_t reader_u8(reader_t *r);
uint16_t reader_u16(reader_t *r);
uint32_t reader_u32(reader_t *r);
uint64_t reader_u64(reader_t *r);
/* `size` bytes inside the message, or NULL if there are fewer. */
const uint8_t *reader_bytes(reader_t *r, size_t size);
void reader_skip(reader_t *r, size_t size);

typedef struct {
  uint8_t *data;
  size_t size;
  size_t pos;
  bool ok;
} writer_t;

writer_t writer_make(uint8_t *data, size_t size);
void writer_u8(writer_t *w, uint8_t value);
void writer_u16(writer_t *w, uint16_t value);
void writer_u32(writer_t *w, uint32_t value);
void writer_u64(writer_t *w, uint64_t value);
void writer_bytes(writer_t *w, const uint8_t *data, size_t size);
void writer_zeros(writer_t *w, size_t size);
/* Space for `size` bytes that the caller fills, zeroed; NULL if it does not fit. */
uint8_t *writer_reserve(writer_t *w, size_t size);
/* Overwrites a u16 written before. */
void writer_patch_u16(writer_t *w, size_t pos, uint16_t value);

uint16_t load_u16(const uint8_t *p);
uint32_t load_u32(const uint8_t *p);
void store_u16(uint8_t *p, uint16_t value);
void store_u32(uint8_t *p, uint32_t value);

void bytes_copy(void *to, const void *from, size_t size);
void bytes_zero(void *to, size_t size); /* for data that is no secret */
/* Clears a secret; the compiler may not drop it. */
void wipe(void *secret, size_t size);
/* Time depends on `size` only. */
bool equal_ct(const uint8_t *a, const uint8_t *b, size_t size);

#endif
