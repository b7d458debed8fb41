// SPDX-License-Identifier: Apache-2.0
// Keys and state of every IDE stream block: the key bus of the DSM ends here (PCIe Base 6.x, 6.33).
//
// Contract
//   Key bus: one command per beat, write only; exactly one status pulse per command, and the next
//   command is taken only after it. KeyLoad fills one staging register; KeyCommit hands it to the
//   engine and is answered when the engine has expanded it. Staging is overwritten when the
//   command is answered, on KeyAbandon, KeyKillTag, FLR of function 0, and whenever the stream
//   that it is meant for falls.
//   Refused (KeyRefused): Load/Commit of a GO'd set of a Secure stream; Commit of an incomplete
//   key; Go of a key that is not there or belongs to another session; Stop of another session's
//   key; session tag 0. KeyBadIndex: no such block, sub-stream or operation.
//   One session tag per block: a Commit under another tag first wipes the whole block.
//   Secure = Enable and six GO'd keys. A block becomes ready when all six keys of ONE key set are
//   GO'd; afterwards each channel (direction x sub-stream) must keep at least one GO'd key.
//   Every falling event (ICF, reconfiguration, FLR, Stop of a key in use, session end, Enable
//   falling, invocation overflow) masks secure_o and the key outputs in the same cycle, drops all
//   key bits of the block at the end of it, and puts the slots on the erase list of the engine.
//   Key refresh: rx accepts both GO'd sets until rx_use reports a verified TLP of the new one; tx
//   takes the new set for its next TLP. The old set is then retired (dropped and erased); so it is
//   when it is stopped or programmed anew while its successor is GO'd.
//   Slot and channel numbers: ide_pkg. Key data leaves on load_key_o only, to the engines.
//   load_valid may be withdrawn when the stream falls before the engine took the key.
module ide_streams
  import ide_pkg::*;
