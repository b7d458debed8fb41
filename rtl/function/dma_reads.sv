// SPDX-License-Identifier: Apache-2.0
// Outstanding DMA reads of one function: tags, completions into work memory, timeouts.
//
// Contract
//   * Four requests at a time. The engine asks for the tag of a free slot (free_valid_o, tag_o) and
//     says with open_i that the request has left. Tag = {generation, slot}: a slot's generation
//     moves on with every use, so a completion that comes after its timeout matches nothing.
//   * Completions are never stalled. Each must continue exactly where its request stands: Byte
//     Count = bytes still owed, Lower Address = next address, payload not longer; any split is
//     legal. What does not fit is an Unexpected Completion and changes nothing, so its request
//     runs into the timeout.
//   * A completion for a request with T=1 must have come protected on the block the TDI is bound
//     to; its own T is ignored (TDISP). Otherwise it is discarded, Unexpected and an error.
//   * Data reaches memory in the cycle of its beat, and only while keep_i holds and the slot was
//     never abandoned. abandon_i (or the fall of keep_i) turns all open slots into quarantined
//     ones: they discard, and free themselves by their last completion or the timeout.
//   * UR, CA, poisoned data and timeout of a slot that is not quarantined pulse error_o with the
//     code of DMA_STATUS. UR/CA are also reported by cpl_ur_o/cpl_ca_o, whoever waits for them.
//   * aer_*: Unexpected Completion, Poisoned, Completion Timeout; one a cycle, no ready.
//
// SEC: TDI.EPOCH
module dma_reads
  import pcie_pkg::*;
