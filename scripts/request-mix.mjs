/** What the visitors of examples/leaky-express do, for the demo and the bench. */
import { createHash } from 'node:crypto';

/** Each answer is checked. Reports are rare, so that their 250 ms do not become the p99. */
export function requestMix() {
  const photo = 'a photo that is really a text. '.repeat(3_000);
  const photoHash = createHash('sha256').update(photo).digest('hex');
  const json = (answer) => JSON.parse(answer.body.toString());
  return [
    { path: '/', weight: 60, verify: (answer) => answer.body.includes('<h1>For you</h1>') },
    { path: '/products/{id}', weight: 120, verify: (answer, id) => json(answer).asked === id },
    {
      method: 'POST',
      path: '/photos/{id}',
      headers: { 'content-type': 'image/jpeg' },
      body: photo,
      weight: 18,
      verify: (answer, id) => json(answer).name === id && json(answer).sha256 === photoHash,
    },
    { path: '/report?month={id}', weight: 1, verify: (answer, id) => json(answer).month === id },
  ];
}
