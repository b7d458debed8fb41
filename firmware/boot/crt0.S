/* SPDX-License-Identifier: Apache-2.0
 * Entry of the firmware: stack, trap vector, initialised data, bus fault interrupt, main().
 * Any trap, a bus fault or a return of main() is the end: the hardware is told, which
 * erases keys and lets DOE answer Error until the next reset.
 */
  .section .text.start, "ax"
  .globl _start
_start:
  la    sp, _stack_top
  la    t0, trap_entry
  csrw  mtvec, t0

  la    t0, _data_load
  la    t1, _data_start
  la    t2, _data_end
1:
  bgeu  t1, t2, 2f
  lw    t3, 0(t0)
  sw    t3, 0(t1)
  addi  t0, t0, 4
  addi  t1, t1, 4
  j     1b
2:
  la    t1, _bss_start
  la    t2, _bss_end
3:
  bgeu  t1, t2, 4f
  sw    zero, 0(t1)
  addi  t1, t1, 4
  j     3b
4:
  /* Interrupt 0 of the array is the bus fault (mask CSR BC0h), then MEIE and MIE. */
  li    t0, 1
  csrw  0xBC0, t0
  li    t0, 0x800
  csrw  mie, t0
  csrsi mstatus, 8
  call  main
  j     trap_entry

  .balign 4
  .weak trap_entry
trap_entry:
  li    t0, 0x40080028   /* SYS_FATAL */
  sw    t0, 0(t0)
5:
  j     5b
