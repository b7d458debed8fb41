/* SPDX-License-Identifier: Apache-2.0
 * Model of configuration space, IDE streams and TDIs: see model.h.
 */
#include "model.h"

#include <string.h>

#include "device.h"
#include "hal/hal.h"

enum {
  BLOCKS = 3,     /* two selective, then one link */
  SELECTIVES = 2,
  SUB_STREAMS = 3,
  CONFIG_DWS = 1024
};

/* Offsets of this device's configuration space. */
enum {
  REG_COMMAND = 0x04,
  REG_BAR0 = 0x10,
  REG_ROM = 0x30,
  REG_DEVCTL = 0x78,
  REG_MSIX = 0xB0,
  REG_IDE = 0x190,
  REG_LINK = REG_IDE + 0x0C,
  REG_SELECTIVE = REG_IDE + 0x14,
  SELECTIVE_STRIDE = 32,
  DEVCTL_FLR = 1u << 15,
  COMMAND_MSE_BME = 6
};

typedef struct {
  bool loaded;
  uint8_t key[32];
} key_set_t;

typedef struct {
  key_set_t sets[2][SUB_STREAMS][2]; /* direction (1 = Tx), sub-stream, key set */
  int live[2][SUB_STREAMS];          /* key set in use, -1 = none */
  uint16_t tag;                      /* session of the keys, 0 = no keys */
  bool was_secure;
} block_t;

typedef struct {
  unsigned state; /* DEVICE_INTERFACE_STATE */
  uint16_t tag;
  uint16_t flags;
  unsigned block;
  unsigned p2p;    /* mask of blocks bound by BIND_P2P_STREAM */
  uint16_t shared; /* pages made non-TEE by SET_MMIO_ATTRIBUTE */
  uint8_t nonce[32];
} tdi_t;

enum { PAGES_UPDATABLE = 0x0C00 }; /* pages of BAR0 that SET_MMIO_ATTRIBUTE may change */

static model_options_t options;
static uint32_t config[MODEL_FUNCTIONS_MAX][CONFIG_DWS];
static block_t blocks[BLOCKS];
static tdi_t tdis[MODEL_FUNCTIONS_MAX];
static uint32_t events;

uint32_t model_take_events(void) {
  uint32_t taken = events;
  events = 0;
  return taken;
}

/* ---- TDIs ------------------------------------------------------------------------------------------ */
static void tdi_error(unsigned tdi) {
  tdi_t *t = &tdis[tdi];
  if (t->state == 1 || t->state == 2) {
    t->state = 3;
    t->p2p = 0;
    t->shared = 0;
    memset(t->nonce, 0, sizeof t->nonce);
    events |= 1u << (HAL_EV_TDI_SHIFT + tdi);
  }
}

void model_tdi_violation(unsigned tdi) {
  if (tdi < options.num_tdi) {
    tdi_error(tdi);
  }
}

/* ---- IDE streams ------------------------------------------------------------------------------------ */
static unsigned control_offset(unsigned block) {
  return block < SELECTIVES ? REG_SELECTIVE + SELECTIVE_STRIDE * block + 4u : (unsigned)REG_LINK;
}

static uint32_t control(unsigned block) {
  return config[0][control_offset(block) / 4];
}

static bool is_secure(unsigned block) {
  bool all = (control(block) & 1) != 0;
  for (unsigned d = 0; d < 2; d++) {
    for (unsigned s = 0; s < SUB_STREAMS; s++) {
      all = all && blocks[block].live[d][s] >= 0;
    }
  }
  return all;
}

/* Tells the rest when a block has left Secure. */
static void note_state(unsigned block) {
  bool now = is_secure(block);
  if (blocks[block].was_secure && !now) {
    events |= 1u << (HAL_EV_STREAM_SHIFT + block);
    for (unsigned i = 0; i < options.num_tdi; i++) {
      if (tdis[i].state != 0 && (tdis[i].block == block || (tdis[i].p2p >> block & 1) != 0)) {
        tdi_error(i);
      }
    }
  }
  blocks[block].was_secure = now;
}

static void wipe_block(unsigned block) {
  memset(blocks[block].sets, 0, sizeof blocks[block].sets);
  for (unsigned d = 0; d < 2; d++) {
    for (unsigned s = 0; s < SUB_STREAMS; s++) {
      blocks[block].live[d][s] = -1;
    }
  }
  blocks[block].tag = 0;
  note_state(block);
}

void model_stream_fail(unsigned block) {
  if (block < BLOCKS) {
    wipe_block(block);
  }
}

