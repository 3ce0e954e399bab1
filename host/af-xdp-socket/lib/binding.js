// Loads the native half. The only place that knows where it is built.

import { createRequire } from 'node:module';

const ADDON_PATH = '../build/af_xdp_socket.node';

function load() {
  try {
    return createRequire(import.meta.url)(ADDON_PATH);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(
      'The native part of af-xdp-socket is not built: run make in its folder (needs a C compiler).',
      { cause: error },
    );
  }
}

export const binding = load();
