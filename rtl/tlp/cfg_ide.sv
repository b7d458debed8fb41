// SPDX-License-Identifier: Apache-2.0
// IDE extended capability of function 0: one link block and two selective blocks.
//
// Contract
//   * Access port as in cfg_function, reduced to the one bit that clears; everything outside the capability reads 0.
//   * block_cfg_o follows the registers; index 0, 1 = selective, 2 = link. `enable` is withheld
//     while the Selected Algorithm is not AES-GCM-256 (0), the only one there is.
//   * Status: State reads Secure (2) while block_state_i is set, else Insecure (0); bit 31 is set
//     by fail_received_i and cleared by writing 1, a set wins.
//   * Fields of features that are not built (aggregation, PCRC, partial header encryption; TEE-
//     Limited and configuration requests unless the parameters say so) read 0.
//   * Writable at any time: that a write to a running stream has consequences is the business of
//     config_watch. A write is seen by block_cfg_o one cycle later, all bits at once.
//   * flr_i or rst_i clears every register.
// PCIe Base 6.x, 7.9.26.
module cfg_ide
  import cfg_pkg::*;
  import ide_pkg::*;
#(
  parameter bit TeeLimitedSupported      = 1'b0,
  parameter bit ConfigRequestsSupported  = 1'b0
) (
  input  logic                        clk_i,
  input  logic                        rst_i,
  input  logic                        flr_i,

  input  offset_t                     off_i,
  output logic [31:0]                 rdata_o,
  output logic [31:0]                 rw_mask_o,
  output logic [31:0]                 w1c_mask_o,
  input  logic                        we_i,
  input  logic [31:0]                 new_i,
  input  logic                        one31_i,          // bit 31 is written as 1

  input  logic [NUM_BLOCKS-1:0]       block_state_i,    // 1 = Secure
  input  logic [NUM_BLOCKS-1:0]       fail_received_i,  // pulse
  output block_cfg_t [NUM_BLOCKS-1:0] block_cfg_o
);

  localparam int unsigned LINK = NUM_SELECTIVE;  // index of the link block

  localparam logic [31:0] IDE_CAP = {
    7'd0, TeeLimitedSupported, 8'(NUM_SELECTIVE - 1), 3'(NUM_LINK - 1), 5'd0,
    ConfigRequestsSupported, 1'b1 /* IDE_KM */, 4'd0, 1'b1 /* selective */, 1'b1 /* link */};

  // Enable, Selected Algorithm, TC, Stream ID; selective also Default Stream.
  localparam logic [31:0] LINK_CONTROL_MASK = 32'hFF3F_C001;
  localparam logic [31:0] SEL_CONTROL_MASK  = 32'hFF7F_C001
      | (32'(TeeLimitedSupported) << 23) | (32'(ConfigRequestsSupported) << 9);
  localparam logic [31:0] RID1_MASK  = 32'h00FF_FF00;
  localparam logic [31:0] RID2_MASK  = 32'h00FF_FF01;
  localparam logic [31:0] ADDR1_MASK = 32'hFFFF_FF01;

  logic [NUM_BLOCKS-1:0][31:0]    control_q;
  logic [NUM_BLOCKS-1:0]          fail_q;
  logic [NUM_SELECTIVE-1:0][31:0] rid1_q, rid2_q, addr1_q, addr2_q, addr3_q;

  function automatic logic [31:0] status(input logic fail, input logic secure);
    return {fail, 27'd0, secure ? STATE_SECURE : STATE_INSECURE};
  endfunction

  // Which block, and where in it.
  logic [NUM_SELECTIVE-1:0]                in_sel;
  offset_t [NUM_SELECTIVE-1:0]             sel_off;
  always_comb begin
    for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
      sel_off[s] = off_i - (OFF_IDE_SELECTIVE + 12'(s) * SEL_STRIDE);
      in_sel[s]  = sel_off[s] < SEL_STRIDE;
    end
  end

  always_comb begin
    rdata_o    = '0;
    rw_mask_o  = '0;
    w1c_mask_o = '0;
    unique case (off_i)
      OFF_IDE:     rdata_o = {12'd0, 4'd1, 16'h0030};
      OFF_IDE_CAP: rdata_o = IDE_CAP;
      OFF_IDE_LINK: begin
        rdata_o   = control_q[LINK];
        rw_mask_o = LINK_CONTROL_MASK;
      end
      OFF_IDE_LINK + 12'h4: begin
        rdata_o    = status(fail_q[LINK], block_state_i[LINK]);
        w1c_mask_o = 32'h8000_0000;
      end
      default: ;
    endcase
    for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
      if (in_sel[s]) begin
        unique case (sel_off[s])
          SEL_CAP: rdata_o = 32'd1;  // one address association
          SEL_CONTROL: begin
            rdata_o   = control_q[s];
            rw_mask_o = SEL_CONTROL_MASK;
          end
          SEL_STATUS: begin
            rdata_o    = status(fail_q[s], block_state_i[s]);
            w1c_mask_o = 32'h8000_0000;
          end
          SEL_RID1: begin
            rdata_o   = rid1_q[s];
            rw_mask_o = RID1_MASK;
          end
          SEL_RID2: begin
            rdata_o   = rid2_q[s];
            rw_mask_o = RID2_MASK;
          end
          SEL_ADDR1: begin
            rdata_o   = addr1_q[s];
            rw_mask_o = ADDR1_MASK;
          end
          SEL_ADDR2: begin
            rdata_o   = addr2_q[s];
            rw_mask_o = '1;
          end
          SEL_ADDR3: begin
            rdata_o   = addr3_q[s];
            rw_mask_o = '1;
          end
          default: ;
        endcase
      end
    end
  end

  logic [NUM_BLOCKS-1:0] fail_clear;
  always_comb begin
    fail_clear = '0;
    if (we_i && one31_i) begin
      fail_clear[LINK] = off_i == OFF_IDE_LINK + 12'h4;
      for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
        fail_clear[s] = in_sel[s] && sel_off[s] == SEL_STATUS;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    fail_q <= (fail_q & ~fail_clear) | fail_received_i;
    if (we_i && off_i == OFF_IDE_LINK) control_q[LINK] <= new_i;
    for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
      if (we_i && in_sel[s]) begin
        unique case (sel_off[s])
          SEL_CONTROL: control_q[s] <= new_i;
          SEL_RID1:    rid1_q[s]    <= new_i;
          SEL_RID2:    rid2_q[s]    <= new_i;
          SEL_ADDR1:   addr1_q[s]   <= new_i;
          SEL_ADDR2:   addr2_q[s]   <= new_i;
          SEL_ADDR3:   addr3_q[s]   <= new_i;
          default: ;
        endcase
      end
    end
    if (rst_i || flr_i) begin
      control_q <= '0;
      fail_q    <= '0;
      rid1_q    <= '0;
      rid2_q    <= '0;
      addr1_q   <= '0;
      addr2_q   <= '0;
      addr3_q   <= '0;
    end
  end

  always_comb begin
    block_cfg_o = '0;
    for (int unsigned b = 0; b < NUM_BLOCKS; b++) begin
      block_cfg_o[b].enable         = control_q[b][0] && control_q[b][18:14] == 5'd0;
      block_cfg_o[b].is_link        = b == LINK;
      block_cfg_o[b].stream_id      = control_q[b][31:24];
      block_cfg_o[b].tc             = control_q[b][21:19];
      block_cfg_o[b].default_stream = control_q[b][22];
      block_cfg_o[b].tee_limited    = control_q[b][23];
      block_cfg_o[b].cfg_enable     = control_q[b][9];
    end
    for (int unsigned s = 0; s < NUM_SELECTIVE; s++) begin
      block_cfg_o[s].rid_limit  = rid1_q[s][23:8];
      block_cfg_o[s].rid_valid  = rid2_q[s][0];
      block_cfg_o[s].rid_base   = rid2_q[s][23:8];
      block_cfg_o[s].addr_valid = addr1_q[s][0];
      block_cfg_o[s].addr_base  = {addr3_q[s], addr1_q[s][19:8]};
      block_cfg_o[s].addr_limit = {addr2_q[s], addr1_q[s][31:20]};
    end
  end

endmodule
