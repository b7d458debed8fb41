// SPDX-License-Identifier: Apache-2.0
// The whole endpoint with a mailbox of TLPs on either side of its wire face, for Python.
//
// Contract: nobody in Python sees a clock edge. To the device: put the bytes of one TLP, first byte
// in the most significant one, into send_tlp_i, its DWs into send_dws_i, and toggle send_toggle_i;
// sent_toggle_o follows when the last beat has been taken. From the device: TLPs come to rest in a
// ring of RingTlps; received_count_o counts them, taken_count_i gives the places back. Beats of 16
// bytes lie one after the other, the last one at the least significant end of a ring entry; its
// unused bytes are zero. A full ring stops the wire: nothing is lost.
//
// rst_i is power-on, conv_rst_i a conventional reset. Counters run over conventional resets. The
// noise source is a xorshift generator, and says so to the device.
module tb_system
  import pcie_pkg::wire_beat_t;
#(
  localparam int unsigned MaxBeats = 18,               // 4 + 16 + 256 + 12 bytes
  localparam int unsigned TlpBits  = 128 * MaxBeats,
  localparam int unsigned RingTlps = 64
) (
  input  logic                 rst_i,
  input  logic                 conv_rst_i,

  input  logic [TlpBits-1:0]   send_tlp_i,
  input  logic [7:0]           send_dws_i,
  input  logic                 send_toggle_i,
  output logic                 sent_toggle_o,

  output logic [31:0]          received_count_o,
  input  logic [31:0]          taken_count_i,

  output logic [2:0][31:0]     released_count_o,   // per class, of the TLPs sent to the device
  output logic [2:0][31:0]     consumed_count_o,   // per class, of the TLPs sent by the device
  output logic [31:0]          overlong_count_o,   // TLPs of the device longer than any may be
  output logic [63:0]          cycle_o,
  output logic                 idle_o
);

  logic clk;

  initial clk = 1'b0;
  always #10 clk = ~clk;  // one cycle is 20 ns

  // ---- to the device ----------------------------------------------------------------------------
  logic               send_q, send_q2, sending_q, rx_ready;
  logic [TlpBits-1:0] shift_q;
  logic [7:0]         left_q;
  wire_beat_t         rx;

  assign rx.last = left_q <= 8'd4;
  assign rx.dws  = rx.last ? left_q[2:0] : 3'd4;
  assign rx.data = shift_q[TlpBits-1-:128];

  always_ff @(posedge clk) begin
    send_q  <= send_toggle_i;
    send_q2 <= send_q;
    if (rst_i || conv_rst_i) begin
      // What was on its way is lost, as it would be on a link that goes down.
      sending_q     <= 1'b0;
      sent_toggle_o <= send_toggle_i;
      send_q2       <= send_toggle_i;
      send_q        <= send_toggle_i;
    end else if (sending_q) begin
      if (rx_ready) begin
        shift_q <= shift_q << 128;
        left_q  <= left_q - 8'd4;
        if (rx.last) begin
          sending_q     <= 1'b0;
          sent_toggle_o <= send_q2;
        end
      end
    end else if (send_q != send_q2) begin
      sending_q <= 1'b1;
      shift_q   <= send_tlp_i;
      left_q    <= send_dws_i;
    end
  end

  // ---- from the device --------------------------------------------------------------------------
  /* verilator lint_off UNUSEDSIGNAL */
  // The ring is read by Python; the oldest beat of a TLP of full length is shifted out of gather_q
  // only in a TLP that is too long, and that is counted.
  logic [TlpBits-1:0] ring_q     [RingTlps];
  logic [7:0]         ring_dws_q [RingTlps];
  logic [TlpBits-1:0] gather_q;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [7:0]         gathered_q;
  logic               tx_valid, tx_ready;
  wire_beat_t         tx;
  logic [5:0]         place;

  assign place    = received_count_o[5:0];
  assign tx_ready = received_count_o - taken_count_i < 32'(RingTlps);

  always_ff @(posedge clk) begin
    if (rst_i) begin
      received_count_o <= '0;
      overlong_count_o <= '0;
    end else if (tx_valid && tx_ready && tx.last) begin
      received_count_o <= received_count_o + 32'd1;
      if (gathered_q > 8'(4 * MaxBeats - 4)) overlong_count_o <= overlong_count_o + 32'd1;
    end
    if (rst_i || conv_rst_i || (tx_valid && tx_ready && tx.last)) begin
      gather_q   <= '0;
      gathered_q <= '0;
    end else if (tx_valid && tx_ready) begin
      gather_q   <= {gather_q[TlpBits-129:0], tx.data};
      gathered_q <= gathered_q + 8'd4;
    end
    if (tx_valid && tx_ready && tx.last) begin
      ring_q[place]     <= {gather_q[TlpBits-129:0], tx.data};
      ring_dws_q[place] <= gathered_q + 8'(tx.dws);
    end
  end

  // ---- noise, time, credits ---------------------------------------------------------------------
  logic        entropy_ready, sync_consume, ep_rst_q;
  logic [31:0] noise_q;
  logic [2:0]  released, consume, unconsume;

  function automatic logic [31:0] next_noise(input logic [31:0] x);
    logic [31:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 17);
    return y ^ (y << 5);
  endfunction

  always_ff @(posedge clk) begin
    cycle_o  <= rst_i ? '0 : cycle_o + 64'd1;
    ep_rst_q <= rst_i || conv_rst_i;
    if (rst_i) noise_q <= 32'h2545_F491;
    else if (entropy_ready) noise_q <= next_noise(noise_q);
    for (int c = 0; c < 3; c++) begin
      if (rst_i) begin
        released_count_o[c] <= '0;
        consumed_count_o[c] <= '0;
      end else begin
        released_count_o[c] <= released_count_o[c] + 32'(released[c]);
        consumed_count_o[c] <= consumed_count_o[c] + 32'(consume[c]) - 32'(unconsume[c]) +
                               32'(c == 0 && sync_consume);
      end
    end
  end

  tio_endpoint u_dut (
    .clk_i(clk), .rst_i(ep_rst_q), .rst_sticky_i(rst_i),
    .rx_valid_i(sending_q), .rx_ready_o(rx_ready), .rx_i(rx), .release_o(released),
    .tx_valid_o(tx_valid), .tx_ready_i(tx_ready), .tx_o(tx),
    .credit_ok_i(3'b111), .consume_o(consume), .unconsume_o(unconsume),
    .sync_consume_o(sync_consume),
    .entropy_valid_i(1'b1), .entropy_ready_o(entropy_ready), .entropy_i(noise_q),
    .entropy_is_deterministic_i(1'b1),
    .cycle_i(cycle_o), .idle_o(idle_o)
  );

endmodule
