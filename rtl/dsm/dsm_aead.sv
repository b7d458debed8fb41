// SPDX-License-Identifier: Apache-2.0
// AES-256-GCM for secured records on the register bus.
//
//   00 KEY_LOAD  W  the eight KEY words become the key of slot [2:0]
//   04 KEY_ERASE W  slot [2:0]; ends the message, forgets IV, input and tags
//   08 START     W  [2:0] slot, [8] decrypt; the IV words are the 96-bit IV
//   0C PUSH      W  the four IN words enter: [4:0] bytes 1..16, [8] they are AAD, [9] last
//   10 STATUS    R  [0] a message is being processed, [15:8] slot holds a key
//   14 FINISH    R  stalls until the tag is there: [0] decrypt: the tag is right; encrypt: 1
//   18 ABORT     W  ends the message, forgets IV, input and tags
//   20..3C KEY   W  32 key bytes in memory order; read 0
//   40..48 IV    W  12 bytes in memory order
//   50..5C IN    W  16 bytes in memory order
//   60..6C OUT   R  the oldest block; encryption: stalls until it is there, decryption: 0 until
//                   FINISH has said yes; reading 6C takes it
//   70..7C TAG   W  the tag a decryption must give    R  the tag of the last encryption
//
// Contract: one message at a time; every pushed block that is not AAD gives one OUT block. A read
// that nothing will answer gives 0 instead of stalling. Keys have no read path, and a key register
// is erased by the command that uses it. Tags are compared over all 128 bits at once, and the
// computed tag of a decryption cannot be read. The plaintext of a decryption waits in a buffer of
// OpenBlocks blocks, which FINISH opens if the tag is right and wipes if not; a longer message is
// refused. The IV is forgotten when the message begins. After the end of a message, its blocks
// read or a new command given, nothing of it is left; the registers stall at most OpenBlocks cycles
// for that. zeroize_i erases everything.
// SEC: KEY.WRITE_ONLY, TAG.CONSTANT_TIME, RECORD.VERIFY_FIRST
module dsm_aead
  import dsm_pkg::*;
