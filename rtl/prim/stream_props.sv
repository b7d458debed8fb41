// SPDX-License-Identifier: Apache-2.0
// The laws of the one handshake of this design, to be bound to any valid/ready stream.
//
// Contract: checks that an offered beat is neither withdrawn nor altered until it is taken.
// MaxBeats bounds the beats of a packet if last_i is used (0 = no bound; tie last_i to 1 for
// streams without packets). Simulation ends at the first violation; formal proves the same text.
module stream_props #(
  parameter int unsigned Width    = 1,
  parameter int unsigned MaxBeats = 0
) (
  input logic             clk_i,
  input logic             rst_i,
  input logic             valid_i,
  input logic             ready_i,
  input logic             last_i,
  input logic [Width-1:0] data_i
);

  logic             stalled_q;
  logic             last_q;
  logic [Width-1:0] data_q;
  logic [15:0]      beats_q;

  always_ff @(posedge clk_i) begin
    stalled_q <= valid_i && !ready_i;
    last_q    <= last_i;
    data_q    <= data_i;
    if (valid_i && ready_i) beats_q <= last_i ? '0 : beats_q + 1'b1;
    if (rst_i) begin
      stalled_q <= 1'b0;
      beats_q   <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      if (stalled_q) begin
        Assert_valid_holds: assert (valid_i);
        Assert_data_holds:  assert (data_i == data_q);
        Assert_last_holds:  assert (last_i == last_q);
      end
    end
  end

  if (MaxBeats != 0) begin : gen_bounded
    always_ff @(posedge clk_i) begin
      if (!rst_i && valid_i) begin
        Assert_packet_bounded: assert (32'(beats_q) < MaxBeats);
      end
    end
  end

endmodule
