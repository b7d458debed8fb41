// SPDX-License-Identifier: Apache-2.0
// Properties of dsm_bus: what no instruction can do. Addresses are typed here once more on purpose.
module dsm_bus_props
  import dsm_pkg::*;
(
  input logic                  clk_i,
  input logic                  rst_i,
  input logic                  i_ack_o,
  input logic [31:0]           i_dat_o,
  input logic                  i_cyc_i,
  input logic                  i_stb_i,
  input logic [29:0]           i_adr_i,
  input logic                  fw_fetch_o,
  input logic                  d_cyc_i,
  input logic                  d_stb_i,
  input logic                  d_we_i,
  input logic [29:0]           d_adr_i,
  input logic [3:0]            d_sel_i,
  input logic                  d_ack_o,
  input logic [31:0]           d_dat_o,
  input logic                  ram_we_o,
  input logic                  doe_rsp_we_o,
  input logic [NUM_PERIPH-1:0] reg_valid_o,
  input logic                  fault_o
);

  logic [31:0] i_addr, d_addr, i_addr_q, d_addr_q;
  logic        past_q, d_held_q, is_rom, is_ram, is_request, is_response, is_register;

  assign i_addr      = {i_adr_i, 2'b00};
  assign d_addr      = {d_adr_i, 2'b00};
  assign is_rom      = d_addr < 32'h0000_1000 ||
                       (d_addr >= 32'h1000_0000 && d_addr < 32'h1001_0000) ||
                       (d_addr >= 32'h1800_0000 && d_addr < 32'h1800_1000);
  assign is_ram      = d_addr >= 32'h2000_0000 && d_addr < 32'h2000_8000;
  assign is_register = d_addr >= 32'h4000_0000 && d_addr < 32'h400A_0000;
  assign is_request  = d_addr >= 32'h400E_0000 && d_addr < 32'h400E_1208;
  assign is_response = d_addr >= 32'h400F_0000 && d_addr < 32'h400F_1208;

  always_ff @(posedge clk_i) begin
    past_q   <= !rst_i;
    i_addr_q <= i_addr;
    d_addr_q <= d_addr;
    d_held_q <= d_cyc_i && d_stb_i;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_i) begin
      // SEC: DSM.MAP
      Assert_ram_only:       assert (!ram_we_o || (d_we_i && is_ram));
      Assert_response_only:  assert (!doe_rsp_we_o || (d_we_i && is_response));
      Assert_one_register:   assert ($onehot0(reg_valid_o));
      Assert_register_map:   assert (reg_valid_o == '0 || is_register);
      Assert_whole_words:    assert (reg_valid_o == '0 || !d_we_i || d_sel_i == 4'hF);
      Assert_one_effect:     assert (32'(ram_we_o) + 32'(doe_rsp_we_o) + 32'(fault_o) +
                                     32'(reg_valid_o != '0) <= 32'd1);
      Assert_fault_outside:  assert (!fault_o || !(is_ram || is_response ||
                                                   (is_register && d_sel_i == 4'hF) ||
                                                   (!d_we_i && (is_rom || is_request ||
                                                                is_register))));
      Assert_fw_fetch: assert (fw_fetch_o == (i_cyc_i && i_stb_i && i_addr >= 32'h1000_0000 &&
                                              i_addr < 32'h1001_0000));
    end
    if (past_q && !rst_i) begin
      // Write-xor-execute: an instruction from anywhere but the two ROMs is 0, which traps.
      if (i_ack_o && i_dat_o != '0) begin
        Assert_execute: assert (i_addr_q < 32'h0000_1000 ||
                                (i_addr_q >= 32'h1000_0000 && i_addr_q < 32'h1001_0000));
      end
      if (d_ack_o) begin
        Assert_ack_follows: assert (d_held_q);
        if (d_dat_o != '0) begin
          Assert_data_inside: assert (d_addr_q < 32'h4010_0000);
        end
      end
    end
    Cover_fault: cover (fault_o);
  end

endmodule

bind dsm_bus dsm_bus_props u_props (.*);
