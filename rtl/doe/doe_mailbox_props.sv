// SPDX-License-Identifier: Apache-2.0
// Properties of doe_mailbox: what a host may rely on in every cycle, whatever host and firmware do.
module doe_mailbox_props #(
  parameter int unsigned BufferDw = 1154
) (
  input logic        clk_i,
  input logic        rst_i,
  input logic        flr_i,
  input logic        cfg_write_i,
  input logic [4:2]  cfg_addr_i,
  /* verilator lint_off UNUSEDSIGNAL */
  input logic [31:0] cfg_wdata_i,  // only Abort matters here
  /* verilator lint_on UNUSEDSIGNAL */
  input logic [31:0] cfg_control_o,
  input logic [31:0] cfg_status_o,
  input logic [31:0] cfg_read_data_o,
  input logic        irq_o,
  input logic        go_o,
  input logic        abort_o,
  input logic        held_o,
  input logic        respond_i,
  input logic [$clog2(BufferDw + 1)-1:0] request_dw_o,
  // inside
  input logic        push_ok,
  input logic [$clog2(BufferDw + 1)-1:0] rd_idx_q,
  input logic [$clog2(BufferDw + 1)-1:0] rsp_last_q
);

  logic busy, error, ready, int_status, abort;
  logic past_q, error_q, ready_q, go_q, held_q, abort_q, respond_q, kill_q, enable_q;
  logic ack_q;

  assign busy       = cfg_status_o[0];
  assign int_status = cfg_status_o[1];
  assign error      = cfg_status_o[2];
  assign ready      = cfg_status_o[31];
  assign abort      = cfg_write_i && cfg_addr_i == 3'd2 && cfg_wdata_i[0];

  always_ff @(posedge clk_i) begin
    past_q    <= !rst_i;
    error_q   <= error;
    ready_q   <= ready;
    go_q      <= go_o;
    held_q    <= held_o;
    respond_q <= respond_i;
    abort_q   <= abort;
    kill_q    <= abort || flr_i;
    enable_q  <= cfg_control_o[1];
    ack_q     <= cfg_write_i && cfg_addr_i == 3'd5;
    if (rst_i) past_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      Assert_status_reserved: assert (cfg_status_o[30:3] == '0);
      Assert_control_reads:   assert (cfg_control_o[31:2] == '0 && !cfg_control_o[0]);
      Assert_error_closes:    assert (!error || !(go_o || held_o || ready));
      Assert_read_closed:     assert (ready || cfg_read_data_o == '0);
      Assert_one_owner:       assert (32'(go_o) + 32'(held_o) + 32'(ready) <= 32'd1);
      Assert_owner_is_busy:   assert (busy || !(go_o || held_o || ready));
      Assert_bounded:         assert (32'(request_dw_o) <= BufferDw);
      Assert_index_bounded:   assert (!ready || (rd_idx_q <= rsp_last_q &&
                                                 32'(rsp_last_q) < BufferDw));
      // The request cannot change while anybody else looks at it.
      Assert_push_when_idle:  assert (!push_ok || !(busy || error || go_o || held_o || ready));
      Assert_irq_has_status:  assert (!irq_o || int_status);
    end
    if (past_q && !rst_i) begin
      // Abort and FLR: no response, no error, event for the firmware, one cycle later.
      if (kill_q) begin
        Assert_kill_ready: assert (!ready && !error && !go_o && !held_o);
        Assert_kill_event: assert (abort_o);
      end
      if (error_q && !kill_q) begin
        Assert_error_sticks: assert (error);
      end
      if (!ready_q && ready) begin
        Assert_ready_from_held: assert (held_q && respond_q);
      end
      if (!held_q && held_o) begin
        Assert_held_from_go: assert (go_q);
      end
      if (ready_q && !ready && !kill_q) begin
        Assert_ready_falls_by_ack: assert (ack_q || error);
      end
      if (irq_o) begin
        Assert_irq_enabled: assert (enable_q);
      end
    end
    Cover_response: cover (past_q && ready_q && !ready && !kill_q);
    Cover_abort_while_held: cover (past_q && held_q && abort_q);
  end


endmodule

bind doe_mailbox doe_mailbox_props #(.BufferDw(BufferDw)) u_props (.*);
