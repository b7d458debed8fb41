// SPDX-License-Identifier: Apache-2.0
// The law of the handshake (rtl/prim/stream_props.sv) on the main streams of the endpoint.
//
// Contract: bound to tio_endpoint in every system simulation. Header, prefix and meta of a TLP beat
// count at sop only. Left out are the streams that a closing TDI may withdraw by design: writes
// behind the filter and requests behind the DMA gate; of a queued request, its verdict.
module stream_checks
  import pcie_pkg::*;
(
  input logic       clk_i,
  input logic       rst_i,
  input logic       rx_valid_i,
  input logic       rx_ready_o,
  input wire_beat_t rx_i,
  input logic       ing_valid,
  input logic       ing_ready,
  input tlp_beat_t  ing,
  input logic       rx_valid,
  input logic       rx_ready,
  input tlp_beat_t  rx,
  input logic       np_valid,
  input logic       np_ready,
  input np_req_t    np,
  input logic       eg_valid,
  input logic       eg_ready,
  input tlp_beat_t  eg,
  input logic       tx_valid_o,
  input logic       tx_ready_i,
  input wire_beat_t tx_o,
  input logic       aer_valid,
  input logic       aer_ready,
  input aer_event_t aer
);

  localparam int unsigned BeatWidth = $bits(tlp_beat_t);

  function automatic tlp_beat_t counted(input tlp_beat_t beat);
    tlp_beat_t b;
    b = beat;
    if (!beat.sop) begin
      b.header       = '0;
      b.prefix_valid = 1'b0;
      b.prefix       = '0;
      b.meta         = '0;
    end
    return b;
  endfunction

  stream_props #(.Width($bits(wire_beat_t)), .MaxBeats(0)) u_wire_rx (
    .clk_i, .rst_i, .valid_i(rx_valid_i), .ready_i(rx_ready_o), .last_i(rx_i.last), .data_i(rx_i));

  stream_props #(.Width(BeatWidth), .MaxBeats(MAX_PAYLOAD_BEATS + 1)) u_ing (
    .clk_i, .rst_i, .valid_i(ing_valid), .ready_i(ing_ready), .last_i(ing.eop),
    .data_i(counted(ing)));

  stream_props #(.Width(BeatWidth), .MaxBeats(MAX_PAYLOAD_BEATS)) u_rx (
    .clk_i, .rst_i, .valid_i(rx_valid), .ready_i(rx_ready), .last_i(rx.eop), .data_i(counted(rx)));

  stream_props #(.Width($bits(np_req_t) - $bits(np_verdict_e))) u_np (
    .clk_i, .rst_i, .valid_i(np_valid), .ready_i(np_ready), .last_i(1'b1),
    .data_i({np.func, np.data, np.header, np.meta}));

  stream_props #(.Width(BeatWidth), .MaxBeats(MAX_PAYLOAD_BEATS)) u_eg (
    .clk_i, .rst_i, .valid_i(eg_valid), .ready_i(eg_ready), .last_i(eg.eop), .data_i(counted(eg)));

  stream_props #(.Width($bits(wire_beat_t)), .MaxBeats(18)) u_wire_tx (
    .clk_i, .rst_i, .valid_i(tx_valid_o), .ready_i(tx_ready_i), .last_i(tx_o.last), .data_i(tx_o));

  stream_props #(.Width($bits(aer_event_t))) u_aer (
    .clk_i, .rst_i, .valid_i(aer_valid), .ready_i(aer_ready), .last_i(1'b1), .data_i(aer));

endmodule

bind tio_endpoint stream_checks u_stream_checks (.*);
