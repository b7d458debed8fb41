// SPDX-License-Identifier: Apache-2.0
// The memories around the P-384 arithmetic unit that speak 32-bit words: input registers, output
// registers, identity key, constants, and the choice of where the words of a load come from.
//
// Contract: writes are taken while !busy_i and otherwise ignored, as are writes to words 12..15 and
// to registers that do not exist. rd_data_o is the output register one cycle after rd_addr_i, and
// zero while busy_i. There is no read path to input registers, identity key or constants but the
// loads of the arithmetic unit. src_load_i starts a load: 12 words follow on word_*, at most one
// every second cycle. With TestHooks the words of d and k come from input registers 5 and 6, and
// rnd_ready_o stays low; without, these registers do not exist. While wiping_i the memories are
// overwritten at wipe_addr_i as wipe_in_i and wipe_out_i say.
//
// Identity key: 12 words, most significant first, hexadecimal, from KeyFile at elaboration (a
// bitstream then holds the key) or, in simulation, from +identity=<file>, which wins. The ROM is the
// one secret that no wipe erases. Without a file it is zero, which the program refuses as ResNoKey.
module p384_words
  import p384_pkg::*;
#(
  parameter string KeyFile   = "",
  parameter bit    TestHooks = 1'b0
) (
  input  logic        clk_i,
  input  logic        rst_i,

  // word port
  input  logic        busy_i,
  input  logic        wr_en_i,
  input  logic [6:0]  wr_addr_i,
  input  logic [31:0] wr_data_i,
  input  logic [4:0]  rd_addr_i,
  output logic [31:0] rd_data_o,

  // random port
  input  logic        rnd_valid_i,
  output logic        rnd_ready_o,
  input  logic [31:0] rnd_i,

  // loads of the arithmetic unit
  input  logic        src_load_i,
  input  source_e     src_i,
  input  logic [8:0]  src_addr_i,
  output logic        src_waits_o,   // the unit waits for the random port
  output logic        word_valid_o,
  input  logic        word_ready_i,
  output logic [31:0] word_o,

  // stores of the arithmetic unit
  input  logic        out_valid_i,
  input  logic [4:0]  out_addr_i,
  input  logic [31:0] out_word_i,

  // erasure
  input  logic        wiping_i,
  input  logic        wipe_in_i,
  input  logic        wipe_out_i,
  input  logic [6:0]  wipe_addr_i
);

  localparam logic [2:0] LastInput = TestHooks ? InHookK : InS;

  logic [31:0] in_ram_q  [128];
  logic [31:0] out_ram_q [32];
  logic [31:0] key_rom   [16];

  source_e     src_q;
  logic [8:0]  addr_q;
  logic        fresh_q;
  logic        rd_open_q;
  logic [31:0] in_word_q, out_word_q, key_word_q, const_word;
  logic        is_random, read_en;
  logic        in_we, out_we;
  logic [6:0]  in_waddr;
  logic [4:0]  out_waddr;
  logic [31:0] in_wdata, out_wdata;

  initial begin
`ifndef SYNTHESIS
    string file;
`endif
    for (int i = 0; i < 16; i++) key_rom[i] = '0;
    if (KeyFile != "") $readmemh(KeyFile, key_rom, 0, 11);
`ifndef SYNTHESIS
    if ($value$plusargs("identity=%s", file) != 0) $readmemh(file, key_rom, 0, 11);
`endif
  end

  // ---- Where the words of a load come from --------------------------------------------------------
  assign is_random    = !TestHooks && (src_q == SrcRandomD || src_q == SrcRandomK);
  assign rnd_ready_o  = is_random && word_ready_i;
  assign src_waits_o  = rnd_ready_o && !rnd_valid_i;
  assign word_valid_o = is_random ? rnd_valid_i : fresh_q;
  assign read_en      = !fresh_q && !is_random;

  always_comb begin
    unique case (src_q)
      SrcConst:               word_o = const_word;
      SrcInput:               word_o = in_word_q;
      SrcKey:                 word_o = key_word_q;
      SrcRandomD, SrcRandomK: word_o = TestHooks ? in_word_q : rnd_i;
      default:                word_o = '0;
    endcase
  end

  p384_constants u_constants (
    .clk_i,
    .en_i   (read_en && src_q == SrcConst),
    .addr_i (addr_q),
    .word_o (const_word)
  );

  always_ff @(posedge clk_i) begin
    fresh_q <= 1'b1;
    if (word_ready_i && word_valid_o) begin
      addr_q  <= addr_q + 9'd1;
      fresh_q <= 1'b0;
    end
    if (src_load_i) begin
      src_q   <= src_i;
      addr_q  <= src_addr_i;
      fresh_q <= 1'b0;
    end
    if (read_en && src_q == SrcKey) key_word_q <= key_rom[4'd11 - addr_q[3:0]];
    if (wiping_i || rst_i) begin
      src_q      <= SrcConst;
      addr_q     <= '0;
      fresh_q    <= 1'b1;
      key_word_q <= '0;
    end
  end

  // ---- Input registers ----------------------------------------------------------------------------
  always_comb begin
    in_we    = 1'b0;
    in_waddr = wr_addr_i;
    in_wdata = wr_data_i;
    if (wiping_i) begin
      in_we    = wipe_in_i;
      in_waddr = wipe_addr_i;
      in_wdata = '0;
    end else if (!busy_i && wr_en_i) begin
      in_we = wr_addr_i[3:0] < 4'(Words) && wr_addr_i[6:4] <= LastInput;
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_we) in_ram_q[in_waddr] <= in_wdata;
    if (wiping_i) in_word_q <= '0;
    else if (read_en && src_q != SrcConst && src_q != SrcKey) in_word_q <= in_ram_q[addr_q[6:0]];
  end

  // ---- Output registers -----------------------------------------------------------------------------
  assign out_we    = wiping_i ? wipe_out_i : out_valid_i;
  assign out_waddr = wiping_i ? wipe_addr_i[4:0] : out_addr_i;
  assign out_wdata = wiping_i ? '0 : out_word_i;
  assign rd_data_o = rd_open_q ? out_word_q : '0;

  always_ff @(posedge clk_i) begin
    if (out_we) out_ram_q[out_waddr] <= out_wdata;
    if (busy_i) out_word_q <= '0;
    else        out_word_q <= out_ram_q[rd_addr_i];
    rd_open_q <= !busy_i && !rst_i;
  end

endmodule
