// SPDX-License-Identifier: Apache-2.0
// Properties of tdi_control, for any behaviour of firmware on the command bus and any events: the
// only ways into LOCKED and RUN, the life of the nonce, and that the view closes in the cycle of an
// event. SEC: TDI.NONCE, TDI.SAME_CYCLE
module tdi_control_props
  import ide_pkg::*;
  import tdisp_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input logic                           clk_i,
  input logic                           rst_i,
  input logic [NumTdi-1:0]              violation_i,
  input logic [NUM_BLOCKS-1:0]          stream_secure_i,
  input logic [NUM_BLOCKS-1:0][15:0]    stream_tag_i,
  input logic                           kill_tag_valid_i,
  input logic [15:0]                    kill_tag_i,
  input logic [NumTdi-1:0]              erased_i,
  input logic [NumTdi-1:0]              drained_i,
  input logic [NumTdi-1:0]              erase_o,
  input logic [NumTdi-1:0]              quiesce_o,
  input logic                           res_valid_o,
  input tdi_res_t                       res_o,
  input tdi_view_t [NumTdi-1:0]         view_o,
  // inside
  input tdi_state_e [NumTdi-1:0]        state_q,
  input logic [NumTdi-1:0][1:0]         block_q,
  input logic [NumTdi-1:0][15:0]        tag_q,
  input logic [NumTdi-1:0][255:0]       nonce_q,
  input tdi_cmd_t                       cmd_q,
  input logic [7:0][31:0]               draw_q,
  input logic [2:0]                     step_q,     // StIdle 0, StCheck 1, ... StAnswer 6
  input tdi_state_e                     cmd_state,
  input logic                           cmd_ready_o
);

  // The cycle before.
  logic                           past_ok_q, past_busy_q;
  tdi_state_e [NumTdi-1:0]        past_state_q;
  logic [NumTdi-1:0][255:0]       past_nonce_q;
  /* verilator lint_off UNUSEDSIGNAL */  // Stream ID and flags appear in no property
  tdi_cmd_t                       past_cmd_q;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [NumTdi-1:0]              past_violation_q, past_erased_q, past_held_q, past_erase_q;
  logic [NUM_BLOCKS-1:0]          past_secure_q;
  logic [NUM_BLOCKS-1:0][15:0]    past_tag_q;
  logic                           past_kill_q;
  logic [NumTdi-1:0]              past_closed_q;

  // The stream of TDI i is Secure under the session that locked it, now.
  logic [NumTdi-1:0] held;
  always_comb begin
    for (int unsigned i = 0; i < NumTdi; i++) begin
      held[i] = 1'b0;
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (block_q[i] == 2'(b)) begin
          held[i] = stream_secure_i[b] && stream_tag_i[b] == tag_q[i] && tag_q[i] != '0;
        end
      end
    end
  end

  logic [NumTdi-1:0] closed;
  always_comb begin
    for (int unsigned i = 0; i < NumTdi; i++) closed[i] = view_o[i].state == StError;
  end

  always_ff @(posedge clk_i) begin
    past_ok_q        <= !rst_i;
    past_busy_q      <= !cmd_ready_o;
    past_state_q     <= state_q;
    past_nonce_q     <= nonce_q;
    past_cmd_q       <= cmd_q;
    past_violation_q <= violation_i;
    past_erased_q    <= erased_i;
    past_erase_q     <= erase_o;
    past_held_q      <= held;
    past_secure_q    <= stream_secure_i;
    past_tag_q       <= stream_tag_i;
    past_kill_q      <= kill_tag_valid_i && kill_tag_i == cmd_q.session_tag;
    past_closed_q    <= closed;
    if (rst_i) past_ok_q <= 1'b0;
  end

  logic unused;
  assign unused = ^{drained_i, res_o.code};

  for (genvar i = 0; i < int'(NumTdi); i++) begin : gen_tdi
    logic key_was_there, in_time;
    always_comb begin
      key_was_there = 1'b0;
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (block_q[i] == 2'(b)) begin
          key_was_there = past_secure_q[b] && past_tag_q[b] == past_cmd_q.session_tag &&
                          past_cmd_q.session_tag != '0;
        end
      end
    end
    assign in_time = past_ok_q && !rst_i;

    always_ff @(posedge clk_i) begin
      if (in_time) begin
        // LOCKED only from UNLOCKED, by a LOCK of this TDI, erased and behind a closed view, the
        // stream Secure with keys of the session that asked, nothing in the way.
        if (state_q[i] == StLocked && past_state_q[i] != StLocked) begin
          Assert_lock_from_unlocked: assert (past_state_q[i] == StUnlocked);
          Assert_lock_was_asked:     assert (past_busy_q && past_cmd_q.op == CmdLock &&
                                             past_cmd_q.tdi_idx == 8'(i));
          Assert_lock_is_keyed:      assert (key_was_there && tag_q[i] == past_cmd_q.session_tag);
          Assert_lock_was_closed:    assert (past_closed_q[i]);
          Assert_lock_undisturbed:   assert (!past_violation_q[i] && !past_kill_q);
        end
        // RUN only from LOCKED, by a START of the locking session with the whole nonce.
        if (state_q[i] == StRun && past_state_q[i] != StRun) begin
          Assert_start_from_locked:  assert (past_state_q[i] == StLocked);
          Assert_start_was_asked:    assert (past_busy_q && past_cmd_q.op == CmdStart &&
                                             past_cmd_q.tdi_idx == 8'(i));
          Assert_start_nonce:        assert (past_cmd_q.nonce == past_nonce_q[i]);
          Assert_start_session:      assert (past_cmd_q.session_tag == tag_q[i]);
          Assert_start_stream:       assert (past_held_q[i] && !past_violation_q[i]);
        end
        // Out of LOCKED and RUN into ERROR only, and ERROR ends with STOP after erasure.
        if (past_state_q[i] inside {StLocked, StRun} && state_q[i] == StUnlocked) begin
          Assert_no_short_cut: assert (1'b0);
        end
        if (past_state_q[i] == StError && state_q[i] != StError) begin
          Assert_error_ends_in_stop: assert (state_q[i] == StUnlocked && past_busy_q &&
                                             past_cmd_q.op == CmdStop &&
                                             past_cmd_q.tdi_idx == 8'(i) && past_erased_q[i] &&
                                             !past_erase_q[i]);
        end
        if (past_state_q[i] inside {StLocked, StRun} && state_q[i] == StError) begin
          Assert_erasure_at_once: assert (erase_o[i]);
        end
      end
      if (!rst_i) begin
        Assert_nonce_in_locked_only: assert (state_q[i] == StLocked || nonce_q[i] == '0);
      end
      // The view opens for TEE traffic in RUN only, and closes in the cycle of the event.
      if (!rst_i && (view_o[i].state == StRun || view_o[i].state == StLocked)) begin
        Assert_view_is_state: assert (view_o[i].state == state_q[i]);
        Assert_view_closes:   assert (held[i] && !violation_i[i] &&
                                      !(kill_tag_valid_i && kill_tag_i == tag_q[i]));
      end
      Assert_view_of_error: assert (rst_i || state_q[i] != StError || view_o[i].state == StError);
      Assert_quiesce: assert (rst_i || quiesce_o[i] ==
                              (view_o[i].state != StRun && view_o[i].state != StUnlocked));
    end
  end

  // What holds inside, so that the induction closes.
  logic in_work;   // StNonce to StFinish
  assign in_work = step_q inside {3'd2, 3'd3, 3'd4, 3'd5};
  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_step: assert (step_q != 3'd7);
      Assert_draw: assert (in_work || draw_q == '0);
      if (in_work) begin
        Assert_index:   assert (cmd_q.tdi_idx < 8'(NumTdi));
        Assert_op:      assert (cmd_q.op == CmdLock ||
                                (cmd_q.op == CmdStop && (step_q == 3'd3 || step_q == 3'd4)));
        Assert_at_rest: assert (cmd_state == StUnlocked ||
                                (cmd_q.op == CmdStop && cmd_state == StError));
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i && cmd_ready_o) begin
      Assert_no_nonce_left: assert (res_o.nonce == '0 && cmd_q == '0);
    end
    if (!rst_i && !res_valid_o) begin
      Assert_nonce_leaves_with_lock: assert (res_o.nonce == '0);
    end
  end

endmodule

bind tdi_control tdi_control_props #(.NumTdi(NumTdi)) u_props (.step_q(3'(step_q)), .*);
