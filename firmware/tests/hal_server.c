/* SPDX-License-Identifier: Apache-2.0
 * Test image: every HAL function as a remote call over the DOE mailbox.
 *
 * A request object is {header DW, length, operation, arguments...}, the answer {header DW, length,
 * results...}. It runs on the SoC in place of the firmware; the caller (cocotb_tests/dsm) computes
 * what each call must return with other means. Pokes and peeks let it try what firmware must not be
 * able to do.
 */
#include <string.h>

#include "hal/hal.h"
#include "hal/soc.h"

enum op {
  OP_PEEK = 1,        /* address, words -> values */
  OP_POKE = 2,        /* address, values... -> */
  OP_SHA = 3,         /* bytes, step, offset, data... -> digest (fed in pieces of `step` bytes) */
  OP_SHA_TWO = 4,     /* bytes, step, data... -> digest of data, digest of its complement */
  OP_MEASUREMENT = 5, /* which -> digest */
  OP_SLOT0 = 6,       /* -> length, digest of the structure */
  OP_STATUS = 7,      /* -> status, number of TDIs, SVN, cycles per second, bus_dev */
  OP_CYCLES = 8,      /* readings -> low, high of each */
  OP_TIMER = 9,       /* cycles -> events, cycles that passed */
  OP_RANDOM = 10,     /* bytes -> ok, bytes */
  OP_KEY_LOAD = 11,   /* block, is_tx, sub_stream, key_set, tag, key -> status */
  OP_KEY_GO = 12,
  OP_KEY_STOP = 13,
  OP_KILL_TAG = 14,   /* tag -> */
  OP_TDI_LOCK = 15,   /* tdi, stream, flags, tag -> result, nonce */
  OP_TDI_START = 16,  /* tdi, tag, nonce -> result */
  OP_TDI_STOP = 17,   /* tdi -> result */
  OP_TDI_STATE = 18,  /* tdi -> state */
  OP_CONFIG = 19,     /* function, offset -> value */
  OP_AEAD_KEY = 20,   /* slot, key -> ok */
  OP_AEAD_ERASE = 21, /* slot -> */
  OP_AEAD_SEAL = 22,  /* slot, iv (3 DW), aad bytes, data bytes, aad, data -> ok, tag, data */
  OP_AEAD_OPEN = 23,  /* as seal with the tag (4 DW) after iv -> ok, data */
  OP_KEYGEN = 24,     /* -> ok, public key */
  OP_ECDH = 25,       /* peer -> ok, shared x */
  OP_SIGN = 26,       /* digest -> ok, signature */
  OP_TRAP = 27,       /* which: 0 illegal instruction, 1 jump to RAM, 2 unmapped read, 3 ROM write */
  OP_DISCARD = 28,
  OP_FAIL = 29,
  OP_RESPOND = 30,    /* length in DW -> an answer of that length */
  OP_EVENTS = 31,     /* -> events seen since the last call, DOE_GO left out */
  OP_MASK_FAULT = 32, /* 0: bus faults do not interrupt; 1: they do */
  OP_STACK = 33,      /* -> bytes of stack never touched */
  OP_COPY = 34        /* to offset, from offset, bytes, move? -> both areas after memcpy/memmove */
};

static uint32_t request[HAL_DOE_BUFFER_BYTES / 4];
static uint32_t seen;

extern uint8_t _stack_bottom[], _stack_top[];

static const uint8_t *bytes_of(const uint32_t *words) {
  return (const uint8_t *)(const void *)words;
}

static uint32_t sha_pieces(hal_sha384_t *ctx, const uint8_t *data, uint32_t length, uint32_t step) {
  const uint32_t part = step < length ? step : length;
  hal_sha384_update(ctx, data, part);
  return part;
}

static void trap(uint32_t which) {
  if (which == 0) __asm__ volatile(".word 0");
  if (which == 1) ((void (*)(void))(SOC_RAM_BASE + 0x100u))();
  if (which == 2) (void)SOC_REG(0x50000000u, 0);
  if (which == 3) SOC_REG(SOC_FIRMWARE_BASE, 0) = 0;
}

