// SPDX-License-Identifier: Apache-2.0
// Holds the plaintext of a record back until somebody says that its tag is right.
//
// Contract: put_* appends a block of 16 bytes (ignored while busy_o; past Rows blocks overflow_o
// stands until the next clear, and the block is dropped). data_o is the oldest block and is valid
// while ready_o; take_i (only while ready_o) removes it and overwrites its row. clear_i (pulse, wins
// over put and take) overwrites every row that was filled, zeroize_i and reset all of them, one row
// a cycle, busy_o meanwhile. So a row is zero once it was taken or given up. Whether data_o may be
// read is the user's business. SEC: RECORD.VERIFY_FIRST
module dsm_open_buffer #(
  parameter int unsigned Rows = 289   // blocks of the longest record
) (
  input  logic         clk_i,
  input  logic         rst_i,
  input  logic         zeroize_i,
  input  logic         clear_i,

  input  logic         put_valid_i,
  input  logic [127:0] put_data_i,
  output logic         overflow_o,

  output logic         ready_o,
  output logic [127:0] data_o,
  output logic         left_o,        // a block is stored
  input  logic         take_i,

  output logic         busy_o
);

  localparam int unsigned IdxWidth = $clog2(Rows + 1);
  localparam logic [IdxWidth-1:0] FULL = Rows[IdxWidth-1:0];

  (* no_rw_check *)
  logic [127:0] mem_q [Rows];

  logic [IdxWidth-1:0] fill_q, rd_q, sweep_q, sweep_end_q;
  logic                wiping_q, fetched_q, overflow_q, put;

  assign put        = put_valid_i && !wiping_q && !clear_i && fill_q != FULL;
  assign left_o     = rd_q != fill_q;
  assign ready_o    = left_o && fetched_q;
  assign busy_o     = wiping_q;
  assign overflow_o = overflow_q;

  logic                write;
  logic [IdxWidth-1:0] write_idx;
  assign write     = wiping_q || put || take_i;
  assign write_idx = wiping_q ? sweep_q : take_i ? rd_q : fill_q;

  always_ff @(posedge clk_i) begin
    if (write) mem_q[write_idx] <= (wiping_q || take_i) ? '0 : put_data_i;
    data_o <= mem_q[rd_q == FULL ? '0 : rd_q];
  end

  always_ff @(posedge clk_i) begin
    // A row read in the cycle in which it is written, or before its index stood, is not shown.
    fetched_q <= left_o && !take_i && !wiping_q;
    if (put) fill_q <= fill_q + 1'b1;
    if (put_valid_i && !wiping_q && fill_q == FULL) overflow_q <= 1'b1;
    if (take_i) begin
      if (rd_q + 1'b1 == fill_q) begin
        rd_q   <= '0;
        fill_q <= '0;
      end else begin
        rd_q   <= rd_q + 1'b1;
      end
    end
    if (wiping_q) begin
      sweep_q <= sweep_q + 1'b1;
      if (sweep_q + 1'b1 == sweep_end_q) wiping_q <= 1'b0;
    end else if (clear_i) begin
      wiping_q    <= fill_q != '0;
      sweep_q     <= '0;
      sweep_end_q <= fill_q;
      fill_q      <= '0;
      rd_q        <= '0;
      fetched_q   <= 1'b0;
      overflow_q  <= 1'b0;
    end
    if (rst_i || zeroize_i) begin
      wiping_q    <= 1'b1;
      sweep_q     <= '0;
      sweep_end_q <= FULL;
      fill_q      <= '0;
      rd_q        <= '0;
      fetched_q   <= 1'b0;
      overflow_q  <= 1'b0;
    end
  end

endmodule
