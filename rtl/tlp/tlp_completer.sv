// SPDX-License-Identifier: Apache-2.0
// The completer of all functions: posted writes, memory reads and configuration requests.
//
// Contract: wr_* is taken without regard to completions (completer_write); np_* is executed in
// order, one request at a time (completer_read). One local bus for both, writes first, no wait
// states: lb_rdata_i belongs to the read of the cycle before. Byte 0 of memory is bits 7:0.
// Reset empties everything; the completion buffer is zero 16 cycles later, and no request is
// taken before.
module tlp_completer
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  logic                              clk_i,
  input  logic                              rst_i,

  input  func_cfg_t [NumTdi:0]              func_cfg_i,
  input  logic [12:0]                       bus_dev_i,
  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i,

  // posted memory writes <- router
  input  logic                              wr_valid_i,
  output logic                              wr_ready_o,
  input  tlp_beat_t                         wr_i,
  input  logic [2:0]                        wr_func_i,

  // non-posted requests <- router
  input  logic                              np_valid_i,
  output logic                              np_ready_o,
  input  np_req_t                           np_i,

  // local bus -> functions
  output logic                              lb_valid_o,
  output logic                              lb_we_o,
  output logic [2:0]                        lb_func_o,
  output logic [15:2]                       lb_addr_o,
  output logic [3:0]                        lb_be_o,
  output logic [31:0]                       lb_wdata_o,
  input  logic [31:0]                       lb_rdata_i,

  // configuration access -> cfg_space
  output logic                              acc_valid_o,
  input  logic                              acc_ready_i,
  output logic                              acc_we_o,
  output logic [2:0]                        acc_func_o,
  output logic [11:2]                       acc_addr_o,
  output logic [3:0]                        acc_be_o,
  output logic [31:0]                       acc_wdata_o,
  output logic [12:0]                       acc_bus_dev_o,
  input  logic                              acc_rvalid_i,
  input  logic [31:0]                       acc_rdata_i,

  // completions -> tx arbiter
  output logic                              cpl_valid_o,
  input  logic                              cpl_ready_i,
  output tlp_beat_t                         cpl_o,
  output logic                              cpl_sent_o
);

  logic        write_busy, write_valid, read_valid;
  logic [2:0]  write_func, read_func;
  logic [15:2] write_addr, read_addr;
  logic [3:0]  write_be, read_be;

  completer_write #(.NumTdi(NumTdi)) u_write (
    .clk_i,
    .rst_i,
    .tdi_view_i,
    .wr_valid_i,
    .wr_ready_o,
    .wr_i,
    .wr_func_i,
    .busy_o     (write_busy),
    .lb_valid_o (write_valid),
    .lb_func_o  (write_func),
    .lb_addr_o  (write_addr),
    .lb_be_o    (write_be),
    .lb_wdata_o
  );

  completer_read #(.NumTdi(NumTdi)) u_read (
    .clk_i,
    .rst_i,
    .func_cfg_i,
    .bus_dev_i,
    .tdi_view_i,
    .write_busy_i (write_busy),
    .np_valid_i,
    .np_ready_o,
    .np_i,
    .lb_valid_o   (read_valid),
    .lb_grant_i   (!write_valid),
    .lb_func_o    (read_func),
    .lb_addr_o    (read_addr),
    .lb_be_o      (read_be),
    .lb_rdata_i,
    .acc_valid_o,
    .acc_ready_i,
    .acc_we_o,
    .acc_func_o,
    .acc_addr_o,
    .acc_be_o,
    .acc_wdata_o,
    .acc_bus_dev_o,
    .acc_rvalid_i,
    .acc_rdata_i,
    .cpl_valid_o,
    .cpl_ready_i,
    .cpl_o,
    .cpl_sent_o
  );

  assign lb_valid_o = write_valid || read_valid;
  assign lb_we_o    = write_valid;
  assign lb_func_o  = write_valid ? write_func : read_func;
  assign lb_addr_o  = write_valid ? write_addr : read_addr;
  assign lb_be_o    = write_valid ? write_be : read_be;

endmodule
