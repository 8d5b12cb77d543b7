// Receipts that go on while they are looked at.
import { live } from './live.js';
import { renew } from './renew.js';

const LEAST_MS = 500;
const { snap, topics } = document.getElementById('receipts').dataset; // of one; else the list
let waiting = 0;

live({
  topics: topics?.split(' ') ?? (snap ? ['snaps', 'shots'] : ['snaps']),
  onMessage: ({ type, data }) => {
    if (type !== 'event' || (snap && data.snap !== snap)) return;
    waiting ||= setTimeout(() => {
      waiting = 0;
      renew().catch(() => {}); // the next event, or the next gap, brings it
    }, LEAST_MS);
  },
  refresh: renew,
});
