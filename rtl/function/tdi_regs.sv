// SPDX-License-Identifier: Apache-2.0
// Registers of a TDI on pages 0 and 1 of BAR0, and the descriptors.
//
// Contract: docs/registers.md. Reads answer one cycle after sel_i with !we_i, with zero in every
// other cycle, so that several blocks can be ORed. While hide_i is high page 1 reads as zero and
// ignores writes. clear_i empties the scratch registers and overwrites descriptor word
// clear_idx_i; the caller steps through all 64.
//
// SEC: TDI.ERASE
module tdi_regs
  import tdisp_pkg::*;
#(
  parameter int unsigned WorkMemBytes = 16384,
  parameter logic [7:0]  TdiIdx       = 8'd0,
  parameter logic [31:0] Version      = 32'h0000_0001
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        hide_i,
  input  logic        clear_i,
  input  logic [5:0]  clear_idx_i,

  // local bus; sel_i: this function, page 0 or 1
  input  logic        sel_i,
  input  logic        we_i,
  input  logic        page_i,
  input  logic [11:2] addr_i,
  input  logic [3:0]  be_i,
  input  logic [31:0] wdata_i,
  output logic [31:0] rdata_o,

  // what the registers show
  input  tdi_state_e  state_i,
  input  logic        erasing_i,
  input  logic [63:0] cycle_i,
  input  logic        dma_busy_i,
  input  logic        dma_done_i,
  input  logic        dma_error_i,
  input  logic [2:0]  dma_current_i,
  input  logic [2:0]  dma_reason_i,

  // what they do
  output logic        dma_start_o,
  output logic [2:0]  dma_first_o,
  output logic [3:0]  dma_count_o,
  output logic        dma_abort_o,
  output logic [3:0]  irq_o,

  // descriptors -> DMA engine, combinational
  input  logic [2:0]  desc_idx_i,
  input  logic [2:0]  desc_word_i,
  output logic [31:0] desc_rdata_o
);

  localparam logic [31:0] Identity = 32'h4F49_4554;  // "TEIO"

  logic [3:0][31:0] scratch_q;
  logic [31:0]      desc_q [64];      // {descriptor, word}; words 5..7 stay zero
  logic [31:0]      cycles_high_q;
  logic [31:0]      rdata_d, rdata_q;
  logic             control_write;
  logic             is_desc;
  logic [5:0]       desc_addr;

  assign rdata_o       = rdata_q;
  assign control_write = sel_i && we_i && page_i && !hide_i;
  assign is_desc       = addr_i[11:8] == 4'd1 && addr_i[4:2] <= 3'd4;
  assign desc_addr     = addr_i[7:2];
  assign desc_rdata_o  = desc_q[{desc_idx_i, desc_word_i}];

  // Commands: a byte that is not enabled counts as zero.
  assign dma_start_o = control_write && addr_i == 10'h004 && be_i[0] && wdata_i[0];
  assign dma_abort_o = control_write && addr_i == 10'h004 && be_i[0] && wdata_i[1];
  assign dma_first_o = be_i[0] ? wdata_i[6:4] : '0;
  assign dma_count_o = be_i[1] ? wdata_i[11:8] : '0;

  always_comb begin
    irq_o = '0;
    if (control_write && addr_i == 10'h006 && be_i[0]) irq_o[wdata_i[1:0]] = 1'b1;
  end

  // Reads ----------------------------------------------------------------------------------------

  always_comb begin
    rdata_d = '0;
    if (!page_i) begin
      unique case (addr_i)
        10'h000: rdata_d = Identity;
        10'h001: rdata_d = Version;
        10'h002: rdata_d = {24'd0, TdiIdx};
        10'h003: rdata_d = {27'd0, erasing_i, dma_error_i, dma_busy_i, state_i};
        10'h004: rdata_d = cycle_i[31:0];
        10'h005: rdata_d = cycles_high_q;
        10'h006: rdata_d = 32'(WorkMemBytes);
        default: rdata_d = '0;
      endcase
    end else if (!hide_i) begin
      unique case (addr_i)
        10'h000, 10'h001, 10'h002, 10'h003: rdata_d = scratch_q[addr_i[3:2]];
        10'h005: rdata_d = {21'd0, dma_reason_i, 1'b0, dma_current_i, 1'b0, dma_error_i, dma_done_i,
                            dma_busy_i};
        default: if (is_desc) rdata_d = desc_q[desc_addr];
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    rdata_q <= (sel_i && !we_i) ? rdata_d : '0;
    if (sel_i && !we_i && !page_i && addr_i == 10'h004) cycles_high_q <= cycle_i[63:32];
    for (int unsigned k = 0; k < 4; k++) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (control_write && addr_i[11:2] == 10'(k) && be_i[i]) begin
          scratch_q[k][8*i +: 8] <= wdata_i[8*i +: 8];
        end
      end
    end
    if (clear_i) begin
      scratch_q     <= '0;
      cycles_high_q <= '0;
    end
    if (rst_i) begin
      scratch_q     <= '0;
      cycles_high_q <= '0;
      rdata_q       <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      desc_q[clear_idx_i] <= '0;
    end else if (control_write && is_desc) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (be_i[i]) desc_q[desc_addr][8*i +: 8] <= wdata_i[8*i +: 8];
      end
    end
  end

endmodule
