// SPDX-License-Identifier: Apache-2.0
// Continuous health tests of a raw noise source (NIST SP 800-90B, 4.4), bit by bit.
//
// The source is claimed to give at least half a bit of min-entropy per raw bit; at a false alarm
// rate of 2^-20 per test this fixes the cutoffs:
//   repetition count    41 equal bits in a row                        1 + 20 / 0.5
//   adaptive proportion 793 equal bits in a window of 1024            1 + critical value
//   word repetition     3 equal words in a row (16 bits of min-entropy each)   1 + ceil(20 / 16)
// The window counts ones and zeros alike, where the standard counts only the value of its first
// bit: stricter, and the verdict does not hang on that bit. The word test is an addition; it sees a
// frozen register behind the source whose content looks balanced.
//
// Contract: word_valid_i/word_ready_o takes a word, first bit = most significant, one word per 33
// cycles; busy_o is high while its bits are being tested. alarm_o rises at the latest when busy_o
// falls for the word that caused it and stays until reset. passed_o rises when the first window has
// passed (start-up test of 1024 bits) and falls with an alarm. The last word is kept for
// comparison; clear_i erases it and restarts the counts, but leaves alarm_o and passed_o.
module entropy_health #(
  parameter int unsigned BitCutoff        = 41,
  parameter int unsigned ProportionCutoff = 793,
  parameter int unsigned WordCutoff       = 3
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        clear_i,

  input  logic        word_valid_i,
  output logic        word_ready_o,
  input  logic [31:0] word_i,

  output logic        busy_o,
  output logic        passed_o,
  output logic        alarm_o
);

  localparam int unsigned Window   = 1024;
  localparam int unsigned RunWidth = $clog2(BitCutoff + 1);
  localparam int unsigned RptWidth = $clog2(WordCutoff + 1);

  if (BitCutoff < 2 || WordCutoff < 2) begin : gen_check_repetition
    $error("entropy_health: a repetition cutoff must be at least 2");
  end
  if (ProportionCutoff <= Window / 2 || ProportionCutoff > Window) begin : gen_check_proportion
    $error("entropy_health: ProportionCutoff must lie between half the window and the window");
  end

  logic [31:0]         shift_q, last_word_q;
  logic [5:0]          left_q;         // bits of shift_q still to be tested
  logic                last_bit_q;
  logic [RunWidth-1:0] run_q, run;     // equal bits so far; 0 = no bit seen
  logic [RptWidth-1:0] repeat_q, repeats;
  logic [9:0]          position_q;     // in the window
  logic [10:0]         ones_q, zeros_q, ones, zeros;
  logic                passed_q, alarm_q, take, bit_now;

  assign busy_o       = left_q != '0;
  assign word_ready_o = left_q == '0 && !clear_i;
  assign take         = word_valid_i && word_ready_o;
  assign passed_o     = passed_q && !alarm_q;
  assign alarm_o      = alarm_q;

  assign bit_now = shift_q[31];
  assign run     = (run_q != '0 && bit_now == last_bit_q) ? run_q + 1'b1 : RunWidth'(1);
  assign repeats = (repeat_q != '0 && word_i == last_word_q) ? repeat_q + 1'b1 : RptWidth'(1);
  assign ones    = ones_q + {10'd0, bit_now};
  assign zeros   = zeros_q + {10'd0, !bit_now};

  always_ff @(posedge clk_i) begin
    if (take) begin
      shift_q     <= word_i;
      last_word_q <= word_i;
      left_q      <= 6'd32;
      repeat_q    <= repeats;
      if (repeats == WordCutoff[RptWidth-1:0]) alarm_q <= 1'b1;
    end
    if (busy_o) begin
      shift_q    <= {shift_q[30:0], 1'b0};
      left_q     <= left_q - 6'd1;
      last_bit_q <= bit_now;
      run_q      <= run;
      position_q <= position_q + 10'd1;
      ones_q     <= ones;
      zeros_q    <= zeros;
      if (run == BitCutoff[RunWidth-1:0]) alarm_q <= 1'b1;
      if (ones == ProportionCutoff[10:0] || zeros == ProportionCutoff[10:0]) alarm_q <= 1'b1;
      if (position_q == '1) begin
        ones_q   <= '0;
        zeros_q  <= '0;
        passed_q <= 1'b1;
      end
    end
    // After an alarm the counts have no more meaning: they rest, and only reset leaves the alarm.
    if (rst_i || clear_i || alarm_q) begin
      shift_q     <= '0;
      last_word_q <= '0;
      left_q      <= '0;
      last_bit_q  <= 1'b0;
      run_q       <= '0;
      repeat_q    <= '0;
      position_q  <= '0;
      ones_q      <= '0;
      zeros_q     <= '0;
    end
    if (rst_i) begin
      passed_q <= 1'b0;
      alarm_q  <= 1'b0;
    end
  end

endmodule
