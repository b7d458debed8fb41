/* SPDX-License-Identifier: Apache-2.0
 * Entry of the boot ROM. Registers still hold what the owner before the reset left: clear them all.
 */
  .section .text.start, "ax"
  .globl _start
_start:
  la    t0, trap
  csrw  mtvec, t0
  .irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  mv    x\r, zero
  .endr
  la    sp, _stack_top
  call  boot_main
  /* boot_main gives the entry of the firmware; nothing of the boot ROM stays in registers. */
  mv    ra, zero
  mv    sp, zero
  jr    a0

  .balign 4
trap:
  li    t0, 0x40080028   /* SYS_FATAL */
  sw    t0, 0(t0)
1:
  j     1b
