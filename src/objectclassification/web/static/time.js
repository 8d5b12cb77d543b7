// Times in the reader's zone and language. The server's clock counts, not this device's.
const ahead = Date.parse(document.body.dataset.now) - (performance.timeOrigin + performance.now());
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });
const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** Milliseconds since the epoch, by the server's clock. */
export const now = () => performance.timeOrigin + performance.now() + ahead;

/** How long ago, in words. */
export function age(at) {
  const seconds = Math.min(0, Math.round((at - now()) / 1000));
  const [unit, length] = units.find(([, length]) => -seconds >= length) ?? units[3];
  return relative.format(Math.trunc(seconds / length), unit);
}

const written = new WeakMap(); // of elements: what their time is, exactly

/** Writes every <time datetime> under root; with data-age as how long ago.
 *
 * A long gallery has thousands, which are looked at every ten seconds: what stays is not made anew. */
export function showTimes(root = document) {
  for (const element of root.querySelectorAll('time[datetime]')) {
    const before = written.get(element);
    const isAge = 'age' in element.dataset;
    const at = Date.parse(element.dateTime);
    if (before === at && !isAge) continue;
    if (before !== at) {
      written.set(element, at);
      element[isAge ? 'title' : 'textContent'] = full.format(at);
    }
    if (!isAge) continue;
    const shown = age(at);
    if (element.textContent !== shown) element.textContent = shown;
  }
}
