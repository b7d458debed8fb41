// SPDX-License-Identifier: Apache-2.0
// Properties of tlp_ingress: streams hold, TLPs are framed, payload is bounded, one error per TLP.
module tlp_ingress_props
  import pcie_pkg::*;
(
  input logic        clk_i,
  input logic        rst_i,
  input logic        ing_valid_o,
  input logic        ing_ready_i,
  input tlp_beat_t   ing_o,
  input logic [95:0] ing_mac_o,
  input logic        ing_malformed_o,
  input logic        aer_valid_o,
  input logic        aer_ready_i,
  input aer_event_t  aer_o
);

  stream_props #(
    .Width   ($bits(tlp_beat_t) + 96 + 1),
    .MaxBeats(MAX_PAYLOAD_BEATS)
  ) u_ing (
    .clk_i,
    .rst_i,
    .valid_i(ing_valid_o),
    .ready_i(ing_ready_i),
    .last_i (ing_o.eop),
    .data_i ({ing_o, ing_mac_o, ing_malformed_o})
  );

  stream_props #(
    .Width($bits(aer_event_t))
  ) u_aer (
    .clk_i,
    .rst_i,
    .valid_i(aer_valid_o),
    .ready_i(aer_ready_i),
    .last_i (1'b1),
    .data_i (aer_o)
  );

  logic in_tlp_q;
  always_ff @(posedge clk_i) begin
    if (ing_valid_o && ing_ready_i) in_tlp_q <= !ing_o.eop;
    if (rst_i) in_tlp_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i && ing_valid_o) begin
      Assert_framed:         assert (ing_o.sop == !in_tlp_q);
      Assert_late_verdict:   assert (!ing_malformed_o || ing_o.eop);
      Assert_full_beats:     assert (ing_o.eop || ing_o.dw_valid == 4'hF);
      Assert_left_justified: assert (ing_o.dw_valid inside {4'h0, 4'h8, 4'hC, 4'hE, 4'hF});
      Assert_nothing_else:   assert (!ing_o.meta.associate && ing_o.meta.block == '0);
    end
  end

endmodule

bind tlp_ingress tlp_ingress_props u_props (.*);
