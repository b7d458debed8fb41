// SPDX-License-Identifier: Apache-2.0
// Bench link: a byte stream (UART, TCP, pty) on one side, the endpoint's wire face on the other.
//
// Contract: docs/bench_link.md. TLPs are neither lost nor doubled; a class without credit does not
// hold up the others; garbage and a host that vanishes in mid-frame leave nothing behind. This block
// is reset at power-on only. It survives the conventional reset it performs for the host: frames and
// sequence numbers go on, TLPs that wait for the endpoint are dropped, and the running totals are
// those of an endpoint that holds no TLP. Never more than *Slots TLPs of a class are inside the
// endpoint, whatever the host sends; a link restart leaves them there.
module bench_link
  import pcie_pkg::*;
  import link_pkg::*;
#(
  parameter int unsigned NumTdi           = 3,
  parameter int unsigned RetransmitCycles = 4_800_000,
  parameter int unsigned PostedSlots      = 8,
  parameter int unsigned NonPostedSlots   = 8,
  parameter int unsigned CplSlots         = 8,
  parameter bit          TestHooks        = 1'b0
) (
  input  logic         clk_i,
  input  logic         rst_i,

  input  logic         byte_valid_i,
  input  logic [7:0]   byte_i,
  output logic         byte_valid_o,
  input  logic         byte_ready_i,
  output logic [7:0]   byte_o,

  // to the endpoint
  output logic         rx_valid_o,
  input  logic         rx_ready_i,
  output wire_beat_t   rx_o,
  input  logic [2:0]   release_i,      // pulse per class: the endpoint is done with one TLP
  // from the endpoint
  input  logic         tx_valid_i,
  output logic         tx_ready_o,
  input  wire_beat_t   tx_i,
  output logic [2:0]   credit_ok_o,
  input  logic [2:0]   consume_i,      // pulse per class: a TLP was granted
  input  logic [2:0]   unconsume_i,    // pulse per class: a granted TLP was dropped after all
  input  logic         sync_consume_i, // pulse: one more posted TLP (IDE Sync, IDE Fail)

  input  logic [63:0]  cycle_i,
  output logic         conv_rst_o,
  output logic         idle_o
);

  logic         ctl_valid, ctl_ready, rsp_valid, rsp_ready;
  logic [127:0] ctl, rsp;
  logic [2:0]   rsp_dws;
  logic         peer_valid, nak_received, sync, send_ack, send_nak, rx_empty, tx_idle, ctl_idle;
  peer_info_t   peer;
  logic [31:0]  sync_nonce, good_frames, bad_frames, sent_frames, retransmits;
  logic [7:0]   expected_seq;
  logic [2:0][7:0] grant_q, peer_grant_q, consumed_q, received_q, stored_q;
  logic            accept, stored;
  tlp_class_e      accept_class, stored_class;
  logic [2:0][7:0] credit;
  logic [2:0][7:0] inside_q;         // TLPs handed on and not yet released
  logic [2:0]      room, received, released;
  logic            announce;

  link_rx u_rx (
    .clk_i, .rst_i, .flush_i(conv_rst_o),
    .byte_valid_i, .byte_i,
    .wire_valid_o(rx_valid_o), .wire_ready_i(rx_ready_i), .wire_o(rx_o),
    .accept_o(accept), .accept_class_o(accept_class), .room_i(room), .received_o(received),
    .ctl_valid_o(ctl_valid), .ctl_ready_i(ctl_ready), .ctl_o(ctl),
    .peer_valid_o(peer_valid), .peer_o(peer), .nak_received_o(nak_received),
    .sync_o(sync), .sync_nonce_o(sync_nonce),
    .send_ack_o(send_ack), .send_nak_o(send_nak), .expected_seq_o(expected_seq),
    .empty_o(rx_empty), .good_frames_o(good_frames), .bad_frames_o(bad_frames)
  );

  link_tx #(.RetransmitCycles(RetransmitCycles)) u_tx (
    .clk_i, .rst_i, .flush_i(conv_rst_o),
    .wire_valid_i(tx_valid_i), .wire_ready_o(tx_ready_o), .wire_i(tx_i),
    .stored_o(stored), .stored_class_o(stored_class),
    .ctl_valid_i(rsp_valid), .ctl_ready_o(rsp_ready), .ctl_i(rsp), .ctl_dws_i(rsp_dws),
    .peer_valid_i(peer_valid), .peer_ack_i(peer.ack), .nak_received_i(nak_received),
    .sync_i(sync), .sync_nonce_i(sync_nonce),
    .send_ack_i(send_ack || nak_received || announce), .send_nak_i(send_nak), .expected_seq_i(expected_seq),
    .grant_i(grant_q),
    .byte_valid_o, .byte_ready_i, .byte_o,
    .idle_o(tx_idle), .sent_frames_o(sent_frames), .retransmits_o(retransmits)
  );

  link_control #(.NumTdi(NumTdi), .TestHooks(TestHooks)) u_control (
    .clk_i, .rst_i,
    .req_valid_i(ctl_valid), .req_ready_o(ctl_ready), .req_i(ctl),
    .rsp_valid_o(rsp_valid), .rsp_ready_i(rsp_ready), .rsp_o(rsp), .rsp_dws_o(rsp_dws),
    .sync_i(sync), .cycle_i,
    .good_frames_i(good_frames), .bad_frames_i(bad_frames),
    .sent_frames_i(sent_frames), .retransmits_i(retransmits),
    .conv_rst_o, .idle_o(ctl_idle)
  );

  localparam logic [2:0][7:0] SLOTS = {CplSlots[7:0], NonPostedSlots[7:0], PostedSlots[7:0]};

  // Credits are running totals modulo 256, so a repeated or lost frame cannot falsify them. Posted
  // keeps three in hand for messages that ide_tx inserts behind the arbiter.
  always_comb begin
    // Every TLP received is acknowledged with the totals of that time. If they left no credit, the
    // next release has to be told by itself; a NAK asks again for what was lost.
    announce = 1'b0;
    for (int c = 0; c < 3; c++) begin
      room[c]     = inside_q[c] != SLOTS[c];
      released[c] = release_i[c] && inside_q[c] != '0;
      if (released[c] && !room[c]) announce = 1'b1;
    end
    for (int c = 0; c < 3; c++) begin
      credit[c]      = peer_grant_q[c] - consumed_q[c];
      credit_ok_o[c] = !credit[c][7] && credit[c] > ((c == 0) ? 8'd3 : 8'd0);
    end
  end

  always_ff @(posedge clk_i) begin
    for (int c = 0; c < 3; c++) begin
      if (released[c]) grant_q[c] <= grant_q[c] + 1'b1;
      inside_q[c] <= inside_q[c] + 8'(received[c]) - 8'(released[c]);
      if (peer_valid) peer_grant_q[c] <= peer.grant[c];
      consumed_q[c] <= consumed_q[c] + {7'd0, consume_i[c]} - {7'd0, unconsume_i[c]} +
                       {7'd0, c == 0 && sync_consume_i};
    end
    for (int c = 0; c < 3; c++) begin
      if (accept && accept_class == tlp_class_e'(c)) received_q[c] <= received_q[c] + 1'b1;
      if (stored && stored_class == tlp_class_e'(c)) stored_q[c] <= stored_q[c] + 1'b1;
      // A TLP that arrives in the last cycle of the reset waits for the endpoint: not counted yet.
      if (conv_rst_o) begin
        grant_q[c]    <= received_q[c] + SLOTS[c];
        consumed_q[c] <= stored_q[c];
        inside_q[c]   <= 8'(received[c]);
      end
      // What a former host left inside still needs its buffers.
      if (sync) grant_q[c] <= SLOTS[c] - inside_q[c] + 8'(released[c]);
    end
    if (rst_i) begin
      grant_q      <= SLOTS;
      inside_q     <= '0;
    end
    if (sync || rst_i) begin
      peer_grant_q <= rst_i ? '0 : peer.grant;
      consumed_q   <= '0;
      received_q   <= '0;
      stored_q     <= '0;
    end
  end

  assign idle_o = rx_empty && tx_idle && ctl_idle && !byte_valid_i;

endmodule
