// SPDX-License-Identifier: Apache-2.0
// Cached AES-256 key schedules and GHASH keys of gcm_core: one RAM, sixteen rows a slot.
//
//   rows 16k .. 16k+14   round keys 0..14 of slot k
//   row  16k+15          H = AES(K, 0) of slot k
//
// Contract: a key is taken only when can_load_i says that no message is running; the fifteen round
// keys are written, then hash_req_o asks the core to encrypt the zero block under hash_slot_o and
// hash_valid_i brings H back, which ends the job with key_done_o. erase overwrites the sixteen rows
// of one slot with zero, 17 cycles from acceptance to erase_done_o; it may run beside a message of
// another slot. Erasure has priority over a new key. zeroize_i, and reset, abandon any job and
// overwrite all rows, NumKeys * 16 cycles; nothing is accepted meanwhile. A slot index must be
// below NumKeys.
// Read port: rd_en_i and address in one cycle, rd_data_o in the next; without rd_en_i rd_data_o
// becomes zero, so that no key lingers in the output register.
module gcm_key_store #(
  parameter int unsigned NumKeys  = 2,
  parameter int unsigned SboxImpl = 0,
  parameter int unsigned KeyW     = (NumKeys > 1) ? $clog2(NumKeys) : 1
) (
  input  logic            clk_i,
  input  logic            rst_i,
  input  logic            zeroize_i,

  input  logic            can_load_i,
  input  logic            key_valid_i,
  output logic            key_ready_o,
  input  logic [KeyW-1:0] key_idx_i,
  input  logic [255:0]    key_i,
  output logic            key_done_o,

  output logic            hash_req_o,     // level: encrypt zero under hash_slot_o
  output logic [KeyW-1:0] hash_slot_o,
  input  logic            hash_valid_i,   // one cycle
  input  logic [127:0]    hash_i,

  input  logic            erase_valid_i,
  output logic            erase_ready_o,
  input  logic [KeyW-1:0] erase_idx_i,
  output logic            erase_done_o,
  output logic            erasing_o,      // level: rows of erase_slot_o are being overwritten
  output logic [KeyW-1:0] erase_slot_o,

  input  logic            rd_en_i,
  input  logic [KeyW-1:0] rd_slot_i,
  input  logic [3:0]      rd_row_i,
  output logic [127:0]    rd_data_o,

  output logic            idle_o
);

  localparam int unsigned     Rows      = NumKeys * 16;
  localparam logic [3:0]      LAST_KEY  = 4'd14;
  localparam logic [3:0]      ROW_H     = 4'd15;
  localparam int unsigned     LastIdx   = NumKeys - 1;
  localparam logic [KeyW-1:0] LAST_SLOT = LastIdx[KeyW-1:0];

  typedef enum logic [2:0] {
    StIdle    = 3'd0,
    StExpand  = 3'd1,
    StHash    = 3'd2,
    StErase   = 3'd3,
    StZeroize = 3'd4
  } state_e;

  logic [127:0]      mem_q [Rows];
  state_e            state_q, state_d;
  logic [KeyW-1:0]   slot_q, slot_d;
  logic [3:0]        row_q, row_d;
  logic              key_done_q, key_done_d, erase_done_q, erase_done_d;
  logic              write;
  logic [127:0]      write_data, round_key;
  logic              key_take, erase_take;

  assign erase_ready_o = state_q == StIdle && !zeroize_i;
  assign key_ready_o   = state_q == StIdle && !zeroize_i && can_load_i && !erase_valid_i;
  assign erase_take    = erase_valid_i && erase_ready_o;
  assign key_take      = key_valid_i && key_ready_o;

  assign key_done_o    = key_done_q;
  assign erase_done_o  = erase_done_q;
  assign hash_req_o    = state_q == StHash;
  assign hash_slot_o   = slot_q;
  assign erasing_o     = state_q == StErase;
  assign erase_slot_o  = slot_q;
  assign idle_o        = state_q == StIdle;

  aes_key_expand #(.SboxImpl(SboxImpl)) u_expand (
    .clk_i,
    .rst_i,
    .clear_i    (zeroize_i || state_q == StHash),
    .load_i     (key_take),
    .key_i,
    .step_i     (state_q == StExpand),
    .round_key_o(round_key)
  );

  always_comb begin
    state_d      = state_q;
    slot_d       = slot_q;
    row_d        = row_q;
    key_done_d   = 1'b0;
    erase_done_d = 1'b0;
    write        = 1'b0;
    write_data   = '0;
    unique case (state_q)
      StIdle: begin
        row_d = '0;
        if (erase_take) begin
          slot_d  = erase_idx_i;
          state_d = StErase;
        end else if (key_take) begin
          slot_d  = key_idx_i;
          state_d = StExpand;
        end
      end
      StExpand: begin
        write      = 1'b1;
        write_data = round_key;
        row_d      = row_q + 4'd1;
        if (row_q == LAST_KEY) state_d = StHash;
      end
      StHash: begin
        // row_q stands at ROW_H.
        write      = hash_valid_i;
        write_data = hash_i;
        if (hash_valid_i) begin
          key_done_d = 1'b1;
          state_d    = StIdle;
        end
      end
      StErase: begin
        // SEC: KEY.ERASE
        write = 1'b1;
        row_d = row_q + 4'd1;
        if (row_q == ROW_H) begin
          erase_done_d = 1'b1;
          state_d      = StIdle;
        end
      end
      default: begin
        // StZeroize, and every code that is none of the above. SEC: KEY.ZEROIZE
        write = 1'b1;
        row_d = row_q + 4'd1;
        if (row_q == ROW_H) begin
          if (slot_q != LAST_SLOT) slot_d = slot_q + 1'b1;
          else if (zeroize_i) row_d = ROW_H;  // held: stay closed
          else state_d = StIdle;
        end
      end
    endcase
    if (zeroize_i && state_q != StZeroize) begin
      state_d      = StZeroize;
      slot_d       = '0;
      row_d        = '0;
      key_done_d   = 1'b0;
      erase_done_d = 1'b0;
      write        = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    state_q      <= state_d;
    slot_q       <= slot_d;
    row_q        <= row_d;
    key_done_q   <= key_done_d;
    erase_done_q <= erase_done_d;
    if (rst_i) begin
      state_q      <= StZeroize;
      slot_q       <= '0;
      row_q        <= '0;
      key_done_q   <= 1'b0;
      erase_done_q <= 1'b0;
    end
  end

  if (NumKeys > 1) begin : gen_ram_slots
    always_ff @(posedge clk_i) begin
      if (write) mem_q[{slot_q, row_q}] <= write_data;
    end
    always_ff @(posedge clk_i) begin
      if (!rd_en_i) rd_data_o <= '0;
      else rd_data_o <= mem_q[{rd_slot_i, rd_row_i}];
    end
  end else begin : gen_ram_one_slot
    logic unused_slot;
    assign unused_slot = ^rd_slot_i;
    always_ff @(posedge clk_i) begin
      if (write) mem_q[row_q] <= write_data;
    end
    always_ff @(posedge clk_i) begin
      if (!rd_en_i) rd_data_o <= '0;
      else rd_data_o <= mem_q[rd_row_i];
    end
  end

endmodule
