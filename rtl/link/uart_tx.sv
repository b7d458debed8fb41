// SPDX-License-Identifier: Apache-2.0
// UART transmitter, 8N1: bytes to pin.
//
// Contract: one byte every 10 * ClocksPerBit cycles; the pin is high in reset and between bytes.
module uart_tx #(
  parameter int unsigned ClocksPerBit = 16
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       byte_valid_i,
  output logic       byte_ready_o,
  input  logic [7:0] byte_i,
  output logic       tx_o
);

  localparam int unsigned CountW = $clog2(ClocksPerBit);
  localparam int unsigned Last = ClocksPerBit - 1;

  logic [9:0]        shift_q;   // stop, data, start; shifted out from bit 0
  logic [3:0]        left_q;
  logic [CountW-1:0] count_q;

  assign byte_ready_o = left_q == '0;
  assign tx_o         = shift_q[0];

  always_ff @(posedge clk_i) begin
    if (left_q == '0) begin
      if (byte_valid_i) begin
        shift_q <= {1'b1, byte_i, 1'b0};
        left_q  <= 4'd10;
        count_q <= Last[CountW-1:0];
      end
    end else if (count_q != '0) begin
      count_q <= count_q - 1'b1;
    end else begin
      shift_q <= {1'b1, shift_q[9:1]};
      left_q  <= left_q - 1'b1;
      count_q <= Last[CountW-1:0];
    end
    if (rst_i) begin
      shift_q <= '1;
      left_q  <= '0;
    end
  end

endmodule
