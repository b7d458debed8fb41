// SPDX-License-Identifier: Apache-2.0
// The TDISP state of every TDI, and the command bus by which firmware asks for LOCK, START, STOP and
// the requests that are legal in RUN (PCIe Base 6.x, chapter 11). Firmware asks, this block decides.
//
// Contract
//   One command at a time, for all TDIs; one result beat each.
//   LOCK   state UNLOCKED and tdi_lock_check, then: 8 random words within EntropyTimeoutCycles
//          (ResNoEntropy), the function quiet within DrainTimeoutCycles (ResBadConfig), erased, and
//          all conditions still true (ResAborted): LOCKED, and the nonce is answered. From the start
//          of draining the view is closed (it reads ERROR), so nothing enters behind the erasure.
//          A violation at any time of a LOCK ends it with ResAborted in UNLOCKED. A DMA error of
//          the requests that are being drained is no violation: they belong to the earlier owner.
//   START  state LOCKED, session of the LOCK, stream still Secure under it (ResBadRequest), nonce
//          equal over all 256 bits at once (ResBadNonce, stays LOCKED, nonce kept): RUN.
//   SET_ATTRIBUTE, BIND_P2P, UNBIND_P2P: state RUN and session of the LOCK, else refused without
//          effect. SET_ATTRIBUTE only for updatable pages; BIND_P2P only if the LOCK permitted it and
//          tdi_p2p_check finds the stream. What they changed ends with RUN, in the cycle of the event.
//   STOP   any state: closed at once (ERROR in the view), drained, erased, UNLOCKED, then answered.
//          It waits without limit; the function's completion timeout bounds it.
//   Events that end LOCKED and RUN: violation_i, a bound stream not Secure or not of the locking
//   session, kill_tag, dma_error_i. view_o and quiesce_o answer in the same cycle (dma_error_i: in
//   the next); the nonce is zero and erasure starts in the next. error_event_o pulses.
//   The nonce exists in LOCKED and, until taken, in the result of LOCK. SEC: TDI.NONCE
//   quiesce_o is low only in RUN and in UNLOCKED, there from the start of draining high, too.
//   state_view_o is the view without the events of this cycle, from registers, for whoever
//   computes violations from it.
//   no_fw_update is not looked at: this device has no run-time firmware update.
module tdi_control
  import ide_pkg::*;
  import tdisp_pkg::*;
