/**
 * Registers of the 16550 UART (PC16550D datasheet, section 8.0).
 *
 *     offset  DLAB=0 read/write   DLAB=1
 *       0     RBR / THR           DLL
 *       1     IER                 DLM
 *       2     IIR / FCR
 *       3     LCR   DLAB 7 | break 6 | parity 5:3 | STB 2 | WLS 1:0
 *       4     MCR   0 0 0 LOOP | OUT2 OUT1 RTS DTR
 *       5     LSR   RXFE TEMT THRE BI | FE PE OE DR
 *       6     MSR   DCD RI DSR CTS | DDCD TERI DDSR DCTS
 *       7     SCR
 */

/** IER: which sources may interrupt. */
export const IER_ERBFI = 0x01;
export const IER_ETBEI = 0x02;
export const IER_ELSI = 0x04;
export const IER_EDSSI = 0x08;
export const IER_MASK = 0x0f;

/** IIR 3:0, highest priority first (table IV of the datasheet); bits 7:6 are set while the FIFOs are on. */
export const IIR_RLS = 0x06;
export const IIR_RDA = 0x04;
export const IIR_CTI = 0x0c;
export const IIR_THRE = 0x02;
export const IIR_MODEM = 0x00;
export const IIR_NONE = 0x01;
export const IIR_FIFO = 0xc0;

export const FCR_ENABLE = 0x01;
export const FCR_CLEAR_RX = 0x02;
export const FCR_CLEAR_TX = 0x04;
export const TRIGGER = [1, 4, 8, 14] as const;

export const LCR_DLAB = 0x80;
export const LCR_BREAK = 0x40;
const LCR_PARITY = 0x08;
const LCR_STOP = 0x04;
const LCR_WLS = 0x03;

export const MCR_DTR = 0x01;
export const MCR_RTS = 0x02;
export const MCR_LOOP = 0x10;
export const MCR_MASK = 0x1f;

export const LSR_DR = 0x01;
export const LSR_OE = 0x02;
export const LSR_FE = 0x08;
export const LSR_BI = 0x10;
export const LSR_ERRORS = 0x1e;
export const LSR_THRE = 0x20;
export const LSR_TEMT = 0x40;
export const LSR_FIFO_ERROR = 0x80;

/** MSR 7:4, the inputs as they are; 3:0 say which changed since MSR was read. */
export const MSR_CTS = 0x10;
export const MSR_DSR = 0x20;
export const MSR_RI = 0x40;
export const MSR_DCD = 0x80;

export const FIFO_SIZE = 16;
/** Input clock of a PC's UARTs in Hz; one bit takes 16 * divisor cycles. */
const CLOCK_HZ = 1_843_200n;
/** What firmware leaves behind: 9600 baud. */
export const RESET_DIVISOR = 12;
const SECOND = 1_000_000_000n;

/**
 * Nanoseconds of a character: start, data, parity and stop bits at the programmed rate. A divisor of 0 counts as 1.
 */
export function characterTime(lcr: number, divisor: number): bigint {
  const data = 5 + (lcr & LCR_WLS);
  const halfStops = lcr & LCR_STOP ? (data === 5 ? 3 : 4) : 2;
  const halfBits = 2 * (1 + data + (lcr & LCR_PARITY ? 1 : 0)) + halfStops;
  return (BigInt(halfBits) * 8n * BigInt(divisor || 1) * SECOND) / CLOCK_HZ;
}
