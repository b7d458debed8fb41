// SPDX-License-Identifier: Apache-2.0
// Properties of ide_streams, for any commands and events: what Secure promises, that every event
// takes all keys of its block in the same cycle, that no key that was lost escapes the erase list,
// and that a key on its way never outlives its stream. SEC: KEY.VALID, KEY.ERASE
module ide_streams_props
  import ide_pkg::*;
(
  input logic                              clk_i,
  input logic                              rst_i,
  input block_cfg_t [NUM_BLOCKS-1:0]       block_cfg_i,
  input logic [NUM_BLOCKS-1:0]             icf_i,
  input logic [NUM_BLOCKS-1:0]             reconfig_i,
  input logic                              flr0_i,
  input logic [NUM_BLOCKS-1:0]             rx_overflow_i,
  input logic [NUM_BLOCKS-1:0]             tx_overflow_i,
  input logic [NUM_BLOCKS-1:0]             secure_o,
  input logic [NUM_BLOCKS-1:0][15:0]       stream_tag_o,
  input logic [NUM_KEY_SLOTS-1:0]          rx_key_ok_o,
  input logic [NUM_KEY_SLOTS-1:0]          tx_key_ok_o,
  input logic                              key_ready_o,
  input logic                              key_status_valid_o,
  input logic                              rx_load_valid_o,
  input logic                              tx_load_valid_o,
  input logic                              rx_load_done_i,
  input logic                              tx_load_done_i,
  // inside
  input logic [2:0]                        state_q,   // StIdle 0, StErase, StLoad, StExpand, StAnswer
  input logic [1:0][NUM_KEY_SLOTS-1:0]     prog_q,
  input logic [1:0][NUM_KEY_SLOTS-1:0]     go_q,
  input logic [1:0][NUM_KEY_SLOTS-1:0]     pending,
  input logic [NUM_BLOCKS-1:0][15:0]       tag_q,
  input logic [NUM_BLOCKS-1:0]             ready_q,
  input logic [7:0][31:0]                  stage_q,
  input logic [7:0]                        stage_loaded_q,
  input logic [1:0]                        stage_block_q,
  input logic                              stage_is_tx_q,
  input logic [4:0]                        stage_slot_q,
  input logic [15:0]                       stage_tag_q,
  input logic                              cancel_q
);

  logic                                past_ok_q;
  logic [1:0][NUM_KEY_SLOTS-1:0]       past_prog_q;
  logic [NUM_BLOCKS-1:0]               event_now, past_event_q;
  logic                                past_flr_q, past_expand_q, past_cancel_q, past_done_q;
  logic                                past_is_tx_q;
  logic [4:0]                          past_slot_q;
  logic                                loading;

  assign event_now = icf_i | reconfig_i | rx_overflow_i | tx_overflow_i | {NUM_BLOCKS{flr0_i}};
  assign loading   = state_q inside {3'd1, 3'd2, 3'd3};

  always_ff @(posedge clk_i) begin
    past_ok_q     <= !rst_i;
    past_prog_q   <= prog_q;
    past_event_q  <= event_now;
    past_flr_q    <= flr0_i;
    past_expand_q <= state_q == 3'd3;
    past_done_q   <= stage_is_tx_q ? tx_load_done_i : rx_load_done_i;
    past_cancel_q <= cancel_q;
    past_is_tx_q  <= stage_is_tx_q;
    past_slot_q   <= stage_slot_q;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_go_is_there:    assert ((go_q & ~prog_q) == '0);
      Assert_erased_is_gone: assert ((prog_q & pending) == '0);
      Assert_state:          assert (state_q <= 3'd4);
      Assert_one_engine:     assert (!(rx_load_valid_o && tx_load_valid_o));
      Assert_one_answer:     assert (!(key_ready_o && key_status_valid_o));
      Assert_stage_answered: assert (state_q != 3'd4 || !past_expand_q || stage_q == '0 ||
                                     !past_ok_q);
      Assert_stage_slot: assert (stage_block_q < 2'(NUM_BLOCKS) &&
                                 stage_slot_q >= 5'd6 * 5'(stage_block_q) &&
                                 stage_slot_q < 5'd6 * 5'(stage_block_q) + 5'd6);
      Assert_stage_named: assert (stage_loaded_q == '0 || stage_tag_q != '0);
      if (loading) begin
        Assert_load_is_named: assert (stage_tag_q != '0);
        Assert_slot_is_free:    assert (!prog_q[stage_is_tx_q][stage_slot_q]);
      end
      if (state_q inside {3'd2, 3'd3}) begin
        Assert_erased_before_load: assert (!pending[stage_is_tx_q][stage_slot_q]);
      end
      if (past_ok_q && past_flr_q) begin
        Assert_flr_takes_all: assert (prog_q == '0 && stage_q == '0 && tag_q == '0);
      end
      // A key whose stream fell while the engine expanded it is on the erase list.
      if (past_ok_q && past_expand_q && past_done_q && past_cancel_q) begin
        Assert_cancelled_is_erased: assert (pending[past_is_tx_q][past_slot_q]);
      end
    end
  end

  for (genvar b = 0; b < int'(NUM_BLOCKS); b++) begin : gen_block
    logic keyed, each_channel;
    assign keyed = prog_q[0][6*b +: 6] != '0 || prog_q[1][6*b +: 6] != '0;
    always_comb begin
      each_channel = 1'b1;
      for (int unsigned d = 0; d < 2; d++) begin
        for (int unsigned c = 0; c < NUM_SUB_STREAMS; c++) begin
          if (go_q[d][6*b + 2*c +: 2] == '0) each_channel = 1'b0;
        end
      end
    end

    always_ff @(posedge clk_i) begin
      if (!rst_i) begin
        Assert_key_has_session: assert (!keyed || tag_q[b] != '0);
        Assert_one_session:     assert (!(loading && stage_block_q == 2'(b) && !cancel_q) || !keyed ||
                                        tag_q[b] == stage_tag_q);
        Assert_ready_is_keyed:  assert (!ready_q[b] || each_channel);
        if (secure_o[b]) begin
          Assert_secure: assert (block_cfg_i[b].enable && each_channel && !event_now[b] &&
                                 stream_tag_o[b] == tag_q[b] && tag_q[b] != '0);
        end else begin
          Assert_no_key_without_secure: assert (rx_key_ok_o[6*b +: 6] == '0 &&
                                                tx_key_ok_o[6*b +: 6] == '0);
        end
        if (event_now[b]) begin
          Assert_event_in_this_cycle: assert (!secure_o[b] && stream_tag_o[b] == '0);
        end
        if (past_ok_q && past_event_q[b]) begin
          Assert_event_takes_keys: assert (!keyed && !ready_q[b]);
          Assert_event_takes_stage: assert (stage_block_q != 2'(b) || stage_q == '0);
        end
      end
    end
  end

  for (genvar d = 0; d < 2; d++) begin : gen_direction
    for (genvar s = 0; s < int'(NUM_KEY_SLOTS); s++) begin : gen_slot
      always_ff @(posedge clk_i) begin
        if (!rst_i && past_ok_q && past_prog_q[d][s] && !prog_q[d][s]) begin
          Assert_lost_is_erased: assert (pending[d][s]);
        end
      end
    end
  end

endmodule

bind ide_streams ide_streams_props u_props (.state_q(3'(state_q)), .*);
