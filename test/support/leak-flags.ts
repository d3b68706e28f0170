/** Flags of `cofferdam leak` that several tests give it. */

/** Warm-up and load, and none of the phases around them. */
export const LOAD_ONLY = ['--rest', 'off', '--slow', 'off'];

/** Small batches keep the rate low: these tests share two cores with others. */
export const SMALL_BATCHES = '--rate 400 --batch 80 --rest 500ms --slow off'.split(' ');
