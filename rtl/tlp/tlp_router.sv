// SPDX-License-Identifier: Apache-2.0
// Decides where a received TLP goes: memory of a function, configuration, a waiting DMA, nowhere.
//
// Contract
//   * In: verified, well-formed TLPs in arrival order. Out: posted writes on wr_*, non-posted
//     requests with a verdict on np_* (queue of NpDepth), completions on cpl_* (no ready: the
//     function must take them). Messages end here. One cycle latency; wr_* is the only output
//     that can hold the input back, and it never waits for anything to be transmitted.
//   * Order of decisions (PCIe Base 2.3): overflow, Unsupported Request or Unexpected Completion,
//     Poisoned; at most one AER event per TLP. Writes and messages that are refused vanish,
//     non-posted requests are queued with NpUnsupported and get their completion.
//   * UR: no BAR claims the address, or two do; MSE=0, D3hot; the request leaves its 4 KiB page
//     (and so possibly its BAR); AT != 0; I/O, locked reads, AtomicOps, deferrable writes,
//     configuration type 1, configuration of an absent function; unknown messages; an End-End
//     prefix other than IDE (a completion with one is Unexpected); and whatever tdi_filter refuses.
//   * A request that finds the queue full exceeds the credits given out by np_release_o:
//     Receiver Overflow, dropped without completion and without release. It is reported once, until
//     the queue has run empty.
//   * An AER event that meets a full event queue (two events) is lost: receiving never waits.
//   * PME_Turn_Off is answered by PME_TO_Ack on msg_*; Set_Slot_Power_Limit appears on slot_*.
//   * *_release_o: one pulse for each TLP of the class that this block and its queue are done with.
module tlp_router
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi  = 3,
  parameter int unsigned NpDepth = 8
) (
  input  logic                              clk_i,
  input  logic                              rst_i,

  // verified TLPs <- ide_rx
  input  logic                              rx_valid_i,
  output logic                              rx_ready_o,
  input  tlp_beat_t                         rx_i,

  input  func_cfg_t [NumTdi:0]              func_cfg_i,
  input  logic [12:0]                       bus_dev_i,
  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i,

  // posted memory writes -> completer; wr_func_o holds from sop to eop
  output logic                              wr_valid_o,
  input  logic                              wr_ready_i,
  output tlp_beat_t                         wr_o,
  output logic [2:0]                        wr_func_o,

  // non-posted requests -> completer
  output logic                              np_valid_o,
  input  logic                              np_ready_i,
  output np_req_t                           np_o,

  // completions -> function cpl_func_o
  output logic                              cpl_valid_o,
  output tlp_beat_t                         cpl_o,
  output logic [2:0]                        cpl_func_o,

  // PME_TO_Ack -> tx arbiter
  output logic                              msg_valid_o,
  input  logic                              msg_ready_i,
  output tlp_beat_t                         msg_o,

  // Set_Slot_Power_Limit -> cfg_space: {scale, value}
  output logic                              slot_power_valid_o,
  output logic [9:0]                        slot_power_o,

  // errors -> cfg_space
  output logic                              aer_valid_o,
  input  logic                              aer_ready_i,
  output aer_event_t                        aer_o,

  // credits
  output logic                              p_release_o,
  output logic                              np_release_o,
  output logic                              cpl_release_o
);

  if (NumTdi < 1 || NumTdi > 7) begin : gen_check_num_tdi
    $error("tlp_router: NumTdi must be 1..7");
  end

  typedef enum logic [1:0] {
    ToNowhere    = 2'd0,
    ToMemory     = 2'd1,  // posted write
    ToQueue      = 2'd2,  // non-posted
    ToCompletion = 2'd3
  } target_e;

  typedef struct packed {
    target_e     target;
    np_verdict_e verdict;
    logic [2:0]  func;
    logic        error_valid;
    logic [4:0]  error;
    logic        error_all;
    logic        error_advisory;
  } decision_t;

  // Input register: the decision is made on it in the cycle in which the beat moves on.
  tlp_beat_t    beat_q;
  logic         beat_valid_q;
  logic         advance, fire;
  logic [127:0] h;

  assign rx_ready_o = !beat_valid_q || advance;
  assign fire       = beat_valid_q && advance;
  assign h          = beat_q.header;

  always_ff @(posedge clk_i) begin
    if (rx_ready_o) begin
      beat_q       <= rx_i;
      beat_valid_q <= rx_valid_i;
    end
    if (rst_i) beat_valid_q <= 1'b0;
  end

  // BAR decode -----------------------------------------------------------------------------------

  logic [63:0]          address;
  logic [NumTdi:0]      hit;
  logic                 one_hit;
  logic [2:0]           hit_func;
  tdisp_pkg::tdi_view_t hit_view;
  logic                 in_page;   // the request stays in one 4 KiB page
  logic                 allowed;

  assign address = hdr_address(h);
  assign in_page = 12'(address[11:2]) + 12'(hdr_length_dw(h)) <= 12'd1024;

  always_comb begin
    hit[0] = func_cfg_i[0].mse && !func_cfg_i[0].d3hot
             && address[63:12] == func_cfg_i[0].bar0[63:12];
    for (int unsigned f = 1; f <= NumTdi; f++) begin
      hit[f] = func_cfg_i[f].mse && !func_cfg_i[f].d3hot
               && address[63:16] == func_cfg_i[f].bar0[63:16];
    end
  end

  always_comb begin
    hit_func = 3'd0;
    hit_view = '0;
    for (int unsigned f = 1; f <= NumTdi; f++) begin
      if (hit[f]) begin
        hit_func = 3'(f);
        hit_view = tdi_view_i[f-1];
      end
    end
  end

  assign one_hit = hit != '0 && (hit & (hit - 1'b1)) == '0;

  tdi_filter u_filter (
    .is_tdi_i (hit_func != 3'd0),
    .view_i   (hit_view),
    .page_i   (address[15:12]),
    .ide_i    (beat_q.meta.ide),
    .t_bit_i  (beat_q.meta.t_bit),
    .block_i  (beat_q.meta.block),
    .allow_o  (allowed)
  );

  logic memory_ok;
  assign memory_ok = one_hit && in_page && h[107:106] == 2'b00 && allowed;

  // Messages -------------------------------------------------------------------------------------

  typedef enum logic [1:0] {
    MsgUnsupported = 2'd0,
    MsgIgnored     = 2'd1,
    MsgSlotPower   = 2'd2,
    MsgPmeOff      = 2'd3
  } message_e;

  message_e message;

  always_comb begin
    unique case (h[71:64])
      8'h00, 8'h14:                                   message = MsgIgnored;  // Unlock, ASPM Nak
      MSG_PME_TURN_OFF:                               message = MsgPmeOff;
      8'h40, 8'h41, 8'h43, 8'h44, 8'h45, 8'h47, 8'h48: message = MsgIgnored;  // old hot-plug
      MSG_SET_SLOT_POWER: message = hdr_has_data(h) ? MsgSlotPower : MsgUnsupported;
      MSG_IDE_SYNC, MSG_IDE_FAIL:                     message = MsgIgnored;  // ide_rx has acted
      MSG_VENDOR_1:                                   message = MsgIgnored;
      default:                                        message = MsgUnsupported;
    endcase
  end

  // Decision -------------------------------------------------------------------------------------

  tlp_class_e tlp_class;
  tlp_class_e beat_class, held_class_q;
  decision_t  decision;
  target_e    target, held_target_q;
  logic [2:0] func, held_func_q;
  logic       queue_ready, overflow_told_q;
  logic       prefix_refused;   // an End-End prefix this device does not support

  assign tlp_class      = hdr_class(h);
  assign prefix_refused = beat_q.prefix_valid && !beat_q.meta.ide;

  always_comb begin
    decision         = '0;
    decision.target  = ToNowhere;
    decision.verdict = NpUnsupported;
    unique case (tlp_class)
      ClassPosted: begin
        if (hdr_is_msg(h)) begin
          decision.error_all = 1'b1;
          if (prefix_refused || message == MsgUnsupported) begin
            decision.error_valid = 1'b1;
            decision.error       = AER_UNSUPPORTED;
          end else if (message == MsgSlotPower && hdr_ep(h)) begin
            decision.error_valid = 1'b1;
            decision.error       = AER_POISONED;
          end
        end else begin
          decision.func = hit_func;
          if (prefix_refused || !memory_ok) begin
            decision.error_valid = 1'b1;
            decision.error       = AER_UNSUPPORTED;
            decision.error_all   = !one_hit;
          end else if (hdr_ep(h)) begin
            decision.error_valid = 1'b1;
            decision.error       = AER_POISONED;
          end else begin
            decision.target = ToMemory;
          end
        end
      end

      ClassNonPosted: begin
        decision.target         = ToQueue;
        decision.error_valid    = 1'b1;
        decision.error          = AER_UNSUPPORTED;
        decision.error_all      = 1'b1;
        decision.error_advisory = 1'b1;
        unique case (hdr_type(h))
          TYPE_MEM: begin
            if (one_hit) begin
              decision.func      = hit_func;
              decision.error_all = 1'b0;
            end
            if (!prefix_refused && memory_ok && !hdr_has_data(h)) begin
              decision.verdict     = NpMemRead;
              decision.error_valid = 1'b0;
            end
          end
          TYPE_MEM_LK, TYPE_FETCHADD, TYPE_SWAP, TYPE_CAS, TYPE_DMWR: begin
            if (one_hit) begin
              decision.func      = hit_func;
              decision.error_all = 1'b0;
            end
          end
          TYPE_CFG0: begin
            if (h[50:48] <= 3'(NumTdi)) begin
              decision.func      = h[50:48];
              decision.error_all = 1'b0;
              if (prefix_refused) begin
                decision.verdict        = NpUnsupported;
              end else if (hdr_has_data(h) && hdr_ep(h)) begin
                decision.error          = AER_POISONED;
                decision.error_advisory = 1'b0;
              end else begin
                decision.verdict     = NpConfig;
                decision.error_valid = 1'b0;
              end
            end
          end
          default: ;
        endcase
      end

      default: begin  // completion
        decision.error_valid    = 1'b1;
        decision.error          = AER_UNEXPECTED_CPL;
        decision.error_all      = 1'b1;
        decision.error_advisory = 1'b1;
        if (h[63:51] == bus_dev_i && h[50:48] <= 3'(NumTdi)) begin
          decision.func      = h[50:48];
          decision.error_all = 1'b0;
          // F0 never sends a request that is answered.
          if (!prefix_refused && h[50:48] != 3'd0) begin
            decision.target      = ToCompletion;
            decision.error_valid = 1'b0;
          end
        end
      end
    endcase

    if (decision.target == ToQueue && !queue_ready) begin
      decision.target         = ToNowhere;
      decision.error_valid    = !overflow_told_q;
      decision.error          = AER_RX_OVERFLOW;
      decision.error_all      = 1'b1;
      decision.error_advisory = 1'b0;
    end
  end

  // Decided at sop, held to eop.
  assign target     = beat_q.sop ? decision.target : held_target_q;
  assign func       = beat_q.sop ? decision.func : held_func_q;
  assign beat_class = beat_q.sop ? tlp_class : held_class_q;
  assign advance    = target != ToMemory || wr_ready_i;

  always_ff @(posedge clk_i) begin
    if (fire && beat_q.sop) begin
      held_target_q <= decision.target;
      held_func_q   <= decision.func;
      held_class_q  <= tlp_class;
    end
    if (!np_valid_o) overflow_told_q <= 1'b0;
    else if (fire && beat_q.sop && decision.error == AER_RX_OVERFLOW) overflow_told_q <= 1'b1;
    if (rst_i) begin
      held_target_q   <= ToNowhere;
      overflow_told_q <= 1'b0;
    end
  end

  // Outputs --------------------------------------------------------------------------------------

  tlp_beat_t routed;

  always_comb begin
    routed              = beat_q;
    routed.meta.tdi_idx = 8'(func) - 8'd1;  // F0: FFh
  end

  assign wr_valid_o  = beat_valid_q && target == ToMemory;
  assign wr_o        = routed;
  assign wr_func_o   = func;
  assign cpl_valid_o = beat_valid_q && target == ToCompletion;
  assign cpl_o       = routed;
  assign cpl_func_o  = func;

  np_req_t np_in;
  logic    np_in_ready;

  always_comb begin
    np_in.verdict = decision.verdict;
    np_in.func    = decision.func;
    np_in.data    = (decision.verdict == NpConfig && hdr_has_data(h)) ? beat_q.data[127:96] : '0;
    np_in.header  = h;
    np_in.meta    = routed.meta;
  end

  np_queue #(.NumTdi(NumTdi), .Depth(NpDepth)) u_np_queue (
    .clk_i,
    .rst_i,
    .tdi_view_i,
    .in_valid_i  (beat_valid_q && beat_q.sop && decision.target == ToQueue),
    .in_ready_o  (np_in_ready),
    .in_i        (np_in),
    .out_valid_o (np_valid_o),
    .out_ready_i (np_ready_i),
    .out_o       (np_o)
  );

  assign queue_ready   = np_in_ready;
  assign p_release_o   = fire && beat_q.eop && beat_class == ClassPosted;
  assign cpl_release_o = fire && beat_q.eop && beat_class == ClassCpl;
  assign np_release_o  = np_valid_o && np_ready_i;

  // Messages that have an effect -----------------------------------------------------------------

  logic        is_message, ack_pending_q;
  logic [31:0] message_dw;

  assign is_message         = fire && beat_q.sop && hdr_is_msg(h) && !decision.error_valid;
  assign message_dw         = bswap32(beat_q.data[127:96]);
  assign slot_power_valid_o = is_message && message == MsgSlotPower;
  assign slot_power_o       = message_dw[9:0];
  assign msg_valid_o        = ack_pending_q;

  always_comb begin
    msg_o        = '0;
    msg_o.sop    = 1'b1;
    msg_o.eop    = 1'b1;
    // Msg routed by gathering to the root (r = 5), code 1Bh, from F0.
    msg_o.header = {3'b001, 5'b10101, 24'd0, bus_dev_i, 3'd0, 8'd0, 8'h1B, 64'd0};
    msg_o.meta.associate = 1'b1;
    msg_o.meta.tdi_idx   = 8'hFF;
  end

  always_ff @(posedge clk_i) begin
    if (msg_valid_o && msg_ready_i) ack_pending_q <= 1'b0;
    if (is_message && message == MsgPmeOff) ack_pending_q <= 1'b1;
    if (rst_i) ack_pending_q <= 1'b0;
  end

  // Errors ---------------------------------------------------------------------------------------

  aer_event_t event_in;
  logic       event_ready;

  always_comb begin
    event_in              = '0;
    event_in.error        = decision.error;
    event_in.all_funcs    = decision.error_all;
    event_in.func         = decision.error_all ? 3'd0 : decision.func;
    event_in.advisory     = decision.error_advisory;
    event_in.log_header   = decision.error != AER_RX_OVERFLOW;
    event_in.header       = h;
    event_in.prefix_valid = beat_q.prefix_valid;
    event_in.prefix       = beat_q.prefix_valid ? beat_q.prefix : '0;
  end

  stream_fifo #(.Width($bits(aer_event_t)), .Depth(2)) u_events (
    .clk_i,
    .rst_i,
    .in_valid_i  (fire && beat_q.sop && decision.error_valid),
    .in_ready_o  (event_ready),
    .in_data_i   (event_in),
    .out_valid_o (aer_valid_o),
    .out_ready_i (aer_ready_i),
    .out_data_o  (aer_o)
  );

  logic unused;
  assign unused = ^{event_ready, message_dw[31:10], address[1:0], func_cfg_i, tdi_view_i};

endmodule
