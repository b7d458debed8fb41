// SPDX-License-Identifier: Apache-2.0
// Transmit half of the bench link: TLPs and control answers to bytes, with go-back-N.
//
// Contract: frames stay in a ring until the peer acknowledged them; on a NAK, or RetransmitCycles
// after the last progress, everything from the oldest unacknowledged frame is sent again. At most
// Window frames wait. `idle_o` says that every frame has been sent once and nothing is owed. While
// flush_i is high no TLP is taken, and one that was taken in part is forgotten.
module link_tx
  import pcie_pkg::*;
  import link_pkg::*;
#(
  parameter int unsigned RingBeats        = 256,
  parameter int unsigned Window           = 12,
  parameter int unsigned RetransmitCycles = 4_800_000
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        flush_i,

  // TLPs of the endpoint
  input  logic        wire_valid_i,
  output logic        wire_ready_o,
  input  wire_beat_t  wire_i,
  output logic        stored_o,       // pulse: a whole TLP was taken
  output tlp_class_e  stored_class_o,

  // Control answer: up to 16 bytes, left-justified
  input  logic        ctl_valid_i,
  output logic        ctl_ready_o,
  input  logic [127:0] ctl_i,
  input  logic [2:0]  ctl_dws_i,

  // From the receive half
  input  logic        peer_valid_i,
  input  logic [7:0]  peer_ack_i,   // next sequence number the peer expects
  input  logic        nak_received_i,
  input  logic        sync_i,
  input  logic [31:0] sync_nonce_i,
  input  logic        send_ack_i,
  input  logic        send_nak_i,
  input  logic [7:0]  expected_seq_i,
  input  logic [2:0][7:0] grant_i,      // what we can take, counted since sync

  output logic        byte_valid_o,
  input  logic        byte_ready_i,
  output logic [7:0]  byte_o,

  output logic        idle_o,
  output logic [31:0] sent_frames_o,
  output logic [31:0] retransmits_o
);

  localparam int unsigned PtrW = $clog2(RingBeats);
  localparam int unsigned IdxW = 4;   // frame slots: 16 >= Window + 1

  typedef struct packed {
    logic [PtrW-1:0] start;
    logic [7:0]      kind;
    logic [8:0]      bytes;
  } frame_t;

  // ---- ring and frame table ---------------------------------------------------------------------
  logic [127:0]    ring_mem [RingBeats];
  frame_t          frame_mem [1 << IdxW];
  logic [PtrW-1:0] wr_ptr_q;
  logic [IdxW-1:0] head_q, tail_q, send_q;   // next free, oldest unacknowledged, next to send
  logic [7:0]      tail_seq_q;
  logic [IdxW-1:0] waiting;
  logic            room, in_tlp_q;
  logic [PtrW-1:0] start_q;
  logic [8:0]      bytes_q;
  logic [7:0]      kind_q;
  logic            take_tlp, take_ctl;
  logic            first_beat;
  logic [31:0]     first_dw;
  tlp_class_e      first_class;

  assign waiting      = head_q - tail_q;
  assign room         = waiting < IdxW'(Window);
  assign wire_ready_o = !flush_i && (in_tlp_q || (room && !ctl_valid_i));
  assign ctl_ready_o  = !in_tlp_q && room;
  assign take_tlp     = wire_valid_i && wire_ready_o;
  assign take_ctl     = ctl_valid_i && ctl_ready_o;
  assign first_beat   = !in_tlp_q;
  assign stored_o       = take_tlp && wire_i.last;
  assign stored_class_o = first_beat ? first_class : tlp_class_e'(kind_q[1:0]);
  assign first_dw     = (wire_i.data[127:120] == PREFIX_IDE) ? wire_i.data[95:64]
                                                             : wire_i.data[127:96];
  assign first_class  = hdr_class({first_dw, 96'd0});

  always_ff @(posedge clk_i) begin
    if (take_tlp || take_ctl) ring_mem[wr_ptr_q] <= take_ctl ? ctl_i : wire_i.data;
  end

  always_ff @(posedge clk_i) begin
    if (take_ctl) begin
      frame_mem[head_q] <= '{start: wr_ptr_q, kind: KIND_CONTROL, bytes: {4'd0, ctl_dws_i, 2'b00}};
    end else if (take_tlp && wire_i.last) begin
      frame_mem[head_q] <= '{
        start: first_beat ? wr_ptr_q : start_q,
        kind:  first_beat ? KIND_TLP | {6'd0, first_class} : kind_q,
        bytes: (first_beat ? 9'd0 : bytes_q) + {4'd0, wire_i.dws, 2'b00}
      };
    end
  end

  always_ff @(posedge clk_i) begin
    if (take_tlp || take_ctl) wr_ptr_q <= wr_ptr_q + 1'b1;
    if (take_ctl || (take_tlp && wire_i.last)) head_q <= head_q + 1'b1;
    if (take_tlp) begin
      in_tlp_q <= !wire_i.last;
      bytes_q  <= (first_beat ? 9'd0 : bytes_q) + 9'd16;
      if (first_beat) begin
        start_q <= wr_ptr_q;
        kind_q  <= KIND_TLP | {6'd0, first_class};
      end
    end
    if (flush_i && in_tlp_q) begin
      wr_ptr_q <= start_q;
      in_tlp_q <= 1'b0;
    end
    if (rst_i) begin
      wr_ptr_q <= '0;
      head_q   <= '0;
      in_tlp_q <= 1'b0;
    end
  end

  // ---- acknowledgement --------------------------------------------------------------------------
  typedef enum logic [2:0] {TxIdle, TxOpen, TxHeader, TxFetch, TxPayload, TxCrc, TxClose} tx_e;
  tx_e         state_q;
  logic [7:0]  acked;
  logic        acked_ok, rewind_q, ack_q, nak_q, sync_ack_q;
  logic        cur_sequenced_q;
  logic [31:0] nonce_q;
  logic [31:0] timer_q;
  logic        timeout, unacked_sent, jump;
  logic        start_frame, frame_done;

  assign acked        = peer_ack_i - tail_seq_q;
  assign acked_ok     = peer_valid_i && acked <= {4'd0, waiting};
  assign jump         = acked_ok && {4'd0, send_q - tail_q} < acked;
  assign unacked_sent = send_q != tail_q;
  assign timeout      = timer_q == 32'(RetransmitCycles);

  // ---- frame transmission -----------------------------------------------------------------------
  logic [7:0]      cur_kind_q, cur_seq_q;
  logic [8:0]      left_q;
  logic [PtrW-1:0] rd_ptr_q;
  logic [127:0]    beat_q;
  logic [3:0]      index_q;
  logic            cur_sync_q;
  logic [31:0]     crc_q;
  logic            escape_q;
  logic [7:0]      raw;
  logic            raw_is_data, needs_escape, step;
  frame_t          next_frame;

  assign next_frame  = frame_mem[send_q];
  assign start_frame = state_q == TxIdle && !rewind_q &&
                       (sync_ack_q || nak_q || ack_q || send_q != head_q);

  always_comb begin
    raw = FLAG;
    raw_is_data = 1'b1;
    unique case (state_q)
      TxHeader: begin
        unique case (index_q[2:0])
          3'd0:    raw = cur_kind_q;
          3'd1:    raw = cur_seq_q;
          3'd2:    raw = expected_seq_i;
          3'd3:    raw = grant_i[0];
          3'd4:    raw = grant_i[1];
          default: raw = grant_i[2];
        endcase
      end
      TxPayload: raw = beat_q[127:120];
      TxCrc: begin
        unique case (index_q[1:0])
          2'd0:    raw = ~crc_q[7:0];
          2'd1:    raw = ~crc_q[15:8];
          2'd2:    raw = ~crc_q[23:16];
          default: raw = ~crc_q[31:24];
        endcase
      end
      default: raw_is_data = 1'b0;
    endcase
  end

  // The header is sampled byte by byte; expected_seq and grants only ever grow, so a change within
  // a frame is harmless, but a repeated byte after an escape must not change: hold it.
  logic [7:0] held_q;
  logic       held_valid_q;
  logic [7:0] raw_stable;
  assign raw_stable   = held_valid_q ? held_q : raw;
  assign needs_escape = raw_is_data && (raw_stable == FLAG || raw_stable == ESCAPE);
  assign byte_valid_o = state_q == TxOpen || state_q == TxHeader || state_q == TxPayload ||
                        state_q == TxCrc || state_q == TxClose;
  assign byte_o       = (needs_escape && !escape_q) ? ESCAPE :
                        escape_q ? raw_stable ^ ESCAPE_XOR : raw_stable;
  assign step         = byte_valid_o && byte_ready_i && !(needs_escape && !escape_q);
  assign frame_done   = state_q == TxClose && step;

  always_ff @(posedge clk_i) begin
    if (byte_valid_o && !step) begin
      held_q       <= raw_stable;
      held_valid_q <= 1'b1;
    end
    if (byte_valid_o && byte_ready_i) escape_q <= needs_escape && !escape_q;
    if (step) begin
      held_valid_q <= 1'b0;
      if (raw_is_data && state_q != TxCrc) crc_q <= crc32_byte(crc_q, raw_stable);
    end
    unique case (state_q)
      TxIdle: if (start_frame) begin
        state_q         <= TxOpen;
        crc_q           <= '1;
        cur_sync_q      <= sync_ack_q;
        cur_seq_q       <= '0;
        left_q          <= '0;
        if (sync_ack_q) begin
          cur_kind_q <= KIND_SYNC_ACK;
          left_q     <= 9'd4;
        end else if (nak_q) begin
          cur_kind_q <= KIND_NAK;
        end else if (send_q != head_q) begin
          cur_kind_q      <= next_frame.kind;
          cur_seq_q       <= tail_seq_q + {4'd0, send_q - tail_q};
          left_q          <= next_frame.bytes;
          rd_ptr_q        <= next_frame.start;
        end else begin
          cur_kind_q <= KIND_ACK;
        end
      end
      TxOpen: if (step) begin
        state_q <= TxHeader;
        index_q <= '0;
      end
      TxHeader: if (step) begin
        index_q <= index_q + 1'b1;
        if (index_q == 4'(HEADER_BYTES - 1)) begin
          index_q <= '0;
          state_q <= (left_q != '0) ? TxFetch : TxCrc;
        end
      end
      TxFetch: begin
        beat_q   <= cur_sync_q ? {nonce_q, 96'd0} : ring_mem[rd_ptr_q];
        rd_ptr_q <= rd_ptr_q + 1'b1;
        index_q  <= '0;
        state_q  <= TxPayload;
      end
      TxPayload: if (step) begin
        beat_q  <= {beat_q[119:0], 8'd0};
        index_q <= index_q + 1'b1;
        left_q  <= left_q - 1'b1;
        if (left_q == 9'd1) begin
          index_q <= '0;
          state_q <= TxCrc;
        end else if (index_q == 4'd15) begin
          state_q <= TxFetch;
        end
      end
      TxCrc: if (step) begin
        index_q <= index_q + 1'b1;
        if (index_q == 4'd3) state_q <= TxClose;
      end
      TxClose: if (step) state_q <= TxIdle;
      default: state_q <= TxIdle;
    endcase
    if (rst_i) begin
      state_q      <= TxIdle;
      escape_q     <= 1'b0;
      held_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    // Acknowledged frames leave the table; if the sender stood behind them it moves along.
    if (acked_ok) begin
      tail_q     <= tail_q + acked[IdxW-1:0];
      tail_seq_q <= peer_ack_i;
    end
    if (jump) send_q <= tail_q + acked[IdxW-1:0];
    else if (frame_done && cur_sequenced_q) send_q <= send_q + 1'b1;
    // A frame that was acknowledged while it was being repeated must not advance the sender twice.
    if (start_frame) cur_sequenced_q <= !sync_ack_q && !nak_q && send_q != head_q;
    if (jump || sync_i) cur_sequenced_q <= 1'b0;
    if (rewind_q && state_q == TxIdle) begin
      send_q   <= acked_ok ? tail_q + acked[IdxW-1:0] : tail_q;
      rewind_q <= 1'b0;
      retransmits_o <= retransmits_o + 1'b1;
    end else if ((nak_received_i || timeout) && unacked_sent) begin
      rewind_q <= 1'b1;
    end
    timer_q <= (acked_ok && acked != '0) || !unacked_sent || timeout ? '0 : timer_q + 1'b1;

    if (send_ack_i) ack_q <= 1'b1;
    else if (start_frame) ack_q <= 1'b0;
    if (send_nak_i) nak_q <= 1'b1;
    else if (start_frame && !sync_ack_q) nak_q <= 1'b0;
    if (start_frame && sync_ack_q) sync_ack_q <= 1'b0;
    if (frame_done) sent_frames_o <= sent_frames_o + 1'b1;

    // Link restart: whatever the former host did not fetch is gone.
    if (sync_i) begin
      tail_q     <= head_q;
      send_q     <= head_q;
      tail_seq_q <= '0;
      rewind_q   <= 1'b0;
      ack_q      <= 1'b0;
      nak_q      <= 1'b0;
      sync_ack_q <= 1'b1;
      nonce_q    <= sync_nonce_i;
    end
    if (rst_i) begin
      tail_q        <= '0;
      send_q        <= '0;
      tail_seq_q    <= '0;
      rewind_q      <= 1'b0;
      cur_sequenced_q <= 1'b0;
      ack_q         <= 1'b0;
      nak_q         <= 1'b0;
      sync_ack_q    <= 1'b0;
      timer_q       <= '0;
      sent_frames_o <= '0;
      retransmits_o <= '0;
    end
  end

  assign idle_o = state_q == TxIdle && send_q == head_q && !in_tlp_q && !ack_q && !nak_q &&
                  !sync_ack_q && !rewind_q && !byte_valid_o;

endmodule
