/* SPDX-License-Identifier: Apache-2.0
 * Memory map and registers of the DSM, for hal_soc.c and the boot ROM only.
 * The hardware's twin is rtl/pkg/dsm_pkg.sv; each register is explained in the header of its module.
 */
#ifndef TEEIO_SOC_H
#define TEEIO_SOC_H

#include <stdint.h>

#define SOC_BOOT_BASE 0x00000000u
#define SOC_BOOT_BYTES 4096u
#define SOC_FIRMWARE_BASE 0x10000000u
#define SOC_FIRMWARE_BYTES 65536u
#define SOC_SLOT0_BASE 0x18000000u
#define SOC_SLOT0_BYTES 4096u
#define SOC_RAM_BASE 0x20000000u
#define SOC_RAM_BYTES 32768u

#define SOC_PERIPHERAL(n) (0x40000000u + ((uint32_t)(n) << 16))
#define SOC_DOE SOC_PERIPHERAL(0)
#define SOC_SHA SOC_PERIPHERAL(1)
#define SOC_AEAD SOC_PERIPHERAL(2)
#define SOC_P384 SOC_PERIPHERAL(3)
#define SOC_RANDOM SOC_PERIPHERAL(4)
#define SOC_KEY SOC_PERIPHERAL(5)
#define SOC_TDI SOC_PERIPHERAL(6)
#define SOC_SNAPSHOT SOC_PERIPHERAL(7)
#define SOC_SYSTEM SOC_PERIPHERAL(8)
#define SOC_MEASURE SOC_PERIPHERAL(9)
#define SOC_DOE_REQUEST SOC_PERIPHERAL(14)
#define SOC_DOE_RESPONSE SOC_PERIPHERAL(15)

/* One 32-bit register. Registers take whole words only. */
#define SOC_REG(base, offset) (*(volatile uint32_t *)((base) + (offset)))

/* DOE exchange (rtl/dsm/dsm_doe_regs.sv) */
#define DOE_REQUEST 0x00u
#define DOE_RESPOND 0x04u
#define DOE_DISCARD 0x08u
#define DOE_FAIL 0x0Cu
#define DOE_STATE 0x10u

/* SHA-384 (rtl/dsm/dsm_sha384.sv) */
#define SHA_COMMAND 0x00u
#define SHA_STATUS 0x04u
#define SHA_STATE 0x40u
#define SHA_DATA 0x80u
enum { SHA_CMD_INIT = 1, SHA_CMD_RESTORE = 2, SHA_CMD_ERASE = 3 };

/* AEAD (rtl/dsm/dsm_aead.sv) */
#define AEAD_KEY_LOAD 0x00u
#define AEAD_KEY_ERASE 0x04u
#define AEAD_START 0x08u
#define AEAD_PUSH 0x0Cu
#define AEAD_STATUS 0x10u
#define AEAD_FINISH 0x14u
#define AEAD_ABORT 0x18u
#define AEAD_KEY 0x20u
#define AEAD_IV 0x40u
#define AEAD_IN 0x50u
#define AEAD_OUT 0x60u
#define AEAD_TAG 0x70u
enum { AEAD_START_DECRYPT = 1 << 8, AEAD_PUSH_AAD = 1 << 8, AEAD_PUSH_LAST = 1 << 9 };
enum { AEAD_FINISH_OK = 1 << 0 };

/* P-384 (rtl/dsm/dsm_p384.sv) */
#define P384_COMMAND 0x000u
#define P384_RESULT 0x004u
#define P384_OUT 0x080u
#define P384_IN 0x200u
#define P384_REGISTER 0x40u /* bytes from one 48-byte register to the next */
enum { P384_OP_KEYGEN = 0, P384_OP_ECDH = 1, P384_OP_SIGN = 2, P384_OP_PUBLIC = 3,
       P384_OP_VERIFY = 4, P384_OP_WIPE = 5 };
enum { P384_IN_X = 0, P384_IN_Y = 1, P384_IN_E = 2 };
enum { P384_RES_OK = 0 };

/* Random words (rtl/dsm/dsm_random.sv) */
#define RANDOM_STATUS 0x00u
#define RANDOM_DATA 0x04u

/* IDE key bus (rtl/dsm/dsm_key_bus.sv) */
#define KEY_DATA 0x00u
#define KEY_TAG 0x04u
#define KEY_COMMAND 0x08u
#define KEY_STATUS 0x0Cu
#define KEY_KILL 0x10u
enum { KEY_OP_LOAD = 0, KEY_OP_COMMIT = 1, KEY_OP_GO = 2, KEY_OP_STOP = 3, KEY_OP_ABANDON = 5 };

/* TDI command bus (rtl/dsm/dsm_tdi_bus.sv) */
#define TDI_COMMAND 0x00u
#define TDI_TAG 0x04u
#define TDI_RESULT 0x08u
#define TDI_STATES 0x0Cu
#define TDI_PAGES 0x10u
#define TDI_MASK_LOW 0x14u
#define TDI_MASK_HIGH 0x18u
#define TDI_NONCE 0x20u
#define TDI_GIVEN 0x40u
enum {
  TDI_OP_LOCK = 1,
  TDI_OP_START = 2,
  TDI_OP_STOP = 3,
  TDI_OP_SET_ATTRIBUTE = 4,
  TDI_OP_BIND_P2P = 5,
  TDI_OP_UNBIND_P2P = 6
};
enum {
  TDI_LOCK_MSIX = 1 << 24,
  TDI_NO_FW_UPDATE = 1 << 25,
  TDI_BIND_P2P = 1 << 26,
  TDI_NON_TEE = 1 << 27
};

/* System (rtl/dsm/dsm_system.sv) */
#define SYS_WAIT 0x00u
#define SYS_EVENTS 0x04u
#define SYS_STATUS 0x08u
#define SYS_CYCLES 0x0Cu
#define SYS_CYCLES_HI 0x10u
#define SYS_TIMER 0x14u
#define SYS_TIMER_HI 0x18u
#define SYS_TIMER_OFF 0x1Cu
#define SYS_CLOCK 0x20u
#define SYS_BUS_DEV 0x24u
#define SYS_FATAL 0x28u
enum { SYS_STATUS_BUS_FAULT = 1 << 2 };

/* Measurements (rtl/dsm/dsm_measure.sv) */
#define MEASURE_ROM 0x00u
#define MEASURE_FIRMWARE 0x40u
#define MEASURE_LOCK 0x80u

#endif
