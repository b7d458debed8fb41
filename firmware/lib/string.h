/* SPDX-License-Identifier: Apache-2.0
 * What the firmware uses of <string.h>, for builds without a C library. */
#ifndef TEEIO_STRING_H
#define TEEIO_STRING_H

#include <stddef.h>

void *memset(void *to, int value, size_t length);
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
int memcmp(const void *a, const void *b, size_t length);

#endif
