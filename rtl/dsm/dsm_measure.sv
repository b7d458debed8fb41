// SPDX-License-Identifier: Apache-2.0
// Measurement registers: two SHA-384 digests that the boot ROM takes and nobody can change.
//
//   00..2C  digest of the boot ROM, bytes in memory order     80  LOCK: any write locks, [0] locked
//   40..6C  digest of the firmware ROM
//
// Contract: writable until the lock; the lock closes with a write to LOCK, and by itself with the
// first instruction fetched from the firmware ROM, so that not even a boot ROM that forgets it can
// leave them to the firmware. Only reset opens it, and clears the digests.
// SEC: MEASURE.LOCK
module dsm_measure
  import dsm_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        fw_fetch_i,

  input  logic        reg_valid_i,
  output logic        reg_ready_o,
  input  reg_req_t    reg_req_i,
  output logic [31:0] reg_rdata_o,

  output logic        locked_o
);

  localparam logic [4:0] DIGEST_WORDS = 5'd12;

  logic        locked_q;
  logic [31:0] rom_q [12];
  logic [31:0] firmware_q [12];
  logic [5:0]  addr;
  logic        in_range, is_digest, is_firmware, is_lock;
  logic [3:0]  idx;

  assign addr        = reg_req_i.addr[7:2];
  assign in_range    = reg_req_i.addr[15:8] == '0;
  assign idx         = addr[3:0];
  assign is_digest   = in_range && addr[5] == 1'b0 && {1'b0, idx} < DIGEST_WORDS;
  assign is_firmware = addr[4];
  assign is_lock     = in_range && addr == 6'h20;

  always_ff @(posedge clk_i) begin
    if (reg_valid_i && reg_req_i.we && !locked_q && !fw_fetch_i && is_digest) begin
      if (is_firmware) firmware_q[idx] <= reg_req_i.wdata;
      else             rom_q[idx]      <= reg_req_i.wdata;
    end
    if ((reg_valid_i && reg_req_i.we && is_lock) || fw_fetch_i) locked_q <= 1'b1;
    if (rst_i) begin
      locked_q <= 1'b0;
      for (int unsigned i = 0; i < 12; i++) begin
        rom_q[i]      <= '0;
        firmware_q[i] <= '0;
      end
    end
  end

  always_comb begin
    reg_rdata_o = '0;
    if (is_digest) reg_rdata_o = is_firmware ? firmware_q[idx] : rom_q[idx];
    if (is_lock)   reg_rdata_o = {31'd0, locked_q};
  end

  assign reg_ready_o = 1'b1;
  assign locked_o    = locked_q;

endmodule
