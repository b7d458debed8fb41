/* SPDX-License-Identifier: Apache-2.0
 * SPDM 1.2 and 1.3 responder (DSP0274): codes, state, and what its files share.
 *
 * One connection, SPDM_MAX_SESSIONS sessions, one fixed suite: ECDSA P-384, SHA-384, secp384r1,
 * AES-256-GCM. Messages are hashed as they pass; only the first six (VCA) are kept, because every
 * transcript starts with them.
 */
#ifndef TEEIO_SPDM_H
#define TEEIO_SPDM_H

#include "bytes.h"
#include "hal/hal.h"

#ifndef SPDM_MAX_SESSIONS
#define SPDM_MAX_SESSIONS 2u
#endif

#define SPDM_HASH_BYTES HAL_SHA384_BYTES
#define SPDM_SIGNATURE_BYTES 96u
#define SPDM_EXCHANGE_BYTES 96u
#define SPDM_NONCE_BYTES 32u
#define SPDM_CONTEXT_BYTES 8u /* RequesterContext, from 1.3 on */
#define SPDM_VCA_BYTES 256u
/* Largest message of either direction, chunks put together: what a record of one mailbox holds. */
#define SPDM_MESSAGE_BYTES (HAL_DOE_BUFFER_BYTES - 8u - 24u)
/* Largest message that comes or goes in one piece from the requester. Less needs CHUNK_SEND. */
#ifndef SPDM_DATA_TRANSFER_BYTES
#define SPDM_DATA_TRANSFER_BYTES SPDM_MESSAGE_BYTES
#endif
#define SPDM_MIN_DATA_TRANSFER_BYTES 42u
/* KEY_EXCHANGE_RSP without summary: who cannot receive so much gets no session. */
#define SPDM_SESSION_MIN_BYTES 294u
/* Last session number: 0 and FFFFh are none. */
#ifndef SPDM_LAST_TAG
#define SPDM_LAST_TAG 0xFFFEu
#endif
#define SPDM_VENDOR_HEADER_BYTES 12u /* VENDOR_DEFINED up to the protocol byte */

/* Request codes; a response has the same code with bit 7 clear. */
enum {
  SPDM_GET_DIGESTS = 0x81,
  SPDM_GET_CERTIFICATE = 0x82,
  SPDM_CHALLENGE = 0x83,
  SPDM_GET_VERSION = 0x84,
  SPDM_CHUNK_SEND = 0x85,
  SPDM_CHUNK_GET = 0x86,
  SPDM_GET_MEASUREMENTS = 0xE0,
  SPDM_GET_CAPABILITIES = 0xE1,
  SPDM_NEGOTIATE_ALGORITHMS = 0xE3,
  SPDM_KEY_EXCHANGE = 0xE4,
  SPDM_FINISH = 0xE5,
  SPDM_HEARTBEAT = 0xE8,
  SPDM_KEY_UPDATE = 0xE9,
  SPDM_END_SESSION = 0xEC,
  SPDM_GET_CSR = 0xED,
  SPDM_SET_CERTIFICATE = 0xEE,
  SPDM_VENDOR_DEFINED = 0xFE,
  SPDM_RESPOND_IF_READY = 0xFF,
  SPDM_ERROR = 0x7F
};

enum { SPDM_VERSION_10 = 0x10, SPDM_VERSION_12 = 0x12, SPDM_VERSION_13 = 0x13 };
enum { SECURED_VERSION_11 = 0x1100, SECURED_VERSION_12 = 0x1200 };

/* What a handler says: 0, an ERROR code of the specification, or that nobody gets an answer. */
typedef enum {
  SPDM_OK = 0x00,
  SPDM_INVALID_REQUEST = 0x01,
  SPDM_BUSY = 0x03,
  SPDM_UNEXPECTED_REQUEST = 0x04,
  SPDM_UNSPECIFIED = 0x05,
  SPDM_DECRYPT_ERROR = 0x06,
  SPDM_UNSUPPORTED_REQUEST = 0x07, /* ErrorData = the request code */
  SPDM_SESSION_LIMIT_EXCEEDED = 0x0A,
  SPDM_SESSION_REQUIRED = 0x0B,
  SPDM_RESPONSE_TOO_LARGE = 0x0D, /* extended data: the size, u32 */
  SPDM_REQUEST_TOO_LARGE = 0x0E,
  SPDM_LARGE_RESPONSE = 0x0F, /* extended data: the handle, u8 */
  SPDM_VERSION_MISMATCH = 0x41,
  SPDM_RESPONSE_NOT_READY = 0x42, /* extended data: RDTExponent, code, token, RDTM */
  SPDM_REQUEST_RESYNCH = 0x43,
  SPDM_OPERATION_FAILED = 0x44, /* 1.3 */
  SPDM_SILENT = 0x100
} spdm_result_t;

