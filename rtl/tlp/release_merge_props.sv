// SPDX-License-Identifier: Apache-2.0
// No release is lost or invented, and the bound of the count is never reached.
//
// Contract: bound to release_merge. Counts inputs and outputs on its own, modulo 2^16.
module release_merge_props #(
  parameter int unsigned MaxWaiting = 15,
  localparam int unsigned CountWidth = $clog2(MaxWaiting + 1)
) (
  input logic                  clk_i,
  input logic                  rst_i,
  input logic                  a_i,
  input logic                  b_i,
  input logic                  release_o,
  input logic [CountWidth-1:0] waiting_q
);

  logic [15:0] in_q, out_q;

  always_ff @(posedge clk_i) begin
    in_q  <= in_q + 16'(a_i) + 16'(b_i);
    out_q <= out_q + 16'(release_o);
    if (rst_i) begin
      in_q  <= '0;
      out_q <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_none_lost: assert (in_q - out_q == 16'(waiting_q));
      Assert_no_delay:  assert (release_o || waiting_q == '0);
      Assert_bounded:   assert (!(a_i && b_i && waiting_q == CountWidth'(MaxWaiting)));
    end
  end

endmodule

bind release_merge release_merge_props #(.MaxWaiting(MaxWaiting)) u_props (.*);
