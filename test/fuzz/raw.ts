/** Bytes in pieces, as a network may bring them, and clients that leave at any moment. */
import type { Dice } from '../sim/dice.ts';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Somewhere, some bytes: another value, one less, one more, a piece twice. */
export function mutate(bytes: Buffer, dice: Dice): Buffer {
  if (bytes.length === 0) return bytes;
  const at = dice.whole(0, bytes.length - 1);
  const rest = bytes.subarray(at + 1);
  const piece = bytes.subarray(at, at + dice.whole(1, 20));
  switch (dice.whole(0, 4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([dice.whole(0, 255)]), rest]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), rest]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at + 1), Buffer.from([dice.whole(0, 255)]), rest]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
    default:
      return bytes.subarray(0, at);
  }
}

/** Writes it in one to four pieces. */
export async function writeInPieces(socket: Socket, bytes: Buffer, dice: Dice): Promise<void> {
  let rest = bytes;
  for (let left = dice.whole(0, 3); left > 0 && rest.length > 1; left -= 1) {
    const at = dice.whole(1, rest.length - 1);
    socket.write(rest.subarray(0, at));
    rest = rest.subarray(at);
    if (dice.chance(0.5)) await sleep(dice.whole(0, 3));
  }
  socket.write(rest);
}

/** Leaves: with a FIN, with a reset, or half, which is as good as gone. */
export async function leave(socket: Socket, dice: Dice, isTls = false): Promise<void> {
  if (dice.chance(0.7)) await sleep(dice.whole(0, 12));
  // Node 20 crashes when what is under TLS is reset.
  if (dice.chance(0.3) && !isTls) socket.resetAndDestroy();
  else if (dice.chance(0.2)) {
    socket.end();
    await sleep(20);
  }
  socket.destroy();
}

/** Plays the rounds, several at a time; each has dice of its own, so that one can be played again. */
export async function playRounds(
  count: number,
  atOnce: number,
  play: (round: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await play(next);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
