// The reader's own time zone is offered, and the list stays as it is at the server.
import { renew } from './renew.js';

const EVERY_MS = 30_000;
const zone = document.getElementById('zone');
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;

if (zone && here) zone.value = here;
setInterval(() => document.hidden || renew().catch(() => {}), EVERY_MS); // the next one may come through
