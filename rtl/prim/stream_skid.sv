// SPDX-License-Identifier: Apache-2.0
// Register slice for one valid/ready stream that cuts every combinational path through it.
//
// Contract: one cycle latency, full throughput, two entries; in_ready_o, out_valid_o and
// out_data_o come from registers. Reset empties it; data is not cleared: nothing that has to be
// erased may pass through here.
module stream_skid #(
  parameter int unsigned Width = 32
) (
  input  logic             clk_i,
  input  logic             rst_i,

  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [Width-1:0] in_data_i,

  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [Width-1:0] out_data_o
);

  logic [Width-1:0] head_q, spill_q;
  logic             head_valid_q, spill_valid_q;
  logic             take;

  assign in_ready_o  = !spill_valid_q;
  assign out_valid_o = head_valid_q;
  assign out_data_o  = head_q;
  assign take        = in_valid_i && in_ready_o;

  always_ff @(posedge clk_i) begin
    if (!head_valid_q || out_ready_i) begin
      head_q        <= spill_valid_q ? spill_q : in_data_i;
      head_valid_q  <= spill_valid_q || take;
      spill_valid_q <= 1'b0;
    end else if (take) begin
      spill_q       <= in_data_i;
      spill_valid_q <= 1'b1;
    end
    if (rst_i) begin
      head_valid_q  <= 1'b0;
      spill_valid_q <= 1'b0;
    end
  end

endmodule
