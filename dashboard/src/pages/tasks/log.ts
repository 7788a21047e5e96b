import type { LogEntry } from '../../api';

const LINE = 65536; // characters of a joined line; longer ones stay several entries

/** The text without escape sequences (ECMA-48). */
export const plain = (text: string) =>
  text.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\`-~])?/g, '');

/** Appends a page of a log. Joins an entry that continues its stream's last line with that line.
 *  Changes neither argument. */
export function joined(shown: LogEntry[], page: LogEntry[]): LogEntry[] {
  const entries = [...shown];
  for (const entry of page) {
    let at = entry.continues ? entries.length - 1 : -1;
    while (at >= 0 && entries[at]?.stream !== entry.stream) at--;
    const begun = entries[at];
    if (begun && begun.text.length + entry.text.length <= LINE) entries[at] = { ...begun, text: begun.text + entry.text };
    else entries.push(entry);
  }
  return entries;
}
