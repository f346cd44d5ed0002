import { infinityWords } from './duration.ts'
import { err, ok } from './result.ts'
import type { Result } from './result.ts'

export type SizeError = 'not-a-size' | 'unknown-unit' | 'not-positive' | 'too-large'

export interface SizeOptions {
  readonly allowInfinity?: boolean
  readonly allowZero?: boolean
}

const unitBytes: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't'].flatMap((letter, i): [string, number][] => [
    // IEC: powers of 1024. A lone letter means them, too, as it does in most configurations.
    [letter, 1024 ** (i + 1)],
    [`${letter}ib`, 1024 ** (i + 1)],
    // SI: powers of 1000.
    [`${letter}b`, 1000 ** (i + 1)],
  ]),
])

/**
 * Parses a number of bytes, such as `65536`, `'64KiB'`, `'64 k'` (the same) or `'64kB'` (64000).
 */
export function parseSize(
  value: string | number,
  { allowInfinity = false, allowZero = false }: SizeOptions = {},
): Result<number, SizeError> {
  if (allowInfinity && infinityWords.has(String(value))) return ok(Infinity)
  const [, digits, suffix = ''] = /^([+-]?\d+)(.*)$/s.exec(String(value)) ?? []
  if (digits === undefined) return err('not-a-size')
  const unit = unitBytes.get(suffix.trim().toLowerCase())
  if (unit === undefined) return err('unknown-unit')
  const bytes = Number(digits) * unit
  if (bytes < 0 || (bytes === 0 && !allowZero)) return err('not-positive')
  return Number.isSafeInteger(bytes) ? ok(bytes) : err('too-large')
}

/** Writes a size in the largest unit that holds it exactly, so that `parseSize` reads it back. */
export function formatSize(bytes: number): string {
  if (bytes === Infinity) return 'infinity'
  const units = ['TiB', 'GiB', 'MiB', 'KiB'] as const
  for (const [i, unit] of units.entries()) {
    const unitSize = 1024 ** (units.length - i)
    if (bytes !== 0 && bytes % unitSize === 0) return `${bytes / unitSize} ${unit}`
  }
  return `${bytes} B`
}
