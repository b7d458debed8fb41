// SPDX-License-Identifier: Apache-2.0
// Device security manager: RISC-V core, ROMs, RAM, DOE mailbox and the engines of the protocols.
//
// Contract: nothing but the ports below leaves or enters. Keys and secrets go out over the key bus
// and are never read back; the firmware asks for LOCK, START and STOP over the TDI command bus and
// hardware decides; configuration space is read only. After rst_i the CPU is held until every
// memory has been overwritten and the engines have erased their keys (about RAM_BYTES / 4 cycles).
// The boot ROM runs first (reset vector 0), measures both ROMs and jumps to the firmware.
//
// `cpu_idle_o`: the CPU waits for an event and none is pending; only an input event, a DOE write or
// the timer (cycle_i) can change anything inside. `fatal_o`: the firmware gave up, or trapped; keys
// of the engines are erased, DOE answers Error, and only reset helps.
module dsm_soc
  import dsm_pkg::*;
#(
  parameter int unsigned NumTdi       = 3,
  parameter int unsigned ClockHz      = 48_000_000,
  parameter bit          TestHooks    = 1'b0,
  parameter int unsigned SboxImpl     = 0,
  parameter              BootFile     = "",
  parameter              FirmwareFile = "",
  parameter              Slot0File    = "",
  parameter              IdentityFile = ""
) (
  input  logic                        clk_i,
  input  logic                        rst_i,

  // DOE registers of cfg_space
  input  logic                        doe_write_i,
  input  logic [4:2]                  doe_addr_i,
  input  logic [31:0]                 doe_wdata_i,
  output logic [31:0]                 doe_control_o,
  output logic [31:0]                 doe_status_o,
  output logic [31:0]                 doe_read_data_o,
  output logic                        doe_irq_o,

  // key bus -> ide_streams
  output logic                        key_valid_o,
  input  logic                        key_ready_i,
  output ide_pkg::key_cmd_t           key_o,
  input  logic                        key_status_valid_i,
  input  ide_pkg::key_status_e        key_status_i,

  // end of a session -> tdi_control
  output logic                        kill_tag_valid_o,
  output logic [15:0]                 kill_tag_o,

  // TDI command bus -> tdi_control
  output logic                        cmd_valid_o,
  input  logic                        cmd_ready_i,
  output tdisp_pkg::tdi_cmd_t         cmd_o,
  input  logic                        res_valid_i,
  output logic                        res_ready_o,
  input  tdisp_pkg::tdi_res_t         res_i,
  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i,

  // configuration snapshot <- cfg_space
  output logic                        snap_valid_o,
  input  logic                        snap_ready_i,
  output logic [2:0]                  snap_func_o,
  output logic [11:2]                 snap_addr_o,
  input  logic                        snap_rvalid_i,
  input  logic [31:0]                 snap_rdata_i,
  input  logic [12:0]                 bus_dev_i,

  // events
  input  logic                        flr0_i,
  input  logic [2:0]                  insecure_event_i,
  input  logic [NumTdi-1:0]           tdi_error_event_i,

  // random words <- drbg
  input  logic                        rnd_valid_i,
  output logic                        rnd_ready_o,
  input  logic [31:0]                 rnd_i,
  input  logic                        seed_deterministic_i,

  input  logic [63:0]                 cycle_i,
  output logic                        cpu_idle_o,
  output logic                        fatal_o
);

  localparam int unsigned BootWords  = BOOT_BYTES / 4;
  localparam int unsigned FwWords    = FIRMWARE_BYTES / 4;
  localparam int unsigned Slot0Words = SLOT0_BYTES / 4;
  localparam int unsigned RamWords   = RAM_BYTES / 4;
  localparam int unsigned RamAddrW   = $clog2(RamWords);
  localparam int unsigned DoeBufferDw = 1154;
  localparam int unsigned DoeAddrW    = $clog2(DoeBufferDw);
  localparam int unsigned DoeCountW   = $clog2(DoeBufferDw + 1);

  // ---- reset, wipe -----------------------------------------------------------------------------
  logic                wiping, cpu_rst, aead_busy, p384_busy, zeroize;
  logic [RamAddrW-1:0] wipe_addr;

  dsm_wipe #(.Words(RamWords)) u_wipe (
    .clk_i,
    .rst_i,
    .engine_busy_i (aead_busy || p384_busy),
    .wiping_o      (wiping),
    .addr_o        (wipe_addr),
    .cpu_rst_o     (cpu_rst)
  );

  assign zeroize = rst_i || fatal_o;

  // ---- CPU -------------------------------------------------------------------------------------
  logic        i_cyc, i_stb, i_ack;
  logic [29:0] i_adr;
  logic [2:0]  i_cti;
  logic [31:0] i_rdata;
  logic        d_cyc, d_stb, d_we, d_ack;
  logic [29:0] d_adr;
  logic [31:0] d_rdata, d_wdata;
  logic [3:0]  d_sel;
  logic        bus_fault, bus_fault_sticky;

  /* verilator lint_off PINCONNECTEMPTY */
  VexRiscv u_cpu (
    .externalResetVector    (32'h0000_0000),
    .timerInterrupt         (1'b0),
    .softwareInterrupt      (1'b0),
    .externalInterruptArray ({31'd0, bus_fault_sticky}),
    .iBusWishbone_CYC       (i_cyc),
    .iBusWishbone_STB       (i_stb),
    .iBusWishbone_ACK       (i_ack),
    .iBusWishbone_WE        (),  // an instruction bus never writes
    .iBusWishbone_ADR       (i_adr),
    .iBusWishbone_DAT_MISO  (i_rdata),
    .iBusWishbone_DAT_MOSI  (),
    .iBusWishbone_SEL       (),
    .iBusWishbone_ERR       (1'b0),
    .iBusWishbone_CTI       (i_cti),
    .iBusWishbone_BTE       (),
    .dBusWishbone_CYC       (d_cyc),
    .dBusWishbone_STB       (d_stb),
    .dBusWishbone_ACK       (d_ack),
    .dBusWishbone_WE        (d_we),
    .dBusWishbone_ADR       (d_adr),
    .dBusWishbone_DAT_MISO  (d_rdata),
    .dBusWishbone_DAT_MOSI  (d_wdata),
    .dBusWishbone_SEL       (d_sel),
    .dBusWishbone_ERR       (1'b0),
    .dBusWishbone_CTI       (),  // single accesses only
    .dBusWishbone_BTE       (),
    .clk                    (clk_i),
    .reset                  (cpu_rst)
  );
  /* verilator lint_on PINCONNECTEMPTY */

  // ---- decoder ---------------------------------------------------------------------------------
  logic [13:0]                 i_addr, d_addr;
  logic [31:0]                 boot_i, boot_d, fw_i, fw_d, slot0_d, ram_d, req_d, rsp_d, m_wdata;
  logic [3:0]                  m_be;
  logic                        ram_we, rsp_we, fw_fetch;
  logic [NUM_PERIPH-1:0]       reg_valid, reg_ready;
  reg_req_t                    reg_req;
  logic [NUM_PERIPH-1:0][31:0] reg_rdata;

  dsm_bus u_bus (
    .clk_i,
    .rst_i           (cpu_rst),
    .i_cyc_i         (i_cyc),
    .i_stb_i         (i_stb),
    .i_adr_i         (i_adr),
    .i_cti_i         (i_cti),
    .i_ack_o         (i_ack),
    .i_dat_o         (i_rdata),
    .d_cyc_i         (d_cyc),
    .d_stb_i         (d_stb),
    .d_we_i          (d_we),
    .d_adr_i         (d_adr),
    .d_sel_i         (d_sel),
    .d_dat_i         (d_wdata),
    .d_ack_o         (d_ack),
    .d_dat_o         (d_rdata),
    .i_addr_o        (i_addr),
    .boot_i_rdata_i  (boot_i),
    .fw_i_rdata_i    (fw_i),
    .d_addr_o        (d_addr),
    .boot_d_rdata_i  (boot_d),
    .fw_d_rdata_i    (fw_d),
    .slot0_rdata_i   (slot0_d),
    .ram_rdata_i     (ram_d),
    .doe_req_rdata_i (req_d),
    .doe_rsp_rdata_i (rsp_d),
    .ram_we_o        (ram_we),
    .doe_rsp_we_o    (rsp_we),
    .d_be_o          (m_be),
    .d_wdata_o       (m_wdata),
    .reg_valid_o     (reg_valid),
    .reg_ready_i     (reg_ready),
    .reg_req_o       (reg_req),
    .reg_rdata_i     (reg_rdata),
    .fw_fetch_o      (fw_fetch),
    .fault_o         (bus_fault)
  );

  // ---- memories --------------------------------------------------------------------------------
  dsm_rom #(.Words(BootWords), .File(BootFile), .PlusArg("boot=%s")) u_boot_rom (
    .clk_i,
    .a_addr_i  (i_addr[$clog2(BootWords)-1:0]),
    .a_rdata_o (boot_i),
    .b_addr_i  (d_addr[$clog2(BootWords)-1:0]),
    .b_rdata_o (boot_d)
  );

  dsm_rom #(.Words(FwWords), .File(FirmwareFile), .PlusArg("firmware=%s")) u_firmware_rom (
    .clk_i,
    .a_addr_i  (i_addr[$clog2(FwWords)-1:0]),
    .a_rdata_o (fw_i),
    .b_addr_i  (d_addr[$clog2(FwWords)-1:0]),
    .b_rdata_o (fw_d)
  );

  /* verilator lint_off PINCONNECTEMPTY */
  dsm_rom #(.Words(Slot0Words), .File(Slot0File), .PlusArg("slot0=%s")) u_slot0_rom (
    .clk_i,
    .a_addr_i  ('0),
    .a_rdata_o (),  // data side only
    .b_addr_i  (d_addr[$clog2(Slot0Words)-1:0]),
    .b_rdata_o (slot0_d)
  );

  dsm_ram #(.Words(RamWords)) u_ram (
    .clk_i,
    .a_we_i    (ram_we || wiping),
    .a_be_i    (wiping ? 4'b1111 : m_be),
    .a_addr_i  (wiping ? wipe_addr : d_addr[RamAddrW-1:0]),
    .a_wdata_i (wiping ? 32'd0 : m_wdata),
    .a_rdata_o (ram_d),
    .b_addr_i  ('0),
    .b_rdata_o ()   // instructions never come from RAM
  );
  /* verilator lint_on PINCONNECTEMPTY */

  // ---- DOE -------------------------------------------------------------------------------------
  logic                 doe_go, doe_take, doe_abort, doe_abort_ack, doe_held;
  logic                 doe_respond, doe_discard, doe_fail;
  logic [31:0]          doe_respond_dw;
  logic [DoeCountW-1:0] doe_request_dw;
  logic                 fatal_q;

  doe_mailbox #(.BufferDw(DoeBufferDw), .TimeoutCycles(ClockHz / 50 * 49)) u_mailbox (
    .clk_i,
    .rst_i,
    .flr_i           (flr0_i),
    .cfg_write_i     (doe_write_i),
    .cfg_addr_i      (doe_addr_i),
    .cfg_wdata_i     (doe_wdata_i),
    .cfg_control_o   (doe_control_o),
    .cfg_status_o    (doe_status_o),
    .cfg_read_data_o (doe_read_data_o),
    .irq_o           (doe_irq_o),
    .go_o            (doe_go),
    .take_i          (doe_take),
    .abort_o         (doe_abort),
    .abort_ack_i     (doe_abort_ack),
    .request_dw_o    (doe_request_dw),
    .respond_i       (doe_respond),
    .respond_dw_i    (doe_respond_dw),
    .discard_i       (doe_discard),
    .fail_i          (doe_fail || (fatal_o && !fatal_q)),
    .held_o          (doe_held),
    .req_addr_i      (d_addr[DoeAddrW-1:0]),
    .req_rdata_o     (req_d),
    .rsp_we_i        (rsp_we),
    .rsp_be_i        (m_be),
    .rsp_addr_i      (d_addr[DoeAddrW-1:0]),
    .rsp_wdata_i     (m_wdata),
    .rsp_rdata_o     (rsp_d),
    .wipe_i          (wiping && wipe_addr < RamAddrW'(DoeBufferDw)),
    .wipe_addr_i     (wipe_addr[DoeAddrW-1:0])
  );

  always_ff @(posedge clk_i) fatal_q <= fatal_o;

  dsm_doe_regs #(.CountWidth(DoeCountW)) u_doe_regs (
    .reg_valid_i  (reg_valid[PerDoe]),
    .reg_ready_o  (reg_ready[PerDoe]),
    .reg_req_i    (reg_req),
    .reg_rdata_o  (reg_rdata[PerDoe]),
    .request_dw_i (doe_request_dw),
    .go_i         (doe_go),
    .held_i       (doe_held),
    .abort_i      (doe_abort),
    .respond_o    (doe_respond),
    .respond_dw_o (doe_respond_dw),
    .discard_o    (doe_discard),
    .fail_o       (doe_fail)
  );

  // ---- engines ---------------------------------------------------------------------------------
  dsm_sha384 u_sha384 (
    .clk_i,
    .rst_i,
    .reg_valid_i (reg_valid[PerSha]),
    .reg_ready_o (reg_ready[PerSha]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerSha])
  );

  dsm_aead #(.SboxImpl(SboxImpl)) u_aead (
    .clk_i,
    .rst_i,
    .zeroize_i   (zeroize),
    .busy_o      (aead_busy),
    .reg_valid_i (reg_valid[PerAead]),
    .reg_ready_o (reg_ready[PerAead]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerAead])
  );

  logic        eng_rnd_valid, eng_rnd_ready;
  logic [31:0] eng_rnd;

  dsm_random u_random (
    .reg_valid_i (reg_valid[PerRandom]),
    .reg_ready_o (reg_ready[PerRandom]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerRandom]),
    .rnd_valid_i,
    .rnd_ready_o,
    .rnd_i,
    .eng_valid_o (eng_rnd_valid),
    .eng_ready_i (eng_rnd_ready),
    .eng_o       (eng_rnd)
  );

  dsm_p384 #(.KeyFile(IdentityFile)) u_p384 (
    .clk_i,
    .rst_i,
    .zeroize_i   (zeroize),
    .busy_o      (p384_busy),
    .reg_valid_i (reg_valid[PerP384]),
    .reg_ready_o (reg_ready[PerP384]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerP384]),
    .rnd_valid_i (eng_rnd_valid),
    .rnd_ready_o (eng_rnd_ready),
    .rnd_i       (eng_rnd)
  );

  // ---- buses to the data path --------------------------------------------------------------------
  dsm_key_bus u_key_bus (
    .clk_i,
    .rst_i,
    .reg_valid_i (reg_valid[PerKeyBus]),
    .reg_ready_o (reg_ready[PerKeyBus]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerKeyBus]),
    .key_valid_o,
    .key_ready_i,
    .key_o,
    .key_status_valid_i,
    .key_status_i,
    .kill_tag_valid_o,
    .kill_tag_o
  );

  dsm_tdi_bus #(.NumTdi(NumTdi)) u_tdi_bus (
    .clk_i,
    .rst_i,
    .reg_valid_i (reg_valid[PerTdiBus]),
    .reg_ready_o (reg_ready[PerTdiBus]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerTdiBus]),
    .cmd_valid_o,
    .cmd_ready_i,
    .cmd_o,
    .res_valid_i,
    .res_ready_o,
    .res_i,
    .tdi_view_i
  );

  dsm_snapshot u_snapshot (
    .clk_i,
    .rst_i,
    .reg_valid_i (reg_valid[PerSnapshot]),
    .reg_ready_o (reg_ready[PerSnapshot]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerSnapshot]),
    .snap_valid_o,
    .snap_ready_i,
    .snap_func_o,
    .snap_addr_o,
    .snap_rvalid_i,
    .snap_rdata_i
  );

  // ---- system ----------------------------------------------------------------------------------
  dsm_system #(.NumTdi(NumTdi), .ClockHz(ClockHz), .TestHooks(TestHooks)) u_system (
    .clk_i,
    .rst_i,
    .reg_valid_i     (reg_valid[PerSystem]),
    .reg_ready_o     (reg_ready[PerSystem]),
    .reg_req_i       (reg_req),
    .reg_rdata_o     (reg_rdata[PerSystem]),
    .doe_go_i        (doe_go),
    .doe_take_o      (doe_take),
    .doe_abort_i     (doe_abort),
    .doe_abort_ack_o (doe_abort_ack),
    .flr0_i,
    .insecure_event_i,
    .tdi_error_event_i,
    .cycle_i,
    .bus_dev_i,
    .seed_deterministic_i,
    .bus_fault_i     (bus_fault),
    .bus_fault_o     (bus_fault_sticky),
    .fatal_o,
    .idle_o          (cpu_idle_o)
  );

  dsm_measure u_measure (
    .clk_i,
    .rst_i,
    .fw_fetch_i  (fw_fetch),
    .reg_valid_i (reg_valid[PerMeasure]),
    .reg_ready_o (reg_ready[PerMeasure]),
    .reg_req_i   (reg_req),
    .reg_rdata_o (reg_rdata[PerMeasure]),
    /* verilator lint_off PINCONNECTEMPTY */
    .locked_o    ()  // for assertions
    /* verilator lint_on PINCONNECTEMPTY */
  );

endmodule
