/* SPDX-License-Identifier: Apache-2.0
 * The four memory functions that a freestanding compiler may call. Words where both sides allow it:
 * the CPU has no data cache, so a byte costs as much as a word.
 */
#include <stdint.h>
#include <string.h>

/* Keep the compiler from recognising these loops as calls of themselves. */
#define NO_LOOP_IDIOM __attribute__((no_builtin))

NO_LOOP_IDIOM void *memset(void *to, int value, size_t length) {
  uint8_t *p = to;
  const uint32_t byte = (uint8_t)value;
  const uint32_t word = byte * 0x01010101u;
  while (length > 0 && ((uintptr_t)p & 3u) != 0) {
    *p++ = (uint8_t)byte;
    length--;
  }
  for (; length >= 4; length -= 4, p += 4) *(volatile uint32_t *)(void *)p = word;
  while (length-- > 0) *p++ = (uint8_t)byte;
  return to;
}

NO_LOOP_IDIOM void *memcpy(void *restrict to, const void *restrict from, size_t length) {
  uint8_t *d = to;
  const uint8_t *s = from;
  if ((((uintptr_t)d ^ (uintptr_t)s) & 3u) == 0) {
    while (length > 0 && ((uintptr_t)d & 3u) != 0) {
      *d++ = *s++;
      length--;
    }
    for (; length >= 4; length -= 4, d += 4, s += 4) {
      *(volatile uint32_t *)(void *)d = *(const uint32_t *)(const void *)s;
    }
  }
  while (length-- > 0) *d++ = *s++;
  return to;
}

NO_LOOP_IDIOM void *memmove(void *to, const void *from, size_t length) {
  uint8_t *d = to;
  const uint8_t *s = from;
  if ((uintptr_t)d - (uintptr_t)s >= length) return memcpy(to, from, length);
  while (length-- > 0) d[length] = s[length];
  return to;
}

/* Not constant time: never for secrets. */
NO_LOOP_IDIOM int memcmp(const void *a, const void *b, size_t length) {
  const uint8_t *x = a;
  const uint8_t *y = b;
  for (; length > 0; length--, x++, y++) {
    if (*x != *y) return (int)*x - (int)*y;
  }
  return 0;
}
