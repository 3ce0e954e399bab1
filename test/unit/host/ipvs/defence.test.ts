import { describe, expect, it } from 'vitest';
import { updateDefence } from '../../../../host/ipvs/defence.ts';
import { Sysctls } from '../../../../host/ipvs/sysctls.ts';

const PLENTY = 5000;
const SHORT = 512;

/** Mode before, free pages, mode after, whether the measure is in force. */
const MODES: [mode: number, pages: number, after: number, isOn: boolean][] = [
  [0, PLENTY, 0, false],
  [0, SHORT, 0, false],
  [1, PLENTY, 1, false],
  [1, SHORT, 2, true],
  [2, PLENTY, 1, false],
  [2, SHORT, 2, true],
  [3, PLENTY, 3, true],
  [3, SHORT, 3, true],
];

describe('defence modes', () => {
  for (const [mode, pages, after, isOn] of MODES) {
    it(`mode ${mode}, ${pages} pages free: mode ${after}, ${isOn ? 'on' : 'off'}`, () => {
      const sysctls = new Sysctls();
      const names = ['drop_entry', 'drop_packet', 'secure_tcp'];
      for (const name of names) sysctls.write(name, String(mode));
      const state = updateDefence(sysctls, pages);
      for (const name of names) expect(sysctls.number(name)).toBe(after);
      expect(state.dropsEntries).toBe(isOn);
      expect(state.securesTcp).toBe(isOn);
      expect(state.dropRate > 0).toBe(isOn);
    });
  }

  it.each([
    [512, 2],
    [1000, 42],
    [1023, 1024],
    [0, 1],
  ])('%i of 1024 pages free: one packet of %i is dropped', (pages, rate) => {
    const sysctls = new Sysctls();
    sysctls.write('drop_packet', '1');
    expect(updateDefence(sysctls, pages)).toMatchObject({ dropRate: rate, restartsCounter: true });
  });

  it('always on: the rate is am_droprate, and the counter goes on', () => {
    const sysctls = new Sysctls();
    sysctls.write('drop_packet', '3');
    sysctls.write('am_droprate', '7');
    expect(updateDefence(sysctls, SHORT)).toMatchObject({ dropRate: 7, restartsCounter: false });
  });
});
