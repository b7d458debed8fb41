// SPDX-License-Identifier: Apache-2.0
// P-384 engine on the register bus.
//
//   000 COMMAND  W  operation (p384_pkg::op_e)
//   004 RESULT   R  stalls until the operation is over: p384_pkg::result_e
//   080, 0C0     R  output registers X or r, Y or s: twelve words, 48 bytes big-endian in memory order
//   200 + 40h i  W  input register i (p384_pkg::in_reg_e), same format
//
// Contract: every access waits for the operation in progress. Private keys have no address. The
// memory order of a big-endian number is word 11 first with its bytes swapped.
module dsm_p384
  import dsm_pkg::*;
#(
  parameter KeyFile = ""
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        zeroize_i,
  output logic        busy_o,

  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  input  reg_req_t    reg_req_i,
  output logic [31:0] reg_rdata_o,

  input  logic        rnd_valid_i,
  output logic        rnd_ready_o,
  input  logic [31:0] rnd_i
);

  localparam logic [3:0] LAST_WORD = 4'd11;

  logic [13:0]         addr;
  logic                is_command, is_out, is_in, free, op_ready, done, pending_q, read_q;
  logic [3:0]          word;
  logic [31:0]         rd_data;
  p384_pkg::result_e   result;

  assign addr       = reg_req_i.addr;
  assign is_command = addr == 14'd0;
  assign is_out     = reg_req_i.addr[15:7] == 9'd1;
  assign is_in      = reg_req_i.addr[15:9] == 7'd1;
  assign word       = LAST_WORD - addr[3:0];
  assign free       = !pending_q && op_ready;

  // A read of an output register takes a second cycle.
  assign reg_ready_o = free && (reg_req_i.we || !is_out || read_q);

  always_ff @(posedge clk_i) begin
    read_q <= reg_valid_i && free && !reg_ready_o;
    if (reg_valid_i && reg_req_i.we && free && is_command) pending_q <= 1'b1;
    if (done) pending_q <= 1'b0;
    if (rst_i) begin
      read_q    <= 1'b0;
      pending_q <= 1'b0;
    end
  end

  p384_engine #(.KeyFile(KeyFile)) u_engine (
    .clk_i,
    .rst_i,
    .zeroize_i,
    .op_valid_i    (reg_valid_i && reg_req_i.we && free && is_command),
    .op_ready_o    (op_ready),
    .op_i          (p384_pkg::op_e'(reg_req_i.wdata[2:0])),
    .done_o        (done),
    .result_code_o (result),
    .busy_o        (busy_o),
    .wr_en_i       (reg_valid_i && reg_req_i.we && free && is_in && addr[3:0] <= LAST_WORD),
    .wr_addr_i     ({addr[6:4], word}),
    .wr_data_i     (bswap(reg_req_i.wdata)),
    .rd_addr_i     ({addr[4], word}),
    .rd_data_o     (rd_data),
    .rnd_valid_i,
    .rnd_ready_o,
    .rnd_i
  );

  always_comb begin
    reg_rdata_o = '0;
    if (addr == 14'd1) reg_rdata_o = {29'd0, result};
    if (is_out && addr[3:0] <= LAST_WORD) reg_rdata_o = bswap(rd_data);
  end

endmodule
