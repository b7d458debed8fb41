// SPDX-License-Identifier: Apache-2.0
// Random words for the firmware and for the P-384 engine, from one generator.
//
//   00 STATUS  R  [0] a word is ready for the CPU
//   04 DATA    R  the word, which is then gone; 0 if none is ready (ask STATUS first)
//
// Contract: the engine goes first; a word is given to exactly one reader.
module dsm_random
  import dsm_pkg::*;
(
  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  /* verilator lint_off UNUSEDSIGNAL */
  input  reg_req_t    reg_req_i,  // a generator takes no writes
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [31:0] reg_rdata_o,

  // generator
  input  logic        rnd_valid_i,
  output logic        rnd_ready_o,
  input  logic [31:0] rnd_i,

  // P-384 engine
  output logic        eng_valid_o,
  input  logic        eng_ready_i,
  output logic [31:0] eng_o
);

  logic cpu_valid, cpu_take;

  assign cpu_valid   = rnd_valid_i && !eng_ready_i;
  assign cpu_take    = reg_valid_i && !reg_req_i.we && reg_req_i.addr == 14'd1;
  assign eng_valid_o = rnd_valid_i;
  assign eng_o       = rnd_i;
  assign rnd_ready_o = eng_ready_i || cpu_take;
  assign reg_ready_o = 1'b1;

  always_comb begin
    reg_rdata_o = '0;
    if (reg_req_i.addr == 14'd0) reg_rdata_o = {31'd0, cpu_valid};
    if (reg_req_i.addr == 14'd1 && cpu_valid) reg_rdata_o = rnd_i;
  end

endmodule
