// SPDX-License-Identifier: Apache-2.0
// Memory map of the device security manager. The firmware's twin is firmware/hal/soc.h.
//
//   0000_0000  boot ROM         4 KiB   executable
//   1000_0000  firmware ROM    64 KiB   executable
//   1800_0000  slot 0 ROM       4 KiB   word 0 = length of the structure in bytes, then its bytes
//   2000_0000  RAM             32 KiB
//   4000_0000  peripherals     64 KiB each
//
// Only the two ROMs can be executed, only RAM and the DOE response buffer can be written by byte.
// Any other access has no effect, reads 0 and raises the bus fault interrupt.
package dsm_pkg;

  localparam int unsigned BOOT_BYTES     = 4096;
  localparam int unsigned FIRMWARE_BYTES = 65536;
  localparam int unsigned SLOT0_BYTES    = 4096;
  localparam int unsigned RAM_BYTES      = 32768;

  // Top byte of the address chooses the target.
  localparam logic [7:0] TOP_BOOT     = 8'h00;
  localparam logic [7:0] TOP_FIRMWARE = 8'h10;
  localparam logic [7:0] TOP_SLOT0    = 8'h18;
  localparam logic [7:0] TOP_RAM      = 8'h20;
  localparam logic [7:0] TOP_PERIPH   = 8'h40;

  // Address bits 19:16 choose the peripheral.
  localparam int unsigned NUM_PERIPH = 10;
  typedef enum logic [3:0] {
    PerDoe         = 4'd0,
    PerSha         = 4'd1,
    PerAead        = 4'd2,
    PerP384        = 4'd3,
    PerRandom      = 4'd4,
    PerKeyBus      = 4'd5,
    PerTdiBus      = 4'd6,
    PerSnapshot    = 4'd7,
    PerSystem      = 4'd8,
    PerMeasure     = 4'd9,
    PerDoeRequest  = 4'd14,  // memory, read only
    PerDoeResponse = 4'd15   // memory
  } periph_e;

  // Register bus. An access is `valid` until `ready`; both stand in one cycle for each access, and
  // read data is valid in that cycle. ready may wait for an event (the CPU stalls), never for valid.
  typedef struct packed {
    logic [15:2] addr;
    logic        we;
    logic [31:0] wdata;
  } reg_req_t;

  // Event word, as hal.h numbers it.
  localparam int unsigned EV_DOE_GO       = 0;
  localparam int unsigned EV_DOE_ABORT    = 1;
  localparam int unsigned EV_TIMER        = 2;
  localparam int unsigned EV_FLR0         = 3;
  localparam int unsigned EV_STREAM_SHIFT = 8;
  localparam int unsigned EV_TDI_SHIFT    = 16;

  function automatic logic [31:0] bswap(input logic [31:0] v);
    return {v[7:0], v[15:8], v[23:16], v[31:24]};
  endfunction

endpackage
