import { expect, test } from 'vitest';
import { createLogger, LOG_LEVELS, levelFromEnvironment } from '../../../host/log.ts';

test.each([
  ['debug', 'debug'],
  ['nonsense', 'info'],
  [undefined, 'info'],
])('WVS_LOG_LEVEL=%s gives the level %s', (wanted, level) => {
  const environment = wanted === undefined ? {} : { WVS_LOG_LEVEL: wanted };
  expect(levelFromEnvironment(environment)).toBe(level);
});

test('the level of the options comes before that of the environment', () => {
  for (const level of LOG_LEVELS) {
    expect(createLogger({ level, format: 'json' }).level).toBe(level);
  }
});

test('one line of JSON for each event: level, time, fields, message', () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = createLogger({ level: 'info', fields: { worker: 1 }, destination });
  log.info({ port: 'wan' }, 'ready');
  log.debug('not heard');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      worker: 1,
      port: 'wan',
      msg: 'ready',
    },
  ]);
});
