/* SPDX-License-Identifier: Apache-2.0
 * What the files of the native DSM share.
 */
#ifndef TEEIO_NATIVE_H
#define TEEIO_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

typedef struct {
  const char *identity; /* PEM private key, or 96 hexadecimal digits, big-endian */
  const char *slot0;    /* slot structure: length, root hash, certificates */
  const char *rom;      /* image measured as block 1; NULL: this program */
  const char *firmware; /* image measured as block 2; NULL: this program */
  const char *seed;     /* not NULL: deterministic random numbers */
  uint32_t svn;
  uint32_t quirks;     /* quirks.h */
  uint32_t time_scale; /* device seconds per second */
  uint32_t answer_delay_us; /* lab: what is signed comes so much later; 0: at once */
  uint16_t port;       /* 0: any */
  bool watch_stdin;    /* end when standard input does: with the program that started us */
  model_options_t model;
} native_options_t;

extern native_options_t native_options;

/* Reads keys and images; false with a message on stderr if something is missing. */
bool native_hal_open(void);
/* Opens the listening socket on the loopback interface; the port, 0 on failure. */
uint16_t server_open(uint16_t port);

#endif
