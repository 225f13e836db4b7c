/** Characters of a machine's name. */
export const NAME_MAX = 80;
