// SPDX-License-Identifier: Apache-2.0
// Read-only memory with two read ports, filled from an image file.
//
// Contract: read data is valid one cycle after its address. The image is a $readmemh file of 32-bit
// words named by `File`; in simulation the plusarg `PlusArg` ("boot=%s") names another one, so that
// one build serves many images. Without a file the memory is zero, which no CPU can execute.
module dsm_rom #(
  parameter int unsigned Words   = 1024,
  parameter              File    = "",
  parameter              PlusArg = "",
  localparam int unsigned AddrWidth = $clog2(Words)
) (
  input  logic                 clk_i,
  input  logic [AddrWidth-1:0] a_addr_i,
  output logic [31:0]          a_rdata_o,
  input  logic [AddrWidth-1:0] b_addr_i,
  output logic [31:0]          b_rdata_o
);

  logic [31:0] mem_q [Words];

`ifdef SYNTHESIS
  initial if (File != "") $readmemh(File, mem_q);
`else
  initial begin
    string file;
    for (int unsigned i = 0; i < Words; i++) mem_q[i] = '0;
    if (PlusArg != "" && $value$plusargs(PlusArg, file)) $readmemh(file, mem_q);
    else if (File != "") $readmemh(File, mem_q);
  end
`endif

  always_ff @(posedge clk_i) begin
    a_rdata_o <= mem_q[a_addr_i];
    b_rdata_o <= mem_q[b_addr_i];
  end

endmodule
