// SPDX-License-Identifier: Apache-2.0
// Work memory of a TDI: one DW a cycle for the local bus, four consecutive DWs at any DW address
// for DMA, in the same cycle.
//
// Contract: four banks, word w in bank w mod 4. Read data follows one cycle after the read on
// either port. DMA data is in wire order (first DW in the most significant bits, first byte of a
// DW most significant), local bus data in register order; the bytes of memory are the same.
// A DMA access that would leave the memory wraps; the engine does not ask for one.
// clear_i overwrites row clear_row_i of all banks with zeros and takes the place of any other
// access; flush_i, after the last row, empties the read registers of both ports. Two writes to
// one word in one cycle: DMA wins.
//
// SEC: TDI.ERASE
module work_memory
  import pcie_pkg::bswap32;
#(
  parameter int unsigned Bytes = 16384,
  localparam int unsigned WordWidth = $clog2(Bytes / 4),
  localparam int unsigned RowWidth  = WordWidth - 2
) (
  input  logic                 clk_i,

  // local bus
  input  logic                 lb_en_i,
  input  logic                 lb_we_i,
  input  logic [3:0]           lb_be_i,
  input  logic [WordWidth-1:0] lb_word_i,
  input  logic [31:0]          lb_wdata_i,
  output logic [31:0]          lb_rdata_o,

  // DMA; dma_we_i: bit 3 = first DW; none set = read
  input  logic                 dma_en_i,
  input  logic [3:0]           dma_we_i,
  input  logic [WordWidth-1:0] dma_word_i,
  input  logic [127:0]         dma_wdata_i,
  output logic [127:0]         dma_rdata_o,

  // erasure
  input  logic                 clear_i,
  input  logic [RowWidth-1:0]  clear_row_i,
  input  logic                 flush_i
);

  if (Bytes < 64 || (Bytes & (Bytes - 1)) != 0) begin : gen_check_bytes
    $error("work_memory: Bytes must be a power of two, at least 64");
  end

  logic [3:0][31:0] a_rdata, b_rdata;
  logic [1:0]       lb_bank_q, dma_shift_q;
  logic             erase;

  assign erase = clear_i || flush_i;

  for (genvar b = 0; b < 4; b++) begin : gen_bank
    logic [1:0]           lane;     // which DW of the DMA access lies in this bank
    logic [WordWidth-1:0] dma_word;
    logic [31:0]          lane_data;
    logic                 a_en, b_en, b_we;

    assign lane      = 2'(b) - dma_word_i[1:0];
    assign dma_word  = dma_word_i + WordWidth'(lane);
    assign lane_data = bswap32(dma_wdata_i[127 - 32*lane -: 32]);
    assign a_en      = flush_i || (lb_en_i && !erase && lb_word_i[1:0] == 2'(b));
    assign b_we      = clear_i || (!flush_i && dma_we_i[2'd3 - lane]);
    assign b_en      = erase || (dma_en_i && (dma_we_i == '0 || b_we));

    work_bank #(.AddrWidth(RowWidth)) u_bank (
      .clk_i,
      .a_en_i    (a_en),
      .a_we_i    (lb_we_i && !flush_i),
      .a_be_i    (lb_be_i),
      .a_addr_i  (flush_i ? '0 : lb_word_i[WordWidth-1:2]),
      .a_wdata_i (lb_wdata_i),
      .a_rdata_o (a_rdata[b]),
      .b_en_i    (b_en),
      .b_we_i    (b_we),
      .b_addr_i  (clear_i ? clear_row_i : flush_i ? '0 : dma_word[WordWidth-1:2]),
      .b_wdata_i (clear_i ? '0 : lane_data),
      .b_rdata_o (b_rdata[b])
    );

    logic unused_bank_bits;
    assign unused_bank_bits = ^dma_word[1:0];
  end

  always_ff @(posedge clk_i) begin
    if (lb_en_i) lb_bank_q <= lb_word_i[1:0];
    if (dma_en_i) dma_shift_q <= dma_word_i[1:0];
  end

  assign lb_rdata_o = a_rdata[lb_bank_q];

  always_comb begin
    for (int unsigned i = 0; i < 4; i++) begin
      dma_rdata_o[127 - 32*i -: 32] = bswap32(b_rdata[2'(i) + dma_shift_q]);
    end
  end

endmodule
