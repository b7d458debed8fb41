// SPDX-License-Identifier: Apache-2.0
// Configuration space of all functions: access port, snapshot port, errors, events of writes.
//
// Contract
//   * Access port: acc_ready_o is constantly 1; the answer (acc_rvalid_o, acc_rdata_o) follows one
//     cycle after acceptance for reads and writes alike. Registers that do not exist read 0 and
//     ignore writes, as does a function number above NumTdi (the completer answers UR to those).
//     Writes change enabled bytes only; write-1-to-clear acts per enabled byte.
//   * Snapshot port: read only, served in cycles without access; same latency. DOE registers read
//     through it as 0, so that it cannot disturb or observe the mailbox.
//   * write_event_o is valid in the first cycle in which the registers hold the new value, once
//     for every accepted write to an existing function. Old and new value are those that the
//     write alone makes (status bits that hardware sets in the same cycle are not in it).
//   * bus_dev_o is captured from every accepted write; bus_dev_change_o pulses together with the
//     write event if the number differs from the one before.
//   * Initiate FLR: flr_o[f] pulses once after cpl_sent_i, which means "the completion of the
//     last accepted access has been taken"; the registers of the function are reset with it, the
//     IDE registers with flr_o[0].
//   * DOE: writes appear on doe_write_o in the cycle of the access. Bytes of the Control register
//     that are not enabled keep doe_control_i, disabled bytes of Status are 0; both mailboxes take
//     full DWs only, other widths are ignored.
//   * AER events are always taken (aer_ready_o = 1). A function number above NumTdi counts as
//     all_funcs. Messages: see aer_messages.
//   * rst_i resets everything but the sticky AER registers, which rst_sticky_i (power-on) resets.
// PCIe Base chapter 7.
module cfg_space
  import cfg_pkg::*;
  import pcie_pkg::*;
  import ide_pkg::NUM_BLOCKS;
  import ide_pkg::block_cfg_t;
