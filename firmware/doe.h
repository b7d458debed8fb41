/* SPDX-License-Identifier: Apache-2.0
 * Data Object Exchange (PCIe Base 6.x, 6.30).
 */
#ifndef TEEIO_DOE_H
#define TEEIO_DOE_H

#include "spdm.h"

/* Answers or discards the object that waits in the mailbox. */
void doe_handle(spdm_t *spdm);

#endif
