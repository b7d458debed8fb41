/* SPDX-License-Identifier: Apache-2.0
 * Certificate slots: see slots.h. Structure: length u32, SHA-384 of the root, certificates in DER.
 */
#include "slots.h"

#include "der.h"

enum { HEADER_BYTES = 4 + HAL_SHA384_BYTES, CERTIFICATES_MAX = 8 };

typedef struct {
  uint8_t slot; /* 0 = free */
  uint16_t size;
  uint8_t digest[HAL_SHA384_BYTES];
  uint8_t structure[SLOT_STORE_BYTES];
} store_t;

static store_t stores[SLOT_STORES];
static uint8_t slot0_digest[HAL_SHA384_BYTES];

static void digest_of(const uint8_t *data, size_t size, uint8_t digest[HAL_SHA384_BYTES]) {
  hal_sha384_t hash;
  hal_sha384_init(&hash);
  hal_sha384_update(&hash, data, size);
  hal_sha384_final(&hash, digest);
}

void slots_init(void) {
  size_t size = 0;
  const uint8_t *structure = hal_slot0(&size);

  bytes_zero(stores, sizeof stores);
  digest_of(structure, size, slot0_digest);
}

/* The store of a slot; slot 0 finds a free one. */
static store_t *find(unsigned slot) {
  for (unsigned i = 0; i < SLOT_STORES; i++) {
    if (stores[i].slot == slot) {
      return &stores[i];
    }
  }
  return NULL;
}

const uint8_t *slot_structure(unsigned slot, size_t *size) {
  *size = 0;
  if (slot == 0) {
    const uint8_t *structure = hal_slot0(size);
    return *size != 0 ? structure : NULL;
  }
  const store_t *store = slot < SLOT_COUNT ? find(slot) : NULL;
  if (store == NULL) {
    return NULL;
  }
  *size = store->size;
  return store->structure;
}

const uint8_t *slot_digest(unsigned slot) {
  size_t size = 0;
  if (slot_structure(slot, &size) == NULL) {
    return NULL;
  }
  return slot == 0 ? slot0_digest : find(slot)->digest;
}

bool slot_is_provisioned(unsigned slot) {
  return slot_digest(slot) != NULL;
}

uint8_t slots_provisioned(void) {
  unsigned mask = 0;
  for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
    mask |= slot_is_provisioned(slot) ? 1u << slot : 0;
  }
  return (uint8_t)mask;
}

/* Subject and key of the last certificate in a structure; false if it is not one. */
static bool leaf_of(const uint8_t *structure, size_t size, reader_t *subject, reader_t *spki) {
  reader_t r = reader_make(structure, size);
  reader_t content, whole = {0};
  unsigned count = 0;

  if (reader_u32(&r) != size) { /* upper half: zero up to 1.3 */
    return false;
  }
  reader_skip(&r, HAL_SHA384_BYTES);
  while (r.ok && reader_left(&r) != 0 && count < CERTIFICATES_MAX) {
    if (!der_take(&r, DER_SEQUENCE, &content, &whole) ||
        !der_certificate(whole, subject, spki)) {
      return false;
    }
    count++;
  }
  return r.ok && count != 0 && reader_left(&r) == 0;
}

bool slot_identity(reader_t *subject, reader_t *spki) {
  size_t size = 0;
  const uint8_t *structure = slot_structure(0, &size);
  return structure != NULL && leaf_of(structure, size, subject, spki);
}

slot_result_t slot_write(unsigned slot, const uint8_t *structure, size_t size) {
  reader_t subject, spki, own_subject, own_spki;

  if (size < HEADER_BYTES || !leaf_of(structure, size, &subject, &spki)) {
    return SLOT_MALFORMED;
  }
  if (!slot_identity(&own_subject, &own_spki) || spki.size != own_spki.size ||
      !equal_ct(spki.data, own_spki.data, spki.size)) {
    return SLOT_MALFORMED; /* it certifies another key */
  }
  store_t *store = find(slot);
  if (store == NULL) {
    store = find(0);
  }
  if (store == NULL || size > SLOT_STORE_BYTES) {
    return SLOT_NO_ROOM;
  }
  store->slot = (uint8_t)slot;
  store->size = (uint16_t)size;
  bytes_copy(store->structure, structure, size);
  digest_of(structure, size, store->digest);
  return SLOT_OK;
}

void slot_erase(unsigned slot) {
  store_t *store = slot != 0 ? find(slot) : NULL;
  if (store != NULL) {
    bytes_zero(store, sizeof *store);
  }
}
