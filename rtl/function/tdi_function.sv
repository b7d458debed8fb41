// SPDX-License-Identifier: Apache-2.0
// One TDI: BAR0 of 64 KiB with registers, work memory, DMA engine and MSI-X; and its erasure.
//
// Contract
//   * Local bus without wait states; lb_rdata_o belongs to the read of the cycle before and is
//     zero in all other cycles. Pages: tdisp_pkg; what is not backed reads zero.
//   * quiesce_i (level) ends DMA at the next TLP boundary and keeps it off. drained_o: no request
//     outstanding or quarantined, nothing on tx.
//   * erase_i (pulse), flr_i and reset overwrite work memory, descriptors, scratch registers and
//     the payload registers of the DMA engine; the MSI-X table too if it was locked, and always
//     after flr_i and reset. Meanwhile page 1 and work memory read zero and ignore writes, and no
//     DMA runs. erased_o falls with erase_i and rises when no byte of an owner is left: after
//     max(WorkMemBytes / 16, 64) + 3 cycles, or later if a TLP is still waiting on tx.
//   * tx: DMA requests and MSI-X writes (tx_is_msix_o), one TLP at a time, each held until taken;
//     interrupts of a descriptor follow its last write. tx_dropped_i: the gate swallowed the TLP
//     whose first beat is taken in this cycle.
//   * dma_error_o: UR, CA, timeout, poisoned or wrongly protected completion of a running DMA.
//   * AER events that meet a full queue (two) are lost.
//
// SEC: TDI.ERASE
module tdi_function
  import pcie_pkg::*;
  import tdisp_pkg::*;
