// SPDX-License-Identifier: Apache-2.0
// TLP beats in, wire beats out: prefix, header, payload and MAC packed without gaps.
//
// Contract
//   * Gives one wire beat in every cycle in which it has one to give, so a TLP takes exactly
//     ceil(DWs / 4) beats; latency one cycle. eg_ready_o depends on wire_ready_i and on
//     registers, never on eg_valid_i.
//   * eg_mac_i is taken with the eop beat if eg_mac_valid_i is set there. Beats with eop = 0 must
//     be full (dw_valid = F), as every source of TLP beats gives them.
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

  // Bytes not sent yet, first DW leftmost. In the middle of a TLP exactly head_dw_q DWs (3..5)
  // wait here; up to eight after the last beat was taken.
  logic [255:0] carry_q;
  logic [2:0]   head_dw_q;
  logic         flush_q;               // the TLP is complete: send flush_dw_q more DWs
  logic [3:0]   flush_dw_q;

  logic         go, take, send;
  logic [2:0]   head_dw;
  logic [159:0] head;
  logic [2:0]   data_dw;
  logic [3:0]   total_dw;              // DWs in `line`, at most 12
  logic [383:0] line;
  logic [127:0] data_kept;

  assign go         = !wire_valid_o || wire_ready_i;
  assign eg_ready_o = go && !flush_q;
  assign take       = eg_valid_i && eg_ready_o;
  assign send       = take || (flush_q && go);

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
    data_kept = eg_i.data;
    for (int unsigned i = 0; i < 4; i++) begin
      if (!eg_i.dw_valid[3-i]) data_kept[127-32*i -: 32] = '0;
    end
  end

  always_comb begin
    line = '0;
    if (flush_q) begin
      line     = {carry_q, 128'd0};
      total_dw = flush_dw_q;
    end else begin
      line     = {eg_i.sop ? head : carry_q[255:96], 224'd0};
      total_dw = 4'(head_dw) + 4'(data_dw);
      unique case (head_dw)
        3'd3:    line |= {96'd0, data_kept, 160'd0};
        3'd5:    line |= {160'd0, data_kept, 96'd0};
        default: line |= {128'd0, data_kept, 128'd0};
      endcase
      if (eg_i.eop && eg_mac_valid_i) begin
        // The MAC begins at DW 3..9.
        for (int unsigned i = 3; i <= 9; i++) begin
          if (total_dw == 4'(i)) line[383-32*i -: 96] = eg_mac_i;
        end
        total_dw = total_dw + 4'd3;
      end
    end
  end

  logic is_end, is_last;
  assign is_end  = flush_q || eg_i.eop;
  assign is_last = is_end && total_dw <= 4'd4;

  always_ff @(posedge clk_i) begin
    if (wire_ready_i) wire_valid_o <= 1'b0;
    if (send) begin
      wire_valid_o <= 1'b1;
      wire_o.last  <= is_last;
      wire_o.dws   <= is_last ? total_dw[2:0] : 3'd4;
      wire_o.data  <= line[383:256];
      carry_q      <= line[255:0];
      head_dw_q    <= head_dw;
      flush_q      <= is_end && !is_last;
      flush_dw_q   <= total_dw - 4'd4;
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
