import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LogFile } from './log-file.ts'

function withFolder(run: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'linnet-log-'))
  try {
    run(join(folder, 'linnet.log'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

// shows: option log_rotate_size
test('puts the file aside when the next line would pass the size', () => {
  withFolder((path) => {
    const file = new LogFile({ path, maxBytes: 10, keep: 2 })
    file.write('one\n')
    file.write('two\n')
    file.write('three\n')
    file.close()
    assert.equal(readFileSync(path, 'utf8'), 'three\n')
    assert.equal(readFileSync(`${path}.0`, 'utf8'), 'one\ntwo\n')
  })
})

// shows: option log_rotate_count
test('keeps as many old files as it is told', () => {
  withFolder((path) => {
    const file = new LogFile({ path, maxBytes: 1, keep: 2 })
    for (const line of ['a\n', 'b\n', 'c\n', 'd\n']) file.write(line)
    file.close()
    assert.equal(readFileSync(`${path}.0`, 'utf8'), 'c\n')
    assert.equal(readFileSync(`${path}.1`, 'utf8'), 'b\n')
    assert.equal(existsSync(`${path}.2`), false)
  })
})

test('keeps none when none are wanted', () => {
  withFolder((path) => {
    const file = new LogFile({ path, maxBytes: 1, keep: 0 })
    file.write('a\n')
    file.write('b\n')
    file.close()
    assert.equal(readFileSync(path, 'utf8'), 'b\n')
    assert.equal(existsSync(`${path}.0`), false)
  })
})

test('goes on in a new file after somebody else moved it away', () => {
  withFolder((path) => {
    const file = new LogFile({ path, maxBytes: Infinity, keep: 1 })
    file.write('a\n')
    renameSync(path, `${path}.moved`)
    file.reopen()
    file.write('b\n')
    file.close()
    assert.equal(readFileSync(path, 'utf8'), 'b\n')
  })
})
