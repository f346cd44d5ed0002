import { existsSync } from 'node:fs'

const strace = '/usr/bin/strace'

/** Why tests that need strace cannot run here, for `skip`. */
export const noStrace: string | false =
  !existsSync(strace) && `${strace} (Debian package strace) is not installed`

/** `-D`: the server stays our own child, and strace goes when it does. */
const common = [strace, '-D', '-f', '--seccomp-bpf']

/** Before the server's name: the given system calls go to a file, with the names of files and what was written. */
export function tracing(calls: readonly string[], path: string): readonly string[] {
  // As long as a page, so that a payload is seen anywhere in it.
  return [...common, '-y', '-s', '8192', '-e', `trace=${calls.join()}`, '-o', path]
}

/**
 * Before the server's name: each page that is written to the database takes a while, as on a poor disk. Where the disk is good
 * hardly a kill hits a commit, as that is over in no time.
 */
export const slowDisk: readonly string[] = [
  ...common,
  '-e',
  'trace=pwrite64',
  '-e',
  'inject=pwrite64:delay_enter=200',
  '-o',
  '/dev/null',
]
