/** Durations that the settings tables share. */

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const DAY_MS = 24 * 60 * MINUTE_MS;
/** Node's timers overflow (and fire at once) above 2^31-1 ms, which is 24.8 days. */
export const TIMER_MAX_MS = 24 * DAY_MS;
