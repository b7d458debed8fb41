// SPDX-License-Identifier: Apache-2.0
// P-384 engine: operations and results that the DSM sees, and the inner contracts between the
// sequencer, the microcode and the arithmetic unit (NIST SP 800-186 section 3.2.1.4, FIPS 186-5).
//
// Data formats, drawn once:
//
//   word port   a 384-bit value is 12 words of 32 bits, word 0 = least significant.
//               The 48 bytes of a hash or coordinate, big-endian as on the wire, are words 11..0.
//
//   digits      inside, a number is 25 signed digits of radix 2^16: value = sum d[j] * 2^(16 j).
//               A stored digit has 17 bits. A value is *canonical* when digits 0..23 are in
//               [0, 65535] and digit 24 is 0; after arithmetic digits are centred on zero and a
//               value may be negative. Additions then carry one position only, never a chain.
//
//   residues    Montgomery form with R = 2^400. A product of |A|*|B| <= 2^8 m^2 is below 0.51 m in
//               magnitude, so nothing is reduced on the way (proved over the microcode by the
//               assembler, rtl/crypto/p384_microcode.py).
package p384_pkg;

  // ---- What the DSM sees ------------------------------------------------------------------------
  typedef enum logic [2:0] {
    OpKeygen = 3'd0,  // new ephemeral d; X, Y = d G
    OpEcdh   = 3'd1,  // X = x(d Q); d is destroyed whatever the result
    OpSign   = 3'd2,  // X = r, Y = s over hash E with the identity key
    OpPublic = 3'd3,  // X, Y = identity public key
    OpVerify = 3'd4,  // (E, R, S) under public key Q; answers ResOk or ResInvalid
    OpWipe   = 3'd5   // overwrite everything, the ephemeral key included
  } op_e;

  typedef enum logic [2:0] {
    ResOk        = 3'd0,
    ResBadPoint  = 3'd1,  // peer point: coordinate not below p, or not on the curve
    ResNoEntropy = 3'd2,  // random port silent for too long, or only unusable values
    ResNoKey     = 3'd3,  // ECDH without key generation; identity ROM empty or out of range
    ResInvalid   = 3'd4,  // signature refused; unknown operation; a result failed its own check
    ResAborted   = 3'd5   // zeroize_i ended the operation
  } result_e;

  // Register part of wr_addr_i = {register, word[3:0]}; X and Y together are the point Q.
  typedef enum logic [2:0] {
    InX     = 3'd0,
    InY     = 3'd1,
    InE     = 3'd2,  // hash
    InR     = 3'd3,
    InS     = 3'd4,
    InHookD = 3'd5,  // exist with TestHooks only
    InHookK = 3'd6
  } in_reg_e;

  // rd_addr_i = {register, word[3:0]}: register 0 = X or r, 1 = Y or s.

  // ---- Numbers ----------------------------------------------------------------------------------
  localparam int unsigned Words     = 12;
  localparam int unsigned NumDigits = 25;
  localparam int unsigned AccWidth  = 40;   // |accumulator| < 25 * (2^32 + 2^30) * (1 + 2^-14) < 2^38
  localparam int unsigned NumRegs   = 128;

  typedef logic signed [16:0]         digit_t;
  typedef logic signed [33:0]         prod_t;
  typedef logic signed [AccWidth-1:0] acc_t;
  typedef logic [6:0]                 reg_t;

  // The one operand register that survives the end of an operation: the ephemeral private key.
  localparam reg_t RegKept = 7'd63;

  // Order of the base point.
  localparam logic [383:0] Order = {
    192'hffffffff_ffffffff_ffffffff_ffffffff_ffffffff_ffffffff,
    192'hc7634d81_f4372ddf_581a0db2_48b0a77a_ecec196a_ccc52973
  };

  // Digit j of the order, centred on zero (digits 12..23 vanish, digit 24 is 1).
  function automatic digit_t order_digit(input int unsigned j);
    logic signed [17:0] v;
    logic               carry;
    carry = 1'b0;
    v = '0;
    for (int unsigned i = 0; i <= j; i++) begin
      v = ((i < 24) ? {2'b0, Order[16*i+:16]} : 18'd0) + {17'd0, carry};
      carry = v[17:15] != 3'd0;
      if (carry) v = v - 18'sd65536;
    end
    return v[16:0];
  endfunction

  // -1/order mod 2^16, by Newton's iteration (each step doubles the correct bits).
  function automatic digit_t order_inverse();
    logic [15:0] x;
    x = 16'd1;
    for (int unsigned i = 0; i < 4; i++) x = x * (16'd2 - Order[15:0] * x);
    x = -x;
    return {x[15], x};
  endfunction

  // The field prime 2^384 - 2^128 - 2^96 + 2^32 - 1 has five digits, all +1 or -1.
  function automatic int prime_digit(input int unsigned j);
    unique case (j)
      0, 6, 8: return -1;
      2, 24:   return 1;
      default: return 0;
    endcase
  endfunction

  // What leaves a digit position upwards when its low 16 bits are taken as a signed number.
  function automatic acc_t carry_of(input acc_t x);
    return {{16{x[AccWidth-1]}}, x[AccWidth-1:16]} + {{(AccWidth-1){1'b0}}, x[15]};
  endfunction

  // ---- Arithmetic unit --------------------------------------------------------------------------
  typedef enum logic [3:0] {
    AluMul   = 4'd0,   // rd = ra * rb / R mod p (or mod the order)
    AluAdd   = 4'd1,
    AluSub   = 4'd2,
    AluMove  = 4'd3,
    AluRip   = 4'd4,   // rd = ra with digits made canonical; flags: negative, zero
    AluLoad  = 4'd5,   // rd = 12 words from the word source
    AluStore = 4'd6,   // ra, canonical, to the word sink
    AluWin   = 4'd7,   // nibble = 4 bits of ra, canonical, at a window position
    AluComb  = 4'd8    // nibble = bits i, i+96, i+192, i+288 of ra
  } alu_op_e;

  typedef enum logic [2:0] {
    AccHold  = 3'd0,
    AccClear = 3'd1,
    AccAdd   = 3'd2,   // + register operand
    AccSub   = 3'd3,   // - register operand
    AccProd  = 3'd4,   // + product
    AccStep  = 3'd5,   // + product, + m * prime, one digit down
    AccNorm  = 3'd6    // carry one position up
  } acc_op_e;

  typedef struct packed {
    logic    active;        // anything below: an idle lane costs simulation one test
    logic    clear;         // SEC: KEY.ZEROIZE all flops of the lane
    logic    a_load;
    logic    a_shift;
    logic    b_load;
    logic    prod_en;
    logic    prod_order;    // multiply by the order's digit instead of b
    logic    prod_inverse;  // lane 0: multiply by -1/order
    acc_op_e acc;
    logic    write_sum;     // to the operand memory: the accumulator, carried one position up
    logic    write_a;       // to the operand memory: operand a
  } lane_ctrl_t;

  // ---- Microcode --------------------------------------------------------------------------------
  typedef enum logic [4:0] {
    MopMul   = 5'd0,
    MopAdd   = 5'd1,
    MopSub   = 5'd2,
    MopMove  = 5'd3,
    MopRip   = 5'd4,
    MopLoad  = 5'd5,   // rd <- source {ra, rb} = {source[3:0], word address[9:0]}
    MopStore = 5'd6,   // output register rd[0] <- ra
    MopWin   = 5'd7,   // nibble <- window idx of ra
    MopComb  = 5'd8,   // nibble <- comb column idx of ra
    MopSel   = 5'd9,   // rd <- negative ? rb : ra, decided by address, same time
    MopGet   = 5'd10,  // rd <- table[nibble], part ra[1:0]
    MopPut   = 5'd11,  // table[15 - idx], part rd[1:0] <- ra
    MopBr    = 5'd12,  // if condition rd: to {ra, rb}
    MopCall  = 5'd13,
    MopRet   = 5'd14,
    MopIdx   = 5'd15,  // idx <- rb
    MopLoop  = 5'd16,  // if idx > 0: idx--, to {ra, rb}
    MopTry   = 5'd17,  // tries <- rb[1:0]
    MopAgain = 5'd18,  // if tries > 0: tries--, to {ra, rb}
    MopMod   = 5'd19,  // products mod the order if rb[0], else mod p
    MopHold  = 5'd20,  // RegKept holds a key if rb[0], else it does not
    MopEnd   = 5'd21   // result rb[2:0]
  } mop_e;

  typedef struct packed {
    mop_e op;
    reg_t rd;
    reg_t ra;
    reg_t rb;
  } instr_t;

  typedef enum logic [2:0] {
    CondAlways = 3'd0,
    CondNeg    = 3'd1,
    CondNotNeg = 3'd2,
    CondZero   = 3'd3,
    CondNotZero = 3'd4,
    CondNoKey  = 3'd5    // RegKept holds no key
  } cond_e;

  typedef enum logic [2:0] {
    SrcConst   = 3'd0,
    SrcInput   = 3'd1,
    SrcKey     = 3'd2,
    SrcRandomD = 3'd3,
    SrcRandomK = 3'd4
  } source_e;

  localparam int unsigned PcWidth = 9;

endpackage
