// SPDX-License-Identifier: Apache-2.0
// AES-256 key schedule (FIPS 197, 5.2), one round key per cycle, in forward order.
//
// Contract: load_i takes the key (byte 0 = [255:248]); from the next cycle on round_key_o is round
// key 0. Each step_i moves to the next one; 14 steps reach the last. load_i wins over step_i. Both
// may be given in any cycle. clear_i, and reset, erase all key material in one cycle.
module aes_key_expand #(
  parameter int unsigned SboxImpl = 0
) (
  input  logic         clk_i,
  input  logic         rst_i,
  input  logic         clear_i,

  input  logic         load_i,
  input  logic [255:0] key_i,
  input  logic         step_i,
  output logic [127:0] round_key_o
);

  // now_q is the present round key, next_q the one after it.
  logic [127:0] now_q, next_q, after;
  logic [7:0]   rcon_q;   // for the next even round key
  logic         odd_q;    // the round key after next_q is an odd one: no rotation, no constant
  logic [31:0]  sub_in, sub_out, temp;

  assign round_key_o = now_q;
  assign sub_in      = odd_q ? next_q[31:0] : {next_q[23:0], next_q[31:24]};
  assign temp        = odd_q ? sub_out : sub_out ^ {rcon_q, 24'd0};

  for (genvar b = 0; b < 4; b++) begin : gen_sub_word
    aes_sbox #(.Impl(SboxImpl)) u_sbox (.in_i(sub_in[8*b +: 8]), .out_o(sub_out[8*b +: 8]));
  end

  // Word i = word i-8 ^ word i-1, where word i-1 is transformed at the first word of the four.
  assign after[127:96] = now_q[127:96] ^ temp;
  assign after[95:64]  = now_q[95:64]  ^ after[127:96];
  assign after[63:32]  = now_q[63:32]  ^ after[95:64];
  assign after[31:0]   = now_q[31:0]   ^ after[63:32];

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      {now_q, next_q} <= key_i;
      rcon_q          <= 8'h01;
      odd_q           <= 1'b0;
    end else if (step_i) begin
      now_q  <= next_q;
      next_q <= after;
      odd_q  <= !odd_q;
      // Seven even round keys follow the key, so the constant never passes 40h.
      if (!odd_q) rcon_q <= {rcon_q[6:0], 1'b0};
    end
    // SEC: KEY.ZEROIZE
    if (rst_i || clear_i) begin
      now_q  <= '0;
      next_q <= '0;
      rcon_q <= '0;
      odd_q  <= 1'b0;
    end
  end

endmodule
