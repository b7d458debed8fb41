// SPDX-License-Identifier: Apache-2.0
// Address decoder between the two buses of the CPU and everything the DSM can reach.
//
// Contract: Wishbone classic slaves with 30-bit word addresses. Instruction fetches reach the two
// ROMs only, anything else reads 0, which is no instruction (write-xor-execute by construction);
// a line burst delivers one word a cycle. Data accesses: memories answer in the next cycle,
// registers when the peripheral is ready. ROM and the DOE request buffer cannot be written,
// registers only by whole words; such a write and any access outside of the map has no effect,
// reads 0 and sets `fault_o` for one cycle (the CPU ignores bus errors: the SoC turns it into an
// interrupt).
// SEC: DSM.MAP
module dsm_bus
  import dsm_pkg::*;
(
  input  logic                  clk_i,
  input  logic                  rst_i,

  // instruction bus of the CPU
  input  logic                  i_cyc_i,
  input  logic                  i_stb_i,
  input  logic [29:0]           i_adr_i,
  input  logic [2:0]            i_cti_i,
  output logic                  i_ack_o,
  output logic [31:0]           i_dat_o,

  // data bus of the CPU
  input  logic                  d_cyc_i,
  input  logic                  d_stb_i,
  input  logic                  d_we_i,
  input  logic [29:0]           d_adr_i,
  input  logic [3:0]            d_sel_i,
  input  logic [31:0]           d_dat_i,
  output logic                  d_ack_o,
  output logic [31:0]           d_dat_o,

  // memories: word address now, data in the next cycle
  output logic [13:0]           i_addr_o,        // both ROMs, instruction side
  input  logic [31:0]           boot_i_rdata_i,
  input  logic [31:0]           fw_i_rdata_i,
  output logic [13:0]           d_addr_o,        // all memories, data side
  input  logic [31:0]           boot_d_rdata_i,
  input  logic [31:0]           fw_d_rdata_i,
  input  logic [31:0]           slot0_rdata_i,
  input  logic [31:0]           ram_rdata_i,
  input  logic [31:0]           doe_req_rdata_i,
  input  logic [31:0]           doe_rsp_rdata_i,
  output logic                  ram_we_o,
  output logic                  doe_rsp_we_o,
  output logic [3:0]            d_be_o,
  output logic [31:0]           d_wdata_o,

  // registers
  output logic [NUM_PERIPH-1:0] reg_valid_o,
  input  logic [NUM_PERIPH-1:0] reg_ready_i,
  output reg_req_t              reg_req_o,
  input  logic [NUM_PERIPH-1:0][31:0] reg_rdata_i,

  output logic                  fw_fetch_o,      // an instruction is fetched from the firmware ROM
  output logic                  fault_o
);

  localparam int unsigned DoeBytes = 32'h1208;

  // ---- instruction side ------------------------------------------------------------------------
  typedef enum logic [1:0] {ExNone, ExBoot, ExFirmware} exec_e;

  exec_e i_target, i_target_q;
  logic  i_ack_q;

  always_comb begin
    i_target = ExNone;
    if (i_adr_i < 30'(BOOT_BYTES / 4)) i_target = ExBoot;
    if (i_adr_i[29:22] == TOP_FIRMWARE && i_adr_i[21:0] < 22'(FIRMWARE_BYTES / 4)) begin
      i_target = ExFirmware;
    end
  end

  // While beat n is acknowledged the ROMs already look up beat n + 1 of the eight-word line.
  assign i_addr_o   = {i_adr_i[13:3], i_adr_i[2:0] + {2'b00, i_ack_q}};
  assign i_ack_o    = i_ack_q && i_stb_i;
  assign i_dat_o    = (i_target_q == ExBoot)     ? boot_i_rdata_i :
                      (i_target_q == ExFirmware) ? fw_i_rdata_i : 32'd0;
  assign fw_fetch_o = i_cyc_i && i_stb_i && i_target == ExFirmware;

  always_ff @(posedge clk_i) begin
    i_ack_q    <= i_cyc_i && i_stb_i && !(i_ack_q && i_cti_i != 3'b010);
    i_target_q <= i_target;
    if (rst_i) i_ack_q <= 1'b0;
  end

  // ---- data side -------------------------------------------------------------------------------
  typedef enum logic [3:0] {
    DtNone, DtBoot, DtFirmware, DtSlot0, DtRam, DtDoeReq, DtDoeRsp, DtReg
  } target_e;

  target_e     target, target_q;
  logic        access, ready, writable, refused, ack_q;
  logic [3:0]  periph;
  logic [31:0] reg_rdata_q;

  assign access = d_cyc_i && d_stb_i && !ack_q;
  assign periph = d_adr_i[17:14];

  always_comb begin
    target = DtNone;
    unique case (d_adr_i[29:22])
      TOP_BOOT:     if (d_adr_i[21:0] < 22'(BOOT_BYTES / 4)) target = DtBoot;
      TOP_FIRMWARE: if (d_adr_i[21:0] < 22'(FIRMWARE_BYTES / 4)) target = DtFirmware;
      TOP_SLOT0:    if (d_adr_i[21:0] < 22'(SLOT0_BYTES / 4)) target = DtSlot0;
      TOP_RAM:      if (d_adr_i[21:0] < 22'(RAM_BYTES / 4)) target = DtRam;
      TOP_PERIPH: begin
        if (d_adr_i[21:18] == '0) begin
          if (periph < 4'(NUM_PERIPH)) target = DtReg;
          if (d_adr_i[13:0] < 14'(DoeBytes / 4)) begin
            if (periph == PerDoeRequest) target = DtDoeReq;
            if (periph == PerDoeResponse) target = DtDoeRsp;
          end
        end
      end
      default: target = DtNone;
    endcase
  end

  assign writable = target == DtRam || target == DtDoeRsp || (target == DtReg && d_sel_i == 4'hF);
  assign refused  = (target == DtNone) || (d_we_i && !writable);
  assign fault_o  = access && refused;

  always_comb begin
    reg_valid_o = '0;
    if (access && !refused && target == DtReg) reg_valid_o[periph] = 1'b1;
  end

  assign ready = refused || target != DtReg || reg_ready_i[periph];

  assign reg_req_o    = '{addr: d_adr_i[13:0], we: d_we_i, wdata: d_dat_i};
  assign d_addr_o     = d_adr_i[13:0];
  assign d_be_o       = d_sel_i;
  assign d_wdata_o    = d_dat_i;
  assign ram_we_o     = access && d_we_i && target == DtRam;
  assign doe_rsp_we_o = access && d_we_i && target == DtDoeRsp;

  always_ff @(posedge clk_i) begin
    ack_q    <= access && ready;
    target_q <= target;
    // Register values do not linger: secrets read once must not stay behind.
    reg_rdata_q <= (target == DtReg && !d_we_i && !refused) ? reg_rdata_i[periph] : '0;
    if (rst_i) ack_q <= 1'b0;
  end

  always_comb begin
    unique case (target_q)
      DtBoot:     d_dat_o = boot_d_rdata_i;
      DtFirmware: d_dat_o = fw_d_rdata_i;
      DtSlot0:    d_dat_o = slot0_rdata_i;
      DtRam:      d_dat_o = ram_rdata_i;
      DtDoeReq:   d_dat_o = doe_req_rdata_i;
      DtDoeRsp:   d_dat_o = doe_rsp_rdata_i;
      DtReg:      d_dat_o = reg_rdata_q;
      default:    d_dat_o = '0;
    endcase
  end

  assign d_ack_o = ack_q && d_stb_i;

endmodule
