/* SPDX-License-Identifier: Apache-2.0
 * Bounded reader and writer: see bytes.h.
 */
#include "bytes.h"

void bytes_copy(void *to, const void *from, size_t size) {
  __builtin_memcpy(to, from, size);
}

void bytes_zero(void *to, size_t size) {
  __builtin_memset(to, 0, size);
}

void wipe(void *secret, size_t size) {
  volatile uint8_t *p = secret;
  for (size_t i = 0; i < size; i++) {
    p[i] = 0;
  }
}

bool equal_ct(const uint8_t *a, const uint8_t *b, size_t size) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < size; i++) {
    difference = (uint8_t)(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

uint16_t load_u16(const uint8_t *p) {
  return (uint16_t)(p[0] | (p[1] << 8));
}

uint32_t load_u32(const uint8_t *p) {
  return (uint32_t)load_u16(p) | ((uint32_t)load_u16(p + 2) << 16);
}

void store_u16(uint8_t *p, uint16_t value) {
  p[0] = (uint8_t)value;
  p[1] = (uint8_t)(value >> 8);
}

void store_u32(uint8_t *p, uint32_t value) {
  store_u16(p, (uint16_t)value);
  store_u16(p + 2, (uint16_t)(value >> 16));
}

/* ---- reader ---------------------------------------------------------------------------------- */
reader_t reader_make(const uint8_t *data, size_t size) {
  return (reader_t){.data = data, .size = size, .pos = 0, .ok = true};
}

size_t reader_left(const reader_t *r) {
  return r->ok ? r->size - r->pos : 0;
}

const uint8_t *reader_bytes(reader_t *r, size_t size) {
  if (!r->ok || size > r->size - r->pos) {
    r->ok = false;
    return NULL;
  }
  const uint8_t *p = r->data + r->pos;
  r->pos += size;
  return p;
}

void reader_skip(reader_t *r, size_t size) {
  (void)reader_bytes(r, size);
}

uint8_t reader_u8(reader_t *r) {
  const uint8_t *p = reader_bytes(r, 1);
  return p == NULL ? 0 : *p;
}

uint16_t reader_u16(reader_t *r) {
  const uint8_t *p = reader_bytes(r, 2);
  return p == NULL ? 0 : load_u16(p);
}

uint32_t reader_u32(reader_t *r) {
  const uint8_t *p = reader_bytes(r, 4);
  return p == NULL ? 0 : load_u32(p);
}

uint64_t reader_u64(reader_t *r) {
  const uint8_t *p = reader_bytes(r, 8);
  return p == NULL ? 0 : (uint64_t)load_u32(p) | ((uint64_t)load_u32(p + 4) << 32);
}

/* ---- writer ---------------------------------------------------------------------------------- */
writer_t writer_make(uint8_t *data, size_t size) {
  return (writer_t){.data = data, .size = size, .pos = 0, .ok = true};
}

static uint8_t *writer_take(writer_t *w, size_t size) {
  if (!w->ok || size > w->size - w->pos) {
    w->ok = false;
    return NULL;
  }
  uint8_t *p = w->data + w->pos;
  w->pos += size;
  return p;
}

uint8_t *writer_reserve(writer_t *w, size_t size) {
  uint8_t *p = writer_take(w, size);
  if (p != NULL) {
    bytes_zero(p, size);
  }
  return p;
}

void writer_zeros(writer_t *w, size_t size) {
  (void)writer_reserve(w, size);
}

void writer_bytes(writer_t *w, const uint8_t *data, size_t size) {
  uint8_t *p = writer_take(w, size);
  if (p != NULL) {
    bytes_copy(p, data, size);
  }
}

void writer_u8(writer_t *w, uint8_t value) {
  uint8_t *p = writer_take(w, 1);
  if (p != NULL) {
    *p = value;
  }
}

void writer_u16(writer_t *w, uint16_t value) {
  uint8_t *p = writer_take(w, 2);
  if (p != NULL) {
    store_u16(p, value);
  }
}

void writer_u32(writer_t *w, uint32_t value) {
  uint8_t *p = writer_take(w, 4);
  if (p != NULL) {
    store_u32(p, value);
  }
}

void writer_u64(writer_t *w, uint64_t value) {
  writer_u32(w, (uint32_t)value);
  writer_u32(w, (uint32_t)(value >> 32));
}

void writer_patch_u16(writer_t *w, size_t pos, uint16_t value) {
  if (w->ok && pos + 2 <= w->pos) {
    store_u16(w->data + pos, value);
  }
}
