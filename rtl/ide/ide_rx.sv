// SPDX-License-Identifier: Apache-2.0
// Receive side of IDE: decrypts and verifies TLPs of Secure streams, passes others, and turns
// every violation into drop, AER event and stream failure (PCIe Base 6.x, 6.33).
//
// Contract
//   Store and forward in two banks: one fills or drains while the other is worked on; TLPs leave
//   in arrival order. Nothing of a TLP leaves before it is complete, well formed and, if it is an
//   IDE TLP, verified over the full 96-bit MAC at once (constant time). A TLP that is refused
//   leaves no trace on rx_*, and its bank is overwritten. SEC: IDE.VERIFY_FIRST
//   One engine block per about 16 cycles. Ingress is stalled while both banks are occupied; the
//   engine never waits for ingress or for rx_ready_i.
//   Refusals, in this order (PCIe Base 6.33.4; at most one AER event per TLP):
//     malformed (reported by ingress)       silent drop, nothing booked
//     IDE TLP with TD = 1                   AER Malformed
//     no enabled block of Stream ID and TC  AER Misrouted IDE TLP, no state change
//     block enabled but not Secure          silent drop
//     sub-stream reserved or of another class, M = 0, P = 1, type not allowed on the stream, key
//     set not GO'd, MAC, PR counters, completion on another stream than its request, plain TLP on
//     a used link stream                    IDE Check Failed: AER, icf_o, fail_send
//   IDE Sync is consumed after verification; IDE Fail (plain) is consumed and reported. If a key
//   falls while its TLP is in work, the TLP is dropped and the engine freed at once.
//   AER events wait in a FIFO of four; while it is full further events are lost (the stream state
//   is not). Output meta: ide, t_bit, block, stream_id; associate and tdi_idx are zero.
//   RID association and TEE-Limited are not checked here (docs/decisions/0109).
module ide_rx
  import ide_pkg::*;
  import pcie_pkg::*;
