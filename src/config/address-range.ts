/** Addresses that are believed: `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`; `unix`: any unix socket. */
import { isIP } from 'node:net';

export const ADDRESS_RANGE = {
  test(text: string): boolean {
    if (text === 'unix') return true;
    const [address = '', prefix, ...more] = text.split('/');
    const family = isIP(address);
    if (family === 0 || more.length > 0) return false;
    if (prefix === undefined) return true;
    return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 6 ? 128 : 32);
  },
};
