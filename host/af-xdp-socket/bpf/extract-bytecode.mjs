// Takes from a BPF object file what the loader needs, as JSON: instructions, map definitions,
// relocations, and the names and numbers the programs' headers export. A small ELF reader is all of
// it, so that neither users nor the loader need libbpf. An object with one program has that
// program's instructions at the top of its JSON, one with several has them under `programs`.
//
//   node extract-bytecode.mjs OBJECT COMPILER                  prints the JSON
//   node extract-bytecode.mjs --check COMMITTED OBJECT COMPILER  exit 1 when it differs

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const SECTION_SYMBOLS = 2
const SYMBOL_LENGTH = 24
const RELOCATION_LENGTH = 16
const RELOCATION_BPF_64_64 = 1
const INSTRUCTION_LENGTH = 8
const MAP_DEFINITION_LENGTH = 20
const OUTCOME_NAME_LENGTH = 48
const CONSTANT_NAME_LENGTH = 40
const CONSTANT_LENGTH = 44
const SECTION_HEADER_LENGTH = 64

const PROGRAM_SECTION = /^(xdp|tcx\/(\w+))$/

const MAP_TYPES = { 1: 'hash', 2: 'array', 6: 'percpu-array', 11: 'lpm-trie', 17: 'xskmap' }

function text(bytes, offset) {
  return bytes.toString('latin1', offset, bytes.indexOf(0, offset))
}

function readSections(file) {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error('not a little-endian 64-bit ELF file')
  }
  const start = Number(file.readBigUInt64LE(40))
  const count = file.readUInt16LE(60)
  const names = file.readUInt16LE(62)
  const headers = Array.from({ length: count }, (_, index) => {
    const at = start + index * SECTION_HEADER_LENGTH
    const offset = Number(file.readBigUInt64LE(at + 24))
    const length = Number(file.readBigUInt64LE(at + 32))
    return {
      nameOffset: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      link: file.readUInt32LE(at + 40),
      bytes: file.subarray(offset, offset + length)
    }
  })
  const sections = headers.map((header) => ({
    ...header,
    name: text(headers[names].bytes, header.nameOffset)
  }))
  return sections
}

function sectionNamed(sections, name) {
  const found = sections.findIndex((section) => section.name === name)
  if (found < 0) throw new Error(`no section ${name}`)
  return { index: found, bytes: sections[found].bytes }
}

function readSymbols(sections) {
  const table = sections.find((section) => section.type === SECTION_SYMBOLS)
  const names = sections[table.link].bytes
  return Array.from({ length: table.bytes.length / SYMBOL_LENGTH }, (_, index) => {
    const at = index * SYMBOL_LENGTH
    return {
      name: text(names, table.bytes.readUInt32LE(at)),
      section: table.bytes.readUInt16LE(at + 6),
      value: Number(table.bytes.readBigUInt64LE(at + 8))
    }
  })
}

function readMaps(sections, symbols) {
  const { index, bytes } = sectionNamed(sections, 'maps')
  return symbols
    .filter((symbol) => symbol.section === index && symbol.name !== '')
    .sort((one, other) => one.value - other.value)
    .map(({ name, value }) => {
      const word = (number) => bytes.readUInt32LE(value + number * 4)
      if (value + MAP_DEFINITION_LENGTH > bytes.length) throw new Error(`map ${name} is cut off`)
      return {
        name,
        type: MAP_TYPES[word(0)],
        keyLength: word(1),
        valueLength: word(2),
        maxEntries: word(3),
        flags: word(4)
      }
    })
}

function readRelocations(sections, { program, symbols, maps }) {
  const { bytes } = sectionNamed(sections, `.rel${program}`)
  return Array.from({ length: bytes.length / RELOCATION_LENGTH }, (_, index) => {
    const at = index * RELOCATION_LENGTH
    const offset = Number(bytes.readBigUInt64LE(at))
    const type = bytes.readUInt32LE(at + 8)
    const map = symbols[bytes.readUInt32LE(at + 12)].name
    if (type !== RELOCATION_BPF_64_64 || !maps.some(({ name }) => name === map)) {
      throw new Error(`a relocation of type ${type} to '${map}' is not a map's`)
    }
    return { instruction: offset / INSTRUCTION_LENGTH, map }
  })
}

function readOutcomes(sections) {
  const { bytes } = sectionNamed(sections, 'outcomes')
  return Array.from({ length: bytes.length / OUTCOME_NAME_LENGTH }, (_, index) =>
    text(bytes, index * OUTCOME_NAME_LENGTH)
  )
}

function readConstants(sections) {
  const { bytes } = sectionNamed(sections, 'constants')
  const entries = Array.from({ length: bytes.length / CONSTANT_LENGTH }, (_, index) => {
    const at = index * CONSTANT_LENGTH
    return [text(bytes, at), bytes.readUInt32LE(at + CONSTANT_NAME_LENGTH)]
  })
  return Object.fromEntries(entries)
}

function readProgram(sections, { program, symbols, maps }) {
  return {
    relocations: readRelocations(sections, { program, symbols, maps }),
    instructions: sectionNamed(sections, program).bytes.toString('base64')
  }
}

function readPrograms(sections, symbols, maps) {
  const names = sections.map(({ name }) => name).filter((name) => PROGRAM_SECTION.test(name))
  if (names.length === 1) return readProgram(sections, { program: names[0], symbols, maps })
  const programs = names.map((program) => [
    PROGRAM_SECTION.exec(program)[2],
    readProgram(sections, { program, symbols, maps })
  ])
  return { programs: Object.fromEntries(programs) }
}

function extract(path, compiler) {
  const sections = readSections(readFileSync(path))
  const symbols = readSymbols(sections)
  const maps = readMaps(sections, symbols)
  const hasOutcomes = sections.some(({ name }) => name === 'outcomes')
  return {
    name: basename(path, '.bpf.o'),
    license: text(sectionNamed(sections, 'license').bytes, 0),
    compiler,
    ...(hasOutcomes && { outcomes: readOutcomes(sections) }),
    constants: readConstants(sections),
    maps,
    ...readPrograms(sections, symbols, maps)
  }
}

function compare(committedPath, extracted) {
  const committed = JSON.parse(readFileSync(committedPath, 'utf8'))
  const { compiler: was, ...before } = committed
  const { compiler: is, ...after } = extracted
  if (JSON.stringify(before) === JSON.stringify(after)) return 0
  const reason =
    was === is
      ? 'run make bytecode and commit the result'
      : `it was built with "${was}", this is "${is}": only that compiler can prove it`
  console.error(`The committed bytecode is not what the source builds; ${reason}.`)
  return 1
}

const [first, ...rest] = process.argv.slice(2)
if (first === '--check') {
  const [committed, object, compiler] = rest
  process.exitCode = compare(committed, extract(object, compiler))
} else {
  process.stdout.write(`${JSON.stringify(extract(first, rest[0]), null, 2)}\n`)
}
