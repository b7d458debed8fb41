// SPDX-License-Identifier: Apache-2.0
// Holds the payload of one TLP (16 beats) until it is released or thrown away.
//
// Contract: while busy_o is low the owner writes and reads entries freely (read is combinational).
// release_i with silent 0 sends the payload as beats (beats_i = 0: one beat without payload);
// with silent 1 nothing leaves. Either way every entry that was used is zero when busy_o falls:
// a released entry is overwritten as it is taken, a silent release sweeps all 16 entries, one a
// cycle. Reset sweeps, too. SEC: IDE.NO_RESIDUE
module ide_bank
  import pcie_pkg::MAX_PAYLOAD_BEATS;
(
  input  logic         clk_i,
  input  logic         rst_i,

  input  logic         wr_en_i,
  input  logic [3:0]   wr_idx_i,
  input  logic [127:0] wr_data_i,
  input  logic [3:0]   rd_idx_i,
  output logic [127:0] rd_data_o,

  input  logic         release_i,
  input  logic         release_silent_i,
  input  logic [4:0]   beats_i,           // 0..16
  input  logic [3:0]   last_dw_valid_i,   // of the last beat
  output logic         busy_o,

  output logic         out_valid_o,
  input  logic         out_ready_i,
  output logic         out_sop_o,
  output logic         out_eop_o,
  output logic [3:0]   out_dw_valid_o,
  output logic [127:0] out_data_o
);

  logic [127:0] mem_q [MAX_PAYLOAD_BEATS];
  logic         busy_d, busy_q, silent_d, silent_q, empty_d, empty_q;
  logic [3:0]   idx_d, idx_q, last_d, last_q, last_dw_valid_d, last_dw_valid_q;
  logic         step, wr_en;
  logic [3:0]   wr_idx;
  logic [127:0] wr_data, rd_data;

  assign busy_o         = busy_q;
  assign step           = busy_q && (silent_q || out_ready_i);
  assign out_valid_o    = busy_q && !silent_q;
  assign out_sop_o      = idx_q == '0;
  assign out_eop_o      = idx_q == last_q;
  assign out_dw_valid_o = empty_q ? 4'b0000 : out_eop_o ? last_dw_valid_q : 4'b1111;
  assign out_data_o     = empty_q ? '0 : rd_data;
  assign rd_data        = mem_q[busy_q ? idx_q : rd_idx_i];
  assign rd_data_o      = rd_data;

  always_comb begin
    busy_d          = busy_q;
    silent_d        = silent_q;
    empty_d         = empty_q;
    idx_d           = idx_q;
    last_d          = last_q;
    last_dw_valid_d = last_dw_valid_q;
    if (!busy_q) begin
      if (release_i) begin
        busy_d          = 1'b1;
        silent_d        = release_silent_i;
        empty_d         = beats_i == '0;
        idx_d           = '0;
        last_dw_valid_d = last_dw_valid_i;
        if (release_silent_i)   last_d = 4'(MAX_PAYLOAD_BEATS - 1);
        else if (beats_i == '0) last_d = '0;
        else                    last_d = 4'(beats_i - 5'd1);
      end
    end else if (step) begin
      idx_d = idx_q + 4'd1;
      if (out_eop_o) busy_d = 1'b0;
    end
  end

  assign wr_en   = step || (wr_en_i && !busy_q);
  assign wr_idx  = busy_q ? idx_q : wr_idx_i;
  assign wr_data = busy_q ? '0 : wr_data_i;

  always_ff @(posedge clk_i) begin
    if (wr_en) mem_q[wr_idx] <= wr_data;
    busy_q          <= busy_d;
    silent_q        <= silent_d;
    empty_q         <= empty_d;
    idx_q           <= idx_d;
    last_q          <= last_d;
    last_dw_valid_q <= last_dw_valid_d;
    if (rst_i) begin
      busy_q   <= 1'b1;
      silent_q <= 1'b1;
      empty_q  <= 1'b1;
      idx_q    <= '0;
      last_q   <= 4'(MAX_PAYLOAD_BEATS - 1);
      last_dw_valid_q <= '0;
    end
  end

endmodule
