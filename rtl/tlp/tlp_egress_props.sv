// SPDX-License-Identifier: Apache-2.0
// Properties of tlp_egress: the wire stream holds and every beat but the last is full.
module tlp_egress_props
  import pcie_pkg::*;
(
  input logic       clk_i,
  input logic       rst_i,
  input logic       wire_valid_o,
  input logic       wire_ready_i,
  input wire_beat_t wire_o
);

  // Prefix, 4-DW header, 64 DW, MAC: 72 DW.
  stream_props #(
    .Width   ($bits(wire_beat_t)),
    .MaxBeats(18)
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
