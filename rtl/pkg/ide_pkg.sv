// SPDX-License-Identifier: Apache-2.0
// Integrity and Data Encryption: types, and in one place every choice that the public record of
// the specification leaves open (PCIe Base 6.x, 6.33; the host's twin is teeio/core/ide.py).
package ide_pkg;

  // Stream blocks of the IDE capability: selective blocks first, then the link block, which is
  // also the order in which IDE_KM looks a Stream ID up.
  localparam int unsigned NUM_SELECTIVE = 2;
  localparam int unsigned NUM_LINK      = 1;
  localparam int unsigned NUM_BLOCKS    = NUM_SELECTIVE + NUM_LINK;

  localparam logic [3:0] STATE_INSECURE = 4'd0;
  localparam logic [3:0] STATE_SECURE   = 4'd2;

  // Registers of one stream block, from flops in cfg_space.
  typedef struct packed {
    logic        enable;
    logic        is_link;
    logic [7:0]  stream_id;
    logic [2:0]  tc;
    logic        default_stream;
    logic        tee_limited;
    logic        cfg_enable;      // Selective IDE for Configuration Requests
    logic [15:0] rid_limit;
    logic        rid_valid;
    logic [15:0] rid_base;
    logic        addr_valid;
    logic [63:20] addr_base;
    logic [63:20] addr_limit;
  } block_cfg_t;

  // IDE TLP prefix, most significant bit = first bit on the wire.
  typedef struct packed {
    logic [7:0] fmt_type;         // 92h
    logic [7:0] pr_sent_counter;
    logic [7:0] stream_id;
    logic       reserved;         // bit 7 of byte 3
    logic [2:0] sub_stream;
    logic       p;
    logic       m;
    logic       k;
    logic       t;
  } prefix_t;

  // Key bus: DSM to key store, write only. One command per valid/ready beat; the key store answers
  // each command with one status beat.
  typedef enum logic [2:0] {
    KeyLoad    = 3'd0,  // one DW of the key named by block/direction/sub_stream/key_set (dw_idx 0..7)
    KeyCommit  = 3'd1,  // all eight DWs are loaded: expand, mark valid, store session_tag
    KeyGo      = 3'd2,
    KeyStop    = 3'd3,
    KeyKillTag = 3'd4,  // end of session: every stream keyed under session_tag goes Insecure
    KeyAbandon = 3'd5   // forget the partly loaded key
  } key_op_e;

  typedef struct packed {
    key_op_e     op;
    logic [1:0]  block;
    logic        is_tx;        // direction as seen by this port: 1 = keys of ide_tx
    logic [1:0]  sub_stream;
    logic        key_set;
    logic [2:0]  dw_idx;       // 0 = most significant DW of the AES key (key bytes 0..3)
    logic [31:0] data;         // {key byte 4i, 4i+1, 4i+2, 4i+3}
    logic [15:0] session_tag;  // never 0
  } key_cmd_t;

  typedef enum logic [1:0] {
    KeyOk       = 2'd0,
    KeyRefused  = 2'd1,  // the named set is live, or the stream belongs to another session
    KeyBadIndex = 2'd2
  } key_status_e;

  // Key slots of the one GCM engine of a direction: {block, sub-stream, key set} in row order.
  localparam int unsigned NUM_SUB_STREAMS = 3;
  localparam int unsigned NUM_CHANNELS    = NUM_BLOCKS * NUM_SUB_STREAMS;
  localparam int unsigned NUM_KEY_SLOTS   = NUM_CHANNELS * 2;

  // Channel = one sub-stream of one stream block, in one direction.
  function automatic logic [3:0] channel_index(input logic [1:0] block,
                                               input logic [1:0] sub_stream);
    return {1'b0, block, 1'b0} + {2'b00, block} + {2'b00, sub_stream};
  endfunction

  function automatic logic [4:0] key_slot(input logic [1:0] block, input logic [1:0] sub_stream,
                                          input logic key_set);
    return {channel_index(block, sub_stream), key_set};
  endfunction

  // What the receiver does with a TLP before any key is used.
  typedef enum logic [2:0] {
    RxDrop        = 3'd0,  // silently
    RxPass        = 3'd1,  // not an IDE TLP
    RxDecrypt     = 3'd2,
    RxMalformed   = 3'd3,  // drop, AER Malformed
    RxMisrouted   = 3'd4,  // drop, AER Misrouted IDE TLP
    RxCheckFailed = 3'd5,  // drop, AER IDE Check Failed, stream Insecure, send IDE Fail
    RxFailMessage = 3'd6   // consume, status bit 31
  } rx_verdict_e;

  // The sub-stream number stands in the top nibble of the 96-bit IV (docs/decisions/0001).
  function automatic logic [95:0] make_iv(input logic [1:0] sub_stream, input logic [63:0] count);
    return {2'b00, sub_stream, 28'd0, count};
  endfunction

  // The MAC is the leftmost 96 bits of the GCM tag, most significant byte first
  // (docs/decisions/0001).
  function automatic logic [95:0] truncate_tag(input logic [127:0] tag);
    return tag[127:32];
  endfunction

  // IDE Sync and IDE Fail, 4-DW messages without data (docs/decisions/0002). Selective streams:
  // routed by ID, bytes 8-9 partner Requester ID, 10 = 0, 11 = Stream ID, 12-13 counter NPR, 14-15
  // counter CPL (Sync only). Link stream: local routing, bytes 8-9 zero.
  function automatic logic [127:0] make_message(
    input logic [7:0] code, input logic is_link, input logic [15:0] requester_id,
    input logic [15:0] partner_id, input logic [7:0] stream_id,
    input logic [15:0] count_npr, input logic [15:0] count_cpl);
    return {3'b001, 2'b10, is_link ? 3'b100 : 3'b010, 24'd0,
            requester_id, 8'd0, code,
            is_link ? 16'd0 : partner_id, 8'd0, stream_id,
            count_npr, count_cpl};
  endfunction

  function automatic logic [7:0] message_code(input logic [127:0] h);
    return h[71:64];
  endfunction

  function automatic logic [7:0] message_stream_id(input logic [127:0] h);
    return h[39:32];
  endfunction

  function automatic logic [15:0] message_count_npr(input logic [127:0] h);
    return h[31:16];
  endfunction

  function automatic logic [15:0] message_count_cpl(input logic [127:0] h);
    return h[15:0];
  endfunction

  // A transmitter sends IDE Sync when either of its counters would pass this value; the
  // Sync carries both counters and resets both; the receiver subtracts them and does not count
  // the Sync itself. Receive counters are this wide; an overflow is IDE Check Failed
  // (docs/decisions/0002).
  localparam int unsigned SYNC_THRESHOLD   = 240;
  localparam int unsigned RX_COUNTER_WIDTH = 10;

endpackage
