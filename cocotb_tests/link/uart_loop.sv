// SPDX-License-Identifier: Apache-2.0
// Test top: transmitter and receiver, joined at the pin by the test.
module uart_loop #(parameter int unsigned ClocksPerBit = 16) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       byte_valid_i,
  output logic       byte_ready_o,
  input  logic [7:0] byte_i,
  output logic       tx_o,
  input  logic       rx_i,
  output logic       byte_valid_o,
  output logic [7:0] byte_o,
  output logic       framing_error_o
);
  uart_tx #(.ClocksPerBit(ClocksPerBit)) u_tx (.*);
  uart_rx #(.ClocksPerBit(ClocksPerBit)) u_rx (.*);
endmodule