#(
  parameter int unsigned NumTdi          = 3,
  parameter logic [31:0] DeviceVendorId  = 32'h7EE0_1234,
  parameter logic [31:0] SubsystemId     = 32'h0001_1234,
  parameter logic [31:0] ClassRevision   = 32'h1200_0001,
  parameter logic [63:0] SerialNumber    = 64'h0200_00FF_FF00_0001,
  parameter bit          TeeLimitedSupported     = 1'b0,
  parameter bit          ConfigRequestsSupported = 1'b0
) (
  input  logic                        clk_i,
  input  logic                        rst_i,
  input  logic                        rst_sticky_i,

  // Access port (completer).
  input  logic                        acc_valid_i,
  output logic                        acc_ready_o,
  input  logic                        acc_we_i,
  input  logic [2:0]                  acc_func_i,
  input  logic [11:2]                 acc_addr_i,
  input  logic [3:0]                  acc_be_i,
  input  logic [31:0]                 acc_wdata_i,
  input  logic [12:0]                 acc_bus_dev_i,
  output logic                        acc_rvalid_o,
  output logic [31:0]                 acc_rdata_o,

  // Snapshot port (DSM).
  input  logic                        snap_valid_i,
  output logic                        snap_ready_o,
  input  logic [2:0]                  snap_func_i,
  input  logic [11:2]                 snap_addr_i,
  output logic                        snap_rvalid_o,
  output logic [31:0]                 snap_rdata_o,

  // What the registers say.
  output func_cfg_t [NumTdi:0]        func_cfg_o,
  output logic [12:0]                 bus_dev_o,
  output logic                        bus_dev_change_o,
  output block_cfg_t [NUM_BLOCKS-1:0] block_cfg_o,
  output cfg_write_event_t            write_event_o,

  // Function level reset.
  input  logic                        cpl_sent_i,
  output logic [NumTdi:0]             flr_o,

  // What the registers show.
  input  logic [NUM_BLOCKS-1:0]       block_state_i,    // 1 = Secure
  input  logic [NUM_BLOCKS-1:0]       fail_received_i,  // pulse: IDE Fail message
  input  logic [NumTdi:0]             transactions_pending_i,
  input  logic [NumTdi:0]             cpl_ur_i,         // pulse: completion with UR / CA received
  input  logic [NumTdi:0]             cpl_ca_i,
  input  logic                        slot_power_valid_i,
  input  logic [9:0]                  slot_power_i,     // {scale[1:0], value[7:0]}

  // DOE registers live in doe_mailbox.
  input  logic [31:0]                 doe_control_i,
  input  logic [31:0]                 doe_status_i,
  input  logic [31:0]                 doe_read_data_i,
  output logic                        doe_write_o,
  output logic [4:2]                  doe_addr_o,       // offset in the capability / 4
  output logic [31:0]                 doe_wdata_o,

  // Errors in, error messages out.
  input  logic                        aer_valid_i,
  output logic                        aer_ready_o,
  input  aer_event_t                  aer_i,
  output logic                        msg_valid_o,
  input  logic                        msg_ready_i,
  output tlp_beat_t                   msg_o
);

  if (NumTdi < 1 || NumTdi > 7) begin : gen_check_num_tdi
    $error("cfg_space: NumTdi must be 1 to 7");
  end

  localparam int unsigned NumFunctions = NumTdi + 1;

  // One access a cycle: the host's, else a snapshot read ---------------------------------------------

  logic        write;
  logic [2:0]  func;
  offset_t     off;
  logic [31:0] byte_mask, ones;
  logic [31:0] old_value, rw_mask, w1c_mask, new_value;
  logic        func_exists;

  assign acc_ready_o  = 1'b1;
  assign snap_ready_o = !acc_valid_i;
  assign write        = acc_valid_i && acc_we_i && func_exists;
  assign func         = acc_valid_i ? acc_func_i : snap_func_i;
  assign off          = {acc_valid_i ? acc_addr_i : snap_addr_i, 2'b00};
  assign func_exists  = 32'(func) <= NumTdi;
  assign byte_mask    = {{8{acc_be_i[3]}}, {8{acc_be_i[2]}}, {8{acc_be_i[1]}}, {8{acc_be_i[0]}}};
  assign ones         = acc_wdata_i & byte_mask;
  assign new_value    = ((old_value & ~(rw_mask & byte_mask)) | (ones & rw_mask))
                        & ~(ones & w1c_mask);

  logic [NumTdi:0][31:0] f_rdata, f_rw_mask, f_w1c_mask;
  logic [31:0]           ide_rdata, ide_rw_mask, ide_w1c_mask, doe_rdata;

  always_comb begin
    old_value = '0;
    rw_mask   = '0;
    w1c_mask  = '0;
    for (int unsigned f = 0; f < NumFunctions; f++) begin
      if (func == 3'(f)) begin
        old_value = f_rdata[f];
        rw_mask   = f_rw_mask[f];
        w1c_mask  = f_w1c_mask[f];
      end
    end
    if (func == 3'd0) begin
      old_value |= ide_rdata | (acc_valid_i ? doe_rdata : '0);
      rw_mask   |= ide_rw_mask;
      w1c_mask  |= ide_w1c_mask;
    end
    // The header of the DOE capability is part of the list whoever asks.
    if (func == 3'd0 && off == OFF_DOE)     old_value = {OFF_IDE, 4'd1, 16'h002E};
    if (func == 3'd0 && off == OFF_DOE_CAP) old_value = 32'd1;  // interrupt, message number 0
  end

  always_ff @(posedge clk_i) begin
    acc_rvalid_o  <= acc_valid_i && !rst_i;
    snap_rvalid_o <= snap_valid_i && !acc_valid_i && !rst_i;
    acc_rdata_o   <= old_value;
    snap_rdata_o  <= old_value;
  end

  always_ff @(posedge clk_i) begin
    write_event_o <= '{valid: write, func: func, addr: off[11:2], be: acc_be_i,
                       old_value: old_value, new_value: new_value, wdata: acc_wdata_i};
    bus_dev_change_o <= write && acc_bus_dev_i != bus_dev_o;
    if (write) bus_dev_o <= acc_bus_dev_i;
    if (rst_i) begin
      write_event_o    <= '0;
      bus_dev_change_o <= 1'b0;
      bus_dev_o        <= '0;
    end
  end

  // DOE ------------------------------------------------------------------------------------------

  logic doe_take;

  always_comb begin
    unique case (off)
      OFF_DOE_CONTROL: doe_rdata = doe_control_i;
      OFF_DOE_STATUS:  doe_rdata = doe_status_i;
      OFF_DOE_READ:    doe_rdata = doe_read_data_i;
      default:         doe_rdata = '0;
    endcase
  end

  always_comb begin
    doe_wdata_o = acc_wdata_i;
    unique case (off)
      OFF_DOE_CONTROL: begin
        doe_take    = acc_be_i != 4'd0;
        doe_wdata_o = ones | (doe_control_i & ~byte_mask);
      end
      OFF_DOE_STATUS: begin
        doe_take    = acc_be_i != 4'd0;
        doe_wdata_o = ones;
      end
      OFF_DOE_WRITE, OFF_DOE_READ: doe_take = acc_be_i == 4'hF;
      default:                     doe_take = 1'b0;
    endcase
  end

  // The capability begins 10h above a multiple of 20h.
  assign doe_addr_o  = off[4:2] - OFF_DOE[4:2];
  assign doe_write_o = write && func == 3'd0 && doe_take;

  // Errors ---------------------------------------------------------------------------------------

  logic                 aer_valid_q, aer_all;
  aer_event_t           aer_q;
  logic [NumTdi:0][2:0] want, granted;

  assign aer_ready_o = 1'b1;
  assign aer_all     = aer_q.all_funcs || 32'(aer_q.func) > NumTdi;

  always_ff @(posedge clk_i) begin
    aer_valid_q <= aer_valid_i;
    if (aer_valid_i) aer_q <= aer_i;
    if (rst_i) aer_valid_q <= 1'b0;
  end

  aer_messages #(
    .NumFunctions(NumFunctions)
  ) u_messages (
    .clk_i,
    .rst_i,
    .want_i     (want),
    .all_funcs_i(aer_all),
    .granted_o  (granted),
    .drop_i     (flr_o),
    .bus_dev_i  (bus_dev_o),
    .msg_valid_o,
    .msg_ready_i,
    .msg_o
  );

  // Functions ------------------------------------------------------------------------------------

  logic [NumTdi:0] flr_request, flr_pending_q;

  for (genvar f = 0; f < NumFunctions; f++) begin : gen_function
    cfg_function #(
      .IsFunction0    (f == 0),
      .DeviceVendorId (DeviceVendorId),
      .SubsystemId    (SubsystemId),
      .ClassRevision  (ClassRevision),
      .SerialNumber   (SerialNumber),
      .BarBytes       (f == 0 ? tdisp_pkg::F0_BAR_BYTES : tdisp_pkg::TDI_BAR_BYTES),
      .MsixTableOffset(f == 0 ? 32'h0000_0800 : {16'd0, tdisp_pkg::PAGE_MSIX_TABLE, 12'd0}),
      .MsixPbaOffset  (f == 0 ? 32'h0000_0C00 : {16'd0, tdisp_pkg::PAGE_MSIX_PBA, 12'd0})
    ) u_function (
      .clk_i,
      .rst_i,
      .rst_sticky_i,
      .flr_i                 (flr_o[f]),
      .off_i                 (off),
      .rdata_o               (f_rdata[f]),
      .rw_mask_o             (f_rw_mask[f]),
      .w1c_mask_o            (f_w1c_mask[f]),
      .we_i                  (write && func == 3'(f)),
      .new_i                 (new_value),
      .ones_i                (ones),
      .aer_valid_i           (aer_valid_q && (aer_all || aer_q.func == 3'(f))),
      .aer_i                 (aer_q),
      .aer_want_o            (want[f]),
      .err_sent_i            (granted[f][2] || granted[f][1]),
      .cpl_ur_i              (cpl_ur_i[f]),
      .cpl_ca_i              (cpl_ca_i[f]),
      .transactions_pending_i(transactions_pending_i[f]),
      .slot_power_valid_i,
      .slot_power_i,
      .cfg_o                 (func_cfg_o[f]),
      .flr_request_o         (flr_request[f])
    );
  end

  always_ff @(posedge clk_i) begin
    flr_pending_q <= (flr_pending_q & {NumFunctions{!cpl_sent_i}}) | flr_request;
    flr_o         <= flr_pending_q & {NumFunctions{cpl_sent_i}};
    if (rst_i) begin
      flr_pending_q <= '0;
      flr_o         <= '0;
    end
  end

  cfg_ide #(
    .TeeLimitedSupported    (TeeLimitedSupported),
    .ConfigRequestsSupported(ConfigRequestsSupported)
  ) u_ide (
    .clk_i,
    .rst_i,
    .flr_i     (flr_o[0]),
    .off_i     (off),
    .rdata_o   (ide_rdata),
    .rw_mask_o (ide_rw_mask),
    .w1c_mask_o(ide_w1c_mask),
    .we_i      (write && func == 3'd0),
    .new_i     (new_value),
    .one31_i   (ones[31]),
    .block_state_i,
    .fail_received_i,
    .block_cfg_o
  );

endmodule