/* Capability flags, same bit in both directions. */
enum {
  SPDM_CAP_CERT = 1u << 1,
  SPDM_CAP_CHAL = 1u << 2,
  SPDM_CAP_MEAS_SIGNED = 2u << 3,
  SPDM_CAP_ENCRYPT = 1u << 6,
  SPDM_CAP_MAC = 1u << 7,
  SPDM_CAP_MUT_AUTH = 1u << 8,
  SPDM_CAP_KEY_EX = 1u << 9,
  SPDM_CAP_PSK_SHIFT = 10,
  SPDM_CAP_HBEAT = 1u << 13,
  SPDM_CAP_KEY_UPD = 1u << 14,
  SPDM_CAP_HANDSHAKE_CLEAR = 1u << 15,
  SPDM_CAP_PUB_KEY_ID = 1u << 16,
  SPDM_CAP_CHUNK = 1u << 17,
  SPDM_CAP_SET_CERT = 1u << 19,
  SPDM_CAP_CSR = 1u << 20,
  SPDM_CAP_EP_INFO_SHIFT = 22,
  SPDM_CAP_EVENT = 1u << 25,
  SPDM_CAP_MULTI_KEY_SHIFT = 26
};
#define SPDM_CAPS_SESSION (SPDM_CAP_KEY_EX | SPDM_CAP_ENCRYPT | SPDM_CAP_MAC)

typedef enum {
  SPDM_NOT_STARTED = 0,
  SPDM_AFTER_VERSION = 1,
  SPDM_AFTER_CAPABILITIES = 2,
  SPDM_NEGOTIATED = 3
} spdm_state_t;

/* A running hash that starts with VCA; not active = empty. */
typedef struct {
  hal_sha384_t hash;
  bool active;
} transcript_t;

/* One direction of a session's records: the key itself is in AEAD slot `slot`. */
typedef struct {
  uint8_t secret[SPDM_HASH_BYTES]; /* traffic secret, for KEY_UPDATE */
  uint8_t iv[12];
  uint8_t slot;
  uint64_t sequence;
} direction_t;

typedef enum { SESSION_FREE = 0, SESSION_HANDSHAKE, SESSION_ESTABLISHED } session_phase_t;
/* What happens to a session once the response has left. */
typedef enum { AFTER_NOTHING = 0, AFTER_ESTABLISH, AFTER_END } session_after_t;

typedef struct {
  session_phase_t phase;
  session_after_t after;
  uint32_t id;              /* responder half << 16 | requester half */
  uint16_t tag;             /* never 0, never used twice until reset */
  uint8_t heartbeat_period; /* seconds, 0 = none */
  bool ends_on_update;      /* session policy: the session dies with the firmware it began with */
  bool update_pending;      /* KEY_UPDATE 1 or 2 done, 3 not yet */
  uint64_t deadline;        /* device cycle at which the heartbeat watchdog ends the session */
  direction_t request;
  direction_t response;
  direction_t request_old; /* valid while update_pending */
  uint8_t handshake_secret[SPDM_HASH_BYTES];
  uint8_t finished_key[SPDM_HASH_BYTES]; /* of the requester */
  hal_sha384_t th;
  transcript_t l1l2;
} session_t;

typedef struct {
  spdm_state_t state;
  uint8_t version; /* negotiated, 0 before CAPABILITIES */
  bool opaque_fmt1;
  bool is_updated; /* the firmware changed: in clear nothing but GET_VERSION goes on */
  uint32_t peer_flags;
  uint32_t peer_bytes;         /* requester's DataTransferSize */
  uint32_t peer_message_bytes; /* largest message for it: with CHUNK its MaxSPDMmsgSize */
  uint8_t vca[SPDM_VCA_BYTES];
  uint16_t vca_size;
  uint16_t vca_mark[4]; /* start and end of the last GET_CAPABILITIES, of NEGOTIATE_ALGORITHMS */
  transcript_t m1m2;
  transcript_t l1l2;
  session_t sessions[SPDM_MAX_SESSIONS];
  uint16_t last_tag;
} spdm_t;

typedef struct {
  const uint8_t *message; /* starts with the SPDM header */
  size_t size;            /* in clear: up to 3 bytes of DOE padding until spdm_exact() */
  reader_t body;          /* what follows the header */
  uint8_t code;
  uint8_t param1;
  uint8_t param2;
  session_t *session; /* NULL outside a session */
  uint32_t extended;  /* extended data of the ERROR that the handler asks for */
  bool is_whole;      /* CHUNK_SEND: the last chunk is there, the large request can be answered */
} spdm_request_t;

typedef spdm_result_t (*spdm_handler_t)(spdm_t *spdm, spdm_request_t *request, writer_t *out);

