/* SPDX-License-Identifier: Apache-2.0
 * Boot ROM: measures itself and the firmware ROM, locks the two digests, gives the entry of the
 * firmware to boot_start.S. It trusts nothing outside of this file and takes no input.
 */
#include <stdint.h>

#include "hal/soc.h"

#define BLOCK_WORDS 32u

/* Digest of `bytes` (a multiple of the block size) at `base` into the register window `digest`. */
static void measure(uint32_t base, uint32_t bytes, uint32_t digest) {
  SOC_REG(SOC_SHA, SHA_COMMAND) = SHA_CMD_INIT;
  const volatile uint32_t *p = (const volatile uint32_t *)base;
  const volatile uint32_t *const end = (const volatile uint32_t *)(base + bytes);
  while (p != end) {
    for (unsigned i = 0; i < 8; i++) SOC_REG(SOC_SHA, SHA_DATA + 4 * i) = p[i];
    p += 8;
  }
  /* Padding block: 80h, zeros, length in bits as a 128-bit big-endian number (FIPS 180-4, 5.1.2). */
  SOC_REG(SOC_SHA, SHA_DATA) = 0x80;
  for (unsigned i = 1; i < BLOCK_WORDS - 1; i++) SOC_REG(SOC_SHA, SHA_DATA) = 0;
  SOC_REG(SOC_SHA, SHA_DATA) = __builtin_bswap32(bytes * 8u);
  /* H0..H5, most significant byte first: high word before low word. */
  for (unsigned i = 0; i < 12; i++) {
    const uint32_t word = SOC_REG(SOC_SHA, SHA_STATE + 4 * (i ^ 1u));
    SOC_REG(SOC_MEASURE, digest + 4 * i) = __builtin_bswap32(word);
  }
}

uint32_t boot_main(void) {
  measure(SOC_BOOT_BASE, SOC_BOOT_BYTES, MEASURE_ROM);
  measure(SOC_FIRMWARE_BASE, SOC_FIRMWARE_BYTES, MEASURE_FIRMWARE);
  SOC_REG(SOC_MEASURE, MEASURE_LOCK) = 1;
  SOC_REG(SOC_SHA, SHA_COMMAND) = SHA_CMD_ERASE;
  return SOC_FIRMWARE_BASE;
}
