// The recorder describes every frame it saw; so does describeFrame(), in the same words.

import { expect, it } from 'vitest';
import { describeFrame } from '../../host/replay/describe.ts';
import { readRecording, recordingNames } from './recordings.ts';

it('every frame of every recording: described as the recorder did', () => {
  let frames = 0;
  for (const name of recordingNames()) {
    for (const { number, output = [] } of readRecording(name).steps) {
      for (const { frame, description } of output) {
        if (describeFrame(frame) !== description) {
          expect(describeFrame(frame), `${name}, step ${number}`).toBe(description);
        }
        frames++;
      }
    }
  }
  expect(frames).toBeGreaterThan(20_000);
});