enum hal_key_status hal_ide_key_load(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, const uint8_t key[32],
                                     uint16_t session_tag) {
  if (block >= BLOCKS || sub_stream >= SUB_STREAMS || key_set > 1) {
    return HAL_KEY_BAD_INDEX;
  }
  block_t *b = &blocks[block];
  if ((b->tag != 0 && b->tag != session_tag) ||
      (is_secure(block) && b->live[is_tx][sub_stream] == (int)key_set)) {
    return HAL_KEY_REFUSED;
  }
  key_set_t *set = &b->sets[is_tx][sub_stream][key_set];
  if (b->live[is_tx][sub_stream] == (int)key_set) {
    b->live[is_tx][sub_stream] = -1; /* a new key has to be started anew */
  }
  set->loaded = true;
  memcpy(set->key, key, sizeof set->key);
  b->tag = session_tag;
  return HAL_KEY_OK;
}

enum hal_key_status hal_ide_key_go(unsigned block, bool is_tx, unsigned sub_stream,
                                   unsigned key_set, uint16_t session_tag) {
  if (block >= BLOCKS || sub_stream >= SUB_STREAMS || key_set > 1) {
    return HAL_KEY_BAD_INDEX;
  }
  block_t *b = &blocks[block];
  if (b->tag != session_tag || !b->sets[is_tx][sub_stream][key_set].loaded) {
    return HAL_KEY_REFUSED;
  }
  if (b->live[is_tx][sub_stream] == 1 - (int)key_set) {
    memset(&b->sets[is_tx][sub_stream][1 - key_set], 0, sizeof(key_set_t));
  }
  b->live[is_tx][sub_stream] = (int)key_set;
  note_state(block);
  return HAL_KEY_OK;
}

enum hal_key_status hal_ide_key_stop(unsigned block, bool is_tx, unsigned sub_stream,
                                     unsigned key_set, uint16_t session_tag) {
  if (block >= BLOCKS || sub_stream >= SUB_STREAMS || key_set > 1) {
    return HAL_KEY_BAD_INDEX;
  }
  block_t *b = &blocks[block];
  if (b->tag != session_tag) {
    return HAL_KEY_REFUSED;
  }
  memset(&b->sets[is_tx][sub_stream][key_set], 0, sizeof(key_set_t));
  if (b->live[is_tx][sub_stream] == (int)key_set) {
    b->live[is_tx][sub_stream] = -1;
  }
  note_state(block);
  bool any = false;
  for (unsigned d = 0; d < 2; d++) {
    for (unsigned s = 0; s < SUB_STREAMS; s++) {
      any = any || b->sets[d][s][0].loaded || b->sets[d][s][1].loaded;
    }
  }
  if (!any) {
    b->tag = 0;
  }
  return HAL_KEY_OK;
}

void hal_kill_tag(uint16_t session_tag) {
  for (unsigned i = 0; i < BLOCKS; i++) {
    if (session_tag != 0 && blocks[i].tag == session_tag) {
      wipe_block(i);
    }
  }
  for (unsigned i = 0; i < options.num_tdi; i++) {
    if (session_tag != 0 && tdis[i].state != 0 && tdis[i].tag == session_tag) {
      tdi_error(i);
    }
  }
}

/* ---- TDI commands -------------------------------------------------------------------------------------- */
static uint64_t bar0(unsigned function) {
  return (uint64_t)config[function][REG_BAR0 / 4 + 1] << 32 |
         (config[function][REG_BAR0 / 4] & ~(uint32_t)0xF);
}

static bool bars_overlap(unsigned function) {
  for (unsigned f = 0; f <= options.num_tdi; f++) {
    uint64_t size = f == 0 ? F0_BAR_BYTES : TDI_BAR_BYTES;
    if (f != function && bar0(f) < bar0(function) + TDI_BAR_BYTES &&
        bar0(function) < bar0(f) + size) {
      return true;
    }
  }
  return false;
}

enum hal_tdi_result hal_tdi_lock(unsigned tdi, uint8_t stream_id, uint16_t flags,
                                 uint64_t p2p_mask, uint16_t session_tag, uint8_t nonce[32]) {
  (void)p2p_mask; /* no TLP passes through this model */
  memset(nonce, 0, 32);
  if (tdi >= options.num_tdi) {
    return HAL_TDI_BAD_INDEX;
  }
  tdi_t *t = &tdis[tdi];
  if (t->state != 0) {
    return HAL_TDI_BAD_STATE;
  }
  unsigned defaults = 0;
  unsigned found = BLOCKS;
  for (unsigned i = 0; i < SELECTIVES; i++) {
    uint32_t c = control(i);
    if ((c & 1) != 0 && (c >> 22 & 1) != 0) {
      defaults++;
      if (c >> 24 == stream_id && (c >> 19 & 7) == 0) {
        found = i;
      }
    }
  }
  if (defaults > 1 || bars_overlap(tdi + 1)) {
    return HAL_TDI_BAD_CONFIG;
  }
  if (found == BLOCKS || !is_secure(found) || blocks[found].tag != session_tag) {
    return HAL_TDI_BAD_REQUEST;
  }
  if (!hal_random(t->nonce, sizeof t->nonce)) {
    return HAL_TDI_NO_ENTROPY;
  }
  t->state = 1;
  t->tag = session_tag;
  t->flags = flags;
  t->block = found;
  memcpy(nonce, t->nonce, sizeof t->nonce);
  return HAL_TDI_OK;
}

