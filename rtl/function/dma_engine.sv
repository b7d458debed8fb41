// SPDX-License-Identifier: Apache-2.0
// DMA engine of a TDI: runs up to eight descriptors between host memory and work memory.
//
// Contract
//   * start_i begins a run of start_count_i descriptors at start_first_i, one after the other; a
//     descriptor ends when its last read data is in work memory, or the last beat of its last
//     write was taken from tx. irq_o pulses then if it asks for it. A start while busy is ignored.
//   * Requests are split at 4 KiB and at Max_Read_Request_Size or Max_Payload_Size; 3 DW headers
//     below 4 GiB; TC 0, no attributes; four reads in flight (dma_reads).
//   * A run begins in RUN or CONFIG_UNLOCKED and lives only while the TDI stays in that state,
//     bus mastering is on and the function is in D0; otherwise, and on quiesce_i, erase_i,
//     abort_i or any error it ends: no new TLP is shown, reads in flight are quarantined, a TLP
//     already shown is finished. busy_o falls when nothing of it is left on tx.
//   * A TLP that the gate swallowed (tx_dropped_i, in the cycle of its sop) ends the run.
//   * While erase_i is high the payload still in the pipeline is zero: at once in the fetch
//     registers, for a beat that is being offered as soon as it was taken. clean_o says that the
//     pipeline holds no payload.
//   * reason_o/error_o/done_o are the fields of DMA_STATUS; clear_status_i resets them.
//     dma_error_o pulses on UR, CA, timeout, poisoned or wrongly protected completions.
//
// SEC: TDI.EPOCH, TDI.ERASE
module dma_engine
  import pcie_pkg::*;
  import tdisp_pkg::*;
