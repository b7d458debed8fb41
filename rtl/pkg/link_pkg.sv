// SPDX-License-Identifier: Apache-2.0
// Bench link: frame kinds, control operations and sizes (docs/bench_link.md).
package link_pkg;

  localparam logic [7:0] FLAG   = 8'h7E;
  localparam logic [7:0] ESCAPE = 8'h7D;
  localparam logic [7:0] ESCAPE_XOR = 8'h20;

  // Frame kinds. Bit 4 or 5 set: the frame carries a sequence number.
  localparam logic [7:0] KIND_ACK      = 8'h00;
  localparam logic [7:0] KIND_SYNC     = 8'h01;
  localparam logic [7:0] KIND_SYNC_ACK = 8'h02;
  localparam logic [7:0] KIND_NAK      = 8'h03;
  localparam logic [7:0] KIND_TLP      = 8'h10;  // + tlp_class_e
  localparam logic [7:0] KIND_CONTROL  = 8'h20;

  localparam logic [7:0] OP_IDENT      = 8'h00;
  localparam logic [7:0] OP_RESET      = 8'h01;
  localparam logic [7:0] OP_CYCLES     = 8'h02;
  localparam logic [7:0] OP_DELAY      = 8'h03;
  localparam logic [7:0] OP_SCRATCH    = 8'h04;
  localparam logic [7:0] OP_COUNTERS   = 8'h05;

  localparam logic [31:0] IDENT_MAGIC  = 32'h5445_494F;  // "TEIO" as it stands on the wire
  localparam logic [15:0] LINK_VERSION = 16'h0001;

  localparam int unsigned HEADER_BYTES = 6;

  // What a good frame of the peer says about our transmitter.
  typedef struct packed {
    logic [7:0] ack;             // next sequence number the peer expects
    logic [2:0][7:0] grant;      // TLPs of each class the peer can take, counted since sync
  } peer_info_t;

  // CRC-32 (IEEE 802.3, reflected), one byte a step; start value all ones, sent inverted, least
  // significant byte first. After the CRC itself has passed, the register holds the residue.
  localparam logic [31:0] CRC_RESIDUE = 32'hDEBB_20E3;

  function automatic logic [31:0] crc32_byte(input logic [31:0] crc, input logic [7:0] data);
    logic [31:0] c;
    c = crc ^ {24'd0, data};
    for (int i = 0; i < 8; i++) c = c[0] ? ((c >> 1) ^ 32'hEDB8_8320) : (c >> 1);
    return c;
  endfunction

endpackage
