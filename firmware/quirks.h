/* SPDX-License-Identifier: Apache-2.0
 * Everything in which this firmware can be told to differ from the specification. Default: nothing.
 *
 * The bits come from hal_quirks(): an option of the native process, the definition QUIRKS of a
 * firmware image. They stand in measurement blocks FDh and FEh (docs/data_formats.md), so that no
 * verifier mistakes such a device for one that follows the specification.
 */
#ifndef TEEIO_QUIRKS_H
#define TEEIO_QUIRKS_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/hal.h"

enum {
  /* For a test suite that wants REQ_MSGS_SUPPORTED to name the seven mandatory requests alone:
   * what is optional works, but is not listed. */
  QUIRK_VALIDATOR = 1u << 0,
  /* For a sample requester with fixed numbers: IDE_KM port index 1 is port 0, and TDISP interface
   * BEEFh is that of the first TDI. */
  QUIRK_REFERENCE_REQUESTER = 1u << 1,
  QUIRKS_KNOWN = QUIRK_VALIDATOR | QUIRK_REFERENCE_REQUESTER
};

#define QUIRK_PORT_INDEX 1u
#define QUIRK_INTERFACE 0xBEEFu

static inline bool quirk(uint32_t bit) {
  return (hal_quirks() & bit) != 0;
}

#endif
