// SPDX-License-Identifier: Apache-2.0
// Works off the list of key slots that must be overwritten in the engine of one direction.
//
// Contract: a bit of mark_i adds that slot to the list (pending_o shows the list from the next
// cycle on); slots are erased lowest first, one at a time; a bit leaves the list when the engine
// says that the slot has been overwritten. Reset empties the list, because the engine overwrites
// all of its slots at reset by itself. Nobody may load a slot that is on the list.
// SEC: KEY.ERASE
module ide_key_eraser
  import ide_pkg::NUM_KEY_SLOTS;
(
  input  logic                     clk_i,
  input  logic                     rst_i,

  input  logic [NUM_KEY_SLOTS-1:0] mark_i,
  output logic [NUM_KEY_SLOTS-1:0] pending_o,

  // -> engine
  output logic                     erase_valid_o,
  input  logic                     erase_ready_i,
  output logic [4:0]               erase_idx_o,
  input  logic                     erase_done_i
);

  typedef enum logic [1:0] {
    StIdle,
    StRequest,
    StWait
  } state_e;

  state_e                   state_d, state_q;
  logic [NUM_KEY_SLOTS-1:0] pending_d, pending_q;
  logic [4:0]               idx_d, idx_q, lowest;

  assign pending_o     = pending_q;
  assign erase_valid_o = state_q == StRequest;
  assign erase_idx_o   = idx_q;

  always_comb begin
    lowest = '0;
    for (int unsigned i = NUM_KEY_SLOTS; i > 0; i--) begin
      if (pending_q[i-1]) lowest = 5'(i - 1);
    end
  end

  always_comb begin
    state_d   = state_q;
    idx_d     = idx_q;
    pending_d = pending_q;
    unique case (state_q)
      StIdle: begin
        idx_d = lowest;
        if (pending_q != '0) state_d = StRequest;
      end
      StRequest: if (erase_ready_i) state_d = StWait;
      StWait: begin
        if (erase_done_i) begin
          pending_d[idx_q] = 1'b0;
          state_d          = StIdle;
        end
      end
      default: begin
        pending_d = '1;
        state_d   = StIdle;
      end
    endcase
    // A new mark is never lost, not even in the cycle in which the slot leaves the list.
    pending_d = pending_d | mark_i;
  end

  always_ff @(posedge clk_i) begin
    state_q   <= state_d;
    idx_q     <= idx_d;
    pending_q <= pending_d;
    if (rst_i) begin
      state_q   <= StIdle;
      pending_q <= '0;
    end
  end

endmodule
