// SPDX-License-Identifier: Apache-2.0
// Receive counters of every stream: PRs received before each NPR and CPL (reordering check), and
// the invocation field of each channel.
//
// Contract: query is combinational: iv_o is the IV of the next TLP of {block, sub_stream, key set};
// order_ok_o tells whether a verified TLP with these counts keeps the order rules (PR: no overflow;
// NPR, CPL: no underflow; Sync: neither counter below the value it carries). accept_i (pulse) books
// that TLP. last_iv_o: the TLP uses the last invocation value, the stream must fall after it. PR
// counters of a stream that is not Secure are zero.
module ide_rx_counters
  import ide_pkg::*;
(
  input  logic                    clk_i,
  input  logic                    rst_i,

  input  logic [NUM_BLOCKS-1:0]   secure_i,
  input  logic [NUM_CHANNELS-1:0] live_i,
  input  logic [NUM_CHANNELS-1:0] used_i,

  input  logic [1:0]              block_i,
  input  logic [1:0]              sub_stream_i,
  input  logic                    key_set_i,
  input  logic [7:0]              pr_sent_counter_i,
  input  logic                    is_sync_i,
  input  logic [15:0]             sync_npr_i,
  input  logic [15:0]             sync_cpl_i,
  output logic [95:0]             iv_o,
  output logic                    last_iv_o,
  output logic                    order_ok_o,
  input  logic                    accept_i
);

  typedef logic [RX_COUNTER_WIDTH-1:0] count_t;

  count_t      pr_npr_q [NUM_BLOCKS];
  count_t      pr_cpl_q [NUM_BLOCKS];
  // Next invocation value of the live key set; a RAM, read only after it was written (used_i).
  logic [63:0] next_q [NUM_CHANNELS];

  logic [3:0]  channel;
  logic [63:0] count;
  count_t      pr_npr, pr_cpl, pr_npr_d, pr_cpl_d;

  // The caller asks for blocks that exist only; anything else reads channel 0.
  assign channel = (block_i < 2'(NUM_BLOCKS) && sub_stream_i < 2'(NUM_SUB_STREAMS)) ?
                   channel_index(block_i, sub_stream_i) : 4'd0;

  // A key set that has not been used yet starts at 1 (IFV).
  assign count     = (used_i[channel] && live_i[channel] == key_set_i) ? next_q[channel] : 64'd1;
  assign iv_o      = make_iv(sub_stream_i, count);
  assign last_iv_o = &count;

  always_comb begin
    pr_npr = '0;
    pr_cpl = '0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (block_i == 2'(b)) begin
        pr_npr = pr_npr_q[b];
        pr_cpl = pr_cpl_q[b];
      end
    end
  end

  always_comb begin
    order_ok_o = 1'b0;
    pr_npr_d   = pr_npr;
    pr_cpl_d   = pr_cpl;
    unique case (sub_stream_i)
      2'(pcie_pkg::ClassPosted): begin
        if (is_sync_i) begin
          order_ok_o = sync_npr_i <= 16'(pr_npr) && sync_cpl_i <= 16'(pr_cpl);
          pr_npr_d   = pr_npr - count_t'(sync_npr_i);
          pr_cpl_d   = pr_cpl - count_t'(sync_cpl_i);
        end else begin
          order_ok_o = !(&pr_npr) && !(&pr_cpl);
          pr_npr_d   = pr_npr + count_t'(1);
          pr_cpl_d   = pr_cpl + count_t'(1);
        end
      end
      2'(pcie_pkg::ClassNonPosted): begin
        order_ok_o = count_t'(pr_sent_counter_i) <= pr_npr;
        pr_npr_d   = pr_npr - count_t'(pr_sent_counter_i);
      end
      2'(pcie_pkg::ClassCpl): begin
        order_ok_o = count_t'(pr_sent_counter_i) <= pr_cpl;
        pr_cpl_d   = pr_cpl - count_t'(pr_sent_counter_i);
      end
      default: order_ok_o = 1'b0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (accept_i) next_q[channel] <= count + 64'd1;
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (accept_i && block_i == 2'(b)) begin
        pr_npr_q[b] <= pr_npr_d;
        pr_cpl_q[b] <= pr_cpl_d;
      end
      if (rst_i || !secure_i[b]) begin
        pr_npr_q[b] <= '0;
        pr_cpl_q[b] <= '0;
      end
    end
  end

endmodule
