/* SPDX-License-Identifier: Apache-2.0
 * Certificate slots: 0 from the image, 1..7 in RAM until the next conventional reset.
 *
 * RAM holds SLOT_STORES chains, whatever their numbers; a further one is refused. All slots certify
 * the one identity key: a chain whose leaf has another key is refused.
 */
#ifndef TEEIO_SLOTS_H
#define TEEIO_SLOTS_H

#include "bytes.h"
#include "hal/hal.h"

#define SLOT_COUNT 8u
#define SLOT_STORES 2u
#define SLOT_STORE_BYTES 2048u

/* Conventional reset: slots 1..7 are empty. */
void slots_init(void);
/* Mask of the slots that hold a chain. */
uint8_t slots_provisioned(void);
bool slot_is_provisioned(unsigned slot);
/* The structure in a slot, NULL with size 0 if it is empty. */
const uint8_t *slot_structure(unsigned slot, size_t *size);
/* SHA-384 over it, NULL if it is empty. */
const uint8_t *slot_digest(unsigned slot);

typedef enum { SLOT_OK = 0, SLOT_MALFORMED, SLOT_NO_ROOM } slot_result_t;
/* Replaces what slot 1..7 holds. */
slot_result_t slot_write(unsigned slot, const uint8_t *structure, size_t size);
void slot_erase(unsigned slot);
/* SubjectPublicKeyInfo and subject (whole DER elements) of slot 0's leaf; false if there is none. */
bool slot_identity(reader_t *subject, reader_t *spki);

#endif
