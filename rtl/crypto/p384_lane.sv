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

  digit_t a_q, b_q, factor;
  prod_t  prod_q;
  acc_t   acc_q;
  acc_t   base, addend, extra, sum;
  logic   carry, sum_below;
  acc_op_e acc_op;

  logic unused_below;
  assign unused_below = sum_below;

  assign a_o    = a_q;
  assign acc_o  = acc_q;
  assign prod_o = prod_q;

  // One adder for everything the accumulator does; a sum on its way to memory is carried on the way.
  assign acc_op = ctrl_i.write_sum ? AccNorm : ctrl_i.acc;

  always_comb begin
    base   = acc_q;
    addend = '0;
    carry  = 1'b0;
    unique case (acc_op)
      AccAdd: addend = acc_t'(rdata_i);
      AccSub: begin
        addend = ~acc_t'(rdata_i);
        carry  = 1'b1;
      end
      AccProd: addend = acc_t'(prod_q);
      AccStep: begin
        base   = acc_next_i;
        addend = acc_t'(prod_next_i);
      end
      AccNorm: begin
        // Carries one position up, as carry_of: the top digit keeps what it has, the others pass
        // on all but their signed low 16 bits.
        if (!IsTop) base = {{(AccWidth-16){acc_q[15]}}, acc_q[15:0]};
        addend = {{16{acc_prev_i[AccWidth-1]}}, acc_prev_i[AccWidth-1:16]};
        carry  = acc_prev_i[15];
      end
      default: ;
    endcase
    extra = '0;
    if (acc_op == AccStep) begin
      if (PrimeNext > 0)      extra = acc_t'(m_i);
      else if (PrimeNext < 0) extra = -acc_t'(m_i);
      else                    extra = drop_carry_i;
    end
  end

  // Chosen before the one multiplier: products with constants would be built of LUTs.
  always_comb begin
    factor = b_q;
    if (ctrl_i.prod_order) factor = OrderDigit;
    if (Index == 0 && ctrl_i.prod_inverse) factor = OrderInverse;
  end

  // The bit below the lowest makes the carry in, so that synthesis finds one adder.
  assign {sum, sum_below} = {base, 1'b1} + {addend, carry};

  // SEC: KEY.ZEROIZE what is neither a sum nor operand a is zero.
  always_comb begin
    wdata_o = '0;
    if (ctrl_i.write_sum)    wdata_o = digit_t'(sum);
    else if (ctrl_i.write_a) wdata_o = a_q;
  end

  always_ff @(posedge clk_i) begin
    if (ctrl_i.active) begin
      if (ctrl_i.a_load)  a_q <= rdata_i;
      if (ctrl_i.a_shift) a_q <= a_next_i;
      if (ctrl_i.b_load)  b_q <= rdata_i;

      if (ctrl_i.prod_en) prod_q <= x_i * factor;

      unique case (ctrl_i.acc)
        AccHold: ;
        AccAdd, AccSub, AccProd, AccStep, AccNorm: acc_q <= sum + extra;
        default: acc_q <= '0;
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
