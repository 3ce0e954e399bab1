// What keys do to the view: pure.

import type { SortKey } from './model.ts';
import type { View } from './render.ts';

/** What a key asks for. */
export type Action =
  | { readonly kind: 'quit' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'redraw' }
  | { readonly kind: 'interval'; readonly factor: number }
  | { readonly kind: 'view'; readonly view: View };

/** Where the list can be scrolled to, and how far a page is. */
export interface ScrollRange {
  readonly max: number;
  readonly page: number;
}

const SORT_LETTERS: Readonly<Record<string, SortKey>> = {
  c: 'connections',
  a: 'active',
  p: 'packets',
  b: 'bits',
  n: 'name',
};

/** What a scroll key makes of the position. */
const SCROLLS: Readonly<Record<string, (at: number, range: ScrollRange) => number>> = {
  '\x1b[A': (at) => at - 1,
  k: (at) => at - 1,
  '\x1b[B': (at) => at + 1,
  j: (at) => at + 1,
  '\x1b[5~': (at, { page }) => at - page,
  '\x1b[6~': (at, { page }) => at + page,
  '\x1b[H': () => 0,
  '\x1b[1~': () => 0,
  '\x1b[F': (_at, { max }) => max,
  '\x1b[4~': (_at, { max }) => max,
};

/** Keys as a terminal sends them, one string each, from what was read at once. */
export function splitKeys(text: string): string[] {
  // An escape sequence ends with a letter or a tilde; a lone escape is one key.
  return text.match(/\p{Cc}\[[0-9;]*[A-Za-z~]|\p{Cc}O[A-Z]|[\s\S]/gu) ?? [];
}

/** What to do about a key; undefined: nothing. */
export function actOn(key: string, view: View, range: ScrollRange): Action | undefined {
  const scroll = SCROLLS[key.replace('\x1bO', '\x1b[')];
  if (scroll !== undefined) {
    const at = scroll(Math.min(view.scroll, range.max), range);
    return changed(view, { scroll: Math.min(range.max, Math.max(0, at)) });
  }
  const by = SORT_LETTERS[key];
  if (by !== undefined) {
    const isReversed = view.order.by === by && !view.order.isReversed;
    return changed(view, { order: { by, isReversed }, scroll: 0 });
  }
  switch (key) {
    case 'q':
    case 'Q':
    case '\x03':
      return { kind: 'quit' };
    case '\x1a':
      return { kind: 'suspend' };
    case '\x0c':
      return { kind: 'redraw' };
    case 's':
      return changed(view, { showsServers: !view.showsServers, scroll: 0 });
    case '?':
    case 'h':
      return changed(view, { showsHelp: !view.showsHelp });
    case ' ':
      return changed(view, { isPaused: !view.isPaused });
    case 'r':
      return changed(view, { order: { ...view.order, isReversed: !view.order.isReversed } });
    case '+':
      return { kind: 'interval', factor: 0.5 };
    case '-':
      return { kind: 'interval', factor: 2 };
    default:
      return undefined;
  }
}

function changed(view: View, changes: Partial<View>): Action {
  return { kind: 'view', view: { ...view, ...changes } };
}
