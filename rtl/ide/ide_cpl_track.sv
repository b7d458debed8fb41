// SPDX-License-Identifier: Apache-2.0
// Remembers on which stream each outstanding non-posted request left, so that a completion that
// comes back on another stream, or unprotected, is noticed (PCIe Base 6.x, 6.33.8).
//
// Contract: sent_* (pulse) records a request by function number and 5-bit tag before it leaves.
// Lookup by the header of a completion is combinational. done_i (pulse) drops the entry of that
// completion if it is the last one of its request. Entries of a stream that is not Secure vanish.
// Requests with larger tags are not tracked. Protected_o = 0 for an unknown tag: unexpected
// completions are the router's business.
module ide_cpl_track
  import ide_pkg::*;
#(
  parameter int unsigned NumFunc = 4
) (
  input  logic                  clk_i,
  input  logic                  rst_i,
  input  logic [NUM_BLOCKS-1:0] secure_i,

  input  logic                  sent_valid_i,
  input  logic [127:0]          sent_header_i,
  input  logic                  sent_ide_i,
  input  logic [1:0]            sent_block_i,

  input  logic [127:0]          header_i,     // of a completion
  output logic                  protected_o,  // its request left as an IDE TLP
  output logic [1:0]            block_o,      // on this block
  input  logic                  done_i
);

  localparam int unsigned FuncWidth = (NumFunc > 1) ? $clog2(NumFunc) : 1;
  localparam int unsigned IdxWidth  = FuncWidth + 5;
  localparam int unsigned Entries   = 1 << IdxWidth;

  logic [Entries-1:0]  valid_q;
  logic [1:0]          block_q [Entries];
  logic [IdxWidth-1:0] sent_idx, idx;
  logic                sent_tracked, tracked, is_last;
  logic [11:0]         byte_count;
  logic [12:0]         remaining, in_this;

  assign sent_idx     = {sent_header_i[80 +: FuncWidth], sent_header_i[76:72]};
  assign sent_tracked = pcie_pkg::hdr_tag(sent_header_i)[9:5] == '0;

  // Completion: DW2 = Requester ID, tag, lower address.
  assign idx     = {header_i[48 +: FuncWidth], header_i[44:40]};
  assign tracked = {header_i[119], header_i[115], header_i[47:45]} == '0;

  assign byte_count = header_i[75:64];
  assign remaining  = {byte_count == '0, byte_count};
  assign in_this    = {pcie_pkg::hdr_length_dw(header_i), 2'b00} - 13'(header_i[33:32]);
  assign is_last    = !pcie_pkg::hdr_has_data(header_i) || header_i[79:77] != pcie_pkg::CPL_SC ||
                      remaining <= in_this;

  assign protected_o = tracked && valid_q[idx];
  assign block_o     = block_q[idx];

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Entries; i++) begin
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (block_q[i] == 2'(b) && !secure_i[b]) valid_q[i] <= 1'b0;
      end
    end
    if (done_i && tracked && is_last) valid_q[idx] <= 1'b0;
    if (sent_valid_i && sent_tracked) begin
      valid_q[sent_idx] <= sent_ide_i;
      block_q[sent_idx] <= sent_block_i;
    end
    if (rst_i) valid_q <= '0;
  end

endmodule
