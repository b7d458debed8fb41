/* SPDX-License-Identifier: Apache-2.0
 * Model of what the firmware sees of the device: configuration space of the functions, keys and
 * state of the IDE stream blocks, state machines of the TDIs.
 *
 * A model of registers and decisions, without any TLP: a key is loaded, goes and stops, a stream
 * becomes Secure and Insecure, a TDI is locked, started, thrown into ERROR, but nothing is
 * encrypted, no DMA runs, and a key set that K_SET_GO replaced is dropped at once (there is no
 * first TLP with the new K to wait for).
 */
#ifndef TEEIO_NATIVE_MODEL_H
#define TEEIO_NATIVE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_FUNCTIONS_MAX 8u

typedef struct {
  unsigned num_tdi;  /* 1..7 */
  uint16_t bus_dev;  /* bus << 8 | device << 3 */
  bool bare;         /* registers at reset values, instead of as a host leaves them for IDE_KM */
} model_options_t;

/* Conventional reset. */
void model_reset(const model_options_t *options);

uint32_t model_config_read(unsigned function, unsigned offset);
/* Configuration write of one DW; bit i of byte_enables = byte i. */
void model_config_write(unsigned function, unsigned offset, uint32_t value, unsigned byte_enables);
void model_flr(unsigned function);
/* An IDE check failed on this block. */
void model_stream_fail(unsigned block);
/* A cause of ERROR that no register shows (DMA error and the like). */
void model_tdi_violation(unsigned tdi);

/* Events (HAL_EV_*) since the last call. */
uint32_t model_take_events(void);

#endif
