/* SPDX-License-Identifier: Apache-2.0
 * TDISP responder: see tdisp.h.
 *
 * The state machine, the nonce and the conditions of LOCK live in hardware; this file asks for
 * LOCK, START and STOP and says what came of it. Order of checks: code, size, version, interface,
 * owner, state, fields. Hardware looks at state, stream, session tag and nonce once more.
 */
#include "tdisp.h"

#include "config.h"
#include "device.h"
#include "quirks.h"

enum {
  GET_TDISP_VERSION = 0x81,
  GET_TDISP_CAPABILITIES = 0x82,
  LOCK_INTERFACE = 0x83,
  GET_DEVICE_INTERFACE_REPORT = 0x84,
  GET_DEVICE_INTERFACE_STATE = 0x85,
  START_INTERFACE = 0x86,
  STOP_INTERFACE = 0x87,
  BIND_P2P_STREAM = 0x88,
  UNBIND_P2P_STREAM = 0x89,
  SET_MMIO_ATTRIBUTE = 0x8A,
  VDM_REQUEST = 0x8B,
  TDISP_ERROR = 0x7F
};

enum { STATE_UNLOCKED = 0, STATE_LOCKED = 1, STATE_RUN = 2, STATE_ERROR = 3 };

enum {
  VERSION_1_0 = 0x10,
  HEADER_BYTES = 16,
  INTERFACE_ID_BYTES = 12,
  NONCE_BYTES = 32,
  PAGE_SHIFT = 12
};

/* LOCK flags. Supported: NO_FW_UPDATE, as firmware is never updated at run time, LOCK_MSIX and
 * BIND_P2P. Not: SYSTEM_CACHE_LINE_SIZE (no lightweight notification), ALL_REQUEST_REDIRECT (no
 * address translation that it would change). */
enum {
  FLAG_NO_FW_UPDATE = 1u << 0,
  FLAG_LOCK_MSIX = 1u << 2,
  FLAG_BIND_P2P = 1u << 3,
  FLAGS_DEFINED = 0x1F,
  FLAGS_SUPPORTED = FLAG_NO_FW_UPDATE | FLAG_LOCK_MSIX | FLAG_BIND_P2P
};

/* What LOCK fixed for one TDI; meaningful while its state is not CONFIG_UNLOCKED. */
typedef struct {
  uint64_t reporting_offset;
  uint64_t bar0;
  uint16_t owner_tag; /* session that locked it */
  uint16_t flags;
  uint16_t msix_control;
} locked_t;
static locked_t locked[TDI_MAX];

void tdisp_init(void) {
  bytes_zero(locked, sizeof locked);
}

typedef struct {
  spdm_t *spdm;
  spdm_request_t *spdm_request;
  reader_t body; /* after the header */
  const uint8_t *interface_id;
  unsigned tdi;
} tdisp_request_t;

static void write_header(writer_t *out, uint8_t code, const uint8_t *interface_id) {
  writer_u8(out, VERSION_1_0);
  writer_u8(out, code & 0x7F);
  writer_u16(out, 0);
  writer_bytes(out, interface_id, INTERFACE_ID_BYTES);
}

/* ---- VERSION, CAPABILITIES, STATE ------------------------------------------------------------------ */
static tdisp_result_t get_version(tdisp_request_t *request, writer_t *out) {
  (void)request;
  writer_u8(out, 1);
  writer_u8(out, VERSION_1_0);
  return TDISP_OK;
}

uint32_t tdisp_requests(void) {
  const uint32_t mandatory = 0x00FE; /* requests 81h..87h: bit = code - 80h */
  const uint32_t optional = 0x0F00;  /* P2P streams, attributes, vendor message */
  return quirk(QUIRK_VALIDATOR) ? mandatory : mandatory | optional;
}

uint16_t tdisp_lock_flags(void) {
  return FLAGS_SUPPORTED;
}

static tdisp_result_t get_capabilities(tdisp_request_t *request, writer_t *out) {
  (void)request;
  writer_u32(out, 0);      /* DSM_CAPS */
  writer_u32(out, tdisp_requests());
  writer_zeros(out, 12);
  writer_u16(out, tdisp_lock_flags());
  writer_zeros(out, 3);
  writer_u8(out, 64); /* DEV_ADDR_WIDTH: every address bit is decoded and driven */
  writer_u8(out, 1);  /* NUM_REQ_THIS */
  writer_u8(out, 1);  /* NUM_REQ_ALL */
  return TDISP_OK;
}

