/* SPDX-License-Identifier: Apache-2.0
 * Finding things in the configuration snapshot: capability lists, the IDE stream blocks.
 */
#ifndef TEEIO_CONFIG_H
#define TEEIO_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* Byte offset of a capability of `function`, 0 if it has none. */
unsigned config_find(unsigned function, uint8_t id);
unsigned config_find_extended(unsigned function, uint16_t id);

typedef struct {
  unsigned offset;     /* of the IDE capability in F0; 0 = none, the rest is 0 then */
  uint32_t capability; /* IDE Capability register */
  unsigned links;
  unsigned selectives;
  unsigned words;      /* registers from offset 04h to the end of the last block */
} ide_layout_t;
void ide_layout(ide_layout_t *layout);

/* Lowest stream block whose Control register holds `stream_id`: selective blocks come first, then
 * link blocks, as the hardware numbers them. False if none does. */
bool ide_find_block(uint8_t stream_id, unsigned *block);

#endif
