/** What a snapshot file begins with. */
export const MAGIC = "TABHYVE\0";
