// SPDX-License-Identifier: Apache-2.0
// Properties of tlp_egress: the wire stream holds, every beat but the last is full, a TLP has at
// most 18 beats and in the middle of it one leaves for each one that comes.
module tlp_egress_props
  import pcie_pkg::*;
(
  input logic       clk_i,
  input logic       rst_i,
  input logic       eg_valid_i,
  input logic       eg_ready_o,
  input tlp_beat_t  eg_i,
  input logic       eg_mac_valid_i,
  input logic       wire_valid_o,
  input logic       wire_ready_i,
  input wire_beat_t wire_o,
  // inside
  input logic [2:0] head_dw_q,
  input logic       flush_q,
  input logic [2:0] rest_dw_q,
  input logic       mac_waits_q
);

  // What the source promises: framed TLPs of at most 16 beats, all but the last one full.
  logic       inside_q;
  logic       prefix_q;
  logic [4:0] taken_q;
  always_ff @(posedge clk_i) begin
    if (eg_valid_i && eg_ready_o) begin
      inside_q <= !eg_i.eop;
      if (eg_i.sop) prefix_q <= eg_i.prefix_valid;
      taken_q  <= eg_i.eop ? '0 : taken_q + 1'b1;
    end
    if (rst_i) begin
      inside_q <= 1'b0;
      taken_q  <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i && eg_valid_i) begin
      Assume_framed:  assume (eg_i.sop == !inside_q);
      Assume_full:    assume (eg_i.eop || eg_i.dw_valid == 4'hF);
      Assume_left:    assume (eg_i.dw_valid inside {4'h0, 4'h8, 4'hC, 4'hE, 4'hF});
      Assume_mac:     assume (!eg_mac_valid_i || (eg_i.sop ? eg_i.prefix_valid : prefix_q));
      Assume_bounded: assume (taken_q < 5'd15 || eg_i.eop);
    end
  end

  // Beats of the current TLP that went into the output register: one for each beat taken.
  logic [4:0] sent_q;
  always_ff @(posedge clk_i) begin
    if (wire_valid_o && wire_ready_i) sent_q <= wire_o.last ? '0 : sent_q + 1'b1;
    if (rst_i) sent_q <= '0;
  end

  // With the one in the register. Prefix, 4-DW header, 64 DW, MAC: 72 DW, 18 beats.
  logic [4:0] waiting;
  logic [3:0] left_dw;
  assign left_dw = 4'(rest_dw_q) + (mac_waits_q ? 4'd3 : 4'd0);
  assign waiting = sent_q + 5'(wire_valid_o);

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_head:    assert (!inside_q || (head_dw_q >= 3'd3 && head_dw_q <= 3'd5));
      Assert_with_prefix: assert (!inside_q || !prefix_q || head_dw_q >= 3'd4);
      Assert_flush:   assert (!flush_q || (left_dw >= 4'd1 && left_dw <= 4'd8));
      Assert_rest:    assert (!flush_q || rest_dw_q <= 3'd5);
      Assert_one_end: assert (!(flush_q && inside_q));
      Assert_taken:   assert (taken_q <= 5'd15 && (inside_q == (taken_q != '0)));
      if (inside_q) begin
        Assert_in_step: assert (waiting == taken_q && !(wire_valid_o && wire_o.last));
      end else if (flush_q) begin
        Assert_tail:    assert (waiting <= ((left_dw > 4'd4) ? 5'd16 : 5'd17)
                                && !(wire_valid_o && wire_o.last));
      end else if (wire_valid_o) begin
        Assert_end:     assert (wire_o.last && sent_q <= 5'd17);
      end else begin
        Assert_idle:    assert (sent_q == '0);
      end
    end
  end

  stream_props #(
    .Width($bits(wire_beat_t))
  ) u_wire (
    .clk_i,
    .rst_i,
    .valid_i(wire_valid_o),
    .ready_i(wire_ready_i),
    .last_i (wire_o.last),
    .data_i (wire_o)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_i && wire_valid_o) begin
      Assert_packed: assert (wire_o.dws == 3'd4
                             || (wire_o.last && wire_o.dws >= 3'd1 && wire_o.dws <= 3'd3));
    end
  end

endmodule

bind tlp_egress tlp_egress_props u_props (.*);
