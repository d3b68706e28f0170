import { readFileSync } from 'node:fs';

/** The certificate that the echo app shows (self-signed, so it is its own authority). */
export const TEST_CA = readFileSync(new URL('../apps/tls/cert.pem', import.meta.url));
