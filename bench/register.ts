import { setTimeout } from 'node:timers/promises'
import type { ControlAnswer } from '../src/admin/control-socket.ts'
import { callServer } from '../src/admin/control-socket.ts'

/*
 * Makes the accounts u0 … uN-1 on a running server: node bench/register.ts DATA_DIR N PREFIX PASSWORD. Through the control
 * socket, sixteen at a time. A port that accepts comes before the last of the start, so a server that is still starting is
 * asked again.
 */
const [dataDir = '', count = '0', prefix = 'u', password = 'pw'] = process.argv.slice(2)
const patienceMs = 30_000
const askAgainMs = 100
let next = 0

async function register(user: string): Promise<ControlAnswer> {
  const deadline = performance.now() + patienceMs
  while (true) {
    const answer = await callServer(dataDir, { words: ['register', user, 'localhost', password] })
    if (answer === undefined) throw new Error(`No server is running on ${dataDir}`)
    if (!answer.output.includes('still starting') || performance.now() > deadline) return answer
    await setTimeout(askAgainMs)
  }
}

async function registerSome(): Promise<void> {
  while (next < Number(count)) {
    const answer = await register(`${prefix}${next++}`)
    if (answer.exit !== 0 && !answer.output.includes('already')) throw new Error(answer.output)
  }
}

await Promise.all(Array.from({ length: 16 }, registerSome))
