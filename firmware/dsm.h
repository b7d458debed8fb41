/* SPDX-License-Identifier: Apache-2.0
 * The device security manager as a whole: start, and one step per event.
 */
#ifndef TEEIO_DSM_H
#define TEEIO_DSM_H

#include <stdint.h>

/* After a conventional reset. */
void dsm_init(void);
/* Handles the events that hal_wait_events() returned. */
void dsm_step(uint32_t events);

#endif
