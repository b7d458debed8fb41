// SPDX-License-Identifier: Apache-2.0
// Test top: ide_streams with both directions, wired as in the device; packed arrays flattened.
module ide_bench
  import ide_pkg::*;
  import pcie_pkg::*;
(
  input  logic         clk_i,
  input  logic         rst_i,

  input  logic         key_valid_i,
  output logic         key_ready_o,
  input  logic [$bits(key_cmd_t)-1:0] key_i,
  output logic         key_status_valid_o,
  output logic [1:0]   key_status_o,
  output logic         kill_tag_valid_o,
  output logic [15:0]  kill_tag_o,

  input  logic [NUM_BLOCKS*$bits(block_cfg_t)-1:0] block_cfg_i,
  input  logic [2:0]   reconfig_i,
  input  logic         flr0_i,
  output logic [2:0]   secure_o,
  output logic [2:0]   insecure_event_o,
  output logic [47:0]  stream_tag_o,
  output logic [2:0]   icf_o,
  output logic [2:0]   fail_received_o,
  output logic         fail_send_o,

  input  logic         ing_valid_i,
  output logic         ing_ready_o,
  input  logic [$bits(tlp_beat_t)-1:0] ing_i,
  input  logic [95:0]  ing_mac_i,
  input  logic         ing_malformed_i,
  output logic         rx_valid_o,
  input  logic         rx_ready_i,
  output logic [$bits(tlp_beat_t)-1:0] rx_o,
  output logic         aer_valid_o,
  input  logic         aer_ready_i,
  output logic         rx_drop_o,
  output logic [1:0]   rx_drop_class_o,
  output logic         rx_busy_o,
  output logic [$bits(aer_event_t)-1:0] aer_o,

  input  logic [15:0]  requester_id_i,
  input  logic         tx_valid_i,
  output logic         tx_ready_o,
  input  logic [$bits(tlp_beat_t)-1:0] tx_i,
  output logic         drop_o,
  output logic [1:0]   drop_class_o,
  output logic         tx_busy_o,
  output logic         sync_consume_o,
  output logic         eg_valid_o,
  input  logic         eg_ready_i,
  output logic [$bits(tlp_beat_t)-1:0] eg_o,
  output logic [95:0]  eg_mac_o,
  output logic         eg_mac_valid_o,

  // Pulses seen since reset, so that the test need not look at every cycle:
  // {kill_tag, fail_send, sync_consume, rx_drop, drop, insecure[2:0], fail_received[2:0], icf[2:0]}
  output logic [13:0][15:0] counts_o
);

  logic [13:0] pulses;
  assign pulses = {kill_tag_valid_o, fail_send_o, sync_consume_o, rx_drop_o, drop_o,
                   insecure_event_o, fail_received_o, icf_o};
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 14; i++) begin
      if (rst_i) counts_o[i] <= '0;
      else       counts_o[i] <= counts_o[i] + 16'(pulses[i]);
    end
  end

  block_cfg_t [NUM_BLOCKS-1:0]   block_cfg;
  logic [NUM_KEY_SLOTS-1:0]      rx_key_ok, tx_key_ok;
  logic [NUM_CHANNELS-1:0]       rx_live, rx_used, tx_live, tx_used;
  logic                          rx_use_valid, tx_use_valid, tx_active;
  logic [4:0]                    rx_use_slot, tx_use_slot, load_idx, rx_erase_idx, tx_erase_idx;
  logic [2:0]                    rx_overflow, tx_overflow;
  logic [255:0]                  load_key;
  logic                          rx_load_valid, rx_load_ready, rx_load_done;
  logic                          tx_load_valid, tx_load_ready, tx_load_done;
  logic                          rx_erase_valid, rx_erase_ready, rx_erase_done;
  logic                          tx_erase_valid, tx_erase_ready, tx_erase_done;
  logic                          fail_valid;
  logic [1:0]                    fail_block;
  logic                          np_valid, np_ide;
  logic [127:0]                  np_header;
  logic [1:0]                    np_block;
  key_status_e                   key_status;

  assign block_cfg    = block_cfg_i;
  assign fail_send_o  = fail_valid;
  assign key_status_o = key_status;

  ide_streams u_streams (
    .clk_i, .rst_i,
    .key_valid_i, .key_ready_o,
    .key_i              (key_cmd_t'(key_i)),
    .key_status_valid_o,
    .key_status_o       (key_status),
    .kill_tag_valid_o, .kill_tag_o,
    .block_cfg_i        (block_cfg),
    .icf_i              (icf_o),
    .reconfig_i, .flr0_i,
    .rx_overflow_i      (rx_overflow),
    .tx_overflow_i      (tx_overflow),
    .secure_o, .insecure_event_o, .stream_tag_o,
    .rx_key_ok_o        (rx_key_ok),
    .rx_live_o          (rx_live),
    .rx_used_o          (rx_used),
    .tx_key_ok_o        (tx_key_ok),
    .tx_live_o          (tx_live),
    .tx_used_o          (tx_used),
    .rx_use_valid_i     (rx_use_valid),
    .rx_use_slot_i      (rx_use_slot),
    .tx_active_i        (tx_active),
    .tx_use_valid_i     (tx_use_valid),
    .tx_use_slot_i      (tx_use_slot),
    .rx_load_valid_o    (rx_load_valid),
    .rx_load_ready_i    (rx_load_ready),
    .rx_load_done_i     (rx_load_done),
    .tx_load_valid_o    (tx_load_valid),
    .tx_load_ready_i    (tx_load_ready),
    .tx_load_done_i     (tx_load_done),
    .load_idx_o         (load_idx),
    .load_key_o         (load_key),
    .rx_erase_valid_o   (rx_erase_valid),
    .rx_erase_ready_i   (rx_erase_ready),
    .rx_erase_idx_o     (rx_erase_idx),
    .rx_erase_done_i    (rx_erase_done),
    .tx_erase_valid_o   (tx_erase_valid),
    .tx_erase_ready_i   (tx_erase_ready),
    .tx_erase_idx_o     (tx_erase_idx),
    .tx_erase_done_i    (tx_erase_done)
  );

  tlp_beat_t  rx_beat, eg_beat;
  aer_event_t aer;
  tlp_class_e rx_drop_class, tx_drop_class;
  assign rx_drop_class_o = rx_drop_class;
  assign drop_class_o    = tx_drop_class;
  assign rx_o  = rx_beat;
  assign eg_o  = eg_beat;
  assign aer_o = aer;

  ide_rx u_rx (
    .clk_i, .rst_i,
    .ing_valid_i, .ing_ready_o,
    .ing_i             (tlp_beat_t'(ing_i)),
    .ing_mac_i, .ing_malformed_i,
    .rx_valid_o, .rx_ready_i,
    .rx_o              (rx_beat),
    .drop_o            (rx_drop_o),
    .drop_class_o      (rx_drop_class),
    .busy_o            (rx_busy_o),
    .aer_valid_o, .aer_ready_i,
    .aer_o             (aer),
    .fail_received_o,
    .fail_send_valid_o (fail_valid),
    .fail_send_block_o (fail_block),
    .np_sent_valid_i   (np_valid),
    .np_sent_header_i  (np_header),
    .np_sent_ide_i     (np_ide),
    .np_sent_block_i   (np_block),
    .block_cfg_i       (block_cfg),
    .secure_i          (secure_o),
    .key_ok_i          (rx_key_ok),
    .live_i            (rx_live),
    .used_i            (rx_used),
    .use_valid_o       (rx_use_valid),
    .use_slot_o        (rx_use_slot),
    .icf_o,
    .overflow_o        (rx_overflow),
    .load_valid_i      (rx_load_valid),
    .load_ready_o      (rx_load_ready),
    .load_idx_i        (load_idx),
    .load_key_i        (load_key),
    .load_done_o       (rx_load_done),
    .erase_valid_i     (rx_erase_valid),
    .erase_ready_o     (rx_erase_ready),
    .erase_idx_i       (rx_erase_idx),
    .erase_done_o      (rx_erase_done)
  );

  ide_tx u_tx (
    .clk_i, .rst_i, .requester_id_i,
    .tx_valid_i, .tx_ready_o,
    .tx_i              (tlp_beat_t'(tx_i)),
    .drop_o,
    .drop_class_o      (tx_drop_class),
    .busy_o            (tx_busy_o),
    .sync_consume_o,
    .eg_valid_o, .eg_ready_i,
    .eg_o              (eg_beat),
    .eg_mac_o, .eg_mac_valid_o,
    .fail_send_valid_i (fail_valid),
    .fail_send_block_i (fail_block),
    .np_sent_valid_o   (np_valid),
    .np_sent_header_o  (np_header),
    .np_sent_ide_o     (np_ide),
    .np_sent_block_o   (np_block),
    .block_cfg_i       (block_cfg),
    .secure_i          (secure_o),
    .key_ok_i          (tx_key_ok),
    .live_i            (tx_live),
    .used_i            (tx_used),
    .active_o          (tx_active),
    .use_valid_o       (tx_use_valid),
    .use_slot_o        (tx_use_slot),
    .overflow_o        (tx_overflow),
    .load_valid_i      (tx_load_valid),
    .load_ready_o      (tx_load_ready),
    .load_idx_i        (load_idx),
    .load_key_i        (load_key),
    .load_done_o       (tx_load_done),
    .erase_valid_i     (tx_erase_valid),
    .erase_ready_o     (tx_erase_ready),
    .erase_idx_i       (tx_erase_idx),
    .erase_done_o      (tx_erase_done)
  );

endmodule
