// The HTTP API: JSON in, JSON out, and for whatever is wrong one line to a person.
import { text } from './texts.js';

/** What the server refused: message is its line, code its stable name. */
export class Problem extends Error {
  constructor(message, status = 0, code = 'no_answer') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Calls the API; body is sent as JSON. Answers what came, null without a body.
 * Throws a Problem; who is not signed in any more is led to the form. */
export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    });
  } catch {
    throw new Problem(text('no_answer'));
  }
  if (answer.status === 401) leave();
  const said = await answer.json().catch(() => null);
  if (answer.ok) return said;
  throw new Problem(
    said?.detail ?? text('odd_answer', { status: answer.status }), answer.status, said?.code);
}

/** Goes to the form, which says that the session has ended, and back here after it. */
export function leave() {
  const here = location.pathname + location.search;
  location.assign(`/signin?why=ended&next=${encodeURIComponent(here)}`);
}
