/* SPDX-License-Identifier: Apache-2.0
 * Entry on the SoC; the start-up code has prepared memory and measured this image.
 */
#include "dsm.h"
#include "hal/hal.h"

int main(void) {
  dsm_init();
  for (;;) {
    dsm_step(hal_wait_events());
  }
}
