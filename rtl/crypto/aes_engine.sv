// SPDX-License-Identifier: Apache-2.0
// Iterative AES-256 encryption of one block, one round per cycle. Round keys come from outside.
//
// Contract: start_i takes block_i and needs round key 0 on round_key_i in the same cycle. In each
// cycle round_key_i must be the round key that next_row_o named in the cycle before (the latency of
// a synchronous RAM); at rest that is round key 0. valid_o rises 15 cycles after start_i, result_o
// then holds until the next start_i, which may come at once: one block per 15 cycles. start_i while
// busy is refused (ignored). clear_i, and reset, erase state and result in one cycle.
module aes_engine #(
  parameter int unsigned SboxImpl = 0
) (
  input  logic         clk_i,
  input  logic         rst_i,
  input  logic         clear_i,

  input  logic         start_i,
  input  logic [127:0] block_i,
  input  logic [127:0] round_key_i,
  output logic [3:0]   next_row_o,   // 0..14: round key wanted in the next cycle
  output logic         busy_o,
  output logic         valid_o,
  output logic [127:0] result_o
);

  localparam logic [3:0] LAST_ROW = 4'd14;

  logic [127:0] state_q, rounded;
  logic [3:0]   row_q;    // the round key that is present in this cycle
  logic         valid_q, start;

  assign start    = start_i && row_q == 4'd0;
  assign busy_o   = row_q != 4'd0;
  assign valid_o  = valid_q;
  assign result_o = state_q;

  always_comb begin
    next_row_o = 4'd0;
    if (start) next_row_o = 4'd1;
    else if (busy_o && row_q != LAST_ROW) next_row_o = row_q + 4'd1;
  end

  aes_round #(.SboxImpl(SboxImpl)) u_round (
    .en_i       (busy_o),
    .last_i     (row_q == LAST_ROW),
    .state_i    (state_q),
    .round_key_i(round_key_i),
    .out_o      (rounded)
  );

  always_ff @(posedge clk_i) begin
    row_q <= next_row_o;
    if (start) begin
      state_q <= block_i ^ round_key_i;
      valid_q <= 1'b0;
    end else if (busy_o) begin
      state_q <= rounded;
      valid_q <= row_q == LAST_ROW;
    end
    // SEC: KEY.ZEROIZE
    if (rst_i || clear_i) begin
      state_q <= '0;
      row_q   <= '0;
      valid_q <= 1'b0;
    end
  end

endmodule