(
  input  logic                     clk_i,
  input  logic                     rst_i,

  // Key bus <- DSM
  input  logic                     key_valid_i,
  output logic                     key_ready_o,
  input  key_cmd_t                 key_i,
  output logic                     key_status_valid_o,
  output key_status_e              key_status_o,
  output logic                     kill_tag_valid_o,   // -> tdi_control: pulse, session ended
  output logic [15:0]              kill_tag_o,

  // Configuration and events
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]    icf_i,              // <- ide_rx, from a register
  input  logic [NUM_BLOCKS-1:0]    reconfig_i,         // <- config_watch
  input  logic                     flr0_i,
  input  logic [NUM_BLOCKS-1:0]    rx_overflow_i,      // invocation field used up
  input  logic [NUM_BLOCKS-1:0]    tx_overflow_i,

  // State
  output logic [NUM_BLOCKS-1:0]    secure_o,
  output logic [NUM_BLOCKS-1:0]    insecure_event_o,   // pulse: Secure -> not Secure
  output logic [NUM_BLOCKS-1:0][15:0] stream_tag_o,    // 0 = not six keys of one session

  // -> ide_rx, ide_tx: which keys may be used now
  output logic [NUM_KEY_SLOTS-1:0] rx_key_ok_o,
  output logic [NUM_CHANNELS-1:0]  rx_live_o,          // key set of the last verified TLP
  output logic [NUM_CHANNELS-1:0]  rx_used_o,          // that set has been used: IV continues
  output logic [NUM_KEY_SLOTS-1:0] tx_key_ok_o,
  output logic [NUM_CHANNELS-1:0]  tx_live_o,
  output logic [NUM_CHANNELS-1:0]  tx_used_o,

  // <- ide_rx (a TLP was verified), ide_tx (a TLP takes this key): pulses
  input  logic                     rx_use_valid_i,
  input  logic [4:0]               rx_use_slot_i,
  input  logic                     tx_active_i,        // level: ide_tx works under some key
  input  logic                     tx_use_valid_i,
  input  logic [4:0]               tx_use_slot_i,

  // Key ports -> engine of each direction
  output logic                     rx_load_valid_o,
  input  logic                     rx_load_ready_i,
  input  logic                     rx_load_done_i,
  output logic                     tx_load_valid_o,
  input  logic                     tx_load_ready_i,
  input  logic                     tx_load_done_i,
  output logic [4:0]               load_idx_o,
  output logic [255:0]             load_key_o,         // key byte 0 = bits 255:248
  output logic                     rx_erase_valid_o,
  input  logic                     rx_erase_ready_i,
  output logic [4:0]               rx_erase_idx_o,
  input  logic                     rx_erase_done_i,
  output logic                     tx_erase_valid_o,
  input  logic                     tx_erase_ready_i,
  output logic [4:0]               tx_erase_idx_o,
  input  logic                     tx_erase_done_i
);

  // Index 0 = receive, 1 = transmit, as key_cmd_t.is_tx.
  typedef logic [1:0][NUM_KEY_SLOTS-1:0] slots_t;
  typedef logic [1:0][NUM_CHANNELS-1:0]  channels_t;

  typedef enum logic [2:0] {
    StIdle,     // take a command
    StErase,    // Commit: wait until the slot is off the erase list
    StLoad,     // hand the key to the engine
    StExpand,   // wait for the key schedule
    StAnswer    // one status pulse
  } state_e;

  state_e                       state_d, state_q;
  key_status_e                  status_d, status_q;
  slots_t                       prog_d, prog_q;        // key expanded in its slot
  slots_t                       go_d, go_q;            // K_SET_GO received
  channels_t                    live_d, live_q, used_d, used_q;
  logic [NUM_BLOCKS-1:0][15:0]  tag_d, tag_q;
  logic [NUM_BLOCKS-1:0]        ready_d, ready_q;
  logic [NUM_BLOCKS-1:0]        enable_q, secure_q;
  logic [NUM_BLOCKS-1:0]        collapse_d, collapse_q;  // ready fell although nothing killed it

  logic [7:0][31:0]             stage_d, stage_q;      // [7] = DW 0 of the key
  logic [7:0]                   stage_loaded_d, stage_loaded_q;
  logic [1:0]                   stage_block_d, stage_block_q;
  logic                         stage_is_tx_d, stage_is_tx_q;
  logic [4:0]                   stage_slot_d, stage_slot_q;
  logic [15:0]                  stage_tag_d, stage_tag_q;
  logic                         cancel_d, cancel_q;    // the key in the engine's hands must go

  slots_t                       mark, pending;
  slots_t                       lost;                  // key bits that dropped in this cycle
  logic [NUM_BLOCKS-1:0]        kill_event, kill_command, kill;
  logic                         take;
  logic [4:0]                   cmd_slot, cmd_other_slot;
  logic                         cmd_superseded;
  logic                         cmd_index_ok, cmd_block_keyed, cmd_tag_matches, cmd_set_in_use;
  logic                         cmd_matches_stage, load_ready, load_done, clear_stage, hand_over;
  logic                         stage_pending;
  slots_t                       use_slot;              // one-hot

  // ---- Commands ---------------------------------------------------------------------------------

  assign key_ready_o        = state_q == StIdle;
  assign take               = key_valid_i && key_ready_o;
  assign key_status_valid_o = state_q == StAnswer;
  assign key_status_o       = status_q;
  assign kill_tag_valid_o   = take && key_i.op == KeyKillTag;
  assign kill_tag_o         = key_i.session_tag;

  assign cmd_index_ok   = key_i.block < 2'(NUM_BLOCKS) && key_i.sub_stream < 2'(NUM_SUB_STREAMS);
  // Out-of-range commands look at slot 0 but never act on it.
  assign cmd_slot       = cmd_index_ok ? key_slot(key_i.block, key_i.sub_stream, key_i.key_set)
                                       : 5'd0;
  assign cmd_other_slot = cmd_slot ^ 5'd1;
  // The older of two GO'd sets: its successor is there, nobody needs it any longer.
  assign cmd_superseded = go_q[key_i.is_tx][cmd_other_slot] &&
                          live_q[key_i.is_tx][cmd_slot[4:1]] == cmd_slot[0];

  always_comb begin
    cmd_block_keyed = 1'b0;
    cmd_tag_matches = 1'b0;
    cmd_set_in_use  = 1'b0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (cmd_index_ok && key_i.block == 2'(b)) begin
        cmd_block_keyed = block_keyed(prog_q, b);
        cmd_tag_matches = key_i.session_tag == tag_q[b];
        cmd_set_in_use  = ready_q[b] && block_cfg_i[b].enable && go_q[key_i.is_tx][cmd_slot] &&
                          !cmd_superseded;
      end
    end
  end

  assign cmd_matches_stage = cmd_index_ok && stage_block_q == key_i.block &&
                             stage_is_tx_q == key_i.is_tx && stage_slot_q == cmd_slot &&
                             stage_tag_q == key_i.session_tag;

  function automatic logic block_keyed(input slots_t prog, input int unsigned b);
    return prog[0][6*b +: 6] != '0 || prog[1][6*b +: 6] != '0;
  endfunction

  // ---- Events -----------------------------------------------------------------------------------

  always_comb begin
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      kill_event[b] = icf_i[b] || reconfig_i[b] || flr0_i || rx_overflow_i[b] ||
                      tx_overflow_i[b] || collapse_q[b] ||
                      (enable_q[b] && !block_cfg_i[b].enable);
    end
  end

  // Commands that end a stream: session end, Stop of the only GO'd key of a channel in use, and a
  // key of another session (the stream of the old session is wiped before the key is accepted).
  always_comb begin
    kill_command = '0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (take && key_i.op == KeyKillTag && key_i.session_tag == tag_q[b]) kill_command[b] = 1'b1;
      if (take && cmd_index_ok && key_i.block == 2'(b)) begin
        if (key_i.op == KeyStop && cmd_tag_matches && ready_q[b] && block_cfg_i[b].enable &&
            go_q[key_i.is_tx][cmd_slot] && !go_q[key_i.is_tx][cmd_other_slot]) begin
          kill_command[b] = 1'b1;
        end
        if (key_i.op == KeyCommit && cmd_matches_stage && stage_loaded_q == '1 &&
            key_i.session_tag != '0 && cmd_block_keyed && !cmd_tag_matches) begin
          kill_command[b] = 1'b1;
        end
      end
    end
  end

  assign kill = kill_event | kill_command;

  // ---- Key bits ---------------------------------------------------------------------------------

  always_comb begin
    use_slot = '0;
    for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
      use_slot[0][s] = rx_use_valid_i && rx_use_slot_i == 5'(s);
      use_slot[1][s] = tx_use_valid_i && tx_use_slot_i == 5'(s);
    end
  end

  assign load_ready = stage_is_tx_q ? tx_load_ready_i : rx_load_ready_i;
  assign load_done  = stage_is_tx_q ? tx_load_done_i : rx_load_done_i;
  assign stage_pending = pending[stage_is_tx_q] != '0;

  always_comb begin
    state_d        = state_q;
    status_d       = status_q;
    prog_d         = prog_q;
    go_d           = go_q;
    live_d         = live_q;
    used_d         = used_q;
    tag_d          = tag_q;
    ready_d        = '0;
    collapse_d     = '0;
    stage_d        = stage_q;
    stage_loaded_d = stage_loaded_q;
    stage_block_d  = stage_block_q;
    stage_is_tx_d  = stage_is_tx_q;
    stage_slot_d   = stage_slot_q;
    stage_tag_d    = stage_tag_q;
    cancel_d       = cancel_q;
    clear_stage    = 1'b0;
    hand_over      = 1'b0;

    // A use of the new key set retires the old one.
    for (int unsigned d = 0; d < 2; d++) begin
      for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
        if (use_slot[d][s] && go_q[d][s]) begin
          live_d[d][s/2] = s[0];
          used_d[d][s/2] = 1'b1;
          if (go_q[d][s^1] && live_q[d][s/2] != s[0]) begin
            prog_d[d][s^1] = 1'b0;
            go_d[d][s^1]   = 1'b0;
          end
        end
      end
    end
    // A transmit channel goes over to its new set as soon as no TLP is under the old one.
    for (int unsigned c = 0; c < NUM_CHANNELS; c++) begin
      if (!tx_active_i && go_q[1][2*c] && go_q[1][2*c+1]) begin
        prog_d[1][2*c + 32'(live_q[1][c])] = 1'b0;
        go_d[1][2*c + 32'(live_q[1][c])]   = 1'b0;
        live_d[1][c] = ~live_q[1][c];
        used_d[1][c] = 1'b0;
      end
    end

    unique case (state_q)
      StIdle: if (take) begin
        state_d  = StAnswer;
        status_d = KeyRefused;
        unique case (key_i.op)
          KeyLoad: begin
            if (!cmd_index_ok) begin
              status_d = KeyBadIndex;
            end else if (key_i.session_tag != '0 && !(cmd_set_in_use && cmd_tag_matches)) begin
              status_d = KeyOk;
              // A DW for another key drops what was loaded before.
              if (!cmd_matches_stage) begin
                stage_d        = '0;
                stage_loaded_d = '0;
              end
              stage_d[~key_i.dw_idx]      = key_i.data;
              stage_loaded_d[key_i.dw_idx] = 1'b1;
              stage_block_d               = key_i.block;
              stage_is_tx_d               = key_i.is_tx;
              stage_slot_d                = cmd_slot;
              stage_tag_d                 = key_i.session_tag;
            end
          end
          KeyCommit: begin
            if (!cmd_index_ok) begin
              status_d    = KeyBadIndex;
              clear_stage = 1'b1;
            end else if (!cmd_matches_stage || stage_loaded_q != '1 || key_i.session_tag == '0 ||
                         (cmd_set_in_use && cmd_tag_matches)) begin
              clear_stage = 1'b1;
            end else begin
              state_d  = StErase;
              status_d = KeyOk;
              cancel_d = 1'b0;
              prog_d[key_i.is_tx][cmd_slot] = 1'b0;
              go_d[key_i.is_tx][cmd_slot]   = 1'b0;
              hand_over                     = cmd_superseded;
            end
          end
          KeyGo: begin
            if (!cmd_index_ok) begin
              status_d = KeyBadIndex;
            end else if (prog_d[key_i.is_tx][cmd_slot] && cmd_tag_matches) begin
              status_d = KeyOk;
              go_d[key_i.is_tx][cmd_slot] = 1'b1;
              // The first GO'd key of a channel is live and starts its invocation count.
              if (!go_q[key_i.is_tx][cmd_slot] && !go_q[key_i.is_tx][cmd_other_slot]) begin
                live_d[key_i.is_tx][cmd_slot[4:1]] = key_i.key_set;
                used_d[key_i.is_tx][cmd_slot[4:1]] = 1'b0;
              end
            end
          end
          KeyStop: begin
            if (!cmd_index_ok) begin
              status_d = KeyBadIndex;
            end else if (!prog_q[key_i.is_tx][cmd_slot]) begin
              status_d = KeyOk;
            end else if (cmd_tag_matches) begin
              status_d = KeyOk;
              prog_d[key_i.is_tx][cmd_slot] = 1'b0;
              go_d[key_i.is_tx][cmd_slot]   = 1'b0;
              hand_over                     = cmd_superseded;
            end
          end
          KeyKillTag: begin
            status_d    = KeyOk;
            clear_stage = 1'b1;
          end
          KeyAbandon: begin
            status_d    = KeyOk;
            clear_stage = 1'b1;
          end
          default: status_d = KeyBadIndex;
        endcase
      end

      // Whatever is on the erase list of this direction goes first, the old content of the slot and
      // the keys of an earlier session included.
      StErase: if (cancel_q) begin
        state_d = StAnswer;
      end else if (!stage_pending) begin
        state_d = StLoad;
      end

      StLoad: if (cancel_q) begin
        state_d = StAnswer;
      end else if (load_ready) begin
        state_d = StExpand;
      end

      StExpand: if (load_done) begin
        state_d = StAnswer;
        if (!cancel_q) begin
          prog_d[stage_is_tx_q][stage_slot_q] = 1'b1;
          tag_d[stage_block_q]                = stage_tag_q;
        end
      end

      StAnswer: begin
        state_d  = StIdle;
        cancel_d = 1'b0;
      end

      default: begin
        state_d     = StAnswer;
        status_d    = KeyRefused;
        clear_stage = 1'b1;
      end
    endcase

    // Without its older set the channel belongs to the newer one, which starts to count.
    if (hand_over && live_d[key_i.is_tx][cmd_slot[4:1]] == cmd_slot[0]) begin
      live_d[key_i.is_tx][cmd_slot[4:1]] = ~cmd_slot[0];
      used_d[key_i.is_tx][cmd_slot[4:1]] = 1'b0;
    end

    // Events come last: nothing above survives them.
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (kill[b]) begin
        for (int unsigned d = 0; d < 2; d++) begin
          prog_d[d][6*b +: 6] = '0;
          go_d[d][6*b +: 6]   = '0;
          used_d[d][3*b +: 3] = '0;
        end
        tag_d[b] = '0;
      end
      // A key on its way into a block that falls is not accepted. (The kill that a Commit itself
      // makes happens in StIdle and does not touch its own key.)
      if (kill_event[b] && stage_block_d == 2'(b)) begin
        clear_stage = 1'b1;
        if (state_d == StErase || state_d == StLoad || state_d == StExpand ||
            (state_q == StExpand && state_d == StAnswer)) begin
          cancel_d = 1'b1;
          status_d = KeyRefused;
        end
      end
    end

    if ((state_q == StErase || state_q == StLoad || state_q == StExpand) && state_d == StAnswer) begin
      clear_stage = 1'b1;
    end
    if (clear_stage) begin
      stage_d        = '0;
      stage_loaded_d = '0;
    end

    // Ready: all six keys of one set GO'd; kept while every channel keeps a GO'd key.
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      logic all_of_set0, all_of_set1, each_channel;
      all_of_set0  = 1'b1;
      all_of_set1  = 1'b1;
      each_channel = 1'b1;
      for (int unsigned d = 0; d < 2; d++) begin
        for (int unsigned ss = 0; ss < NUM_SUB_STREAMS; ss++) begin
          all_of_set0  = all_of_set0 && go_d[d][6*b + 2*ss];
          all_of_set1  = all_of_set1 && go_d[d][6*b + 2*ss + 1];
          each_channel = each_channel && (go_d[d][6*b + 2*ss] || go_d[d][6*b + 2*ss + 1]);
        end
      end
      ready_d[b]    = all_of_set0 || all_of_set1 || (ready_q[b] && each_channel);
      collapse_d[b] = ready_q[b] && block_cfg_i[b].enable && !ready_d[b] && !kill[b];
    end
  end

  // Slots that lose their key, and a key that was cancelled in the engine, are overwritten.
  assign lost = prog_q & ~prog_d;
  always_comb begin
    mark = lost;
    if (state_q == StExpand && load_done && (cancel_q || cancel_d)) begin
      mark[stage_is_tx_q][stage_slot_q] = 1'b1;
    end
  end

  // ---- Outputs ----------------------------------------------------------------------------------

  always_comb begin
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      secure_o[b]     = ready_q[b] && block_cfg_i[b].enable && !kill[b];
      stream_tag_o[b] = (ready_q[b] && !kill[b]) ? tag_q[b] : 16'd0;
      // SEC: KEY.VALID. Key bits drop in the cycle of the event.
      for (int unsigned s = 6*b; s < 6*b + 6; s++) begin
        rx_key_ok_o[s] = go_q[0][s] && secure_o[b];
        tx_key_ok_o[s] = go_q[1][s] && secure_o[b];
      end
    end
  end

  assign rx_live_o        = live_q[0];
  assign tx_live_o        = live_q[1];
  assign rx_used_o        = used_q[0];
  assign tx_used_o        = used_q[1];
  assign insecure_event_o = secure_q & ~secure_o;

  assign load_idx_o      = stage_slot_q;
  assign load_key_o      = stage_q;
  assign rx_load_valid_o = state_q == StLoad && !cancel_q && !stage_is_tx_q;
  assign tx_load_valid_o = state_q == StLoad && !cancel_q && stage_is_tx_q;

  ide_key_eraser u_rx_eraser (
    .clk_i, .rst_i,
    .mark_i        (mark[0]),
    .pending_o     (pending[0]),
    .erase_valid_o (rx_erase_valid_o),
    .erase_ready_i (rx_erase_ready_i),
    .erase_idx_o   (rx_erase_idx_o),
    .erase_done_i  (rx_erase_done_i)
  );

  ide_key_eraser u_tx_eraser (
    .clk_i, .rst_i,
    .mark_i        (mark[1]),
    .pending_o     (pending[1]),
    .erase_valid_o (tx_erase_valid_o),
    .erase_ready_i (tx_erase_ready_i),
    .erase_idx_o   (tx_erase_idx_o),
    .erase_done_i  (tx_erase_done_i)
  );

  always_ff @(posedge clk_i) begin
    state_q        <= state_d;
    status_q       <= status_d;
    prog_q         <= prog_d;
    go_q           <= go_d;
    live_q         <= live_d;
    used_q         <= used_d;
    tag_q          <= tag_d;
    ready_q        <= ready_d;
    collapse_q     <= collapse_d;
    stage_q        <= stage_d;
    stage_loaded_q <= stage_loaded_d;
    stage_block_q  <= stage_block_d;
    stage_is_tx_q  <= stage_is_tx_d;
    stage_slot_q   <= stage_slot_d;
    stage_tag_q    <= stage_tag_d;
    cancel_q       <= cancel_d;
    secure_q       <= secure_o;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) enable_q[b] <= block_cfg_i[b].enable;
    if (rst_i) begin
      state_q        <= StIdle;
      status_q       <= KeyRefused;
      prog_q         <= '0;
      go_q           <= '0;
      live_q         <= '0;
      used_q         <= '0;
      tag_q          <= '0;
      ready_q        <= '0;
      collapse_q     <= '0;
      stage_q        <= '0;   // SEC: KEY.ERASE
      stage_loaded_q <= '0;
      stage_block_q  <= '0;
      stage_is_tx_q  <= 1'b0;
      stage_slot_q   <= '0;
      stage_tag_q    <= '0;
      cancel_q       <= 1'b0;
      secure_q       <= '0;
      enable_q       <= '0;
    end
  end

endmodule
