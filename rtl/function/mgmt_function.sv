// SPDX-License-Identifier: Apache-2.0
// BAR0 of the management function F0: identity, cycle counter, MSI-X.
//
// Contract: docs/registers.md. Local bus without wait states; lb_rdata_o belongs to the read of
// the cycle before and is zero in all other cycles. doe_irq_i pulses raise vector 0; vectors 1..3
// are not used by the device. tx carries interrupts only, never protected by the function itself:
// T=0, stream by association. flr_i resets table and requests.
module mgmt_function
  import pcie_pkg::*;
#(
  parameter logic [31:0] Version = 32'h0000_0001
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  func_cfg_t   cfg_i,
  input  logic [15:0] requester_id_i,
  input  logic        flr_i,
  input  logic [63:0] cycle_i,
  input  logic        doe_irq_i,

  // local bus <- completer; the BAR is 4 KiB
  input  logic        lb_sel_i,
  input  logic        lb_we_i,
  input  logic [11:2] lb_addr_i,
  input  logic [3:0]  lb_be_i,
  input  logic [31:0] lb_wdata_i,
  output logic [31:0] lb_rdata_o,

  // interrupts -> tx arbiter
  output logic        tx_valid_o,
  input  logic        tx_ready_i,
  output tlp_beat_t   tx_o
);

  localparam logic [31:0] Identity = 32'h4F49_4554;  // "TEIO"

  logic        sel_table;
  logic [31:0] cycles_high_q, rdata_d, rdata_q, table_rdata, pba_rdata;
  tlp_beat_t   message;
  logic        msix_idle;

  assign sel_table  = lb_sel_i && lb_addr_i[11:6] == 6'h20;  // 800h..83Fh
  assign lb_rdata_o = rdata_q;

  always_comb begin
    rdata_d = '0;
    unique case (lb_addr_i)
      10'h000: rdata_d = Identity;
      10'h001: rdata_d = Version;
      10'h002: rdata_d = 32'h0000_00FF;
      10'h004: rdata_d = cycle_i[31:0];
      10'h005: rdata_d = cycles_high_q;
      10'h300: rdata_d = pba_rdata;
      default: if (sel_table) rdata_d = table_rdata;
    endcase
  end

  always_ff @(posedge clk_i) begin
    rdata_q <= (lb_sel_i && !lb_we_i) ? rdata_d : '0;
    if (lb_sel_i && !lb_we_i && lb_addr_i == 10'h004) cycles_high_q <= cycle_i[63:32];
    if (rst_i) begin
      rdata_q       <= '0;
      cycles_high_q <= '0;
    end
  end

  msix #(.TdiIdx(8'hFF)) u_msix (
    .clk_i,
    .rst_i,
    .cfg_i,
    .requester_id_i,
    .clear_i       (flr_i),
    .trigger_i     ({3'd0, doe_irq_i}),
    .idle_o        (msix_idle),
    .table_we_i    (sel_table && lb_we_i),
    .lb_addr_i     (lb_addr_i[5:2]),
    .lb_be_i,
    .lb_wdata_i,
    .table_rdata_o (table_rdata),
    .pba_rdata_o   (pba_rdata),
    .tx_valid_o,
    .tx_ready_i,
    .tx_o          (message)
  );

  always_comb begin
    tx_o                = message;
    tx_o.meta.associate = 1'b1;
  end

  logic unused;
  assign unused = msix_idle;

endmodule
