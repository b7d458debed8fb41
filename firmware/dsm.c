/* SPDX-License-Identifier: Apache-2.0
 * The device security manager: see dsm.h. Streams and TDIs that fail are the hardware's business;
 * their state is read when it is asked for, so those events need no action here.
 */
#include "dsm.h"

#include "doe.h"
#include "ide_km.h"
#include "spdm.h"
#include "tdisp.h"

static spdm_t spdm;

void dsm_init(void) {
  spdm_init(&spdm);
  ide_km_init();
  tdisp_init();
}

void dsm_step(uint32_t events) {
  if ((events & HAL_EV_FLR0) != 0) {
    spdm_disconnect(&spdm); /* the keys are gone: sessions that speak of them go too */
  }
  session_watchdog(&spdm); /* before the next message, so that an overdue session gets none */
  if ((events & HAL_EV_DOE_GO) != 0) {
    doe_handle(&spdm);
    session_watchdog(&spdm);
  }
}
