/* SPDX-License-Identifier: Apache-2.0
 * The HAL on a Linux process: cryptography of libcrypto, keys and images from files, time from the
 * system clock. Registers, IDE and TDIs are in model.c, the mailbox is in server.c.
 */
#define OPENSSL_API_COMPAT 0x10100000L /* SHA512_CTX: the running state must be exportable */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "hal/hal.h"
#include "native.h"

native_options_t native_options;

enum { SLOT0_MAX_BYTES = 0xFFFF, CYCLES_PER_SECOND = 48000000, POINT_BYTES = 1 + 96 };

static EVP_PKEY *identity;
static EVP_PKEY *ephemeral;
static uint8_t slot0[SLOT0_MAX_BYTES];
static size_t slot0_size;
static uint8_t measured[2][HAL_SHA384_BYTES];

/* ---- SHA-384 ----------------------------------------------------------------------------------------- */
static void to_openssl(const hal_sha384_t *ctx, SHA512_CTX *c) {
  memset(c, 0, sizeof *c);
  memcpy(c->h, ctx->state, sizeof ctx->state);
  c->Nl = ctx->length << 3;
  c->Nh = ctx->length >> 61;
  memcpy(c->u.p, ctx->buffer, sizeof ctx->buffer);
  c->num = ctx->fill;
  c->md_len = HAL_SHA384_BYTES;
}

static void from_openssl(const SHA512_CTX *c, hal_sha384_t *ctx) {
  memcpy(ctx->state, c->h, sizeof ctx->state);
  ctx->length = (uint64_t)c->Nl >> 3;
  memcpy(ctx->buffer, c->u.p, sizeof ctx->buffer);
  ctx->fill = c->num;
}

void hal_sha384_init(hal_sha384_t *ctx) {
  SHA512_CTX c;
  memset(&c, 0, sizeof c);
  SHA384_Init(&c);
  memset(ctx, 0, sizeof *ctx);
  from_openssl(&c, ctx);
}

void hal_sha384_update(hal_sha384_t *ctx, const void *data, size_t length) {
  SHA512_CTX c;
  to_openssl(ctx, &c);
  SHA384_Update(&c, data, length);
  from_openssl(&c, ctx);
  wipe(&c, sizeof c);
}

void hal_sha384_final(hal_sha384_t *ctx, uint8_t digest[HAL_SHA384_BYTES]) {
  SHA512_CTX c;
  to_openssl(ctx, &c);
  SHA384_Final(digest, &c);
  wipe(&c, sizeof c);
  wipe(ctx, sizeof *ctx);
}

/* ---- AES-256-GCM --------------------------------------------------------------------------------------- */
typedef struct {
  bool loaded;
  uint8_t key[32];
} aead_slot_t;
static aead_slot_t aead[HAL_AEAD_SLOTS];

bool hal_aead_set_key(unsigned slot, const uint8_t key[32]) {
  if (slot >= HAL_AEAD_SLOTS) {
    return false;
  }
  aead[slot].loaded = true;
  memcpy(aead[slot].key, key, sizeof aead[slot].key);
  return true;
}

void hal_aead_erase(unsigned slot) {
  if (slot < HAL_AEAD_SLOTS) {
    wipe(&aead[slot], sizeof aead[slot]);
  }
}

static bool gcm(bool seal, unsigned slot, const uint8_t iv[12], const uint8_t *aad,
                size_t aad_length, uint8_t *data, size_t length, uint8_t tag[16]) {
  if (slot >= HAL_AEAD_SLOTS || !aead[slot].loaded || aad_length < 1 || aad_length > 64 ||
      length > HAL_DOE_BUFFER_BYTES) {
    return false;
  }
  int n = 0;
  uint8_t none[16];
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  bool ok = c != NULL &&
            EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, aead[slot].key, iv, seal ? 1 : 0) == 1 &&
            EVP_CipherUpdate(c, NULL, &n, aad, (int)aad_length) == 1 &&
            EVP_CipherUpdate(c, data, &n, data, (int)length) == 1;
  if (ok && !seal) {
    ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, tag) == 1;
  }
  ok = ok && EVP_CipherFinal_ex(c, none, &n) == 1;
  if (ok && seal) {
    ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1;
  }
  EVP_CIPHER_CTX_free(c);
  if (!ok) {
    memset(data, 0, length);
  }
  return ok;
}

bool hal_aead_seal(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, uint8_t tag[16]) {
  return gcm(true, slot, iv, aad, aad_length, data, length, tag);
}

