// Checks of what callers hand in: TypeError for the wrong kind, RangeError for the wrong value.

function describe(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? `an object (${value.constructor?.name})` : typeof value;
}

export function typeError(name, expected, value) {
  const error = new TypeError(`${name} must be ${expected}, not ${describe(value)}.`);
  error.code = 'ERR_INVALID_ARG_TYPE';
  return error;
}

export function rangeError(message) {
  const error = new RangeError(message);
  error.code = 'ERR_OUT_OF_RANGE';
  return error;
}

export function requireInteger(value, name, min, max) {
  if (typeof value !== 'number') throw typeError(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}.`);
  }
  return value;
}

export function requireBytes(value, name) {
  if (!(value instanceof Uint8Array)) throw typeError(name, 'a Uint8Array', value);
  return value;
}

export function requireBytesOfLength(value, name, length) {
  requireBytes(value, name);
  if (value.length !== length) {
    throw rangeError(`${name} must be ${length} bytes long, not ${value.length}.`);
  }
  return value;
}

export function requireObject(value, name) {
  if (typeof value !== 'object' || value === null) throw typeError(name, 'an object', value);
  return value;
}

export function requireString(value, name) {
  if (typeof value !== 'string') throw typeError(name, 'a string', value);
  return value;
}

export function requireFunction(value, name) {
  if (typeof value !== 'function') throw typeError(name, 'a function', value);
  return value;
}

export function requireBoolean(value, name) {
  if (typeof value !== 'boolean') throw typeError(name, 'true or false', value);
  return value;
}

export function requireOneOf(value, name, allowed) {
  if (!allowed.includes(value)) {
    const list = allowed.map((item) => `'${item}'`).join(', ');
    throw typeof value === 'string'
      ? rangeError(`${name} must be one of ${list}, not '${value}'.`)
      : typeError(name, `one of ${list}`, value);
  }
  return value;
}

/** @returns {unknown[]} absent: none */
export function requireList(list, name) {
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw typeError(name, 'an array', list);
  return list;
}
