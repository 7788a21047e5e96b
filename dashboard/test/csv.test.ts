import { expect, it } from 'vitest';
import { toCsv } from '../src/csv';

it('quotes what needs it', () =>
  expect(toCsv([['a,b', 'say "x"', 'two\nlines', null, 1.5, -2]])).toBe('"a,b","say ""x""","two\nlines",,1.5,-2\r\n'));

it('lets no text be taken for a formula', () => expect(toCsv([['=1+1', '@x']])).toBe("'=1+1,'@x\r\n"));