enum hal_tdi_result hal_tdi_start(unsigned tdi, uint16_t session_tag, const uint8_t nonce[32]) {
  if (tdi >= options.num_tdi) {
    return HAL_TDI_BAD_INDEX;
  }
  tdi_t *t = &tdis[tdi];
  if (t->state != 1) {
    return HAL_TDI_BAD_STATE;
  }
  uint8_t difference = 0;
  for (unsigned i = 0; i < sizeof t->nonce; i++) {
    difference |= t->nonce[i] ^ nonce[i];
  }
  if (difference != 0) {
    return HAL_TDI_BAD_NONCE;
  }
  if (!is_secure(t->block) || blocks[t->block].tag != session_tag || t->tag != session_tag) {
    return HAL_TDI_BAD_REQUEST;
  }
  memset(t->nonce, 0, sizeof t->nonce);
  t->state = 2;
  return HAL_TDI_OK;
}

enum hal_tdi_result hal_tdi_stop(unsigned tdi) {
  if (tdi >= options.num_tdi) {
    return HAL_TDI_BAD_INDEX;
  }
  memset(&tdis[tdi], 0, sizeof tdis[tdi]);
  return HAL_TDI_OK;
}

enum hal_tdi_result hal_tdi_set_attribute(unsigned tdi, uint16_t pages, bool non_tee,
                                          uint16_t session_tag) {
  if (tdi >= options.num_tdi) {
    return HAL_TDI_BAD_INDEX;
  }
  tdi_t *t = &tdis[tdi];
  if (t->state != 2) {
    return HAL_TDI_BAD_STATE;
  }
  if (t->tag != session_tag || pages == 0 || (pages & ~PAGES_UPDATABLE) != 0) {
    return HAL_TDI_BAD_REQUEST;
  }
  t->shared = non_tee ? (uint16_t)(t->shared | pages) : (uint16_t)(t->shared & ~pages);
  return HAL_TDI_OK;
}

/* First and last MiB of a block's address association; false if it has none. */
static bool address_range(unsigned block, uint64_t *first, uint64_t *last) {
  const uint32_t *association = &config[0][(REG_SELECTIVE + SELECTIVE_STRIDE * block + 0x14u) / 4];
  *first = (uint64_t)association[2] << 12 | (association[0] >> 8 & 0xFFF);
  *last = (uint64_t)association[1] << 12 | association[0] >> 20;
  return (association[0] & 1) != 0 && *first <= *last;
}

static bool may_bind(const tdi_t *t, unsigned block) {
  uint64_t first, last, other_first, other_last;
  uint32_t c = control(block);
  if (block == t->block || (c >> 22 & 1) != 0 || (c >> 19 & 7) != 0 ||
      (t->p2p >> block & 1) != 0 || !is_secure(block) || blocks[block].tag != t->tag ||
      !address_range(block, &first, &last)) {
    return false;
  }
  for (unsigned i = 0; i < SELECTIVES; i++) {
    if ((t->p2p >> i & 1) != 0 && address_range(i, &other_first, &other_last) &&
        first <= other_last && other_first <= last) {
      return false;
    }
  }
  return true;
}

enum hal_tdi_result hal_tdi_bind_p2p(unsigned tdi, bool bind, uint8_t stream_id,
                                     uint16_t session_tag) {
  if (tdi >= options.num_tdi) {
    return HAL_TDI_BAD_INDEX;
  }
  tdi_t *t = &tdis[tdi];
  if (t->state != 2) {
    return HAL_TDI_BAD_STATE;
  }
  unsigned named = 0;
  unsigned found = BLOCKS;
  for (unsigned i = 0; i < SELECTIVES; i++) {
    if ((control(i) & 1) != 0 && control(i) >> 24 == stream_id) {
      named++;
      found = i;
    }
  }
  bool allowed = bind ? named == 1 && (t->flags & 8) != 0 && may_bind(t, found)
                      : named == 1 && (t->p2p >> found & 1) != 0;
  if (t->tag != session_tag || !allowed) {
    return HAL_TDI_BAD_REQUEST;
  }
  t->p2p = bind ? t->p2p | 1u << found : t->p2p & ~(1u << found);
  return HAL_TDI_OK;
}

