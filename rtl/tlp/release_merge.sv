// SPDX-License-Identifier: Apache-2.0
// Joins two sources of buffer releases of one class into one pulse per release, none lost.
//
// Contract: release_o is high in exactly as many cycles as the sum of both inputs, in the same
// cycle while nothing waits. Up to MaxWaiting releases wait; a source gives at most one a cycle and
// the TLPs they stand for came over one wire, at most one a cycle, so a few suffice. Past the bound
// the count stays at it: the host would miss a credit, never be given one too many. Reset forgets
// what waits: the link gives out the credits afresh. PCIe Base 2.6.1 (credits returned).
module release_merge #(
  parameter int unsigned MaxWaiting = 15
) (
  input  logic clk_i,
  input  logic rst_i,
  input  logic a_i,        // pulses
  input  logic b_i,
  output logic release_o
);

  if (MaxWaiting < 1) begin : gen_check_max_waiting
    $error("release_merge: MaxWaiting must be at least 1");
  end

  localparam int unsigned CountWidth = $clog2(MaxWaiting + 1);

  logic [CountWidth-1:0] waiting_q;

  assign release_o = !rst_i && (a_i || b_i || waiting_q != '0);

  always_ff @(posedge clk_i) begin
    if (a_i && b_i) begin
      if (waiting_q != CountWidth'(MaxWaiting)) waiting_q <= waiting_q + 1'b1;
    end else if (!a_i && !b_i && waiting_q != '0) begin
      waiting_q <= waiting_q - 1'b1;
    end
    if (rst_i) waiting_q <= '0;
  end

endmodule
