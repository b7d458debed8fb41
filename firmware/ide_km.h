/* SPDX-License-Identifier: Apache-2.0
 * IDE key management (PCIe Base 6.x, 6.33.3).
 */
#ifndef TEEIO_IDE_KM_H
#define TEEIO_IDE_KM_H

#include "spdm.h"

/* Answers the object in *body (which starts after the protocol byte) into out. */
spdm_result_t ide_km_handle(spdm_t *spdm, spdm_request_t *request, reader_t *body, writer_t *out);
/* Conventional reset: no session owns the port. */
void ide_km_init(void);

#endif