static tdisp_result_t get_state(tdisp_request_t *request, writer_t *out) {
  writer_u8(out, (uint8_t)hal_tdi_state(request->tdi));
  return TDISP_OK;
}

/* ---- LOCK, START, STOP ------------------------------------------------------------------------------ */
static tdisp_result_t from_hardware(enum hal_tdi_result result) {
  switch (result) {
    case HAL_TDI_OK:
      return TDISP_OK;
    case HAL_TDI_BAD_STATE:
      return TDISP_INVALID_INTERFACE_STATE;
    case HAL_TDI_BAD_REQUEST:
      return TDISP_INVALID_REQUEST;
    case HAL_TDI_BAD_NONCE:
      return TDISP_INVALID_NONCE;
    case HAL_TDI_NO_ENTROPY:
      return TDISP_INSUFFICIENT_ENTROPY;
    case HAL_TDI_BAD_INDEX:
      return TDISP_INVALID_INTERFACE;
    case HAL_TDI_BAD_CONFIG:
      return TDISP_INVALID_DEVICE_CONFIGURATION;
    case HAL_TDI_ABORTED:
    default:
      return TDISP_UNSPECIFIED;
  }
}

static tdisp_result_t lock(tdisp_request_t *request, writer_t *out) {
  reader_t *r = &request->body;
  locked_t *tdi = &locked[request->tdi];
  unsigned function = request->tdi + 1;
  uint16_t flags = reader_u16(r) & FLAGS_DEFINED;
  uint8_t stream_id = reader_u8(r);
  reader_skip(r, 1);
  uint64_t offset = reader_u64(r);
  uint64_t p2p_mask = reader_u64(r);

  if (!r->ok || (flags & ~(unsigned)FLAGS_SUPPORTED) != 0 ||
      (offset & ((1u << PAGE_SHIFT) - 1)) != 0) {
    return TDISP_INVALID_REQUEST;
  }
  uint16_t tag = request->spdm_request->session->tag;
  uint8_t *nonce = writer_reserve(out, NONCE_BYTES);
  if (nonce == NULL) {
    return TDISP_UNSPECIFIED;
  }
  tdisp_result_t result = from_hardware(hal_tdi_lock(request->tdi, stream_id, flags, p2p_mask, tag, nonce));
  if (result != TDISP_OK) {
    return result;
  }
  /* Read after LOCK: from here on a change of these registers leads to ERROR. */
  unsigned msix = config_find(function, CAPABILITY_MSIX);
  tdi->owner_tag = tag;
  tdi->flags = flags;
  tdi->reporting_offset = offset;
  tdi->bar0 = (uint64_t)(hal_config_read(function, CONFIG_BAR0) & ~(uint32_t)0xF) |
              (uint64_t)hal_config_read(function, CONFIG_BAR1) << 32;
  tdi->msix_control = msix != 0 ? (uint16_t)(hal_config_read(function, msix) >> 16) : 0;
  return TDISP_OK;
}

static tdisp_result_t start(tdisp_request_t *request, writer_t *out) {
  const uint8_t *nonce = reader_bytes(&request->body, NONCE_BYTES);
  (void)out;
  if (nonce == NULL) {
    return TDISP_INVALID_REQUEST;
  }
  return from_hardware(hal_tdi_start(request->tdi, request->spdm_request->session->tag, nonce));
}

static tdisp_result_t stop(tdisp_request_t *request, writer_t *out) {
  (void)out;
  tdisp_result_t result = from_hardware(hal_tdi_stop(request->tdi));
  if (result == TDISP_OK) {
    bytes_zero(&locked[request->tdi], sizeof locked[request->tdi]);
  }
  return result;
}

/* ---- P2P streams ------------------------------------------------------------------------------------ */
static tdisp_result_t p2p(tdisp_request_t *request, bool bind) {
  uint8_t stream_id = reader_u8(&request->body);
  if (!request->body.ok) {
    return TDISP_INVALID_REQUEST;
  }
  return from_hardware(
      hal_tdi_bind_p2p(request->tdi, bind, stream_id, request->spdm_request->session->tag));
}

