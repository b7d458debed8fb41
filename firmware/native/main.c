/* SPDX-License-Identifier: Apache-2.0
 * teeio-dsm: the device security manager as a Linux process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "hal/hal.h"
#include "native.h"
#include "quirks.h"

static const char usage[] =
    "usage: teeio-dsm --identity KEY --slot0 FILE [options]\n"
    "  --identity FILE   P-384 private key: PEM, or 96 hexadecimal digits\n"
    "  --slot0 FILE      certificate slot 0: length, root hash, certificates\n"
    "  --port N          TCP port on 127.0.0.1; 0 (default) takes a free one and prints it\n"
    "  --rom FILE        image measured as block 1 (default: this program)\n"
    "  --firmware FILE   image measured as block 2 (default: this program)\n"
    "  --svn N           security version number (default 1)\n"
    "  --num-tdi N       functions F1..FN are TDIs, 1..7 (default 3)\n"
    "  --bus-dev N       captured bus << 8 | device << 3 (default 0x0100)\n"
    "  --bare            registers at reset values instead of ready for IDE_KM\n"
    "  --time-scale N    device seconds per second (default 1)\n"
    "  --watch-stdin     end when standard input does\n"
    "  --quirk NAME      differ from the specification: validator, reference-requester\n"
    "  --answer-delay N  lab: signed answers are ready N us later, ResponseNotReady until then\n"
    "  --seed TEXT       deterministic random numbers; the device mode says so\n";

static bool parse_number(const char *text, unsigned long least, unsigned long most,
                         unsigned long *value) {
  char *end = NULL;
  errno = 0;
  *value = strtoul(text, &end, 0);
  return errno == 0 && end != text && *end == '\0' && *value >= least && *value <= most;
}

static bool parse_option(const char *name, const char *text) {
  native_options_t *o = &native_options;
  unsigned long n = 0;

  if (strcmp(name, "--identity") == 0) {
    o->identity = text;
  } else if (strcmp(name, "--slot0") == 0) {
    o->slot0 = text;
  } else if (strcmp(name, "--rom") == 0) {
    o->rom = text;
  } else if (strcmp(name, "--firmware") == 0) {
    o->firmware = text;
  } else if (strcmp(name, "--seed") == 0) {
    o->seed = text;
  } else if (strcmp(name, "--quirk") == 0 && strcmp(text, "validator") == 0) {
    o->quirks |= QUIRK_VALIDATOR;
  } else if (strcmp(name, "--quirk") == 0 && strcmp(text, "reference-requester") == 0) {
    o->quirks |= QUIRK_REFERENCE_REQUESTER;
  } else if (strcmp(name, "--port") == 0 && parse_number(text, 0, 0xFFFF, &n)) {
    o->port = (uint16_t)n;
  } else if (strcmp(name, "--svn") == 0 && parse_number(text, 0, 0xFFFFFFFF, &n)) {
    o->svn = (uint32_t)n;
  } else if (strcmp(name, "--num-tdi") == 0 &&
             parse_number(text, 1, MODEL_FUNCTIONS_MAX - 1, &n)) {
    o->model.num_tdi = (unsigned)n;
  } else if (strcmp(name, "--bus-dev") == 0 && parse_number(text, 0, 0xFFF8, &n) && n % 8 == 0) {
    o->model.bus_dev = (uint16_t)n;
  } else if (strcmp(name, "--time-scale") == 0 && parse_number(text, 1, 10000, &n)) {
    o->time_scale = (uint32_t)n;
  } else if (strcmp(name, "--answer-delay") == 0 && parse_number(text, 1, 60000000, &n)) {
    o->answer_delay_us = (uint32_t)n;
  } else {
    return false;
  }
  return true;
}

static bool parse_arguments(int argc, char **argv) {
  native_options = (native_options_t){
      .svn = 1, .time_scale = 1, .model = {.num_tdi = 3, .bus_dev = 0x0100, .bare = false}};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--bare") == 0) {
      native_options.model.bare = true;
    } else if (strcmp(argv[i], "--watch-stdin") == 0) {
      native_options.watch_stdin = true;
    } else if (i + 1 >= argc || !parse_option(argv[i], argv[i + 1])) {
      return false;
    } else {
      i++;
    }
  }
  return native_options.identity != NULL && native_options.slot0 != NULL;
}

int main(int argc, char **argv) {
  if (!parse_arguments(argc, argv)) {
    fputs(usage, stderr);
    return 2;
  }
  if (!native_hal_open()) {
    return EXIT_FAILURE;
  }
  uint16_t port = server_open(native_options.port);
  if (port == 0) {
    return EXIT_FAILURE;
  }
  model_reset(&native_options.model);
  dsm_init();
  printf("port %u\n", port);
  fflush(stdout);
  for (;;) {
    dsm_step(hal_wait_events());
  }
}
