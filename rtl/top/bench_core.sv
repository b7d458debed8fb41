// SPDX-License-Identifier: Apache-2.0
// Everything that simulation, virtual board and bitstream have in common: the endpoint and its bench
// link, between a byte stream and an entropy source.
//
// Contract: rst_i is power-on reset; a conventional reset comes over the link and touches only the
// endpoint. `idle_o` is high when nothing inside would change without a new byte.
module bench_core
  import pcie_pkg::wire_beat_t;
#(
  parameter int unsigned NumTdi           = 3,
  parameter int unsigned WorkMemBytes     = 16384,
  parameter int unsigned RetransmitCycles = 4_800_000,
  parameter int unsigned SboxImpl         = 0,
  parameter bit          TestHooks        = 1'b0,
  parameter              BootFile         = "",
  parameter              FirmwareFile     = "",
  parameter              Slot0File        = "",
  parameter              IdentityFile     = ""
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        byte_valid_i,
  input  logic [7:0]  byte_i,
  output logic        byte_valid_o,
  input  logic        byte_ready_i,
  output logic [7:0]  byte_o,

  input  logic        entropy_valid_i,
  output logic        entropy_ready_o,
  input  logic [31:0] entropy_i,
  input  logic        entropy_is_deterministic_i,

  output logic        idle_o
);

  logic        rx_valid, rx_ready, tx_valid, tx_ready, conv_rst, link_idle, ep_idle, sync_consume;
  wire_beat_t  rx, tx;
  logic [2:0]  released, credit_ok, consume, unconsume;
  logic [63:0] cycle_q;
  logic        ep_rst_q;

  // Device time: never reset by the host, so that figures of one run can be compared.
  always_ff @(posedge clk_i) begin
    cycle_q  <= rst_i ? '0 : cycle_q + 1'b1;
    ep_rst_q <= rst_i || conv_rst;
  end

  bench_link #(
    .NumTdi(NumTdi), .RetransmitCycles(RetransmitCycles), .TestHooks(TestHooks)
  ) u_link (
    .clk_i, .rst_i,
    .byte_valid_i, .byte_i, .byte_valid_o, .byte_ready_i, .byte_o,
    .rx_valid_o(rx_valid), .rx_ready_i(rx_ready), .rx_o(rx), .release_i(released),
    .tx_valid_i(tx_valid), .tx_ready_o(tx_ready), .tx_i(tx),
    .credit_ok_o(credit_ok), .consume_i(consume), .unconsume_i(unconsume),
    .sync_consume_i(sync_consume),
    .cycle_i(cycle_q), .conv_rst_o(conv_rst), .idle_o(link_idle)
  );

  tio_endpoint #(
    .NumTdi(NumTdi), .WorkMemBytes(WorkMemBytes), .SboxImpl(SboxImpl), .TestHooks(TestHooks),
    .BootFile(BootFile), .FirmwareFile(FirmwareFile), .Slot0File(Slot0File),
    .IdentityFile(IdentityFile)
  ) u_endpoint (
    .clk_i, .rst_i(ep_rst_q), .rst_sticky_i(rst_i),
    .rx_valid_i(rx_valid), .rx_ready_o(rx_ready), .rx_i(rx), .release_o(released),
    .tx_valid_o(tx_valid), .tx_ready_i(tx_ready), .tx_o(tx),
    .credit_ok_i(credit_ok), .consume_o(consume), .unconsume_o(unconsume),
    .sync_consume_o(sync_consume),
    .entropy_valid_i, .entropy_ready_o, .entropy_i, .entropy_is_deterministic_i,
    .cycle_i(cycle_q), .idle_o(ep_idle)
  );

  assign idle_o = link_idle && ep_idle && !ep_rst_q;

endmodule