static tdisp_result_t bind_p2p(tdisp_request_t *request, writer_t *out) {
  (void)out;
  return p2p(request, true);
}

static tdisp_result_t unbind_p2p(tdisp_request_t *request, writer_t *out) {
  (void)out;
  return p2p(request, false);
}

/* NO_FW_UPDATE of one TDI binds the whole device: they share the firmware. */
static tdisp_result_t vendor_message(tdisp_request_t *request, writer_t *out) {
  bool is_refused = false;

  for (unsigned i = 0; i < hal_num_tdi() && i < TDI_MAX; i++) {
    unsigned state = hal_tdi_state(i) & 3;
    if ((state == STATE_LOCKED || state == STATE_RUN) &&
        (locked[i].flags & FLAG_NO_FW_UPDATE) != 0) {
      is_refused = true;
    }
  }
  return tdisp_vendor_message(request->spdm, &request->body, is_refused, out);
}

/* ---- REPORT ------------------------------------------------------------------------------------------ */
enum {
  INFO_NO_FW_UPDATE = 1u << 0,
  INFO_DMA_WITHOUT_PASID = 1u << 1,
  RANGE_MSIX_TABLE = 1u << 0,
  RANGE_MSIX_PBA = 1u << 1,
  RANGE_NON_TEE = 1u << 2,
  RANGE_UPDATABLE = 1u << 3,
  RANGE_BYTES = 16,
  RANGES_MAX = 6,
  REPORT_FIXED_BYTES = 20,
  REPORT_MAX_BYTES = REPORT_FIXED_BYTES + RANGES_MAX * RANGE_BYTES
};
/* So no answer of this file can be too large for a requester that has a session. */
_Static_assert(SPDM_VENDOR_HEADER_BYTES + HEADER_BYTES + 4u + REPORT_MAX_BYTES <=
                   SPDM_SESSION_MIN_BYTES,
               "the largest answer");

/* The last pages of work memory: a trusted VM may share them with the host. */
enum { UPDATABLE_PAGES = 2 };

/* Pages of BAR0 that a trusted VM may touch (docs/registers.md), ascending. Attributes are those
 * of LOCK; the report does not follow SET_MMIO_ATTRIBUTE. */
typedef struct {
  uint8_t page;
  uint8_t count;
  uint8_t attributes;
  bool only_if_msix_locked;
} range_t;
static const range_t ranges[RANGES_MAX] = {
    {0, 1, RANGE_NON_TEE, false},
    {1, 1, 0, false},
    {2, 1, RANGE_MSIX_TABLE, true},
    {3, 1, RANGE_MSIX_PBA, true},
    {8, (TDI_WORK_MEMORY_BYTES >> PAGE_SHIFT) - UPDATABLE_PAGES, 0, false},
    {8 + (TDI_WORK_MEMORY_BYTES >> PAGE_SHIFT) - UPDATABLE_PAGES, UPDATABLE_PAGES, RANGE_UPDATABLE,
     false},
};

static void build_report(const locked_t *tdi, writer_t *w) {
  bool msix_locked = (tdi->flags & FLAG_LOCK_MSIX) != 0;
  uint64_t reported = tdi->bar0 + tdi->reporting_offset; /* modulo 2^64: the offset is signed */
  uint32_t count = 0;

  for (unsigned i = 0; i < RANGES_MAX; i++) {
    count += msix_locked || !ranges[i].only_if_msix_locked ? 1 : 0;
  }
  writer_u16(w, (uint16_t)(INFO_DMA_WITHOUT_PASID |
                           ((tdi->flags & FLAG_NO_FW_UPDATE) != 0 ? INFO_NO_FW_UPDATE : 0)));
  writer_u16(w, 0);
  writer_u16(w, tdi->msix_control);
  writer_u16(w, 0); /* LNR_CONTROL */
  writer_u32(w, 0); /* TPH_CONTROL */
  writer_u32(w, count);
  for (unsigned i = 0; i < RANGES_MAX; i++) {
    if (msix_locked || !ranges[i].only_if_msix_locked) {
      writer_u64(w, (reported + ((uint64_t)ranges[i].page << PAGE_SHIFT)) >> PAGE_SHIFT);
      writer_u32(w, ranges[i].count);
      writer_u16(w, ranges[i].attributes);
      writer_u16(w, 0); /* range id = BAR number */
    }
  }
  writer_u32(w, 0); /* DEVICE_SPECIFIC_INFO_LEN */
}

