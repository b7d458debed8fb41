// SPDX-License-Identifier: Apache-2.0
// Virtual board with pins: the bench core behind a UART, as a board top would have it.
//
// Contract: rst_ni and uart_rx_i are asynchronous pins. The reset is taken at once and released by
// two flip-flops here; the receiver synchronises its own pin. ClocksPerBit of clk_i make one bit.
// `idle_o` and `framing_error_o` (pulse) are for the simulation, a board would tie LEDs to them.
module vboard_uart_top #(
  parameter int unsigned ClocksPerBit = 4
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        uart_rx_i,
  output logic        uart_tx_o,

  input  logic        entropy_valid_i,
  output logic        entropy_ready_o,
  input  logic [31:0] entropy_i,
  input  logic        entropy_is_deterministic_i,

  output logic        framing_error_o,
  output logic        idle_o
);

  logic [1:0] rst_q;
  logic       rx_valid, tx_valid, tx_ready, core_idle;
  logic [7:0] rx_byte, tx_byte;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) rst_q <= '1;
    else         rst_q <= {rst_q[0], 1'b0};
  end

  uart_rx #(.ClocksPerBit(ClocksPerBit)) u_rx (
    .clk_i, .rst_i(rst_q[1]), .rx_i(uart_rx_i),
    .byte_valid_o(rx_valid), .byte_o(rx_byte), .framing_error_o
  );

  uart_tx #(.ClocksPerBit(ClocksPerBit)) u_tx (
    .clk_i, .rst_i(rst_q[1]),
    .byte_valid_i(tx_valid), .byte_ready_o(tx_ready), .byte_i(tx_byte), .tx_o(uart_tx_o)
  );

  bench_core u_core (
    .clk_i, .rst_i(rst_q[1]),
    .byte_valid_i(rx_valid), .byte_i(rx_byte),
    .byte_valid_o(tx_valid), .byte_ready_i(tx_ready), .byte_o(tx_byte),
    .entropy_valid_i, .entropy_ready_o, .entropy_i, .entropy_is_deterministic_i,
    .idle_o(core_idle)
  );

  assign idle_o = core_idle && tx_ready;

endmodule