bool hal_aead_open(unsigned slot, const uint8_t iv[12], const uint8_t *aad, size_t aad_length,
                   uint8_t *data, size_t length, const uint8_t tag[16]) {
  uint8_t copy[16];
  memcpy(copy, tag, sizeof copy);
  return gcm(false, slot, iv, aad, aad_length, data, length, copy);
}

/* ---- randomness ----------------------------------------------------------------------------------------- */
/* With --seed: SHA-384(seed || counter), block after block. */
static bool seeded_random(uint8_t *out, size_t length) {
  static uint64_t counter;
  while (length > 0) {
    uint8_t block[HAL_SHA384_BYTES];
    size_t n = length < sizeof block ? length : sizeof block;
    hal_sha384_t hash;
    hal_sha384_init(&hash);
    hal_sha384_update(&hash, native_options.seed, strlen(native_options.seed));
    hal_sha384_update(&hash, &counter, sizeof counter);
    hal_sha384_final(&hash, block);
    counter++;
    memcpy(out, block, n);
    out += n;
    length -= n;
  }
  return true;
}

bool hal_random(uint8_t *out, size_t length) {
  if (native_options.seed != NULL) {
    return seeded_random(out, length);
  }
  if (RAND_bytes(out, (int)length) != 1) {
    memset(out, 0, length);
    return false;
  }
  return true;
}

/* ---- P-384 ----------------------------------------------------------------------------------------------- */
/* Key from a private scalar (or NULL) and, if there is none, an uncompressed point. */
static EVP_PKEY *make_key(const BIGNUM *scalar, const uint8_t *point) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM *params = NULL;
  uint8_t computed[POINT_BYTES];
  EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
  EC_POINT *public_point = group != NULL ? EC_POINT_new(group) : NULL;
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  bool ok = public_point != NULL && build != NULL && ctx != NULL;

  if (ok && scalar != NULL) {
    ok = EC_POINT_mul(group, public_point, scalar, NULL, NULL, NULL) == 1 &&
         EC_POINT_point2oct(group, public_point, POINT_CONVERSION_UNCOMPRESSED, computed,
                            sizeof computed, NULL) == sizeof computed;
    point = computed;
  }
  ok = ok &&
       OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0) == 1 &&
       OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_BYTES) == 1 &&
       (scalar == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1) &&
       (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
       EVP_PKEY_fromdata(ctx, &key, scalar != NULL ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                         params) == 1;
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  EVP_PKEY_CTX_free(ctx);
  EC_POINT_free(public_point);
  EC_GROUP_free(group);
  return ok ? key : NULL;
}

static EVP_PKEY *seeded_key(void) {
  uint8_t bytes[HAL_P384_BYTES];
  EVP_PKEY *key = NULL;
  if (hal_random(bytes, sizeof bytes)) {
    bytes[0] &= 0x7F; /* below the order */
    BIGNUM *scalar = BN_bin2bn(bytes, sizeof bytes, NULL);
    key = scalar != NULL ? make_key(scalar, NULL) : NULL;
    BN_clear_free(scalar);
  }
  wipe(bytes, sizeof bytes);
  return key;
}

bool hal_p384_keygen(uint8_t public_key[96]) {
  uint8_t point[POINT_BYTES];
  size_t size = 0;

  EVP_PKEY_free(ephemeral);
  ephemeral = native_options.seed != NULL ? seeded_key() : EVP_EC_gen("P-384");
  if (ephemeral == NULL ||
      EVP_PKEY_get_octet_string_param(ephemeral, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                      &size) != 1 ||
      size != sizeof point) {
    memset(public_key, 0, 96);
    return false;
  }
  memcpy(public_key, point + 1, 96);
  return true;
}

bool hal_p384_ecdh(const uint8_t peer[96], uint8_t shared_x[48]) {
  uint8_t point[POINT_BYTES] = {4};
  size_t size = HAL_P384_BYTES;

  memcpy(point + 1, peer, 96);
  EVP_PKEY *peer_key = make_key(NULL, point);
  EVP_PKEY_CTX *check = peer_key != NULL ? EVP_PKEY_CTX_new(peer_key, NULL) : NULL;
  EVP_PKEY_CTX *ctx = ephemeral != NULL ? EVP_PKEY_CTX_new(ephemeral, NULL) : NULL;
  /* The quick check is whole here: in range, on the curve, not infinity; the cofactor is 1. */
  bool ok = check != NULL && ctx != NULL && EVP_PKEY_public_check_quick(check) == 1 &&
            EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, peer_key, 0) == 1 &&
            EVP_PKEY_derive(ctx, shared_x, &size) == 1 && size == HAL_P384_BYTES;
  EVP_PKEY_CTX_free(ctx);
  EVP_PKEY_CTX_free(check);
  EVP_PKEY_free(peer_key);
  EVP_PKEY_free(ephemeral);
  ephemeral = NULL;
  if (!ok) {
    memset(shared_x, 0, HAL_P384_BYTES);
  }
  return ok;
}

