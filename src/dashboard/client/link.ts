/** The stream from the server, opened again for as long as the page is. */
import type { Hello, News, Sample } from '../wire.ts';

export interface Handlers {
  hello(hello: Hello): void;
  sample(sample: Sample): void;
  told(news: News): void;
  /** `live`: a message came just now. `lost`: trying again. */
  state(state: 'live' | 'lost'): void;
}

/** A sample comes each second; so many missed ones are a server that hangs or a dead connection. */
const SILENCE_MS = 5000;
/** Between two tries. */
const RETRY_MS = 1000;

/**
 * EventSource comes back by itself from a broken connection, but neither from a refusal nor from a
 * server that keeps silent; so it gets a new one in each case.
 */
export function openLink(handlers: Handlers): void {
  const source = new EventSource('page/events');
  let timer = setTimeout(again, SILENCE_MS);
  function again(): void {
    clearTimeout(timer);
    source.close();
    handlers.state('lost');
    setTimeout(() => openLink(handlers), RETRY_MS);
  }
  const listen = (name: string, handle: (message: unknown) => void): void => {
    source.addEventListener(name, (event: MessageEvent<string>) => {
      clearTimeout(timer);
      timer = setTimeout(again, SILENCE_MS);
      handle(JSON.parse(event.data));
      handlers.state('live');
    });
  };
  listen('hello', (hello) => handlers.hello(hello as Hello));
  listen('sample', (sample) => handlers.sample(sample as Sample));
  listen('told', (news) => handlers.told(news as News));
  source.addEventListener('error', again);
}
