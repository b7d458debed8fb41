// SPDX-License-Identifier: Apache-2.0
// Round-robin choice between NumIn streams of single-beat items, with an output register.
//
// Contract: every source is served within NumIn grants; no combinational path between the sides.
module stream_arbiter #(
  parameter int unsigned NumIn = 2,
  parameter int unsigned Width = 32
) (
  input  logic                        clk_i,
  input  logic                        rst_i,

  input  logic [NumIn-1:0]            in_valid_i,
  output logic [NumIn-1:0]            in_ready_o,
  input  logic [NumIn-1:0][Width-1:0] in_data_i,

  output logic                        out_valid_o,
  input  logic                        out_ready_i,
  output logic [Width-1:0]            out_data_o
);

  localparam int unsigned IdxW = (NumIn > 1) ? $clog2(NumIn) : 1;
  localparam int unsigned LastIdx = NumIn - 1;

  logic [IdxW-1:0]  turn_q;   // the source that is looked at now
  logic             full_q, take;
  logic [Width-1:0] data_q;

  assign take        = in_valid_i[turn_q] && !full_q;
  assign out_valid_o = full_q;
  assign out_data_o  = data_q;

  always_comb begin
    in_ready_o = '0;
    in_ready_o[turn_q] = !full_q;
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      data_q <= in_data_i[turn_q];
      full_q <= 1'b1;
    end else if (out_ready_i) begin
      full_q <= 1'b0;
    end
    turn_q <= (turn_q == LastIdx[IdxW-1:0]) ? '0 : turn_q + 1'b1;
    if (rst_i) begin
      full_q <= 1'b0;
      turn_q <= '0;
    end
  end

endmodule
