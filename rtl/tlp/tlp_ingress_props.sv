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
  input aer_event_t  aer_o,
  // inside
  input logic        prev_valid_q,
  input logic        prev_is_first_q,
  input logic        sop_sent_q,
  input logic        hold_valid_q,
  input logic [3:0]  hold_dw_valid_q,
  input logic [6:0]  taken_q,
  input logic [6:0]  body_dw
);

  stream_props #(
    .Width($bits(tlp_beat_t) + 96 + 1)
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

  logic       in_tlp_q;
  logic [4:0] beats_q;   // beats of the current TLP that have left
  always_ff @(posedge clk_i) begin
    if (ing_valid_o && ing_ready_i) begin
      in_tlp_q <= !ing_o.eop;
      beats_q  <= ing_o.eop ? '0 : beats_q + 1'b1;
    end
    if (rst_i) begin
      in_tlp_q <= 1'b0;
      beats_q  <= '0;
    end
  end

  // Beats made of the TLP in work, the one in the output register included.
  logic       is_open;
  logic [4:0] made;
  assign is_open = ing_valid_o ? !ing_o.eop : in_tlp_q;
  assign made    = is_open ? beats_q + 5'(ing_valid_o) : '0;

  always_ff @(posedge clk_i) begin
    if (!rst_i && ing_valid_o) begin
      Assert_framed:         assert (ing_o.sop == !in_tlp_q);
      Assert_late_verdict:   assert (!ing_malformed_o || ing_o.eop);
      Assert_full_beats:     assert (ing_o.eop || ing_o.dw_valid == 4'hF);
      Assert_left_justified: assert (ing_o.dw_valid inside {4'h0, 4'h8, 4'hC, 4'hE, 4'hF});
      Assert_nothing_else:   assert (!ing_o.meta.associate && ing_o.meta.block == '0);
      Assert_bounded:        assert (beats_q < 5'(MAX_PAYLOAD_BEATS));
    end
  end

  // Why that holds: what was taken of the payload never exceeds what the header allows.
  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_open:    assert (is_open == sop_sent_q);
      Assert_reset:   assert ((prev_valid_q && !prev_is_first_q) || taken_q == '0);
      Assert_between: assert (prev_valid_q || (!sop_sent_q && !hold_valid_q));
      Assert_first:   assert (!prev_valid_q || !prev_is_first_q || (!sop_sent_q && !hold_valid_q));
      Assert_taken:   assert (!prev_valid_q || taken_q <= body_dw);
      Assert_body:    assert (body_dw <= 7'(4 * MAX_PAYLOAD_BEATS));
      Assert_held:    assert (!prev_valid_q
                              || hold_valid_q == (body_dw != '0 && taken_q == body_dw));
      Assert_beats:   assert (in_tlp_q == (beats_q != '0));
      Assert_hold_dw: assert (!hold_valid_q || hold_dw_valid_q inside {4'h8, 4'hC, 4'hE, 4'hF});
      // Four DWs a beat; the last beat waits in the hold register.
      Assert_made:    assert (hold_valid_q ? 7'(made) * 7'd4 < taken_q
                                           : 7'(made) * 7'd4 == taken_q);
    end
  end

endmodule

bind tlp_ingress tlp_ingress_props u_props (.*);
