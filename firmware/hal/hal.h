/* SPDX-License-Identifier: Apache-2.0
 * Hardware abstraction of the device security manager.
 *
 * Two back ends implement this header: hal_soc.c (registers of the SoC) and hal_native.c (system
 * crypto library, a Linux process). Byte strings are in wire order: a P-384 value is 48 bytes
 * big-endian, an AES key is key byte 0 first. Functions that can fail return false and leave their
 * outputs zeroed. No function keeps a pointer it was given.
 */
#ifndef TEEIO_HAL_H
#define TEEIO_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAL_SHA384_BYTES 48u
#define HAL_P384_BYTES 48u
#define HAL_DOE_BUFFER_BYTES (0x1200u + 8u) /* one DataTransferSize plus the DOE header */

/* ---- events ---------------------------------------------------------------------------------- */
enum {
  HAL_EV_DOE_GO = 1u << 0,        /* a whole data object waits in the request buffer */
  HAL_EV_DOE_ABORT = 1u << 1,     /* the host aborted: forget the exchange in progress */
  HAL_EV_TIMER = 1u << 2,         /* hal_timer_arm() expired */
  HAL_EV_FLR0 = 1u << 3,          /* function 0 was reset: keys are gone, mailbox is idle */
  HAL_EV_STREAM_SHIFT = 8,        /* bits 8..10: stream block left Secure */
  HAL_EV_TDI_SHIFT = 16           /* bits 16..23: TDI entered ERROR */
};
/* Sleeps until at least one event is pending; returns and clears the pending set. */
uint32_t hal_wait_events(void);

/* ---- DOE mailbox ----------------------------------------------------------------------------- */
/* Request object as written by the host; *length is the number of DWs written (header included). */
const uint8_t *hal_doe_request(uint32_t *length_dw);
uint8_t *hal_doe_response(void);            /* HAL_DOE_BUFFER_BYTES, DW aligned */
void hal_doe_respond(uint32_t length_dw);   /* hand the response buffer to the host */
void hal_doe_discard(void);                 /* no answer, mailbox idle again */
void hal_doe_fail(void);                    /* set DOE Error (internal fault) */

/* ---- hash ------------------------------------------------------------------------------------ */
typedef struct {
  uint64_t state[8];
  uint64_t length;      /* bytes hashed so far */
  uint8_t buffer[128];
  uint32_t fill;        /* bytes waiting in buffer */
} hal_sha384_t;
void hal_sha384_init(hal_sha384_t *ctx);
void hal_sha384_update(hal_sha384_t *ctx, const void *data, size_t length);
void hal_sha384_final(hal_sha384_t *ctx, uint8_t digest[HAL_SHA384_BYTES]); /* wipes ctx */

/* ---- AEAD for secured records: AES-256-GCM, 96-bit IV, 128-bit tag ----------------------------- */
enum { HAL_AEAD_SLOTS = 8 };
bool hal_aead_set_key(unsigned slot, const uint8_t key[32]); /* the key cannot be read back */
void hal_aead_erase(unsigned slot);
/* In place on data[length]; aad_length 1..64. */
bool hal_aead_seal(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, uint8_t tag[16]);
/* False if the tag is wrong (constant time); data is zeroed then. */
bool hal_aead_open(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, const uint8_t tag[16]);

/* ---- P-384 and randomness -------------------------------------------------------------------- */
bool hal_p384_keygen(uint8_t public_key[96]);  /* X || Y; the private half stays in the engine */
bool hal_p384_ecdh(const uint8_t peer[96], uint8_t shared_x[48]); /* refuses a bad point; burns the key */
bool hal_p384_sign_identity(const uint8_t digest[48], uint8_t signature[96]); /* r || s */
bool hal_random(uint8_t *out, size_t length);

