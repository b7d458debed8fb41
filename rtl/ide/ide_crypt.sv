// SPDX-License-Identifier: Apache-2.0
// One TLP through AES-256-GCM: associated data is IDE prefix and header in wire order, data is the
// payload, and the 96-bit MAC comes out (PCIe Base 6.x, 6.33.5). Wraps the engine of one direction.
//
// Contract: start takes slot, IV, prefix and header; then the payload blocks are pulled on data_*
// (has_data_i = 0: none), the processed blocks leave on out_* (never stalled, bytes beyond the
// payload are zero), and mac_valid_o pulses once. abort_i, at any time, drops the TLP; start_ready_o
// rises when the engine is free again. While a slot waits to be loaded or erased no TLP is started:
// a load waits for the TLP in work at most, an erasure for nothing. No comparison is done here.
module ide_crypt
  import ide_pkg::*;
#(
  parameter bit          Decrypt  = 1'b0,
  parameter int unsigned SboxImpl = 0
) (
  input  logic         clk_i,
  input  logic         rst_i,

  // Key port <- ide_streams
  input  logic         load_valid_i,
  output logic         load_ready_o,
  input  logic [4:0]   load_idx_i,
  input  logic [255:0] load_key_i,
  output logic         load_done_o,
  input  logic         erase_valid_i,
  output logic         erase_ready_o,
  input  logic [4:0]   erase_idx_i,
  output logic         erase_done_o,

  // One TLP
  input  logic         abort_i,
  input  logic         start_valid_i,
  output logic         start_ready_o,
  input  logic [4:0]   start_slot_i,
  input  logic [95:0]  start_iv_i,
  input  logic [31:0]  start_prefix_i,
  input  logic [127:0] start_header_i,
  input  logic         start_has_data_i,

  input  logic         data_valid_i,
  output logic         data_ready_o,
  input  logic [127:0] data_i,
  input  logic [3:0]   data_dw_valid_i,
  input  logic         data_last_i,

  output logic         out_valid_o,
  output logic [127:0] out_data_o,
  output logic         mac_valid_o,
  output logic [95:0]  mac_o
);

  typedef enum logic [2:0] {
    StIdle,
    StHeader0,  // prefix and first three DWs of the header
    StHeader1,  // fourth DW
    StData,
    StTag,
    StAbort     // until the engine is idle
  } state_e;

  state_e       state_d, state_q;
  logic [127:0] header_d, header_q;
  logic [31:0]  prefix_d, prefix_q;
  logic         has_data_d, has_data_q;

  logic         cmd_valid, cmd_ready;
  logic         in_valid, in_ready, in_aad, in_last;
  logic [127:0] in_data;
  logic [4:0]   in_bytes;
  logic         out_valid;
  logic [127:0] out_data;
  logic         tag_valid, idle;
  /* verilator lint_off UNUSEDSIGNAL */  // the MAC is the leftmost 96 bits; bytes follow from data_*
  logic [127:0] tag;
  logic [4:0]   out_bytes;
  logic         busy;
  /* verilator lint_on UNUSEDSIGNAL */

  assign cmd_valid     = state_q == StIdle && start_valid_i && !abort_i;
  assign start_ready_o = state_q == StIdle && cmd_ready && !abort_i;
  assign data_ready_o  = state_q == StData && in_ready && !abort_i;

  always_comb begin
    state_d    = state_q;
    header_d   = header_q;
    prefix_d   = prefix_q;
    has_data_d = has_data_q;
    in_valid   = 1'b0;
    in_aad     = 1'b0;
    in_last    = 1'b0;
    in_data    = '0;
    in_bytes   = 5'd16;
    unique case (state_q)
      StIdle: if (cmd_valid && cmd_ready) begin
        state_d    = StHeader0;
        header_d   = start_header_i;
        prefix_d   = start_prefix_i;
        has_data_d = start_has_data_i;
      end
      StHeader0: begin
        in_valid = 1'b1;
        in_aad   = 1'b1;
        in_last  = !pcie_pkg::hdr_is_4dw(header_q) && !has_data_q;
        in_data  = {prefix_q, header_q[127:32]};
        if (in_ready) begin
          if (pcie_pkg::hdr_is_4dw(header_q)) state_d = StHeader1;
          else state_d = has_data_q ? StData : StTag;
        end
      end
      StHeader1: begin
        in_valid = 1'b1;
        in_aad   = 1'b1;
        in_last  = !has_data_q;
        in_data  = {header_q[31:0], 96'd0};
        in_bytes = 5'd4;
        if (in_ready) state_d = has_data_q ? StData : StTag;
      end
      StData: begin
        in_valid = data_valid_i;
        in_last  = data_last_i;
        in_data  = data_i;
        in_bytes = {3'($countones(data_dw_valid_i)), 2'b00};
        if (data_valid_i && in_ready && data_last_i) state_d = StTag;
      end
      StTag:   if (tag_valid) state_d = StIdle;
      StAbort: if (idle) state_d = StIdle;
      default: state_d = StAbort;
    endcase
    if (abort_i && state_q != StIdle) begin
      in_valid = 1'b0;
      state_d  = StAbort;
    end
  end

  assign out_valid_o = out_valid && state_q != StAbort;
  assign out_data_o  = out_data;
  assign mac_valid_o = tag_valid && state_q == StTag && !abort_i;
  assign mac_o       = truncate_tag(tag);

  gcm_core #(
    .NumKeys  (NUM_KEY_SLOTS),
    .SboxImpl (SboxImpl)
  ) u_gcm (
    .clk_i, .rst_i,
    .zeroize_i     (1'b0),
    .abort_i       (abort_i && state_q != StIdle),
    .key_valid_i   (load_valid_i),
    .key_ready_o   (load_ready_o),
    .key_idx_i     (load_idx_i),
    .key_i         (load_key_i),
    .key_done_o    (load_done_o),
    .erase_valid_i, .erase_ready_o, .erase_idx_i, .erase_done_o,
    .cmd_valid_i   (cmd_valid),
    .cmd_ready_o   (cmd_ready),
    .cmd_key_i     (start_slot_i),
    .cmd_decrypt_i (Decrypt),
    .cmd_iv_i      (start_iv_i),
    .in_valid_i    (in_valid),
    .in_ready_o    (in_ready),
    .in_data_i     (in_data),
    .in_bytes_i    (in_bytes),
    .in_aad_i      (in_aad),
    .in_last_i     (in_last),
    .out_valid_o   (out_valid),
    .out_ready_i   (1'b1),
    .out_data_o    (out_data),
    .out_bytes_o   (out_bytes),
    .tag_valid_o   (tag_valid),
    .tag_ready_i   (1'b1),
    .tag_o         (tag),
    .busy_o        (busy),
    .idle_o        (idle)
  );

  always_ff @(posedge clk_i) begin
    state_q    <= state_d;
    header_q   <= header_d;
    prefix_q   <= prefix_d;
    has_data_q <= has_data_d;
    if (rst_i) state_q <= StAbort;
  end

endmodule
