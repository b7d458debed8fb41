// SPDX-License-Identifier: Apache-2.0
// Transaction layer types shared by every block that sees a TLP.
//
// Data format, used everywhere in this design:
//
//   wire order    byte 0   1   2   3 | 4   5   6   7 | ...
//   vector       [127:120] ...       |  [95:88] ...  |
//                 DW0                   DW1             DW2    DW3
//
// i.e. the most significant byte of a vector is the first byte on the wire, so a header or a
// payload beat printed in hex reads as the bytes of the TLP. A register value (little-endian in
// memory) is therefore `bswap32` of its payload DW.
package pcie_pkg;

  // Fmt[2:0] and Type[4:0] as they stand in byte 0 of a header (PCIe Base, 2.2.1).
  localparam logic [2:0] FMT_3DW        = 3'b000;
  localparam logic [2:0] FMT_4DW        = 3'b001;
  localparam logic [2:0] FMT_3DW_DATA   = 3'b010;
  localparam logic [2:0] FMT_4DW_DATA   = 3'b011;
  localparam logic [2:0] FMT_PREFIX     = 3'b100;

  localparam logic [4:0] TYPE_MEM       = 5'b00000;
  localparam logic [4:0] TYPE_MEM_LK    = 5'b00001;
  localparam logic [4:0] TYPE_IO        = 5'b00010;
  localparam logic [4:0] TYPE_CFG0      = 5'b00100;
  localparam logic [4:0] TYPE_CFG1      = 5'b00101;
  localparam logic [4:0] TYPE_CPL       = 5'b01010;
  localparam logic [4:0] TYPE_CPL_LK    = 5'b01011;
  localparam logic [4:0] TYPE_FETCHADD  = 5'b01100;
  localparam logic [4:0] TYPE_SWAP      = 5'b01101;
  localparam logic [4:0] TYPE_CAS       = 5'b01110;
  localparam logic [4:0] TYPE_DMWR      = 5'b11011;

  localparam logic [7:0] PREFIX_IDE     = 8'h92;

  localparam logic [2:0] CPL_SC         = 3'd0;
  localparam logic [2:0] CPL_UR         = 3'd1;
  localparam logic [2:0] CPL_CRS        = 3'd2;
  localparam logic [2:0] CPL_CA         = 3'd4;

  localparam logic [7:0] MSG_ERR_COR            = 8'h30;
  localparam logic [7:0] MSG_ERR_NONFATAL       = 8'h31;
  localparam logic [7:0] MSG_ERR_FATAL          = 8'h33;
  localparam logic [7:0] MSG_PME_TURN_OFF       = 8'h19;
  localparam logic [7:0] MSG_SET_SLOT_POWER     = 8'h50;
  localparam logic [7:0] MSG_IDE_SYNC           = 8'h54;
  localparam logic [7:0] MSG_IDE_FAIL           = 8'h55;
  localparam logic [7:0] MSG_VENDOR_0           = 8'h7E;
  localparam logic [7:0] MSG_VENDOR_1           = 8'h7F;

  // AER uncorrectable status bit numbers (PCIe Base, 7.8.4.2).
  localparam logic [4:0] AER_POISONED           = 5'd12;
  localparam logic [4:0] AER_CPL_TIMEOUT        = 5'd14;
  localparam logic [4:0] AER_COMPLETER_ABORT    = 5'd15;
  localparam logic [4:0] AER_UNEXPECTED_CPL     = 5'd16;
  localparam logic [4:0] AER_RX_OVERFLOW        = 5'd17;
  localparam logic [4:0] AER_MALFORMED          = 5'd18;
  localparam logic [4:0] AER_UNSUPPORTED        = 5'd20;
  localparam logic [4:0] AER_INTERNAL           = 5'd22;
  localparam logic [4:0] AER_IDE_CHECK_FAILED   = 5'd28;
  localparam logic [4:0] AER_MISROUTED_IDE      = 5'd29;

  // Largest payload this design handles: 256 B = 64 DW = 16 beats.
  localparam int unsigned MAX_PAYLOAD_DW    = 64;
  localparam int unsigned MAX_PAYLOAD_BEATS = 16;

  // Ordering class of a TLP; the numbers are the IDE sub-stream numbers.
  typedef enum logic [1:0] {
    ClassPosted    = 2'd0,
    ClassNonPosted = 2'd1,
    ClassCpl       = 2'd2
  } tlp_class_e;

  // One contiguous beat at the wire face: prefix, header, payload, MAC packed without gaps.
  // `dws` (1..4) DWs are valid, left-justified; only the last beat of a TLP may have dws < 4.
  typedef struct packed {
    logic         last;
    logic [2:0]   dws;
    logic [127:0] data;
  } wire_beat_t;

  // What travels beside a TLP inside the device.
  typedef struct packed {
    logic       ide;        // rx: arrived protected and verified; tx: must be sent protected
    logic       t_bit;      // T of the IDE prefix; 0 if not IDE
    logic       associate;  // tx only: choose the stream by association (requests with T=0)
    logic [1:0] block;      // IDE stream block index (valid if ide)
    logic [7:0] stream_id;  // Stream ID as received (rx) - tx takes it from the block
    logic [7:0] tdi_idx;    // TDI that sends (tx) or is addressed (rx, set by the router)
  } tlp_meta_t;

  // One beat of a TLP inside the device. header, prefix, meta hold at sop only (they may change
  // afterwards); payload starts at DW0 of the first beat; a TLP without payload is one beat with
  // sop = eop = 1 and dw_valid = 0. dw_valid is left-justified: bit 3 = DW0 (data[127:96]).
  typedef struct packed {
    logic         sop;
    logic         eop;
    logic [3:0]   dw_valid;
    logic [127:0] data;
    logic [127:0] header;    // {DW0,DW1,DW2,DW3}; DW3 = 0 for a 3-DW header
    logic         prefix_valid;
    logic [31:0]  prefix;    // the IDE prefix as received, for error logs
    tlp_meta_t    meta;
  } tlp_beat_t;

  // What the router decided about a non-posted request. The all-zero code is the refusal.
  typedef enum logic [1:0] {
    NpUnsupported = 2'd0,  // answer UR
    NpAbort       = 2'd1,  // answer CA
    NpMemRead     = 2'd2,  // memory read of function `func`
    NpConfig      = 2'd3   // configuration request of function `func`
  } np_verdict_e;

  // A non-posted request on its way from the router through the queue to the completer.
  typedef struct packed {
    np_verdict_e  verdict;
    logic [2:0]   func;     // function that claims the request; 0 if none does
    logic [31:0]  data;     // payload DW of a configuration write as on the wire, otherwise 0
    logic [127:0] header;
    tlp_meta_t    meta;
  } np_req_t;

  // One error to be reported through AER (valid/ready stream, one event per bad TLP).
  typedef struct packed {
    logic [4:0]   error;        // uncorrectable status bit number
    logic         all_funcs;    // not attributable to one function
    logic [2:0]   func;
    logic         advisory;     // advisory non-fatal case of 6.2.3.2.4 (UR/CA to a non-posted, UC)
    logic         log_header;   // header/prefix below are those of the offending TLP
    logic [127:0] header;
    logic         prefix_valid;
    logic [31:0]  prefix;
  } aer_event_t;

  // Per-function configuration that the data path needs; all from flops in cfg_space.
  typedef struct packed {
    logic        mse;
    logic        bme;
    logic        d3hot;
    logic        msix_enable;
    logic        msix_func_mask;
    logic [2:0]  mps;        // encoded, 128 << mps bytes, limited to 256 B by DevCap
    logic [2:0]  mrrs;
    logic [63:0] bar0;       // base address, low bits zero
  } func_cfg_t;

  // A configuration write, shown in the cycle in which the registers hold the new value. Values
  // are register values; `wdata` is what the request carried, bytes without enable included.
  typedef struct packed {
    logic        valid;
    logic [2:0]  func;
    logic [11:2] addr;
    logic [3:0]  be;
    logic [31:0] old_value;
    logic [31:0] new_value;
    logic [31:0] wdata;
  } cfg_write_event_t;

  function automatic logic [31:0] bswap32(input logic [31:0] v);
    return {v[7:0], v[15:8], v[23:16], v[31:24]};
  endfunction

  function automatic logic [2:0] hdr_fmt(input logic [127:0] h);
    return h[127:125];
  endfunction

  function automatic logic [4:0] hdr_type(input logic [127:0] h);
    return h[124:120];
  endfunction

  function automatic logic hdr_is_4dw(input logic [127:0] h);
    return h[125];
  endfunction

  function automatic logic hdr_has_data(input logic [127:0] h);
    return h[126];
  endfunction

  // Length in DW, 1..1024.
  function automatic logic [10:0] hdr_length_dw(input logic [127:0] h);
    return {h[105:96] == 10'd0, h[105:96]};
  endfunction

  function automatic logic hdr_is_msg(input logic [127:0] h);
    return h[124:123] == 2'b10;
  endfunction

  function automatic logic hdr_is_cpl(input logic [127:0] h);
    return h[124:121] == 4'b0101;
  endfunction

  // Posted: memory writes and messages. Completions: Cpl*. Everything else is non-posted.
  function automatic tlp_class_e hdr_class(input logic [127:0] h);
    if (hdr_is_msg(h)) return ClassPosted;
    if (hdr_is_cpl(h)) return ClassCpl;
    if (hdr_type(h) == TYPE_MEM && hdr_has_data(h)) return ClassPosted;
    return ClassNonPosted;
  endfunction

  // 64-bit address of a memory request, DW aligned.
  function automatic logic [63:0] hdr_address(input logic [127:0] h);
    return hdr_is_4dw(h) ? {h[63:2], 2'b00} : {32'd0, h[63:34], 2'b00};
  endfunction

  function automatic logic [15:0] hdr_requester_id(input logic [127:0] h);
    return h[95:80];
  endfunction

  // Tag with its two extension bits T9, T8 (10 bits).
  function automatic logic [9:0] hdr_tag(input logic [127:0] h);
    return {h[119], h[115], h[79:72]};
  endfunction

  function automatic logic hdr_ep(input logic [127:0] h);
    return h[110];
  endfunction

  function automatic logic hdr_td(input logic [127:0] h);
    return h[111];
  endfunction

  function automatic logic [2:0] hdr_tc(input logic [127:0] h);
    return h[118:116];
  endfunction

  function automatic logic [3:0] hdr_first_be(input logic [127:0] h);
    return h[67:64];
  endfunction

  function automatic logic [3:0] hdr_last_be(input logic [127:0] h);
    return h[71:68];
  endfunction

endpackage
