// SPDX-License-Identifier: Apache-2.0
// Compression function of SHA-512 with the initial value of SHA-384 (FIPS 180-4, 5.3.4, 6.4).
//
// Data format: big-endian as in the standard; byte 0 of a block is block_i[1023:1016]; state_o is
// {H0, H1, ..., H7}, the digest is state_o[511:128]. Padding is the caller's.
//
// Contract: init_i loads the initial value, load_state_i a saved state_i; then each block taken at
// block_valid_i/block_ready_o is folded into state_o: busy_o is high for the 82 cycles after, with
// block_ready_o = 0 and state_o unchanged until the last. A state may be saved whenever busy_o = 0.
// init_i and load_state_i are ignored while busy; when both come, init_i wins, and no block is
// taken in that cycle. Working variables and message schedule are zero between blocks. clear_i (at any
// time) erases the state too, in one cycle, and abandons a block in progress; so does reset.
// The time depends on nothing.
module sha384_core (
  input  logic          clk_i,
  input  logic          rst_i,
  input  logic          clear_i,

  input  logic          init_i,
  input  logic          load_state_i,
  input  logic [511:0]  state_i,

  input  logic          block_valid_i,
  output logic          block_ready_o,
  input  logic [1023:0] block_i,

  output logic [511:0]  state_o,
  output logic          busy_o
);

  // First 64 bits of the fractional parts of the cube roots of the first 80 primes.
  localparam logic [63:0] K [80] = '{
    64'h428a2f98d728ae22, 64'h7137449123ef65cd, 64'hb5c0fbcfec4d3b2f, 64'he9b5dba58189dbbc,
    64'h3956c25bf348b538, 64'h59f111f1b605d019, 64'h923f82a4af194f9b, 64'hab1c5ed5da6d8118,
    64'hd807aa98a3030242, 64'h12835b0145706fbe, 64'h243185be4ee4b28c, 64'h550c7dc3d5ffb4e2,
    64'h72be5d74f27b896f, 64'h80deb1fe3b1696b1, 64'h9bdc06a725c71235, 64'hc19bf174cf692694,
    64'he49b69c19ef14ad2, 64'hefbe4786384f25e3, 64'h0fc19dc68b8cd5b5, 64'h240ca1cc77ac9c65,
    64'h2de92c6f592b0275, 64'h4a7484aa6ea6e483, 64'h5cb0a9dcbd41fbd4, 64'h76f988da831153b5,
    64'h983e5152ee66dfab, 64'ha831c66d2db43210, 64'hb00327c898fb213f, 64'hbf597fc7beef0ee4,
    64'hc6e00bf33da88fc2, 64'hd5a79147930aa725, 64'h06ca6351e003826f, 64'h142929670a0e6e70,
    64'h27b70a8546d22ffc, 64'h2e1b21385c26c926, 64'h4d2c6dfc5ac42aed, 64'h53380d139d95b3df,
    64'h650a73548baf63de, 64'h766a0abb3c77b2a8, 64'h81c2c92e47edaee6, 64'h92722c851482353b,
    64'ha2bfe8a14cf10364, 64'ha81a664bbc423001, 64'hc24b8b70d0f89791, 64'hc76c51a30654be30,
    64'hd192e819d6ef5218, 64'hd69906245565a910, 64'hf40e35855771202a, 64'h106aa07032bbd1b8,
    64'h19a4c116b8d2d0c8, 64'h1e376c085141ab53, 64'h2748774cdf8eeb99, 64'h34b0bcb5e19b48a8,
    64'h391c0cb3c5c95a63, 64'h4ed8aa4ae3418acb, 64'h5b9cca4f7763e373, 64'h682e6ff3d6b2b8a3,
    64'h748f82ee5defb2fc, 64'h78a5636f43172f60, 64'h84c87814a1f0ab72, 64'h8cc702081a6439ec,
    64'h90befffa23631e28, 64'ha4506cebde82bde9, 64'hbef9a3f7b2c67915, 64'hc67178f2e372532b,
    64'hca273eceea26619c, 64'hd186b8c721c0c207, 64'heada7dd6cde0eb1e, 64'hf57d4f7fee6ed178,
    64'h06f067aa72176fba, 64'h0a637dc5a2c898a6, 64'h113f9804bef90dae, 64'h1b710b35131c471b,
    64'h28db77f523047d84, 64'h32caab7b40c72493, 64'h3c9ebe0a15c9bebc, 64'h431d67c49c100d4c,
    64'h4cc5d4becb3e42b6, 64'h597f299cfc657e2a, 64'h5fcb6fab3ad6faec, 64'h6c44198c4a475817
  };
  // The same of the square roots of the ninth to the sixteenth prime.
  localparam logic [511:0] SHA384_IV = {
    64'hcbbb9d5dc1059ed8, 64'h629a292a367cd507, 64'h9159015a3070dd17, 64'h152fecd8f70e5939,
    64'h67332667ffc00b31, 64'h8eb44a8768581511, 64'hdb0c2e0d64f98fa7, 64'h47b5481dbefa4fa4
  };

  localparam logic [6:0] ROUNDS = 7'd80;

  typedef enum logic [1:0] {
    StIdle   = 2'd0,
    StRounds = 2'd1,
    StAdd    = 2'd2
  } state_e;

  typedef struct packed {
    logic [63:0] a, b, c, d, e, f, g, h;
  } vars_t;

  state_e      state_q, state_d;
  logic [6:0]  round_q;       // 0: priming of hkw_q; n: round n - 1
  vars_t       hash_q;        // H0..H7
  vars_t       v_q, v_next;   // a..h
  logic [63:0] hkw_q;         // h + K + W of the next round, summed one cycle ahead
  logic [63:0] h_ahead;
  logic [6:0]  k_idx;
  logic [63:0] k_q;           // K of round_q: a ROM with registered output fits a block RAM
  logic [63:0] w_q [16];      // w_q[0] = W of the round after the next
  logic [63:0] w_new, t1, t2;
  logic        take, priming;

  function automatic logic [63:0] big_sigma0(input logic [63:0] x);
    return {x[27:0], x[63:28]} ^ {x[33:0], x[63:34]} ^ {x[38:0], x[63:39]};
  endfunction

  function automatic logic [63:0] big_sigma1(input logic [63:0] x);
    return {x[13:0], x[63:14]} ^ {x[17:0], x[63:18]} ^ {x[40:0], x[63:41]};
  endfunction

  function automatic logic [63:0] small_sigma0(input logic [63:0] x);
    return {x[0], x[63:1]} ^ {x[7:0], x[63:8]} ^ {7'd0, x[63:7]};
  endfunction

  function automatic logic [63:0] small_sigma1(input logic [63:0] x);
    return {x[18:0], x[63:19]} ^ {x[60:0], x[63:61]} ^ {6'd0, x[63:6]};
  endfunction

  assign state_o       = hash_q;
  assign busy_o        = state_q != StIdle;
  assign block_ready_o = state_q == StIdle && !init_i && !load_state_i && !clear_i;
  assign take          = block_valid_i && block_ready_o;
  assign priming       = round_q == 7'd0;

  // One round. h of the next round is g of this one, which allows the early sum.
  assign t1 = hkw_q + big_sigma1(v_q.e) + ((v_q.e & v_q.f) ^ (~v_q.e & v_q.g));
  assign t2 = big_sigma0(v_q.a) + ((v_q.a & v_q.b) ^ (v_q.a & v_q.c) ^ (v_q.b & v_q.c));
  assign v_next  = '{a: t1 + t2, b: v_q.a, c: v_q.b, d: v_q.c,
                     e: v_q.d + t1, f: v_q.e, g: v_q.f, h: v_q.g};
  assign h_ahead = priming ? v_q.h : v_q.g;
  assign w_new   = (small_sigma1(w_q[14]) + w_q[9]) + (small_sigma0(w_q[1]) + w_q[0]);

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:   if (take) state_d = StRounds;
      StRounds: if (round_q == ROUNDS) state_d = StAdd;
      StAdd:    state_d = StIdle;
      default:  state_d = StIdle;
    endcase
  end

  assign k_idx = (state_q == StRounds && round_q < ROUNDS - 7'd1) ? round_q + 7'd1 : 7'd0;

  always_ff @(posedge clk_i) k_q <= K[k_idx];

  always_ff @(posedge clk_i) begin
    state_q <= state_d;
    if (state_q == StIdle) begin
      round_q <= '0;
      if (init_i) begin
        hash_q <= SHA384_IV;
      end else if (load_state_i) begin
        hash_q <= state_i;
      end else if (take) begin
        v_q <= hash_q;
        for (int unsigned i = 0; i < 16; i++) w_q[i] <= block_i[1023 - 64*i -: 64];
      end
    end
    if (state_q == StRounds) begin
      round_q <= round_q + 7'd1;
      // In the last round the sum ahead has no use, and K no entry.
      hkw_q   <= (round_q == ROUNDS) ? '0 : h_ahead + k_q + w_q[0];
      if (!priming) v_q <= v_next;
      for (int unsigned i = 0; i < 15; i++) w_q[i] <= w_q[i + 1];
      w_q[15] <= w_new;
    end
    if (state_q == StAdd) begin
      hash_q <= '{a: hash_q.a + v_q.a, b: hash_q.b + v_q.b, c: hash_q.c + v_q.c,
                  d: hash_q.d + v_q.d, e: hash_q.e + v_q.e, f: hash_q.f + v_q.f,
                  g: hash_q.g + v_q.g, h: hash_q.h + v_q.h};
    end
    // SEC: SHA.CLEAR
    if (rst_i || clear_i) begin
      state_q <= StIdle;
      round_q <= '0;
      hash_q  <= '0;
    end
    if (rst_i || clear_i || state_q == StAdd) begin
      v_q   <= '0;
      hkw_q <= '0;
      for (int unsigned i = 0; i < 16; i++) w_q[i] <= '0;
    end
  end

endmodule
