// SPDX-License-Identifier: Apache-2.0
// Random words: health-tested raw entropy, conditioned, seeds a CTR_DRBG with AES-256 (NIST
// SP 800-90A, 10.2.1, without derivation function, seedlen 384, no personalization string, no
// additional input, no prediction resistance).
//
// From raw words to a seed. Raw words go through entropy_health (claim: half a bit of min-entropy
// per bit) and through CBC-MAC with AES-256 under the fixed public key 00 01 .. 1F, a conditioning
// component of SP 800-90B, 3.1.5.1. Each 128-bit output takes a message of fixed length of
// 128 * RawBlocks bits; three outputs make the seed. With RawBlocks = 3 an output is fed with 192
// bits of min-entropy, 64 more than its width, which counts as full entropy.
//
// Contract
//   entropy_*  raw words, first bit = most significant; taken only while a seed is being collected,
//              12 * RawBlocks words a seed, at most one per 33 cycles.
//   rnd_*      random words; eight per generate call, first byte of the output = [31:24]. A word is
//              never given twice and is erased when taken. Generate calls happen ahead, when the
//              last word is gone; key and counter are updated before the first word is offered
//              (backtracking resistance). 87 cycles a call.
//   seeded_o   instantiated: words are or will soon be there. A reseed is due after ReseedInterval
//              calls: nothing more is generated until it is done, so a source that stops also
//              stops the output.
//   failed_o   a health test has failed: everything is erased and nothing comes out until reset.
//   zeroize_i  (pulse or level) erases all state in one cycle; afterwards a new seed is collected.
//   No seed is used before the tests of all its words are finished and the first 1024 raw bits
//   have passed. Reset as zeroize, and it also clears an alarm.
module drbg #(
  parameter int unsigned ReseedInterval = 4096,  // generate calls
  parameter int unsigned RawBlocks      = 3,     // AES blocks of raw bits per 128 bits of seed
  parameter int unsigned SboxImpl       = 0
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        zeroize_i,

  input  logic        entropy_valid_i,
  output logic        entropy_ready_o,
  input  logic [31:0] entropy_i,

  output logic        rnd_valid_o,
  input  logic        rnd_ready_i,
  output logic [31:0] rnd_o,

  output logic        seeded_o,
  output logic        failed_o
);

  if (ReseedInterval == 0) begin : gen_check_interval
    $error("drbg: ReseedInterval must be at least 1");
  end
  // 3 * 3 * 128 = 1152 raw bits a seed: covers the start-up test and the entropy claim.
  if (RawBlocks < 3) begin : gen_check_raw_blocks
    $error("drbg: RawBlocks must be at least 3");
  end

  localparam logic [255:0] MAC_KEY =
      256'h000102030405060708090a0b0c0d0e0f_101112131415161718191a1b1c1d1e1f;
  localparam int unsigned CallWidth = $clog2(ReseedInterval + 1);
  localparam int unsigned RawWidth  = $clog2(RawBlocks + 1);
  localparam int unsigned LastRaw   = RawBlocks - 1;

  typedef enum logic [1:0] {
    StIdle  = 2'd0,
    StLoad  = 2'd1,   // key of the operation into the key schedule
    StStart = 2'd2,
    StWait  = 2'd3
  } state_e;

  typedef enum logic [1:0] {
    OpCondition = 2'd0,  // one CBC-MAC step
    OpGenerate  = 2'd1,  // two output blocks, continues as OpUpdate
    OpUpdate    = 2'd2   // three blocks: CTR_DRBG_Update with pool_q as provided data
  } op_e;

  state_e               state_q, state_d;
  op_e                  op_q, op_d;
  logic [1:0]           blk_q, blk_d;       // block of the operation

  logic [255:0]         key_q;              // K
  logic [127:0]         v_q;                // V
  logic                 seeded_q;
  logic [CallWidth-1:0] calls_q;            // generate calls since the last seed

  logic [127:0]         raw_q;              // raw words on their way to one CBC-MAC step
  logic [2:0]           raw_words_q;
  logic [127:0]         mac_q;
  logic [RawWidth-1:0]  mac_steps_q;
  logic [383:0]         pool_q;             // seed being collected, zero otherwise
  logic [1:0]           pool_blocks_q;
  logic [255:0]         out_q;
  logic [3:0]           out_words_q;

  logic                 wipe, collect, raw_full, pool_full, due, done;
  logic                 health_ready, health_busy, health_passed, alarm;
  logic                 raw_take, rnd_take;
  logic                 aes_start, aes_busy, aes_valid;
  logic [3:0]           next_row;
  logic [127:0]         aes_block, aes_result, round_key, v_next;

  assign wipe      = zeroize_i || alarm;
  assign due       = !seeded_q || calls_q == ReseedInterval[CallWidth-1:0];
  assign raw_full  = raw_words_q == 3'd4;
  assign pool_full = pool_blocks_q == 2'd3;
  assign collect   = due && !pool_full && !wipe;

  assign entropy_ready_o = collect && !raw_full && health_ready;
  assign raw_take        = entropy_valid_i && entropy_ready_o;

  // SEC: RNG.FAIL_CLOSED
  assign rnd_valid_o = out_words_q != 4'd0 && seeded_q && !wipe;
  assign rnd_o       = rnd_valid_o ? out_q[255:224] : '0;
  assign rnd_take    = rnd_valid_o && rnd_ready_i;
  assign seeded_o    = seeded_q && !wipe;
  assign failed_o    = alarm;

  entropy_health u_health (
    .clk_i,
    .rst_i,
    .clear_i     (zeroize_i),
    .word_valid_i(raw_take),
    .word_ready_o(health_ready),
    .word_i      (entropy_i),
    .busy_o      (health_busy),
    .passed_o    (health_passed),
    .alarm_o     (alarm)
  );

  // The key schedule runs beside the rounds, so no round key is stored.
  aes_key_expand #(.SboxImpl(SboxImpl)) u_expand (
    .clk_i,
    .rst_i,
    .clear_i    (wipe || state_q == StIdle),  // an old key must not outlive its operation
    .load_i     (state_q == StLoad),
    .key_i      ((op_q == OpCondition) ? MAC_KEY : key_q),
    .step_i     (next_row != 4'd0),
    .round_key_o(round_key)
  );

  aes_engine #(.SboxImpl(SboxImpl)) u_aes (
    .clk_i,
    .rst_i,
    .clear_i    (wipe || state_q == StIdle),
    .start_i    (aes_start),
    .block_i    (aes_block),
    .round_key_i(round_key),
    .next_row_o (next_row),
    .busy_o     (aes_busy),
    .valid_o    (aes_valid),
    .result_o   (aes_result)
  );

  assign v_next    = v_q + 128'd1;
  assign aes_start = state_q == StStart;
  assign aes_block = (op_q == OpCondition) ? mac_q ^ raw_q : v_next;
  assign done      = state_q == StWait && aes_valid && !aes_busy;

  always_comb begin
    state_d = state_q;
    op_d    = op_q;
    blk_d   = blk_q;
    unique case (state_q)
      StIdle: begin
        blk_d = 2'd0;
        if (raw_full) begin
          op_d    = OpCondition;
          state_d = StLoad;
        end else if (due) begin
          // Instantiate (K = V = 0) and reseed differ only in what K and V are now.
          if (pool_full && health_passed && !health_busy) begin
            op_d    = OpUpdate;
            state_d = StLoad;
          end
        end else if (out_words_q == 4'd0) begin
          op_d    = OpGenerate;
          state_d = StLoad;
        end
      end
      StLoad:  state_d = StStart;
      StStart: state_d = StWait;
      StWait: begin
        if (done) begin
          blk_d   = blk_q + 2'd1;
          state_d = StLoad;
          if (op_q == OpGenerate && blk_q == 2'd1) begin
            op_d  = OpUpdate;
            blk_d = 2'd0;
          end
          if (op_q == OpCondition || (op_q == OpUpdate && blk_q == 2'd2)) state_d = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    state_q <= state_d;
    op_q    <= op_d;
    blk_q   <= blk_d;

    if (raw_take) begin
      raw_q       <= {raw_q[95:0], entropy_i};
      raw_words_q <= raw_words_q + 3'd1;
    end
    if (rnd_take) begin
      out_q       <= {out_q[223:0], 32'd0};
      out_words_q <= out_words_q - 4'd1;
    end

    if (aes_start && op_q != OpCondition) v_q <= v_next;
    if (done) begin
      unique case (op_q)
        OpCondition: begin
          raw_q       <= '0;
          raw_words_q <= '0;
          mac_q       <= aes_result;
          mac_steps_q <= mac_steps_q + 1'b1;
          if (mac_steps_q == LastRaw[RawWidth-1:0]) begin
            mac_q         <= '0;
            mac_steps_q   <= '0;
            pool_q        <= {pool_q[255:0], aes_result};
            pool_blocks_q <= pool_blocks_q + 2'd1;
          end
        end
        OpGenerate: out_q <= {out_q[127:0], aes_result};
        default: begin
          // OpUpdate: after three turns pool_q is the new {K, V}.
          pool_q <= {pool_q[255:0], pool_q[383:256] ^ aes_result};
          if (blk_q == 2'd2) begin
            {key_q, v_q}  <= {pool_q[255:0], pool_q[383:256] ^ aes_result};
            pool_q        <= '0;
            pool_blocks_q <= '0;
            seeded_q      <= 1'b1;
            if (due) begin
              calls_q <= '0;
            end else begin
              calls_q     <= calls_q + 1'b1;
              out_words_q <= 4'd8;
            end
          end
        end
      endcase
    end

    // SEC: RNG.ZEROIZE
    if (rst_i || wipe) begin
      state_q       <= StIdle;
      op_q          <= OpCondition;
      blk_q         <= '0;
      key_q         <= '0;
      v_q           <= '0;
      seeded_q      <= 1'b0;
      calls_q       <= '0;
      raw_q         <= '0;
      raw_words_q   <= '0;
      mac_q         <= '0;
      mac_steps_q   <= '0;
      pool_q        <= '0;
      pool_blocks_q <= '0;
      out_q         <= '0;
      out_words_q   <= '0;
    end
  end

endmodule
