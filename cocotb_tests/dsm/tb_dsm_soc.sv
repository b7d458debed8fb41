// SPDX-License-Identifier: Apache-2.0
// Bench of dsm_soc: clock, cycle counter and random words in HDL, so that Python waits for events
// and not for clock edges. Everything else is a port of the SoC.
module tb_dsm_soc (
  input  logic                       rst_i,
  output logic                       clk_o,

  input  logic                       doe_write_i,
  input  logic [4:2]                 doe_addr_i,
  input  logic [31:0]                doe_wdata_i,
  output logic [31:0]                doe_control_o,
  output logic [31:0]                doe_status_o,
  output logic [31:0]                doe_read_data_o,
  output logic [31:0]                doe_irqs_o,        // interrupts so far

  output logic                       key_valid_o,
  input  logic                       key_ready_i,
  output ide_pkg::key_cmd_t          key_o,
  input  logic                       key_status_valid_i,
  input  ide_pkg::key_status_e       key_status_i,
  output logic                       kill_tag_valid_o,
  output logic [15:0]                kill_tag_o,

  output logic                       cmd_valid_o,
  input  logic                       cmd_ready_i,
  output tdisp_pkg::tdi_cmd_t        cmd_o,
  input  logic                       res_valid_i,
  output logic                       res_ready_o,
  input  tdisp_pkg::tdi_res_t        res_i,
  input  tdisp_pkg::tdi_view_t [2:0] tdi_view_i,

  output logic                       snap_valid_o,
  input  logic                       snap_ready_i,
  output logic [2:0]                 snap_func_o,
  output logic [11:2]                snap_addr_o,
  input  logic                       snap_rvalid_i,
  input  logic [31:0]                snap_rdata_i,
  input  logic [12:0]                bus_dev_i,

  input  logic                       flr0_i,
  input  logic [2:0]                 insecure_event_i,
  input  logic [2:0]                 tdi_error_event_i,

  input  logic                       rnd_enable_i,
  input  logic                       seed_deterministic_i,
  input  logic [63:0]                cycle_base_i,     // added to the cycle counter
  output logic [63:0]                cycle_o,
  output logic                       cpu_idle_o,
  output logic                       fatal_o
);

  logic        clk, rnd_ready, irq;
  logic [63:0] cycle_q;
  logic [31:0] rnd_q;

  initial clk = 1'b0;
  always #5 clk = ~clk;
  assign clk_o = clk;

  // xorshift32, full period; the same words in every run.
  function automatic logic [31:0] next_random(input logic [31:0] x);
    logic [31:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 17);
    return y ^ (y << 5);
  endfunction

  initial begin
    cycle_q    = '0;
    rnd_q      = 32'h2545_F491;
    doe_irqs_o = '0;
  end
  always_ff @(posedge clk) begin
    cycle_q <= cycle_q + 64'd1;
    if (rnd_ready && rnd_enable_i) rnd_q <= next_random(rnd_q);
    if (irq) doe_irqs_o <= doe_irqs_o + 32'd1;
  end
  assign cycle_o = cycle_q + cycle_base_i;

  dsm_soc #(.NumTdi(3)) u_dut (
    .clk_i       (clk),
    .cycle_i     (cycle_o),
    .doe_irq_o   (irq),
    .rnd_valid_i (rnd_enable_i),
    .rnd_ready_o (rnd_ready),
    .rnd_i       (rnd_q),
    .*
  );

endmodule
