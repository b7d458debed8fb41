// SPDX-License-Identifier: Apache-2.0
// Synchronous FIFO with valid/ready on both sides.
//
// Contract: first word falls through with one cycle latency; capacity Depth entries; ready and
// valid come from registers (no combinational path from one side to the other); reset empties it.
// The memory is not cleared: put no secret in it that must be erased.
module stream_fifo #(
  parameter int unsigned Width = 32,
  parameter int unsigned Depth = 4
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

  localparam int unsigned PtrWidth = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned LastIdx  = Depth - 1;
  localparam logic [PtrWidth-1:0] LastPtr = LastIdx[PtrWidth-1:0];
  localparam int unsigned CntWidth = $clog2(Depth + 1);
  localparam logic [CntWidth-1:0] Full = Depth[CntWidth-1:0];

  logic [Width-1:0]    mem_q [Depth];
  logic [PtrWidth-1:0] wr_ptr_q, rd_ptr_q;
  logic [CntWidth-1:0] count_q;
  logic                push, pop;

  assign in_ready_o  = count_q != Full;
  assign out_valid_o = count_q != '0;
  assign out_data_o  = mem_q[rd_ptr_q];
  assign push        = in_valid_i && in_ready_o;
  assign pop         = out_valid_o && out_ready_i;

  always_ff @(posedge clk_i) begin
    if (push) begin
      mem_q[wr_ptr_q] <= in_data_i;
      wr_ptr_q <= (wr_ptr_q == LastPtr) ? '0 : wr_ptr_q + 1'b1;
    end
    if (pop) rd_ptr_q <= (rd_ptr_q == LastPtr) ? '0 : rd_ptr_q + 1'b1;
    if (push != pop) count_q <= push ? count_q + 1'b1 : count_q - 1'b1;
    if (rst_i) begin
      wr_ptr_q <= '0;
      rd_ptr_q <= '0;
      count_q  <= '0;
    end
  end

endmodule
