// This device's camera: a picture that was exposed after a moment, at the best size there is.
import { text } from './texts.js';

const LATENCY_MS = 100; // from exposure to a frame's time stamp, as of other streams (capture/source.py)
const PHOTO_MS = 8000;
const DARK_PATIENCE_MS = 1000;
const BACK = { facingMode: 'environment' };

/** Why there is no picture: code is one of the protocol's failures. */
export class Failure extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

const now = () => performance.now();
const encode = (canvas) => canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
const within = (ms, promise) => Promise.race([promise, new Promise((_, reject) => setTimeout(reject, ms))]);

export class Eye {
  #opening = null;
  #track = null;
  #stills = null; // an ImageCapture, where the browser has one that works
  #size = {};
  #small = new OffscreenCanvas(64, 48).getContext('2d', { willReadFrequently: true });

  /** most: pixels and bytes that the server takes. onLost(): the camera was taken away. */
  constructor(video, most, onLost) {
    Object.assign(this, { video, most, onLost });
  }

  /** Starts a camera, the back one unless a device is given; throws what getUserMedia does. */
  open(deviceId) {
    this.#opening = this.#open(deviceId);
    return this.#opening;
  }

  async #open(deviceId) {
    this.close();
    const size = { width: { ideal: 3840 }, height: { ideal: 2160 } };
    const ask = (which) => navigator.mediaDevices.getUserMedia({ video: { ...which, ...size } });
    const stream = await ask(deviceId ? { deviceId: { exact: deviceId } } : BACK).catch((error) => {
      if (error.name !== 'OverconstrainedError') throw error;
      return ask(BACK); // that lens is gone, or has another id now
    });
    [this.#track] = stream.getVideoTracks();
    this.#track.onended = this.onLost;
    this.video.srcObject = stream;
    await this.video.play();
    this.deviceId = this.#track.getSettings().deviceId;
    this.hasTorch = Boolean(this.#track.getCapabilities?.().torch);
    this.#stills = await this.#newStills().catch(() => null);
  }

  close() {
    this.#track?.stop();
  }

  light(on) {
    return this.#track.applyConstraints({ advanced: [{ torch: on }] });
  }

  /** Takes a picture that was exposed between two moments of performance.now().
   * Answers {blob, takenAt, ms, warnings}; throws a Failure. */
  async shoot(after, until) {
    if (document.hidden) throw new Failure('capture_failed', text('hidden'));
    const [began, warnings] = [now(), []];
    await this.#opening; // another lens, perhaps
    let frame = await this.#lit(after, until, !this.#stills && warnings);
    const [takenAt, asked] = [Date.now(), now()];
    const wait = asked - began;
    if (this.#stills) {
      try {
        // What the camera gives now is newer than the frame, and that is from after the moment.
        const still = await within(Math.min(PHOTO_MS, until - asked), this.#stills.takePhoto(this.#size));
        return { blob: await this.#fit(still, warnings), takenAt, ms: { wait, photo: now() - asked }, warnings };
      } catch {
        this.#stills = null; // what hung once will hang again
        warnings.push(text('no_still'));
        frame = await this.#lit(after, until, warnings);
      }
    }
    const painted = now();
    const blob = await encode(frame.canvas);
    return { blob, takenAt: frame.takenAt, ms: { wait, encode: now() - painted }, warnings };
  }

  async #newStills() {
    const stills = new ImageCapture(this.#track);
    const { imageWidth, imageHeight } = await within(PHOTO_MS, stills.getPhotoCapabilities());
    // Some browsers give the video's size unless another is asked for.
    this.#size = imageWidth?.max ? { imageWidth: imageWidth.max, imageHeight: imageHeight.max } : {};
    return stills;
  }

  async #lit(after, until, warnings) {
    const patience = Math.min(until, now() + DARK_PATIENCE_MS);
    for (;;) {
      const frame = await this.#frame(after, until, warnings);
      if (!frame.isDark) return frame;
      if (now() > patience) throw new Failure('dark', text('dark'));
    }
  }

  /** The next frame that was exposed after a moment, by its time stamp; painted if warnings may be. */
  #frame(after, until, warnings) {
    return new Promise((resolve, reject) => {
      let failure = new Failure('capture_failed', text('no_frame'));
      const timer = setTimeout(() => reject(failure), Math.max(0, until - now()));
      const look = (shown, { captureTime = shown, width, height }) => {
        failure = new Failure('stale', text('stale'));
        const at = captureTime - LATENCY_MS;
        if (at <= after) return this.video.requestVideoFrameCallback(look);
        clearTimeout(timer);
        const isDark = this.#isDark();
        const canvas = warnings && !isDark && this.#paint(this.video, width, height, warnings);
        resolve({ canvas, isDark, takenAt: Date.now() - now() + at });
      };
      this.video.requestVideoFrameCallback(look);
    });
  }

  /** Whether it shows black: the rule and its numbers are those of capture/picture.py. */
  #isDark() {
    this.#small.drawImage(this.video, 0, 0, 64, 48);
    const { data } = this.#small.getImageData(0, 0, 64, 48);
    const greys = [];
    for (let i = 0; i < data.length; i += 4) greys.push(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
    const mean = (all) => all.reduce((sum, one) => sum + one) / all.length;
    const level = mean(greys);
    return level <= 10 && mean(greys.map((grey) => (grey - level) ** 2)) <= 5 ** 2;
  }

  /** A still as it is, or smaller if the server takes none of that size. */
  async #fit(still, warnings) {
    const { imageWidth = 0, imageHeight = 0 } = this.#size;
    if (imageWidth * imageHeight <= this.most.pixels && still.size <= this.most.bytes) return still;
    const bitmap = await createImageBitmap(still);
    const canvas = this.#paint(bitmap, bitmap.width, bitmap.height, warnings, still.size);
    bitmap.close();
    return encode(canvas);
  }

  #paint(source, width, height, warnings, bytes = 0) {
    const shrink = Math.sqrt(Math.min(1, this.most.pixels / (width * height), this.most.bytes / bytes));
    const canvas = new OffscreenCanvas(Math.floor(width * shrink), Math.floor(height * shrink));
    canvas.getContext('2d').drawImage(source, 0, 0, canvas.width, canvas.height);
    const [from, to] = [`${width}×${height}`, `${canvas.width}×${canvas.height}`];
    if (shrink < 1) warnings.push(text('shrunk', { from, to }));
    return canvas;
  }
}
