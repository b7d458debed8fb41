// SPDX-License-Identifier: Apache-2.0
// Where the registers of configuration space stand: byte offsets of the DW that holds them.
// Shared by the register file and by the watch over locked registers.
package cfg_pkg;

  typedef logic [11:0] offset_t;

  // Type 0 header.
  localparam offset_t OFF_ID            = 12'h000;
  localparam offset_t OFF_COMMAND       = 12'h004;  // Command, Status
  localparam offset_t OFF_CLASS         = 12'h008;
  localparam offset_t OFF_CACHE_LINE    = 12'h00C;  // Cache Line, Latency, Header Type, BIST
  localparam offset_t OFF_BAR0          = 12'h010;
  localparam offset_t OFF_BAR1          = 12'h014;  // upper half of the 64-bit BAR0
  localparam offset_t OFF_BAR5          = 12'h024;
  localparam offset_t OFF_SUBSYSTEM     = 12'h02C;
  localparam offset_t OFF_ROM           = 12'h030;
  localparam offset_t OFF_CAP_POINTER   = 12'h034;
  localparam offset_t OFF_INTERRUPT     = 12'h03C;

  // Capabilities.
  localparam offset_t OFF_PM            = 12'h040;
  localparam offset_t OFF_PMCSR         = 12'h044;
  localparam offset_t OFF_PCIE          = 12'h070;
  localparam offset_t OFF_DEVCAP        = 12'h074;
  localparam offset_t OFF_DEVCTL        = 12'h078;  // Device Control, Device Status
  localparam offset_t OFF_LINKCAP       = 12'h07C;
  localparam offset_t OFF_LINKCTL       = 12'h080;  // Link Control, Link Status
  localparam offset_t OFF_DEVCAP2       = 12'h094;
  localparam offset_t OFF_DEVCTL2       = 12'h098;
  localparam offset_t OFF_LINKCAP2      = 12'h09C;
  localparam offset_t OFF_LINKCTL2      = 12'h0A0;
  localparam offset_t OFF_MSIX          = 12'h0B0;
  localparam offset_t OFF_MSIX_TABLE    = 12'h0B4;
  localparam offset_t OFF_MSIX_PBA      = 12'h0B8;

  // Extended capabilities.
  localparam offset_t OFF_AER           = 12'h100;
  localparam offset_t OFF_AER_UE_STATUS = 12'h104;
  localparam offset_t OFF_AER_UE_MASK   = 12'h108;
  localparam offset_t OFF_AER_UE_SEV    = 12'h10C;
  localparam offset_t OFF_AER_CE_STATUS = 12'h110;
  localparam offset_t OFF_AER_CE_MASK   = 12'h114;
  localparam offset_t OFF_AER_CONTROL   = 12'h118;
  localparam offset_t OFF_AER_HEADER0   = 12'h11C;  // four DWs
  localparam offset_t OFF_AER_PREFIX0   = 12'h138;  // first of four, one is used
  localparam offset_t OFF_SERIAL        = 12'h150;
  localparam offset_t OFF_SERIAL_LOW    = 12'h154;
  localparam offset_t OFF_SERIAL_HIGH   = 12'h158;
  localparam offset_t OFF_ACS           = 12'h160;
  localparam offset_t OFF_DOE           = 12'h170;  // F0 only, as is IDE
  localparam offset_t OFF_DOE_CAP       = 12'h174;
  localparam offset_t OFF_DOE_CONTROL   = 12'h178;
  localparam offset_t OFF_DOE_STATUS    = 12'h17C;
  localparam offset_t OFF_DOE_WRITE     = 12'h180;
  localparam offset_t OFF_DOE_READ      = 12'h184;
  localparam offset_t OFF_IDE           = 12'h190;
  localparam offset_t OFF_IDE_CAP       = 12'h194;
  localparam offset_t OFF_IDE_LINK      = 12'h19C;  // Control, Status
  localparam offset_t OFF_IDE_SELECTIVE = 12'h1A4;  // block 0; the next one 20h behind it

  // Offsets in a selective stream block.
  localparam offset_t SEL_STRIDE        = 12'h020;
  localparam offset_t SEL_CAP           = 12'h000;
  localparam offset_t SEL_CONTROL       = 12'h004;
  localparam offset_t SEL_STATUS        = 12'h008;
  localparam offset_t SEL_RID1          = 12'h00C;
  localparam offset_t SEL_RID2          = 12'h010;
  localparam offset_t SEL_ADDR1         = 12'h014;
  localparam offset_t SEL_ADDR2         = 12'h018;
  localparam offset_t SEL_ADDR3         = 12'h01C;

  localparam logic [1:0] POWER_D0    = 2'd0;
  localparam logic [1:0] POWER_D3HOT = 2'd3;

endpackage
