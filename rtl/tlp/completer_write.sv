// SPDX-License-Identifier: Apache-2.0
// Posted memory writes onto the local bus, one DW a cycle.
//
// Contract: takes a beat whenever the previous one has reached its last DW; never waits for
// anything else, so posted traffic cannot be stopped by completions that the host does not drain.
// wr_func_i is valid at sop. Every DW asks tdi_filter again in its own cycle: what is left of a
// write whose permission ended is swallowed. A DW without byte enables causes no bus cycle.
// busy_o is high while a taken beat has not reached the bus completely.
//
// SEC: TDI.FILTER
module completer_write
  import pcie_pkg::*;
#(
  parameter int unsigned NumTdi = 3
) (
  input  logic                              clk_i,
  input  logic                              rst_i,

  input  tdisp_pkg::tdi_view_t [NumTdi-1:0] tdi_view_i,

  input  logic                              wr_valid_i,
  output logic                              wr_ready_o,
  input  tlp_beat_t                         wr_i,
  input  logic [2:0]                        wr_func_i,

  output logic                              busy_o,
  output logic                              lb_valid_o,
  output logic [2:0]                        lb_func_o,
  output logic [15:2]                       lb_addr_o,
  output logic [3:0]                        lb_be_o,
  output logic [31:0]                       lb_wdata_o
);

  // The beat being written, shifted so that its next DW is the leftmost.
  logic [127:0] data_q;
  logic [3:0]   dw_valid_q;

  // The TLP it belongs to.
  logic [2:0]           func_q;
  tlp_meta_t            meta_q;
  logic [15:2]          addr_q;
  logic [10:0]          dws_left_q;   // including the leftmost DW
  logic                 is_first_q;
  logic [3:0]           first_be_q, last_be_q;

  logic                 take, step;
  logic [63:0]          address;
  tdisp_pkg::tdi_view_t view;
  logic                 allow;

  assign busy_o     = dw_valid_q[3];
  assign step       = dw_valid_q[3];
  assign wr_ready_o = !dw_valid_q[2];  // empty, or on its last DW
  assign take       = wr_valid_i && wr_ready_o;
  assign address    = hdr_address(wr_i.header);

  always_comb begin
    view = '0;
    for (int unsigned f = 1; f <= NumTdi; f++) begin
      if (func_q == 3'(f)) view = tdi_view_i[f-1];
    end
  end

  tdi_filter u_filter (
    .is_tdi_i (func_q != 3'd0),
    .view_i   (view),
    .page_i   (addr_q[15:12]),
    .ide_i    (meta_q.ide),
    .t_bit_i  (meta_q.t_bit),
    .block_i  (meta_q.block),
    .allow_o  (allow)
  );

  assign lb_func_o  = func_q;
  assign lb_addr_o  = addr_q;
  assign lb_wdata_o = bswap32(data_q[127:96]);

  always_comb begin
    lb_be_o = 4'hF;
    if (dws_left_q == 11'd1) lb_be_o = last_be_q;
    if (is_first_q) lb_be_o = first_be_q;
  end

  always_comb begin
    lb_valid_o = 1'b0;
    if (step && allow && dws_left_q != '0 && lb_be_o != '0) lb_valid_o = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (step) begin
      data_q     <= {data_q[95:0], 32'd0};
      dw_valid_q <= {dw_valid_q[2:0], 1'b0};
      addr_q     <= addr_q + 1'b1;
      is_first_q <= 1'b0;
      if (dws_left_q != '0) dws_left_q <= dws_left_q - 1'b1;
    end
    if (take) begin
      data_q     <= wr_i.data;
      dw_valid_q <= wr_i.dw_valid;
      if (wr_i.sop) begin
        func_q     <= wr_func_i;
        meta_q     <= wr_i.meta;
        addr_q     <= address[15:2];
        dws_left_q <= hdr_length_dw(wr_i.header);
        is_first_q <= 1'b1;
        first_be_q <= hdr_first_be(wr_i.header);
        last_be_q  <= hdr_last_be(wr_i.header);
      end
    end
    if (rst_i) dw_valid_q <= '0;
  end

  logic unused;
  assign unused = ^{address[63:16], address[1:0], meta_q, wr_i.eop, wr_i.prefix_valid, wr_i.prefix};

endmodule
