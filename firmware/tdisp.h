/* SPDX-License-Identifier: Apache-2.0
 * TEE Device Interface Security Protocol 1.0 (PCIe Base 6.x, chapter 11).
 */
#ifndef TEEIO_TDISP_H
#define TEEIO_TDISP_H

#include "spdm.h"

typedef enum {
  TDISP_OK = 0,
  TDISP_INVALID_REQUEST = 0x0001,
  TDISP_INVALID_INTERFACE_STATE = 0x0004,
  TDISP_UNSPECIFIED = 0x0005,
  TDISP_UNSUPPORTED_REQUEST = 0x0007,
  TDISP_VERSION_MISMATCH = 0x0041,
  TDISP_INVALID_INTERFACE = 0x0101,
  TDISP_INVALID_NONCE = 0x0102,
  TDISP_INSUFFICIENT_ENTROPY = 0x0103,
  TDISP_INVALID_DEVICE_CONFIGURATION = 0x0104
} tdisp_result_t;

/* Answers the TDISP message in *body into out; faults of TDISP are TDISP_ERROR messages. */
spdm_result_t tdisp_handle(spdm_t *spdm, spdm_request_t *request, reader_t *body, writer_t *out);
/* Answers the vendor's part of a VDM_REQUEST (after the interface id) into out. */
tdisp_result_t tdisp_vendor_message(spdm_t *spdm, reader_t *body, bool is_update_refused,
                                    writer_t *out);
/* REQ_MSGS_SUPPORTED, low 32 bits. */
uint32_t tdisp_requests(void);
/* LOCK_INTERFACE_FLAGS_SUPPORTED. */
uint16_t tdisp_lock_flags(void);
/* Conventional reset: nothing is locked. */
void tdisp_init(void);

#endif
