// SPDX-License-Identifier: Apache-2.0
// P-384 engine: ECDH with an ephemeral key and ECDSA with the identity key, neither of which leaves.
//
// Contract:
//   Operation   taken when op_valid_i && op_ready_o; done_o pulses when it is over, result_code_o
//               holds until the next. Codes and operations: p384_pkg.
//   Words       a value is 12 words, word 0 least significant. wr_addr_i = {register, word} with the
//               registers of p384_pkg::in_reg_e; rd_addr_i = {0, word} reads X or r, {1, word} Y or s,
//               one cycle later. While busy_o writes are ignored and reads give zero. The input
//               registers are consumed: every operation ends by erasing them. The output registers
//               hold from a ResOk to the next operation; after any other result they are zero.
//   Random      12 words an attempt, four attempts; RandomTimeoutCycles of silence end in
//               ResNoEntropy. TestHooks = 1 takes d and k from input registers 5 and 6 instead, for
//               published vectors; with 0 there is no such path.
//   Secrets     d, k, the identity key and everything computed from them live in the operand memory
//               and in the flops of p384_alu and are overwritten before done_o (d: when ECDH is
//               done, whatever its result). No port reads them. zeroize_i: p384_sequencer.
//               SEC: KEY.ZEROIZE
//   Time        does not depend on any secret: fixed programs, complete addition formulas, table
//               look-up by address. Resistance to power or field analysis is not claimed.
//
// Cycles from acceptance to done_o when the random port never waits, held by a test; at 48 MHz:
//   OpKeygen  124,530   2.6 ms     comb of four teeth over the fixed base: 96 doublings, 96 additions
//   OpPublic  124,522   2.6 ms
//   OpSign    168,351   3.5 ms     of it 41,600 for the inverse of k
//   OpEcdh    273,246   5.7 ms     windows of four bits: 384 doublings, 110 additions
//   OpVerify  422,540   8.8 ms     one of each
//   OpWipe        130
//
module p384_engine
  import p384_pkg::*;
#(
  parameter string       KeyFile             = "",
  parameter bit          TestHooks           = 1'b0,
  parameter int unsigned RandomTimeoutCycles = 1 << 20
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        zeroize_i,

  // operation
  input  logic        op_valid_i,
  output logic        op_ready_o,
  input  op_e         op_i,
  output logic        done_o,
  output result_e     result_code_o,
  output logic        busy_o,

  // word port
  input  logic        wr_en_i,
  input  logic [6:0]  wr_addr_i,
  input  logic [31:0] wr_data_i,
  input  logic [4:0]  rd_addr_i,
  output logic [31:0] rd_data_o,

  // random words
  input  logic        rnd_valid_i,
  output logic        rnd_ready_o,
  input  logic [31:0] rnd_i
);

  logic        cmd_valid, cmd_ready, cmd_mod_order;
  alu_op_e     cmd_op;
  logic [6:0]  cmd_window;
  reg_t        cmd_rd, cmd_ra, cmd_rb;
  logic        negative, zero;
  logic [3:0]  nibble;
  logic        src_load, src_waits;
  source_e     src;
  logic [8:0]  src_addr;
  logic        word_valid, word_ready;
  logic [31:0] word;
  logic        out_valid, out_register;
  logic [3:0]  out_idx;
  logic [31:0] out_word;
  logic        wipe, wipe_keep, wipe_in, wipe_out, wiping;
  reg_t        wipe_addr;

  p384_sequencer #(.RandomTimeoutCycles(RandomTimeoutCycles)) u_sequencer (
    .clk_i,
    .rst_i,
    .zeroize_i,
    .op_valid_i,
    .op_ready_o,
    .op_i,
    .done_o,
    .result_code_o,
    .busy_o,
    .cmd_valid_o     (cmd_valid),
    .cmd_ready_i     (cmd_ready),
    .cmd_op_o        (cmd_op),
    .cmd_mod_order_o (cmd_mod_order),
    .cmd_window_o    (cmd_window),
    .cmd_rd_o        (cmd_rd),
    .cmd_ra_o        (cmd_ra),
    .cmd_rb_o        (cmd_rb),
    .negative_i      (negative),
    .zero_i          (zero),
    .nibble_i        (nibble),
    .src_load_o      (src_load),
    .src_o           (src),
    .src_addr_o      (src_addr),
    .src_waits_i     (src_waits),
    .out_register_o  (out_register),
    .wipe_o          (wipe),
    .wipe_keep_o     (wipe_keep),
    .wipe_in_o       (wipe_in),
    .wipe_out_o      (wipe_out),
    .wiping_i        (wiping)
  );

  p384_alu u_alu (
    .clk_i,
    .rst_i,
    .cmd_valid_i     (cmd_valid),
    .cmd_ready_o     (cmd_ready),
    .cmd_op_i        (cmd_op),
    .cmd_mod_order_i (cmd_mod_order),
    .cmd_window_i    (cmd_window),
    .cmd_rd_i        (cmd_rd),
    .cmd_ra_i        (cmd_ra),
    .cmd_rb_i        (cmd_rb),
    .negative_o      (negative),
    .zero_o          (zero),
    .nibble_o        (nibble),
    .in_valid_i      (word_valid),
    .in_ready_o      (word_ready),
    .in_word_i       (word),
    .out_valid_o     (out_valid),
    .out_idx_o       (out_idx),
    .out_word_o      (out_word),
    .wipe_i          (wipe),
    .keep_i          (wipe_keep),
    .wiping_o        (wiping),
    .wipe_addr_o     (wipe_addr)
  );

  p384_words #(.KeyFile(KeyFile), .TestHooks(TestHooks)) u_words (
    .clk_i,
    .rst_i,
    .busy_i       (busy_o),
    .wr_en_i,
    .wr_addr_i,
    .wr_data_i,
    .rd_addr_i,
    .rd_data_o,
    .rnd_valid_i,
    .rnd_ready_o,
    .rnd_i,
    .src_load_i   (src_load),
    .src_i        (src),
    .src_addr_i   (src_addr),
    .src_waits_o  (src_waits),
    .word_valid_o (word_valid),
    .word_ready_i (word_ready),
    .word_o       (word),
    .out_valid_i  (out_valid),
    .out_addr_i   ({out_register, out_idx}),
    .out_word_i   (out_word),
    .wiping_i     (wiping),
    .wipe_in_i    (wipe_in),
    .wipe_out_i   (wipe_out),
    .wipe_addr_i  (wipe_addr)
  );

endmodule
