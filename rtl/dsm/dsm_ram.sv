// SPDX-License-Identifier: Apache-2.0
// Word memory with one read/write port and one read port.
//
// Contract: both read results are valid one cycle after their address; port A has byte enables
// (bit 0 = byte at the lowest address = bits 7:0). What a port returns for an address that is
// being written is undefined: users do not read what they write in the same cycle. Nothing is
// cleared by reset: whoever owns the memory overwrites it (see dsm_wipe).
module dsm_ram #(
  parameter int unsigned Words = 1024,
  localparam int unsigned AddrWidth = $clog2(Words)
) (
  input  logic                 clk_i,

  input  logic                 a_we_i,
  input  logic [3:0]           a_be_i,
  input  logic [AddrWidth-1:0] a_addr_i,
  input  logic [31:0]          a_wdata_i,
  output logic [31:0]          a_rdata_o,

  input  logic [AddrWidth-1:0] b_addr_i,
  output logic [31:0]          b_rdata_o
);

  // Without this attribute synthesis would build logic around the block RAM to return old data.
  (* no_rw_check *)
  logic [31:0] mem_q [Words];

  always_ff @(posedge clk_i) begin
    if (a_we_i) begin
      if (a_be_i[0]) mem_q[a_addr_i][7:0]   <= a_wdata_i[7:0];
      if (a_be_i[1]) mem_q[a_addr_i][15:8]  <= a_wdata_i[15:8];
      if (a_be_i[2]) mem_q[a_addr_i][23:16] <= a_wdata_i[23:16];
      if (a_be_i[3]) mem_q[a_addr_i][31:24] <= a_wdata_i[31:24];
    end
    a_rdata_o <= mem_q[a_addr_i];
  end

  always_ff @(posedge clk_i) b_rdata_o <= mem_q[b_addr_i];

endmodule
