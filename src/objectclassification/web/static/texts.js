// The page's texts (texts.toml), as the server wrote them into it.
const texts = JSON.parse(document.getElementById('texts').textContent);

/** Returns a text of this page with its {names} filled in; {n|picture|pictures} is the word for n. */
export function text(key, values = {}) {
  if (!(key in texts)) throw new Error(`no text ${key}`);
  return texts[key].replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name, one, many) => {
    const value = values[name] ?? whole;
    return one === undefined || value === whole ? value : String(value) === '1' ? one : many;
  });
}