static tdisp_result_t get_report(tdisp_request_t *request, writer_t *out) {
  uint8_t report[REPORT_MAX_BYTES];
  writer_t w = writer_make(report, sizeof report);
  uint16_t offset = reader_u16(&request->body);
  uint16_t length = reader_u16(&request->body);

  build_report(&locked[request->tdi], &w);
  if (!request->body.ok || length == 0 || offset >= w.pos) {
    return TDISP_INVALID_REQUEST;
  }
  size_t portion = w.pos - offset;
  if (portion > length) {
    portion = length;
  }
  writer_u16(out, (uint16_t)portion);
  writer_u16(out, (uint16_t)(w.pos - offset - portion));
  writer_bytes(out, report + offset, portion);
  return TDISP_OK;
}

/* ---- SET_MMIO_ATTRIBUTE ------------------------------------------------------------------------------- */
/* The range names whole pages of one updatable range of the report, as reported (offset included);
 * of its attributes only IS_NON_TEE_MEM may differ. Hardware knows once more which pages may. */
static tdisp_result_t set_attribute(tdisp_request_t *request, writer_t *out) {
  reader_t *r = &request->body;
  const locked_t *tdi = &locked[request->tdi];
  uint64_t first_page = reader_u64(r);
  uint32_t count = reader_u32(r);
  uint16_t attributes = reader_u16(r);
  uint16_t range_id = reader_u16(r);
  (void)out;

  uint64_t base = (tdi->bar0 + tdi->reporting_offset) >> PAGE_SHIFT;
  uint64_t page = (first_page - base) & (UINT64_MAX >> PAGE_SHIFT);
  const range_t *range = &ranges[RANGES_MAX - 1];
  if (!r->ok || range_id != 0 ||
      (attributes & ~(unsigned)RANGE_NON_TEE) != range->attributes || page < range->page ||
      page >= (uint64_t)range->page + range->count || count == 0 ||
      count > range->page + range->count - page) {
    return TDISP_INVALID_REQUEST;
  }
  uint16_t pages = (uint16_t)(((1u << count) - 1u) << page);
  return from_hardware(hal_tdi_set_attribute(request->tdi, pages,
                                             (attributes & RANGE_NON_TEE) != 0,
                                             request->spdm_request->session->tag));
}

/* ---- legality ------------------------------------------------------------------------------------------ */
enum {
  IN_UNLOCKED = 1u << STATE_UNLOCKED,
  IN_LOCKED = 1u << STATE_LOCKED,
  IN_RUN = 1u << STATE_RUN,
  IN_ERROR = 1u << STATE_ERROR,
  IN_ANY = IN_UNLOCKED | IN_LOCKED | IN_RUN | IN_ERROR
};
/* Who may ask: any session, or only the one that locked the TDI. */
typedef enum { FROM_ANY, FROM_OWNER, FROM_OWNER_OR_IF_DEAD } from_t;

typedef struct {
  uint8_t code;
  uint8_t size; /* of the request; 0: the handler looks at it */
  uint8_t states;
  from_t from;
  tdisp_result_t (*handler)(tdisp_request_t *request, writer_t *out);
} row_t;

static const row_t rows[] = {
    {GET_TDISP_VERSION, 16, IN_ANY, FROM_ANY, get_version},
    {GET_TDISP_CAPABILITIES, 20, IN_ANY, FROM_ANY, get_capabilities},
    {LOCK_INTERFACE, 36, IN_UNLOCKED, FROM_OWNER, lock},
    {GET_DEVICE_INTERFACE_REPORT, 20, IN_LOCKED | IN_RUN, FROM_OWNER, get_report},
    {GET_DEVICE_INTERFACE_STATE, 16, IN_ANY, FROM_ANY, get_state},
    {START_INTERFACE, 48, IN_LOCKED, FROM_OWNER, start},
    {STOP_INTERFACE, 16, IN_ANY, FROM_OWNER_OR_IF_DEAD, stop},
    {BIND_P2P_STREAM, 17, IN_RUN, FROM_OWNER, bind_p2p},
    {UNBIND_P2P_STREAM, 17, IN_RUN, FROM_OWNER, unbind_p2p},
    {SET_MMIO_ATTRIBUTE, 32, IN_RUN, FROM_OWNER, set_attribute},
    {VDM_REQUEST, 0, IN_ANY, FROM_OWNER, vendor_message},
};

