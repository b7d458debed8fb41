// SPDX-License-Identifier: Apache-2.0
// Executes non-posted requests one at a time and sends their completions.
//
// Contract
//   * Takes a request only when no earlier posted write is on its way to the local bus
//     (write_busy_i), so a read sees every write before it, a zero-length read included.
//   * A completion with data is collected completely before its first beat is shown. Payload is
//     at most the function's Max_Payload_Size; every completion but the last ends on a 128 B
//     boundary; Byte Count and Lower Address as in PCIe Base 2.3.1.1.
//   * tdi_filter is asked in every cycle from acceptance until the first beat of a completion has
//     been taken. If the permission ends the request is answered UR with the bytes still owed and
//     the collected data is erased. A beat that is shown and not yet taken turns into that answer
//     in the same cycle; valid does not fall.
//   * The payload buffer holds zeros whenever it does not hold a completion: each row is zeroed
//     as it is sent.
//   * Local bus reads give way to writes (lb_grant_i). cpl_sent_o pulses when the completion of a
//     configuration request has been taken.
//
// SEC: TDI.FILTER
module completer_read
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  logic                              clk_i,
  input  logic                              rst_i,

  input  func_cfg_t [NumTdi:0]              func_cfg_i,
  input  logic [12:0]                       bus_dev_i,
  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i,
  input  logic                              write_busy_i,

  // requests <- np_queue
  input  logic                              np_valid_i,
  output logic                              np_ready_o,
  input  np_req_t                           np_i,

  // local bus, reads
  output logic                              lb_valid_o,
  input  logic                              lb_grant_i,
  output logic [2:0]                        lb_func_o,
  output logic [15:2]                       lb_addr_o,
  output logic [3:0]                        lb_be_o,
  input  logic [31:0]                       lb_rdata_i,

  // configuration access -> cfg_space
  output logic                              acc_valid_o,
  input  logic                              acc_ready_i,
  output logic                              acc_we_o,
  output logic [2:0]                        acc_func_o,
  output logic [11:2]                       acc_addr_o,
  output logic [3:0]                        acc_be_o,
  output logic [31:0]                       acc_wdata_o,
  output logic [12:0]                       acc_bus_dev_o,
  input  logic                              acc_rvalid_i,
  input  logic [31:0]                       acc_rdata_i,

  // completions -> tx arbiter
  output logic                              cpl_valid_o,
  input  logic                              cpl_ready_i,
  output tlp_beat_t                         cpl_o,
  output logic                              cpl_sent_o
);

  typedef enum logic [2:0] {
    StIdle       = 3'd0,
    StConfig     = 3'd1,
    StConfigData = 3'd2,
    StPlan       = 3'd3,
    StFill       = 3'd4,
    StSend       = 3'd5,
    StAnswer     = 3'd6,
    StPurge      = 3'd7
  } state_e;

  state_e      state_d, state_q;
  np_req_t     req_q;
  logic [15:2] addr_q;        // next DW to read
  logic [3:0]  page_q;        // all of a request lies in one page
  logic [6:0]  lower_q;       // Lower Address of the next completion
  logic [10:0] dws_left_q;    // not yet sent, this completion included
  logic [12:0] bytes_left_q;
  logic [6:0]  chunk_q;       // DWs of this completion
  logic [6:0]  issued_q, filled_q;
  logic        is_first_dw_q; // the next DW to read is the first of the request
  logic        reading_q;     // a local bus read was issued in the cycle before
  logic [3:0]  row_q;         // StSend, StPurge

  logic [127:0] h;
  logic         is_read, is_flush, is_config_write;

  assign h               = req_q.header;
  assign is_read         = !hdr_has_data(h) && hdr_type(h) inside {TYPE_MEM, TYPE_MEM_LK};
  assign is_config_write = req_q.verdict == NpConfig && hdr_has_data(h);
  assign is_flush        = hdr_length_dw(h) == 11'd1 && hdr_first_be(h) == '0;

  // Permission -----------------------------------------------------------------------------------

  tdisp_pkg::tdi_view_t view;
  logic                 allow, refused;

  always_comb begin
    view = '0;
    for (int unsigned f = 1; f <= NumTdi; f++) begin
      if (req_q.func == 3'(f)) view = tdi_view_i[f-1];
    end
  end

  tdi_filter u_filter (
    .is_tdi_i (req_q.func != 3'd0),
    .view_i   (view),
    .page_i   (page_q),
    .ide_i    (req_q.meta.ide),
    .t_bit_i  (req_q.meta.t_bit),
    .block_i  (req_q.meta.block),
    .allow_o  (allow)
  );

  assign refused = req_q.verdict == NpMemRead && !allow;

  // Size of a request in bytes and its first byte (table of PCIe Base 2.3.1.1) -------------------

  function automatic logic [1:0] leading(input logic [3:0] be);
    if (be[0] || be == '0) return 2'd0;
    if (be[1]) return 2'd1;
    if (be[2]) return 2'd2;
    return 2'd3;
  endfunction

  function automatic logic [1:0] trailing(input logic [3:1] be);
    if (be[3]) return 2'd0;
    if (be[2]) return 2'd1;
    if (be[1]) return 2'd2;
    return 2'd3;
  endfunction

  function automatic logic [12:0] byte_count(input logic [127:0] header);
    logic [12:0] bytes;
    logic [3:1]  last_be;
    last_be = (hdr_length_dw(header) == 11'd1) ? header[67:65] : header[71:69];
    bytes   = {hdr_length_dw(header), 2'b00} - {11'd0, leading(hdr_first_be(header))}
              - {11'd0, trailing(last_be)};
    // A zero-length read owes one byte.
    return (hdr_length_dw(header) == 11'd1 && hdr_first_be(header) == '0) ? 13'd1 : bytes;
  endfunction

  // Split ----------------------------------------------------------------------------------------

  logic [2:0]  mps;
  logic [6:0]  mps_dws, plan_dws;
  logic [12:0] chunk_bytes;
  logic        last_chunk;

  always_comb begin
    mps = '0;
    for (int unsigned f = 0; f <= NumTdi; f++) begin
      if (req_q.func == 3'(f)) mps = func_cfg_i[f].mps;
    end
  end

  assign mps_dws     = (mps == '0) ? 7'd32 : 7'd64;
  assign plan_dws    = (dws_left_q <= 11'(mps_dws)) ? dws_left_q[6:0]
                                                    : mps_dws - {2'd0, addr_q[6:2]};
  assign last_chunk  = dws_left_q == 11'(chunk_q);
  assign chunk_bytes = {4'd0, chunk_q, 2'b00} - {11'd0, lower_q[1:0]};

  // Payload buffer -------------------------------------------------------------------------------

  logic [3:0][31:0] rows_q [16];    // [3] is the first DW of a row
  logic             fill_dw, zero_row;
  logic [31:0]      fill_data;
  logic [3:0]       write_row;

  assign fill_dw   = (state_q == StFill && reading_q) || (state_q == StConfigData && acc_rvalid_i);
  assign fill_data = bswap32((state_q == StFill) ? lb_rdata_i : acc_rdata_i);
  assign write_row = fill_dw ? filled_q[5:2] : row_q;

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < 4; i++) begin
      if (zero_row) begin
        rows_q[write_row][i] <= '0;
      end else if (fill_dw && 2'(3 - i) == filled_q[1:0]) begin
        rows_q[write_row][i] <= fill_data;
      end
    end
  end

  // Completion -----------------------------------------------------------------------------------

  logic        answer, send_data, last_row;
  logic [2:0]  status;
  logic [10:0] dws_in_row;
  logic [3:0]  row_valid;

  assign answer    = state_q == StAnswer || (state_q == StSend && row_q == '0 && refused);
  assign send_data = state_q == StSend && !answer;
  assign last_row  = {row_q, 2'b11} >= 6'(chunk_q - 7'd1);
  assign zero_row  = state_q == StPurge || (send_data && cpl_ready_i);

  always_comb begin
    status = CPL_UR;
    if (req_q.verdict == NpAbort) status = CPL_CA;
    if (is_config_write) status = CPL_SC;
  end

  assign dws_in_row = 11'(chunk_q) - {5'd0, row_q, 2'b00};
  always_comb begin
    unique case (dws_in_row)
      11'd1:   row_valid = 4'b1000;
      11'd2:   row_valid = 4'b1100;
      11'd3:   row_valid = 4'b1110;
      default: row_valid = 4'b1111;
    endcase
  end

  assign cpl_valid_o = answer || send_data;

  always_comb begin
    cpl_o      = '0;
    cpl_o.sop  = answer || row_q == '0;
    cpl_o.eop  = answer || last_row;
    cpl_o.header = {
      // DW0: format and type (locked if the request was), traffic class, attributes, tag 9:8
      1'b0, !answer, 1'b0, 4'b0101, hdr_type(h) == TYPE_MEM_LK,
      h[119:114], 2'b00,
      2'b00, h[109:108], 2'b00, answer ? 10'd0 : {3'd0, chunk_q},
      // DW1
      bus_dev_i, req_q.func, answer ? status : CPL_SC, 1'b0,
      is_read ? bytes_left_q[11:0] : 12'd4,
      // DW2
      hdr_requester_id(h), h[79:72], 1'b0, is_read ? lower_q : 7'd0,
      32'd0};
    cpl_o.meta           = req_q.meta;
    cpl_o.meta.associate = 1'b0;
    if (send_data) begin
      cpl_o.dw_valid = row_valid;
      cpl_o.data     = rows_q[row_q];
    end
  end

  assign cpl_sent_o = cpl_valid_o && cpl_ready_i && cpl_o.eop && req_q.verdict == NpConfig;

  // Requests to the buses ------------------------------------------------------------------------

  logic issue;

  assign lb_valid_o = state_q == StFill && issued_q != chunk_q && !refused;
  assign issue      = lb_valid_o && lb_grant_i;
  assign lb_func_o  = req_q.func;
  assign lb_addr_o  = addr_q;

  always_comb begin
    lb_be_o = 4'hF;
    if (last_chunk && issued_q + 1'b1 == chunk_q) lb_be_o = hdr_last_be(h);
    if (is_first_dw_q) lb_be_o = hdr_first_be(h);
  end

  assign acc_valid_o   = state_q == StConfig;
  assign acc_we_o      = is_config_write;
  assign acc_func_o    = req_q.func;
  assign acc_addr_o    = h[43:34];
  assign acc_be_o      = hdr_first_be(h);
  assign acc_wdata_o   = bswap32(req_q.data);
  assign acc_bus_dev_o = h[63:51];

  // Sequence -------------------------------------------------------------------------------------

  logic [63:0] np_address;

  assign np_address = hdr_address(np_i.header);
  assign np_ready_o = state_q == StIdle && !write_busy_i;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle: begin
        if (np_valid_i && np_ready_o) begin
          unique case (np_i.verdict)
            NpConfig:  state_d = StConfig;
            NpMemRead: state_d = StPlan;
            default:   state_d = StAnswer;
          endcase
        end
      end

      StConfig: if (acc_ready_i) state_d = is_config_write ? StAnswer : StConfigData;

      StConfigData: if (acc_rvalid_i) state_d = StSend;

      // Choose the size of the next completion. A flush has nothing to read.
      StPlan: begin
        state_d = is_flush ? StSend : StFill;
        if (refused) state_d = StAnswer;
      end

      StFill: begin
        if (reading_q && filled_q + 1'b1 == chunk_q) state_d = StSend;
        if (refused) state_d = StAnswer;
      end

      StSend: begin
        if (answer) begin
          state_d = cpl_ready_i ? StPurge : StAnswer;
        end else if (cpl_ready_i && last_row) begin
          state_d = (last_chunk || req_q.verdict == NpConfig) ? StIdle : StPlan;
        end
      end

      StAnswer: if (cpl_ready_i) state_d = (req_q.verdict == NpMemRead) ? StPurge : StIdle;

      StPurge: if (row_q == 4'hF) state_d = StIdle;

      default: state_d = StPurge;
    endcase
  end

  always_ff @(posedge clk_i) begin
    state_q   <= state_d;
    reading_q <= issue;

    if (state_q == StIdle) begin
      req_q         <= np_i;
      addr_q        <= np_address[15:2];
      page_q        <= np_address[15:12];
      lower_q       <= {np_address[6:2], leading(hdr_first_be(np_i.header))};
      dws_left_q    <= hdr_length_dw(np_i.header);
      bytes_left_q  <= byte_count(np_i.header);
      is_first_dw_q <= 1'b1;
      row_q         <= '0;
      filled_q      <= '0;
      issued_q      <= '0;
      chunk_q       <= 7'd1;   // a configuration read
    end
    if (state_q == StPlan) begin
      chunk_q  <= plan_dws;
      issued_q <= '0;
      filled_q <= '0;
      row_q    <= '0;
    end
    if (issue) begin
      issued_q      <= issued_q + 1'b1;
      addr_q        <= addr_q + 1'b1;
      is_first_dw_q <= 1'b0;
    end
    if (fill_dw) filled_q <= filled_q + 1'b1;
    if (send_data && cpl_ready_i) begin
      row_q <= row_q + 1'b1;
      if (last_row) begin
        dws_left_q   <= dws_left_q - 11'(chunk_q);
        bytes_left_q <= bytes_left_q - chunk_bytes;
        lower_q      <= '0;
      end
    end
    if (answer) row_q <= '0;
    if (state_q == StPurge) row_q <= row_q + 1'b1;

    if (rst_i) begin
      // The buffer may hold anything.
      state_q   <= StPurge;
      row_q     <= '0;
      reading_q <= 1'b0;
    end
  end

  logic unused;
  assign unused = ^{np_address[63:16], np_address[1:0], func_cfg_i, bytes_left_q[12], h[127], h[125]};

endmodule