unsigned hal_tdi_state(unsigned tdi) {
  return tdi < options.num_tdi ? tdis[tdi].state : 3;
}

/* ---- configuration space -------------------------------------------------------------------------------- */
uint32_t hal_num_tdi(void) {
  return options.num_tdi;
}

uint16_t hal_bus_dev(void) {
  return options.bus_dev;
}

uint32_t hal_config_read(unsigned function, unsigned offset) {
  return model_config_read(function, offset);
}

uint32_t model_config_read(unsigned function, unsigned offset) {
  if (function > options.num_tdi || offset >= 4 * CONFIG_DWS) {
    return 0xFFFFFFFF;
  }
  uint32_t value = config[function][offset / 4];
  for (unsigned i = 0; function == 0 && i < BLOCKS; i++) {
    if (offset == control_offset(i) + 4) {
      value = (value & 0x80000000u) | (is_secure(i) ? 2u : 0u); /* IDE Stream Status */
    }
  }
  return value;
}

typedef struct {
  unsigned offset;
  uint32_t f0;
  uint32_t fn;
} register_t;

/* Values after reset; F0 and the TDIs. */
static const register_t reset_values[] = {
    {0x000, 0x7EE01234, 0x7EE01234}, {0x004, 0x00100000, 0x00100000},
    {0x008, 0x12000001, 0x12000001}, {0x00C, 0x00800000, 0x00800000},
    {0x010, 0x0000000C, 0x0000000C}, {0x02C, 0x00011234, 0x00011234},
    {0x034, 0x00000040, 0x00000040}, {0x040, 0x00037001, 0x00037001},
    {0x044, 0x00000008, 0x00000008}, {0x070, 0x0002B010, 0x0002B010},
    {0x074, 0x50008FE1, 0x50008FE1}, {0x078, 0x00002810, 0x00002810},
    {0x07C, 0x00400011, 0x00400011}, {0x080, 0x10110000, 0x10110000},
    {0x094, 0x00710012, 0x00710012}, {0x09C, 0x00000002, 0x00000002},
    {0x0A0, 0x00000001, 0x00000000}, {0x0B0, 0x00030011, 0x00030011},
    {0x0B4, 0x00000800, 0x00002000}, {0x0B8, 0x00000C00, 0x00003000},
    {0x100, 0x15020001, 0x15020001}, {0x108, 0x00400000, 0x00400000},
    {0x10C, 0x10462030, 0x10462030}, {0x114, 0x0000E000, 0x0000E000},
    {0x150, 0x16010003, 0x16010003}, {0x154, 0xFF000001, 0xFF000001},
    {0x158, 0x020000FF, 0x020000FF}, {0x160, 0x1701000D, 0x0001000D},
    {0x170, 0x1901002E, 0x00000000}, {0x174, 0x00000001, 0x00000000},
    {0x190, 0x00010030, 0x00000000}, {0x194, 0x00010043, 0x00000000},
    {0x1A4, 0x00000001, 0x00000000}, {0x1C4, 0x00000001, 0x00000000},
};

/* Bits that a configuration write changes. */
static const register_t write_masks[] = {
    {0x004, 0x00000546, 0x00000546}, {0x00C, 0x000000FF, 0x000000FF},
    {0x010, 0xFFFFF000, 0xFFFF0000}, {0x014, 0xFFFFFFFF, 0xFFFFFFFF},
    {0x03C, 0x000000FF, 0x000000FF}, {0x044, 0x00000003, 0x00000003},
    {0x078, 0x000079FF, 0x000079FF}, {0x098, 0x0000031F, 0x0000031F},
    {0x0B0, 0xC0000000, 0xC0000000}, {0x108, 0x3057F010, 0x3057F010},
    {0x10C, 0x3057F010, 0x3057F010}, {0x114, 0x0000E000, 0x0000E000},
    {0x19C, 0xFF38C001, 0},          {0x1A8, 0xFFF8C201, 0},
    {0x1B0, 0x00FFFF00, 0},          {0x1B4, 0x00FFFF01, 0},
    {0x1B8, 0xFFFFFF01, 0},          {0x1BC, 0xFFFFFFFF, 0},
    {0x1C0, 0xFFFFFFFF, 0},          {0x1C8, 0xFFF8C201, 0},
    {0x1D0, 0x00FFFF00, 0},          {0x1D4, 0x00FFFF01, 0},
    {0x1D8, 0xFFFFFF01, 0},          {0x1DC, 0xFFFFFFFF, 0},
    {0x1E0, 0xFFFFFFFF, 0},
};