bool hal_p384_sign_identity(const uint8_t digest[48], uint8_t signature[96]) {
  uint8_t der[128];
  size_t size = sizeof der;
  const uint8_t *p = der;
  ECDSA_SIG *sig = NULL;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(identity, NULL);
  bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
            EVP_PKEY_sign(ctx, der, &size, digest, HAL_SHA384_BYTES) == 1 &&
            (sig = d2i_ECDSA_SIG(NULL, &p, (long)size)) != NULL &&
            BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 48) == 48 &&
            BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 48, 48) == 48;
  ECDSA_SIG_free(sig);
  EVP_PKEY_CTX_free(ctx);
  if (!ok) {
    memset(signature, 0, 96);
  }
  return ok;
}

/* ---- identity and measurements ------------------------------------------------------------------------- */
static bool load_identity(const char *path) {
  char text[4096];
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    fprintf(stderr, "teeio-dsm: cannot open identity key %s\n", path);
    return false;
  }
  size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[size] = '\0';
  if (strstr(text, "-----BEGIN") != NULL) {
    BIO *bio = BIO_new_mem_buf(text, (int)size);
    identity = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
  } else {
    BIGNUM *scalar = NULL;
    size_t digits = 0;
    for (size_t i = 0; i < size; i++) { /* white space between the words does not count */
      if (strchr(" \t\r\n", text[i]) == NULL) {
        text[digits++] = text[i];
      }
    }
    text[digits] = '\0';
    if (digits == 2 * HAL_P384_BYTES && BN_hex2bn(&scalar, text) == (int)digits) {
      identity = make_key(scalar, NULL);
    }
    BN_clear_free(scalar);
  }
  wipe(text, sizeof text);
  if (identity == NULL || EVP_PKEY_get_bits(identity) != 384) {
    fprintf(stderr, "teeio-dsm: %s holds no P-384 private key\n", path);
    return false;
  }
  return true;
}

static bool load_slot0(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    fprintf(stderr, "teeio-dsm: cannot open certificate slot %s\n", path);
    return false;
  }
  slot0_size = fread(slot0, 1, sizeof slot0, file);
  fclose(file);
  if (slot0_size < 4 + HAL_SHA384_BYTES || load_u32(slot0) != slot0_size) {
    fprintf(stderr, "teeio-dsm: %s is no slot structure (length, root hash, certificates)\n",
            path);
    return false;
  }
  return true;
}

static bool measure(const char *path, uint8_t digest[HAL_SHA384_BYTES]) {
  uint8_t chunk[4096];
  size_t n;
  hal_sha384_t hash;
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    fprintf(stderr, "teeio-dsm: cannot open image %s\n", path);
    return false;
  }
  hal_sha384_init(&hash);
  while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
    hal_sha384_update(&hash, chunk, n);
  }
  fclose(file);
  hal_sha384_final(&hash, digest);
  return true;
}

bool native_hal_open(void) {
  const char *self = "/proc/self/exe";
  const char *rom = native_options.rom != NULL ? native_options.rom : self;
  const char *firmware = native_options.firmware != NULL ? native_options.firmware : self;
  return load_identity(native_options.identity) && load_slot0(native_options.slot0) &&
         measure(rom, measured[HAL_MEAS_ROM]) && measure(firmware, measured[HAL_MEAS_FIRMWARE]);
}

const uint8_t *hal_slot0(size_t *length) {
  *length = slot0_size;
  return slot0;
}

void hal_measurement(unsigned which, uint8_t digest[HAL_SHA384_BYTES]) {
  memcpy(digest, measured[which == HAL_MEAS_ROM ? HAL_MEAS_ROM : HAL_MEAS_FIRMWARE],
         HAL_SHA384_BYTES);
}

uint32_t hal_status(void) {
  return HAL_STATUS_NATIVE | (native_options.seed != NULL ? HAL_STATUS_SEED_DETERMINISTIC : 0);
}

uint32_t hal_quirks(void) {
  return native_options.quirks;
}

uint32_t hal_lab_delay_us(void) {
  return native_options.answer_delay_us;
}

uint32_t hal_svn(void) {
  return native_options.svn;
}

/* ---- time ------------------------------------------------------------------------------------------------ */
uint64_t hal_cycles(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  return ns / 125 * (CYCLES_PER_SECOND / 8000000) * native_options.time_scale;
}

uint32_t hal_cycles_per_second(void) {
  return CYCLES_PER_SECOND;
}
