// SPDX-License-Identifier: Apache-2.0
// Program of the P-384 engine.
//
// Written by rtl/crypto/p384_microcode.py: change that file, not this one.
//
// Contract: a ROM with one cycle of latency; addresses behind the end give MopEnd ResInvalid.
module p384_microcode
  import p384_pkg::*;
(
  input  logic               clk_i,
  input  logic [PcWidth-1:0] pc_i,
  output instr_t             instr_o
);

  instr_t instr_d, instr_q;

  assign instr_o = instr_q;

  always_comb begin
    unique case (pc_i)
      9'd0: instr_d = {MopBr, 7'd0, 7'd0, 7'd8};          // goto keygen
      9'd1: instr_d = {MopBr, 7'd0, 7'd0, 7'd26};         // goto ecdh
      9'd2: instr_d = {MopBr, 7'd0, 7'd0, 7'd35};         // goto sign
      9'd3: instr_d = {MopBr, 7'd0, 7'd0, 7'd77};         // goto public
      9'd4: instr_d = {MopBr, 7'd0, 7'd0, 7'd89};         // goto verify
      9'd5: instr_d = {MopBr, 7'd0, 7'd3, 7'd6};          // goto invalid
      9'd6: instr_d = {MopBr, 7'd0, 7'd3, 7'd6};          // goto invalid
      9'd7: instr_d = {MopBr, 7'd0, 7'd3, 7'd6};          // goto invalid
      // keygen:
      9'd8: instr_d = {MopHold, 7'd0, 7'd0, 7'd0};        // D is no key
      9'd9: instr_d = {MopCall, 7'd0, 7'd1, 7'd7};        // call constants
      9'd10: instr_d = {MopTry, 7'd0, 7'd0, 7'd3};        // tries = 3
      // keygen_draw:
      9'd11: instr_d = {MopLoad, 7'd63, 7'd24, 7'd80};    // D = random D
      9'd12: instr_d = {MopSub, 7'd22, 7'd63, 7'd2};      // T0 = D - N
      9'd13: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};      // T0 = canonical T0, flags
      9'd14: instr_d = {MopBr, 7'd2, 7'd0, 7'd24};        // if not negative goto keygen_bad
      9'd15: instr_d = {MopRip, 7'd22, 7'd63, 7'd0};      // T0 = canonical D, flags
      9'd16: instr_d = {MopBr, 7'd3, 7'd0, 7'd24};        // if zero goto keygen_bad
      9'd17: instr_d = {MopMove, 7'd34, 7'd63, 7'd0};     // K = D
      9'd18: instr_d = {MopCall, 7'd0, 7'd1, 7'd99};      // call mul_base
      9'd19: instr_d = {MopCall, 7'd0, 7'd2, 7'd89};      // call affine
      9'd20: instr_d = {MopStore, 7'd0, 7'd32, 7'd0};     // output 0 = AX
      9'd21: instr_d = {MopStore, 7'd1, 7'd33, 7'd0};     // output 1 = AY
      9'd22: instr_d = {MopHold, 7'd0, 7'd0, 7'd1};       // keep D
      9'd23: instr_d = {MopEnd, 7'd0, 7'd0, 7'd0};        // ResOk
      // keygen_bad:
      9'd24: instr_d = {MopAgain, 7'd0, 7'd0, 7'd11};     // if tries--: goto keygen_draw
      9'd25: instr_d = {MopEnd, 7'd0, 7'd0, 7'd2};        // ResNoEntropy
      // ecdh:
      9'd26: instr_d = {MopBr, 7'd5, 7'd3, 7'd8};         // if no ephemeral key goto no_key
      9'd27: instr_d = {MopHold, 7'd0, 7'd0, 7'd0};       // D is no key
      9'd28: instr_d = {MopCall, 7'd0, 7'd1, 7'd7};       // call constants
      9'd29: instr_d = {MopCall, 7'd0, 7'd2, 7'd111};     // call take_point
      9'd30: instr_d = {MopMove, 7'd34, 7'd63, 7'd0};     // K = D
      9'd31: instr_d = {MopCall, 7'd0, 7'd2, 7'd29};      // call mul_point
      9'd32: instr_d = {MopCall, 7'd0, 7'd2, 7'd89};      // call affine
      9'd33: instr_d = {MopStore, 7'd0, 7'd32, 7'd0};     // output 0 = AX
      9'd34: instr_d = {MopEnd, 7'd0, 7'd0, 7'd0};        // ResOk
      // sign:
      9'd35: instr_d = {MopCall, 7'd0, 7'd1, 7'd7};       // call constants
      9'd36: instr_d = {MopLoad, 7'd35, 7'd16, 7'd0};     // ID = identity key
      9'd37: instr_d = {MopSub, 7'd22, 7'd35, 7'd2};      // T0 = ID - N
      9'd38: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};      // T0 = canonical T0, flags
      9'd39: instr_d = {MopBr, 7'd2, 7'd3, 7'd8};         // if not negative goto no_key
      9'd40: instr_d = {MopRip, 7'd22, 7'd35, 7'd0};      // T0 = canonical ID, flags
      9'd41: instr_d = {MopBr, 7'd3, 7'd3, 7'd8};         // if zero goto no_key
      9'd42: instr_d = {MopLoad, 7'd36, 7'd8, 7'd32};     // E = input E
      9'd43: instr_d = {MopTry, 7'd0, 7'd0, 7'd3};        // tries = 3
      // sign_draw:
      9'd44: instr_d = {MopMod, 7'd0, 7'd0, 7'd0};        // mod p
      9'd45: instr_d = {MopLoad, 7'd34, 7'd32, 7'd96};    // K = random K
      9'd46: instr_d = {MopSub, 7'd22, 7'd34, 7'd2};      // T0 = K - N
      9'd47: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};      // T0 = canonical T0, flags
      9'd48: instr_d = {MopBr, 7'd2, 7'd0, 7'd73};        // if not negative goto sign_bad_draw
      9'd49: instr_d = {MopRip, 7'd22, 7'd34, 7'd0};      // T0 = canonical K, flags
      9'd50: instr_d = {MopBr, 7'd3, 7'd0, 7'd73};        // if zero goto sign_bad_draw
      9'd51: instr_d = {MopCall, 7'd0, 7'd1, 7'd99};      // call mul_base
      9'd52: instr_d = {MopCall, 7'd0, 7'd2, 7'd89};      // call affine
      9'd53: instr_d = {MopCall, 7'd0, 7'd2, 7'd126};     // call x_mod_order
      9'd54: instr_d = {MopMove, 7'd37, 7'd42, 7'd0};     // SIG_R = W
      9'd55: instr_d = {MopRip, 7'd22, 7'd37, 7'd0};      // T0 = canonical SIG_R, flags
      9'd56: instr_d = {MopBr, 7'd3, 7'd0, 7'd75};        // if zero goto sign_zero
      9'd57: instr_d = {MopMod, 7'd0, 7'd0, 7'd1};        // mod order
      9'd58: instr_d = {MopMul, 7'd39, 7'd34, 7'd7};      // BASE = K * R2N
      9'd59: instr_d = {MopCall, 7'd0, 7'd3, 7'd2};       // call invert_mod_order
      9'd60: instr_d = {MopMul, 7'd45, 7'd35, 7'd7};      // RD = ID * R2N
      9'd61: instr_d = {MopMul, 7'd45, 7'd45, 7'd37};     // RD = RD * SIG_R
      9'd62: instr_d = {MopAdd, 7'd45, 7'd45, 7'd36};     // RD = RD + E
      9'd63: instr_d = {MopMul, 7'd38, 7'd45, 7'd41};     // SIG_S = RD * POW
      9'd64: instr_d = {MopAdd, 7'd23, 7'd38, 7'd2};      // T1 = SIG_S + N
      9'd65: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};      // T1 = canonical T1, flags
      9'd66: instr_d = {MopRip, 7'd22, 7'd38, 7'd0};      // T0 = canonical SIG_S, flags
      9'd67: instr_d = {MopSel, 7'd38, 7'd22, 7'd23};     // SIG_S = negative ? T1 : T0
      9'd68: instr_d = {MopRip, 7'd22, 7'd38, 7'd0};      // T0 = canonical SIG_S, flags
      9'd69: instr_d = {MopBr, 7'd3, 7'd0, 7'd75};        // if zero goto sign_zero
      9'd70: instr_d = {MopStore, 7'd0, 7'd37, 7'd0};     // output 0 = SIG_R
      9'd71: instr_d = {MopStore, 7'd1, 7'd38, 7'd0};     // output 1 = SIG_S
      9'd72: instr_d = {MopEnd, 7'd0, 7'd0, 7'd0};        // ResOk
      // sign_bad_draw:
      9'd73: instr_d = {MopAgain, 7'd0, 7'd0, 7'd44};     // if tries--: goto sign_draw
      9'd74: instr_d = {MopEnd, 7'd0, 7'd0, 7'd2};        // ResNoEntropy
      // sign_zero:
      9'd75: instr_d = {MopAgain, 7'd0, 7'd0, 7'd44};     // if tries--: goto sign_draw
      9'd76: instr_d = {MopEnd, 7'd0, 7'd0, 7'd4};        // ResInvalid
      // public:
      9'd77: instr_d = {MopCall, 7'd0, 7'd1, 7'd7};       // call constants
      9'd78: instr_d = {MopLoad, 7'd34, 7'd16, 7'd0};     // K = identity key
      9'd79: instr_d = {MopSub, 7'd22, 7'd34, 7'd2};      // T0 = K - N
      9'd80: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};      // T0 = canonical T0, flags
      9'd81: instr_d = {MopBr, 7'd2, 7'd3, 7'd8};         // if not negative goto no_key
      9'd82: instr_d = {MopRip, 7'd22, 7'd34, 7'd0};      // T0 = canonical K, flags
      9'd83: instr_d = {MopBr, 7'd3, 7'd3, 7'd8};         // if zero goto no_key
      9'd84: instr_d = {MopCall, 7'd0, 7'd1, 7'd99};      // call mul_base
      9'd85: instr_d = {MopCall, 7'd0, 7'd2, 7'd89};      // call affine
      9'd86: instr_d = {MopStore, 7'd0, 7'd32, 7'd0};     // output 0 = AX
      9'd87: instr_d = {MopStore, 7'd1, 7'd33, 7'd0};     // output 1 = AY
      9'd88: instr_d = {MopEnd, 7'd0, 7'd0, 7'd0};        // ResOk
      // verify:
      9'd89: instr_d = {MopCall, 7'd0, 7'd1, 7'd7};       // call constants
      9'd90: instr_d = {MopCall, 7'd0, 7'd2, 7'd111};     // call take_point
      9'd91: instr_d = {MopLoad, 7'd36, 7'd8, 7'd32};     // E = input E
      9'd92: instr_d = {MopLoad, 7'd37, 7'd8, 7'd48};     // SIG_R = input R
      9'd93: instr_d = {MopSub, 7'd22, 7'd37, 7'd2};      // T0 = SIG_R - N
      9'd94: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};      // T0 = canonical T0, flags
      9'd95: instr_d = {MopBr, 7'd2, 7'd3, 7'd6};         // if not negative goto invalid
      9'd96: instr_d = {MopRip, 7'd22, 7'd37, 7'd0};      // T0 = canonical SIG_R, flags
      9'd97: instr_d = {MopBr, 7'd3, 7'd3, 7'd6};         // if zero goto invalid
      9'd98: instr_d = {MopLoad, 7'd38, 7'd8, 7'd64};     // SIG_S = input S
      9'd99: instr_d = {MopSub, 7'd22, 7'd38, 7'd2};      // T0 = SIG_S - N
      9'd100: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd101: instr_d = {MopBr, 7'd2, 7'd3, 7'd6};        // if not negative goto invalid
      9'd102: instr_d = {MopRip, 7'd22, 7'd38, 7'd0};     // T0 = canonical SIG_S, flags
      9'd103: instr_d = {MopBr, 7'd3, 7'd3, 7'd6};        // if zero goto invalid
      9'd104: instr_d = {MopMod, 7'd0, 7'd0, 7'd1};       // mod order
      9'd105: instr_d = {MopMul, 7'd39, 7'd38, 7'd7};     // BASE = SIG_S * R2N
      9'd106: instr_d = {MopCall, 7'd0, 7'd3, 7'd2};      // call invert_mod_order
      9'd107: instr_d = {MopMul, 7'd43, 7'd36, 7'd41};    // U_G = E * POW
      9'd108: instr_d = {MopAdd, 7'd23, 7'd43, 7'd2};     // T1 = U_G + N
      9'd109: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};     // T1 = canonical T1, flags
      9'd110: instr_d = {MopRip, 7'd22, 7'd43, 7'd0};     // T0 = canonical U_G, flags
      9'd111: instr_d = {MopSel, 7'd43, 7'd22, 7'd23};    // U_G = negative ? T1 : T0
      9'd112: instr_d = {MopMul, 7'd44, 7'd37, 7'd41};    // U_Q = SIG_R * POW
      9'd113: instr_d = {MopAdd, 7'd23, 7'd44, 7'd2};     // T1 = U_Q + N
      9'd114: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};     // T1 = canonical T1, flags
      9'd115: instr_d = {MopRip, 7'd22, 7'd44, 7'd0};     // T0 = canonical U_Q, flags
      9'd116: instr_d = {MopSel, 7'd44, 7'd22, 7'd23};    // U_Q = negative ? T1 : T0
      9'd117: instr_d = {MopMod, 7'd0, 7'd0, 7'd0};       // mod p
      9'd118: instr_d = {MopMove, 7'd34, 7'd43, 7'd0};    // K = U_G
      9'd119: instr_d = {MopCall, 7'd0, 7'd1, 7'd99};     // call mul_base
      9'd120: instr_d = {MopMove, 7'd19, 7'd10, 7'd0};    // SX = X1
      9'd121: instr_d = {MopMove, 7'd20, 7'd11, 7'd0};    // SY = Y1
      9'd122: instr_d = {MopMove, 7'd21, 7'd12, 7'd0};    // SZ = Z1
      9'd123: instr_d = {MopMove, 7'd34, 7'd44, 7'd0};    // K = U_Q
      9'd124: instr_d = {MopCall, 7'd0, 7'd2, 7'd29};     // call mul_point
      9'd125: instr_d = {MopMove, 7'd13, 7'd19, 7'd0};    // X2 = SX
      9'd126: instr_d = {MopMove, 7'd14, 7'd20, 7'd0};    // Y2 = SY
      9'd127: instr_d = {MopMove, 7'd15, 7'd21, 7'd0};    // Z2 = SZ
      9'd128: instr_d = {MopCall, 7'd0, 7'd1, 7'd16};     // call point_add
      9'd129: instr_d = {MopCall, 7'd0, 7'd2, 7'd89};     // call affine
      9'd130: instr_d = {MopCall, 7'd0, 7'd2, 7'd126};    // call x_mod_order
      9'd131: instr_d = {MopSub, 7'd22, 7'd42, 7'd37};    // T0 = W - SIG_R
      9'd132: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd133: instr_d = {MopBr, 7'd4, 7'd3, 7'd6};        // if not zero goto invalid
      9'd134: instr_d = {MopEnd, 7'd0, 7'd0, 7'd0};       // ResOk
      // constants:
      9'd135: instr_d = {MopLoad, 7'd1, 7'd0, 7'd0};      // P = constant P
      9'd136: instr_d = {MopLoad, 7'd2, 7'd0, 7'd12};     // N = constant N
      9'd137: instr_d = {MopLoad, 7'd3, 7'd0, 7'd48};     // ONE = constant ONE
      9'd138: instr_d = {MopLoad, 7'd4, 7'd0, 7'd60};     // RP = constant R_MOD_P
      9'd139: instr_d = {MopLoad, 7'd5, 7'd0, 7'd72};     // RN = constant R_MOD_N
      9'd140: instr_d = {MopLoad, 7'd6, 7'd0, 7'd84};     // R2P = constant R2_MOD_P
      9'd141: instr_d = {MopLoad, 7'd7, 7'd0, 7'd96};     // R2N = constant R2_MOD_N
      9'd142: instr_d = {MopLoad, 7'd8, 7'd0, 7'd108};    // B = constant B
      9'd143: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // point_add:
      9'd144: instr_d = {MopMul, 7'd22, 7'd10, 7'd13};    // T0 = X1 * X2
      9'd145: instr_d = {MopMul, 7'd23, 7'd11, 7'd14};    // T1 = Y1 * Y2
      9'd146: instr_d = {MopMul, 7'd24, 7'd12, 7'd15};    // T2 = Z1 * Z2
      9'd147: instr_d = {MopAdd, 7'd28, 7'd10, 7'd11};    // U1 = X1 + Y1
      9'd148: instr_d = {MopAdd, 7'd29, 7'd13, 7'd14};    // U2 = X2 + Y2
      9'd149: instr_d = {MopMul, 7'd25, 7'd28, 7'd29};    // T3 = U1 * U2
      9'd150: instr_d = {MopAdd, 7'd28, 7'd22, 7'd23};    // U1 = T0 + T1
      9'd151: instr_d = {MopSub, 7'd25, 7'd25, 7'd28};    // T3 = T3 - U1
      9'd152: instr_d = {MopAdd, 7'd28, 7'd11, 7'd12};    // U1 = Y1 + Z1
      9'd153: instr_d = {MopAdd, 7'd29, 7'd14, 7'd15};    // U2 = Y2 + Z2
      9'd154: instr_d = {MopMul, 7'd26, 7'd28, 7'd29};    // T4 = U1 * U2
      9'd155: instr_d = {MopAdd, 7'd28, 7'd23, 7'd24};    // U1 = T1 + T2
      9'd156: instr_d = {MopSub, 7'd26, 7'd26, 7'd28};    // T4 = T4 - U1
      9'd157: instr_d = {MopAdd, 7'd28, 7'd10, 7'd12};    // U1 = X1 + Z1
      9'd158: instr_d = {MopAdd, 7'd29, 7'd13, 7'd15};    // U2 = X2 + Z2
      9'd159: instr_d = {MopMul, 7'd27, 7'd28, 7'd29};    // U0 = U1 * U2
      9'd160: instr_d = {MopAdd, 7'd28, 7'd22, 7'd24};    // U1 = T0 + T2
      9'd161: instr_d = {MopSub, 7'd27, 7'd27, 7'd28};    // U0 = U0 - U1
      9'd162: instr_d = {MopMul, 7'd28, 7'd8, 7'd24};     // U1 = B * T2
      9'd163: instr_d = {MopSub, 7'd28, 7'd27, 7'd28};    // U1 = U0 - U1
      9'd164: instr_d = {MopAdd, 7'd29, 7'd28, 7'd28};    // U2 = U1 + U1
      9'd165: instr_d = {MopAdd, 7'd28, 7'd28, 7'd29};    // U1 = U1 + U2
      9'd166: instr_d = {MopSub, 7'd18, 7'd23, 7'd28};    // Z3 = T1 - U1
      9'd167: instr_d = {MopAdd, 7'd16, 7'd23, 7'd28};    // X3 = T1 + U1
      9'd168: instr_d = {MopMul, 7'd17, 7'd8, 7'd27};     // Y3 = B * U0
      9'd169: instr_d = {MopAdd, 7'd28, 7'd24, 7'd24};    // U1 = T2 + T2
      9'd170: instr_d = {MopAdd, 7'd24, 7'd28, 7'd24};    // T2 = U1 + T2
      9'd171: instr_d = {MopSub, 7'd17, 7'd17, 7'd24};    // Y3 = Y3 - T2
      9'd172: instr_d = {MopSub, 7'd17, 7'd17, 7'd22};    // Y3 = Y3 - T0
      9'd173: instr_d = {MopAdd, 7'd28, 7'd17, 7'd17};    // U1 = Y3 + Y3
      9'd174: instr_d = {MopAdd, 7'd17, 7'd28, 7'd17};    // Y3 = U1 + Y3
      9'd175: instr_d = {MopAdd, 7'd28, 7'd22, 7'd22};    // U1 = T0 + T0
      9'd176: instr_d = {MopAdd, 7'd22, 7'd28, 7'd22};    // T0 = U1 + T0
      9'd177: instr_d = {MopSub, 7'd22, 7'd22, 7'd24};    // T0 = T0 - T2
      9'd178: instr_d = {MopMul, 7'd27, 7'd26, 7'd17};    // U0 = T4 * Y3
      9'd179: instr_d = {MopMul, 7'd28, 7'd22, 7'd17};    // U1 = T0 * Y3
      9'd180: instr_d = {MopMul, 7'd29, 7'd16, 7'd18};    // U2 = X3 * Z3
      9'd181: instr_d = {MopAdd, 7'd11, 7'd29, 7'd28};    // Y1 = U2 + U1
      9'd182: instr_d = {MopMul, 7'd16, 7'd25, 7'd16};    // X3 = T3 * X3
      9'd183: instr_d = {MopSub, 7'd10, 7'd16, 7'd27};    // X1 = X3 - U0
      9'd184: instr_d = {MopMul, 7'd18, 7'd26, 7'd18};    // Z3 = T4 * Z3
      9'd185: instr_d = {MopMul, 7'd28, 7'd25, 7'd22};    // U1 = T3 * T0
      9'd186: instr_d = {MopAdd, 7'd12, 7'd18, 7'd28};    // Z1 = Z3 + U1
      9'd187: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // point_double:
      9'd188: instr_d = {MopMul, 7'd22, 7'd10, 7'd10};    // T0 = X1 * X1
      9'd189: instr_d = {MopMul, 7'd23, 7'd11, 7'd11};    // T1 = Y1 * Y1
      9'd190: instr_d = {MopMul, 7'd24, 7'd12, 7'd12};    // T2 = Z1 * Z1
      9'd191: instr_d = {MopMul, 7'd25, 7'd10, 7'd11};    // T3 = X1 * Y1
      9'd192: instr_d = {MopAdd, 7'd25, 7'd25, 7'd25};    // T3 = T3 + T3
      9'd193: instr_d = {MopMul, 7'd27, 7'd10, 7'd12};    // U0 = X1 * Z1
      9'd194: instr_d = {MopAdd, 7'd27, 7'd27, 7'd27};    // U0 = U0 + U0
      9'd195: instr_d = {MopMul, 7'd29, 7'd11, 7'd12};    // U2 = Y1 * Z1
      9'd196: instr_d = {MopAdd, 7'd29, 7'd29, 7'd29};    // U2 = U2 + U2
      9'd197: instr_d = {MopMul, 7'd28, 7'd8, 7'd24};     // U1 = B * T2
      9'd198: instr_d = {MopSub, 7'd28, 7'd28, 7'd27};    // U1 = U1 - U0
      9'd199: instr_d = {MopAdd, 7'd26, 7'd28, 7'd28};    // T4 = U1 + U1
      9'd200: instr_d = {MopAdd, 7'd28, 7'd28, 7'd26};    // U1 = U1 + T4
      9'd201: instr_d = {MopSub, 7'd16, 7'd23, 7'd28};    // X3 = T1 - U1
      9'd202: instr_d = {MopAdd, 7'd17, 7'd23, 7'd28};    // Y3 = T1 + U1
      9'd203: instr_d = {MopMul, 7'd17, 7'd16, 7'd17};    // Y3 = X3 * Y3
      9'd204: instr_d = {MopMul, 7'd16, 7'd16, 7'd25};    // X3 = X3 * T3
      9'd205: instr_d = {MopAdd, 7'd25, 7'd24, 7'd24};    // T3 = T2 + T2
      9'd206: instr_d = {MopAdd, 7'd24, 7'd24, 7'd25};    // T2 = T2 + T3
      9'd207: instr_d = {MopMul, 7'd18, 7'd8, 7'd27};     // Z3 = B * U0
      9'd208: instr_d = {MopSub, 7'd18, 7'd18, 7'd24};    // Z3 = Z3 - T2
      9'd209: instr_d = {MopSub, 7'd18, 7'd18, 7'd22};    // Z3 = Z3 - T0
      9'd210: instr_d = {MopAdd, 7'd25, 7'd18, 7'd18};    // T3 = Z3 + Z3
      9'd211: instr_d = {MopAdd, 7'd18, 7'd18, 7'd25};    // Z3 = Z3 + T3
      9'd212: instr_d = {MopAdd, 7'd25, 7'd22, 7'd22};    // T3 = T0 + T0
      9'd213: instr_d = {MopAdd, 7'd22, 7'd25, 7'd22};    // T0 = T3 + T0
      9'd214: instr_d = {MopSub, 7'd22, 7'd22, 7'd24};    // T0 = T0 - T2
      9'd215: instr_d = {MopMul, 7'd22, 7'd22, 7'd18};    // T0 = T0 * Z3
      9'd216: instr_d = {MopAdd, 7'd11, 7'd17, 7'd22};    // Y1 = Y3 + T0
      9'd217: instr_d = {MopMul, 7'd18, 7'd29, 7'd18};    // Z3 = U2 * Z3
      9'd218: instr_d = {MopSub, 7'd10, 7'd16, 7'd18};    // X1 = X3 - Z3
      9'd219: instr_d = {MopMul, 7'd18, 7'd29, 7'd23};    // Z3 = U2 * T1
      9'd220: instr_d = {MopAdd, 7'd18, 7'd18, 7'd18};    // Z3 = Z3 + Z3
      9'd221: instr_d = {MopAdd, 7'd12, 7'd18, 7'd18};    // Z1 = Z3 + Z3
      9'd222: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // set_infinity:
      9'd223: instr_d = {MopMove, 7'd10, 7'd0, 7'd0};     // X1 = ZERO
      9'd224: instr_d = {MopMove, 7'd11, 7'd4, 7'd0};     // Y1 = RP
      9'd225: instr_d = {MopMove, 7'd12, 7'd0, 7'd0};     // Z1 = ZERO
      9'd226: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // mul_base:
      9'd227: instr_d = {MopMove, 7'd65, 7'd4, 7'd0};     // 65 = RP
      9'd228: instr_d = {MopMove, 7'd64, 7'd0, 7'd0};     // 64 = ZERO
      9'd229: instr_d = {MopMove, 7'd66, 7'd0, 7'd0};     // 66 = ZERO
      9'd230: instr_d = {MopLoad, 7'd68, 7'd0, 7'd120};   // 68 = constant G1_X
      9'd231: instr_d = {MopLoad, 7'd69, 7'd1, 7'd4};     // 69 = constant G1_Y
      9'd232: instr_d = {MopMove, 7'd70, 7'd4, 7'd0};     // 70 = RP
      9'd233: instr_d = {MopLoad, 7'd72, 7'd1, 7'd16};    // 72 = constant G2_X
      9'd234: instr_d = {MopLoad, 7'd73, 7'd1, 7'd28};    // 73 = constant G2_Y
      9'd235: instr_d = {MopMove, 7'd74, 7'd4, 7'd0};     // 74 = RP
      9'd236: instr_d = {MopLoad, 7'd76, 7'd1, 7'd40};    // 76 = constant G3_X
      9'd237: instr_d = {MopLoad, 7'd77, 7'd1, 7'd52};    // 77 = constant G3_Y
      9'd238: instr_d = {MopMove, 7'd78, 7'd4, 7'd0};     // 78 = RP
      9'd239: instr_d = {MopLoad, 7'd80, 7'd1, 7'd64};    // 80 = constant G4_X
      9'd240: instr_d = {MopLoad, 7'd81, 7'd1, 7'd76};    // 81 = constant G4_Y
      9'd241: instr_d = {MopMove, 7'd82, 7'd4, 7'd0};     // 82 = RP
      9'd242: instr_d = {MopLoad, 7'd84, 7'd1, 7'd88};    // 84 = constant G5_X
      9'd243: instr_d = {MopLoad, 7'd85, 7'd1, 7'd100};   // 85 = constant G5_Y
      9'd244: instr_d = {MopMove, 7'd86, 7'd4, 7'd0};     // 86 = RP
      9'd245: instr_d = {MopLoad, 7'd88, 7'd1, 7'd112};   // 88 = constant G6_X
      9'd246: instr_d = {MopLoad, 7'd89, 7'd1, 7'd124};   // 89 = constant G6_Y
      9'd247: instr_d = {MopMove, 7'd90, 7'd4, 7'd0};     // 90 = RP
      9'd248: instr_d = {MopLoad, 7'd92, 7'd2, 7'd8};     // 92 = constant G7_X
      9'd249: instr_d = {MopLoad, 7'd93, 7'd2, 7'd20};    // 93 = constant G7_Y
      9'd250: instr_d = {MopMove, 7'd94, 7'd4, 7'd0};     // 94 = RP
      9'd251: instr_d = {MopLoad, 7'd96, 7'd2, 7'd32};    // 96 = constant G8_X
      9'd252: instr_d = {MopLoad, 7'd97, 7'd2, 7'd44};    // 97 = constant G8_Y
      9'd253: instr_d = {MopMove, 7'd98, 7'd4, 7'd0};     // 98 = RP
      9'd254: instr_d = {MopLoad, 7'd100, 7'd2, 7'd56};   // 100 = constant G9_X
      9'd255: instr_d = {MopLoad, 7'd101, 7'd2, 7'd68};   // 101 = constant G9_Y
      9'd256: instr_d = {MopMove, 7'd102, 7'd4, 7'd0};    // 102 = RP
      9'd257: instr_d = {MopLoad, 7'd104, 7'd2, 7'd80};   // 104 = constant G10_X
      9'd258: instr_d = {MopLoad, 7'd105, 7'd2, 7'd92};   // 105 = constant G10_Y
      9'd259: instr_d = {MopMove, 7'd106, 7'd4, 7'd0};    // 106 = RP
      9'd260: instr_d = {MopLoad, 7'd108, 7'd2, 7'd104};  // 108 = constant G11_X
      9'd261: instr_d = {MopLoad, 7'd109, 7'd2, 7'd116};  // 109 = constant G11_Y
      9'd262: instr_d = {MopMove, 7'd110, 7'd4, 7'd0};    // 110 = RP
      9'd263: instr_d = {MopLoad, 7'd112, 7'd3, 7'd0};    // 112 = constant G12_X
      9'd264: instr_d = {MopLoad, 7'd113, 7'd3, 7'd12};   // 113 = constant G12_Y
      9'd265: instr_d = {MopMove, 7'd114, 7'd4, 7'd0};    // 114 = RP
      9'd266: instr_d = {MopLoad, 7'd116, 7'd3, 7'd24};   // 116 = constant G13_X
      9'd267: instr_d = {MopLoad, 7'd117, 7'd3, 7'd36};   // 117 = constant G13_Y
      9'd268: instr_d = {MopMove, 7'd118, 7'd4, 7'd0};    // 118 = RP
      9'd269: instr_d = {MopLoad, 7'd120, 7'd3, 7'd48};   // 120 = constant G14_X
      9'd270: instr_d = {MopLoad, 7'd121, 7'd3, 7'd60};   // 121 = constant G14_Y
      9'd271: instr_d = {MopMove, 7'd122, 7'd4, 7'd0};    // 122 = RP
      9'd272: instr_d = {MopLoad, 7'd124, 7'd3, 7'd72};   // 124 = constant G15_X
      9'd273: instr_d = {MopLoad, 7'd125, 7'd3, 7'd84};   // 125 = constant G15_Y
      9'd274: instr_d = {MopMove, 7'd126, 7'd4, 7'd0};    // 126 = RP
      9'd275: instr_d = {MopCall, 7'd0, 7'd1, 7'd95};     // call set_infinity
      9'd276: instr_d = {MopIdx, 7'd0, 7'd0, 7'd95};      // idx = 95
      // mul_base_column:
      9'd277: instr_d = {MopCall, 7'd0, 7'd1, 7'd60};     // call point_double
      9'd278: instr_d = {MopComb, 7'd0, 7'd34, 7'd0};     // nibble = column idx of K
      9'd279: instr_d = {MopGet, 7'd13, 7'd0, 7'd0};      // X2 = table[nibble].0
      9'd280: instr_d = {MopGet, 7'd14, 7'd1, 7'd0};      // Y2 = table[nibble].1
      9'd281: instr_d = {MopGet, 7'd15, 7'd2, 7'd0};      // Z2 = table[nibble].2
      9'd282: instr_d = {MopCall, 7'd0, 7'd1, 7'd16};     // call point_add
      9'd283: instr_d = {MopLoop, 7'd0, 7'd2, 7'd21};     // idx--, until it was 0 goto mul_base_column
      9'd284: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // mul_point:
      9'd285: instr_d = {MopMove, 7'd64, 7'd0, 7'd0};     // 64 = ZERO
      9'd286: instr_d = {MopMove, 7'd65, 7'd4, 7'd0};     // 65 = RP
      9'd287: instr_d = {MopMove, 7'd66, 7'd0, 7'd0};     // 66 = ZERO
      9'd288: instr_d = {MopMove, 7'd68, 7'd30, 7'd0};    // 68 = QX
      9'd289: instr_d = {MopMove, 7'd10, 7'd30, 7'd0};    // X1 = QX
      9'd290: instr_d = {MopMove, 7'd13, 7'd30, 7'd0};    // X2 = QX
      9'd291: instr_d = {MopMove, 7'd69, 7'd31, 7'd0};    // 69 = QY
      9'd292: instr_d = {MopMove, 7'd11, 7'd31, 7'd0};    // Y1 = QY
      9'd293: instr_d = {MopMove, 7'd14, 7'd31, 7'd0};    // Y2 = QY
      9'd294: instr_d = {MopMove, 7'd70, 7'd4, 7'd0};     // 70 = RP
      9'd295: instr_d = {MopMove, 7'd12, 7'd4, 7'd0};     // Z1 = RP
      9'd296: instr_d = {MopMove, 7'd15, 7'd4, 7'd0};     // Z2 = RP
      9'd297: instr_d = {MopIdx, 7'd0, 7'd0, 7'd13};      // idx = 13
      // mul_point_table:
      9'd298: instr_d = {MopCall, 7'd0, 7'd1, 7'd16};     // call point_add
      9'd299: instr_d = {MopPut, 7'd0, 7'd10, 7'd0};      // table[15 - idx].0 = X1
      9'd300: instr_d = {MopPut, 7'd1, 7'd11, 7'd0};      // table[15 - idx].1 = Y1
      9'd301: instr_d = {MopPut, 7'd2, 7'd12, 7'd0};      // table[15 - idx].2 = Z1
      9'd302: instr_d = {MopLoop, 7'd0, 7'd2, 7'd42};     // idx--, until it was 0 goto mul_point_table
      9'd303: instr_d = {MopCall, 7'd0, 7'd1, 7'd95};     // call set_infinity
      9'd304: instr_d = {MopIdx, 7'd0, 7'd0, 7'd95};      // idx = 95
      // mul_point_window:
      9'd305: instr_d = {MopCall, 7'd0, 7'd1, 7'd60};     // call point_double
      9'd306: instr_d = {MopCall, 7'd0, 7'd1, 7'd60};     // call point_double
      9'd307: instr_d = {MopCall, 7'd0, 7'd1, 7'd60};     // call point_double
      9'd308: instr_d = {MopCall, 7'd0, 7'd1, 7'd60};     // call point_double
      9'd309: instr_d = {MopWin, 7'd0, 7'd34, 7'd0};      // nibble = window idx of K
      9'd310: instr_d = {MopGet, 7'd13, 7'd0, 7'd0};      // X2 = table[nibble].0
      9'd311: instr_d = {MopGet, 7'd14, 7'd1, 7'd0};      // Y2 = table[nibble].1
      9'd312: instr_d = {MopGet, 7'd15, 7'd2, 7'd0};      // Z2 = table[nibble].2
      9'd313: instr_d = {MopCall, 7'd0, 7'd1, 7'd16};     // call point_add
      9'd314: instr_d = {MopLoop, 7'd0, 7'd2, 7'd49};     // idx--, until it was 0 goto mul_point_window
      9'd315: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // power:
      9'd316: instr_d = {MopMove, 7'd64, 7'd40, 7'd0};    // 64 = UNIT
      9'd317: instr_d = {MopMove, 7'd68, 7'd39, 7'd0};    // 68 = BASE
      9'd318: instr_d = {MopMove, 7'd41, 7'd39, 7'd0};    // POW = BASE
      9'd319: instr_d = {MopIdx, 7'd0, 7'd0, 7'd13};      // idx = 13
      // power_table:
      9'd320: instr_d = {MopMul, 7'd41, 7'd41, 7'd39};    // POW = POW * BASE
      9'd321: instr_d = {MopPut, 7'd0, 7'd41, 7'd0};      // table[15 - idx].0 = POW
      9'd322: instr_d = {MopLoop, 7'd0, 7'd2, 7'd64};     // idx--, until it was 0 goto power_table
      9'd323: instr_d = {MopMove, 7'd41, 7'd40, 7'd0};    // POW = UNIT
      9'd324: instr_d = {MopIdx, 7'd0, 7'd0, 7'd95};      // idx = 95
      // power_window:
      9'd325: instr_d = {MopMul, 7'd41, 7'd41, 7'd41};    // POW = POW * POW
      9'd326: instr_d = {MopMul, 7'd41, 7'd41, 7'd41};    // POW = POW * POW
      9'd327: instr_d = {MopMul, 7'd41, 7'd41, 7'd41};    // POW = POW * POW
      9'd328: instr_d = {MopMul, 7'd41, 7'd41, 7'd41};    // POW = POW * POW
      9'd329: instr_d = {MopWin, 7'd0, 7'd9, 7'd0};       // nibble = window idx of EXP
      9'd330: instr_d = {MopGet, 7'd22, 7'd0, 7'd0};      // T0 = table[nibble].0
      9'd331: instr_d = {MopMul, 7'd41, 7'd41, 7'd22};    // POW = POW * T0
      9'd332: instr_d = {MopLoop, 7'd0, 7'd2, 7'd69};     // idx--, until it was 0 goto power_window
      9'd333: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // on_curve:
      9'd334: instr_d = {MopMul, 7'd22, 7'd32, 7'd32};    // T0 = AX * AX
      9'd335: instr_d = {MopMul, 7'd22, 7'd22, 7'd32};    // T0 = T0 * AX
      9'd336: instr_d = {MopAdd, 7'd23, 7'd32, 7'd32};    // T1 = AX + AX
      9'd337: instr_d = {MopAdd, 7'd23, 7'd23, 7'd32};    // T1 = T1 + AX
      9'd338: instr_d = {MopSub, 7'd22, 7'd22, 7'd23};    // T0 = T0 - T1
      9'd339: instr_d = {MopAdd, 7'd22, 7'd22, 7'd8};     // T0 = T0 + B
      9'd340: instr_d = {MopMul, 7'd23, 7'd33, 7'd33};    // T1 = AY * AY
      9'd341: instr_d = {MopSub, 7'd22, 7'd22, 7'd23};    // T0 = T0 - T1
      9'd342: instr_d = {MopMul, 7'd22, 7'd22, 7'd3};     // T0 = T0 * ONE
      9'd343: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd344: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // affine:
      9'd345: instr_d = {MopMul, 7'd22, 7'd12, 7'd3};     // T0 = Z1 * ONE
      9'd346: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd347: instr_d = {MopBr, 7'd3, 7'd3, 7'd6};        // if zero goto invalid
      9'd348: instr_d = {MopMove, 7'd39, 7'd12, 7'd0};    // BASE = Z1
      9'd349: instr_d = {MopMove, 7'd40, 7'd4, 7'd0};     // UNIT = RP
      9'd350: instr_d = {MopLoad, 7'd9, 7'd0, 7'd24};     // EXP = constant P_MINUS_2
      9'd351: instr_d = {MopCall, 7'd0, 7'd2, 7'd60};     // call power
      9'd352: instr_d = {MopMul, 7'd32, 7'd10, 7'd41};    // AX = X1 * POW
      9'd353: instr_d = {MopMul, 7'd33, 7'd11, 7'd41};    // AY = Y1 * POW
      9'd354: instr_d = {MopCall, 7'd0, 7'd2, 7'd78};     // call on_curve
      9'd355: instr_d = {MopBr, 7'd4, 7'd3, 7'd6};        // if not zero goto invalid
      9'd356: instr_d = {MopMul, 7'd32, 7'd32, 7'd3};     // AX = AX * ONE
      9'd357: instr_d = {MopAdd, 7'd23, 7'd32, 7'd1};     // T1 = AX + P
      9'd358: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};     // T1 = canonical T1, flags
      9'd359: instr_d = {MopRip, 7'd22, 7'd32, 7'd0};     // T0 = canonical AX, flags
      9'd360: instr_d = {MopSel, 7'd32, 7'd22, 7'd23};    // AX = negative ? T1 : T0
      9'd361: instr_d = {MopMul, 7'd33, 7'd33, 7'd3};     // AY = AY * ONE
      9'd362: instr_d = {MopAdd, 7'd23, 7'd33, 7'd1};     // T1 = AY + P
      9'd363: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};     // T1 = canonical T1, flags
      9'd364: instr_d = {MopRip, 7'd22, 7'd33, 7'd0};     // T0 = canonical AY, flags
      9'd365: instr_d = {MopSel, 7'd33, 7'd22, 7'd23};    // AY = negative ? T1 : T0
      9'd366: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // take_point:
      9'd367: instr_d = {MopLoad, 7'd30, 7'd8, 7'd0};     // QX = input X
      9'd368: instr_d = {MopSub, 7'd22, 7'd30, 7'd1};     // T0 = QX - P
      9'd369: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd370: instr_d = {MopBr, 7'd2, 7'd3, 7'd7};        // if not negative goto bad_point
      9'd371: instr_d = {MopLoad, 7'd31, 7'd8, 7'd16};    // QY = input Y
      9'd372: instr_d = {MopSub, 7'd22, 7'd31, 7'd1};     // T0 = QY - P
      9'd373: instr_d = {MopRip, 7'd22, 7'd22, 7'd0};     // T0 = canonical T0, flags
      9'd374: instr_d = {MopBr, 7'd2, 7'd3, 7'd7};        // if not negative goto bad_point
      9'd375: instr_d = {MopMul, 7'd30, 7'd30, 7'd6};     // QX = QX * R2P
      9'd376: instr_d = {MopMove, 7'd32, 7'd30, 7'd0};    // AX = QX
      9'd377: instr_d = {MopMul, 7'd31, 7'd31, 7'd6};     // QY = QY * R2P
      9'd378: instr_d = {MopMove, 7'd33, 7'd31, 7'd0};    // AY = QY
      9'd379: instr_d = {MopCall, 7'd0, 7'd2, 7'd78};     // call on_curve
      9'd380: instr_d = {MopBr, 7'd4, 7'd3, 7'd7};        // if not zero goto bad_point
      9'd381: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // x_mod_order:
      9'd382: instr_d = {MopSub, 7'd23, 7'd32, 7'd2};     // T1 = AX - N
      9'd383: instr_d = {MopRip, 7'd23, 7'd23, 7'd0};     // T1 = canonical T1, flags
      9'd384: instr_d = {MopSel, 7'd42, 7'd23, 7'd32};    // W = negative ? AX : T1
      9'd385: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // invert_mod_order:
      9'd386: instr_d = {MopMove, 7'd40, 7'd5, 7'd0};     // UNIT = RN
      9'd387: instr_d = {MopLoad, 7'd9, 7'd0, 7'd36};     // EXP = constant N_MINUS_2
      9'd388: instr_d = {MopCall, 7'd0, 7'd2, 7'd60};     // call power
      9'd389: instr_d = {MopRet, 7'd0, 7'd0, 7'd0};       // return
      // invalid:
      9'd390: instr_d = {MopEnd, 7'd0, 7'd0, 7'd4};       // ResInvalid
      // bad_point:
      9'd391: instr_d = {MopEnd, 7'd0, 7'd0, 7'd1};       // ResBadPoint
      // no_key:
      9'd392: instr_d = {MopEnd, 7'd0, 7'd0, 7'd3};       // ResNoKey
      default: instr_d = {MopEnd, 7'd0, 7'd0, 7'd4};
    endcase
  end

  always_ff @(posedge clk_i) instr_q <= instr_d;

endmodule
