// SPDX-License-Identifier: Apache-2.0
// TLP beats in, wire beats out: prefix, header, payload and MAC packed without gaps.
//
// Contract
//   * Gives one wire beat in every cycle in which it has one to give, so a TLP takes exactly
//     ceil(DWs / 4) beats; latency one cycle. eg_ready_o depends on wire_ready_i and on
//     registers, never on eg_valid_i.
//   * eg_mac_i is taken with the eop beat if eg_mac_valid_i is set there, which is allowed only in
//     a TLP with a prefix (there is no MAC without one). Beats with eop = 0 must be full
//     (dw_valid = F), as every source of TLP beats gives them.
//   * Sends what it is given: field checks are the business of the sources.
//   * Reset forgets a TLP in flight.
module tlp_egress
  import pcie_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        eg_valid_i,
  output logic        eg_ready_o,
  input  tlp_beat_t   eg_i,
  input  logic [95:0] eg_mac_i,
  input  logic        eg_mac_valid_i,

  output logic        wire_valid_o,
  input  logic        wire_ready_i,
  output wire_beat_t  wire_o
);

  // DWs not sent yet, left-justified, zeros behind. In the middle of a TLP exactly head_dw_q of them
  // (3..5) wait here: each beat that comes pushes one out. After eop: rest_dw_q (0..5).
  logic [159:0] carry_q;
  logic [2:0]   head_dw_q;
  logic         flush_q;               // eop was taken, rest and MAC are still to be sent
  logic [2:0]   rest_dw_q;
  logic         mac_waits_q;
  logic [95:0]  mac_q;

  logic         go, take;
  logic [2:0]   head_dw, data_dw;
  logic [159:0] head;
  logic [127:0] data;
  logic [287:0] line;                  // what waits and what comes: up to 9 DWs
  logic [255:0] tail;                  // what waits and the MAC: up to 8 DWs
  logic [3:0]   total_dw;
  logic         is_last;

  assign go         = !wire_valid_o || wire_ready_i;
  assign eg_ready_o = go && !flush_q;
  assign take       = eg_valid_i && eg_ready_o;

  // Prefix and header of a first beat, left-justified in five DWs.
  always_comb begin
    unique case ({eg_i.prefix_valid, hdr_is_4dw(eg_i.header)})
      2'b00:   head = {eg_i.header[127:32], 64'd0};
      2'b01:   head = {eg_i.header, 32'd0};
      2'b10:   head = {eg_i.prefix, eg_i.header[127:32], 32'd0};
      default: head = {eg_i.prefix, eg_i.header};
    endcase
  end

  assign head_dw = eg_i.sop ? 3'd3 + 3'(eg_i.prefix_valid) + 3'(hdr_is_4dw(eg_i.header))
                            : head_dw_q;
  assign data_dw = 3'(eg_i.dw_valid[3]) + 3'(eg_i.dw_valid[2]) + 3'(eg_i.dw_valid[1])
                   + 3'(eg_i.dw_valid[0]);

  always_comb begin
    for (int unsigned i = 0; i < 4; i++) begin
      data[127-32*i -: 32] = eg_i.data[127-32*i -: 32] & {32{eg_i.dw_valid[3-i]}};
    end
  end

  always_comb begin
    line = {eg_i.sop ? head : carry_q, 128'd0};
    unique case (head_dw)
      3'd3:    line |= {96'd0, data, 64'd0};
      3'd5:    line |= {160'd0, data};
      default: line |= {128'd0, data, 32'd0};
    endcase
  end

  assign tail = {carry_q, 96'd0}
                | ({mac_q & {96{mac_waits_q}}, 160'd0} >> {rest_dw_q, 5'd0});

  always_comb begin
    if (flush_q) begin
      total_dw = 4'(rest_dw_q) + (mac_waits_q ? 4'd3 : 4'd0);
      is_last  = total_dw <= 4'd4;
    end else begin
      total_dw = 4'(head_dw) + 4'(data_dw);
      is_last  = total_dw <= 4'd4 && eg_i.eop && !eg_mac_valid_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (wire_ready_i) wire_valid_o <= 1'b0;
    if (take || (flush_q && go)) begin
      wire_valid_o <= 1'b1;
      wire_o.last  <= is_last;
      wire_o.dws   <= is_last ? total_dw[2:0] : 3'd4;
      wire_o.data  <= flush_q ? tail[255:128] : line[287:160];
      carry_q      <= flush_q ? {tail[127:0], 32'd0} : line[159:0];
      head_dw_q    <= head_dw;
      flush_q      <= (flush_q || eg_i.eop) && !is_last;
      rest_dw_q    <= 3'(total_dw - 4'd4);
      mac_waits_q  <= take && eg_i.eop && eg_mac_valid_i;
      if (take && eg_i.eop) mac_q <= eg_mac_i;
    end
    if (rst_i) begin
      wire_valid_o <= 1'b0;
      flush_q      <= 1'b0;
    end
  end

  // The choice of stream and T bit has become the prefix by now.
  logic unused_meta;
  assign unused_meta = ^eg_i.meta;

endmodule
