/* SPDX-License-Identifier: Apache-2.0
 * Measurement blocks of this device; their contents are defined in docs/data_formats.md.
 */
#ifndef TEEIO_MEASUREMENTS_H
#define TEEIO_MEASUREMENTS_H

#include "bytes.h"
#include "hal/hal.h"

#define MEASUREMENT_COUNT 6u
#define MANIFEST_MAX_BYTES 160u
/* All blocks, the hardware configuration in either form. */
#define MEASUREMENT_RECORD_MAX_BYTES \
  (2u * (7u + 48u) + (7u + 48u) + (7u + 8u) + (7u + MANIFEST_MAX_BYTES) + (7u + 16u))

enum {
  MEASUREMENT_SUMMARY_NONE = 0,
  MEASUREMENT_SUMMARY_TCB = 1,
  MEASUREMENT_SUMMARY_ALL = 0xFF
};

bool measurement_summary_type_is_legal(uint8_t type);
/* SHA-384 over the selected blocks in ascending order, digest form where there is one. */
void measurement_summary(uint8_t type, uint8_t digest[HAL_SHA384_BYTES]);
/* Writes block `index` (1..FEh), raw if asked for and available; false if there is none. */
bool measurement_write_block(uint8_t index, bool want_raw, writer_t *out);
/* Index of the n-th block, n < MEASUREMENT_COUNT. */
uint8_t measurement_index(unsigned n);
/* Value of block FDh: what this firmware was built for (manifest.c). */
void manifest_write(writer_t *out);

#endif
