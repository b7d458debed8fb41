// SPDX-License-Identifier: Apache-2.0
// UART receiver, 8N1: pin to bytes.
//
// Contract: ClocksPerBit >= 4. The start bit is checked again in its middle, so a glitch is no byte;
// a byte whose stop bit is low is dropped and counted as a framing error. No back-pressure.
module uart_rx #(
  parameter int unsigned ClocksPerBit = 16
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       rx_i,          // asynchronous pin, idle high
  output logic       byte_valid_o,  // pulse
  output logic [7:0] byte_o,
  output logic       framing_error_o
);

  localparam int unsigned CountW = $clog2(ClocksPerBit + 1);
  localparam int unsigned Last = ClocksPerBit - 1;
  localparam int unsigned Half = ClocksPerBit / 2 - 1;

  logic [2:0]        pin_q;      // two for synchronisation, one for the edge
  logic              busy_q;
  logic [CountW-1:0] count_q;
  logic [3:0]        bit_q;      // 0 start, 1..8 data, 9 stop
  logic [7:0]        shift_q;

  assign byte_o = shift_q;

  always_ff @(posedge clk_i) begin
    pin_q           <= {pin_q[1:0], rx_i};
    byte_valid_o    <= 1'b0;
    framing_error_o <= 1'b0;
    if (!busy_q) begin
      if (pin_q[2] && !pin_q[1]) begin
        busy_q  <= 1'b1;
        bit_q   <= '0;
        count_q <= Half[CountW-1:0];
      end
    end else if (count_q != '0) begin
      count_q <= count_q - 1'b1;
    end else begin
      count_q <= Last[CountW-1:0];
      bit_q   <= bit_q + 1'b1;
      if (bit_q == 4'd0) begin
        if (pin_q[1]) busy_q <= 1'b0;
      end else if (bit_q == 4'd9) begin
        busy_q          <= 1'b0;
        byte_valid_o    <= pin_q[1];
        framing_error_o <= !pin_q[1];
      end else begin
        shift_q <= {pin_q[1], shift_q[7:1]};
      end
    end
    if (rst_i) begin
      pin_q  <= '1;
      busy_q <= 1'b0;
    end
  end

endmodule
