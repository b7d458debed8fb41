// SPDX-License-Identifier: Apache-2.0
// What is to be done with a received TLP, as far as its header, its prefix and the stream
// registers tell (everything that needs no key).
//
// Contract: combinational. Order of decision: Malformed, Misrouted, stream not Secure, IDE Check
// Failed; the first match wins. verdict_o starts as Drop: a case that is not foreseen does not
// pass. An IDE TLP is one with an IDE prefix (ide_i); a TLP with another End-End prefix is a plain
// TLP here, and passes even if it is an IDE message: the router refuses it. block_o is the stream block concerned, valid for Decrypt, Fail message (if
// block_valid_o) and IDE Check Failed.
module ide_rx_check
  import ide_pkg::*;
(
  input  logic [127:0]                header_i,
  input  logic                        ide_i,            // prefix_i is an IDE prefix
  input  logic                        other_prefix_i,   // an End-End prefix that is not IDE
  input  logic [31:0]                 prefix_i,
  input  logic                        malformed_i,      // found by tlp_ingress, reported there
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]       secure_i,
  input  logic [NUM_BLOCKS-1:0]       seen_ide_i,       // link block: IDE traffic since Secure
  input  logic [NUM_KEY_SLOTS-1:0]    key_ok_i,

  output rx_verdict_e                 verdict_o,
  output logic                        block_valid_o,
  output logic [1:0]                  block_o
);

  /* verilator lint_off UNUSEDSIGNAL */  // T, Fmt and the counter are not judged here
  prefix_t               prefix;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [4:0]            tlp_type;
  logic                  is_message, is_fail_message, is_sync_message;
  logic                  matched, link_refuses, fail_matched, type_allowed, key_ok;
  logic [1:0]            match_block, link_block, fail_block;
  logic                  on_link, cfg_allowed, block_secure;

  assign prefix          = prefix_t'(prefix_i);
  assign tlp_type        = pcie_pkg::hdr_type(header_i);
  assign is_message      = pcie_pkg::hdr_is_msg(header_i) && !pcie_pkg::hdr_has_data(header_i);
  assign is_fail_message = is_message && message_code(header_i) == pcie_pkg::MSG_IDE_FAIL;
  assign is_sync_message = is_message && message_code(header_i) == pcie_pkg::MSG_IDE_SYNC;

  // Enabled blocks only, selective before link (6.33.4: Stream ID and TC decide).
  always_comb begin
    matched      = 1'b0;
    match_block  = '0;
    on_link      = 1'b0;
    cfg_allowed  = 1'b0;
    block_secure = 1'b0;
    fail_matched = 1'b0;
    fail_block   = '0;
    link_refuses = 1'b0;
    link_block   = '0;
    for (int unsigned i = NUM_BLOCKS; i > 0; i--) begin
      if (block_cfg_i[i-1].enable && block_cfg_i[i-1].stream_id == prefix.stream_id &&
          block_cfg_i[i-1].tc == pcie_pkg::hdr_tc(header_i)) begin
        matched      = 1'b1;
        match_block  = 2'(i - 1);
        on_link      = block_cfg_i[i-1].is_link;
        cfg_allowed  = block_cfg_i[i-1].cfg_enable;
        block_secure = secure_i[i-1];
      end
      // IDE Fail: local routing speaks of the link stream, routing by ID of a selective one.
      if (block_cfg_i[i-1].enable &&
          block_cfg_i[i-1].stream_id == message_stream_id(header_i) &&
          block_cfg_i[i-1].is_link == (tlp_type[2:0] == 3'b100)) begin
        fail_matched = 1'b1;
        fail_block   = 2'(i - 1);
      end
      // A Secure link stream that has seen IDE traffic admits no plain TLP of its TC.
      if (block_cfg_i[i-1].is_link && secure_i[i-1] && seen_ide_i[i-1] &&
          block_cfg_i[i-1].tc == pcie_pkg::hdr_tc(header_i)) begin
        link_refuses = 1'b1;
        link_block   = 2'(i - 1);
      end
    end
  end

  always_comb begin
    unique case (tlp_type)
      pcie_pkg::TYPE_IO, pcie_pkg::TYPE_CFG0: type_allowed = on_link;
      pcie_pkg::TYPE_CFG1:                    type_allowed = on_link || cfg_allowed;
      default:                                type_allowed = 1'b1;
    endcase
  end

  always_comb begin
    key_ok = 1'b0;
    for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
      if (key_slot(match_block, prefix.sub_stream[1:0], prefix.k) == 5'(s)) key_ok = key_ok_i[s];
    end
  end

  always_comb begin
    verdict_o     = RxDrop;
    block_valid_o = 1'b0;
    block_o       = '0;
    if (malformed_i) begin
      verdict_o = RxDrop;
    end else if (!ide_i) begin
      if (is_fail_message && !other_prefix_i) begin
        verdict_o     = RxFailMessage;
        block_valid_o = fail_matched;
        block_o       = fail_block;
      end else if (link_refuses) begin
        verdict_o     = RxCheckFailed;
        block_valid_o = 1'b1;
        block_o       = link_block;
      end else if (is_sync_message && !other_prefix_i) begin
        verdict_o     = RxDrop;      // an unprotected Sync must not touch the counters
      end else begin
        verdict_o     = RxPass;
      end
    end else if (pcie_pkg::hdr_td(header_i)) begin
      verdict_o     = RxMalformed;   // no digest in an IDE TLP
    end else if (!matched) begin
      verdict_o     = RxMisrouted;
    end else if (!block_secure) begin
      verdict_o     = RxDrop;
    end else begin
      verdict_o     = RxCheckFailed;
      block_valid_o = 1'b1;
      block_o       = match_block;
      if (prefix.sub_stream < 3'(NUM_SUB_STREAMS) &&
          prefix.sub_stream == {1'b0, pcie_pkg::hdr_class(header_i)} &&
          prefix.m && !prefix.p &&   // neither aggregation nor PCRC is built
          type_allowed && key_ok) begin
        verdict_o = RxDecrypt;
      end
    end
  end

endmodule
