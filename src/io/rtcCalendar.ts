/**
 * The time, date and alarm registers of the MC146818 as a calendar: they are bytes, BCD or binary, 12 or 24 hours as
 * register B says at the moment, and may hold anything a guest wrote.
 * (MC146818 datasheet, "Time, Calendar, and Alarm Locations".)
 */

import type { Log } from "../shared/device.ts";

const SECONDS = 0x00;
const SECONDS_ALARM = 0x01;
const MINUTES = 0x02;
const MINUTES_ALARM = 0x03;
const HOURS = 0x04;
const HOURS_ALARM = 0x05;
const DAY_OF_WEEK = 0x06;
const DAY_OF_MONTH = 0x07;
const MONTH = 0x08;
const YEAR = 0x09;
/** Century, where the FADT says it is. */
export const CENTURY = 0x32;
const REG_B = 0x0b;
/** B: binary rather than BCD. */
const B_DM = 0x04;
/** B: 24 hours rather than 12. */
const B_24H = 0x02;
const HOURS_PM = 0x80;
/** Alarm bytes with both top bits set match anything. */
const DONT_CARE = 0xc0;

const DAY = 86_400;

/** True for the registers that an update changes. */
export function isTimeRegister(index: number): boolean {
  return index === CENTURY || (index <= YEAR && ![SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM].includes(index));
}

/** Works on the clock's own bytes. */
export class RtcCalendar {
  private readonly bytes: Uint8Array;
  private readonly log: Log;
  private warned = false;

  constructor(bytes: Uint8Array, log: Log) {
    this.bytes = bytes;
    this.log = log;
  }

  /** Sets all registers. `seconds` counts from 1970-01-01. */
  set(seconds: number): void {
    const date = new Date(Math.trunc(seconds) * 1000);
    this.store(date);
    this.bytes[CENTURY] = this.encode(Math.trunc(date.getUTCFullYear() / 100));
    this.bytes[DAY_OF_WEEK] = this.encode(date.getUTCDay() + 1);
  }

  /** Moves the registers on by whole seconds. If they hold no date they stand still. */
  advance(seconds: number): void {
    const date = this.load();
    if (date === undefined) {
      if (!this.warned) this.log("the time registers hold no valid date; the clock stands still");
      this.warned = true;
      return;
    }
    const day = Math.floor(date.getTime() / 1000 / DAY);
    const century = Math.trunc(date.getUTCFullYear() / 100);
    date.setTime(date.getTime() + seconds * 1000);
    const days = Math.floor(date.getTime() / 1000 / DAY) - day;
    this.store(date);
    // Written only when it turns, so that it can be plain memory for a guest that wants that.
    const turned = Math.trunc(date.getUTCFullYear() / 100);
    if (turned !== century) this.bytes[CENTURY] = this.encode(turned);
    // The day of the week is a counter of its own: it need not fit the date.
    const weekday = this.decode(this.bytes[DAY_OF_WEEK]);
    if (days > 0 && weekday !== undefined) this.bytes[DAY_OF_WEEK] = this.encode(((weekday - 1 + days) % 7) + 1);
  }

  /** A time register was written: an invalid date is worth another message. */
  written(): void {
    this.warned = false;
  }

  /** Seconds (1 to 86400) until an update matches the alarm; undefined if none will. */
  secondsToAlarm(): number | undefined {
    const date = this.load();
    if (date === undefined) return undefined;
    const now = Math.floor(date.getTime() / 1000) % DAY;
    let at = now + 1;
    while (at <= now + DAY) {
      const second = at % DAY;
      const minute = Math.trunc(second / 60);
      if (!this.matches(HOURS_ALARM, Math.trunc(minute / 60))) at += 3600 - (second % 3600);
      else if (!this.matches(MINUTES_ALARM, minute % 60)) at += 60 - (second % 60);
      else if (!this.matches(SECONDS_ALARM, second % 60)) at += 1;
      else return at - now;
    }
    return undefined;
  }

  private matches(alarm: number, value: number): boolean {
    const byte = this.bytes[alarm];
    if ((byte & DONT_CARE) === DONT_CARE) return true;
    return value === (alarm === HOURS_ALARM ? this.decodeHours(byte) : this.decode(byte));
  }

  private load(): Date | undefined {
    const field = (index: number) => this.decode(this.bytes[index]);
    const [second, minute, hour] = [field(SECONDS), field(MINUTES), this.decodeHours(this.bytes[HOURS])];
    const [day, month, year] = [field(DAY_OF_MONTH), field(MONTH), field(YEAR)];
    if (second === undefined || minute === undefined || hour === undefined) return undefined;
    if (day === undefined || month === undefined || year === undefined) return undefined;
    if (second > 59 || minute > 59 || hour > 23 || year > 99) return undefined;
    // Guests that use the century byte as plain memory get the calendar of 2000 to 2099.
    const century = field(CENTURY);
    const date = new Date(0);
    date.setUTCFullYear((century !== undefined && century >= 1 ? century : 20) * 100 + year, month - 1, day);
    if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
    date.setUTCHours(hour, minute, second);
    return date;
  }

  private store(date: Date): void {
    this.bytes[SECONDS] = this.encode(date.getUTCSeconds());
    this.bytes[MINUTES] = this.encode(date.getUTCMinutes());
    this.bytes[HOURS] = this.encodeHours(date.getUTCHours());
    this.bytes[DAY_OF_MONTH] = this.encode(date.getUTCDate());
    this.bytes[MONTH] = this.encode(date.getUTCMonth() + 1);
    this.bytes[YEAR] = this.encode(date.getUTCFullYear() % 100);
  }

  private encode(value: number): number {
    return (this.bytes[REG_B] & B_DM) !== 0 ? value : (Math.trunc(value / 10) << 4) | (value % 10);
  }

  /** Undefined for digits above 9 in BCD. */
  private decode(byte: number): number | undefined {
    if ((this.bytes[REG_B] & B_DM) !== 0) return byte;
    return (byte & 15) > 9 || byte >> 4 > 9 ? undefined : (byte >> 4) * 10 + (byte & 15);
  }

  private encodeHours(hour: number): number {
    if ((this.bytes[REG_B] & B_24H) !== 0) return this.encode(hour);
    return this.encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? HOURS_PM : 0);
  }

  private decodeHours(byte: number): number | undefined {
    if ((this.bytes[REG_B] & B_24H) !== 0) return this.decode(byte);
    const hour = this.decode(byte & ~HOURS_PM);
    if (hour === undefined || hour < 1 || hour > 12) return undefined;
    return (hour % 12) + ((byte & HOURS_PM) !== 0 ? 12 : 0);
  }
}
