/* SPDX-License-Identifier: Apache-2.0
 * TDISP VDM_REQUEST of this device's vendor: the lab message for a firmware update at run time.
 *
 * The image is ROM, so nothing is written: the message stands for an update and has the consequences
 * of one, so that NO_FW_UPDATE and the session policy have something to decide about
 * (docs/data_formats.md).
 */
#include "config.h"
#include "device.h"
#include "tdisp.h"

enum {
  REGISTRY_PCI_SIG = 0,
  VENDOR_ID_BYTES = 2,
  OPERATION_UPDATE_FIRMWARE = 1
};

tdisp_result_t tdisp_vendor_message(spdm_t *spdm, reader_t *body, bool is_update_refused,
                                    writer_t *out) {
  uint16_t own_vendor = (uint16_t)hal_config_read(0, CONFIG_ID);
  uint8_t registry = reader_u8(body);
  uint8_t vendor_size = reader_u8(body);
  const uint8_t *vendor = reader_bytes(body, vendor_size);

  if (!body->ok) {
    return TDISP_INVALID_REQUEST;
  }
  if (registry != REGISTRY_PCI_SIG || vendor_size != VENDOR_ID_BYTES ||
      load_u16(vendor) != own_vendor) {
    return TDISP_UNSUPPORTED_REQUEST;
  }
  uint8_t operation = reader_u8(body);
  if (!body->ok || reader_left(body) != 0) {
    return TDISP_INVALID_REQUEST;
  }
  if (operation != OPERATION_UPDATE_FIRMWARE) {
    return TDISP_UNSUPPORTED_REQUEST;
  }
  if (is_update_refused) {
    return TDISP_INVALID_INTERFACE_STATE;
  }
  spdm_updated(spdm);
  writer_u8(out, registry);
  writer_u8(out, VENDOR_ID_BYTES);
  writer_u16(out, own_vendor);
  writer_u8(out, operation);
  return TDISP_OK;
}
