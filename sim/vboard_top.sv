// SPDX-License-Identifier: Apache-2.0
// Virtual board: the bench core with byte ports instead of a UART. Nothing else.
module vboard_top (
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        byte_valid_i,
  input  logic [7:0]  byte_i,
  output logic        byte_valid_o,
  input  logic        byte_ready_i,
  output logic [7:0]  byte_o,

  input  logic        entropy_valid_i,
  output logic        entropy_ready_o,
  input  logic [31:0] entropy_i,
  input  logic        entropy_is_deterministic_i,

  output logic        idle_o
);

  bench_core u_core (.*);

endmodule
