import { callServer } from '../src/admin/control-socket.ts'

/*
 * Makes the accounts u0 … uN-1 on a running server: node bench/register.ts DATA_DIR N PREFIX PASSWORD. Through the control
 * socket, sixteen at a time.
 */
const [dataDir = '', count = '0', prefix = 'u', password = 'pw'] = process.argv.slice(2)
let next = 0

async function registerSome(): Promise<void> {
  while (next < Number(count)) {
    const user = `${prefix}${next++}`
    const answer = await callServer(dataDir, { words: ['register', user, 'localhost', password] })
    if (answer === undefined) throw new Error(`No server is running on ${dataDir}`)
    if (answer.exit !== 0 && !answer.output.includes('already')) throw new Error(answer.output)
  }
}

await Promise.all(Array.from({ length: 16 }, registerSome))
