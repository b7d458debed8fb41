/* SPDX-License-Identifier: Apache-2.0
 * HAL over the registers of the SoC (soc.h). A register read that has to wait stalls the CPU, so
 * there is no polling here except for random words, which may fail to come.
 */
#include "hal/hal.h"

#include <string.h>

#include "hal/soc.h"

/* Security version of the image; part of what is measured. */
#ifndef HAL_SVN
#define HAL_SVN 1u
#endif
#ifndef QUIRKS
#define QUIRKS 0u
#endif

/* Polls of the random status (about ten cycles each) before entropy is given up. */
#define RANDOM_POLLS 50000u

#define BLOCK_BYTES 16u
#define SHA_BLOCK_BYTES 128u

static uint32_t load_word(const uint8_t *p) {
  uint32_t word;
  if (((uintptr_t)p & 3u) == 0) return *(const uint32_t *)(const void *)p;
  memcpy(&word, p, sizeof word);
  return word;
}

static void store_word(uint8_t *p, uint32_t word) {
  if (((uintptr_t)p & 3u) == 0) {
    *(uint32_t *)(void *)p = word;
  } else {
    memcpy(p, &word, sizeof word);
  }
}

/* Bytes to consecutive registers and back; `length` is a multiple of 4. */
static void write_registers(uint32_t address, const uint8_t *from, size_t length) {
  for (size_t i = 0; i < length; i += 4) SOC_REG(address, i) = load_word(from + i);
}

static void read_registers(uint32_t address, uint8_t *to, size_t length) {
  for (size_t i = 0; i < length; i += 4) store_word(to + i, SOC_REG(address, i));
}

/* ---- events, DOE ------------------------------------------------------------------------------- */

uint32_t hal_wait_events(void) { return SOC_REG(SOC_SYSTEM, SYS_WAIT); }

const uint8_t *hal_doe_request(uint32_t *length_dw) {
  *length_dw = SOC_REG(SOC_DOE, DOE_REQUEST);
  return (const uint8_t *)SOC_DOE_REQUEST;
}

uint8_t *hal_doe_response(void) { return (uint8_t *)SOC_DOE_RESPONSE; }

void hal_doe_respond(uint32_t length_dw) { SOC_REG(SOC_DOE, DOE_RESPOND) = length_dw; }

void hal_doe_discard(void) { SOC_REG(SOC_DOE, DOE_DISCARD) = 1; }

void hal_doe_fail(void) { SOC_REG(SOC_DOE, DOE_FAIL) = 1; }

/* ---- hash -------------------------------------------------------------------------------------- */

/* One 128-byte block; both unrolled by four, the loop would cost as much as the copy. */
static void sha_block(const uint8_t *block) {
  const uint32_t *w = (const uint32_t *)(const void *)block;
  for (unsigned i = 0; i < SHA_BLOCK_BYTES / 4; i += 4) {
    SOC_REG(SOC_SHA, SHA_DATA) = w[i];
    SOC_REG(SOC_SHA, SHA_DATA) = w[i + 1];
    SOC_REG(SOC_SHA, SHA_DATA) = w[i + 2];
    SOC_REG(SOC_SHA, SHA_DATA) = w[i + 3];
  }
}

static void sha_restore(const hal_sha384_t *ctx) {
  const uint32_t *w = (const uint32_t *)(const void *)ctx->state;
  for (unsigned i = 0; i < 16; i++) SOC_REG(SOC_SHA, SHA_DATA) = w[i];
  SOC_REG(SOC_SHA, SHA_COMMAND) = SHA_CMD_RESTORE;
}

static void sha_save(hal_sha384_t *ctx) {
  read_registers(SOC_SHA + SHA_STATE, (uint8_t *)ctx->state, sizeof ctx->state);
  SOC_REG(SOC_SHA, SHA_COMMAND) = SHA_CMD_ERASE;
}

void hal_sha384_init(hal_sha384_t *ctx) {
  memset(ctx, 0, sizeof *ctx);
  SOC_REG(SOC_SHA, SHA_COMMAND) = SHA_CMD_INIT;
  sha_save(ctx);
}

