/* SPDX-License-Identifier: Apache-2.0
 * IDE key management: see ide_km.h.
 *
 * Order of checks in KEY_PROG: length, port, everything else; faults there are told by KP_ACK.
 * Where an object has no status field a fault is an SPDM ERROR. The first session that speaks
 * IDE_KM owns the port while it lives; another one gets no answer.
 */
#include "ide_km.h"

#include "config.h"
#include "quirks.h"

enum {
  OBJECT_QUERY = 0,
  OBJECT_QUERY_RESP = 1,
  OBJECT_KEY_PROG = 2,
  OBJECT_KP_ACK = 3,
  OBJECT_K_SET_GO = 4,
  OBJECT_K_SET_STOP = 5,
  OBJECT_K_GOSTOP_ACK = 6
};

enum { /* bytes after the protocol byte */
  QUERY_BYTES = 3,
  KEY_PROG_BYTES = 47,
  KEY_PROG_ECHO_BYTES = 7,
  GO_STOP_BYTES = 7,
  QUERY_RESP_BYTES = 7
};

enum {
  KP_OK = 0,
  KP_BAD_LENGTH = 1,
  KP_BAD_PORT = 2,
  KP_BAD_VALUE = 3,
  KP_FAILED = 4
};

enum { KEY_BYTES = 32, SUB_STREAMS = 3, IDE_CAPABILITY_OFFSET = 4 };

static uint16_t owner_tag;

void ide_km_init(void) {
  owner_tag = 0;
}

static uint8_t last_port(void) {
  return quirk(QUIRK_REFERENCE_REQUESTER) ? QUIRK_PORT_INDEX : 0;
}

static bool port_is_known(uint8_t port) {
  return port <= last_port();
}

/* What KEY_PROG, K_SET_GO and K_SET_STOP have in common. */
typedef struct {
  uint8_t stream_id;
  uint8_t key_info;
  uint8_t port;
  bool key_set;
  bool is_tx;
  uint8_t sub_stream;
} key_name_t;

static key_name_t read_key_name(reader_t *r) {
  key_name_t name;
  reader_skip(r, 2);
  name.stream_id = reader_u8(r);
  reader_skip(r, 1);
  name.key_info = reader_u8(r);
  name.port = reader_u8(r);
  name.key_set = (name.key_info & 1) != 0;
  name.is_tx = (name.key_info & 2) != 0;
  name.sub_stream = name.key_info >> 4;
  return name;
}

static void write_ack(writer_t *out, uint8_t object, const key_name_t *name, uint8_t status) {
  writer_u8(out, object);
  writer_u16(out, 0);
  writer_u8(out, name->stream_id);
  writer_u8(out, status);
  writer_u8(out, name->key_info);
  writer_u8(out, name->port);
}

/* ---- QUERY ---------------------------------------------------------------------------------------- */
static spdm_result_t query(const spdm_t *spdm, spdm_request_t *request, reader_t *r,
                           writer_t *out) {
  ide_layout_t layout;

  reader_skip(r, 1);
  uint8_t port = reader_u8(r);
  if (!r->ok || reader_left(r) != 0 || !port_is_known(port)) {
    return SPDM_INVALID_REQUEST;
  }
  ide_layout(&layout);
  if (!spdm_fits(spdm, request,
                 SPDM_VENDOR_HEADER_BYTES + QUERY_RESP_BYTES + (size_t)4 * layout.words)) {
    return SPDM_RESPONSE_TOO_LARGE;
  }
  uint16_t bus_dev = hal_bus_dev();
  writer_u8(out, OBJECT_QUERY_RESP);
  writer_u8(out, 0);
  writer_u8(out, port);
  writer_u8(out, (uint8_t)bus_dev); /* device and function 0 */
  writer_u8(out, (uint8_t)(bus_dev >> 8));
  writer_u8(out, 0); /* segment */
  writer_u8(out, last_port()); /* MaxPortIndex */
  for (unsigned i = 0; i < layout.words; i++) {
    writer_u32(out, hal_config_read(0, layout.offset + IDE_CAPABILITY_OFFSET + 4 * i));
  }
  return SPDM_OK;
}

