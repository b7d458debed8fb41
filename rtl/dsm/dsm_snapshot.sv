// SPDX-License-Identifier: Apache-2.0
// Configuration snapshot: the DSM reads the configuration space of any function, and writes none.
//
//   func * 1000h + offset  R  register value at that offset
//
// Contract: a read stalls the CPU until cfg_space answered; writes have no effect.
module dsm_snapshot
  import dsm_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  /* verilator lint_off UNUSEDSIGNAL */
  input  reg_req_t    reg_req_i,  // configuration space takes no writes from here
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [31:0] reg_rdata_o,

  output logic        snap_valid_o,
  input  logic        snap_ready_i,
  output logic [2:0]  snap_func_o,
  output logic [11:2] snap_addr_o,
  input  logic        snap_rvalid_i,
  input  logic [31:0] snap_rdata_i
);

  typedef enum logic [1:0] {StIdle, StAsk, StWait, StDone} state_e;

  state_e      state_q;
  logic [31:0] rdata_q;
  logic        is_read;

  // Sixteen pages fit the window; eight functions exist.
  assign is_read = reg_valid_i && !reg_req_i.we && !reg_req_i.addr[15];

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: if (is_read) state_q <= StAsk;
      StAsk:  if (snap_ready_i) state_q <= StWait;
      StWait: if (snap_rvalid_i) state_q <= StDone;
      StDone: state_q <= StIdle;
      default: state_q <= StIdle;
    endcase
    if (snap_rvalid_i) rdata_q <= snap_rdata_i;
    if (rst_i) begin
      state_q <= StIdle;
      rdata_q <= '0;
    end
  end

  assign snap_valid_o = state_q == StAsk;
  assign snap_func_o  = reg_req_i.addr[14:12];
  assign snap_addr_o  = reg_req_i.addr[11:2];
  assign reg_ready_o  = !is_read || state_q == StDone;
  assign reg_rdata_o  = (state_q == StDone) ? rdata_q : 32'd0;

endmodule