void hal_sha384_update(hal_sha384_t *ctx, const void *data, size_t length) {
  const uint8_t *p = data;
  ctx->length += length;
  if (ctx->fill + length < SHA_BLOCK_BYTES) {
    memcpy(ctx->buffer + ctx->fill, p, length);
    ctx->fill += (uint32_t)length;
    return;
  }
  sha_restore(ctx);
  while (ctx->fill + length >= SHA_BLOCK_BYTES) {
    if (ctx->fill == 0 && ((uintptr_t)p & 3u) == 0) {
      sha_block(p);
      p += SHA_BLOCK_BYTES;
      length -= SHA_BLOCK_BYTES;
    } else {
      const size_t take = SHA_BLOCK_BYTES - ctx->fill;
      memcpy(ctx->buffer + ctx->fill, p, take);
      sha_block(ctx->buffer);
      ctx->fill = 0;
      p += take;
      length -= take;
    }
  }
  sha_save(ctx);
  memcpy(ctx->buffer, p, length);
  ctx->fill = (uint32_t)length;
}

void hal_sha384_final(hal_sha384_t *ctx, uint8_t digest[HAL_SHA384_BYTES]) {
  const uint64_t bits = ctx->length * 8u;
  sha_restore(ctx);
  ctx->buffer[ctx->fill++] = 0x80;
  memset(ctx->buffer + ctx->fill, 0, SHA_BLOCK_BYTES - ctx->fill);
  if (ctx->fill > SHA_BLOCK_BYTES - 16u) { /* no room for the length */
    sha_block(ctx->buffer);
    memset(ctx->buffer, 0, SHA_BLOCK_BYTES);
  }
  for (unsigned i = 0; i < 8; i++) {
    ctx->buffer[SHA_BLOCK_BYTES - 1u - i] = ((const uint8_t *)&bits)[i];
  }
  sha_block(ctx->buffer);
  sha_save(ctx);
  for (unsigned i = 0; i < HAL_SHA384_BYTES; i++) {
    digest[i] = ((const uint8_t *)&ctx->state[i / 8])[7u - i % 8];
  }
  memset(ctx, 0, sizeof *ctx);
}

/* ---- AEAD -------------------------------------------------------------------------------------- */

bool hal_aead_set_key(unsigned slot, const uint8_t key[32]) {
  if (slot >= HAL_AEAD_SLOTS) return false;
  write_registers(SOC_AEAD + AEAD_KEY, key, 32);
  SOC_REG(SOC_AEAD, AEAD_KEY_LOAD) = slot;
  return (SOC_REG(SOC_AEAD, AEAD_STATUS) >> (8u + slot) & 1u) != 0;
}

void hal_aead_erase(unsigned slot) {
  if (slot < HAL_AEAD_SLOTS) SOC_REG(SOC_AEAD, AEAD_KEY_ERASE) = slot;
}

/* One block of at most 16 bytes into the engine; missing bytes are zero. */
static void aead_push(const uint8_t *from, size_t length, uint32_t flags) {
  if (length == BLOCK_BYTES) {
    write_registers(SOC_AEAD + AEAD_IN, from, BLOCK_BYTES);
  } else {
    uint32_t block[4] = {0, 0, 0, 0};
    memcpy(block, from, length);
    write_registers(SOC_AEAD + AEAD_IN, (const uint8_t *)block, BLOCK_BYTES);
    memset(block, 0, sizeof block);
  }
  SOC_REG(SOC_AEAD, AEAD_PUSH) = (uint32_t)length | flags;
}

