// SPDX-License-Identifier: Apache-2.0
// Properties of tx_arbiter: no two sources at once, no change of source inside a TLP, one credit
// pulse per TLP, and no TLP without the credit that was seen at its choice.
module tx_arbiter_props
  import pcie_pkg::*;
#(
  parameter int unsigned NumIn = 4
) (
  input logic                  clk_i,
  input logic                  rst_i,
  input logic [NumIn-1:0]      in_valid_i,
  input logic [NumIn-1:0]      in_ready_o,
  input tlp_beat_t [NumIn-1:0] in_i,
  input logic [2:0]            credit_ok_i,
  input logic [2:0]            consume_o,
  input logic                  out_valid_o,
  input logic                  out_ready_i,
  input tlp_beat_t             out_o,
  // inside
  input logic                      chosen_q,
  input logic                      started_q,
  input logic [$clog2(NumIn)-1:0]  sel_q
);

  logic [NumIn-1:0] owner_q;      // source in the middle of its TLP
  logic             busy_q;
  logic             fire;
  logic [2:0]       credit_q;     // credit seen in the cycle before
  logic [2:0]       offered_q;    // per class: a first beat was connected and not taken
  logic [2:0]       class_bit;

  assign fire      = out_valid_o && out_ready_i;
  assign class_bit = 3'd1 << hdr_class(out_o.header);

  always_ff @(posedge clk_i) begin
    credit_q  <= credit_ok_i;
    offered_q <= (out_valid_o && !fire && !busy_q) ? class_bit : '0;
    if (fire) begin
      busy_q  <= !out_o.eop;
      owner_q <= in_ready_o;
    end
    if (rst_i) begin
      busy_q    <= 1'b0;
      offered_q <= '0;
    end
  end

  // Sources frame their TLPs: sop exactly at the first beat.
  logic [NumIn-1:0] inside_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < NumIn; i++) begin
      if (in_valid_i[i] && in_ready_o[i]) inside_q[i] <= !in_i[i].eop;
    end
    if (rst_i) inside_q <= '0;
  end

  // An offer that is not taken stays what it is, or is withdrawn for at least a cycle.
  logic [NumIn-1:0]      offer_q, framed, held;
  logic [NumIn-1:0][1:0] class_q;
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < NumIn; i++) begin
      offer_q[i] <= in_valid_i[i] && !in_ready_o[i];
      class_q[i] <= hdr_class(in_i[i].header);
    end
    if (rst_i) offer_q <= '0;
  end
  always_comb begin
    for (int unsigned i = 0; i < NumIn; i++) begin
      framed[i] = !in_valid_i[i] || in_i[i].sop == !inside_q[i];
      held[i]   = !offer_q[i] || !in_valid_i[i] || class_q[i] == hdr_class(in_i[i].header);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assume_framed:     assume (framed == '1);
      Assume_held:       assume (held == '1);
      Assert_started: assert (started_q == busy_q && (chosen_q || !started_q));
      Assert_selected: assert (32'(sel_q) < NumIn);
      Assert_inside:  assert (inside_q == (busy_q ? owner_q : '0));
      Assert_owner:   assert (!busy_q || owner_q == (NumIn'(1) << sel_q));
      Assert_one_source: assert ($onehot0(in_ready_o));
      Assert_taken_once: assert (!fire || $onehot(in_ready_o & in_valid_i));
      if (busy_q) begin
        Assert_same_source: assert ((in_ready_o & ~owner_q) == '0);
        Assert_no_credit_inside: assert (consume_o == '0);
      end
      if (fire && !busy_q) begin
        Assert_begins_with_sop: assert (out_o.sop);
        Assert_one_credit:      assert (consume_o == class_bit);
      end
      if (!fire) begin
        Assert_silent_credit: assert (consume_o == '0);
      end
      // A first beat appears one cycle after a cycle with credit for its class.
      if (out_valid_o && !busy_q && (offered_q & class_bit) == '0) begin
        Assert_credit_was_there: assert ((credit_q & class_bit) != '0);
      end
    end
  end

endmodule

bind tx_arbiter tx_arbiter_props #(.NumIn(NumIn)) u_props (.*);
