// Loaded into servers on Node (`node --require`): how late the event loop was. SIGUSR2 appends the longest delay since the last
// one, in milliseconds, to the file $STALLS_FILE. The same probe in all of them, the bare forwarder included.
'use strict'
const { appendFileSync } = require('node:fs')
const { isMainThread } = require('node:worker_threads')
const everyMs = 10
if (isMainThread && process.env.STALLS_FILE) {
  let last = performance.now()
  let longest = 0
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last - everyMs)
    last = now
  }
  setInterval(look, everyMs).unref()
  process.on('SIGUSR2', () => {
    look()
    appendFileSync(process.env.STALLS_FILE, `${longest.toFixed(2)}\n`)
    longest = 0
  })
}
