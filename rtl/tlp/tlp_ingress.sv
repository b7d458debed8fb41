// SPDX-License-Identifier: Apache-2.0
// Wire beats in, TLP beats out: splits prefix, header, payload and MAC, and drops bad structure.
//
// Contract
//   * Takes one wire beat and gives at most one TLP beat per cycle; a beat of the TLP appears two
//     cycles after the wire beat that completes it. wire_ready_o depends on ing_ready_i and on
//     registers, never on wire_valid_i.
//   * Every wire TLP gives one TLP whose last beat carries ing_malformed_o and ing_mac_o. The
//     last payload beat is kept back until the wire TLP has ended, so the verdict covers all of
//     it. A TLP that is bad by its header gives one empty beat; a bad length shows only at the
//     end. The payload never exceeds min(max_payload_dw_i, 64) DW. Unused DWs of a beat are 0.
//   * An IDE prefix sets meta.ide, t_bit and stream_id (nothing is verified yet). Any other
//     End-End prefix is passed with prefix_valid = 1 and meta.ide = 0: not supported, for the
//     router to refuse. One prefix at most; local prefixes and a second prefix are Malformed.
//   * ing_mac_o holds the last three DWs of the TLP; it is a MAC only if prefix.m is set.
//   * Trailer length: non-IDE TD DWs (the digest is dropped, ECRC checking is not supported), IDE
//     with M=1, P=0 exactly three. With M=0 or P=1, neither of which this receiver supports,
//     zero to four are let through: such a TLP must reach ide_rx, which fails the stream.
//   * Every malformed TLP gives one AER event; while it waits the input stalls.
//   * A beat that breaks the wire rules (a gap before the end, dws = 0) makes the TLP Malformed.
// PCIe Base 2.2, 2.3; IDE 6.33.
module tlp_ingress
  import pcie_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic [6:0]  max_payload_dw_i,  // largest Max_Payload_Size of the functions, DW;
                                         // taken over at the first beat of each TLP

  input  logic        wire_valid_i,
  output logic        wire_ready_o,
  input  wire_beat_t  wire_i,

  output logic        ing_valid_o,
  input  logic        ing_ready_i,
  output tlp_beat_t   ing_o,
  output logic [95:0] ing_mac_o,
  output logic        ing_malformed_o,

  output logic        aer_valid_o,
  input  logic        aer_ready_i,
  output aer_event_t  aer_o
);

  // Keeps the first `dws` DWs of a beat.
  function automatic logic [127:0] keep_dws(input logic [127:0] data, input logic [2:0] dws);
    logic [127:0] kept;
    kept = '0;
    for (int unsigned i = 0; i < 4; i++) begin
      if (3'(i) < dws) kept[127-32*i -: 32] = data[127-32*i -: 32];
    end
    return kept;
  endfunction

  // The wire beat being worked on ("prev": its successor may already stand at the input) and
  // what is known of its TLP.
  wire_beat_t   prev_q;
  logic         prev_valid_q, prev_is_first_q;
  logic [63:0]  older_q;                 // DWs 2 and 3 of the beat before prev
  logic [127:0] header_q;
  logic         prefix_valid_q;
  logic [31:0]  prefix_q;
  logic [6:0]   count_q;                 // DWs of the TLP up to and with prev, saturating
  logic         gap_q;
  logic [6:0]   max_payload_dw_q;
  logic [6:0]   taken_q;                 // payload DWs already passed on
  logic         sop_sent_q;
  logic         hold_valid_q;            // last payload beat, waiting for the end of the TLP
  logic [127:0] hold_data_q;
  logic [3:0]   hold_dw_valid_q;

  logic         accept, step, go, in_is_first;
  logic [127:0] in_data;
  logic [7:0]   in_count;
  logic         in_is_prefix, in_bad_dws;

  // Input side -----------------------------------------------------------------------------------

  assign go           = (!ing_valid_o || ing_ready_i) && !aer_valid_o;
  assign wire_ready_o = !prev_valid_q || go;
  assign accept       = wire_valid_i && wire_ready_o;
  assign step         = prev_valid_q && go && (prev_q.last || wire_valid_i);

  assign in_data      = keep_dws(wire_i.data, wire_i.dws);
  assign in_is_first  = !prev_valid_q || prev_q.last;
  assign in_is_prefix = in_data[127:125] == FMT_PREFIX;
  assign in_bad_dws   = wire_i.last ? (wire_i.dws == 3'd0 || wire_i.dws > 3'd4)
                                    : wire_i.dws != 3'd4;
  assign in_count     = {1'b0, in_is_first ? 7'd0 : count_q} + 8'(wire_i.dws);

  always_ff @(posedge clk_i) begin
    if (step) prev_valid_q <= 1'b0;
    if (accept) begin
      prev_valid_q    <= 1'b1;
      prev_q          <= '{last: wire_i.last, dws: wire_i.dws, data: in_data};
      prev_is_first_q <= in_is_first;
      older_q         <= in_is_first ? '0 : prev_q.data[63:0];
      count_q         <= in_count[7] ? 7'd127 : in_count[6:0];
      gap_q           <= in_bad_dws || (!in_is_first && gap_q);
      if (in_is_first) begin
        max_payload_dw_q <= max_payload_dw_i;
        prefix_valid_q <= in_is_prefix;
        prefix_q       <= in_is_prefix ? in_data[127:96] : '0;
        if (in_is_prefix)                header_q <= {in_data[95:0], 32'd0};
        else if (hdr_is_4dw(in_data))    header_q <= in_data;
        else                             header_q <= {in_data[127:32], 32'd0};
      end else if (prev_is_first_q && prefix_valid_q && hdr_is_4dw(header_q)) begin
        header_q[31:0] <= in_data[127:96];
      end
    end
    if (rst_i) prev_valid_q <= 1'b0;
  end

  // Verdict --------------------------------------------------------------------------------------

  logic       is_ide, header_bad, length_bad, malformed;
  logic [2:0] head_dw;                   // prefix and header: 3, 4 or 5 DWs
  logic [6:0] body_dw, base_dw;

  assign is_ide  = prefix_valid_q && prefix_q[31:24] == PREFIX_IDE;
  assign head_dw = 3'd3 + 3'(prefix_valid_q) + 3'(hdr_is_4dw(header_q));

  logic check_bad;
  tlp_ingress_check u_check (
    .header_i        (header_q),
    .ide_i           (is_ide),
    .max_payload_dw_i(max_payload_dw_q),
    .bad_o           (check_bad)
  );
  // Bit 4 of the prefix type tells End-End (1) from local (0).
  assign header_bad = check_bad || (prefix_valid_q && !prefix_q[28]);

  assign body_dw = (hdr_has_data(header_q) && !header_bad) ? header_q[102:96] : 7'd0;
  assign base_dw = 7'(head_dw) + body_dw;

  always_comb begin
    if (!is_ide) begin
      length_bad = count_q != base_dw + 7'(hdr_td(header_q));
    end else if (prefix_q[2] && !prefix_q[3]) begin
      length_bad = count_q != base_dw + 7'd3;
    end else begin
      length_bad = count_q < base_dw || count_q > base_dw + 7'd4;
    end
  end

  assign malformed = header_bad || length_bad || gap_q;

  // Payload alignment: the beat that begins in prev -----------------------------------------------

  logic [127:32] next_data;              // DWs 0..2 of the beat behind prev
  logic [127:0] window, pay_data;
  logic [6:0]   rem_dw;
  logic [2:0]   pay_dws;
  logic         pay_here, pay_is_final;
  logic [3:0]   pay_dw_valid;

  assign next_data = prev_q.last ? '0 : in_data[127:32];

  always_comb begin
    unique case (head_dw)
      3'd3:    window = {prev_q.data[31:0], next_data};
      3'd5:    window = {prev_q.data[95:0], next_data[127:96]};
      default: window = prev_q.data;
    endcase
  end

  assign rem_dw       = body_dw - taken_q;
  assign pay_here     = rem_dw != 7'd0 && (head_dw == 3'd3 || !prev_is_first_q);
  assign pay_is_final = rem_dw <= 7'd4;
  assign pay_dws      = pay_is_final ? rem_dw[2:0] : 3'd4;
  assign pay_data     = keep_dws(window, pay_dws);
  assign pay_dw_valid = ~(4'hF >> pay_dws);

  // Output side ----------------------------------------------------------------------------------

  logic        emit;
  tlp_beat_t   beat;
  logic [95:0] mac;

  assign emit = step && (prev_q.last || (pay_here && !pay_is_final));

  always_comb begin
    unique case (prev_q.dws)
      3'd1:    mac = {older_q, prev_q.data[127:96]};
      3'd2:    mac = {older_q[31:0], prev_q.data[127:64]};
      3'd3:    mac = prev_q.data[127:32];
      default: mac = prev_q.data[95:0];
    endcase
  end

  always_comb begin
    beat              = '0;
    beat.sop          = !sop_sent_q;
    beat.eop          = prev_q.last;
    beat.header       = header_q;
    beat.prefix_valid = prefix_valid_q;
    beat.prefix       = prefix_q;
    if (is_ide) begin
      beat.meta.ide       = 1'b1;
      beat.meta.t_bit     = prefix_q[0];
      beat.meta.stream_id = prefix_q[15:8];
    end
    if (hold_valid_q) begin
      beat.dw_valid = hold_dw_valid_q;
      beat.data     = hold_data_q;
    end else if (pay_here) begin
      beat.dw_valid = pay_dw_valid;
      beat.data     = pay_data;
    end
  end

  always_ff @(posedge clk_i) begin
    if (step) begin
      if (prev_q.last) begin
        sop_sent_q   <= 1'b0;
        hold_valid_q <= 1'b0;
        taken_q      <= '0;
      end else if (pay_here) begin
        taken_q      <= taken_q + 7'(pay_dws);
        sop_sent_q   <= sop_sent_q || !pay_is_final;
        hold_valid_q <= pay_is_final;
      end
      if (!hold_valid_q) begin
        hold_data_q     <= pay_data;
        hold_dw_valid_q <= pay_dw_valid;
      end
    end
    if (rst_i) begin
      sop_sent_q   <= 1'b0;
      hold_valid_q <= 1'b0;
      taken_q      <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (ing_ready_i) ing_valid_o <= 1'b0;
    if (emit) begin
      ing_valid_o     <= 1'b1;
      ing_o           <= beat;
      ing_mac_o       <= mac;
      ing_malformed_o <= prev_q.last && malformed;
    end
    if (rst_i) ing_valid_o <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (aer_ready_i) aer_valid_o <= 1'b0;
    if (step && prev_q.last && malformed) begin
      aer_valid_o <= 1'b1;
      aer_o <= '{error: AER_MALFORMED, all_funcs: 1'b1, func: '0, advisory: 1'b0,
                 log_header: 1'b1, header: header_q, prefix_valid: prefix_valid_q,
                 prefix: prefix_q};
    end
    if (rst_i) aer_valid_o <= 1'b0;
  end

endmodule