/* ---- identity and measurements ---------------------------------------------------------------- */
/* Slot 0 certificate structure (length, root hash, certificates): image only, never written. */
const uint8_t *hal_slot0(size_t *length);
enum { HAL_MEAS_ROM = 0, HAL_MEAS_FIRMWARE = 1 };
/* Digest taken by the boot ROM before the firmware ran. */
void hal_measurement(unsigned which, uint8_t digest[HAL_SHA384_BYTES]);

enum {
  HAL_STATUS_SEED_DETERMINISTIC = 1u << 0, /* simulation seed: never trust this device */
  HAL_STATUS_TEST_HOOKS = 1u << 1,         /* test hooks are built in */
  HAL_STATUS_NATIVE = 1u << 2              /* a Linux process, no hardware behind it */
};
uint32_t hal_status(void);
uint32_t hal_num_tdi(void);
uint32_t hal_svn(void);
/* Where this firmware differs from the specification on purpose: quirks.h. */
uint32_t hal_quirks(void);
/* Lab option of the native build: what is signed is said to take so long (us); 0 everywhere else. */
uint32_t hal_lab_delay_us(void);

/* ---- IDE key bus (write only) ------------------------------------------------------------------ */
enum hal_key_status { HAL_KEY_OK = 0, HAL_KEY_REFUSED = 1, HAL_KEY_BAD_INDEX = 2 };
/* key = 32 AES key bytes; block = stream block index (selective blocks first, then link). */
enum hal_key_status hal_ide_key_load(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, const uint8_t key[32], uint16_t session_tag);
enum hal_key_status hal_ide_key_go(unsigned block, bool is_tx, unsigned sub_stream,
                                   unsigned key_set, uint16_t session_tag);
enum hal_key_status hal_ide_key_stop(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, uint16_t session_tag);
/* End of a session: hardware drops every stream keyed and errors every TDI locked under the tag. */
void hal_kill_tag(uint16_t session_tag);

/* ---- TDI command bus --------------------------------------------------------------------------- */
/* Result codes of the hardware (tdisp_pkg::tdi_result_e). */
enum hal_tdi_result {
  HAL_TDI_OK = 0, HAL_TDI_BAD_STATE = 1, HAL_TDI_BAD_REQUEST = 2, HAL_TDI_BAD_NONCE = 3,
  HAL_TDI_NO_ENTROPY = 4, HAL_TDI_BAD_INDEX = 5, HAL_TDI_BAD_CONFIG = 6, HAL_TDI_ABORTED = 7
};
/* p2p_mask: BIND_P2P_ADDRESS_MASK, address bits that do not count when a P2P stream is matched. */
enum hal_tdi_result hal_tdi_lock(unsigned tdi, uint8_t stream_id, uint16_t flags,
                                 uint64_t p2p_mask, uint16_t session_tag, uint8_t nonce[32]);
enum hal_tdi_result hal_tdi_start(unsigned tdi, uint16_t session_tag, const uint8_t nonce[32]);
enum hal_tdi_result hal_tdi_stop(unsigned tdi);
/* In RUN, by the locking session: pages (bit = 4 KiB page of BAR0) become non-TEE or TEE again. */
enum hal_tdi_result hal_tdi_set_attribute(unsigned tdi, uint16_t pages, bool non_tee,
                                          uint16_t session_tag);
/* In RUN, by the locking session: bind or unbind a peer-to-peer stream. */
enum hal_tdi_result hal_tdi_bind_p2p(unsigned tdi, bool bind, uint8_t stream_id,
                                     uint16_t session_tag);
/* DEVICE_INTERFACE_STATE encoding. */
unsigned hal_tdi_state(unsigned tdi);

/* ---- configuration snapshot (read only) --------------------------------------------------------- */
uint32_t hal_config_read(unsigned function, unsigned offset);
uint16_t hal_bus_dev(void); /* captured bus << 8 | device << 3 */

/* ---- time ---------------------------------------------------------------------------------------- */
uint64_t hal_cycles(void);
uint32_t hal_cycles_per_second(void);
void hal_timer_arm(uint64_t cycles_from_now); /* 0 disarms */

#endif