#(
  parameter int unsigned NumFunc  = 4,
  parameter int unsigned SboxImpl = 0
) (
  input  logic                        clk_i,
  input  logic                        rst_i,

  // <- tlp_ingress; mac and malformed are valid at eop
  input  logic                        ing_valid_i,
  output logic                        ing_ready_o,
  /* verilator lint_off UNUSEDSIGNAL */  // meta but ide is made here from prefix and registers
  input  tlp_beat_t                   ing_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [95:0]                 ing_mac_i,
  input  logic                        ing_malformed_i,

  // -> tlp_router
  output logic                        rx_valid_o,
  input  logic                        rx_ready_i,
  output tlp_beat_t                   rx_o,
  output logic                        drop_o,            // pulse: a TLP ended here (refused, Sync,
  output tlp_class_e                  drop_class_o,      // Fail): its buffer is free again
  output logic                        busy_o,            // anything in work or waiting here

  // -> cfg_space
  output logic                        aer_valid_o,
  input  logic                        aer_ready_i,
  output aer_event_t                  aer_o,
  output logic [NUM_BLOCKS-1:0]       fail_received_o,   // pulse

  // <-> ide_tx
  output logic                        fail_send_valid_o, // pulse: send IDE Fail for that block
  output logic [1:0]                  fail_send_block_o,
  input  logic                        np_sent_valid_i,   // pulse: a non-posted request leaves
  input  logic [127:0]                np_sent_header_i,
  input  logic                        np_sent_ide_i,
  input  logic [1:0]                  np_sent_block_i,

  // <-> ide_streams
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]       secure_i,
  input  logic [NUM_KEY_SLOTS-1:0]    key_ok_i,
  input  logic [NUM_CHANNELS-1:0]     live_i,
  input  logic [NUM_CHANNELS-1:0]     used_i,
  output logic                        use_valid_o,       // pulse: a TLP of this slot was verified
  output logic [4:0]                  use_slot_o,
  output logic [NUM_BLOCKS-1:0]       icf_o,             // pulse
  output logic [NUM_BLOCKS-1:0]       overflow_o,        // pulse: invocation field used up
  input  logic                        load_valid_i,
  output logic                        load_ready_o,
  input  logic [4:0]                  load_idx_i,
  input  logic [255:0]                load_key_i,
  output logic                        load_done_o,
  input  logic                        erase_valid_i,
  output logic                        erase_ready_o,
  input  logic [4:0]                  erase_idx_i,
  output logic                        erase_done_o
);

  typedef struct packed {
    logic [127:0] header;
    logic         prefix_valid;
    logic         ide;            // the prefix is an IDE prefix
    logic [31:0]  prefix;
    logic [95:0]  mac;
    logic         malformed;
    logic [4:0]   beats;
    logic [3:0]   last_dw_valid;
  } side_t;

  typedef enum logic [2:0] {
    StIdle,     // take the next stored TLP, decide by header and registers
    StStart,    // hand prefix, header, IV and slot to the engine
    StCrypt,    // payload through the engine, back into the bank
    StJudge,    // MAC and order
    StRelease   // wait until the earlier TLP has left
  } state_e;

  // ---- Banks ------------------------------------------------------------------------------------

  side_t [1:0]       side_d, side_q;
  tlp_meta_t [1:0]   meta_d, meta_q;
  logic [1:0]        full_d, full_q;     // complete, not yet handed to the drain
  logic              fill_d, fill_q;     // bank that fills
  logic              proc_d, proc_q;     // bank in work
  logic [4:0]        fill_idx_d, fill_idx_q;
  logic              fill_overflow_d, fill_overflow_q;
  side_t             fill_head_d, fill_head_q;
  logic              drain_q;            // bank that drains or drained last
  logic [1:0]        bank_busy, bank_valid, bank_sop, bank_eop, bank_ready;
  logic [1:0][3:0]   bank_dw_valid;
  logic [1:0][127:0] bank_data, bank_rd_data;
  logic              fill_take;
  logic              release_en, release_silent;
  logic              crypt_out_valid;
  logic [127:0]      crypt_out_data;
  logic [3:0]        rd_idx_d, rd_idx_q, wr_idx_d, wr_idx_q;

  // The bank that fills is free: neither complete nor draining.
  assign ing_ready_o = !full_q[fill_q] && !bank_busy[fill_q];
  assign fill_take   = ing_valid_i && ing_ready_o;

  for (genvar g = 0; g < 2; g++) begin : gen_bank
    logic fills, works;
    assign fills = fill_take && fill_q == 1'(g) && ing_i.dw_valid != '0 &&
                   fill_idx_q < 5'(MAX_PAYLOAD_BEATS);
    assign works = full_q[g] && proc_q == 1'(g);
    ide_bank u_bank (
      .clk_i, .rst_i,
      .wr_en_i          (fills || (works && crypt_out_valid)),
      .wr_idx_i         (works ? wr_idx_q : fill_idx_q[3:0]),
      .wr_data_i        (works ? crypt_out_data : ing_i.data),
      .rd_idx_i         (rd_idx_q),
      .rd_data_o        (bank_rd_data[g]),
      .release_i        (release_en && proc_q == 1'(g)),
      .release_silent_i (release_silent),
      .beats_i          (side_q[g].beats),
      .last_dw_valid_i  (side_q[g].last_dw_valid),
      .busy_o           (bank_busy[g]),
      .out_valid_o      (bank_valid[g]),
      .out_ready_i      (bank_ready[g]),
      .out_sop_o        (bank_sop[g]),
      .out_eop_o        (bank_eop[g]),
      .out_dw_valid_o   (bank_dw_valid[g]),
      .out_data_o       (bank_data[g])
    );
    assign bank_ready[g] = rx_ready_i && drain_q == 1'(g);
  end

  always_comb begin
    fill_d          = fill_q;
    fill_idx_d      = fill_idx_q;
    fill_overflow_d = fill_overflow_q;
    fill_head_d     = fill_head_q;
    side_d          = side_q;
    if (fill_take) begin
      if (ing_i.sop) begin
        fill_head_d              = '0;
        fill_head_d.header       = ing_i.header;
        fill_head_d.prefix_valid = ing_i.prefix_valid;
        fill_head_d.ide          = ing_i.prefix_valid && ing_i.meta.ide;
        fill_head_d.prefix       = ing_i.prefix_valid ? ing_i.prefix : '0;
      end
      if (ing_i.dw_valid != '0) begin
        if (fill_idx_q == 5'(MAX_PAYLOAD_BEATS)) fill_overflow_d = 1'b1;
        else                                     fill_idx_d = fill_idx_q + 5'd1;
      end
      if (ing_i.eop) begin
        side_d[fill_q]               = fill_head_d;
        side_d[fill_q].mac           = ing_mac_i;
        // More payload than a bank holds cannot come from ingress; if it does, it is refused.
        side_d[fill_q].malformed     = ing_malformed_i || fill_overflow_d;
        side_d[fill_q].beats         = fill_idx_d;
        side_d[fill_q].last_dw_valid = ing_i.dw_valid;
        fill_d                       = ~fill_q;
        fill_idx_d                   = '0;
        fill_overflow_d              = 1'b0;
      end
    end
  end

  // ---- Decision by header and registers ---------------------------------------------------------

  side_t                 tlp;
  /* verilator lint_off UNUSEDSIGNAL */  // Fmt, P and M are judged by u_check
  prefix_t               prefix;
  /* verilator lint_on UNUSEDSIGNAL */
  rx_verdict_e           verdict;
  logic                  check_block_valid;
  logic [1:0]            check_block;
  logic [NUM_BLOCKS-1:0] seen_ide_d, seen_ide_q;
  logic                  cpl_protected;
  logic [1:0]            cpl_block;
  logic                  cpl_done;
  logic                  is_cpl, other_prefix;

  assign tlp    = side_q[proc_q];
  assign prefix = prefix_t'(tlp.prefix);
  assign is_cpl = hdr_is_cpl(tlp.header);
  assign other_prefix = tlp.prefix_valid && !tlp.ide;

  ide_rx_check u_check (
    .header_i       (tlp.header),
    .ide_i          (tlp.ide),
    .other_prefix_i (other_prefix),
    .prefix_i       (tlp.prefix),
    .malformed_i    (tlp.malformed),
    .block_cfg_i, .secure_i,
    .seen_ide_i     (seen_ide_q),
    .key_ok_i,
    .verdict_o      (verdict),
    .block_valid_o  (check_block_valid),
    .block_o        (check_block)
  );

  ide_cpl_track #(.NumFunc(NumFunc)) u_track (
    .clk_i, .rst_i, .secure_i,
    .sent_valid_i  (np_sent_valid_i),
    .sent_header_i (np_sent_header_i),
    .sent_ide_i    (np_sent_ide_i),
    .sent_block_i  (np_sent_block_i),
    .header_i      (tlp.header),
    .protected_o   (cpl_protected),
    .block_o       (cpl_block),
    .done_i        (cpl_done)
  );

  // ---- Engine -----------------------------------------------------------------------------------

  state_e       state_d, state_q;
  logic [1:0]   block_d, block_q;        // block of the TLP in work
  logic [4:0]   slot_d, slot_q;
  logic         silent_d, silent_q;      // verdict: nothing leaves
  logic         mac_ok_d, mac_ok_q;
  logic [95:0]  iv;
  logic         last_iv, order_ok, accept, is_sync, slot_lost;
  logic         crypt_start, crypt_ready, crypt_abort, crypt_mac_valid;
  logic         data_valid, data_ready, data_last, all_fed_d, all_fed_q;
  logic         last_d, last_q;          // it used the last invocation value
  logic [95:0]  mac;

  assign is_sync = hdr_is_msg(tlp.header) && !hdr_has_data(tlp.header) &&
                   message_code(tlp.header) == MSG_IDE_SYNC;

  ide_rx_counters u_counters (
    .clk_i, .rst_i, .secure_i, .live_i, .used_i,
    .block_i           (block_q),
    .sub_stream_i      (prefix.sub_stream[1:0]),
    .key_set_i         (prefix.k),
    .pr_sent_counter_i (prefix.pr_sent_counter),
    .is_sync_i         (is_sync),
    .sync_npr_i        (message_count_npr(tlp.header)),
    .sync_cpl_i        (message_count_cpl(tlp.header)),
    .iv_o              (iv),
    .last_iv_o         (last_iv),
    .order_ok_o        (order_ok),
    .accept_i          (accept)
  );

  ide_crypt #(.Decrypt(1'b1), .SboxImpl(SboxImpl)) u_crypt (
    .clk_i, .rst_i,
    .load_valid_i, .load_ready_o, .load_idx_i, .load_key_i, .load_done_o,
    .erase_valid_i, .erase_ready_o, .erase_idx_i, .erase_done_o,
    .abort_i          (crypt_abort),
    .start_valid_i    (crypt_start),
    .start_ready_o    (crypt_ready),
    .start_slot_i     (slot_q),
    .start_iv_i       (iv),
    .start_prefix_i   (tlp.prefix),
    .start_header_i   (tlp.header),
    .start_has_data_i (tlp.beats != '0),
    .data_valid_i     (data_valid),
    .data_ready_o     (data_ready),
    .data_i           (bank_rd_data[proc_q]),
    .data_dw_valid_i  (data_last ? tlp.last_dw_valid : 4'b1111),
    .data_last_i      (data_last),
    .out_valid_o      (crypt_out_valid),
    .out_data_o       (crypt_out_data),
    .mac_valid_o      (crypt_mac_valid),
    .mac_o            (mac)
  );

  assign data_valid = state_q == StCrypt && tlp.beats != '0 && !all_fed_q;
  assign data_last  = 5'(rd_idx_q) + 5'd1 == tlp.beats;

  always_comb begin
    slot_lost = 1'b1;
    for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
      if (slot_q == 5'(s)) slot_lost = !key_ok_i[s];
    end
  end

  assign crypt_start = state_q == StStart && !slot_lost;
  // SEC: KEY.VALID. The engine is freed in the cycle in which the key falls.
  assign crypt_abort = state_q == StCrypt && slot_lost;

  // ---- Control ----------------------------------------------------------------------------------

  logic                  fail, aer_push;
  logic [1:0]            fail_block;
  logic [4:0]            aer_error;
  logic                  release_secure;
  logic [NUM_BLOCKS-1:0] icf_d, icf_q, overflow_d, overflow_q, fail_received_d, fail_received_q;
  logic                  fail_q, drop_q;
  tlp_class_e            drop_class_q;
  logic [1:0]            fail_block_q;

  // A verified TLP whose stream fell while it waited for the output is dropped as well.
  always_comb begin
    release_secure = !meta_q[proc_q].ide;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (meta_q[proc_q].ide && meta_q[proc_q].block == 2'(b)) release_secure = secure_i[b];
    end
  end

  always_comb begin
    state_d         = state_q;
    full_d          = full_q;
    proc_d          = proc_q;
    block_d         = block_q;
    slot_d          = slot_q;
    silent_d        = silent_q;
    mac_ok_d        = mac_ok_q;
    all_fed_d       = all_fed_q;
    last_d          = last_q;
    rd_idx_d        = rd_idx_q;
    wr_idx_d        = wr_idx_q;
    meta_d          = meta_q;
    seen_ide_d      = seen_ide_q & secure_i;
    fail            = 1'b0;
    fail_block      = '0;
    aer_push        = 1'b0;
    aer_error       = AER_IDE_CHECK_FAILED;
    overflow_d      = '0;
    fail_received_d = '0;
    accept          = 1'b0;
    cpl_done        = 1'b0;
    release_en      = 1'b0;
    release_silent  = 1'b1;

    if (fill_take && ing_i.eop) full_d[fill_q] = 1'b1;

    unique case (state_q)
      StIdle: begin
        silent_d  = 1'b1;
        mac_ok_d  = 1'b0;
        all_fed_d = 1'b0;
        last_d    = 1'b0;
        rd_idx_d  = '0;
        wr_idx_d  = '0;
        block_d   = check_block;
        slot_d    = key_slot(check_block, prefix.sub_stream[1:0], prefix.k);
        meta_d[proc_q] = '0;
        if (full_q[proc_q]) begin
          state_d = StRelease;
          unique case (verdict)
            RxPass: begin
              // A plain completion of a protected request is refused (6.33.8).
              if (is_cpl && cpl_protected) begin
                fail       = 1'b1;
                fail_block = cpl_block;
              end else begin
                silent_d = 1'b0;
                cpl_done = is_cpl && !other_prefix;
              end
            end
            RxDecrypt: begin
              state_d                  = StStart;
              meta_d[proc_q].ide       = 1'b1;
              meta_d[proc_q].t_bit     = prefix.t;
              meta_d[proc_q].block     = check_block;
              meta_d[proc_q].stream_id = prefix.stream_id;
            end
            RxMalformed: begin
              aer_push  = 1'b1;
              aer_error = AER_MALFORMED;
            end
            RxMisrouted: begin
              aer_push  = 1'b1;
              aer_error = AER_MISROUTED_IDE;
            end
            RxCheckFailed: begin
              fail       = 1'b1;
              fail_block = check_block;
            end
            RxFailMessage: begin
              for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
                fail_received_d[b] = check_block_valid && check_block == 2'(b);
              end
            end
            default: ;  // RxDrop
          endcase
        end
      end

      StStart: begin
        if (slot_lost)        state_d = StRelease;
        else if (crypt_ready) state_d = StCrypt;
      end

      StCrypt: begin
        if (data_valid && data_ready) begin
          rd_idx_d  = rd_idx_q + 4'd1;
          all_fed_d = data_last;
        end
        if (crypt_out_valid) wr_idx_d = wr_idx_q + 4'd1;
        if (slot_lost) begin
          state_d     = StRelease;
        end else if (crypt_mac_valid) begin
          // SEC: IDE.CONST_TIME. All 96 bits at once, no early out.
          mac_ok_d = (mac ^ tlp.mac) == '0;
          state_d  = StJudge;
        end
      end

      StJudge: begin
        state_d = StRelease;
        if (slot_lost) begin
          silent_d = 1'b1;
        end else if (mac_ok_q && order_ok && !(is_cpl && cpl_protected && cpl_block != block_q)) begin
          accept   = 1'b1;
          last_d   = last_iv;
          silent_d = is_sync;
          cpl_done = is_cpl;
          for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
            if (block_q == 2'(b)) begin
              seen_ide_d[b] = 1'b1;
            end
          end
        end else begin
          fail       = 1'b1;
          fail_block = block_q;
        end
      end

      StRelease: begin
        release_silent = silent_q || !release_secure;
        if (bank_busy == '0) begin
          release_en     = 1'b1;
          full_d[proc_q] = 1'b0;
          // The stream falls behind the TLP that took the last invocation value.
          for (int unsigned b = 0; b < NUM_BLOCKS; b++) overflow_d[b] = last_q && block_q == 2'(b);
          proc_d         = ~proc_q;
          state_d        = StIdle;
        end
      end

      default: begin
        silent_d    = 1'b1;
        state_d     = StRelease;
      end
    endcase

    if (fail) aer_push = 1'b1;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) icf_d[b] = fail && fail_block == 2'(b);
  end

  assign drop_o            = drop_q;
  assign drop_class_o      = drop_class_q;
  assign busy_o            = state_q != StIdle || full_q != '0 || bank_busy != '0 ||
                             fill_idx_q != '0;
  assign use_valid_o       = accept;
  assign use_slot_o        = slot_q;
  assign icf_o             = icf_q;
  assign overflow_o        = overflow_q;
  assign fail_received_o   = fail_received_q;
  assign fail_send_valid_o = fail_q;
  assign fail_send_block_o = fail_block_q;

  // ---- Output -----------------------------------------------------------------------------------

  always_comb begin
    rx_valid_o         = bank_valid[drain_q];
    rx_o               = '0;
    rx_o.sop           = bank_sop[drain_q];
    rx_o.eop           = bank_eop[drain_q];
    rx_o.dw_valid      = bank_dw_valid[drain_q];
    rx_o.data          = bank_data[drain_q];
    rx_o.header        = side_q[drain_q].header;
    rx_o.prefix_valid  = side_q[drain_q].prefix_valid;
    rx_o.prefix        = side_q[drain_q].prefix;
    rx_o.meta          = meta_q[drain_q];
  end

  aer_event_t aer_in;
  always_comb begin
    aer_in              = '0;
    aer_in.error        = aer_error;
    aer_in.all_funcs    = aer_error == AER_MALFORMED;
    aer_in.log_header   = 1'b1;
    aer_in.header       = tlp.header;
    aer_in.prefix_valid = tlp.prefix_valid;
    aer_in.prefix       = tlp.prefix;
  end

  logic aer_ready_unused;
  stream_fifo #(.Width($bits(aer_event_t)), .Depth(4)) u_aer (
    .clk_i, .rst_i,
    .in_valid_i  (aer_push),
    .in_ready_o  (aer_ready_unused),
    .in_data_i   (aer_in),
    .out_valid_o (aer_valid_o),
    .out_ready_i (aer_ready_i),
    .out_data_o  (aer_o)
  );

  always_ff @(posedge clk_i) begin
    side_q          <= side_d;
    meta_q          <= meta_d;
    full_q          <= full_d;
    fill_q          <= fill_d;
    proc_q          <= proc_d;
    fill_idx_q      <= fill_idx_d;
    fill_overflow_q <= fill_overflow_d;
    fill_head_q     <= fill_head_d;
    rd_idx_q        <= rd_idx_d;
    wr_idx_q        <= wr_idx_d;
    state_q         <= state_d;
    block_q         <= block_d;
    slot_q          <= slot_d;
    silent_q        <= silent_d;
    mac_ok_q        <= mac_ok_d;
    all_fed_q       <= all_fed_d;
    last_q          <= last_d;
    seen_ide_q      <= seen_ide_d;
    icf_q           <= icf_d;
    overflow_q      <= overflow_d;
    fail_received_q <= fail_received_d;
    fail_q          <= fail;
    drop_q          <= release_en && release_silent;
    drop_class_q    <= hdr_class(tlp.header);
    fail_block_q    <= fail_block;
    if (release_en) drain_q <= proc_q;
    if (rst_i) begin
      full_q          <= '0;
      fill_q          <= 1'b0;
      proc_q          <= 1'b0;
      drain_q         <= 1'b0;
      fill_idx_q      <= '0;
      fill_overflow_q <= 1'b0;
      state_q         <= StIdle;
      silent_q        <= 1'b1;
      mac_ok_q        <= 1'b0;
      all_fed_q       <= 1'b0;
      last_q          <= 1'b0;
      slot_q          <= '0;
      block_q         <= '0;
      rd_idx_q        <= '0;
      wr_idx_q        <= '0;
      seen_ide_q      <= '0;
      icf_q           <= '0;
      overflow_q      <= '0;
      fail_received_q <= '0;
      fail_q          <= 1'b0;
      drop_q          <= 1'b0;
      drop_class_q    <= ClassPosted;
      fail_block_q    <= '0;
    end
  end

endmodule
