// SPDX-License-Identifier: Apache-2.0
// One of the 25 digit lanes of the P-384 arithmetic unit: digit j of both operands, one 17 x 17
// multiplier, one accumulator.
//
// Contract: everything moves only by ctrl_i (registers hold otherwise, so an idle unit costs no
// simulation time and no toggling). x_i and m_i are broadcast by lane 0's side. In AccStep the
// accumulator takes the digit position of its upper neighbour: sum, product, m * PrimeDigit(j+1),
// and, in lane 0, the carry of the digit that drops out. No reset: `clear` erases all four
// registers in one cycle.
module p384_lane
  import p384_pkg::*;
#(
  parameter int unsigned Index = 0
) (
  input  logic       clk_i,
  input  lane_ctrl_t ctrl_i,

  input  digit_t     rdata_i,       // digit from the operand memory
  output digit_t     wdata_o,       // digit to the operand memory

  input  digit_t     a_next_i,      // from lane j+1: operand a moves down
  output digit_t     a_o,

  input  digit_t     x_i,           // common multiplicand
  input  digit_t     m_i,           // signed low digit of the sum in lane 0
  input  acc_t       acc_next_i,    // from lane j+1
  input  prod_t      prod_next_i,   // from lane j+1
  input  acc_t       drop_carry_i,  // lane 0 only, else 0
  input  acc_t       acc_prev_i,    // from lane j-1 (0 for lane 0)
  output acc_t       acc_o,
  output prod_t      prod_o
);

  localparam digit_t OrderDigit   = order_digit(Index);
  localparam digit_t OrderInverse = order_inverse();
  localparam int     PrimeNext    = prime_digit(Index + 1);
  localparam bit     IsTop        = Index == NumDigits - 1;

  digit_t a_q, b_q;
  prod_t  prod_q;
  acc_t   acc_q;

  // Carries one position up: the top digit keeps what it has, the others pass on all but their
  // signed low 16 bits.
  function automatic acc_t norm(input acc_t acc, input acc_t prev);
    return (IsTop ? acc : {{(AccWidth-16){acc[15]}}, acc[15:0]}) + carry_of(prev);
  endfunction

  assign a_o    = a_q;
  assign acc_o  = acc_q;
  assign prod_o = prod_q;

  // SEC: KEY.ZEROIZE what is neither a sum nor operand a is zero.
  always_comb begin
    wdata_o = '0;
    if (ctrl_i.write_sum)    wdata_o = digit_t'(norm(acc_q, acc_prev_i));
    else if (ctrl_i.write_a) wdata_o = a_q;
  end

  always_ff @(posedge clk_i) begin
    if (ctrl_i.active) begin
      if (ctrl_i.a_load)  a_q <= rdata_i;
      if (ctrl_i.a_shift) a_q <= a_next_i;
      if (ctrl_i.b_load)  b_q <= rdata_i;

      if (ctrl_i.prod_en) begin
        if (Index == 0 && ctrl_i.prod_inverse) prod_q <= x_i * OrderInverse;
        else if (ctrl_i.prod_order)            prod_q <= x_i * OrderDigit;
        else                                   prod_q <= x_i * b_q;
      end

      unique case (ctrl_i.acc)
        AccHold:  acc_q <= acc_q;
        AccClear: acc_q <= '0;
        AccAdd:   acc_q <= acc_q + acc_t'(rdata_i);
        AccSub:   acc_q <= acc_q - acc_t'(rdata_i);
        AccProd:  acc_q <= acc_q + acc_t'(prod_q);
        AccStep: begin
          if (PrimeNext > 0)      acc_q <= acc_next_i + acc_t'(prod_next_i) + acc_t'(m_i);
          else if (PrimeNext < 0) acc_q <= acc_next_i + acc_t'(prod_next_i) - acc_t'(m_i);
          else                    acc_q <= acc_next_i + acc_t'(prod_next_i) + drop_carry_i;
        end
        AccNorm:  acc_q <= norm(acc_q, acc_prev_i);
        default:  acc_q <= '0;
      endcase

      if (ctrl_i.clear) begin
        a_q    <= '0;
        b_q    <= '0;
        prod_q <= '0;
        acc_q  <= '0;
      end
    end
  end

endmodule
