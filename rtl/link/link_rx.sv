// SPDX-License-Identifier: Apache-2.0
// Receive half of the bench link: bytes to TLPs and control requests.
//
// Contract: one byte a clock, never back-pressured; a byte that cannot be kept makes its frame bad,
// and the sender's go-back-N repeats it. A frame takes effect only after its CRC was checked and its
// sequence number was the expected one, so garbage, truncation and repetition leave no trace. TLP
// beats wait in a ring of RingBeats; the ring is written speculatively and rolled back. While
// flush_i is high what waits is dropped, half read TLPs included. A TLP of a class without room_i is
// not received, whatever credit its sender believes to have; that class is the TLP's own, the one of
// accept_class_o is what the frame says.
module link_rx
  import pcie_pkg::*;
  import link_pkg::*;
#(
  parameter int unsigned RingBeats = 512
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  logic        flush_i,

  input  logic        byte_valid_i,
  input  logic [7:0]  byte_i,

  // TLPs to the endpoint
  output logic        wire_valid_o,
  input  logic        wire_ready_i,
  output wire_beat_t  wire_o,
  output logic        accept_o,       // pulse: a TLP was taken into the ring
  output tlp_class_e  accept_class_o,
  input  logic [2:0]  room_i,         // per class: one more TLP may be received
  output logic [2:0]  received_o,     // pulse per class: a TLP was received

  // Control request: payload bytes left-justified, taken in the cycle it is valid
  output logic        ctl_valid_o,
  input  logic        ctl_ready_i,
  output logic [127:0] ctl_o,

  // To the transmit half
  output logic        peer_valid_o,   // pulse: `peer_o` of a good frame
  output peer_info_t  peer_o,
  output logic        nak_received_o, // pulse
  output logic        sync_o,         // pulse: link restart, `sync_nonce_o`
  output logic [31:0] sync_nonce_o,
  output logic        send_ack_o,     // pulse: something to acknowledge
  output logic        send_nak_o,     // pulse: a frame was bad or missing
  output logic [7:0]  expected_seq_o,

  output logic        empty_o,        // no TLP waits here
  output logic [31:0] good_frames_o,
  output logic [31:0] bad_frames_o
);

  localparam int unsigned PtrW = $clog2(RingBeats);
  // Longest frame we keep: prefix, 4-DW header, 256 B payload, MAC.
  localparam int unsigned MaxBeats = 18;

  // ---- byte unstuffing --------------------------------------------------------------------------
  logic       escape_q;
  logic       in_valid, in_flag;
  logic [7:0] in_byte;

  assign in_flag  = byte_valid_i && byte_i == FLAG;
  assign in_valid = byte_valid_i && byte_i != FLAG && byte_i != ESCAPE;
  assign in_byte  = escape_q ? byte_i ^ ESCAPE_XOR : byte_i;

  // ---- frame assembly ---------------------------------------------------------------------------
  logic [31:0]  crc_q;
  logic [9:0]   count_q;          // bytes since the flag, saturating
  logic [7:0]   kind_q, seq_q;
  peer_info_t   peer_q;
  logic [31:0]  delay_q;          // the last four bytes: payload or CRC
  logic [2:0]   delay_count_q;
  logic [127:0] beat_q;
  logic [4:0]   beat_bytes_q;     // 0..16
  logic [4:0]   beats_q;          // full beats written for this frame
  logic         bad_q;            // overflow or too long

  logic [PtrW-1:0] commit_ptr_q, spec_ptr_q, rd_ptr_q;
  logic [PtrW-1:0] free_beats;
  logic            ring_we;
  wire_beat_t      ring_wdata;
  wire_beat_t      ring_mem [RingBeats];
  wire_beat_t      out_q;
  logic            out_valid_q;

  logic [7:0] expected_q;
  logic       nak_armed_q;        // one NAK per gap

  logic crc_ok, frame_end, frame_good, is_tlp, is_ctl, seq_ok, tlp_ok, ctl_ok, accept;
  logic payload_byte, beat_full;
  tlp_class_e first_class, first_class_q, frame_class;

  // As tlp_ingress reads it: one prefix of any kind stands in front of the header.
  assign first_class = hdr_class(ring_wdata.data[127:125] == FMT_PREFIX
                                 ? {ring_wdata.data[95:0], 32'd0} : ring_wdata.data);
  assign frame_class = beats_q == '0 ? first_class : first_class_q;

  assign payload_byte = in_valid && count_q >= 10'(HEADER_BYTES) && delay_count_q == 3'd4;
  assign beat_full    = beat_bytes_q == 5'd16;
  assign free_beats   = rd_ptr_q - spec_ptr_q - 1'b1;

  assign frame_end  = in_flag && count_q != '0;
  assign crc_ok     = crc_q == CRC_RESIDUE && count_q >= 10'(HEADER_BYTES + 4) && !escape_q;
  assign frame_good = frame_end && crc_ok && !bad_q;
  assign is_tlp     = kind_q[7:2] == KIND_TLP[7:2] && kind_q[1:0] != 2'd3;
  assign is_ctl     = kind_q == KIND_CONTROL;
  assign seq_ok     = seq_q == expected_q;
  assign tlp_ok     = is_tlp && beat_bytes_q[1:0] == 2'b00 && (beats_q != '0 || beat_bytes_q >= 5'd12)
                      && free_beats != '0 && room_i[frame_class];
  assign ctl_ok     = is_ctl && beats_q == '0 && beat_bytes_q != '0 && ctl_ready_i;
  assign accept     = frame_good && seq_ok && (tlp_ok || ctl_ok);

  // A beat is written when the next byte shows that it was not the last, or at the closing flag.
  always_comb begin
    ring_we         = 1'b0;
    ring_wdata.data = beat_q << {5'd16 - beat_bytes_q, 3'b000};
    ring_wdata.dws  = beat_bytes_q[4:2];
    ring_wdata.last = 1'b1;
    if (payload_byte && beat_full) begin
      ring_we         = free_beats != '0 && beats_q < 5'(MaxBeats);
      ring_wdata.last = 1'b0;
    end else if (accept && is_tlp) begin
      ring_we = 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (ring_we) ring_mem[spec_ptr_q] <= ring_wdata;
  end

  always_ff @(posedge clk_i) begin
    if (byte_valid_i) escape_q <= byte_i == ESCAPE;
    if (in_valid) begin
      crc_q <= crc32_byte(crc_q, in_byte);
      if (count_q != '1) count_q <= count_q + 1'b1;
      unique case (count_q)
        10'd0:   kind_q          <= in_byte;
        10'd1:   seq_q           <= in_byte;
        10'd2:   peer_q.ack      <= in_byte;
        10'd3:   peer_q.grant[0] <= in_byte;
        10'd4:   peer_q.grant[1] <= in_byte;
        10'd5:   peer_q.grant[2] <= in_byte;
        default: begin
          delay_q <= {delay_q[23:0], in_byte};
          if (delay_count_q != 3'd4) delay_count_q <= delay_count_q + 1'b1;
        end
      endcase
      if (payload_byte) begin
        if (beat_full) begin
          beat_q       <= {120'd0, delay_q[31:24]};
          beat_bytes_q <= 5'd1;
          beats_q      <= beats_q + 1'b1;
          spec_ptr_q   <= spec_ptr_q + 1'b1;
          if (beats_q == '0) first_class_q <= first_class;
          if (free_beats == '0 || beats_q >= 5'(MaxBeats)) bad_q <= 1'b1;
        end else begin
          beat_q       <= {beat_q[119:0], delay_q[31:24]};
          beat_bytes_q <= beat_bytes_q + 1'b1;
        end
      end
    end
    if (in_flag) begin
      crc_q         <= '1;
      count_q       <= '0;
      delay_count_q <= '0;
      beat_bytes_q  <= '0;
      beats_q       <= '0;
      bad_q         <= 1'b0;
      spec_ptr_q    <= commit_ptr_q;
      if (accept && is_tlp) begin
        commit_ptr_q <= spec_ptr_q + 1'b1;
        spec_ptr_q   <= spec_ptr_q + 1'b1;
      end
      if (accept) expected_q <= expected_q + 1'b1;
      if (sync_o) expected_q <= '0;
    end
    if (rst_i) begin
      escape_q      <= 1'b0;
      crc_q         <= '1;
      count_q       <= '0;
      delay_count_q <= '0;
      beat_bytes_q  <= '0;
      beats_q       <= '0;
      bad_q         <= 1'b0;
      spec_ptr_q    <= '0;
      commit_ptr_q  <= '0;
      expected_q    <= '0;
    end
  end

  // ---- what the other half must know ------------------------------------------------------------
  logic sequenced, duplicate;
  logic [7:0] behind;
  assign sequenced = is_tlp || is_ctl;
  assign behind    = expected_q - seq_q;
  assign duplicate = behind != '0 && !behind[7];

  assign peer_valid_o   = frame_good && kind_q != KIND_SYNC;
  assign peer_o         = peer_q;
  assign nak_received_o = frame_good && kind_q == KIND_NAK;
  assign sync_o         = frame_good && kind_q == KIND_SYNC && beat_bytes_q == 5'd4 && beats_q == '0;
  assign sync_nonce_o   = beat_q[31:0];
  assign send_ack_o     = accept || (frame_good && sequenced && duplicate);
  assign send_nak_o     = nak_armed_q && frame_end &&
                          (!frame_good || (sequenced && !accept && !duplicate));
  assign expected_seq_o = expected_q;
  always_comb begin
    received_o = '0;
    if (accept && is_tlp) received_o[frame_class] = 1'b1;
  end
  assign ctl_valid_o    = accept && is_ctl;
  assign ctl_o          = ring_wdata.data;
  assign accept_o       = accept && is_tlp;
  assign accept_class_o = tlp_class_e'(kind_q[1:0]);

  always_ff @(posedge clk_i) begin
    if (send_nak_o) nak_armed_q <= 1'b0;
    if (accept || sync_o || (frame_good && !sequenced)) nak_armed_q <= 1'b1;
    if (frame_good) good_frames_o <= good_frames_o + 1'b1;
    if (frame_end && !frame_good) bad_frames_o <= bad_frames_o + 1'b1;
    if (rst_i) begin
      nak_armed_q   <= 1'b1;
      good_frames_o <= '0;
      bad_frames_o  <= '0;
    end
  end

  // ---- ring read side ---------------------------------------------------------------------------
  logic load;
  assign load         = rd_ptr_q != commit_ptr_q && (!out_valid_q || wire_ready_i);
  assign wire_valid_o = out_valid_q;
  assign wire_o       = out_q;
  assign empty_o      = rd_ptr_q == commit_ptr_q && !out_valid_q && count_q == '0;

  always_ff @(posedge clk_i) begin
    if (load) begin
      out_q    <= ring_mem[rd_ptr_q];
      rd_ptr_q <= rd_ptr_q + 1'b1;
    end
    if (load) out_valid_q <= 1'b1;
    else if (wire_ready_i) out_valid_q <= 1'b0;
    if (flush_i) begin
      rd_ptr_q    <= commit_ptr_q;
      out_valid_q <= 1'b0;
    end
    if (rst_i) begin
      rd_ptr_q    <= '0;
      out_valid_q <= 1'b0;
    end
  end

endmodule
