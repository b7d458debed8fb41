// SPDX-License-Identifier: Apache-2.0
// GHASH accumulator: y := (y ^ block) * H in GF(2^128), digit-serial (NIST SP 800-38D, 6.3, 6.4).
//
// Data format: byte 0 of a block is [127:120]; vector bit 127 - i is the coefficient of x^i in the
// standard's representation, so multiplying by x is a right shift and x^128 = x^7 + x^2 + x + 1.
//
// Contract: start_i takes block_i when busy_o = 0 (otherwise it is ignored); busy_o then stays high
// for 128 / Digit cycles; y_o is valid while busy_o = 0. h_i must be stable while busy. The time
// depends on nothing but Digit. clear_i, and reset, set y to zero and forget the operand.
module ghash_mult #(
  parameter int unsigned Digit = 16
) (
  input  logic         clk_i,
  input  logic         rst_i,
  input  logic         clear_i,

  input  logic         start_i,
  input  logic [127:0] block_i,
  input  logic [127:0] h_i,
  output logic         busy_o,
  output logic [127:0] y_o
);

  if (Digit == 0 || 128 % Digit != 0 || Digit > 64) begin : gen_check_digit
    $error("ghash_mult: Digit must divide 128 and be at most 64");
  end

  localparam int unsigned Steps    = 128 / Digit;
  localparam int unsigned CntWidth = $clog2(Steps + 1);
  localparam int unsigned Wide     = 128 + Digit;

  // y * x^Digit + digit * h, reduced once. digit[Digit-1] is the lowest power of the digit.
  function automatic logic [127:0] mul_step(input logic [127:0] y, input logic [Digit-1:0] digit,
                                            input logic [127:0] h);
    logic [Wide-1:0] sum;
    logic [127:0]    over;
    sum = {{Digit{1'b0}}, y};
    for (int unsigned j = 0; j < Digit; j++) begin
      if (digit[j]) sum = sum ^ ({h, {Digit{1'b0}}} >> (Digit - 1 - j));
    end
    // The lowest Digit bits are the coefficients of x^128 and above: fold them to the top.
    over = {sum[Digit-1:0], {(128 - Digit){1'b0}}};
    return sum[Wide-1:Digit] ^ over ^ (over >> 1) ^ (over >> 2) ^ (over >> 7);
  endfunction

  logic [127:0]        x_q, y_q;
  logic [CntWidth-1:0] left_q;

  assign busy_o = left_q != '0;
  assign y_o    = y_q;

  // Horner, highest powers first: the digits of the operand leave at its low end.
  always_ff @(posedge clk_i) begin
    if (busy_o) begin
      y_q    <= mul_step(y_q, x_q[Digit-1:0], h_i);
      x_q    <= x_q >> Digit;
      left_q <= left_q - 1'b1;
    end else if (start_i) begin
      x_q    <= y_q ^ block_i;
      y_q    <= '0;
      left_q <= Steps[CntWidth-1:0];
    end
    if (rst_i || clear_i) begin
      x_q    <= '0;
      y_q    <= '0;
      left_q <= '0;
    end
  end

endmodule
