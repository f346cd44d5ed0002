import assert from 'node:assert/strict'
import type { StorageError, WriteTicket } from '../core/store.ts'

/** The outcome of a write that must succeed. */
export async function written<Row>(ticket: WriteTicket<Row>) {
  const outcome = await ticket.settled
  if (!outcome.ok) throw outcome.error
  return outcome
}

/** The error of a write that must fail. */
export async function failed(ticket: WriteTicket): Promise<StorageError> {
  const outcome = await ticket.settled
  assert.ok(!outcome.ok, 'the write should have failed')
  return outcome.error
}