#(
  parameter int unsigned TdiIdx           = 0,       // function number - 1
  parameter int unsigned WorkMemBytes     = 16384,
  parameter int unsigned CplTimeoutCycles = 2_400_000
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  tdi_view_t   view_i,
  input  func_cfg_t   cfg_i,
  input  logic [15:0] requester_id_i,
  input  logic        flr_i,
  input  logic [63:0] cycle_i,

  // local bus <- completer
  input  logic        lb_sel_i,
  input  logic        lb_we_i,
  input  logic [15:2] lb_addr_i,
  input  logic [3:0]  lb_be_i,
  input  logic [31:0] lb_wdata_i,
  output logic [31:0] lb_rdata_o,

  // tdi_control
  input  logic        quiesce_i,
  output logic        drained_o,
  input  logic        erase_i,
  output logic        erased_o,
  output logic        dma_error_o,
  output logic        busy_o,

  // requests -> gate
  output logic        tx_valid_o,
  input  logic        tx_ready_i,
  output tlp_beat_t   tx_o,
  output logic        tx_is_msix_o,
  input  logic        tx_dropped_i,

  // completions <- router, never stalled
  input  logic        cpl_valid_i,
  input  tlp_beat_t   cpl_i,

  // cfg_space
  output logic        transactions_pending_o,
  output logic        cpl_ur_o,
  output logic        cpl_ca_o,
  output logic        aer_valid_o,
  input  logic        aer_ready_i,
  output aer_event_t  aer_o
);

  if (WorkMemBytes < 4096 || WorkMemBytes > 32768) begin : gen_check_work_memory
    $error("tdi_function: work memory is 4 KiB to 32 KiB");
  end
  if (TdiIdx > 6) begin : gen_check_index
    $error("tdi_function: TdiIdx is 0..6");
  end

  localparam int unsigned WordWidth = $clog2(WorkMemBytes / 4);
  localparam int unsigned RowWidth  = WordWidth - 2;
  // The last row, or the last descriptor word, whichever comes later.
  localparam int unsigned EraseSteps = (2**RowWidth > 64) ? 2**RowWidth : 64;
  localparam int unsigned StepWidth  = $clog2(EraseSteps);

  // Erasure --------------------------------------------------------------------------------------

  typedef enum logic [1:0] {
    EraseIdle  = 2'd0,
    EraseRows  = 2'd1,  // one row of work memory and one descriptor word a cycle
    EraseFlush = 2'd2,  // empty the read registers of the memories
    EraseWait  = 2'd3   // for payload that is still being offered on tx
  } erase_e;

  erase_e               erase_q;
  logic [StepWidth-1:0] step_q;
  logic                 start_erase, erasing;
  logic                 fresh_q;        // this erasure also resets the status of the engine
  logic                 table_locked_q; // MSI-X table belongs to the owner, until he is gone
  logic                 table_locked;
  logic                 clean;

  assign start_erase  = erase_i || flr_i;
  assign erasing      = start_erase || erase_q != EraseIdle;
  assign erased_o     = !erasing;
  assign table_locked = view_i.state != StUnlocked && view_i.msix_locked;

  always_ff @(posedge clk_i) begin
    unique case (erase_q)
      EraseIdle:  step_q <= '0;
      EraseRows: begin
        step_q <= step_q + 1'b1;
        if (step_q == StepWidth'(EraseSteps - 1)) erase_q <= EraseFlush;
      end
      EraseFlush: erase_q <= EraseWait;
      EraseWait:  if (clean) erase_q <= EraseIdle;
      default:    erase_q <= EraseRows;
    endcase
    if (erase_q == EraseIdle) fresh_q <= 1'b0;
    // The owner's table is remembered until an erasure that follows his leaving is over.
    if (view_i.state == StUnlocked && !erasing) table_locked_q <= 1'b0;
    if (table_locked) table_locked_q <= 1'b1;
    if (start_erase) begin
      erase_q <= EraseRows;
      step_q  <= '0;
      fresh_q <= flr_i || view_i.state == StUnlocked;
    end
    if (rst_i) begin
      erase_q        <= EraseRows;
      step_q         <= '0;
      fresh_q        <= 1'b1;
      table_locked_q <= 1'b0;
    end
  end

  // Local bus ------------------------------------------------------------------------------------

  logic [3:0]  page;
  logic        sel_regs, sel_table, sel_pba, sel_memory;
  logic [31:0] regs_rdata, memory_rdata, table_rdata, pba_rdata;
  logic [31:0] msix_rdata_q;
  logic        memory_read_q;

  assign page       = lb_addr_i[15:12];
  assign sel_regs   = lb_sel_i && page inside {PAGE_STATUS, PAGE_CONTROL};
  assign sel_table  = lb_sel_i && page == PAGE_MSIX_TABLE && lb_addr_i[11:6] == '0;
  assign sel_pba    = lb_sel_i && page == PAGE_MSIX_PBA && lb_addr_i[11:2] == '0;
  // Pages 8 up to the end of work memory; PAGE_WORK_MEMORY is 8, so bit 15 selects.
  assign sel_memory = lb_sel_i && lb_addr_i[15] && !erasing
                      && {1'b0, lb_addr_i[14:2]} < 14'(WorkMemBytes / 4);

  always_ff @(posedge clk_i) begin
    memory_read_q <= sel_memory && !lb_we_i;
    msix_rdata_q  <= '0;
    if (sel_table && !lb_we_i) msix_rdata_q <= table_rdata;
    if (sel_pba && !lb_we_i) msix_rdata_q <= pba_rdata;
    if (rst_i) begin
      memory_read_q <= 1'b0;
      msix_rdata_q  <= '0;
    end
  end

  // What was read in the cycle before an erasure began is not shown any more.
  assign lb_rdata_o = regs_rdata | msix_rdata_q
                      | ((memory_read_q && !erasing) ? memory_rdata : '0);

  // Registers ------------------------------------------------------------------------------------

  logic        dma_start, dma_abort, dma_busy, dma_done, dma_error;
  logic [2:0]  dma_first, dma_current, dma_reason, desc_idx, desc_word;
  logic [3:0]  dma_count, dma_irq, reg_irq;
  logic [31:0] desc_rdata;

  tdi_regs #(
    .WorkMemBytes (WorkMemBytes),
    .TdiIdx       (8'(TdiIdx))
  ) u_regs (
    .clk_i,
    .rst_i,
    .hide_i        (erasing),
    .clear_i       (erase_q == EraseRows),
    .clear_idx_i   (step_q[5:0]),
    .sel_i         (sel_regs),
    .we_i          (lb_we_i),
    .page_i        (page[0]),
    .addr_i        (lb_addr_i[11:2]),
    .be_i          (lb_be_i),
    .wdata_i       (lb_wdata_i),
    .rdata_o       (regs_rdata),
    .state_i       (view_i.state),
    .erasing_i     (erasing),
    .cycle_i,
    .dma_busy_i    (dma_busy),
    .dma_done_i    (dma_done),
    .dma_error_i   (dma_error),
    .dma_current_i (dma_current),
    .dma_reason_i  (dma_reason),
    .dma_start_o   (dma_start),
    .dma_first_o   (dma_first),
    .dma_count_o   (dma_count),
    .dma_abort_o   (dma_abort),
    .irq_o         (reg_irq),
    .desc_idx_i    (desc_idx),
    .desc_word_i   (desc_word),
    .desc_rdata_o  (desc_rdata)
  );

  // Work memory ----------------------------------------------------------------------------------

  logic                 mem_en;
  logic [3:0]           mem_we;
  logic [WordWidth-1:0] mem_word;
  logic [127:0]         mem_wdata, mem_rdata;

  work_memory #(.Bytes(WorkMemBytes)) u_memory (
    .clk_i,
    .lb_en_i     (sel_memory),
    .lb_we_i     (lb_we_i),
    .lb_be_i     (lb_be_i),
    .lb_word_i   (lb_addr_i[WordWidth+1:2]),
    .lb_wdata_i  (lb_wdata_i),
    .lb_rdata_o  (memory_rdata),
    .dma_en_i    (mem_en),
    .dma_we_i    (mem_we),
    .dma_word_i  (mem_word),
    .dma_wdata_i (mem_wdata),
    .dma_rdata_o (mem_rdata),
    .clear_i     (erase_q == EraseRows),
    .clear_row_i (step_q[RowWidth-1:0]),
    .flush_i     (erase_q == EraseFlush)
  );

  // DMA ------------------------------------------------------------------------------------------

  logic       dma_valid, dma_ready, dma_dropped;
  tlp_beat_t  dma_beat;
  logic       event_valid, event_ready;
  aer_event_t dma_event;

  dma_engine #(
    .WorkMemBytes     (WorkMemBytes),
    .CplTimeoutCycles (CplTimeoutCycles),
    .FuncNum          (3'(TdiIdx + 1))
  ) u_dma (
    .clk_i,
    .rst_i,
    .view_i,
    .cfg_i,
    .requester_id_i,
    .quiesce_i,
    .erase_i        (erasing),
    .start_i        (dma_start),
    .start_first_i  (dma_first),
    .start_count_i  (dma_count),
    .abort_i        (dma_abort),
    .clear_status_i (fresh_q && erase_q != EraseIdle),
    .busy_o         (dma_busy),
    .done_o         (dma_done),
    .error_o        (dma_error),
    .current_o      (dma_current),
    .reason_o       (dma_reason),
    .irq_o          (dma_irq),
    .desc_idx_o     (desc_idx),
    .desc_word_o    (desc_word),
    .desc_rdata_i   (desc_rdata),
    .mem_en_o       (mem_en),
    .mem_we_o       (mem_we),
    .mem_word_o     (mem_word),
    .mem_wdata_o    (mem_wdata),
    .mem_rdata_i    (mem_rdata),
    .tx_valid_o     (dma_valid),
    .tx_ready_i     (dma_ready),
    .tx_o           (dma_beat),
    .tx_dropped_i   (dma_dropped),
    .cpl_valid_i,
    .cpl_i,
    .clean_o        (clean),
    .outstanding_o  (transactions_pending_o),
    .dma_error_o,
    .cpl_ur_o,
    .cpl_ca_o,
    .aer_valid_o    (event_valid),
    .aer_o          (dma_event)
  );

  assign busy_o = dma_busy;

  stream_fifo #(.Width($bits(aer_event_t)), .Depth(2)) u_events (
    .clk_i,
    .rst_i,
    .in_valid_i  (event_valid),
    .in_ready_o  (event_ready),
    .in_data_i   (dma_event),
    .out_valid_o (aer_valid_o),
    .out_ready_i (aer_ready_i),
    .out_data_o  (aer_o)
  );

  // MSI-X ----------------------------------------------------------------------------------------

  logic      msix_valid, msix_ready, msix_idle;
  tlp_beat_t msix_beat;

  msix #(.TdiIdx(8'(TdiIdx))) u_msix (
    .clk_i,
    .rst_i,
    .cfg_i,
    .requester_id_i,
    .clear_i        (flr_i || (erase_i && (table_locked || table_locked_q))),
    .trigger_i      (dma_irq | reg_irq),
    .idle_o         (msix_idle),
    .table_we_i     (sel_table && lb_we_i),
    .lb_addr_i      (lb_addr_i[5:2]),
    .lb_be_i,
    .lb_wdata_i,
    .table_rdata_o  (table_rdata),
    .pba_rdata_o    (pba_rdata),
    .tx_valid_o     (msix_valid),
    .tx_ready_i     (msix_ready),
    .tx_o           (msix_beat)
  );

  // One TLP at a time on tx: interrupts first, but never inside a DMA TLP, and what is offered
  // stays offered.
  logic in_dma_q, hold_q, hold_msix_q, use_msix;

  assign use_msix     = hold_q ? hold_msix_q : (msix_valid && !in_dma_q);
  assign tx_valid_o   = use_msix ? msix_valid : dma_valid;
  assign tx_o         = use_msix ? msix_beat : dma_beat;
  assign tx_is_msix_o = use_msix;
  assign msix_ready   = use_msix && tx_ready_i;
  assign dma_ready    = !use_msix && tx_ready_i;
  assign dma_dropped  = !use_msix && tx_dropped_i;

  always_ff @(posedge clk_i) begin
    hold_q      <= tx_valid_o && !tx_ready_i;
    hold_msix_q <= use_msix;
    if (dma_valid && dma_ready) in_dma_q <= !dma_beat.eop;
    if (rst_i) begin
      hold_q   <= 1'b0;
      in_dma_q <= 1'b0;
    end
  end

  assign drained_o = !transactions_pending_o && clean && !dma_busy && msix_idle && !hold_q;

  logic unused;
  assign unused = ^{event_ready};

endmodule