/* Runs one call; returns the number of result DWs at `out`, or UINT32_MAX if it answered itself. */
static uint32_t call(uint32_t op, const uint32_t *in, uint32_t count, uint32_t *out) {
  uint8_t *const out_bytes = (uint8_t *)(void *)out;
  hal_sha384_t a;
  hal_sha384_t b;
  size_t size;
  switch (op) {
    case OP_PEEK:
      for (uint32_t i = 0; i < in[1]; i++) out[i] = SOC_REG(in[0], 4 * i);
      return in[1];
    case OP_POKE:
      for (uint32_t i = 1; i < count; i++) SOC_REG(in[0], 4 * (i - 1)) = in[i];
      return 0;
    case OP_SHA: {
      const uint8_t *p = bytes_of(in + 3) + in[2];
      hal_sha384_init(&a);
      for (uint32_t left = in[0]; left > 0;) {
        const uint32_t part = sha_pieces(&a, p, left, in[1]);
        p += part;
        left -= part;
      }
      hal_sha384_final(&a, out_bytes);
      return 12;
    }
    case OP_SHA_TWO: {
      const uint8_t *p = bytes_of(in + 2);
      hal_sha384_init(&a);
      hal_sha384_init(&b);
      for (uint32_t left = in[0]; left > 0;) {
        uint8_t flipped[256];
        const uint32_t part = sha_pieces(&a, p, left, in[1]);
        for (uint32_t i = 0; i < part; i++) flipped[i] = (uint8_t)~p[i];
        hal_sha384_update(&b, flipped, part);
        p += part;
        left -= part;
      }
      hal_sha384_final(&b, out_bytes + 48);
      hal_sha384_final(&a, out_bytes);
      return 24;
    }
    case OP_MEASUREMENT:
      hal_measurement(in[0], out_bytes);
      return 12;
    case OP_SLOT0: {
      const uint8_t *structure = hal_slot0(&size);
      hal_sha384_init(&a);
      hal_sha384_update(&a, structure, size);
      hal_sha384_final(&a, out_bytes + 4);
      out[0] = (uint32_t)size;
      return 13;
    }
    case OP_STATUS:
      out[0] = hal_status();
      out[1] = hal_num_tdi();
      out[2] = hal_svn();
      out[3] = hal_cycles_per_second();
      out[4] = hal_bus_dev();
      return 5;
    case OP_CYCLES:
      for (uint32_t i = 0; i < in[0]; i++) {
        const uint64_t now = hal_cycles();
        out[2 * i] = (uint32_t)now;
        out[2 * i + 1] = (uint32_t)(now >> 32);
      }
      return 2 * in[0];
    case OP_TIMER: {
      const uint64_t start = hal_cycles();
      hal_timer_arm(in[0]);
      out[0] = hal_wait_events();
      out[1] = (uint32_t)(hal_cycles() - start);
      return 2;
    }
    case OP_RANDOM:
      out[0] = hal_random(out_bytes + 4, in[0]);
      return 1 + (in[0] + 3) / 4;
    case OP_KEY_LOAD:
      out[0] = hal_ide_key_load(in[0], in[1] != 0, in[2], in[3], bytes_of(in + 5), (uint16_t)in[4]);
      return 1;
    case OP_KEY_GO:
      out[0] = hal_ide_key_go(in[0], in[1] != 0, in[2], in[3], (uint16_t)in[4]);
      return 1;
    case OP_KEY_STOP:
      out[0] = hal_ide_key_stop(in[0], in[1] != 0, in[2], in[3], (uint16_t)in[4]);
      return 1;
    case OP_KILL_TAG:
      hal_kill_tag((uint16_t)in[0]);
      return 0;
    case OP_TDI_LOCK:
      out[0] = hal_tdi_lock(in[0], (uint8_t)in[1], (uint16_t)in[2], 0, (uint16_t)in[3], out_bytes + 4);
      return 9;
    case OP_TDI_START:
      out[0] = hal_tdi_start(in[0], (uint16_t)in[1], bytes_of(in + 2));
      return 1;
    case OP_TDI_STOP:
      out[0] = hal_tdi_stop(in[0]);
      return 1;
    case OP_TDI_STATE:
      out[0] = hal_tdi_state(in[0]);
      return 1;
    case OP_CONFIG:
      out[0] = hal_config_read(in[0], in[1]);
      return 1;
    case OP_AEAD_KEY:
      out[0] = hal_aead_set_key(in[0], bytes_of(in + 1));
      return 1;
    case OP_AEAD_ERASE:
      hal_aead_erase(in[0]);
      return 0;
    case OP_AEAD_SEAL:
    case OP_AEAD_OPEN: {
      const bool open = op == OP_AEAD_OPEN;
      const uint32_t *lengths = in + (open ? 8 : 4);
      const uint8_t *aad = bytes_of(lengths + 2);
      uint8_t *data = out_bytes + (open ? 4 : 20);
      memcpy(data, aad + lengths[0], lengths[1]);
      out[0] = open ? hal_aead_open(in[0], bytes_of(in + 1), aad, lengths[0], data, lengths[1],
                                    bytes_of(in + 4))
                    : hal_aead_seal(in[0], bytes_of(in + 1), aad, lengths[0], data, lengths[1],
                                    out_bytes + 4);
      return (open ? 1 : 5) + (lengths[1] + 3) / 4;
    }
    case OP_KEYGEN:
      out[0] = hal_p384_keygen(out_bytes + 4);
      return 25;
    case OP_ECDH:
      out[0] = hal_p384_ecdh(bytes_of(in), out_bytes + 4);
      return 13;
    case OP_SIGN:
      out[0] = hal_p384_sign_identity(bytes_of(in), out_bytes + 4);
      return 25;
    case OP_TRAP:
      trap(in[0]);
      return 0;
    case OP_DISCARD:
      hal_doe_discard();
      return UINT32_MAX;
    case OP_FAIL:
      hal_doe_fail();
      return UINT32_MAX;
    case OP_RESPOND:
      hal_doe_respond(in[0]);
      return UINT32_MAX;
    case OP_EVENTS:
      out[0] = seen;
      seen = 0;
      return 1;
    case OP_MASK_FAULT:
      if (in[0] != 0) {
        __asm__ volatile("csrsi mstatus, 8");
      } else {
        __asm__ volatile("csrci mstatus, 8");
      }
      return 0;
    case OP_STACK: {
      const uint8_t *p = _stack_bottom;
      while (p < _stack_top && *p == 0) p++;
      out[0] = (uint32_t)(p - _stack_bottom);
      return 1;
    }
    case OP_COPY: {
      uint8_t area[64];
      for (uint32_t i = 0; i < sizeof area; i++) area[i] = (uint8_t)(i * 7u + 1u);
      if (in[3] != 0) {
        memmove(area + in[0], area + in[1], in[2]);
      } else {
        memcpy(area + in[0], area + in[1], in[2]);
      }
      memcpy(out, area, sizeof area);
      return sizeof area / 4;
    }
    default:
      out[0] = 0xFFFFFFFFu;
      return 1;
  }
}

int main(void) {
  for (;;) {
    const uint32_t events = hal_wait_events();
    seen |= events & ~(uint32_t)HAL_EV_DOE_GO;
    if ((events & HAL_EV_DOE_GO) == 0) continue;
    uint32_t length = 0;
    const uint8_t *object = hal_doe_request(&length);
    memcpy(request, object, 4 * length);
    uint32_t *response = (uint32_t *)(void *)hal_doe_response();
    const uint32_t count = call(request[2], request + 3, length - 3, response + 2);
    if (count == UINT32_MAX) continue;
    response[0] = request[0];
    response[1] = 2 + count + (count == 0);
    if (count == 0) response[2] = 0;
    hal_doe_respond(response[1]);
  }
}