/* ---- spdm.c: dispatch ------------------------------------------------------------------------- */
void spdm_init(spdm_t *spdm);
/* Ends every session and forgets the connection; session tags stay used up. */
void spdm_disconnect(spdm_t *spdm);
/* The firmware changed at run time: every stream and TDI is given up, sessions go by their policy
 * (after the answer that is being written), in clear the connection must start anew. */
void spdm_updated(spdm_t *spdm);
/* Answers one message into out[capacity]; 0 = no answer. `session` is NULL for a clear message. */
size_t spdm_handle(spdm_t *spdm, session_t *session, const uint8_t *message, size_t size,
                   uint8_t *out, size_t capacity);
/* An ERROR in `version`, 0 = none negotiated yet; `extended` is cut to what its code defines. */
size_t spdm_write_error(uint8_t version, spdm_result_t result, uint8_t data, uint32_t extended,
                        uint8_t *out, size_t capacity);
/* True if the message has exactly `size` bytes (in clear: plus DOE padding, cut off here). */
bool spdm_exact(spdm_request_t *request, size_t size);
/* True if the requester can receive `size` bytes; otherwise notes the size for the ERROR. */
bool spdm_fits(const spdm_t *spdm, spdm_request_t *request, size_t size);
void spdm_header(const spdm_t *spdm, writer_t *out, uint8_t code, uint8_t param1, uint8_t param2);
/* Both sides can take messages in chunks. */
bool spdm_can_chunk(const spdm_t *spdm);

/* ---- deferred.c: large requests, and answers that are fetched later ---------------------------- */
/* SPDM_OK if `request` may come now: another one waits while a transfer is under way. */
spdm_result_t deferred_admit(const spdm_request_t *request);
/* Keeps a finished answer for CHUNK_GET, or for RESPOND_IF_READY, and says so by an ERROR code. */
spdm_result_t deferred_large_answer(spdm_request_t *request, const writer_t *answer);
spdm_result_t deferred_late_answer(spdm_request_t *request, const writer_t *answer,
                                   uint32_t delay_us);
/* The large request that is_whole announced. */
const uint8_t *deferred_request(size_t *size);
/* Forgets the large request unless an answer has taken its place. */
void deferred_request_done(void);
/* Forgets a transfer: any, or that of one session (its tag). */
void deferred_drop(void);
void deferred_drop_session(uint16_t tag);

/* ---- transcript.c -------------------------------------------------------------------------------- */
void transcript_drop(transcript_t *t);
/* Starts with VCA if it is not active, then adds. */
void transcript_add(const spdm_t *spdm, transcript_t *t, const uint8_t *data, size_t size);
void transcript_digest(const hal_sha384_t *hash, uint8_t digest[SPDM_HASH_BYTES]); /* keeps it */
/* Signs a transcript digest under `label` (DSP0274 1.2, combined_spdm_prefix). */
bool transcript_sign(const spdm_t *spdm, const char *label, const uint8_t digest[SPDM_HASH_BYTES],
                     uint8_t signature[SPDM_SIGNATURE_BYTES]);

/* ---- secured.c: records and the life of a session ---------------------------------------------- */
/* Answers one secured record into out (record header included); 0 = no answer. */
size_t secured_handle(spdm_t *spdm, const uint8_t *record, size_t size, uint8_t *out,
                      size_t capacity);
session_t *session_open(spdm_t *spdm, uint16_t requester_half, spdm_result_t *error);
void session_end(session_t *session);
bool session_is_alive(const spdm_t *spdm, uint16_t tag);
/* Ends sessions whose heartbeat is overdue and arms the timer for the next one. */
void session_watchdog(spdm_t *spdm);
bool direction_install(const spdm_t *spdm, direction_t *direction); /* key, IV from its secret */

/* ---- handlers ------------------------------------------------------------------------------------ */
spdm_result_t spdm_get_version(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_get_capabilities(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_negotiate_algorithms(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_get_digests(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_get_certificate(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_challenge(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_get_measurements(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_key_exchange(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_finish(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_heartbeat(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_key_update(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_end_session(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_vendor_defined(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_get_csr(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_set_certificate(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_chunk_send(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_chunk_get(spdm_t *spdm, spdm_request_t *request, writer_t *out);
spdm_result_t spdm_respond_if_ready(spdm_t *spdm, spdm_request_t *request, writer_t *out);
/* True if a clear VENDOR_DEFINED message names IDE_KM or TDISP. */
bool spdm_vendor_is_session_only(const uint8_t *message, size_t size);

/* Constant of opaque.c: highest common secured message version, or 0. */
uint16_t opaque_select_version(const uint8_t *opaque, size_t size);
#define OPAQUE_SELECTION_BYTES 12u
void opaque_write_selection(writer_t *out, uint16_t version);

#endif