/* ---- KEY_PROG ------------------------------------------------------------------------------------- */
/* The key travels as eight little-endian DWs, the one with key byte 0 first and key byte 0 in its
 * top byte: the AES key is each DW byte-reversed, in wire order. */
static void key_from_wire(const uint8_t *wire, uint8_t key[KEY_BYTES]) {
  for (unsigned i = 0; i < KEY_BYTES; i++) {
    key[i] = wire[(i & ~3u) + (3 - (i & 3))];
  }
}

static uint8_t program(const key_name_t *name, const uint8_t *wire_key, uint32_t ifv_high,
                       uint32_t ifv_low, uint16_t tag) {
  uint8_t key[KEY_BYTES];
  unsigned block = 0;

  if (!port_is_known(name->port)) {
    return KP_BAD_PORT;
  }
  if (name->sub_stream >= SUB_STREAMS || ifv_high != 0 || ifv_low != 1 ||
      !ide_find_block(name->stream_id, &block)) {
    return KP_BAD_VALUE;
  }
  key_from_wire(wire_key, key);
  enum hal_key_status status =
      hal_ide_key_load(block, name->is_tx, name->sub_stream, name->key_set, key, tag);
  wipe(key, sizeof key);
  switch (status) {
    case HAL_KEY_OK:
      return KP_OK;
    case HAL_KEY_BAD_INDEX:
      return KP_BAD_VALUE;
    case HAL_KEY_REFUSED:
    default:
      return KP_FAILED;
  }
}

static spdm_result_t key_prog(const session_t *session, reader_t *r, writer_t *out) {
  bool length_ok = r->size == KEY_PROG_BYTES;
  key_name_t name = read_key_name(r);
  if (!r->ok) {
    return SPDM_INVALID_REQUEST; /* nothing there that could be echoed */
  }
  uint8_t status = KP_BAD_LENGTH;
  if (length_ok) {
    const uint8_t *key = reader_bytes(r, KEY_BYTES);
    uint32_t ifv_high = reader_u32(r);
    uint32_t ifv_low = reader_u32(r);
    status = program(&name, key, ifv_high, ifv_low, session->tag);
  }
  write_ack(out, OBJECT_KP_ACK, &name, status);
  return SPDM_OK;
}

/* ---- K_SET_GO, K_SET_STOP -------------------------------------------------------------------------- */
/* GO of a stream that no register names is an error: an acknowledgement would claim that a key runs.
 * STOP of such a stream is acknowledged: there is no key left. */
static spdm_result_t go_stop(const session_t *session, reader_t *r, bool go, writer_t *out) {
  unsigned block = 0;
  bool length_ok = r->size == GO_STOP_BYTES;
  key_name_t name = read_key_name(r);

  if (!length_ok || !port_is_known(name.port) || name.sub_stream >= SUB_STREAMS) {
    return SPDM_INVALID_REQUEST;
  }
  bool found = ide_find_block(name.stream_id, &block);
  if (go && !found) {
    return SPDM_INVALID_REQUEST;
  }
  if (go) {
    (void)hal_ide_key_go(block, name.is_tx, name.sub_stream, name.key_set, session->tag);
  } else if (found) {
    (void)hal_ide_key_stop(block, name.is_tx, name.sub_stream, name.key_set, session->tag);
  }
  write_ack(out, OBJECT_K_GOSTOP_ACK, &name, 0);
  return SPDM_OK;
}

spdm_result_t ide_km_handle(spdm_t *spdm, spdm_request_t *request, reader_t *body,
                            writer_t *out) {
  session_t *session = request->session;

  if (owner_tag != session->tag && session_is_alive(spdm, owner_tag)) {
    return SPDM_SILENT;
  }
  owner_tag = session->tag;
  switch (reader_u8(body)) {
    case OBJECT_QUERY:
      return body->ok ? query(spdm, request, body, out) : SPDM_INVALID_REQUEST;
    case OBJECT_KEY_PROG:
      return key_prog(session, body, out);
    case OBJECT_K_SET_GO:
      return go_stop(session, body, true, out);
    case OBJECT_K_SET_STOP:
      return go_stop(session, body, false, out);
    default:
      return SPDM_INVALID_REQUEST;
  }
}
