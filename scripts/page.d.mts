/** Throws with the compiler's words when the page's script has an error. */
export function buildPage(): void;