static const row_t *find_row(uint8_t code) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].code == code) {
      return &rows[i];
    }
  }
  return NULL;
}

/* FUNCTION_ID: the requester ID of F1..FN. Segment: this device does not know its own, so it is
 * not compared. F0 manages and is not lockable. */
static bool find_tdi(const uint8_t *interface_id, unsigned *tdi) {
  unsigned function = load_u16(interface_id) & 7u;
  unsigned bus_dev = load_u16(interface_id) & 0xFFF8u;
  if (load_u16(interface_id) == QUIRK_INTERFACE && quirk(QUIRK_REFERENCE_REQUESTER)) {
    *tdi = 0;
    return true;
  }
  if (bus_dev != hal_bus_dev() || function == 0 || function > hal_num_tdi() ||
      function > TDI_MAX) {
    return false;
  }
  *tdi = function - 1;
  return true;
}

static tdisp_result_t check_owner(const tdisp_request_t *request, const row_t *row,
                                  unsigned state) {
  uint16_t owner = locked[request->tdi].owner_tag;

  if (state == STATE_UNLOCKED || row->from == FROM_ANY ||
      owner == request->spdm_request->session->tag) {
    return TDISP_OK;
  }
  if (session_is_alive(request->spdm, owner)) {
    return TDISP_INVALID_REQUEST;
  }
  /* The locking session is dead: the TDI is in ERROR and anybody may bring it back. */
  return row->from == FROM_OWNER_OR_IF_DEAD || state == STATE_ERROR ? TDISP_OK
                                                                     : TDISP_INVALID_REQUEST;
}

static tdisp_result_t check(tdisp_request_t *request, const row_t *row, size_t size,
                            uint8_t version) {
  if (row == NULL) {
    return TDISP_UNSUPPORTED_REQUEST;
  }
  if (row->size != 0 && size != row->size) {
    return TDISP_INVALID_REQUEST;
  }
  if (version != VERSION_1_0) {
    return TDISP_VERSION_MISMATCH;
  }
  if (!find_tdi(request->interface_id, &request->tdi)) {
    return TDISP_INVALID_INTERFACE;
  }
  unsigned state = hal_tdi_state(request->tdi) & 3;
  tdisp_result_t result = check_owner(request, row, state);
  if (result != TDISP_OK) {
    return result;
  }
  return (row->states & (1u << state)) != 0 ? TDISP_OK : TDISP_INVALID_INTERFACE_STATE;
}

spdm_result_t tdisp_handle(spdm_t *spdm, spdm_request_t *spdm_request, reader_t *body,
                           writer_t *out) {
  size_t begin = out->pos;
  tdisp_request_t request = {.spdm = spdm, .spdm_request = spdm_request, .tdi = 0};
  uint8_t version = reader_u8(body);
  uint8_t code = reader_u8(body);
  reader_skip(body, 2);
  request.interface_id = reader_bytes(body, INTERFACE_ID_BYTES);
  if (request.interface_id == NULL) {
    return SPDM_INVALID_REQUEST; /* no header, so there is nothing a TDISP_ERROR could echo */
  }
  request.body = *body;
  const row_t *row = find_row(code);
  tdisp_result_t result = check(&request, row, body->size, version);
  if (result == TDISP_OK) {
    write_header(out, code, request.interface_id);
    result = row->handler(&request, out);
  }
  if (result != TDISP_OK) {
    out->pos = begin;
    write_header(out, TDISP_ERROR, request.interface_id);
    writer_u32(out, (uint32_t)result);
    writer_u32(out, result == TDISP_UNSUPPORTED_REQUEST ? code : 0);
  }
  return SPDM_OK;
}
