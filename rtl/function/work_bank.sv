// SPDX-License-Identifier: Apache-2.0
// One bank of work memory: true dual-port RAM of 32-bit words.
//
// Contract: read data one cycle after the read, held until the next read of the port. A port that
// writes keeps its read data. Both ports writing one word in one cycle: port B wins. A word that
// one port reads while the other writes it is undefined (block RAMs differ in this), hence the
// attribute. Not cleared by reset: the owner of the bank overwrites it.
module work_bank #(
  parameter int unsigned AddrWidth = 10
) (
  input  logic                 clk_i,

  // port A: bytes
  input  logic                 a_en_i,
  input  logic                 a_we_i,
  input  logic [3:0]           a_be_i,
  input  logic [AddrWidth-1:0] a_addr_i,
  input  logic [31:0]          a_wdata_i,
  output logic [31:0]          a_rdata_o,

  // port B: words
  input  logic                 b_en_i,
  input  logic                 b_we_i,
  input  logic [AddrWidth-1:0] b_addr_i,
  input  logic [31:0]          b_wdata_i,
  output logic [31:0]          b_rdata_o
);

  (* no_rw_check *)
  logic [31:0] mem_q [2**AddrWidth];
  logic [31:0] a_rdata_q, b_rdata_q;

  assign a_rdata_o = a_rdata_q;
  assign b_rdata_o = b_rdata_q;

  always_ff @(posedge clk_i) begin
    if (a_en_i) begin
      if (a_we_i) begin
        for (int unsigned i = 0; i < 4; i++) begin
          if (a_be_i[i]) mem_q[a_addr_i][8*i +: 8] <= a_wdata_i[8*i +: 8];
        end
      end else begin
        a_rdata_q <= mem_q[a_addr_i];
      end
    end
    if (b_en_i) begin
      if (b_we_i) mem_q[b_addr_i] <= b_wdata_i;
      else        b_rdata_q <= mem_q[b_addr_i];
    end
  end

endmodule
