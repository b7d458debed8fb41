// SPDX-License-Identifier: Apache-2.0
// Queue of non-posted requests that takes a permission back the moment it is no longer valid.
//
// Contract: FIFO of Depth requests, one cycle latency, ready and valid from registers. A memory
// read waits here for as long as the host leaves its completions undrained. In every one of these
// cycles the filter is asked again; an entry that it refuses once turns into an unsupported
// request for good, so a read that an earlier owner (or the host, before LOCK) left behind can
// never be executed on the memory of the next owner. out_o.verdict may therefore change from
// NpMemRead to NpUnsupported while the entry waits; nothing else changes. Reset empties the queue.
//
// SEC: TDI.FILTER
module np_queue
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi = 3,
  parameter int unsigned Depth  = 8
) (
  input  logic                               clk_i,
  input  logic                               rst_i,

  input  tdisp_pkg::tdi_view_t [NumTdi-1:0]  tdi_view_i,

  input  logic                               in_valid_i,
  output logic                               in_ready_o,
  input  np_req_t                            in_i,

  output logic                               out_valid_o,
  input  logic                               out_ready_i,
  output np_req_t                            out_o
);

  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check_depth
    $error("np_queue: Depth must be a power of two");
  end

  localparam int unsigned PtrWidth = $clog2(Depth);

  np_req_t             mem_q [Depth];      // all but the verdict, which lives in flops
  np_verdict_e         verdict_q [Depth];
  logic [Depth-1:0]    still_allowed;
  logic [PtrWidth-1:0] wr_ptr_q, rd_ptr_q;
  logic [PtrWidth:0]   count_q;
  logic                push, pop;

  assign in_ready_o  = count_q != (PtrWidth + 1)'(Depth);
  assign out_valid_o = count_q != '0;
  assign push        = in_valid_i && in_ready_o;
  assign pop         = out_valid_o && out_ready_i;

  for (genvar i = 0; i < Depth; i++) begin : gen_entry
    // What the filter needs of an entry, in flops because all entries are asked at once.
    logic [2:0]           func_q;
    logic [3:0]           page_q;
    logic                 ide_q, t_bit_q;
    logic [1:0]           block_q;
    tdisp_pkg::tdi_view_t view;
    logic                 allow;
    logic [63:0]          in_address;

    assign in_address = hdr_address(in_i.header);

    always_comb begin
      view = '0;
      for (int unsigned f = 1; f <= NumTdi; f++) begin
        if (func_q == 3'(f)) view = tdi_view_i[f-1];
      end
    end

    tdi_filter u_filter (
      .is_tdi_i (func_q != 3'd0),
      .view_i   (view),
      .page_i   (page_q),
      .ide_i    (ide_q),
      .t_bit_i  (t_bit_q),
      .block_i  (block_q),
      .allow_o  (allow)
    );

    assign still_allowed[i] = verdict_q[i] != NpMemRead || allow;

    always_ff @(posedge clk_i) begin
      if (!still_allowed[i]) verdict_q[i] <= NpUnsupported;
      if (push && wr_ptr_q == PtrWidth'(i)) begin
        verdict_q[i] <= in_i.verdict;
        func_q       <= in_i.func;
        page_q       <= in_address[15:12];
        ide_q        <= in_i.meta.ide;
        t_bit_q      <= in_i.meta.t_bit;
        block_q      <= in_i.meta.block;
      end
    end

    logic unused_address;
    assign unused_address = ^{in_address[63:16], in_address[11:0]};
  end

  always_comb begin
    out_o         = mem_q[rd_ptr_q];
    out_o.verdict = still_allowed[rd_ptr_q] ? verdict_q[rd_ptr_q] : NpUnsupported;
  end

  always_ff @(posedge clk_i) begin
    if (push) begin
      mem_q[wr_ptr_q] <= in_i;
      wr_ptr_q        <= wr_ptr_q + 1'b1;
    end
    if (pop) rd_ptr_q <= rd_ptr_q + 1'b1;
    if (push != pop) count_q <= push ? count_q + 1'b1 : count_q - 1'b1;
    if (rst_i) begin
      wr_ptr_q <= '0;
      rd_ptr_q <= '0;
      count_q  <= '0;
    end
  end

endmodule
