// SPDX-License-Identifier: Apache-2.0
// MSI-X table, pending bits and the message of one function, four vectors.
//
// Contract
//   * trigger_i[k] asks for vector k; several pulses before the message leaves are one. While
//     the vector is masked (its mask bit, the function mask, enable = 0, BME = 0 or D3hot) the
//     request waits and shows as pending bit; it is sent once when the last mask goes. The table
//     entry is read when the message is built. Lower vectors first.
//   * The message is a TLP of one beat; the gate behind decides about T. It is held until taken.
//   * Local bus: lb_rdata_o is combinational for lb_addr_i; writes by bytes; the PBA ignores them.
//   * clear_i: table to its reset state (all masked, all zero), requests forgotten. idle_o: no
//     message is waiting to be taken; its register is then zero.
module msix
  import pcie_pkg::*;
#(
  parameter logic [7:0] TdiIdx = 8'd0
) (
  input  logic        clk_i,
  input  logic        rst_i,

  input  func_cfg_t   cfg_i,
  input  logic [15:0] requester_id_i,
  input  logic        clear_i,
  input  logic [3:0]  trigger_i,
  output logic        idle_o,

  // local bus
  input  logic        table_we_i,
  input  logic [5:2]  lb_addr_i,
  input  logic [3:0]  lb_be_i,
  input  logic [31:0] lb_wdata_i,
  output logic [31:0] table_rdata_o,
  output logic [31:0] pba_rdata_o,    // of the PBA's first DW; the second is 0

  // message
  output logic        tx_valid_o,
  input  logic        tx_ready_i,
  output tlp_beat_t   tx_o
);

  typedef struct packed {
    logic [31:0] addr_low;   // bits 1:0 stay zero
    logic [31:0] addr_high;
    logic [31:0] data;
    logic        mask;
  } entry_t;

  localparam entry_t EntryReset = '{addr_low: '0, addr_high: '0, data: '0, mask: 1'b1};

  entry_t [3:0] table_q;
  logic [3:0]   request_q;
  logic [3:0]   masked, ready;
  logic         pick_valid;
  logic [1:0]   pick;
  logic         message_valid_q;
  logic [127:0] header_q;
  logic [31:0]  data_q;

  // Masks ----------------------------------------------------------------------------------------

  always_comb begin
    for (int unsigned k = 0; k < 4; k++) begin
      masked[k] = table_q[k].mask || cfg_i.msix_func_mask || !cfg_i.msix_enable || !cfg_i.bme
                  || cfg_i.d3hot;
    end
  end

  assign ready = request_q & ~masked;

  always_comb begin
    pick_valid = 1'b0;
    pick       = 2'd0;
    for (int unsigned k = 4; k > 0; k--) begin
      if (ready[k-1]) begin
        pick_valid = 1'b1;
        pick       = 2'(k - 1);
      end
    end
  end

  // Local bus ------------------------------------------------------------------------------------

  entry_t entry;

  assign entry       = table_q[lb_addr_i[5:4]];
  assign pba_rdata_o = {28'd0, request_q & masked};

  always_comb begin
    unique case (lb_addr_i[3:2])
      2'd0:    table_rdata_o = entry.addr_low;
      2'd1:    table_rdata_o = entry.addr_high;
      2'd2:    table_rdata_o = entry.data;
      default: table_rdata_o = {31'd0, entry.mask};
    endcase
  end

  // Written entry by entry and byte by byte, so that each byte is a register with its own enable.
  always_ff @(posedge clk_i) begin
    for (int unsigned k = 0; k < 4; k++) begin
      for (int unsigned i = 0; i < 4; i++) begin
        if (table_we_i && lb_addr_i[5:4] == 2'(k) && lb_be_i[i]) begin
          unique case (lb_addr_i[3:2])
            2'd0: table_q[k].addr_low[8*i +: 8]  <= lb_wdata_i[8*i +: 8]
                                                    & ((i == 0) ? 8'hFC : 8'hFF);
            2'd1: table_q[k].addr_high[8*i +: 8] <= lb_wdata_i[8*i +: 8];
            2'd2: table_q[k].data[8*i +: 8]      <= lb_wdata_i[8*i +: 8];
            default: if (i == 0) table_q[k].mask <= lb_wdata_i[0];
          endcase
        end
      end
    end
    if (rst_i || clear_i) table_q <= {4{EntryReset}};
  end

  // Message --------------------------------------------------------------------------------------

  logic build, is_64bit;

  assign build      = pick_valid && !message_valid_q && !clear_i;
  assign is_64bit   = table_q[pick].addr_high != '0;
  assign tx_valid_o = message_valid_q;
  assign idle_o     = !message_valid_q && ready == '0;

  always_ff @(posedge clk_i) begin
    request_q <= (request_q & ~(build ? 4'b0001 << pick : 4'd0)) | trigger_i;
    if (message_valid_q && tx_ready_i) begin
      message_valid_q <= 1'b0;
      header_q        <= '0;
      data_q          <= '0;
    end
    if (build) begin
      message_valid_q <= 1'b1;
      data_q          <= bswap32(table_q[pick].data);
      // MWr, 1 DW, TC 0, no attributes, tag 0, First BE F, Last BE 0
      header_q <= {2'b01, is_64bit, TYPE_MEM, 24'd1, requester_id_i, 8'd0, 8'h0F,
                   is_64bit ? {table_q[pick].addr_high, table_q[pick].addr_low}
                            : {table_q[pick].addr_low, 32'd0}};
    end
    if (clear_i) request_q <= '0;
    if (rst_i) begin
      request_q       <= '0;
      message_valid_q <= 1'b0;
      header_q        <= '0;
      data_q          <= '0;
    end
  end

  always_comb begin
    tx_o              = '0;
    tx_o.sop          = 1'b1;
    tx_o.eop          = 1'b1;
    tx_o.dw_valid     = 4'b1000;
    tx_o.data         = {data_q, 96'd0};
    tx_o.header       = header_q;
    tx_o.meta.tdi_idx = TdiIdx;
  end

  logic unused;
  assign unused = ^cfg_i;

endmodule
