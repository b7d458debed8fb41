// SPDX-License-Identifier: Apache-2.0
// Test bench: tlp_ingress feeding tlp_egress, so that a legal TLP must come back byte for byte.
module tlp_edges
  import pcie_pkg::*;
(
  input  logic       clk_i,
  input  logic       rst_i,
  input  logic       wire_valid_i,
  output logic       wire_ready_o,
  input  wire_beat_t wire_i,
  output logic       wire_valid_o,
  input  logic       wire_ready_i,
  output wire_beat_t wire_o,
  output logic       malformed_seen_o
);

  logic        valid, ready, malformed, aer_valid;
  tlp_beat_t   beat;
  logic [95:0] mac;
  aer_event_t  aer;

  tlp_ingress u_ingress (
    .clk_i,
    .rst_i,
    .max_payload_dw_i(7'd64),
    .wire_valid_i,
    .wire_ready_o,
    .wire_i,
    .ing_valid_o     (valid),
    .ing_ready_i     (ready),
    .ing_o           (beat),
    .ing_mac_o       (mac),
    .ing_malformed_o (malformed),
    .aer_valid_o     (aer_valid),
    .aer_ready_i     (1'b1),
    .aer_o           (aer)
  );

  tlp_egress u_egress (
    .clk_i,
    .rst_i,
    .eg_valid_i    (valid),
    .eg_ready_o    (ready),
    .eg_i          (beat),
    .eg_mac_i      (mac),
    .eg_mac_valid_i(beat.meta.ide && beat.prefix[2]),
    .wire_valid_o,
    .wire_ready_i,
    .wire_o
  );

  always_ff @(posedge clk_i) begin
    if (rst_i) malformed_seen_o <= 1'b0;
    else if (valid && malformed) malformed_seen_o <= 1'b1;
  end

endmodule
