// SPDX-License-Identifier: Apache-2.0
// Arithmetic unit of the P-384 engine: 128 operand registers and one command at a time.
//
// Montgomery product, digit serial: 25 lanes each hold one digit of b; digit i of a goes to all of
// them, and in the same cycle the sums of digit i-1 move one position down. The field prime is
// -1 mod 2^16 with five digits +-1, so its multiple m is the low digit itself and needs no
// multiplier: one cycle a digit. For the order two more products a digit (m = t0 * -1/n, m * n).
//
// Contract: a command is taken when cmd_valid_i && cmd_ready_o; cmd_ready_o says that the unit is
// idle and that flags, nibble and registers are settled. Cycles from one acceptance to the next:
// product 31 (mod p) or 81 (mod order), add and subtract 4, move 3, canonical form 28, window and
// store 27, load 29 plus what the word source makes it wait. No count depends on operand values.
// Flags change with AluRip only. AluStore and the windows want a canonical operand.
// wipe_i, at any time, aborts the command; 129 cycles later every register of the operand memory
// (but RegKept if keep_i) and every flop that held a digit is zero. wiping_o covers that time,
// wipe_addr_o serves the neighbours' memories; another wipe_i starts it again. Operand memory is
// undefined until the first wipe; the sequencer starts one out of reset.
module p384_alu
  import p384_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,

  // commands from the sequencer
  input  logic        cmd_valid_i,
  output logic        cmd_ready_o,
  input  alu_op_e     cmd_op_i,
  input  logic        cmd_mod_order_i,  // AluMul
  input  logic [6:0]  cmd_window_i,     // AluWin: 4-bit window 0..95; AluComb: column 0..95
  input  reg_t        cmd_rd_i,
  input  reg_t        cmd_ra_i,
  input  reg_t        cmd_rb_i,
  output logic        negative_o,
  output logic        zero_o,
  output logic [3:0]  nibble_o,

  // words of AluLoad, least significant first
  input  logic        in_valid_i,
  output logic        in_ready_o,
  input  logic [31:0] in_word_i,

  // words of AluStore; the sink always takes them
  output logic        out_valid_o,
  output logic [3:0]  out_idx_o,
  output logic [31:0] out_word_o,

  // erasure
  input  logic        wipe_i,
  input  logic        keep_i,           // spare RegKept
  output logic        wiping_o,
  output reg_t        wipe_addr_o
);

  localparam int unsigned NumBanks = (NumDigits + 1) / 2;
  localparam logic [4:0]  LastDigit = 5'd24;

  typedef enum logic [3:0] {
    StIdle, StOperandA, StOperandB, StMul, StMulLast, StNorm, StWriteSum, StShift, StLoad,
    StWriteA, StWipe
  } state_e;

  state_e      state_d, state_q;
  alu_op_e     op_q;
  logic        mod_order_q;
  logic [6:0]  window_q;
  reg_t        rd_q, rb_q;
  logic [4:0]  digit_d, digit_q;     // which digit is at the bottom of operand a
  logic [1:0]  phase_d, phase_q;     // product mod order: three cycles a digit
  reg_t        wipe_addr_q;
  logic [15:0] half_q;               // first half of a word on its way in or out
  logic signed [1:0] ripple_q;       // carry of AluRip
  logic        negative_q, zero_q;
  logic [3:0]  nibble_q;

  lane_ctrl_t  lane;
  logic        ram_re, ram_we;
  reg_t        ram_raddr, ram_waddr;
  logic        take_word, shift_serial;

  // ---- Lanes ------------------------------------------------------------------------------------
  digit_t rdata [NumDigits];
  digit_t wdata [NumDigits];
  digit_t a     [NumDigits];
  acc_t   acc   [NumDigits + 1];
  prod_t  prod  [NumDigits + 1];
  digit_t x, m, serial_in;
  acc_t   low_sum;

  assign acc[NumDigits]  = '0;
  assign prod[NumDigits] = '0;
  assign low_sum         = acc[0] + acc_t'(prod[0]);
  assign m               = {low_sum[15], low_sum[15:0]};

  always_comb begin
    unique case (phase_q)
      2'd0:    x = a[0];
      2'd1:    x = m;
      2'd2:    x = {prod[0][15], prod[0][15:0]};
      default: x = '0;
    endcase
  end

  for (genvar j = 0; j < NumDigits; j++) begin : gen_lane
    acc_t   acc_prev, drop_carry;
    digit_t a_next;
    if (j == 0) begin : gen_bottom
      assign acc_prev   = '0;
      assign drop_carry = carry_of(low_sum);
    end else begin : gen_upper
      assign acc_prev   = acc[j-1];
      assign drop_carry = '0;
    end
    if (j == NumDigits - 1) begin : gen_top
      assign a_next = serial_in;
    end else begin : gen_lower
      assign a_next = a[j+1];
    end

    p384_lane #(.Index(j)) u_lane (
      .clk_i,
      .ctrl_i       (lane),
      .rdata_i      (rdata[j]),
      .wdata_o      (wdata[j]),
      .a_next_i     (a_next),
      .a_o          (a[j]),
      .x_i          (x),
      .m_i          (m),
      .acc_next_i   (acc[j+1]),
      .prod_next_i  (prod[j+1]),
      .drop_carry_i (drop_carry),
      .acc_prev_i   (acc_prev),
      .acc_o        (acc[j]),
      .prod_o       (prod[j])
    );
  end

  for (genvar k = 0; k < NumBanks; k++) begin : gen_bank
    if (2 * k + 1 < NumDigits) begin : gen_pair
      p384_bank #(.Width(34)) u_bank (
        .clk_i,
        .we_i    (ram_we),
        .waddr_i (ram_waddr),
        .wdata_i ({wdata[2*k+1], wdata[2*k]}),
        .re_i    (ram_re),
        .raddr_i (ram_raddr),
        .rdata_o ({rdata[2*k+1], rdata[2*k]})
      );
    end else begin : gen_single
      p384_bank #(.Width(17)) u_bank (
        .clk_i,
        .we_i    (ram_we),
        .waddr_i (ram_waddr),
        .wdata_i (wdata[2*k]),
        .re_i    (ram_re),
        .raddr_i (ram_raddr),
        .rdata_o (rdata[2*k])
      );
    end
  end

  // ---- Serial end of operand a: canonical form, words in and out, windows -------------------------
  logic [15:0]        bottom;
  logic signed [17:0] ripple;
  logic [4:0]         comb_digit;     // digit of the comb column within the lowest quarter

  assign bottom     = a[0][15:0];
  assign ripple     = 18'(a[0]) + 18'(ripple_q);
  assign comb_digit = {2'b00, window_q[6:4]};

  always_comb begin
    serial_in = '0;
    if (state_q == StLoad && digit_q != LastDigit) begin
      serial_in = {1'b0, digit_q[0] ? half_q : in_word_i[15:0]};
    end else if (state_q == StShift && op_q == AluRip) begin
      serial_in = (digit_q == LastDigit) ? ripple[16:0] : {1'b0, ripple[15:0]};
    end
  end

  assign out_valid_o = state_q == StShift && op_q == AluStore && digit_q[0];
  assign out_idx_o   = digit_q[4:1];
  assign out_word_o  = {bottom, half_q};
  assign in_ready_o  = state_q == StLoad && !digit_q[0] && digit_q != LastDigit;
  assign take_word   = in_ready_o && in_valid_i;

  // ---- Control ----------------------------------------------------------------------------------
  assign cmd_ready_o = state_q == StIdle;
  assign wiping_o    = state_q == StWipe;
  assign wipe_addr_o = wipe_addr_q;
  assign negative_o  = negative_q;
  assign zero_o      = zero_q;
  assign nibble_o    = nibble_q;

  always_comb begin
    state_d      = state_q;
    digit_d      = digit_q;
    phase_d      = 2'd0;
    lane         = '0;
    lane.active  = state_q != StIdle || cmd_valid_i;
    lane.acc     = AccHold;
    ram_re       = 1'b0;
    ram_raddr    = rb_q;
    ram_we       = 1'b0;
    ram_waddr    = rd_q;
    shift_serial = 1'b0;

    unique case (state_q)
      StIdle: begin
        digit_d = '0;
        if (cmd_valid_i) begin
          ram_re    = 1'b1;
          ram_raddr = cmd_ra_i;
          lane.acc  = AccClear;
          state_d   = (cmd_op_i == AluLoad) ? StLoad : StOperandA;
        end
      end

      StOperandA: begin
        unique case (op_q)
          AluMul: begin
            lane.a_load = 1'b1;
            ram_re      = 1'b1;
            state_d     = StOperandB;
          end
          AluAdd, AluSub: begin
            lane.acc = AccAdd;
            ram_re   = 1'b1;
            state_d  = StOperandB;
          end
          AluMove: begin
            lane.a_load = 1'b1;
            state_d     = StWriteA;
          end
          AluRip, AluStore, AluWin, AluComb: begin
            lane.a_load = 1'b1;
            state_d     = StShift;
          end
          default: state_d = StIdle;
        endcase
      end

      StOperandB: begin
        unique case (op_q)
          AluAdd: begin
            lane.acc = AccAdd;
            state_d  = StWriteSum;
          end
          AluSub: begin
            lane.acc = AccSub;
            state_d  = StWriteSum;
          end
          default: begin
            lane.b_load = 1'b1;
            state_d     = StMul;
          end
        endcase
      end

      // Phase 0 starts the product of a new digit while the sums of the one before move down.
      StMul: begin
        lane.prod_en = 1'b1;
        unique case (phase_q)
          2'd0: begin
            lane.a_shift = 1'b1;
            if (digit_q != '0) lane.acc = AccStep;
            phase_d = mod_order_q ? 2'd1 : 2'd0;
          end
          2'd1: begin
            lane.acc          = AccProd;
            lane.prod_order   = 1'b1;
            lane.prod_inverse = 1'b1;
            phase_d           = 2'd2;
          end
          default: begin
            lane.prod_order = 1'b1;
            phase_d         = 2'd0;
          end
        endcase
        if (phase_d == 2'd0) begin
          digit_d = digit_q + 5'd1;
          if (digit_q == LastDigit) state_d = StMulLast;
        end
      end

      StMulLast: begin
        lane.acc = AccStep;
        state_d  = StNorm;
      end

      StNorm: begin
        lane.acc = AccNorm;
        state_d  = StWriteSum;
      end

      StWriteSum: begin
        ram_we         = 1'b1;
        lane.write_sum = 1'b1;
        state_d        = StIdle;
      end

      StShift: begin
        lane.a_shift = 1'b1;
        shift_serial = 1'b1;
        digit_d      = digit_q + 5'd1;
        if (digit_q == LastDigit) state_d = (op_q == AluRip) ? StWriteA : StIdle;
      end

      StLoad: begin
        if (take_word || digit_q[0] || digit_q == LastDigit) begin
          lane.a_shift = 1'b1;
          digit_d      = digit_q + 5'd1;
          if (digit_q == LastDigit) state_d = StWriteA;
        end
      end

      StWriteA: begin
        ram_we       = 1'b1;
        lane.write_a = 1'b1;
        state_d      = StIdle;
      end

      StWipe: begin
        lane.clear = 1'b1;
        ram_we     = !(keep_i && wipe_addr_q == RegKept);
        ram_waddr  = wipe_addr_q;
        ram_re     = wipe_addr_q != '0;
        ram_raddr  = '0;                 // erased already: clears the memory's output register
        digit_d    = '0;
        if (wipe_addr_q == reg_t'(NumRegs - 1)) state_d = StIdle;
      end

      default: state_d = StWipe;
    endcase

    if (wipe_i) state_d = StWipe;
  end

  always_ff @(posedge clk_i) begin
    state_q <= state_d;
    digit_q <= digit_d;
    phase_q <= phase_d;

    if (cmd_valid_i && cmd_ready_o) begin
      op_q        <= cmd_op_i;
      mod_order_q <= cmd_mod_order_i;
      window_q    <= cmd_window_i;
      rd_q        <= cmd_rd_i;
      rb_q        <= cmd_rb_i;
      ripple_q    <= '0;
      if (cmd_op_i == AluRip) zero_q <= 1'b1;
    end

    if (take_word) half_q <= in_word_i[31:16];
    if (shift_serial) begin
      half_q <= bottom;
      unique case (op_q)
        AluRip: begin
          ripple_q   <= ripple[17:16];
          negative_q <= ripple[17];
          if (ripple[15:0] != '0) zero_q <= 1'b0;
          if (digit_q == LastDigit && ripple[17:16] != '0) zero_q <= 1'b0;
        end
        AluWin: begin
          if (digit_q == window_q[6:2]) nibble_q <= bottom[{window_q[1:0], 2'b00}+:4];
        end
        AluComb: begin
          for (int unsigned q = 0; q < 4; q++) begin
            if (digit_q == comb_digit + 5'(6 * q)) nibble_q[q] <= bottom[window_q[3:0]];
          end
        end
        default: ;
      endcase
    end

    wipe_addr_q <= (state_q == StWipe && !wipe_i) ? wipe_addr_q + 7'd1 : '0;
    if (state_q == StWipe) begin
      half_q     <= '0;
      ripple_q   <= '0;
      negative_q <= 1'b0;
      zero_q     <= 1'b0;
      nibble_q   <= '0;
      window_q   <= '0;
    end

    if (rst_i) begin
      state_q     <= StIdle;
      wipe_addr_q <= '0;
      ripple_q    <= '0;
      negative_q  <= 1'b0;
      zero_q      <= 1'b0;
    end
  end

endmodule
