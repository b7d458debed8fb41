/* SPDX-License-Identifier: Apache-2.0
 * TEE Device Interface Security Protocol 1.0 (PCIe Base 6.x, chapter 11).
 */
#ifndef TEEIO_TDISP_H
#define TEEIO_TDISP_H

#include "spdm.h"

/* Answers the TDISP message in *body into out; faults of TDISP are TDISP_ERROR messages. */
spdm_result_t tdisp_handle(spdm_t *spdm, spdm_request_t *request, reader_t *body, writer_t *out);
/* Conventional reset: nothing is locked. */
void tdisp_init(void);

#endif
