// SPDX-License-Identifier: Apache-2.0
// The endpoint: transaction layer, IDE, TDISP, device functions and device security manager.
//
// Wiring only. The way of a TLP is drawn in docs/architecture.md; each block's promise stands in its
// own header. rst_i: power-on or conventional reset. rst_sticky_i: power-on only (sticky AER bits).
module tio_endpoint
  import pcie_pkg::*;
  import ide_pkg::*;
  import tdisp_pkg::tdi_view_t;
  import tdisp_pkg::tdi_cmd_t;
  import tdisp_pkg::tdi_res_t;
#(
  parameter int unsigned NumTdi       = 3,
  parameter int unsigned WorkMemBytes = 16384,
  parameter int unsigned SboxImpl     = 0,
  parameter bit          TestHooks    = 1'b0,
  parameter              BootFile     = "",
  parameter              FirmwareFile = "",
  parameter              Slot0File    = "",
  parameter              IdentityFile = ""
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        rst_sticky_i,

  // wire face
  input  logic        rx_valid_i,
  output logic        rx_ready_o,
  input  wire_beat_t  rx_i,
  output logic [2:0]  release_o,       // pulse per class: a received TLP is done with
  output logic        tx_valid_o,
  input  logic        tx_ready_i,
  output wire_beat_t  tx_o,
  input  logic [2:0]  credit_ok_i,     // per class: the link can take one more TLP
  output logic [2:0]  consume_o,       // pulse per class: a TLP was granted
  output logic [2:0]  unconsume_o,     // pulse per class: a granted TLP was dropped before the wire
  output logic        sync_consume_o,  // pulse: one more posted TLP (IDE Sync, IDE Fail)

  // entropy source
  input  logic        entropy_valid_i,
  output logic        entropy_ready_o,
  input  logic [31:0] entropy_i,
  input  logic        entropy_is_deterministic_i,

  input  logic [63:0] cycle_i,
  output logic        idle_o
);

  localparam int unsigned NumSources = NumTdi + 4;  // completer, errors, router, F0, functions
  localparam int unsigned SrcCpl  = 0;
  localparam int unsigned SrcErr  = 1;
  localparam int unsigned SrcPme  = 2;
  localparam int unsigned SrcF0   = 3;
  localparam int unsigned SrcTdi  = 4;
  localparam int unsigned NumAer  = NumTdi + 3;     // ingress, IDE, router, functions

  // ---- shared state -----------------------------------------------------------------------------
  func_cfg_t  [NumTdi:0]       func_cfg;
  block_cfg_t [NUM_BLOCKS-1:0] block_cfg;
  tdi_view_t  [NumTdi-1:0]     view;        // closed in the cycle of an event
  tdi_view_t  [NumTdi-1:0]     state_view;  // from registers
  logic [NumTdi-1:0][63:20]    p2p_mask;
  logic [12:0]                 bus_dev;
  logic                        bus_dev_change;
  cfg_write_event_t            write_event;
  logic [NumTdi:0]             flr, pending, cpl_ur, cpl_ca;
  logic [NUM_BLOCKS-1:0]       stream_secure, insecure_event, icf, reconfig, disabled, fail_received;
  logic [NUM_BLOCKS-1:0]       rx_overflow, tx_overflow;
  logic [NUM_BLOCKS-1:0][15:0] stream_tag;

  // ---- receive path -----------------------------------------------------------------------------
  logic        ing_valid, ing_ready, ing_malformed, rx_valid, rx_ready;
  tlp_beat_t   ing, rx;
  logic [95:0] ing_mac;
  logic [6:0]  max_payload_dw;
  logic        rx_drop, p_release, np_release, cpl_release;
  tlp_class_e  rx_drop_class;
  logic        rx_busy, tx_busy;

  aer_event_t [NumAer-1:0] aer_in;
  logic [NumAer-1:0]       aer_in_valid, aer_in_ready;
  aer_event_t              aer;
  logic                    aer_valid, aer_ready;

  // Max_Payload_Size of the functions: the largest one bounds what may arrive.
  always_comb begin
    max_payload_dw = 7'd32;
    for (int f = 0; f <= int'(NumTdi); f++) begin
      if (func_cfg[f].mps != 3'd0) max_payload_dw = 7'd64;
    end
  end

  tlp_ingress u_ingress (
    .clk_i, .rst_i, .max_payload_dw_i(max_payload_dw),
    .wire_valid_i(rx_valid_i), .wire_ready_o(rx_ready_o), .wire_i(rx_i),
    .ing_valid_o(ing_valid), .ing_ready_i(ing_ready), .ing_o(ing), .ing_mac_o(ing_mac),
    .ing_malformed_o(ing_malformed),
    .aer_valid_o(aer_in_valid[0]), .aer_ready_i(aer_in_ready[0]), .aer_o(aer_in[0])
  );

  logic         rx_use_valid, rx_load_valid, rx_load_ready, rx_load_done, rx_erase_valid,
                rx_erase_ready, rx_erase_done, tx_use_valid, tx_active, tx_load_valid, tx_load_ready,
                tx_load_done, tx_erase_valid, tx_erase_ready, tx_erase_done;
  logic [4:0]   rx_use_slot, rx_erase_idx, tx_use_slot, tx_erase_idx, load_idx;
  logic [255:0] load_key;
  logic [NUM_KEY_SLOTS-1:0] rx_key_ok, tx_key_ok;
  logic [NUM_CHANNELS-1:0]  rx_live, rx_used, tx_live, tx_used;
  logic         fail_send_valid, np_sent_valid, np_sent_ide;
  logic [1:0]   fail_send_block, np_sent_block;
  logic [127:0] np_sent_header;

  ide_rx #(.NumFunc(NumTdi + 1), .SboxImpl(SboxImpl)) u_ide_rx (
    .clk_i, .rst_i,
    .ing_valid_i(ing_valid), .ing_ready_o(ing_ready), .ing_i(ing), .ing_mac_i(ing_mac),
    .ing_malformed_i(ing_malformed),
    .rx_valid_o(rx_valid), .rx_ready_i(rx_ready), .rx_o(rx),
    .drop_o(rx_drop), .drop_class_o(rx_drop_class), .busy_o(rx_busy),
    .aer_valid_o(aer_in_valid[1]), .aer_ready_i(aer_in_ready[1]), .aer_o(aer_in[1]),
    .fail_received_o(fail_received),
    .fail_send_valid_o(fail_send_valid), .fail_send_block_o(fail_send_block),
    .np_sent_valid_i(np_sent_valid), .np_sent_header_i(np_sent_header),
    .np_sent_ide_i(np_sent_ide), .np_sent_block_i(np_sent_block),
    .block_cfg_i(block_cfg), .secure_i(stream_secure), .key_ok_i(rx_key_ok), .live_i(rx_live),
    .used_i(rx_used), .use_valid_o(rx_use_valid), .use_slot_o(rx_use_slot), .icf_o(icf),
    .overflow_o(rx_overflow),
    .load_valid_i(rx_load_valid), .load_ready_o(rx_load_ready), .load_idx_i(load_idx),
    .load_key_i(load_key), .load_done_o(rx_load_done),
    .erase_valid_i(rx_erase_valid), .erase_ready_o(rx_erase_ready),
    .erase_idx_i(rx_erase_idx), .erase_done_o(rx_erase_done)
  );

  logic        wr_valid, wr_ready, np_valid, np_ready, cpl_rx_valid, slot_power_valid;
  tlp_beat_t   wr, cpl_rx;
  logic [2:0]  wr_func, cpl_rx_func;
  np_req_t     np;
  logic [9:0]  slot_power;

  tlp_beat_t [NumSources-1:0] src;
  logic [NumSources-1:0]      src_valid, src_ready;

  tlp_router #(.NumTdi(NumTdi)) u_router (
    .clk_i, .rst_i,
    .rx_valid_i(rx_valid), .rx_ready_o(rx_ready), .rx_i(rx),
    .func_cfg_i(func_cfg), .bus_dev_i(bus_dev), .tdi_view_i(view),
    .wr_valid_o(wr_valid), .wr_ready_i(wr_ready), .wr_o(wr), .wr_func_o(wr_func),
    .np_valid_o(np_valid), .np_ready_i(np_ready), .np_o(np),
    .cpl_valid_o(cpl_rx_valid), .cpl_o(cpl_rx), .cpl_func_o(cpl_rx_func),
    .msg_valid_o(src_valid[SrcPme]), .msg_ready_i(src_ready[SrcPme]), .msg_o(src[SrcPme]),
    .slot_power_valid_o(slot_power_valid), .slot_power_o(slot_power),
    .aer_valid_o(aer_in_valid[2]), .aer_ready_i(aer_in_ready[2]), .aer_o(aer_in[2]),
    .p_release_o(p_release), .np_release_o(np_release), .cpl_release_o(cpl_release)
  );

  // A TLP that IDE or the ingress dropped gives its buffer back here, the others at the router;
  // both may happen to one class in one cycle.
  logic [2:0] router_release;
  assign router_release = {cpl_release, np_release, p_release};

  for (genvar c = 0; c < 3; c++) begin : gen_release
    release_merge u_release (
      .clk_i, .rst_i, .a_i(router_release[c]), .b_i(rx_drop && rx_drop_class == 2'(c)),
      .release_o(release_o[c])
    );
  end

  // ---- completer and local bus ------------------------------------------------------------------
  logic         lb_valid, lb_we;
  logic [2:0]   lb_func, lb_func_q;
  logic [15:2]  lb_addr;
  logic [3:0]   lb_be;
  logic [31:0]  lb_wdata;
  logic [NumTdi:0][31:0] lb_rdata;
  logic [31:0]  lb_rdata_sel;
  logic         acc_valid, acc_ready, acc_we, acc_rvalid, cpl_sent;
  logic [2:0]   acc_func;
  logic [11:2]  acc_addr;
  logic [3:0]   acc_be;
  logic [31:0]  acc_wdata, acc_rdata;
  logic [12:0]  acc_bus_dev;

  always_ff @(posedge clk_i) if (lb_valid) lb_func_q <= lb_func;

  always_comb begin
    lb_rdata_sel = '0;
    for (int f = 0; f <= int'(NumTdi); f++) begin
      if (lb_func_q == 3'(f)) lb_rdata_sel = lb_rdata[f];
    end
  end

  tlp_completer #(.NumTdi(NumTdi)) u_completer (
    .clk_i, .rst_i,
    .func_cfg_i(func_cfg), .bus_dev_i(bus_dev), .tdi_view_i(view),
    .wr_valid_i(wr_valid), .wr_ready_o(wr_ready), .wr_i(wr), .wr_func_i(wr_func),
    .np_valid_i(np_valid), .np_ready_o(np_ready), .np_i(np),
    .lb_valid_o(lb_valid), .lb_we_o(lb_we), .lb_func_o(lb_func), .lb_addr_o(lb_addr),
    .lb_be_o(lb_be), .lb_wdata_o(lb_wdata), .lb_rdata_i(lb_rdata_sel),
    .acc_valid_o(acc_valid), .acc_ready_i(acc_ready), .acc_we_o(acc_we), .acc_func_o(acc_func),
    .acc_addr_o(acc_addr), .acc_be_o(acc_be), .acc_wdata_o(acc_wdata),
    .acc_bus_dev_o(acc_bus_dev), .acc_rvalid_i(acc_rvalid), .acc_rdata_i(acc_rdata),
    .cpl_valid_o(src_valid[SrcCpl]), .cpl_ready_i(src_ready[SrcCpl]), .cpl_o(src[SrcCpl]),
    .cpl_sent_o(cpl_sent)
  );

  // ---- configuration space ----------------------------------------------------------------------
  logic        snap_valid, snap_ready, snap_rvalid, doe_write;
  logic [2:0]  snap_func;
  logic [11:2] snap_addr;
  logic [31:0] snap_rdata, doe_control, doe_status, doe_read_data, doe_wdata;
  logic [4:2]  doe_addr;

  stream_arbiter #(.NumIn(NumAer), .Width($bits(aer_event_t))) u_aer_arbiter (
    .clk_i, .rst_i,
    .in_valid_i(aer_in_valid), .in_ready_o(aer_in_ready), .in_data_i(aer_in),
    .out_valid_o(aer_valid), .out_ready_i(aer_ready), .out_data_o(aer)
  );

  cfg_space #(.NumTdi(NumTdi)) u_cfg (
    .clk_i, .rst_i, .rst_sticky_i,
    .acc_valid_i(acc_valid), .acc_ready_o(acc_ready), .acc_we_i(acc_we), .acc_func_i(acc_func),
    .acc_addr_i(acc_addr), .acc_be_i(acc_be), .acc_wdata_i(acc_wdata),
    .acc_bus_dev_i(acc_bus_dev), .acc_rvalid_o(acc_rvalid), .acc_rdata_o(acc_rdata),
    .snap_valid_i(snap_valid), .snap_ready_o(snap_ready), .snap_func_i(snap_func),
    .snap_addr_i(snap_addr), .snap_rvalid_o(snap_rvalid), .snap_rdata_o(snap_rdata),
    .func_cfg_o(func_cfg), .bus_dev_o(bus_dev), .bus_dev_change_o(bus_dev_change),
    .block_cfg_o(block_cfg), .write_event_o(write_event),
    .cpl_sent_i(cpl_sent), .flr_o(flr),
    .block_state_i(stream_secure), .fail_received_i(fail_received), .transactions_pending_i(pending),
    .cpl_ur_i(cpl_ur), .cpl_ca_i(cpl_ca),
    .slot_power_valid_i(slot_power_valid), .slot_power_i(slot_power),
    .doe_control_i(doe_control), .doe_status_i(doe_status), .doe_read_data_i(doe_read_data),
    .doe_write_o(doe_write), .doe_addr_o(doe_addr), .doe_wdata_o(doe_wdata),
    .aer_valid_i(aer_valid), .aer_ready_o(aer_ready), .aer_i(aer),
    .msg_valid_o(src_valid[SrcErr]), .msg_ready_i(src_ready[SrcErr]), .msg_o(src[SrcErr])
  );

  // ---- TDISP ------------------------------------------------------------------------------------
  logic [NumTdi-1:0] violation, quiesce, drained, erase, erased, dma_error, tdi_error_event;
  logic              cmd_valid, cmd_ready, res_valid, res_ready, kill_valid;
  logic              dsm_kill_valid, key_kill_valid;
  logic [15:0]       kill_tag, dsm_kill_tag, key_kill_tag;
  tdi_cmd_t          cmd;
  tdi_res_t          res;
  logic              rnd_valid, rnd_ready, rnd_tdi_ready, rnd_dsm_ready;
  logic [31:0]       rnd;

  // The end of a session reaches the TDIs in the cycle of the DSM's write, and once more when the
  // key store has taken it.
  assign kill_valid = dsm_kill_valid || key_kill_valid;
  assign kill_tag   = dsm_kill_valid ? dsm_kill_tag : key_kill_tag;

  config_watch #(.NumTdi(NumTdi)) u_watch (
    .write_event_i(write_event), .bus_dev_change_i(bus_dev_change), .flr_i(flr), .view_i(state_view),
    .block_cfg_i(block_cfg), .violation_o(violation), .reconfig_o(reconfig),
    .disable_o(disabled)
  );

  tdi_control #(.NumTdi(NumTdi)) u_tdi_control (
    .clk_i, .rst_i,
    .cmd_valid_i(cmd_valid), .cmd_ready_o(cmd_ready), .cmd_i(cmd),
    .res_valid_o(res_valid), .res_ready_i(res_ready), .res_o(res),
    .rnd_valid_i(rnd_valid), .rnd_ready_o(rnd_tdi_ready), .rnd_i(rnd),
    .violation_i(violation), .dma_error_i(dma_error), .block_cfg_i(block_cfg),
    .stream_secure_i(stream_secure), .stream_tag_i(stream_tag),
    .kill_tag_valid_i(kill_valid), .kill_tag_i(kill_tag), .func_cfg_i(func_cfg),
    .quiesce_o(quiesce), .drained_i(drained), .erase_o(erase), .erased_i(erased),
    .view_o(view), .p2p_mask_o(p2p_mask), .state_view_o(state_view), .error_event_o(tdi_error_event)
  );

  // ---- functions --------------------------------------------------------------------------------
  logic              doe_irq;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [NumTdi-1:0] f_busy;  // a DMA engine that waits for the host is no activity: see idle_o
  /* verilator lint_on UNUSEDSIGNAL */

  mgmt_function u_f0 (
    .clk_i, .rst_i,
    .lb_sel_i(lb_valid && lb_func == 3'd0), .lb_we_i(lb_we), .lb_addr_i(lb_addr[11:2]),
    .lb_be_i(lb_be), .lb_wdata_i(lb_wdata), .lb_rdata_o(lb_rdata[0]),
    .cfg_i(func_cfg[0]), .requester_id_i({bus_dev, 3'd0}), .flr_i(flr[0]),
    .doe_irq_i(doe_irq), .cycle_i,
    .tx_valid_o(src_valid[SrcF0]), .tx_ready_i(src_ready[SrcF0]), .tx_o(src[SrcF0])
  );
  assign pending[0] = 1'b0;
  assign cpl_ur[0]  = 1'b0;
  assign cpl_ca[0]  = 1'b0;

  for (genvar i = 0; i < int'(NumTdi); i++) begin : gen_tdi
    localparam logic [2:0] FuncNum = 3'(i) + 3'd1;
    logic      f_tx_valid, f_tx_ready, f_tx_is_msix, f_dropped;
    tlp_beat_t f_tx;

    tdi_function #(
      .TdiIdx(i), .WorkMemBytes(WorkMemBytes)
    ) u_function (
      .clk_i, .rst_i,
      .lb_sel_i(lb_valid && lb_func == FuncNum), .lb_we_i(lb_we), .lb_addr_i(lb_addr),
      .lb_be_i(lb_be), .lb_wdata_i(lb_wdata), .lb_rdata_o(lb_rdata[i+1]),
      .view_i(view[i]), .cfg_i(func_cfg[i+1]), .requester_id_i({bus_dev, FuncNum}),
      .flr_i(flr[i+1]), .quiesce_i(quiesce[i]), .drained_o(drained[i]), .erase_i(erase[i]),
      .erased_o(erased[i]), .dma_error_o(dma_error[i]),
      .tx_valid_o(f_tx_valid), .tx_ready_i(f_tx_ready), .tx_o(f_tx),
      .tx_is_msix_o(f_tx_is_msix), .tx_dropped_i(f_dropped),
      .cpl_valid_i(cpl_rx_valid && cpl_rx_func == FuncNum), .cpl_i(cpl_rx),
      .busy_o(f_busy[i]), .transactions_pending_o(pending[i+1]),
      .cpl_ur_o(cpl_ur[i+1]), .cpl_ca_o(cpl_ca[i+1]),
      .aer_valid_o(aer_in_valid[3+i]), .aer_ready_i(aer_in_ready[3+i]), .aer_o(aer_in[3+i]),
      .cycle_i
    );

    tdi_dma_gate u_gate (
      .clk_i, .rst_i, .view_i(view[i]), .p2p_mask_i(p2p_mask[i]), .block_cfg_i(block_cfg),
      .in_valid_i(f_tx_valid), .in_ready_o(f_tx_ready), .in_i(f_tx),
      .in_is_msix_i(f_tx_is_msix), .dropped_o(f_dropped),
      .out_valid_o(src_valid[SrcTdi+i]), .out_ready_i(src_ready[SrcTdi+i]),
      .out_o(src[SrcTdi+i])
    );
  end

  // ---- transmit path ----------------------------------------------------------------------------
  logic        tx_valid, tx_ready, eg_valid, eg_ready, eg_mac_valid, tx_drop;
  tlp_class_e  tx_drop_class;
  tlp_beat_t   tx, eg;
  logic [95:0] eg_mac;

  tx_arbiter #(.NumIn(NumSources)) u_arbiter (
    .clk_i, .rst_i, .in_valid_i(src_valid), .in_ready_o(src_ready), .in_i(src),
    .credit_ok_i, .consume_o, .out_valid_o(tx_valid), .out_ready_i(tx_ready), .out_o(tx)
  );

  ide_tx #(.SboxImpl(SboxImpl)) u_ide_tx (
    .clk_i, .rst_i, .requester_id_i({bus_dev, 3'd0}),
    .tx_valid_i(tx_valid), .tx_ready_o(tx_ready), .tx_i(tx), .drop_o(tx_drop),
    .drop_class_o(tx_drop_class), .busy_o(tx_busy), .sync_consume_o,
    .eg_valid_o(eg_valid), .eg_ready_i(eg_ready), .eg_o(eg), .eg_mac_o(eg_mac),
    .eg_mac_valid_o(eg_mac_valid),
    .fail_send_valid_i(fail_send_valid), .fail_send_block_i(fail_send_block),
    .np_sent_valid_o(np_sent_valid), .np_sent_header_o(np_sent_header),
    .np_sent_ide_o(np_sent_ide), .np_sent_block_o(np_sent_block),
    .block_cfg_i(block_cfg), .secure_i(stream_secure), .key_ok_i(tx_key_ok), .live_i(tx_live),
    .used_i(tx_used), .active_o(tx_active), .use_valid_o(tx_use_valid), .use_slot_o(tx_use_slot),
    .overflow_o(tx_overflow),
    .load_valid_i(tx_load_valid), .load_ready_o(tx_load_ready), .load_idx_i(load_idx),
    .load_key_i(load_key), .load_done_o(tx_load_done),
    .erase_valid_i(tx_erase_valid), .erase_ready_o(tx_erase_ready),
    .erase_idx_i(tx_erase_idx), .erase_done_o(tx_erase_done)
  );

  always_comb begin
    unconsume_o = '0;
    if (tx_drop) unconsume_o[tx_drop_class] = 1'b1;
  end

  tlp_egress u_egress (
    .clk_i, .rst_i, .eg_valid_i(eg_valid), .eg_ready_o(eg_ready), .eg_i(eg), .eg_mac_i(eg_mac),
    .eg_mac_valid_i(eg_mac_valid),
    .wire_valid_o(tx_valid_o), .wire_ready_i(tx_ready_i), .wire_o(tx_o)
  );

  // ---- stream state and keys --------------------------------------------------------------------
  logic        key_valid, key_ready, key_status_valid;
  key_cmd_t    key;
  key_status_e key_status;
  logic        cpu_idle, dsm_fatal, drbg_seeded, drbg_failed;

  ide_streams u_streams (
    .clk_i, .rst_i,
    .key_valid_i(key_valid), .key_ready_o(key_ready), .key_i(key),
    .key_status_valid_o(key_status_valid), .key_status_o(key_status),
    .kill_tag_valid_o(key_kill_valid), .kill_tag_o(key_kill_tag),
    .block_cfg_i(block_cfg), .icf_i(icf),
    .reconfig_i(reconfig | disabled | {NUM_BLOCKS{dsm_fatal}}),
    .flr0_i(flr[0]), .rx_overflow_i(rx_overflow), .tx_overflow_i(tx_overflow),
    .secure_o(stream_secure), .insecure_event_o(insecure_event), .stream_tag_o(stream_tag),
    .rx_key_ok_o(rx_key_ok), .rx_live_o(rx_live), .rx_used_o(rx_used),
    .tx_key_ok_o(tx_key_ok), .tx_live_o(tx_live), .tx_used_o(tx_used),
    .rx_use_valid_i(rx_use_valid), .rx_use_slot_i(rx_use_slot),
    .tx_active_i(tx_active), .tx_use_valid_i(tx_use_valid), .tx_use_slot_i(tx_use_slot),
    .rx_load_valid_o(rx_load_valid), .rx_load_ready_i(rx_load_ready),
    .rx_load_done_i(rx_load_done),
    .tx_load_valid_o(tx_load_valid), .tx_load_ready_i(tx_load_ready),
    .tx_load_done_i(tx_load_done), .load_idx_o(load_idx), .load_key_o(load_key),
    .rx_erase_valid_o(rx_erase_valid), .rx_erase_ready_i(rx_erase_ready),
    .rx_erase_idx_o(rx_erase_idx), .rx_erase_done_i(rx_erase_done),
    .tx_erase_valid_o(tx_erase_valid), .tx_erase_ready_i(tx_erase_ready),
    .tx_erase_idx_o(tx_erase_idx), .tx_erase_done_i(tx_erase_done)
  );

  // ---- device security manager ------------------------------------------------------------------
  dsm_soc #(
    .NumTdi(NumTdi), .TestHooks(TestHooks), .SboxImpl(SboxImpl),
    .BootFile(BootFile), .FirmwareFile(FirmwareFile), .Slot0File(Slot0File), .IdentityFile(IdentityFile)
  ) u_dsm (
    .clk_i, .rst_i,
    .doe_write_i(doe_write), .doe_addr_i(doe_addr), .doe_wdata_i(doe_wdata),
    .doe_control_o(doe_control), .doe_status_o(doe_status), .doe_read_data_o(doe_read_data),
    .doe_irq_o(doe_irq),
    .key_valid_o(key_valid), .key_ready_i(key_ready), .key_o(key),
    .key_status_valid_i(key_status_valid), .key_status_i(key_status),
    .kill_tag_valid_o(dsm_kill_valid), .kill_tag_o(dsm_kill_tag),
    .cmd_valid_o(cmd_valid), .cmd_ready_i(cmd_ready), .cmd_o(cmd),
    .res_valid_i(res_valid), .res_ready_o(res_ready), .res_i(res), .tdi_view_i(state_view),
    .snap_valid_o(snap_valid), .snap_ready_i(snap_ready), .snap_func_o(snap_func),
    .snap_addr_o(snap_addr), .snap_rvalid_i(snap_rvalid), .snap_rdata_i(snap_rdata),
    .bus_dev_i(bus_dev),
    .flr0_i(flr[0]), .insecure_event_i(insecure_event), .tdi_error_event_i(tdi_error_event),
    .rnd_valid_i(rnd_valid && !rnd_tdi_ready), .rnd_ready_o(rnd_dsm_ready), .rnd_i(rnd),
    .seed_deterministic_i(entropy_is_deterministic_i),
    .cycle_i, .cpu_idle_o(cpu_idle), .fatal_o(dsm_fatal)
  );

  // The start nonce goes first; a word is given to one consumer only.
  assign rnd_ready = rnd_tdi_ready || rnd_dsm_ready;

  drbg #(.SboxImpl(SboxImpl)) u_drbg (
    .clk_i, .rst_i, .zeroize_i(1'b0),
    .entropy_valid_i, .entropy_ready_o, .entropy_i,
    .rnd_valid_o(rnd_valid), .rnd_ready_i(rnd_ready), .rnd_o(rnd),
    .seeded_o(drbg_seeded), .failed_o(drbg_failed)
  );

  // Idle: nothing handed over between blocks, CPU asleep, nothing erased or drawn, for long enough
  // that no block can be in the middle of something it does by itself. A DMA engine that waits for
  // completions is idle: only the host can move it.
  localparam logic [6:0] QuietCycles = 7'd40;
  logic       active;
  logic [6:0] quiet_q;

  assign active = !cpu_idle || rx_valid_i || ing_valid || rx_busy || wr_valid || np_valid ||
                  acc_valid || lb_valid || tx_valid || tx_busy || eg_valid || tx_valid_o ||
                  src_valid != '0 || aer_in_valid != '0 || aer_valid || erased != '1 ||
                  cmd_valid || res_valid || key_valid || rx_erase_valid || tx_erase_valid ||
                  (drbg_seeded && !drbg_failed && !rnd_valid);
  assign idle_o = quiet_q == QuietCycles && !active;

  always_ff @(posedge clk_i) begin
    if (rst_i || active) quiet_q <= '0;
    else if (quiet_q != QuietCycles) quiet_q <= quiet_q + 1'b1;
  end

endmodule
