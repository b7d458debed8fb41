// SPDX-License-Identifier: Apache-2.0
// SHA-384 engine on the register bus, with its state open to be saved and restored.
//
//   00 COMMAND W  1 = initial state, 2 = restore the state from the last 16 words of DATA, 3 = erase
//   04 STATUS  R  [0] a block is being hashed
//   08..3C        -
//   40..7C STATE  R  H0..H7, each as a 64-bit number in memory order (low word first)
//   80..FC DATA   W  message words in memory order; the 32nd starts the block. The address within
//                    the window does not matter, so that a copy loop can run over it.
//
// Contract: a write of DATA or COMMAND and a read of STATE wait for the block in progress. After
// `erase` neither message words nor state are left.
module dsm_sha384
  import dsm_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  input  reg_req_t    reg_req_i,
  output logic [31:0] reg_rdata_o
);

  localparam logic [31:0] CMD_INIT    = 32'd1;
  localparam logic [31:0] CMD_RESTORE = 32'd2;
  localparam logic [31:0] CMD_ERASE   = 32'd3;

  logic [1023:0] block_q;     // first word written = most significant
  logic [5:0]    fill_q;
  logic [511:0]  state, restored;
  logic          busy, block_valid, block_ready, waits, is_write, in_range;
  logic          is_command, is_data, is_state, init, load_state, clear;

  assign in_range   = reg_req_i.addr[15:8] == '0;
  assign is_command = in_range && reg_req_i.addr[7:2] == 6'd0;
  assign is_state   = in_range && reg_req_i.addr[7:6] == 2'b01;
  assign is_data    = in_range && reg_req_i.addr[7];

  assign block_valid = fill_q == 6'd32;
  assign waits       = block_valid || busy;
  assign reg_ready_o = !(waits && (is_command || is_data || is_state));
  assign is_write    = reg_valid_i && reg_req_i.we && reg_ready_o;

  assign init       = is_write && is_command && reg_req_i.wdata == CMD_INIT;
  assign load_state = is_write && is_command && reg_req_i.wdata == CMD_RESTORE;
  assign clear      = (is_write && is_command && reg_req_i.wdata == CMD_ERASE) || rst_i;

  always_ff @(posedge clk_i) begin
    if (is_write && is_data) begin
      block_q <= {block_q[991:0], bswap(reg_req_i.wdata)};
      fill_q  <= fill_q + 6'd1;
    end
    if (block_valid && block_ready) fill_q <= '0;
    if (init || load_state) fill_q <= '0;
    if (clear) begin
      block_q <= '0;
      fill_q  <= '0;
    end
  end

  // The last 16 words written are eight numbers, low word first, in memory byte order.
  always_comb begin
    for (int unsigned i = 0; i < 8; i++) begin
      restored[64*(7-i)+32+:32] = bswap(block_q[32*(14-2*i)+:32]);
      restored[64*(7-i)+:32]    = bswap(block_q[32*(15-2*i)+:32]);
    end
  end

  sha384_core u_core (
    .clk_i,
    .rst_i,
    .init_i        (init),
    .block_valid_i (block_valid),
    .block_ready_o (block_ready),
    .block_i       (block_q),
    .state_o       (state),
    .load_state_i  (load_state),
    .state_i       (restored),
    .clear_i       (clear),
    .busy_o        (busy)
  );

  always_comb begin
    reg_rdata_o = '0;
    if (in_range && reg_req_i.addr[7:2] == 6'd1) reg_rdata_o = {31'd0, waits};
    if (is_state) begin
      reg_rdata_o = state[32 * (32'd15 - (32'(reg_req_i.addr[5:2]) ^ 32'd1)) +: 32];
    end
  end

endmodule