static void reset_function(unsigned function) {
  memset(config[function], 0, sizeof config[function]);
  for (unsigned i = 0; i < sizeof reset_values / sizeof reset_values[0]; i++) {
    config[function][reset_values[i].offset / 4] =
        function == 0 ? reset_values[i].f0 : reset_values[i].fn;
  }
}

/* As a host leaves the registers before it speaks IDE_KM: BARs placed, memory and bus master on,
 * the first selective stream enabled with Stream ID 0 as default stream of all requester IDs. */
static void preset(void) {
  for (unsigned f = 0; f <= options.num_tdi; f++) {
    config[f][REG_COMMAND / 4] |= COMMAND_MSE_BME;
    config[f][REG_BAR0 / 4] |= 0x10000000u + f * TDI_BAR_BYTES;
    config[f][REG_BAR0 / 4 + 1] = 0x40;
  }
  config[0][REG_SELECTIVE / 4 + 1] = 1u | 1u << 22;
  config[0][REG_SELECTIVE / 4 + 3] = 0x00FFFF00;
  config[0][REG_SELECTIVE / 4 + 4] = 1;
}

void model_reset(const model_options_t *o) {
  options = *o;
  for (unsigned f = 0; f < MODEL_FUNCTIONS_MAX; f++) {
    reset_function(f);
  }
  memset(tdis, 0, sizeof tdis);
  memset(blocks, 0, sizeof blocks);
  for (unsigned i = 0; i < BLOCKS; i++) {
    wipe_block(i);
  }
  if (!options.bare) {
    preset();
  }
  events = 0;
}

void model_flr(unsigned function) {
  if (function > options.num_tdi) {
    return;
  }
  reset_function(function);
  if (function == 0) {
    for (unsigned i = 0; i < BLOCKS; i++) {
      wipe_block(i);
    }
    events |= HAL_EV_FLR0;
  } else {
    tdi_error(function - 1);
  }
}

/* Registers that TDISP locks (a selection: header, device control, MSI-X). */
static bool violates(unsigned function, unsigned offset, uint32_t old, uint32_t now,
                     unsigned byte_enables) {
  switch (offset) {
    case REG_COMMAND:
      return (old & ~now & COMMAND_MSE_BME) != 0;
    case 0x0C: /* BIST is the top byte */
      return (byte_enables & 8) != 0;
    case REG_ROM:
      return true;
    case REG_DEVCTL: /* extended tags, phantom functions, no snoop */
      return ((old ^ now) & 0x0B00) != 0;
    case REG_MSIX:
      return (tdis[function - 1].flags & 4) != 0;
    default:
      return offset >= REG_BAR0 && offset < REG_BAR0 + 0x18;
  }
}

static void note_ide_write(unsigned offset) {
  for (unsigned i = 0; i < BLOCKS; i++) {
    unsigned begin = control_offset(i);
    unsigned size = i < SELECTIVES ? 28u : 4u;
    if (offset >= begin && offset < begin + size && offset != begin + 4) {
      bool disabled = offset == begin && (control(i) & 1) == 0;
      if (disabled || blocks[i].was_secure) { /* or reconfigured while Secure */
        wipe_block(i);
      }
      note_state(i);
    }
  }
}

void model_config_write(unsigned function, unsigned offset, uint32_t value,
                        unsigned byte_enables) {
  if (function > options.num_tdi || offset >= 4 * CONFIG_DWS || offset % 4 != 0) {
    return;
  }
  uint32_t mask = 0;
  for (unsigned i = 0; i < sizeof write_masks / sizeof write_masks[0]; i++) {
    if (write_masks[i].offset == offset) {
      mask = function == 0 ? write_masks[i].f0 : write_masks[i].fn;
    }
  }
  for (unsigned i = 0; i < 4; i++) {
    if ((byte_enables >> i & 1) == 0) {
      mask &= ~((uint32_t)0xFF << (8 * i));
    }
  }
  uint32_t old = config[function][offset / 4];
  uint32_t now = (old & ~mask) | (value & mask);
  config[function][offset / 4] = now;
  if (function == 0) {
    note_ide_write(offset);
  } else if (byte_enables != 0 && violates(function, offset, old, now, byte_enables)) {
    tdi_error(function - 1);
  }
  if (offset == REG_DEVCTL && (byte_enables & 2) != 0 && (value & DEVCTL_FLR) != 0) {
    model_flr(function);
  }
}
