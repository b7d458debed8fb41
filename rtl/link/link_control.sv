// SPDX-License-Identifier: Apache-2.0
// Control operations of the bench link: identity, conventional reset, cycle counter, delay in device
// cycles, scratch, link counters.
//
// Contract: one request at a time; every request gets exactly one answer of the same op code; an
// unknown op code is answered with FFh in byte 1. A link restart (sync_i) ends a delay and drops the
// answer that is owed: it was the former host's. Request and answer: byte 0 op, byte 1 status
// (answer), then little-endian 32-bit arguments from byte 4.
module link_control
  import link_pkg::*;
#(
  parameter int unsigned NumTdi        = 3,
  parameter int unsigned ResetCycles   = 64,
  parameter logic [31:0] ClockHz       = 32'd48_000_000,
  parameter bit          TestHooks     = 1'b0
) (
  input  logic         clk_i,
  input  logic         rst_i,

  input  logic         req_valid_i,
  output logic         req_ready_o,
  input  logic [127:0] req_i,

  output logic         rsp_valid_o,
  input  logic         rsp_ready_i,
  output logic [127:0] rsp_o,
  output logic [2:0]   rsp_dws_o,

  input  logic         sync_i,       // pulse: link restart
  input  logic [63:0]  cycle_i,
  input  logic [31:0]  good_frames_i,
  input  logic [31:0]  bad_frames_i,
  input  logic [31:0]  sent_frames_i,
  input  logic [31:0]  retransmits_i,

  output logic         conv_rst_o,   // conventional reset of the endpoint, level
  output logic         idle_o
);

  typedef enum logic [1:0] {StIdle, StReset, StDelay, StAnswer} state_e;
  state_e       state_q;
  logic         unwanted_q;          // the host that wanted the answer is gone
  logic [31:0]  count_q;
  logic [31:0]  scratch_q;
  logic [127:0] rsp_q;
  logic [7:0]   op;
  logic [31:0]  arg;

  assign op          = req_i[127:120];
  assign arg         = pcie_pkg::bswap32(req_i[95:64]);
  assign req_ready_o = state_q == StIdle;
  assign rsp_valid_o = state_q == StAnswer;
  assign rsp_o       = rsp_q;
  assign rsp_dws_o   = 3'd4;
  assign conv_rst_o  = state_q == StReset;
  assign idle_o      = state_q == StIdle;

  function automatic logic [127:0] answer(input logic [7:0] code, input logic [7:0] status,
                                          input logic [31:0] a, input logic [31:0] b,
                                          input logic [31:0] c);
    return {code, status, 16'd0, pcie_pkg::bswap32(a), pcie_pkg::bswap32(b),
            pcie_pkg::bswap32(c)};
  endfunction

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: if (req_valid_i) begin
        state_q    <= StAnswer;
        unwanted_q <= 1'b0;
        count_q    <= arg;
        unique case (op)
          OP_IDENT: rsp_q <= answer(op, 8'd0, pcie_pkg::bswap32(IDENT_MAGIC),
                                    {LINK_VERSION, 7'd0, TestHooks, NumTdi[7:0]}, ClockHz);
          OP_RESET: begin
            rsp_q   <= answer(op, 8'd0, 32'd0, 32'd0, 32'd0);
            count_q <= ResetCycles;
            state_q <= StReset;
          end
          OP_CYCLES: rsp_q <= answer(op, 8'd0, cycle_i[31:0], cycle_i[63:32], 32'd0);
          OP_DELAY: begin
            rsp_q   <= answer(op, 8'd0, arg, 32'd0, 32'd0);
            state_q <= StDelay;
          end
          OP_SCRATCH: begin
            rsp_q     <= answer(op, 8'd0, scratch_q, 32'd0, 32'd0);
            scratch_q <= arg;
          end
          // arg 0: frames received; arg 1: frames sent
          OP_COUNTERS: rsp_q <= arg[0] ? answer(op, 8'd0, sent_frames_i, retransmits_i, 32'd0)
                                       : answer(op, 8'd0, good_frames_i, bad_frames_i, 32'd0);
          default: rsp_q <= answer(op, 8'hFF, 32'd0, 32'd0, 32'd0);
        endcase
      end
      StReset, StDelay: begin
        count_q <= count_q - 1'b1;
        if (count_q == '0) state_q <= unwanted_q ? StIdle : StAnswer;
      end
      StAnswer: if (rsp_ready_i) state_q <= StIdle;
      default: state_q <= StIdle;
    endcase
    if (sync_i) begin
      unwanted_q <= 1'b1;
      if (state_q inside {StDelay, StAnswer}) state_q <= StIdle;
    end
    if (rst_i) begin
      unwanted_q <= 1'b0;
      state_q   <= StIdle;
      scratch_q <= '0;
    end
  end

  logic unused;
  assign unused = ^{req_i[119:96], req_i[63:0]};

endmodule
