/**
 * IA32_APIC_BASE and the modes of a local APIC (SDM vol. 3, 11.4.4 and 11.12.1):
 *
 *     63       MAXPHYADDR          12  11   10   9   8   7      0
 *     +-----------+------------------+----+----+---+---+----------+
 *     |     0     |     page base    | EN |EXTD| 0 |BSP|    0     |
 *     +-----------+------------------+----+----+---+---+----------+
 */

export const APIC_BASE_BSP = 1n << 8n;
/** EXTD: x2APIC mode. */
export const APIC_BASE_X2APIC = 1n << 10n;
/** EN: without it, there is no local APIC. */
export const APIC_BASE_ENABLE = 1n << 11n;
export const APIC_BASE_DEFAULT = 0xfee0_0000n;
const RESERVED = 0x2ffn;

/** A value the register can have: no reserved bit, no EXTD without EN. */
export function validApicBase(value: bigint, physicalBits: number): boolean {
  if ((value & RESERVED) !== 0n || value >> BigInt(physicalBits) !== 0n) return false;
  return (value & APIC_BASE_X2APIC) === 0n || (value & APIC_BASE_ENABLE) !== 0n;
}

/**
 * Whether software may change the register from one valid value to another (figure 11-27); what may not is #GP.
 *
 *     from \ to    disabled   xAPIC   x2APIC
 *     disabled     yes        yes     no
 *     xAPIC        yes        yes     yes
 *     x2APIC       yes        no      yes
 */
export function legalTransition(from: bigint, to: bigint): boolean {
  if ((to & APIC_BASE_X2APIC) !== 0n) return (from & APIC_BASE_ENABLE) !== 0n;
  return (from & APIC_BASE_X2APIC) === 0n || (to & APIC_BASE_ENABLE) === 0n;
}
