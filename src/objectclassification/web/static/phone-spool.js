// Pictures that are not uploaded yet, in the browser's database: they outlive a reload and a crash.
import { Failure } from './phone-eye.js';
import { text } from './texts.js';

const MOST_BYTES = 256 * 2 ** 20;

const result = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export class Spool {
  #db = null;

  /** What is in it, the oldest first: {key (of the upload), camera, snap, origin, blob, takenAt and
   * wantedUntil (milliseconds since the epoch)}. */
  items = [];

  /** Opens it. onDropped(): a picture had to give way. */
  async open(onDropped) {
    this.onDropped = onDropped;
    this.items = await this.#run('readonly', (store) => store.getAll());
    this.items.sort((a, b) => a.takenAt - b.takenAt);
    navigator.storage?.persist?.(); // else a phone that is short of room may clear it
  }

  /** Adds a picture, and returns once it is on the disk. Without room those that nobody waits for any
   * more give way, the oldest first; without these it throws a Failure. */
  async add(item) {
    for (;;) {
      try {
        const bytes = this.items.reduce((sum, { blob }) => sum + blob.size, item.blob.size);
        if (bytes > MOST_BYTES) throw new DOMException('', 'QuotaExceededError');
        await this.#run('readwrite', (store) => store.put(item));
        this.items.push(item);
        return;
      } catch (error) {
        if (error?.name !== 'QuotaExceededError') throw error;
        const oldest = this.items.find(({ wantedUntil }) => wantedUntil < Date.now());
        if (!oldest) throw new Failure('capture_failed', text('full'));
        await this.remove(oldest.key);
        this.onDropped();
      }
    }
  }

  async remove(key) {
    await this.#run('readwrite', (store) => store.delete(key));
    this.items = this.items.filter((item) => item.key !== key);
  }

  /** Runs a transaction; once more if the database is gone, as it may be after a phone's sleep. */
  async #run(mode, ask, isLast = false) {
    try {
      this.#db ??= await this.#connect();
      const transaction = this.#db.transaction('pictures', mode, { durability: 'strict' });
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      return (await Promise.all([result(ask(transaction.objectStore('pictures'))), done]))[0];
    } catch (error) {
      if (isLast || error?.name === 'QuotaExceededError') throw error;
      this.#db = null;
      return this.#run(mode, ask, true);
    }
  }

  #connect() {
    const request = indexedDB.open('objectclassification-phone');
    request.onupgradeneeded = () => request.result.createObjectStore('pictures', { keyPath: 'key' });
    return result(request);
  }
}