#(
  parameter int unsigned SboxImpl = 0
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        zeroize_i,
  output logic        busy_o,

  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  input  reg_req_t    reg_req_i,
  output logic [31:0] reg_rdata_o
);

  localparam int unsigned NumKeys    = 8;
  localparam int unsigned OpenBlocks = 289;  // length field and a message of 1200h bytes

  localparam logic [5:0] REG_KEY_LOAD  = 6'h00;
  localparam logic [5:0] REG_KEY_ERASE = 6'h01;
  localparam logic [5:0] REG_START     = 6'h02;
  localparam logic [5:0] REG_PUSH      = 6'h03;
  localparam logic [5:0] REG_STATUS    = 6'h04;
  localparam logic [5:0] REG_FINISH    = 6'h05;
  localparam logic [5:0] REG_ABORT     = 6'h06;

  // StIdle: registers answer. The others finish one command of the CPU, which waits meanwhile.
  typedef enum logic [2:0] {StIdle, StKey, StKeyWait, StErase, StEraseWait, StCmd, StPush} state_e;

  state_e             state_q;
  logic [255:0]       key_q;       // byte 0 = [255:248], as all vectors here
  logic [95:0]        iv_q;
  logic [127:0]       in_q, expected_q, tag_q;
  logic [2:0]         slot_q;
  logic               decrypt_q, running_q, all_in_q, finished_q, match_q;
  logic [4:0]         push_bytes_q;
  logic               push_aad_q, push_last_q;
  logic               open_q;      // a verified plaintext may be read
  logic [2:0]         blocks_q;    // blocks pushed and not yet read
  logic [NumKeys-1:0] key_held_q;

  logic [5:0]  addr;
  logic        in_range, wr, is_key, is_iv, is_in, is_out, is_tag, is_finish;
  logic        key_ready, key_done, erase_ready, erase_done, cmd_ready, in_ready;
  logic        out_valid, out_take, tag_valid, tag_take, abort, core_busy, idle;
  logic [127:0] out_data, tag;

  assign in_range  = reg_req_i.addr[15:8] == '0;
  assign addr      = reg_req_i.addr[7:2];
  assign is_key    = in_range && addr[5:3] == 3'b001;
  assign is_iv     = in_range && addr[5:2] == 4'b0100 && addr[1:0] != 2'd3;
  assign is_in     = in_range && addr[5:2] == 4'b0101;
  assign is_out    = in_range && addr[5:2] == 4'b0110;
  assign is_tag    = in_range && addr[5:2] == 4'b0111;
  assign is_finish = in_range && addr == REG_FINISH;

  // What a read has to wait for, if it can come at all.
  logic         out_waits, finish_waits, put, take_open, refuse;
  logic         open_ready, open_left, open_overflow, open_busy;
  logic [127:0] open_data;
  assign idle         = state_q == StIdle && !open_busy;
  assign out_waits    = is_out && ((running_q && !decrypt_q && blocks_q != '0 && !out_valid) ||
                                   (open_q && open_left && !open_ready));
  assign finish_waits = is_finish && running_q && all_in_q && !finished_q;
  assign reg_ready_o  = idle && (reg_req_i.we || !(out_waits || finish_waits));
  assign wr           = reg_valid_i && reg_req_i.we && idle;

  logic take;
  assign take      = reg_valid_i && !reg_req_i.we && idle && is_out && addr[1:0] == 2'd3;
  assign out_take  = take && running_q && !decrypt_q && blocks_q != '0;
  assign take_open = take && open_q && open_ready;
  assign put       = running_q && decrypt_q && out_valid;
  assign tag_take  = running_q && all_in_q && !finished_q && (!decrypt_q || blocks_q == '0);
  assign refuse    = tag_take && tag_valid && decrypt_q && (tag != expected_q || open_overflow);
  // Whatever begins something new ends what was not finished.
  assign abort    = wr && in_range && (addr == REG_ABORT || addr == REG_START ||
                                       addr == REG_KEY_LOAD || addr == REG_KEY_ERASE);

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: begin
        if (wr && in_range) begin
          unique case (addr)
            REG_KEY_LOAD: begin
              state_q   <= StKey;
              running_q <= 1'b0;
              slot_q    <= reg_req_i.wdata[2:0];
              key_held_q[reg_req_i.wdata[2:0]] <= 1'b0;
            end
            REG_KEY_ERASE: begin
              state_q   <= StErase;
              running_q <= 1'b0;
              slot_q    <= reg_req_i.wdata[2:0];
              key_held_q[reg_req_i.wdata[2:0]] <= 1'b0;
            end
            // A slot without a key starts nothing.
            REG_START: begin
              if (key_held_q[reg_req_i.wdata[2:0]]) state_q <= StCmd;
              running_q  <= 1'b0;
              slot_q     <= reg_req_i.wdata[2:0];
              decrypt_q  <= reg_req_i.wdata[8];
              all_in_q   <= 1'b0;
              finished_q <= 1'b0;
              match_q    <= 1'b0;
              blocks_q   <= '0;
            end
            REG_PUSH: begin
              if (running_q && !all_in_q) begin
                state_q      <= StPush;
                push_bytes_q <= reg_req_i.wdata[4:0];
                push_aad_q   <= reg_req_i.wdata[8];
                push_last_q  <= reg_req_i.wdata[9];
              end
            end
            REG_ABORT: running_q <= 1'b0;
            default: ;
          endcase
        end
      end
      StKey: begin
        if (key_ready) state_q <= StKeyWait;
      end
      StKeyWait: begin
        if (key_done) begin
          state_q <= StIdle;
          key_held_q[slot_q] <= 1'b1;
        end
      end
      StErase:     if (erase_ready) state_q <= StEraseWait;
      StEraseWait: if (erase_done) state_q <= StIdle;
      StCmd: begin
        if (cmd_ready) begin
          state_q   <= StIdle;
          running_q <= 1'b1;
        end
      end
      StPush: begin
        if (in_ready) begin
          state_q <= StIdle;
          if (push_last_q) all_in_q <= 1'b1;
        end
      end
      default: state_q <= StIdle;
    endcase

    if (running_q && !abort) begin
      blocks_q <= blocks_q + 3'(state_q == StPush && in_ready && !push_aad_q)
                  - 3'((out_take || put) && out_valid);
    end
    if (tag_take && tag_valid) begin
      finished_q <= 1'b1;
      match_q    <= !decrypt_q || (tag == expected_q && !open_overflow);
    end
    // FINISH is the end of a message.
    if (reg_valid_i && !reg_req_i.we && reg_ready_o && is_finish) begin
      running_q <= 1'b0;
      open_q    <= running_q && finished_q && match_q && decrypt_q;
    end
    if (abort) open_q <= 1'b0;

    if (rst_i || zeroize_i) begin
      state_q    <= StIdle;
      open_q     <= 1'b0;
      running_q  <= 1'b0;
      all_in_q   <= 1'b0;
      finished_q <= 1'b0;
      match_q    <= 1'b0;
      blocks_q   <= '0;
      key_held_q <= '0;
    end
  end

  // The wide registers: a write enable a word, and one signal that clears each.
  logic forget, message_begins;
  assign forget         = wr && in_range && (addr == REG_ABORT || addr == REG_KEY_ERASE);
  assign message_begins = wr && in_range && addr == REG_START;

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 8; i++) begin
      if (wr && is_key && addr[2:0] == 3'(i)) key_q[32*(7-i) +: 32] <= bswap(reg_req_i.wdata);
    end
    for (int unsigned i = 0; i < 3; i++) begin
      if (wr && is_iv && addr[1:0] == 2'(i)) iv_q[32*(2-i) +: 32] <= bswap(reg_req_i.wdata);
    end
    for (int unsigned i = 0; i < 4; i++) begin
      if (wr && is_in && addr[1:0] == 2'(i))  in_q[32*(3-i) +: 32] <= bswap(reg_req_i.wdata);
      if (wr && is_tag && addr[1:0] == 2'(i)) expected_q[32*(3-i) +: 32] <= bswap(reg_req_i.wdata);
    end
    if (tag_take && tag_valid) tag_q <= tag;

    if (rst_i || zeroize_i || (state_q == StKey && key_ready))               key_q      <= '0;
    if (rst_i || zeroize_i || forget || (state_q == StCmd && cmd_ready) ||
        (message_begins && !key_held_q[reg_req_i.wdata[2:0]]))               iv_q       <= '0;
    if (rst_i || zeroize_i || forget || (state_q == StPush && in_ready))     in_q       <= '0;
    if (rst_i || zeroize_i || forget || (tag_take && tag_valid))             expected_q <= '0;
    if (rst_i || zeroize_i || forget || message_begins ||
        (tag_take && tag_valid && decrypt_q))                                tag_q      <= '0;
  end

  /* verilator lint_off PINCONNECTEMPTY */
  gcm_core #(.NumKeys(NumKeys), .SboxImpl(SboxImpl)) u_core (
    .clk_i,
    .rst_i,
    .zeroize_i,
    .abort_i       (abort),
    .key_valid_i   (state_q == StKey),
    .key_ready_o   (key_ready),
    .key_idx_i     (slot_q),
    .key_i         (key_q),
    .key_done_o    (key_done),
    .erase_valid_i (state_q == StErase),
    .erase_ready_o (erase_ready),
    .erase_idx_i   (slot_q),
    .erase_done_o  (erase_done),
    .cmd_valid_i   (state_q == StCmd),
    .cmd_ready_o   (cmd_ready),
    .cmd_key_i     (slot_q),
    .cmd_decrypt_i (decrypt_q),
    .cmd_iv_i      (iv_q),
    .in_valid_i    (state_q == StPush),
    .in_ready_o    (in_ready),
    .in_data_i     (in_q),
    .in_bytes_i    (push_bytes_q),
    .in_aad_i      (push_aad_q),
    .in_last_i     (push_last_q),
    .out_valid_o   (out_valid),
    .out_ready_i   (out_take || put),
    .out_data_o    (out_data),
    .out_bytes_o   (),  // the firmware knows how many it pushed
    .tag_valid_o   (tag_valid),
    .tag_ready_i   (tag_take),
    .tag_o         (tag),
    .busy_o        (core_busy),
    .idle_o        ()   // commands are held until they are taken
  );
  /* verilator lint_on PINCONNECTEMPTY */

  dsm_open_buffer #(.Rows(OpenBlocks)) u_open (
    .clk_i,
    .rst_i,
    .zeroize_i,
    .clear_i     (abort || refuse),
    .put_valid_i (put),
    .put_data_i  (out_data),
    .overflow_o  (open_overflow),
    .ready_o     (open_ready),
    .data_o      (open_data),
    .left_o      (open_left),
    .take_i      (take_open),
    .busy_o      (open_busy)
  );

  always_comb begin
    reg_rdata_o = '0;
    if (in_range && addr == REG_STATUS) reg_rdata_o = {16'd0, key_held_q, 7'd0, running_q};
    if (is_finish) reg_rdata_o = {31'd0, running_q && finished_q && match_q};
    // SEC: RECORD.VERIFY_FIRST
    if (is_out && running_q && !decrypt_q && out_valid) begin
      reg_rdata_o = bswap(out_data[32 * (3 - 32'(addr[1:0])) +: 32]);
    end else if (is_out && open_q && open_ready) begin
      reg_rdata_o = bswap(open_data[32 * (3 - 32'(addr[1:0])) +: 32]);
    end
    if (is_tag) reg_rdata_o = bswap(tag_q[32 * (3 - 32'(addr[1:0])) +: 32]);
  end

  assign busy_o = core_busy || open_busy || state_q != StIdle;

endmodule
