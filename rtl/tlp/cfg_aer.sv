// SPDX-License-Identifier: Apache-2.0
// Advanced Error Reporting of one function: registers, first-error log, role-based algorithm.
//
// Contract
//   * ev_valid_i marks an error of this function (combinational results in the same cycle,
//     registers one cycle later); a new event may come every cycle.
//   * For an uncorrectable error whose severity bit says non-fatal and that is marked advisory,
//     the advisory path applies; every other one is reported by its severity.
//   * want_o says which message the function wants to send: {fatal, non-fatal, correctable}. Bits
//     2:1 exclude each other; the correctable bit also stands for a header that found the log
//     occupied.
//   * The log belongs to the first unmasked error and is released when software clears its status
//     bit. A set in the cycle of a clear wins.
//   * All registers here are sticky: rst_sticky_i is the power-on reset; FLR does not reach them.
//   * Access port: offset in, combinational read value and masks out; a write brings the merged
//     value (`new_i`) and the bits written as 1 (`ones_i`).
// PCIe Base 6.2 and 7.8.4 (version 2 of the capability, 48h bytes).
module cfg_aer
  import pcie_pkg::*;
  import cfg_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_sticky_i,

  input  offset_t     off_i,
  output logic [31:0] rdata_o,
  output logic [31:0] rw_mask_o,
  output logic [31:0] w1c_mask_o,
  input  logic        we_i,
  input  logic [31:0] new_i,
  input  logic [31:0] ones_i,

  input  logic        ev_valid_i,
  input  aer_event_t  ev_i,

  // Enables: Device Control and Command.
  input  logic        cere_i,   // Correctable Error Reporting Enable
  input  logic        nfere_i,  // Non-Fatal
  input  logic        fere_i,   // Fatal
  input  logic        urre_i,   // Unsupported Request
  input  logic        serr_i,   // SERR# Enable

  output logic [3:0]  devsta_set_o,  // {URD, FED, NFED, CED}
  output logic [2:0]  want_o         // {ERR_FATAL, ERR_NONFATAL, ERR_COR}
);

  localparam logic [31:0] UE_BITS        = 32'h3057_F010;
  localparam logic [31:0] UE_MASK_RESET  = 32'h0040_0000;  // uncorrectable internal error
  localparam logic [31:0] UE_SEV_RESET   = 32'h1046_2030;
  localparam logic [31:0] CE_BITS        = 32'h0000_E000;
  localparam int unsigned CE_ADVISORY    = 13;
  localparam int unsigned CE_LOG_OVERFLOW = 15;

  logic [31:0]  ue_status_q, ue_mask_q, ue_sev_q, ce_status_q, ce_mask_q;
  logic [4:0]   fep_q;            // First Error Pointer
  logic         fep_valid_q;      // the log is occupied
  logic         prefix_logged_q;
  logic [127:0] header_log_q;
  logic [31:0]  prefix_log_q;

  // Registers as software sees them --------------------------------------------------------------

  always_comb begin
    rdata_o    = '0;
    rw_mask_o  = '0;
    w1c_mask_o = '0;
    unique case (off_i)
      OFF_AER_UE_STATUS: begin
        rdata_o    = ue_status_q;
        w1c_mask_o = UE_BITS;
      end
      OFF_AER_UE_MASK: begin
        rdata_o   = ue_mask_q;
        rw_mask_o = UE_BITS;
      end
      OFF_AER_UE_SEV: begin
        rdata_o   = ue_sev_q;
        rw_mask_o = UE_BITS;
      end
      OFF_AER_CE_STATUS: begin
        rdata_o    = ce_status_q;
        w1c_mask_o = CE_BITS;
      end
      OFF_AER_CE_MASK: begin
        rdata_o   = ce_mask_q;
        rw_mask_o = CE_BITS;
      end
      OFF_AER_CONTROL:          rdata_o = {20'd0, prefix_logged_q, 6'd0, fep_q};
      OFF_AER_HEADER0:          rdata_o = header_log_q[127:96];
      OFF_AER_HEADER0 + 12'h4:  rdata_o = header_log_q[95:64];
      OFF_AER_HEADER0 + 12'h8:  rdata_o = header_log_q[63:32];
      OFF_AER_HEADER0 + 12'hC:  rdata_o = header_log_q[31:0];
      OFF_AER_PREFIX0:          rdata_o = prefix_log_q;
      default:                  rdata_o = '0;
    endcase
  end

  // Algorithm ------------------------------------------------------------------------------------

  logic        is_fatal, is_masked, is_ur, is_advisory, is_recorded, log_wanted, log_free;
  logic        log_take, log_lost;
  logic [31:0] ue_bit, ue_set, ue_clear, ce_set, ce_clear;

  assign ue_bit      = 32'd1 << ev_i.error;
  assign is_fatal    = ue_sev_q[ev_i.error];
  assign is_masked   = ue_mask_q[ev_i.error];
  assign is_ur       = ev_i.error == AER_UNSUPPORTED;
  assign is_advisory = ev_i.advisory && !is_fatal;

  assign ue_clear = (we_i && off_i == OFF_AER_UE_STATUS) ? (ones_i & UE_BITS) : '0;
  assign ce_clear = (we_i && off_i == OFF_AER_CE_STATUS) ? (ones_i & CE_BITS) : '0;
  assign log_free = !fep_valid_q || ue_clear[fep_q];

  // An advisory error enters the uncorrectable status only if bit 13 is not masked.
  assign is_recorded = ev_valid_i && (ue_bit & UE_BITS) != '0
                       && !(is_advisory && ce_mask_q[CE_ADVISORY]);
  assign log_wanted  = is_recorded && !is_masked;
  assign log_take    = log_wanted && log_free;
  assign log_lost    = log_wanted && !log_free && ev_i.log_header;

  assign ue_set = is_recorded ? (ue_bit & UE_BITS) : '0;

  always_comb begin
    ce_set = '0;
    if (ev_valid_i && is_advisory) ce_set[CE_ADVISORY] = 1'b1;
    if (log_lost)                  ce_set[CE_LOG_OVERFLOW] = 1'b1;
  end

  always_comb begin
    devsta_set_o = '0;
    want_o       = '0;
    if (ev_valid_i) begin
      devsta_set_o[3] = is_ur;
      if (is_advisory) begin
        devsta_set_o[0] = 1'b1;
        want_o[0]       = !ce_mask_q[CE_ADVISORY] && (!is_ur || urre_i) && cere_i;
      end else begin
        devsta_set_o[2] = is_fatal;
        devsta_set_o[1] = !is_fatal;
        if (!is_masked && (!is_ur || urre_i || serr_i)) begin
          want_o[2] = is_fatal && (fere_i || serr_i);
          want_o[1] = !is_fatal && (nfere_i || serr_i);
        end
      end
      if (log_lost) begin
        devsta_set_o[0] = 1'b1;
        if (!ce_mask_q[CE_LOG_OVERFLOW] && cere_i) want_o[0] = 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    ue_status_q <= (ue_status_q & ~ue_clear) | ue_set;
    ce_status_q <= (ce_status_q & ~ce_clear) | ce_set;
    if (ue_clear[fep_q]) fep_valid_q <= 1'b0;
    if (log_take) begin
      fep_q           <= ev_i.error;
      fep_valid_q     <= 1'b1;
      header_log_q    <= ev_i.log_header ? ev_i.header : '0;
      prefix_logged_q <= ev_i.log_header && ev_i.prefix_valid;
      prefix_log_q    <= (ev_i.log_header && ev_i.prefix_valid) ? ev_i.prefix : '0;
    end
    if (we_i) begin
      unique case (off_i)
        OFF_AER_UE_MASK: ue_mask_q <= new_i;
        OFF_AER_UE_SEV:  ue_sev_q  <= new_i;
        OFF_AER_CE_MASK: ce_mask_q <= new_i;
        default: ;
      endcase
    end
    if (rst_sticky_i) begin
      ue_status_q     <= '0;
      ue_mask_q       <= UE_MASK_RESET;
      ue_sev_q        <= UE_SEV_RESET;
      ce_status_q     <= '0;
      ce_mask_q       <= CE_BITS;
      fep_q           <= '0;
      fep_valid_q     <= 1'b0;
      prefix_logged_q <= 1'b0;
      header_log_q    <= '0;
      prefix_log_q    <= '0;
    end
  end

  // Who reports is decided outside.
  logic unused_addressee;
  assign unused_addressee = ^{ev_i.all_funcs, ev_i.func};

endmodule