#(
  parameter int unsigned NumTdi               = 3,
  parameter int unsigned EntropyTimeoutCycles = 1_048_576,
  parameter int unsigned DrainTimeoutCycles   = 4_800_000   // 100 ms, twice a completion timeout
) (
  input  logic                           clk_i,
  input  logic                           rst_i,

  // Command bus
  input  logic                           cmd_valid_i,
  output logic                           cmd_ready_o,
  input  tdi_cmd_t                       cmd_i,
  output logic                           res_valid_o,
  input  logic                           res_ready_i,
  output tdi_res_t                       res_o,

  // Random words
  input  logic                           rnd_valid_i,
  output logic                           rnd_ready_o,
  input  logic [31:0]                    rnd_i,

  // Configuration and events
  input  logic [NumTdi-1:0]              violation_i,
  input  logic [NumTdi-1:0]              dma_error_i,
  input  block_cfg_t [NUM_BLOCKS-1:0]    block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]          stream_secure_i,
  input  logic [NUM_BLOCKS-1:0][15:0]    stream_tag_i,
  input  logic                           kill_tag_valid_i,
  input  logic [15:0]                    kill_tag_i,
  input  pcie_pkg::func_cfg_t [NumTdi:0] func_cfg_i,

  // Functions
  output logic [NumTdi-1:0]              quiesce_o,
  input  logic [NumTdi-1:0]              drained_i,
  output logic [NumTdi-1:0]              erase_o,
  input  logic [NumTdi-1:0]              erased_i,
  output tdi_view_t [NumTdi-1:0]         view_o,
  output logic [NumTdi-1:0][63:20]       p2p_mask_o,    // address bits that P2P matching ignores
  output tdi_view_t [NumTdi-1:0]         state_view_o,
  output logic [NumTdi-1:0]              error_event_o
);

  if (NumTdi == 0 || NumTdi > 255) begin : gen_check_num_tdi
    $error("tdi_control: NumTdi must be 1 to 255");
  end

  localparam int unsigned IdxWidth    = (NumTdi > 1) ? $clog2(NumTdi) : 1;
  localparam int unsigned TimerMax    = (EntropyTimeoutCycles > DrainTimeoutCycles) ?
                                        EntropyTimeoutCycles : DrainTimeoutCycles;
  localparam int unsigned TimerWidth  = $clog2(TimerMax + 1);
  localparam logic [TimerWidth-1:0] EntropyTimeout = TimerWidth'(EntropyTimeoutCycles);
  localparam logic [TimerWidth-1:0] DrainTimeout   = TimerWidth'(DrainTimeoutCycles);

  typedef enum logic [2:0] {
    StIdle,
    StCheck,    // conditions of the command
    StNonce,    // LOCK: collect random words
    StDrain,    // LOCK, STOP: wait for the function
    StErase,    // LOCK, STOP: wait until nothing of the owner is left
    StFinish,   // LOCK: last look at the conditions
    StAnswer
  } step_e;

  // Per TDI
  tdi_state_e [NumTdi-1:0]       state_d, state_q;
  logic [NumTdi-1:0][1:0]        block_d, block_q;
  logic [NumTdi-1:0][15:0]       tag_d, tag_q;         // session that locked it
  logic [NumTdi-1:0]             msix_locked_d, msix_locked_q;
  logic [NumTdi-1:0]             p2p_allowed_d, p2p_allowed_q;  // LOCK flag BIND_P2P
  logic [NumTdi-1:0][63:20]      p2p_mask_d, p2p_mask_q;
  logic [NumTdi-1:0][2:0]        p2p_d, p2p_q;         // blocks bound besides block_q
  logic [NumTdi-1:0][1:0]        shared_d, shared_q;   // updatable pages that are non-TEE now
  logic [NumTdi-1:0][255:0]      nonce_d, nonce_q;
  logic [NumTdi-1:0]             erase_d, erase_q, dma_error_q;
  logic [NumTdi-1:0]             event_hit, leaves;    // an event; it ends LOCKED or RUN
  logic [NumTdi-1:0]             in_work, closed;      // a LOCK or STOP works on it; view closed

  // The one command in work
  step_e                         step_d, step_q;
  /* verilator lint_off UNUSEDSIGNAL */  // no_fw_update: see the contract; low bits of p2p_mask
  tdi_cmd_t                      cmd_d, cmd_q;
  /* verilator lint_on UNUSEDSIGNAL */
  tdi_res_t                      res_d, res_q;
  logic [7:0][31:0]              draw_d, draw_q;       // nonce of the LOCK in work
  logic [2:0]                    word_d, word_q;
  logic [TimerWidth-1:0]         timer_d, timer_q;
  logic [1:0]                    lock_block_d, lock_block_q;
  logic [IdxWidth-1:0]           idx;
  logic                          idx_ok;
  tdi_result_e                   check_result;
  logic [1:0]                    check_block;
  logic                          lock_event, lock_broken, nonce_equal, session_ok;
  logic [NumTdi-1:0]             do_lock, do_start, do_leave, do_stop;  // one-hot, this cycle
  logic                          p2p_bind_ok, p2p_unbind_ok, pages_ok;
  logic [1:0]                    p2p_block;

  assign idx    = cmd_q.tdi_idx[IdxWidth-1:0];
  assign idx_ok = cmd_q.tdi_idx < 8'(NumTdi);

  tdi_lock_check #(.NumTdi(NumTdi)) u_check (
    .stream_id_i   (cmd_q.stream_id),
    .session_tag_i (cmd_q.session_tag),
    .block_cfg_i, .func_cfg_i, .stream_secure_i, .stream_tag_i,
    .result_o      (check_result),
    .block_o       (check_block)
  );

  // The TDI that the command names.
  logic [1:0]   cmd_block;
  logic [2:0]   cmd_p2p;
  logic         cmd_p2p_allowed;

  tdi_p2p_check u_p2p_check (
    .stream_id_i     (cmd_q.stream_id),
    .session_tag_i   (cmd_q.session_tag),
    .default_block_i (cmd_block),
    .bound_i         (cmd_p2p),
    .block_cfg_i, .stream_secure_i, .stream_tag_i,
    .bind_ok_o       (p2p_bind_ok),
    .unbind_ok_o     (p2p_unbind_ok),
    .block_o         (p2p_block)
  );

  assign pages_ok = cmd_q.pages != '0 && (cmd_q.pages & ~PAGES_UPDATABLE) == '0;

  // ---- Events -----------------------------------------------------------------------------------

  // A block number that does not exist is never Secure.
  function automatic logic stream_holds(input logic [1:0] block, input logic [15:0] tag);
    logic holds;
    holds = 1'b0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (block == 2'(b)) holds = stream_secure_i[b] && stream_tag_i[b] == tag && tag != 16'd0;
    end
    return holds;
  endfunction

  always_comb begin
    for (int unsigned i = 0; i < NumTdi; i++) begin
      event_hit[i] = violation_i[i] || dma_error_q[i] || !stream_holds(block_q[i], tag_q[i]) ||
                     (kill_tag_valid_i && kill_tag_i == tag_q[i]);
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (p2p_q[i][b] && !stream_holds(2'(b), tag_q[i])) event_hit[i] = 1'b1;
      end
      leaves[i]    = event_hit[i] && (state_q[i] == StLocked || state_q[i] == StRun);
    end
  end
  assign error_event_o = leaves;

  // What ends a LOCK in work: anything that would end LOCKED, and any change of its conditions.
  always_comb begin
    lock_event = 1'b1;
    for (int unsigned i = 0; i < NumTdi; i++) begin
      if (idx_ok && idx == IdxWidth'(i)) begin
        lock_event = violation_i[i] || (kill_tag_valid_i && kill_tag_i == cmd_q.session_tag);
      end
    end
  end
  assign lock_broken = lock_event || check_result != ResOk || check_block != lock_block_q;

  // SEC: TDI.NONCE. All 256 bits at once.
  always_comb begin
    nonce_equal = 1'b0;
    session_ok  = 1'b0;
    for (int unsigned i = 0; i < NumTdi; i++) begin
      if (idx_ok && idx == IdxWidth'(i)) begin
        nonce_equal = (nonce_q[i] ^ cmd_q.nonce) == '0;
        session_ok  = cmd_q.session_tag == tag_q[i];
      end
    end
  end

  // ---- Commands ---------------------------------------------------------------------------------

  tdi_state_e cmd_state;
  logic       cmd_leaves, cmd_drained, cmd_erased;

  always_comb begin
    cmd_state   = StError;
    cmd_leaves  = 1'b1;
    cmd_drained = 1'b0;
    cmd_erased  = 1'b0;
    cmd_block       = '0;
    cmd_p2p         = '0;
    cmd_p2p_allowed = 1'b0;
    for (int unsigned i = 0; i < NumTdi; i++) begin
      if (idx_ok && idx == IdxWidth'(i)) begin
        cmd_state   = state_q[i];
        cmd_leaves  = event_hit[i];
        cmd_drained = drained_i[i];
        cmd_erased  = erased_i[i];
        cmd_block       = block_q[i];
        cmd_p2p         = p2p_q[i];
        cmd_p2p_allowed = p2p_allowed_q[i];
      end
    end
  end

  assign cmd_ready_o = step_q == StIdle;
  assign res_valid_o = step_q == StAnswer;
  assign res_o       = res_q;
  assign rnd_ready_o = step_q == StNonce;

  logic want_lock, want_start, want_leave, want_stop, want_erase, want_attribute, want_bind,
        want_unbind;

  always_comb begin
    step_d       = step_q;
    cmd_d        = cmd_q;
    res_d        = res_q;
    draw_d       = draw_q;
    word_d       = word_q;
    timer_d      = timer_q + TimerWidth'(1);
    lock_block_d = lock_block_q;
    want_lock    = 1'b0;
    want_start   = 1'b0;
    want_leave   = 1'b0;
    want_stop    = 1'b0;
    want_erase   = 1'b0;
    want_attribute = 1'b0;
    want_bind    = 1'b0;
    want_unbind  = 1'b0;

    unique case (step_q)
      StIdle: begin
        timer_d = '0;
        word_d  = '0;
        if (cmd_valid_i) begin
          cmd_d  = cmd_i;
          step_d = StCheck;
        end
      end

      StCheck: begin
        timer_d      = '0;
        step_d       = StAnswer;
        lock_block_d = check_block;
        if (!idx_ok) begin
          res_d.code = ResBadIndex;
        end else begin
          unique case (cmd_q.op)
            CmdLock: begin
              if (cmd_state != StUnlocked)     res_d.code = ResBadState;
              else if (check_result != ResOk)  res_d.code = check_result;
              else if (lock_event)             res_d.code = ResAborted;
              else                             step_d = StNonce;
            end
            CmdStart: begin
              if (cmd_state != StLocked)       res_d.code = ResBadState;
              else if (!session_ok)            res_d.code = ResBadRequest;
              else if (cmd_leaves)             res_d.code = ResAborted;
              else if (!nonce_equal)           res_d.code = ResBadNonce;
              else begin
                res_d.code = ResOk;
                want_start = 1'b1;
              end
            end
            CmdSetAttribute: begin
              if (cmd_state != StRun)             res_d.code = ResBadState;
              else if (!session_ok || !pages_ok)  res_d.code = ResBadRequest;
              else if (cmd_leaves)                res_d.code = ResAborted;
              else begin
                res_d.code     = ResOk;
                want_attribute = 1'b1;
              end
            end
            CmdBindP2p: begin
              if (cmd_state != StRun)             res_d.code = ResBadState;
              else if (!session_ok || !cmd_p2p_allowed || !p2p_bind_ok)
                                                  res_d.code = ResBadRequest;
              else if (cmd_leaves)                res_d.code = ResAborted;
              else begin
                res_d.code = ResOk;
                want_bind  = 1'b1;
              end
            end
            CmdUnbindP2p: begin
              if (cmd_state != StRun)             res_d.code = ResBadState;
              else if (!session_ok || !p2p_unbind_ok)
                                                  res_d.code = ResBadRequest;
              else if (cmd_leaves)                res_d.code = ResAborted;
              else begin
                res_d.code  = ResOk;
                want_unbind = 1'b1;
              end
            end
            CmdStop: begin
              want_leave = 1'b1;
              step_d     = StDrain;
            end
            default: res_d.code = ResBadState;
          endcase
        end
      end

      StNonce: begin
        if (lock_broken) begin
          res_d.code = ResAborted;
          step_d     = StAnswer;
        end else if (timer_q == EntropyTimeout) begin
          res_d.code = ResNoEntropy;
          step_d     = StAnswer;
        end else if (rnd_valid_i) begin
          draw_d[word_q] = rnd_i;
          word_d         = word_q + 3'd1;
          if (word_q == 3'd7) begin
            timer_d = '0;
            step_d  = StDrain;
          end
        end
      end

      StDrain: begin
        if (cmd_q.op == CmdStop) begin
          if (cmd_drained) begin
            want_erase = 1'b1;
            step_d     = StErase;
          end
        end else if (lock_broken) begin
          res_d.code = ResAborted;
          step_d     = StAnswer;
        end else if (cmd_drained) begin
          want_erase = 1'b1;
          step_d     = StErase;
        end else if (timer_q == DrainTimeout) begin
          res_d.code = ResBadConfig;
          step_d     = StAnswer;
        end
      end

      // A LOCK that breaks here is finished, too: the view must not open before all is erased.
      StErase: begin
        if (cmd_q.op == CmdLock && lock_broken) res_d.code = ResAborted;
        if (cmd_erased && erase_q == '0) begin
          if (cmd_q.op == CmdStop) begin
            res_d.code = ResOk;
            want_stop  = 1'b1;
            step_d     = StAnswer;
          end else if (res_q.code == ResAborted || lock_broken) begin
            res_d.code = ResAborted;
            step_d     = StAnswer;
          end else begin
            step_d     = StFinish;
          end
        end
      end

      StFinish: begin
        step_d = StAnswer;
        if (lock_broken) begin
          res_d.code  = ResAborted;
        end else begin
          res_d.code  = ResOk;
          res_d.nonce = draw_q;
          want_lock   = 1'b1;
        end
      end

      StAnswer: begin
        if (res_ready_i) step_d = StIdle;
      end

      default: begin
        res_d.code = ResAborted;
        step_d     = StAnswer;
      end
    endcase

    // Nothing of a nonce stays behind the answer.
    if (step_d == StIdle) begin
      cmd_d       = step_q == StIdle ? cmd_q : '0;
      res_d       = '0;
      draw_d      = '0;
    end
    if (step_d == StAnswer) draw_d = '0;
  end

  // ---- State ------------------------------------------------------------------------------------

  always_comb begin
    for (int unsigned i = 0; i < NumTdi; i++) begin
      logic mine;
      tdi_event_e ev;
      mine        = idx_ok && idx == IdxWidth'(i);
      do_lock[i]  = want_lock && mine;
      do_start[i] = want_start && mine;
      do_leave[i] = want_leave && mine;
      do_stop[i]  = want_stop && mine;

      // An event overtakes every command.
      ev = EvNone;
      if (do_lock[i])  ev = EvLock;
      if (do_start[i]) ev = EvStart;
      if (do_stop[i])  ev = EvStop;
      if (leaves[i] || do_leave[i]) ev = EvViolation;

      state_d[i]       = next_state(state_q[i], ev);
      block_d[i]       = do_lock[i] ? lock_block_q : block_q[i];
      tag_d[i]         = do_lock[i] ? cmd_q.session_tag : tag_q[i];
      msix_locked_d[i] = do_lock[i] ? cmd_q.lock_msix : msix_locked_q[i];
      p2p_allowed_d[i] = do_lock[i] ? cmd_q.bind_p2p : p2p_allowed_q[i];
      p2p_mask_d[i]    = do_lock[i] ? cmd_q.p2p_mask[63:20] : p2p_mask_q[i];
      p2p_d[i]         = p2p_q[i];
      shared_d[i]      = shared_q[i];
      for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
        if (mine && p2p_block == 2'(b)) begin
          if (want_bind)   p2p_d[i][b] = 1'b1;
          if (want_unbind) p2p_d[i][b] = 1'b0;
        end
      end
      for (int unsigned k = 0; k < 2; k++) begin
        if (mine && want_attribute && cmd_q.pages[32'(PAGE_UPDATABLE) + k]) begin
          shared_d[i][k] = cmd_q.non_tee;
        end
      end
      nonce_d[i]       = do_lock[i] ? draw_q : nonce_q[i];
      if (state_d[i] != StLocked) nonce_d[i] = '0;   // SEC: TDI.NONCE
      if (state_d[i] != StRun) begin
        p2p_d[i]    = '0;
        shared_d[i] = '0;
      end
      if (state_d[i] == StUnlocked) begin
        block_d[i]       = '0;
        tag_d[i]         = '0;
        msix_locked_d[i] = 1'b0;
        p2p_allowed_d[i] = 1'b0;
        p2p_mask_d[i]    = '0;
      end
      // Erasure starts at once; STOP and LOCK repeat it when the function is quiet.
      erase_d[i] = leaves[i] || (want_erase && mine) ||
                   (do_leave[i] && (state_q[i] == StLocked || state_q[i] == StRun));

      in_work[i] = mine && (cmd_q.op == CmdLock || cmd_q.op == CmdStop) &&
                   (step_q == StDrain || step_q == StErase || step_q == StFinish);
      closed[i]  = in_work[i] || leaves[i];

      // SEC: TDI.SAME_CYCLE. The view closes in the cycle of the event.
      view_o[i] = '{state: closed[i] ? StError : state_q[i], msix_locked: msix_locked_q[i],
                    block: block_q[i], p2p: closed[i] ? 3'd0 : p2p_q[i],
                    shared: closed[i] ? 2'd0 : shared_q[i]};

      quiesce_o[i] = 1'b1;
      if (view_o[i].state == StRun || view_o[i].state == StUnlocked) quiesce_o[i] = 1'b0;
    end
  end

  // Apart from the block above: violations are computed from these, and must not seem to loop.
  for (genvar i = 0; i < int'(NumTdi); i++) begin : gen_state_view
    assign state_view_o[i] = '{state: state_q[i], msix_locked: msix_locked_q[i],
                               block: block_q[i], p2p: p2p_q[i], shared: shared_q[i]};
  end

  assign erase_o    = erase_q;
  assign p2p_mask_o = p2p_mask_q;

  always_ff @(posedge clk_i) begin
    state_q       <= state_d;
    block_q       <= block_d;
    tag_q         <= tag_d;
    msix_locked_q <= msix_locked_d;
    p2p_allowed_q <= p2p_allowed_d;
    p2p_mask_q    <= p2p_mask_d;
    p2p_q         <= p2p_d;
    shared_q      <= shared_d;
    nonce_q       <= nonce_d;
    erase_q       <= erase_d;
    dma_error_q   <= dma_error_i;
    step_q        <= step_d;
    cmd_q         <= cmd_d;
    res_q         <= res_d;
    draw_q        <= draw_d;
    word_q        <= word_d;
    timer_q       <= timer_d;
    lock_block_q  <= lock_block_d;
    if (rst_i) begin
      for (int unsigned i = 0; i < NumTdi; i++) state_q[i] <= next_state(state_q[i], EvReset);
      block_q       <= '0;
      tag_q         <= '0;
      msix_locked_q <= '0;
      p2p_allowed_q <= '0;
      p2p_mask_q    <= '0;
      p2p_q         <= '0;
      shared_q      <= '0;
      nonce_q       <= '0;
      erase_q       <= '0;
      dma_error_q   <= '0;
      step_q        <= StIdle;
      cmd_q         <= '0;
      res_q         <= '0;
      draw_q        <= '0;
      word_q        <= '0;
      timer_q       <= '0;
      lock_block_q  <= '0;
    end
  end

endmodule
