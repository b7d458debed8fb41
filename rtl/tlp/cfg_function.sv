// SPDX-License-Identifier: Apache-2.0
// Configuration registers of one function: header, PM, PCI Express, MSI-X, AER, serial, ACS.
//
// Contract
//   * Access port: off_i in, combinational rdata_o, rw_mask_o and w1c_mask_o out. A write (we_i)
//     brings the whole new value of the DW (new_i, masks already applied) and the bits written as
//     1 in enabled bytes (ones_i). Registers change one cycle later.
//   * flr_i resets what a Function Level Reset resets; kept: AER, Max_Payload_Size, captured slot
//     power, ASPM/RCB/common clock/extended synch, Link Control 2. rst_i resets all but AER,
//     which only rst_sticky_i does.
//   * flr_request_o pulses when Initiate FLR is written; the bit reads 0.
//   * Powers states D0 and D3hot; a write of D1 or D2 changes nothing. No_Soft_Reset = 1.
//   * Writable fields are as wide as the capability allows: BAR0 decodes BarBytes.
// PCIe Base 7.5, 7.7, 7.8; reset values and masks stand as a table in cocotb_tests/tlp/cfg_model.py.
module cfg_function
  import pcie_pkg::*;
  import cfg_pkg::*;
#(
  parameter bit          IsFunction0     = 1'b0,
  parameter logic [31:0] DeviceVendorId  = 32'h7EE0_1234,
  parameter logic [31:0] SubsystemId     = 32'h0001_1234,
  parameter logic [31:0] ClassRevision   = 32'h1200_0001,
  parameter logic [63:0] SerialNumber    = 64'h0200_00FF_FF00_0001,
  parameter int unsigned BarBytes        = 65536,
  parameter logic [31:0] MsixTableOffset = 32'h0000_2000,
  parameter logic [31:0] MsixPbaOffset   = 32'h0000_3000,
  parameter int unsigned NumVectors      = 4
) (
  input  logic        clk_i,
  input  logic        rst_i,
  input  logic        rst_sticky_i,
  input  logic        flr_i,

  input  offset_t     off_i,
  output logic [31:0] rdata_o,
  output logic [31:0] rw_mask_o,
  output logic [31:0] w1c_mask_o,
  input  logic        we_i,
  input  logic [31:0] new_i,
  input  logic [31:0] ones_i,

  // Events that set status bits.
  input  logic        aer_valid_i,
  input  aer_event_t  aer_i,
  output logic [2:0]  aer_want_o,     // {ERR_FATAL, ERR_NONFATAL, ERR_COR}
  input  logic        err_sent_i,     // ERR_FATAL or ERR_NONFATAL of this function goes out
  input  logic        cpl_ur_i,       // a completion with UR / CA was received
  input  logic        cpl_ca_i,
  input  logic        transactions_pending_i,
  input  logic        slot_power_valid_i,
  input  logic [9:0]  slot_power_i,   // {scale, value} of Set_Slot_Power_Limit

  output func_cfg_t   cfg_o,
  output logic        flr_request_o
);

  if (BarBytes < 4096 || (BarBytes & (BarBytes - 1)) != 0) begin : gen_check_bar
    $error("cfg_function: BarBytes must be a power of two of at least 4096");
  end

  localparam logic [31:0] BarMask = ~(32'(BarBytes) - 32'd1);

  // Device Capabilities: 256 B payload, 8-bit tags, no latency limits, role-based error reporting,
  // FLR, TEE-IO. The captured slot power is merged in below.
  localparam logic [31:0] DEVCAP       = 32'h5000_8FE1;
  localparam logic [15:0] DEVCTL_RESET = 16'h2810;
  localparam logic [15:0] DEVCTL_MASK  = 16'h79FF;
  localparam logic [31:0] LINKCAP      = 32'h0040_0011;  // 2.5 GT/s, x1
  localparam logic [15:0] LINKSTA      = 16'h1011;
  // Completion timeout range B.., disable; extended Fmt, one End-End prefix.
  localparam logic [31:0] DEVCAP2      = 32'h0071_0012;
  localparam logic [31:0] LINKCAP2     = 32'h0000_0002;
  localparam logic [2:0]  MPS_MAX      = 3'd1;
  localparam logic [2:0]  MRRS_MAX     = 3'd5;

  logic [31:0] aer_rdata, aer_rw_mask, aer_w1c_mask;
  logic [3:0]  devsta_set;

  logic [15:0] command_q, devctl_q, devctl2_q, linkctl_q;
  logic [5:0]  status_q;             // Status[15:11] and Status[8]
  logic [3:0]  devsta_q;             // {URD, FED, NFED, CED}
  logic [7:0]  cache_line_q, interrupt_line_q;
  logic [31:0] bar_low_q, bar_high_q;
  logic [1:0]  power_q;
  logic        msix_enable_q, msix_mask_q;
  logic [3:0]  linkctl2_q;
  logic [9:0]  slot_power_q;

  // Command and Device Control bits with a name.
  logic mse, bme, parity_response, serr_enable;
  assign mse             = command_q[1];
  assign bme             = command_q[2];
  assign parity_response = command_q[6];
  assign serr_enable     = command_q[8];

  // Read values and masks ------------------------------------------------------------------------

  logic is_illegal_power;
  // Until it is merged, the requested state shows in the bits written as 1.
  assign is_illegal_power = ones_i[1:0] == 2'd1 || ones_i[1:0] == 2'd2;

  always_comb begin
    rdata_o    = aer_rdata;
    rw_mask_o  = aer_rw_mask;
    w1c_mask_o = aer_w1c_mask;
    unique case (off_i)
      OFF_ID: rdata_o = DeviceVendorId;
      OFF_COMMAND: begin
        rdata_o    = {status_q[5:1], 2'b00, status_q[0], 8'h10, command_q};
        rw_mask_o  = 32'h0000_0546;
        w1c_mask_o = 32'hF900_0000;
      end
      OFF_CLASS: rdata_o = ClassRevision;
      OFF_CACHE_LINE: begin
        rdata_o   = {8'h00, 8'h80, 8'h00, cache_line_q};
        rw_mask_o = 32'h0000_00FF;
      end
      OFF_BAR0: begin
        rdata_o   = bar_low_q | 32'h0000_000C;  // 64 bit, prefetchable
        rw_mask_o = BarMask;
      end
      OFF_BAR1: begin
        rdata_o   = bar_high_q;
        rw_mask_o = '1;
      end
      OFF_SUBSYSTEM:   rdata_o = SubsystemId;
      OFF_CAP_POINTER: rdata_o = 32'(OFF_PM);
      OFF_INTERRUPT: begin
        rdata_o   = {24'd0, interrupt_line_q};
        rw_mask_o = 32'h0000_00FF;
      end

      OFF_PM: rdata_o = {16'h0003, OFF_PCIE[7:0], 8'h01};
      OFF_PMCSR: begin
        rdata_o   = {28'd0, 1'b1, 1'b0, power_q};
        rw_mask_o = is_illegal_power ? '0 : 32'h0000_0003;
      end

      OFF_PCIE:   rdata_o = {16'h0002, OFF_MSIX[7:0], 8'h10};
      OFF_DEVCAP: rdata_o = DEVCAP | {4'd0, slot_power_q, 18'd0};
      OFF_DEVCTL: begin
        rdata_o    = {10'd0, transactions_pending_i, 1'b0, devsta_q, devctl_q};
        rw_mask_o  = {16'd0, DEVCTL_MASK};
        w1c_mask_o = 32'h000F_0000;
      end
      OFF_LINKCAP: rdata_o = LINKCAP;
      OFF_LINKCTL: begin
        rdata_o   = {LINKSTA, linkctl_q};
        rw_mask_o = 32'h0000_00CB;
      end
      OFF_DEVCAP2: rdata_o = DEVCAP2;
      OFF_DEVCTL2: begin
        rdata_o   = {16'd0, devctl2_q};
        rw_mask_o = 32'h0000_031F;
      end
      OFF_LINKCAP2: rdata_o = LINKCAP2;
      OFF_LINKCTL2: begin
        rdata_o   = {28'd0, linkctl2_q};
        rw_mask_o = IsFunction0 ? 32'h0000_000F : '0;
      end

      OFF_MSIX: begin
        rdata_o   = {msix_enable_q, msix_mask_q, 3'd0, 11'(NumVectors - 1), 8'h00, 8'h11};
        rw_mask_o = 32'hC000_0000;
      end
      OFF_MSIX_TABLE: rdata_o = MsixTableOffset;
      OFF_MSIX_PBA:   rdata_o = MsixPbaOffset;

      OFF_AER:         rdata_o = {OFF_SERIAL, 4'd2, 16'h0001};
      OFF_SERIAL:      rdata_o = {OFF_ACS, 4'd1, 16'h0003};
      OFF_SERIAL_LOW:  rdata_o = SerialNumber[31:0];
      OFF_SERIAL_HIGH: rdata_o = SerialNumber[63:32];
      OFF_ACS:         rdata_o = {IsFunction0 ? OFF_DOE : 12'd0, 4'd1, 16'h000D};
      default: ;
    endcase
  end

  // Status bits ----------------------------------------------------------------------------------

  logic [5:0] status_set;
  logic       poisoned;
  assign poisoned      = aer_valid_i && aer_i.error == AER_POISONED;
  assign status_set[5] = poisoned;                                            // detected parity
  assign status_set[4] = serr_enable && err_sent_i;                             // system error
  assign status_set[3] = cpl_ur_i;                                            // master abort
  assign status_set[2] = cpl_ca_i;                                            // target abort
  assign status_set[1] = aer_valid_i && aer_i.error == AER_COMPLETER_ABORT;   // signalled
  assign status_set[0] = poisoned && parity_response && hdr_is_cpl(aer_i.header);

  cfg_aer u_aer (
    .clk_i,
    .rst_sticky_i,
    .off_i,
    .rdata_o     (aer_rdata),
    .rw_mask_o   (aer_rw_mask),
    .w1c_mask_o  (aer_w1c_mask),
    .we_i,
    .new_i,
    .ones_i,
    .ev_valid_i  (aer_valid_i),
    .ev_i        (aer_i),
    .cere_i      (devctl_q[0]),
    .nfere_i     (devctl_q[1]),
    .fere_i      (devctl_q[2]),
    .urre_i      (devctl_q[3]),
    .serr_i      (serr_enable),
    .devsta_set_o(devsta_set),
    .want_o      (aer_want_o)
  );

  // Registers ------------------------------------------------------------------------------------

  logic [5:0] status_clear;
  logic [3:0] devsta_clear;
  assign status_clear = (we_i && off_i == OFF_COMMAND) ? {ones_i[31:27], ones_i[24]} : '0;
  assign devsta_clear = (we_i && off_i == OFF_DEVCTL) ? ones_i[19:16] : '0;
  assign flr_request_o = we_i && off_i == OFF_DEVCTL && ones_i[15];

  always_ff @(posedge clk_i) begin
    status_q <= (status_q & ~status_clear) | status_set;
    devsta_q <= (devsta_q & ~devsta_clear) | devsta_set;
    if (slot_power_valid_i) slot_power_q <= slot_power_i;
    if (we_i) begin
      unique case (off_i)
        OFF_COMMAND:    command_q        <= new_i[15:0];
        OFF_CACHE_LINE: cache_line_q     <= new_i[7:0];
        OFF_BAR0:       bar_low_q        <= new_i & BarMask;
        OFF_BAR1:       bar_high_q       <= new_i;
        OFF_INTERRUPT:  interrupt_line_q <= new_i[7:0];
        OFF_PMCSR:      power_q          <= new_i[1:0];
        OFF_DEVCTL:     devctl_q         <= new_i[15:0];
        OFF_LINKCTL:    linkctl_q        <= new_i[15:0];
        OFF_DEVCTL2:    devctl2_q        <= new_i[15:0];
        OFF_LINKCTL2:   linkctl2_q       <= new_i[3:0];
        OFF_MSIX:       {msix_enable_q, msix_mask_q} <= new_i[31:30];
        default: ;
      endcase
    end
    if (rst_i || flr_i) begin
      command_q        <= '0;
      status_q         <= '0;
      cache_line_q     <= '0;
      bar_low_q        <= '0;
      bar_high_q       <= '0;
      interrupt_line_q <= '0;
      power_q          <= POWER_D0;
      devctl_q         <= {DEVCTL_RESET[15:8], devctl_q[7:5], DEVCTL_RESET[4:0]};
      devsta_q         <= '0;
      devctl2_q        <= '0;
      msix_enable_q    <= 1'b0;
      msix_mask_q      <= 1'b0;
    end
    if (rst_i) begin
      devctl_q     <= DEVCTL_RESET;
      linkctl_q    <= '0;
      linkctl2_q   <= IsFunction0 ? 4'd1 : 4'd0;
      slot_power_q <= '0;
    end
  end

  // What the data path needs ---------------------------------------------------------------------

  always_comb begin
    cfg_o                = '0;
    cfg_o.mse            = mse;
    cfg_o.bme            = bme;
    cfg_o.d3hot          = power_q == POWER_D3HOT;
    cfg_o.msix_enable    = msix_enable_q;
    cfg_o.msix_func_mask = msix_mask_q;
    cfg_o.mps            = (devctl_q[7:5] > MPS_MAX) ? MPS_MAX : devctl_q[7:5];
    cfg_o.mrrs           = (devctl_q[14:12] > MRRS_MAX) ? MRRS_MAX : devctl_q[14:12];
    cfg_o.bar0           = {bar_high_q, bar_low_q};
  end

endmodule
