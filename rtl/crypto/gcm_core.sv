// SPDX-License-Identifier: Apache-2.0
// Compact AES-256-GCM (NIST SP 800-38D) with 96-bit IVs, byte granular, full 128-bit tag, and
// NumKeys key slots whose key schedule and H stay expanded in RAM.
//
// Data format: byte 0 of a key, IV, block or tag is the most significant byte of its vector, so
// the hex of a vector reads as in the standard. A block of n < 16 bytes is left-justified; its
// other bytes are ignored on input and zero on output.
//
// Contract
//   keys     key_valid_i/key_ready_o takes a key between messages; key_done_o pulses 34 cycles
//            later, when the slot is usable. erase_* overwrites a slot with zero in 17 cycles
//            (erase_done_o), also beside a message of another slot; a running message of that very
//            slot is dropped as by abort_i. Which slots hold a key is the caller's knowledge: a
//            message under an empty slot is computed with an all-zero schedule. Indices must be
//            below NumKeys.
//   message  cmd_*, then at least one block on in_*: first all AAD (in_aad_i), then data. Only the
//            last AAD block and the last data block may be short; in_bytes_i is 1..16; in_last_i
//            marks the last block of the message. Data blocks come out in order on out_*, one each.
//            Then tag_*: it may be taken before the last output block. The next command is taken
//            when both are gone. AAD and data are below 2^32 bytes each. The core compares
//            no tag: plaintext leaves it unverified, the user holds it back.
//   time     one data block per 15 cycles; AAD blocks one per 9; tag_valid_o 22 + 15 n cycles after
//            the command for n >= 1 data blocks with little AAD. Independent of key and data.
//   abort_i  (pulse) gives the message up: valids fall at once, without handshake, the data path is
//            cleared and a new command is taken from the next cycle on. No effect between messages.
//   zeroize_i (pulse or level) aborts everything and overwrites all RAM rows in at most
//            NumKeys * 16 + 4 cycles from its first cycle; busy_o meanwhile. Reset does the same.
//   After every message keystream, H, GHASH accumulator, counters and buffers are zero.
//   Priority of simultaneous requests: zeroize, abort, erase, key, command.
module gcm_core #(
  parameter int unsigned NumKeys    = 2,
  parameter int unsigned SboxImpl   = 0,
  parameter int unsigned GhashDigit = 16,  // bits of GHASH operand per cycle
  parameter int unsigned KeyW       = (NumKeys > 1) ? $clog2(NumKeys) : 1  // derived, leave alone
) (
  input  logic            clk_i,
  input  logic            rst_i,
  input  logic            zeroize_i,
  input  logic            abort_i,

  // key load
  input  logic            key_valid_i,
  output logic            key_ready_o,
  input  logic [KeyW-1:0] key_idx_i,
  input  logic [255:0]    key_i,
  output logic            key_done_o,

  // key erasure
  input  logic            erase_valid_i,
  output logic            erase_ready_o,
  input  logic [KeyW-1:0] erase_idx_i,
  output logic            erase_done_o,

  // command: begin a message
  input  logic            cmd_valid_i,
  output logic            cmd_ready_o,
  input  logic [KeyW-1:0] cmd_key_i,
  input  logic            cmd_decrypt_i,
  input  logic [95:0]     cmd_iv_i,

  // AAD and data blocks
  input  logic            in_valid_i,
  output logic            in_ready_o,
  input  logic [127:0]    in_data_i,
  input  logic [4:0]      in_bytes_i,
  input  logic            in_aad_i,
  input  logic            in_last_i,

  // encrypted or decrypted data blocks
  output logic            out_valid_o,
  input  logic            out_ready_i,
  output logic [127:0]    out_data_o,
  output logic [4:0]      out_bytes_o,

  // tag of the message
  output logic            tag_valid_o,
  input  logic            tag_ready_i,
  output logic [127:0]    tag_o,

  output logic            busy_o,
  output logic            idle_o
);

  if (NumKeys == 0) begin : gen_check_num_keys
    $error("gcm_core: NumKeys must be at least 1");
  end
  // The last block and the length block must not outlast the 15 cycles of a block.
  if (GhashDigit < 10) begin : gen_check_digit
    $error("gcm_core: GhashDigit below 10 would slow the block rate");
  end

  localparam logic [3:0]  ROW_H         = 4'd15;
  localparam logic [31:0] CTR_TAG       = 32'd1;  // J0 = IV || 1 masks the tag
  localparam logic [31:0] CTR_FIRST     = 32'd2;

  typedef enum logic [3:0] {
    StIdle     = 4'd0,
    StReadH    = 4'd1,   // address of H at the RAM
    StTakeH    = 4'd2,   // H arrives
    StStart    = 4'd3,   // first keystream block starts
    StBlocks   = 4'd4,   // AAD and data
    StLengths  = 4'd5,   // tag mask and length block
    StTag      = 4'd6,   // tag waits to be taken
    StDrain    = 4'd7,   // last output block waits to be taken
    StKeyRead  = 4'd8,   // between messages: H of a new key; address of round key 0
    StKeyStart = 4'd9,
    StKeyWait  = 4'd10
  } state_e;

  state_e          state_q, state_d;

  // message context
  logic [KeyW-1:0] slot_q;
  logic            decrypt_q;
  logic [95:0]     iv_q;
  logic [31:0]     ctr_q;                 // counter of the keystream block in the engine
  logic [31:0]     aad_bytes_q, data_bytes_q;
  logic [127:0]    h_q;
  logic            mask_started_q;        // AES(J0) was started
  logic            lengths_started_q;     // the length block went into GHASH

  // one block of input, one of output
  logic            in_full_q, in_aad_q, in_last_q;
  logic [127:0]    in_q;
  logic [4:0]      in_bytes_q;
  logic            out_full_q;
  logic [127:0]    out_q;
  logic [4:0]      out_bytes_q;

  logic            store_idle, erasing, hash_req, drop, clear, cmd_take, in_take;
  logic [KeyW-1:0] hash_slot, erase_slot;
  logic            rd_en;
  logic [3:0]      rd_row, next_row;
  logic [127:0]    rd_data;
  logic            aes_start, aes_busy, ks_valid;
  logic [127:0]    aes_block, ks;
  logic            ghash_start, ghash_busy;
  logic [127:0]    ghash_block, ghash_y;
  logic            use_block;             // the input block goes through the data path now
  logic [127:0]    in_mask, result;
  logic            hash_valid;

  // A message whose key is being erased must not go on with half a schedule. SEC: GCM.FAIL_CLOSED
  assign drop = abort_i || (erasing && erase_slot == slot_q);

  assign cmd_ready_o = state_q == StIdle && store_idle && !zeroize_i && !abort_i && !erase_valid_i
                    && !key_valid_i;
  assign in_ready_o  = state_q == StBlocks && !in_full_q && !zeroize_i && !drop;
  assign out_valid_o = out_full_q && !zeroize_i && !drop;
  assign out_data_o  = out_q;
  assign out_bytes_o = out_bytes_q;
  assign tag_valid_o = state_q == StTag && !zeroize_i && !drop;
  assign tag_o       = tag_valid_o ? ghash_y ^ ks : '0;
  assign busy_o      = !idle_o;
  assign idle_o      = state_q == StIdle && store_idle;

  assign cmd_take = cmd_valid_i && cmd_ready_o;
  assign in_take  = in_valid_i && in_ready_o;

  gcm_key_store #(.NumKeys(NumKeys), .SboxImpl(SboxImpl)) u_keys (
    .clk_i,
    .rst_i,
    .zeroize_i,
    .can_load_i  (state_q == StIdle),
    .key_valid_i,
    .key_ready_o,
    .key_idx_i,
    .key_i,
    .key_done_o,
    .hash_req_o  (hash_req),
    .hash_slot_o (hash_slot),
    .hash_valid_i(hash_valid),
    .hash_i      (ks),
    .erase_valid_i,
    .erase_ready_o,
    .erase_idx_i,
    .erase_done_o,
    .erasing_o   (erasing),
    .erase_slot_o(erase_slot),
    .rd_en_i     (rd_en),
    .rd_slot_i   (slot_q),
    .rd_row_i    (rd_row),
    .rd_data_o   (rd_data),
    .idle_o      (store_idle)
  );

  aes_engine #(.SboxImpl(SboxImpl)) u_aes (
    .clk_i,
    .rst_i,
    .clear_i    (clear),
    .start_i    (aes_start),
    .block_i    (aes_block),
    .round_key_i(rd_data),
    .next_row_o (next_row),
    .busy_o     (aes_busy),
    .valid_o    (ks_valid),
    .result_o   (ks)
  );

  ghash_mult #(.Digit(GhashDigit)) u_ghash (
    .clk_i,
    .rst_i,
    .clear_i(clear),
    .start_i(ghash_start),
    .block_i(ghash_block),
    .h_i    (h_q),
    .busy_o (ghash_busy),
    .y_o    (ghash_y)
  );

  // The first in_bytes_q bytes.
  assign in_mask = ~({128{1'b1}} >> {in_bytes_q, 3'd0});
  assign result  = (in_q ^ ks) & in_mask;

  // AAD waits for GHASH only, data also for its keystream and for room in the output register.
  assign use_block = state_q == StBlocks && in_full_q && !ghash_busy
                  && (in_aad_q || (ks_valid && !out_full_q));

  always_comb begin
    state_d     = state_q;
    clear       = 1'b0;
    rd_en       = 1'b0;
    rd_row      = next_row;
    aes_start   = 1'b0;
    aes_block   = '0;
    ghash_start = 1'b0;
    ghash_block = '0;
    hash_valid  = 1'b0;
    unique case (state_q)
      StIdle: begin
        if (cmd_take) state_d = StReadH;
        else if (hash_req) state_d = StKeyRead;
      end
      StReadH: begin
        rd_en   = 1'b1;
        rd_row  = ROW_H;
        state_d = StTakeH;
      end
      StTakeH: begin
        rd_en   = 1'b1;
        state_d = StStart;
      end
      StStart: begin
        rd_en     = 1'b1;
        aes_start = 1'b1;
        aes_block = {iv_q, ctr_q};
        state_d   = StBlocks;
      end
      StBlocks: begin
        rd_en = 1'b1;
        if (use_block) begin
          ghash_start = 1'b1;
          ghash_block = (in_aad_q || decrypt_q) ? in_q & in_mask : result;
          if (!in_aad_q) begin
            aes_start = 1'b1;
            aes_block = {iv_q, in_last_q ? CTR_TAG : ctr_q + 32'd1};
          end
          if (in_last_q) state_d = StLengths;
        end
      end
      StLengths: begin
        // A message that ended with AAD lets its unused keystream block finish first.
        rd_en = 1'b1;
        if (!mask_started_q && ks_valid) begin
          aes_start = 1'b1;
          aes_block = {iv_q, CTR_TAG};
        end
        if (!lengths_started_q && !ghash_busy) begin
          ghash_start = 1'b1;
          ghash_block = {29'd0, aad_bytes_q, 3'd0, 29'd0, data_bytes_q, 3'd0};
        end
        if (mask_started_q && lengths_started_q && ks_valid && !ghash_busy) state_d = StTag;
      end
      StTag: begin
        if (tag_ready_i) begin
          clear   = 1'b1;
          state_d = (out_full_q && !out_ready_i) ? StDrain : StIdle;
        end
      end
      StDrain: begin
        if (out_ready_i) state_d = StIdle;
      end
      StKeyRead: begin
        rd_en   = 1'b1;
        state_d = StKeyStart;
      end
      StKeyStart: begin
        rd_en     = 1'b1;
        aes_start = 1'b1;
        state_d   = StKeyWait;
      end
      StKeyWait: begin
        rd_en = aes_busy;
        if (ks_valid) begin
          hash_valid = 1'b1;
          clear      = 1'b1;
          state_d    = StIdle;
        end
      end
      default: begin
        clear   = 1'b1;
        state_d = StIdle;
      end
    endcase
    // Giving up: a message by abort or by erasure of its key, everything by zeroize.
    if (zeroize_i || (drop && state_q inside {StReadH, StTakeH, StStart, StBlocks, StLengths,
                                              StTag, StDrain})) begin
      clear   = 1'b1;
      rd_en   = 1'b0;
      state_d = StIdle;
    end
  end

  always_ff @(posedge clk_i) begin
    state_q <= state_d;

    if (cmd_take) begin
      slot_q    <= cmd_key_i;
      decrypt_q <= cmd_decrypt_i;
      iv_q      <= cmd_iv_i;
      ctr_q     <= CTR_FIRST;
    end else if (state_q == StIdle && hash_req) begin
      slot_q <= hash_slot;
    end
    if (state_q == StTakeH) h_q <= rd_data;

    if (in_take) begin
      in_full_q  <= 1'b1;
      in_q       <= in_data_i;
      in_bytes_q <= in_bytes_i;
      in_aad_q   <= in_aad_i;
      in_last_q  <= in_last_i;
    end else if (use_block) begin
      in_full_q <= 1'b0;
    end

    if (use_block) begin
      if (in_aad_q) begin
        aad_bytes_q <= aad_bytes_q + {27'd0, in_bytes_q};
      end else begin
        data_bytes_q <= data_bytes_q + {27'd0, in_bytes_q};
        ctr_q        <= ctr_q + 32'd1;
        out_full_q   <= 1'b1;
        out_q        <= result;
        out_bytes_q  <= in_bytes_q;
        mask_started_q <= in_last_q;
      end
    end
    if (out_full_q && out_ready_i) begin
      out_full_q  <= 1'b0;
      out_q       <= '0;
      out_bytes_q <= '0;
    end
    if (state_q == StLengths) begin
      if (ks_valid) mask_started_q <= 1'b1;
      if (!ghash_busy) lengths_started_q <= 1'b1;
    end

    // End of a message. SEC: GCM.CLEAR
    if (rst_i || clear) begin
      decrypt_q         <= 1'b0;
      iv_q              <= '0;
      ctr_q             <= '0;
      aad_bytes_q       <= '0;
      data_bytes_q      <= '0;
      h_q               <= '0;
      mask_started_q    <= 1'b0;
      lengths_started_q <= 1'b0;
      in_full_q         <= 1'b0;
      in_q              <= '0;
      in_bytes_q        <= '0;
      in_aad_q          <= 1'b0;
      in_last_q         <= 1'b0;
    end
    // The output block outlives the tag, but not a message that is given up.
    if (rst_i || (clear && state_q != StTag) || zeroize_i || drop) begin
      out_full_q  <= 1'b0;
      out_q       <= '0;
      out_bytes_q <= '0;
    end
    if (rst_i) begin
      state_q <= StIdle;
      slot_q  <= '0;
    end
  end

endmodule
