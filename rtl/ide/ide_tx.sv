// SPDX-License-Identifier: Apache-2.0
// Transmit side of IDE: chooses the stream, builds the IDE prefix, encrypts and authenticates, and
// inserts IDE Sync and IDE Fail messages (PCIe Base 6.x, 6.33).
//
// Contract
//   Strict FIFO: TLPs leave in the order in which they were taken (the PR counters depend on it).
//   Each TLP is finished in one of two banks before its first beat leaves, so a stalled link never
//   holds the engine, and a TLP whose key falls half way is dropped, not truncated.
//   A TLP that belongs to an enabled stream that is not Secure is swallowed (drop_o pulse), never
//   sent in clear. SEC: IDE.NEVER_CLEAR
//   Prefix: PR_Sent_Counter in NPR and CPL (which resets that counter), 0 in PR; P=0, M=1, K = the
//   newest GO'd key set of the channel. The MAC is on eg_mac_o at eop.
//   Sync: before a posted IDE TLP would push a PR counter past SYNC_THRESHOLD, one IDE Sync of that
//   stream is sent; it carries both counters, resets them and is not counted. Fail: on request,
//   plain. Both take one posted credit (sync_consume_o). Their partner is the RID base of the
//   block's association register.
module ide_tx
  import ide_pkg::*;
  import pcie_pkg::*;
