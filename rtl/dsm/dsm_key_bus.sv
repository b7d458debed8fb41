// SPDX-License-Identifier: Apache-2.0
// Key bus of the DSM: write-only registers that become key commands, and the end of a session.
//
//   00 DATA    W  four key bytes in memory order; erased when the command has been taken
//   04 TAG     W  session tag for the following commands
//   08 COMMAND W  [2:0] op, [9:8] block, [12] is_tx, [17:16] sub_stream, [20] key_set, [26:24] dw_idx
//   0C STATUS  R  stalls until the last command was answered: [1:0] key_status_e
//   10 KILL    W  session tag: stops every stream keyed, and every TDI locked, under it
//
// Contract: one command at a time; a COMMAND or KILL while one is unanswered waits (the CPU
// stalls). KILL tells the TDIs in the cycle of the write and the key store over the key bus: the
// firmware cannot do only half of it. Tag 0 is refused with KeyRefused (0 marks "no session").
// SEC: KEY.WRITE_ONLY
module dsm_key_bus
  import dsm_pkg::*;
(
  input  logic                 clk_i,
  input  logic                 rst_i,

  input  logic                 reg_valid_i,
  output logic                 reg_ready_o,
  input  reg_req_t             reg_req_i,
  output logic [31:0]          reg_rdata_o,

  output logic                 key_valid_o,
  input  logic                 key_ready_i,
  output ide_pkg::key_cmd_t    key_o,
  input  logic                 key_status_valid_i,
  input  ide_pkg::key_status_e key_status_i,

  output logic                 kill_tag_valid_o,
  output logic [15:0]          kill_tag_o
);

  localparam logic [13:0] REG_DATA    = 14'd0;
  localparam logic [13:0] REG_TAG     = 14'd1;
  localparam logic [13:0] REG_COMMAND = 14'd2;
  localparam logic [13:0] REG_STATUS  = 14'd3;
  localparam logic [13:0] REG_KILL    = 14'd4;

  typedef enum logic [1:0] {StIdle, StSend, StWait} state_e;

  state_e               state_q;
  logic [31:0]          data_q;
  logic [15:0]          tag_q;
  ide_pkg::key_cmd_t    cmd_q;
  ide_pkg::key_status_e status_q;
  logic                 is_write, is_issue, needs_idle;
  logic [15:0]          issue_tag;
  ide_pkg::key_op_e     issue_op;

  assign is_write   = reg_valid_i && reg_req_i.we;
  assign needs_idle = (reg_req_i.we && (reg_req_i.addr == REG_COMMAND || reg_req_i.addr == REG_KILL ||
                                        reg_req_i.addr == REG_DATA)) ||
                      (!reg_req_i.we && reg_req_i.addr == REG_STATUS);
  assign reg_ready_o = !needs_idle || state_q == StIdle;
  assign is_issue    = is_write && reg_ready_o &&
                       (reg_req_i.addr == REG_COMMAND || reg_req_i.addr == REG_KILL);

  always_comb begin
    issue_op  = ide_pkg::key_op_e'(reg_req_i.wdata[2:0]);
    issue_tag = tag_q;
    if (reg_req_i.addr == REG_KILL) begin
      issue_op  = ide_pkg::KeyKillTag;
      issue_tag = reg_req_i.wdata[15:0];
    end
  end

  // KeyKillTag comes from KILL alone, so that it never misses the TDIs.
  logic refused;
  assign refused = issue_tag == '0 ||
                   (reg_req_i.addr == REG_COMMAND && issue_op > ide_pkg::KeyStop &&
                    issue_op != ide_pkg::KeyAbandon);

  assign kill_tag_valid_o = is_issue && reg_req_i.addr == REG_KILL && !refused;
  assign kill_tag_o       = reg_req_i.wdata[15:0];

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: begin
        if (is_write && reg_req_i.addr == REG_DATA) data_q <= bswap(reg_req_i.wdata);
        if (is_issue && refused) begin
          status_q <= ide_pkg::KeyRefused;
          data_q   <= '0;
        end
        if (is_issue && !refused) begin
          state_q <= StSend;
          cmd_q <= '{
            op:          issue_op,
            block:       reg_req_i.wdata[9:8],
            is_tx:       reg_req_i.wdata[12],
            sub_stream:  reg_req_i.wdata[17:16],
            key_set:     reg_req_i.wdata[20],
            dw_idx:      reg_req_i.wdata[26:24],
            data:        32'd0,
            session_tag: issue_tag};
        end
      end
      // The command is held until the key store takes it.
      StSend: begin
        if (key_ready_i) begin
          state_q <= StWait;
          data_q  <= '0;
        end
        // An answer in the same cycle is an answer.
        if (key_ready_i && key_status_valid_i) begin
          state_q  <= StIdle;
          status_q <= key_status_i;
        end
      end
      StWait: begin
        if (key_status_valid_i) begin
          state_q  <= StIdle;
          status_q <= key_status_i;
        end
      end
      default: begin
        state_q  <= StIdle;
        status_q <= ide_pkg::KeyRefused;
        data_q   <= '0;
      end
    endcase
    if (is_write && reg_req_i.addr == REG_TAG) tag_q <= reg_req_i.wdata[15:0];
    if (rst_i) begin
      state_q  <= StIdle;
      status_q <= ide_pkg::KeyRefused;
      data_q   <= '0;
      tag_q    <= '0;
    end
  end

  assign key_valid_o = state_q == StSend;
  always_comb begin
    key_o      = cmd_q;
    key_o.data = (cmd_q.op == ide_pkg::KeyLoad) ? data_q : '0;
  end

  assign reg_rdata_o = (reg_req_i.addr == REG_STATUS) ? {30'd0, status_q} : 32'd0;

endmodule
