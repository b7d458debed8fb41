// SPDX-License-Identifier: Apache-2.0
// Wipe sequencer: after every reset all memories of the DSM are overwritten while the CPU is held.
//
// Contract: from the first cycle of rst_i `wiping_o` stands until every address below `Words` has
// been presented on `addr_o` for one cycle (owners of smaller memories compare). `cpu_rst_o` holds
// the CPU until that is over and no engine named in `engine_busy_i` still erases its keys.
// SEC: RESET.WIPE
module dsm_wipe #(
  parameter int unsigned Words = 8192,
  localparam int unsigned AddrWidth = $clog2(Words)
) (
  input  logic                 clk_i,
  input  logic                 rst_i,
  input  logic                 engine_busy_i,
  output logic                 wiping_o,
  output logic [AddrWidth-1:0] addr_o,
  output logic                 cpu_rst_o
);

  localparam int unsigned LastIdx = Words - 1;
  localparam logic [AddrWidth-1:0] LastAddr = LastIdx[AddrWidth-1:0];

  logic                 wiping_q, cpu_rst_q;
  logic [AddrWidth-1:0] addr_q;

  always_ff @(posedge clk_i) begin
    addr_q <= addr_q + 1'b1;
    if (addr_q == LastAddr) wiping_q <= 1'b0;
    if (!wiping_q && !engine_busy_i) cpu_rst_q <= 1'b0;
    if (rst_i) begin
      addr_q    <= '0;
      wiping_q  <= 1'b1;
      cpu_rst_q <= 1'b1;
    end
  end

  assign wiping_o  = wiping_q || rst_i;
  assign addr_o    = addr_q;
  assign cpu_rst_o = cpu_rst_q || rst_i;

endmodule
