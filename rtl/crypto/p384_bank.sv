// SPDX-License-Identifier: Apache-2.0
// Operand memory of two neighbouring digit lanes: one write port, one read port.
//
// Contract: a read takes one cycle and the value holds until the next read; reading the address
// that is being written gives the old value. Not reset: p384_alu overwrites it address by address.
module p384_bank #(
  parameter int unsigned Width = 34
) (
  input  logic             clk_i,

  input  logic             we_i,
  input  logic [6:0]       waddr_i,
  input  logic [Width-1:0] wdata_i,

  input  logic             re_i,
  input  logic [6:0]       raddr_i,
  output logic [Width-1:0] rdata_o
);

  logic [Width-1:0] ram_q [p384_pkg::NumRegs];
  logic [Width-1:0] rdata_q;

  assign rdata_o = rdata_q;

  always_ff @(posedge clk_i) begin
    if (we_i) ram_q[waddr_i] <= wdata_i;
    if (re_i) rdata_q <= ram_q[raddr_i];
  end

endmodule
