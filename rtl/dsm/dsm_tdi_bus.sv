// SPDX-License-Identifier: Apache-2.0
// TDI command bus of the DSM: registers that become requests to tdi_control.
//
//   00 COMMAND   W  [2:0] op, [15:8] TDI, [23:16] stream ID, [24] lock MSI-X, [25] no firmware update,
//                   [26] bind P2P, [27] non-TEE
//   04 TAG       W  session tag for the following commands
//   08 RESULT    R  stalls until the last command was answered: [2:0] tdi_result_e
//   0C STATES    R  [2i+1:2i] state of TDI i
//   10 PAGES     W  [15:0] pages of BAR0 for SET_ATTRIBUTE
//   14 MASK_LOW  W  BIND_P2P_ADDRESS_MASK for LOCK
//   18 MASK_HIGH W
//   20..3C NONCE W  eight words, 32 bytes in memory order; erased when the command has been taken
//   40..5C GIVEN R  nonce of the last LOCK, zero after anything else
//
// Contract: one command at a time; a COMMAND while one is unanswered waits (the CPU stalls).
module dsm_tdi_bus
  import dsm_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  logic                             clk_i,
  input  logic                             rst_i,

  input  logic                             reg_valid_i,
  output logic                             reg_ready_o,
  input  reg_req_t                         reg_req_i,
  output logic [31:0]                      reg_rdata_o,

  output logic                             cmd_valid_o,
  input  logic                             cmd_ready_i,
  output tdisp_pkg::tdi_cmd_t              cmd_o,
  input  logic                             res_valid_i,
  output logic                             res_ready_o,
  input  tdisp_pkg::tdi_res_t              res_i,

  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i
);

  localparam logic [13:0] REG_COMMAND = 14'd0;
  localparam logic [13:0] REG_TAG     = 14'd1;
  localparam logic [13:0] REG_RESULT  = 14'd2;
  localparam logic [13:0] REG_STATES  = 14'd3;
  localparam logic [13:0] REG_PAGES   = 14'd4;
  localparam logic [13:0] REG_MASK_LO = 14'd5;
  localparam logic [13:0] REG_MASK_HI = 14'd6;

  typedef enum logic [1:0] {StIdle, StSend, StWait} state_e;

  state_e                 state_q;
  tdisp_pkg::tdi_cmd_t    cmd_q;
  tdisp_pkg::tdi_result_e code_q;
  logic [255:0]           nonce_q, given_q;   // byte 0 = [255:248]
  logic [15:0]            tag_q, pages_q;
  logic [63:0]            mask_q;
  logic                   is_write, is_issue, is_nonce, is_given, needs_idle;
  logic [2:0]             word;
  logic [31:0]            states;

  assign is_write    = reg_valid_i && reg_req_i.we;
  assign is_nonce    = reg_req_i.addr[15:5] == 11'd1;
  assign is_given    = reg_req_i.addr[15:5] == 11'd2;
  assign word        = reg_req_i.addr[4:2];
  assign needs_idle  = (reg_req_i.we && (reg_req_i.addr == REG_COMMAND || is_nonce)) ||
                       (!reg_req_i.we && reg_req_i.addr == REG_RESULT);
  assign reg_ready_o = !needs_idle || state_q == StIdle;
  assign is_issue    = is_write && reg_ready_o && reg_req_i.addr == REG_COMMAND;

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: begin
        if (is_write && is_nonce) nonce_q[32 * (7 - 32'(word)) +: 32] <= bswap(reg_req_i.wdata);
        if (is_issue) begin
          state_q <= StSend;
          given_q <= '0;
          cmd_q   <= '{
            op:           tdisp_pkg::tdi_op_e'(reg_req_i.wdata[2:0]),
            tdi_idx:      reg_req_i.wdata[15:8],
            stream_id:    reg_req_i.wdata[23:16],
            session_tag:  tag_q,
            lock_msix:    reg_req_i.wdata[24],
            no_fw_update: reg_req_i.wdata[25],
            bind_p2p:     reg_req_i.wdata[26],
            non_tee:      reg_req_i.wdata[27],
            pages:        pages_q,
            p2p_mask:     mask_q,
            nonce:        256'd0};
        end
      end
      StSend: begin
        if (cmd_ready_i) begin
          state_q <= StWait;
          nonce_q <= '0;
        end
      end
      StWait: begin
        if (res_valid_i) begin
          state_q <= StIdle;
          code_q  <= res_i.code;
          if (cmd_q.op == tdisp_pkg::CmdLock && res_i.code == tdisp_pkg::ResOk) begin
            given_q <= res_i.nonce;
          end
        end
      end
      default: begin
        state_q <= StIdle;
        code_q  <= tdisp_pkg::ResAborted;
        nonce_q <= '0;
        given_q <= '0;
      end
    endcase
    if (is_write && reg_req_i.addr == REG_TAG)     tag_q         <= reg_req_i.wdata[15:0];
    if (is_write && reg_req_i.addr == REG_PAGES)   pages_q       <= reg_req_i.wdata[15:0];
    if (is_write && reg_req_i.addr == REG_MASK_LO) mask_q[31:0]  <= reg_req_i.wdata;
    if (is_write && reg_req_i.addr == REG_MASK_HI) mask_q[63:32] <= reg_req_i.wdata;
    if (rst_i) begin
      state_q <= StIdle;
      code_q  <= tdisp_pkg::ResAborted;
      nonce_q <= '0;
      given_q <= '0;
      tag_q   <= '0;
      pages_q <= '0;
      mask_q  <= '0;
    end
  end

  assign cmd_valid_o = state_q == StSend;
  assign res_ready_o = state_q == StWait;
  always_comb begin
    cmd_o       = cmd_q;
    cmd_o.nonce = (cmd_q.op == tdisp_pkg::CmdStart) ? nonce_q : '0;
  end

  always_comb begin
    states = '0;
    for (int unsigned i = 0; i < NumTdi && i < 16; i++) states[2*i+:2] = tdi_view_i[i].state;
  end

  always_comb begin
    reg_rdata_o = '0;
    if (reg_req_i.addr == REG_RESULT) reg_rdata_o = {29'd0, code_q};
    if (reg_req_i.addr == REG_STATES) reg_rdata_o = states;
    if (is_given) reg_rdata_o = bswap(given_q[32 * (7 - 32'(word)) +: 32]);
  end

endmodule