#(
  parameter int unsigned WorkMemBytes     = 16384,
  parameter int unsigned CplTimeoutCycles = 2_400_000,
  parameter logic [2:0]  FuncNum          = 3'd1,
  localparam int unsigned WordWidth       = $clog2(WorkMemBytes / 4)
) (
  input  logic                 clk_i,
  input  logic                 rst_i,

  input  tdi_view_t            view_i,
  input  func_cfg_t            cfg_i,
  input  logic [15:0]          requester_id_i,
  input  logic                 quiesce_i,
  input  logic                 erase_i,          // level, while work memory is being erased

  // registers
  input  logic                 start_i,
  input  logic [2:0]           start_first_i,
  input  logic [3:0]           start_count_i,
  input  logic                 abort_i,
  input  logic                 clear_status_i,
  output logic                 busy_o,
  output logic                 done_o,
  output logic                 error_o,
  output logic [2:0]           current_o,
  output logic [2:0]           reason_o,
  output logic [3:0]           irq_o,

  // descriptors: combinational read
  output logic [2:0]           desc_idx_o,
  output logic [2:0]           desc_word_o,
  input  logic [31:0]          desc_rdata_i,

  // work memory, DMA port
  output logic                 mem_en_o,
  output logic [3:0]           mem_we_o,
  output logic [WordWidth-1:0] mem_word_o,
  output logic [127:0]         mem_wdata_o,
  input  logic [127:0]         mem_rdata_i,

  // requests -> gate
  output logic                 tx_valid_o,
  input  logic                 tx_ready_i,
  output tlp_beat_t            tx_o,
  input  logic                 tx_dropped_i,

  // completions <- router
  input  logic                 cpl_valid_i,
  input  tlp_beat_t            cpl_i,

  // state and errors
  output logic                 clean_o,
  output logic                 outstanding_o,
  output logic                 dma_error_o,
  output logic                 cpl_ur_o,
  output logic                 cpl_ca_o,
  output logic                 aer_valid_o,
  output aer_event_t           aer_o
);

  localparam logic [2:0] ReasonNone    = 3'd0;
  localparam logic [2:0] ReasonBadDesc = 3'd5;
  localparam logic [2:0] ReasonGate    = 3'd6;
  localparam logic [2:0] ReasonAborted = 3'd7;

  localparam int unsigned DwsWidth = WordWidth + 1;  // 0..WorkMemBytes/4

  typedef enum logic [2:0] {
    StIdle  = 3'd0,
    StFetch = 3'd1,  // read the five words of a descriptor
    StCheck = 3'd2,
    StRead  = 3'd3,  // host to device: ask, wait for data
    StWrite = 3'd4,  // device to host: choose the next TLP
    StSend  = 3'd5,  // ... and send it
    StDone  = 3'd6,  // a descriptor has ended well
    StEnd   = 3'd7   // the run is over, a TLP may still be on its way
  } state_e;

  state_e                state_q;
  logic [2:0]            current_q, fetch_q;
  logic [3:0]            left_q;       // descriptors, the current one included
  tdi_state_e            run_state_q;  // state of the TDI when the run began
  logic [1:0]            run_block_q;

  // The current descriptor; address and counters move with the requests.
  logic [63:2]           addr_q;
  logic [1:0]            addr_low_q;   // must be zero
  logic [31:0]           offset_q, length_q;
  logic [3:0]            flags_q;
  logic [WordWidth-1:0]  word_q;
  logic [DwsWidth-1:0]   dws_q;        // not yet asked for, or not yet in a TLP

  // Run guard ------------------------------------------------------------------------------------

  logic state_ok, bus_ok, keep, end_run;
  logic start_state_ok;
  logic [2:0] end_reason;

  logic       reads_error;
  logic [2:0] reads_reason;

  assign start_state_ok = view_i.state == StRun || view_i.state == StUnlocked;
  assign state_ok       = view_i.state == run_state_q && start_state_ok;
  assign bus_ok         = cfg_i.bme && !cfg_i.d3hot;
  assign busy_o         = state_q != StIdle;

  // Everything that ends a run early, most telling reason first.
  always_comb begin
    end_run    = 1'b0;
    end_reason = ReasonNone;
    if (state_q != StIdle && state_q != StEnd) begin
      if (reads_error) begin
        end_run    = 1'b1;
        end_reason = reads_reason;
      end else if (!state_ok || !bus_ok || tx_dropped_i) begin
        end_run    = 1'b1;
        end_reason = ReasonGate;
      end else if (quiesce_i || erase_i || abort_i) begin
        end_run    = 1'b1;
        end_reason = ReasonAborted;
      end
    end
  end

  // In this very cycle: may data of this run still be stored?
  always_comb begin
    keep = 1'b0;
    if (state_q == StRead && state_ok && !quiesce_i && !erase_i && !abort_i) keep = 1'b1;
  end

  // Next request ---------------------------------------------------------------------------------

  logic [10:0] to_page_end, limit, chunk;

  always_comb begin
    to_page_end = 11'd1024 - {1'b0, addr_q[11:2]};
    if (flags_q[0]) limit = (cfg_i.mps == '0) ? 11'd32 : 11'd64;
    else limit = (cfg_i.mrrs > 3'd5) ? 11'd1024 : 11'd32 << cfg_i.mrrs;
    chunk = (to_page_end < limit) ? to_page_end : limit;
    if (dws_q < DwsWidth'(chunk)) chunk = 11'(dws_q);
  end

  logic [127:0] header;
  logic         is_64bit;
  logic [4:0]   tag;

  assign is_64bit = addr_q[63:32] != '0;
  assign header = {
    1'b0, flags_q[0], is_64bit, TYPE_MEM, 14'd0, chunk[9:0],
    requester_id_i, flags_q[0] ? 8'd0 : {3'd0, tag}, (chunk == 11'd1) ? 4'h0 : 4'hF, 4'hF,
    is_64bit ? {addr_q, 2'b00} : {addr_q[31:2], 2'b00, 32'd0}};

  // Offered TLP ----------------------------------------------------------------------------------
  // Reads are one beat. Writes fetch their payload through two registers, one beat a cycle.

  logic         offer_read_q;      // a read request is being offered
  logic         offer_write_q;     // a write is being offered, up to its last beat
  logic         sop_q;             // its next beat is the first
  logic [127:0] header_q;
  logic [10:0]  send_dws_q;        // DWs of the write not yet taken
  logic [10:0]  fetch_dws_q;       // DWs not yet asked from work memory
  logic [1:0]   fill_q;            // valid payload registers
  logic [127:0] pay0_q, pay1_q;    // pay0_q is offered
  logic         reading_q, zero_q; // work memory answers in this cycle; ... with zeros
  logic         fire, fetch, offering, beat_is_last;
  logic [127:0] arriving;

  assign offering     = offer_read_q || offer_write_q;
  assign tx_valid_o   = offer_read_q || (offer_write_q && fill_q != '0);
  assign fire         = tx_valid_o && tx_ready_i;
  assign beat_is_last = offer_read_q || send_dws_q <= 11'd4;
  assign arriving     = zero_q ? '0 : mem_rdata_i;
  assign fetch        = offer_write_q && fetch_dws_q != '0
                        && ({1'b0, fill_q} + {2'd0, reading_q} - {2'd0, fire} < 3'd2);

  always_comb begin
    tx_o              = '0;
    tx_o.sop          = offer_read_q || sop_q;
    tx_o.eop          = beat_is_last;
    tx_o.header       = header_q;
    tx_o.meta.tdi_idx = 8'(FuncNum) - 8'd1;
    if (offer_write_q) begin
      tx_o.data = pay0_q;
      unique case (send_dws_q)
        11'd1: tx_o.dw_valid = 4'b1000;
        11'd2: tx_o.dw_valid = 4'b1100;
        11'd3: tx_o.dw_valid = 4'b1110;
        default: tx_o.dw_valid = 4'b1111;
      endcase
    end
  end

  assign clean_o = !offering && fill_q == '0 && !reading_q;

  // Payload of the last beat beyond the end must not carry what lies behind it in memory.
  function automatic logic [127:0] keep_dws(input logic [127:0] data, input logic [10:0] dws);
    logic [127:0] kept;
    kept = data;
    for (int unsigned i = 0; i < 4; i++) begin
      if (dws <= 11'(i)) kept[127 - 32*i -: 32] = '0;
    end
    return kept;
  endfunction

  // Reads in flight ------------------------------------------------------------------------------

  logic                 slot_free, reads_open, open_read;
  logic [3:0]           reads_we;
  logic [WordWidth-1:0] reads_word, open_word_q;
  logic [4:0]           open_tag_q;
  logic [10:0]          open_dws_q;
  logic [6:2]           open_lower_q;

  assign open_read = fire && offer_read_q && !tx_dropped_i;

  dma_reads #(
    .WordWidth        (WordWidth),
    .CplTimeoutCycles (CplTimeoutCycles),
    .FuncNum          (FuncNum)
  ) u_reads (
    .clk_i,
    .rst_i,
    .keep_i           (keep),
    .abandon_i        (end_run),
    .run_is_trusted_i (run_state_q == StRun),
    .run_block_i      (run_block_q),
    .p2p_i            (view_i.p2p),
    .free_valid_o     (slot_free),
    .tag_o            (tag),
    .open_i           (open_read),
    .open_tag_i       (open_tag_q),
    .open_word_i      (open_word_q),
    .open_dws_i       (open_dws_q),
    .open_lower_i     (open_lower_q),
    .cpl_valid_i,
    .cpl_i,
    .mem_we_o         (reads_we),
    .mem_word_o       (reads_word),
    .mem_wdata_o      (mem_wdata_o),
    .outstanding_o,
    .open_o           (reads_open),
    .error_o          (reads_error),
    .reason_o         (reads_reason),
    .cpl_ur_o,
    .cpl_ca_o,
    .aer_valid_o,
    .aer_o
  );

  assign dma_error_o = reads_error;
  assign mem_we_o    = reads_we;
  assign mem_en_o    = fetch || reads_we != '0;
  assign mem_word_o  = (reads_we != '0) ? reads_word : word_q;

  // Descriptor check -----------------------------------------------------------------------------

  logic [32:0] end_offset;
  logic [64:0] end_addr;
  logic        desc_ok;

  assign end_offset = {1'b0, offset_q} + {1'b0, length_q};
  assign end_addr   = {1'b0, addr_q, 2'b00} + {33'd0, length_q};

  always_comb begin
    desc_ok = 1'b0;
    if (addr_low_q == '0 && offset_q[1:0] == '0 && length_q[1:0] == '0 && length_q != '0
        && end_offset <= 33'(WorkMemBytes)
        && (!end_addr[64] || end_addr[63:0] == '0)) begin
      desc_ok = 1'b1;
    end
  end

  // Sequence -------------------------------------------------------------------------------------

  logic       done_q, error_q;
  logic [2:0] reason_q;
  logic       start_ok;
  logic [3:0] start_end;

  assign start_end   = {1'b0, start_first_i} + start_count_i;
  assign start_ok    = start_count_i != '0 && start_count_i <= 4'd8 && start_end <= 4'd8;
  assign desc_idx_o  = current_q;
  assign desc_word_o = fetch_q;
  assign current_o   = current_q;
  assign done_o      = done_q;
  assign error_o     = error_q;
  assign reason_o    = reason_q;

  always_comb begin
    irq_o = '0;
    if (state_q == StDone && !end_run && flags_q[1]) irq_o[flags_q[3:2]] = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    // Payload pipeline
    reading_q <= fetch;
    zero_q    <= erase_i;
    if (fetch) begin
      fetch_dws_q <= (fetch_dws_q > 11'd4) ? fetch_dws_q - 11'd4 : '0;
      word_q      <= word_q + WordWidth'((fetch_dws_q > 11'd4) ? 11'd4 : fetch_dws_q);
    end
    if (fire) begin
      sop_q <= 1'b0;
      if (offer_write_q) begin
        send_dws_q <= send_dws_q - 11'd4;
        pay0_q     <= pay1_q;
        pay1_q     <= '0;
      end
      if (beat_is_last) begin
        offer_read_q  <= 1'b0;
        offer_write_q <= 1'b0;
        header_q      <= '0;
        send_dws_q    <= '0;
      end
    end
    if (reading_q) begin
      // A beat that arrives follows all that are held; its length is what is not yet held.
      if (fill_q == {1'b0, fire && offer_write_q}) begin
        pay0_q <= keep_dws(arriving, send_dws_q - (fire ? 11'd4 : 11'd0));
      end else begin
        pay1_q <= keep_dws(arriving, send_dws_q - (fire ? 11'd8 : 11'd4));
      end
    end
    fill_q <= fill_q + {1'b0, reading_q} - {1'b0, fire && offer_write_q};
    // SEC: TDI.ERASE. Behind the offered beat only zeros follow.
    if (erase_i) begin
      pay1_q <= '0;
      if (fire && offer_write_q || fill_q == '0) pay0_q <= '0;
    end

    // Run
    unique case (state_q)
      StIdle: begin
        if (start_i) begin
          current_q   <= start_first_i;
          left_q      <= start_count_i;
          run_state_q <= view_i.state;
          run_block_q <= view_i.block;
          fetch_q     <= '0;
          done_q      <= 1'b0;
          error_q     <= 1'b1;
          if (!start_ok) begin
            reason_q <= ReasonBadDesc;
          end else if (!start_state_ok || !bus_ok) begin
            reason_q <= ReasonGate;
          end else if (quiesce_i || erase_i) begin
            reason_q <= ReasonAborted;
          end else begin
            error_q  <= 1'b0;
            reason_q <= ReasonNone;
            state_q  <= StFetch;
          end
        end
      end

      StFetch: begin
        fetch_q <= fetch_q + 1'b1;
        unique case (fetch_q)
          3'd0: {addr_q[31:2], addr_low_q} <= desc_rdata_i;
          3'd1: addr_q[63:32] <= desc_rdata_i;
          3'd2: offset_q <= desc_rdata_i;
          3'd3: length_q <= desc_rdata_i;
          default: begin
            flags_q <= desc_rdata_i[3:0];
            state_q <= StCheck;
          end
        endcase
      end

      StCheck: begin
        fetch_q <= '0;
        word_q  <= offset_q[WordWidth+1:2];
        dws_q   <= length_q[DwsWidth+1:2];
        if (!desc_ok) begin
          error_q  <= 1'b1;
          reason_q <= ReasonBadDesc;
          state_q  <= StEnd;
        end else begin
          state_q <= flags_q[0] ? StWrite : StRead;
        end
      end

      StRead: begin
        if (!offering && dws_q != '0 && slot_free) begin
          offer_read_q <= 1'b1;
          header_q     <= header;
          open_tag_q   <= tag;
          open_word_q  <= word_q;
          open_dws_q   <= chunk;
          open_lower_q <= addr_q[6:2];
          addr_q       <= addr_q + 62'(chunk);
          word_q       <= word_q + WordWidth'(chunk);
          dws_q        <= dws_q - DwsWidth'(chunk);
        end
        if (!offering && dws_q == '0 && !reads_open) state_q <= StDone;
      end

      StWrite: begin
        if (dws_q == '0) begin
          state_q <= StDone;
        end else begin
          offer_write_q <= 1'b1;
          sop_q         <= 1'b1;
          header_q      <= header;
          send_dws_q    <= chunk;
          fetch_dws_q   <= chunk;
          addr_q        <= addr_q + 62'(chunk);
          dws_q         <= dws_q - DwsWidth'(chunk);
          state_q       <= StSend;
        end
      end

      StSend: if (fire && beat_is_last) state_q <= StWrite;

      StDone: begin
        if (left_q == 4'd1) begin
          done_q  <= 1'b1;
          state_q <= StEnd;
        end else begin
          left_q    <= left_q - 1'b1;
          current_q <= current_q + 1'b1;
          state_q   <= StFetch;
        end
      end

      // Wait for the end of a TLP already offered.
      StEnd: begin
        if (clean_o) begin
          state_q    <= StIdle;
          addr_q     <= '0;
          addr_low_q <= '0;
          offset_q   <= '0;
          length_q   <= '0;
          flags_q    <= '0;
          word_q     <= '0;
          dws_q      <= '0;
          open_word_q  <= '0;
          open_dws_q   <= '0;
          open_lower_q <= '0;
        end
      end

      default: state_q <= StEnd;
    endcase

    if (clear_status_i && state_q == StIdle) begin
      current_q <= '0;
      done_q    <= 1'b0;
      error_q   <= 1'b0;
      reason_q  <= ReasonNone;
    end

    if (end_run) begin
      state_q  <= StEnd;
      done_q   <= 1'b0;
      error_q  <= 1'b1;
      reason_q <= end_reason;
      // What was chosen in this cycle has not been shown yet.
      if (!offering) begin
        offer_read_q  <= 1'b0;
        offer_write_q <= 1'b0;
        header_q      <= '0;
        send_dws_q    <= '0;
        fetch_dws_q   <= '0;
      end
    end

    if (rst_i) begin
      state_q       <= StIdle;
      run_state_q   <= StError;
      run_block_q   <= '0;
      offer_read_q  <= 1'b0;
      offer_write_q <= 1'b0;
      reading_q     <= 1'b0;
      fill_q        <= '0;
      pay0_q        <= '0;
      pay1_q        <= '0;
      header_q      <= '0;
      current_q     <= '0;
      done_q        <= 1'b0;
      error_q       <= 1'b0;
      reason_q      <= ReasonNone;
      fetch_q       <= '0;
      addr_q        <= '0;
      addr_low_q    <= '0;
      offset_q      <= '0;
      length_q      <= '0;
      flags_q       <= '0;
      word_q        <= '0;
      dws_q         <= '0;
      fetch_dws_q   <= '0;
      send_dws_q    <= '0;
      open_word_q   <= '0;
      open_dws_q    <= '0;
      open_lower_q  <= '0;
    end
  end

  logic unused;
  assign unused = ^{view_i.msix_locked, view_i.shared, cfg_i, end_offset, length_q};

endmodule
