/**
 * Takes over recordings: `node test/conformance/import-recordings.js DIRECTORY` compresses every
 * DIRECTORY/*.jsonl into recordings/NAME.jsonl.gz, bytes unchanged. The same input gives the same
 * files, and recordings that are no longer in DIRECTORY are removed.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const [directory] = process.argv.slice(2);
if (directory === undefined) {
  console.error('usage: node test/conformance/import-recordings.js DIRECTORY');
  process.exit(2);
}

const target = join(import.meta.dirname, 'recordings');
const names = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
for (const name of readdirSync(target)) {
  if (!names.includes(name.replace(/\.gz$/, ''))) rmSync(join(target, name));
}
let total = 0;
for (const name of names) {
  const compressed = gzipSync(readFileSync(join(directory, name)), { level: 9 });
  writeFileSync(join(target, `${name}.gz`), compressed);
  total += compressed.length;
}
console.log(`${names.length} recordings, ${total} bytes compressed`);
