// SPDX-License-Identifier: Apache-2.0
// TDISP: states, events and the one transition function of a TDI (PCIe Base 6.x, chapter 11), the
// command bus of the DSM, and the page map of BAR0 that filter, function and firmware agree on.
package tdisp_pkg;

  // Encodings are those of DEVICE_INTERFACE_STATE.
  typedef enum logic [1:0] {
    StUnlocked = 2'd0,  // CONFIG_UNLOCKED
    StLocked   = 2'd1,  // CONFIG_LOCKED
    StRun      = 2'd2,  // RUN
    StError    = 2'd3   // ERROR
  } tdi_state_e;

  typedef enum logic [2:0] {
    EvNone      = 3'd0,
    EvLock      = 3'd1,  // LOCK_INTERFACE, all hardware conditions met
    EvStart     = 3'd2,  // START_INTERFACE, nonce equal, stream Secure, keys of one session tag
    EvStop      = 3'd3,  // STOP_INTERFACE, drain and erasure finished
    EvViolation = 3'd4,  // locked register changed, FLR, stream Insecure, session end, DMA error
    EvReset     = 3'd5   // conventional reset
  } tdi_event_e;

  // The machine. Anything not listed keeps the state; a broken state register fails to ERROR.
  function automatic tdi_state_e next_state(input tdi_state_e state, input tdi_event_e ev);
    unique case (ev)
      EvReset:     return StUnlocked;
      EvStop:      return StUnlocked;
      EvViolation: return (state == StUnlocked) ? StUnlocked : StError;
      EvLock:      return (state == StUnlocked) ? StLocked : state;
      EvStart:     return (state == StLocked) ? StRun : state;
      EvNone:      return state;
      default:     return StError;
    endcase
  endfunction

  // Command bus: DSM to tdi_control. One command, one result beat (STOP answers after erasure).
  typedef enum logic [2:0] {
    CmdLock         = 3'd1,
    CmdStart        = 3'd2,
    CmdStop         = 3'd3,
    CmdSetAttribute = 3'd4,  // SET_MMIO_ATTRIBUTE: pages in `pages` become non_tee or TEE
    CmdBindP2p      = 3'd5,
    CmdUnbindP2p    = 3'd6
  } tdi_op_e;

  typedef struct packed {
    tdi_op_e      op;
    logic [7:0]   tdi_idx;
    logic [7:0]   stream_id;     // LOCK: default stream; BIND, UNBIND: P2P stream
    logic [15:0]  session_tag;   // session that asks; STOP: not looked at
    logic         lock_msix;     // LOCK flag bit 2
    logic         no_fw_update;  // LOCK flag bit 0
    logic         bind_p2p;      // LOCK flag bit 3
    logic         non_tee;       // SET_ATTRIBUTE: the new IS_NON_TEE_MEM
    logic [15:0]  pages;         // SET_ATTRIBUTE: mask of pages of BAR0
    logic [63:0]  p2p_mask;      // LOCK: BIND_P2P_ADDRESS_MASK, address bits to clear
    logic [255:0] nonce;         // START
  } tdi_cmd_t;

  typedef enum logic [2:0] {
    ResOk         = 3'd0,
    ResBadState   = 3'd1,  // INVALID_INTERFACE_STATE
    ResBadRequest = 3'd2,  // stream, session, page or flag does not fit: INVALID_REQUEST
    ResBadNonce   = 3'd3,  // INVALID_NONCE
    ResNoEntropy  = 3'd4,  // INSUFFICIENT_ENTROPY
    ResBadIndex   = 3'd5,  // INVALID_INTERFACE
    ResBadConfig  = 3'd6,  // INVALID_DEVICE_CONFIGURATION (overlapping BARs, two default streams, TC)
    ResAborted    = 3'd7   // a violation overtook the command
  } tdi_result_e;

  typedef struct packed {
    tdi_result_e  code;
    logic [255:0] nonce;  // LOCK: START_INTERFACE_NONCE
  } tdi_res_t;

  // What the data path needs to know of one TDI.
  typedef struct packed {
    tdi_state_e  state;
    logic        msix_locked;  // LOCK_MSIX was set: table and PBA are TEE pages
    logic [1:0]  block;        // bound IDE stream block (valid outside CONFIG_UNLOCKED)
    logic [2:0]  p2p;          // stream blocks bound by BIND_P2P_STREAM; zero outside RUN
    logic [1:0]  shared;       // updatable pages that SET_MMIO_ATTRIBUTE made non-TEE; zero
                               // outside RUN
  } tdi_view_t;

  // BAR0 of a TDI, 4 KiB pages, 64 KiB in all.
  localparam int unsigned TDI_BAR_BYTES   = 65536;
  localparam int unsigned F0_BAR_BYTES    = 4096;
  localparam logic [3:0] PAGE_STATUS      = 4'd0;  // identity and status, non-TEE
  localparam logic [3:0] PAGE_CONTROL     = 4'd1;  // control and DMA descriptors, TEE
  localparam logic [3:0] PAGE_MSIX_TABLE  = 4'd2;
  localparam logic [3:0] PAGE_MSIX_PBA    = 4'd3;
  localparam logic [3:0] PAGE_WORK_MEMORY = 4'd8;  // first of four by default, TEE

  localparam logic [3:0] PAGE_UPDATABLE   = 4'd10; // first of two: IS_MEM_ATTR_UPDATABLE
  localparam logic [15:0] PAGES_UPDATABLE = 16'h0C00;

  function automatic logic page_is_tee(input logic [3:0] page, input tdi_view_t view);
    unique case (page)
      PAGE_STATUS:                    return 1'b0;
      PAGE_MSIX_TABLE, PAGE_MSIX_PBA: return view.msix_locked;
      PAGE_UPDATABLE:                 return !view.shared[0];
      PAGE_UPDATABLE + 4'd1:          return !view.shared[1];
      default:                        return 1'b1;
    endcase
  endfunction

  // A stream that LOCK or BIND_P2P_STREAM bound to the TDI.
  function automatic logic block_is_bound(input logic [1:0] block, input tdi_view_t view);
    logic bound;
    bound = block == view.block;
    for (int unsigned b = 0; b < 3; b++) begin
      if (block == 2'(b) && view.p2p[b]) bound = 1'b1;
    end
    return bound;
  endfunction

endpackage
