// SPDX-License-Identifier: Apache-2.0
// Properties of dsm_measure: once locked, neither the lock nor a digest changes until reset.
module dsm_measure_props (
  input logic                 clk_i,
  input logic                 rst_i,
  input logic                 fw_fetch_i,
  input logic                 locked_o,
  // inside
  input logic [31:0]          rom_q [12],
  input logic [31:0]          firmware_q [12]
);

  logic        past_q, locked_q, fetch_q;
  logic [31:0] rom_was_q [12];
  logic [31:0] firmware_was_q [12];
  logic        same;

  always_ff @(posedge clk_i) begin
    past_q   <= !rst_i;
    locked_q <= locked_o;
    fetch_q  <= fw_fetch_i;
    for (int unsigned i = 0; i < 12; i++) begin
      rom_was_q[i]      <= rom_q[i];
      firmware_was_q[i] <= firmware_q[i];
    end
  end

  always_comb begin
    same = 1'b1;
    for (int unsigned i = 0; i < 12; i++) begin
      if (rom_q[i] != rom_was_q[i] || firmware_q[i] != firmware_was_q[i]) same = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (past_q && !rst_i) begin
      // SEC: MEASURE.LOCK
      if (locked_q || fetch_q) begin
        Assert_stays_locked: assert (locked_o);
        Assert_digests_hold: assert (same);
      end
    end
    Cover_written: cover (past_q && !same && !locked_q);
  end

endmodule

bind dsm_measure dsm_measure_props u_props (.*);
