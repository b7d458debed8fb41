// SPDX-License-Identifier: Apache-2.0
// Tells which configuration writes break the lock of a TDI or the identity of an IDE stream.
//
// Contract
//   * Combinational from the registered write event: violation_o and reconfig_o pulse in the first
//     cycle in which the registers hold the new value. The write itself is never held back.
//   * violation_o[i] is for TDI i = function i+1. It depends on the state of the TDI only where a
//     row needs it (MSI-X lock, binding to a stream): CONFIG_UNLOCKED ignores violations anyway.
//   * reconfig_o[b]: a watched register of stream block b was written while its stream was
//     enabled, in any TDI state; the stream has to go Insecure.
//   * disable_o[b]: Control of block b was written with Enable = 0, enabled before or not; the
//     keys of that block have to go.
//   * A write without byte enables is no write. BARs, ROM, BIST and IDE registers react to any
//     write, bit fields to a change of value.
//   * Power Management is not watched: No_Soft_Reset is 1, so D3hot keeps all state.
//   * Absent here and so without a row: Resizable BAR, SR-IOV, ARI, PASID, PRI, Multicast,
//     Enhanced Allocation, Device Control 3.
// TDISP, table of registers tracked in CONFIG_LOCKED and RUN (PCIe Base 6.x, 11.2).
module config_watch
  import cfg_pkg::*;
  import ide_pkg::NUM_BLOCKS;
  import ide_pkg::NUM_SELECTIVE;
  import pcie_pkg::cfg_write_event_t;
  import tdisp_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  cfg_write_event_t                     write_event_i,
  input  logic                                 bus_dev_change_i,
  input  logic [NumTdi:0]                      flr_i,
  input  tdi_view_t [NumTdi-1:0]               view_i,
  input  ide_pkg::block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,

  output logic [NumTdi-1:0]                    violation_o,
  output logic [NUM_BLOCKS-1:0]                reconfig_o,
  output logic [NUM_BLOCKS-1:0]                disable_o
);

  localparam int unsigned LINK = NUM_SELECTIVE;

  localparam logic [31:0] COMMAND_BITS = 32'h0000_0006;  // Memory Space, Bus Master Enable
  localparam logic [31:0] DEVCTL_BITS  = 32'h0000_0B00;  // extended tag, phantom, no snoop
  localparam logic [31:0] DEVCTL2_BITS = 32'h0000_1000;  // 10-bit tag requester enable

  offset_t     off;
  logic        written;
  logic [31:0] cleared, changed;

  assign off     = {write_event_i.addr, 2'b00};
  assign written = write_event_i.valid && write_event_i.be != 4'd0;
  assign cleared = write_event_i.old_value & ~write_event_i.new_value;
  assign changed = write_event_i.old_value ^ write_event_i.new_value;

  // Rows that hold for the function whose register was written.
  logic hits_function, hits_msix;
  always_comb begin
    hits_function = 1'b0;
    hits_msix     = 1'b0;
    if (written) begin
      unique case (off)
        OFF_COMMAND:    hits_function = (cleared & COMMAND_BITS) != '0;
        OFF_CACHE_LINE: hits_function = write_event_i.be[3];  // BIST
        OFF_ROM:        hits_function = 1'b1;
        OFF_DEVCTL:     hits_function = (changed & DEVCTL_BITS) != '0
                                        || (write_event_i.be[1] && write_event_i.wdata[15]);
        OFF_DEVCTL2:    hits_function = (changed & DEVCTL2_BITS) != '0;
        OFF_MSIX, OFF_MSIX_TABLE, OFF_MSIX_PBA:
                        hits_msix = 1'b1;
        default:        hits_function = off >= OFF_BAR0 && off <= OFF_BAR5;
      endcase
    end
  end

  // Rows of the IDE capability, which is in function 0.
  logic [NUM_BLOCKS-1:0] hits_control, hits_association;
  always_comb begin
    hits_control     = '0;
    hits_association = '0;
    if (written && write_event_i.func == 3'd0) begin
      hits_control[LINK] = off == OFF_IDE_LINK;
      for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
        hits_control[s] = off == OFF_IDE_SELECTIVE + 12'(s) * SEL_STRIDE + SEL_CONTROL;
        hits_association[s] = off >= OFF_IDE_SELECTIVE + 12'(s) * SEL_STRIDE + SEL_RID1
                              && off <= OFF_IDE_SELECTIVE + 12'(s) * SEL_STRIDE + SEL_ADDR3;
      end
    end
  end

  // The first Enable is no change of a running stream: Control counts by its old Enable bit. The
  // association registers leave Enable as it is.
  always_comb begin
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      reconfig_o[b] = (hits_control[b] && write_event_i.old_value[0])
                      || (hits_association[b] && block_cfg_i[b].enable);
      disable_o[b]  = hits_control[b] && !write_event_i.new_value[0];
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < NumTdi; i++) begin
      // A reset of F0 takes the streams of every TDI, a new bus number its Requester ID.
      violation_o[i] = bus_dev_change_i || flr_i[0] || flr_i[i+1];
      if (write_event_i.func == 3'(i + 1)) begin
        if (hits_function) violation_o[i] = 1'b1;
        if (hits_msix && view_i[i].msix_locked) violation_o[i] = 1'b1;
      end
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if ((hits_control[b] || hits_association[b]) && view_i[i].state != StUnlocked
            && block_is_bound(2'(b), view_i[i])) begin
          violation_o[i] = 1'b1;
        end
      end
    end
  end

  logic unused_cfg;
  always_comb begin
    unused_cfg = 1'b0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) unused_cfg ^= ^block_cfg_i[b];
  end

endmodule
