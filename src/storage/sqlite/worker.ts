import { parentPort, workerData } from 'node:worker_threads'
import { Connection, failureOf } from './connection.ts'
import type { WorkerRequest, WorkerResponse, WorkerSettings } from './protocol.ts'

/** The storage thread: fsync and slow queries happen here, never where sockets are served. */
function serve(settings: WorkerSettings, port: NonNullable<typeof parentPort>): void {
  const writer = settings.write ? new Connection(settings, 'write') : undefined
  const reader = settings.read ? new Connection(settings, 'read') : undefined
  let texts: string[] = []

  const connection = (which: Connection | undefined): Connection => {
    if (which === undefined) throw new Error('This thread has no such connection')
    return which
  }

  const handle = (request: WorkerRequest): WorkerResponse => {
    const { id } = request
    switch (request.kind) {
      case 'commit':
        return { id, ok: true, ...connection(writer).commit(texts, request.operations) }
      case 'read':
        return { id, ok: true, ...connection(reader).read(texts, request.operations) }
      case 'begin':
        connection(writer).begin()
        break
      case 'run': {
        const outcome = connection(writer).run(texts, request.operations)
        return { id, ok: true, ...outcome }
      }
      case 'end':
        connection(writer).end(request.commit)
        break
      case 'close':
        reader?.close()
        writer?.close()
    }
    return { id, ok: true, changes: [] }
  }

  port.on('message', (request: WorkerRequest) => {
    if (request.forget === true) {
      texts = []
      writer?.forget()
      reader?.forget()
    }
    if (request.texts !== undefined) texts.push(...request.texts)
    try {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window's
      port.postMessage(handle(request))
      // Listening to nothing any more is what ends the thread; by then the answer is out.
      if (request.kind === 'close') port.unref()
    } catch (error) {
      const response: WorkerResponse = { id: request.id, ok: false, failure: failureOf(error) }
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window's
      port.postMessage(response)
    }
  })
}

/** Opens (and for a backup copies), then says so: response 0. */
function start(settings: WorkerSettings): void {
  if (parentPort === null) throw new Error('This file runs as a worker thread only')
  let response: WorkerResponse = { id: 0, ok: true, changes: [] }
  try {
    if (settings.copyTo === undefined) serve(settings, parentPort)
    else {
      const source = new Connection(settings, 'copy')
      source.copyTo(settings.copyTo)
      source.close()
    }
  } catch (error) {
    response = { id: 0, ok: false, failure: failureOf(error) }
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window's
  parentPort.postMessage(response)
}

start(workerData as WorkerSettings) // what `thread.ts` passes