#(
  parameter int unsigned WordWidth        = 12,
  parameter int unsigned CplTimeoutCycles = 2_400_000,  // 50 ms at 48 MHz
  parameter logic [2:0]  FuncNum          = 3'd1
) (
  input  logic                 clk_i,
  input  logic                 rst_i,

  // the run that owns new slots
  input  logic                 keep_i,           // level: data is still wanted
  input  logic                 abandon_i,
  input  logic                 run_is_trusted_i, // requests of this run carry T=1 ...
  input  logic [1:0]           run_block_i,      // ... on this block
  input  logic [2:0]           p2p_i,            // or on one of these, now (ide_rx knows which)

  // new requests
  output logic                 free_valid_o,
  output logic [4:0]           tag_o,
  input  logic                 open_i,
  input  logic [4:0]           open_tag_i,       // the tag given for it; its slot is still free
  input  logic [WordWidth-1:0] open_word_i,      // where the data goes
  input  logic [10:0]          open_dws_i,
  input  logic [6:2]           open_lower_i,     // address[6:2]

  // completions, never stalled
  input  logic                 cpl_valid_i,
  input  tlp_beat_t            cpl_i,

  // work memory
  output logic [3:0]           mem_we_o,
  output logic [WordWidth-1:0] mem_word_o,
  output logic [127:0]         mem_wdata_o,

  // state and errors
  output logic                 outstanding_o,    // open or quarantined slots exist
  output logic                 open_o,           // open slots, or data still arriving
  output logic                 error_o,
  output logic [2:0]           reason_o,
  output logic                 cpl_ur_o,
  output logic                 cpl_ca_o,
  output logic                 aer_valid_o,
  output aer_event_t           aer_o
);

  if (CplTimeoutCycles < 2) begin : gen_check_timeout
    $error("dma_reads: CplTimeoutCycles must be at least 2");
  end

  localparam int unsigned TimerWidth = $clog2(CplTimeoutCycles + 1);
  localparam logic [2:0] ReasonUr       = 3'd1;
  localparam logic [2:0] ReasonCa       = 3'd2;
  localparam logic [2:0] ReasonTimeout  = 3'd3;
  localparam logic [2:0] ReasonPoisoned = 3'd4;

  typedef struct packed {
    logic                  used;
    logic                  quarantined;
    logic [2:0]            generation;
    logic [WordWidth-1:0]  word;        // next word of work memory
    logic [10:0]           dws_left;
    logic [6:2]            lower;       // next address[6:2]
    logic                  trusted;
    logic [1:0]            block;
    logic [TimerWidth-1:0] timer;
  } slot_t;

  slot_t [3:0] slot_q;

  logic [1:0] open_idx;
  assign open_idx = open_tag_i[1:0];

  // Free slot ------------------------------------------------------------------------------------

  logic [1:0] free_idx;

  always_comb begin
    free_valid_o = 1'b0;
    free_idx     = 2'd0;
    for (int unsigned i = 4; i > 0; i--) begin
      if (!slot_q[i-1].used) begin
        free_valid_o = 1'b1;
        free_idx     = 2'(i - 1);
      end
    end
  end

  assign tag_o = {slot_q[free_idx].generation + 3'd1, free_idx};

  // The first beat of a completion decides -------------------------------------------------------

  logic [127:0] h;
  logic [10:0]  cpl_dws;
  logic [9:0]   cpl_tag;
  logic [1:0]   idx;
  slot_t        slot;
  logic         first_beat;
  logic         is_ours;      // names an open or quarantined request
  logic         is_protected; // as its request was
  logic         is_success, is_next;

  assign h          = cpl_i.header;
  assign cpl_dws    = hdr_length_dw(h);
  assign cpl_tag    = {h[119], h[115], h[47:40]};
  assign idx        = cpl_tag[1:0];
  assign slot       = slot_q[idx];
  assign first_beat = cpl_valid_i && cpl_i.sop;

  assign is_ours = slot.used && cpl_tag[4:2] == slot.generation && cpl_tag[9:5] == '0
                   && hdr_type(h) == TYPE_CPL;
  logic by_p2p;
  always_comb begin
    by_p2p = 1'b0;
    for (int unsigned b = 0; b < 3; b++) begin
      if (cpl_i.meta.block == 2'(b) && p2p_i[b]) by_p2p = 1'b1;
    end
  end
  assign is_protected = !slot.trusted ||
                        (cpl_i.meta.ide && (cpl_i.meta.block == slot.block || by_p2p));
  assign is_success   = h[79:77] == CPL_SC;
  assign is_next      = hdr_has_data(h) && cpl_dws <= slot.dws_left
                        && h[75:64] == 12'({slot.dws_left, 2'b00})
                        && h[38:32] == {slot.lower, 2'b00};

  logic unexpected, refused, delivers, poisoned, unprotected;

  assign unexpected  = !is_ours || !is_protected || (is_success && !is_next);
  assign unprotected = is_ours && !is_protected;
  assign refused     = is_ours && is_protected && !is_success;
  assign delivers    = is_ours && is_protected && is_success && is_next;
  assign poisoned    = delivers && hdr_ep(h);

  // Timeouts: one slot at a time, when no completion needs the error output ------------------------

  logic       timeout;
  logic [1:0] timeout_idx;

  always_comb begin
    timeout     = 1'b0;
    timeout_idx = 2'd0;
    for (int unsigned i = 0; i < 4; i++) begin
      if (slot_q[i].used && slot_q[i].timer == '0) begin
        timeout     = !first_beat;
        timeout_idx = 2'(i);
      end
    end
  end

  // Payload --------------------------------------------------------------------------------------

  logic                 busy_q;       // between sop and eop of a completion that delivers
  logic                 keep_q;       // ... and whose data is wanted
  logic [1:0]           idx_q;
  logic                 last_q;       // ... and that ends its request
  logic [WordWidth-1:0] word_q;
  logic                 wanted_now;

  always_comb begin
    wanted_now = 1'b0;
    if (first_beat) begin
      if (delivers && !poisoned && !slot.quarantined && keep_i) wanted_now = 1'b1;
    end else if (busy_q && keep_q && keep_i && !slot_q[idx_q].quarantined) begin
      wanted_now = 1'b1;
    end
  end

  assign mem_we_o    = (cpl_valid_i && wanted_now) ? cpl_i.dw_valid : 4'd0;
  assign mem_word_o  = cpl_i.sop ? slot.word : word_q;
  assign mem_wdata_o = cpl_i.data;

  // Slots ----------------------------------------------------------------------------------------

  logic end_of_data;  // last beat of the last completion of a request
  assign end_of_data = cpl_valid_i && cpl_i.eop
                       && (cpl_i.sop ? delivers && cpl_dws == slot.dws_left : busy_q && last_q);

  always_ff @(posedge clk_i) begin
    // Slot by slot, so that each field is a register with its own enable.
    for (int unsigned i = 0; i < 4; i++) begin
      if (slot_q[i].used && slot_q[i].timer != '0) slot_q[i].timer <= slot_q[i].timer - 1'b1;
      if (abandon_i || !keep_i) begin
        slot_q[i].quarantined <= slot_q[i].used;
        slot_q[i].word        <= '0;
      end
      if (first_beat && delivers && idx == 2'(i)) begin
        slot_q[i].dws_left <= slot.dws_left - cpl_dws;
        slot_q[i].lower    <= slot.lower + cpl_dws[4:0];
        if (!abandon_i && keep_i) slot_q[i].word <= slot.word + WordWidth'(cpl_dws);
      end
      if ((timeout && timeout_idx == 2'(i)) || (first_beat && refused && idx == 2'(i))
          || (end_of_data && (cpl_i.sop ? idx : idx_q) == 2'(i))) begin
        slot_q[i].used        <= 1'b0;
        slot_q[i].quarantined <= 1'b0;
      end
      if (open_i && open_idx == 2'(i)) begin
        slot_q[i].used        <= 1'b1;
        slot_q[i].quarantined <= abandon_i || !keep_i;
        slot_q[i].generation  <= open_tag_i[4:2];
        slot_q[i].word        <= (abandon_i || !keep_i) ? '0 : open_word_i;
        slot_q[i].dws_left    <= open_dws_i;
        slot_q[i].lower       <= open_lower_i;
        slot_q[i].trusted     <= run_is_trusted_i;
        slot_q[i].block       <= run_block_i;
        slot_q[i].timer       <= TimerWidth'(CplTimeoutCycles);
      end
    end

    if (first_beat) begin
      busy_q <= delivers && !cpl_i.eop;
      keep_q <= wanted_now;
      idx_q  <= idx;
      last_q <= cpl_dws == slot.dws_left;
      word_q <= slot.word + WordWidth'(4);
    end else if (cpl_valid_i) begin
      word_q <= word_q + WordWidth'(4);
      if (cpl_i.eop) busy_q <= 1'b0;
    end
    // What still arrives of a request that has just timed out belongs to nobody.
    if (timeout && busy_q && timeout_idx == idx_q) begin
      keep_q <= 1'b0;
      last_q <= 1'b0;
    end
    if (!keep_i) word_q <= '0;

    if (rst_i) begin
      slot_q <= '0;
      busy_q <= 1'b0;
      keep_q <= 1'b0;
      word_q <= '0;
    end
  end

  always_comb begin
    outstanding_o = busy_q;
    open_o        = busy_q && keep_q;
    for (int unsigned i = 0; i < 4; i++) begin
      if (slot_q[i].used) outstanding_o = 1'b1;
      if (slot_q[i].used && !slot_q[i].quarantined) open_o = 1'b1;
    end
  end

  // Errors ---------------------------------------------------------------------------------------

  always_comb begin
    error_o  = 1'b0;
    reason_o = ReasonPoisoned;
    if (first_beat) begin
      error_o = !slot.quarantined && (refused || poisoned || unprotected);
      if (refused) reason_o = (h[79:77] == CPL_CA) ? ReasonCa : ReasonUr;
    end else if (timeout) begin
      error_o  = !slot_q[timeout_idx].quarantined;
      reason_o = ReasonTimeout;
    end
  end

  assign cpl_ur_o = first_beat && refused && h[79:77] == CPL_UR;
  assign cpl_ca_o = first_beat && refused && h[79:77] == CPL_CA;

  always_comb begin
    aer_valid_o = (first_beat && (unexpected || poisoned)) || timeout;
    aer_o       = '0;
    aer_o.func  = FuncNum;
    if (first_beat) begin
      aer_o.error        = unexpected ? AER_UNEXPECTED_CPL : AER_POISONED;
      aer_o.advisory     = unexpected;
      aer_o.log_header   = 1'b1;
      aer_o.header       = h;
      aer_o.prefix_valid = cpl_i.prefix_valid;
      aer_o.prefix       = cpl_i.prefix_valid ? cpl_i.prefix : '0;
    end else begin
      aer_o.error = AER_CPL_TIMEOUT;
    end
  end

  logic unused;
  assign unused = ^{h, cpl_i.meta, slot.timer};

endmodule