#(
  parameter int unsigned SboxImpl = 0
) (
  input  logic                        clk_i,
  input  logic                        rst_i,
  input  logic [15:0]                 requester_id_i,   // of function 0

  // <- tx_arbiter
  input  logic                        tx_valid_i,
  output logic                        tx_ready_o,
  input  tlp_beat_t                   tx_i,
  output logic                        drop_o,           // pulse: one TLP swallowed
  output tlp_class_e                  drop_class_o,     // of that class
  output logic                        busy_o,           // anything in work or waiting here
  output logic                        sync_consume_o,   // pulse: one posted TLP of our own

  // -> tlp_egress
  output logic                        eg_valid_o,
  input  logic                        eg_ready_i,
  output tlp_beat_t                   eg_o,
  output logic [95:0]                 eg_mac_o,
  output logic                        eg_mac_valid_o,

  // <-> ide_rx
  input  logic                        fail_send_valid_i,
  input  logic [1:0]                  fail_send_block_i,
  output logic                        np_sent_valid_o,  // pulse, before the request leaves
  output logic [127:0]                np_sent_header_o,
  output logic                        np_sent_ide_o,
  output logic [1:0]                  np_sent_block_o,

  // <-> ide_streams
  input  block_cfg_t [NUM_BLOCKS-1:0] block_cfg_i,
  input  logic [NUM_BLOCKS-1:0]       secure_i,
  input  logic [NUM_KEY_SLOTS-1:0]    key_ok_i,
  input  logic [NUM_CHANNELS-1:0]     live_i,
  input  logic [NUM_CHANNELS-1:0]     used_i,
  output logic                        active_o,         // level: a TLP is under some key
  output logic                        use_valid_o,      // pulse: a TLP takes the key of this slot
  output logic [4:0]                  use_slot_o,
  output logic [NUM_BLOCKS-1:0]       overflow_o,       // pulse: invocation field used up
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

  typedef enum logic [2:0] {
    StIdle,     // choose what goes next
    StPlain,    // copy an unprotected TLP into the bank
    StStart,    // hand prefix, header, IV and slot to the engine
    StCrypt,    // payload through the engine into the bank, until the MAC is there
    StDrop,     // swallow a TLP to its end
    StRelease   // wait until the earlier TLP has left
  } state_e;

  typedef struct packed {
    logic [127:0] header;
    logic         ide;
    prefix_t      prefix;
    tlp_meta_t    meta;
    logic [95:0]  mac;
    logic [1:0]   block;
  } side_t;

  localparam logic [7:0] SyncAt = 8'(SYNC_THRESHOLD);

  state_e                state_d, state_q;
  side_t [1:0]           side_d, side_q;
  logic                  bank_d, bank_q;          // bank that is filled
  logic                  drain_q;
  logic [4:0]            beats_d, beats_q;
  logic [3:0]            last_dw_valid_d, last_dw_valid_q, wr_idx_d, wr_idx_q;
  logic                  silent_d, silent_q;
  logic                  own_d, own_q;            // the TLP is a Sync: nothing to take from tx
  logic                  taken_d, taken_q;        // last beat of the TLP was taken from tx
  logic                  last_d, last_q;          // it used the last invocation value
  logic [NUM_BLOCKS-1:0] fail_pending_d, fail_pending_q;
  logic [NUM_BLOCKS-1:0][7:0] pr_npr_d, pr_npr_q, pr_cpl_d, pr_cpl_q;
  logic [NUM_BLOCKS-1:0] overflow_d, overflow_q;
  logic                  drop_d, drop_q, consume_d, consume_q;
  tlp_class_e            class_d, class_q, drop_class_q;  // of the TLP taken from tx

  logic [1:0]            bank_busy, bank_valid, bank_sop, bank_eop, bank_ready;
  logic [1:0][3:0]       bank_dw_valid;
  logic [1:0][127:0]     bank_data;
  /* verilator lint_off UNUSEDSIGNAL */  // this side never reads its banks back
  logic [1:0][127:0]     bank_rd_data_unused;
  /* verilator lint_on UNUSEDSIGNAL */
  logic                  wr_en, release_en, release_silent;
  logic [127:0]          wr_data;

  // ---- Input register ---------------------------------------------------------------------------
  // Until its first beat is taken a TLP may be withdrawn (a gate that closes); from here on not.

  logic beat_valid_q, beat_take;
  /* verilator lint_off UNUSEDSIGNAL */  // a prefix is made here, none is taken over
  tlp_beat_t beat_q;
  /* verilator lint_on UNUSEDSIGNAL */

  assign tx_ready_o = !beat_valid_q || beat_take;

  // ---- Choice of stream -------------------------------------------------------------------------

  logic       sel_drop, sel_ide, sync_due;
  logic [1:0] sel_block;

  ide_tx_select u_select (
    .header_i (beat_q.header),
    .meta_i   (beat_q.meta),
    .block_cfg_i, .secure_i,
    .drop_o   (sel_drop),
    .ide_o    (sel_ide),
    .block_o  (sel_block)
  );

  always_comb begin
    sync_due = 1'b0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (sel_block == 2'(b) && hdr_class(beat_q.header) == ClassPosted &&
          (pr_npr_q[b] >= SyncAt || pr_cpl_q[b] >= SyncAt)) begin
        sync_due = 1'b1;
      end
    end
  end

  // ---- Key, IV and counters of the TLP in work --------------------------------------------------

  /* verilator lint_off UNUSEDSIGNAL */  // MAC and meta are read at the output only
  side_t       tlp;
  /* verilator lint_on UNUSEDSIGNAL */
  tlp_class_e  sub_stream;
  logic [3:0]  channel;
  logic        other_ok, key_set_d, key_set_q;
  logic [4:0]  slot;
  logic        slot_lost;
  logic [63:0] next_q [NUM_CHANNELS];  // a RAM, read only after it was written (used_i)
  logic [63:0] count, count_q;
  logic [7:0]  pr_sent;

  assign tlp        = side_q[bank_q];
  assign sub_stream = hdr_class(tlp.header);
  assign channel    = channel_index(tlp.block, sub_stream);

  // A GO'd set other than the live one is the newer: the channel flips with this TLP.
  always_comb begin
    other_ok = 1'b0;
    for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
      if ({channel, ~live_i[channel]} == 5'(s)) other_ok = key_ok_i[s];
    end
  end
  assign key_set_d = (state_q == StStart) ? live_i[channel] ^ other_ok : key_set_q;
  assign slot      = {channel, key_set_d};
  assign count     = (used_i[channel] && key_set_d == live_i[channel]) ? next_q[channel] : 64'd1;

  always_comb begin
    slot_lost = 1'b1;
    for (int unsigned s = 0; s < NUM_KEY_SLOTS; s++) begin
      if (slot == 5'(s)) slot_lost = !key_ok_i[s];
    end
  end

  always_comb begin
    pr_sent = '0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (tlp.block == 2'(b)) begin
        if (sub_stream == ClassNonPosted) pr_sent = pr_npr_q[b];
        if (sub_stream == ClassCpl)       pr_sent = pr_cpl_q[b];
      end
    end
  end

  // ---- Engine -----------------------------------------------------------------------------------

  logic         crypt_start, crypt_ready, crypt_abort, crypt_data_ready;
  logic         crypt_out_valid, crypt_mac_valid, has_data;
  logic [127:0] crypt_out_data;
  logic [95:0]  mac;
  prefix_t      prefix;

  assign has_data = !own_q && beat_q.dw_valid != '0;   // looked at in StStart, on the first beat

  always_comb begin
    prefix                 = tlp.prefix;
    prefix.pr_sent_counter = pr_sent;
    prefix.k               = key_set_d;
  end

  ide_crypt #(.Decrypt(1'b0), .SboxImpl(SboxImpl)) u_crypt (
    .clk_i, .rst_i,
    .load_valid_i, .load_ready_o, .load_idx_i, .load_key_i, .load_done_o,
    .erase_valid_i, .erase_ready_o, .erase_idx_i, .erase_done_o,
    .abort_i          (crypt_abort),
    .start_valid_i    (crypt_start),
    .start_ready_o    (crypt_ready),
    .start_slot_i     (slot),
    .start_iv_i       (make_iv(sub_stream, count)),
    .start_prefix_i   (prefix),
    .start_header_i   (tlp.header),
    .start_has_data_i (has_data),
    .data_valid_i     (state_q == StCrypt && !own_q && beat_valid_q && !taken_q),
    .data_ready_o     (crypt_data_ready),
    .data_i           (beat_q.data),
    .data_dw_valid_i  (beat_q.dw_valid),
    .data_last_i      (beat_q.eop),
    .out_valid_o      (crypt_out_valid),
    .out_data_o       (crypt_out_data),
    .mac_valid_o      (crypt_mac_valid),
    .mac_o            (mac)
  );

  assign crypt_start = state_q == StStart && !slot_lost;
  // SEC: KEY.VALID. The engine is freed in the cycle in which the key falls.
  assign crypt_abort = state_q == StCrypt && slot_lost;

  // ---- Control ----------------------------------------------------------------------------------

  logic bank_free, release_secure;

  assign bank_free = !bank_busy[bank_q];

  always_comb begin
    release_secure = !tlp.ide;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (tlp.ide && tlp.block == 2'(b)) release_secure = secure_i[b];
    end
  end

  always_comb begin
    state_d         = state_q;
    side_d          = side_q;
    bank_d          = bank_q;
    beats_d         = beats_q;
    last_dw_valid_d = last_dw_valid_q;
    wr_idx_d        = wr_idx_q;
    silent_d        = silent_q;
    own_d           = own_q;
    class_d         = class_q;
    taken_d         = taken_q;
    last_d          = last_q;
    fail_pending_d  = fail_pending_q;
    pr_npr_d        = pr_npr_q;
    pr_cpl_d        = pr_cpl_q;
    overflow_d      = '0;
    drop_d          = 1'b0;
    consume_d       = 1'b0;
    beat_take       = 1'b0;
    wr_en           = 1'b0;
    wr_data         = beat_q.data;
    release_en      = 1'b0;
    release_silent  = 1'b1;
    use_valid_o     = 1'b0;
    np_sent_valid_o = 1'b0;

    unique case (state_q)
      StIdle: begin
        beats_d         = '0;
        wr_idx_d        = '0;
        last_dw_valid_d = '0;
        silent_d        = 1'b0;
        own_d           = 1'b0;
        taken_d         = 1'b0;
        last_d          = 1'b0;
        if (bank_free && fail_pending_q != '0) begin
          side_d[bank_q] = '0;
          for (int unsigned i = NUM_BLOCKS; i > 0; i--) begin
            if (fail_pending_q[i-1]) begin
              side_d[bank_q].header = make_message(MSG_IDE_FAIL, block_cfg_i[i-1].is_link,
                requester_id_i, block_cfg_i[i-1].rid_base, block_cfg_i[i-1].stream_id,
                16'd0, 16'd0);
              fail_pending_d      = fail_pending_q;
              fail_pending_d[i-1] = 1'b0;
            end
          end
          consume_d = 1'b1;
          state_d   = StRelease;
        end else if (bank_free && beat_valid_q) begin
          class_d                          = hdr_class(beat_q.header);
          side_d[bank_q]                   = '0;
          side_d[bank_q].header            = beat_q.header;
          side_d[bank_q].meta              = beat_q.meta;
          side_d[bank_q].block             = sel_block;
          side_d[bank_q].ide               = sel_ide;
          side_d[bank_q].prefix.fmt_type   = PREFIX_IDE;
          side_d[bank_q].prefix.sub_stream = {1'b0, hdr_class(beat_q.header)};
          side_d[bank_q].prefix.m          = 1'b1;
          side_d[bank_q].prefix.t          = beat_q.meta.t_bit;
          if (!beat_q.sop || sel_drop) begin
            state_d = StDrop;
          end else if (!sel_ide) begin
            side_d[bank_q].prefix = '0;
            state_d               = StPlain;
          end else begin
            state_d = StStart;
            for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
              if (sel_block == 2'(b)) begin
                side_d[bank_q].prefix.stream_id = block_cfg_i[b].stream_id;
                if (sync_due) begin
                  own_d                    = 1'b1;
                  side_d[bank_q].prefix.t  = 1'b0;
                  side_d[bank_q].meta      = '0;
                  side_d[bank_q].header    = make_message(MSG_IDE_SYNC, block_cfg_i[b].is_link,
                    requester_id_i, block_cfg_i[b].rid_base, block_cfg_i[b].stream_id,
                    16'(pr_npr_q[b]), 16'(pr_cpl_q[b]));
                  side_d[bank_q].header[118:116] = block_cfg_i[b].tc;
                end
              end
            end
          end
        end
      end

      StPlain: begin
        beat_take = 1'b1;
        if (beat_valid_q) begin
          wr_en           = beat_q.dw_valid != '0;
          beats_d         = beats_q + 5'(wr_en);
          wr_idx_d        = wr_idx_q + 4'(wr_en);
          last_dw_valid_d = beat_q.dw_valid;
          if (beat_q.sop && sub_stream == ClassNonPosted) np_sent_valid_o = 1'b1;
          if (beat_q.eop) state_d = StRelease;
        end
      end

      StStart: begin
        if (slot_lost) begin
          state_d = own_q ? StIdle : StDrop;
        end else if (crypt_ready) begin
          use_valid_o              = 1'b1;
          side_d[bank_q].prefix    = prefix;
          np_sent_valid_o          = sub_stream == ClassNonPosted;
          state_d                  = StCrypt;
          // A TLP without payload is one beat; it is taken here.
          if (!own_q && !has_data) begin
            beat_take = 1'b1;
            taken_d    = 1'b1;
          end
        end
      end

      StCrypt: begin
        if (!own_q && !taken_q && beat_valid_q && crypt_data_ready) begin
          beat_take       = 1'b1;
          taken_d         = beat_q.eop;
          beats_d         = beats_q + 5'd1;
          last_dw_valid_d = beat_q.dw_valid;
        end
        wr_en    = crypt_out_valid;
        wr_data  = crypt_out_data;
        wr_idx_d = wr_idx_q + 4'(crypt_out_valid);
        if (slot_lost) begin
          silent_d    = 1'b1;
          drop_d      = !own_q && taken_q;
          state_d     = StRelease;
        end else if (crypt_mac_valid) begin
          side_d[bank_q].mac = mac;
          last_d             = &count_q;
          state_d            = StRelease;
          consume_d          = own_q;
          for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
            if (tlp.block == 2'(b)) begin
              unique case (sub_stream)
                ClassPosted: begin
                  pr_npr_d[b] = own_q ? '0 : pr_npr_q[b] + 8'd1;
                  pr_cpl_d[b] = own_q ? '0 : pr_cpl_q[b] + 8'd1;
                end
                ClassNonPosted: pr_npr_d[b] = '0;
                ClassCpl:       pr_cpl_d[b] = '0;
                default: ;
              endcase
            end
          end
        end
      end

      // The rest of a TLP that may not leave.
      StDrop: begin
        beat_take = 1'b1;
        if (beat_valid_q && beat_q.eop) begin
          drop_d  = 1'b1;
          state_d = StIdle;
        end
      end

      StRelease: begin
        release_silent = silent_q || !release_secure;
        if (bank_busy == '0) begin
          release_en = 1'b1;
          bank_d     = ~bank_q;
          // The stream falls behind the TLP that took the last invocation value.
          for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
            overflow_d[b] = last_q && tlp.block == 2'(b);
          end
          drop_d     = release_silent && !silent_q && !own_q;
          // An aborted TLP may still have beats to come.
          state_d    = (silent_q && !own_q && !taken_q) ? StDrop : StIdle;
        end
      end

      default: state_d = StDrop;
    endcase

    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      if (fail_send_valid_i && fail_send_block_i == 2'(b)) fail_pending_d[b] = 1'b1;
      // Counters start at zero when the stream becomes Secure.
      if (!secure_i[b]) begin
        pr_npr_d[b] = '0;
        pr_cpl_d[b] = '0;
      end
    end
  end

  assign active_o         = state_q == StStart || state_q == StCrypt;
  assign use_slot_o       = slot;
  assign np_sent_header_o = tlp.header;
  assign np_sent_ide_o    = tlp.ide;
  assign np_sent_block_o  = tlp.block;
  assign overflow_o       = overflow_q;
  assign drop_o           = drop_q;
  assign drop_class_o     = drop_class_q;
  assign busy_o           = state_q != StIdle || beat_valid_q || bank_busy != '0 ||
                            fail_pending_q != '0;
  assign sync_consume_o   = consume_q;

  // ---- Banks and output -------------------------------------------------------------------------

  for (genvar g = 0; g < 2; g++) begin : gen_bank
    ide_bank u_bank (
      .clk_i, .rst_i,
      .wr_en_i          (wr_en && bank_q == 1'(g)),
      .wr_idx_i         (wr_idx_q),
      .wr_data_i        (wr_data),
      .rd_idx_i         (4'd0),
      .rd_data_o        (bank_rd_data_unused[g]),
      .release_i        (release_en && bank_q == 1'(g)),
      .release_silent_i (release_silent),
      .beats_i          (beats_q),
      .last_dw_valid_i  (last_dw_valid_q),
      .busy_o           (bank_busy[g]),
      .out_valid_o      (bank_valid[g]),
      .out_ready_i      (bank_ready[g]),
      .out_sop_o        (bank_sop[g]),
      .out_eop_o        (bank_eop[g]),
      .out_dw_valid_o   (bank_dw_valid[g]),
      .out_data_o       (bank_data[g])
    );
    assign bank_ready[g] = eg_ready_i && drain_q == 1'(g);
  end

  always_comb begin
    eg_valid_o        = bank_valid[drain_q];
    eg_o              = '0;
    eg_o.sop          = bank_sop[drain_q];
    eg_o.eop          = bank_eop[drain_q];
    eg_o.dw_valid     = bank_dw_valid[drain_q];
    eg_o.data         = bank_data[drain_q];
    eg_o.header       = side_q[drain_q].header;
    eg_o.prefix_valid = side_q[drain_q].ide;
    eg_o.prefix       = side_q[drain_q].prefix;
    eg_o.meta         = side_q[drain_q].meta;
    eg_o.meta.ide     = side_q[drain_q].ide;
    eg_o.meta.block   = side_q[drain_q].block;
    eg_mac_o          = side_q[drain_q].mac;
    eg_mac_valid_o    = side_q[drain_q].ide && bank_eop[drain_q];
  end

  always_ff @(posedge clk_i) begin
    if (use_valid_o) next_q[channel] <= count + 64'd1;
  end

  always_ff @(posedge clk_i) begin
    if (tx_ready_o) begin
      beat_valid_q <= tx_valid_i;
      beat_q       <= tx_valid_i ? tx_i : '0;   // no payload stays behind
    end
    state_q         <= state_d;
    side_q          <= side_d;
    bank_q          <= bank_d;
    beats_q         <= beats_d;
    last_dw_valid_q <= last_dw_valid_d;
    wr_idx_q        <= wr_idx_d;
    silent_q        <= silent_d;
    own_q           <= own_d;
    taken_q         <= taken_d;
    last_q          <= last_d;
    key_set_q       <= key_set_d;
    fail_pending_q  <= fail_pending_d;
    pr_npr_q        <= pr_npr_d;
    pr_cpl_q        <= pr_cpl_d;
    overflow_q      <= overflow_d;
    drop_q          <= drop_d;
    class_q         <= class_d;
    drop_class_q    <= class_q;
    consume_q       <= consume_d;
    if (use_valid_o) count_q <= count;
    if (release_en) drain_q <= bank_q;
    if (rst_i) begin
      beat_valid_q    <= 1'b0;
      beat_q          <= '0;
      state_q         <= StIdle;
      bank_q          <= 1'b0;
      drain_q         <= 1'b0;
      silent_q        <= 1'b0;
      own_q           <= 1'b0;
      taken_q         <= 1'b0;
      last_q          <= 1'b0;
      key_set_q       <= 1'b0;
      side_q          <= '0;
      beats_q         <= '0;
      last_dw_valid_q <= '0;
      wr_idx_q        <= '0;
      fail_pending_q  <= '0;
      pr_npr_q        <= '0;
      pr_cpl_q        <= '0;
      overflow_q      <= '0;
      drop_q          <= 1'b0;
      class_q         <= ClassPosted;
      drop_class_q    <= ClassPosted;
      consume_q       <= 1'b0;
      count_q         <= '0;
    end
  end

endmodule
