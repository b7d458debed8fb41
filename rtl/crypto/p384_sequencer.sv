// SPDX-License-Identifier: Apache-2.0
// Control of the P-384 engine: runs the microcode of an operation and the erasures around it.
//
// Contract: an operation is taken when op_valid_i && op_ready_o; done_o pulses once for each, and
// result_code_o holds from then until the next one is taken. Before the program the operand memory
// and the output registers are erased, after it the operand memory and the input registers, and the
// output registers too unless the result is ResOk. RegKept is spared while it holds a key.
// zeroize_i (level) stops the program: the key is disowned at the next clock edge, all flops that
// hold digits are zero two edges later and all memories 131 cycles after zeroize_i rose, whether or
// not it falls again; busy_o stays high until both are over, then an operation that was running ends
// with ResAborted. Reset does the same without done_o. If the random port gives nothing for
// RandomTimeoutCycles cycles in a row the operation ends with ResNoEntropy.
module p384_sequencer
  import p384_pkg::*;
#(
  parameter int unsigned RandomTimeoutCycles = 1 << 20
) (
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       zeroize_i,

  input  logic       op_valid_i,
  output logic       op_ready_o,
  input  op_e        op_i,
  output logic       done_o,
  output result_e    result_code_o,
  output logic       busy_o,

  // arithmetic unit
  output logic       cmd_valid_o,
  input  logic       cmd_ready_i,
  output alu_op_e    cmd_op_o,
  output logic       cmd_mod_order_o,
  output logic [6:0] cmd_window_o,
  output reg_t       cmd_rd_o,
  output reg_t       cmd_ra_o,
  output reg_t       cmd_rb_o,
  input  logic       negative_i,
  input  logic       zero_i,
  input  logic [3:0] nibble_i,

  // word memories
  output logic       src_load_o,
  output source_e    src_o,
  output logic [8:0] src_addr_o,
  input  logic       src_waits_i,
  output logic       out_register_o,

  // erasure
  output logic       wipe_o,
  output logic       wipe_keep_o,
  output logic       wipe_in_o,
  output logic       wipe_out_o,
  input  logic       wiping_i
);

  localparam int unsigned TimeoutWidth = $clog2(RandomTimeoutCycles + 1);

  if (RandomTimeoutCycles < 1) begin : gen_check_timeout
    $error("p384_sequencer: RandomTimeoutCycles must be at least 1");
  end

  typedef enum logic [2:0] {
    StIdle, StWipe, StWiping, StFetch, StIssue, StDone
  } state_e;

  // What follows an erasure.
  typedef enum logic [1:0] {AfterRun, AfterDone, AfterIdle} after_e;

  state_e             state_d, state_q;
  after_e             after_d, after_q;
  result_e            result_d, result_q;
  op_e                op_d, op_q;
  logic [PcWidth-1:0] pc_d, pc_q;
  logic [PcWidth-1:0] stack_q [4];
  logic               push;
  logic [1:0]         depth_d, depth_q;
  logic [6:0]         idx_d, idx_q;
  logic [1:0]         tries_d, tries_q;
  logic               mod_order_d, mod_order_q;
  logic               holds_key_d, holds_key_q;
  logic               wipe_in_d, wipe_in_q, wipe_out_d, wipe_out_q;
  logic               zeroizing_d, zeroizing_q;
  logic               out_register_d, out_register_q;
  logic [TimeoutWidth-1:0] wait_q;

  instr_t             instr;
  logic [PcWidth-1:0] target;
  logic               taken;
  logic               timed_out;

  p384_microcode u_microcode (.clk_i, .pc_i (pc_q), .instr_o (instr));

  assign target          = {instr.ra[1:0], instr.rb};
  assign timed_out       = wait_q == TimeoutWidth'(RandomTimeoutCycles);

  assign op_ready_o      = state_q == StIdle && !zeroize_i;
  assign busy_o          = state_q != StIdle;
  assign done_o          = state_q == StDone;
  assign result_code_o   = result_q;
  assign cmd_mod_order_o = mod_order_q;
  assign cmd_window_o    = idx_q;
  assign out_register_o  = out_register_q;
  assign src_o           = source_e'(instr.ra[5:3]);
  assign src_addr_o      = {instr.ra[1:0], instr.rb};
  assign wipe_o          = state_q == StWipe;
  assign wipe_keep_o     = holds_key_q;
  assign wipe_in_o       = wipe_in_q;
  assign wipe_out_o      = wipe_out_q;

  // ---- Instruction to command -------------------------------------------------------------------
  always_comb begin
    cmd_rd_o = instr.rd;
    cmd_ra_o = instr.ra;
    cmd_rb_o = instr.rb;
    unique case (instr.op)
      MopMul:   cmd_op_o = AluMul;
      MopAdd:   cmd_op_o = AluAdd;
      MopSub:   cmd_op_o = AluSub;
      MopRip:   cmd_op_o = AluRip;
      MopLoad:  cmd_op_o = AluLoad;
      MopStore: cmd_op_o = AluStore;
      MopWin:   cmd_op_o = AluWin;
      MopComb:  cmd_op_o = AluComb;
      MopSel: begin
        cmd_op_o = AluMove;
        cmd_ra_o = negative_i ? instr.rb : instr.ra;
      end
      MopGet: begin
        cmd_op_o = AluMove;
        cmd_ra_o = {1'b1, nibble_i, instr.ra[1:0]};
      end
      MopPut: begin
        cmd_op_o = AluMove;
        cmd_rd_o = {1'b1, ~idx_q[3:0], instr.rd[1:0]};
      end
      default:  cmd_op_o = AluMove;
    endcase
  end

  always_comb begin
    unique case (instr.rd[2:0])
      CondAlways:  taken = 1'b1;
      CondNeg:     taken = negative_i;
      CondNotNeg:  taken = !negative_i;
      CondZero:    taken = zero_i;
      CondNotZero: taken = !zero_i;
      CondNoKey:   taken = !holds_key_q;
      default:     taken = 1'b1;
    endcase
  end

  // ---- Program ----------------------------------------------------------------------------------
  always_comb begin
    state_d        = state_q;
    after_d        = after_q;
    result_d       = result_q;
    op_d           = op_q;
    pc_d           = pc_q;
    push           = 1'b0;
    depth_d        = depth_q;
    idx_d          = idx_q;
    tries_d        = tries_q;
    mod_order_d    = mod_order_q;
    holds_key_d    = holds_key_q;
    wipe_in_d      = wipe_in_q;
    wipe_out_d     = wipe_out_q;
    zeroizing_d    = zeroizing_q;
    out_register_d = out_register_q;
    cmd_valid_o    = 1'b0;
    src_load_o     = 1'b0;

    unique case (state_q)
      StIdle: begin
        if (op_valid_i) begin
          state_d    = StWipe;
          op_d       = op_i;
          result_d   = ResInvalid;
          wipe_out_d = 1'b1;
          wipe_in_d  = 1'b0;
          after_d    = AfterRun;
          if (op_i == OpWipe) begin
            holds_key_d = 1'b0;
            wipe_in_d   = 1'b1;
            result_d    = ResOk;
            after_d     = AfterDone;
          end
        end
      end

      StWipe: state_d = StWiping;

      StWiping: begin
        pc_d        = PcWidth'(op_q);
        depth_d     = '0;
        mod_order_d = 1'b0;
        if (!wiping_i && !zeroize_i) begin
          zeroizing_d = 1'b0;
          unique case (after_q)
            AfterRun:  state_d = StFetch;
            AfterDone: state_d = StDone;
            default:   state_d = StIdle;
          endcase
        end
      end

      // The ROM reads.
      StFetch: state_d = StIssue;

      // Waits until the arithmetic unit is idle and its flags are settled.
      StIssue: begin
        if (cmd_ready_i) begin
          state_d = StFetch;
          pc_d    = pc_q + 1'b1;
          unique case (instr.op)
            MopMul, MopAdd, MopSub, MopMove, MopRip, MopWin, MopComb, MopSel, MopGet, MopPut:
              cmd_valid_o = 1'b1;
            MopLoad: begin
              cmd_valid_o = 1'b1;
              src_load_o  = 1'b1;
            end
            MopStore: begin
              cmd_valid_o    = 1'b1;
              out_register_d = instr.rd[0];
            end
            MopBr: if (taken) pc_d = target;
            MopCall: begin
              push    = 1'b1;
              depth_d = depth_q + 1'b1;
              pc_d    = target;
            end
            MopRet: begin
              depth_d = depth_q - 1'b1;
              pc_d    = stack_q[depth_q - 1'b1];
            end
            MopIdx: idx_d = instr.rb;
            MopLoop: begin
              if (idx_q != '0) begin
                idx_d = idx_q - 1'b1;
                pc_d  = target;
              end
            end
            MopTry: tries_d = instr.rb[1:0];
            MopAgain: begin
              if (tries_q != '0) begin
                tries_d = tries_q - 1'b1;
                pc_d    = target;
              end
            end
            MopMod:  mod_order_d = instr.rb[0];
            MopHold: holds_key_d = instr.rb[0];
            MopEnd: begin
              state_d    = StWipe;
              after_d    = AfterDone;
              result_d   = result_e'(instr.rb[2:0]);
              wipe_in_d  = 1'b1;
              wipe_out_d = instr.rb[2:0] != ResOk;
            end
            // SEC: a broken instruction ends the operation and the key.
            default: begin
              state_d     = StWipe;
              after_d     = AfterDone;
              result_d    = ResInvalid;
              holds_key_d = 1'b0;
              wipe_in_d   = 1'b1;
              wipe_out_d  = 1'b1;
            end
          endcase
        end else if (timed_out) begin
          state_d    = StWipe;
          after_d    = AfterDone;
          result_d   = ResNoEntropy;
          wipe_in_d  = 1'b1;
          wipe_out_d = 1'b1;
        end
      end

      StDone: state_d = StIdle;

      default: begin
        state_d     = StWipe;
        after_d     = AfterIdle;
        holds_key_d = 1'b0;
        wipe_in_d   = 1'b1;
        wipe_out_d  = 1'b1;
      end
    endcase

    // SEC: KEY.ZEROIZE once per rise of zeroize_i, whatever is going on.
    if (zeroize_i && !zeroizing_q) begin
      state_d     = StWipe;
      holds_key_d = 1'b0;
      wipe_in_d   = 1'b1;
      wipe_out_d  = 1'b1;
      zeroizing_d = 1'b1;
      cmd_valid_o = 1'b0;
      if (state_q == StIdle || state_q == StDone || (state_q == StWiping && after_q == AfterIdle)
          || (state_q == StWipe && after_q == AfterIdle)) begin
        after_d = AfterIdle;
      end else begin
        after_d  = AfterDone;
        result_d = ResAborted;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    state_q        <= state_d;
    after_q        <= after_d;
    result_q       <= result_d;
    op_q           <= op_d;
    pc_q           <= pc_d;
    if (push) stack_q[depth_q] <= pc_q + 1'b1;
    depth_q        <= depth_d;
    idx_q          <= idx_d;
    tries_q        <= tries_d;
    mod_order_q    <= mod_order_d;
    holds_key_q    <= holds_key_d;
    wipe_in_q      <= wipe_in_d;
    wipe_out_q     <= wipe_out_d;
    zeroizing_q    <= zeroizing_d;
    out_register_q <= out_register_d;
    wait_q         <= (src_waits_i && !timed_out) ? wait_q + 1'b1 : '0;

    if (rst_i) begin
      state_q     <= StWipe;
      after_q     <= AfterIdle;
      result_q    <= ResOk;
      holds_key_q <= 1'b0;
      wipe_in_q   <= 1'b1;
      wipe_out_q  <= 1'b1;
      zeroizing_q <= 1'b0;
      wait_q      <= '0;
      idx_q       <= '0;
      tries_q     <= '0;
      depth_q     <= '0;
    end
  end

endmodule
