// SPDX-License-Identifier: Apache-2.0
// Registers of the DOE exchange, DSM side.
//
//   00 REQUEST  R  DWs of the object in the request buffer, header included
//   04 RESPOND  W  hand the response buffer to the host: its length in DWs
//   08 DISCARD  W  end the exchange without a response
//   0C FAIL     W  set DOE Error
//   10 STATE    R  [0] an object waits, [1] the firmware holds one, [2] abort pending
//
// Contract: no wait states; writes are strobes of the same cycle.
module dsm_doe_regs
  import dsm_pkg::*;
#(
  parameter int unsigned CountWidth = 11
) (
  input  logic                  reg_valid_i,
  output logic                  reg_ready_o,
  input  reg_req_t              reg_req_i,
  output logic [31:0]           reg_rdata_o,

  input  logic [CountWidth-1:0] request_dw_i,
  input  logic                  go_i,
  input  logic                  held_i,
  input  logic                  abort_i,
  output logic                  respond_o,
  output logic [31:0]           respond_dw_o,
  output logic                  discard_o,
  output logic                  fail_o
);

  logic [13:0] addr;
  logic        is_write;

  assign addr         = reg_req_i.addr;
  assign is_write     = reg_valid_i && reg_req_i.we;
  assign respond_o    = is_write && addr == 14'd1;
  assign respond_dw_o = reg_req_i.wdata;
  assign discard_o    = is_write && addr == 14'd2;
  assign fail_o       = is_write && addr == 14'd3;
  assign reg_ready_o  = 1'b1;

  always_comb begin
    unique case (addr)
      14'd0:   reg_rdata_o = 32'(request_dw_i);
      14'd4:   reg_rdata_o = {29'd0, abort_i, held_i, go_i};
      default: reg_rdata_o = '0;
    endcase
  end

endmodule
