/** The first answers of an app under test: whether it can be loaded at all, and with what. */
import { CofferdamError } from '../errors.ts';
import { explainDeath } from './early-end.ts';
import { askOnce } from './load.ts';
import type { Protocol, RequestTemplate } from './load.ts';
import type { Outcome } from './load-request.ts';
import { hasNumber, numberTemplates } from './requests.ts';
import type { Death, Target } from './target.ts';

export interface AnswerOptions {
  readonly templates: readonly RequestTemplate[];
  /** Go on although the app answers with errors. */
  readonly anyStatus: boolean;
}

/**
 * Asks each kind of request once. Returns whether the app takes unique URLs as it takes the given
 * ones; redirects are never followed, so the load stays where it is meant to be.
 * @throws CofferdamError COF_APP_ANSWERS_BADLY
 */
export async function checkAnswers(
  target: Target,
  protocol: Protocol,
  { templates, anyStatus }: AnswerOptions,
): Promise<boolean> {
  const given = numberTemplates(templates, 'as given', 0);
  const marked = numberTemplates(templates, 'unique', 0);
  let takesUnique = true;
  const ask = (template: RequestTemplate): Promise<Outcome> =>
    askOnce(target.url, protocol, template, ANSWER_TIMEOUT_MS);
  for (const [at, template] of given.slice(0, CHECKED_LIMIT).entries()) {
    const answer = await ask(template);
    if (answer.type === 'failure' || (!isSuccess(answer) && !anyStatus)) {
      throw badAnswer(template, answer, await target.settled());
    }
    if (hasNumber(templates)) continue;
    const again = await ask(marked[at] ?? template);
    if (statusOf(again) !== statusOf(answer)) takesUnique = false;
  }
  return takesUnique;
}

// --- internal ---

const CHECKED_LIMIT = 20;
const ANSWER_TIMEOUT_MS = 15_000;

const statusOf = (outcome: Outcome): number =>
  outcome.type === 'answer' ? outcome.answer.status : 0;

const isSuccess = (outcome: Outcome): boolean =>
  statusOf(outcome) >= 200 && statusOf(outcome) < 300;

function badAnswer(
  template: RequestTemplate,
  outcome: Outcome,
  death: Death | null,
): CofferdamError {
  const name = `${template.method ?? 'GET'} ${template.path}`;
  const location = outcome.type === 'answer' ? outcome.answer.headers['location'] : undefined;
  if (death !== null) {
    const message = `the app died on ${name} (${explainDeath(death)})`;
    throw new CofferdamError('COF_APP_ANSWERS_BADLY', message, {
      hint: 'Mend that first: a process that ends at its first request has no time to leak.',
    });
  }
  const what =
    outcome.type === 'failure'
      ? `does not answer ${outcome.note}`
      : typeof location === 'string'
        ? `redirects ${name} to ${location}, and the load follows nobody`
        : `answers ${name} with ${outcome.answer.status}`;
  return new CofferdamError('COF_APP_ANSWERS_BADLY', `the app ${what}`);
}