static void aead_pull(uint8_t *to, size_t length) {
  if (length == BLOCK_BYTES) {
    read_registers(SOC_AEAD + AEAD_OUT, to, BLOCK_BYTES);
  } else {
    uint32_t block[4];
    read_registers(SOC_AEAD + AEAD_OUT, (uint8_t *)block, BLOCK_BYTES);
    memcpy(to, block, length);
    memset(block, 0, sizeof block);
  }
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* Everything but the tag; of a decryption also not the plaintext, which the engine gives out when
 * the tag was found right. False if the slot holds no key. */
static bool aead_run(unsigned slot, bool decrypt, const uint8_t iv[12], const uint8_t *aad,
                     size_t aad_length, uint8_t *data, size_t length) {
  if (slot >= HAL_AEAD_SLOTS || aad_length == 0 || aad_length > 64) return false;
  if ((SOC_REG(SOC_AEAD, AEAD_STATUS) >> (8u + slot) & 1u) == 0) return false;
  write_registers(SOC_AEAD + AEAD_IV, iv, 12);
  SOC_REG(SOC_AEAD, AEAD_START) = slot | (decrypt ? (uint32_t)AEAD_START_DECRYPT : 0u);
  while (aad_length > 0) {
    const size_t part = min_size(aad_length, BLOCK_BYTES);
    const bool last = part == aad_length && length == 0;
    aead_push(aad, part, AEAD_PUSH_AAD | (last ? (uint32_t)AEAD_PUSH_LAST : 0u));
    aad += part;
    aad_length -= part;
  }
  while (length > 0) {
    const size_t part = min_size(length, BLOCK_BYTES);
    aead_push(data, part, part == length ? (uint32_t)AEAD_PUSH_LAST : 0u);
    if (!decrypt) aead_pull(data, part);
    data += part;
    length -= part;
  }
  return true;
}

bool hal_aead_seal(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, uint8_t tag[16]) {
  if (!aead_run(slot, false, iv, aad, aad_length, data, length)) {
    memset(data, 0, length);
    memset(tag, 0, BLOCK_BYTES);
    return false;
  }
  (void)SOC_REG(SOC_AEAD, AEAD_FINISH);
  read_registers(SOC_AEAD + AEAD_TAG, tag, BLOCK_BYTES);
  return true;
}

bool hal_aead_open(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, const uint8_t tag[16]) {
  bool good = false;
  write_registers(SOC_AEAD + AEAD_TAG, tag, BLOCK_BYTES);
  if (aead_run(slot, true, iv, aad, aad_length, data, length)) {
    good = (SOC_REG(SOC_AEAD, AEAD_FINISH) & AEAD_FINISH_OK) != 0;
  }
  for (size_t done = 0; good && done < length; done += BLOCK_BYTES) {
    aead_pull(data + done, min_size(length - done, BLOCK_BYTES));
  }
  if (!good) memset(data, 0, length);
  return good;
}

/* ---- P-384 and randomness ---------------------------------------------------------------------- */

static bool p384_run(uint32_t op) {
  SOC_REG(SOC_P384, P384_COMMAND) = op;
  return SOC_REG(SOC_P384, P384_RESULT) == P384_RES_OK;
}

static void p384_put(unsigned which, const uint8_t value[HAL_P384_BYTES]) {
  write_registers(SOC_P384 + P384_IN + which * P384_REGISTER, value, HAL_P384_BYTES);
}

static void p384_get(unsigned which, uint8_t value[HAL_P384_BYTES]) {
  read_registers(SOC_P384 + P384_OUT + which * P384_REGISTER, value, HAL_P384_BYTES);
}

bool hal_p384_keygen(uint8_t public_key[96]) {
  if (!p384_run(P384_OP_KEYGEN)) {
    memset(public_key, 0, 96);
    return false;
  }
  p384_get(0, public_key);
  p384_get(1, public_key + HAL_P384_BYTES);
  return true;
}

bool hal_p384_ecdh(const uint8_t peer[96], uint8_t shared_x[48]) {
  p384_put(P384_IN_X, peer);
  p384_put(P384_IN_Y, peer + HAL_P384_BYTES);
  if (!p384_run(P384_OP_ECDH)) {
    memset(shared_x, 0, HAL_P384_BYTES);
    return false;
  }
  p384_get(0, shared_x);
  (void)p384_run(P384_OP_WIPE); /* the shared secret does not stay behind in the engine */
  return true;
}

bool hal_p384_sign_identity(const uint8_t digest[48], uint8_t signature[96]) {
  p384_put(P384_IN_E, digest);
  if (!p384_run(P384_OP_SIGN)) {
    memset(signature, 0, 96);
    return false;
  }
  p384_get(0, signature);
  p384_get(1, signature + HAL_P384_BYTES);
  return true;
}

bool hal_random(uint8_t *out, size_t length) {
  for (size_t done = 0; done < length;) {
    unsigned polls = 0;
    while ((SOC_REG(SOC_RANDOM, RANDOM_STATUS) & 1u) == 0) {
      if (++polls == RANDOM_POLLS) {
        memset(out, 0, length);
        return false;
      }
    }
    const uint32_t word = SOC_REG(SOC_RANDOM, RANDOM_DATA);
    const size_t part = min_size(length - done, 4);
    memcpy(out + done, &word, part);
    done += part;
  }
  return true;
}

/* ---- identity, measurements, status ------------------------------------------------------------- */

const uint8_t *hal_slot0(size_t *length) {
  const uint32_t size = SOC_REG(SOC_SLOT0_BASE, 0);
  *length = size <= SOC_SLOT0_BYTES - 4u ? size : 0u;
  return (const uint8_t *)(SOC_SLOT0_BASE + 4u);
}

void hal_measurement(unsigned which, uint8_t digest[HAL_SHA384_BYTES]) {
  const uint32_t offset = which == HAL_MEAS_ROM ? MEASURE_ROM : MEASURE_FIRMWARE;
  read_registers(SOC_MEASURE + offset, digest, HAL_SHA384_BYTES);
}

uint32_t hal_status(void) {
  return SOC_REG(SOC_SYSTEM, SYS_STATUS) &
         (HAL_STATUS_SEED_DETERMINISTIC | HAL_STATUS_TEST_HOOKS);
}

uint32_t hal_num_tdi(void) { return SOC_REG(SOC_SYSTEM, SYS_STATUS) >> 8 & 0xFu; }

uint32_t hal_svn(void) { return HAL_SVN; }
uint32_t hal_quirks(void) { return QUIRKS; }
uint32_t hal_lab_delay_us(void) { return 0; }

/* ---- IDE key bus -------------------------------------------------------------------------------- */

static enum hal_key_status key_command(unsigned op, unsigned block, bool is_tx,
                                       unsigned sub_stream, unsigned key_set, unsigned dw) {
  if (block > 3 || sub_stream > 3 || key_set > 1) return HAL_KEY_BAD_INDEX;
  SOC_REG(SOC_KEY, KEY_COMMAND) = op | block << 8 | (is_tx ? 1u << 12 : 0u) | sub_stream << 16 |
                                  key_set << 20 | dw << 24;
  return (enum hal_key_status)SOC_REG(SOC_KEY, KEY_STATUS);
}

enum hal_key_status hal_ide_key_load(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, const uint8_t key[32],
                                     uint16_t session_tag) {
  enum hal_key_status status = HAL_KEY_OK;
  SOC_REG(SOC_KEY, KEY_TAG) = session_tag;
  for (unsigned i = 0; i < 8 && status == HAL_KEY_OK; i++) {
    SOC_REG(SOC_KEY, KEY_DATA) = load_word(key + 4 * i);
    status = key_command(KEY_OP_LOAD, block, is_tx, sub_stream, key_set, i);
  }
  if (status == HAL_KEY_OK) {
    status = key_command(KEY_OP_COMMIT, block, is_tx, sub_stream, key_set, 0);
  }
  if (status != HAL_KEY_OK) {
    (void)key_command(KEY_OP_ABANDON, block, is_tx, sub_stream, key_set, 0);
  }
  return status;
}

enum hal_key_status hal_ide_key_go(unsigned block, bool is_tx, unsigned sub_stream,
                                   unsigned key_set, uint16_t session_tag) {
  SOC_REG(SOC_KEY, KEY_TAG) = session_tag;
  return key_command(KEY_OP_GO, block, is_tx, sub_stream, key_set, 0);
}

enum hal_key_status hal_ide_key_stop(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, uint16_t session_tag) {
  SOC_REG(SOC_KEY, KEY_TAG) = session_tag;
  return key_command(KEY_OP_STOP, block, is_tx, sub_stream, key_set, 0);
}

void hal_kill_tag(uint16_t session_tag) {
  SOC_REG(SOC_KEY, KEY_KILL) = session_tag;
  (void)SOC_REG(SOC_KEY, KEY_STATUS); /* returns when the streams are down */
}

/* ---- TDI command bus ---------------------------------------------------------------------------- */

static enum hal_tdi_result tdi_command(uint32_t command, unsigned tdi) {
  if (tdi > 0xFFu) return HAL_TDI_BAD_INDEX;
  SOC_REG(SOC_TDI, TDI_COMMAND) = command | tdi << 8;
  return (enum hal_tdi_result)SOC_REG(SOC_TDI, TDI_RESULT);
}

enum hal_tdi_result hal_tdi_lock(unsigned tdi, uint8_t stream_id, uint16_t flags,
                                 uint64_t p2p_mask, uint16_t session_tag, uint8_t nonce[32]) {
  uint32_t command = TDI_OP_LOCK | (uint32_t)stream_id << 16;
  if ((flags & 1u << 0) != 0) command |= TDI_NO_FW_UPDATE;
  if ((flags & 1u << 2) != 0) command |= TDI_LOCK_MSIX;
  if ((flags & 1u << 3) != 0) command |= TDI_BIND_P2P;
  SOC_REG(SOC_TDI, TDI_TAG) = session_tag;
  SOC_REG(SOC_TDI, TDI_MASK_LOW) = (uint32_t)p2p_mask;
  SOC_REG(SOC_TDI, TDI_MASK_HIGH) = (uint32_t)(p2p_mask >> 32);
  const enum hal_tdi_result result = tdi_command(command, tdi);
  if (result == HAL_TDI_OK) {
    read_registers(SOC_TDI + TDI_GIVEN, nonce, 32);
  } else {
    memset(nonce, 0, 32);
  }
  return result;
}

enum hal_tdi_result hal_tdi_start(unsigned tdi, uint16_t session_tag, const uint8_t nonce[32]) {
  SOC_REG(SOC_TDI, TDI_TAG) = session_tag;
  write_registers(SOC_TDI + TDI_NONCE, nonce, 32);
  return tdi_command(TDI_OP_START, tdi);
}

enum hal_tdi_result hal_tdi_stop(unsigned tdi) { return tdi_command(TDI_OP_STOP, tdi); }

enum hal_tdi_result hal_tdi_set_attribute(unsigned tdi, uint16_t pages, bool non_tee,
                                          uint16_t session_tag) {
  SOC_REG(SOC_TDI, TDI_TAG) = session_tag;
  SOC_REG(SOC_TDI, TDI_PAGES) = pages;
  return tdi_command(TDI_OP_SET_ATTRIBUTE | (non_tee ? (uint32_t)TDI_NON_TEE : 0u), tdi);
}

enum hal_tdi_result hal_tdi_bind_p2p(unsigned tdi, bool bind, uint8_t stream_id,
                                     uint16_t session_tag) {
  SOC_REG(SOC_TDI, TDI_TAG) = session_tag;
  return tdi_command((bind ? TDI_OP_BIND_P2P : TDI_OP_UNBIND_P2P) | (uint32_t)stream_id << 16, tdi);
}

unsigned hal_tdi_state(unsigned tdi) {
  return tdi < 16 ? SOC_REG(SOC_TDI, TDI_STATES) >> (2 * tdi) & 3u : 0u;
}

/* ---- configuration snapshot, time ---------------------------------------------------------------- */

uint32_t hal_config_read(unsigned function, unsigned offset) {
  if (function > 7 || offset > 0xFFCu) return 0xFFFFFFFFu;
  return SOC_REG(SOC_SNAPSHOT, function << 12 | (offset & 0xFFCu));
}

uint16_t hal_bus_dev(void) { return (uint16_t)SOC_REG(SOC_SYSTEM, SYS_BUS_DEV); }

uint64_t hal_cycles(void) {
  const uint32_t low = SOC_REG(SOC_SYSTEM, SYS_CYCLES);
  return (uint64_t)SOC_REG(SOC_SYSTEM, SYS_CYCLES_HI) << 32 | low;
}

uint32_t hal_cycles_per_second(void) { return SOC_REG(SOC_SYSTEM, SYS_CLOCK); }

void hal_timer_arm(uint64_t cycles_from_now) {
  SOC_REG(SOC_SYSTEM, SYS_TIMER_OFF) = 1;
  if (cycles_from_now == 0) return;
  const uint64_t deadline = hal_cycles() + cycles_from_now;
  SOC_REG(SOC_SYSTEM, SYS_TIMER) = (uint32_t)deadline;
  SOC_REG(SOC_SYSTEM, SYS_TIMER_HI) = (uint32_t)(deadline >> 32);
}
